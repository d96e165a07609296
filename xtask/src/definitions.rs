//! The R4 definition tables of the model crate, made from HL7's own package.
//!
//! Each table is NDJSON: one object per line, keys in a fixed order and left out when they hold the default, lines
//! sorted. Only facts are taken over; prose (short texts, definitions, comments) is not. Display names are facts only in
//! the tables of terminology, where `$lookup` tells them.

mod codes;
mod compartments;
mod elements;
mod invariants;
mod operations;
mod row;
mod search_parameters;
mod terminology;
mod types;

use serde_json::Value;

use crate::{
    Workspace,
    error::Error,
    generated::{GeneratedFile, Generator},
    package::Package,
};
use row::{Row, text};

/// Writes the tables.
pub(crate) const GENERATOR: Generator = Generator { command: "definitions", generate };

/// Where the tables are committed.
const DIRECTORY: &str = "crates/model/definitions/r4";

/// Makes the rows of a table, in their order.
type Table = fn(&Package) -> Result<Vec<Row>, Error>;

/// The tables, by file name.
const TABLES: [(&str, Table); 10] = [
    ("types", types::rows),
    ("elements", elements::rows),
    ("search-parameters", search_parameters::rows),
    ("compartments", compartments::rows),
    ("invariants", invariants::rows),
    ("operations", operations::rows),
    ("codes", codes::rows),
    ("code-systems", terminology::code_systems),
    ("value-sets", terminology::value_sets),
    ("concept-maps", terminology::concept_maps),
];

/// Makes all tables.
fn generate(workspace: &Workspace) -> Result<Vec<GeneratedFile>, Error> {
    let package = Package::load(workspace)?;
    let mut files = Vec::new();
    for (name, table) in TABLES {
        let content = table(&package)?.into_iter().map(Row::into_line).collect();
        files.push(GeneratedFile { path: format!("{DIRECTORY}/{name}.ndjson"), content });
    }
    Ok(files)
}

/// The definitions of R4's own types, sorted by name: neither profiles nor logical models.
fn type_definitions(package: &Package) -> Vec<&Value> {
    let is_type = |definition: &&Value| {
        let kind = text(definition, "kind");
        matches!(kind, Some("primitive-type" | "complex-type" | "resource"))
            && text(definition, "derivation") != Some("constraint")
    };
    let mut found: Vec<&Value> = package.of_kind("StructureDefinition").filter(is_type).collect();
    found.sort_by_key(|definition| text(definition, "type"));
    found
}

/// Whether a definition is one of the illustrations that HL7 ships among the real ones, such as a second `_id`.
fn is_example(definition: &Value) -> bool {
    text(definition, "id").is_some_and(|id| id == "example" || id.starts_with("example-"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn takes_types_without_profiles_and_logical_models() {
        let definition = |name: &str, kind: &str, derivation: &str| {
            json!({"resourceType": "StructureDefinition", "url": format!("http://example.org/{name}"),
                "type": name, "kind": kind, "derivation": derivation})
        };
        let package = Package::new(vec![
            definition("string", "primitive-type", "specialization"),
            definition("Patient", "resource", "specialization"),
            definition("Event", "logical", "specialization"),
            definition("Quantity", "complex-type", "constraint"),
            json!({"resourceType": "StructureDefinition", "type": "Element", "kind": "complex-type"}),
        ]);
        let names: Vec<_> = type_definitions(&package).into_iter().filter_map(|found| text(found, "type")).collect();
        assert_eq!(names, ["Element", "Patient", "string"]);
    }

    #[test]
    fn knows_examples_by_their_id() {
        assert!(is_example(&json!({"id": "example"})));
        assert!(is_example(&json!({"id": "example-extension"})));
        assert!(!is_example(&json!({"id": "ExampleScenario-url"})));
    }
}
