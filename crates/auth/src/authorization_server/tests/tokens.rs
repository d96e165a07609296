//! What tokens say, how long they are good, and who may ask or take them back.

use super::*;

#[tokio::test]
async fn auth_4_token_responses_say_what_was_granted_and_in_which_context() {
    let bench = Bench::new().await;
    let answer = bench.begin("openid fhirUser offline_access patient/Observation.rs").await;
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 3600);
    assert_eq!(answer["scope"], "openid fhirUser offline_access patient/Observation.rs");
    assert_eq!(answer["patient"], "1");
    assert!(answer["access_token"].as_str().unwrap().starts_with("tsa_"));
    assert!(answer["refresh_token"].as_str().unwrap().starts_with("tsr_"));
    let without = bench.begin("patient/Observation.rs").await;
    assert!(without.get("refresh_token").is_none() && without.get("id_token").is_none());
}

#[tokio::test]
async fn auth_10_the_id_token_names_the_user() {
    let bench = Bench::new().await;
    let answer = bench.begin("openid fhirUser patient/Observation.rs").await;
    let jws = Jws::parse(answer["id_token"].as_str().unwrap()).unwrap();
    let jwks = bench.server.jwks().await.unwrap();
    let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == jws.header["kid"]).unwrap();
    assert!(jws.header["alg"] == "RS256" && jws.is_signed_by(key, jws::Algorithm::Rs256));
    let now = bench.memory.now() / SECOND;
    assert_eq!(
        (&jws.claims["iss"], &jws.claims["aud"], &jws.claims["nonce"], &jws.claims["fhirUser"]),
        (&json!(BASE), &json!("app"), &json!("n-1"), &json!("https://ehr/fhir/Patient/1"))
    );
    assert_eq!((&jws.claims["iat"], &jws.claims["exp"]), (&json!(now), &json!(now + 3600)));
    let info = bench.server.userinfo(answer["access_token"].as_str().unwrap()).await.unwrap().unwrap();
    assert_eq!(info, json!({"sub": jws.claims["sub"], "fhirUser": jws.claims["fhirUser"]}));
    let without = bench.begin("openid patient/Observation.rs").await;
    let jws = Jws::parse(without["id_token"].as_str().unwrap()).unwrap();
    assert!(!jws.claims.contains_key("fhirUser"));
    let without = bench.begin("patient/Observation.rs").await;
    refused(bench.server.userinfo(without["access_token"].as_str().unwrap()).await, "access_denied");
}

#[tokio::test]
async fn auth_8_what_a_token_stands_on_is_looked_at_again_after_some_seconds() {
    let bench = Bench::new().await;
    let answer = bench.begin("patient/*.rs").await;
    assert!(bench.is_good(&answer).await);
    let mut ann = user::find(&*bench.memory, "ann").await.unwrap().unwrap();
    ann.value.enabled = false;
    assert!(user::update(&*bench.memory, &ann).await.unwrap());
    bench.memory.pass(5 * SECOND);
    assert!(!bench.is_good(&answer).await);

    let bench = Bench::new().await;
    let answer = bench.begin("patient/*.rs").await;
    assert!(bench.is_good(&answer).await);
    let mut app = client::find(&*bench.memory, "app").await.unwrap().unwrap();
    app.value.expires = Some(bench.memory.now() + SECOND);
    assert!(client::update(&*bench.memory, &app).await.unwrap());
    bench.memory.pass(5 * SECOND);
    assert!(!bench.is_good(&answer).await);
    refused(bench.redeem(&bench.code("app", "patient/*.rs").await, VERIFIER).await, "invalid_client");

    let bench = Bench::new().await;
    let answer = bench.begin("patient/*.rs").await;
    bench.memory.pass(3600 * SECOND - 1);
    assert!(bench.is_good(&answer).await);
    bench.memory.pass(1);
    assert!(!bench.is_good(&answer).await, "an hour");
}

#[tokio::test]
async fn auth_11_introspection_is_for_those_who_may_and_says_what_the_token_is_good_for() {
    let bench = Bench::new().await;
    let answer = bench.begin("openid fhirUser patient/Observation.rs").await;
    let access = answer["access_token"].as_str().unwrap();
    let basic = Some("Basic YmFzaWM6c2VjcmV0");
    let ask = async |token: &str| bench.server.introspect(basic, &form(&[("token", token)])).await.unwrap();
    let now = bench.memory.now() / SECOND;
    let mut found = ask(access).await;
    assert!(found["sub"].as_str().is_some_and(|sub| sub.len() <= 255));
    found.as_object_mut().unwrap().remove("sub");
    assert_eq!(
        found,
        json!({
            "active": true, "scope": "openid fhirUser patient/Observation.rs", "client_id": "app", "token_type": "Bearer",
            "iat": now, "exp": now + 3600, "patient": "1", "iss": BASE, "fhirUser": "https://ehr/fhir/Patient/1",
        })
    );
    for token in ["x", answer["id_token"].as_str().unwrap(), "tsa_"] {
        assert_eq!(ask(token).await, json!({"active": false}));
    }
    let refused_to = async |header: Option<&str>, pairs: &[(&str, &str)], expect: &str| {
        let mut pairs = form(pairs);
        pairs.extend(form(&[("token", access)]));
        refused(bench.server.introspect(header, &pairs).await, expect);
    };
    refused_to(None, &[], "invalid_client").await;
    refused_to(None, &[("client_id", "app")], "access_denied").await;
    refused_to(None, &[("client_id", "post"), ("client_secret", "secret")], "access_denied").await;
    refused_to(Some(&format!("Bearer {access}")), &[], "access_denied").await;
    refused_to(Some("Bearer x"), &[], "invalid_client").await;
    refused(bench.server.introspect(basic, &[]).await, "invalid_request");
    bench.memory.pass(3600 * SECOND);
    assert_eq!(ask(access).await, json!({"active": false}));
}

#[tokio::test]
async fn auth_12_a_client_revokes_its_own_tokens() {
    let bench = Bench::new().await;
    let revoke = async |client: &str, token: &Value| {
        let pairs = form(&[("client_id", client), ("token", token.as_str().unwrap())]);
        bench.server.revoke(None, &pairs).await.unwrap();
    };
    let answer = bench.begin("offline_access patient/*.rs").await;
    assert!(bench.is_good(&answer).await);
    revoke("other-app", &answer["access_token"]).await;
    revoke("other-app", &answer["refresh_token"]).await;
    revoke("app", &json!("nonsense")).await;
    assert!(bench.is_good(&answer).await);
    revoke("app", &answer["access_token"]).await;
    assert!(!bench.is_good(&answer).await);
    let next = bench.refresh(&answer).await.unwrap();
    assert!(bench.is_good(&next).await);
    revoke("app", &next["refresh_token"]).await;
    assert!(!bench.is_good(&next).await, "its access tokens too");
    refused(bench.refresh(&next).await, "invalid_grant");
    refused(bench.server.revoke(None, &form(&[("client_id", "app")])).await, "invalid_request");
}
