//! PATCH as an entry of a batch or transaction: <https://hl7.org/fhir/R4/http.html#transaction> and
//! <https://hl7.org/fhir/R4/http.html#patch>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::bundle_transaction::{MRN, known_as, locations, transact, urn};
use crate::space::{Space, bare_entry, bundle, entry, expressions, on_each_backend, refused, refused_with};

/// An entry with a patch of that media type in a Binary.
fn patch_entry(url: &str, media_type: &str, patch: &Value) -> Value {
    let data = STANDARD.encode(patch.to_string());
    entry("PATCH", url, &json!({ "resourceType": "Binary", "contentType": media_type, "data": data }))
}

fn json_patch(url: &str, patch: &Value) -> Value {
    patch_entry(url, "application/json-patch+json", patch)
}

fn family(family: &str) -> Value {
    json!([{ "op": "replace", "path": "/name/0/family", "value": family }])
}

/// A patient with a name to be patched and an identifier of this space.
fn identified(space: &Space, value: &str) -> Value {
    space.tagged(patient().family("Before").identifier(MRN, &format!("{}{value}", space.tag)).build())
}

fn status(entry: &Value) -> &str {
    &entry["response"]["status"].as_str().unwrap()[..3]
}

// https://hl7.org/fhir/R4/http.html#transaction
#[test]
fn a_batch_patches_each_entry_on_its_own() {
    on_each_backend(|space| {
        let (a, b) =
            (space.add("a", patient().family("Before").build()), space.add("b", patient().family("Before").build()));
        let entries = [
            json_patch(&a, &family("A")),
            json_patch(&b, &json!([{ "op": "test", "path": "/active", "value": "no" }])),
            patch_entry(&b, "application/merge-patch+json", &json!({ "gender": "other" })),
            json_patch("Patient/no-such-patient", &json!([])),
            patch_entry(&a, "application/xml-patch+xml", &json!([])),
        ];
        let reply = space.post("", &bundle("batch", &entries)).expect_status(200);
        let found: Vec<&str> = reply.entries().iter().map(status).collect();
        assert_eq!(found, ["200", "422", "200", "404", "415"], "{reply}");
        assert_eq!(reply.entries()[0]["response"]["etag"], "W/\"2\"", "{reply}");
        assert_eq!(space.get(&a).body["name"][0]["family"], "A");
        assert_eq!(space.get(&b).body["gender"], "other");
    });
}

// https://hl7.org/fhir/R4/http.html#trules
#[test]
fn a_transaction_patches_all_or_nothing() {
    on_each_backend(|space| {
        let (a, b) =
            (space.add("a", patient().family("Before").build()), space.add("b", patient().family("Before").build()));
        let failing = json_patch(&b, &json!([{ "op": "remove", "path": "/photo" }]));
        let reply = transact(space, &[json_patch(&a, &family("A")), failing]);
        refused(&reply, &[422]);
        assert_eq!(expressions(&reply.body), ["Bundle.entry[1]"], "{reply}");
        assert_eq!(space.get(&a).version(), 1);
        let reply =
            transact(space, &[bare_entry("GET", &a), json_patch(&a, &family("A")), json_patch(&b, &family("B"))])
                .expect_status(200);
        assert_eq!(reply.entries().iter().map(status).collect::<Vec<_>>(), ["200", "200", "200"], "{reply}");
        // Reads come after the writes, and patches are writes.
        assert_eq!(reply.entries()[0]["resource"]["name"][0]["family"], "A", "{reply}");
        assert_eq!(space.get(&b).body["name"][0]["family"], "B");
    });
}

// https://hl7.org/fhir/R4/http.html#trules: the result is validated like what is sent
#[test]
fn an_invalid_result_in_a_transaction_tells_the_entry_and_the_element() {
    on_each_backend(|space| {
        let key = space.add("a", patient().family("Before").build());
        let invalid = json_patch(&key, &json!([{ "op": "add", "path": "/gender", "value": "m" }]));
        let reply = transact(space, &[bare_entry("GET", "Patient?_count=1"), invalid]);
        refused(&reply, &[422]);
        assert_eq!(expressions(&reply.body), ["Bundle.entry[1].resource.gender"], "{reply}");
    });
}

// https://hl7.org/fhir/R4/http.html#trules: references between entries
#[test]
fn references_that_a_patch_brings_are_rewritten() {
    on_each_backend(|space| {
        let key = space.add("weight", observation().build());
        space.add("known", identified(space, "known"));
        let known = format!("Patient?identifier={MRN}|{}known", space.tag);
        let patch = json!([
            { "op": "add", "path": "/subject", "value": { "reference": urn(1) } },
            { "op": "add", "path": "/performer", "value": [{ "reference": known }] },
        ]);
        let reply =
            transact(space, &[json_patch(&key, &patch), known_as(1, &identified(space, ""))]).expect_status(200);
        let body = space.get(&key).body;
        assert_eq!(body["subject"]["reference"], locations(&reply)[1], "{body}");
        assert!(body["performer"][0]["reference"].as_str().unwrap().starts_with("Patient/"), "{body}");
        let unknown =
            json!([{ "op": "add", "path": "/subject", "value": { "reference": "Patient?identifier=none|none" } }]);
        let reply = transact(space, &[json_patch(&key, &unknown)]);
        refused(&reply, &[400, 412]);
        assert_eq!(expressions(&reply.body), ["Bundle.entry[0]"], "{reply}");
    });
}

// https://hl7.org/fhir/R4/http.html#trules: "If any resource identities … overlap in steps 1-3, then the transaction SHALL fail"
#[test]
fn two_entries_that_change_the_same_resource_are_refused() {
    on_each_backend(|space| {
        let key = space.add("a", identified(space, ""));
        let id = key.rsplit('/').next().unwrap();
        let by_criteria = format!("Patient?identifier={MRN}|{}", space.tag);
        for other in [
            json_patch(&key, &family("B")),
            json_patch(&by_criteria, &family("B")),
            entry("PUT", &key, &space.tagged(patient().id(id).build())),
            bare_entry("DELETE", &key),
        ] {
            let reply = transact(space, &[json_patch(&key, &family("A")), other]);
            refused(&reply, &[400, 404, 422]);
            assert_eq!(space.get(&key).version(), 1, "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request.ifMatch
#[test]
fn if_match_of_an_entry_is_honoured() {
    on_each_backend(|space| {
        let key = space.add("a", patient().family("Before").build());
        let with_tag = |tag: &str| {
            let mut entry = json_patch(&key, &family("A"));
            entry["request"]["ifMatch"] = json!(tag);
            entry
        };
        refused(&transact(space, &[with_tag("W/\"2\"")]), &[412]);
        transact(space, &[with_tag("W/\"1\"")]).assert_status(200);
        let batch = space.post("", &bundle("batch", &[with_tag("W/\"1\"")])).expect_status(200);
        assert_eq!(status(&batch.entries()[0]), "412", "{batch}");
    });
}

// https://hl7.org/fhir/R4/http.html#patch: conditional patch
#[test]
fn a_conditional_patch_in_a_transaction_needs_exactly_one_match() {
    on_each_backend(|space| {
        let url = format!("Patient?identifier={MRN}|{}", space.tag);
        refused_with(&transact(space, &[json_patch(&url, &family("A"))]), 404, "not-found");
        let key = space.add("a", identified(space, ""));
        transact(space, &[json_patch(&url, &family("A"))]).assert_status(200);
        assert_eq!(space.get(&key).body["name"][0]["family"], "A");
        // A deletion comes first: then nothing is there to be patched.
        refused(&transact(space, &[json_patch(&url, &family("B")), bare_entry("DELETE", &key)]), &[404]);
        space.add("b", identified(space, ""));
        refused_with(&transact(space, &[json_patch(&url, &family("B"))]), 412, "multiple-matches");
    });
}

// https://hl7.org/fhir/R4/http.html#patch
#[test]
fn an_entry_that_carries_no_patch_is_refused() {
    on_each_backend(|space: &Space| {
        let key = space.add("a", patient().family("Before").build());
        refused(&transact(space, &[bare_entry("PATCH", &key)]), &[400]);
        refused(&transact(space, &[entry("PATCH", &key, &patient().family("Before").build())]), &[400]);
        let binary = |data: &str| json!({ "resourceType": "Binary", "contentType": "application/json-patch+json", "data": data });
        refused(&transact(space, &[entry("PATCH", &key, &binary("*"))]), &[400]);
        refused(&transact(space, &[entry("PATCH", &key, &binary("e30="))]), &[400]);
    });
}
