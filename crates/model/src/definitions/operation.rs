//! The operations that are defined, with their parameters. <https://hl7.org/fhir/R4/operationdefinition.html>
//!
//! Those of the specification are written by `cargo xtask definitions`; those of this server, which the specification does not
//! have, are written by hand in rows of the same form.

use super::{element::TypeTable, row::rows};
use crate::json::Node;

const OF_FHIR: &str = include_str!("../../definitions/r4/operations.ndjson");
const OF_TESSERA: &str = include_str!("../../definitions/tessera/operations.ndjson");

/// An operation as it is defined, whether this server has it or not.
#[derive(Debug)]
pub struct OperationDefinition {
    /// The name after `$`.
    pub code: Box<str>,
    /// The canonical URL of its definition.
    pub url: Box<str>,
    /// The types it is defined on; `Resource`: every type.
    pub resources: Vec<Box<str>>,
    /// At `[base]/$code`.
    pub system: bool,
    /// At `[base]/Type/$code`.
    pub of_type: bool,
    /// At `[base]/Type/id/$code`.
    pub instance: bool,
    /// What goes in.
    pub parameters: Vec<OperationParameter>,
}

/// A parameter that goes into an operation.
#[derive(Debug)]
pub struct OperationParameter {
    /// Its name.
    pub name: Box<str>,
    /// Its type; `""`: it has parts.
    pub type_name: Box<str>,
    /// Least number of them.
    pub min: usize,
    /// Greatest number of them; `None`: `*`.
    pub max: Option<usize>,
    /// What it is made of.
    pub parts: Vec<OperationParameter>,
}

impl OperationDefinition {
    /// The parameter of that name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&OperationParameter> {
        self.parameters.iter().find(|parameter| &*parameter.name == name)
    }

    /// Whether it is defined on that type, by name or for every type.
    #[must_use]
    pub fn is_on(&self, resource_type: &str) -> bool {
        self.resources.iter().any(|name| &**name == resource_type || &**name == "Resource")
    }
}

impl OperationParameter {
    /// Whether a value of it is a resource.
    #[must_use]
    pub fn is_resource(&self, types: &TypeTable) -> bool {
        matches!(&*self.type_name, "Resource" | "Any")
            || types.resource_types().iter().any(|t| t.name() == &*self.type_name)
    }
}

pub(super) fn load() -> Vec<OperationDefinition> {
    [OF_FHIR, OF_TESSERA]
        .into_iter()
        .flat_map(rows)
        .map(|row| OperationDefinition {
            code: row.text("code").into(),
            url: row.text("url").into(),
            resources: row.texts("resource"),
            system: row.flag("system"),
            of_type: row.flag("type"),
            instance: row.flag("instance"),
            parameters: parameters(row.objects("param").into_iter()),
        })
        .collect()
}

fn parameters<'a>(nodes: impl Iterator<Item = Node<'a>>) -> Vec<OperationParameter> {
    let text = |node: Node<'_>, name: &str| node.get_str(name).unwrap_or_default().into_owned().into_boxed_str();
    nodes
        .filter(|node| node.get_str("use").is_none_or(|direction| direction == "in"))
        .map(|node| OperationParameter {
            name: text(node, "name"),
            type_name: text(node, "type"),
            min: node.get("min").and_then(|min| min.raw().parse().ok()).unwrap_or(0),
            max: match node.get_str("max").as_deref() {
                Some("*") => None,
                Some(max) => max.parse().ok().or(Some(1)),
                None => Some(1),
            },
            parts: parameters(node.get("part").into_iter().flat_map(Node::children)),
        })
        .collect()
}
