//! `$validate`: <https://hl7.org/fhir/R4/resource-operation-validate.html>

use serde_json::{Value, json};

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::Reply;
use crate::suite::resources::{patient, with};
use crate::suite::statement::array;
use crate::suite::verdict::{Verdict, ensure};
use crate::suite::visit::Visit;

const VALIDATE: &[Need] = &[Need::Operation("Patient", "validate")];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "validate.valid",
        title: "$validate of a valid resource answers 200 with an OperationOutcome without errors",
        rule: "The operation returns an OperationOutcome; without errors the resource is valid.",
        section: "resource-operation-validate.html",
        strength: Strength::Shall,
        needs: VALIDATE,
        run: |visit| Box::pin(valid(visit)),
    },
    Check {
        id: "validate.invalid",
        title: "$validate of an invalid resource says what is wrong",
        rule: "The OperationOutcome has an issue of the severity error for each fault.",
        section: "resource-operation-validate.html",
        strength: Strength::Shall,
        needs: VALIDATE,
        run: |visit| Box::pin(invalid(visit)),
    },
    Check {
        id: "validate.stores-nothing",
        title: "$validate stores nothing",
        rule: "The operation does not affect the state of the server.",
        section: "resource-operation-validate.html",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create" "search-type";
            Need::Operation("Patient", "validate"), Need::Parameter("Patient", "identifier")
        ),
        run: |visit| Box::pin(stores_nothing(visit)),
    },
];

async fn validate(visit: &mut Visit, resource: &Value) -> Verdict<Reply> {
    let body = json!({
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": visit.tagged(resource.clone())}],
    });
    visit.post("Patient/$validate", &body).await
}

fn has_errors(outcome: &Value) -> bool {
    array(&outcome["issue"]).iter().any(|issue| issue["severity"] == "error" || issue["severity"] == "fatal")
}

async fn valid(visit: &mut Visit) -> Verdict {
    let reply = validate(visit, &patient("Chalmers")).await?;
    let outcome = reply.expect(&[200])?.expect_resource("OperationOutcome")?;
    ensure(!has_errors(outcome), "no issue of the severity error", outcome.to_string())
}

async fn invalid(visit: &mut Visit) -> Verdict {
    let reply = validate(visit, &with(patient("Chalmers"), "gender", json!("of-course"))).await?;
    // 200 says that the operation has been done; some servers say with 4xx that the resource is wrong.
    ensure(reply.status == 200 || reply.is_refusal(), "the status 200, or a refusal", reply.in_short())?;
    reply.expect_outcome().map(|_| ())
}

async fn stores_nothing(visit: &mut Visit) -> Verdict {
    visit.patient().await?;
    let reply = validate(visit, &patient("Chalmers")).await?;
    reply.expect(&[200])?.expect_resource("OperationOutcome")?;
    visit.finds("Patient", "patient").await
}
