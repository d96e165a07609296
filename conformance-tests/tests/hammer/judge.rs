//! What is wrong with an answer.

use serde_json::Value;

use crate::wire::{Reply, Request};

/// Whether an answer is what FHIR wants it to be; else the reason.
pub(crate) fn judge(request: &Request, reply: &Reply, base: &str) -> Result<(), String> {
    let status = reply.status;
    if status >= 500 && status != 501 {
        return Err("the server has failed".to_owned());
    }
    if status == 405 && reply.header("allow").is_none() {
        return Err("405 without Allow".to_owned());
    }
    if status == 201 && !reply.header("location").is_some_and(|location| location.starts_with(base)) {
        return Err("201 without the Location".to_owned());
    }
    if request.method == "HEAD" || matches!(status, 204 | 304) {
        return if reply.body.is_empty() { Ok(()) } else { Err("there should be no body".to_owned()) };
    }
    if reply.body.is_empty() {
        // The answer comes later: https://hl7.org/fhir/R4/async.html
        let later = status == 202 && reply.header("content-location").is_some_and(|at| at.starts_with(base));
        let may = later || status < 300 && !matches!(request.method, "GET");
        return if may { Ok(()) } else { Err("there is no body".to_owned()) };
    }
    if reply.header("content-encoding").is_some() {
        return Ok(());
    }
    // The content of a Binary comes in its own type; the read of one says so.
    let content_type = reply.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if status < 300 && request.path.contains("/Binary/") && !media_type.contains("fhir") {
        return Ok(());
    }
    match media_type {
        "application/fhir+json" => judge_json(reply, status),
        "application/fhir+xml" => judge_xml(reply, status),
        _ => Err(format!("the Content-Type is {content_type:?}")),
    }
}

fn judge_json(reply: &Reply, status: u16) -> Result<(), String> {
    let body: Value = serde_json::from_slice(&reply.body).map_err(|error| format!("this is no JSON: {error}"))?;
    let resource_type = body["resourceType"].as_str().ok_or("this is no resource")?;
    if let Some(empty) = empty(&body) {
        return Err(format!("{empty} is empty"));
    }
    if status < 300 {
        return Ok(());
    }
    let issues = body["issue"].as_array().filter(|_| resource_type == "OperationOutcome");
    let issues = issues.ok_or("an error without an OperationOutcome")?;
    let whole =
        |issue: &Value| issue["severity"].is_string() && issue["code"].is_string() && issue["diagnostics"].is_string();
    if issues.iter().all(whole) { Ok(()) } else { Err("an issue that says too little".to_owned()) }
}

fn judge_xml(reply: &Reply, status: u16) -> Result<(), String> {
    let body = std::str::from_utf8(&reply.body).map_err(|_| "this is no UTF-8")?;
    let body = body.trim_start_matches('\u{feff}').trim_start();
    let body = if body.starts_with("<?xml") { body.split_once("?>").map_or("", |(_, rest)| rest).trim() } else { body };
    if !body.starts_with('<') || !body.contains("xmlns=\"http://hl7.org/fhir\"") {
        return Err("this is no resource".to_owned());
    }
    if status >= 300 && !body.starts_with("<OperationOutcome") {
        return Err("an error without an OperationOutcome".to_owned());
    }
    Ok(())
}

/// The first member that is an empty text, array or object: JSON of FHIR has none.
/// <https://hl7.org/fhir/R4/json.html>
fn empty(value: &Value) -> Option<String> {
    let within = |(name, value): (String, &Value)| match value {
        Value::String(text) if text.is_empty() => Some(name),
        Value::Array(items) if items.is_empty() => Some(name),
        Value::Object(members) if members.is_empty() => Some(name),
        _ => empty(value).map(|rest| format!("{name}.{rest}")),
    };
    match value {
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).find_map(within),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).find_map(within),
        _ => None,
    }
}

/// The URL of the next page.
pub(crate) fn next_page(reply: &Reply) -> Option<String> {
    let body: Value = serde_json::from_slice(&reply.body).ok().filter(|_| reply.status == 200)?;
    let link = body["link"].as_array()?.iter().find(|link| link["relation"] == "next")?;
    link["url"].as_str().map(str::to_owned)
}
