//! Updating: <https://hl7.org/fhir/R4/http.html#update>, <https://hl7.org/fhir/R4/http.html#upsert> and
//! <https://hl7.org/fhir/R4/http.html#concurrency>.

use serde_json::json;

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::Request;
use crate::suite::resources::{patient, with};
use crate::suite::verdict::{Verdict, ensure, not_applicable};
use crate::suite::visit::Visit;

const UPDATE: &[Need] = needs!("Patient" "create" "read" "update");
const VERSIONS: &[Need] = needs!("Patient" "create" "read" "update"; Need::Versions("Patient"));

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "update.content",
        title: "An update answers 200, and what is read then is what was sent",
        rule: "An update of what exists returns 200 and makes a new current version.",
        section: "http.html#update",
        strength: Strength::Shall,
        needs: UPDATE,
        run: |visit| Box::pin(content(visit)),
    },
    Check {
        id: "update.replaces",
        title: "An update takes away what its body does not have",
        rule: "An update is of the whole resource, not of parts of it.",
        section: "http.html#update",
        strength: Strength::Should,
        needs: UPDATE,
        run: |visit| Box::pin(replaces(visit)),
    },
    Check {
        id: "update.meta",
        title: "An update gives a new versionId and lastUpdated, whatever the body says",
        rule: "The server ignores meta.versionId and meta.lastUpdated of the body and populates them itself.",
        section: "http.html#update",
        strength: Strength::Shall,
        needs: VERSIONS,
        run: |visit| Box::pin(meta(visit)),
    },
    Check {
        id: "update.no-id",
        title: "An update whose body has no id answers 400",
        rule: "If no id element is provided, the server responds with 400.",
        section: "http.html#update",
        strength: Strength::Shall,
        needs: UPDATE,
        run: |visit| Box::pin(no_id(visit)),
    },
    Check {
        id: "update.other-id",
        title: "An update whose body has another id than the URL answers 400",
        rule: "If the id disagrees with the id in the URL, the server responds with 400.",
        section: "http.html#update",
        strength: Strength::Shall,
        needs: UPDATE,
        run: |visit| Box::pin(other_id(visit)),
    },
    Check {
        id: "update.headers",
        title: "An update comes with Last-Modified and with an ETag of the new version",
        rule: "A successful update has a Last-Modified header and an ETag which contains the new versionId.",
        section: "http.html#update",
        strength: Strength::Shall,
        needs: VERSIONS,
        run: |visit| Box::pin(headers(visit)),
    },
    Check {
        id: "update.if-match",
        title: "An update with the current version in If-Match is made, one with an old version answers 412",
        rule: "If the version id in If-Match does not match, the server returns 412 instead of updating the resource.",
        section: "http.html#concurrency",
        strength: Strength::Shall,
        needs: VERSIONS,
        run: |visit| Box::pin(if_match(visit)),
    },
    Check {
        id: "update.creates",
        title: "An update of an id that never was creates it, if the server states updateCreate",
        rule: "If the resource was created, the update returns 201.",
        section: "http.html#upsert",
        strength: Strength::Shall,
        needs: needs!("Patient" "update" "read"; Need::UpdateCreate("Patient")),
        run: |visit| Box::pin(creates(visit)),
    },
    Check {
        id: "update.creates-not",
        title: "An update of an id that never was is refused, if the server does not state updateCreate",
        rule: "405 says that the resource did not exist and the server does not allow ids of clients.",
        section: "http.html#upsert",
        strength: Strength::Shall,
        needs: UPDATE,
        run: |visit| Box::pin(creates_not(visit)),
    },
    Check {
        id: "update.brings-back",
        title: "An update of a deleted resource brings it back",
        rule: "Deleted resources may be brought back by an update; it returns 201.",
        section: "http.html#delete",
        strength: Strength::Should,
        needs: needs!("Patient" "create" "read" "update" "delete"; Need::UpdateCreate("Patient")),
        run: |visit| Box::pin(brings_back(visit)),
    },
];

async fn content(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let changed = with(made.sent.clone(), "birthDate", json!("1990-01-01"));
    visit.send(Visit::update(&made, &changed)).await?.expect(&[200])?;
    let reply = visit.get(&made.reference).await?;
    let date = &reply.expect(&[200])?.expect_resource("Patient")?["birthDate"];
    ensure(date == "1990-01-01", "birthDate 1990-01-01, as the update has it", date.to_string())
}

async fn replaces(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let mut changed = made.sent.clone();
    if let Some(members) = changed.as_object_mut() {
        members.remove("gender");
    }
    visit.send(Visit::update(&made, &changed)).await?.expect(&[200])?;
    let reply = visit.get(&made.reference).await?;
    let gender = &reply.expect(&[200])?.expect_resource("Patient")?["gender"];
    ensure(gender.is_null(), "no gender, which the update did not have", gender.to_string())
}

async fn meta(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let before = visit.get(&made.reference).await?.expect(&[200])?.body["meta"]["versionId"].clone();
    let mut changed = with(made.sent.clone(), "birthDate", json!("1990-01-01"));
    changed["meta"]["versionId"] = json!("4711");
    changed["meta"]["lastUpdated"] = json!("2001-01-01T00:00:00Z");
    visit.send(Visit::update(&made, &changed)).await?.expect(&[200])?;
    let reply = visit.get(&made.reference).await?;
    let meta = &reply.expect(&[200])?.expect_resource("Patient")?["meta"];
    let version = meta["versionId"].as_str().unwrap_or_default();
    let new = !version.is_empty() && version != "4711" && meta["versionId"] != before;
    ensure(new, format!("a versionId of the server's, other than {before}"), format!("{version:?}"))?;
    let updated = meta["lastUpdated"].as_str().unwrap_or_default();
    ensure(
        !updated.is_empty() && !updated.starts_with("2001-"),
        "a lastUpdated of the server's",
        format!("{updated:?}"),
    )
}

async fn no_id(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let body = visit.tagged(patient("Changed"));
    visit.send(Visit::update(&made, &body)).await?.expect(&[400]).map(|_| ())
}

async fn other_id(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let body = with(made.sent.clone(), "id", json!("another"));
    visit.send(Visit::update(&made, &body)).await?.expect(&[400]).map(|_| ())
}

async fn headers(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let changed = with(made.sent.clone(), "birthDate", json!("1990-01-01"));
    let reply = visit.send(Visit::update(&made, &changed)).await?;
    reply.expect(&[200])?.expect_header("last-modified")?;
    let etag = reply.expect_header("etag")?.trim_start_matches("W/").trim_matches('"').to_owned();
    let read = visit.get(&made.reference).await?;
    let version = &read.expect(&[200])?.expect_resource("Patient")?["meta"]["versionId"];
    ensure(*version == etag.as_str(), format!("an ETag with the new versionId {version}"), etag)
}

async fn if_match(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let read = visit.get(&made.reference).await?;
    let first = read.expect(&[200])?.expect_header("etag")?;
    let change =
        |date: &str| Request::new("PUT", &made.reference).json(&with(made.sent.clone(), "birthDate", json!(date)));
    visit.send(change("1990-01-01").header("if-match", first)).await?.expect(&[200])?;
    visit.send(change("1991-01-01").header("if-match", first)).await?.expect(&[412])?;
    let reply = visit.get(&made.reference).await?;
    let date = &reply.expect(&[200])?.body["birthDate"];
    ensure(date == "1990-01-01", "birthDate 1990-01-01: the update that was refused changed nothing", date.to_string())
}

async fn creates(visit: &mut Visit) -> Verdict {
    let id = format!("own-{}", visit.tag);
    let body = with(visit.tagged(patient("Chalmers")), "id", json!(id));
    let reference = format!("Patient/{id}");
    visit.remember("patient", &reference);
    let reply = visit.send(Request::new("PUT", &reference).json(&body)).await?;
    // https://hl7.org/fhir/R4/security.html#AccessDenied
    if reply.status == 404 && visit.has_token() {
        return not_applicable("with this token no id can be chosen, which a server may say with 404");
    }
    reply.expect(&[201])?;
    let reply = visit.get(&reference).await?;
    let read = reply.expect(&[200])?.expect_resource("Patient")?;
    ensure(read["id"] == id.as_str(), format!("the id {id}"), read["id"].to_string())
}

async fn creates_not(visit: &mut Visit) -> Verdict {
    if visit.statement().lacks(Need::UpdateCreate("Patient")).is_none() {
        return not_applicable("the server states updateCreate");
    }
    let id = format!("own-{}", visit.tag);
    let body = with(visit.tagged(patient("Chalmers")), "id", json!(id));
    let reply = visit.send(Request::new("PUT", format!("Patient/{id}")).json(&body)).await?;
    if reply.is_success() {
        visit.remember("patient", &format!("Patient/{id}"));
    }
    reply.expect_refusal().map(|_| ())
}

async fn brings_back(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    ensure(visit.delete(&made.reference).await?.is_success(), "a delete", "it was refused")?;
    visit.get(&made.reference).await?.expect(&[404, 410])?;
    visit.send(Request::new("PUT", &made.reference).json(&made.sent)).await?.expect(&[201, 200])?;
    visit.get(&made.reference).await?.expect(&[200]).map(|_| ())
}
