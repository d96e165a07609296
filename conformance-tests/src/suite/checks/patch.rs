//! Patching: <https://hl7.org/fhir/R4/http.html#patch> and <https://hl7.org/fhir/R4/fhirpatch.html>

use serde_json::{Value, json};

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::{Reply, Request};
use crate::suite::verdict::{Verdict, ensure};
use crate::suite::visit::{Made, Visit};

const JSON_PATCH: &str = "application/json-patch+json";
const JSON: &[Need] = needs!("Patient" "create" "read" "patch"; Need::Patch("application/json-patch+json"));
const FHIRPATH: &[Need] = needs!("Patient" "create" "read" "patch"; Need::Patch("application/fhir+json"));

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "patch.json",
        title: "A JSON Patch adds, replaces and removes",
        rule: "The server applies the operations of the JSON Patch document to its copy of the resource.",
        section: "http.html#patch",
        strength: Strength::Shall,
        needs: JSON,
        run: |visit| Box::pin(json_patch(visit)),
    },
    Check {
        id: "patch.json-test",
        title: "A JSON Patch whose test fails changes nothing",
        rule: "If a test is not successful, the whole patch is not applied (RFC 6902).",
        section: "http.html#patch",
        strength: Strength::Shall,
        needs: JSON,
        run: |visit| Box::pin(json_test(visit)),
    },
    Check {
        id: "patch.fhirpath",
        title: "A FHIRPath Patch replaces, adds and deletes",
        rule: "The server applies the operations of the Parameters in order, each to the elements that its path selects.",
        section: "fhirpatch.html",
        strength: Strength::Shall,
        needs: FHIRPATH,
        run: |visit| Box::pin(fhirpath(visit)),
    },
    Check {
        id: "patch.fhirpath-nothing",
        title: "A FHIRPath Patch that replaces what is not there is refused",
        rule: "A replace whose path selects nothing is an error.",
        section: "fhirpatch.html",
        strength: Strength::Shall,
        needs: FHIRPATH,
        run: |visit| Box::pin(fhirpath_nothing(visit)),
    },
    Check {
        id: "patch.if-match",
        title: "A patch of an old version in If-Match answers 412",
        rule: "Servers support conditional PATCH, which works as specified for update.",
        section: "http.html#patch",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create" "read" "patch";
            Need::Patch("application/json-patch+json"), Need::Versions("Patient")
        ),
        run: |visit| Box::pin(if_match(visit)),
    },
    Check {
        id: "patch.unknown-id",
        title: "A patch of an id that never was answers 404",
        rule: "A patch is an update of what is there; nothing is there.",
        section: "http.html#patch",
        strength: Strength::Shall,
        needs: JSON,
        run: |visit| Box::pin(unknown_id(visit)),
    },
    Check {
        id: "patch.invalid-result",
        title: "A patch whose result breaks FHIR's rules is refused",
        rule: "The resulting document is processed as an update; what fails basic validation is answered 400 or 422.",
        section: "http.html#patch",
        strength: Strength::Should,
        needs: JSON,
        run: |visit| Box::pin(invalid_result(visit)),
    },
];

async fn patch(visit: &mut Visit, reference: &str, body: &Value) -> Verdict<Reply> {
    visit.send(Request::new("PATCH", reference).text(JSON_PATCH, body.to_string())).await
}

async fn read(visit: &mut Visit, made: &Made) -> Verdict<Value> {
    let reply = visit.get(&made.reference).await?;
    reply.expect(&[200])?.expect_resource("Patient").cloned()
}

fn expect(patient: &Value, element: &str, expected: &Value) -> Verdict {
    ensure(patient[element] == *expected, format!("{element} {expected}"), patient[element].to_string())
}

async fn json_patch(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let body = json!([
        {"op": "replace", "path": "/birthDate", "value": "1990-01-01"},
        {"op": "add", "path": "/name/0/given/-", "value": "King"},
        {"op": "remove", "path": "/gender"},
    ]);
    patch(visit, &made.reference, &body).await?.expect(&[200])?;
    let patient = read(visit, &made).await?;
    expect(&patient, "birthDate", &json!("1990-01-01"))?;
    expect(&patient, "gender", &Value::Null)?;
    let given = &patient["name"][0]["given"];
    ensure(*given == json!(["Ada", "King"]), "the given names Ada and King", given.to_string())
}

async fn json_test(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let body = json!([
        {"op": "replace", "path": "/birthDate", "value": "1990-01-01"},
        {"op": "test", "path": "/gender", "value": "male"},
    ]);
    patch(visit, &made.reference, &body).await?.expect_refusal()?;
    expect(&read(visit, &made).await?, "birthDate", &json!("1980-05-17"))
}

/// A FHIRPath Patch of these operations, each of part names and values.
fn parameters(operations: &[Value]) -> Value {
    let parameter = |operation: &Value| {
        let part = |(name, value): (&String, &Value)| {
            let member = match name.as_str() {
                "type" => "valueCode",
                "value" if value.is_boolean() => "valueBoolean",
                "value" => "valueDate",
                _ => "valueString",
            };
            json!({"name": name, member: value})
        };
        let parts: Vec<Value> = operation.as_object().into_iter().flatten().map(part).collect();
        json!({"name": "operation", "part": parts})
    };
    json!({"resourceType": "Parameters", "parameter": operations.iter().map(parameter).collect::<Vec<_>>()})
}

async fn fhirpath(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let body = parameters(&[
        json!({"type": "replace", "path": "Patient.birthDate", "value": "1990-01-01"}),
        json!({"type": "add", "path": "Patient", "name": "deceased", "value": true}),
        json!({"type": "delete", "path": "Patient.gender"}),
    ]);
    visit.send(Request::new("PATCH", &made.reference).json(&body)).await?.expect(&[200])?;
    let patient = read(visit, &made).await?;
    expect(&patient, "birthDate", &json!("1990-01-01"))?;
    expect(&patient, "deceasedBoolean", &json!(true))?;
    expect(&patient, "gender", &Value::Null)
}

async fn fhirpath_nothing(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let body = parameters(&[json!({"type": "replace", "path": "Patient.deceased", "value": true})]);
    visit.send(Request::new("PATCH", &made.reference).json(&body)).await?.expect_refusal()?;
    expect(&read(visit, &made).await?, "deceasedBoolean", &Value::Null)
}

async fn if_match(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.get(&made.reference).await?;
    let first = reply.expect(&[200])?.expect_header("etag")?;
    for (date, status) in [("1990-01-01", 200), ("1991-01-01", 412)] {
        let body = json!([{"op": "replace", "path": "/birthDate", "value": date}]).to_string();
        let request = Request::new("PATCH", &made.reference).text(JSON_PATCH, body).header("if-match", first);
        visit.send(request).await?.expect(&[status])?;
    }
    expect(&read(visit, &made).await?, "birthDate", &json!("1990-01-01"))
}

async fn unknown_id(visit: &mut Visit) -> Verdict {
    let body = json!([{"op": "add", "path": "/active", "value": true}]);
    let reference = format!("Patient/{}", visit.tag);
    patch(visit, &reference, &body).await?.expect(&[404]).map(|_| ())
}

async fn invalid_result(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let body = json!([{"op": "replace", "path": "/birthDate", "value": "the 17th of May"}]);
    patch(visit, &made.reference, &body).await?.expect(&[400, 422])?;
    expect(&read(visit, &made).await?, "birthDate", &json!("1980-05-17"))
}
