//! [`Request`]: a request as FHIR sees it, the same for one on the wire and for an entry of a Bundle.

use crate::error::Error;
use sha2::{Digest as _, Sha256};
use tessera_model::{
    Definitions, Resource, VersionId,
    interaction::{Interaction, Method, query_pairs},
    temporal::Micros,
};

use tessera_store::Once;

/// What is asked, and under which conditions.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) interaction: Interaction,
    /// Parameters of the URL (and of a search's body), decoded; without those that belong to HTTP.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) resource: Option<Resource>,
    pub(crate) conditions: Conditions,
    pub(crate) preferences: Preferences,
    /// `Idempotency-Key`
    pub(crate) once: Option<Once>,
}

/// Conditional headers, or the members of `Bundle.entry.request`.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Vec<VersionId>,
    /// `If-Match: *`
    pub(crate) if_match_any: bool,
    /// `If-None-Match`: versions the client has.
    pub(crate) if_none_match: Vec<VersionId>,
    /// `If-None-Match: *`
    pub(crate) if_none_match_any: bool,
    pub(crate) if_modified_since: Option<Micros>,
    pub(crate) if_none_exist: Option<Vec<(String, String)>>,
}

/// The `Prefer` header. <https://hl7.org/fhir/R4/http.html#ops>
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Preferences {
    pub(crate) returns: Option<Return>,
    /// `handling=lenient`
    pub(crate) lenient: bool,
}

/// What a write answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    Minimal,
    Representation,
    OperationOutcome,
}

/// Parameters that say how the answer is written, not what is asked.
const OF_HTTP: [&str; 2] = ["_format", "_pretty"];

impl Request {
    /// The request of a method and a URL below the base.
    pub(crate) fn new(method: Method, path: &str, query: &str, definitions: &Definitions) -> Result<Self, Error> {
        let mut parameters = query_pairs(query);
        parameters.retain(|(name, _)| !OF_HTTP.contains(&name.as_str()));
        let interaction = Interaction::parse(method, path, !parameters.is_empty(), definitions)?;
        Ok(Self {
            interaction,
            parameters,
            resource: None,
            conditions: Conditions::default(),
            preferences: Preferences::default(),
            once: None,
        })
    }
}

/// What a request with an `Idempotency-Key` is known by: the key, its path and a digest of its body (REL-16).
pub(crate) fn once_of(key: &str, path: &str, body: &[u8]) -> Once {
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    Once { key: key.to_owned(), request: format!("{path} {digest}") }
}

/// The versions of `W/"1", W/"2"`; a tag that is none of ours matches nothing.
pub(crate) fn etags(text: &str) -> Result<Vec<VersionId>, Error> {
    let tag = |tag: &str| {
        let tag = tag.trim();
        let bare = tag.strip_prefix("W/").unwrap_or(tag);
        let bare = bare.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(bare);
        if bare.is_empty() {
            Err(Error::BadHeader("expected an entity tag such as W/\"1\""))
        } else {
            Ok(bare.parse().unwrap_or(-1))
        }
    };
    text.split(',').map(tag).collect()
}

impl Preferences {
    /// Reads the values of `Prefer` headers; what it does not know it passes over, as RFC 7240 wants.
    pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut preferences = Self::default();
        for preference in values.flat_map(|value| value.split([',', ';'])) {
            match preference.trim().trim_matches('"') {
                "return=minimal" => preferences.returns = Some(Return::Minimal),
                "return=representation" => preferences.returns = Some(Return::Representation),
                "return=OperationOutcome" => preferences.returns = Some(Return::OperationOutcome),
                "handling=lenient" => preferences.lenient = true,
                _ => {}
            }
        }
        preferences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_weak_strong_and_lists() {
        assert_eq!(etags("W/\"1\"").unwrap(), [1]);
        assert_eq!(etags("\"2\", W/\"3\"").unwrap(), [2, 3]);
        assert_eq!(etags("W/\"abc\"").unwrap(), [-1]);
        assert!(etags("W/\"\"").is_err());
    }
}
