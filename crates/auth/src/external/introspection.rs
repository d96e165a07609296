//! Access tokens that the issuer is asked about: <https://www.rfc-editor.org/rfc/rfc7662>. What it answers is believed for half
//! a minute at most; what it does not answer is not believed at all.

use super::{External, jwt::is_for_access};
use crate::{
    Error,
    kept::SECOND,
    outbound::Credentials,
    provider::{self, seconds},
    secret::sha256,
};
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tessera_model::temporal::Micros;

/// How long an answer is believed at most.
const BELIEVED: Micros = 30 * SECOND;
/// How long it is not asked again about a token when it has not answered.
const AGAIN: Micros = SECOND;
/// Tokens whose answers are kept.
const TOKENS_MAX: usize = 10_000;

type Answer = Result<Arc<Map<String, Value>>, &'static str>;

/// What the issuer has answered.
pub(super) struct Introspection {
    credentials: Credentials,
    kept: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Entry>>>>,
}

#[derive(Default)]
struct Entry {
    /// `None`: it has not answered.
    answer: Option<Answer>,
    until: Micros,
}

impl Introspection {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, kept: Mutex::default() }
    }

    fn entry(&self, token: &str, now: Micros) -> Arc<tokio::sync::Mutex<Entry>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= TOKENS_MAX {
            // One that cannot be looked at is being asked about.
            kept.retain(|_, entry| entry.try_lock().is_ok_and(|entry| now < entry.until));
            if kept.len() >= TOKENS_MAX {
                kept.clear();
            }
        }
        kept.entry(sha256(token.as_bytes())).or_default().clone()
    }
}

impl External {
    /// What the issuer says of a token, if it is good now. The issuer is asked once at a time for each.
    pub(super) async fn of_introspection(
        &self,
        introspection: &Introspection,
        token: &str,
    ) -> Result<Result<Map<String, Value>, &'static str>, Error> {
        let entry = introspection.entry(token, self.now());
        let mut entry = entry.lock().await;
        if self.now() >= entry.until {
            let asked = self.ask(&introspection.credentials, token).await;
            let now = self.now();
            *entry = match asked {
                Ok(answer) => {
                    let expires = answer.as_ref().ok().and_then(|claims| seconds(claims.get("exp")?));
                    let expires = expires.map_or(Micros::MAX, |expires| expires.saturating_mul(SECOND));
                    let until = now.saturating_add(BELIEVED).min(expires);
                    Entry { answer: Some(answer.map(Arc::new)), until }
                }
                Err(_) => Entry { answer: None, until: now.saturating_add(AGAIN) },
            };
        }
        match &entry.answer {
            Some(Ok(claims)) => Ok(provider::is_timely(claims, self.now()).map(|()| (**claims).clone())),
            Some(Err(why)) => Ok(Err(why)),
            None => Err(Error::Unavailable("the authorization server does not answer")),
        }
    }

    async fn ask(
        &self,
        credentials: &Credentials,
        token: &str,
    ) -> Result<Result<Map<String, Value>, &'static str>, Error> {
        let url = self.provider.endpoint("introspection_endpoint", self.now()).await?;
        let form = [("token", token), ("token_type_hint", "access_token")];
        let answer = match self.provider.documents.post(&url, &form, Some(credentials)).await {
            // It may be no token at all, or one of a kind that is not asked about.
            Err(Error::InvalidRequest(why)) => return Ok(Err(why)),
            answer => answer?,
        };
        let Value::Object(claims) = answer else { return Ok(Err("the answer is no object")) };
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Ok(Err("it is not active"));
        }
        // RFC 7662 has refresh tokens introspected too.
        let kind = claims.get("token_type").and_then(Value::as_str).unwrap_or("Bearer");
        if !["bearer", "access_token"].contains(&kind.to_ascii_lowercase().as_str()) {
            return Ok(Err("it is no bearer token"));
        }
        Ok(is_for_access(&claims).and_then(|()| self.is_good(&claims, true)).map(|()| claims))
    }
}
