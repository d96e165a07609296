//! <https://hl7.org/fhir/R4/http.html#transaction>

use conformance_tests::Reply;
use serde_json::{Value, json};
use tessera_fixtures::{condition, observation, patient, resource};

use crate::space::{Space, bare_entry, bundle, entry, expressions, on_each_backend, refused};

const MRN: &str = "https://hospital.example/mrn";

fn transact(space: &Space, entries: &[Value]) -> Reply {
    let reply = space.post("", &bundle("transaction", entries));
    if reply.status == 200 {
        assert_eq!(reply.body["type"], "transaction-response", "{reply}");
        assert_eq!(reply.entries().len(), entries.len(), "one answer for each entry: {reply}");
    }
    reply
}

/// The keys in the locations of the answers, empty where there is none.
fn locations(reply: &Reply) -> Vec<String> {
    let key = |entry: &Value| {
        let location = entry["response"]["location"].as_str().unwrap_or_default().split("/_history").next()?.to_owned();
        let mut parts = location.rsplit('/');
        let (id, resource_type) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(format!("{resource_type}/{id}"))
    };
    reply.entries().iter().map(|entry| key(entry).unwrap_or_default()).collect()
}

fn statuses(reply: &Reply) -> Vec<&str> {
    reply.entries().iter().map(|entry| entry["response"]["status"].as_str().unwrap()[..3].trim()).collect()
}

fn urn(number: usize) -> String {
    format!("urn:uuid:00000000-0000-4000-8000-{number:012}")
}

/// A create whose resource others may refer to by [`urn`].
fn known_as(number: usize, resource: &Value) -> Value {
    let mut entry = entry("POST", resource["resourceType"].as_str().unwrap(), resource);
    entry["fullUrl"] = json!(urn(number));
    entry
}

fn identified(space: &Space, value: &str) -> Value {
    space.tagged(patient().identifier(MRN, &format!("{}{value}", space.tag)).build())
}

// https://hl7.org/fhir/R4/http.html#transaction-response
#[test]
fn answers_stand_in_the_order_of_the_entries() {
    on_each_backend(|space| {
        let (old, gone) = (space.add("old", patient().build()), space.add("gone", patient().build()));
        let id = old.rsplit('/').next().unwrap();
        let updated = space.tagged(patient().id(id).family("New").build());
        let reply = transact(space, &[
            bare_entry("GET", &old),
            entry("PUT", &old, &updated),
            entry("POST", "Observation", &space.tagged(observation().build())),
            bare_entry("DELETE", &gone),
        ]).expect_status(200);
        let found = statuses(&reply);
        assert_eq!(found[..3], ["200", "200", "201"], "{reply}");
        assert!(["200", "204"].contains(&found[3]), "{reply}");
        // Reads come after the writes, wherever they stand.
        assert_eq!(reply.entries()[0]["resource"]["name"][0]["family"], "New", "{reply}");
        assert_eq!(reply.entries()[1]["response"]["etag"], "W/\"2\"", "{reply}");
        assert!(reply.entries()[2]["response"]["location"].as_str().unwrap().contains("Observation/"), "{reply}");
        assert!(reply.entries()[2]["response"]["lastModified"].is_string(), "{reply}");
        refused(&space.get(&gone), &[410]);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: DELETE, POST, PUT/PATCH, GET/HEAD
#[test]
fn entries_are_processed_in_the_order_of_their_methods() {
    on_each_backend(|space| {
        space.add("old", identified(space, ""));
        // The deletion comes before the conditional create, which therefore finds nothing, though it stands behind it.
        let mut create = entry("POST", "Patient", &identified(space, ""));
        create["request"]["ifNoneExist"] = json!(format!("identifier={MRN}|{}", space.tag));
        let old = space.search("Patient").resources()[0]["id"].as_str().unwrap().to_owned();
        let search = bare_entry("GET", &space.within("Patient?_summary=count"));
        let reply = transact(space, &[search, create, bare_entry("DELETE", &format!("Patient/{old}"))]).expect_status(200);
        assert_eq!(statuses(&reply)[1], "201", "{reply}");
        assert_eq!(reply.entries()[0]["resource"]["total"], 1, "{reply}");
        assert_ne!(locations(&reply)[1], format!("Patient/{old}"));
        refused(&space.get(&format!("Patient/{old}")), &[410]);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: "If the server assigns a new id … it SHALL update any references"
#[test]
fn references_by_full_url_are_rewritten_wherever_they_stand() {
    on_each_backend(|space| {
        let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{}\">Eve</a><img src=\"{}\"/></div>", urn(1), urn(2));
        let list = resource("List").set("status", "current").set("mode", "working")
            .set("text", json!({ "status": "generated", "div": div }))
            .set("extension.0", json!({ "url": "http://example.org/x", "valueReference": { "reference": urn(1) } }))
            .set("contained.0", json!({ "resourceType": "Observation", "id": "o", "status": "final", "code": { "text": "x" }, "subject": { "reference": urn(1) } }))
            .set("entry.0.item.reference", "#o").set("entry.1.item.reference", urn(1)).set("source.reference", urn(3));
        let binary = resource("Binary").set("contentType", "text/plain").set("data", "aGVsbG8=");
        let reply = transact(space, &[
            entry("POST", "List", &space.tagged(list.build())),
            known_as(1, &space.tagged(patient().set("link.0", json!({ "other": { "reference": urn(1) }, "type": "seealso" })).build())),
            known_as(2, &binary.build()),
            known_as(3, &space.tagged(resource("Practitioner").build())),
        ]).expect_status(200);
        let keys = locations(&reply);
        let list = space.get(&keys[0]).expect_status(200);
        assert!(!list.text.contains("urn:uuid:"), "{list}");
        assert_eq!(list.body["extension"][0]["valueReference"]["reference"], keys[1]);
        assert_eq!(list.body["contained"][0]["subject"]["reference"], keys[1]);
        assert_eq!(list.body["entry"][0]["item"]["reference"], "#o");
        assert_eq!(list.body["entry"][1]["item"]["reference"], keys[1]);
        assert_eq!(list.body["source"]["reference"], keys[3]);
        let narrative = list.body["text"]["div"].as_str().unwrap();
        assert!(narrative.contains(&format!("{}\"", keys[1])) && narrative.contains(&format!("{}\"", keys[2])), "{narrative}");
        // The patient refers to itself.
        assert_eq!(space.get(&keys[1]).body["link"][0]["other"]["reference"], keys[1]);
        space.name(&keys[0], "list");
        space.finds(&format!("List?source={}", keys[3]), "list");
    });
}

// https://hl7.org/fhir/R4/bundle.html#references: relative and absolute full URLs
#[test]
fn references_to_other_full_urls_of_the_bundle_are_rewritten_too() {
    on_each_backend(|space| {
        let mut person = entry("POST", "Patient", &space.tagged(patient().build()));
        person["fullUrl"] = json!("http://elsewhere.example/fhir/Patient/17");
        let mut by_url = entry("POST", "Observation", &space.tagged(observation().subject("http://elsewhere.example/fhir/Patient/17").build()));
        by_url["fullUrl"] = json!("http://elsewhere.example/fhir/Observation/1");
        let mut relative = entry("POST", "Observation", &space.tagged(observation().subject("Patient/17").build()));
        relative["fullUrl"] = json!("http://elsewhere.example/fhir/Observation/2");
        let reply = transact(space, &[by_url, person, relative]).expect_status(200);
        let keys = locations(&reply);
        for observation in [&keys[0], &keys[2]] {
            assert_eq!(space.get(observation).expect_status(200).body["subject"]["reference"], keys[1]);
        }
    });
}

// https://hl7.org/fhir/R4/http.html#trules: conditional references
#[test]
fn conditional_references_are_resolved_or_fail_the_transaction() {
    on_each_backend(|space| {
        let eve = space.add("eve", identified(space, ""));
        let about = |value: &str| {
            entry("POST", "Observation", &space.tagged(observation().subject(&format!("Patient?identifier={MRN}|{value}")).build()))
        };
        let reply = transact(space, &[about(&space.tag)]).expect_status(200);
        assert_eq!(space.get(&locations(&reply)[0]).expect_status(200).body["subject"]["reference"], eve);
        // None, and several: "the transaction fails".
        let none = transact(space, &[about("nobody-at-all")]);
        refused(&none, &[400, 404, 412, 422]);
        assert!(expressions(&none.body).iter().any(|e| e.starts_with("Bundle.entry[0]")), "{none}");
        space.add("twin", identified(space, ""));
        refused(&transact(space, &[about(&space.tag)]), &[400, 412, 422]);
        assert_eq!(space.found("Observation").len(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: conditional references see what the bundle creates
#[test]
fn conditional_creates_match_what_is_stored() {
    on_each_backend(|space| {
        let create = |number: usize| {
            let mut entry = known_as(number, &identified(space, ""));
            entry["request"]["ifNoneExist"] = json!(format!("identifier={MRN}|{}", space.tag));
            entry
        };
        let weight = || entry("POST", "Observation", &space.tagged(observation().subject(&urn(1)).build()));
        let first = transact(space, &[create(1), weight()]).expect_status(200);
        let second = transact(space, &[weight(), create(1)]).expect_status(200);
        assert_eq!(statuses(&first), ["201", "201"], "{first}");
        assert_eq!(statuses(&second), ["201", "200"], "{second}");
        let person = &locations(&first)[0];
        assert_eq!(&locations(&second)[1], person, "{second}");
        // The reference leads to the one that was there.
        assert_eq!(space.get(&locations(&second)[0]).body["subject"]["reference"], **person);
        assert_eq!(space.found("Patient").len(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: "if any resource identities … overlap …, then the transaction SHALL fail"
#[test]
fn one_identity_twice_fails_and_names_both_entries() {
    on_each_backend(|space| {
        let key = space.add("one", patient().build());
        let update = entry("PUT", &key, &space.tagged(patient().id(key.rsplit('/').next().unwrap()).build()));
        for entries in [[update.clone(), update.clone()], [update.clone(), bare_entry("DELETE", &key)], [bare_entry("DELETE", &key), bare_entry("DELETE", &key)]] {
            let reply = transact(space, &entries);
            refused(&reply, &[400]);
            for place in ["Bundle.entry[0]", "Bundle.entry[1]"] {
                assert!(reply.text.contains(place), "{place} is not named: {reply}");
            }
        }
        assert_eq!(space.get(&key).version(), 1);
        // Reads may repeat.
        transact(space, &[bare_entry("GET", &key), bare_entry("GET", &key), update]).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: the identity that a condition finds counts too
#[test]
fn one_identity_by_id_and_by_condition_fails() {
    on_each_backend(|space| {
        let key = space.add("one", identified(space, ""));
        let by_id = entry("PUT", &key, &space.tagged(patient().id(key.rsplit('/').next().unwrap()).build()));
        let by_condition = entry("PUT", &format!("Patient?identifier={MRN}|{}", space.tag), &identified(space, ""));
        refused(&transact(space, &[by_id, by_condition]), &[400]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: two conditional creates of the same are one resource, or an error
#[test]
fn two_conditional_creates_with_equal_criteria_make_one_resource_at_most() {
    on_each_backend(|space| {
        let create = |number: usize| {
            let mut entry = known_as(number, &identified(space, ""));
            entry["request"]["ifNoneExist"] = json!(format!("identifier={MRN}|{}", space.tag));
            entry
        };
        let weight = |number: usize| entry("POST", "Observation", &space.tagged(observation().subject(&urn(number)).build()));
        let reply = transact(space, &[create(1), create(2), weight(1), weight(2)]);
        if reply.status == 200 {
            let keys = locations(&reply);
            assert_eq!(keys[0], keys[1], "{reply}");
            for weight in &keys[2..] {
                assert_eq!(space.get(weight).body["subject"]["reference"], *keys[0]);
            }
            assert_eq!(space.found("Patient").len(), 1);
        } else {
            refused(&reply, &[400, 412]);
            assert_eq!(space.found("Patient").len(), 0);
        }
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: "the entire set of changes succeed or fail as a single entity"
#[test]
fn one_bad_entry_and_nothing_is_stored() {
    on_each_backend(|space| {
        let key = space.add("kept", patient().build());
        let good = || entry("POST", "Observation", &space.tagged(observation().build()));
        let invalid = json!({ "resourceType": "Patient", "gender": "m" });
        let mut stale = entry("PUT", &key, &patient().id(key.rsplit('/').next().unwrap()).build());
        stale["request"]["ifMatch"] = json!("W/\"9\"");
        for (bad, status) in [
            (entry("POST", "Patient", &invalid), vec![400, 422]),
            (entry("POST", "Nothing", &json!({ "resourceType": "Nothing" })), vec![400, 404, 422]),
            (entry("POST", "Patient", &observation().build()), vec![400, 422]),
            (entry("PUT", "Patient/a", &patient().id("b").build()), vec![400, 422]),
            (stale, vec![412, 409]),
            (bare_entry("GET", "Patient/not-there"), vec![404, 400]),
            (bare_entry("GET", "Patient?nmae=a"), vec![400]),
            (bare_entry("POST", "Patient"), vec![400, 422]),
            (json!({ "resource": patient().build() }), vec![400, 422]),
        ] {
            println!("{bad}");
            let reply = transact(space, &[good(), bare_entry("DELETE", &key), bad]);
            refused(&reply, &status);
            assert!(expressions(&reply.body).iter().any(|e| e.starts_with("Bundle.entry[2]")), "no Bundle.entry[2]: {reply}");
            space.get(&key).assert_status(200);
            space.finds("Observation", "");
        }
    });
}

// https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request.ifMatch
#[test]
fn if_match_holds_for_an_entry() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let update = |version: u64, family: &str| {
            let mut entry = entry("PUT", &key, &space.tagged(patient().id(key.rsplit('/').next().unwrap()).family(family).build()));
            entry["request"]["ifMatch"] = json!(format!("W/\"{version}\""));
            entry
        };
        transact(space, &[update(1, "Second")]).assert_status(200);
        refused(&transact(space, &[update(1, "Third")]), &[409, 412]);
        assert_eq!(space.get(&key).version(), 2);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: updates, conditional ones and deletions too
#[test]
fn entries_may_be_conditional_updates_and_deletions() {
    on_each_backend(|space| {
        let keys = ["1", "2"].map(|value| space.add(value, identified(space, value)));
        let criteria = |value: &str| format!("Patient?identifier={MRN}|{}{value}", space.tag);
        let mut known = entry("PUT", &criteria("1"), &identified(space, "1"));
        known["fullUrl"] = json!(urn(1));
        known["resource"]["gender"] = json!("other");
        let reply = transact(space, &[
            entry("POST", "Condition", &space.tagged(condition().subject(&urn(1)).build())),
            known,
            bare_entry("DELETE", &criteria("2")),
            entry("PUT", &criteria("3"), &identified(space, "3")),
        ]).expect_status(200);
        assert_eq!(statuses(&reply)[1], "200", "{reply}");
        assert_eq!(statuses(&reply)[3], "201", "{reply}");
        assert_eq!(space.get(&keys[0]).expect_status(200).body["gender"], "other");
        refused(&space.get(&keys[1]), &[410]);
        // The urn leads to the resource that the condition found.
        assert_eq!(space.get(&locations(&reply)[0]).body["subject"]["reference"], keys[0]);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: a deleted resource is brought back by PUT, in a bundle as outside
#[test]
fn a_deleted_resource_is_brought_back() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        transact(space, &[bare_entry("DELETE", &key)]).assert_status(200);
        let body = space.tagged(patient().id(key.rsplit('/').next().unwrap()).build());
        transact(space, &[entry("PUT", &key, &body)]).assert_status(200);
        assert_eq!(space.get(&key).expect_status(200).version(), 3);
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: circles of references
#[test]
fn entries_may_refer_to_each_other_in_a_circle() {
    on_each_backend(|space| {
        let clinic = |number: usize, other: usize| {
            known_as(number, &space.tagged(resource("Organization").set("name", format!("C{number}")).set("partOf.reference", urn(other)).build()))
        };
        let reply = transact(space, &[clinic(1, 2), clinic(2, 1)]).expect_status(200);
        let keys = locations(&reply);
        assert_eq!(space.get(&keys[0]).body["partOf"]["reference"], *keys[1]);
        assert_eq!(space.get(&keys[1]).body["partOf"]["reference"], *keys[0]);
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: large bundles, an empty one, and other Bundles
#[test]
fn bundles_of_all_sizes_are_taken_and_other_types_refused() {
    on_each_backend(|space| {
        transact(space, &[]).assert_status(200);
        let entries: Vec<Value> = (0..1000).map(|_| entry("POST", "Observation", &space.tagged(observation().build()))).collect();
        transact(space, &entries).assert_status(200);
        let count = space.search("Observation?_summary=count");
        assert_eq!(count.body["total"], 1000, "{count}");
        refused(&space.post("", &bundle("collection", &[])), &[400, 422]);
        refused(&space.post("", &patient().build()), &[400, 422]);
    });
}
