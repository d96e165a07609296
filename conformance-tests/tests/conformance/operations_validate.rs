//! <https://hl7.org/fhir/R4/resource-operation-validate.html>

use conformance_tests::Reply;
use serde_json::{Value, json};

use crate::space::{expressions, first_error, on_each_backend, refused, refused_with};

/// Parameters with the resource and these others.
fn wrapped(resource: &Value, others: &[Value]) -> Value {
    let mut list = vec![json!({ "name": "resource", "resource": resource })];
    list.extend_from_slice(others);
    json!({ "resourceType": "Parameters", "parameter": list })
}

/// The first error of the outcome, if there is one; the status is 200 either way.
#[track_caller]
fn found(reply: &Reply) -> Option<Value> {
    reply.assert_status(200);
    assert_eq!(reply.body["resourceType"], "OperationOutcome", "{reply}");
    assert!(!reply.body["issue"].as_array().unwrap().is_empty(), "{reply}");
    first_error(&reply.body)
}

#[test]
fn a_valid_resource_is_told_so_with_200() {
    on_each_backend(|space| {
        let patient = json!({ "resourceType": "Patient", "birthDate": "1974-12-25" });
        assert_eq!(found(&space.post("Patient/$validate", &patient)), None);
        assert_eq!(found(&space.post("Patient/$validate", &wrapped(&patient, &[]))), None);
    });
}

#[test]
fn the_thirtieth_of_february_is_no_date() {
    on_each_backend(|space| {
        let patient = json!({ "resourceType": "Patient", "birthDate": "2021-02-30" });
        for body in [patient.clone(), wrapped(&patient, &[])] {
            let reply = space.post("Patient/$validate", &body);
            assert!(found(&reply).is_some(), "{reply}");
            assert_eq!(expressions(&reply.body)[0], "Patient.birthDate", "{reply}");
        }
    });
}

// "dom-6: A resource should have narrative for robust management", a warning; "obs-6: dataAbsentReason SHALL only be present
// if Observation.value[x] is not present"; <https://hl7.org/fhir/R4/domainresource.html>, observation.html#invs
#[test]
fn invariants_are_checked() {
    on_each_backend(|space| {
        let absent = json!({ "coding": [{ "code": "unknown" }] });
        let observation = json!({
            "resourceType": "Observation", "status": "final", "code": { "text": "weight" },
            "valueString": "70 kg", "dataAbsentReason": absent,
        });
        let issues = space.post("Observation/$validate", &observation).expect_status(200).body["issue"].clone();
        let of = |key: &str| {
            let all = issues.as_array().unwrap();
            all.iter().find(|i| i["diagnostics"].as_str().unwrap().starts_with(key)).map(|i| i["severity"].clone())
        };
        assert_eq!(of("obs-6"), Some(json!("error")), "{issues}");
        assert_eq!(of("dom-6"), Some(json!("warning")), "{issues}");
    });
}

// "The return is always an OperationOutcome; if the operation was carried out, the status is 200"
#[test]
fn what_is_wrong_is_in_the_outcome_and_not_in_the_status() {
    on_each_backend(|space| {
        for (wrong, place) in [
            (json!({ "resourceType": "Observation", "status": "final" }), "Observation"),
            (json!({ "resourceType": "Observation", "status": "done", "code": { "text": "c" } }), "Observation.status"),
            (
                json!({ "resourceType": "Observation", "status": "final", "code": { "text": "c" }, "colour": "red" }),
                "Observation.colour",
            ),
        ] {
            let reply = space.post("Observation/$validate", &wrapped(&wrong, &[]));
            assert!(found(&reply).is_some(), "{reply}");
            assert!(expressions(&reply.body).iter().any(|e| e.starts_with(place)), "{place}: {reply}");
        }
        // Of another type than the URL.
        assert!(found(&space.post("Observation/$validate", &json!({ "resourceType": "Patient" }))).is_some());
    });
}

#[test]
fn validation_writes_nothing() {
    on_each_backend(|space| {
        let patient = space.tagged(json!({ "resourceType": "Patient" }));
        assert_eq!(found(&space.post("Patient/$validate?mode=create", &patient)), None);
        space.finds("Patient", "");
    });
}

#[test]
fn mode_update_asks_what_an_update_of_the_instance_would_be_told() {
    on_each_backend(|space| {
        let key = space.add("p", json!({ "resourceType": "Patient" }));
        let id = key.split('/').nth(1).unwrap();
        let path = format!("{key}/$validate");
        let mode = json!({ "name": "mode", "valueCode": "update" });
        let with_id = |id: &str| json!({ "resourceType": "Patient", "id": id });
        assert_eq!(found(&space.post(&path, &wrapped(&with_id(id), std::slice::from_ref(&mode)))), None);
        assert!(found(&space.post(&path, &wrapped(&with_id("other"), &[mode]))).is_some());
    });
}

#[test]
fn mode_delete_asks_whether_the_instance_can_be_deleted() {
    on_each_backend(|space| {
        let key = space.add("p", json!({ "resourceType": "Patient" }));
        assert_eq!(found(&space.get(&format!("{key}/$validate?mode=delete"))), None);
        assert!(found(&space.get("Patient/nobody/$validate?mode=delete")).is_some());
        refused_with(&space.get("Patient/$validate?mode=delete"), 400, "required");
        space.get(&key).assert_status(200);
    });
}

#[test]
fn an_instance_without_a_resource_parameter_is_judged_as_it_is_stored() {
    on_each_backend(|space| {
        let key = space.add("p", json!({ "resourceType": "Patient" }));
        assert_eq!(found(&space.get(&format!("{key}/$validate"))), None);
        refused(&space.get("Patient/nobody/$validate"), &[404]);
    });
}

// "profile: … the profile against which to validate"
#[test]
fn a_profile_that_is_not_checked_is_not_passed_over() {
    on_each_backend(|space| {
        let patient = json!({ "resourceType": "Patient" });
        let profile = |url: &str| wrapped(&patient, &[json!({ "name": "profile", "valueUri": url })]);
        let base = "http://hl7.org/fhir/StructureDefinition/Patient";
        assert_eq!(found(&space.post("Patient/$validate", &profile(base))), None);
        let error = found(&space.post("Patient/$validate", &profile("http://example.org/made-up"))).unwrap();
        assert_eq!(error["code"], "not-supported");
        refused_with(&space.get("Patient/$validate?mode=profile"), 400, "required");
    });
}

#[test]
fn what_cannot_be_asked_is_refused() {
    on_each_backend(|space| {
        refused_with(&space.post("Patient/$validate", &json!({ "resourceType": "Parameters" })), 400, "required");
        refused_with(&space.post("Patient/$validate?mode=guess", &json!({ "resourceType": "Patient" })), 400, "value");
        refused(&space.post("Patient/$validate", &json!({ "resourceType": "Patiant" })), &[400]);
    });
}
