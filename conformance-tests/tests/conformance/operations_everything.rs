//! <https://hl7.org/fhir/R4/patient-operation-everything.html>, and those of Encounter and Group.

use conformance_tests::Reply;
use serde_json::{Value, json};

use crate::space::{Space, on_each_backend, refused, refused_with, send};

fn reference(key: &str) -> Value {
    json!({ "reference": key })
}

/// An Observation of the patient, effective at that time, with these elements too.
fn observation(patient: &str, time: &str, others: &Value) -> Value {
    let mut observation = json!({
        "resourceType": "Observation", "status": "final", "code": { "text": "c" },
        "subject": reference(patient), "effectiveDateTime": time,
    });
    for (name, value) in others.as_object().into_iter().flatten() {
        observation[name] = value.clone();
    }
    observation
}

/// A patient's small record, and another patient's. Returns the key of the patient.
fn record(space: &Space) -> String {
    let organization = space.add("organization", json!({ "resourceType": "Organization", "name": "o" }));
    let practitioner = space.add("practitioner", json!({ "resourceType": "Practitioner" }));
    let role = space.add(
        "role",
        json!({ "resourceType": "PractitionerRole", "practitioner": reference(&practitioner), "organization": reference(&organization) }),
    );
    let location = space.add("location", json!({ "resourceType": "Location" }));
    let patient = space.add("patient", json!({ "resourceType": "Patient" }));
    let other = space.add("other", json!({ "resourceType": "Patient" }));
    let encounter = space.add(
        "encounter",
        json!({
            "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" }, "subject": reference(&patient),
            "period": { "start": "2020-03-01", "end": "2020-03-05" }, "location": [{ "location": reference(&location) }],
        }),
    );
    let others = observation(&other, "2020-03-03", &json!({}));
    let of_other = space.add("other-observation", others);
    space.add(
        "early",
        observation(
            &patient,
            "2020-03-02",
            &json!({ "encounter": reference(&encounter), "hasMember": [reference(&of_other)] }),
        ),
    );
    space.add("late", observation(&patient, "2021-06-01", &json!({ "performer": [reference(&role)] })));
    space.add("allergy", json!({ "resourceType": "AllergyIntolerance", "patient": reference(&patient) }));
    patient
}

/// The names of all resources on all pages, each once.
#[track_caller]
fn names(space: &Space, path: &str) -> Vec<String> {
    let mut page = space.get(path).expect_status(200);
    let mut names = Vec::new();
    loop {
        assert_eq!(page.body["type"], "searchset", "{page}");
        names.extend(page.resources().iter().map(|resource| space.name_of(resource)));
        let Some(next) = page.link("next").map(str::to_owned) else { break };
        page = space.get(&next).expect_status(200);
        assert!(names.len() < 1000, "{path} never ends");
    }
    names.sort();
    names.dedup();
    names
}

#[track_caller]
fn returns(space: &Space, path: &str, expected: &str) {
    assert_eq!(names(space, path), expected.split_whitespace().collect::<Vec<_>>(), "{path}");
}

const ALL: &str = "allergy early encounter late location organization patient practitioner role";

// "returns all the information related to the patient … along with whatever resources are needed to support the records"
#[test]
fn everything_is_the_compartment_and_what_it_refers_to() {
    on_each_backend(|space| {
        let patient = record(space);
        returns(space, &format!("{patient}/$everything"), ALL);
        returns(space, &format!("{patient}/%24everything"), ALL);
        let posted = space.post(&format!("{patient}/$everything"), &json!({ "resourceType": "Parameters" }));
        assert_eq!(posted.expect_status(200).resources().len(), 9);
    });
}

#[test]
fn the_patient_comes_first_and_matches_are_told_from_what_supports_them() {
    on_each_backend(|space| {
        let patient = record(space);
        let reply: Reply = space.get(&format!("{patient}/$everything")).expect_status(200);
        assert_eq!(space.name_of(&reply.entries()[0]["resource"]), "patient");
        let mut included = space.names_in(&reply, "include");
        included.sort();
        assert_eq!(included, ["location", "organization", "practitioner", "role"]);
    });
}

#[test]
fn everything_of_another_patient_stays_out() {
    on_each_backend(|space| {
        let patient = record(space);
        let names = names(space, &format!("{patient}/$everything"));
        assert!(!names.iter().any(|name| name.starts_with("other")), "{names:?}");
    });
}

#[test]
fn what_supports_a_record_is_found_however_it_is_referred_to() {
    on_each_backend(|space| {
        let patient = space.add("patient", json!({ "resourceType": "Patient" }));
        let practitioner = |name: &str| space.add(name, json!({ "resourceType": "Practitioner" }));
        let [versioned, absolute, escaped] = ["versioned", "absolute", "escaped"].map(practitioner);
        let add = |name: &str, performer: &str| {
            space.add(name, observation(&patient, "2020-01-01", &json!({ "performer": [reference(performer)] })))
        };
        add("a", &format!("{versioned}/_history/1"));
        let found = space.get(&absolute.replace('/', "?_id=")).expect_status(200);
        add("b", found.entries()[0]["fullUrl"].as_str().unwrap());
        // Of another server.
        add("c", "http://elsewhere.example/fhir/Practitioner/1");
        let text =
            observation(&patient, "2020-01-01", &json!({ "performer": [reference("PRACTITIONER")] })).to_string();
        let text = text.replace("PRACTITIONER", &escaped.replace("Practitioner/", r"\u0050ractitioner\/"));
        let created = send(space.request("POST", "Observation").body("application/fhir+json", text)).expect_status(201);
        space.name(&format!("Observation/{}", created.id()), "d");
        returns(space, &format!("{patient}/$everything"), "a absolute b c d escaped patient versioned");
    });
}

// "_type: one or more parameters, each containing one or more comma-delimited FHIR resource types to include"
#[test]
fn type_names_the_types_that_are_returned() {
    on_each_backend(|space| {
        let patient = record(space);
        let check = |query: &str, expected: &str| returns(space, &format!("{patient}/$everything?{query}"), expected);
        check("_type=Observation", "early late");
        check("_type=Observation,Encounter", "early encounter late");
        check("_type=Observation&_type=Patient", "early late patient");
        check("_type=Practitioner,Organization", "organization practitioner");
        check("_type=Practitioner&_count=1", "practitioner");
        check("_type=Medication", "");
        refused_with(&space.get(&format!("{patient}/$everything?_type=Observatoin")), 400, "value");
        let body =
            json!({ "resourceType": "Parameters", "parameter": [{ "name": "_type", "valueCode": "Encounter" }] });
        let posted = space.post(&format!("{patient}/$everything"), &body).expect_status(200);
        assert_eq!(posted.resources().len(), 1, "{posted}");
    });
}

// "start: … the date range relates to care dates, not record currency dates"
#[test]
fn start_and_end_are_care_dates() {
    on_each_backend(|space| {
        let patient = record(space);
        let types = "_type=Patient,Observation,Encounter,AllergyIntolerance";
        let check = |query: &str, expected: &str| {
            returns(space, &format!("{patient}/$everything?{types}&{query}"), expected);
        };
        // What has no date is not outside of any time.
        check("start=2021-01-01", "allergy late patient");
        check("end=2020-12-31", "allergy early encounter patient");
        check("start=2020-03-05&end=2020-12", "allergy encounter patient");
        check("start=2020-03-02&end=2020-03-02", "allergy early encounter patient");
        check("start=2020&end=2021", "allergy early encounter late patient");
        refused_with(&space.get(&format!("{patient}/$everything?start=2020-02-30")), 400, "value");
    });
}

// "_since: … only resources that have changed since the given time"
#[test]
fn since_leaves_out_what_has_not_changed() {
    on_each_backend(|space| {
        let patient = record(space);
        let stored = space.get(&patient).expect_status(200);
        let since = stored.body["meta"]["lastUpdated"].as_str().unwrap();
        let found = names(space, &format!("{patient}/$everything?_since={since}"));
        assert!(found.contains(&"late".to_owned()), "{found:?}");
        returns(space, &format!("{patient}/$everything?_since=2999-01-01T00:00:00Z"), "");
    });
}

// "_count: … the number of resources to return in each page"
#[test]
fn count_cuts_the_record_into_pages_without_losing_or_repeating() {
    on_each_backend(|space| {
        let patient = record(space);
        for count in [1, 2, 3] {
            returns(space, &format!("{patient}/$everything?_count={count}"), ALL);
            let first = space.get(&format!("{patient}/$everything?_count={count}")).expect_status(200);
            assert_eq!(space.names_in(&first, "match").len(), count, "{first}");
        }
        let mut path = format!("{patient}/$everything?_count=2&_type=Observation,Patient,Encounter,AllergyIntolerance");
        let mut seen = Vec::new();
        loop {
            let page = space.get(&path).expect_status(200);
            seen.extend(space.names_in(&page, "match"));
            match page.link("next") {
                Some(next) => path = next.to_owned(),
                None => break,
            }
        }
        seen.sort();
        assert_eq!(seen, ["allergy", "early", "encounter", "late", "patient"]);
        refused_with(&space.get(&format!("{patient}/$everything?_count=0")), 400, "value");
        refused(&space.get(&format!("{patient}/$everything?_page=nonsense")), &[400]);
    });
}

#[test]
fn everything_at_the_type_is_about_all_patients() {
    on_each_backend(|space| {
        record(space);
        let since = "_type=Observation";
        let found = names(space, &format!("Patient/$everything?{since}&_count=1000"));
        for name in ["early", "late", "other-observation"] {
            assert!(found.contains(&name.to_owned()), "{name} is not in {found:?}");
        }
    });
}

#[test]
fn everything_of_nobody_is_not_found() {
    on_each_backend(|space| {
        refused(&space.get("Patient/nobody/$everything"), &[404]);
        let patient = space.add("patient", json!({ "resourceType": "Patient" }));
        space.delete(&patient);
        refused(&space.get(&format!("{patient}/$everything")), &[410, 404]);
        refused(&space.get("Observation/1/$everything"), &[404]);
    });
}

// https://hl7.org/fhir/R4/encounter-operation-everything.html
#[test]
fn everything_of_an_encounter() {
    on_each_backend(|space| {
        record(space);
        let encounter = space.search("Encounter").resources()[0]["id"].as_str().unwrap().to_owned();
        returns(space, &format!("Encounter/{encounter}/$everything"), "early encounter location patient");
        returns(space, &format!("Encounter/{encounter}/$everything?_type=Observation"), "early");
        refused_with(&space.get(&format!("Encounter/{encounter}/$everything?start=2020")), 400, "not-supported");
        refused(&space.get("Encounter/$everything"), &[404]);
    });
}

// https://hl7.org/fhir/R4/group-operation-everything.html
#[test]
fn everything_of_a_group_is_that_of_its_members() {
    on_each_backend(|space| {
        let patient = record(space);
        let third = space.add("third", json!({ "resourceType": "Patient" }));
        let left = space.add("left", json!({ "resourceType": "Patient" }));
        let group = space.add(
            "group",
            json!({
                "resourceType": "Group", "type": "person", "actual": true,
                "member": [
                    { "entity": reference(&patient) }, { "entity": reference(&third) },
                    { "entity": reference(&left), "inactive": true },
                ],
            }),
        );
        returns(
            space,
            &format!("{group}/$everything?_count=2"),
            "allergy early encounter group late location organization patient practitioner role third",
        );
        returns(space, &format!("{group}/$everything?_type=Patient"), "patient third");
    });
}

// "Group: … the members": https://hl7.org/fhir/R4/group-definitions.html#Group.member.entity may be a Group
#[test]
fn everything_of_a_group_is_that_of_the_groups_within_too() {
    on_each_backend(|space| {
        let patient = |name: &str| space.add(name, json!({ "resourceType": "Patient" }));
        let (one, two, left) = (patient("one"), patient("two"), patient("left"));
        let mut gone = json!({ "resourceType": "Group", "type": "person", "actual": true, "member": [{ "entity": reference(&left), "inactive": true }] });
        gone["member"].as_array_mut().unwrap().push(json!({ "entity": reference(&two) }));
        let inner = space.add("inner", gone);
        let outer = space.add("outer", json!({
            "resourceType": "Group", "type": "person", "actual": true,
            "member": [{ "entity": reference(&one) }, { "entity": reference(&inner) }, { "entity": reference(&two) }],
        }));
        returns(space, &format!("{outer}/$everything?_type=Patient"), "one two");
        // A group that is in itself has no more members than otherwise.
        let mut circle = space.get(&inner).body;
        circle["member"].as_array_mut().unwrap().push(json!({ "entity": reference(&outer) }));
        space.put(&inner, &circle).assert_status(200);
        returns(space, &format!("{outer}/$everything?_type=Patient"), "one two");
        let mut deepest = inner;
        for n in 0..5 {
            deepest = space.add(&format!("around{n}"), json!({
                "resourceType": "Group", "type": "person", "actual": true, "member": [{ "entity": reference(&deepest) }],
            }));
        }
        refused_with(&space.get(&format!("{deepest}/$everything")), 400, "too-costly");
    });
}
