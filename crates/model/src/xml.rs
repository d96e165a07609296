//! XML: the same resources in FHIR's other format, read into the JSON that everything else works on, and written from it.
//! Both directions go by the element tables; a narrative passes through byte for byte.
//! <https://hl7.org/fhir/R4/xml.html>

pub(crate) mod entity;
mod read;
pub(crate) mod tag;
#[cfg(test)]
pub(crate) mod tests;
mod write;

pub use read::read;
pub use write::write;

use crate::definitions::{TypeDefinition, TypeKind};

/// The namespace of every element but those of narratives.
const FHIR: &str = "http://hl7.org/fhir";
/// The namespace of narratives.
const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// The members of JSON that are attributes in XML: the ids of elements, but not of resources, and the URLs of extensions.
fn is_attribute(name: &str, owner: &TypeDefinition) -> bool {
    match name {
        "id" => !matches!(owner.kind, TypeKind::Resource(_)),
        "url" => &*owner.name == "Extension",
        _ => false,
    }
}

/// Why bytes are not the XML of a resource, or why a resource cannot be written as XML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", line.map_or_else(String::new, |line| format!(" at line {line}")))]
pub struct XmlError {
    /// What is wrong, for the sender.
    pub message: String,
    /// Line of the text that was read, from 1.
    pub line: Option<usize>,
    /// The element: `Patient.name[0].given[1]`; empty if it is none in particular.
    pub expression: String,
}

impl XmlError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: None, expression: String::new() }
    }

    /// The same seen from the element around it: paths are made only when something is wrong.
    fn within(mut self, name: &str, index: Option<usize>) -> Self {
        let index = index.map_or_else(String::new, |index| format!("[{index}]"));
        let dot = if self.expression.is_empty() { "" } else { "." };
        self.expression = format!("{name}{index}{dot}{}", self.expression);
        self
    }
}
