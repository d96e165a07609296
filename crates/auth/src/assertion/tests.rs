//! Each way to fail of AUTH-21 by itself: the assertion differs from a good one in that alone.

use super::*;
use crate::outbound::Feature;
use crate::testing::{Memory, SignedBy, Web, with};
use serde_json::json;
use std::sync::Arc;

const TOKEN_URL: &str = "https://ehr/auth/token";
const ISSUER: &str = "https://ehr/fhir";
const JWKS_URL: &str = "https://app/jwks";

/// A server with a client that has an inline set ("inline") and one that has a URL ("by-url").
struct Bench {
    memory: Arc<Memory>,
    web: Arc<Web>,
    keys: Documents,
    es: SignedBy,
    rs: SignedBy,
}

impl Bench {
    async fn new() -> Self {
        let (memory, web) = (Memory::new(), Web::new());
        let (es, rs) = (SignedBy::es384("es"), SignedBy::rs384("rs"));
        let jwks = json!({"keys": [es.public, rs.public]});
        let bench = Self { keys: Documents::new(web.clone(), Feature::ClientKeys, 0), memory, web, es, rs };
        bench.web.put(JWKS_URL, &jwks.to_string(), None);
        bench.register("inline", json!({"jwks": jwks, "algorithms": ["ES384", "RS384"]}), true).await;
        bench.register("by-url", json!({"jwks_url": JWKS_URL, "algorithms": ["ES384", "RS384"]}), true).await;
        bench
    }

    async fn register(&self, id: &str, keys: Value, enabled: bool) {
        let client = json!({
            "name": id, "authentication": {"private_key_jwt": keys}, "scopes": "system/*.rs", "enabled": enabled,
        });
        let client = serde_json::from_value(client).unwrap();
        assert!(client::register(&*self.memory, id, client).await.unwrap());
    }

    fn claims(&self, client: &str) -> Value {
        let now = self.memory.now() / SECOND;
        let jti = secret::random_text().unwrap();
        json!({"iss": client, "sub": client, "aud": TOKEN_URL, "exp": now + 300, "jti": jti})
    }

    async fn check(&self, assertion: &str) -> Result<String, Error> {
        self.check_with(assertion, None).await
    }

    async fn check_with(&self, assertion: &str, client_id: Option<&str>) -> Result<String, Error> {
        let checks = Checks {
            records: &*self.memory,
            client_keys: &self.keys,
            now: self.memory.now(),
            audiences: [TOKEN_URL, ISSUER],
        };
        checks.check(assertion, client_id).await.map(|asserted| asserted.client.key)
    }

    #[track_caller]
    fn refused(result: &Result<String, Error>, reason: &str) {
        match result {
            Err(error @ Error::InvalidClient(why)) => {
                assert!(why.contains(reason), "{why}, not {reason}");
                assert_eq!(
                    (error.code(), error.to_string()),
                    ("invalid_client", "the client is not authenticated".into())
                );
            }
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn auth_21_an_assertion_is_accepted_when_all_holds() {
    let bench = Bench::new().await;
    for client in ["inline", "by-url"] {
        for signer in [&bench.es, &bench.rs] {
            for change in [
                json!({}),
                json!({"aud": ISSUER}),
                json!({"aud": [TOKEN_URL]}),
                json!({"exp": bench.memory.now() / SECOND - 29}),
                json!({"exp": bench.memory.now() / SECOND + 330}),
                json!({"iat": bench.memory.now() / SECOND + 30, "nbf": bench.memory.now() / SECOND}),
                json!({"jti": secret::random_text().unwrap().repeat(6)[..255]}),
            ] {
                let assertion = signer.sign(&json!({}), &with(bench.claims(client), &change));
                assert_eq!(bench.check_with(&assertion, Some(client)).await.unwrap(), client, "{change}");
            }
        }
    }
    let jku = bench.es.sign(&json!({"jku": JWKS_URL, "typ": "client-authentication+jwt"}), &bench.claims("by-url"));
    assert_eq!(bench.check(&jku).await.unwrap(), "by-url");
    assert_eq!(bench.web.count(), 1, "its keys are kept");
}

#[tokio::test]
async fn auth_21_1_the_form_and_the_header() {
    let bench = Bench::new().await;
    let claims = || bench.claims("inline");
    let long = with(claims(), &json!({"x": "x".repeat(8000)}));
    Bench::refused(&bench.check(&bench.es.sign(&json!({}), &long)).await, "no JWS, or longer than 8 KiB");
    for text in ["", "a.b.c", "e30.e30", "..", "e30.W10.", "e30.e30.e30.e30.e30"] {
        Bench::refused(&bench.check(text).await, "");
    }
    for (header, reason) in [
        (json!({"typ": null}), "typ is not"),
        (json!({"typ": "at+jwt"}), "typ is not"),
        (json!({"alg": "none"}), "alg is"),
        (json!({"alg": "HS256"}), "alg is"),
        (json!({"alg": "HS384"}), "alg is"),
        (json!({"alg": "RS256"}), "alg is"),
        (json!({"alg": "PS384"}), "alg is"),
        (json!({"alg": "es384"}), "alg is"),
        (json!({"alg": null}), "alg is"),
        (json!({"kid": null}), "no kid"),
        (json!({"kid": 1}), "no kid"),
        (json!({"crit": ["exp"]}), "the header has"),
        (json!({"jwk": bench.es.public}), "the header has"),
        (json!({"x5u": "https://evil/x"}), "the header has"),
    ] {
        Bench::refused(&bench.check(&bench.es.sign(&header, &claims())).await, reason);
    }
    bench.register("rs-only", json!({"jwks": {"keys": [bench.es.public]}, "algorithms": ["RS384"]}), true).await;
    let assertion = bench.es.sign(&json!({}), &bench.claims("rs-only"));
    Bench::refused(&bench.check(&assertion).await, "not registered for this algorithm");
}

#[tokio::test]
async fn auth_21_2_iss_and_sub_are_one_known_enabled_asymmetric_client() {
    let bench = Bench::new().await;
    bench.register("disabled", json!({"jwks": {"keys": [bench.es.public]}, "algorithms": ["ES384"]}), false).await;
    let symmetric = json!({
        "name": "s", "authentication": {"client_secret_basic": "x"}, "scopes": "openid", "enabled": true,
    });
    client::register(&*bench.memory, "symmetric", serde_json::from_value(symmetric).unwrap()).await.unwrap();
    for (client, change, reason) in [
        ("inline", json!({"iss": null}), "iss and sub"),
        ("inline", json!({"sub": null}), "iss and sub"),
        ("inline", json!({"sub": "by-url"}), "iss and sub"),
        ("inline", json!({"sub": ["inline"]}), "iss and sub"),
        ("nobody", json!({}), "no such client"),
        ("", json!({}), "iss and sub"),
        ("disabled", json!({}), "no such client"),
        ("symmetric", json!({}), "another way to authenticate"),
    ] {
        let assertion = bench.es.sign(&json!({}), &with(bench.claims(client), &change));
        Bench::refused(&bench.check(&assertion).await, reason);
    }
    let assertion = bench.es.sign(&json!({}), &bench.claims("inline"));
    Bench::refused(&bench.check_with(&assertion, Some("by-url")).await, "client_id is another");
}

#[tokio::test]
async fn auth_21_3_jku_is_the_registered_url_exactly() {
    let bench = Bench::new().await;
    bench.web.put("https://evil/jwks", &json!({"keys": [bench.es.public]}).to_string(), None);
    for jku in ["https://evil/jwks", "https://app/jwks/", "https://APP/jwks", "https://app/jwks?x", ""] {
        let assertion = bench.es.sign(&json!({"jku": jku}), &bench.claims("by-url"));
        Bench::refused(&bench.check(&assertion).await, "jku is not");
    }
    let assertion = bench.es.sign(&json!({"jku": JWKS_URL}), &bench.claims("inline"));
    Bench::refused(&bench.check(&assertion).await, "jku is not");
    let assertion = bench.es.sign(&json!({"jku": [JWKS_URL]}), &bench.claims("by-url"));
    Bench::refused(&bench.check(&assertion).await, "jku is not");
    assert_eq!(bench.web.count(), 0, "nothing was fetched");
}

#[tokio::test]
async fn auth_21_4_exactly_one_key_of_that_kid_that_fits() {
    let bench = Bench::new().await;
    let es = |change: Value| with(bench.es.public.clone(), &change);
    let both = json!([bench.es.public, with(bench.rs.public.clone(), &json!({"kid": "es"}))]);
    for (name, keys, reason) in [
        ("none", json!([]), "no such key"),
        ("other", json!([es(json!({"kid": "other"}))]), "no such key"),
        ("without-kid", json!([es(json!({"kid": null}))]), "no such key"),
        ("twice", json!([bench.es.public, bench.es.public]), "several keys"),
        ("two-types", both, "several keys"),
        ("wrong-type", json!([with(bench.rs.public.clone(), &json!({"kid": "es"}))]), "not for this algorithm"),
        ("for-encryption", json!([es(json!({"use": "enc"}))]), "not for this algorithm"),
        ("other-curve", json!([es(json!({"crv": "P-256"}))]), "not for this algorithm"),
        ("other-alg", json!([es(json!({"alg": "ES256"}))]), "not for this algorithm"),
    ] {
        bench.register(name, json!({"jwks": {"keys": keys}, "algorithms": ["ES384", "RS384"]}), true).await;
        let assertion = bench.es.sign(&json!({}), &bench.claims(name));
        Bench::refused(&bench.check(&assertion).await, reason);
    }
    let n = bench.rs.public["n"].as_str().unwrap();
    let short = with(bench.rs.public.clone(), &json!({"n": n[..340]}));
    bench.register("short", json!({"jwks": {"keys": [short]}, "algorithms": ["RS384"]}), true).await;
    let assertion = bench.rs.sign(&json!({}), &bench.claims("short"));
    Bench::refused(&bench.check(&assertion).await, "too short");
    bench.web.take(JWKS_URL);
    Bench::refused(&bench.check(&bench.es.sign(&json!({}), &bench.claims("by-url"))).await, "no such key");
}

#[tokio::test]
async fn auth_21_5_the_signature_is_that_of_the_key() {
    let bench = Bench::new().await;
    let other = SignedBy::es384("es");
    Bench::refused(&bench.check(&other.sign(&json!({}), &bench.claims("inline"))).await, "the signature");
    let other = SignedBy::rs384("rs");
    Bench::refused(&bench.check(&other.sign(&json!({}), &bench.claims("inline"))).await, "the signature");
    let good = bench.es.sign(&json!({}), &bench.claims("inline"));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = signed.split_once('.').unwrap();
    let (_, other_claims) = bench
        .es
        .sign(&json!({}), &bench.claims("inline"))
        .split_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let other_claims = other_claims.split_once('.').unwrap().0;
    for text in
        [format!("{signed}."), format!("{head}.{other_claims}.{signature}"), format!("{signed}.{}", "A".repeat(128))]
    {
        Bench::refused(&bench.check(&text).await, "the signature");
    }
}

#[tokio::test]
async fn auth_21_6_the_audience_is_this_server_alone() {
    let bench = Bench::new().await;
    for aud in [
        json!(null),
        json!("https://other/auth/token"),
        json!("https://ehr/auth/token/"),
        json!("https://ehr"),
        json!([TOKEN_URL, "https://other/auth/token"]),
        json!([TOKEN_URL, ISSUER]),
        json!([]),
        json!({"a": TOKEN_URL}),
        json!(1),
    ] {
        let assertion = bench.es.sign(&json!({}), &with(bench.claims("inline"), &json!({"aud": aud})));
        Bench::refused(&bench.check(&assertion).await, "aud is not");
    }
}

#[tokio::test]
async fn auth_21_7_the_times_are_now() {
    let bench = Bench::new().await;
    let now = bench.memory.now() / SECOND;
    for (change, reason) in [
        (json!({"exp": null}), "no exp"),
        (json!({"exp": "soon"}), "no exp"),
        (json!({"exp": 1e300}), "no exp"),
        (json!({"exp": now - 30}), "has expired"),
        (json!({"exp": -1}), "has expired"),
        (json!({"exp": now + 331}), "too late"),
        (json!({"exp": i64::MAX}), "too late"),
        (json!({"iat": now + 31}), "of the future"),
        (json!({"nbf": now + 31}), "of the future"),
        (json!({"nbf": "now"}), "of the future"),
    ] {
        let assertion = bench.es.sign(&json!({}), &with(bench.claims("inline"), &change));
        Bench::refused(&bench.check(&assertion).await, reason);
    }
}

#[tokio::test]
async fn auth_21_8_an_assertion_is_used_once() {
    let bench = Bench::new().await;
    for jti in [json!(null), json!(""), json!(1), json!("x".repeat(256))] {
        let assertion = bench.es.sign(&json!({}), &with(bench.claims("inline"), &json!({"jti": jti})));
        Bench::refused(&bench.check(&assertion).await, "no jti");
    }
    let claims = bench.claims("inline");
    let assertion = bench.es.sign(&json!({}), &claims);
    bench.check(&assertion).await.unwrap();
    Bench::refused(&bench.check(&assertion).await, "used before");
    // The same identifier in another assertion, until the first one's time is up.
    Bench::refused(&bench.check(&bench.rs.sign(&json!({}), &claims)).await, "used before");
    bench.memory.pass(329 * SECOND);
    Bench::refused(&bench.check(&assertion).await, "used before");
    bench.memory.pass(SECOND);
    Bench::refused(&bench.check(&assertion).await, "has expired");
    // Another client's is another.
    let jti = claims["jti"].clone();
    let other = bench.es.sign(&json!({}), &with(bench.claims("by-url"), &json!({"jti": jti})));
    bench.check(&other).await.unwrap();
}

#[tokio::test]
async fn auth_21_what_fails_before_the_last_check_uses_nothing_up() {
    let bench = Bench::new().await;
    let claims = bench.claims("inline");
    let wrong = bench.es.sign(&json!({}), &with(claims.clone(), &json!({"aud": "x"})));
    Bench::refused(&bench.check(&wrong).await, "aud is not");
    bench.check(&bench.es.sign(&json!({}), &claims)).await.unwrap();
}
