//! `types.ndjson`: primitive types, complex types and resources.

use serde_json::Value;

use super::{
    row::{Row, extension, last_segment, list, text},
    type_definitions,
};
use crate::{error::Error, package::Package};

/// The extension which holds the regular expression of a primitive type.
const REGEX: &str = "http://hl7.org/fhir/StructureDefinition/regex";
/// The extension which says how stable a definition is.
const STATUS: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status";

/// One row per type, sorted by name. Concrete resource types are numbered from 1 in that order.
pub(super) fn rows(package: &Package) -> Result<Vec<Row>, Error> {
    let mut resources = 0;
    let rows = type_definitions(package).into_iter().map(|definition| {
        let kind = text(definition, "kind");
        let is_abstract = definition["abstract"] == true;
        let concrete_resource = kind == Some("resource") && !is_abstract;
        resources += i32::from(concrete_resource);
        Row::new()
            .with("type", text(definition, "type"))
            .with("kind", kind)
            .with("base", text(definition, "baseDefinition").map(last_segment))
            .with("abstract", is_abstract)
            .with("id", concrete_resource.then_some(resources))
            .with("normative", concrete_resource && extension(definition, STATUS) == Some("normative"))
            .with("regex", regex(definition))
    });
    Ok(rows.collect())
}

/// The regular expression of a primitive type's value.
fn regex(definition: &Value) -> Option<&str> {
    let path = format!("{}.value", text(definition, "type")?);
    let is_value = |element: &&Value| text(element, "path") == Some(&path);
    let value = list(&definition["snapshot"], "element").iter().find(is_value)?;
    list(value, "type").iter().find_map(|found| extension(found, REGEX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_concrete_resources_and_tells_which_are_normative() {
        let resource = |name: &str, is_abstract: bool| {
            let status = if name == "B" { "normative" } else { "trial-use" };
            json!({"resourceType": "StructureDefinition", "type": name, "kind": "resource", "abstract": is_abstract,
                "extension": [{"url": STATUS, "valueCode": status}],
                "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Resource"})
        };
        let value = json!({"path": "id.value", "type": [{"extension": [{"url": REGEX, "valueString": "[a-z]+"}]}]});
        let id = json!({"resourceType": "StructureDefinition", "type": "id", "kind": "primitive-type",
            "snapshot": {"element": [{"path": "id"}, value]}});
        let package = Package::new(vec![resource("B", false), id, resource("A", false), resource("AB", true)]);
        let lines: Vec<_> = rows(&package).unwrap().into_iter().map(Row::into_line).collect();
        assert_eq!(
            lines,
            [
                "{\"type\":\"A\",\"kind\":\"resource\",\"base\":\"Resource\",\"id\":1}\n",
                "{\"type\":\"AB\",\"kind\":\"resource\",\"base\":\"Resource\",\"abstract\":true}\n",
                "{\"type\":\"B\",\"kind\":\"resource\",\"base\":\"Resource\",\"id\":2,\"normative\":true}\n",
                "{\"type\":\"id\",\"kind\":\"primitive-type\",\"regex\":\"[a-z]+\"}\n",
            ]
        );
    }
}
