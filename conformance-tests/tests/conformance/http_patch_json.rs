//! <https://hl7.org/fhir/R4/http.html#patch> with JSON Patch and JSON Merge Patch; what holds for every patch, too.

use std::thread;

use conformance_tests::Reply;
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::space::{Space, expressions, on_each_backend, refused, refused_with, send};

const MRN: &str = "https://hospital.example/mrn";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A stored patient.
fn stored(space: &Space) -> String {
    space.add("patient", patient().family("Before").identifier(MRN, &space.tag).build())
}

fn replace_family(family: &str) -> Value {
    json!([{ "op": "replace", "path": "/name/0/family", "value": family }])
}

fn merge(space: &Space, key: &str, body: &Value) -> Reply {
    send(space.request("PATCH", key).body(MERGE_PATCH, body.to_string()))
}

// https://hl7.org/fhir/R4/http.html#patch
#[test]
fn patch_makes_the_next_version_and_changes_nothing_else() {
    on_each_backend(|space| {
        let key = stored(space);
        let before = space.get(&key).expect_status(200);
        let patched = space.patch(&key, &replace_family("After")).expect_status(200);
        assert_eq!(patched.version(), before.version() + 1);
        assert!(patched.header("last-modified").is_some(), "{patched}");
        assert!(patched.header("content-location").unwrap().ends_with("/_history/2"), "{patched}");
        let read = space.get(&key).expect_status(200);
        assert_eq!(read.body, patched.body);
        let mut expected = before.body;
        expected["name"][0]["family"] = json!("After");
        expected["meta"] = read.body["meta"].clone();
        assert_eq!(read.body, expected);
        space.finds("Patient?family=After", "patient");
        space.finds("Patient?family=Before", "");
    });
}

// https://hl7.org/fhir/R4/http.html#patch: versionId and lastUpdated are the server's
#[test]
fn a_patch_cannot_set_version_and_time() {
    on_each_backend(|space| {
        let key = stored(space);
        let patch = json!([
            { "op": "test", "path": "/meta/versionId", "value": "1" },
            { "op": "replace", "path": "/meta/versionId", "value": "7" },
            { "op": "replace", "path": "/meta/lastUpdated", "value": "2001-01-01T00:00:00Z" },
            { "op": "add", "path": "/active", "value": false },
        ]);
        let patched = space.patch(&key, &patch).expect_status(200);
        assert_eq!(patched.body["meta"]["versionId"], "2");
        assert!(patched.body["meta"]["lastUpdated"].as_str().unwrap() > "2020", "{patched}");
    });
}

// https://hl7.org/fhir/R4/http.html#update: the content of the current version makes no new one
#[test]
fn a_patch_that_changes_nothing_makes_no_version() {
    on_each_backend(|space| {
        let key = stored(space);
        assert_eq!(space.patch(&key, &json!([])).expect_status(200).version(), 1);
        assert_eq!(space.patch(&key, &replace_family("Before")).expect_status(200).version(), 1);
        assert_eq!(merge(space, &key, &json!({ "photo": null })).expect_status(200).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#patch: "In the case of a failing JSON Patch test operation" 422
#[test]
fn a_failing_test_operation_is_422_and_changes_nothing() {
    on_each_backend(|space| {
        let key = stored(space);
        let patch = |expected: &str| {
            json!([
                { "op": "replace", "path": "/name/0/family", "value": "After" },
                { "op": "test", "path": "/name/0/family", "value": expected },
            ])
        };
        refused_with(&space.patch(&key, &patch("Before")), 422, "processing");
        assert_eq!(space.get(&key).body["name"][0]["family"], "Before");
        space.patch(&key, &patch("After")).assert_status(200);
    });
}

// https://www.rfc-editor.org/rfc/rfc5789#section-2.2
#[test]
fn what_is_no_patch_is_400_and_what_cannot_be_applied_422() {
    on_each_backend(|space| {
        let key = stored(space);
        let json_patch = |body: &str| send(space.request("PATCH", &key).body("application/json-patch+json", body));
        for malformed in
            ["", "{", "{}", "[1]", r#"[{"op":"put","path":"/a"}]"#, r#"[{"op":"add","path":"a","value":1}]"#]
        {
            refused(&json_patch(malformed), &[400]);
        }
        for impossible in
            [r#"[{"op":"remove","path":"/photo"}]"#, r#"[{"op":"add","path":"/name/7","value":{"text":"x"}}]"#]
        {
            refused_with(&json_patch(impossible), 422, "processing");
        }
        refused(&send(space.request("PATCH", &key).body(MERGE_PATCH, "[]")), &[400]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#patch: the result is a resource like any other
#[test]
fn a_patch_whose_result_is_not_valid_is_422_with_the_paths() {
    on_each_backend(|space| {
        let key = stored(space);
        for (patch, path) in [
            (json!([{ "op": "add", "path": "/gender", "value": "m" }]), "Patient.gender"),
            (json!([{ "op": "add", "path": "/birthDate", "value": "2023-02-30" }]), "Patient.birthDate"),
            (json!([{ "op": "add", "path": "/colour", "value": "red" }]), "Patient.colour"),
            (json!([{ "op": "remove", "path": "/name/0" }]), "Patient.name"),
        ] {
            let reply = space.patch(&key, &patch);
            refused(&reply, &[422]);
            assert_eq!(expressions(&reply.body), [path], "{reply}");
        }
        let reply = merge(space, &key, &json!({ "name": "x" }));
        refused(&reply, &[422]);
        assert_eq!(expressions(&reply.body), ["Patient.name"], "{reply}");
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/resource.html#id: "Once assigned, this value never changes."
#[test]
fn a_patch_cannot_change_type_or_id() {
    on_each_backend(|space| {
        let key = stored(space);
        for patch in [
            json!([{ "op": "replace", "path": "/id", "value": "another" }]),
            json!([{ "op": "remove", "path": "/id" }]),
            json!([{ "op": "replace", "path": "/resourceType", "value": "Person" }]),
        ] {
            refused(&space.patch(&key, &patch), &[400, 422]);
        }
        refused(&merge(space, &key, &json!({ "id": "another" })), &[400, 422]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#concurrency
#[test]
fn patch_honours_if_match() {
    on_each_backend(|space| {
        let key = stored(space);
        let patch = |tag: &str, family: &str| {
            let request = space.request("PATCH", &key).header("if-match", tag);
            send(request.body("application/json-patch+json", replace_family(family).to_string()))
        };
        refused(&patch("W/\"7\"", "A"), &[412]);
        assert_eq!(patch("W/\"1\"", "A").expect_status(200).version(), 2);
        refused(&patch("W/\"1\"", "B"), &[412]);
        assert_eq!(patch("W/\"1\", W/\"2\"", "B").expect_status(200).version(), 3);
    });
}

// https://hl7.org/fhir/R4/http.html#patch
#[test]
fn what_is_not_there_cannot_be_patched() {
    on_each_backend(|space| {
        refused_with(&space.patch("Patient/no-such-patient", &json!([])), 404, "not-found");
        let key = stored(space);
        space.delete(&key);
        refused_with(&space.patch(&key, &json!([])), 410, "deleted");
        refused(&space.patch("Patient", &json!([])), &[404, 405]);
        refused(&space.patch("Patiant/1", &json!([])), &[404]);
    });
}

// https://www.rfc-editor.org/rfc/rfc5789#section-2.2
#[test]
fn other_formats_of_patches_are_415_with_those_that_are_accepted() {
    on_each_backend(|space| {
        let key = stored(space);
        for media_type in ["application/xml-patch+xml", "text/plain", "application/x-www-form-urlencoded"] {
            let reply = send(space.request("PATCH", &key).body(media_type, "[]"));
            refused_with(&reply, 415, "not-supported");
            assert!(reply.header("accept-patch").unwrap().contains("application/json-patch+json"), "{reply}");
        }
        let upper = send(space.request("PATCH", &key).body("Application/JSON-Patch+JSON; charset=utf-8", "[]"));
        upper.assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#ops: Prefer
#[test]
fn a_patch_answers_as_the_client_prefers() {
    on_each_backend(|space| {
        let key = stored(space);
        let preferring = |preference: &str, family: &str| {
            let request = space.request("PATCH", &key).header("prefer", preference);
            send(request.body("application/json-patch+json", replace_family(family).to_string())).expect_status(200)
        };
        assert_eq!(preferring("return=representation", "A").body["name"][0]["family"], "A");
        assert_eq!(preferring("return=minimal", "B").body, Value::Null);
        assert_eq!(preferring("return=OperationOutcome", "C").body["resourceType"], "OperationOutcome");
        assert_eq!(space.get(&key).body["name"][0]["family"], "C");
    });
}

// https://www.rfc-editor.org/rfc/rfc7396#section-2
#[test]
fn a_merge_patch_sets_replaces_and_takes_away() {
    on_each_backend(|space| {
        let key = stored(space);
        let patch = json!({ "gender": "female", "name": [{ "text": "All new" }], "identifier": null,
            "maritalStatus": { "text": "M" } });
        merge(space, &key, &patch).assert_status(200);
        let patched =
            merge(space, &key, &json!({ "maritalStatus": { "coding": [{ "code": "M" }] } })).expect_status(200);
        assert_eq!(patched.body["gender"], "female");
        assert_eq!(patched.body["name"], json!([{ "text": "All new" }]));
        assert!(patched.body.get("identifier").is_none(), "{patched}");
        assert_eq!(patched.body["maritalStatus"], json!({ "text": "M", "coding": [{ "code": "M" }] }));
    });
}

// https://hl7.org/fhir/R4/datatypes.html#decimal: the precision is kept
#[test]
fn digits_that_a_patch_does_not_touch_stay_and_those_it_brings_too() {
    on_each_backend(|space| {
        let observation = observation().build().to_string();
        let mut body: Value = serde_json::from_str(&observation).unwrap();
        body["component"] = json!([{ "code": { "text": "c" }, "valueQuantity": { "value": "DIGITS" } }]);
        let body = space.tagged(body).to_string().replace("\"DIGITS\"", "1.00");
        let created = send(space.request("POST", "Observation").body("application/fhir+json", body)).expect_status(201);
        let key = format!("Observation/{}", created.id());
        let patch = r#"[{"op":"test","path":"/component/0/valueQuantity/value","value":1},
            {"op":"copy","from":"/component/0","path":"/component/-"},
            {"op":"add","path":"/component/-","value":{"code":{"text":"d"},"valueQuantity":{"value":0.50}}}]"#;
        send(space.request("PATCH", &key).body("application/json-patch+json", patch)).assert_status(200);
        let values: Vec<String> = space.get(&key).body["component"]
            .as_array()
            .unwrap()
            .iter()
            .map(|component| component["valueQuantity"]["value"].to_string())
            .collect();
        assert_eq!(values, ["1.00", "1.00", "0.50"]);
    });
}

// https://hl7.org/fhir/R4/http.html#concurrency
#[test]
fn no_patch_is_lost_among_others_of_the_same_resource() {
    on_each_backend(|space| {
        let key = stored(space);
        thread::scope(|scope| {
            for number in 0..8 {
                let (space, key) = (space.apart(), &key);
                scope.spawn(move || {
                    let identifier = json!({ "system": MRN, "value": number.to_string() });
                    let body = json!([{ "op": "add", "path": "/identifier/-", "value": identifier }]);
                    let patched = std::iter::repeat_with(|| space.patch(key, &body)).find(|reply| reply.status != 503);
                    patched.unwrap().assert_status(200);
                });
            }
        });
        let read = space.get(&key);
        let identifiers: Vec<&str> = read.body["identifier"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|identifier| identifier["system"] == MRN)
            .filter_map(|identifier| identifier["value"].as_str())
            .collect();
        for number in 0..8 {
            assert!(identifiers.contains(&number.to_string().as_str()), "{number} of {identifiers:?}");
        }
        assert_eq!(read.version(), 9);
    });
}

fn patch_where(space: &Space, value: &str, family: &str) -> Reply {
    space.patch(&format!("Patient?identifier={MRN}|{value}"), &replace_family(family))
}

// https://hl7.org/fhir/R4/http.html#patch: conditional patch
#[test]
fn conditional_patch_needs_exactly_one_match() {
    on_each_backend(|space| {
        refused_with(&patch_where(space, &space.tag, "A"), 404, "not-found");
        let key = stored(space);
        let patched = patch_where(space, &space.tag, "A").expect_status(200);
        assert_eq!(format!("Patient/{}", patched.id()), key);
        assert_eq!((patched.version(), &patched.body["name"][0]["family"]), (2, &json!("A")));
        stored(space);
        refused_with(&patch_where(space, &space.tag, "B"), 412, "multiple-matches");
        assert_eq!(space.get(&key).version(), 2);
    });
}

// https://hl7.org/fhir/R4/http.html#patch
#[test]
fn conditional_patch_honours_if_match_and_refuses_criteria_that_select_nothing() {
    on_each_backend(|space| {
        stored(space);
        let url = format!("Patient?identifier={MRN}|{}", space.tag);
        let body = || replace_family("A").to_string();
        let request = |tag: &str| space.request("PATCH", &url).header("if-match", tag);
        refused(&send(request("W/\"2\"").body("application/json-patch+json", body())), &[412]);
        send(request("W/\"1\"").body("application/json-patch+json", body())).assert_status(200);
        refused(&space.patch("Patient?_count=1", &replace_family("A")), &[400]);
        refused(&space.patch("Patient?colour=red", &replace_family("A")), &[400]);
    });
}

// https://hl7.org/fhir/R4/http.html#history
#[test]
fn the_history_of_a_resource_holds_its_patches() {
    on_each_backend(|space| {
        let key = stored(space);
        space.patch(&key, &replace_family("After")).assert_status(200);
        let history = space.get(&format!("{key}/_history")).expect_status(200);
        let families: Vec<&Value> = history.resources().iter().map(|r| &r["name"][0]["family"]).collect();
        assert_eq!(families, ["After", "Before"]);
        for entry in history.entries() {
            assert!(["POST", "PUT", "PATCH"].contains(&entry["request"]["method"].as_str().unwrap()), "{entry}");
        }
        assert_eq!(space.get(&format!("{key}/_history/1")).body["name"][0]["family"], "Before");
    });
}
