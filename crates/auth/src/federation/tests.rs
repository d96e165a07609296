//! Each way to be refused by itself: the answer differs from a good one in that alone.

use super::*;
use crate::{
    testing::{self, Issuer, Memory, SignedBy, form, with},
    user,
};
use serde_json::json;
use tessera_model::interaction::query_pairs;

struct Bench {
    memory: Arc<Memory>,
    issuer: Issuer,
    server: AuthorizationServer,
}

/// What the browser was sent away with.
struct Sent(Vec<(String, String)>);

impl Sent {
    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

impl Bench {
    async fn new() -> Self {
        let (memory, issuer) = (Memory::new(), Issuer::new());
        let settings = FederationSettings {
            provider: Issuer::settings(),
            credentials: Issuer::credentials(),
            name: "IdP".into(),
            passwords: false,
        };
        let server = testing::server(&memory, issuer.web.clone()).await.federated(settings, issuer.web.clone());
        let bench = Self { memory, issuer, server };
        bench.user("ann", true, "u1").await;
        bench
    }

    async fn user(&self, name: &str, enabled: bool, subject: &str) {
        let user = json!({
            "name": name, "role": "clinician", "fhir_user": null, "policy": ["*"], "password": null, "enabled": enabled,
        });
        assert!(user::add(&*self.memory, name, serde_json::from_value(user).unwrap()).await.unwrap());
        assert!(identity::link(&*self.memory, Identity::checked(Issuer::ID, subject).unwrap(), name).await.unwrap());
    }

    async fn begin(&self, recent: Recent) -> Sent {
        let url = self.server.begin_login(None, "browser", "client_id=app", recent).await.unwrap();
        Sent(query_pairs(url.split_once('?').unwrap().1))
    }

    fn claims(&self, sent: &Sent) -> Value {
        let now = self.memory.now() / SECOND;
        json!({"iss": Issuer::ID, "aud": "ehr", "sub": "u1", "exp": now + 300, "iat": now, "nonce": sent.get("nonce")})
    }

    /// The provider will answer with an id_token that says this.
    fn answers(&self, header: &Value, claims: &Value) {
        let token = self.issuer.key.sign(header, claims);
        self.issuer.web.put(Issuer::TOKEN, &json!({"access_token": "x", "id_token": token}).to_string(), None);
    }

    async fn end(&self, browser: &str, pairs: &[(&str, &str)]) -> Result<LoggedIn, NotLoggedIn> {
        self.server.end_login(browser, &form(pairs)).await
    }

    /// A login whose id_token has these members in its header and its claims.
    async fn with(&self, header: &Value, change: &Value) -> Result<LoggedIn, NotLoggedIn> {
        let sent = self.begin(Recent::default()).await;
        self.answers(header, &with(self.claims(&sent), change));
        self.end("browser", &[("state", sent.get("state")), ("code", "c")]).await
    }
}

fn is_denied(result: &Result<LoggedIn, NotLoggedIn>) -> bool {
    matches!(result, Err(NotLoggedIn::Error(Error::AccessDenied(_))))
}

#[tokio::test]
async fn auth_13_a_login_elsewhere_is_one_of_the_user_who_is_linked() {
    let bench = Bench::new().await;
    let sent = bench.begin(Recent::default()).await;
    let expect = [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", "ehr"),
        ("redirect_uri", "https://ehr/auth/callback"),
        ("scope", "openid"),
        ("code_challenge_method", "S256"),
        ("prompt", ""),
    ];
    for (name, value) in expect {
        assert_eq!(sent.get(name), value, "{name}");
    }
    assert!(["state", "nonce", "code_challenge"].iter().all(|name| sent.get(name).len() == 43));
    bench.answers(&json!({}), &bench.claims(&sent));
    let answer = [("state", sent.get("state")), ("code", "c"), ("iss", Issuer::ID)];
    let logged_in = bench.end("browser", &answer).await.unwrap();
    assert_eq!((logged_in.user.key.as_str(), logged_in.request.as_str()), ("ann", "client_id=app"));
    assert!(is_denied(&bench.end("browser", &answer).await), "once");
    let form = bench.issuer.web.posted();
    let verifier = form.iter().find(|(name, _)| name == "code_verifier").map(|(_, value)| value.clone()).unwrap();
    assert_eq!(secret::sha256(verifier.as_bytes()), sent.get("code_challenge"));
    for change in [
        json!({"aud": ["ehr"]}),
        json!({"aud": ["ehr", "other"], "azp": "ehr"}),
        json!({"azp": "ehr"}),
        json!({"typ": "ID"}),
        json!({"email": "x@y", "at_hash": "h"}),
    ] {
        assert!(bench.with(&json!({}), &change).await.is_ok(), "{change}");
    }
}

#[tokio::test]
async fn auth_13_a_login_belongs_to_the_browser_that_has_begun_it() {
    let bench = Bench::new().await;
    let sent = bench.begin(Recent::default()).await;
    bench.answers(&json!({}), &bench.claims(&sent));
    let answer = [("state", sent.get("state")), ("code", "c")];
    for other in ["other", ""] {
        assert!(is_denied(&bench.end(other, &answer).await), "{other}");
    }
    for state in ["", "x", &secret::sha256(sent.get("state").as_bytes())] {
        assert!(is_denied(&bench.end("browser", &[("state", state), ("code", "c")]).await), "{state}");
    }
    assert!(bench.end("browser", &answer).await.is_ok());
    let sent = bench.begin(Recent::default()).await;
    bench.memory.pass(LIFETIME);
    bench.answers(&json!({}), &bench.claims(&sent));
    assert!(is_denied(&bench.end("browser", &[("state", sent.get("state")), ("code", "c")]).await), "too late");
}

#[tokio::test]
async fn auth_13_an_id_token_is_of_the_provider_for_this_login() {
    let bench = Bench::new().await;
    let now = bench.memory.now() / SECOND;
    for change in [
        json!({"iss": "https://idp/realm/"}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": ["other"]}),
        json!({"aud": null}),
        json!({"aud": ["ehr", "other"]}),
        json!({"aud": ["ehr", "other"], "azp": "other"}),
        json!({"azp": "other"}),
        json!({"exp": now - 60}),
        json!({"exp": null}),
        json!({"iat": now + 61}),
        json!({"iat": now - 61}),
        json!({"iat": null}),
        json!({"nbf": now + 61}),
        json!({"nonce": "x"}),
        json!({"nonce": null}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": "x".repeat(256)}),
        json!({"typ": "Bearer"}),
    ] {
        assert!(is_denied(&bench.with(&json!({}), &change).await), "{change}");
    }
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "RS256"}),
        json!({"kid": null}),
        json!({"kid": "unknown"}),
        json!({"crit": ["x"]}),
        json!({"jwk": bench.issuer.key.public}),
    ] {
        assert!(is_denied(&bench.with(&header, &json!({})).await), "{header}");
    }
    let sent = bench.begin(Recent::default()).await;
    let forged = SignedBy::es384("k").sign(&json!({}), &bench.claims(&sent));
    bench.issuer.web.put(Issuer::TOKEN, &json!({"id_token": forged}).to_string(), None);
    assert!(is_denied(&bench.end("browser", &[("state", sent.get("state")), ("code", "c")]).await));
    for answer in [json!({}), json!({"id_token": "x"}), json!({"error": "invalid_grant"})] {
        let sent = bench.begin(Recent::default()).await;
        bench.issuer.web.put(Issuer::TOKEN, &answer.to_string(), None);
        assert!(is_denied(&bench.end("browser", &[("state", sent.get("state")), ("code", "c")]).await), "{answer}");
    }
}

#[tokio::test]
async fn auth_13_an_answer_of_another_issuer_is_not_mixed_up() {
    let bench = Bench::new().await;
    let answer = async |more: &[(&str, &str)]| {
        let sent = bench.begin(Recent::default()).await;
        bench.answers(&json!({}), &bench.claims(&sent));
        bench.end("browser", &[&[("state", sent.get("state")), ("code", "c")][..], more].concat()).await
    };
    assert!(answer(&[]).await.is_ok());
    assert!(is_denied(&answer(&[("iss", "https://evil")]).await));
    bench.issuer.publish(&json!({"authorization_response_iss_parameter_supported": true}));
    bench.memory.pass(3600 * SECOND);
    assert!(is_denied(&answer(&[]).await), "it says that it always sends iss");
    assert!(answer(&[("iss", Issuer::ID)]).await.is_ok());
    assert!(matches!(
        answer(&[("code", "d")]).await,
        Err(NotLoggedIn::Error(Error::InvalidRequest(_) | Error::AccessDenied(_)))
    ));
    let sent = bench.begin(Recent::default()).await;
    let refused = [("state", sent.get("state")), ("error", "access_denied"), ("iss", Issuer::ID)];
    assert!(is_denied(&bench.end("browser", &refused).await));
}

#[tokio::test]
async fn auth_13_who_is_not_linked_is_told_so_and_not_let_in() {
    let bench = Bench::new().await;
    let change = json!({"sub": "u2", "email": "ann@example.org", "preferred_username": "ann"});
    match bench.with(&json!({}), &change).await {
        Err(NotLoggedIn::Unknown(identity)) => assert_eq!(identity, Identity::checked(Issuer::ID, "u2").unwrap()),
        other => panic!("{other:?}"),
    }
    bench.user("off", false, "u3").await;
    assert!(is_denied(&bench.with(&json!({}), &json!({"sub": "u3"})).await));
    let elsewhere = Identity::checked("https://other", "u4").unwrap();
    assert!(identity::link(&*bench.memory, elsewhere, "ann").await.unwrap());
    assert!(matches!(bench.with(&json!({}), &json!({"sub": "u4"})).await, Err(NotLoggedIn::Unknown(_))));
    let own = Identity::checked(Issuer::ID, "u1").unwrap();
    assert!(!identity::link(&*bench.memory, own.clone(), "off").await.unwrap(), "linked to one user");
    assert!(!identity::unlink(&*bench.memory, &own, "off").await.unwrap());
    assert!(identity::unlink(&*bench.memory, &own, "ann").await.unwrap());
    assert!(matches!(bench.with(&json!({}), &json!({})).await, Err(NotLoggedIn::Unknown(_))));
}

#[tokio::test]
async fn a_login_is_as_recent_as_the_app_wants_it() {
    let bench = Bench::new().await;
    let log_in = async |recent: Recent, ago: Option<i64>| {
        let sent = bench.begin(recent).await;
        let time = ago.map(|ago| bench.memory.now() / SECOND - ago);
        bench.answers(&json!({}), &with(bench.claims(&sent), &json!({"auth_time": time})));
        let ended = bench.end("browser", &[("state", sent.get("state")), ("code", "c")]).await;
        (sent, ended.map(|logged_in| (bench.memory.now() - logged_in.since) / SECOND).ok())
    };
    let now = Recent { now: true, max_age: None };
    let (sent, ended) = log_in(now, Some(0)).await;
    assert_eq!((sent.get("prompt"), ended), ("login", Some(0)));
    assert_eq!(log_in(now, Some(61)).await.1, None);
    assert_eq!(log_in(now, None).await.1, None);
    let recent = Recent { now: false, max_age: Some(100) };
    let (sent, ended) = log_in(recent, Some(160)).await;
    assert_eq!((sent.get("max_age"), ended), ("100", Some(160)));
    assert_eq!(log_in(recent, Some(161)).await.1, None);
    assert_eq!(log_in(recent, None).await.1, None);
    assert_eq!(log_in(Recent::default(), Some(5000)).await.1, Some(5000));
    assert_eq!(log_in(Recent::default(), None).await.1, Some(0));
}

#[tokio::test]
async fn a_provider_that_does_not_answer_lets_nobody_in() {
    let bench = Bench::new().await;
    assert_eq!(bench.server.provider_logout().await.as_deref(), Some("https://idp/logout?client_id=ehr"));
    let sent = bench.begin(Recent::default()).await;
    bench.issuer.web.refuse(Issuer::TOKEN);
    assert!(is_denied(&bench.end("browser", &[("state", sent.get("state")), ("code", "c")]).await));
    let sent = bench.begin(Recent::default()).await;
    bench.issuer.web.take(Issuer::TOKEN);
    let ended = bench.end("browser", &[("state", sent.get("state")), ("code", "c")]).await;
    assert!(matches!(ended, Err(NotLoggedIn::Error(Error::Unavailable(_)))));
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    assert!(bench.server.begin_login(None, "browser", &long, Recent::default()).await.is_err());
}

#[tokio::test]
async fn auth_13_an_address_begins_20_logins_and_then_one_in_3_seconds() {
    let bench = Bench::new().await;
    let begin = async |last: u8| {
        let from = Some(IpAddr::from([192, 0, 2, last]));
        bench.server.begin_login(from, "browser", "", Recent::default()).await
    };
    for _ in 0..20 {
        begin(1).await.unwrap();
    }
    bench.memory.pass(3 * SECOND - 1);
    assert!(matches!(begin(1).await, Err(Error::TooManyAttempts)));
    assert!(begin(2).await.is_ok(), "others are not slowed down");
    bench.memory.pass(1);
    assert!(begin(1).await.is_ok());
    assert!(matches!(begin(1).await, Err(Error::TooManyAttempts)));
}
