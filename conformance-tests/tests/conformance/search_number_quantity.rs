//! <https://hl7.org/fhir/R4/search.html#number> and <https://hl7.org/fhir/R4/search.html#quantity>

use serde_json::json;
use tessera_fixtures::{builders::datatypes, observation, resource};

use crate::space::{Space, on_each_backend, refused};

const UCUM: &str = "http://unitsofmeasure.org";

/// Observations named by their value, in one unit.
fn measured(space: &Space, unit: &str, values: &[&str]) {
    for value in values {
        space.add(value, observation().quantity(value, unit).build());
    }
}

/// Risk assessments named by their probability.
fn risks(space: &Space, values: &[&str]) {
    for value in values {
        let mut risk = resource("RiskAssessment")
            .set("status", "final")
            .set("subject", datatypes::reference("Patient/example"))
            .build();
        risk["prediction"] = json!([{ "probabilityDecimal": datatypes::decimal(value) }]);
        space.add(value, risk);
    }
}

// https://hl7.org/fhir/R4/search.html#number: 100 is [99.5, 100.5), 100.00 is [99.995, 100.005)
#[test]
fn a_number_stands_for_the_range_of_its_precision() {
    on_each_backend(|space| {
        risks(space, &["0.75", "0.8", "0.84", "0.80", "0.85", "0.804"]);
        space.finds("RiskAssessment?probability=0.8", "0.75 0.8 0.80 0.84 0.804");
        space.finds("RiskAssessment?probability=0.80", "0.8 0.80 0.804");
        space.finds("RiskAssessment?probability=0.800", "0.8 0.80");
        space.finds("RiskAssessment?probability=ne0.80", "0.75 0.84 0.85");
        space.finds("RiskAssessment?probability=8e-1", "0.75 0.8 0.80 0.84 0.804");
    });
}

// https://hl7.org/fhir/R4/search.html#number: `lt100` is less than exactly 100
#[test]
fn comparisons_of_numbers_are_exact() {
    on_each_backend(|space| {
        risks(space, &["0.1", "0.5", "0.500", "0.51", "0.9"]);
        space.finds("RiskAssessment?probability=lt0.5", "0.1");
        space.finds("RiskAssessment?probability=le0.5", "0.1 0.5 0.500");
        space.finds("RiskAssessment?probability=gt0.5", "0.51 0.9");
        space.finds("RiskAssessment?probability=ge0.5", "0.5 0.500 0.51 0.9");
        space.finds("RiskAssessment?probability=sa0.5", "0.51 0.9");
        space.finds("RiskAssessment?probability=eb0.5", "0.1");
        space.finds("RiskAssessment?probability=ap0.5", "0.5 0.500 0.51");
        space.finds("RiskAssessment?probability=gt0.1&probability=lt0.9", "0.5 0.500 0.51");
    });
}

// https://hl7.org/fhir/R4/search.html#quantity: 5.4 is [5.35, 5.45), 5.40 is [5.395, 5.405)
#[test]
fn a_quantity_stands_for_the_range_of_its_precision() {
    on_each_backend(|space| {
        measured(space, "mg", &["5.34", "5.35", "5.38", "5.395", "5.4", "5.404", "5.44", "5.46"]);
        space.finds("Observation?value-quantity=5.4", "5.35 5.38 5.395 5.4 5.404 5.44");
        space.finds("Observation?value-quantity=5.40", "5.395 5.4 5.404");
        space.finds("Observation?value-quantity=5", "5.34 5.35 5.38 5.395 5.4 5.404 5.44 5.46");
        space.finds(&format!("Observation?value-quantity=5.40|{UCUM}|mg"), "5.395 5.4 5.404");
        space.finds("Observation?value-quantity=5.40||mg", "5.395 5.4 5.404");
        space.finds(&format!("Observation?value-quantity=gt5.4|{UCUM}|mg"), "5.404 5.44 5.46");
        space.finds(&format!("Observation?value-quantity=le5.35|{UCUM}|mg"), "5.34 5.35");
        space.finds("Observation?value-quantity=ap5.4&value-quantity=lt5.35", "5.34");
    });
}

// https://hl7.org/fhir/R4/search.html#quantity: a server may compare in canonical units
#[test]
fn quantities_in_ucum_are_compared_in_canonical_units() {
    on_each_backend(|space| {
        for (name, value, unit) in [
            ("g", "1", "g"),
            ("mg", "1000", "mg"),
            ("kg", "0.001", "kg"),
            ("more", "1500", "mg"),
            ("volume", "1", "mL"),
        ] {
            space.add(name, observation().quantity(value, unit).build());
        }
        space.finds(&format!("Observation?value-quantity=1.000|{UCUM}|g"), "g mg kg");
        space.finds(&format!("Observation?value-quantity=1000|{UCUM}|mg"), "g mg kg");
        space.finds(&format!("Observation?value-quantity=gt1|{UCUM}|g"), "more");
        space.finds(&format!("Observation?value-quantity=ge0.001|{UCUM}|kg"), "g mg kg more");
        space.finds(&format!("Observation?value-quantity=1|{UCUM}|mL"), "volume");
        space.finds(&format!("Observation?value-quantity=gt0|{UCUM}|mL"), "volume");
    });
}

// https://hl7.org/fhir/R4/search.html#quantity: `5.4||mg` looks at code and unit
#[test]
fn a_unit_without_system_matches_the_code_or_the_unit() {
    on_each_backend(|space| {
        let quantity = |quantity| observation().set("valueQuantity", quantity).build();
        space.add("coded", quantity(json!({ "value": 5, "unit": "milligrams", "system": UCUM, "code": "mg" })));
        space.add("named", quantity(json!({ "value": 5, "unit": "mg" })));
        space.add(
            "other",
            quantity(json!({ "value": 5, "unit": "tablets", "system": "http://example.org/units", "code": "tab" })),
        );
        space.add("bare", quantity(json!({ "value": 5 })));
        space.finds("Observation?value-quantity=5", "coded named other bare");
        space.finds("Observation?value-quantity=5||mg", "coded named");
        space.finds("Observation?value-quantity=5||milligrams", "coded");
        space.finds("Observation?value-quantity=5||tab", "other");
        space.finds(&format!("Observation?value-quantity=5|{UCUM}|mg"), "coded");
        space.finds("Observation?value-quantity=5|http://example.org/units|tab", "other");
        space.finds(&format!("Observation?value-quantity=5|{UCUM}|tab"), "");
    });
}

// https://hl7.org/fhir/R4/search.html#quantity: temperatures have an offset as well as a factor
#[test]
fn temperatures_convert() {
    on_each_backend(|space| {
        space.add("celsius", observation().quantity("37.0", "Cel").build());
        space.add("fahrenheit", observation().quantity("98.6", "[degF]").build());
        space.add("fever", observation().quantity("39.5", "Cel").build());
        space.finds(&format!("Observation?value-quantity=37.0|{UCUM}|Cel"), "celsius fahrenheit");
        space.finds(&format!("Observation?value-quantity=gt310.2|{UCUM}|K"), "fever");
    });
}

// https://hl7.org/fhir/R4/search.html#quantity: big, small and negative numbers
#[test]
fn numbers_of_all_sizes_are_found() {
    on_each_backend(|space| {
        measured(space, "1", &["-5", "0", "0.0000001", "1e10", "-0.5"]);
        space.finds("Observation?value-quantity=-5", "-5");
        space.finds("Observation?value-quantity=lt0", "-5 -0.5");
        space.finds("Observation?value-quantity=1e-7", "0.0000001");
        space.finds("Observation?value-quantity=gt0", "0.0000001 1e10");
        space.finds("Observation?value-quantity=1e10", "1e10");
        space.finds("Observation?value-quantity=ge1000000000", "1e10");
    });
}

// https://hl7.org/fhir/R4/search.html#quantity: a Range and an Age
#[test]
fn ranges_are_compared_as_ranges() {
    on_each_backend(|space| {
        let onset = |name: &str, value| tessera_fixtures::condition().set(name, value).build();
        let years = |value: u32| json!({ "value": value, "unit": "years", "system": UCUM, "code": "a" });
        space.add("at30", onset("onsetAge", years(30)));
        space.add("from40to50", onset("onsetRange", json!({ "low": years(40), "high": years(50) })));
        space.finds(&format!("Condition?onset-age=30|{UCUM}|a"), "at30");
        space.finds(&format!("Condition?onset-age=gt45|{UCUM}|a"), "from40to50");
        space.finds(&format!("Condition?onset-age=lt45|{UCUM}|a"), "at30 from40to50");
        space.finds(&format!("Condition?onset-age=sa35|{UCUM}|a"), "from40to50");
        space.finds(&format!("Condition?onset-age=eb35|{UCUM}|a"), "at30");
    });
}

// https://hl7.org/fhir/R4/search.html#quantity
#[test]
fn missing_speaks_of_the_value() {
    on_each_backend(|space| {
        measured(space, "mg", &["1"]);
        space.add("words", observation().value_string("none").build());
        space.finds("Observation?value-quantity:missing=true", "words");
        space.finds("Observation?value-quantity:missing=false", "1");
    });
}

// https://hl7.org/fhir/R4/search.html#number
#[test]
fn what_is_no_number_is_refused() {
    on_each_backend(|space| {
        for query in [
            "RiskAssessment?probability=high",
            "RiskAssessment?probability=1,5x",
            "RiskAssessment?probability=gt",
            "Observation?value-quantity=|a|b",
            "Observation?value-quantity=NaN",
            "Observation?value-quantity=inf",
        ] {
            println!("{query}");
            refused(&space.get(query), &[400]);
        }
    });
}
