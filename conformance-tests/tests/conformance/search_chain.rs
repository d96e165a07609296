//! <https://hl7.org/fhir/R4/search.html#chaining> and <https://hl7.org/fhir/R4/search.html#has>

use serde_json::json;
use tessera_fixtures::{builders::datatypes, condition, observation, patient, resource};

use crate::space::{Space, on_each_backend, refused};

/// Two patients in the care of two practitioners at two organizations, with an observation and a condition each.
fn people(space: &Space) {
    for (name, gender, family, practitioner, organization) in
        [("eve", "female", "Windsor", "Careful", "North Clinic"), ("adam", "male", "Chalmers", "Adams", "South Clinic")]
    {
        let clinic =
            space.add(&format!("clinic-of-{name}"), resource("Organization").set("name", organization).build());
        let doctor = space
            .add(&format!("doctor-of-{name}"), resource("Practitioner").set("name.0.family", practitioner).build());
        let person = patient().family(family).gender(gender).identifier("http://example.org/mrn", name);
        let person = space.add(name, person.general_practitioner(&doctor).managing_organization(&clinic).build());
        space.add(
            &format!("weight-of-{name}"),
            observation()
                .quantity(if name == "eve" { "60" } else { "90" }, "kg")
                .subject(&person)
                .performer(&doctor)
                .build(),
        );
        space.add(&format!("condition-of-{name}"), condition().subject(&person).build());
    }
}

// https://hl7.org/fhir/R4/search.html#chaining: `subject:Patient.name=peter`
#[test]
fn a_typed_chain_asks_the_target() {
    on_each_backend(|space| {
        people(space);
        space.finds("Observation?subject:Patient.name=windsor", "weight-of-eve");
        space.finds("Observation?subject:Patient.gender=male", "weight-of-adam");
        space.finds("Observation?subject:Patient.identifier=http://example.org/mrn|eve", "weight-of-eve");
        space.finds("Observation?subject:Patient.name=nobody", "");
        space.finds("Observation?subject:Patient.gender=male,female", "weight-of-eve weight-of-adam");
        space.finds("Observation?subject:Patient.gender=male&subject:Patient.name=windsor", "");
    });
}

// https://hl7.org/fhir/R4/search.html#chaining: `patient.name` has only one type
#[test]
fn a_chain_needs_no_type_where_only_one_is_possible() {
    on_each_backend(|space| {
        people(space);
        space.finds("Observation?patient.name=windsor", "weight-of-eve");
        space.finds("Patient?organization.name=south", "adam");
        // Groups have identifiers too, but `patient` is `subject.where(resolve() is Patient)`.
        space.finds("Observation?patient.identifier=http://example.org/mrn|eve", "weight-of-eve");
        // Of the subjects of an Observation only a Patient has a gender.
        space.finds("Observation?subject.gender=female", "weight-of-eve");
    });
}

// https://hl7.org/fhir/R4/search.html#chaining: ambiguous chains
#[test]
fn an_ambiguous_chain_finds_all_or_is_refused_with_the_types() {
    on_each_backend(|space| {
        people(space);
        let reply = space.get(&space.within("Observation?performer.name=careful"));
        if reply.status == 200 {
            assert_eq!(space.names_in(&reply, "match"), ["weight-of-eve"], "{reply}");
        } else {
            refused(&reply, &[400]);
            assert!(reply.text.contains("Practitioner") && reply.text.contains("Organization"), "{reply}");
        }
        space.finds("Observation?performer:Practitioner.name=careful", "weight-of-eve");
    });
}

// https://hl7.org/fhir/R4/search.html#chaining: chains of chains
#[test]
fn chains_go_on() {
    on_each_backend(|space| {
        people(space);
        space.finds("Observation?subject:Patient.organization.name=north", "weight-of-eve");
        space.finds("Observation?patient.general-practitioner:Practitioner.family=adams", "weight-of-adam");
        space.finds("Observation?subject:Patient.organization.name=nowhere", "");
    });
}

// https://hl7.org/fhir/R4/search.html#chaining: the server may limit the depth, but must say so
#[test]
fn a_chain_that_is_too_long_is_refused() {
    on_each_backend(|space| {
        let long = format!("Observation?patient.{}organization.name=a", "link:Patient.".repeat(12));
        refused(&space.get(&long), &[400]);
        let has = format!("Patient?{}code=a", "_has:Observation:patient:subject:Patient.".repeat(12));
        refused(&space.get(&has), &[400]);
    });
}

// https://hl7.org/fhir/R4/search.html#chaining: what is no chain
#[test]
fn a_chain_through_what_is_no_reference_is_refused() {
    on_each_backend(|space| {
        for query in [
            "Observation?code.name=a",
            "Observation?subject:Patient.unheard-of=a",
            "Observation?subject:Practitioner.name=a",
            "Observation?subject:Nothing.name=a",
            "Observation?patient.=a",
            "Observation?.name=a",
        ] {
            println!("{query}");
            refused(&space.get(query), &[400]);
        }
    });
}

// https://hl7.org/fhir/R4/search.html#chaining: the modifiers and prefixes of the last parameter
#[test]
fn the_last_parameter_of_a_chain_may_have_modifiers_and_prefixes() {
    on_each_backend(|space| {
        people(space);
        let old = space.add("old", patient().born("1930-05-05").build());
        space.add("weight-of-old", observation().subject(&old).build());
        space.finds("Observation?subject:Patient.birthdate=lt1940", "weight-of-old");
        space.finds("Observation?subject:Patient.family:exact=Windsor", "weight-of-eve");
        space.finds("Observation?subject:Patient.family:exact=windsor", "");
        space.finds("Observation?subject:Patient.birthdate:missing=true", "weight-of-eve weight-of-adam");
        space.finds("Observation?subject:Patient.gender:not=male", "weight-of-eve weight-of-old");
        space.finds("Observation?subject:Patient._id=nobody", "");
        space.finds(&format!("Observation?subject:Patient._id={}", old.rsplit('/').next().unwrap()), "weight-of-old");
    });
}

// https://hl7.org/fhir/R4/search.html#has: `_has:Observation:patient:code=1234-5`
#[test]
fn has_finds_what_is_referred_to() {
    on_each_backend(|space| {
        people(space);
        space.finds("Patient?_has:Observation:patient:value-quantity=gt80", "adam");
        space.finds("Patient?_has:Condition:subject:code=38341003", "eve adam");
        space.finds("Patient?_has:Observation:patient:code=unheard-of", "");
        space.finds("Patient?_has:Observation:patient:code=29463-7&gender=female", "eve");
        space.finds("Practitioner?_has:Patient:general-practitioner:family=windsor", "doctor-of-eve");
    });
}

// https://hl7.org/fhir/R4/search.html#has: the conditions of one _has are on one resource; two are on two
#[test]
fn two_has_may_be_met_by_two_resources() {
    on_each_backend(|space| {
        let person = space.add("one", patient().build());
        space.add("a", observation().status("final").quantity("1", "kg").subject(&person).build());
        space.add("b", observation().status("amended").quantity("2", "kg").subject(&person).build());
        space.finds("Patient?_has:Observation:patient:status=final&_has:Observation:patient:status=amended", "one");
        space.finds("Patient?_has:Observation:patient:code-value-quantity=29463-7$2", "one");
    });
}

// https://hl7.org/fhir/R4/search.html#has: nested, and within chains
#[test]
fn has_and_chains_nest() {
    on_each_backend(|space| {
        people(space);
        space.finds(
            "Organization?_has:Patient:organization:_has:Observation:patient:value-quantity=gt80",
            "clinic-of-adam",
        );
        space.finds("Condition?patient:Patient._has:Observation:patient:value-quantity=gt80", "condition-of-adam");
        space.finds("Practitioner?_has:Observation:performer:patient.family=windsor", "doctor-of-eve");
    });
}

// https://hl7.org/fhir/R4/search.html#has
#[test]
fn has_that_leads_nowhere_is_refused() {
    on_each_backend(|space| {
        for query in [
            "Patient?_has=a",
            "Patient?_has:Observation=a",
            "Patient?_has:Observation:patient=a",
            "Patient?_has:Nothing:patient:code=a",
            "Patient?_has:Observation:code:code=a",
            "Patient?_has:Observation:patient:unheard-of=a",
            "Organization?_has:Observation:patient:code=a",
        ] {
            println!("{query}");
            refused(&space.get(query), &[400]);
        }
    });
}

// https://hl7.org/fhir/R4/search.html#chaining: chains see the current version of their targets only
#[test]
fn chains_follow_updates_and_deletions_of_the_target() {
    on_each_backend(|space| {
        let eve = space.add("eve", patient().family("Before").build());
        let weight = space.add("weight", observation().subject(&eve).build());
        let mut body = space.get(&eve).expect_status(200).body;
        body["name"][0]["family"] = json!("After");
        space.put(&eve, &body).assert_status(200);
        space.finds("Observation?patient.family=before", "");
        space.finds("Observation?patient.family=after", "weight");
        space.finds("Patient?_has:Observation:patient:code=29463-7", "eve");
        assert!(space.delete(&weight).is_success());
        space.finds("Patient?_has:Observation:patient:code=29463-7", "");
        let second = space.add("second", observation().subject(&eve).build());
        if space.delete(&eve).is_success() {
            space.finds("Observation?patient.family=after", "");
        }
        space.get(&second).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/search.html#chaining: many targets, one match each
#[test]
fn chains_never_multiply_the_matches() {
    on_each_backend(|space| {
        let eve = space.add("eve", patient().given("Anna").given("Annabel").given("Anne").build());
        let doctors: Vec<_> = (0..3)
            .map(|n| space.add(&format!("d{n}"), resource("Practitioner").set("name.0.family", "Same").build()))
            .collect();
        let weight = doctors.iter().fold(observation().subject(&eve), |weight, doctor| weight.performer(doctor));
        space.add("weight", weight.build());
        space.add("other", condition().subject(&eve).set("recorder", datatypes::reference(&doctors[0])).build());
        space.finds("Observation?patient.given=ann&performer:Practitioner.family=same", "weight");
        space.finds("Patient?_has:Observation:patient:performer:Practitioner.family=same", "eve");
        let count = space
            .get(&space.within("Observation?performer:Practitioner.family=same&_summary=count"))
            .expect_status(200);
        assert_eq!(count.body["total"], 1, "{count}");
    });
}
