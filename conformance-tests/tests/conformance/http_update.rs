//! <https://hl7.org/fhir/R4/http.html#update>

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tessera_fixtures::patient;

use crate::space::{Space, bundle, entry, on_each_backend, refused, send};

/// A stored patient: its key and the body to update it with.
fn stored(space: &Space) -> (String, Value) {
    let key = space.add("patient", patient().family("Before").build());
    let body = space.get(&key).expect_status(200).body;
    (key, body)
}

// https://hl7.org/fhir/R4/http.html#update
#[test]
fn update_makes_the_next_version() {
    on_each_backend(|space| {
        let (key, mut body) = stored(space);
        let before = space.get(&key).version();
        body["name"][0]["family"] = json!("After");
        let updated = space.put(&key, &body).expect_status(200);
        assert_eq!(updated.version(), before + 1, "{updated}");
        assert!(updated.header("last-modified").is_some(), "{updated}");
        let read = space.get(&key).expect_status(200);
        assert_eq!(read.body["name"][0]["family"], "After");
        assert_eq!(read.version(), before + 1);
        assert!(read.body["meta"]["lastUpdated"].as_str() > body["meta"]["lastUpdated"].as_str(), "{read}");
    });
}

// https://hl7.org/fhir/R4/http.html#update: versionId and lastUpdated are the server's
#[test]
fn update_numbers_versions_without_gap_whatever_the_client_sends() {
    on_each_backend(|space| {
        let (key, mut body) = stored(space);
        for number in 0..5 {
            body["name"][0]["family"] = json!(format!("Name{number}"));
            body["meta"]["versionId"] = json!("1000");
            body["meta"]["lastUpdated"] = json!("2040-01-01T00:00:00Z");
            space.put(&key, &body).assert_status(200);
        }
        let history = space.get(&format!("{key}/_history")).expect_status(200);
        let versions: Vec<u64> =
            history.resources().iter().map(|r| r["meta"]["versionId"].as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(versions, [6, 5, 4, 3, 2, 1]);
    });
}

// https://hl7.org/fhir/R4/http.html#update: the id in the body is that of the URL
#[test]
fn update_refuses_another_id_or_none_in_the_body() {
    on_each_backend(|space| {
        let (key, body) = stored(space);
        let mut other = body.clone();
        other["id"] = json!("another");
        refused(&space.put(&key, &other), &[400]);
        let mut without = body;
        without.as_object_mut().unwrap().remove("id");
        refused(&space.put(&key, &without), &[400]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#update
#[test]
fn update_refuses_another_type_in_the_body_and_what_is_no_json() {
    on_each_backend(|space| {
        let (key, body) = stored(space);
        let person = json!({ "resourceType": "Person", "id": body["id"] });
        refused(&space.put(&key, &person), &[400, 422]);
        refused(&send(space.request("PUT", &key).body("application/fhir+json", "{")), &[400]);
        refused(&send(space.request("PUT", &key).body("text/plain", body.to_string())), &[415]);
        let mut invalid = body;
        invalid["gender"] = json!("m");
        refused(&space.put(&key, &invalid), &[400, 422]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#upsert: servers may allow it, or answer 405
#[test]
fn update_of_what_does_not_exist_creates_it_under_the_clients_id() {
    on_each_backend(|space| {
        let key = format!("Patient/{}", space.tag);
        let created = space.put(&key, &space.tagged(patient().id(&space.tag).build()));
        if created.status == 405 {
            return;
        }
        created.assert_status(201);
        assert_eq!(created.version(), 1);
        let location = created.header("location").unwrap_or_else(|| panic!("no Location: {created}"));
        assert!(location.contains(&format!("/{key}")), "{created}");
        assert_eq!(space.get(&key).expect_status(200).body["id"], *space.tag);
        space.name(&key, "made");
        space.finds("Patient", "made");
    });
}

// https://hl7.org/fhir/R4/datatypes.html#id
#[test]
fn update_refuses_ids_that_are_none() {
    on_each_backend(|space| {
        for id in ["a_b", &"x".repeat(65), "a:b"] {
            refused(&space.put(&format!("Patient/{id}"), &patient().id(id).build()), &[400, 404, 422]);
        }
        // The longest id, with every kind of character.
        let id = format!("A.b-{:-<60}", space.tag);
        assert_eq!(id.len(), 64);
        let reply = space.put(&format!("Patient/{id}"), &space.tagged(patient().id(&id).build()));
        assert!([201, 405].contains(&reply.status), "{reply}");
    });
}

// https://hl7.org/fhir/R4/http.html#concurrency
#[test]
fn update_with_if_match_succeeds_on_the_current_version_only() {
    on_each_backend(|space| {
        let (key, mut body) = stored(space);
        let put = |body: &Value, etag: &str| send(space.request("PUT", &key).header("if-match", etag).json(body));
        body["name"][0]["family"] = json!("Second");
        put(&body, "W/\"1\"").assert_status(200);
        body["name"][0]["family"] = json!("Third");
        let issue = refused(&put(&body, "W/\"1\""), &[412, 409]);
        assert!(["conflict", "duplicate", "processing"].contains(&issue["code"].as_str().unwrap()), "{issue}");
        refused(&put(&body, "W/\"7\""), &[412, 409]);
        assert_eq!(space.get(&key).expect_status(200).body["name"][0]["family"], "Second");
        put(&body, "W/\"2\"").assert_status(200);
        assert_eq!(space.get(&key).version(), 3);
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1: `*` is any current version
#[test]
fn update_with_if_match_of_any_version_needs_one() {
    on_each_backend(|space| {
        let (key, body) = stored(space);
        let put = |key: &str, body: &Value| send(space.request("PUT", key).header("if-match", "*").json(body));
        put(&key, &body).assert_status(200);
        let missing = patient().id(&space.tag).build();
        refused(&put(&format!("Patient/{}", space.tag), &missing), &[404, 412]);
    });
}

// https://hl7.org/fhir/R4/http.html#concurrency
#[test]
fn update_with_if_match_creates_nothing() {
    on_each_backend(|space| {
        let key = format!("Patient/{}", space.tag);
        let body = patient().id(&space.tag).build();
        refused(&send(space.request("PUT", &key).header("if-match", "W/\"1\"").json(&body)), &[404, 409, 412]);
        refused(&space.get(&key), &[404]);
    });
}

// https://hl7.org/fhir/R4/http.html#concurrency: of writers with the same version one wins
#[test]
fn update_with_if_match_lets_one_of_many_win() {
    on_each_backend(|space| {
        let (key, body) = stored(space);
        let client = &space.client;
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let put = |number: usize| {
                let mut body = body.clone();
                body["name"][0]["family"] = json!(format!("Writer{number}"));
                let request = client.request("PUT".parse().unwrap(), &key).header("if-match", "W/\"1\"").json(&body);
                scope.spawn(move || send(request).status)
            };
            let writers: Vec<_> = (0..8).map(put).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 409, 412].contains(status)), "{statuses:?}");
        assert_eq!(space.get(&key).version(), 2);
    });
}

// https://hl7.org/fhir/R4/http.html#delete: an update brings a deleted resource back
#[test]
fn update_brings_a_deleted_resource_back_with_the_next_version() {
    on_each_backend(|space| {
        let (key, body) = stored(space);
        assert!(space.delete(&key).is_success());
        let revived = space.put(&key, &body);
        assert!([200, 201].contains(&revived.status), "{revived}");
        assert_eq!(revived.version(), 3, "the deletion is version 2");
        space.get(&key).assert_status(200);
        space.finds("Patient", "patient");
    });
}

// https://hl7.org/fhir/R4/http.html#update: a server may make no new version of the same content
#[test]
fn update_with_the_same_content_is_a_success() {
    on_each_backend(|space| {
        let (key, body) = stored(space);
        let updated = space.put(&key, &body).expect_status(200);
        assert!([1, 2].contains(&updated.version()), "{updated}");
        assert_eq!(space.get(&key).version(), updated.version());
    });
}

// https://hl7.org/fhir/R4/http.html#ops
#[test]
fn update_heeds_prefer_return() {
    on_each_backend(|space| {
        let (key, mut body) = stored(space);
        for (family, preference) in
            [("B", "return=minimal"), ("C", "return=representation"), ("D", "return=OperationOutcome")]
        {
            body["name"][0]["family"] = json!(family);
            let reply = send(space.request("PUT", &key).header("prefer", preference).json(&body)).expect_status(200);
            match family {
                "B" => assert_eq!(reply.text, ""),
                "C" => assert_eq!(reply.body["name"][0]["family"], "C", "{reply}"),
                _ => assert_eq!(reply.body["resourceType"], "OperationOutcome", "{reply}"),
            }
        }
    });
}

// What a resource holds much of costs as much as it is, not its square: others wait for the writer.
#[test]
fn a_resource_of_many_thousand_values_is_written_and_changed() {
    on_each_backend(|space| {
        let codes = |first: &str| {
            let mut concepts: Vec<Value> = (1..30_000).map(|n| json!({ "code": format!("c{n}") })).collect();
            concepts.insert(15_000, json!({ "code": first }));
            space.tagged(
                json!({ "resourceType": "CodeSystem", "id": space.tag, "status": "active", "content": "complete",
                "concept": concepts }),
            )
        };
        let key = format!("CodeSystem/{}", space.tag);
        space.name(&key, "codes");
        let started = Instant::now();
        space.put(&key, &codes("before")).assert_status(201);
        space.finds("CodeSystem?code=before", "codes");
        space.put(&key, &codes("after")).assert_status(200);
        space.finds("CodeSystem?code=before", "");
        space.finds("CodeSystem?code=after&code=c1&code=c29999", "codes");
        assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    });
}

// https://hl7.org/fhir/R4/search.html#summary: "to ensure that the incomplete resource is not accidentally used to overwrite a
// complete resource"
#[test]
fn a_part_of_a_resource_replaces_none() {
    on_each_backend(|space| {
        let whole = patient().family("Chalmers").set("maritalStatus.text", "married").build();
        let key = space.add("a", whole);
        let id = key.replace("Patient/", "");
        let before = space.get(&key).expect_status(200);
        for part in ["_summary=true", "_summary=data", "_elements=name"] {
            let part = space.get(&format!("{key}?{part}")).expect_status(200).body;
            let transaction = bundle("transaction", &[entry("PUT", &key, &part)]);
            for reply in
                [space.put(&key, &part), space.put(&format!("Patient?_id={id}"), &part), space.post("", &transaction)]
            {
                let issue = refused(&reply, &[422]);
                assert_eq!(issue["code"], "business-rule", "{reply}");
                assert!(issue.to_string().contains("SUBSETTED"), "{reply}");
            }
            let batch = space.post("", &bundle("batch", &[entry("PUT", &key, &part)])).expect_status(200);
            assert!(batch.entries()[0]["response"]["status"].as_str().unwrap().starts_with("422"), "{batch}");
        }
        assert_eq!(space.get(&key).body, before.body, "nothing is lost");
        // A patch says what is to be changed, and the rest stays.
        let patch = json!([{ "op": "replace", "path": "/name/0/family", "value": "Windsor" }]);
        let patched = space.patch(&key, &patch).expect_status(200);
        assert_eq!(
            (&patched.body["name"][0]["family"], &patched.body["maritalStatus"]["text"]),
            (&json!("Windsor"), &json!("married"))
        );
    });
}
