//! The views of each type, and what they refuse.

use super::*;
use tessera_typed::model::{resources::ObservationValue, types::Coding};

fn code(coding: &[Coding]) -> Option<&str> {
    coding.first()?.code.as_ref()?.value.as_deref()
}

#[test]
fn each_type_has_a_view() {
    let patient: Patient = view(&patient().family("Chalmers").given("Peter").born("1974-12-25").build()).unwrap();
    assert_eq!(patient.name[0].given[0].value.as_deref(), Some("Peter"));
    assert_eq!(patient.birth_date.unwrap().value.as_deref(), Some("1974-12-25"));

    let condition: Condition = view(&condition().code(SNOMED, "44054006", "Diabetes").build()).unwrap();
    assert_eq!(code(&condition.code.unwrap().coding), Some("44054006"));

    let statement: MedicationStatement = view(&medication_statement().status("stopped").build()).unwrap();
    assert_eq!(statement.status.value.as_deref(), Some("stopped"));

    let allergy: AllergyIntolerance = view(&allergy_intolerance().criticality("high").build()).unwrap();
    assert_eq!(allergy.criticality.unwrap().value.as_deref(), Some("high"));

    let observation: Observation = view(&observation().quantity("70.50", "kg").build()).unwrap();
    let Some(ObservationValue::Quantity(quantity)) = observation.value else { panic!("{:?}", observation.value) };
    assert_eq!(quantity.value.unwrap().value.as_deref(), Some("70.50"));
}

#[test]
fn a_changed_view_becomes_a_resource_again() {
    let mut view: Patient = view(&patient().family("Chalmers").build()).unwrap();
    view.gender = Some("male".into());
    let written = view.to_resource(Definitions::r4()).unwrap();
    assert_eq!(written.node().get_str("gender").as_deref(), Some("male"));
}

#[test]
fn a_view_changed_for_the_worse_becomes_none() {
    let mut view: Patient = view(&patient().family("Chalmers").build()).unwrap();
    view.birth_date = Some("last winter".into());
    let error = view.to_resource(Definitions::r4()).unwrap_err().to_string();
    assert!(error.contains("(Patient.birthDate)"), "{error}");
}

#[test]
fn another_type_is_refused() {
    let error = view::<Patient>(&condition().build()).unwrap_err();
    assert_eq!(error.to_string(), "expected Patient, found Condition");
}

/// What fhirbolt alone panics on, never ends with, or accepts and so changes.
#[test]
fn what_validation_finds_never_reaches_the_model() {
    let check = |json: Value, place: &str| match view::<Patient>(&json) {
        Err(Error::Invalid(issues)) => {
            assert!(issues.iter().any(|issue| issue.expression == [place]), "{json}: {issues:?}");
        }
        other => panic!("{json}: {other:?}"),
    };
    check(patient().set("name", json!([])).build(), "Patient.name");
    check(patient().set("name.0.given", json!([])).build(), "Patient.name[0].given");
    check(
        patient().set("contained", json!([{ "resourceType": "Organization", "name": [] }])).build(),
        "Patient.contained[0].name",
    );
    check(patient().set("foo", json!(["x"])).build(), "Patient.foo");
    check(patient().set("name.0.famly", json!(["x"])).build(), "Patient.name[0].famly");
    check(patient().set("gender", json!(["male"])).build(), "Patient.gender");
    check(patient().set("name", json!({ "family": "Chalmers" })).build(), "Patient.name");
    check(patient().set("active", "true").build(), "Patient.active");
    check(patient().born("1974-13-45").build(), "Patient.birthDate");
    check(
        patient().set("name.0.given", json!(["a", "b"])).set("name.0._given", json!([null])).build(),
        "Patient.name[0].given",
    );
    // Beside a `_id` fhirbolt would forget the id.
    check(patient().id("p").set("_id.id", "x").build(), "Patient.id");
    let contained = json!([{ "resourceType": "Organization", "id": "o", "_id": { "id": "x" } }]);
    check(patient().set("contained", contained).managing_organization("#o").build(), "Patient.contained[0].id");
}

/// fhirbolt reads by recursion, with large frames; our own limit of the depth keeps it within a thread's stack.
#[test]
fn the_deepest_resource_fits_into_the_stack() {
    let mut extension = json!({ "url": "http://example.org/e", "valueBoolean": true });
    let mut deepest = None;
    loop {
        let patient = patient().set("extension", json!([extension])).json();
        let Ok(resource) = Resource::parse(patient, Definitions::r4()) else { break };
        deepest = Some(resource);
        extension = json!({ "url": "http://example.org/e", "extension": [extension] });
    }
    let deepest = deepest.unwrap();
    let view = Patient::from_resource(&deepest, Definitions::r4()).unwrap();
    let again = view.to_resource(Definitions::r4()).unwrap();
    assert_eq!(again.node().raw(), deepest.node().raw());
}
