//! <https://hl7.org/fhir/R4/http.html#patch> with FHIRPath Patch: <https://hl7.org/fhir/R4/fhirpatch.html>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use conformance_tests::Reply;
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::bundle_transaction::{MRN, known_as, locations, transact, urn};
use crate::space::{Space, bundle, entry, expressions, first_error, on_each_backend, refused, refused_with, send};

const FHIR_JSON: &str = "application/fhir+json";
const FHIR_XML: &str = "application/fhir+xml";

/// An operation with a path and further parts.
fn operation(kind: &str, path: &str, parts: &[Value]) -> Value {
    let mut part = vec![json!({ "name": "type", "valueCode": kind }), json!({ "name": "path", "valueString": path })];
    part.extend_from_slice(parts);
    json!({ "name": "operation", "part": part })
}

/// The part `value`: a member `value[x]`, `part` or `resource`.
fn value(member: &str, value: Value) -> Value {
    let mut part = json!({ "name": "value" });
    part[member] = value;
    part
}

fn add(path: &str, name: &str, value: Value) -> Value {
    operation("add", path, &[json!({ "name": "name", "valueString": name }), value])
}

fn insert(path: &str, index: u32, value: Value) -> Value {
    operation("insert", path, &[json!({ "name": "index", "valueInteger": index }), value])
}

fn replace(path: &str, value: Value) -> Value {
    operation("replace", path, &[value])
}

fn delete(path: &str) -> Value {
    operation("delete", path, &[])
}

fn shift(path: &str, source: u32, destination: u32) -> Value {
    let parts = [
        json!({ "name": "source", "valueInteger": source }),
        json!({ "name": "destination", "valueInteger": destination }),
    ];
    operation("move", path, &parts)
}

fn parameters(operations: &[Value]) -> Value {
    json!({ "resourceType": "Parameters", "parameter": operations })
}

fn family(family: &str) -> Value {
    parameters(&[replace("Patient.name[0].family", value("valueString", json!(family)))])
}

fn patch_as(space: &Space, url: &str, media_type: &str, body: &str) -> Reply {
    send(space.request("PATCH", url).body(media_type, body.to_owned()))
}

fn patch(space: &Space, url: &str, operations: &[Value]) -> Reply {
    patch_as(space, url, FHIR_JSON, &parameters(operations).to_string())
}

/// A stored patient.
fn stored(space: &Space) -> String {
    space.add("patient", patient().family("Before").identifier(MRN, &space.tag).build())
}

/// Fails unless the patch is refused with 422 at its first operation, and for this reason.
#[track_caller]
fn cannot(reply: &Reply, reason: &str) {
    refused_with(reply, 422, "processing");
    assert_eq!(first_error(&reply.body).unwrap()["diagnostics"], reason, "{reply}");
    assert_eq!(expressions(&reply.body), ["Parameters.parameter[0]"], "{reply}");
}

// https://hl7.org/fhir/R4/fhirpatch.html#concept: add, insert, delete, replace, move
#[test]
fn each_type_of_operation_changes_the_current_version() {
    on_each_backend(|space| {
        let key = stored(space);
        let before = space.get(&key).body;
        let identifier = |value: &str| json!({ "system": MRN, "value": value });
        let given = |key: &str| space.get(key).body["name"][0]["given"].clone();
        let patched = patch(
            space,
            &key,
            &[
                add("Patient", "birthDate", value("valueDate", json!("1974-12-25"))),
                add("Patient", "identifier", value("valueIdentifier", identifier("added"))),
                replace("Patient.name[0].family", value("valueString", json!("After"))),
            ],
        )
        .expect_status(200);
        assert_eq!(patched.version(), 2);
        let read = space.get(&key).expect_status(200);
        assert_eq!(read.body, patched.body);
        let mut expected = before;
        expected["birthDate"] = json!("1974-12-25");
        expected["identifier"].as_array_mut().unwrap().push(identifier("added"));
        expected["name"][0]["family"] = json!("After");
        expected["meta"] = read.body["meta"].clone();
        assert_eq!(read.body, expected);
        space.finds("Patient?family=After", "patient");
        space.finds("Patient?family=Before", "");

        patch(space, &key, &[delete("Patient.birthDate"), delete("Patient.name[0].given")]).assert_status(200);
        assert!(space.get(&key).body.get("birthDate").is_none());
        assert_eq!(given(&key), Value::Null);
        for name in ["A", "C"] {
            patch(space, &key, &[add("Patient.name[0]", "given", value("valueString", json!(name)))])
                .assert_status(200);
        }
        patch(space, &key, &[insert("Patient.name[0].given", 1, value("valueString", json!("B")))]).assert_status(200);
        assert_eq!(given(&key), json!(["A", "B", "C"]));
        patch(space, &key, &[shift("Patient.name[0].given", 2, 0)]).assert_status(200);
        assert_eq!(given(&key), json!(["C", "A", "B"]));
        patch(space, &key, &[delete(&format!("Patient.identifier.where(value = '{}')", space.tag))]).assert_status(200);
        assert_eq!(space.get(&key).body["identifier"], json!([identifier("added")]));
    });
}

// https://hl7.org/fhir/R4/fhirpatch.html: "if found"; https://hl7.org/fhir/R4/http.html#update
#[test]
fn a_patch_that_changes_nothing_makes_no_version() {
    on_each_backend(|space| {
        let key = stored(space);
        let reply = patch_as(space, &key, FHIR_JSON, r#"{"resourceType":"Parameters"}"#).expect_status(200);
        assert_eq!(reply.version(), 1);
        assert_eq!(patch(space, &key, &[delete("Patient.photo")]).expect_status(200).version(), 1);
        let same = replace("Patient.name[0].family", value("valueString", json!("Before")));
        assert_eq!(patch(space, &key, &[same]).expect_status(200).version(), 1);
    });
}

// https://hl7.org/fhir/R4/formats.html#choice
#[test]
fn a_choice_is_named_without_its_type_and_may_change_it() {
    on_each_backend(|space| {
        let key = space.add("weight", observation().build());
        let text = |text: &str| replace("Observation.value", value("valueString", json!(text)));
        let reply = patch(space, &key, &[delete("Observation.value"), delete("Observation.dataAbsentReason")]);
        reply.assert_status(200);
        let quantity = value("valueQuantity", json!({ "value": 5, "unit": "kg" }));
        patch(space, &key, &[add("Observation", "value", quantity.clone())]).assert_status(200);
        assert_eq!(space.get(&key).body["valueQuantity"], json!({ "value": 5, "unit": "kg" }));
        let changed = patch(space, &key, &[text("five")]).expect_status(200);
        assert_eq!((&changed.body["valueString"], changed.body.get("valueQuantity")), (&json!("five"), None));
        cannot(
            &patch(space, &key, &[add("Observation", "value", quantity)]),
            "there is a value already, and it does not repeat; replace it",
        );
        let wrong = patch(space, &key, &[replace("Observation.value", value("valueAddress", json!({ "text": "x" })))]);
        refused_with(&wrong, 422, "processing");
        assert_eq!(space.get(&key).body["valueString"], "five");
    });
}

// https://hl7.org/fhir/R4/fhirpatch.html: a value of a type that Parameters cannot hold comes as parts
#[test]
fn a_backbone_element_comes_in_parts_and_its_digits_stay() {
    on_each_backend(|space| {
        let key = space.add("weight", observation().build());
        let component = value(
            "part",
            json!([
                { "name": "code", "valueCodeableConcept": { "text": "c" } },
                { "name": "value", "valueQuantity": { "value": "DIGITS" } },
                { "name": "referenceRange", "part": [{ "name": "text", "valueString": "r" }] },
            ]),
        );
        let body = parameters(&[add("Observation", "component", component)]).to_string();
        let patched = patch_as(space, &key, FHIR_JSON, &body.replace("\"DIGITS\"", "1.00")).expect_status(200);
        assert!(patched.text.contains(
            r#""component":[{"code":{"text":"c"},"valueQuantity":{"value":1.00},"referenceRange":[{"text":"r"}]}]"#
        ));
        let unknown = value("part", json!([{ "name": "colour", "valueString": "red" }]));
        cannot(
            &patch(space, &key, &[add("Observation", "component", unknown)]),
            "Observation.component has no element \"colour\"",
        );
    });
}

// https://hl7.org/fhir/R4/fhirpatch.html: "The FHIRPath statement must return a single element"
#[test]
fn a_path_that_leads_to_none_or_several_elements_is_422_with_the_reason() {
    on_each_backend(|space| {
        let key = space.add("patient", patient().family("A").identifier(MRN, "1").identifier(MRN, "2").build());
        let text = value("valueString", json!("x"));
        for (operation, reason) in [
            (replace("Patient.photo.title", text.clone()), "the path leads to no element"),
            (add("Patient.photo", "title", text.clone()), "the path leads to no element"),
            (replace("Patient.identifier.value", text.clone()), "the path leads to 2 elements, and must lead to one"),
            (delete("Patient.identifier"), "the path leads to 2 elements, and must lead to one"),
            (shift("Patient.identifier", 0, 2), "the list has 2 elements, and none at 2"),
            (add("Patient", "colour", text), "Patient has no element \"colour\""),
            (
                delete("Patient.identifier.count()"),
                "the path must lead to elements of the resource, not to a computed value",
            ),
            (delete("Patient"), "the path leads to the resource itself; name one of its elements"),
        ] {
            cannot(&patch(space, &key, &[operation]), reason);
        }
        // All or nothing.
        let halves = [delete("Patient.name[0].family"), delete("Patient.identifier")];
        let reply = patch(space, &key, &halves);
        refused_with(&reply, 422, "processing");
        assert_eq!(expressions(&reply.body), ["Parameters.parameter[1]"], "{reply}");
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#patch: the result is a resource like any other
#[test]
fn a_result_that_is_not_valid_is_422_and_type_and_id_stay() {
    on_each_backend(|space| {
        let key = stored(space);
        let reply = patch(space, &key, &[replace("Patient.gender", value("valueCode", json!("m")))]);
        refused(&reply, &[422]);
        let reply =
            patch(space, &key, &[delete("Patient.gender"), add("Patient", "gender", value("valueCode", json!("m")))]);
        refused(&reply, &[422]);
        assert_eq!(expressions(&reply.body), ["Patient.gender"], "{reply}");
        refused(&patch(space, &key, &[replace("Patient.id", value("valueId", json!("another")))]), &[422]);
        refused(&patch(space, &key, &[delete("Patient.id")]), &[422]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://www.rfc-editor.org/rfc/rfc5789#section-2.2: "Malformed patch document"
#[test]
fn parameters_that_are_no_fhirpath_patch_are_400_with_the_place() {
    on_each_backend(|space| {
        let key = stored(space);
        let mut nameless = delete("Patient.photo");
        nameless["name"] = json!("operations");
        let twice = operation("delete", "Patient.photo", &[json!({ "name": "path", "valueString": "Patient.name" })]);
        for bad in [
            nameless,
            twice,
            operation("put", "Patient", &[]),
            operation("add", "Patient", &[value("valueString", json!("x"))]),
            operation("replace", "Patient.name[0].family", &[]),
            operation("move", "Patient.name", &[json!({ "name": "source", "valueInteger": 0 })]),
            operation("delete", "Patient.name[", &[]),
            operation("delete", "Patient.name.nope()", &[]),
        ] {
            let reply = patch(space, &key, std::slice::from_ref(&bad));
            refused_with(&reply, 400, "structure");
            assert_eq!(expressions(&reply.body), ["Parameters.parameter[0]"], "{bad} {reply}");
        }
        for body in ["", "{", "[]", "{}", r#"{"resourceType":"Patient"}"#, r#"{"resourceType":"Parameters","x":1}"#] {
            refused(&patch_as(space, &key, FHIR_JSON, body), &[400]);
        }
        for body in ["", "<Parameters", r#"<Patient xmlns="http://hl7.org/fhir"/>"#] {
            refused(&patch_as(space, &key, FHIR_XML, body), &[400]);
        }
        let many = vec![delete("Patient.photo"); 1_001];
        refused(&patch(space, &key, &many), &[400]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#mime-type
#[test]
fn a_fhirpath_patch_may_be_xml() {
    on_each_backend(|space| {
        let key = stored(space);
        let xml = |family: &str| {
            format!(
                r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>
                <part><name value="type"/><valueCode value="replace"/></part>
                <part><name value="path"/><valueString value="Patient.name[0].family"/></part>
                <part><name value="value"/><valueString value="{family}"/></part></parameter></Parameters>"#
            )
        };
        for (media_type, family) in
            [(FHIR_XML, "A"), ("application/xml", "B"), ("application/fhir+xml; charset=UTF-8", "C")]
        {
            let patched = patch_as(space, &key, media_type, &xml(family)).expect_status(200);
            assert_eq!(patched.body["name"][0]["family"], family, "{media_type}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#mime-type: generic media types
#[test]
fn plain_json_is_the_patch_that_it_looks_like() {
    on_each_backend(|space| {
        let key = stored(space);
        let plain = |body: &Value| patch_as(space, &key, "application/json", &body.to_string()).expect_status(200);
        let patched = plain(&json!([{ "op": "replace", "path": "/name/0/family", "value": "A" }]));
        assert_eq!(patched.body["name"][0]["family"], "A");
        assert_eq!(plain(&family("B")).body["name"][0]["family"], "B");
        let merged = plain(&json!({ "resourceType": "Patient", "name": [{ "family": "C" }] }));
        assert_eq!(merged.body["name"], json!([{ "family": "C" }]));
        assert_eq!(plain(&json!({ "maritalStatus": { "text": "M" } })).body["maritalStatus"]["text"], "M");
        refused(&patch_as(space, &key, "application/json", "7"), &[400]);
    });
}

// https://hl7.org/fhir/R4/http.html#patch: conditional patch; https://hl7.org/fhir/R4/http.html#concurrency
#[test]
fn a_fhirpath_patch_may_be_conditional() {
    on_each_backend(|space| {
        let url = format!("Patient?identifier={MRN}|{}", space.tag);
        let body = || family("After").to_string();
        refused_with(&patch_as(space, &url, FHIR_JSON, &body()), 404, "not-found");
        let key = stored(space);
        let if_match = |tag: &str| send(space.request("PATCH", &key).header("if-match", tag).body(FHIR_JSON, body()));
        refused(&if_match("W/\"7\""), &[412]);
        patch_as(space, &url, FHIR_JSON, &body()).assert_status(200);
        assert_eq!(space.get(&key).body["name"][0]["family"], "After");
    });
}

fn status(entry: &Value) -> &str {
    &entry["response"]["status"].as_str().unwrap()[..3]
}

// https://hl7.org/fhir/R4/http.html#patch: in a Bundle a patch is a resource
#[test]
fn an_entry_of_a_batch_or_transaction_carries_parameters() {
    on_each_backend(|space| {
        let (a, b) = (stored(space), stored(space));
        let several = parameters(&[delete("Patient.name | Patient.identifier")]);
        let in_binary = json!({ "resourceType": "Binary", "contentType": FHIR_JSON, "data": STANDARD.encode(family("C").to_string()) });
        let entries = [
            entry("PATCH", &a, &family("A")),
            entry("PATCH", &b, &several),
            entry("PATCH", &b, &in_binary),
            entry("PATCH", &b, &parameters(&[operation("put", "Patient", &[])])),
        ];
        let reply = space.post("", &bundle("batch", &entries)).expect_status(200);
        let found: Vec<&str> = reply.entries().iter().map(status).collect();
        assert_eq!(found, ["200", "422", "200", "400"], "{reply}");
        assert_eq!(space.get(&a).body["name"][0]["family"], "A");
        assert_eq!(space.get(&b).body["name"][0]["family"], "C");

        let reply = transact(space, &[entry("PATCH", &a, &family("D")), entry("PATCH", &b, &several)]);
        refused(&reply, &[422]);
        assert_eq!(expressions(&reply.body), ["Bundle.entry[1].resource.parameter[0]"], "{reply}");
        assert_eq!(space.get(&a).version(), 2);
        transact(space, &[entry("PATCH", &a, &family("D")), entry("PATCH", &b, &family("E"))]).assert_status(200);
        assert_eq!(space.get(&a).body["name"][0]["family"], "D");
        assert_eq!(space.get(&b).body["name"][0]["family"], "E");
    });
}

// https://hl7.org/fhir/R4/http.html#trules: references between entries
#[test]
fn references_that_a_fhirpath_patch_brings_are_rewritten() {
    on_each_backend(|space| {
        let key = space.add("weight", observation().build());
        let subject = value("valueReference", json!({ "reference": urn(1) }));
        let subject = parameters(&[delete("Observation.subject"), add("Observation", "subject", subject)]);
        let person = space.tagged(patient().build());
        let reply = transact(space, &[entry("PATCH", &key, &subject), known_as(1, &person)]).expect_status(200);
        assert_eq!(space.get(&key).body["subject"]["reference"], locations(&reply)[1], "{reply}");
    });
}
