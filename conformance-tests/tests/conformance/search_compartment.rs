//! Compartments: <https://hl7.org/fhir/R4/compartmentdefinition.html>

use serde_json::json;
use tessera_fixtures::{condition, observation, patient, resource};

use crate::space::{Space, on_each_backend, refused, send};

fn two_patients(space: &Space) -> (String, String) {
    let (eve, adam) = (space.add("eve", patient().build()), space.add("adam", patient().build()));
    let doctor = space.add("doctor", resource("Practitioner").build());
    space.add("weight", observation().subject(&eve).performer(&doctor).build());
    space.add("told", observation().subject(&adam).performer(&eve).build());
    space.add("other", observation().subject(&adam).build());
    space.add("illness", condition().subject(&eve).build());
    (eve, doctor)
}

// https://hl7.org/fhir/R4/http.html#search: `GET [base]/Patient/[id]/[type]?parameters`
#[test]
fn a_type_is_searched_within_a_compartment() {
    on_each_backend(|space| {
        let (eve, doctor) = two_patients(space);
        // Patient: performer and subject.
        space.finds(&format!("{eve}/Observation"), "weight told");
        space.finds(&format!("{eve}/Observation?performer={eve}"), "told");
        space.finds(&format!("{eve}/Observation?status=entered-in-error"), "");
        space.finds(&format!("{eve}/Condition"), "illness");
        space.finds(&format!("{doctor}/Observation"), "weight");
        // The owner is in its own compartment.
        space.finds(&format!("{eve}/Patient"), "eve");
        space.finds(&format!("{doctor}/Practitioner"), "doctor");
        space.finds("Patient/nobody/Observation", "");
    });
}

// https://hl7.org/fhir/R4/http.html#search: `GET [base]/Patient/[id]/*`
#[test]
fn a_whole_compartment_is_searched() {
    on_each_backend(|space| {
        let (eve, doctor) = two_patients(space);
        space.finds(&format!("{eve}/*"), "eve weight told illness");
        space.finds(&format!("{eve}/*?_type=Observation"), "weight told");
        space.finds(&format!("{doctor}/*"), "doctor weight");
        let page = space.search(&format!("{eve}/*?_count=1&_total=accurate"));
        assert_eq!(page.body["total"], 4, "{page}");
        let next = page.link("next").unwrap();
        assert!(next.contains(&format!("{eve}/*")), "{next}");
        space.lists(&format!("{eve}/*?_sort=-_lastUpdated&_count=1"), "illness told weight eve");
    });
}

// https://hl7.org/fhir/R4/compartmentdefinition.html: Patient, Encounter, RelatedPerson, Practitioner, Device
#[test]
fn all_five_compartments_are_there() {
    on_each_backend(|space| {
        let eve = space.add("eve", patient().build());
        let visit = json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" } });
        let visit = space.add("visit", visit);
        let related = json!({ "resourceType": "RelatedPerson", "patient": { "reference": eve } });
        let related = space.add("related", related);
        let device = space.add("device", json!({ "resourceType": "Device" }));
        let with = |name: &str, key: &str| observation().subject(&eve).set(name, json!({ "reference": key })).build();
        space.add("at-visit", with("encounter", &visit));
        space.add("by-device", with("device", &device));
        space.add("by-related", observation().subject(&eve).performer(&related).build());
        space.finds(&format!("{visit}/Observation"), "at-visit");
        space.finds(&format!("{device}/Observation"), "by-device");
        space.finds(&format!("{related}/Observation"), "by-related");
        space.finds(&format!("{eve}/Observation"), "at-visit by-device by-related");
        space.finds(&format!("{related}/*"), "related by-related");
    });
}

// A type outside of the compartment never gives everything.
#[test]
fn what_is_in_no_compartment_is_refused() {
    on_each_backend(|space| {
        let (eve, doctor) = two_patients(space);
        refused(&space.get(&format!("{eve}/ValueSet")), &[400]);
        refused(&space.get(&format!("{eve}/*?_type=ValueSet,Observation")), &[400]);
        refused(&space.get("Organization/1/Observation"), &[400]);
        refused(&space.get(&format!("{doctor}/Observation?nmae=a")), &[400]);
        refused(&space.put(&format!("{eve}/Observation"), &observation().build()), &[405]);
    });
}

// https://hl7.org/fhir/R4/http.html#search: `POST [base]/[compartment]/[id]/[type]/_search`
#[test]
fn a_compartment_is_searched_by_post() {
    on_each_backend(|space| {
        let (eve, _) = two_patients(space);
        let search = |path: String, body: String| {
            let form = "application/x-www-form-urlencoded";
            let reply = send(space.request("POST", &path).body(form, body)).expect_status(200);
            let mut names = space.names_in(&reply, "match");
            names.sort();
            names.join(" ")
        };
        assert_eq!(search(format!("{eve}/Observation/_search"), format!("performer={eve}")), "told");
        assert_eq!(search(format!("{eve}/Observation/_search?performer={eve}"), String::new()), "told");
        assert_eq!(search(format!("{eve}/*/_search"), "_type=Condition".to_owned()), "illness");
    });
}
