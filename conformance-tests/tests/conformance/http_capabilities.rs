//! <https://hl7.org/fhir/R4/http.html#capabilities> and <https://hl7.org/fhir/R4/capabilitystatement.html>

use serde_json::{Value, json};
use tessera_fixtures::patient;

use crate::space::{Space, on_each_backend, refused, send};

fn statement(space: &Space) -> Value {
    space.get("metadata").expect_status(200).body
}

fn rest(statement: &Value) -> &Value {
    let rest = statement["rest"].as_array().and_then(|rest| rest.iter().find(|rest| rest["mode"] == "server"));
    rest.unwrap_or_else(|| panic!("no rest of mode server: {statement}"))
}

fn codes(interactions: &Value) -> Vec<&str> {
    interactions.as_array().into_iter().flatten().filter_map(|interaction| interaction["code"].as_str()).collect()
}

// https://hl7.org/fhir/R4/http.html#capabilities
#[test]
fn capabilities_are_a_statement_of_fhir_4_0_1() {
    on_each_backend(|space| {
        let statement = statement(space);
        assert_eq!(statement["resourceType"], "CapabilityStatement");
        assert_eq!(statement["fhirVersion"], "4.0.1");
        for name in ["status", "date", "kind"] {
            assert!(statement[name].is_string(), "no {name}: {statement}");
        }
        let formats = statement["format"].as_array().unwrap();
        assert!(formats.iter().any(|format| format == "json" || format == "application/fhir+json"), "{formats:?}");
    });
}

// https://hl7.org/fhir/R4/capabilitystatement-definitions.html: cpb-1, cpb-14, cpb-15
#[test]
fn capabilities_satisfy_the_constraints_of_the_resource() {
    on_each_backend(|space| {
        let statement = statement(space);
        match statement["kind"].as_str().unwrap() {
            "instance" => assert!(statement["implementation"]["description"].is_string(), "cpb-15: {statement}"),
            kind => assert!(["capability", "requirements"].contains(&kind)),
        }
        assert!(
            statement["description"].is_string()
                || statement["software"].is_object()
                || statement["implementation"].is_object()
        );
        // What the server says of itself is a resource that it would take.
        let mut resource = space.tagged(statement);
        resource.as_object_mut().unwrap().remove("id");
        space.post("CapabilityStatement", &resource).assert_status(201);
    });
}

// https://hl7.org/fhir/R4/resourcelist.html
#[test]
fn capabilities_list_all_resource_types_once() {
    on_each_backend(|space| {
        let statement = statement(space);
        let mut types: Vec<_> =
            rest(&statement)["resource"].as_array().unwrap().iter().map(|r| r["type"].as_str().unwrap()).collect();
        types.sort_unstable();
        let listed = types.len();
        types.dedup();
        assert_eq!(types.len(), listed, "cpb-9: a type is listed twice");
        for expected in ["Account", "Binary", "Bundle", "Observation", "Parameters", "Patient", "VisionPrescription"] {
            assert!(types.contains(&expected) || expected == "Parameters", "{expected} is missing");
        }
        // R4 has 148 with the abstract Resource and DomainResource.
        assert!((145..=146).contains(&listed), "{listed} types");
    });
}

// https://hl7.org/fhir/R4/valueset-type-restful-interaction.html
#[test]
fn capabilities_list_the_interactions() {
    on_each_backend(|space| {
        let statement = statement(space);
        let system = codes(&rest(&statement)["interaction"]);
        for code in ["transaction", "batch", "search-system", "history-system"] {
            assert!(system.contains(&code), "{code} is not in {system:?}");
        }
        for resource in rest(&statement)["resource"].as_array().unwrap() {
            let listed = codes(&resource["interaction"]);
            if resource["type"] == "AuditEvent" {
                // The server's own record: nobody writes it, and it has no versions.
                assert_eq!((listed, &resource["versioning"]), (vec!["read", "search-type"], &json!("no-version")));
                continue;
            }
            for code in [
                "read",
                "vread",
                "update",
                "patch",
                "delete",
                "history-instance",
                "history-type",
                "create",
                "search-type",
            ] {
                assert!(listed.contains(&code), "{}: {code} is not in {listed:?}", resource["type"]);
            }
            for (name, value) in
                [("conditionalCreate", json!(true)), ("conditionalUpdate", json!(true)), ("updateCreate", json!(true))]
            {
                assert_eq!(resource[name], value, "{}: {name}", resource["type"]);
            }
            assert!(
                ["versioned", "versioned-update"].contains(&resource["versioning"].as_str().unwrap_or_default()),
                "{resource}"
            );
        }
    });
}

// https://hl7.org/fhir/R4/searchparameter-registry.html
#[test]
fn capabilities_list_the_search_parameters_of_a_type_with_their_types() {
    on_each_backend(|space| {
        let statement = statement(space);
        let patient = rest(&statement)["resource"].as_array().unwrap().iter().find(|r| r["type"] == "Patient").unwrap();
        let of = |name: &str| {
            let listed = patient["searchParam"].as_array().unwrap().iter().find(|p| p["name"] == name);
            listed.map(|parameter| parameter["type"].as_str().unwrap_or_default().to_owned())
        };
        for (name, search_type) in [
            ("family", "string"),
            ("birthdate", "date"),
            ("gender", "token"),
            ("identifier", "token"),
            ("general-practitioner", "reference"),
            ("deceased", "token"),
            ("death-date", "date"),
            ("address-city", "string"),
            ("phone", "token"),
            ("link", "reference"),
            ("organization", "reference"),
            ("language", "token"),
            ("phonetic", "string"),
            ("_id", "token"),
            ("_lastUpdated", "date"),
        ] {
            let listed = of(name);
            // Parameters of all resources may stand at the level of the server.
            assert!(
                listed.as_deref() == Some(search_type) || name.starts_with('_') && listed.is_none(),
                "{name}: {listed:?}"
            );
        }
    });
}

// https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.patchFormat
#[test]
fn every_patch_format_that_is_listed_is_accepted_and_no_other() {
    on_each_backend(|space| {
        let key = space.add("patient", patient().build());
        let statement = statement(space);
        let listed: Vec<&str> =
            statement["patchFormat"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        let (json, xml) = (r#"{"resourceType":"Parameters"}"#, r#"<Parameters xmlns="http://hl7.org/fhir"/>"#);
        let formats = [
            ("application/json-patch+json", "[]"),
            ("application/merge-patch+json", "{}"),
            ("application/fhir+json", json),
            ("application/fhir+xml", xml),
            ("application/json", "[]"),
            ("application/json", "{}"),
            ("application/json", json),
            ("application/xml", xml),
            ("application/xml-patch+xml", "<diff/>"),
            ("text/plain", "[]"),
        ];
        assert!(listed.iter().all(|listed| formats.iter().any(|(format, _)| format == listed)), "{listed:?}");
        for (format, body) in formats {
            let status = send(space.request("PATCH", &key).body(format, body)).status;
            assert_eq!(status, if listed.contains(&format) { 200 } else { 415 }, "{format} of {listed:?}");
        }
    });
}

/// A value that every parameter of the type takes.
fn example(search_type: &str) -> &'static str {
    match search_type {
        "date" => "2020-01-01",
        "number" | "quantity" => "1",
        "reference" => "Patient/1",
        "uri" => "http://example.org/a",
        "composite" => "a$1",
        _ => "a",
    }
}

// https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.resource.searchParam
#[test]
fn every_search_parameter_that_is_listed_is_accepted() {
    on_each_backend(|space| {
        let statement = statement(space);
        for resource_type in
            ["Patient", "Condition", "Encounter", "MedicationStatement", "AllergyIntolerance", "Location"]
        {
            let resource =
                rest(&statement)["resource"].as_array().unwrap().iter().find(|r| r["type"] == resource_type).unwrap();
            for parameter in resource["searchParam"].as_array().unwrap() {
                let (name, search_type) = (parameter["name"].as_str().unwrap(), parameter["type"].as_str().unwrap());
                let value = match name {
                    "near" => "42.3|-71.1|10|km",
                    "_filter" => "_id pr true",
                    // A reference to what cannot be there may be refused; an id is always fine.
                    _ if search_type == "reference" => "1",
                    _ => example(search_type),
                };
                let reply = space.get(&format!("{resource_type}?{name}={value}&_count=1"));
                assert_eq!(reply.status, 200, "{resource_type}.{name}: {reply}");
                if search_type != "special" {
                    let missing = space.get(&format!("{resource_type}?{name}:missing=true&_count=1"));
                    assert_eq!(missing.status, 200, "{resource_type}.{name}:missing: {missing}");
                }
            }
        }
    });
}

// https://hl7.org/fhir/R4/http.html#capabilities
#[test]
fn every_type_that_is_listed_can_be_searched() {
    on_each_backend(|space| {
        let statement = statement(space);
        for resource in rest(&statement)["resource"].as_array().unwrap() {
            let resource_type = resource["type"].as_str().unwrap();
            let reply = space.get(&format!("{resource_type}?_lastUpdated=gt2999&_count=1"));
            assert_eq!(reply.status, 200, "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.resource.searchInclude
#[test]
fn every_include_that_is_listed_is_accepted() {
    on_each_backend(|space| {
        let statement = statement(space);
        for resource_type in ["Patient", "Observation", "Encounter"] {
            let resource =
                rest(&statement)["resource"].as_array().unwrap().iter().find(|r| r["type"] == resource_type).unwrap();
            for (list, parameter) in [("searchInclude", "_include"), ("searchRevInclude", "_revinclude")] {
                for include in resource[list].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let reply =
                        space.get(&format!("{resource_type}?_count=1&_lastUpdated=gt2999&{parameter}={include}"));
                    assert_eq!(reply.status, 200, "{include}: {reply}");
                }
            }
        }
    });
}

// https://hl7.org/fhir/R4/http.html#capabilities: an ETag that changes if the resource does
#[test]
fn statements_have_an_etag_of_their_content() {
    on_each_backend(|space| {
        let etag = |path: &str| space.get(path).expect_status(200).header("etag").map(ToOwned::to_owned).unwrap();
        let full = etag("metadata");
        assert!(full.starts_with("W/\"") && full.ends_with('"'), "{full}");
        assert_eq!(full, etag("metadata"));
        assert_ne!(full, etag("metadata?mode=normative"));
        assert_ne!(full, etag("metadata?mode=terminology"));
    });
}

// https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.compartment
#[test]
fn compartments_that_can_be_searched_are_listed() {
    on_each_backend(|space| {
        let statement = statement(space);
        let prefix = "http://hl7.org/fhir/CompartmentDefinition/";
        let mut names: Vec<&str> = rest(&statement)["compartment"]
            .as_array()
            .unwrap()
            .iter()
            .map(|url| url.as_str().unwrap().strip_prefix(prefix).unwrap())
            .collect();
        names.sort_unstable();
        // https://hl7.org/fhir/R4/compartmentdefinition.html
        assert_eq!(names, ["device", "encounter", "patient", "practitioner", "relatedPerson"]);
        space.get("Patient/nobody/Observation?_count=1").assert_status(200);
    });
}

// https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.resource.searchRevInclude: "If
// this list is empty, the server does not support reverse includes"
#[test]
fn reverse_includes_are_listed_with_their_targets() {
    on_each_backend(|space| {
        let statement = statement(space);
        let of = |name: &str| {
            let resources = rest(&statement)["resource"].as_array().unwrap();
            resources.iter().find(|resource| resource["type"] == name).unwrap()["searchRevInclude"].clone()
        };
        let lists = |name: &str, value: &str| of(name).as_array().unwrap().contains(&Value::from(value));
        assert!(lists("Patient", "Observation:subject") && lists("Patient", "Provenance:target"));
        assert!(lists("Encounter", "Observation:encounter"));
        assert!(!lists("Encounter", "Observation:patient"));
    });
}

// https://hl7.org/fhir/R4/http.html#capabilities: mode
#[test]
fn capabilities_take_the_general_parameters() {
    on_each_backend(|space| {
        space.get("metadata?_format=json").assert_status(200);
        space.get("metadata?_pretty=true").assert_status(200);
        let mode = space.get("metadata?mode=full");
        assert!([200, 400].contains(&mode.status), "{mode}");
        send(space.request("HEAD", "metadata")).assert_status(200);
        refused(&space.get("metadata?_format=application/x-unheard-of"), &[406]);
    });
}
