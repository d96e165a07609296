//! What errors say: <https://hl7.org/fhir/R4/operationoutcome.html>

use crate::suite::check::{Check, Need, Strength};
use crate::suite::request::{FHIR_JSON, Reply, Request};
use crate::suite::statement::array;
use crate::suite::verdict::{Verdict, ensure, not_applicable};
use crate::suite::visit::Visit;

const READ: &[Need] = &[Need::Interaction("Patient", "read")];
const CREATE: &[Need] = &[Need::Interaction("Patient", "create")];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "outcome.unknown-id",
        title: "A 404 has an OperationOutcome that says so",
        rule: "In case of failure, servers should return an OperationOutcome; the codes of issues are of the value set IssueType.",
        section: "http.html#ops",
        strength: Strength::Should,
        needs: READ,
        run: |visit| Box::pin(unknown_id(visit)),
    },
    Check {
        id: "outcome.not-parsable",
        title: "A 400 to a body that is no JSON has an OperationOutcome with a text for people",
        rule: "The server should include an OperationOutcome with detailed messages describing the reason.",
        section: "http.html#create",
        strength: Strength::Should,
        needs: CREATE,
        run: |visit| Box::pin(not_parsable(visit)),
    },
    Check {
        id: "outcome.place",
        title: "The OperationOutcome of an invalid resource names the element",
        rule: "expression is a FHIRPath to the element that is wrong.",
        section: "operationoutcome-definitions.html#OperationOutcome.issue.expression",
        strength: Strength::Should,
        needs: CREATE,
        run: |visit| Box::pin(place(visit)),
    },
    Check {
        id: "outcome.search",
        title: "A search that fails answers 4xx or 5xx with an OperationOutcome",
        rule: "If the search fails, the return value is a status 4xx or 5xx with an OperationOutcome.",
        section: "http.html#search",
        strength: Strength::Shall,
        needs: &[Need::Interaction("Patient", "search-type"), Need::Parameter("Patient", "birthdate")],
        run: |visit| Box::pin(search(visit)),
    },
];

/// <https://hl7.org/fhir/R4/valueset-issue-type.html>
const CODES: [&str; 31] = [
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "security",
    "login",
    "unknown",
    "expired",
    "forbidden",
    "suppressed",
    "processing",
    "not-supported",
    "duplicate",
    "multiple-matches",
    "not-found",
    "deleted",
    "too-long",
    "code-invalid",
    "extension",
    "too-costly",
    "business-rule",
    "conflict",
    "transient",
    "lock-error",
    "no-store",
    "exception",
    "timeout",
    "incomplete",
    "throttled",
    "informational",
];

/// Fails unless it is an OperationOutcome whose issues have codes that exist.
fn expect_issues(reply: &Reply) -> Verdict {
    let outcome = reply.expect_outcome()?;
    for issue in array(&outcome["issue"]) {
        let code = issue["code"].as_str().unwrap_or_default();
        ensure(CODES.contains(&code), "a code of the value set IssueType", format!("{code:?}"))?;
        let severity = issue["severity"].as_str().unwrap_or_default();
        let known = matches!(severity, "fatal" | "error" | "warning" | "information");
        ensure(known, "a severity of the value set IssueSeverity", format!("{severity:?}"))?;
    }
    Ok(())
}

async fn unknown_id(visit: &mut Visit) -> Verdict {
    let reply = visit.get(&format!("Patient/{}", visit.tag)).await?;
    expect_issues(reply.expect(&[404])?)
}

async fn not_parsable(visit: &mut Visit) -> Verdict {
    let reply = visit.create(Request::new("POST", "Patient").text(FHIR_JSON, "{\"resourceType\": ")).await?;
    expect_issues(reply.expect_refusal()?)?;
    let issue = &reply.body["issue"][0];
    let says = [&issue["diagnostics"], &issue["details"]["text"]]
        .iter()
        .any(|text| text.as_str().is_some_and(|text| text.len() > 5));
    ensure(says, "diagnostics or details.text", issue.to_string())
}

async fn place(visit: &mut Visit) -> Verdict {
    let mut body = visit.tagged(crate::suite::resources::patient("Chalmers"));
    body["birthDate"] = serde_json::json!("the 17th of May");
    let reply = visit.create(Request::new("POST", "Patient").json(&body)).await?;
    if reply.status == 201 {
        return not_applicable("the server takes the resource");
    }
    expect_issues(&reply)?;
    let issues = array(&reply.body["issue"]);
    let names = |issue: &serde_json::Value| issue["expression"].to_string().contains("birthDate");
    ensure(issues.iter().any(names), "an expression with birthDate", reply.body["issue"].to_string())
}

async fn search(visit: &mut Visit) -> Verdict {
    let reply = visit.get("Patient?birthdate=nonsense").await?;
    if reply.status == 200 && reply.body["resourceType"] == "Bundle" {
        return not_applicable("the server answers the search of a date that is none, though it should refuse it");
    }
    ensure((400..600).contains(&reply.status), "a status of 400 to 599", reply.in_short())?;
    expect_issues(&reply)
}
