//! <https://hl7.org/fhir/R4/search.html#token>

use serde_json::json;
use tessera_fixtures::{builders::datatypes, condition, observation, patient, resource};

use crate::space::{on_each_backend, refused};

const A: &str = "http://example.org/a";
const B: &str = "http://example.org/b";

// https://hl7.org/fhir/R4/search.html#token: the four forms
#[test]
fn token_takes_code_system_and_code_no_system_and_system_alone() {
    on_each_backend(|space| {
        let coded = |coding| observation().set("code", json!({ "coding": [coding] })).build();
        space.add("a1", coded(json!({ "system": A, "code": "1" })));
        space.add("a2", coded(json!({ "system": A, "code": "2" })));
        space.add("b1", coded(json!({ "system": B, "code": "1" })));
        space.add("bare", coded(json!({ "code": "1" })));
        space.finds("Observation?code=1", "a1 b1 bare");
        space.finds(&format!("Observation?code={A}|1"), "a1");
        space.finds("Observation?code=|1", "bare");
        space.finds(&format!("Observation?code={A}|"), "a1 a2");
        space.finds(&format!("Observation?code={A}|1,{B}|1"), "a1 b1");
        space.finds("Observation?code=http://example.org/A|1", "");
        refused(&space.get("Observation?code=|"), &[400]);
    });
}

// https://hl7.org/fhir/R4/search.html#token: CodeableConcept
#[test]
fn token_matches_any_coding_of_a_concept_but_not_its_text() {
    on_each_backend(|space| {
        let code = json!({ "coding": [datatypes::coding(A, "1"), datatypes::coding(B, "2")], "text": "words" });
        space.add("both", observation().set("code", code).build());
        space.finds(&format!("Observation?code={A}|1"), "both");
        space.finds(&format!("Observation?code={B}|2"), "both");
        space.finds(&format!("Observation?code={A}|1&code={B}|2"), "both");
        space.finds(&format!("Observation?code={A}|2"), "");
        space.finds("Observation?code=words", "");
    });
}

// https://hl7.org/fhir/R4/search.html#token: Identifier
#[test]
fn token_matches_an_identifier_by_system_and_value() {
    on_each_backend(|space| {
        space.add("one", patient().identifier(A, "123").identifier(B, "456").build());
        space.add("two", patient().identifier(B, "123").build());
        space.add("bare", patient().push("identifier", json!({ "value": "123" })).build());
        space.finds("Patient?identifier=123", "one two bare");
        space.finds(&format!("Patient?identifier={A}|123"), "one");
        space.finds("Patient?identifier=|123", "bare");
        space.finds(&format!("Patient?identifier={B}|"), "one two");
        space.finds("Patient?identifier=12", "");
    });
}

// https://hl7.org/fhir/R4/search.html#token: code, whose system the element implies
#[test]
fn token_matches_a_code_with_or_without_its_system() {
    on_each_backend(|space| {
        space.add("she", patient().gender("female").build());
        space.add("he", patient().gender("male").build());
        space.finds("Patient?gender=female", "she");
        space.finds("Patient?gender=http://hl7.org/fhir/administrative-gender|female", "she");
        space.finds("Patient?gender=female,male", "she he");
        space.finds("Patient?gender=http://example.org/a|female", "");
    });
}

// https://hl7.org/fhir/R4/search.html#token: boolean, and an expression of `exists()`
#[test]
fn token_matches_booleans() {
    on_each_backend(|space| {
        space.add("yes", patient().active(true).deceased("2020-01-01").build());
        space.add("no", patient().active(false).set("deceasedBoolean", false).build());
        space.add("unknown", patient().build());
        space.finds("Patient?active=true", "yes");
        space.finds("Patient?active=false", "no");
        space.finds("Patient?active:missing=true", "unknown");
        space.finds("Patient?deceased=true", "yes");
        space.finds("Patient?deceased=false", "no unknown");
    });
}

// https://hl7.org/fhir/R4/search.html#token: ContactPoint
#[test]
fn token_matches_a_contact_point_by_its_value() {
    on_each_backend(|space| {
        space.add("reachable", patient().phone("+31 10 555 0100").email("eve@example.org").build());
        space.finds("Patient?phone=%2B31 10 555 0100", "reachable");
        space.finds("Patient?email=eve@example.org", "reachable");
        space.finds("Patient?telecom=eve@example.org", "reachable");
        space.finds("Patient?phone=eve@example.org", "");
        space.finds("Patient?telecom=eve", "");
    });
}

// https://hl7.org/fhir/R4/search.html#token: Coding
#[test]
fn token_matches_a_coding() {
    on_each_backend(|space| {
        let class = datatypes::coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "AMB");
        space.add("visit", resource("Encounter").set("status", "finished").set("class", class).build());
        space.finds("Encounter?class=AMB", "visit");
        space.finds("Encounter?class=http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB", "visit");
        space.finds("Encounter?class=EMER", "");
    });
}

// https://hl7.org/fhir/R4/search.html#token: string and uri elements
#[test]
fn token_matches_strings_as_a_whole() {
    on_each_backend(|space| {
        let value_set = resource("ValueSet")
            .set("status", "draft")
            .set("version", "1.0")
            .set("url", format!("http://example.org/{}", space.tag));
        space.add("set", value_set.build());
        space.finds("ValueSet?version=1.0", "set");
        space.finds("ValueSet?version=1", "");
    });
}

// https://hl7.org/fhir/R4/search.html#token: `:not`
#[test]
fn not_finds_the_others_and_those_without_value() {
    on_each_backend(|space| {
        space.add("she", patient().gender("female").build());
        space.add("he", patient().gender("male").build());
        space.add("none", patient().build());
        space.finds("Patient?gender:not=female", "he none");
        space.finds("Patient?gender:not=female,male", "none");
        space.finds("Patient?gender:not=female&gender:not=male", "none");
        space.finds("Patient?gender:not=other", "she he none");
    });
}

// https://hl7.org/fhir/R4/search.html#token: `:not` speaks of the resource, not of one of its codings
#[test]
fn not_excludes_a_resource_with_any_match() {
    on_each_backend(|space| {
        let code = json!({ "coding": [datatypes::coding(A, "1"), datatypes::coding(B, "2")] });
        space.add("both", observation().set("code", code).build());
        space.add("one", observation().set("code", json!({ "coding": [datatypes::coding(A, "1")] })).build());
        space.finds(&format!("Observation?code:not={B}|2"), "one");
        space.finds("Observation?code:not=1", "");
    });
}

// https://hl7.org/fhir/R4/search.html#escaping
#[test]
fn a_bar_in_a_code_is_escaped() {
    on_each_backend(|space| {
        space.add("odd", patient().identifier(A, "1|2,3$4").build());
        space.finds("Patient?identifier=1\\|2\\,3\\$4", "odd");
        space.finds(&format!("Patient?identifier={A}|1\\|2\\,3\\$4"), "odd");
        space.finds("Patient?identifier=1", "");
    });
}

// https://hl7.org/fhir/R4/search.html#token: compared by case unless the code system says otherwise
#[test]
fn codes_and_identifiers_are_told_apart_to_the_last_character() {
    on_each_backend(|space| {
        let long = "x".repeat(1000);
        space.add("one", patient().identifier(A, &format!("{long}1")).build());
        space.add("two", patient().identifier(A, &format!("{long}2")).build());
        space.finds(&format!("Patient?identifier={long}1"), "one");
        space.finds(&format!("Patient?identifier={A}|{long}2"), "two");
        space.finds(&format!("Patient?identifier={long}"), "");
    });
}

// https://hl7.org/fhir/R4/condition.html#search
#[test]
fn tokens_combine() {
    on_each_backend(|space| {
        space.add("active", condition().category("problem-list-item").build());
        space.add("resolved", condition().category("problem-list-item").abatement("2020").build());
        space.add("diagnosis", condition().category("encounter-diagnosis").build());
        space.finds("Condition?category=problem-list-item&clinical-status=active", "active");
        space.finds("Condition?category=problem-list-item&clinical-status:not=active", "resolved");
        space.finds("Condition?clinical-status=active&code=38341003", "active diagnosis");
    });
}

// https://hl7.org/fhir/R4/search.html#token: `:text`, "a string that searches text associated with the code/value - either
// CodeableConcept.text, Coding.display, or Identifier.type.text"
#[test]
fn text_searches_the_text_of_a_concept_and_the_displays_of_its_codings() {
    on_each_backend(|space| {
        let coded = |code| observation().set("code", code).build();
        space.add("text", coded(json!({ "text": "Élevated_pressure 100%" })));
        space
            .add("display", coded(json!({ "coding": [{ "system": A, "code": "1", "display": "Elevated pressure" }] })));
        space.add("other", coded(json!({ "coding": [{ "system": A, "code": "elevated" }], "text": "Pulse" })));
        let identified = json!({ "type": { "text": "Medical record" }, "system": A, "value": "1" });
        space.add("patient", patient().push("identifier", identified).build());
        space.finds("Observation?code:text=elevated", "text display");
        space.finds("Observation?code:text=ELEVATED pressure", "display");
        space.finds("Observation?code:text=pulse,elevated_", "text other");
        // "_" and "%" are no wildcards.
        space.finds("Observation?code:text=%25", "text");
        space.finds("Observation?code:text=d_p", "text");
        space.finds("Observation?code:text=pressure", "text display");
        space.finds("Observation?code=elevated", "other");
        space.finds("Observation?code:missing=false", "text display other");
        space.finds("Patient?identifier:text=medical", "patient");
        space.finds("Observation?subject:Patient.identifier:text=medical", "");
    });
}

// https://hl7.org/fhir/R4/search.html#token: `:of-type`, "[system]|[code]|[value]", which "matches the type.coding.system,
// type.coding.code and value of an identifier"
#[test]
fn of_type_finds_an_identifier_by_its_type_and_value() {
    on_each_backend(|space| {
        let typed = |system: &str, code: &str, value: &str| {
            let of_type = json!({ "coding": [{ "system": system, "code": code }, { "system": B, "code": "X" }] });
            json!({ "type": of_type, "system": "urn:oid:1.2.3", "value": value })
        };
        space.add("mr", patient().push("identifier", typed(A, "MR", "1")).build());
        space.add("dl", patient().push("identifier", typed(A, "DL", "1")).build());
        // The type and the value must be those of one identifier.
        let two = patient().push("identifier", typed(A, "MR", "2")).push("identifier", typed(A, "DL", "3"));
        space.add("two", two.build());
        space.finds(&format!("Patient?identifier:of-type={A}|MR|1"), "mr");
        space.finds(&format!("Patient?identifier:of-type={B}|X|1"), "mr dl");
        space.finds(&format!("Patient?identifier:of-type={A}|MR|3"), "");
        space.finds(&format!("Patient?identifier:of-type={A}|MR|2,{A}|DL|1"), "dl two");
        space.finds(&format!("Patient?identifier={A}%5C|MR|1"), "");
        for bad in ["MR|1", "|MR|1", "http://example.org/a||1", "http://example.org/a|MR|", "1"] {
            refused(&space.get(&format!("Patient?identifier:of-type={bad}")), &[400]);
        }
        refused(&space.get(&format!("Patient?gender:of-type={A}|MR|1")), &[400]);
    });
}
