//! The conditional interactions: <https://hl7.org/fhir/R4/http.html#ccreate>,
//! <https://hl7.org/fhir/R4/http.html#cond-update> and <https://hl7.org/fhir/R4/http.html#cread>.

use std::thread;

use conformance_tests::Reply;
use serde_json::{Value, json};
use tessera_fixtures::patient;

use crate::space::{Space, bundle, entry, on_each_backend, refused, refused_with, send};

const MRN: &str = "https://hospital.example/mrn";

/// A patient with an identifier that only this space has.
fn identified(space: &Space) -> Value {
    space.tagged(patient().identifier(MRN, &space.tag).build())
}

fn criteria(space: &Space) -> String {
    format!("identifier={MRN}|{}", space.tag)
}

fn create_if_none(space: &Space, body: &Value) -> Reply {
    send(space.request("POST", "Patient").header("if-none-exist", &criteria(space)).json(body))
}

// https://hl7.org/fhir/R4/http.html#ccreate: no match: an ordinary create
#[test]
fn conditional_create_without_match_creates() {
    on_each_backend(|space| {
        let created = create_if_none(space, &identified(space)).expect_status(201);
        assert!(created.header("location").is_some(), "{created}");
        space.get(&format!("Patient/{}", created.id())).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#ccreate: one match: nothing is created, 200
#[test]
fn conditional_create_with_one_match_returns_200_and_creates_nothing() {
    on_each_backend(|space| {
        let created = create_if_none(space, &identified(space)).expect_status(201);
        let again = create_if_none(space, &identified(space)).expect_status(200);
        if !again.id().is_empty() {
            assert_eq!(again.id(), created.id(), "{again}");
        }
        assert_eq!(space.found("Patient").len(), 1);
        // The criteria may also come with a question mark before them.
        let question = format!("?{}", criteria(space));
        let reply = send(space.request("POST", "Patient").header("if-none-exist", &question).json(&identified(space)));
        assert!([200, 400].contains(&reply.status), "{reply}");
        assert_eq!(space.get(&format!("Patient/{}", created.id())).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#parameters: _format and _pretty go with any interaction, and clients add them to the
// URL that they make the criteria of
#[test]
fn criteria_may_come_with_format() {
    on_each_backend(|space| {
        let created = create_if_none(space, &identified(space)).expect_status(201);
        for criteria in [
            format!("Patient?_format=json&{}", criteria(space)),
            format!("{}/Patient?{}&_pretty=true", space.base, criteria(space)),
        ] {
            let create = space.request("POST", "Patient").header("if-none-exist", &criteria).json(&identified(space));
            assert_eq!(send(create).expect_status(200).id(), created.id());
            let mut body = identified(space);
            body["active"] = json!(true);
            let mut entry = entry("POST", "Patient", &body);
            entry["request"]["ifNoneExist"] = json!(criteria.split('?').next_back());
            let answer = space.post("", &bundle("transaction", &[entry])).expect_status(200);
            assert_eq!(answer.entries()[0]["response"]["status"], "200 OK", "{answer}");
        }
        let update = format!("Patient?_format=json&{}", criteria(space));
        assert_eq!(space.put(&update, &identified(space)).expect_status(200).id(), created.id());
    });
}

// https://hl7.org/fhir/R4/datatypes.html#string: a text has no U+0000, and no database would take it
#[test]
fn criteria_with_u_0000_are_refused() {
    on_each_backend(|space| {
        for criteria in ["%00=a", "name=%00", "name:missing=%00", "identifier=a%00b"] {
            println!("{criteria}");
            refused(&space.delete(&format!("Patient?{criteria}")), &[400]);
            refused(&space.put(&format!("Patient?{criteria}"), &identified(space)), &[400]);
            let create = space.request("POST", "Patient").header("if-none-exist", criteria).json(&identified(space));
            refused(&send(create), &[400]);
        }
    });
}

// https://hl7.org/fhir/R4/http.html#ccreate: several matches: 412
#[test]
fn conditional_create_with_several_matches_fails_with_412() {
    on_each_backend(|space| {
        space.add("a", identified(space));
        space.add("b", identified(space));
        refused(&create_if_none(space, &identified(space)), &[412]);
        assert_eq!(space.found("Patient").len(), 2);
    });
}

// https://hl7.org/fhir/R4/http.html#ccreate: deleted resources do not match
#[test]
fn conditional_create_after_the_deletion_of_the_match_creates() {
    on_each_backend(|space| {
        let first = create_if_none(space, &identified(space)).expect_status(201);
        assert!(space.delete(&format!("Patient/{}", first.id())).is_success());
        let second = create_if_none(space, &identified(space)).expect_status(201);
        assert_ne!(first.id(), second.id());
    });
}

// https://hl7.org/fhir/R4/http.html#ccreate: an update may take the match away
#[test]
fn conditional_create_looks_at_the_current_version() {
    on_each_backend(|space| {
        let first = create_if_none(space, &identified(space)).expect_status(201);
        let mut changed = space.tagged(patient().id(first.id()).identifier(MRN, &format!("{}-new", space.tag)).build());
        space.put(&format!("Patient/{}", first.id()), &changed).assert_status(200);
        create_if_none(space, &identified(space)).assert_status(201);
        // And back: now there are two.
        changed["identifier"][0]["value"] = json!(space.tag);
        space.put(&format!("Patient/{}", first.id()), &changed).assert_status(200);
        refused(&create_if_none(space, &identified(space)), &[412]);
    });
}

// https://hl7.org/fhir/R4/http.html#ccreate: it is there so that no duplicates arise
#[test]
fn conditional_creates_at_the_same_time_make_one_resource() {
    on_each_backend(|space| {
        let body = identified(space);
        let replies: Vec<Reply> = thread::scope(|scope| {
            let create = || {
                let request = space.client.request("POST".parse().unwrap(), "Patient");
                let request = request.header("if-none-exist", &criteria(space)).json(&body);
                scope.spawn(move || send(request))
            };
            let writers: Vec<_> = (0..16).map(|_| create()).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let count = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
        assert_eq!((count(201), count(200)), (1, 15), "{:?}", replies.iter().map(|r| r.status).collect::<Vec<_>>());
        assert_eq!(space.found("Patient").len(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#ccreate
#[test]
fn conditional_create_refuses_criteria_that_it_does_not_know() {
    on_each_backend(|space| {
        for criteria in ["surname=a", "identifier:unheard-of=a", "birthdate=yesterday"] {
            let request = space.request("POST", "Patient").header("if-none-exist", criteria).json(&identified(space));
            refused(&send(request), &[400, 412]);
        }
        assert_eq!(space.found("Patient").len(), 0);
    });
}

fn update(space: &Space, body: &Value) -> Reply {
    space.put(&format!("Patient?{}", criteria(space)), body)
}

// https://hl7.org/fhir/R4/http.html#cond-update: no match, no id in the body
#[test]
fn conditional_update_without_match_creates() {
    on_each_backend(|space| {
        let created = update(space, &identified(space)).expect_status(201);
        assert!(created.header("location").is_some(), "{created}");
        assert_eq!(created.version(), 1);
        assert_eq!(space.found("Patient").len(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#cond-update: no match, an id in the body: update as create
#[test]
fn conditional_update_without_match_creates_under_the_id_in_the_body() {
    on_each_backend(|space| {
        let mut body = identified(space);
        body["id"] = json!(space.tag);
        let created = update(space, &body);
        if created.status == 405 {
            return;
        }
        created.assert_status(201);
        space.get(&format!("Patient/{}", space.tag)).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#cond-update: one match, and no id or the same one in the body
#[test]
fn conditional_update_with_one_match_updates_it() {
    on_each_backend(|space| {
        let key = space.add("a", identified(space));
        let mut body = identified(space);
        body["gender"] = json!("female");
        assert_eq!(update(space, &body).expect_status(200).version(), 2);
        body["gender"] = json!("other");
        body["id"] = json!(key.rsplit('/').next().unwrap());
        assert_eq!(update(space, &body).expect_status(200).version(), 3);
        assert_eq!(space.get(&key).expect_status(200).body["gender"], "other");
        space.finds("Patient", "a");
    });
}

// https://hl7.org/fhir/R4/http.html#cond-update: one match, another id in the body
#[test]
fn conditional_update_refuses_the_id_of_another_resource() {
    on_each_backend(|space| {
        let key = space.add("a", identified(space));
        let mut body = identified(space);
        body["id"] = json!(format!("{}-other", space.tag));
        refused(&update(space, &body), &[400, 409, 412]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#cond-update: several matches: 412
#[test]
fn conditional_update_with_several_matches_fails_with_412() {
    on_each_backend(|space| {
        space.add("a", identified(space));
        space.add("b", identified(space));
        refused_with(&update(space, &identified(space)), 412, "multiple-matches");
    });
}

// https://hl7.org/fhir/R4/http.html#cond-update
#[test]
fn conditional_updates_at_the_same_time_make_one_resource() {
    on_each_backend(|space| {
        let body = identified(space);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let put = |number: usize| {
                let mut body = body.clone();
                body["name"] = json!([{ "family": format!("Writer{number}") }]);
                let request =
                    space.client.request("PUT".parse().unwrap(), &format!("Patient?{}", criteria(space))).json(&body);
                scope.spawn(move || send(request).status)
            };
            let writers: Vec<_> = (0..8).map(put).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7, "{statuses:?}");
        assert_eq!(space.found("Patient").len(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#cread: If-None-Match
#[test]
fn read_with_the_current_etag_is_not_modified() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let etag = space.get(&key).header("etag").unwrap().to_owned();
        let read = |value: &str| send(space.request("GET", &key).header("if-none-match", value));
        for value in [&*etag, "*", &format!("W/\"99\", {etag}")] {
            let reply = read(value);
            assert_eq!((reply.status, &*reply.text), (304, ""), "{value}: {reply}");
        }
        assert_eq!(read(&etag).header("etag"), Some(&*etag));
        read("W/\"99\"").assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#cread: If-Modified-Since
#[test]
fn read_since_the_last_modification_is_not_modified() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let modified = space.get(&key).header("last-modified").unwrap().to_owned();
        let read = |since: &str| send(space.request("GET", &key).header("if-modified-since", since));
        read(&modified).assert_status(304);
        read("Sat, 01 Jan 2000 00:00:00 GMT").assert_status(200);
        // "A recipient MUST ignore the If-Modified-Since header field if the received field value is not a valid
        // HTTP-date": https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3
        read("yesterday").assert_status(200);
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3: If-None-Match goes before If-Modified-Since
#[test]
fn read_with_another_etag_is_answered_whatever_the_date() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let modified = space.get(&key).header("last-modified").unwrap().to_owned();
        let request =
            space.request("GET", &key).header("if-none-match", "W/\"99\"").header("if-modified-since", &modified);
        send(request).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#cread
#[test]
fn conditional_read_of_what_is_deleted_is_gone() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        assert!(space.delete(&key).is_success());
        refused(&send(space.request("GET", &key).header("if-none-match", "W/\"1\"")), &[410]);
    });
}

// https://hl7.org/fhir/R4/http.html#cread: on vread and HEAD too
#[test]
fn conditional_read_holds_for_a_version_and_for_head() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for (method, path) in
            [("GET", format!("{key}/_history/1")), ("HEAD", key.clone()), ("HEAD", format!("{key}/_history/1"))]
        {
            let read = |tag: &str| send(space.request(method, &path).header("if-none-match", tag));
            let unmodified = read("W/\"1\"").expect_status(304);
            assert_eq!((&*unmodified.text, unmodified.header("etag")), ("", Some("W/\"1\"")), "{unmodified}");
            read("W/\"2\"").assert_status(200);
        }
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1
#[test]
fn read_with_if_match_needs_that_version() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        refused(&send(space.request("GET", &key).header("if-match", "W/\"2\"")), &[412]);
        send(space.request("GET", &key).header("if-match", "W/\"2\", W/\"1\"")).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#concurrency: a condition that cannot be read must not be passed over
#[test]
fn a_condition_that_cannot_be_read_is_refused() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let body = patient().id(key.rsplit('/').next().unwrap()).family("New").build();
        for (name, value) in [
            ("if-match", "W/\"1"),
            ("if-match", "one"),
            ("if-match", "*, W/\"1\""),
            ("if-none-match", "W/1"),
            ("if-match", "W/\"ü\""),
            ("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT"),
            ("if-none-exist", "identifier=a"),
        ] {
            refused(&send(space.request("PUT", &key).header(name, value).json(&body)), &[400]);
        }
        let create = space.request("POST", "Patient").header("if-match", "W/\"1\"");
        refused(&send(create.json(&space.tagged(patient().build()))), &[400]);
        assert_eq!(space.get(&key).version(), 1);
        assert_eq!(space.found("Patient").len(), 1);
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2: If-None-Match on a write
#[test]
fn update_with_if_none_match_needs_another_version_or_none() {
    on_each_backend(|space| {
        let key = format!("Patient/{}", space.tag);
        let put = |family: &str, tag: &str| {
            let body = space.tagged(patient().id(&space.tag).family(family).build());
            send(space.request("PUT", &key).header("if-none-match", tag).json(&body))
        };
        put("A", "*").assert_status(201);
        refused(&put("B", "*"), &[412]);
        refused(&put("B", "W/\"7\", W/\"1\""), &[412]);
        assert_eq!(put("B", "W/\"7\"").expect_status(200).version(), 2);
    });
}

// https://hl7.org/fhir/R4/http.html#concurrency: on the conditional interactions too
#[test]
fn conditional_update_and_delete_heed_if_match() {
    on_each_backend(|space| {
        let key = space.add("a", identified(space));
        let path = format!("Patient?{}", criteria(space));
        let send_if = |method: &str, tag: &str| {
            let request = space.request(method, &path).header("if-match", tag);
            send(if method == "PUT" { request.json(&identified(space)) } else { request })
        };
        refused(&send_if("PUT", "W/\"2\""), &[412]);
        refused(&send_if("DELETE", "W/\"2\""), &[412]);
        space.get(&key).assert_status(200);
        assert!(send_if("DELETE", "W/\"1\"").is_success());
        refused(&send_if("DELETE", "W/\"1\""), &[412]);
        refused(&send_if("PUT", "*"), &[412]);
    });
}

// https://hl7.org/fhir/R4/http.html#cond-update: criteria that select nothing would select everything
#[test]
fn conditional_interactions_refuse_criteria_that_select_nothing() {
    on_each_backend(|space| {
        let key = space.add("a", identified(space));
        for query in ["_count=1", "_sort=name", "identifier=", "identifier", "unheard-of=a", "_summary=true"] {
            for method in ["PUT", "DELETE", "POST"] {
                let lenient = |request: conformance_tests::Request| request.header("prefer", "handling=lenient");
                let reply = match method {
                    "POST" => {
                        let request = lenient(space.request("POST", "Patient")).header("if-none-exist", query);
                        send(request.json(&identified(space)))
                    }
                    "PUT" => send(lenient(space.request("PUT", &format!("Patient?{query}"))).json(&identified(space))),
                    _ => send(lenient(space.request("DELETE", &format!("Patient?{query}")))),
                };
                assert_eq!(reply.status, 400, "{method} {query}: {reply}");
            }
        }
        space.get(&key).assert_status(200);
        assert_eq!(space.found("Patient").len(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#ccreate: the criteria are of the type that is created
#[test]
fn conditional_create_refuses_criteria_of_another_type() {
    on_each_backend(|space| {
        let create = |of: &str| {
            let criteria = format!("{of}?{}", criteria(space));
            send(space.request("POST", "Patient").header("if-none-exist", &criteria).json(&identified(space)))
        };
        refused(&create("Practitioner"), &[400]);
        create("Patient").assert_status(201);
        create(&format!("{}/Patient", space.base)).assert_status(200);
        create("").assert_status(200);
    });
}

// REL-9: what was found is still what matches when it is written
#[test]
fn conditional_delete_never_deletes_what_no_longer_matches() {
    on_each_backend(|space| {
        for round in 0..15 {
            let key = space.add("a", identified(space));
            let id = key.rsplit('/').next().unwrap();
            let other = space.tagged(patient().id(id).identifier(MRN, &format!("{}-{round}", space.tag)).build());
            thread::scope(|scope| {
                let change = space.client.request("PUT".parse().unwrap(), &key).json(&other);
                let delete = space.client.request("DELETE".parse().unwrap(), &format!("Patient?{}", criteria(space)));
                scope.spawn(move || send(change));
                scope.spawn(move || send(delete));
            });
            let history = space.get(&format!("{key}/_history")).expect_status(200);
            for pair in history.entries().windows(2).filter(|pair| pair[0]["request"]["method"] == "DELETE") {
                assert_eq!(pair[1]["resource"]["identifier"][0]["value"], space.tag, "{history}");
            }
            space.delete(&key);
        }
    });
}
