//! The token endpoint: a code, a refresh token or the client's own right becomes tokens.
//! <https://www.rfc-editor.org/rfc/rfc6749#section-4>

use super::{AuthorizationServer, Form, credentials::Shown, one};
use crate::{
    Algorithm, Error,
    authorization::{self, Authorization, Pair},
    client::{Authentication, Client},
    code, context,
    kept::{Kept, SECOND},
    scope::{Context, Scope, Scopes},
    token::{self, Active},
    user::User,
};
use serde_json::{Map, Value, json};
use tessera_model::{Caller, temporal::Micros};

/// How long an id_token is good, in seconds.
const ID_TOKEN_SECONDS: i64 = 3600;

/// Tokens that were issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What is answered.
    pub answer: Value,
    /// Whose they are, for the audit record.
    pub caller: Caller,
}

/// Why none were.
#[derive(Debug)]
pub struct NotIssued {
    /// Why.
    pub error: Error,
    /// Who asked, if that is certain.
    pub client: Option<String>,
}

impl From<Error> for NotIssued {
    fn from(error: Error) -> Self {
        Self { error, client: None }
    }
}

impl AuthorizationServer {
    /// Answers a request to the token endpoint: its `Authorization` header and its form.
    ///
    /// # Errors
    /// Those of OAuth, and [`Error::Store`].
    pub async fn token(&self, authorization: Option<&str>, form: &Form) -> Result<Issued, NotIssued> {
        let grant_type = one(form, "grant_type")?.ok_or(Error::InvalidRequest("there is no grant_type"))?;
        if !["authorization_code", "refresh_token", "client_credentials"].contains(&grant_type) {
            return Err(Error::UnsupportedGrantType.into());
        }
        let shown = self.shown_by(authorization, form).await?;
        let issued = match grant_type {
            "authorization_code" => self.by_code(&shown, form).await,
            "refresh_token" => self.by_refresh_token(&shown, form).await,
            _ => self.by_client_credentials(&shown, form).await,
        };
        issued.map_err(|error| NotIssued { error, client: Some(shown.client.key) })
    }

    async fn by_code(&self, shown: &Shown, form: &Form) -> Result<Issued, Error> {
        let needed = |name, error| one(form, name).and_then(|value| value.ok_or(error));
        let code = needed("code", Error::InvalidRequest("there is no code"))?;
        let redirect_uri = needed("redirect_uri", Error::InvalidRequest("there is no redirect_uri"))?;
        let verifier = needed("code_verifier", Error::InvalidGrant("there is no code_verifier"))?;
        let now = self.now();
        let redeemed = code::redeem(&*self.records, now, &shown.client.key, code, redirect_uri, verifier).await;
        // A code that is used again takes what it has brought back.
        let (pair, nonce) = redeemed.inspect_err(|_| self.forget())?;
        self.answer(&shown.client, pair, nonce, now).await
    }

    async fn by_refresh_token(&self, shown: &Shown, form: &Form) -> Result<Issued, Error> {
        let secret = one(form, "refresh_token")?.ok_or(Error::InvalidRequest("there is no refresh_token"))?;
        let wanted = one(form, "scope")?.map(exactly).transpose()?;
        let now = self.now();
        let client = &shown.client.key;
        let refreshed = authorization::refresh(&*self.records, now, client, secret, wanted.as_ref()).await;
        let pair = refreshed.inspect_err(|_| self.forget())?;
        self.answer(&shown.client, pair, None, now).await
    }

    /// AUTH-23
    async fn by_client_credentials(&self, shown: &Shown, form: &Form) -> Result<Issued, Error> {
        let client = &shown.client;
        let (Authentication::PrivateKeyJwt(_), Some(claims)) = (&client.value.authentication, &shown.claims) else {
            return Err(Error::UnauthorizedClient("client_credentials needs a client that signs its assertions"));
        };
        let asked = one(form, "scope")?.ok_or(Error::InvalidScope("there is no scope"))?;
        let asked = Scopes::parse(asked, Self::definitions());
        let granted = asked.and(&client.value.allowed(Self::definitions()));
        let granted = granted.retain(|scope| match scope {
            Scope::Resource(scope) => scope.context == Context::System,
            Scope::Administer => client.value.administers,
            _ => false,
        });
        if granted.is_empty() {
            return Err(Error::InvalidScope("none of the scopes can be granted to this client"));
        }
        let purpose = purpose(&client.value, claims)?;
        let now = self.now();
        let (secret, token) = token::issue_to_client(&*self.records, now, &client.key, &granted, purpose).await?;
        let answer = json!({
            "access_token": secret.expose(),
            "token_type": "Bearer",
            "expires_in": token::SYSTEM_LIFETIME / SECOND,
            "scope": granted.to_string(),
        });
        Ok(Issued { answer, caller: context::caller(&Active { token, client: client.clone(), granted: None }) })
    }

    /// AUTH-4
    pub(super) async fn answer(
        &self,
        client: &Kept<Client>,
        pair: Pair,
        nonce: Option<String>,
        now: Micros,
    ) -> Result<Issued, Error> {
        let Pair { access, token, refresh, scopes, authorization } = pair;
        let of = &authorization.value;
        let user = crate::user::find(&*self.records, &of.user).await?;
        let user = user.ok_or(Error::InvalidGrant("the user is not there any more"))?;
        let expires_in = (token::USER_LIFETIME.min(authorization.expires.saturating_sub(now))) / SECOND;
        let mut answer = of.context.told()?;
        answer.insert("access_token".into(), access.expose().into());
        answer.insert("token_type".into(), "Bearer".into());
        answer.insert("expires_in".into(), expires_in.into());
        answer.insert("scope".into(), scopes.to_string().into());
        if let Some(refresh) = refresh {
            answer.insert("refresh_token".into(), refresh.expose().into());
        }
        if scopes.contains(&Scope::OpenId) {
            let id_token = self.id_token(client, of, &user, &scopes, nonce, now).await?;
            answer.insert("id_token".into(), id_token.into());
        }
        let caller = context::caller(&Active { token, client: client.clone(), granted: Some((authorization, user)) });
        Ok(Issued { answer: Value::Object(answer), caller })
    }

    /// AUTH-10
    async fn id_token(
        &self,
        client: &Kept<Client>,
        of: &Authorization,
        user: &Kept<User>,
        scopes: &Scopes,
        nonce: Option<String>,
        now: Micros,
    ) -> Result<String, Error> {
        let mut claims = self.identity(&of.user, user.value.fhir_user.as_deref(), scopes);
        let seconds = now / SECOND;
        claims.insert("aud".into(), client.key.as_str().into());
        claims.insert("iat".into(), seconds.into());
        claims.insert("exp".into(), seconds.saturating_add(ID_TOKEN_SECONDS).into());
        claims.insert("auth_time".into(), (of.authenticated / SECOND).into());
        if let Some(nonce) = nonce {
            claims.insert("nonce".into(), nonce.into());
        }
        let algorithm = client.value.id_token_algorithm.unwrap_or(Algorithm::Rs256);
        self.keys.sign(now, algorithm, &Value::Object(claims)).await
    }
}

/// A list of scopes of which each one counts.
fn exactly(text: &str) -> Result<Scopes, Error> {
    let scopes = Scopes::parse(text, AuthorizationServer::definitions());
    match text.split(' ').all(|part| scopes.iter().any(|scope| scope.to_string() == part)) {
        true => Ok(scopes),
        false => Err(Error::InvalidScope("a refresh grants no more than was granted")),
    }
}

/// The purpose of use that a client's assertion names, or the client's usual one (ORG-2).
fn purpose(client: &Client, claims: &Map<String, Value>) -> Result<Option<String>, Error> {
    let Some(b2b) = claims.get("extensions").and_then(|extensions| extensions.get("hl7-b2b")) else {
        return Ok(client.purposes.first().cloned());
    };
    let organization = client.organization.as_ref().and_then(|organization| organization.uri.as_deref());
    if b2b.get("organization_id").is_some_and(|id| id.as_str().is_none() || id.as_str() != organization) {
        return Err(Error::InvalidGrant("organization_id is not the one that is registered"));
    }
    let Some(purposes) = b2b.get("purpose_of_use") else { return Ok(client.purposes.first().cloned()) };
    let [purpose] = purposes.as_array().map_or(&[][..], Vec::as_slice) else {
        return Err(Error::InvalidGrant("purpose_of_use has one value"));
    };
    // `TREAT`, or as a URN with the code system before it
    let code = purpose.as_str().map(|text| text.rsplit(['#', '|']).next().unwrap_or(text));
    match code.filter(|code| client.purposes.iter().any(|allowed| allowed == code)) {
        Some(code) => Ok(Some(code.to_owned())),
        None => Err(Error::InvalidGrant("the client may not have this purpose of use")),
    }
}
