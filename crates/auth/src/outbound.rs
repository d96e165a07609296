//! Keys of clients at a URL of theirs (AUTH-22). How a URL is fetched is passed in: what may be reached is the business of one
//! guarded client for all of the server (HTTP-30).

use crate::kept::SECOND;
use futures::future::BoxFuture;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tessera_model::temporal::Micros;

/// Largest JWKS.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Longest that fetching one may take.
pub const JWKS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one is kept if its answer does not say.
const KEPT_UNSAID: Micros = 15 * 60 * SECOND;
/// How long one is kept at most, whatever its answer says.
const KEPT_MAX: Micros = 24 * 3600 * SECOND;
/// How long a failure is kept, and how often an unknown key makes it be fetched again.
const AGAIN: Micros = 60 * SECOND;
/// Clients whose keys are kept.
const CLIENTS_MAX: usize = 1000;

/// What was fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The body of a 200.
    pub body: Vec<u8>,
    /// The `Cache-Control` header.
    pub cache_control: Option<String>,
}

/// Fetches a URL for the server: within its limits of time and size, without redirects and only where it may go.
pub trait Fetch: Send + Sync {
    /// What is at the URL; `None` if it cannot be had, of which the log tells.
    fn fetch<'a>(&'a self, url: &'a str, bytes_max: usize, timeout: Duration) -> BoxFuture<'a, Option<Fetched>>;
}

/// The keys of clients that have a URL for them.
pub(crate) struct ClientKeys {
    fetch: Arc<dyn Fetch>,
    kept: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Entry>>>>,
}

#[derive(Default)]
struct Entry {
    url: String,
    keys: Vec<Value>,
    until: Micros,
    fetched: Option<Micros>,
}

impl ClientKeys {
    pub(crate) fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch, kept: Mutex::default() }
    }

    /// The keys of a client: as they are kept, or fetched now if they are too old or lack this one.
    pub(crate) async fn keys(&self, client: &str, url: &str, kid: &str, now: Micros) -> Vec<Value> {
        let entry = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= CLIENTS_MAX && !kept.contains_key(client) {
                kept.clear();
            }
            kept.entry(client.to_owned()).or_default().clone()
        };
        // Held while it is fetched, so that many requests of a client fetch once.
        let mut entry = entry.lock().await;
        let has_it = entry.keys.iter().any(|key| key["kid"] == kid);
        let may_again = entry.fetched.is_none_or(|at| now.saturating_sub(at) >= AGAIN);
        if entry.url != url || now >= entry.until || (!has_it && may_again) {
            let fetched = self.fetch.fetch(url, JWKS_BYTES_MAX, JWKS_TIMEOUT).await;
            let (keys, kept_for) = match fetched.as_ref().and_then(|fetched| keys_of(&fetched.body)) {
                Some(keys) => (keys, fetched.and_then(|f| f.cache_control).map_or(KEPT_UNSAID, |c| max_age(&c))),
                None => (Vec::new(), AGAIN),
            };
            *entry = Entry { url: url.to_owned(), keys, until: now.saturating_add(kept_for), fetched: Some(now) };
        }
        entry.keys.clone()
    }
}

/// The keys of a JWKS; those that nobody here understands are of no use, and no harm.
pub(crate) fn keys_of(jwks: &[u8]) -> Option<Vec<Value>> {
    match serde_json::from_slice::<Value>(jwks).ok()?.get_mut("keys")?.take() {
        Value::Array(keys) => Some(keys),
        _ => None,
    }
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
        let keys = ClientKeys::new(web.clone());
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

    #[test]
    fn auth_22_what_is_no_jwks_has_no_keys() {
        for text in ["", "[]", "{}", r#"{"keys": {}}"#, "null"] {
            assert!(keys_of(text.as_bytes()).is_none(), "{text}");
        }
    }
}
