//! What several servers of one database agree on, on SQLite and on PostgreSQL: what is used once, what is taken back.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod still;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use still::{CHALLENGE, NoWeb, REDIRECT, SECOND, TestClock, VERIFIER};
use tessera_auth::{
    AuthorizationServer, Error, MasterKey, NotIssued, Parts, authorization, client, code, launch::LaunchContext,
    scope::Scopes, session, user,
};
use tessera_fixtures::postgres;
use tessera_model::Definitions;
use tessera_store::{Location, Options, SqlStore, Synchronous, clock::Clock, migrate};

const BASE: &str = "http://here/fhir";

/// Two servers of one database.
struct Pair {
    clock: Arc<TestClock>,
    servers: [AuthorizationServer; 2],
    backend: EcdsaKeyPair,
    session: String,
}

/// Runs the body on SQLite and on PostgreSQL.
#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is passed")]
fn on_both(name: &str, body: impl AsyncFn(&Pair)) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("tessera-auth-{}-{number}", std::process::id()));
    runtime.block_on(async { body(&Pair::new(Location::Sqlite(folder.join("test.db"))).await).await });
    std::fs::remove_dir_all(&folder).unwrap();
    if let Some(cluster) = postgres::shared_or_skip(name) {
        runtime.block_on(async { body(&Pair::new(Location::Postgres(cluster.create_database())).await).await });
    }
}

impl Pair {
    async fn new(location: Location) -> Self {
        migrate(&location).await.unwrap();
        let clock = Arc::new(TestClock::new());
        let server = async || {
            let options = Options {
                location: location.clone(),
                base: Some(BASE.to_owned()),
                clock: clock.clone(),
                synchronous: Synchronous::Full,
                accept_fsync_off: true,
                search_timeout: Duration::from_secs(10),
                audit: None,
                replica: None,
            };
            let store = Arc::new(SqlStore::open(options).await.unwrap());
            let parts = Parts {
                records: store.clone(),
                related_persons: store,
                clock: clock.clone(),
                master: MasterKey::new([1; 32]),
                fetch: Arc::new(NoWeb),
                base: BASE.to_owned(),
            };
            AuthorizationServer::new(parts).await.unwrap()
        };
        let servers = [server().await, server().await];
        let records = servers[0].records();
        let backend = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let point = backend.public_key().as_ref();
        let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        let key = json!({"kty": "EC", "crv": "P-384", "kid": "k", "x": coordinate(1..49), "y": coordinate(49..97)});
        let keys = json!({"jwks": {"keys": [key]}, "algorithms": ["ES384"]});
        for (id, authentication, scopes) in [
            ("app", json!("none"), "offline_access online_access patient/*.cruds"),
            ("backend", json!({"private_key_jwt": keys}), "system/*.rs"),
        ] {
            let client = json!({
                "name": id, "authentication": authentication, "scopes": scopes, "enabled": true,
                "redirect_uris": [REDIRECT], "policy": ["*"],
            });
            assert!(client::register(records, id, serde_json::from_value(client).unwrap()).await.unwrap());
        }
        let ann = json!({
            "name": "Ann", "role": "patient", "fhir_user": "Patient/1", "patients": ["1"], "password": null, "enabled": true,
        });
        assert!(user::add(records, "ann", serde_json::from_value(ann).unwrap()).await.unwrap());
        let cookie = session::create(records, clock.now(), "ann").await.unwrap();
        let session = session::find(records, cookie.expose()).await.unwrap().unwrap().key;
        Self { clock, servers, backend, session }
    }

    fn pass(&self, seconds: i64) {
        self.clock.pass(seconds);
    }

    /// Asks a server, again when it is busy.
    async fn token(&self, server: usize, pairs: &[(&str, &str)]) -> Result<Value, Error> {
        let form: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        loop {
            match self.servers[server].token(None, &form).await {
                Ok(issued) => return Ok(issued.answer),
                Err(NotIssued { error: Error::Store(tessera_store::Error::Busy), .. }) => {}
                Err(refused) => return Err(refused.error),
            }
        }
    }

    async fn code(&self, scopes: &str) -> String {
        let agreed = code::Agreed {
            client: "app".to_owned(),
            user: "ann".to_owned(),
            scopes: Scopes::parse(scopes, Definitions::r4()),
            context: LaunchContext { patient: Some("1".to_owned()), ..LaunchContext::default() },
            session: self.session.clone(),
            authenticated: self.clock.now(),
        };
        let records = self.servers[0].records();
        let code = code::issue(records, self.clock.now(), agreed, REDIRECT, CHALLENGE, None).await.unwrap();
        code.expose().to_owned()
    }

    async fn redeem(&self, server: usize, code: &str) -> Result<Value, Error> {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("client_id", "app"),
        ];
        self.token(server, &pairs).await
    }

    async fn refresh(&self, server: usize, of: &Value) -> Result<Value, Error> {
        let secret = of["refresh_token"].as_str().unwrap();
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", secret), ("client_id", "app")];
        self.token(server, &pairs).await
    }

    async fn is_good(&self, server: usize, answer: &Value) -> bool {
        self.servers[server].access(answer["access_token"].as_str().unwrap()).await.unwrap().is_some()
    }

    fn assertion(&self) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let jti = format!("{:032x}", fastrand::u128(..));
        let now = self.clock.now() / SECOND;
        let claims =
            json!({"iss": "backend", "sub": "backend", "aud": "http://here/auth/token", "exp": now + 300, "jti": jti});
        let signed = format!("{}.{}", part(json!({"alg": "ES384", "typ": "JWT", "kid": "k"})), part(claims));
        let signature = self.backend.sign(&aws_lc_rs::rand::SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    async fn client_credentials(&self, server: usize, assertion: &str) -> Result<Value, Error> {
        let pairs = [
            ("grant_type", "client_credentials"),
            ("scope", "system/Patient.rs"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        self.token(server, &pairs).await
    }
}

fn granted(results: Vec<Result<Value, Error>>) -> Vec<Value> {
    results.into_iter().filter_map(Result::ok).collect()
}

#[test]
fn auth_21_8_an_assertion_is_used_once_on_whichever_server() {
    on_both("auth_21_8", async |pair| {
        let assertion = pair.assertion();
        pair.client_credentials(0, &assertion).await.unwrap();
        for server in [1, 0] {
            let refused = pair.client_credentials(server, &assertion).await.unwrap_err();
            assert_eq!(refused.code(), "invalid_client");
        }
        for _ in 0..5 {
            let assertion = pair.assertion();
            let all = join_all((0..16).map(|n| pair.client_credentials(n % 2, &assertion))).await;
            assert_eq!(granted(all).len(), 1);
        }
    });
}

#[test]
fn auth_3_a_code_that_is_redeemed_at_several_servers_at_once_brings_nothing_that_lasts() {
    on_both("auth_3_race", async |pair| {
        for _ in 0..5 {
            let code = pair.code("offline_access patient/*.rs").await;
            let won = granted(join_all((0..8).map(|n| pair.redeem(n % 2, &code))).await);
            assert_eq!(won.len(), 1);
            for server in [0, 1] {
                assert!(!pair.is_good(server, &won[0]).await);
            }
            assert!(pair.refresh(0, &won[0]).await.is_err());
        }
    });
}

#[test]
fn auth_9_of_refreshes_at_several_servers_at_once_one_branch_lives() {
    on_both("auth_9_race", async |pair| {
        for _ in 0..5 {
            let first = pair.redeem(0, &pair.code("offline_access patient/*.rs").await).await.unwrap();
            let won = granted(join_all((0..8).map(|n| pair.refresh(n % 2, &first))).await);
            assert!(!won.is_empty());
            let mut live = Vec::new();
            for answer in &won {
                if pair.is_good(1, answer).await {
                    live.push(answer);
                }
            }
            assert_eq!(live.len(), 1);
            // It was used, so that nobody goes back behind it.
            let next = pair.refresh(1, live[0]).await.unwrap();
            assert!(pair.is_good(0, &next).await);
            assert!(pair.refresh(0, &first).await.is_err());
            pair.pass(5);
            assert!(!pair.is_good(0, &next).await && !pair.is_good(1, &next).await, "reuse ends all of it");
        }
    });
}

#[test]
fn auth_9_a_lost_answer_is_asked_for_again_at_another_server() {
    on_both("auth_9_lost", async |pair| {
        let first = pair.redeem(0, &pair.code("offline_access patient/*.rs").await).await.unwrap();
        let lost = pair.refresh(0, &first).await.unwrap();
        pair.pass(59);
        let again = pair.refresh(1, &first).await.unwrap();
        assert!(!pair.is_good(0, &lost).await);
        assert!(pair.is_good(0, &again).await);
        // Used at one server: known at the other.
        assert!(pair.refresh(1, &first).await.is_err());
        pair.pass(5);
        assert!(!pair.is_good(0, &again).await);
    });
}

#[test]
fn auth_8_what_is_taken_back_at_one_server_is_refused_by_the_other_within_five_seconds() {
    on_both("auth_8", async |pair| {
        let records = pair.servers[0].records();
        let begin = async || {
            let answer = pair.redeem(0, &pair.code("online_access patient/*.rs").await).await.unwrap();
            assert!(pair.is_good(0, &answer).await && pair.is_good(1, &answer).await);
            answer
        };
        let ends = async |answer: &Value| {
            pair.pass(5);
            !pair.is_good(0, answer).await && !pair.is_good(1, answer).await
        };
        let answer = begin().await;
        for authorization in authorization::list(records, Some("ann"), "", 10).await.unwrap() {
            authorization::revoke(records, &authorization.key).await.unwrap();
        }
        assert!(ends(&answer).await, "the authorization");

        let answer = begin().await;
        let form = [("client_id", "app"), ("token", answer["access_token"].as_str().unwrap())];
        let form: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        pair.servers[0].revoke(None, &form).await.unwrap();
        assert!(!pair.is_good(0, &answer).await, "where it was revoked, at once");
        assert!(ends(&answer).await, "the token");

        let answer = begin().await;
        session::end(records, &pair.session).await.unwrap();
        assert!(ends(&answer).await, "the session");
    });
}

#[test]
fn http_12_all_servers_sign_with_the_same_keys() {
    on_both("http_12", async |pair| {
        let jwks = join_all(pair.servers.iter().map(AuthorizationServer::jwks)).await;
        let jwks: Vec<Value> = jwks.into_iter().map(Result::unwrap).collect();
        assert_eq!(jwks[0], jwks[1]);
        assert_eq!(jwks[0]["keys"].as_array().unwrap().len(), 2);
        for server in &pair.servers {
            server.maintain().await.unwrap();
        }
    });
}
