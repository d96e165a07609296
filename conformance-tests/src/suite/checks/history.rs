//! Histories: <https://hl7.org/fhir/R4/http.html#history>

use serde_json::{Value, json};

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::{entries, escape};
use crate::suite::resources::with;
use crate::suite::verdict::{Verdict, ensure, failed};
use crate::suite::visit::{Made, Visit};

/// What was just made is not farther back than so many pages.
const PAGES_MAX: usize = 20;

const INSTANCE: &[Need] = needs!("Patient" "create" "update" "history-instance");

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "history.instance",
        title: "The history of a resource has its versions, the newest first",
        rule: "A history is a Bundle of the type history, sorted with the oldest versions last.",
        section: "http.html#history",
        strength: Strength::Shall,
        needs: INSTANCE,
        run: |visit| Box::pin(instance(visit)),
    },
    Check {
        id: "history.requests",
        title: "Each entry of a history says which request made the version",
        rule: "Each entry has a resource, or a request with its method; one of PUT or POST has a resource.",
        section: "http.html#history",
        strength: Strength::Shall,
        needs: INSTANCE,
        run: |visit| Box::pin(requests(visit)),
    },
    Check {
        id: "history.delete",
        title: "A deletion is the newest entry of a history, with the method DELETE and no resource",
        rule: "A history includes deleted resources; a delete has no resource and the method DELETE.",
        section: "http.html#history",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "delete" "history-instance"),
        run: |visit| Box::pin(deletion(visit)),
    },
    Check {
        id: "history.count",
        title: "A history with _count has no more entries on a page",
        rule: "_count is the maximum of entries on a page; the server cannot return more.",
        section: "http.html#history",
        strength: Strength::Shall,
        needs: INSTANCE,
        run: |visit| Box::pin(count(visit)),
    },
    Check {
        id: "history.since",
        title: "A history with _since has what was made at that time and later",
        rule: "_since includes only versions that were created at or after the instant.",
        section: "http.html#history",
        strength: Strength::Shall,
        needs: INSTANCE,
        run: |visit| Box::pin(since(visit)),
    },
    Check {
        id: "history.type",
        title: "The history of a type has what was just made",
        rule: "GET [base]/[type]/_history retrieves the history of all resources of the type.",
        section: "http.html#history",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "read" "history-type"),
        run: |visit| Box::pin(recent(visit, "Patient/_history")),
    },
    Check {
        id: "history.system",
        title: "The history of the whole server has what was just made",
        rule: "GET [base]/_history retrieves the history of all resources.",
        section: "http.html#history",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "read"; Need::System("history-system")),
        run: |visit| Box::pin(recent(visit, "_history")),
    },
    Check {
        id: "history.unknown",
        title: "The history of an id that never was answers 404",
        rule: "If a history is not available, the server should return 404 with an OperationOutcome.",
        section: "http.html#history",
        strength: Strength::Should,
        needs: INSTANCE,
        run: |visit| Box::pin(unknown(visit)),
    },
];

/// A patient with two versions.
async fn updated(visit: &mut Visit) -> Verdict<Made> {
    let made = visit.patient().await?;
    let changed = with(made.sent.clone(), "birthDate", json!("1990-01-01"));
    visit.send(Visit::update(&made, &changed)).await?.expect(&[200])?;
    Ok(made)
}

/// The entries of a history.
async fn history(visit: &mut Visit, url: &str) -> Verdict<Vec<Value>> {
    let reply = visit.get(url).await?;
    Ok(entries(reply.expect_bundle("history")?).to_vec())
}

fn dates(entries: &[Value]) -> String {
    let dates = entries.iter().map(|entry| entry["resource"]["birthDate"].as_str().unwrap_or("none"));
    dates.collect::<Vec<_>>().join(", ")
}

async fn instance(visit: &mut Visit) -> Verdict {
    let made = updated(visit).await?;
    let entries = history(visit, &format!("{}/_history", made.reference)).await?;
    let dates = dates(&entries);
    ensure(dates == "1990-01-01, 1980-05-17", "two versions with the birthDates 1990-01-01, 1980-05-17", dates.clone())
}

async fn requests(visit: &mut Visit) -> Verdict {
    let made = updated(visit).await?;
    let entries = history(visit, &format!("{}/_history", made.reference)).await?;
    ensure(entries.len() == 2, "two entries", entries.len().to_string())?;
    for (entry, expected) in entries.iter().zip(["PUT", "POST"]) {
        // A server may have only the resource.
        let method = entry["request"]["method"].as_str();
        let right = method.is_none_or(|method| method == expected);
        ensure(right, format!("the method {expected}"), format!("{method:?}"))?;
        ensure(entry["resource"]["resourceType"] == "Patient", "a resource in each entry", entry.to_string())?;
    }
    Ok(())
}

async fn deletion(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    ensure(visit.delete(&made.reference).await?.is_success(), "a delete", "it was refused")?;
    let entries = history(visit, &format!("{}/_history", made.reference)).await?;
    ensure(entries.len() == 2, "two entries", entries.len().to_string())?;
    let method = &entries[0]["request"]["method"];
    ensure(method == "DELETE", "the method DELETE in the first entry", method.to_string())?;
    ensure(entries[0]["resource"].is_null(), "no resource in it", entries[0]["resource"].to_string())
}

async fn count(visit: &mut Visit) -> Verdict {
    let made = updated(visit).await?;
    let entries = history(visit, &format!("{}/_history?_count=1", made.reference)).await?;
    let dates = dates(&entries);
    ensure(dates == "1990-01-01", "the newest version alone", format!("the birthDates {dates}"))
}

async fn since(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    // Servers need not know the time more precisely than to a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let changed = with(made.sent.clone(), "birthDate", json!("1990-01-01"));
    visit.send(Visit::update(&made, &changed)).await?.expect(&[200])?;
    let all = history(visit, &format!("{}/_history", made.reference)).await?;
    let newest = all.first().and_then(|entry| entry["resource"]["meta"]["lastUpdated"].as_str()).unwrap_or_default();
    ensure(!newest.is_empty(), "meta.lastUpdated in the newest version", "none")?;
    let url = format!("{}/_history?_since={}", made.reference, escape(newest));
    let dates = dates(&history(visit, &url).await?);
    ensure(dates == "1990-01-01", "the newest version alone", format!("the birthDates {dates}"))
}

async fn recent(visit: &mut Visit, url: &str) -> Verdict {
    let made = visit.patient().await?;
    let read = visit.get(&made.reference).await?;
    let since = read.expect(&[200])?.body["meta"]["lastUpdated"].as_str().unwrap_or_default().to_owned();
    ensure(!since.is_empty(), "meta.lastUpdated", "none")?;
    // Others may write at the same time.
    let mut next = Some(format!("{url}?_since={}&_count=100", escape(&since)));
    for _ in 0..PAGES_MAX {
        let Some(url) = next else { break };
        let page = visit.get(&url).await?;
        let has = |entry: &Value| {
            entry["resource"]["resourceType"] == "Patient" && entry["resource"]["id"] == made.id.as_str()
        };
        if entries(page.expect_bundle("history")?).iter().any(has) {
            return Ok(());
        }
        next = page.link("next").map(ToOwned::to_owned);
    }
    failed(format!("{} in the history since {since}", made.reference), "it is not there")
}

async fn unknown(visit: &mut Visit) -> Verdict {
    let reply = visit.get(&format!("Patient/{}/_history", visit.tag)).await?;
    reply.expect(&[404]).map(|_| ())
}
