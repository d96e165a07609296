//! String search: folded, starts-with by default. <https://hl7.org/fhir/R4/search.html#string>

use super::{
    index::{IndexValue, Values},
    prefix::Operator,
};
use crate::json::Node;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// How a string is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringMode {
    /// The folded text starts with the folded value.
    StartsWith,
    /// The text is the value.
    Exact,
    /// The folded text contains the folded value.
    Contains,
    /// The folded text is the folded value.
    Equals,
    /// The folded text ends with the folded value.
    EndsWith,
    /// The folded text comes before or after the folded value in the order of Unicode's code points.
    Compares(Operator),
}

/// The text without case, accents and needless white space, the same for every way of writing it in Unicode.
#[must_use]
pub fn fold(text: &str) -> String {
    // Most texts are plain ASCII, and folding runs over every string of every resource.
    let lower: String = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfkd()
            .filter(|c| !is_combining_mark(*c))
            .flat_map(char::to_lowercase)
            .map(|c| if c == 'ς' { 'σ' } else { c })
            .collect()
    };
    let lower = if lower.contains('ß') { lower.replace('ß', "ss") } else { lower };
    if lower.contains("  ")
        || lower.contains(|c: char| c.is_whitespace() && c != ' ')
        || lower.trim().len() != lower.len()
    {
        lower.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        lower
    }
}

/// Whether a stored string meets one of the values, which are folded unless the mode is exact.
#[must_use]
pub fn meets(mode: StringMode, values: &[String], norm: &str, exact: &str) -> bool {
    values.iter().any(|value| match mode {
        StringMode::StartsWith => norm.starts_with(value.as_str()),
        StringMode::Exact => exact == value,
        StringMode::Contains => norm.contains(value.as_str()),
        StringMode::Equals => norm == value,
        StringMode::EndsWith => norm.ends_with(value.as_str()),
        StringMode::Compares(operator) => operator.holds(norm, value.as_str()),
    })
}

/// The members of a complex type that a string parameter looks at: every part of a name or an address, not its `use`.
/// <https://hl7.org/fhir/R4/search.html#string>
const PARTS: [&str; 12] = [
    "text",
    "family",
    "given",
    "prefix",
    "suffix",
    "line",
    "city",
    "district",
    "state",
    "postalCode",
    "country",
    "name",
];

/// The strings in an element.
pub(super) fn extract<'a>(node: Node<'a>, type_name: &str, values: &mut Values<'_>) {
    if let Some(text) = node.as_text() {
        return push(&text, values);
    }
    if matches!(type_name, "HumanName" | "Address") {
        for part in node.children().filter(|member| PARTS.contains(&&*member.name())) {
            part.items().filter_map(Node::as_str).for_each(|text| push(&text, values));
        }
    }
}

fn push(text: &str, values: &mut Values<'_>) {
    let norm = fold(text);
    if !norm.is_empty() {
        values.push(IndexValue::String { norm, exact: text.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_white_space_do_not_count() {
        for (text, expect) in [
            ("Müller", "muller"),
            ("ÉMILE  Zola ", "emile zola"),
            ("Straße", "strasse"),
            ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
            ("山田", "山田"),
            ("Ｊｏ", "jo"),
        ] {
            assert_eq!(fold(text), expect);
        }
        assert_eq!(fold("e\u{301}"), fold("é"));
    }
}
