//! The grants, from a code to the last refresh, with a clock that is set.

mod clients;
mod codes;
mod refresh;
mod tokens;
mod users;

use super::*;
use crate::{
    client, code, consent,
    jws::{self, Jws},
    kept::{DAY, SECOND},
    launch::{self, LaunchContext},
    scope::Scopes,
    secret, session,
    testing::{self, Memory, SignedBy, Web, form, with},
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

impl Bench {
    async fn new() -> Self {
        let (memory, backend) = (Memory::new(), SignedBy::es384("k"));
        let server = testing::server(&memory, Web::new()).await;
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
        let all = json!({
            "iss": "backend", "sub": "backend", "aud": "https://ehr/auth/token",
            "exp": self.memory.now() / SECOND + 60, "jti": secret::random_text().unwrap(),
        });
        self.backend.sign(&json!({}), &with(all, &claims))
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
