//! <https://hl7.org/fhir/R4/valueset-operation-validate-code.html> and
//! <https://hl7.org/fhir/R4/codesystem-operation-validate-code.html>

use serde_json::{Value, json};

use crate::{
    space::{Space, on_each_backend, refused, refused_with},
    terminology_expand::{animals, system, value_set},
};

const GENDER: &str = "http://hl7.org/fhir/administrative-gender";
const GENDERS: &str = "http://hl7.org/fhir/ValueSet/administrative-gender";

/// The value of an output parameter.
fn output(parameters: &Value, name: &str) -> Value {
    assert_eq!(parameters["resourceType"], "Parameters", "{parameters}");
    let found = parameters["parameter"].as_array().into_iter().flatten().find(|p| p["name"] == name);
    let value = found.and_then(|found| found.as_object().unwrap().iter().find(|(key, _)| key.starts_with("value")));
    value.map_or(Value::Null, |(_, value)| value.clone())
}

#[track_caller]
fn judges(space: &Space, path: &str, result: bool) -> Value {
    let reply = space.get(path).expect_status(200);
    assert_eq!(output(&reply.body, "result"), json!(result), "{path}: {reply}");
    assert_eq!(output(&reply.body, "message").is_string(), !result, "{path}: {reply}");
    reply.body
}

#[test]
fn validate_code_says_whether_a_code_is_in_a_value_set() {
    on_each_backend(|space| {
        let of = |rest: &str| format!("ValueSet/$validate-code?url={GENDERS}&{rest}");
        let found = judges(space, &of(&format!("system={GENDER}&code=male")), true);
        assert_eq!(output(&found, "display"), "Male");
        judges(space, &of(&format!("system={GENDER}&code=man")), false);
        judges(space, &of("system=http://example.org/other&code=male"), false);
        judges(space, &of(&format!("system={GENDER}&code=male&display=Male")), true);
        let wrong = judges(space, &of(&format!("system={GENDER}&code=male&display=Female")), false);
        assert_eq!(output(&wrong, "display"), "Male");
        // "If a code is provided, a system or a context must be provided"
        refused_with(&space.get(&of("code=male")), 400, "required");
        refused_with(&space.get(&of("")), 400, "required");
        refused_with(&space.get(&of(&format!("system={GENDER}&code=male&date=2020-01-01"))), 501, "not-supported");
        refused_with(&space.get("ValueSet/$validate-code?url=http://x&system=http://y&code=z"), 404, "not-found");
    });
}

// "The server returns true if one of the coding values is in the value set"
#[test]
fn validate_code_takes_codings_and_concepts() {
    on_each_backend(|space| {
        let ask = |name: &str, member: &str, value: Value| {
            let body = json!({ "resourceType": "Parameters", "parameter": [
                { "name": "url", "valueUri": GENDERS }, { "name": name, member: value }] });
            let reply = space.post("ValueSet/$validate-code", &body).expect_status(200);
            output(&reply.body, "result")
        };
        assert_eq!(ask("coding", "valueCoding", json!({ "system": GENDER, "code": "male" })), true);
        assert_eq!(ask("coding", "valueCoding", json!({ "code": "male" })), false);
        let codings = json!([{ "system": "http://example.org/x", "code": "m" }, { "system": GENDER, "code": "male" }]);
        assert_eq!(ask("codeableConcept", "valueCodeableConcept", json!({ "coding": codings })), true);
        assert_eq!(ask("codeableConcept", "valueCodeableConcept", json!({ "text": "male" })), false);
    });
}

// "abstract: … the server should not invalidate the code on the basis of it being abstract"
#[test]
fn validate_code_takes_abstract_codes_only_where_they_are_in_place() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let whole = json!({ "include": [{ "system": system(space) }] });
        let id = space.add("whole", value_set(space, "whole", &whole));
        let of = |rest: &str| format!("{id}/$validate-code?system={}&{rest}", system(space));
        judges(space, &of("code=pet"), false);
        judges(space, &of("code=pet&abstract=true"), true);
        let dog = judges(space, &of("code=dog&display=Hund&displayLanguage=de"), true);
        assert_eq!(output(&dog, "display"), "Hund");
        judges(space, &of("code=DOG"), false);
        // The version that the coding is of.
        judges(space, &of("code=dog&systemVersion=1"), true);
        refused(&space.get(&of("code=dog&systemVersion=2")), &[404]);
    });
}

// What is listed is known, whoever holds the code system; what is not is not.
#[test]
fn validate_code_never_guesses() {
    on_each_backend(|space| {
        let filter = json!([{ "property": "concept", "op": "is-a", "value": "73211009" }]);
        let compose = json!({ "include": [
            { "system": "http://loinc.org", "concept": [{ "code": "8867-4" }] },
            { "system": "http://snomed.info/sct", "filter": filter },
            { "system": "http://unitsofmeasure.org" }] });
        let id = space.add("mixed", value_set(space, "mixed", &compose));
        let of = |system: &str, code: &str| format!("{id}/$validate-code?system={system}&code={code}");
        judges(space, &of("http://loinc.org", "8867-4"), true);
        judges(space, &of("http://loinc.org", "1-8"), false);
        judges(space, &of("http://unitsofmeasure.org", "mm[Hg]"), true);
        judges(space, &of("http://unitsofmeasure.org", "mmHg%20or%20so"), false);
        let issue = refused(&space.get(&of("http://snomed.info/sct", "44054006")), &[404]);
        assert!(issue["diagnostics"].as_str().unwrap().contains("http://snomed.info/sct"), "{issue}");
    });
}

// https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
#[test]
fn validate_code_says_whether_a_code_is_in_a_code_system() {
    on_each_backend(|space| {
        let id = space.add("animals", animals(space));
        judges(space, &format!("CodeSystem/$validate-code?url={GENDER}&code=male"), true);
        judges(space, &format!("CodeSystem/$validate-code?url={GENDER}&code=man"), false);
        judges(space, &format!("CodeSystem/$validate-code?url={}&code=dog", system(space)), true);
        judges(space, &format!("{id}/$validate-code?code=dog"), true);
        judges(space, &format!("{id}/$validate-code?code=cat"), false);
        judges(space, "CodeSystem/$validate-code?url=http://unitsofmeasure.org&code=kg.m/s2", true);
        judges(space, "CodeSystem/$validate-code?url=http://unitsofmeasure.org&code=kilogramme", false);
        refused_with(&space.get("CodeSystem/$validate-code?url=http://snomed.info/sct&code=1"), 404, "not-found");
        let coding = |coding: Value| {
            let body =
                json!({ "resourceType": "Parameters", "parameter": [{ "name": "coding", "valueCoding": coding }] });
            space.post("CodeSystem/$validate-code", &body)
        };
        let reply = coding(json!({ "system": GENDER, "code": "male" })).expect_status(200);
        assert_eq!(output(&reply.body, "result"), true);
        refused(&coding(json!({ "code": "male" })), &[400]);
        let sent = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "codeSystem", "resource": animals(space) }, { "name": "code", "valueCode": "budgie" }] });
        let reply = space.post("CodeSystem/$validate-code", &sent).expect_status(200);
        assert_eq!(output(&reply.body, "display"), "Budgerigar");
    });
}
