//! Token search: a code, in a system or not; the text beside a code; an identifier with its type.
//! <https://hl7.org/fhir/R4/search.html#token>

use super::{
    index::{IndexValue, Values},
    string::fold,
};
use crate::{Error, json::Node, search::escape::Escaped};

/// What a token must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenValue {
    /// `None`: whatever the system; `""`: no system.
    pub system: Option<String>,
    /// `None`: any code of the system.
    pub code: Option<String>,
}

impl TokenValue {
    /// Whether a stored token is that.
    #[must_use]
    pub fn meets(&self, system: &str, code: &str) -> bool {
        self.system.as_deref().is_none_or(|s| s == system) && self.code.as_deref().is_none_or(|c| c == code)
    }

    /// That code of that system; where a binding implies the system, also without it.
    pub(super) fn coded(system: String, code: Option<String>, implied_systems: &[Box<str>]) -> Vec<Self> {
        let implied = implied_systems.iter().any(|s| **s == *system);
        let bare = implied.then(|| Self { system: Some(String::new()), code: code.clone() });
        [Some(Self { system: Some(system), code }), bare].into_iter().flatten().collect()
    }
}

/// Reads `code`, `system|code`, `|code` or `system|`. A system that a binding implies also finds codes stored without one.
pub(super) fn parse(value: &Escaped<'_>, implied_systems: &[Box<str>]) -> Result<Vec<TokenValue>, Error> {
    let parts = value.split('|');
    match &parts[..] {
        [code] if !code.is_empty() => Ok(vec![TokenValue { system: None, code: Some(code.text()) }]),
        [system, code] if !system.is_empty() || !code.is_empty() => {
            Ok(TokenValue::coded(system.text(), (!code.is_empty()).then(|| code.text()), implied_systems))
        }
        _ => Err(value.bad("expected code, system|code, |code or system|")),
    }
}

/// Reads `system|code|value`: the type of an identifier, and the identifier.
pub(super) fn parse_of_type(value: &Escaped<'_>) -> Result<TokenValue, Error> {
    match &value.split('|')[..] {
        [system, code, identifier] if ![system, code, identifier].iter().any(|part| part.is_empty()) => {
            Ok(of_type(&system.text(), &code.text(), identifier.text()))
        }
        _ => Err(value.bad("expected system|code|value: the identifier's type and its value, all three")),
    }
}

fn of_type(system: &str, code: &str, identifier: String) -> TokenValue {
    TokenValue { system: Some(format!("{system}|{code}")), code: Some(identifier) }
}

/// The tokens in an element: each type has its rule.
pub(super) fn extract(node: Node<'_>, type_name: &str, values: &mut Values<'_>) {
    let found: Vec<(String, String)> = match type_name {
        "CodeableConcept" => codings(node).map(|c| pair(c, "system", "code")).collect(),
        "Coding" => vec![pair(node, "system", "code")],
        "Identifier" => vec![pair(node, "system", "value")],
        // "the system is not used": ContactPoint.system says which kind of device it is.
        "ContactPoint" => vec![(String::new(), node.get_str("value").unwrap_or_default().into_owned())],
        _ => node.as_text().map(|text| (String::new(), text.into_owned())).into_iter().collect(),
    };
    for (system, code) in found.into_iter().filter(|(system, code)| !system.is_empty() || !code.is_empty()) {
        values.push(IndexValue::Token { system, code });
    }
}

/// What `:text` looks at ("either CodeableConcept.text, Coding.display, or Identifier.type.text"), and identifiers by type.
pub(super) fn extract_text_and_type(node: Node<'_>, type_name: &str, values: &mut Values<'_>) {
    match type_name {
        "CodeableConcept" => {
            text(node.get("text"), values);
            codings(node).for_each(|coding| text(coding.get("display"), values));
        }
        "Coding" => text(node.get("display"), values),
        "Identifier" => {
            let Some(identifier_type) = node.get("type") else { return };
            text(identifier_type.get("text"), values);
            let Some(value) = node.get_str("value") else { return };
            for (system, code) in codings(identifier_type).map(|c| pair(c, "system", "code")) {
                let TokenValue { system, code } = of_type(&system, &code, value.clone().into_owned());
                let (system, code) = (system.unwrap_or_default(), code.unwrap_or_default());
                values.push_by_type(IndexValue::Token { system, code });
            }
        }
        _ => {}
    }
}

/// Nothing asks for the exact text, so it is not kept.
fn text(node: Option<Node<'_>>, values: &mut Values<'_>) {
    let norm = node.and_then(Node::as_str).map(|text| fold(&text)).unwrap_or_default();
    if !norm.is_empty() {
        values.push(IndexValue::String { norm, exact: String::new() });
    }
}

fn codings(concept: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    concept.get("coding").into_iter().flat_map(Node::children)
}

fn pair(of: Node<'_>, system: &str, code: &str) -> (String, String) {
    (of.get_str(system).unwrap_or_default().into_owned(), of.get_str(code).unwrap_or_default().into_owned())
}
