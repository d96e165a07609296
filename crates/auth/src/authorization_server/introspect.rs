//! What a token is good for (AUTH-11), and taking it back (AUTH-12).
//! <https://www.rfc-editor.org/rfc/rfc7662>, <https://www.rfc-editor.org/rfc/rfc7009>

use super::{AuthorizationServer, Form, credentials::bearer, one};
use crate::{
    Error, authorization,
    kept::SECOND,
    scope::Scope,
    secret::{Purpose, Secret},
    token,
};
use serde_json::{Map, Value, json};
use tessera_model::Caller;

impl AuthorizationServer {
    /// Answers a request to the introspection endpoint: its `Authorization` header and its form.
    ///
    /// # Errors
    /// [`Error::InvalidClient`] if the caller is unknown, [`Error::AccessDenied`] if it may not ask; [`Error::Store`].
    pub async fn introspect(&self, authorization: Option<&str>, form: &Form) -> Result<Value, Error> {
        let may = match authorization.and_then(bearer) {
            Some(secret) => {
                let active = self.active(secret).await?.ok_or(Error::InvalidClient("the token is not good"))?;
                active.client.value.introspects && active.granted.is_none()
            }
            None => {
                let caller = self.shown_by(authorization, form).await?;
                caller.client.value.introspects && !caller.client.value.is_public()
            }
        };
        if !may {
            return Err(Error::AccessDenied("this client may not introspect tokens"));
        }
        let secret = one(form, "token")?.ok_or(Error::InvalidRequest("there is no token"))?;
        // As it is now, whatever was true a moment ago.
        let Some(active) = token::find(&*self.records, self.now(), secret).await? else {
            return Ok(json!({"active": false}));
        };
        let token = &active.token;
        let scopes = token.value.scopes();
        let mut answer = Map::new();
        if let Some((authorization, user)) = &active.granted {
            answer.extend(authorization.value.context.told()?);
            if scopes.contains(&Scope::OpenId) {
                answer.extend(self.identity(&user.key, user.value.fhir_user.as_deref(), &scopes));
            }
        }
        answer.insert("active".into(), true.into());
        answer.insert("scope".into(), token.value.scopes.as_str().into());
        answer.insert("client_id".into(), token.value.client.as_str().into());
        answer.insert("token_type".into(), "Bearer".into());
        answer.insert("iat".into(), (token.value.issued / SECOND).into());
        answer.insert("exp".into(), (token.expires / SECOND).into());
        Ok(Value::Object(answer))
    }

    /// Answers a request to the revocation endpoint: who has asked. Whatever the token was: afterwards it is not good, if it was the caller's.
    ///
    /// # Errors
    /// [`Error::InvalidClient`]; [`Error::InvalidRequest`] without a token; [`Error::Store`].
    pub async fn revoke(&self, authorization: Option<&str>, form: &Form) -> Result<Caller, Error> {
        let client = self.shown_by(authorization, form).await?.client.key;
        let secret = one(form, "token")?.ok_or(Error::InvalidRequest("there is no token"))?;
        if let Some(found) = authorization::of_refresh_token(&*self.records, secret).await?
            && found.value.client == client
        {
            authorization::revoke(&*self.records, &found.key).await?;
        }
        if let Some(access) = Secret::parse(Purpose::Access, secret)
            && token::of(&*self.records, &access).await?.is_some_and(|token| token.value.client == client)
        {
            token::revoke(&*self.records, &access.digest()).await?;
        }
        self.forget();
        Ok(Caller::of_client(&client))
    }
}
