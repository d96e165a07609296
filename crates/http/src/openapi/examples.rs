//! Examples: a patient of the synthetic population with a record of each first-class type. The file is written by the test.

use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use tessera_model::{Definitions, Resource};

/// By type, in the order of the file.
static EXAMPLES: LazyLock<Map<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

/// The example of a type, if it has one.
pub(super) fn value(name: &str, definitions: &Definitions) -> Option<Value> {
    EXAMPLES.get(name).filter(|_| definitions.resource_type(name).is_some()).cloned()
}

/// The same as a resource.
pub(super) fn resource(name: &str, definitions: &Definitions) -> Option<Resource> {
    Resource::parse(value(name, definitions)?.to_string(), definitions).ok()
}

/// A transaction: a patient and a condition of theirs.
pub(super) fn transaction() -> Value {
    let (patient, mut condition) =
        (EXAMPLES.get("Patient").cloned(), EXAMPLES.get("Condition").cloned().unwrap_or_default());
    let url = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0";
    condition["subject"] = json!({"reference": url});
    let entry = |url: &str, resource: Value| json!({"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}});
    json!({
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            entry(url, patient.unwrap_or_default()),
            entry("urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059", condition),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::FIRST_CLASS;
    use tessera_fixtures::Population;
    use tessera_model::{operation_outcome::Severity, validate::validate_fully};

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/openapi/examples.json");

    /// A resource as the demo has it, but for references within its Bundle, which lead to the patient with the id 123 and to
    /// nothing else.
    fn generated(name: &str) -> Value {
        let bundles = Population::new(1, 50).skip(1);
        let found = bundles.into_iter().find_map(|bundle| {
            let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
            entries.into_iter().map(|entry| entry["resource"].clone()).find(|resource| resource["resourceType"] == name)
        });
        let mut resource = found.unwrap();
        let members = resource.as_object_mut().unwrap();
        for member in ["subject", "patient"] {
            if let Some(reference) = members.get_mut(member) {
                *reference = json!({"reference": "Patient/123"});
            }
        }
        let elsewhere = |value: &Value| value.to_string().contains("urn:uuid:") || value.to_string().contains('?');
        members.retain(|_, value| !elsewhere(value));
        resource
    }

    /// `TESSERA_WRITE=1 cargo test -p tessera-http openapi` writes it.
    #[test]
    fn examples_are_what_the_generator_makes_and_valid() {
        let made: Map<String, Value> = FIRST_CLASS.iter().map(|name| ((*name).to_owned(), generated(name))).collect();
        let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
        if std::env::var("TESSERA_WRITE").is_ok() {
            std::fs::write(PATH, &text).unwrap();
        }
        assert!(std::fs::read_to_string(PATH).unwrap_or_default() == text, "src/openapi/examples.json is out of date");
        for example in made.values().chain([&transaction()]) {
            let resource = Resource::parse(example.to_string(), Definitions::r4()).unwrap();
            let issues = validate_fully(&resource, Definitions::r4());
            assert!(issues.iter().all(|issue| issue.severity == Severity::Warning), "{issues:?} {example}");
        }
    }
}
