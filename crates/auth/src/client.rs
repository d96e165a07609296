//! Clients: the apps and systems that may ask for access, as the operator has registered them (AUTH-20, ORG-1).

pub use crate::jwks::new_client_keys as new_keys;

use crate::{
    Error,
    jws::Algorithm,
    kept::{self, Keep, Kept},
    scope::Scopes,
    secret::{self, Purpose, Secret},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_model::{Definitions, temporal::Micros};
use tessera_store::{Record, Records};

/// A registered client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its name, which users are shown.
    pub name: String,
    /// How it shows who it is: this one way and no other.
    pub authentication: Authentication,
    /// The organization that it acts for.
    #[serde(default)]
    pub organization: Option<Organization>,
    /// Where users may be sent back to: compared as they are.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Where an EHR starts it.
    #[serde(default)]
    pub launch_url: Option<String>,
    /// The scopes that it may be granted.
    pub scopes: String,
    /// What it may see at all, each `Type?parameters`, `Type` or `*`: one of them must hold. With none, `system/` scopes grant
    /// nothing (CORE-5), and what users grant is not narrowed.
    #[serde(default)]
    pub policy: Vec<String>,
    /// The purposes of use that it may have; the first one, unless it names another.
    #[serde(default)]
    pub purposes: Vec<String>,
    /// What ids that it chooses itself must begin with (CMP-8); it may choose none without this.
    #[serde(default)]
    pub id_prefix: Option<String>,
    /// What it may ask for at a time, if not the usual.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// May it ask what tokens of others are good for (AUTH-11)?
    #[serde(default)]
    pub introspects: bool,
    /// May it prepare launches of other clients for its users (AUTH-6)?
    #[serde(default)]
    pub launches: bool,
    /// May it do what administrators may?
    #[serde(default)]
    pub administers: bool,
    /// Pages of these origins may send its requests (HTTP-6).
    #[serde(default)]
    pub origins: Vec<String>,
    /// Whom to ask about it.
    #[serde(default)]
    pub contact: Option<String>,
    /// The algorithm that its id_tokens are signed with.
    #[serde(default)]
    pub id_token_algorithm: Option<Algorithm>,
    /// Whether it is let in.
    pub enabled: bool,
    /// Until when, if not for ever.
    #[serde(default)]
    pub expires: Option<Micros>,
}

/// How a client shows who it is at the token endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// It does not: a public client.
    None,
    /// By a secret in the `Authorization` header; its SHA-256 is kept.
    ClientSecretBasic(String),
    /// By a secret in the body; its SHA-256 is kept.
    ClientSecretPost(String),
    /// By a signed assertion (AUTH-21).
    PrivateKeyJwt(Keys),
}

impl Authentication {
    /// Its name in OAuth.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic(_) => "client_secret_basic",
            Self::ClientSecretPost(_) => "client_secret_post",
            Self::PrivateKeyJwt(_) => "private_key_jwt",
        }
    }
}

/// The keys that a client signs with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Where its JWKS is.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Its JWKS, if it has no URL.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// The algorithms that it signs with.
    pub algorithms: Vec<Algorithm>,
}

/// The organization that a client acts for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// Its name, which users are shown.
    pub name: String,
    /// Its resource here: `Organization/1`.
    #[serde(default)]
    pub reference: Option<String>,
    /// The URI that it is known by elsewhere.
    #[serde(default)]
    pub uri: Option<String>,
}

/// What a client may ask for at a time (HTTP-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests a second.
    pub requests_per_second: u32,
    /// Requests at once, now and then.
    pub burst: u32,
    /// Searches at a time.
    pub searches: u32,
    /// Of what costs most, at a time.
    pub costly: u32,
}

impl Keep for Client {
    const KIND: i64 = kept::CLIENT;
}

impl Client {
    /// A client that is let in, and may have these scopes and nothing else: no right, no policy, nowhere to send users.
    pub(crate) fn without_rights(name: String, authentication: Authentication, scopes: &Scopes) -> Self {
        Self {
            name,
            authentication,
            organization: None,
            redirect_uris: Vec::new(),
            launch_url: None,
            scopes: scopes.to_string(),
            policy: Vec::new(),
            purposes: Vec::new(),
            id_prefix: None,
            limits: None,
            introspects: false,
            launches: false,
            administers: false,
            origins: Vec::new(),
            contact: None,
            id_token_algorithm: None,
            enabled: true,
            expires: None,
        }
    }

    /// The scopes that it may be granted.
    #[must_use]
    pub fn allowed(&self, definitions: &Definitions) -> Scopes {
        Scopes::parse(&self.scopes, definitions)
    }

    /// Whether it is let in at this time.
    #[must_use]
    pub fn is_active(&self, now: Micros) -> bool {
        self.enabled && self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether it keeps no secret: an app on a device of the user's.
    #[must_use]
    pub fn is_public(&self) -> bool {
        matches!(self.authentication, Authentication::None)
    }

    /// Where its keys are, if it has a URL for them.
    #[must_use]
    pub fn keys_url(&self) -> Option<String> {
        match &self.authentication {
            Authentication::PrivateKeyJwt(keys) => keys.jwks_url.clone(),
            _ => None,
        }
    }

    /// Whether users may be sent back there: exactly as registered, but for the port of a loopback address, which a native
    /// app does not choose. <https://www.rfc-editor.org/rfc/rfc8252#section-7.3>
    #[must_use]
    pub fn may_redirect_to(&self, uri: &str) -> bool {
        let same = |registered: &String| {
            registered == uri || without_port(registered).is_some_and(|own| Some(own) == without_port(uri))
        };
        self.redirect_uris.iter().any(same)
    }
}

/// A loopback address without its port: the parts before and after.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    ["http://127.0.0.1:", "http://[::1]:"].iter().find_map(|start| {
        let rest = uri.strip_prefix(start)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (port, path) = rest.split_at_checked(digits)?;
        let ends = path.is_empty() || path.starts_with(['/', '?']);
        (ends && (1..=5).contains(&port.len())).then_some((*start, path))
    })
}

/// A new secret for a client: what it is told, and what is kept.
///
/// # Errors
/// [`Error::Keys`] without random numbers.
pub fn new_secret() -> Result<(Secret, String), Error> {
    let secret = Secret::new(Purpose::Client).ok_or(Error::Keys("there are no random numbers"))?;
    let digest = secret.digest();
    Ok((secret, digest))
}

/// Whether this is the secret whose digest is kept.
pub(crate) fn is_secret(given: &str, digest: &str) -> bool {
    // A digest is made whatever was given, so that the time says nothing.
    secret::equal(&secret::sha256(given.as_bytes()), digest)
}

/// The client of that id.
///
/// # Errors
/// [`Error::Store`] and [`Error::BadRecord`].
pub async fn find(records: &dyn Records, id: &str) -> Result<Option<Kept<Client>>, Error> {
    kept::get(records, id).await
}

/// Registers a client; `false` if there is one of that id.
///
/// # Errors
/// [`Error::Store`].
pub async fn register(records: &dyn Records, id: &str, client: Client) -> Result<bool, Error> {
    Ok(records.change(vec![Kept::new(id, "", Record::NEVER, client).insert()?]).await?)
}

/// Keeps a client that was changed; `false` if somebody else has changed it.
///
/// # Errors
/// [`Error::Store`].
pub async fn update(records: &dyn Records, client: &Kept<Client>) -> Result<bool, Error> {
    Ok(records.change(vec![client.replace()?]).await?)
}

/// A page of the clients, in the order of their ids, from the one after `after` on.
///
/// # Errors
/// [`Error::Store`] and [`Error::BadRecord`].
pub async fn list(records: &dyn Records, after: &str, count: u32) -> Result<Vec<Kept<Client>>, Error> {
    kept::list(records, None, after, count).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_2_redirect_uris_are_compared_as_they_are_but_for_the_port_of_loopback() {
        let check = |registered: &str, asked: &str, expect: bool| {
            let client = Client { redirect_uris: vec![registered.to_owned()], ..example() };
            assert_eq!(client.may_redirect_to(asked), expect, "{registered} {asked}");
        };
        check("https://app/cb", "https://app/cb", true);
        for other in
            ["https://app/cb/", "https://app/cb?x", "https://APP/cb", "https://app:443/cb", "https://app/c", ""]
        {
            check("https://app/cb", other, false);
        }
        check("http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", true);
        check("http://[::1]:1/cb", "http://[::1]:2/cb", true);
        for other in [
            "http://127.0.0.1/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:2/cb2",
            "http://127.0.0.1:2@evil/cb",
            "http://127.0.0.1:2.evil/cb",
            "https://127.0.0.1:2/cb",
            "http://localhost:2/cb",
            "http://[::1]:2/cb",
            "http://127.0.0.1:123456/cb",
        ] {
            check("http://127.0.0.1:1/cb", other, false);
        }
    }

    #[test]
    fn auth_20_of_a_secret_its_digest_is_kept() {
        let (secret, digest) = new_secret().unwrap();
        assert!(is_secret(secret.expose(), &digest));
        assert!(!is_secret(&digest, &digest) && !is_secret("", &digest));
        let client = Client { authentication: Authentication::ClientSecretBasic(digest), ..example() };
        let text = serde_json::to_string(&client).unwrap();
        assert!(!text.contains(secret.expose()));
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Client>(&text).unwrap()).unwrap(), text);
    }

    fn example() -> Client {
        serde_json::from_str(r#"{"name": "App", "authentication": "none", "scopes": "openid", "enabled": true}"#)
            .unwrap()
    }
}
