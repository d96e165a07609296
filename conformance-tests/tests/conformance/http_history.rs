//! <https://hl7.org/fhir/R4/http.html#history>

use std::{thread, time::Duration};

use conformance_tests::Reply;
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient, resource};

use crate::space::{Space, on_each_backend, refused};

/// A patient with a version created, one updated and a deletion.
fn lived(space: &Space) -> String {
    let key = space.add("a", patient().family("Before").build());
    let mut body = space.get(&key).expect_status(200).body;
    body["name"][0]["family"] = json!("After");
    space.put(&key, &body).assert_status(200);
    assert!(space.delete(&key).is_success());
    key
}

fn history(space: &Space, path: &str) -> Reply {
    let bundle = space.get(path).expect_status(200);
    assert_eq!((&bundle.body["resourceType"], &bundle.body["type"]), (&json!("Bundle"), &json!("history")), "{bundle}");
    bundle
}

/// All entries on all pages.
fn all(space: &Space, path: &str) -> Vec<Value> {
    let mut page = history(space, path);
    let mut entries = page.entries().to_vec();
    while let Some(next) = page.link("next") {
        page = history(space, next);
        entries.extend_from_slice(page.entries());
        assert!(entries.len() < 100_000, "{path} never ends");
    }
    entries
}

/// All entries on all pages, once there are that many of this resource: a history of several resources stops below the oldest
/// write that is still open, be it another test's.
fn all_of(space: &Space, path: &str, key: &str, count: usize) -> Vec<Value> {
    for _ in 0..100 {
        let entries = all(space, path);
        if of(&entries, key).len() >= count {
            return entries;
        }
        thread::sleep(Duration::from_millis(50));
    }
    all(space, path)
}

/// What one entry says, in short.
fn told(entry: &Value) -> (&str, &str, bool) {
    let text = |place: &str| entry.pointer(place).and_then(Value::as_str).unwrap_or_default();
    (text("/request/method"), text("/response/status").get(..3).unwrap_or_default(), entry.get("resource").is_some())
}

/// The entries that tell of one resource, by its key in `fullUrl` or request.
fn of<'a>(entries: &'a [Value], key: &str) -> Vec<&'a Value> {
    let names = |entry: &&Value| {
        ["/fullUrl", "/request/url", "/response/location"]
            .iter()
            .any(|place| entry.pointer(place).and_then(Value::as_str).is_some_and(|url| url.contains(key)))
    };
    entries.iter().filter(names).collect()
}

// https://hl7.org/fhir/R4/http.html#history: newest first, deletions without resource
#[test]
fn history_of_an_instance_tells_its_versions_newest_first() {
    on_each_backend(|space| {
        let key = lived(space);
        let bundle = history(space, &format!("{key}/_history"));
        let entries = bundle.entries();
        assert_eq!(entries.len(), 3, "{bundle}");
        assert_eq!(told(&entries[0]).0, "DELETE", "{bundle}");
        assert!(!told(&entries[0]).2, "a deletion has no resource: {bundle}");
        assert_eq!((told(&entries[1]).0, told(&entries[1]).2), ("PUT", true), "{bundle}");
        assert_eq!((told(&entries[2]).0, told(&entries[2]).2), ("POST", true), "{bundle}");
        assert_eq!(entries[1]["resource"]["name"][0]["family"], "After");
        assert_eq!(entries[2]["resource"]["name"][0]["family"], "Before");
        assert_eq!(bundle.body["total"], 3, "{bundle}");
    });
}

// https://hl7.org/fhir/R4/bundle.html#history, bdl-3, bdl-4, bdl-8
#[test]
fn history_entries_have_request_response_and_unversioned_full_url() {
    on_each_backend(|space| {
        let key = lived(space);
        let bundle = history(space, &format!("{key}/_history"));
        for (entry, status) in bundle.entries().iter().zip([["204", "200"], ["200", "200"], ["201", "201"]]) {
            let (_, found, _) = told(entry);
            assert!(status.contains(&found), "{entry}");
            assert_eq!(entry["fullUrl"], format!("{}/{key}", space.base), "{entry}");
            let url = entry["request"]["url"].as_str().unwrap();
            assert!(url.starts_with("Patient"), "{entry}");
            assert!(entry["response"]["lastModified"].is_string(), "{entry}");
            assert!(entry["response"]["etag"].as_str().is_some_and(|etag| etag.starts_with("W/")), "{entry}");
        }
        assert!(bundle.link("self").is_some(), "{bundle}");
    });
}

// https://hl7.org/fhir/R4/http.html#history
#[test]
fn history_of_a_type_tells_of_that_type_only() {
    on_each_backend(|space| {
        let key = lived(space);
        let other = space.add("o", observation().build());
        let entries = all_of(space, "Patient/_history?_count=500", &key, 3);
        let told_of: Vec<_> = of(&entries, &key).into_iter().map(|entry| told(entry).0).collect();
        assert_eq!(told_of, ["DELETE", "PUT", "POST"]);
        assert!(of(&entries, &other).is_empty());
    });
}

// https://hl7.org/fhir/R4/http.html#history
#[test]
fn history_of_the_system_tells_of_all_types_in_the_order_of_change() {
    on_each_backend(|space| {
        let key = lived(space);
        let other = space.add("o", observation().build());
        // The other was written last.
        let entries = all_of(space, "_history?_count=500", &other, 1);
        let place = |key: &str| {
            let newest = of(&entries, key)[0];
            entries.iter().position(|entry| std::ptr::eq(entry, newest)).unwrap()
        };
        assert!(place(&other) < place(&key), "the newest change comes first");
        assert_eq!(of(&entries, &key).len(), 3);
    });
}

// https://hl7.org/fhir/R4/http.html#history: _count
#[test]
fn history_pages_together_are_the_whole() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let mut body = space.get(&key).expect_status(200).body;
        for number in 0..6 {
            body["name"] = json!([{ "family": format!("Name{number}") }]);
            space.put(&key, &body).assert_status(200);
        }
        let first = history(space, &format!("{key}/_history?_count=2"));
        assert_eq!(first.entries().len(), 2, "{first}");
        assert!(first.link("next").is_some(), "{first}");
        let entries = all(space, &format!("{key}/_history?_count=2"));
        let versions: Vec<_> =
            entries.iter().filter_map(|entry| entry["resource"]["meta"]["versionId"].as_str()).collect();
        assert_eq!(versions, ["7", "6", "5", "4", "3", "2", "1"]);
    });
}

// https://hl7.org/fhir/R4/http.html#history: _since: versions made at that instant or later
#[test]
fn history_since_leaves_out_what_is_older() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let mut body = space.get(&key).expect_status(200).body;
        let mut instants = vec![body["meta"]["lastUpdated"].as_str().unwrap().to_owned()];
        for family in ["B", "C"] {
            thread::sleep(Duration::from_millis(5));
            body["name"] = json!([{ "family": family }]);
            space.put(&key, &body).assert_status(200);
            instants.push(space.get(&key).body["meta"]["lastUpdated"].as_str().unwrap().to_owned());
        }
        for (instant, count) in instants.iter().zip([3, 2, 1]) {
            let since = instant.replace('+', "%2B");
            let instance = history(space, &format!("{key}/_history?_since={since}"));
            assert_eq!(instance.entries().len(), count, "{since}: {instance}");
            let of_type = all_of(space, &format!("Patient/_history?_since={since}&_count=500"), &key, count);
            assert_eq!(of(&of_type, &key).len(), count, "{since}");
        }
        let none = history(space, &format!("{key}/_history?_since=2999-01-01T00:00:00Z"));
        assert_eq!(none.entries().len(), 0, "{none}");
        refused(&space.get(&format!("{key}/_history?_since=yesterday")), &[400]);
    });
}

// https://hl7.org/fhir/R4/http.html#history: _at: versions current at that time
#[test]
fn history_at_an_instant_tells_the_version_that_was_current() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let mut body = space.get(&key).expect_status(200).body;
        let first = body["meta"]["lastUpdated"].as_str().unwrap().replace('+', "%2B");
        thread::sleep(Duration::from_millis(5));
        body["name"] = json!([{ "family": "B" }]);
        space.put(&key, &body).assert_status(200);
        let at = space.get(&format!("{key}/_history?_at={first}"));
        if at.status == 400 {
            // _at is optional; but what is not supported must not be ignored.
            refused(&at, &[400]);
            return;
        }
        assert_eq!(at.resources().len(), 1, "{at}");
        assert_eq!(at.resources()[0]["meta"]["versionId"], "1", "{at}");
        let later = history(space, &format!("{key}/_history?_at=2999-01-01"));
        assert_eq!(later.resources()[0]["meta"]["versionId"], "2", "{later}");
        let before = history(space, &format!("{key}/_history?_at=2001"));
        assert_eq!(before.entries().len(), 0, "{before}");
    });
}

// https://hl7.org/fhir/R4/http.html#history
#[test]
fn history_of_what_never_was_is_not_found() {
    on_each_backend(|space| {
        refused(&space.get(&format!("Patient/{}/_history", space.tag)), &[404]);
        refused(&space.get("Nothing/_history"), &[404]);
    });
}

// https://hl7.org/fhir/R4/http.html#history: parameters other than these are not defined
#[test]
fn history_refuses_parameters_that_it_does_not_know() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        refused(&space.get(&format!("{key}/_history?family=a")), &[400]);
        for count in ["many", "0", "-1"] {
            refused(&space.get(&format!("{key}/_history?_count={count}")), &[400]);
        }
    });
}

// https://hl7.org/fhir/R4/http.html#history: who asks again with the last seen instant misses nothing
#[test]
fn history_since_the_last_seen_instant_misses_no_concurrent_write() {
    on_each_backend(|space| {
        let start = space.add("first", patient().build());
        let since = space.get(&start).body["meta"]["lastUpdated"].as_str().unwrap().to_owned();
        let mut seen: Vec<String> = Vec::new();
        let written: Vec<String> = thread::scope(|scope| {
            let writer = |number: usize| {
                let body = space.tagged(patient().family(&format!("W{number}")).build());
                let client = space.client.clone();
                scope.spawn(move || -> Vec<String> {
                    let create = || crate::space::run(client.post("Patient", &body)).expect_status(201).id().to_owned();
                    (0..10).map(|_| create()).collect()
                })
            };
            let writers: Vec<_> = (0..4).map(writer).collect();
            let mut last = since.clone();
            let mut poll = || {
                for entry in all(space, &format!("Patient/_history?_since={}&_count=100", last.replace('+', "%2B"))) {
                    let changed = entry["response"]["lastModified"].as_str().unwrap_or_default().to_owned();
                    seen.push(entry["fullUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned());
                    last = last.clone().max(changed);
                }
            };
            while writers.iter().any(|writer| !writer.is_finished()) {
                poll();
            }
            let written = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
            // The feed may lag behind, but not for long.
            thread::sleep(Duration::from_millis(300));
            poll();
            written
        });
        let missed: Vec<_> = written.iter().filter(|id| !seen.contains(id)).collect();
        assert!(missed.is_empty(), "the feed missed {missed:?}");
    });
}

// https://hl7.org/fhir/R4/bundle.html#history: the response is that of the interaction which made the version
#[test]
fn history_tells_of_a_resource_that_came_back_that_it_was_created() {
    on_each_backend(|space| {
        let key = lived(space);
        let body = space.tagged(patient().id(key.rsplit('/').next().unwrap()).build());
        space.put(&key, &body).assert_status(201);
        for path in [format!("{key}/_history"), "Patient/_history?_count=500".to_owned()] {
            let entries = all_of(space, &path, &key, 4);
            let told: Vec<_> = of(&entries, &key).into_iter().map(|entry| (told(entry).0, told(entry).1)).collect();
            assert_eq!(told, [("PUT", "201"), ("DELETE", "204"), ("PUT", "200"), ("POST", "201")], "{path}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#history: it has no order of one's own
#[test]
fn history_refuses_an_order() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        refused(&space.get(&format!("{key}/_history?_sort=_lastUpdated")), &[400]);
    });
}

// https://hl7.org/fhir/R4/http.html#paging: the links carry what says how the answer is written
#[test]
fn links_carry_pretty_and_format() {
    on_each_backend(|space| {
        let key = lived(space);
        for path in [format!("{key}/_history?_count=1"), "Patient?_count=1".to_owned()] {
            let _other = space.add("b", patient().build());
            let first = space.get(&format!("{path}&_pretty=true&_format=json")).expect_status(200);
            let self_link = first.link("self").unwrap();
            assert!(self_link.contains("_pretty=true") && self_link.contains("_count=1"), "{first}");
            let next = space.get(first.link("next").unwrap()).expect_status(200);
            assert!(next.text.contains("\n  "), "{next}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#history: HEAD as GET
#[test]
fn history_answers_head() {
    on_each_backend(|space| {
        let key = lived(space);
        let reply = crate::space::send(space.request("HEAD", &format!("{key}/_history"))).expect_status(200);
        assert_eq!(reply.text, "");
    });
}

// https://hl7.org/fhir/R4/http.html#history: _list
#[test]
fn history_of_a_list_tells_of_its_members() {
    on_each_backend(|space| {
        let (member, other) = (lived(space), space.add("other", patient().build()));
        let observed = space.add("o", observation().build());
        let items = [&member, &observed].map(|key| json!({ "item": { "reference": key } }));
        let list = resource("List").set("status", "current").set("mode", "working").set("entry", json!(items));
        let key = space.add("list", list.build());
        let id = key.rsplit('/').next().unwrap();
        let of_type = all_of(space, &format!("Patient/_history?_list={id}&_count=2"), &member, 3);
        assert_eq!((of(&of_type, &member).len(), of_type.len()), (3, 3));
        let of_system = all_of(space, &format!("_history?_list={id}"), &observed, 1);
        assert_eq!((of_system.len(), of(&of_system, &observed).len(), of(&of_system, &other).len()), (4, 1, 0));
        assert_eq!(history(space, &format!("_history?_list={}", space.tag)).entries().len(), 0);
        refused(&space.get("_history?_list=$current-problems"), &[501]);
        refused(&space.get("_history?_list=a_b"), &[400]);
        refused(&space.get(&format!("{member}/_history?_list={id}")), &[400]);
    });
}
