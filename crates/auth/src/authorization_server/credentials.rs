//! Which client asks (AUTH-20): shown in the one way that it is registered for.

use super::{AuthorizationServer, Form, one};
use crate::{
    Error,
    assertion::{ASSERTION_TYPE, Asserted, Checks},
    authorization,
    client::{self, Authentication, Client, is_secret},
    kept::Kept,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use tessera_model::interaction::percent_decode;

/// A client that has shown who it is.
pub(super) struct Shown {
    pub(super) client: Kept<Client>,
    /// The claims of its assertion, if it has one.
    pub(super) claims: Option<Map<String, Value>>,
}

impl AuthorizationServer {
    /// The client of a request to one of the endpoints, by its `Authorization` header and its form.
    pub(super) async fn shown_by(&self, authorization: Option<&str>, form: &Form) -> Result<Shown, Error> {
        let refuse = Error::InvalidClient;
        let basic = authorization.and_then(|header| strip_scheme(header, "basic"));
        let (id, secret, assertion) =
            (one(form, "client_id")?, one(form, "client_secret")?, one(form, "client_assertion")?);
        match (basic, secret, assertion) {
            (Some(basic), None, None) => {
                let (name, secret) = basic_credentials(basic).ok_or(refuse("the Authorization header is malformed"))?;
                if id.is_some_and(|id| id != name) {
                    return Err(refuse("client_id is another client's"));
                }
                self.shown(&name, |kind| match kind {
                    Authentication::ClientSecretBasic(digest) => is_secret(&secret, digest),
                    _ => false,
                })
                .await
            }
            (None, Some(secret), None) => {
                let id = id.ok_or(refuse("there is no client_id"))?;
                self.shown(id, |kind| match kind {
                    Authentication::ClientSecretPost(digest) => is_secret(secret, digest),
                    _ => false,
                })
                .await
            }
            (None, None, Some(assertion)) => {
                if one(form, "client_assertion_type")? != Some(ASSERTION_TYPE) {
                    // RFC 6749, section 5.2: "an unsupported parameter value"
                    return Err(Error::InvalidRequest("client_assertion_type is not jwt-bearer"));
                }
                let token_url = self.urls.token();
                let checks = Checks {
                    records: &*self.records,
                    client_keys: &self.client_keys,
                    now: self.now(),
                    audiences: [&token_url, self.urls.issuer()],
                };
                let Asserted { client, claims } = checks.check(assertion, id).await?;
                Ok(Shown { client, claims: Some(claims) })
            }
            (None, None, None) => {
                let id = match id {
                    Some(id) => id.to_owned(),
                    None => self.refreshing(form).await?.ok_or(refuse("there is no client_id"))?,
                };
                self.shown(&id, |kind| matches!(kind, Authentication::None)).await
            }
            _ => Err(Error::InvalidRequest("a client authenticates in one way")),
        }
    }

    /// The client whose refresh token is to be refreshed. A public app need not say then who it is:
    /// <https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token>
    async fn refreshing(&self, form: &Form) -> Result<Option<String>, Error> {
        if one(form, "grant_type")? != Some("refresh_token") {
            return Ok(None);
        }
        let Some(secret) = one(form, "refresh_token")? else { return Ok(None) };
        let found = authorization::of_refresh_token(&*self.records, secret).await?;
        Ok(found.map(|authorization| authorization.value.client))
    }

    async fn shown(&self, id: &str, holds: impl Fn(&Authentication) -> bool) -> Result<Shown, Error> {
        let client = client::find(&*self.records, id).await?.filter(|client| client.value.is_active(self.now()));
        match client.filter(|client| holds(&client.value.authentication)) {
            Some(client) => Ok(Shown { client, claims: None }),
            None => Err(Error::InvalidClient("there is no such client, or it has not shown that it is it")),
        }
    }
}

/// The access token of an `Authorization` header.
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    strip_scheme(header, "bearer")
}

/// What follows the scheme in an `Authorization` header.
fn strip_scheme<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = header.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim_start_matches(' '))
}

/// Name and secret, each form-encoded before they were put together: <https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1>
fn basic_credentials(text: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((percent_decode(name, true), percent_decode(secret, true)))
}
