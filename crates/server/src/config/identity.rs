//! `[identity]`: who says who somebody is.

use crate::error::Error;
use serde::Deserialize;
use std::fmt;
use tessera_auth::{
    Algorithm, ProviderSettings,
    external::{ClaimNames, ExternalSettings, Tokens},
    federation::FederationSettings,
    outbound::Credentials,
    policy::{self, Reading},
};

/// Who says who somebody is.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    /// `built-in`, `federated`, `external-jwt` or `external-introspection`.
    pub mode: String,
    issuer: String,
    discovery_url: String,
    client_id: String,
    client_secret: Hidden,
    algorithms: Vec<String>,
    endpoints: Endpoints,
    login: Login,
    tokens: TokenSettings,
}

/// A secret, which no debug text shows.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Endpoints {
    jwks_uri: String,
    authorization_endpoint: String,
    token_endpoint: String,
    introspection_endpoint: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Login {
    name: String,
    passwords: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct TokenSettings {
    scope_claim: String,
    client_claim: String,
    patient_claim: String,
    fhir_user_claim: String,
    purpose_claim: String,
    organization_claim: String,
    media_type: String,
    may_lack_audience: bool,
    client_policy: Vec<String>,
    user_policy: Vec<String>,
    capabilities: Vec<String>,
}

/// A mode, with what it needs.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// This server, with its own users.
    BuiltIn,
    /// This server, with users who log in at an identity provider.
    Federated(Box<FederationSettings>),
    /// An authorization server elsewhere.
    External(Box<ExternalSettings>),
}

impl Identity {
    /// The mode.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none of that name, or a setting that it needs is missing or wrong.
    pub(crate) fn mode(&self, reading: Reading<'_>) -> Result<Mode, Error> {
        let introspects = match self.mode.as_str() {
            "built-in" => return Ok(Mode::BuiltIn),
            "federated" => return Ok(Mode::Federated(Box::new(self.federation()?))),
            "external-jwt" => false,
            "external-introspection" => true,
            _ => {
                let modes = "built-in, federated, external-jwt or external-introspection";
                return Err(Error::Usage(format!("identity.mode: expected {modes}")));
            }
        };
        let of = &self.tokens;
        if introspects && (self.client_id.is_empty() || self.client_secret.0.is_empty()) {
            return Err(Error::Usage("identity.client_id and identity.client_secret are needed".to_owned()));
        }
        let tokens = match introspects {
            false => Tokens::Jwt { media_type: Some(of.media_type.clone()).filter(|text| !text.is_empty()) },
            true => Tokens::Introspection {
                credentials: self.credentials(&self.endpoints.introspection_endpoint),
                may_lack_audience: of.may_lack_audience,
            },
        };
        for (name, policy) in [("client_policy", &of.client_policy), ("user_policy", &of.user_policy)] {
            policy::check(policy, reading).map_err(|why| Error::Usage(format!("identity.tokens.{name}: {why}")))?;
        }
        Ok(Mode::External(Box::new(ExternalSettings {
            provider: self.provider()?,
            tokens,
            claims: self.claims()?,
            client_policy: of.client_policy.clone(),
            user_policy: of.user_policy.clone(),
            capabilities: of.capabilities.clone(),
        })))
    }

    fn federation(&self) -> Result<FederationSettings, Error> {
        let provider = self.provider()?;
        if self.client_id.is_empty() {
            return Err(Error::Usage("identity.client_id is needed".to_owned()));
        }
        let host = || reqwest::Url::parse(&self.issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
        let name = Some(self.login.name.clone()).filter(|name| !name.is_empty()).or_else(host);
        Ok(FederationSettings {
            provider,
            // Without a secret this server is a public client there.
            credentials: self.credentials(&self.endpoints.token_endpoint),
            name: name.unwrap_or_default(),
            passwords: self.login.passwords,
        })
    }

    fn provider(&self) -> Result<ProviderSettings, Error> {
        let issuer = url("identity.issuer", &self.issuer)?;
        let mut algorithms = Vec::new();
        for name in &self.algorithms {
            let known = Algorithm::named(name);
            algorithms.push(known.ok_or_else(|| Error::Usage(format!("identity.algorithms: there is no {name}")))?);
        }
        let set = &self.endpoints;
        let mut endpoints = Vec::new();
        for (name, text) in [
            ("jwks_uri", &set.jwks_uri),
            ("authorization_endpoint", &set.authorization_endpoint),
            ("token_endpoint", &set.token_endpoint),
            ("introspection_endpoint", &set.introspection_endpoint),
        ] {
            if !text.is_empty() {
                endpoints.push((name, url(&format!("identity.endpoints.{name}"), text)?));
            }
        }
        let discovery_url = match self.discovery_url.as_str() {
            "" => None,
            text => Some(url("identity.discovery_url", text)?),
        };
        Ok(ProviderSettings { issuer, discovery_url, endpoints, algorithms })
    }

    /// They go to the endpoint if it is set, and else to the issuer's origin alone.
    fn credentials(&self, endpoint: &str) -> Credentials {
        let url = if endpoint.is_empty() { &self.issuer } else { endpoint };
        Credentials { url: url.to_owned(), id: self.client_id.clone(), secret: self.client_secret.0.clone() }
    }

    fn claims(&self) -> Result<ClaimNames, Error> {
        let of = &self.tokens;
        let named = |setting: &str, name: &str| match name {
            "" => Err(Error::Usage(format!("identity.tokens.{setting} needs a name"))),
            name => Ok(name.to_owned()),
        };
        Ok(ClaimNames {
            scope: named("scope_claim", &of.scope_claim)?,
            client: named("client_claim", &of.client_claim)?,
            patient: named("patient_claim", &of.patient_claim)?,
            fhir_user: named("fhir_user_claim", &of.fhir_user_claim)?,
            purpose: of.purpose_claim.clone(),
            organization: of.organization_claim.clone(),
        })
    }
}

/// A URL of the provider's. Whether it may be reached, shows when it is.
fn url(name: &str, text: &str) -> Result<String, Error> {
    let is_url = reqwest::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http") && url.fragment().is_none() && url.username().is_empty()
    });
    match is_url {
        true => Ok(text.to_owned()),
        false => Err(Error::Usage(format!("{name}: expected a URL such as https://idp.example.org/realms/care"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, layers};

    fn identity(environment: &[(&str, &str)]) -> Identity {
        let get = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        layers::resolve(None, get, &Settings::default()).unwrap().identity
    }

    fn mode(environment: &[(&str, &str)]) -> Result<Mode, Error> {
        identity(environment).mode(Reading { base: "https://ehr/fhir", now: 0 })
    }

    const JWT: [(&str, &str); 2] =
        [("TESSERA_IDENTITY_MODE", "external-jwt"), ("TESSERA_IDENTITY_ISSUER", "https://idp/realm")];
    const ASKED: [(&str, &str); 4] = [
        ("TESSERA_IDENTITY_MODE", "external-introspection"),
        ("TESSERA_IDENTITY_ISSUER", "https://idp/realm"),
        ("TESSERA_IDENTITY_CLIENT_ID", "tessera"),
        ("TESSERA_IDENTITY_CLIENT_SECRET", "hush"),
    ];

    #[test]
    fn a_mode_says_what_it_lacks() {
        assert!(matches!(mode(&[]), Ok(Mode::BuiltIn)));
        assert!(matches!(mode(&JWT), Ok(Mode::External(_))));
        assert!(matches!(mode(&ASKED), Ok(Mode::External(_))));
        let federated = [("TESSERA_IDENTITY_MODE", "federated"), ASKED[1], ASKED[2], ASKED[3]];
        let Ok(Mode::Federated(settings)) = mode(&federated) else { panic!() };
        assert_eq!((settings.name.as_str(), settings.passwords), ("idp", false));
        assert!(mode(&federated[..2]).is_err(), "no client");
        assert!(mode(&JWT[..1]).is_err(), "no issuer");
        assert!(mode(&ASKED[..3]).is_err(), "no secret");
        for other in [
            ("TESSERA_IDENTITY_MODE", "none"),
            ("TESSERA_IDENTITY_ISSUER", "idp"),
            ("TESSERA_IDENTITY_ALGORITHMS", "RS256,HS256"),
            ("TESSERA_IDENTITY_ALGORITHMS", "none"),
            ("TESSERA_IDENTITY_ENDPOINTS_JWKS_URI", "file:///keys"),
            ("TESSERA_IDENTITY_TOKENS_SCOPE_CLAIM", ""),
            ("TESSERA_IDENTITY_TOKENS_USER_POLICY", "Nothing"),
        ] {
            assert!(mode(&[&[other], &JWT[..]].concat()).is_err(), "{other:?}");
        }
    }

    #[test]
    fn http_12_a_secret_of_the_identity_provider_is_not_shown() {
        let identity = identity(&ASKED);
        assert!(!format!("{identity:?}").contains("hush"));
        let Ok(mode) = identity.mode(Reading { base: "https://ehr/fhir", now: 0 }) else { panic!() };
        assert!(!format!("{mode:?}").contains("hush"));
    }
}
