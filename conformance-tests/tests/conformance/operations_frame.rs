//! <https://hl7.org/fhir/R4/operations.html>: how operations are invoked, whatever they do.

use serde_json::{Value, json};

use crate::space::{Space, bundle, on_each_backend, refused, refused_with, send};

fn patient(space: &Space) -> String {
    space.add("patient", json!({ "resourceType": "Patient" }))
}

/// The value of the first parameter of that name.
fn output<'a>(parameters: &'a Value, name: &str, value: &str) -> &'a Value {
    assert_eq!(parameters["resourceType"], "Parameters", "{parameters}");
    let found = parameters["parameter"].as_array().into_iter().flatten().find(|p| p["name"] == name);
    &found.unwrap_or_else(|| panic!("no {name}: {parameters}"))[value]
}

// https://hl7.org/fhir/R4/operations.html#executing: "the name of the operation is prefixed by a dollar sign"
#[test]
fn a_dollar_sign_may_be_percent_encoded() {
    on_each_backend(|space| {
        let patient = patient(space);
        for path in [format!("{patient}/$meta"), format!("{patient}/%24meta"), format!("{patient}/%24meta/")] {
            let reply = space.get(&path).expect_status(200);
            assert_eq!(output(&reply.body, "return", "valueMeta")["versionId"], "1", "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/operations.html#executing: base, type, instance, version of an instance
#[test]
fn operations_are_invoked_on_the_base_a_type_an_instance_or_a_version() {
    on_each_backend(|space| {
        let patient = patient(space);
        for path in ["$versions".to_owned(), "Patient/$meta".to_owned(), format!("{patient}/$meta")] {
            space.get(&path).assert_status(200);
            space.post(&path, &json!({ "resourceType": "Parameters" })).assert_status(200);
        }
        space.get(&format!("{patient}/_history/1/$meta")).assert_status(200);
        refused(&space.get(&format!("{patient}/_history/9/$meta")), &[404]);
        refused(&space.get("Patient/nobody/$meta"), &[404]);
    });
}

// https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html
#[test]
fn versions_tells_which_versions_of_fhir_are_spoken() {
    on_each_backend(|space| {
        let reply = space.get("$versions").expect_status(200);
        assert_eq!(output(&reply.body, "version", "valueCode"), "4.0");
        assert_eq!(output(&reply.body, "default", "valueCode"), "4.0");
    });
}

// https://hl7.org/fhir/R4/http.html#head
#[test]
fn an_operation_that_changes_nothing_takes_head() {
    on_each_backend(|space| {
        let reply = send(space.request("HEAD", "$versions")).expect_status(200);
        assert_eq!(reply.text, "");
    });
}

// A POST without parameters needs no body.
#[test]
fn a_post_without_parameters_needs_no_body() {
    on_each_backend(|space| send(space.request("POST", "$versions")).assert_status(200));
}

// https://hl7.org/fhir/R4/http.html#Status-Codes
#[test]
fn an_operation_that_is_not_there_says_so() {
    on_each_backend(|space| {
        let patient = patient(space);
        refused(&space.get("$unheard-of"), &[404]);
        refused(&space.get("Patient/$unheard-of"), &[404]);
        // R4 defines it.
        refused_with(&space.get("$convert"), 501, "not-supported");
        // Elsewhere it is there, and the text says where.
        let issue = refused(&space.post("$validate", &json!({ "resourceType": "Patient" })), &[404]);
        assert!(issue["diagnostics"].as_str().unwrap().contains("[type]/$validate"), "{issue}");
        refused(&space.get(&format!("{patient}/name/$meta")), &[404]);
        refused(&space.get("Patiant/$meta"), &[404]);
    });
}

// https://hl7.org/fhir/R4/operations.html#executing: GET or POST
#[test]
fn operations_take_get_and_post_alone() {
    on_each_backend(|space| {
        let body = json!({ "resourceType": "Parameters" });
        for method in ["PUT", "DELETE"] {
            let reply = send(space.request(method, "$versions").json(&body));
            refused(&reply, &[405]);
            assert_eq!(reply.header("allow"), Some("GET, POST"), "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/operationdefinition.html: names, cardinalities and types of parameters
#[test]
fn parameters_that_the_definition_does_not_have_are_refused() {
    on_each_backend(|space| {
        refused_with(&space.get("$versions?version=4.0"), 400, "not-supported");
        refused_with(&space.get("Patient/$validate?mode=create&mode=update"), 400, "invalid");
        let parameters = |list: Value| json!({ "resourceType": "Parameters", "parameter": list });
        let wrong_type = json!([{ "name": "mode", "valueDecimal": 1.5 }]);
        refused_with(&space.post("Patient/$validate", &parameters(wrong_type)), 400, "value");
        let unknown = json!([{ "name": "made-up", "valueString": "x" }]);
        refused_with(&space.post("Patient/$validate", &parameters(unknown)), 400, "not-supported");
        // A body that is no Parameters, where no resource goes in.
        refused_with(&space.post("$versions", &json!({ "resourceType": "Patient" })), 400, "value");
        // What is wrong with the Parameters themselves has its place.
        let nameless = space.post("Patient/$validate", &parameters(json!([{ "valueCode": "create" }])));
        let issue = refused(&nameless, &[400, 422]);
        assert!(issue["expression"][0].as_str().unwrap().starts_with("Parameters.parameter"), "{issue}");
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: "any operation that can be performed in a batch"
#[test]
fn a_batch_performs_operations() {
    on_each_backend(|space| {
        let patient = patient(space);
        let entries = [
            json!({ "request": { "method": "GET", "url": format!("{patient}/$meta") } }),
            json!({ "request": { "method": "GET", "url": format!("{patient}/%24meta") } }),
            json!({ "request": { "method": "POST", "url": "Patient/$validate" }, "resource": { "resourceType": "Patient" } }),
            json!({ "request": { "method": "GET", "url": "$unheard-of" } }),
        ];
        let reply = space.post("", &bundle("batch", &entries)).expect_status(200);
        for n in [0, 1] {
            assert_eq!(output(&reply.entries()[n]["resource"], "return", "valueMeta")["versionId"], "1", "{reply}");
        }
        let outcome = &reply.entries()[2];
        assert_eq!(outcome["response"]["status"], "200 OK", "{reply}");
        assert!(reply.entries()[3]["response"]["status"].as_str().unwrap().starts_with("404"), "{reply}");
    });
}

#[test]
fn a_transaction_refuses_operations_before_anything_is_written() {
    on_each_backend(|space| {
        let created = space.tagged(json!({ "resourceType": "Patient" }));
        let entries = [
            json!({ "request": { "method": "POST", "url": "Patient" }, "resource": created }),
            json!({ "request": { "method": "GET", "url": "Patient/$meta" } }),
        ];
        let reply = space.post("", &bundle("transaction", &entries));
        let issue = refused(&reply, &[400]);
        assert_eq!(issue["code"], "not-supported", "{reply}");
        assert_eq!(issue["expression"][0], "Bundle.entry[1]", "{reply}");
        assert_eq!(space.search("Patient").entries().len(), 0);
    });
}
