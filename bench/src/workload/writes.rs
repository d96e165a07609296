//! Writes. What is created stays: measure on a copy of the data.

use super::data::Data;
use crate::{
    drive::{Turn, Workload},
    server::{Ask, Connection},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;

/// Types that the mix writes, each with the least that it needs.
const MIXED: [&str; 9] = [
    "AllergyIntolerance",
    "Condition",
    "DiagnosticReport",
    "Encounter",
    "Immunization",
    "MedicationRequest",
    "Observation",
    "Patient",
    "Procedure",
];

enum Kind {
    Create,
    Update,
    ConditionalCreate,
    Mix,
    Transaction(usize),
}

struct Write {
    kind: Kind,
    data: Arc<Data>,
}

impl Workload for Write {
    fn name(&self) -> String {
        match self.kind {
            Kind::Create => "create".to_owned(),
            Kind::Update => "update with If-Match".to_owned(),
            Kind::ConditionalCreate => "conditional create".to_owned(),
            Kind::Mix => "mix of create, read, update, delete".to_owned(),
            Kind::Transaction(entries) => format!("transaction of {entries}, per entry"),
        }
    }

    fn turn<'a>(&'a self, connection: &'a Connection, worker: usize, n: u64) -> Turn<'a> {
        let patient = self.data.patient(worker, n);
        match self.kind {
            Kind::Create => Box::pin(async move {
                let ask = Ask::send(Method::POST, "Observation", &observation(patient, n));
                connection.ask(&ask).await.map(|_| 1)
            }),
            Kind::Update => Box::pin(update(connection, patient, n)),
            Kind::ConditionalCreate => Box::pin(async move {
                // Each is there already every other time.
                let value = format!("{worker}-{}", n / 2);
                let mut patient = json!({"resourceType": "Patient", "active": true});
                patient["identifier"] = json!([{"system": "urn:example:bench", "value": value}]);
                let mut ask = Ask::send(Method::POST, "Patient", &patient);
                ask.if_none_exist = Some(format!("identifier=urn:example:bench|{value}"));
                connection.ask(&ask).await.map(|_| 1)
            }),
            Kind::Mix => Box::pin(mix(connection, patient, n)),
            Kind::Transaction(entries) => Box::pin(transaction(connection, patient, n, entries)),
        }
    }
}

pub(super) fn all(data: &Arc<Data>) -> Vec<Arc<dyn Workload>> {
    let kinds = [
        Kind::Create,
        Kind::Update,
        Kind::ConditionalCreate,
        Kind::Mix,
        Kind::Transaction(10),
        Kind::Transaction(100),
        Kind::Transaction(1000),
    ];
    kinds.into_iter().map(|kind| Arc::new(Write { kind, data: data.clone() }) as Arc<dyn Workload>).collect()
}

/// Creates a resource and updates it nine times, so that nine of ten requests are updates.
async fn update(connection: &Connection, patient: &str, n: u64) -> Result<u64, String> {
    let ask = Ask::send(Method::POST, "Observation", &observation(patient, n));
    let created = connection.ask(&ask).await?;
    let id = id_of(created.location.as_deref())?;
    let mut version = created.version;
    for turn in 0..9 {
        let mut changed = observation(patient, n + turn + 1);
        changed["id"] = json!(id);
        let mut ask = Ask::send(Method::PUT, format!("Observation/{id}"), &changed);
        ask.if_match = version;
        version = connection.ask(&ask).await?.version;
    }
    Ok(10)
}

/// A resource's life: created, read, updated, deleted.
async fn mix(connection: &Connection, patient: &str, n: u64) -> Result<u64, String> {
    let name = MIXED[usize::try_from(n).unwrap_or(0) % MIXED.len()];
    let mut resource = of_type(name, patient, n);
    let created = connection.ask(&Ask::send(Method::POST, name, &resource)).await?;
    let id = id_of(created.location.as_deref())?;
    let path = format!("{name}/{id}");
    connection.ask(&Ask::get(&path)).await?;
    resource["id"] = json!(id);
    resource["language"] = json!("en");
    connection.ask(&Ask::send(Method::PUT, &path, &resource)).await?;
    connection.ask(&Ask { method: Method::DELETE, path, ..Ask::default() }).await?;
    Ok(4)
}

async fn transaction(connection: &Connection, patient: &str, n: u64, entries: usize) -> Result<u64, String> {
    let entry =
        |k: u64| json!({"resource": observation(patient, n + k), "request": {"method": "POST", "url": "Observation"}});
    let entries = u64::try_from(entries).unwrap_or(0);
    let entry: Vec<Value> = (0..entries).map(entry).collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entry});
    connection.ask(&Ask::send(Method::POST, "", &bundle)).await.map(|_| entries)
}

/// `[base]/Observation/1/_history/1` is of Observation/1.
fn id_of(location: Option<&str>) -> Result<String, String> {
    let location = location.unwrap_or_default();
    let resource = location.split("/_history/").next().unwrap_or_default();
    match resource.rsplit('/').next() {
        Some(id) if !id.is_empty() => Ok(id.to_owned()),
        _ => Err(format!("no id in the Location {location:?}")),
    }
}

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

fn observation(patient: &str, n: u64) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "category": [concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs")],
        "code": concept("http://loinc.org", "29463-7"),
        "subject": {"reference": format!("Patient/{patient}")},
        "effectiveDateTime": format!("2020-01-{:02}T12:00:00Z", 1 + n % 28),
        "valueQuantity": {"value": 50 + n % 50, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    })
}

fn of_type(name: &str, patient: &str, n: u64) -> Value {
    let subject = json!({"reference": format!("Patient/{patient}")});
    let code = concept("http://snomed.info/sct", "44054006");
    match name {
        "AllergyIntolerance" => json!({"resourceType": name, "patient": subject, "code": code}),
        "Condition" => json!({"resourceType": name, "subject": subject, "code": code}),
        "DiagnosticReport" => json!({"resourceType": name, "status": "final", "subject": subject, "code": code}),
        "Encounter" => json!({
            "resourceType": name, "status": "finished", "subject": subject,
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        }),
        "Immunization" => json!({
            "resourceType": name, "status": "completed", "patient": subject, "vaccineCode": code,
            "occurrenceDateTime": "2020-01-01",
        }),
        "MedicationRequest" => json!({
            "resourceType": name, "status": "active", "intent": "order", "subject": subject,
            "medicationCodeableConcept": code,
        }),
        "Patient" => json!({"resourceType": name, "name": [{"family": format!("Bench{n}")}]}),
        "Procedure" => json!({"resourceType": name, "status": "completed", "subject": subject, "code": code}),
        _ => observation(patient, n),
    }
}
