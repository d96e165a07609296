//! The modifiers, and which parameter types allow each: <https://hl7.org/fhir/R4/search.html#modifiers>

use crate::{Definitions, Error, ResourceType, definitions::SearchType};

/// What stands after the colon of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Modifier {
    /// Nothing.
    None,
    /// `:missing`: whether there is a value at all.
    Missing,
    /// `:exact`: strings, case and accents included.
    Exact,
    /// `:contains`: anywhere in the string.
    Contains,
    /// `:not`: tokens, also those without a value.
    Not,
    /// `:text`: the text that stands with a code.
    Text,
    /// `:of-type`: an identifier with the type it has.
    OfType,
    /// `:in`: codes of a value set.
    In,
    /// `:not-in`: anything but codes of a value set.
    NotIn,
    /// `:identifier`: the identifier within a reference.
    Identifier,
    /// `:above`: URIs that the value starts with; codes that subsume it.
    Above,
    /// `:below`: URIs that start with the value; codes that it subsumes.
    Below,
    /// `:Patient`: references to that type.
    Type(ResourceType),
}

/// The modifiers each parameter type has, for error texts and the CapabilityStatement.
#[must_use]
pub fn supported(search_type: SearchType) -> &'static [&'static str] {
    match search_type {
        SearchType::String => &["missing", "exact", "contains"],
        SearchType::Token => &["missing", "text", "not", "of-type", "in", "not-in", "above", "below"],
        SearchType::Reference => &["missing", "identifier", "[type]"],
        SearchType::Uri => &["missing", "above", "below"],
        SearchType::Date | SearchType::Number | SearchType::Quantity | SearchType::Composite | SearchType::Special => {
            &["missing"]
        }
    }
}

impl Modifier {
    /// Reads a modifier for a parameter of that type.
    ///
    /// # Errors
    /// [`Error::BadParameter`] with those that are possible.
    pub fn parse(
        text: &str,
        parameter: &str,
        search_type: SearchType,
        definitions: &Definitions,
    ) -> Result<Self, Error> {
        let modifier = match (text, search_type) {
            ("missing", _) => Some(Self::Missing),
            ("exact", SearchType::String) => Some(Self::Exact),
            ("contains", SearchType::String) => Some(Self::Contains),
            ("not", SearchType::Token) => Some(Self::Not),
            ("text", SearchType::Token) => Some(Self::Text),
            ("of-type", SearchType::Token) => Some(Self::OfType),
            ("in", SearchType::Token) => Some(Self::In),
            ("not-in", SearchType::Token) => Some(Self::NotIn),
            ("identifier", SearchType::Reference) => Some(Self::Identifier),
            ("above", SearchType::Uri | SearchType::Token) => Some(Self::Above),
            ("below", SearchType::Uri | SearchType::Token) => Some(Self::Below),
            (name, SearchType::Reference) => definitions.resource_type(name).map(Self::Type),
            _ => None,
        };
        modifier.ok_or_else(|| Error::BadParameter {
            parameter: format!("{parameter}:{text}"),
            reason: format!(
                "the modifier :{text} is not supported for a parameter of type {}; supported: {}",
                search_type.name(),
                supported(search_type).iter().map(|m| format!(":{m}")).collect::<Vec<_>>().join(" ")
            ),
        })
    }
}
