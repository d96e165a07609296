//! <https://hl7.org/fhir/R4/codesystem-operation-lookup.html> and
//! <https://hl7.org/fhir/R4/codesystem-operation-subsumes.html>

use serde_json::{Value, json};

use crate::{
    space::{on_each_backend, refused, refused_with},
    terminology_expand::{animals, system},
};

/// The output parameters of that name.
fn outputs<'a>(parameters: &'a Value, name: &'a str) -> impl Iterator<Item = &'a Value> {
    assert_eq!(parameters["resourceType"], "Parameters", "{parameters}");
    parameters["parameter"].as_array().into_iter().flatten().filter(move |p| p["name"] == name)
}

/// The values of a property that a look-up has found.
fn property(parameters: &Value, code: &str) -> Vec<Value> {
    let of = |part: &Value| part["part"][0]["valueCode"] == code;
    let values = outputs(parameters, "property").filter(|found| of(found)).map(|found| &found["part"][1]);
    values
        .filter_map(|value| value.as_object()?.iter().find(|(key, _)| key.starts_with("value")))
        .map(|(_, v)| v.clone())
        .collect()
}

#[test]
fn lookup_tells_what_is_known_of_a_code() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let found = space.get(&format!("CodeSystem/$lookup?system={}&code=dog", system(space))).expect_status(200).body;
        let text =
            |name: &'static str| outputs(&found, name).map(|p| p["valueString"].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!((text("name"), text("version"), text("display")), (vec!["Animals"], vec!["1"], vec!["Dog"]));
        assert_eq!(outputs(&found, "designation").next().unwrap()["part"][1]["valueString"], "Hund");
        assert_eq!(property(&found, "parent"), [json!("pet")]);
        assert_eq!(property(&found, "child"), [json!("dachshund")]);
        assert_eq!(property(&found, "inactive"), [json!(false)]);
        let german =
            space.get(&format!("CodeSystem/$lookup?system={}&code=dog&displayLanguage=de", system(space))).body;
        assert_eq!(outputs(&german, "display").next().unwrap()["valueString"], "Hund");
    });
}

// "property: A property that the client wishes to be returned in the output"
#[test]
fn lookup_tells_the_properties_that_are_asked_for() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let path = format!("CodeSystem/$lookup?system={}&code=dog&property=parent&property=lang.fr", system(space));
        let found = space.get(&path).expect_status(200).body;
        assert_eq!(property(&found, "parent"), [json!("pet")]);
        assert_eq!(property(&found, "child"), Vec::<Value>::new());
        assert_eq!(outputs(&found, "designation").count(), 0);
        assert_eq!(outputs(&found, "display").count(), 1);
    });
}

#[test]
fn lookup_takes_a_coding_and_knows_what_is_bundled() {
    on_each_backend(|space| {
        let coding = json!({ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" });
        let body = json!({ "resourceType": "Parameters", "parameter": [{ "name": "coding", "valueCoding": coding }] });
        let found = space.post("CodeSystem/$lookup", &body).expect_status(200).body;
        assert_eq!(outputs(&found, "display").next().unwrap()["valueString"], "ambulatory");
        assert_eq!(property(&found, "parent"), [json!("_ActEncounterCode")]);
    });
}

// https://hl7.org/fhir/R4/codesystem-operation-lookup.html: unknown codes are errors
#[test]
fn lookup_of_what_is_not_there_fails() {
    on_each_backend(|space| {
        refused_with(&space.get("CodeSystem/$lookup?system=http://loinc.org&code=8867-4"), 404, "not-found");
        let gender = "http://hl7.org/fhir/administrative-gender";
        refused_with(&space.get(&format!("CodeSystem/$lookup?system={gender}&code=man")), 404, "not-found");
        refused_with(&space.get("CodeSystem/$lookup?code=male"), 400, "required");
        refused_with(&space.get(&format!("CodeSystem/$lookup?system={gender}&code=male&version=3")), 404, "not-found");
    });
}

#[test]
fn subsumes_tells_how_two_codes_stand() {
    on_each_backend(|space| {
        let id = space.add("animals", animals(space));
        let check = |a: &str, b: &str, expected: &str| {
            let path = format!("CodeSystem/$subsumes?system={}&codeA={a}&codeB={b}", system(space));
            for path in [path, format!("{id}/$subsumes?codeA={a}&codeB={b}")] {
                let found = space.get(&path).expect_status(200).body;
                assert_eq!(outputs(&found, "outcome").next().unwrap()["valueCode"], expected, "{path}");
            }
        };
        check("pet", "dachshund", "subsumes");
        check("dachshund", "pet", "subsumed-by");
        check("dog", "dog", "equivalent");
        check("dog", "budgie", "not-subsumed");
    });
}

#[test]
fn subsumes_takes_codings_of_one_system() {
    on_each_backend(|space| {
        let act = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
        let ask = |a: Value, b: Value| {
            let body = json!({ "resourceType": "Parameters", "parameter": [
                { "name": "codingA", "valueCoding": a }, { "name": "codingB", "valueCoding": b }] });
            space.post("CodeSystem/$subsumes", &body)
        };
        let of = |system: &str, code: &str| json!({ "system": system, "code": code });
        let found = ask(of(act, "_ActEncounterCode"), of(act, "AMB")).expect_status(200).body;
        assert_eq!(outputs(&found, "outcome").next().unwrap()["valueCode"], "subsumes");
        refused(&ask(of(act, "AMB"), of("http://x", "AMB")), &[400]);
        refused_with(&ask(of(act, "AMB"), of(act, "unheard of")), 404, "not-found");
        refused_with(&ask(of("http://x", "a"), of("http://x", "b")), 404, "not-found");
        refused(&space.get("CodeSystem/$subsumes?codeA=a&codeB=b"), &[400]);
        refused(&space.get(&format!("CodeSystem/$subsumes?system={act}&codeA=AMB")), &[400]);
    });
}
