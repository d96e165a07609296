//! What stored definitions define, and what their expressions find.

use super::*;
use crate::search::{IndexValue, extract::extract_one};

fn stored(json: &str) -> (Resource, SearchParameter) {
    let definitions = Definitions::r4();
    let resource = Resource::parse(json, definitions).unwrap();
    let patient = definitions.resource_type("Patient").unwrap();
    let definition = StoredDefinition::of(&resource).unwrap();
    let again = StoredDefinition::parse(definition.text()).unwrap();
    assert_eq!(again.text(), definition.text());
    let parameter = again.parameter(ParameterId(1 << 40), patient, Readiness::Ready, definitions);
    (resource, parameter)
}

#[test]
fn an_active_search_parameter_defines_a_code_for_its_bases() {
    let (resource, parameter) = stored(
        r#"{"resourceType":"SearchParameter","url":"http://example.org/sp","status":"active","code":"nick","base":["Patient","Person"],
            "type":"string","expression":"Patient.name.where(use='nickname').given","name":"not part of it"}"#,
    );
    assert_eq!(parameter.readiness, Readiness::Ready);
    assert!(parameter.program.is_some());
    let types: Vec<&str> = StoredDefinition::types(&resource, Definitions::r4()).iter().map(|t| t.name()).collect();
    assert_eq!(types, ["Patient", "Person"]);
    assert!(!StoredDefinition::of(&resource).unwrap().text().contains("not part of it"));
}

#[test]
fn a_code_of_the_specification_keeps_its_meaning() {
    let (resource, _) = stored(
        r#"{"resourceType":"SearchParameter","url":"http://example.org/sp","status":"active","code":"birthdate","base":["Patient"],
            "type":"date","expression":"Patient.birthDate"}"#,
    );
    assert_eq!(StoredDefinition::types(&resource, Definitions::r4()), []);
}

#[test]
fn what_cannot_be_evaluated_is_unusable_and_says_why() {
    let check = |members: &str, reason: &str| {
        let json = format!(
            r#"{{"resourceType":"SearchParameter","url":"http://example.org/sp","status":"active","code":"x","base":["Patient"],{members}}}"#
        );
        let (_, parameter) = stored(&json);
        let Readiness::Unusable(why) = &parameter.readiness else { panic!("{:?}", parameter.readiness) };
        assert!(why.contains(reason), "{why}");
        assert!(parameter.program.is_none());
    };
    check(r#""type":"string","expression":"Patient.nonsense""#, "nonsense");
    check(r#""type":"string","expression":"Patient.name(""#, "FHIRPath");
    check(r#""type":"string""#, "no expression");
    check(r#""type":"special","expression":"Patient.name""#, "special");
    check(r#""type":"composite","expression":"Patient""#, "components");
    check(
        r#""type":"composite","expression":"Patient","component":[{"definition":"http://nowhere","expression":"name"}]"#,
        "http://nowhere",
    );
}

#[test]
fn drafts_define_nothing() {
    let json = r#"{"resourceType":"SearchParameter","status":"draft","code":"x","base":["Patient"],"type":"string"}"#;
    assert!(StoredDefinition::of(&Resource::parse(json, Definitions::r4()).unwrap()).is_none());
}

/// What a parameter of that type finds in a patient; an error: why it is unusable.
fn found(search_type: &str, expression: &str) -> Result<Vec<String>, String> {
    let definition = serde_json::json!({
        "resourceType": "SearchParameter", "url": "http://example.org/sp", "status": "active", "code": "x",
        "base": ["Patient"], "type": search_type, "expression": expression,
    });
    let (_, parameter) = stored(&definition.to_string());
    if let Readiness::Unusable(why) = &parameter.readiness {
        return Err(why.to_string());
    }
    let patient = r##"{"resourceType":"Patient","id":"a","active":true,"birthDate":"1974-12-25","multipleBirthInteger":3,
        "name":[{"family":"Chalmers","given":["Peter","James"]},{"family":"Windsor"}],
        "contained":[{"resourceType":"Practitioner","id":"p"}],
        "generalPractitioner":[{"reference":"#p"},{"reference":"Organization/1"},{"reference":"Practitioner/2"}],
        "extension":[{"url":"http://example.org/weight","valueQuantity":{"value":70.5,"system":"http://unitsofmeasure.org","code":"kg"}},
            {"url":"http://example.org/place","valueString":"Bath"}]}"##;
    let patient = Resource::parse(patient, Definitions::r4()).unwrap();
    let rows = extract_one(&patient, &parameter, "http://here/fhir", Definitions::r4());
    Ok(rows.into_iter().map(|row| shown(row.value)).collect())
}

fn shown(value: IndexValue) -> String {
    match value {
        IndexValue::String { exact, .. } => exact,
        IndexValue::Token { system, code } => format!("{system}|{code}"),
        IndexValue::Date { low, high } => format!("{low}-{high}"),
        IndexValue::Quantity(quantity) => format!("{} {}", quantity.low, quantity.code),
        IndexValue::Reference(key) => key.to_string(),
        IndexValue::Uri { value, version } => format!("{value}|{version}"),
        IndexValue::Contained(number) => format!("#{number}"),
        IndexValue::Position(_) | IndexValue::Words(_) | IndexValue::Itself { .. } => "?".into(),
    }
}

#[test]
fn expressions_beyond_the_compiled_subset_are_interpreted() {
    let check = |search_type: &str, expression: &str, expect: &[&str]| {
        assert_eq!(found(search_type, expression).unwrap(), expect, "{expression}");
    };
    check("string", "Patient.name.select(given.first() & ' ' & family)", &["Peter Chalmers", " Windsor"]);
    check("string", "Patient.name.family.first().substring(0, 3).upper()", &["CHA"]);
    check("string", "iif(Patient.active, Patient.name.given, Patient.name.family)", &["Peter", "James"]);
    check("string", "Patient.name.given.where($this.length() > 5 or $this = 'James')", &["James"]);
    check("string", "Patient.extension.value.ofType(string).lower()", &["bath"]);
    check("token", "Patient.name.count()", &["|2"]);
    check("token", "Patient.deceased.exists().not()", &["|true"]);
    check("token", "Patient.name.family.select($this.substring(0, 1))", &["|C", "|W"]);
    check("number", "Patient.name.given.count() + 1", &["3 "]);
    check("number", "Patient.multipleBirth.ofType(integer) * 2", &["6 "]);
    check("quantity", "Patient.extension.value.ofType(Quantity) * 2", &["141 kg"]);
    check("quantity", "iif(Patient.active, 4 'mg', 5 'mg')", &["4 mg"]);
    check("quantity", "4 years", &["4 a"]);
    check(
        "reference",
        "iif(Patient.active, 'Organization/' & Patient.name.count().toString(), {})",
        &["Organization/2"],
    );
    check(
        "reference",
        "Patient.generalPractitioner.where(resolve() is Practitioner).skip(0)",
        &["#1", "Practitioner/2"],
    );
    check("reference", "Patient.generalPractitioner.where(resolve().is(Organization)).tail()", &[]);
    check("uri", "Patient.extension.url.distinct().last()", &["http://example.org/place|"]);
    check("uri", "'http://example.org/' & Patient.id & '|2'", &["http://example.org/a|2"]);
    // What `as` does with several is what R4's own parameters rely on.
    check("string", "(Patient.extension.value as string).upper()", &["BATH"]);
    check("string", "Patient.name.trace('x').family.last()", &["Windsor"]);
    let day = |days: i64| days * 24 * 3600 * 1_000_000;
    let birth = 1819;
    let date = format!("{}-{}", day(birth), day(birth + 1));
    check("date", "iif(Patient.active, Patient.birthDate, {})", &[&date]);
    check("date", "Patient.birthDate + 0 days", &[&date]);
    check("date", "'1974-12-' & '25'", &[&date]);
    check("date", "iif(Patient.active, @1974-12-25, @2020)", &[&date]);
}

#[test]
fn an_expression_that_fails_on_a_resource_finds_nothing_in_it() {
    for expression in [
        "Patient.name.family.substring(0, 1)",
        "Patient.name.single().family & ''",
        "repeat(name | $this).name.family & 'x'",
        "Patient.name.family.select('aaaaaaaaaaaaaaaaaaaa'.toChars().select('aaaaaaaaaaaaaaaaaaaaaa'.toChars().select('aaaaaaaaaaaaaaaaaaaaaa'.toChars().select('aaaaaaaaaaaaaaaaaaaaaaaa'.toChars())))).first()",
        "'00'.decode('hex')",
        "''.trim()",
        "{}",
        "Patient.name.type().name & Patient.name.type()",
    ] {
        assert_eq!(found("string", expression), Ok(Vec::new()), "{expression}");
    }
}

// The index is a function of the resource.
#[test]
fn what_the_resource_alone_does_not_tell_is_unusable() {
    let check = |search_type: &str, expression: &str, reason: &str| {
        let why = found(search_type, expression).expect_err(expression);
        assert!(why.contains(reason), "{expression}: {why}");
    };
    check("date", "iif(Patient.active, now(), {})", "now");
    check("string", "Patient.name.where(iif(true, today() > @2020, true)).family", "today");
    check("string", "Patient.generalPractitioner.resolve().name.family", "resolve");
    check("token", "Patient.generalPractitioner.resolve().exists()", "resolve");
    check("token", "Patient.gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", "memberOf");
    check("string", "Patient.name.family.where($this.matches('a+'))", "matches");
    check("string", "Patient.name.family & %patient", "patient");
    check("string", "Patient.name.family & Patient.nonsense", "nonsense");
    check("string", "Patient.name.unheardOf()", "unheardOf");
    // No search could find anything by these.
    check("date", "Patient.name.count()", "integer");
    check("date", "Patient.name", "HumanName");
    check("number", "Patient.active.not()", "boolean");
    check("reference", "Patient.name.first()", "HumanName");
    check("quantity", "Patient.birthDate", "date");
}
