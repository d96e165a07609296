//! <https://hl7.org/fhir/R4/http.html#transaction>: a batch has no interdependencies

use conformance_tests::Reply;
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::space::{Space, bare_entry, bundle, entry, first_error, on_each_backend, refused};

fn batch(space: &Space, entries: &[Value]) -> Reply {
    let reply = space.post("", &bundle("batch", entries)).expect_status(200);
    assert_eq!(reply.body["type"], "batch-response", "{reply}");
    assert_eq!(reply.entries().len(), entries.len(), "one answer for each entry: {reply}");
    reply
}

fn status(reply: &Reply, entry: usize) -> &str {
    &reply.entries()[entry]["response"]["status"].as_str().unwrap()[..3]
}

// https://hl7.org/fhir/R4/http.html#transaction-response
#[test]
fn each_entry_has_an_answer_of_its_own() {
    on_each_backend(|space| {
        let key = space.add("a", patient().family("Windsor").build());
        let reply = batch(
            space,
            &[
                entry("POST", "Observation", &space.tagged(observation().build())),
                bare_entry("GET", &key),
                bare_entry("GET", "Patient/not-there"),
                entry("POST", "Patient", &json!({ "resourceType": "Patient", "gender": "m" })),
                bare_entry("GET", &space.within("Patient?family=windsor")),
                bare_entry("GET", "Patient?nmae=a"),
                bare_entry("DELETE", "Patient/a_b"),
            ],
        );
        assert_eq!(status(&reply, 0), "201", "{reply}");
        assert!(
            reply.entries()[0]["response"]["location"].is_string()
                && reply.entries()[0]["response"]["etag"].is_string(),
            "{reply}"
        );
        assert_eq!(
            (status(&reply, 1), &reply.entries()[1]["resource"]["name"][0]["family"]),
            ("200", &json!("Windsor")),
            "{reply}"
        );
        assert_eq!(status(&reply, 2), "404", "{reply}");
        assert!(["400", "422"].contains(&status(&reply, 3)), "{reply}");
        assert_eq!(
            (status(&reply, 4), &reply.entries()[4]["resource"]["type"]),
            ("200", &json!("searchset")),
            "{reply}"
        );
        assert_eq!(status(&reply, 5), "400", "{reply}");
        assert!(["400", "404"].contains(&status(&reply, 6)), "{reply}");
        for failed in [2, 3, 5, 6] {
            assert!(
                first_error(&reply.entries()[failed]["response"]["outcome"]).is_some(),
                "no outcome at {failed}: {reply}"
            );
        }
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: entries succeed or fail independently
#[test]
fn a_bad_entry_leaves_the_others_alone() {
    on_each_backend(|space| {
        let good = |name: &str| entry("POST", "Patient", &space.tagged(patient().family(name).build()));
        batch(
            space,
            &[
                good("one"),
                entry("POST", "Patient", &json!({ "resourceType": "Patient", "gender": 1 })),
                good("two"),
                json!({ "request": { "method": "GET" } }),
            ],
        );
        assert_eq!(space.found("Patient").len(), 2);
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: an entry is answered as the request would be
#[test]
fn an_entry_is_answered_as_the_request_alone() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for url in [
            key.clone(),
            format!("{key}/_history/1"),
            format!("{key}/_history"),
            "Patient/not-there".into(),
            "Nothing/1".into(),
            "Patient?birthdate=soon".into(),
            "metadata".into(),
        ] {
            let (alone, reply) = (space.get(&url), batch(space, &[bare_entry("GET", &url)]));
            assert_eq!(status(&reply, 0), alone.status.to_string(), "{url}: {reply}");
            if alone.status >= 400 {
                let inner = &reply.entries()[0]["response"]["outcome"];
                assert_eq!(inner["issue"][0]["code"], alone.body["issue"][0]["code"], "{url}: {reply}");
            } else {
                assert_eq!(
                    reply.entries()[0]["resource"]["resourceType"],
                    alone.body["resourceType"],
                    "{url}: {reply}"
                );
            }
        }
    });
}

// https://hl7.org/fhir/R4/http.html#trules: conditions on entries
#[test]
fn entries_may_be_conditional() {
    on_each_backend(|space| {
        let system = "https://hospital.example/mrn";
        let body = space.tagged(patient().identifier(system, &space.tag).build());
        let mut create = entry("POST", "Patient", &body);
        create["request"]["ifNoneExist"] = json!(format!("identifier={system}|{}", space.tag));
        assert_eq!(status(&batch(space, std::slice::from_ref(&create)), 0), "201");
        assert_eq!(status(&batch(space, &[create]), 0), "200");
        let id = space.search("Patient").resources()[0]["id"].as_str().unwrap().to_owned();
        let mut read = bare_entry("GET", &format!("Patient/{id}"));
        read["request"]["ifNoneMatch"] = json!("W/\"1\"");
        assert_eq!(status(&batch(space, &[read]), 0), "304");
        let mut update = entry("PUT", &format!("Patient/{id}"), &space.tagged(patient().id(&id).build()));
        update["request"]["ifMatch"] = json!("W/\"7\"");
        assert!(["409", "412"].contains(&status(&batch(space, &[update]), 0)));
        let update = entry("PUT", &format!("Patient?identifier={system}|{}", space.tag), &body);
        assert_eq!(status(&batch(space, &[update]), 0), "200");
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: all methods
#[test]
fn entries_may_update_and_delete() {
    on_each_backend(|space| {
        let (changed, gone) = (space.add("changed", patient().build()), space.add("gone", patient().build()));
        let body = space.tagged(patient().id(changed.rsplit('/').next().unwrap()).family("New").build());
        let reply = batch(space, &[entry("PUT", &changed, &body), bare_entry("DELETE", &gone)]);
        assert_eq!(status(&reply, 0), "200", "{reply}");
        assert!(["200", "204"].contains(&status(&reply, 1)), "{reply}");
        assert_eq!(space.get(&changed).expect_status(200).body["name"][0]["family"], "New");
        refused(&space.get(&gone), &[410]);
    });
}

// https://hl7.org/fhir/R4/bundle.html: what is no entry of a batch
#[test]
fn an_empty_batch_is_answered_and_a_broken_one_refused() {
    on_each_backend(|space| {
        batch(space, &[]);
        refused(&space.post("", &json!({ "resourceType": "Bundle" })), &[400, 422]);
        refused(&space.post("", &bundle("collection", &[])), &[400, 422]);
        refused(&space.post("", &patient().build()), &[400, 422]);
        refused(&space.post("", &json!({ "resourceType": "Bundle", "type": "batch", "entry": {} })), &[400, 422]);
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: a batch within a batch is none
#[test]
fn an_entry_cannot_be_a_bundle_of_interactions() {
    on_each_backend(|space| {
        let inner = bundle("batch", &[entry("POST", "Patient", &space.tagged(patient().build()))]);
        let reply = batch(space, &[entry("POST", "", &inner), entry("POST", "/", &inner)]);
        assert!(status(&reply, 0).starts_with('4') && status(&reply, 1).starts_with('4'), "{reply}");
        space.finds("Patient", "");
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: HEAD is a method of an entry
#[test]
fn a_head_entry_is_answered_without_the_resource() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for bundle_type in ["batch", "transaction"] {
            let reply = space.post("", &bundle(bundle_type, &[bare_entry("HEAD", &key), bare_entry("GET", &key)]));
            assert_eq!((status(&reply, 0), status(&reply, 1)), ("200", "200"), "{reply}");
            assert!(reply.entries()[0].get("resource").is_none(), "{reply}");
            assert_eq!(reply.entries()[0]["response"]["etag"], "W/\"1\"", "{reply}");
            assert!(reply.entries()[1]["resource"].is_object(), "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request.ifModifiedSince
#[test]
fn reading_entries_heed_their_conditions_and_parameters() {
    on_each_backend(|space| {
        let key = space.add("a", patient().gender("female").build());
        let updated = space.get(&key).body["meta"]["lastUpdated"].as_str().unwrap().to_owned();
        let with = |name: &str, value: &str| {
            let mut entry = bare_entry("GET", &key);
            entry["request"][name] = json!(value);
            entry
        };
        for bundle_type in ["batch", "transaction"] {
            let entries = [
                with("ifNoneMatch", "W/\"1\""),
                with("ifNoneMatch", "W/\"2\""),
                with("ifModifiedSince", &updated),
                with("ifModifiedSince", "2000-01-01T00:00:00Z"),
                bare_entry("GET", &format!("{key}?_elements=gender")),
            ];
            let reply = space.post("", &bundle(bundle_type, &entries)).expect_status(200);
            let statuses: Vec<_> = (0..5).map(|n| status(&reply, n)).collect();
            assert_eq!(statuses, ["304", "200", "304", "200", "200"], "{reply}");
            assert!(reply.entries()[0].get("resource").is_none(), "{reply}");
            let part = &reply.entries()[4]["resource"];
            assert_eq!((&part["gender"], &part["name"]), (&json!("female"), &Value::Null), "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/json.html: an unknown element is an error; one that holds a condition must not be passed over
#[test]
fn what_an_entry_does_not_have_is_refused() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let body = space.tagged(patient().id(key.rsplit('/').next().unwrap()).family("New").build());
        let with = |name: &str, value: Value| {
            let mut entry = entry("PUT", &key, &body);
            entry["request"][name] = value;
            entry
        };
        for entry in [
            with("ifMatched", json!("W/\"7\"")),
            with("ifMatch", json!(7)),
            with("ifMatch", json!("W/7\"")),
            with("ifModifiedSince", json!("2000")),
        ] {
            assert_eq!(status(&batch(space, std::slice::from_ref(&entry)), 0), "400", "{entry}");
            refused(&space.post("", &bundle("transaction", &[entry])), &[400]);
        }
        refused(&space.post("", &json!({ "resourceType": "Bundle", "type": "batch", "entries": [] })), &[400]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/datatypes.html#id, https://hl7.org/fhir/R4/http.html#update
#[test]
fn entries_refuse_ids_that_are_none_and_bodies_with_another() {
    on_each_backend(|space| {
        let put = |url: &str, id: Option<&str>| {
            let mut body = space.tagged(patient().build());
            if let Some(id) = id {
                body["id"] = json!(id);
            }
            entry("PUT", url, &body)
        };
        let long = "x".repeat(65);
        for entry in [
            put("Patient/a b", Some("a b")),
            put("Patient/a%20b", Some("a b")),
            put("Patient/a/b", Some("a/b")),
            put(&format!("Patient/{long}"), Some(&long)),
            put("Patient/a_b", Some("a_b")),
            put("Patient/right", Some("wrong")),
            put("Patient/right", None),
            put("Patient/", Some("a")),
            put("Patient", Some("a")),
        ] {
            let reply = batch(space, std::slice::from_ref(&entry));
            assert!(status(&reply, 0) >= "400", "{reply}");
            assert!(space.post("", &bundle("transaction", &[entry])).status >= 400);
        }
        space.finds("Patient", "");
        // Percent-encoding is read as in a URL on the wire.
        let key = format!("Patient/{}", space.tag);
        let encoded = format!("Patient/%74{}", &space.tag[1..]);
        let reply = batch(space, &[put(&encoded, Some(&space.tag))]);
        assert_eq!(status(&reply, 0), "201", "{reply}");
        let location = reply.entries()[0]["response"]["location"].as_str().unwrap();
        assert_eq!(location, format!("{}/{key}/_history/1", space.base));
    });
}
