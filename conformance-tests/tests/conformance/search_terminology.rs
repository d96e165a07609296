//! <https://hl7.org/fhir/R4/search.html#token>: `:in`, `:not-in`, `:above`, `:below`

use std::thread;

use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::{
    space::{Space, bundle, entry, on_each_backend, refused, refused_with, send},
    terminology_expand::{animals, system, value_set},
};

/// A dog, a dachshund, a budgie, something of another system, and nothing.
fn observations(space: &Space) {
    space.add("animals", animals(space));
    let of = |system: &str, code: &str| {
        observation().set("code", json!({ "coding": [{ "system": system, "code": code }] })).build()
    };
    for code in ["dog", "dachshund", "budgie"] {
        space.add(code, of(&system(space), code));
    }
    space.add("other", of("http://example.org/other", "dog"));
    space.add("text", observation().set("code", json!({ "text": "dog" })).build());
}

/// The value set of dogs and its URL.
fn dogs(space: &Space) -> (String, String) {
    let filter = json!([{ "property": "concept", "op": "is-a", "value": "dog" }]);
    let dogs = value_set(space, "dogs", &json!({ "include": [{ "system": system(space), "filter": filter }] }));
    let url = dogs["url"].as_str().unwrap().to_owned();
    (space.add("dogs", dogs), url)
}

// "the coding is in the specified value set"
#[test]
fn in_finds_codes_of_a_value_set_by_its_url_or_reference() {
    on_each_backend(|space| {
        observations(space);
        let (id, url) = dogs(space);
        space.finds(&format!("Observation?code:in={url}"), "dog dachshund");
        space.finds(&format!("Observation?code:in={id}"), "dog dachshund");
        space.finds(&format!("Observation?code:in={}/{id}", space.base), "dog dachshund");
        space.finds(&format!("Observation?code:not-in={url}"), "budgie other text");
        space.finds(&format!("Observation?code:in={url}&code:not-in={url}"), "");
        space.finds(
            "Observation?status:in=http://hl7.org/fhir/ValueSet/observation-status",
            "dog dachshund budgie other text",
        );
    });
}

// "the search parameter value is a code that subsumes or is subsumed by the coding"
#[test]
fn above_and_below_follow_the_hierarchy_of_the_code_system() {
    on_each_backend(|space| {
        observations(space);
        let system = system(space);
        space.finds(&format!("Observation?code:below={system}|dog"), "dog dachshund");
        space.finds(&format!("Observation?code:below={system}|pet"), "dog dachshund budgie");
        space.finds(&format!("Observation?code:above={system}|dachshund"), "dog dachshund");
        space.finds(&format!("Observation?code:above={system}|budgie"), "budgie");
    });
}

#[test]
fn value_sets_count_within_chains_too() {
    on_each_backend(|space| {
        observations(space);
        let (_, url) = dogs(space);
        let owner = space.add("owner", patient().build());
        let coding = json!({ "coding": [{ "system": system(space), "code": "dachshund" }] });
        let seen = observation().set("code", coding).set("subject", json!({ "reference": owner })).build();
        space.add("seen", seen);
        space.finds(&format!("Patient?_has:Observation:patient:code:in={url}"), "owner");
        space.finds(&format!("Patient?_has:Observation:patient:code:not-in={url}"), "");
    });
}

// An unknown value set must not look like an empty one.
#[test]
fn what_is_unknown_is_named() {
    on_each_backend(|space| {
        observations(space);
        let named = |query: &str, name: &str| {
            let issue = refused(&space.get(query), &[400, 404, 501]);
            assert!(issue["diagnostics"].as_str().unwrap().contains(name), "{issue}");
        };
        named("Observation?code:in=http://example.org/nothing", "http://example.org/nothing");
        named("Observation?code:not-in=http://example.org/nothing", "http://example.org/nothing");
        named("Observation?code:in=ValueSet/nothing", "ValueSet/nothing");
        named("Observation?code:below=http://snomed.info/sct|73211009", "http://snomed.info/sct");
        named(&format!("Observation?code:below={}|cat", system(space)), "cat");
        let filter = json!([{ "property": "concept", "op": "is-a", "value": "73211009" }]);
        let compose = json!({ "include": [{ "system": "http://snomed.info/sct", "filter": filter }] });
        let id = space.add("diabetes", value_set(space, "diabetes", &compose));
        named(&format!("Observation?code:in={id}"), "http://snomed.info/sct");
    });
}

#[test]
fn value_sets_count_in_the_reads_of_bundles() {
    on_each_backend(|space| {
        observations(space);
        let (_, url) = dogs(space);
        for bundle_type in ["batch", "transaction"] {
            let query = space.within(&format!("Observation?code:in={url}"));
            let patient = entry("POST", "Patient", &space.tagged(patient().build()));
            let get = json!({ "request": { "method": "GET", "url": query } });
            let reply = space.post("", &bundle(bundle_type, &[get, patient])).expect_status(200);
            let found = &reply.entries()[0]["resource"]["entry"];
            assert_eq!(found.as_array().unwrap().len(), 2, "{reply}");
        }
    });
}

/// An observation of a dachshund, with the tag.
fn dachshund(space: &Space) -> Value {
    let coding = json!({ "coding": [{ "system": system(space), "code": "dachshund" }] });
    space.tagged(observation().set("code", coding).build())
}

fn create_if_none(space: &Space, criteria: &str) -> conformance_tests::Reply {
    send(space.request("POST", "Observation").header("if-none-exist", criteria).json(&dachshund(space)))
}

// https://hl7.org/fhir/R4/http.html#ccreate: criteria are search parameters, with their modifiers
#[test]
fn conditions_of_writes_ask_terminology() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let (id, url) = dogs(space);
        let inside = space.within(&format!("?code:in={url}"));
        let below = space.within(&format!("?code:below={}|dog", system(space)));
        let above = space.within(&format!("?code:above={}|dachshund", system(space)));
        let filter = space.within(&format!("?_filter=code in {id}"));
        let outside = space.within(&format!("?code:not-in={url}"));
        let created = create_if_none(space, &inside).expect_status(201);
        for criteria in [&inside, &below, &above, &filter] {
            assert_eq!(create_if_none(space, criteria).expect_status(200).id(), created.id(), "{criteria}");
            let updated = space.put(&format!("Observation{criteria}"), &dachshund(space)).expect_status(200);
            assert_eq!(updated.id(), created.id(), "{criteria}");
        }
        let add = json!([{ "op": "add", "path": "/note", "value": [{ "text": "barks" }] }]);
        assert_eq!(space.patch(&format!("Observation{below}"), &add).expect_status(200).id(), created.id());
        refused(&space.patch(&format!("Observation{outside}"), &add), &[404]);
        // What is not in the value set: nothing so far.
        space.delete(&format!("Observation{outside}")).assert_status(204);
        space.get(&format!("Observation/{}", created.id())).assert_status(200);
        space.delete(&format!("Observation{inside}")).assert_status(204);
        space.get(&format!("Observation/{}", created.id())).assert_status(410);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: conditional interactions and conditional references
#[test]
fn conditions_within_bundles_ask_terminology() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let (_, url) = dogs(space);
        let inside = space.within(&format!("Observation?code:in={url}"));
        let criteria = inside.split_once('?').unwrap().1;
        for bundle_type in ["batch", "transaction"] {
            let mut create = entry("POST", "Observation", &dachshund(space));
            create["request"]["ifNoneExist"] = json!(criteria);
            let reply = space.post("", &bundle(bundle_type, &[create])).expect_status(200);
            let expected = if bundle_type == "batch" { "201 Created" } else { "200 OK" };
            assert_eq!(reply.entries()[0]["response"]["status"], expected, "{reply}");
        }
        let key = space.get(&inside).expect_status(200).entries()[0]["resource"]["id"].as_str().unwrap().to_owned();
        let refers = json!({ "reference": inside });
        let member = space.tagged(observation().set("derivedFrom", json!([refers])).build());
        let update = entry("PUT", &inside, &dachshund(space));
        let create = entry("POST", "Observation", &member);
        let reply = space.post("", &bundle("transaction", &[update, create])).expect_status(200);
        let location = reply.entries()[1]["response"]["location"].as_str().unwrap().to_owned();
        let stored = space.get(location.split("/_history").next().unwrap()).expect_status(200);
        assert_eq!(stored.body["derivedFrom"][0]["reference"], format!("Observation/{key}"), "{stored}");
        let delete = json!({ "request": { "method": "DELETE", "url": inside } });
        space.post("", &bundle("transaction", &[delete])).assert_status(200);
        space.get(&format!("Observation/{key}")).assert_status(410);
    });
}

// What the conditions mean does not depend on what the transaction itself writes.
#[test]
fn conditions_see_the_value_sets_that_were_there_before() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let dogs = value_set(space, "dogs", &json!({ "include": [{ "system": system(space) }] }));
        let url = dogs["url"].as_str().unwrap();
        let mut create = entry("POST", "Observation", &dachshund(space));
        create["request"]["ifNoneExist"] = json!(format!("code:in={url}"));
        let reply =
            space.post("", &bundle("transaction", &[entry("POST", "ValueSet", &space.tagged(dogs.clone())), create]));
        let issue = refused(&reply, &[400]);
        assert_eq!(issue["expression"][0], "Bundle.entry[1]", "{reply}");
        assert!(issue["diagnostics"].as_str().unwrap().contains(url), "{reply}");
        space.finds("Observation", "");
        space.finds("ValueSet", "");
    });
}

// An empty answer would delete and create what it should not.
#[test]
fn conditions_of_writes_name_what_is_unknown() {
    on_each_backend(|space| {
        for criteria in [
            "code:in=http://example.org/nothing",
            "code:not-in=http://example.org/nothing",
            "code:below=http://example.org/nothing|a",
        ] {
            let query = format!("Observation?{criteria}");
            let replies = [
                space.delete(&query),
                space.put(&query, &dachshund(space)),
                create_if_none(space, criteria),
                space.post(
                    "Observation",
                    &space.tagged(observation().set("derivedFrom", json!([{ "reference": query }])).build()),
                ),
            ];
            for reply in replies {
                let issue = refused(&reply, &[400]);
                assert!(issue["diagnostics"].as_str().unwrap().contains("http://example.org/nothing"), "{reply}");
            }
        }
        // Also where a patch brings it.
        let key = space.add("seen", observation().build());
        let refers = json!([{ "reference": "Observation?code:in=http://example.org/nothing" }]);
        let add = json!([{ "op": "add", "path": "/derivedFrom", "value": refers }]);
        let issue = refused(&space.patch(&key, &add), &[400]);
        assert!(issue["diagnostics"].as_str().unwrap().contains("http://example.org/nothing"), "{issue}");
        space.finds("Observation", "seen");
    });
}

// https://hl7.org/fhir/R4/http.html#trules: conditional references, here those that patches bring
#[test]
fn a_reference_that_a_patch_brings_may_ask_terminology() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let (_, url) = dogs(space);
        let dog = space.add("dog", dachshund(space));
        let query = space.within(&format!("Observation?code:in={url}"));
        let refers = json!([{ "reference": query }]);
        let fhirpath = json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": [
            { "name": "type", "valueCode": "add" },
            { "name": "path", "valueString": "Observation" },
            { "name": "name", "valueString": "derivedFrom" },
            { "name": "value", "valueReference": { "reference": query } },
        ] }] });
        for (name, patch) in [
            ("json", json!([{ "op": "add", "path": "/derivedFrom", "value": refers }])),
            ("merge", json!({ "derivedFrom": refers })),
            ("fhirpath", fhirpath),
        ] {
            let key = space.add(name, observation().build());
            let request = space.request("PATCH", &key);
            let patched = send(request.body("application/json", patch.to_string())).expect_status(200);
            assert_eq!(patched.body["derivedFrom"][0]["reference"], json!(dog), "{name}: {patched}");
        }
    });
}

// REL-9
#[test]
fn conditions_that_ask_terminology_take_turns_too() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let (_, url) = dogs(space);
        let criteria = space.within(&format!("?code:in={url}"));
        let body = dachshund(space);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let create = |_| {
                let request = space.request("POST", "Observation").header("if-none-exist", &criteria).json(&body);
                scope.spawn(move || send(request).status)
            };
            let writers: Vec<_> = (0..12).map(create).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        assert_eq!((count(201), count(200)), (1, 11), "{statuses:?}");
    });
}

#[test]
fn what_the_conditions_of_a_request_may_ask_is_bounded() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let ask = |n: usize| {
            let mut create = entry("POST", "Observation", &dachshund(space));
            let criteria = format!("_id=none&code:below={}|dog&code:above={}|no{n}", system(space), system(space));
            create["request"]["ifNoneExist"] = json!(criteria);
            create
        };
        // The first is asked by all, the other of each is its own and unknown.
        let entries: Vec<Value> = (0..200).map(ask).collect();
        let within = refused(&space.post("", &bundle("transaction", &entries[..199])), &[400]);
        assert_ne!(within["code"], "too-costly", "{within}");
        refused_with(&space.post("", &bundle("transaction", &entries)), 400, "too-costly");
    });
}
