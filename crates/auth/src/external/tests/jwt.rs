//! Tokens that are JWTs, and what the issuer publishes.

use super::*;
use crate::{Algorithm, testing::SignedBy};

#[tokio::test]
async fn auth_30_a_token_of_the_issuer_for_this_server_is_good() {
    let bench = Bench::of_jwts(|_| {});
    let access = bench.of_claims(&json!({})).await;
    assert_eq!(seen(access.as_ref()), ["all"; 3]);
    let caller = access.unwrap().caller().clone();
    assert_eq!((caller.client.as_str(), caller.token.as_deref(), caller.user), ("app", Some("t1"), None));
    for change in [
        json!({"aud": ["https://other", BASE]}),
        json!({"aud": "https://ehr/fhir/"}),
        json!({"client_id": null, "azp": "app"}),
        json!({"jti": null}),
        json!({"typ": "Bearer"}),
        json!({"scope": ["system/Patient.rs", "system/Observation.rs"]}),
        json!({"exp": bench.now() - 59}),
        json!({"nbf": bench.now() + 60, "iat": bench.now() + 60}),
    ] {
        assert!(bench.of_claims(&change).await.is_some(), "{change}");
    }
    for header in [json!({"typ": null}), json!({"typ": "at+jwt"}), json!({"typ": "application/AT+JWT"})] {
        assert!(bench.of_header(&header).await.is_some(), "{header}");
    }
}

#[tokio::test]
async fn auth_30_a_token_of_another_issuer_for_somebody_else_or_of_another_time_is_refused() {
    let bench = Bench::of_jwts(|_| {});
    let now = bench.now();
    for change in [
        json!({"iss": "https://idp/realm/"}),
        json!({"iss": "https://idp/other"}),
        json!({"iss": "https://IDP/realm"}),
        json!({"iss": null}),
        json!({"iss": [Issuer::ID]}),
        json!({"aud": null}),
        json!({"aud": "app"}),
        json!({"aud": "https://ehr/fhir/r5"}),
        json!({"aud": "https://ehr"}),
        json!({"aud": ["app"]}),
        json!({"aud": []}),
        json!({"aud": {"a": BASE}}),
        json!({"exp": now - 60}),
        json!({"exp": null}),
        json!({"exp": (now + 300).to_string()}),
        json!({"nbf": now + 61}),
        json!({"nbf": "soon"}),
        json!({"iat": now + 61}),
    ] {
        assert!(bench.of_claims(&change).await.is_none(), "{change}");
    }
}

#[tokio::test]
async fn auth_30_a_signature_is_of_the_one_key_by_an_algorithm_that_is_allowed() {
    let bench = Bench::of_jwts(|_| {});
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "HS384"}),
        json!({"alg": "RS256"}),
        json!({"alg": "ES256"}),
        json!({"alg": null}),
        json!({"kid": null}),
        json!({"kid": ""}),
        json!({"kid": "unknown"}),
        json!({"kid": 1}),
        json!({"crit": ["exp"]}),
        json!({"jwk": bench.issuer.key.public}),
        json!({"jku": "https://evil/jwks"}),
        json!({"x5u": "https://evil/x5u"}),
    ] {
        assert!(bench.of_header(&header).await.is_none(), "{header}");
    }
    let good = bench.issuer.key.sign(&json!({}), &bench.claims(&json!({})));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let other = SignedBy::es384("k").sign(&json!({}), &bench.claims(&json!({})));
    for token in [format!("{signed}."), signed.to_owned(), format!("{good}x"), other, String::new(), "a.b.c".into()] {
        assert!(bench.access(&token).await.is_none(), "{token}");
    }
    assert!(bench.access(&good).await.is_some());
    // A key of another kind, of the same name, or the same twice.
    let rsa = SignedBy::rs384("k");
    bench.issuer.web.put(Issuer::KEYS, &json!({"keys": [bench.issuer.key.public, rsa.public]}).to_string(), None);
    bench.memory.pass(3600 * SECOND);
    assert!(bench.of_claims(&json!({})).await.is_none());
    bench.issuer.web.put(Issuer::KEYS, &json!({"keys": [rsa.public]}).to_string(), None);
    bench.memory.pass(3600 * SECOND);
    assert!(bench.of_claims(&json!({})).await.is_none());
}

/// The public key as a secret of HMAC: what a server does that takes the algorithm from the token.
#[tokio::test]
async fn auth_30_a_token_signed_by_hmac_with_the_public_key_is_refused() {
    use aws_lc_rs::hmac;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bench = Bench::of_jwts(|settings| settings.provider.algorithms = Algorithm::OF_PROVIDERS.to_vec());
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": "k"}).to_string());
    let claims = URL_SAFE_NO_PAD.encode(bench.claims(&json!({})).to_string());
    let signed = format!("{header}.{claims}");
    let secret = hmac::Key::new(hmac::HMAC_SHA256, bench.issuer.key.public.to_string().as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, signed.as_bytes()).as_ref());
    assert!(bench.access(&format!("{signed}.{signature}")).await.is_none());
}

#[tokio::test]
async fn auth_30_an_id_token_is_no_access_token() {
    let bench = Bench::of_jwts(|_| {});
    for change in [
        json!({"nonce": "n"}),
        json!({"at_hash": "h"}),
        json!({"c_hash": "h"}),
        json!({"events": {}}),
        json!({"typ": "ID"}),
        json!({"typ": "Refresh"}),
        json!({"typ": 1}),
        json!({"token_use": "id"}),
        json!({"scope": null}),
    ] {
        assert!(bench.of_claims(&change).await.is_none(), "{change}");
    }
    for header in [json!({"typ": "id+jwt"}), json!({"typ": "logout+jwt"}), json!({"typ": "dpop+jwt"})] {
        assert!(bench.of_header(&header).await.is_none(), "{header}");
    }
    let strict = Bench::of_jwts(|settings| settings.tokens = Tokens::Jwt { media_type: Some("at+jwt".into()) });
    assert!(strict.of_header(&json!({"typ": "at+JWT"})).await.is_some());
    for header in [json!({}), json!({"typ": null})] {
        assert!(strict.of_header(&header).await.is_none(), "{header}");
    }
}

#[tokio::test]
async fn auth_30_a_missing_claim_denies() {
    let bench = Bench::of_jwts(|_| {});
    for change in [
        json!({"client_id": null}),
        json!({"client_id": "app", "azp": "other"}),
        json!({"client_id": ""}),
        json!({"scope": 1}),
        json!({"scope": "user/*.rs", "fhirUser": "Device/1"}),
        json!({"scope": "user/*.rs", "fhirUser": "https://elsewhere/fhir/Practitioner/1"}),
        json!({"scope": "user/*.rs", "fhirUser": ["Practitioner/1"]}),
        json!({"scope": "patient/*.rs", "patient": "Patient/1"}),
        json!({"scope": "patient/*.rs", "patient": ["1"]}),
    ] {
        assert!(bench.of_claims(&change).await.is_none(), "{change}");
    }
    for change in [
        json!({"scope": ""}),
        json!({"scope": "openid profile"}),
        json!({"scope": "system/Observaton.rs system/Patient.sr system/*"}),
        json!({"scope": "patient/*.rs"}),
        json!({"scope": "user/*.rs"}),
        json!({"scope": "user/*.rs", "patient": "1"}),
    ] {
        assert_eq!(seen(bench.of_claims(&change).await.as_ref()), ["none"; 3], "{change}");
    }
    let bench = Bench::of_jwts(|settings| {
        settings.claims.scope = "scp".into();
        settings.claims.purpose = "purpose".into();
        settings.claims.organization = "org".into();
    });
    let all = json!({"scope": null, "scp": "system/*.rs", "purpose": "TREAT", "org": "https://o"});
    let caller = bench.of_claims(&all).await.unwrap().caller().clone();
    assert_eq!((caller.purpose.as_deref(), caller.organization.as_deref()), (Some("TREAT"), Some("https://o")));
    for missing in ["scp", "purpose", "org"] {
        assert!(bench.of_claims(&with(all.clone(), &json!({missing: null}))).await.is_none(), "{missing}");
    }
}

#[tokio::test]
async fn auth_30_what_an_issuer_published_is_used_for_a_day_if_it_is_down() {
    let bench = Bench::of_jwts(|_| {});
    assert!(bench.of_claims(&json!({})).await.is_some());
    bench.issuer.web.take(Issuer::KEYS);
    bench.issuer.web.take(Issuer::METADATA);
    bench.memory.pass(23 * 3600 * SECOND);
    assert!(bench.of_claims(&json!({})).await.is_some());
    let count = bench.issuer.web.count();
    for _ in 0..5 {
        bench.of_header(&json!({"kid": "unknown"})).await;
    }
    assert_eq!(bench.issuer.web.count(), count, "nobody can make it be asked more than once a minute");
    bench.memory.pass(3600 * SECOND);
    let token = bench.issuer.key.sign(&json!({}), &bench.claims(&json!({})));
    assert!(matches!(bench.external.access(&token).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn auth_31_metadata_of_another_issuer_is_not_believed() {
    let bench = Bench::of_jwts(|_| {});
    let document = bench.external.configuration().await.unwrap();
    assert_eq!(document["token_endpoint"], Issuer::TOKEN);
    assert_eq!(document["capabilities"], json!(["permission-v2"]));
    assert!(document.get("userinfo_endpoint").is_none());
    let bench = Bench::of_jwts(|_| {});
    let other = json!({"issuer": "https://evil", "jwks_uri": Issuer::KEYS}).to_string();
    bench.issuer.web.put(Issuer::METADATA, &other, None);
    assert!(matches!(bench.external.configuration().await, Err(Error::Unavailable(_))));
    let token = bench.issuer.key.sign(&json!({}), &bench.claims(&json!({})));
    assert!(bench.external.access(&token).await.is_err());
}
