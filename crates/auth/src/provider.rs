//! [`Provider`]: the identity provider that is set, what it publishes, and whether it has signed something.
//! <https://openid.net/specs/openid-connect-discovery-1_0.html>, <https://www.rfc-editor.org/rfc/rfc8414>

use crate::{
    Error,
    jws::{self, Algorithm, Jws},
    kept::{DAY, SECOND},
    outbound::{Documents, Feature, Fetch},
};
use serde_json::{Map, Value};
use std::sync::Arc;
use tessera_model::temporal::Micros;

/// Where the metadata of an issuer is, unless that is set.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// An identity provider, as the operator has set it.
#[derive(Clone, Debug, Default)]
pub struct ProviderSettings {
    /// Its issuer identifier: what `iss` says, exactly.
    pub issuer: String,
    /// Where its metadata is; `None`: where OpenID Connect has it.
    pub discovery_url: Option<String>,
    /// What the metadata would say, where it is not to be asked: `jwks_uri`, `token_endpoint` and others.
    pub endpoints: Vec<(&'static str, String)>,
    /// What it may sign with.
    pub algorithms: Vec<Algorithm>,
}

/// The identity provider.
pub(crate) struct Provider {
    settings: ProviderSettings,
    pub(crate) documents: Documents,
}

impl Provider {
    pub(crate) fn new(settings: ProviderSettings, fetch: Arc<dyn Fetch>) -> Self {
        // What it has published is used for a day if it is down.
        Self { settings, documents: Documents::new(fetch, Feature::IdentityProvider, DAY) }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// What it publishes about itself, with what is set over it. Metadata of another issuer is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(crate) async fn metadata(&self, now: Micros) -> Result<Map<String, Value>, Error> {
        let usual = || format!("{}{DISCOVERY}", self.settings.issuer.trim_end_matches('/'));
        let url = self.settings.discovery_url.clone().unwrap_or_else(usual);
        let found = self.documents.get("metadata", &url, now, |_| true).await;
        let mut metadata = match found.as_deref() {
            Some(Value::Object(metadata)) => metadata.clone(),
            _ => return Err(Error::Unavailable("the identity provider does not answer")),
        };
        if metadata.get("issuer").and_then(Value::as_str) != Some(self.issuer()) {
            tracing::error!(url, "the metadata is not that of the issuer that is set");
            return Err(Error::Unavailable("the identity provider is not the one that is set"));
        }
        for (name, url) in &self.settings.endpoints {
            metadata.insert((*name).to_owned(), url.as_str().into());
        }
        Ok(metadata)
    }

    /// One of its URLs: as it is set, or else as it publishes it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if that is not known.
    pub(crate) async fn endpoint(&self, name: &str, now: Micros) -> Result<String, Error> {
        if let Some((_, url)) = self.settings.endpoints.iter().find(|(set, _)| *set == name) {
            return Ok(url.clone());
        }
        let metadata = self.metadata(now).await?;
        let url = metadata.get(name).and_then(Value::as_str).filter(|url| !url.is_empty());
        url.map(str::to_owned).ok_or_else(|| {
            tracing::error!(name, "the identity provider publishes no such endpoint");
            Error::Unavailable("the identity provider lacks an endpoint")
        })
    }

    /// Whether it has signed this: by an algorithm that is allowed, with the one key of that `kid`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if its keys cannot be had, and were not in the last day.
    pub(crate) async fn has_signed(&self, jws: &Jws<'_>, now: Micros) -> Result<Result<(), &'static str>, Error> {
        let text = |name: &str| jws.header.get(name).and_then(Value::as_str);
        let algorithm = text("alg").and_then(Algorithm::named);
        let Some(algorithm) = algorithm.filter(|algorithm| self.settings.algorithms.contains(algorithm)) else {
            return Ok(Err("alg is none that is allowed"));
        };
        let Some(kid) = text("kid").filter(|kid| !kid.is_empty()) else { return Ok(Err("there is no kid")) };
        if ["crit", "jku", "jwk", "x5u", "b64"].iter().any(|name| jws.header.contains_key(*name)) {
            return Ok(Err("the header says which key to trust, or has what must be understood"));
        }
        let url = self.endpoint("jwks_uri", now).await?;
        let keys = self.documents.keys("keys", &url, kid, now).await;
        if keys.is_empty() {
            return Err(Error::Unavailable("the keys of the identity provider cannot be had"));
        }
        let mut named = keys.iter().filter(|key| key["kid"] == kid);
        Ok(match (named.next(), named.next()) {
            (Some(key), None) if !jws::is_for(key, algorithm) => Err("the key is not for this algorithm"),
            (Some(key), None) if jws.is_signed_by(key, algorithm) => Ok(()),
            (Some(_), None) => Err("the signature is not that of the key"),
            (None, _) => Err("there is no such key"),
            (Some(_), Some(_)) => Err("there are several keys of this kid"),
        })
    }
}

/// How far clocks may differ, in seconds (AUTH-30).
pub(crate) const LEEWAY: i64 = 60;

/// Whether claims are good at this time: they have an end, and it has not come; their beginning has.
pub(crate) fn is_timely(claims: &Map<String, Value>, now: Micros) -> Result<(), &'static str> {
    let now = now.div_euclid(SECOND);
    let expires = claims.get("exp").and_then(seconds).ok_or("there is no exp")?;
    if expires.saturating_add(LEEWAY) <= now {
        return Err("it has expired");
    }
    for name in ["nbf", "iat"] {
        if claims.get(name).is_some_and(|time| seconds(time).is_none_or(|time| time.saturating_sub(LEEWAY) > now)) {
            return Err("it is of the future");
        }
    }
    Ok(())
}

/// A time of a JWT. Its fraction, which the specification allows, does not count.
pub(crate) fn seconds(value: &Value) -> Option<i64> {
    value.as_number()?.to_string().split('.').next()?.parse().ok()
}

/// Whether `aud`, one text or several, names this.
pub(crate) fn is_for(claims: &Map<String, Value>, audience: impl Fn(&str) -> bool) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => audience(one),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).any(audience),
        _ => false,
    }
}
