//! [`Federation`]: users log in at an identity provider, and this server stays the authorization server. The provider says who
//! somebody is and nothing else; what they may see, their record here says.
//! <https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth>

#[cfg(test)]
mod tests;

use crate::{
    AuthorizationServer, Error, Form,
    authorization_server::one,
    identity::{self, Identity},
    jws::Jws,
    kept::{self, Keep, Kept, SECOND},
    outbound::{Credentials, Fetch},
    provider::{self, LEEWAY, Provider, ProviderSettings, seconds},
    secret,
    user::User,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{net::IpAddr, sync::Arc};
use tessera_model::{interaction::percent_encode, temporal::Micros};

/// How long a login may take there.
const LIFETIME: Micros = 10 * 60 * SECOND;
/// Longest `state` that is looked for, code, and request that waits.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Logins at an identity provider, as the operator has set them.
#[derive(Clone, Debug)]
pub struct FederationSettings {
    /// Where users log in.
    pub provider: ProviderSettings,
    /// Who this server is there, and where its secret is sent.
    pub credentials: Credentials,
    /// What users call it.
    pub name: String,
    /// Whether users who have a password here may log in with it too.
    pub passwords: bool,
}

/// Logins at an identity provider.
pub struct Federation {
    provider: Provider,
    settings: FederationSettings,
}

/// How recent a login must be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recent {
    /// The user is to log in now, whether or not the provider knows them already.
    pub now: bool,
    /// It is so many seconds ago at most.
    pub max_age: Option<i64>,
}

/// A login that has begun. Its key among the records is the digest of its `state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    /// The digest of what only the browser knows that has begun it: nobody can be logged in as somebody else by a link.
    browser: String,
    /// What comes after the login.
    request: String,
    nonce: String,
    verifier: String,
    since: Micros,
    now: bool,
    max_age: Option<i64>,
}

impl Keep for Begun {
    const KIND: i64 = kept::FEDERATED_LOGIN;
}

/// Somebody who has logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who they are here.
    pub user: Kept<User>,
    /// When they have shown who they are.
    pub since: Micros,
    /// What comes after.
    pub request: String,
}

/// Why somebody has not.
#[derive(Debug, thiserror::Error)]
pub enum NotLoggedIn {
    /// They are known there, but nobody here is linked to them.
    #[error("nobody here is linked to this account")]
    Unknown(Identity),
    /// Something else.
    #[error(transparent)]
    Error(#[from] Error),
}

impl Federation {
    /// What users call the provider.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether users who have a password here may log in with it too.
    #[must_use]
    pub fn allows_passwords(&self) -> bool {
        self.settings.passwords
    }
}

impl AuthorizationServer {
    /// The same server, with users who log in at an identity provider.
    #[must_use]
    pub fn federated(mut self, settings: FederationSettings, fetch: Arc<dyn Fetch>) -> Self {
        self.federation = Some(Federation { provider: Provider::new(settings.provider.clone(), fetch), settings });
        self
    }

    /// Where users log in, if that is elsewhere.
    #[must_use]
    pub fn federation(&self) -> Option<&Federation> {
        self.federation.as_ref()
    }

    fn provider(&self) -> Result<&Federation, Error> {
        self.federation.as_ref().ok_or(Error::AccessDenied("users log in here"))
    }

    fn callback(&self) -> String {
        format!("{}/callback", self.urls().auth)
    }

    /// Begins a login from that address: where the browser is sent, which has shown this cookie. `request` comes after it.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the request is too long; [`Error::TooManyAttempts`]; [`Error::Unavailable`]; [`Error::Store`].
    pub async fn begin_login(
        &self,
        from: Option<IpAddr>,
        browser: &str,
        request: &str,
        recent: Recent,
    ) -> Result<String, Error> {
        let federation = self.provider()?;
        self.logins().try_elsewhere(from, self.now())?;
        if request.len() > TEXT_BYTES_MAX {
            return Err(Error::InvalidRequest("the request is too long"));
        }
        let now = self.now();
        let mut url = federation.provider.endpoint("authorization_endpoint", now).await?;
        let random = || secret::random_text().ok_or(Error::Keys("there are no random numbers"));
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        let challenge = secret::sha256(verifier.as_bytes());
        let max_age = recent.max_age.map(|max_age| max_age.to_string());
        let callback = self.callback();
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", &federation.settings.credentials.id),
            ("redirect_uri", &callback),
            ("scope", "openid"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        if recent.now {
            pairs.push(("prompt", "login"));
        }
        if let Some(max_age) = &max_age {
            pairs.push(("max_age", max_age));
        }
        for (name, value) in pairs {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={}", percent_encode(value)));
        }
        let begun = Begun {
            browser: secret::sha256(browser.as_bytes()),
            request: request.to_owned(),
            nonce,
            verifier,
            since: now,
            now: recent.now,
            max_age: recent.max_age,
        };
        let begun = Kept::new(secret::sha256(state.as_bytes()), "", now.saturating_add(LIFETIME), begun);
        self.records().change(vec![begun.insert()?]).await?;
        Ok(url)
    }

    /// Ends a login: with what the provider has sent the browser back with, which has shown this cookie.
    ///
    /// # Errors
    /// [`NotLoggedIn::Unknown`]; [`Error::AccessDenied`] if the answer is not one to a login of this browser or not to be believed;
    /// [`Error::Unavailable`]; [`Error::Store`].
    pub async fn end_login(&self, browser: &str, answer: &Form) -> Result<LoggedIn, NotLoggedIn> {
        let federation = self.provider()?;
        let begun = self.begun(browser, answer).await?;
        let now = self.now();
        let unbelievable = |why: &'static str| {
            tracing::warn!(why, "a login at the identity provider was refused");
            Error::AccessDenied("what the identity provider has answered cannot be believed")
        };
        federation.is_issuer(answer, now).await?.map_err(unbelievable)?;
        if let Some(error) = one(answer, "error")? {
            let error: String = error.chars().filter(char::is_ascii_graphic).take(100).collect();
            tracing::info!(error, "the identity provider has refused a login");
            return Err(Error::AccessDenied("the identity provider has refused the login").into());
        }
        let code = one(answer, "code")?.filter(|code| code.len() <= TEXT_BYTES_MAX);
        let code = code.ok_or(Error::AccessDenied("the identity provider has sent no code"))?;
        let token = federation.redeem(code, &self.callback(), &begun.verifier, now).await?;
        let jws = Jws::parse(&token).ok_or_else(|| unbelievable("the id_token is no JWT, or longer than 8 KiB"))?;
        let checked = federation.check(&jws, &begun, now).map_err(unbelievable)?;
        federation.provider.has_signed(&jws, now).await?.map_err(unbelievable)?;
        let (subject, since) = checked;
        let identity = Identity { issuer: federation.provider.issuer().to_owned(), subject };
        match identity::user(self.records(), &identity).await? {
            Some(user) if user.value.enabled => Ok(LoggedIn { user, since, request: begun.request }),
            Some(_) => Err(Error::AccessDenied("this user is not let in any more").into()),
            None => Err(NotLoggedIn::Unknown(identity)),
        }
    }

    /// The login that an answer is to. It is taken: an answer is looked at once.
    async fn begun(&self, browser: &str, answer: &Form) -> Result<Begun, Error> {
        let invalid =
            || Error::AccessDenied("this login has waited too long, or was begun in another browser; start again");
        let state = one(answer, "state")?.ok_or_else(invalid)?;
        let found = kept::get::<Begun>(self.records(), &secret::sha256(state.as_bytes())).await?;
        // Another browser's stays: who was sent its answer cannot end it, for themselves or for others.
        let is_own = |begun: &Kept<Begun>| secret::equal(&begun.value.browser, &secret::sha256(browser.as_bytes()));
        let found = found.filter(is_own).ok_or_else(invalid)?;
        match self.records().change(vec![found.remove()]).await? {
            true => Ok(found.value),
            false => Err(invalid()),
        }
    }

    /// Where users end their session at the provider, if it publishes that.
    /// <https://openid.net/specs/openid-connect-rpinitiated-1_0.html>
    pub async fn provider_logout(&self) -> Option<String> {
        let federation = self.federation()?;
        let metadata = federation.provider.metadata(self.now()).await.ok()?;
        let url = metadata.get("end_session_endpoint")?.as_str()?;
        // It becomes a link.
        let url = Some(url).filter(|url| url.starts_with("https://") || url.starts_with("http://"))?;
        let separator = if url.contains('?') { '&' } else { '?' };
        Some(format!("{url}{separator}client_id={}", percent_encode(&federation.settings.credentials.id)))
    }
}

impl Federation {
    /// Whether an answer is the provider's, and not another's that was mixed up with it: <https://www.rfc-editor.org/rfc/rfc9207>
    async fn is_issuer(&self, answer: &Form, now: Micros) -> Result<Result<(), &'static str>, Error> {
        Ok(match one(answer, "iss")? {
            Some(issuer) if issuer == self.provider.issuer() => Ok(()),
            Some(_) => Err("iss of the answer is another issuer"),
            None => {
                let metadata = self.provider.metadata(now).await?;
                let says = metadata.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true));
                if says { Err("the answer lacks iss") } else { Ok(()) }
            }
        })
    }

    /// The id_token for a code.
    async fn redeem(&self, code: &str, callback: &str, verifier: &str, now: Micros) -> Result<String, Error> {
        let url = self.provider.endpoint("token_endpoint", now).await?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback),
            ("code_verifier", verifier),
        ];
        let credentials = &self.settings.credentials;
        let is_public = credentials.secret.is_empty();
        if is_public {
            form.push(("client_id", &credentials.id));
        }
        let credentials = Some(credentials).filter(|_| !is_public);
        let answer = match self.provider.documents.post(&url, &form, credentials).await {
            Err(Error::InvalidRequest(why)) => return Err(Error::AccessDenied(why)),
            answer => answer?,
        };
        let token = answer.get("id_token").and_then(Value::as_str);
        token.map(str::to_owned).ok_or(Error::AccessDenied("the identity provider has sent no id_token"))
    }

    /// Whom an id_token is about, and when they have shown who they are: if it is one for this login.
    /// <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>
    fn check(&self, jws: &Jws<'_>, begun: &Begun, now: Micros) -> Result<(String, Micros), &'static str> {
        let claims = &jws.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(self.provider.issuer()) {
            return Err("iss is not the issuer");
        }
        let own = self.settings.credentials.id.as_str();
        if !provider::is_for(claims, |audience| audience == own) {
            return Err("aud is not this server");
        }
        let is_shared = matches!(claims.get("aud"), Some(Value::Array(several)) if several.len() > 1);
        if (is_shared || claims.contains_key("azp")) && text("azp") != Some(own) {
            return Err("azp is not this server");
        }
        provider::is_timely(claims, now)?;
        let time = |name: &str| claims.get(name).and_then(seconds);
        let second = now.div_euclid(SECOND);
        let issued = time("iat").ok_or("there is no iat")?;
        if issued.saturating_add(LEEWAY) < begun.since.div_euclid(SECOND) {
            return Err("it was issued before the login began");
        }
        if !text("nonce").is_some_and(|nonce| secret::equal(nonce, &begun.nonce)) {
            return Err("nonce is another login's");
        }
        // How Keycloak tells its tokens apart.
        if text("typ").is_some_and(|kind| !kind.eq_ignore_ascii_case("ID")) {
            return Err("it says that it is another kind of token");
        }
        let since = self.since(claims, begun, second)?;
        let subject = text("sub").filter(|sub| (1..=identity::SUBJECT_BYTES_MAX).contains(&sub.len()));
        Ok((subject.ok_or("there is no sub of at most 255 bytes")?.to_owned(), since.saturating_mul(SECOND)))
    }

    /// When they have shown who they are, in seconds; as recently as was asked for.
    fn since(&self, claims: &Map<String, Value>, begun: &Begun, now: i64) -> Result<i64, &'static str> {
        let said = claims.get("auth_time").and_then(seconds).map(|time| time.min(now));
        let recent = |limit: i64| said.is_some_and(|time| time.saturating_add(LEEWAY) >= limit);
        if begun.now && !recent(begun.since.div_euclid(SECOND)) {
            return Err("auth_time is not of this login");
        }
        if begun.max_age.is_some_and(|max_age| !recent(now.saturating_sub(max_age))) {
            return Err("auth_time is too long ago");
        }
        Ok(said.unwrap_or(now))
    }
}
