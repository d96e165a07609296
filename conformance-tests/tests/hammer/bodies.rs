//! Bodies: resources, and what is left of them.

use fastrand::Rng;
use serde_json::{Value, json};
use tessera_fixtures as fixtures;

use crate::values::{ODD, pick};

/// A valid resource with this id.
pub(crate) fn sound(random: &mut Rng, id: &str) -> Value {
    match random.u8(..7) {
        0 => fixtures::patient().family("Chalmers").given("Peter").born("1974-12-25").id(id).build(),
        1 => fixtures::observation().subject("Patient/h1").id(id).build(),
        2 => fixtures::condition().id(id).build(),
        3 => fixtures::allergy_intolerance().id(id).build(),
        4 => fixtures::medication_statement().id(id).build(),
        5 => json!({
            "resourceType": "Location", "id": id, "name": "Ward",
            "position": { "longitude": 16.4, "latitude": 48.2 }, "partOf": { "reference": "Location/h2" },
        }),
        _ => json!({
            "resourceType": "ValueSet", "id": id, "url": "http://example.org/a", "version": "2", "status": "active",
            "compose": { "include": [{ "system": "http://loinc.org", "concept": [{ "code": "8867-4" }] }] },
        }),
    }
}

/// A resource's type.
pub(crate) fn resource_type(resource: &Value) -> &str {
    resource["resourceType"].as_str().unwrap_or("Patient")
}

/// Changes some place of a document.
pub(crate) fn spoil(random: &mut Rng, value: &mut Value) {
    if random.u8(..3) == 0 {
        *value = odd(random);
        return;
    }
    match value {
        Value::Object(members) if !members.is_empty() => {
            let at = random.usize(..members.len());
            let name = members.keys().nth(at).cloned().unwrap_or_default();
            match random.u8(..5) {
                0 => drop(members.remove(&name)),
                1 => drop(members.insert(
                    pick(random, &["nonsense", "_name", "extension", "id", "", "fhir_comments"]).to_owned(),
                    odd(random),
                )),
                2 => drop(members.insert(format!("_{name}"), odd(random))),
                _ => spoil(random, &mut members[&name]),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = random.usize(..items.len());
            match random.u8(..4) {
                0 => drop(items.remove(at)),
                1 => items.push(odd(random)),
                _ => spoil(random, &mut items[at]),
            }
        }
        other => *other = odd(random),
    }
}

fn odd(random: &mut Rng) -> Value {
    match random.u8(..10) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!([null, [[{}]]]),
        4 => json!(random.i64(..)),
        5 => json!(1.5e300),
        6 => json!(true),
        7 => {
            json!({ "reference": pick(random, &["Patient?identifier=x", "#", "Patient?", "?", "urn:uuid:", "Patient/ä"]) })
        }
        8 => json!("a".repeat(random.usize(..2000))),
        _ => json!(pick(random, &ODD)),
    }
}

/// The bytes of a document, at times damaged.
pub(crate) fn bytes(random: &mut Rng, value: &Value) -> Vec<u8> {
    let mut bytes = value.to_string().into_bytes();
    match random.u8(..24) {
        0 => bytes.truncate(random.usize(..bytes.len())),
        1 => {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        2 => bytes.extend_from_slice(b"{}"),
        3 => bytes = [b"[".repeat(random.usize(..500)), b"]".repeat(random.usize(..500))].concat(),
        4 => bytes.clear(),
        5 => bytes.insert(0, 0xef),
        6 => {
            bytes = format!("<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"{}\"/></Patient>", pick(random, &ODD))
                .into_bytes();
        }
        _ => {}
    }
    bytes
}

/// A JSON Patch, at times of nonsense.
pub(crate) fn json_patch(random: &mut Rng) -> Value {
    let mut patch = Vec::new();
    for _ in 0..random.u8(..4) {
        let path = pick(
            random,
            &[
                "/active",
                "/name/0/family",
                "/name/-",
                "/name/0/given/0",
                "",
                "/",
                "/name/99",
                "/id",
                "/~2",
                "name",
                "/meta",
                "/a/b/c",
            ],
        );
        let mut operation = json!({
            "op": pick(random, &["add", "replace", "remove", "test", "move", "copy", "nonsense"]),
            "path": path,
            "from": pick(random, &["/name", "/name/0", "", "/x"]),
            "value": odd(random),
        });
        if random.u8(..4) == 0 {
            spoil(random, &mut operation);
        }
        patch.push(operation);
    }
    json!(patch)
}

/// A FHIRPath Patch, or the parameters of an operation.
pub(crate) fn parameters(random: &mut Rng) -> Value {
    let path = pick(
        random,
        &[
            "Patient.name",
            "Patient.name[0].family",
            "Patient",
            "Patient.active",
            "Patient.name.where(use = 'official')",
            "((((",
            "1/0",
            "Patient.descendants()",
            "%resource",
            "Patient.name.repeat(given)",
            "''.matches('(a+)+$')",
            "Patient.nonsense",
            "iif(true, 1, 2)",
        ],
    );
    let part = |name: &str, value: Value| json!({ "name": name, "valueString": value });
    let mut body = json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": [
        { "name": "type", "valueCode": pick(random, &["add", "insert", "delete", "replace", "move", "nonsense"]) },
        part("path", json!(path)),
        part("name", json!(pick(random, &["active", "name", "x", ""]))),
        { "name": "value", "valueString": "a" },
        { "name": "index", "valueInteger": random.i32(-2..4) },
        { "name": "source", "valueInteger": 0 },
        { "name": "destination", "valueInteger": 99 },
    ]}]});
    if random.u8(..2) == 0 {
        body = json!({ "resourceType": "Parameters", "parameter": [
            { "name": pick(random, &["url", "code", "system", "resource", "mode", "max", "nonsense"]), "valueString": pick(random, &ODD) },
            { "name": "resource", "resource": sound(random, "h1") },
            { "name": "coding", "valueCoding": { "system": "http://loinc.org", "code": "8867-4" } },
        ]});
    }
    if random.u8(..3) == 0 {
        spoil(random, &mut body);
    }
    body
}
