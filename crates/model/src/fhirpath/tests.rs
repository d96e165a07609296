//! Cases of our own for the whole language, a file per chapter; HL7's suite comes on top (`just fhirpath-suite`).

mod checking;
mod conversion;
mod existence;
mod fhir;
mod filtering;
mod limits;
mod math;
mod operators;
mod strings;
mod utility;

use super::{Element, Environment, Path, PathError, Value};
use crate::{Definitions, json::Document, temporal};

/// What most cases are about.
const PATIENT: &str = r##"{
  "resourceType": "Patient", "id": "p",
  "contained": [{"resourceType": "Organization", "id": "o", "name": "Acme"}],
  "extension": [{"url": "http://example.org/age", "valueAge": {"value": 41, "system": "http://unitsofmeasure.org", "code": "a"}}],
  "active": true,
  "name": [
    {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
    {"use": "usual", "given": ["Jim", null], "_given": [null, {"extension": [{"url": "http://example.org/x", "valueInteger": 5}]}]}
  ],
  "telecom": [{"system": "phone", "value": "1", "rank": 2}, {"system": "email", "value": "a@b", "rank": 1}],
  "gender": "male",
  "birthDate": "1974-12-25",
  "_birthDate": {"id": "b", "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
  "_maritalStatus": null,
  "multipleBirthInteger": 2,
  "managingOrganization": {"reference": "#o"},
  "generalPractitioner": [{"reference": "Practitioner/1"}]
}"##;

/// Checks what an expression gives for the patient above: the items' texts, joined by `, `, or the error.
fn check(expression: &str, expect: &str) {
    check_on(PATIENT, expression, expect);
}

/// The same for another resource.
fn check_on(json: &str, expression: &str, expect: &str) {
    let document = Document::parse(json).unwrap();
    let definitions = Definitions::r4();
    let now = temporal::range("2026-01-02T03:04:05.678Z").unwrap().low;
    let mut environment = Environment::new(definitions).resource(document.root()).at(now);
    environment.define("mine", vec![Value::Integer(7)]);
    let path = Path::parse(expression);
    let result = path.as_ref().map_err(PathError::clone).and_then(|path| {
        path.evaluate(Value::Element(Element::resource(document.root(), definitions.types())), &environment)
    });
    let found = match result {
        Ok(items) => items.iter().map(show).collect::<Vec<_>>().join(", "),
        Err(error) => format!("error: {error}"),
    };
    if let Some(start) = expect.strip_suffix('…') {
        assert!(found.starts_with(start), "{expression} gives {found}");
    } else {
        assert_eq!(found, expect, "{expression}");
    }
}

fn show(item: &Value<'_>) -> String {
    let types = Definitions::r4().types();
    match item.to_text(types) {
        Some(text) => text.into_owned(),
        None => item.element().map_or_else(|| format!("{item:?}"), |element| types[element.type_id()].name.to_string()),
    }
}

#[test]
fn an_element_knows_its_place() {
    let document = Document::parse(PATIENT).unwrap();
    let definitions = Definitions::r4();
    let types = definitions.types();
    let environment = Environment::new(definitions).resource(document.root());
    let path = Path::parse("name[0].given | birthDate | name[1].given[1] | managingOrganization").unwrap();
    let items = path.evaluate(Value::Element(Element::resource(document.root(), types)), &environment).unwrap();
    let elements: Vec<Element<'_>> = items.iter().filter_map(Value::element).collect();
    let raw: Vec<&str> = elements.iter().map(|e| document.at(e.node().position()).raw()).collect();
    assert_eq!(raw[..3], ["\"Peter\"", "\"James\"", "\"1974-12-25\""]);
    assert!(elements[2].value().is_some() && elements[2].extras().is_some_and(|extras| extras.name() == "_birthDate"));
    assert!(elements[3].value().is_none() && elements[3].node().get("extension").is_some());
    assert_eq!(&*types[elements[4].type_id()].name, "Reference");
}

#[test]
fn paths_and_types() {
    check("Patient.name.given", "Peter, James, Jim, string");
    check("name.family", "Chalmers");
    check("Encounter.status", "");
    check("multipleBirth", "2");
    check("multipleBirth is integer", "true");
    check("multipleBirthInteger", "");
    check("extension.value", "41 'a'");
    check("extension.value is Quantity", "true");
    check("birthDate.id", "b");
    check("contained.type().name", "Organization");
    check("gender.type().namespace & '.' & gender.type().name", "FHIR.code");
}
