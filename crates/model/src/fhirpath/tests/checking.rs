//! The check before any data: <http://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation>

use crate::{Definitions, fhirpath::Path};

/// Checks what the check says for an expression on a type.
fn check(of: &str, expression: &str, expect: &str) {
    let types = Definitions::r4().types();
    let found = Path::parse(expression).unwrap().check(types.named(of).unwrap(), types);
    assert_eq!(found.map_or_else(|error| error.to_string(), |()| "right".into()), expect, "{expression}");
}

#[test]
fn unknown_elements_are_found() {
    check("Patient", "name.given", "right");
    check("Patient", "name.given1", "HumanName has no element \"given1\"");
    check("Patient", "name.where(given1 = 'a')", "HumanName has no element \"given1\"");
    check("Patient", "iif(true, name, nmae)", "Patient has no element \"nmae\"");
    check("Patient", "name | nmae", "Patient has no element \"nmae\"");
    check("Patient", "name[nmae]", "Patient has no element \"nmae\"");
    check("Patient", "birthDate.extension.value.code", "right");
    check("Patient", "birthDate.year", "date has no element \"year\"");
    check("Observation", "value.unit", "right");
    check("Observation", "valueQuantity.unit", "Observation has no element \"valueQuantity\"");
    check("Observation", "(value as Period).unit", "Period has no element \"unit\"");
    check("Observation", "value.ofType(Quantity).unit", "right");
    check("Questionnaire", "repeat(item).linkId", "right");
    check("Questionnaire", "repeat(item).nothing", "Questionnaire.item has no element \"nothing\"");
    check("Bundle", "entry.resource.anything", "right");
    check("Bundle", "descendants().anything", "right");
    check("Patient", "managingOrganization.resolve().name", "right");
    check("Patient", "%resource.nmae", "Patient has no element \"nmae\"");
    check("HumanName", "%resource.birthDate and %context.family.exists()", "right");
    check("Patient", "name.first().type().name", "right");
    check("Patient", "1.unit", "System.Integer has no element \"unit\"");
    check("Patient", "1 'mg'.unit", "right");
    check("Patient", "name.select(given).upper()", "right");
}

#[test]
fn types_and_order_too() {
    check("Patient", "Encounter.status", "the expression starts at Encounter, but what it is for is Patient");
    check("Patient", "DomainResource.text", "right");
    check("Patient", "name.given as Nothing", "there is no type Nothing");
    check("Patient", "name.startsWith('a')", "startsWith() is for strings, not HumanName");
    check("Patient", "1.upper()", "upper() is for strings, not System.Integer");
    check("Patient", "children().skip(1)", "skip: children() and descendants() have no order");
    check("Patient", "descendants().where(true).first()", "first: children() and descendants() have no order");
    check("Patient", "children()[0]", "[]: children() and descendants() have no order");
    check("Patient", "children().count()", "right");
}
