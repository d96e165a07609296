//! How a client shows who it is, and what it is granted by itself.

use super::*;

#[tokio::test]
async fn auth_20_a_client_authenticates_in_its_one_way() {
    let bench = Bench::new().await;
    let basic = |name: &str, secret: &str| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
    };
    let try_it = async |header: Option<String>, pairs: &[(&str, &str)]| {
        let mut all = form(pairs);
        all.extend(form(&[("token", "x")]));
        bench.server.revoke(header.as_deref(), &all).await
    };
    try_it(None, &[("client_id", "app")]).await.unwrap();
    try_it(Some(basic("basic", "secret")), &[]).await.unwrap();
    try_it(Some(basic("basic", "s%65cret")), &[("client_id", "basic")]).await.unwrap();
    try_it(None, &[("client_id", "post"), ("client_secret", "secret")]).await.unwrap();
    for (header, pairs, expect) in [
        (None, &[][..], "invalid_client"),
        (None, &[("client_id", "nobody")], "invalid_client"),
        (None, &[("client_id", "basic")], "invalid_client"),
        (None, &[("client_id", "post")], "invalid_client"),
        (None, &[("client_id", "backend")], "invalid_client"),
        (None, &[("client_id", "app"), ("client_secret", "secret")], "invalid_client"),
        (None, &[("client_id", "basic"), ("client_secret", "secret")], "invalid_client"),
        (None, &[("client_id", "post"), ("client_secret", "wrong")], "invalid_client"),
        (Some(basic("post", "secret")), &[], "invalid_client"),
        (Some(basic("basic", "wrong")), &[], "invalid_client"),
        (Some(basic("app", "")), &[], "invalid_client"),
        (Some(basic("basic", "secret")), &[("client_id", "post")], "invalid_client"),
        (Some("Basic x".to_owned()), &[], "invalid_client"),
        (Some(basic("basic", "secret")), &[("client_secret", "secret")], "invalid_request"),
        (None, &[("client_id", "app"), ("client_id", "app")], "invalid_request"),
        (None, &[("client_assertion", "x")], "invalid_request"),
    ] {
        refused(try_it(header, pairs).await, expect);
    }
}

#[tokio::test]
async fn auth_23_client_credentials_grant_what_is_registered_for_five_minutes() {
    let bench = Bench::new().await;
    let answer = bench.client_credentials("system/*.rs system/Observaton.rs openid user/Patient.rs", json!({})).await;
    let answer = answer.unwrap();
    assert_eq!(answer["scope"], "system/Patient.rs system/Observation.rs");
    assert_eq!((&answer["expires_in"], &answer["token_type"]), (&json!(300), &json!("Bearer")));
    assert!(answer.get("refresh_token").is_none());
    assert!(bench.is_good(&answer).await);
    bench.memory.pass(300 * SECOND);
    assert!(!bench.is_good(&answer).await);
    for scope in ["", "openid", "user/Patient.rs", "system/Condition.rs", "system/Patient.d", "nonsense"] {
        refused(bench.client_credentials(scope, json!({})).await, "invalid_scope");
    }
    refused(bench.token(&[("grant_type", "password")]).await, "unsupported_grant_type");
    refused(bench.token(&[]).await, "invalid_request");
    let post = [("client_id", "post"), ("client_secret", "secret"), ("grant_type", "client_credentials")];
    refused(bench.token(&[&post[..], &[("scope", "system/Patient.rs")]].concat()).await, "unauthorized_client");
}

#[tokio::test]
async fn org_2_the_purpose_is_one_of_the_clients() {
    let bench = Bench::new().await;
    let ask =
        async |b2b: Value| bench.client_credentials("system/Patient.rs", json!({"extensions": {"hl7-b2b": b2b}})).await;
    let purpose = async |answer: Value| {
        let active = bench.server.active(answer["access_token"].as_str().unwrap()).await.unwrap().unwrap();
        active.token.value.purpose.clone()
    };
    let plain = bench.client_credentials("system/Patient.rs", json!({})).await.unwrap();
    assert_eq!(purpose(plain).await.as_deref(), Some("TREAT"));
    let named =
        ask(json!({"organization_id": "https://o", "purpose_of_use": ["urn:oid:2.16.840.1.113883.5.8#HOPERAT"]})).await;
    assert_eq!(purpose(named.unwrap()).await.as_deref(), Some("HOPERAT"));
    for b2b in [
        json!({"purpose_of_use": ["HRESCH"]}),
        json!({"purpose_of_use": []}),
        json!({"purpose_of_use": ["TREAT", "HOPERAT"]}),
        json!({"purpose_of_use": "TREAT"}),
        json!({"organization_id": "https://other"}),
    ] {
        refused(ask(b2b).await, "invalid_grant");
    }
}
