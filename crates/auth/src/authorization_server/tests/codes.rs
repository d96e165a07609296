//! What a code is good for.

use super::*;

#[tokio::test]
async fn auth_3_a_code_is_good_once_for_its_client_redirect_uri_and_verifier_for_a_minute() {
    let bench = Bench::new().await;
    let scopes = "offline_access patient/Observation.rs";
    for verifier in
        ["dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXX", &secret::sha256(VERIFIER.as_bytes()), " ", "", "short"]
    {
        refused(bench.redeem(&bench.code("app", scopes).await, verifier).await, "invalid_grant");
    }
    refused(bench.redeem(&bench.code("other-app", scopes).await, VERIFIER).await, "invalid_grant");
    refused(bench.redeem("tsc_x", VERIFIER).await, "invalid_grant");
    for (redirect, expect) in [("https://app/cb/", "invalid_grant"), ("", "invalid_request")] {
        let code = bench.code("app", scopes).await;
        let grant = ("grant_type", "authorization_code");
        let verifier = ("code_verifier", VERIFIER);
        let pairs = [grant, ("code", &code), ("redirect_uri", redirect), verifier, ("client_id", "app")];
        refused(bench.token(&pairs).await, expect);
    }
    let code = bench.code("app", scopes).await;
    bench.memory.pass(60 * SECOND);
    refused(bench.redeem(&code, VERIFIER).await, "invalid_grant");

    let code = bench.code("app", scopes).await;
    bench.memory.pass(59 * SECOND);
    let first = bench.redeem(&code, VERIFIER).await.unwrap();
    assert!(bench.is_good(&first).await);
    // "the authorization server … SHOULD revoke … all tokens previously issued based on that authorization code"
    refused(bench.redeem(&code, VERIFIER).await, "invalid_grant");
    assert!(!bench.is_good(&first).await);
    refused(bench.refresh(&first).await, "invalid_grant");
}

#[tokio::test]
async fn auth_3_a_code_ends_with_the_session_that_it_was_issued_in() {
    let bench = Bench::new().await;
    let scopes = "offline_access patient/Observation.rs";
    let (code, before) = (bench.code("app", scopes).await, bench.begin(scopes).await);
    session::end(&*bench.memory, &bench.session).await.unwrap();
    refused(bench.redeem(&code, VERIFIER).await, "invalid_grant");
    // What was redeemed in time lasts.
    assert!(bench.is_good(&before).await);
}

#[tokio::test]
async fn auth_3_what_two_redeem_at_once_is_good_for_neither() {
    let bench = Bench::new().await;
    let code = bench.code("app", "patient/Observation.rs").await;
    let (a, b) = tokio::join!(bench.redeem(&code, VERIFIER), bench.redeem(&code, VERIFIER));
    let won: Vec<Value> = [a, b].into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.len(), 1);
    assert!(!bench.is_good(&won[0]).await);
}

#[tokio::test]
async fn core_5_no_code_without_what_its_scopes_need() {
    let bench = Bench::new().await;
    let agreed = |scopes: &str| code::Agreed {
        client: "app".to_owned(),
        user: "ann".to_owned(),
        scopes: Scopes::parse(scopes, Bench::definitions()),
        context: LaunchContext::default(),
        session: bench.session.clone(),
        authenticated: 0,
    };
    let challenge = secret::sha256(b"x");
    for (scopes, challenge, expect) in [
        ("patient/Patient.r", challenge.as_str(), "access_denied"),
        ("system/Patient.r", &challenge, "invalid_scope"),
        ("", &challenge, "invalid_scope"),
        ("user/Patient.r", "plain", "invalid_request"),
    ] {
        let issued = code::issue(&*bench.memory, 0, agreed(scopes), REDIRECT, challenge, None).await;
        refused(issued, expect);
    }
}
