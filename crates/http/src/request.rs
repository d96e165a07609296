//! [`Request`]: a request as FHIR sees it, the same for one on the wire and for an entry of a Bundle.

use crate::{body::Room, conditions::Conditions, error::Error, format::OF_HTTP, links::query_string};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tessera_model::{
    Definitions, Patch, Resource,
    interaction::{Interaction, InteractionCode, Method, query_pairs},
};
use tessera_store::Once;

/// What is asked, and under which conditions.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) interaction: Interaction,
    /// HEAD: the body is not wanted.
    pub(crate) head: bool,
    /// Parameters of the URL (and of a search's body), decoded; without those that belong to HTTP.
    pub(crate) parameters: Vec<(String, String)>,
    /// Those that belong to HTTP, as a query string: page links carry them.
    of_http: String,
    pub(crate) resource: Option<Resource>,
    /// A body that is a patch and no resource.
    pub(crate) patch: Option<Patch>,
    pub(crate) conditions: Conditions,
    pub(crate) preferences: Preferences,
    /// `Idempotency-Key`
    pub(crate) once: Option<Once>,
    /// `X-Request-Id`, or what the server calls it.
    pub(crate) id: Arc<str>,
    /// What its body takes of what all may take.
    pub(crate) room: Option<Room>,
    /// What was asked, as it was asked, for the audit record; empty where the interaction and its resource say it all.
    pub(crate) line: String,
}

/// The `Prefer` header. <https://hl7.org/fhir/R4/http.html#ops>
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Preferences {
    pub(crate) returns: Option<Return>,
    /// `handling=lenient`
    pub(crate) lenient: bool,
    /// `respond-async`
    pub(crate) respond_async: bool,
}

/// What a write answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    Minimal,
    Representation,
    OperationOutcome,
}

impl Request {
    /// The request of a method and a URL below the base.
    pub(crate) fn new(method: Method, path: &str, query: &str, definitions: &Definitions) -> Result<Self, Error> {
        let (of_http, parameters): (Vec<_>, Vec<_>) =
            query_pairs(query).into_iter().partition(|(name, _)| OF_HTTP.contains(&name.as_str()));
        let interaction = Interaction::parse(method, path, !parameters.is_empty(), definitions)?;
        let plain = query.is_empty()
            && matches!(
                interaction.code().0,
                InteractionCode::Read
                    | InteractionCode::VersionRead
                    | InteractionCode::Create
                    | InteractionCode::Update
                    | InteractionCode::Patch
                    | InteractionCode::Delete
                    | InteractionCode::Batch
                    | InteractionCode::Capabilities
            );
        let separator = if query.is_empty() { "" } else { "?" };
        let line = if plain { String::new() } else { format!("{} {path}{separator}{query}", method.name()) };
        Ok(Self {
            interaction,
            id: Arc::default(),
            line,
            head: method == Method::Head,
            parameters,
            of_http: query_string(&of_http),
            resource: None,
            patch: None,
            conditions: Conditions::default(),
            preferences: Preferences::default(),
            once: None,
            room: None,
        })
    }

    /// The URL with the parameters that say how the answer is written.
    pub(crate) fn shaped(&self, url: &str) -> String {
        if self.of_http.is_empty() { url.to_owned() } else { format!("{url}?{}", self.of_http) }
    }
}

/// What a request with an `Idempotency-Key` is known by: the key, its path and a digest of its body (REL-16).
pub(crate) fn once_of(key: &str, path: &str, body: &[u8]) -> Once {
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    Once { key: key.to_owned(), request: format!("{path} {digest}") }
}

impl Preferences {
    /// Reads the values of `Prefer` headers; what it does not know it passes over, and what comes twice counts once, the
    /// first time, as RFC 7240 wants.
    pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let (mut returns, mut lenient, mut respond_async) = (None, None, false);
        for preference in values.flat_map(|value| value.split([',', ';'])) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            match (name.trim().to_ascii_lowercase().as_str(), value.trim().trim_matches('"')) {
                ("return", "minimal") => returns = returns.or(Some(Return::Minimal)),
                ("return", "representation") => returns = returns.or(Some(Return::Representation)),
                ("return", "OperationOutcome") => returns = returns.or(Some(Return::OperationOutcome)),
                ("handling", "lenient") => lenient = lenient.or(Some(true)),
                ("handling", "strict") => lenient = lenient.or(Some(false)),
                ("respond-async", _) => respond_async = true,
                _ => {}
            }
        }
        Self { returns, lenient: lenient.unwrap_or(false), respond_async }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_as_rfc_7240_writes_them() {
        let check = |values: &[&str], returns: Option<Return>, lenient: bool| {
            let parsed = Preferences::parse(values.iter().copied());
            assert_eq!((parsed.returns, parsed.lenient), (returns, lenient), "{values:?}");
        };
        check(&["return=minimal"], Some(Return::Minimal), false);
        check(&["Return = \"representation\"; a=b", "handling=lenient"], Some(Return::Representation), true);
        check(&["handling=strict, handling=lenient"], None, false);
        check(&["return=OperationOutcome,return=minimal, wait=5"], Some(Return::OperationOutcome), false);
        check(&["return=everything, unheard-of"], None, false);
    }
}
