//! `_filter`: <https://hl7.org/fhir/R4/search_filter.html>

use serde_json::json;
use tessera_fixtures::{builders::datatypes, condition, observation, patient, resource};

use crate::space::{Space, on_each_backend, refused, refused_with};

fn people(space: &Space) -> (String, String) {
    let peter = space.add("peter", patient().family("Windsor").given("Peter").born("2014-10-10").build());
    let petra = space.add("petra", patient().family("Carpet-Baker").given("Petra").born("1990").build());
    space.add("nobody", patient().gender("unknown").build());
    (peter, petra)
}

// https://hl7.org/fhir/R4/search_filter.html: the examples
#[test]
fn filter_does_what_the_examples_of_the_specification_say() {
    on_each_backend(|space| {
        let (peter, petra) = people(space);
        let code = |code: &str| json!({ "coding": [datatypes::coding("http://loinc.org", code)] });
        space.add("of-peter", observation().subject(&peter).set("code", code("1234-5")).build());
        space.add("of-petra", observation().subject(&petra).set("code", code("1234-6")).build());
        // "all patients with the characters pet in a given or family name"
        space.finds("Patient?_filter=name co \"pet\"", "peter petra");
        // "all patients with a given name of peter, born on or after 10-Oct 2014"
        space.finds("Patient?_filter=given eq \"peter\" and birthdate ge 2014-10-10", "peter");
        space.finds("Patient?_filter=given eq \"pete\" and birthdate ge 2014-10-10", "");
        space.finds("Observation?_filter=code eq http://loinc.org|1234-5", "of-peter");
        // "the codes loinc, snomed, rxnorm and ucum are predefined"
        space.finds("Observation?_filter=code eq loinc|1234-6", "of-petra");
        // "all observations on a patient with the characters pet in a given or family name"
        space.finds("Observation?_filter=subject:Patient.name co \"carpet\"", "of-petra");
        space.finds("Observation?_filter=patient.name co carpet", "of-petra");
        space.finds(&format!("Observation?_filter=subject re {peter}"), "of-peter");
        space.finds(&format!("Observation?_filter=subject re {}/{peter}", space.base), "of-peter");
    });
}

// https://hl7.org/fhir/R4/search_filter.html: "evaluated left to right, with no precedence between and and or"
#[test]
fn filters_are_combined_from_left_to_right() {
    on_each_backend(|space| {
        people(space);
        space.finds("Patient?_filter=given eq peter or given eq petra and birthdate lt 2000", "petra");
        space.finds("Patient?_filter=given eq peter or (given eq petra and birthdate lt 2000)", "peter petra");
        space.finds("Patient?_filter=not (given eq peter)", "petra nobody");
        space.finds("Patient?_filter=not(given eq peter or given pr false)", "petra");
        space.finds("Patient?_filter=given eq peter&_filter=family sw wind", "peter");
    });
}

// https://hl7.org/fhir/R4/search_filter.html#ops
#[test]
fn strings_are_tested_without_regard_to_case() {
    on_each_backend(|space| {
        people(space);
        space.finds("Patient?_filter=family eq windsor", "peter");
        space.finds("Patient?_filter=family eq wind", "");
        space.finds("Patient?_filter=family ne windsor", "petra");
        space.finds("Patient?_filter=family sw CARPET", "petra");
        space.finds("Patient?_filter=family ew \"baker\"", "petra");
        space.finds("Patient?_filter=family ew \"carpet-bake\"", "");
        space.finds("Patient?_filter=family gt m", "peter");
        space.finds("Patient?_filter=family le windsor", "peter petra");
        space.finds("Patient?_filter=family lt windsor", "petra");
        space.finds("Patient?_filter=family pr false", "nobody");
        space.finds("Patient?_filter=family co \"\\u0070et-\"", "petra");
    });
}

// https://hl7.org/fhir/R4/search_filter.html#ops: dates, numbers and quantities
#[test]
fn times_and_numbers_are_tested_as_by_prefixes() {
    on_each_backend(|space| {
        people(space);
        let of = |from: &str, until: &str| json!({ "start": from, "end": until });
        space.add("spring", observation().set("effectivePeriod", of("2020-03-01", "2020-05-31")).build());
        let mut heavy = observation().set("effectiveDateTime", "2020-12-24").build();
        heavy["valueQuantity"] = json!({ "value": 90, "system": "http://unitsofmeasure.org", "code": "kg" });
        space.add("heavy", heavy);
        // "an item in the set's implicit period includes the stated value"
        space.finds("Observation?_filter=date co 2020-04-04", "spring");
        space.finds("Observation?_filter=date co 2020", "");
        // "True if a (implied) date period in the set overlaps with the implied period in the value"
        space.finds("Observation?_filter=date po 2020-05", "spring");
        space.finds("Observation?_filter=date po 2020", "spring heavy");
        space.finds("Observation?_filter=date eb 2020-12-24", "spring");
        space.finds("Patient?_filter=birthdate ne 2014-10-10", "petra");
        space.finds("Observation?_filter=value-quantity gt 80000|ucum|g", "heavy");
        space.finds("Observation?_filter=value-quantity lt 80|http://unitsofmeasure.org|kg", "");
        space.finds("Observation?_filter=_lastUpdated gt 2001 and date sa 2020-12-23", "heavy");
    });
}

// https://hl7.org/fhir/R4/search_filter.html: "There can also be a filter: name[filter].name"
#[test]
fn a_filter_in_brackets_is_about_the_resource_that_the_path_goes_on_from() {
    on_each_backend(|space| {
        let clinic = space.add("clinic", resource("Organization").set("name", "Clinic").set("active", true).build());
        let closed = space.add("closed", resource("Organization").set("name", "Clinic").set("active", false).build());
        space.add("a", patient().managing_organization(&clinic).build());
        space.add("b", patient().managing_organization(&closed).build());
        space.finds("Patient?_filter=organization[active eq true].name sw cli", "a");
        space.finds("Patient?_filter=organization[not (active eq true) or name eq \"]\"].name sw cli", "b");
        space.finds("Patient?_filter=organization.name sw cli", "a b");
        space.finds("Organization?_filter=_has:Patient:organization:_id pr true and active eq true", "clinic");
    });
}

// https://hl7.org/fhir/R4/search_filter.html#ops: "Token is the same"; "an item in the set has an unequal value"
#[test]
fn tokens_are_equal_or_unequal() {
    on_each_backend(|space| {
        let coded = |codes: &[&str]| {
            let codings: Vec<_> = codes.iter().map(|code| datatypes::coding("http://example.org/a", code)).collect();
            condition().set("code", json!({ "coding": codings })).build()
        };
        space.add("one", coded(&["1"]));
        space.add("two", coded(&["1", "2"]));
        space.finds("Condition?_filter=code eq 1", "one two");
        space.finds("Condition?_filter=code ne http://example.org/a|1", "two");
        space.finds("Condition?_filter=not (code eq 2)", "one");
    });
}

#[test]
fn a_filter_that_means_nothing_is_refused_with_the_reason() {
    on_each_backend(|space| {
        for filter in [
            "",
            "name",
            "name co",
            "name co \"pet",
            "name co pet)",
            "(name co pet",
            "name co pet name co bull",
            "name xx pet",
            "birthdate sw 2000",
            "birthdate eq yesterday",
            "gender gt male",
            "organization eq",
            "organization[name pr true] re Organization/1",
            "organization[name pr true.name eq a",
            "nmae eq pet",
            "organization.nmae eq pet",
            "general-practitioner.name eq pet",
            "name pr maybe",
            "not name co pet",
            "gender.code eq male",
        ] {
            println!("{filter}");
            refused(&space.get(&format!("Patient?_filter={filter}")), &[400]);
        }
        let long = vec!["name co a"; 51].join(" and ");
        refused_with(&space.get(&format!("Patient?_filter={long}")), 400, "too-costly");
        let deep = format!("{}name co a{}", "(".repeat(20), ")".repeat(20));
        refused_with(&space.get(&format!("Patient?_filter={deep}")), 400, "too-costly");
    });
}
