//! Token search: a code, in a system or not. <https://hl7.org/fhir/R4/search.html#token>

use super::index::{IndexValue, Values};
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
}

/// Reads `code`, `system|code`, `|code` or `system|`. A system that a binding implies also finds codes stored without one.
pub(super) fn parse(value: &Escaped<'_>, implied_systems: &[Box<str>]) -> Result<Vec<TokenValue>, Error> {
    let parts = value.split('|');
    let token = match &parts[..] {
        [code] if !code.is_empty() => TokenValue { system: None, code: Some(code.text()) },
        [system, code] if !system.is_empty() || !code.is_empty() => {
            TokenValue { system: Some(system.text()), code: (!code.is_empty()).then(|| code.text()) }
        }
        _ => return Err(value.bad("expected code, system|code, |code or system|")),
    };
    let implied = token.system.as_deref().is_some_and(|system| implied_systems.iter().any(|s| &**s == system));
    let bare = implied.then(|| TokenValue { system: Some(String::new()), code: token.code.clone() });
    Ok([Some(token), bare].into_iter().flatten().collect())
}

/// The tokens in an element: each type has its rule.
pub(super) fn extract(node: Node<'_>, type_name: &str, values: &mut Values<'_>) {
    let pair = |of: Node<'_>, system: &str, code: &str| {
        (of.get_str(system).unwrap_or_default().into_owned(), of.get_str(code).unwrap_or_default().into_owned())
    };
    let found: Vec<(String, String)> = match type_name {
        "CodeableConcept" => {
            node.get("coding").into_iter().flat_map(Node::children).map(|c| pair(c, "system", "code")).collect()
        }
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
