//! The grants, from a code to the last refresh, with a clock that is set.

use super::*;
use crate::{
    client, code, consent,
    jws::{self, Jws},
    kept::{DAY, SECOND},
    launch::{self, LaunchContext},
    scope::Scopes,
    secret, session,
    testing::{Memory, SignedBy, Web},
    user,
};
use serde_json::json;

const BASE: &str = "https://ehr/fhir";
const REDIRECT: &str = "https://app/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

struct Bench {
    memory: Arc<Memory>,
    server: AuthorizationServer,
    backend: SignedBy,
    session: String,
}

fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Bench {
    async fn new() -> Self {
        let (memory, backend) = (Memory::new(), SignedBy::es384("k"));
        let parts = Parts {
            records: memory.clone(),
            clock: memory.clone(),
            master: MasterKey::new([1; 32]),
            fetch: Web::new(),
            related_persons: memory.clone(),
            base: BASE.to_owned(),
        };
        let server = AuthorizationServer::new(parts).await.unwrap();
        let everything = "openid fhirUser launch/patient offline_access online_access patient/*.cruds user/*.cruds";
        let keys = json!({"jwks": {"keys": [backend.public]}, "algorithms": ["ES384"]});
        let digest = secret::sha256(b"secret");
        for (id, authentication, scopes) in [
            ("app", json!("none"), everything),
            ("other-app", json!("none"), everything),
            ("basic", json!({"client_secret_basic": digest}), everything),
            ("post", json!({"client_secret_post": digest}), everything),
            (
                "backend",
                json!({"private_key_jwt": keys}),
                "system/Patient.rs system/Observation.cruds user/*.rs openid",
            ),
        ] {
            let client = json!({
                "name": id, "authentication": authentication, "scopes": scopes, "enabled": true,
                "redirect_uris": [REDIRECT], "introspects": id == "basic" || id == "app",
                "purposes": ["TREAT", "HOPERAT"], "organization": {"name": "O", "uri": "https://o"},
            });
            client::register(&*memory, id, serde_json::from_value(client).unwrap()).await.unwrap();
        }
        let ann = json!({
            "name": "Ann", "role": "patient", "fhir_user": "Patient/1", "patients": ["1"], "password": null, "enabled": true,
        });
        user::add(&*memory, "ann", serde_json::from_value(ann).unwrap()).await.unwrap();
        let session = session::create(&*memory, memory.now(), "ann").await.unwrap().digest();
        Self { memory, server, backend, session }
    }

    fn definitions() -> &'static Definitions {
        Definitions::r4()
    }

    async fn code(&self, client: &str, scopes: &str) -> String {
        let agreed = code::Agreed {
            client: client.to_owned(),
            user: "ann".to_owned(),
            scopes: Scopes::parse(scopes, Self::definitions()),
            context: LaunchContext { patient: Some("1".to_owned()), ..LaunchContext::default() },
            session: self.session.clone(),
            authenticated: self.memory.now(),
        };
        let challenge = secret::sha256(VERIFIER.as_bytes());
        let nonce = Some("n-1".to_owned());
        let code = code::issue(&*self.memory, self.memory.now(), agreed, REDIRECT, &challenge, nonce).await;
        code.unwrap().expose().to_owned()
    }

    async fn token(&self, pairs: &[(&str, &str)]) -> Result<Value, Error> {
        self.server.token(None, &form(pairs)).await.map(|issued| issued.answer).map_err(|refused| refused.error)
    }

    async fn redeem(&self, code: &str, verifier: &str) -> Result<Value, Error> {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
            ("client_id", "app"),
        ])
        .await
    }

    async fn begin(&self, scopes: &str) -> Value {
        self.redeem(&self.code("app", scopes).await, VERIFIER).await.unwrap()
    }

    async fn refresh(&self, of: &Value) -> Result<Value, Error> {
        let secret = of["refresh_token"].as_str().unwrap();
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", secret), ("client_id", "app")]).await
    }

    async fn is_good(&self, answer: &Value) -> bool {
        self.server.active(answer["access_token"].as_str().unwrap()).await.unwrap().is_some()
    }

    async fn assertion(&self, claims: Value) -> String {
        let mut all = json!({
            "iss": "backend", "sub": "backend", "aud": "https://ehr/auth/token",
            "exp": self.memory.now() / SECOND + 60, "jti": secret::random_text().unwrap(),
        });
        for (name, claim) in claims.as_object().unwrap() {
            all[name] = claim.clone();
        }
        self.backend.sign(&json!({}), &all)
    }

    async fn client_credentials(&self, scope: &str, claims: Value) -> Result<Value, Error> {
        let assertion = self.assertion(claims).await;
        self.token(&[
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ])
        .await
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: &str) {
    match result {
        Err(error) => assert_eq!(error.code(), code, "{error}"),
        Ok(value) => panic!("expected {code}: {value:?}"),
    }
}

#[test]
fn the_authorization_server_is_beside_the_api() {
    for (base, token) in [
        ("https://h/fhir", "https://h/auth/token"),
        ("https://h:1/ehr/r4", "https://h:1/ehr/auth/token"),
        ("https://h", "https://h/auth/token"),
    ] {
        assert_eq!(Urls::of(base).token(), token);
    }
}

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

#[tokio::test]
async fn auth_9_a_refresh_token_is_used_once() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/*.rs").await;
    bench.memory.pass(61 * SECOND);
    let second = bench.refresh(&first).await.unwrap();
    assert_eq!(second["scope"], "offline_access patient/*.rs");
    assert_eq!(second["patient"], "1");
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert!(bench.is_good(&second).await);
    let third = bench.refresh(&second).await.unwrap();
    // Used up long ago: somebody else has it, so nobody keeps anything.
    refused(bench.refresh(&first).await, "invalid_grant");
    refused(bench.refresh(&third).await, "invalid_grant");
    assert!(!bench.is_good(&third).await);
}

#[tokio::test]
async fn auth_9_a_public_app_refreshes_without_saying_who_it_is_and_nobody_else_does() {
    let bench = Bench::new().await;
    let refresh = async |of: &Value| {
        let secret = of["refresh_token"].as_str().unwrap();
        bench.token(&[("grant_type", "refresh_token"), ("refresh_token", secret)]).await
    };
    let first = bench.begin("offline_access patient/*.rs").await;
    let second = refresh(&first).await.unwrap();
    assert!(bench.is_good(&second).await);
    refused(refresh(&json!({"refresh_token": "nonsense"})).await, "invalid_client");
    // One that keeps a secret must show it.
    let code = bench.code("post", "offline_access patient/*.rs").await;
    let secret = [("client_id", "post"), ("client_secret", "secret")];
    let pairs = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", REDIRECT)];
    let confidential = bench.token(&[&pairs[..], &[("code_verifier", VERIFIER)], &secret].concat()).await.unwrap();
    refused(refresh(&confidential).await, "invalid_client");
}

#[tokio::test]
async fn auth_9_when_the_answer_was_lost_the_same_token_is_taken_again_within_a_minute() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/*.rs").await;
    let lost = bench.refresh(&first).await.unwrap();
    bench.memory.pass(60 * SECOND);
    let again = bench.refresh(&first).await.unwrap();
    assert!(!bench.is_good(&lost).await, "the unused successors are revoked");
    refused(bench.refresh(&lost).await, "invalid_grant");
    assert!(bench.is_good(&again).await);

    let first = bench.begin("offline_access patient/*.rs").await;
    let lost = bench.refresh(&first).await.unwrap();
    bench.memory.pass(61 * SECOND);
    refused(bench.refresh(&first).await, "invalid_grant");
    assert!(!bench.is_good(&lost).await, "too late: the family is revoked");
}

#[tokio::test]
async fn auth_9_a_successor_that_was_used_was_not_lost() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/*.rs").await;
    let second = bench.refresh(&first).await.unwrap();
    assert!(bench.is_good(&second).await);
    refused(bench.refresh(&first).await, "invalid_grant");
    refused(bench.refresh(&second).await, "invalid_grant");
    assert!(!bench.is_good(&second).await);

    let first = bench.begin("offline_access patient/*.rs").await;
    let second = bench.refresh(&first).await.unwrap();
    let third = bench.refresh(&second).await.unwrap();
    refused(bench.refresh(&first).await, "invalid_grant");
    refused(bench.refresh(&third).await, "invalid_grant");
}

#[tokio::test]
async fn auth_9_of_concurrent_refreshes_one_branch_lives() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/*.rs").await;
    let all = futures::future::join_all((0..4).map(|_| bench.refresh(&first))).await;
    let answers: Vec<Value> = all.into_iter().filter_map(Result::ok).collect();
    assert!(!answers.is_empty());
    let mut live = 0;
    for answer in &answers {
        live += usize::from(bench.is_good(answer).await);
    }
    assert_eq!(live, 1);
}

#[tokio::test]
async fn auth_9_offline_access_lasts_100_days_from_its_last_use_and_a_year_altogether() {
    let bench = Bench::new().await;
    let mut last = bench.begin("offline_access patient/*.rs").await;
    for _ in 0..3 {
        bench.memory.pass(99 * DAY);
        last = bench.refresh(&last).await.unwrap();
    }
    bench.memory.pass(67 * DAY);
    last = bench.refresh(&last).await.unwrap();
    bench.memory.pass(DAY);
    refused(bench.refresh(&last).await, "invalid_grant");
    let last = bench.begin("offline_access patient/*.rs").await;
    bench.memory.pass(100 * DAY);
    refused(bench.refresh(&last).await, "invalid_grant");
}

#[tokio::test]
async fn auth_9_online_access_ends_with_the_session() {
    let bench = Bench::new().await;
    let online = bench.begin("online_access patient/*.rs").await;
    let offline = bench.begin("offline_access patient/*.rs").await;
    let next = bench.refresh(&online).await.unwrap();
    assert!(bench.is_good(&next).await && bench.is_good(&offline).await);
    session::end(&*bench.memory, &bench.session).await.unwrap();
    bench.memory.pass(5 * SECOND);
    assert!(!bench.is_good(&next).await);
    refused(bench.refresh(&next).await, "invalid_grant");
    assert!(bench.is_good(&offline).await);
    bench.refresh(&offline).await.unwrap();
}

#[tokio::test]
async fn auth_9_a_refresh_may_ask_for_less_and_never_for_more() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/Observation.rs").await;
    let secret = first["refresh_token"].as_str().unwrap();
    let ask = async |secret: &str, scope: &str, client: &str| {
        let pairs =
            [("grant_type", "refresh_token"), ("refresh_token", secret), ("scope", scope), ("client_id", client)];
        bench.token(&pairs).await
    };
    for more in ["patient/*.rs", "patient/Observation.cruds", "patient/Observation.rs system/Patient.r", "nonsense"] {
        refused(ask(secret, more, "app").await, "invalid_scope");
    }
    refused(ask(secret, "patient/Observation.r", "other-app").await, "invalid_grant");
    let less = ask(secret, "patient/Observation.r", "app").await.unwrap();
    assert_eq!(less["scope"], "patient/Observation.r");
    let all = bench.refresh(&less).await.unwrap();
    assert_eq!(all["scope"], "offline_access patient/Observation.rs", "what was granted stays granted");
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

#[tokio::test]
async fn auth_6_a_launch_is_taken_once_by_its_client_within_its_session_for_five_minutes() {
    let memory = Memory::new();
    let context = LaunchContext { patient: Some("1".to_owned()), ..LaunchContext::default() };
    let create = async || launch::create(&*memory, memory.now(), "app", "s", context.clone()).await.unwrap();
    let take = async |handle: &str, client: &str, session: &str| {
        launch::consume(&*memory, handle, client, session).await.unwrap()
    };
    let handle = create().await;
    assert_eq!(take(handle.expose(), "other", "s").await, None);
    assert_eq!(take(handle.expose(), "app", "t").await, None);
    assert_eq!(take("x", "app", "s").await, None);
    assert_eq!(take(handle.expose(), "app", "s").await, Some(context.clone()));
    assert_eq!(take(handle.expose(), "app", "s").await, None);
    let handle = create().await;
    memory.pass(300 * SECOND);
    assert_eq!(take(handle.expose(), "app", "s").await, None);
}

#[tokio::test]
async fn auth_7_consent_is_remembered_for_no_more_than_was_agreed_to() {
    let memory = Memory::new();
    let scopes = |text: &str| Scopes::parse(text, Bench::definitions());
    let covers =
        async |client: &str, text: &str| consent::covers(&*memory, "ann", client, &scopes(text)).await.unwrap();
    let remember = async |client: (&str, bool), text: &str| {
        consent::remember(&*memory, memory.now(), "ann", client, &scopes(text)).await.unwrap();
    };
    assert!(!covers("app", "openid").await);
    remember(("app", false), "openid offline_access patient/*.rs").await;
    assert!(covers("app", "openid patient/*.rs").await);
    assert!(!covers("app", "openid patient/*.cruds").await);
    assert!(!covers("other", "openid").await);
    assert!(!consent::covers(&*memory, "bob", "app", &scopes("openid")).await.unwrap());
    remember(("app", false), "openid").await;
    assert!(!covers("app", "patient/*.rs").await);
    remember(("app", true), "openid offline_access").await;
    assert!(!covers("app", "openid").await, "never for a public client with offline access");
    consent::forget(&*memory, "ann", "app").await.unwrap();
}

#[tokio::test]
async fn auth_13_the_right_password_lets_in_and_the_answer_to_others_is_one() {
    let bench = Bench::new().await;
    let mut ann = user::find(&*bench.memory, "ann").await.unwrap().unwrap();
    let log_in = async |name: &str, password: &str| {
        let now = bench.memory.now();
        bench.server.logins().log_in(&*bench.memory, now, None, name, password).await.map(|user| user.key)
    };
    refused(log_in("ann", "").await, "access_denied");
    ann.value.password = Some(user::hash("right").unwrap());
    user::update(&*bench.memory, &ann).await.unwrap();
    assert_eq!(log_in("ann", "right").await.unwrap(), "ann");
    let texts = [log_in("ann", "wrong").await, log_in("bob", "right").await].map(|r| r.unwrap_err().to_string());
    assert_eq!(texts[0], texts[1]);
    let mut ann = user::find(&*bench.memory, "ann").await.unwrap().unwrap();
    ann.value.enabled = false;
    user::update(&*bench.memory, &ann).await.unwrap();
    refused(log_in("ann", "right").await, "access_denied");
}
