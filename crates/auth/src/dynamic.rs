//! What a client says of itself when it registers by itself (AUTH-50), and what of it is kept. Nothing that it says is fetched
//! here. <https://www.rfc-editor.org/rfc/rfc7591#section-2>

use crate::{
    Error,
    client::{self, Authentication, Client, Keys},
    jws::Algorithm,
    kept::{self, DAY, Keep, Kept},
    policy::Reading,
    registration::{check_client, check_redirect_uri, check_url, host_of, origin_of},
    scope::{Context, Scope, Scopes},
    secret::{Purpose, Secret},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_model::{Definitions, temporal::Micros};
use tessera_store::Records;

/// Most redirect URIs and contacts.
const COUNT_MAX: usize = 10;
/// How a client that does not say shows who it is: RFC 7591 section 2.
const METHOD_DEFAULT: &str = "client_secret_basic";
const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", "client_credentials"];

/// Who may register clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registering {
    /// The operator alone.
    #[default]
    Off,
    /// Whoever has been given a token for it by the operator.
    Token,
    /// Everybody on this machine.
    Sandbox,
}

/// Why a client is not registered.
#[derive(Debug, thiserror::Error)]
pub enum NotRegistered {
    /// The token is not one for this.
    #[error("the token is not valid")]
    NotAllowed,
    /// Too many have registered from there.
    #[error("too many clients were registered from this address; try again tomorrow")]
    TooMany,
    /// A redirect URI cannot be.
    #[error("{0}")]
    RedirectUri(String),
    /// Something else cannot be.
    #[error("{0}")]
    Metadata(String),
    /// The server cannot tell.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<tessera_store::Error> for NotRegistered {
    fn from(error: tessera_store::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// What a client says of itself. What is not here is ignored, as the specification says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub struct Metadata {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    pub token_endpoint_auth_method: String,
    pub grant_types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_types: Vec<String>,
    pub application_type: String,
    pub client_name: String,
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
}

impl Metadata {
    /// Reads and checks it. `sandbox`: redirect URIs may lead to this machine.
    pub(crate) fn read(body: &Value, sandbox: bool, reading: Reading<'_>) -> Result<Self, NotRegistered> {
        let bad = |text: &str| NotRegistered::Metadata(text.to_owned());
        let read: Result<Self, _> = serde_json::from_value(body.clone());
        let mut own = read.map_err(|_| bad("a member is of another type than RFC 7591 says"))?;
        let or = |text: &mut String, default: &str| {
            if text.is_empty() {
                default.clone_into(text);
            }
        };
        or(&mut own.token_endpoint_auth_method, METHOD_DEFAULT);
        or(&mut own.application_type, "web");
        if own.grant_types.is_empty() {
            own.grant_types = vec!["authorization_code".to_owned()];
        }
        if own.response_types.is_empty() && own.grants("authorization_code") {
            own.response_types = vec!["code".to_owned()];
        }
        own.check(sandbox)?;
        // As it would be registered with all that it wants.
        let mut client = own.client(own.authentication(String::new())?, &own.scopes());
        client.policy = vec!["*".to_owned()];
        check_client("client", &client, reading).map_err(NotRegistered::Metadata)?;
        Ok(own)
    }

    fn grants(&self, grant_type: &str) -> bool {
        self.grant_types.iter().any(|own| own == grant_type)
    }

    fn check(&self, sandbox: bool) -> Result<(), NotRegistered> {
        let bad = |text: &str| Err(NotRegistered::Metadata(text.to_owned()));
        if !["web", "native"].contains(&&*self.application_type) {
            return bad("application_type is web or native");
        }
        if !self.grant_types.iter().all(|own| GRANT_TYPES.contains(&&**own)) {
            return bad("grant_types are authorization_code, refresh_token and client_credentials");
        }
        if self.response_types.iter().any(|own| own != "code") {
            return bad("response_types has code alone");
        }
        if self.grants("authorization_code") == self.redirect_uris.is_empty() {
            return bad("authorization_code needs redirect_uris, and nothing else does");
        }
        if self.grants("refresh_token") && !self.grants("authorization_code") {
            return bad("refresh_token needs authorization_code");
        }
        if self.redirect_uris.len().max(self.contacts.len()) > COUNT_MAX {
            return bad("there are at most 10 redirect_uris and contacts");
        }
        if self.grants("client_credentials") != self.scopes().has_context(Context::System) {
            return bad("client_credentials and system/ scopes need each other");
        }
        for uri in &self.redirect_uris {
            self.check_redirect_uri(uri, sandbox).map_err(NotRegistered::RedirectUri)?;
        }
        self.check_hosts()
    }

    fn check_redirect_uri(&self, uri: &str, sandbox: bool) -> Result<(), String> {
        check_redirect_uri(uri)?;
        let is_native = self.application_type == "native";
        match uri.split_once(':').map_or("", |(scheme, _)| scheme) {
            "https" => Ok(()),
            "http" if is_native || sandbox => Ok(()),
            "http" => Err(format!("{uri}: redirect URIs are https, but for native clients on their own device")),
            _ if is_native => Ok(()),
            _ => Err(format!("{uri}: schemes of their own are for native clients")),
        }
    }

    /// What it shows of itself is where it sends users, so that it cannot pass for another.
    fn check_hosts(&self) -> Result<(), NotRegistered> {
        let shown = [&self.client_uri, &self.logo_uri, &self.policy_uri, &self.tos_uri];
        let shown: Vec<&String> = shown.into_iter().flatten().collect();
        let mut hosts: Vec<&str> =
            self.redirect_uris.iter().filter_map(|uri| host_of(uri)).map(|(_, host)| host).collect();
        if !self.redirect_uris.iter().any(|uri| uri.starts_with("https:")) {
            hosts.extend(shown.first().and_then(|uri| host_of(uri)).map(|(_, host)| host));
        }
        for uri in shown {
            check_url(uri).map_err(NotRegistered::Metadata)?;
            if !host_of(uri).is_some_and(|(_, host)| hosts.contains(&host)) {
                return Err(NotRegistered::Metadata(format!("{uri}: expected the host of a redirect URI")));
            }
        }
        Ok(())
    }

    /// All scopes that it wants, as far as there are such.
    pub(crate) fn scopes(&self) -> Scopes {
        Scopes::parse(&self.scope, Definitions::r4())
    }

    /// How it shows who it is. `digest`: of its secret, if it has one.
    pub(crate) fn authentication(&self, digest: String) -> Result<Authentication, NotRegistered> {
        let has_keys = self.jwks.is_some() || self.jwks_uri.is_some();
        let authentication = match &*self.token_endpoint_auth_method {
            "private_key_jwt" => Authentication::PrivateKeyJwt(Keys {
                jwks_url: self.jwks_uri.clone(),
                jwks: self.jwks.clone(),
                algorithms: Algorithm::OF_ASSERTIONS.to_vec(),
            }),
            _ if has_keys => return Err(NotRegistered::Metadata("keys are for private_key_jwt".to_owned())),
            "none" => Authentication::None,
            "client_secret_basic" => Authentication::ClientSecretBasic(digest),
            "client_secret_post" => Authentication::ClientSecretPost(digest),
            _ => {
                let methods = "none, client_secret_basic, client_secret_post or private_key_jwt";
                return Err(NotRegistered::Metadata(format!("token_endpoint_auth_method is {methods}")));
            }
        };
        Ok(authentication)
    }

    /// The client with these scopes.
    pub(crate) fn client(&self, authentication: Authentication, scopes: &Scopes) -> Client {
        let is_page = matches!(authentication, Authentication::None) && self.application_type == "web";
        let origins = self.redirect_uris.iter().filter(|_| is_page).filter_map(|uri| origin_of(uri));
        let mut origins: Vec<String> = origins.map(|origin| origin.to_ascii_lowercase()).collect();
        origins.dedup();
        Client {
            redirect_uris: self.redirect_uris.clone(),
            origins,
            contact: (!self.contacts.is_empty()).then(|| self.contacts.join(", ")),
            ..Client::without_rights(self.client_name.clone(), authentication, scopes)
        }
    }
}

/// What a client may have without the operator.
pub(crate) fn without_system(scopes: &Scopes) -> Scopes {
    scopes.clone().retain(|scope| !is_system(scope))
}

fn is_system(scope: &Scope) -> bool {
    matches!(scope, Scope::Resource(scope) if scope.context == Context::System)
}

/// A client that has registered by itself, under its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Registration {
    /// The digest of the token that it is managed by.
    pub(crate) token: String,
    pub(crate) since: Micros,
    pub(crate) metadata: Metadata,
}

/// A token that lets clients register, under its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Invitation {
    /// How many are left.
    pub(crate) uses: u32,
}

/// How many have registered from an address on a day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) count: u32,
}

impl Keep for Registration {
    const KIND: i64 = kept::REGISTRATION;
}

impl Keep for Invitation {
    const KIND: i64 = kept::INVITATION;
}

impl Keep for Count {
    const KIND: i64 = kept::REGISTRATION_COUNT;
}

/// A token that lets this many clients register within this many days.
///
/// # Errors
/// [`Error::Keys`] without random numbers; [`Error::Store`].
pub async fn invite(records: &dyn Records, now: Micros, uses: u32, days: u32) -> Result<Secret, Error> {
    let secret = Secret::new(Purpose::Invitation).ok_or(Error::Keys("there are no random numbers"))?;
    let expires = now.saturating_add(i64::from(days).saturating_mul(DAY));
    let invitation = Kept::new(secret.digest(), "", expires, Invitation { uses });
    records.change(vec![invitation.insert()?]).await?;
    Ok(secret)
}

/// The `system/` scopes that a client which has registered by itself wants and does not have: an operator must approve them.
///
/// # Errors
/// [`Error::Store`].
pub async fn waiting(records: &dyn Records, client: &Kept<Client>) -> Result<Scopes, Error> {
    let registration = kept::get::<Registration>(records, &client.key).await?;
    let has = client.value.allowed(Definitions::r4());
    let wanted = registration.map(|registration| registration.value.metadata.scopes()).unwrap_or_default();
    Ok(wanted.retain(|scope| is_system(scope) && !has.contains(scope)))
}

/// Lets a client have the `system/` scopes that it wants, within this policy. What it has then, is checked; `false`: somebody else
/// has changed it.
///
/// # Errors
/// What is wrong, for the operator; or [`Error::Store`].
pub async fn approve(
    records: &dyn Records,
    mut client: Kept<Client>,
    policy: Vec<String>,
    reading: Reading<'_>,
) -> Result<Result<bool, String>, Error> {
    let waiting = waiting(records, &client).await?;
    if waiting.is_empty() {
        return Ok(Err(format!("{} waits for nothing", client.key)));
    }
    client.value.scopes = format!("{} {waiting}", client.value.scopes).trim().to_owned();
    client.value.policy = policy;
    match check_client(&client.key, &client.value, reading) {
        Ok(()) => Ok(Ok(client::update(records, &client).await?)),
        Err(why) => Ok(Err(why)),
    }
}
