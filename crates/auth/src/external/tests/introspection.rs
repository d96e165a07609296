//! Tokens that the issuer is asked about.

use super::*;

#[tokio::test]
async fn auth_30_an_opaque_token_is_good_as_long_as_the_issuer_says_so() {
    let bench = Bench::of_introspection(|_| {});
    bench.answers(&json!({"token_type": "Bearer"}));
    assert_eq!(seen(bench.access("opaque").await.as_ref()), ["all"; 3]);
    let count = bench.issuer.web.count();
    bench.memory.pass(29 * SECOND);
    assert!(bench.access("opaque").await.is_some());
    assert_eq!(bench.issuer.web.count(), count, "believed for half a minute");
    bench.answers(&json!({"active": false}));
    bench.memory.pass(SECOND);
    assert!(bench.access("opaque").await.is_none());
    for change in [
        json!({"active": "true"}),
        json!({"active": null}),
        json!({"iss": "https://other"}),
        json!({"aud": null}),
        json!({"aud": "app"}),
        json!({"exp": null}),
        json!({"exp": bench.now() - 61}),
        json!({"nbf": bench.now() + 61}),
        json!({"scope": null}),
        json!({"client_id": null}),
        json!({"token_type": "refresh_token"}),
        json!({"typ": "Refresh"}),
        json!({"nonce": "n"}),
    ] {
        bench.answers(&change);
        assert!(bench.access(&change.to_string()).await.is_none(), "{change}");
    }
    bench.issuer.web.refuse(Issuer::INTROSPECTION);
    assert!(bench.access("of another kind").await.is_none());
    bench.answers(&json!({"iss": null}));
    assert!(bench.access("without iss").await.is_some());
    let lax = Bench::of_introspection(|settings| {
        settings.tokens = Tokens::Introspection { credentials: Issuer::credentials(), may_lack_audience: true };
    });
    lax.answers(&json!({"aud": null}));
    assert!(lax.access("a").await.is_some());
    lax.answers(&json!({"aud": "app"}));
    assert!(lax.access("b").await.is_none(), "one that is there counts");
}

#[tokio::test]
async fn auth_30_an_answer_is_not_believed_beyond_the_end_of_the_token() {
    let bench = Bench::of_introspection(|_| {});
    bench.answers(&json!({"exp": bench.now() + 10}));
    assert!(bench.access("t").await.is_some());
    bench.answers(&json!({"active": false}));
    bench.memory.pass(9 * SECOND);
    assert!(bench.access("t").await.is_some());
    bench.memory.pass(SECOND);
    assert!(bench.access("t").await.is_none());
}

#[tokio::test]
async fn auth_30_without_an_answer_nobody_is_let_in() {
    let bench = Bench::of_introspection(|_| {});
    assert!(matches!(bench.external.access("t").await, Err(Error::Unavailable(_))));
    let count = bench.issuer.web.count();
    assert!(bench.external.access("t").await.is_err());
    assert_eq!(bench.issuer.web.count(), count, "asked again after a second only");
    bench.answers(&json!({}));
    bench.memory.pass(SECOND);
    assert!(bench.access("t").await.is_some());
    bench.issuer.web.put(Issuer::INTROSPECTION, "[]", None);
    bench.memory.pass(30 * SECOND);
    assert!(bench.external.access("t").await.is_err());
}

#[tokio::test]
async fn auth_30_a_token_is_asked_about_once_at_a_time() {
    let bench = Bench::of_introspection(|_| {});
    bench.answers(&json!({}));
    assert!(bench.access("first").await.is_some());
    let before = bench.issuer.web.count();
    let asked = (0..50).map(|_| bench.access("second"));
    assert!(futures::future::join_all(asked).await.iter().all(Option::is_some));
    assert_eq!(bench.issuer.web.count(), before + 1);
}

#[tokio::test]
async fn a_token_is_not_longer_than_what_a_header_holds() {
    let bench = Bench::of_introspection(|_| {});
    bench.answers(&json!({}));
    assert!(bench.access(&"x".repeat(TOKEN_BYTES_MAX)).await.is_some());
    assert!(bench.access(&"x".repeat(TOKEN_BYTES_MAX + 1)).await.is_none());
}
