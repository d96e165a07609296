//! What a token that is good grants here.

use super::*;

#[tokio::test]
async fn scp_5_scopes_of_an_external_token_do_not_exceed_what_is_set_here() {
    let bench = Bench::of_jwts(|settings| {
        settings.client_policy = vec![];
        settings.user_policy = vec!["Observation".into()];
    });
    let check = async |change: Value, expect: [&str; 3]| {
        assert_eq!(seen(bench.of_claims(&change).await.as_ref()), expect, "{change}");
    };
    let of_one = ["some", "some", "all"];
    check(json!({"scope": "system/*.rs"}), ["none"; 3]).await;
    let practitioner = |scope: &str| json!({"scope": scope, "fhirUser": "https://ehr/fhir/Practitioner/9"});
    check(practitioner("user/*.rs"), ["none", "all", "none"]).await;
    check(json!({"scope": "patient/*.rs", "patient": "1", "fhirUser": "Practitioner/9"}), ["none", "some", "none"])
        .await;
    check(json!({"scope": "user/*.rs", "fhirUser": "Patient/1"}), of_one).await;
    check(json!({"scope": "patient/*.rs", "patient": "1"}), of_one).await;
    check(json!({"scope": "patient/*.rs", "patient": "1", "fhirUser": "Patient/1"}), of_one).await;
    check(json!({"scope": "patient/*.rs", "patient": "2", "fhirUser": "Patient/1"}), ["none"; 3]).await;
    check(json!({"scope": "patient/*.rs", "patient": "2", "fhirUser": "RelatedPerson/1"}), of_one).await;
    check(json!({"scope": "user/*.rs", "fhirUser": "RelatedPerson/1"}), ["none"; 3]).await;
    for mixed in [
        json!({"scope": "system/*.rs user/*.rs", "fhirUser": "Practitioner/9"}),
        json!({"scope": "system/*.rs", "fhirUser": "Practitioner/9"}),
        json!({"scope": "system/*.rs", "patient": "1"}),
        json!({"scope": "system/*.rs patient/*.rs"}),
    ] {
        assert!(bench.of_claims(&mixed).await.is_none(), "{mixed}");
    }
}

#[tokio::test]
async fn scp_5_a_user_who_is_linked_to_the_subject_sees_what_they_see() {
    let bench = Bench::of_jwts(|_| {});
    bench.user("ann", &json!({})).await;
    bench.link("u1", "ann").await;
    let user = |more: Value| with(json!({"scope": "user/*.rs"}), &more);
    assert_eq!(seen(bench.of_claims(&user(json!({}))).await.as_ref()), ["all", "none", "none"]);
    assert!(bench.of_claims(&user(json!({"fhirUser": "Practitioner/1"}))).await.is_some());
    assert!(bench.of_claims(&user(json!({"fhirUser": "Practitioner/2"}))).await.is_none());
    assert_eq!(seen(bench.of_claims(&user(json!({"sub": "u2"}))).await.as_ref()), ["none"; 3]);
    assert!(bench.of_claims(&json!({})).await.is_none(), "system/ for somebody who is a user");
    bench.user("off", &json!({"enabled": false})).await;
    bench.link("u3", "off").await;
    assert!(bench.of_claims(&user(json!({"sub": "u3", "fhirUser": "Practitioner/1"}))).await.is_none());
    bench
        .user("pat", &json!({"role": "patient", "fhir_user": "Patient/1", "patients": ["1", "2"], "policy": []}))
        .await;
    bench.link("u4", "pat").await;
    let proxy = |patient: &str| json!({"scope": "patient/*.rs", "sub": "u4", "patient": patient});
    assert_eq!(seen(bench.of_claims(&proxy("2")).await.as_ref()), ["some", "some", "all"]);
    assert_eq!(seen(bench.of_claims(&proxy("3")).await.as_ref()), ["none"; 3]);
}

#[tokio::test]
async fn scp_5_a_client_that_is_registered_has_no_more_than_its_registration() {
    let bench = Bench::of_jwts(|settings| settings.claims.purpose = "purpose".into());
    bench
        .client(&json!({
            "scopes": "system/Patient.rs", "policy": ["Patient?active=true"], "purposes": ["TREAT"],
            "organization": {"name": "O", "uri": "https://o"},
        }))
        .await;
    let token = |purpose: &str| json!({"purpose": purpose});
    let access = bench.of_claims(&token("TREAT")).await;
    assert_eq!(seen(access.as_ref()), ["some", "none", "none"]);
    assert_eq!(access.unwrap().caller().organization.as_deref(), Some("https://o"));
    assert!(bench.of_claims(&token("HRESCH")).await.is_none(), "ORG-2");
    for change in [json!({"enabled": false}), json!({"expires": 1})] {
        let bench = Bench::of_jwts(|_| {});
        bench.client(&change).await;
        assert!(bench.of_claims(&json!({})).await.is_none(), "{change}");
    }
    let bench = Bench::of_jwts(|settings| settings.claims.organization = "org".into());
    bench.client(&json!({"organization": {"name": "O", "uri": "https://o"}})).await;
    assert!(bench.of_claims(&json!({"org": "https://o"})).await.is_some());
    assert!(bench.of_claims(&json!({"org": "https://other"})).await.is_none());
}

#[tokio::test]
async fn http_4_a_client_that_is_registered_here_has_the_limits_of_its_registration() {
    let bench = Bench::of_jwts(|_| {});
    let token = bench.issuer.key.sign(&json!({}), &bench.claims(&json!({})));
    let limits = async || bench.external.access(&token).await.unwrap().unwrap().limits;
    assert_eq!(limits().await, None);
    let own = json!({"requests_per_second": 900, "burst": 9, "searches": 9, "costly": 9});
    bench.client(&json!({"limits": own})).await;
    assert_eq!(limits().await.map(|limits| limits.requests_per_second), Some(900));
}
