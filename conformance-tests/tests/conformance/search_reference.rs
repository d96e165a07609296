//! <https://hl7.org/fhir/R4/search.html#reference>

use serde_json::json;
use tessera_fixtures::{builders::datatypes, condition, observation, patient, resource};

use crate::space::{Space, on_each_backend, refused};

fn id(key: &str) -> &str {
    key.rsplit('/').next().unwrap()
}

/// Two patients and an observation of each; the keys of the patients.
fn two(space: &Space) -> (String, String) {
    let (eve, adam) = (space.add("eve", patient().build()), space.add("adam", patient().build()));
    space.add("of-eve", observation().subject(&eve).build());
    space.add("of-adam", observation().subject(&adam).build());
    space.add("of-nobody", observation().build());
    (eve, adam)
}

// https://hl7.org/fhir/R4/search.html#reference: `[id]`, `[type]/[id]`, `[url]`
#[test]
fn reference_takes_id_type_and_id_and_the_servers_own_url() {
    on_each_backend(|space| {
        let (eve, adam) = two(space);
        space.finds(&format!("Observation?subject={}", id(&eve)), "of-eve");
        space.finds(&format!("Observation?subject={eve}"), "of-eve");
        space.finds(&format!("Observation?subject={}/{eve}", space.base), "of-eve");
        space.finds(&format!("Observation?subject={eve},{adam}"), "of-eve of-adam");
        space.finds(&format!("Observation?subject={eve}&subject={adam}"), "");
        space.finds(&format!("Observation?subject=Patient/{}", space.tag), "");
    });
}

// https://hl7.org/fhir/R4/search.html#reference: `[parameter]:[type]=[id]`
#[test]
fn the_type_may_stand_as_a_modifier() {
    on_each_backend(|space| {
        let (eve, _) = two(space);
        space.finds(&format!("Observation?subject:Patient={}", id(&eve)), "of-eve");
        space.finds(&format!("Observation?subject:Group={}", id(&eve)), "");
        refused(&space.get(&format!("Observation?subject:Nothing={}", id(&eve))), &[400]);
    });
}

// https://hl7.org/fhir/R4/search.html#reference: the same id under two types
#[test]
fn an_id_alone_matches_every_type_that_the_parameter_allows() {
    on_each_backend(|space| {
        let shared = &space.tag;
        for resource_type in ["Patient", "Device"] {
            let made = space
                .put(&format!("{resource_type}/{shared}"), &space.tagged(resource(resource_type).id(shared).build()));
            if made.status == 405 {
                return;
            }
        }
        space.add("of-patient", observation().subject(&format!("Patient/{shared}")).build());
        space.add("of-device", observation().subject(&format!("Device/{shared}")).build());
        space.finds(&format!("Observation?subject={shared}"), "of-patient of-device");
        space.finds(&format!("Observation?subject:Device={shared}"), "of-device");
        space.finds(&format!("Observation?subject=Device/{shared}"), "of-device");
        // `patient` is the subject where it is a Patient.
        space.finds(&format!("Observation?patient={shared}"), "of-patient");
    });
}

// https://hl7.org/fhir/R4/references.html: a reference in the resource may be absolute
#[test]
fn references_stored_with_the_servers_own_url_are_the_same() {
    on_each_backend(|space| {
        let eve = space.add("eve", patient().build());
        space.add("absolute", observation().subject(&format!("{}/{eve}", space.base)).build());
        space.add("relative", observation().subject(&eve).build());
        space.finds(&format!("Observation?subject={eve}"), "absolute relative");
        space.finds(&format!("Observation?subject={}/{eve}", space.base), "absolute relative");
    });
}

// https://hl7.org/fhir/R4/search.html#reference: absolute URLs of other servers
#[test]
fn references_to_other_servers_are_matched_by_their_url() {
    on_each_backend(|space| {
        let there = format!("https://other.example/fhir/Patient/{}", space.tag);
        space.add("there", observation().subject(&there).build());
        space.add("here", observation().subject(&format!("Patient/{}", space.tag)).build());
        space.finds(&format!("Observation?subject={there}"), "there");
        space.finds(&format!("Observation?subject=Patient/{}", space.tag), "here");
    });
}

// https://hl7.org/fhir/R4/references.html: the version of a reference
#[test]
fn a_versioned_reference_is_one_to_the_resource() {
    on_each_backend(|space| {
        let eve = space.add("eve", patient().build());
        space.add("versioned", observation().subject(&format!("{eve}/_history/1")).build());
        space.finds(&format!("Observation?subject={eve}"), "versioned");
    });
}

// https://hl7.org/fhir/R4/search.html#reference: `:identifier` is Reference.identifier
#[test]
fn identifier_matches_the_identifier_in_the_reference() {
    on_each_backend(|space| {
        let system = "http://example.org/mrn";
        let subject = |system: &str, value: &str| json!({ "identifier": { "system": system, "value": value } });
        space.add("logical", observation().set("subject", subject(system, "123")).build());
        space.add("other", observation().set("subject", subject("http://example.org/other", "123")).build());
        // The identifier of the target is not that of the reference.
        let eve = space.add("eve", patient().identifier(system, "123").build());
        space.add("literal", observation().subject(&eve).build());
        space.finds(&format!("Observation?subject:identifier={system}|123"), "logical");
        space.finds("Observation?subject:identifier=123", "logical other");
        space.finds(&format!("Observation?subject:identifier={system}|"), "logical");
        space.finds("Observation?subject:missing=false", "logical other literal");
    });
}

// https://hl7.org/fhir/R4/search.html#reference
#[test]
fn missing_speaks_of_the_reference() {
    on_each_backend(|space| {
        two(space);
        space.finds("Observation?subject:missing=true", "of-nobody");
        space.finds("Observation?subject:missing=false", "of-eve of-adam");
        // Nothing at `performer` at all.
        space.finds("Observation?performer:missing=true", "of-eve of-adam of-nobody");
    });
}

// https://hl7.org/fhir/R4/references.html: the target may come later
#[test]
fn a_reference_to_what_does_not_exist_yet_is_found_before_and_after() {
    on_each_backend(|space| {
        let key = format!("Patient/{}", space.tag);
        space.add("early", observation().subject(&key).build());
        space.finds(&format!("Observation?subject={key}"), "early");
        space.finds("Patient", "");
        refused(&space.get(&key), &[404]);
        if space.put(&key, &space.tagged(patient().id(&space.tag).family("Late").build())).status == 405 {
            return;
        }
        space.finds(&format!("Observation?subject={key}"), "early");
        space.finds("Observation?subject:Patient.family=late", "early");
    });
}

// https://hl7.org/fhir/R4/references.html#canonical
#[test]
fn canonical_references_match_with_and_without_version() {
    on_each_backend(|space| {
        let url = format!("http://example.org/measure/{}", space.tag);
        let report = |canonical: &str| {
            let period = json!({ "start": "2020", "end": "2021" });
            let report =
                resource("MeasureReport").set("status", "complete").set("type", "individual").set("measure", canonical);
            report.set("period", period).build()
        };
        space.add("one", report(&format!("{url}|1.0")));
        space.add("two", report(&format!("{url}|2.0")));
        space.add("any", report(&url));
        space.finds(&format!("MeasureReport?measure={url}"), "one two any");
        space.finds(&format!("MeasureReport?measure={url}|1.0"), "one");
    });
}

// https://hl7.org/fhir/R4/search.html#reference: an element with several references
#[test]
fn any_of_several_references_matches() {
    on_each_backend(|space| {
        let (one, two) =
            (space.add("one", resource("Practitioner").build()), space.add("two", resource("Practitioner").build()));
        space.add("both", observation().performer(&one).performer(&two).build());
        space.add("second", observation().performer(&two).build());
        space.finds(&format!("Observation?performer={two}"), "both second");
        space.finds(&format!("Observation?performer={one}&performer={two}"), "both");
        space.finds(&format!("Observation?performer:Practitioner={}", id(&one)), "both");
        space.add("mine", condition().set("asserter", datatypes::reference(&one)).build());
        space.finds(&format!("Condition?asserter={one}"), "mine");
    });
}

// https://hl7.org/fhir/R4/search.html#reference: a deleted target
#[test]
fn a_reference_stays_when_its_target_is_deleted() {
    on_each_backend(|space| {
        let (eve, _) = two(space);
        let deleted = space.delete(&eve);
        if deleted.status == 409 {
            return; // The server keeps references whole.
        }
        space.finds(&format!("Observation?subject={eve}"), "of-eve");
        space.finds("Observation?subject:missing=false", "of-eve of-adam");
    });
}
