//! URI search: exact, or by the hierarchy of the path. <https://hl7.org/fhir/R4/search.html#uri>

use super::index::{IndexValue, Values};
use crate::{json::Node, reference::split_canonical};

/// What a URI must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriValue {
    /// That, with or without a version after `|`.
    Exact {
        /// The URI.
        value: String,
        /// The version; `""`: any.
        version: String,
    },
    /// That or something under it.
    Below(String),
    /// That or something it lies under: all of these, longest first.
    Above(Vec<String>),
}

impl UriValue {
    /// Whether a stored URI is that.
    #[must_use]
    pub fn meets(&self, stored: &str, stored_version: &str) -> bool {
        match self {
            Self::Exact { value, version } => value == stored && (version.is_empty() || version == stored_version),
            Self::Below(value) => {
                stored == value || stored.strip_prefix(value.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }
            Self::Above(values) => values.iter().any(|value| value == stored),
        }
    }

    pub(super) fn exact(text: &str) -> Self {
        let (value, version) = split_canonical(text);
        Self::Exact { value: value.to_owned(), version: version.to_owned() }
    }

    pub(super) fn below(text: &str) -> Self {
        Self::Below(text.trim_end_matches('/').to_owned())
    }

    pub(super) fn above(text: &str) -> Self {
        let whole = text.trim_end_matches('/');
        let shorter =
            whole.match_indices('/').map(|(at, _)| whole[..at].to_owned()).filter(|part| !part.ends_with(['/', ':']));
        Self::Above(std::iter::once(whole.to_owned()).chain(shorter.collect::<Vec<_>>().into_iter().rev()).collect())
    }
}

/// The URI in an element, a canonical's version apart.
pub(super) fn extract(node: Node<'_>, values: &mut Values<'_>) {
    if let Some(text) = node.as_str() {
        let (value, version) = split_canonical(&text);
        values.push(IndexValue::Uri { value: value.to_owned(), version: version.to_owned() });
    }
}
