//! What the views show and refuse, and what fhirbolt says of our own reading and writing of JSON.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod oracle;
mod views;

use serde_json::{Value, json};
use tessera_fixtures::{
    allergy_intolerance,
    builders::datatypes::{LOINC, RXNORM, SNOMED, identifier, reference},
    condition, medication_statement, observation, patient,
};
use tessera_model::{Definitions, Resource};
use tessera_typed::{AllergyIntolerance, Condition, Error, MedicationStatement, Observation, Patient, TypedView};

fn resource(json: &Value) -> Resource {
    Resource::parse(json.to_string(), Definitions::r4()).unwrap()
}

fn view<T: TypedView>(json: &Value) -> Result<T, Error> {
    T::from_resource(&resource(json), Definitions::r4())
}

/// The resource read into the typed model and written by it; `None` if it is of none of the five types.
fn round_trip(resource: &Resource) -> Option<Result<Resource, Error>> {
    fn through<T: TypedView>(resource: &Resource) -> Result<Resource, Error> {
        T::from_resource(resource, Definitions::r4())?.to_resource(Definitions::r4())
    }
    let through = match resource.resource_type().name() {
        AllergyIntolerance::RESOURCE_TYPE => through::<AllergyIntolerance>,
        Condition::RESOURCE_TYPE => through::<Condition>,
        MedicationStatement::RESOURCE_TYPE => through::<MedicationStatement>,
        Observation::RESOURCE_TYPE => through::<Observation>,
        Patient::RESOURCE_TYPE => through::<Patient>,
        _ => return None,
    };
    Some(through(resource))
}

/// One or more of each type, with what is easily lost: digits, extensions of primitives, arrays with holes, contained
/// resources, choices, escapes, narrative.
fn examples() -> Vec<Value> {
    let absent = json!({ "extension": [{ "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked" }] });
    vec![
        patient()
            .id("p1")
            .set("meta", json!({ "profile": ["http://example.org/p"], "tag": [{ "system": "http://example.org/t", "code": "x" }] }))
            .set("text", json!({ "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">by <a href=\"#o\">him</a> \u{e9}\n</div>" }))
            .set("contained", json!([{ "resourceType": "Organization", "id": "o", "name": "Maasstad" }]))
            .identifier("http://example.org/mrn", "1 2\t\"3\"")
            .active(true)
            .family("Chalmers")
            .given("Peter")
            .set("name.0.given.1", Value::Null)
            .set("name.0._given", json!([null, absent]))
            .phone("+31 10 1234567")
            .gender("male")
            .born("1974-12")
            .set("_birthDate", json!({ "id": "b", "extension": [{ "url": "http://example.org/e", "valueInstant": "1974-12-25T14:35:45.123+01:00" }] }))
            .address("Maasstadweg 21", "3079 DZ", "Rotterdam", "NL")
            .managing_organization("#o")
            .set("multipleBirthInteger", 2)
            .build(),
        condition()
            .category("problem-list-item")
            .set("onsetAge", json!({ "value": 52, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a" }))
            .recorded("2012-08-24T00:00:00Z")
            .set("stage", json!([{ "summary": { "text": "II" } }]))
            .set("note", json!([{ "authorReference": reference("Practitioner/1"), "text": "line 1\nline 2" }]))
            .build(),
        condition().onset("2012").abatement("2013-03-01").build(),
        medication_statement()
            .medication(RXNORM, "860975", "Metformin")
            .effective_period("2019-01-31", None)
            .set("identifier", json!([identifier("urn:oid:1.2.3", "7")]))
            .set(
                "dosage",
                json!([{
                    "text": "twice a day",
                    "timing": { "repeat": { "boundsPeriod": { "start": "2019" }, "frequency": 2, "period": 1.0, "periodUnit": "d", "when": ["MORN"], "timeOfDay": ["08:00:00"] } },
                    "asNeededBoolean": false,
                    "doseAndRate": [{ "doseQuantity": { "value": 1e2, "unit": "mg" } }],
                }]),
            )
            .build(),
        medication_statement().medication_reference("Medication/7").build(),
        allergy_intolerance()
            .allergy_type("allergy")
            .category("food")
            .set("category.1", Value::Null)
            .set("_category", json!([null, absent]))
            .criticality("high")
            .onset("2004-02-29")
            .reaction(SNOMED, "271807003", "Eruption of skin", "mild")
            .build(),
        observation()
            .category("vital-signs")
            .code(LOINC, "85354-9", "Blood pressure")
            .subject("Patient/p1")
            .effective("2026-01-01T12:00:00.000+02:00")
            .issued("2026-01-01T12:00:00.000+02:00")
            .component(LOINC, "8480-6", "Systolic", "1.20E+2", "mm[Hg]")
            .component(LOINC, "8462-4", "Diastolic", "80.00", "mm[Hg]")
            .set("referenceRange", json!([{ "low": { "value": -0.0 }, "text": "a \\ b" }]))
            .build(),
        observation().quantity("0.000000000000000000000000000001", "kg").build(),
        observation().quantity("123456789012345678901234567890.10", "kg").build(),
        observation().set("valueSampledData", json!({ "origin": { "value": 0 }, "period": 10, "dimensions": 1, "data": "E 1 U" })).build(),
        observation().set("valueTime", "13:01:00").set("_status", absent).without("status").build(),
    ]
}
