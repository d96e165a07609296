//! What is fetched from elsewhere, and how long it is kept: keys of clients (AUTH-22), keys and metadata of identity providers.
//! How a URL is fetched is passed in: what may be reached is the business of one guarded client for all of the server (HTTP-30).

use crate::{Error, kept::SECOND};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use serde_json::Value;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tessera_model::{interaction::percent_encode, temporal::Micros};

/// Largest document.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// How long one is kept if its answer does not say.
const KEPT_UNSAID: Micros = 15 * 60 * SECOND;
/// How long one is kept at most, whatever its answer says.
const KEPT_MAX: Micros = 24 * 3600 * SECOND;
/// How long a failure is kept, and how often an unknown key makes it be fetched again.
const AGAIN: Micros = 60 * SECOND;
/// Documents that are kept.
const DOCUMENTS_MAX: usize = 1000;

/// What something is fetched for: the operator may say where each may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Keys of registered clients.
    ClientKeys,
    /// The identity provider that is set.
    IdentityProvider,
}

/// Something to be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What for.
    pub feature: Feature,
    /// Where it is.
    pub url: &'a str,
    /// How long it may be.
    pub bytes_max: usize,
    /// What is posted there; without it, it is a GET.
    pub post: Option<Post<'a>>,
}

/// A form to be posted.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    /// Names and values.
    pub form: &'a [(&'a str, &'a str)],
    /// Who posts it, for the `Authorization` header.
    pub credentials: Option<&'a Credentials>,
}

impl fmt::Debug for Post<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post")
    }
}

impl Post<'_> {
    /// The form as it is sent.
    #[must_use]
    pub fn body(&self) -> String {
        let pairs = self.form.iter().map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// This server's credentials at another one.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Where they are good: they are sent to the origin of this URL and to no other.
    pub url: String,
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} at {})", self.id, self.url)
    }
}

impl Credentials {
    /// The `Authorization` header: <https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1>
    #[must_use]
    pub fn basic(&self) -> String {
        let part = |text: &str| percent_encode(text).replace(':', "%3A");
        format!("Basic {}", STANDARD.encode(format!("{}:{}", part(&self.id), part(&self.secret))))
    }
}

/// What was fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// 200; or 400, where a form was posted.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The `Cache-Control` header.
    pub cache_control: Option<String>,
}

/// Fetches for the server: within its limits of time and size, without redirects and only where it may go.
pub trait Fetch: Send + Sync {
    /// What is there; `None` if it cannot be had, of which the log tells.
    fn fetch<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Option<Fetched>>;
}

/// JSON documents at URLs, kept as long as their answers say.
pub(crate) struct Documents {
    fetch: Arc<dyn Fetch>,
    feature: Feature,
    /// How long after its last success one may be used that cannot be fetched anew.
    stale: Micros,
    kept: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Entry>>>>,
}

#[derive(Default)]
struct Entry {
    url: String,
    document: Option<Arc<Value>>,
    until: Micros,
    tried: Option<Micros>,
    succeeded: Micros,
}

impl Documents {
    pub(crate) fn new(fetch: Arc<dyn Fetch>, feature: Feature, stale: Micros) -> Self {
        Self { fetch, feature, stale, kept: Mutex::default() }
    }

    /// The document of that name: as it is kept, or fetched now if it is too old or does not have what is looked for.
    pub(crate) async fn get(
        &self,
        name: &str,
        url: &str,
        now: Micros,
        has_it: impl Fn(&Value) -> bool,
    ) -> Option<Arc<Value>> {
        let entry = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= DOCUMENTS_MAX && !kept.contains_key(name) {
                kept.clear();
            }
            kept.entry(name.to_owned()).or_default().clone()
        };
        // Held while it is fetched, so that many requests fetch once.
        let mut entry = entry.lock().await;
        let has_it = entry.document.as_deref().is_some_and(has_it);
        let may_again = entry.tried.is_none_or(|at| now.saturating_sub(at) >= AGAIN);
        if entry.url != url || now >= entry.until || (!has_it && may_again) {
            self.renew(&mut entry, url, now).await;
        }
        entry.document.clone()
    }

    async fn renew(&self, entry: &mut Entry, url: &str, now: Micros) {
        let ask = Ask { feature: self.feature, url, bytes_max: DOCUMENT_BYTES_MAX, post: None };
        let fetched = self.fetch.fetch(ask).await;
        let document = fetched.as_ref().and_then(|fetched| serde_json::from_slice::<Value>(&fetched.body).ok());
        *entry = match document.filter(Value::is_object) {
            Some(document) => {
                let kept_for = fetched.and_then(|f| f.cache_control).map_or(KEPT_UNSAID, |c| max_age(&c));
                let until = now.saturating_add(kept_for);
                Entry {
                    url: url.to_owned(),
                    document: Some(Arc::new(document)),
                    until,
                    tried: Some(now),
                    succeeded: now,
                }
            }
            None => {
                let is_same = entry.url == url;
                let is_fresh = is_same && now < entry.until;
                let is_usable = is_fresh || (is_same && now.saturating_sub(entry.succeeded) < self.stale);
                let document = entry.document.take().filter(|_| is_usable);
                let until = if is_fresh { entry.until } else { now.saturating_add(AGAIN) };
                Entry { url: url.to_owned(), document, until, tried: Some(now), succeeded: entry.succeeded }
            }
        };
    }

    /// The keys of a JWKS that one of this name is looked for in; those that nobody here understands are of no use, and no harm.
    pub(crate) async fn keys(&self, name: &str, url: &str, kid: &str, now: Micros) -> Vec<Value> {
        let has_it = |jwks: &Value| keys_of(jwks).iter().any(|key| key["kid"] == kid);
        let jwks = self.get(name, url, now, has_it).await;
        jwks.map(|jwks| keys_of(&jwks).to_vec()).unwrap_or_default()
    }

    /// Posts a form and reads the JSON object that it is answered with. [`Error::InvalidRequest`]: it does not like what the form
    /// says.
    pub(crate) async fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        credentials: Option<&Credentials>,
    ) -> Result<Value, Error> {
        let post = Some(Post { form, credentials });
        let fetched = self.fetch.fetch(Ask { feature: self.feature, url, bytes_max: DOCUMENT_BYTES_MAX, post }).await;
        if fetched.as_ref().is_some_and(|fetched| fetched.status != 200) {
            return Err(Error::InvalidRequest("the identity provider has refused the request"));
        }
        let answer = fetched.and_then(|fetched| serde_json::from_slice::<Value>(&fetched.body).ok());
        answer.filter(Value::is_object).ok_or(Error::Unavailable("the identity provider does not answer"))
    }
}

/// The keys of a JWKS.
pub(crate) fn keys_of(jwks: &Value) -> &[Value] {
    jwks["keys"].as_array().map_or(&[], Vec::as_slice)
}

/// How long an answer may be kept: <https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2>
fn max_age(cache_control: &str) -> Micros {
    let directives = || cache_control.split(',').map(|directive| directive.trim().to_ascii_lowercase());
    if directives().any(|directive| directive == "no-store" || directive == "no-cache") {
        return 0;
    }
    let seconds = directives().find_map(|d| d.strip_prefix("max-age=")?.trim_matches('"').parse::<i64>().ok());
    seconds.map_or(KEPT_UNSAID, |seconds| seconds.max(0).saturating_mul(SECOND).min(KEPT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Web;

    #[tokio::test]
    async fn auth_22_keys_are_fetched_when_they_are_too_old_and_at_most_once_a_minute_for_an_unknown_one() {
        let web = Web::new();
        let keys = Documents::new(web.clone(), Feature::ClientKeys, 0);
        let ask = async |kid: &str, at: i64| keys.keys("c", "https://c/jwks", kid, at * SECOND).await.len();
        web.put("https://c/jwks", r#"{"keys": [{"kid": "a"}]}"#, Some("public, max-age=100"));
        assert_eq!((ask("a", 0).await, web.count()), (1, 1));
        assert_eq!((ask("a", 99).await, web.count()), (1, 1));
        assert_eq!((ask("a", 100).await, web.count()), (1, 2));
        assert_eq!((ask("b", 101).await, web.count()), (1, 2), "fetched a second ago");
        web.put("https://c/jwks", r#"{"keys": [{"kid": "a"}, {"kid": "b"}]}"#, Some("max-age=100"));
        assert_eq!((ask("b", 160).await, web.count()), (2, 3));
        assert_eq!((ask("c", 161).await, web.count()), (2, 3));
        web.take("https://c/jwks");
        assert_eq!((ask("a", 259).await, web.count()), (2, 3));
        assert_eq!((ask("a", 260).await, web.count()), (0, 4), "never longer than max-age");
        assert_eq!((ask("a", 319).await, web.count()), (0, 4), "a failure is kept for a minute");
        web.put("https://c/jwks", r#"{"keys": [{"kid": "a"}]}"#, None);
        assert_eq!((ask("a", 320).await, web.count()), (1, 5));
        assert_eq!((ask("a", 320 + 899).await, web.count()), (1, 5));
        assert_eq!((ask("a", 320 + 900).await, web.count()), (1, 6), "a quarter of an hour if nothing is said");
    }

    #[test]
    fn auth_22_cache_control() {
        for (text, seconds) in [
            ("max-age=60", 60),
            ("public, Max-Age=\"5\"", 5),
            ("no-store", 0),
            ("max-age=60, no-cache", 0),
            ("private", 900),
            ("max-age=x", 900),
            ("max-age=-1", 0),
            ("max-age=99999999999999", 86_400),
        ] {
            assert_eq!(max_age(text), seconds * SECOND, "{text}");
        }
    }

    #[tokio::test]
    async fn auth_30_keys_of_an_issuer_are_usable_for_a_day_if_it_is_down() {
        let web = Web::new();
        let keys = Documents::new(web.clone(), Feature::IdentityProvider, crate::kept::DAY);
        let ask = async |kid: &str, at: i64| keys.keys("i", "https://i/jwks", kid, at * SECOND).await.len();
        web.put("https://i/jwks", r#"{"keys": [{"kid": "a"}]}"#, Some("max-age=100"));
        assert_eq!(ask("a", 0).await, 1);
        assert_eq!(ask("a", 200).await, 1);
        web.take("https://i/jwks");
        assert_eq!((ask("a", 300).await, web.count()), (1, 3));
        assert_eq!((ask("a", 359).await, web.count()), (1, 3), "asked once a minute");
        assert_eq!((ask("b", 359).await, web.count()), (1, 3), "for unknown keys too");
        assert_eq!(ask("a", 200 + 86_399).await, 1);
        assert_eq!(ask("a", 200 + 86_399 + 60).await, 0, "no longer than a day after its last success");
        web.put("https://i/jwks", r#"{"keys": [{"kid": "a"}]}"#, None);
        assert_eq!(ask("a", 200 + 86_399 + 120).await, 1);
    }

    #[test]
    fn auth_22_what_is_no_jwks_has_no_keys() {
        for text in ["[]", "{}", r#"{"keys": {}}"#, "null"] {
            assert!(keys_of(&serde_json::from_str(text).unwrap()).is_empty(), "{text}");
        }
    }

    #[test]
    fn credentials_are_encoded_before_they_are_put_together() {
        // RFC 6749 section 2.3.1
        let of = |id: &str, secret: &str| Credentials { url: String::new(), id: id.into(), secret: secret.into() };
        assert_eq!(of("s6BhdRkqt3", "gX1fBat3bV").basic(), "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
        assert_eq!(of("a:b", "c d").basic(), format!("Basic {}", STANDARD.encode("a%3Ab:c%20d")));
        assert!(!format!("{:?}", of("a", "secret")).contains("secret"));
    }
}
