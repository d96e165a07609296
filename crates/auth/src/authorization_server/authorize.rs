//! The authorization endpoint: a request is checked (AUTH-2), and what the user has agreed to becomes a code. The pages that
//! stand between are those of HTTP. <https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code>

use super::{AuthorizationServer, Form, one};
use crate::{
    Error, break_glass,
    client::{self, Client},
    code::{self, Agreed},
    consent, context,
    kept::{Kept, SECOND},
    launch::{self, LaunchContext},
    scope::{Context, Scope, Scopes},
    session::Session,
    user::User,
};
use tessera_model::{AccessContext, interaction::percent_encode};

/// Longest `state` and `nonce`.
const TEXT_BYTES_MAX: usize = 2048;

/// A request for a code that may be granted if its user agrees.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client: Kept<Client>,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// What the client asks for and may have.
    pub scopes: Scopes,
    /// The handle of the EHR's launch.
    pub launch: Option<String>,
    /// The user is to log in again, whoever has logged in.
    pub logs_in: bool,
    /// The user is to be asked, whatever they have agreed to before.
    pub asks: bool,
    /// The user is not to be bothered: what needs them is an error.
    pub is_silent: bool,
    /// How old the login may be, in seconds.
    pub max_age: Option<i64>,
    state: String,
    challenge: String,
    nonce: Option<String>,
}

/// Why there is no code.
#[derive(Debug)]
pub enum Refusal {
    /// It is not known whom to tell: the user is told, and sent nowhere.
    Page(Error),
    /// The client is told: the user is sent there.
    Redirect(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Page(error)
    }
}

impl AuthorizationServer {
    /// Checks a request for a code.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn authorization_request(&self, form: &Form) -> Result<AuthorizationRequest, Refusal> {
        let id = one(form, "client_id")?.ok_or(Error::InvalidRequest("there is no client_id"))?;
        let client = client::find(self.records(), id).await?.filter(|client| client.value.is_active(self.now()));
        let client = client.ok_or(Error::UnauthorizedClient("there is no such app here"))?;
        let redirect_uri = one(form, "redirect_uri")?.ok_or(Error::InvalidRequest("there is no redirect_uri"))?;
        if !client.value.may_redirect_to(redirect_uri) || redirect_uri.contains('#') {
            return Err(Error::InvalidRequest("redirect_uri is none that the app has registered").into());
        }
        // From here on the client is told.
        let state = one(form, "state").ok().flatten();
        let refuse = |code: &str, text: &str| {
            Refusal::Redirect(self.answer_to(redirect_uri, state, &[("error", code), ("error_description", text)]))
        };
        let invalid = |error: Error| match &error {
            Error::InvalidRequest(_) | Error::InvalidScope(_) => refuse(error.code(), &error.to_string()),
            _ => Refusal::Page(error),
        };
        let optional = |name| one(form, name).map_err(invalid);
        let needed = |name, missing| optional(name)?.ok_or_else(|| refuse("invalid_request", missing));
        if needed("response_type", "there is no response_type")? != "code" {
            return Err(refuse("unsupported_response_type", "response_type is code"));
        }
        if optional("request")?.is_some() {
            return Err(refuse("request_not_supported", "the parameters stand in the request itself"));
        }
        if optional("request_uri")?.is_some() {
            return Err(refuse("request_uri_not_supported", "the parameters stand in the request itself"));
        }
        if optional("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(refuse("invalid_request", "response_mode is query"));
        }
        let state = needed("state", "there is no state")?;
        let nonce = optional("nonce")?;
        if state.len().max(nonce.map_or(0, str::len)) > TEXT_BYTES_MAX {
            return Err(refuse("invalid_request", "state and nonce have at most 2048 characters"));
        }
        let (aud, resource) = (optional("aud")?, optional("resource")?);
        let base = self.urls().base.as_str();
        let is_here = |url: Option<&str>| url.is_none_or(|url| url == base || url.strip_suffix('/') == Some(base));
        if aud.or(resource).is_none() || !is_here(aud) || !is_here(resource) {
            return Err(refuse("invalid_request", "aud is not the URL of this server's FHIR API"));
        }
        if optional("code_challenge_method")? != Some("S256") {
            return Err(refuse("invalid_request", "code_challenge_method is S256"));
        }
        let challenge = optional("code_challenge")?.filter(|challenge| code::is_challenge(challenge));
        let challenge = challenge.ok_or_else(|| refuse("invalid_request", "code_challenge must be made by S256"))?;
        let launch = optional("launch")?;
        let asked = Scopes::parse(needed("scope", "there is no scope")?, Self::definitions());
        if launch.is_some() && !asked.contains(&Scope::Launch) {
            return Err(refuse("invalid_scope", "a launch needs the scope launch"));
        }
        let scopes = asked.and(&client.value.allowed(Self::definitions())).retain(|scope| match scope {
            Scope::Resource(scope) => scope.context != Context::System,
            Scope::Launch => launch.is_some(),
            _ => true,
        });
        if scopes.is_empty() || (launch.is_some() && !scopes.contains(&Scope::Launch)) {
            return Err(refuse("invalid_scope", "none of the scopes can be granted to this app"));
        }
        let prompts = optional("prompt")?.unwrap_or_default();
        let has_prompt = |name| prompts.split(' ').any(|prompt| prompt == name);
        let max_age = optional("max_age")?.map(|age| age.parse().ok().filter(|age| *age >= 0));
        if max_age == Some(None) {
            return Err(refuse("invalid_request", "max_age is a number of seconds"));
        }
        Ok(AuthorizationRequest {
            redirect_uri: redirect_uri.to_owned(),
            scopes,
            launch: launch.map(str::to_owned),
            logs_in: has_prompt("login") || has_prompt("select_account"),
            asks: has_prompt("consent"),
            is_silent: has_prompt("none"),
            max_age: max_age.flatten(),
            state: state.to_owned(),
            challenge: challenge.to_owned(),
            nonce: nonce.map(str::to_owned),
            client,
        })
    }

    /// The URL that tells the client what went wrong.
    #[must_use]
    pub fn refusal(&self, request: &AuthorizationRequest, code: &str, text: &str) -> String {
        let pairs = [("error", code), ("error_description", text)];
        self.answer_to(&request.redirect_uri, Some(&request.state), &pairs)
    }

    /// The context of the EHR's launch, if the request has one: `None` if its handle is good for nothing. It can still be used.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn launched(
        &self,
        request: &AuthorizationRequest,
        session: &Kept<Session>,
    ) -> Result<Option<LaunchContext>, Error> {
        let Some(handle) = &request.launch else { return Ok(Some(LaunchContext::default())) };
        launch::find(self.records(), handle, &request.client.key, &session.key).await
    }

    /// Whether a login is too old for the request.
    #[must_use]
    pub fn is_too_old(&self, request: &AuthorizationRequest, session: &Session) -> bool {
        let age = self.now().saturating_sub(session.since) / SECOND;
        request.max_age.is_some_and(|max| age > max)
    }

    /// What of patients and encounters a user may choose from for a client (AUTH-5).
    #[must_use]
    pub fn choosable(&self, user: &User, client: &Client) -> AccessContext {
        context::choosable(user, client, self.reading())
    }

    /// Whether the user need not be asked again (AUTH-7).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn is_agreed(&self, request: &AuthorizationRequest, user: &str) -> Result<bool, Error> {
        Ok(!request.asks && consent::covers(self.records(), user, &request.client.key, &request.scopes).await?)
    }

    /// Issues the code for what the user has agreed to, and says where they go with it. `context` must have been checked.
    ///
    /// # Errors
    /// Those of [`code::issue`]; [`Error::AccessDenied`] if the launch was used meanwhile.
    pub async fn agree(
        &self,
        request: &AuthorizationRequest,
        session: &Kept<Session>,
        scopes: Scopes,
        context: LaunchContext,
    ) -> Result<String, Error> {
        if let Some(handle) = &request.launch
            && launch::consume(self.records(), handle, &request.client.key, &session.key).await?.is_none()
        {
            return Err(Error::AccessDenied("the launch was used before, or has waited too long"));
        }
        // In an emergency it is read, and for a while.
        let scopes = if context.break_glass.is_some() { break_glass::narrowed(&scopes) } else { scopes };
        let agreed = Agreed {
            client: request.client.key.clone(),
            user: session.value.user.clone(),
            scopes,
            context,
            session: session.key.clone(),
            authenticated: session.value.since,
        };
        let AuthorizationRequest { redirect_uri, challenge, nonce, .. } = request;
        let now = self.now();
        let code = code::issue(self.records(), now, agreed, redirect_uri, challenge, nonce.clone()).await?;
        Ok(self.answer_to(redirect_uri, Some(&request.state), &[("code", code.expose())]))
    }

    /// With `state` as it was and the issuer: <https://www.rfc-editor.org/rfc/rfc9207>
    fn answer_to(&self, redirect_uri: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> String {
        let mut url = redirect_uri.to_owned();
        let more = state.map(|state| ("state", state)).into_iter().chain([("iss", self.urls().issuer())]);
        for (name, value) in pairs.iter().copied().chain(more) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(name);
            url.push('=');
            url.push_str(&percent_encode(value));
        }
        url
    }
}
