//! <https://hl7.org/fhir/R4/search.html#composite>

use serde_json::json;
use tessera_fixtures::{builders::datatypes, observation, resource};

use crate::space::{Space, on_each_backend, refused};

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
const SYSTOLIC: &str = "8480-6";
const DIASTOLIC: &str = "8462-4";

fn pressure(space: &Space, name: &str, systolic: &str, diastolic: &str) {
    let panel = observation().code(LOINC, "85354-9", "Blood pressure panel");
    let with = panel.component(LOINC, SYSTOLIC, "Systolic", systolic, "mm[Hg]").component(
        LOINC,
        DIASTOLIC,
        "Diastolic",
        diastolic,
        "mm[Hg]",
    );
    space.add(name, with.build());
}

// https://hl7.org/fhir/R4/search.html#composite: the parts belong to one component
#[test]
fn the_parts_must_match_within_one_component() {
    on_each_backend(|space| {
        pressure(space, "normal", "118", "76");
        pressure(space, "high", "165", "101");
        // Its 101 is systolic, its 165 diastolic: wrong, and therefore telling.
        pressure(space, "crossed", "101", "165");
        space.finds(&format!("Observation?component-code-value-quantity={SYSTOLIC}$gt150"), "high");
        space.finds(&format!("Observation?component-code-value-quantity={DIASTOLIC}$gt150"), "crossed");
        space.finds(&format!("Observation?component-code-value-quantity={LOINC}|{SYSTOLIC}$lt120"), "normal crossed");
        space.finds(&format!("Observation?component-code-value-quantity={LOINC}|{SYSTOLIC}$165|{UCUM}|mm[Hg]"), "high");
        let both = [(SYSTOLIC, 150), (DIASTOLIC, 100)]
            .map(|(code, value)| format!("component-code-value-quantity={code}$gt{value}"));
        space.finds(&format!("Observation?{}", both.join("&")), "high");
        // Separate parameters say something else.
        space.finds(&format!("Observation?component-code={SYSTOLIC}&component-value-quantity=gt150"), "high crossed");
    });
}

// https://hl7.org/fhir/R4/search.html#combining: comma between composites
#[test]
fn composites_combine_by_or() {
    on_each_backend(|space| {
        pressure(space, "normal", "118", "76");
        pressure(space, "high", "165", "101");
        pressure(space, "low", "85", "55");
        space
            .finds(&format!("Observation?component-code-value-quantity={SYSTOLIC}$gt150,{DIASTOLIC}$lt60"), "high low");
    });
}

// https://hl7.org/fhir/R4/observation.html#search: code-value-quantity
#[test]
fn a_composite_at_the_root_joins_elements_of_the_resource() {
    on_each_backend(|space| {
        space.add("light", observation().quantity("60", "kg").build());
        space.add("heavy", observation().quantity("110", "kg").build());
        space.add("tall", observation().code(LOINC, "8302-2", "Body height").quantity("180", "cm").build());
        space.finds("Observation?code-value-quantity=29463-7$gt100", "heavy");
        space.finds(&format!("Observation?code-value-quantity={LOINC}|29463-7$lt100|{UCUM}|kg"), "light");
        space.finds(&format!("Observation?code-value-quantity={LOINC}|29463-7$gt100000|{UCUM}|g"), "heavy");
        space.finds("Observation?code-value-quantity=8302-2$180", "tall");
        space.finds("Observation?code-value-quantity=8302-2$60", "");
    });
}

// https://hl7.org/fhir/R4/observation.html#search: code-value-concept, code-value-string, code-value-date
#[test]
fn composites_take_parts_of_every_type() {
    on_each_backend(|space| {
        let coded = |code: &str| observation().code(LOINC, code, code);
        space.add("concept", coded("1-1").value_code("http://example.org/v", "yes", "Yes").build());
        space.add("string", coded("2-2").value_string("Positive reaction").build());
        space.add("date", coded("3-3").set("valueDateTime", "2020-05-05").build());
        space.finds("Observation?code-value-concept=1-1$yes", "concept");
        space.finds("Observation?code-value-concept=1-1$http://example.org/v|yes", "concept");
        space.finds("Observation?code-value-concept=2-2$yes", "");
        space.finds("Observation?code-value-string=2-2$positive", "string");
        space.finds("Observation?code-value-date=3-3$ge2020", "date");
        space.finds("Observation?code-value-date=3-3$lt2020", "");
    });
}

// https://hl7.org/fhir/R4/observation.html#search: combo-code-value-quantity: the resource itself or a component
#[test]
fn combo_looks_at_the_resource_and_its_components() {
    on_each_backend(|space| {
        pressure(space, "component", "165", "101");
        space.add("root", observation().code(LOINC, SYSTOLIC, "Systolic").quantity("170", "mm[Hg]").build());
        // The code of the whole with the value of a part does not count.
        let mixed =
            observation().code(LOINC, SYSTOLIC, "Systolic").component(LOINC, DIASTOLIC, "Diastolic", "175", "mm[Hg]");
        space.add("mixed", mixed.build());
        space.finds(&format!("Observation?combo-code-value-quantity={SYSTOLIC}$gt150"), "component root");
    });
}

// https://hl7.org/fhir/R4/group.html#search: characteristic-value
#[test]
fn composites_of_other_types_match_within_one_element() {
    on_each_backend(|space| {
        let characteristic = |code: &str, value: &str| {
            let concept = |code: &str| json!({ "coding": [datatypes::coding("http://example.org/c", code)] });
            json!({ "code": concept(code), "valueCodeableConcept": concept(value), "exclude": false })
        };
        let group = |parts: [(&str, &str); 2]| {
            let group = resource("Group").set("type", "person").set("actual", false);
            parts
                .iter()
                .fold(group, |group, (code, value)| group.push("characteristic", characteristic(code, value)))
                .build()
        };
        space.add("right", group([("gender", "mixed"), ("owner", "john")]));
        space.add("crossed", group([("gender", "john"), ("owner", "mixed")]));
        space.finds("Group?characteristic-value=gender$mixed", "right");
        space.finds("Group?characteristic-value=owner$mixed", "crossed");
    });
}

// https://hl7.org/fhir/R4/search.html#escaping
#[test]
fn a_dollar_within_a_part_is_escaped() {
    on_each_backend(|space| {
        space.add("odd", observation().code(LOINC, "a$b", "odd").value_string("c$d").build());
        space.finds("Observation?code-value-string=a\\$b$c\\$d", "odd");
    });
}

// https://hl7.org/fhir/R4/search.html#composite
#[test]
fn a_composite_with_too_few_parts_or_wrong_ones_is_refused() {
    on_each_backend(|space| {
        for value in ["8480-6", "8480-6$", "$5", "8480-6$5$6", "8480-6$high"] {
            println!("{value}");
            refused(&space.get(&format!("Observation?component-code-value-quantity={value}")), &[400]);
        }
    });
}
