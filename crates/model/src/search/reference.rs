//! Reference search: by id, type and id, or URL; and by the identifier within a reference.
//! <https://hl7.org/fhir/R4/search.html#reference>

use super::{
    escape::Escaped,
    index::{IndexValue, Values},
    token,
};
use crate::{
    Definitions, Error, Id, Key, ResourceType,
    fhirpath::Container,
    json::Node,
    reference::{Literal, parse as parse_literal, split_canonical},
};

/// What a reference must lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceValue {
    /// A resource of this server, of one of the types.
    Local(Vec<ResourceType>, Id),
    /// What is not held here: another server's URL, a canonical with or without version, a URN.
    Elsewhere {
        /// The URL.
        value: String,
        /// The version after `|`; `""`: any.
        version: String,
    },
}

impl ReferenceValue {
    /// Whether a stored reference to something held here leads there.
    #[must_use]
    pub fn meets_local(&self, key: &Key) -> bool {
        matches!(self, Self::Local(types, id) if types.contains(&key.resource_type) && *id == key.id)
    }

    /// Whether a stored reference to something else leads there.
    #[must_use]
    pub fn meets_elsewhere(&self, stored: &str, stored_version: &str) -> bool {
        matches!(self, Self::Elsewhere { value, version } if value == stored && (version.is_empty() || version == stored_version))
    }
}

/// Reads `id`, `Type/id` or a URL. `of_type` is the modifier's type, `targets` what the parameter may point to.
pub(super) fn parse(
    value: &Escaped<'_>,
    of_type: Option<ResourceType>,
    targets: &[ResourceType],
    base: &str,
    definitions: &Definitions,
) -> Result<ReferenceValue, Error> {
    let text = value.text();
    match parse_literal(&text, base, definitions) {
        Literal::Local(key, _) => match of_type {
            Some(wanted) if wanted != key.resource_type => {
                Err(value.bad("the modifier and the value name different types"))
            }
            _ => Ok(ReferenceValue::Local(vec![key.resource_type], key.id)),
        },
        Literal::Elsewhere(text) => {
            if let Some(id) = Id::parse(text) {
                let types = of_type.map_or_else(|| targets.to_vec(), |wanted| vec![wanted]);
                let types = if types.is_empty() { definitions.resource_types().to_vec() } else { types };
                return Ok(ReferenceValue::Local(types, id));
            }
            if !text.contains(':') {
                return Err(value.bad("expected an id, Type/id or an absolute URL"));
            }
            let (value, version) = split_canonical(text);
            Ok(ReferenceValue::Elsewhere { value: value.to_owned(), version: version.to_owned() })
        }
        Literal::Contained(_) | Literal::Conditional(_) => Err(value.bad("expected an id, Type/id or an absolute URL")),
    }
}

/// Where stored references stand.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The resource whose contained resources a `#id` means.
    pub(super) container: &'a Container<'a>,
    /// This server's base URL.
    pub(super) base: &'a str,
    pub(super) definitions: &'a Definitions,
}

impl Scope<'_> {
    /// The references in an element: a Reference, a canonical, a URI, or a whole resource (in a Bundle).
    pub(super) fn extract(self, node: Node<'_>, type_name: &str, values: &mut Values<'_>) {
        let whole_resource = || {
            let resource_type = self.definitions.resource_type(&node.get_str("resourceType")?)?;
            Some(IndexValue::Reference(Key::new(resource_type, Id::parse(&node.get_str("id")?)?)))
        };
        if type_name == "Reference" {
            if let Some(identifier) = node.get("identifier") {
                token::extract(identifier, "Identifier", values);
            }
            let text = node.get_str("reference").unwrap_or_default();
            values.push(self.literal(&text));
        } else if let Some(text) = node.as_str() {
            values.push(self.literal(&text));
        } else {
            values.extend(whole_resource());
        }
    }

    /// A reference without a literal (an identifier or a display only) is still there: `:missing` must see it.
    fn literal(self, text: &str) -> IndexValue {
        let as_text = || IndexValue::Uri { value: text.to_owned(), version: String::new() };
        match parse_literal(text, self.base, self.definitions) {
            Literal::Local(key, _) => IndexValue::Reference(key),
            Literal::Contained(id) => {
                self.container.find(id).map_or_else(as_text, |(number, _)| IndexValue::Contained(number))
            }
            Literal::Conditional(_) => as_text(),
            Literal::Elsewhere(text) => {
                let (value, version) = split_canonical(text);
                IndexValue::Uri { value: value.to_owned(), version: version.to_owned() }
            }
        }
    }
}
