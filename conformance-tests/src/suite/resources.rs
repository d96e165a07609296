//! The data that checks make: resources with as little in them as is valid.

use serde_json::{Value, json};

/// The system of codes that are made up.
pub(crate) const CODES: &str = "https://example.org/conformance/codes";
/// The system of identifiers and tags.
pub(crate) const SYSTEM: &str = "https://example.org/conformance";

pub(crate) fn patient(family: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "active": true,
        "name": [{"family": family, "given": ["Ada"]}],
        "gender": "female",
        "birthDate": "1980-05-17",
    })
}

pub(crate) fn observation(subject: &str) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "code": coding("http://loinc.org", "29463-7"),
        "subject": {"reference": subject},
        "effectiveDateTime": "2020-03-01T10:00:00Z",
    })
}

/// An observation with a value in kilograms, written with these digits.
pub(crate) fn weight(subject: &str, digits: &str) -> Value {
    let number: Value = serde_json::from_str(digits).unwrap_or(Value::Null);
    with(
        observation(subject),
        "valueQuantity",
        json!({
            "value": number, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg",
        }),
    )
}

pub(crate) fn condition(subject: &str) -> Value {
    json!({
        "resourceType": "Condition",
        "clinicalStatus": coding("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "verificationStatus": coding("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
        "code": coding("http://snomed.info/sct", "44054006"),
        "subject": {"reference": subject},
    })
}

pub(crate) fn medication_statement(subject: &str) -> Value {
    json!({
        "resourceType": "MedicationStatement",
        "status": "active",
        "medicationCodeableConcept": coding("http://www.nlm.nih.gov/research/umls/rxnorm", "860975"),
        "subject": {"reference": subject},
    })
}

pub(crate) fn allergy(subject: &str) -> Value {
    json!({
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": coding("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active"),
        "verificationStatus": coding("http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "confirmed"),
        "code": coding("http://snomed.info/sct", "91936005"),
        "patient": {"reference": subject},
    })
}

/// A CodeableConcept of one code.
pub(crate) fn coding(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

/// The resource with another value of an element.
pub(crate) fn with(mut resource: Value, element: &str, value: Value) -> Value {
    resource[element] = value;
    resource
}

/// A Bundle that is sent.
pub(crate) fn bundle(bundle_type: &str, entries: &[Value]) -> Value {
    json!({"resourceType": "Bundle", "type": bundle_type, "entry": entries})
}

/// An entry of such a Bundle; the resource may be null.
pub(crate) fn entry(method: &str, url: &str, resource: &Value) -> Value {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if !resource.is_null() {
        entry["resource"] = resource.clone();
    }
    entry
}
