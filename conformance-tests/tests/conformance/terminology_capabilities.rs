//! <https://hl7.org/fhir/R4/terminologycapabilities.html> and the modes of <https://hl7.org/fhir/R4/http.html#capabilities>

use serde_json::{Value, json};

use crate::space::{Space, bare_entry, bundle, on_each_backend, refused};

fn statement(space: &Space) -> Value {
    let statement = space.get("metadata?mode=terminology").expect_status(200).body;
    assert_eq!(statement["resourceType"], "TerminologyCapabilities");
    statement
}

fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

// "mode: full, normative, terminology"
#[test]
fn the_statement_has_three_modes() {
    on_each_backend(|space| {
        let types = |mode: &str| {
            let statement = space.get(&format!("metadata{mode}")).expect_status(200).body;
            assert_eq!(statement["resourceType"], "CapabilityStatement");
            items(&statement["rest"][0], "resource").iter().map(|r| r["type"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(types(""), types("?mode=full"));
        let normative = types("?mode=normative");
        assert!(normative.contains(&json!("Patient")) && !normative.contains(&json!("Encounter")), "{normative:?}");
        refused(&space.get("metadata?mode=everything"), &[400]);
    });
}

// What the server says of itself is a resource that it would take.
#[test]
fn terminology_capabilities_are_a_valid_resource() {
    on_each_backend(|space| {
        let statement = space.tagged(statement(space));
        space.post("TerminologyCapabilities", &statement).assert_status(201);
    });
}

// "codeSystem: Identifies a code system that is supported by the server"
#[test]
fn every_code_system_that_is_listed_is_known() {
    on_each_backend(|space| {
        let statement = statement(space);
        let systems = items(&statement, "codeSystem");
        assert!(systems.len() > 1000, "{}", systems.len());
        let mut asked = Vec::new();
        for system in systems {
            let url = system["uri"].as_str().unwrap();
            // A code that is nowhere: whoever knows the system says no. Where only a part is known, no one can.
            let ask = format!("CodeSystem/$validate-code?url={url}&code=no%20such%20code");
            let versions: Vec<&str> = items(system, "version").iter().filter_map(|v| v["code"].as_str()).collect();
            asked.extend(versions.iter().map(|version| (system, format!("{ask}&version={version}"))));
            if versions.is_empty() {
                asked.push((system, ask));
            }
        }
        for asked in asked.chunks(1000) {
            let entries: Vec<Value> = asked.iter().map(|(_, ask)| bare_entry("GET", ask)).collect();
            let reply = space.post("", &bundle("batch", &entries)).expect_status(200);
            for ((system, _), entry) in asked.iter().zip(reply.entries()) {
                let whole = system["subsumption"] != false;
                let status = entry["response"]["status"].as_str().unwrap();
                assert!(status.starts_with(if whole { "200" } else { "501" }), "{system}: {entry}");
                assert!(!whole || entry["resource"]["parameter"][0]["valueBoolean"] == false, "{system}: {entry}");
            }
        }
    });
}

// "expansion.parameter: Supported expansion parameter"
#[test]
fn every_expansion_parameter_that_is_listed_is_taken() {
    on_each_backend(|space| {
        let statement = statement(space);
        let url = "http://hl7.org/fhir/ValueSet/administrative-gender";
        let system = "http://hl7.org/fhir/administrative-gender|4.0.1";
        let parameters = items(&statement["expansion"], "parameter");
        assert!(parameters.len() >= 16);
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap();
            let value = match name {
                "count" | "offset" => "1",
                "filter" => "male",
                "displayLanguage" => "en",
                "designation" => "urn:ietf:bcp:47|en",
                "valueSetVersion" => "4.0.1",
                name if name.contains("system") => system,
                _ => "true",
            };
            space.get(&format!("ValueSet/$expand?url={url}&{name}={value}")).assert_status(200);
        }
        assert_eq!(statement["expansion"]["paging"], true);
        let page = space.get(&format!("ValueSet/$expand?url={url}&offset=1&count=1")).expect_status(200).body;
        assert_eq!(page["expansion"]["contains"][0]["code"], "female");
    });
}

// The CapabilityStatement names the operations, each at its type.
#[test]
fn the_operations_of_terminology_are_stated() {
    on_each_backend(|space| {
        let statement = space.get("metadata").expect_status(200).body;
        let of = |resource_type: &str| {
            let resources = items(&statement["rest"][0], "resource");
            let resource = resources.iter().find(|resource| resource["type"] == resource_type).unwrap();
            items(resource, "operation").iter().map(|o| o["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let has = |resource_type: &str, name: &str| {
            assert!(of(resource_type).iter().any(|own| own == name), "{resource_type}: {:?}", of(resource_type));
        };
        has("ValueSet", "expand");
        has("ValueSet", "validate-code");
        has("CodeSystem", "lookup");
        has("CodeSystem", "validate-code");
        has("CodeSystem", "subsumes");
        has("ConceptMap", "translate");
        assert!(!of("Patient").iter().any(|name| name == "expand"));
    });
}
