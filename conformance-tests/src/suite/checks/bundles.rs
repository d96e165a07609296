//! Batches and transactions: <https://hl7.org/fhir/R4/http.html#transaction>

use serde_json::{Value, json};

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::{Reply, id_in};
use crate::suite::resources::{SYSTEM, bundle, entry, observation, patient, with};
use crate::suite::verdict::{Verdict, ensure, failed};
use crate::suite::visit::Visit;

const BATCH: &[Need] = needs!("Patient" "create" "read"; Need::System("batch"));
const TRANSACTION: &[Need] = needs!(
    "Patient" "create" "read" "search-type";
    Need::System("transaction"), Need::Parameter("Patient", "identifier")
);
const WITH_OBSERVATION: &[Need] = needs!(
    "Patient" "create", "Observation" "create" "read";
    Need::System("transaction"), Need::Parameter("Patient", "identifier")
);
const UPDATES: &[Need] = needs!("Patient" "create" "read" "update" "delete"; Need::System("transaction"));

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "batch.independent",
        title: "One entry of a batch can fail while the others succeed",
        rule: "A batch is answered 200, whatever becomes of its entries; each has a status of its own, in the same order.",
        section: "http.html#brules",
        strength: Strength::Shall,
        needs: BATCH,
        run: |visit| Box::pin(independent(visit)),
    },
    Check {
        id: "batch.reads",
        title: "A batch reads and searches",
        rule: "Entries may be any interaction; the answer's entry has the resource that it returns.",
        section: "http.html#transaction",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create" "read" "search-type";
            Need::System("batch"), Need::Parameter("Patient", "identifier")
        ),
        run: |visit| Box::pin(reads(visit)),
    },
    Check {
        id: "transaction.response",
        title: "A transaction answers an entry for each entry, in the same order, with status and location",
        rule: "The server returns a Bundle of the type transaction-response with one entry for each entry of the request.",
        section: "http.html#transaction-response",
        strength: Strength::Shall,
        needs: TRANSACTION,
        run: |visit| Box::pin(response(visit)),
    },
    Check {
        id: "transaction.atomic",
        title: "A transaction of which one entry fails changes nothing",
        rule: "Servers accept all actions, or reject all and return a status of 400 or 500.",
        section: "http.html#trules",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create" "search-type" "update";
            Need::System("transaction"), Need::Parameter("Patient", "identifier")
        ),
        run: |visit| Box::pin(atomic(visit)),
    },
    Check {
        id: "transaction.outcome",
        title: "A transaction that fails answers with an OperationOutcome",
        rule: "For a failed transaction, the server returns a single OperationOutcome instead of a Bundle.",
        section: "http.html#transaction-response",
        strength: Strength::Shall,
        needs: &[Need::System("transaction"), Need::Interaction("Patient", "update")],
        run: |visit| Box::pin(outcome(visit)),
    },
    Check {
        id: "transaction.references",
        title: "References to resources of the transaction become references to what was created",
        rule: "When the server assigns an id to a resource of a POST, it updates any reference to it in the Bundle.",
        section: "http.html#trules",
        strength: Strength::Shall,
        needs: WITH_OBSERVATION,
        run: |visit| Box::pin(references(visit)),
    },
    Check {
        id: "transaction.conditional-reference",
        title: "A search in place of a reference becomes a reference to the one match",
        rule: "If there is a single match, the server replaces the search URI with a reference to the resource.",
        section: "http.html#trules",
        strength: Strength::Shall,
        needs: WITH_OBSERVATION,
        run: |visit| Box::pin(conditional_reference(visit)),
    },
    Check {
        id: "transaction.conditional-reference-none",
        title: "A transaction with a search in place of a reference that matches nothing fails",
        rule: "If there are no matches, or several, the transaction fails.",
        section: "http.html#trules",
        strength: Strength::Shall,
        needs: WITH_OBSERVATION,
        run: |visit| Box::pin(conditional_reference_none(visit)),
    },
    Check {
        id: "transaction.conditional-create",
        title: "An entry with ifNoneExist that matches creates nothing, and references lead to the match",
        rule: "ifNoneExist is the conditional create of an entry.",
        section: "http.html#ccreate",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create", "Observation" "create" "read";
            Need::System("transaction"), Need::Parameter("Patient", "identifier"), Need::ConditionalCreate("Patient")
        ),
        run: |visit| Box::pin(conditional_create(visit)),
    },
    Check {
        id: "transaction.mixed",
        title: "A transaction creates, updates, deletes and reads",
        rule: "DELETE, POST, PUT and GET are processed in this order, whatever the order of the entries.",
        section: "http.html#trules",
        strength: Strength::Shall,
        needs: UPDATES,
        run: |visit| Box::pin(mixed(visit)),
    },
    Check {
        id: "transaction.same-resource",
        title: "A transaction that changes a resource twice fails",
        rule: "If any resource identities overlap, the transaction fails.",
        section: "http.html#trules",
        strength: Strength::Shall,
        needs: UPDATES,
        run: |visit| Box::pin(same_resource(visit)),
    },
    Check {
        id: "transaction.if-match",
        title: "A transaction with an old version in ifMatch fails",
        rule: "The actions are subject to the processing of each, version-aware updates included.",
        section: "http.html#transaction",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "read" "update"; Need::System("transaction"), Need::Versions("Patient")),
        run: |visit| Box::pin(if_match(visit)),
    },
];

/// Sends a Bundle; what it makes is taken away.
async fn send(visit: &mut Visit, bundle_type: &str, entries: &[Value]) -> Verdict<Reply> {
    let reply = visit.post("", &bundle(bundle_type, entries)).await?;
    visit.remember_bundle(&reply);
    Ok(reply)
}

/// The status of an entry of an answer.
fn status(reply: &Reply, index: usize) -> &str {
    let status = reply.entries().get(index).and_then(|entry| entry["response"]["status"].as_str());
    status.unwrap_or("none").split(' ').next().unwrap_or("none")
}

fn expect_status(reply: &Reply, index: usize, begins: &str) -> Verdict {
    let status = status(reply, index);
    ensure(status.starts_with(begins), format!("the status {begins} of entry {index}"), status)
}

/// Fails unless there are as many entries as were sent.
fn expect_entries(reply: &Reply, bundle_type: &str, count: usize) -> Verdict {
    reply.expect_bundle(bundle_type)?;
    ensure(reply.entries().len() == count, format!("{count} entries"), reply.entries().len().to_string())
}

/// The id that an entry of the answer says.
fn id(reply: &Reply, index: usize, resource_type: &str) -> Verdict<String> {
    let entry = reply.entries().get(index).cloned().unwrap_or_default();
    let location = entry["response"]["location"].as_str().unwrap_or_default();
    id_in(location, resource_type)
        .map_or_else(|| failed(format!("a location {resource_type}/[id]"), entry.to_string()), Ok)
}

/// An update with a body of another type and another id, and without what is mandatory: no server can do it.
fn impossible(visit: &Visit) -> Value {
    entry("PUT", &format!("Patient/{}", visit.tag), &json!({"resourceType": "Observation", "id": "another"}))
}

async fn independent(visit: &mut Visit) -> Verdict {
    let good = entry("POST", "Patient", &visit.tagged(patient("Chalmers")));
    let unknown = entry("GET", &format!("Patient/{}", visit.tag), &Value::Null);
    let reply = send(visit, "batch", &[good, unknown]).await?;
    expect_entries(&reply, "batch-response", 2)?;
    expect_status(&reply, 0, "201")?;
    expect_status(&reply, 1, "404")?;
    let id = id(&reply, 0, "Patient")?;
    visit.get(&format!("Patient/{id}")).await?.expect(&[200]).map(|_| ())
}

async fn reads(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let read = entry("GET", &made.reference, &Value::Null);
    let search = entry("GET", &visit.within("Patient")?.replace('|', "%7C"), &Value::Null);
    let reply = send(visit, "batch", &[read, search]).await?;
    expect_entries(&reply, "batch-response", 2)?;
    expect_status(&reply, 0, "200")?;
    expect_status(&reply, 1, "200")?;
    let (read, found) = (&reply.entries()[0]["resource"], &reply.entries()[1]["resource"]);
    ensure(read["id"] == made.id.as_str(), format!("the patient {}", made.id), read["id"].to_string())?;
    let right = found["type"] == "searchset" && found["entry"][0]["resource"]["id"] == made.id.as_str();
    ensure(right, "a searchset with the patient", found.to_string())
}

async fn response(visit: &mut Visit) -> Verdict {
    let entries = [
        entry("POST", "Patient", &visit.tagged(patient("Lovelace"))),
        entry("POST", "Patient", &visit.tagged(patient("Hopper"))),
    ];
    let reply = send(visit, "transaction", &entries).await?;
    expect_entries(&reply, "transaction-response", 2)?;
    for (index, family) in ["Lovelace", "Hopper"].iter().enumerate() {
        expect_status(&reply, index, "201")?;
        let id = id(&reply, index, "Patient")?;
        let read = visit.get(&format!("Patient/{id}")).await?;
        let came = &read.expect(&[200])?.expect_resource("Patient")?["name"][0]["family"];
        ensure(came == family, format!("the family name {family}"), came.to_string())?;
    }
    Ok(())
}

async fn atomic(visit: &mut Visit) -> Verdict {
    visit.patient().await?;
    let good = entry("POST", "Patient", &visit.tagged(patient("Lovelace")));
    let bad = impossible(visit);
    let reply = send(visit, "transaction", &[good, bad]).await?;
    ensure(reply.status >= 400, "a status of 400 or more", reply.in_short())?;
    visit.finds("Patient", "patient").await
}

async fn outcome(visit: &mut Visit) -> Verdict {
    let bad = impossible(visit);
    let reply = send(visit, "transaction", &[bad]).await?;
    ensure(reply.status >= 400, "a status of 400 or more", reply.in_short())?;
    reply.expect_outcome().map(|_| ())
}

/// What the observation of a transaction refers to.
async fn subject(visit: &mut Visit, reply: &Reply, index: usize) -> Verdict<String> {
    let id = id(reply, index, "Observation")?;
    let read = visit.get(&format!("Observation/{id}")).await?;
    let subject = &read.expect(&[200])?.expect_resource("Observation")?["subject"]["reference"];
    Ok(subject.as_str().unwrap_or("none").to_owned())
}

async fn references(visit: &mut Visit) -> Verdict {
    let uuid = visit.uuid();
    let mut made = entry("POST", "Patient", &visit.tagged(patient("Lovelace")));
    made["fullUrl"] = json!(uuid);
    // The order of the entries makes no difference.
    let entries = [entry("POST", "Observation", &visit.tagged(observation(&uuid))), made];
    let reply = send(visit, "transaction", &entries).await?;
    expect_entries(&reply, "transaction-response", 2)?;
    let id = id(&reply, 1, "Patient")?;
    let subject = subject(visit, &reply, 0).await?;
    ensure(subject.ends_with(&format!("Patient/{id}")), format!("a reference to Patient/{id}"), subject)
}

/// A search that finds what has the tag of this check as its identifier.
fn search(visit: &Visit) -> String {
    format!("Patient?identifier={SYSTEM}|{}", visit.tag)
}

async fn conditional_reference(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let entries = [entry("POST", "Observation", &visit.tagged(observation(&search(visit))))];
    let reply = send(visit, "transaction", &entries).await?;
    expect_entries(&reply, "transaction-response", 1)?;
    let subject = subject(visit, &reply, 0).await?;
    ensure(subject.ends_with(&made.reference), format!("a reference to {}", made.reference), subject)
}

async fn conditional_reference_none(visit: &mut Visit) -> Verdict {
    let entries = [entry("POST", "Observation", &visit.tagged(observation(&search(visit))))];
    let reply = send(visit, "transaction", &entries).await?;
    ensure(reply.status >= 400, "a status of 400 or more", reply.in_short())
}

async fn conditional_create(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let uuid = visit.uuid();
    let mut conditional = entry("POST", "Patient", &visit.tagged(patient("Chalmers")));
    conditional["fullUrl"] = json!(uuid);
    conditional["request"]["ifNoneExist"] = json!(format!("identifier={SYSTEM}|{}", visit.tag));
    let entries = [conditional, entry("POST", "Observation", &visit.tagged(observation(&uuid)))];
    let reply = send(visit, "transaction", &entries).await?;
    expect_entries(&reply, "transaction-response", 2)?;
    expect_status(&reply, 0, "200")?;
    let subject = subject(visit, &reply, 1).await?;
    ensure(subject.ends_with(&made.reference), format!("a reference to {}", made.reference), subject)
}

async fn mixed(visit: &mut Visit) -> Verdict {
    let read = visit.add("read", patient("Read")).await?;
    let changed = visit.add("changed", patient("Old")).await?;
    let deleted = visit.add("deleted", patient("Deleted")).await?;
    let entries = [
        entry("GET", &read.reference, &Value::Null),
        entry("PUT", &changed.reference, &with(changed.sent.clone(), "name", json!([{"family": "New"}]))),
        entry("DELETE", &deleted.reference, &Value::Null),
        entry("POST", "Patient", &visit.tagged(patient("Created"))),
    ];
    let reply = send(visit, "transaction", &entries).await?;
    expect_entries(&reply, "transaction-response", 4)?;
    for (index, begins) in ["200", "200", "20", "201"].iter().enumerate() {
        expect_status(&reply, index, begins)?;
    }
    let came = &reply.entries()[0]["resource"]["id"];
    ensure(*came == read.id.as_str(), format!("the patient {} in entry 0", read.id), came.to_string())?;
    visit.get(&deleted.reference).await?.expect(&[404, 410])?;
    let after = visit.get(&changed.reference).await?;
    let family = &after.expect(&[200])?.body["name"][0]["family"];
    ensure(family == "New", "the family name New after the update", family.to_string())
}

async fn same_resource(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let change = |date: &str| entry("PUT", &made.reference, &with(made.sent.clone(), "birthDate", json!(date)));
    let reply = send(visit, "transaction", &[change("1990-01-01"), change("1991-01-01")]).await?;
    ensure(reply.status >= 400, "a status of 400 or more", reply.in_short())?;
    unchanged(visit, &made.reference).await
}

/// Fails unless the patient is as it was made.
async fn unchanged(visit: &mut Visit, reference: &str) -> Verdict {
    let read = visit.get(reference).await?;
    let date = &read.expect(&[200])?.body["birthDate"];
    ensure(date == "1980-05-17", "birthDate 1980-05-17: nothing has changed", date.to_string())
}

async fn if_match(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let mut change = entry("PUT", &made.reference, &with(made.sent.clone(), "birthDate", json!("1990-01-01")));
    change["request"]["ifMatch"] = json!("W/\"another\"");
    let reply = send(visit, "transaction", &[change]).await?;
    ensure(reply.status >= 400, "a status of 400 or more", reply.in_short())?;
    unchanged(visit, &made.reference).await
}
