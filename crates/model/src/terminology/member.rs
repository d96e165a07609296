//! A code in a value set, and what it is called.

use super::code_system::{CodeSystem, Concept};
use crate::json::Node;
use std::borrow::Cow;

/// A code in a value set.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Its code system.
    pub system: Cow<'a, str>,
    /// The version of the code system that was used.
    pub version: Option<Cow<'a, str>>,
    /// The code.
    pub code: Cow<'a, str>,
    /// Whether it is not meant to be recorded.
    pub is_abstract: bool,
    /// Whether it is out of use.
    pub inactive: bool,
    pub(super) concept: Option<Concept<'a>>,
    /// What the value set itself says of it.
    pub(super) listed: Option<Node<'a>>,
    pub(super) language: Option<Cow<'a, str>>,
}

impl<'a> Member<'a> {
    /// A code of a system that is not held; an expansion's item says itself what it is.
    pub(super) fn bare(system: Cow<'a, str>, code: Cow<'a, str>, listed: Option<Node<'a>>) -> Self {
        let flag = |name: &str| listed.and_then(|node| node.get(name)).and_then(Node::as_bool).unwrap_or(false);
        Self {
            system,
            version: listed.and_then(|node| node.get_str("version")),
            code,
            is_abstract: flag("abstract"),
            inactive: flag("inactive"),
            concept: None,
            listed,
            language: None,
        }
    }

    /// A concept of a code system.
    pub(super) fn of_concept(system: &CodeSystem<'a>, concept: &Concept<'a>) -> Self {
        Self {
            system: system.url.clone(),
            version: system.version.clone(),
            code: concept.code(),
            is_abstract: concept.is_abstract,
            inactive: concept.inactive,
            concept: Some(*concept),
            listed: None,
            language: system.language.clone(),
        }
    }

    /// Its designations: those of the value set, then those of the code system.
    pub fn designations(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let own = self.listed.and_then(|node| node.get("designation")).into_iter().flat_map(Node::children);
        own.chain(self.concept.into_iter().flat_map(|concept| concept.designations()))
    }

    /// What it is called, in that language if there is a name in it.
    #[must_use]
    pub fn display(&self, language: Option<&str>) -> Option<Cow<'a, str>> {
        let usual =
            || self.listed.and_then(|node| node.get_str("display")).or_else(|| self.concept.and_then(|c| c.display()));
        match language {
            Some(language) if !self.language.as_deref().is_some_and(|own| speaks(own, language)) => {
                let of_language = |node: &Node<'_>| node.get_str("language").is_some_and(|own| speaks(&own, language));
                self.designations().find(of_language).and_then(|node| node.get_str("value")).or_else(usual)
            }
            _ => usual(),
        }
    }
}

/// Whether a text of the one language serves who asked for the other: `de-CH` serves `de`.
pub(super) fn speaks(own: &str, wanted: &str) -> bool {
    own.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
        && own[wanted.len()..].chars().next().is_none_or(|next| next == '-')
}

/// Whether it is a unit of UCUM.
pub(super) fn is_ucum(code: &str) -> bool {
    code.len() <= 64 && octofhir_ucum::validate(code).is_ok()
}
