//! [`AuthorizationServer`]: what all of it needs, in one place; its endpoints are in the files below.

mod authorize;
mod break_glass;
mod cache;
mod credentials;
mod grant;
mod introspect;
mod register;
mod second_factor;

pub use authorize::{AuthorizationRequest, Refusal};
pub(crate) use break_glass::has_right;
pub use credentials::bearer;
pub use grant::{Issued, NotIssued};
pub use register::Registered;

use crate::{
    Admitted, Error,
    client::Limits,
    context,
    dynamic::Registering,
    federation::Federation,
    jwks::SigningKeys,
    origins::Origins,
    outbound::{Documents, Feature, Fetch},
    policy::Reading,
    proxy::{self, RelatedPersons},
    scope::Scope,
    seal::MasterKey,
    token::{self, Active},
    user::{Logins, Role, User},
};
use cache::{Cache, Known};
use serde_json::{Map, Value};
use std::sync::Arc;
use tessera_model::{Caller, Definitions, temporal::Micros};
use tessera_store::{Records, clock::Clock};

/// The parameters of a form, decoded.
pub type Form = [(String, String)];

/// What an authorization server is made of.
pub struct Parts {
    /// What is kept.
    pub records: Arc<dyn Records>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What lies in the database is sealed with this.
    pub master: MasterKey,
    /// Fetches the keys of clients.
    pub fetch: Arc<dyn Fetch>,
    /// Knows whom users stand in for.
    pub related_persons: Arc<dyn RelatedPersons>,
    /// The base URL of the FHIR API, without a slash at its end.
    pub base: String,
}

/// What the operator has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether clinicians and administrators need a second factor (AUTH-13). Whoever has one is always asked for it.
    pub staff_needs_second_factor: bool,
    /// Who may register clients (AUTH-50).
    pub registering: Registering,
}

/// Who holds an access token that is good.
#[derive(Clone, Debug)]
pub struct TokenHolder {
    /// The client, and the user on whose behalf it asks.
    pub caller: Caller,
    /// What the client may ask for at a time, if not the usual.
    pub limits: Option<Limits>,
    /// Whether they may administer by this token.
    pub administers: bool,
}

/// Where things are, as clients see it.
#[derive(Clone, Debug)]
pub struct Urls {
    /// The FHIR API. The issuer has this name too.
    pub base: String,
    /// What the URLs of the authorization server begin with: beside the API, at `auth`.
    pub auth: String,
    /// What the URLs of the administrator's API begin with: beside the API, at `admin`.
    pub admin: String,
}

impl Urls {
    /// Those of a server whose API is at `base`: `https://host/fhir` has its authorization server at `https://host/auth`.
    #[must_use]
    pub fn of(base: &str) -> Self {
        let host = base.find("://").map_or(0, |at| at + 3);
        let beside = base.rfind('/').filter(|slash| *slash > host).and_then(|slash| base.get(..slash)).unwrap_or(base);
        Self { base: base.to_owned(), auth: format!("{beside}/auth"), admin: format!("{beside}/admin") }
    }

    /// The URL of the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.base
    }

    /// The URL of the token endpoint.
    #[must_use]
    pub fn token(&self) -> String {
        format!("{}/token", self.auth)
    }
}

/// The SMART authorization server.
pub struct AuthorizationServer {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    keys: SigningKeys,
    client_keys: Documents,
    master: MasterKey,
    rules: Rules,
    urls: Urls,
    logins: Logins,
    cache: Cache,
    origins: Origins,
    pub(crate) federation: Option<Federation>,
    related_persons: Arc<dyn RelatedPersons>,
}

impl std::fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuthorizationServer({})", self.urls.base)
    }
}

impl AuthorizationServer {
    /// Starts it: makes the signing keys that there are not yet.
    ///
    /// # Errors
    /// [`Error::Keys`] if the master key is not the database's; [`Error::Store`].
    pub async fn new(parts: Parts) -> Result<Self, Error> {
        let Parts { records, clock, master, fetch, related_persons, base } = parts;
        let server = Self {
            keys: SigningKeys::new(records.clone(), master.clone()),
            master,
            rules: Rules::default(),
            client_keys: Documents::new(fetch, Feature::ClientKeys, 0),
            urls: Urls::of(&base),
            logins: Logins::new()?,
            cache: Cache::default(),
            origins: Origins::default(),
            federation: None,
            related_persons,
            records,
            clock,
        };
        server.keys.maintain(server.now()).await?;
        // Whether the keys can be read shows now and not at the first login.
        server.keys.sign(server.now(), crate::Algorithm::Es384, &Value::Object(Map::new())).await?;
        Ok(server)
    }

    /// The same server under these rules.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// The rules that it is under.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Looks after keys and removes what has expired; to be called every few minutes.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn maintain(&self) -> Result<(), Error> {
        self.keys.maintain(self.now()).await?;
        while self.records.purge().await? >= 1000 {}
        Ok(())
    }

    /// What is kept.
    #[must_use]
    pub fn records(&self) -> &dyn Records {
        &*self.records
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// Where things are.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Those who try to log in.
    #[must_use]
    pub fn logins(&self) -> &Logins {
        &self.logins
    }

    /// The public keys, for the JWKS endpoint.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn jwks(&self) -> Result<Value, Error> {
        self.keys.jwks(self.now()).await
    }

    /// Forgets which tokens were good a moment ago: to be called when something was revoked here.
    pub fn forget(&self) {
        self.cache.clear();
    }

    /// Whether a client has registered this origin.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn is_origin_of_a_client(&self, origin: &str) -> Result<bool, Error> {
        self.origins.is_of_a_client(&*self.records, self.now(), origin).await
    }

    /// Notes of a user whom they stand in for now (AUTH-5).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn look_up_proxies(&self, user: &mut User) -> Result<(), Error> {
        proxy::look_up(&*self.related_persons, user, self.reading()).await
    }

    /// What reading a policy depends on, now.
    #[must_use]
    pub fn reading(&self) -> Reading<'_> {
        Reading { base: &self.urls.base, now: self.now() }
    }

    /// What the holder of an access token may do. `None`: the token is not good.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn access(&self, secret: &str) -> Result<Option<Admitted>, Error> {
        let known = self.known(secret).await?;
        Ok(known.map(|known| Admitted { access: known.access.clone(), limits: known.active.client.value.limits }))
    }

    /// What stands behind an access token. `None`: it is not good.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn active(&self, secret: &str) -> Result<Option<Active>, Error> {
        Ok(self.known(secret).await?.map(|known| known.active.clone()))
    }

    /// Who holds an access token, and whether they may administer: a user who is an administrator, by a client that administers,
    /// or such a client by itself; in either case with the scope `tessera/admin`. `None`: the token is not good.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn holder(&self, secret: &str) -> Result<Option<TokenHolder>, Error> {
        // As it is now, whatever was true a moment ago.
        let Some(active) = token::find(&*self.records, self.now(), secret).await? else { return Ok(None) };
        let allowed = active.client.value.allowed(Self::definitions());
        let scopes = active.token.value.scopes().and(&allowed);
        let is_administrator = active.granted.as_ref().is_none_or(|(_, user)| user.value.role == Role::Administrator);
        let administers = active.client.value.administers && scopes.contains(&Scope::Administer) && is_administrator;
        let limits = active.client.value.limits;
        Ok(Some(TokenHolder { caller: context::caller(&active), limits, administers }))
    }

    /// What was found is believed for some seconds (AUTH-8).
    async fn known(&self, secret: &str) -> Result<Option<Arc<Known>>, Error> {
        let now = self.now();
        if let Some(known) = self.cache.get(secret, now) {
            return Ok(Some(known));
        }
        let began = self.cache.generation();
        let Some(mut active) = token::find(&*self.records, now, secret).await? else { return Ok(None) };
        if let Some((_, user)) = &mut active.granted {
            self.look_up_proxies(&mut user.value).await?;
        }
        let access = context::access(&active, self.reading());
        let known = Arc::new(Known { active, access });
        self.cache.put(secret, known.clone(), now, began);
        Ok(Some(known))
    }

    /// What the id_token and userinfo say of the user (AUTH-10).
    fn identity(&self, user: &str, fhir_user: Option<&str>, scopes: &crate::scope::Scopes) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("iss".into(), self.urls.issuer().into());
        claims.insert("sub".into(), crate::secret::sha256(format!("user {user}").as_bytes()).into());
        if let Some(fhir_user) = fhir_user.filter(|_| scopes.contains(&crate::scope::Scope::FhirUser)) {
            claims.insert("fhirUser".into(), format!("{}/{fhir_user}", self.urls.base).into());
        }
        claims
    }

    /// What the userinfo endpoint answers to the holder of an access token. `None`: the token is not good.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] if it was not granted `openid`; [`Error::Store`].
    pub async fn userinfo(&self, secret: &str) -> Result<Option<Value>, Error> {
        let Some(active) = self.active(secret).await? else { return Ok(None) };
        let scopes = active.token.value.scopes();
        match &active.granted {
            Some((_, user)) if scopes.contains(&crate::scope::Scope::OpenId) => {
                let mut claims = self.identity(&user.key, user.value.fhir_user.as_deref(), &scopes);
                claims.remove("iss");
                Ok(Some(Value::Object(claims)))
            }
            _ => Err(Error::AccessDenied("the token was not granted openid")),
        }
    }

    /// The definitions that scopes and policies are read with: those of the specification, which nobody changes.
    fn definitions() -> &'static Definitions {
        Definitions::r4()
    }
}

/// The one value of a form's parameter. Empty ones count as absent.
pub(crate) fn one<'a>(form: &'a Form, name: &str) -> Result<Option<&'a str>, Error> {
    let mut values = form.iter().filter(|(n, value)| n == name && !value.is_empty()).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Error::InvalidRequest("a parameter is there twice")),
        (value, None) => Ok(value),
    }
}

#[cfg(test)]
mod tests;
