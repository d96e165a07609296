//! <https://hl7.org/fhir/R4/fhirpath.html#functions>

use super::{PATIENT, check, check_on, show};
use crate::{
    Definitions,
    fhirpath::{Element, Environment, Host, Path, Value},
    json::{Document, Node},
};

#[test]
fn extensions_and_values() {
    check("extension('http://example.org/age').value.value", "41");
    check("birthDate.extension(%`ext-patient-birthTime`).value", "1974-12-25T14:35:45-05:00");
    check("birthDate.extension('x')", "");
    check("name.given.select(hasValue())", "true, true, true, false");
    check("birthDate.hasValue()", "true");
    check("name.first().hasValue()", "false");
    check("telecom.rank.hasValue()", "false");
    check("gender.getValue() is System.String", "true");
    check("name.first().getValue()", "");
    check("name[1].given[1].extension.value", "5");
    check("name[1].given[1] & 'x'", "x");
}

#[test]
fn references_within_the_document() {
    check("managingOrganization.resolve().name", "Acme");
    check("generalPractitioner.resolve()", "");
    check("contained.select(%resource.managingOrganization.resolve().id)", "o");
    let bundle = r##"{"resourceType":"Bundle","entry":[
        {"fullUrl":"http://a/Patient/1","resource":{"resourceType":"Patient","id":"1","active":true,
          "contained":[{"resourceType":"Organization","id":"o","name":"Inner","partOf":{"reference":"#"}}],
          "managingOrganization":{"reference":"#o"}}},
        {"fullUrl":"urn:uuid:2","resource":{"resourceType":"Observation","subject":{"reference":"Patient/1"},"hasMember":[{"reference":"urn:uuid:2"}]}}]}"##;
    check_on(bundle, "entry[1].resource.subject.resolve().active", "true");
    check_on(bundle, "entry[1].resource.hasMember.resolve() is Observation", "true");
    check_on(bundle, "entry[0].resource.managingOrganization.resolve().name", "Inner");
    check_on(bundle, "entry[0].resource.contained.partOf.resolve().id", "1");
    check_on(bundle, "entry.resource.type().name", "Patient, Observation");
}

struct Elsewhere(Document);

impl<'a> Host<'a> for &'a Elsewhere {
    fn resolve(&self, reference: &str) -> Option<Node<'a>> {
        (reference == "Practitioner/1").then(|| self.0.root())
    }

    fn member_of(&self, _: &Value<'a>, value_set: &str) -> Option<bool> {
        (value_set == "http://example.org/vs").then_some(true)
    }

    fn subsumes(&self, _: &Value<'a>, _: &Value<'a>) -> Option<bool> {
        Some(true)
    }

    fn conforms_to(&self, _: Element<'a>, profile: &str) -> Option<bool> {
        (profile == "http://example.org/profile").then_some(false)
    }
}

#[test]
fn the_host_knows_the_world_outside() {
    let host = Elsewhere(Document::parse(r#"{"resourceType":"Practitioner","id":"1","active":true}"#).unwrap());
    let (document, definitions) = (Document::parse(PATIENT).unwrap(), Definitions::r4());
    let (host, types) = (&host, definitions.types());
    let found = |expression: &str| {
        let path = Path::parse(expression).unwrap();
        let environment = Environment::new(definitions).resource(document.root()).host(&host);
        let focus = Value::Element(Element::resource(document.root(), types));
        match path.evaluate(focus, &environment) {
            Ok(items) => items.iter().map(show).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(found("generalPractitioner.resolve().active"), "true");
    assert_eq!(found("gender.memberOf('http://example.org/vs')"), "true");
    assert_eq!(found("gender.subsumes('male') and gender.subsumedBy('male')"), "true");
    assert_eq!(found("conformsTo('http://example.org/profile')"), "false");
    assert_eq!(found("now()"), "now(): no time is known here");
}

#[test]
fn codes_profiles_and_narratives() {
    check("gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", "true");
    check("'x'.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", "false");
    check("gender.memberOf('http://x')", "error: memberOf(): the value set http://x is not known here");
    check("gender.subsumes('male')", "error: subsumes(): the code system is not known here");
    check("conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')", "true");
    check("conformsTo('http://hl7.org/fhir/StructureDefinition/DomainResource')", "true");
    check("conformsTo('http://hl7.org/fhir/StructureDefinition/Person')", "false");
    check("conformsTo('http://x')", "error: conformsTo(): the profile http://x is not known here");
    check("'<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>'.htmlChecks()", "true");
    check("'<div xmlns=\"http://www.w3.org/1999/xhtml\"><script/></div>'.htmlChecks()", "false");
    check(
        "elementDefinition()",
        "error: elementDefinition(): not supported, since it needs the definition of a profile",
    );
    check("slice('a', 'b')", "error: slice(): not supported, since it needs the definition of a profile");
    check("checkModifiers('http://m').id", "p");
    let modified = r#"{"resourceType":"Patient","id":"m","modifierExtension":[{"url":"http://m","valueString":"a"}]}"#;
    check_on(modified, "checkModifiers('http://m').id", "m");
    check_on(modified, "checkModifiers()", "error: checkModifiers(): the modifier extension http://m is not known");
}
