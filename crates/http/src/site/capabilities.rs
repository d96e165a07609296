//! The CapabilityStatement as a page for people: the same statement that `GET metadata` answers, read and laid out.

use serde_json::Value;

/// A part of the statement with what it lists.
pub(super) struct Statement {
    pub(super) date: String,
    pub(super) formats: String,
    pub(super) patch_formats: String,
    pub(super) documentation: String,
    pub(super) security: String,
    pub(super) interactions: String,
    pub(super) operations: String,
    pub(super) types: Vec<OfType>,
}

/// What is said of a resource type.
pub(super) struct OfType {
    pub(super) name: String,
    pub(super) documentation: Option<String>,
    pub(super) interactions: String,
    pub(super) conditional: String,
    pub(super) operations: String,
    pub(super) includes: String,
    pub(super) parameters: Vec<Parameter>,
}

/// A search parameter.
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) of: String,
    pub(super) definition: String,
}

impl Statement {
    /// Reads it from its JSON.
    pub(super) fn of(statement: &Value) -> Self {
        let rest = &statement["rest"][0];
        let security = &rest["security"];
        let services = items(&security["service"]).map(|service| text(&service["coding"][0]["code"]));
        let services: Vec<String> = services.collect();
        let mut types: Vec<OfType> = items(&rest["resource"]).map(of_type).collect();
        // First-class types come first.
        types.sort_by_key(|of_type| {
            !of_type.documentation.as_deref().is_some_and(|text| text.starts_with("First-class"))
        });
        Self {
            date: text(&statement["date"]),
            formats: items(&statement["format"]).map(text).collect::<Vec<_>>().join(", "),
            patch_formats: items(&statement["patchFormat"]).map(text).collect::<Vec<_>>().join(", "),
            documentation: text(&rest["documentation"]),
            security: if services.is_empty() { text(&security["description"]) } else { services.join(", ") },
            interactions: names(&rest["interaction"], "code", ""),
            operations: names(&rest["operation"], "name", "$"),
            types,
        }
    }
}

fn of_type(resource: &Value) -> OfType {
    let conditional = [
        ("create", resource["conditionalCreate"] == true),
        ("update", resource["conditionalUpdate"] == true),
        ("read", resource["conditionalRead"].as_str().is_some_and(|code| code != "not-supported")),
        ("delete", resource["conditionalDelete"].as_str().is_some_and(|code| code != "not-supported")),
    ];
    let parameter = |parameter: &Value| Parameter {
        name: text(&parameter["name"]),
        of: text(&parameter["type"]),
        definition: text(&parameter["definition"]),
    };
    OfType {
        name: text(&resource["type"]),
        documentation: resource["documentation"].as_str().map(str::to_owned),
        interactions: names(&resource["interaction"], "code", ""),
        conditional: conditional.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
        operations: names(&resource["operation"], "name", "$"),
        includes: items(&resource["searchInclude"]).map(text).collect::<Vec<_>>().join(", "),
        parameters: items(&resource["searchParam"]).map(parameter).collect(),
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn names(list: &Value, member: &str, before: &str) -> String {
    items(list).map(|item| format!("{before}{}", text(&item[member]))).collect::<Vec<_>>().join(", ")
}
