//! Codes: which there are, which a value set holds, what they are called, and what they are in other systems.
//! <https://hl7.org/fhir/R4/terminology-service.html>
//!
//! A [`Library`] holds the code systems, value sets and concept maps that a question needs, stored or bundled; what
//! follows from them is said by pure functions: [`expand`], [`validate_code`], [`lookup`], [`subsumes`], [`translate`].
//! What is not held is said to be not held: no answer here is a guess.

pub mod bundled;
mod code_system;
mod compose;
pub mod expand;
mod filter;
mod library;
pub mod lookup;
mod member;
pub mod subsumes;
pub mod translate;
pub mod validate_code;
mod value_set;

pub use code_system::{CodeSystem, Concept};
pub use compose::{Versions, compile};
pub use library::Library;
pub use member::Member;
pub use value_set::ValueSet;

use crate::{json::Node, reference::split_canonical};

/// The kinds of resource that terminology is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Codes and what they mean.
    CodeSystem,
    /// A choice of codes.
    ValueSet,
    /// Codes to codes of another system.
    ConceptMap,
}

impl Kind {
    /// The resource type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CodeSystem => "CodeSystem",
            Self::ValueSet => "ValueSet",
            Self::ConceptMap => "ConceptMap",
        }
    }

    /// In a sentence.
    const fn word(self) -> &'static str {
        match self {
            Self::CodeSystem => "code system",
            Self::ValueSet => "value set",
            Self::ConceptMap => "concept map",
        }
    }
}

/// What names one of them: <https://hl7.org/fhir/R4/references.html#canonical>
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Canonical {
    /// What it is.
    pub kind: Kind,
    /// Its URL.
    pub url: String,
    /// Its business version; `None`: the newest.
    pub version: Option<String>,
}

impl Canonical {
    /// Reads `url|version`.
    #[must_use]
    pub fn parse(kind: Kind, text: &str) -> Self {
        let (url, version) = split_canonical(text);
        Self::new(kind, url, Some(version))
    }

    /// That URL in that version; `None` or empty: the newest.
    #[must_use]
    pub fn new(kind: Kind, url: &str, version: Option<&str>) -> Self {
        Self { kind, url: url.to_owned(), version: version.filter(|v| !v.is_empty()).map(str::to_owned) }
    }

    /// The error that says that this is not here.
    #[must_use]
    pub fn unknown(&self) -> crate::Error {
        crate::Error::UnknownCanonical { what: self.kind.word(), canonical: self.to_string() }
    }
}

impl std::fmt::Display for Canonical {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)?;
        self.version.iter().try_for_each(|version| write!(f, "|{version}"))
    }
}

/// A code that is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coding {
    /// The code system; empty: not given.
    pub system: String,
    /// Its version.
    pub version: Option<String>,
    /// The code.
    pub code: String,
    /// What the client calls it.
    pub display: Option<String>,
}

impl Coding {
    /// Reads a Coding.
    #[must_use]
    pub fn read(node: Node<'_>) -> Self {
        let text = |name: &str| node.get_str(name).map(std::borrow::Cow::into_owned);
        Self {
            system: text("system").unwrap_or_default(),
            version: text("version"),
            code: text("code").unwrap_or_default(),
            display: text("display"),
        }
    }
}

#[cfg(test)]
mod tests;
