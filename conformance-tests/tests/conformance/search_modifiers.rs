//! <https://hl7.org/fhir/R4/search.html#modifiers>

use serde_json::json;
use tessera_fixtures::{builders::datatypes, observation, patient, resource};

use crate::space::{on_each_backend, refused};

// https://hl7.org/fhir/R4/search.html#modifiers: `gender:missing=true`
#[test]
fn missing_works_for_parameters_of_each_type() {
    on_each_backend(|space| {
        let target = space.add("target", patient().build());
        let full = observation()
            .subject(&target)
            .effective("2020-01-01")
            .quantity("5", "mg")
            .category("laboratory")
            .value_string("words");
        space.add("words", full.clone().build());
        space.add("number", full.clone().quantity("5", "mg").build());
        space.add("none", observation().build());
        for (parameter, with, without) in [
            ("value-string", "words", "number none"),
            ("value-quantity", "number", "words none"),
            ("category", "words number", "none"),
            ("subject", "words number", "none"),
            ("date", "words number", "none"),
        ] {
            space.finds(&format!("Observation?{parameter}:missing=false"), with);
            space.finds(&format!("Observation?{parameter}:missing=true"), without);
        }
        space.finds("Observation?status:missing=true", "");
    });
}

// https://hl7.org/fhir/R4/search.html#modifiers: numbers and URIs
#[test]
fn missing_works_for_numbers_and_uris() {
    on_each_backend(|space| {
        let risk =
            resource("RiskAssessment").set("status", "final").set("subject", datatypes::reference("Patient/example"));
        space.add("likely", risk.clone().push("prediction", json!({ "probabilityDecimal": 0.5 })).build());
        space.add("open", risk.build());
        space.finds("RiskAssessment?probability:missing=true", "open");
        space.finds("RiskAssessment?probability:missing=false", "likely");
        space.add("named", resource("ValueSet").set("status", "draft").set("url", "http://example.org/v").build());
        space.add("nameless", resource("ValueSet").set("status", "draft").build());
        space.finds("ValueSet?url:missing=true", "nameless");
        space.finds("ValueSet?url:missing=false", "named");
    });
}

// https://hl7.org/fhir/R4/search.html#modifiers
#[test]
fn missing_combines_with_other_parameters() {
    on_each_backend(|space| {
        space.add("born", patient().gender("female").born("1974").build());
        space.add("unborn", patient().gender("female").build());
        space.add("he", patient().gender("male").build());
        space.finds("Patient?gender=female&birthdate:missing=true", "unborn");
        space.finds("Patient?gender:missing=false&birthdate:missing=false", "born");
        space.finds("Patient?birthdate:missing=true", "unborn he");
        space.finds("Patient?birthdate:missing=true&birthdate:missing=false", "");
    });
}

// https://hl7.org/fhir/R4/search.html#modifiers: an element with an extension and no value
#[test]
fn an_element_without_value_is_missing() {
    on_each_backend(|space| {
        let reason = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
        let absent = json!({ "extension": [{ "url": reason, "valueCode": "unknown" }] });
        space.add("absent", patient().set("_birthDate", absent).build());
        space.add("there", patient().born("1974").build());
        space.finds("Patient?birthdate:missing=true", "absent");
        space.finds("Patient?birthdate:missing=false", "there");
    });
}

// https://hl7.org/fhir/R4/search.html#modifiers: `:not`
#[test]
fn not_includes_what_has_no_value() {
    on_each_backend(|space| {
        space.add("lab", observation().category("laboratory").build());
        space.add("vital", observation().category("vital-signs").build());
        space.add("none", observation().build());
        space.finds("Observation?category:not=laboratory", "vital none");
        space.finds("Observation?category:not=laboratory&category:missing=false", "vital");
        space.finds("Observation?category:not=laboratory&status=final", "vital none");
    });
}

// https://hl7.org/fhir/R4/search.html#modifiers: `:exact` and `:contains`
#[test]
fn exact_and_contains_take_alternatives() {
    on_each_backend(|space| {
        for family in ["Chalmers", "chalmers", "Windsor", "Winterbottom"] {
            space.add(family, patient().family(family).build());
        }
        space.finds("Patient?family:exact=Chalmers,Windsor", "Chalmers Windsor");
        space.finds("Patient?family:contains=bottom,halm", "Chalmers chalmers Winterbottom");
        space.finds("Patient?family:contains=in&family:contains=or", "Windsor");
    });
}

// https://hl7.org/fhir/R4/search.html#modifiers: modifiers that are not supported are rejected
#[test]
fn an_unknown_modifier_is_refused() {
    on_each_backend(|space| {
        for query in [
            "Patient?name:unheard-of=a",
            "Patient?birthdate:unheard-of=2000",
            "Patient?_id:unheard-of=a",
            "Patient?gender:=male",
            "Observation?value-quantity:unheard-of=5",
        ] {
            println!("{query}");
            refused(&space.get(query), &[400]);
        }
    });
}

// https://hl7.org/fhir/R4/search.html#modifiers: each type has its modifiers
#[test]
fn a_modifier_of_another_type_is_refused() {
    on_each_backend(|space| {
        for query in [
            "Patient?birthdate:exact=2000",
            "Patient?birthdate:contains=2000",
            "Patient?gender:exact=male",
            "Patient?gender:contains=ma",
            "Patient?family:not=a",
            "Patient?name:identifier=a",
            "Observation?value-quantity:not=5",
            "Observation?subject:exact=Patient/1",
            "Patient?family:Patient=a",
            "Patient?gender:identifier=a",
        ] {
            println!("{query}");
            refused(&space.get(query), &[400]);
        }
    });
}

// https://hl7.org/fhir/R4/search.html#modifiers: modifiers that the server leaves out are refused, never ignored
#[test]
fn a_modifier_of_the_specification_works_or_is_refused() {
    on_each_backend(|space| {
        space.add("a", observation().build());
        for query in [
            "Observation?code:text=weight",
            "Observation?code:in=http://example.org/vs",
            "Observation?code:not-in=http://example.org/vs",
            "Observation?code:above=http://loinc.org|29463-7",
            "Observation?code:below=http://loinc.org|29463-7",
            "Patient?identifier:of-type=http://example.org/t|MR|1",
        ] {
            let reply = space.get(&space.within(query));
            println!("{query}: {}", reply.status);
            match reply.status {
                200 if query.contains("text") || query.contains("above") || query.contains("below") => {
                    assert_eq!(space.names_in(&reply, "match"), ["a"], "{reply}");
                }
                200 => {}
                _ => drop(refused(&reply, &[400, 404, 422, 501])),
            }
        }
    });
}

// https://hl7.org/fhir/R4/search.html#modifiers: a value is case sensitive
#[test]
fn missing_takes_true_and_false_only() {
    on_each_backend(|space| {
        for value in ["yes", "1", "", "true,false"] {
            refused(&space.get(&format!("Patient?gender:missing={value}")), &[400]);
        }
    });
}
