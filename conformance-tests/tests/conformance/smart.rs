//! What the tests of SMART stand on: servers that authenticate, clients registered by the command line, assertions signed
//! by another implementation of JWS than the server's.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::OnceLock,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair},
};
use conformance_tests::{Backend, Client, Database, Reply, Server};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Runs a test on each backend, on the second even if it fails on the first. Without a server of ours there is nobody to
/// register with.
#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is passed")]
pub(crate) fn on_each_backend(test: impl AsyncFn(&Smart)) {
    if std::env::var(conformance_tests::BASE_URL_VARIABLE).is_ok() {
        return;
    }
    let current = thread::current();
    let mut failure = None;
    for backend in Backend::ALL {
        let Some(server) = shared(backend, current.name().unwrap_or_default()) else { continue };
        println!("on {backend}, {}", server.base());
        let smart = Smart { server };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(&smart)))) {
            failure = failure.or(Some(panic));
        }
    }
    if let Some(panic) = failure {
        resume_unwind(panic);
    }
}

fn shared(backend: Backend, test: &str) -> Option<&'static Server> {
    static SQLITE: OnceLock<Option<Server>> = OnceLock::new();
    static POSTGRES: OnceLock<Option<Server>> = OnceLock::new();
    let shared = match backend {
        Backend::Sqlite => &SQLITE,
        Backend::Postgres => &POSTGRES,
    };
    let start = || {
        let database = Database::create(backend, test)?;
        Some(database.serve_with_authentication(&[("TESSERA_TEST_OUTBOUND_LOOPBACK", "1")]))
    };
    shared.get_or_init(start).as_ref()
}

/// A server that authenticates.
pub(crate) struct Smart {
    pub(crate) server: &'static Server,
}

impl Smart {
    /// What the discovery document says.
    pub(crate) async fn configuration(&self) -> Value {
        self.client().get(".well-known/smart-configuration").await.expect_status(200).body
    }

    pub(crate) async fn endpoint(&self, name: &str) -> String {
        self.configuration().await[name].as_str().unwrap().to_owned()
    }

    /// A client without credentials.
    pub(crate) fn client(&self) -> Client {
        self.server.client()
    }

    /// A client with an access token.
    pub(crate) fn with(&self, token: &str) -> Client {
        self.client().with("authorization", &format!("Bearer {token}"))
    }

    /// Runs a command of the operator's; what it prints, if that is JSON.
    pub(crate) fn command(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.server.database().run(arguments, "")).unwrap_or_default()
    }

    /// Registers a client for backend services with these keys.
    pub(crate) fn register(&self, keys: &[&Key], scope: &str, more: &[&str]) -> String {
        let id = format!("backend-{:016x}", fastrand::u64(..));
        let file = std::env::temp_dir().join(format!("{id}.jwks"));
        std::fs::write(&file, jwks(keys).to_string()).unwrap();
        let arguments = ["client", "add", &id, "--name", "Backend", "--authentication", "private_key_jwt"];
        let keys = ["--jwks", file.to_str().unwrap(), "--scope", scope];
        self.command(&[&arguments[..], &keys, more].concat());
        std::fs::remove_file(&file).unwrap();
        id
    }

    /// Registers a client with a secret in the `Authorization` header; returns that header.
    pub(crate) fn register_basic(&self, more: &[&str]) -> (String, String) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let id = format!("basic-{:016x}", fastrand::u64(..));
        let arguments = ["client", "add", &id, "--name", "Basic", "--authentication", "client_secret_basic"];
        let told = self.command(&[&arguments[..], &["--scope", "openid"], more].concat());
        let secret = told["client_secret"].as_str().unwrap();
        let header = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        (id, header)
    }

    /// The claims of a good assertion.
    #[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
    pub(crate) async fn claims(&self, id: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let jti = format!("{:032x}", fastrand::u128(..));
        json!({"iss": id, "sub": id, "aud": self.endpoint("token_endpoint").await, "exp": now + 240, "jti": jti})
    }

    /// Asks for a token with an assertion.
    pub(crate) async fn ask(&self, assertion: &str, scope: &str) -> Reply {
        let pairs = [
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion),
        ];
        self.post(&self.endpoint("token_endpoint").await, None, &pairs).await
    }

    /// A token for a client.
    pub(crate) async fn token(&self, id: &str, key: &Key, scope: &str) -> String {
        let assertion = key.sign(&self.claims(id).await);
        let answer = self.ask(&assertion, scope).await.expect_status(200);
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    /// A client that may do everything, with its token.
    pub(crate) async fn everything(&self) -> Client {
        let key = Key::es384("k");
        let id = self.register(&[&key], "system/*.cruds", &["--policy", "*"]);
        self.with(&self.token(&id, &key, "system/*.cruds").await)
    }

    /// Posts a form.
    pub(crate) async fn post(&self, url: &str, authorization: Option<&str>, pairs: &[(&str, &str)]) -> Reply {
        let mut request = self.client().request(Method::POST, url).body(FORM, form(pairs));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        request.send().await
    }
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// A key of a client's.
pub(crate) struct Key {
    kid: String,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    pub(crate) fn es384(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { kid: kid.to_owned(), algorithm: Algorithm::ES384, private }
    }

    pub(crate) fn rs384(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        // In PKCS #8 the key of PKCS #1 follows 26 bytes, which say that it is one of RSA with 2048 bits.
        let private = EncodingKey::from_rsa_der(&der.as_ref()[26..]);
        Self { kid: kid.to_owned(), algorithm: Algorithm::RS384, private }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }

    pub(crate) fn header(&self) -> Header {
        Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    pub(crate) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.private).unwrap()
    }
}

pub(crate) fn jwks(keys: &[&Key]) -> Value {
    json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()})
}

/// The value with some members set to something else (null: left out).
pub(crate) fn changed(mut value: Value, members: Value) -> Value {
    let (all, Value::Object(members)) = (value.as_object_mut().unwrap(), members) else { panic!("no object") };
    for (name, member) in members {
        if member.is_null() {
            all.remove(&name);
        } else {
            all.insert(name, member);
        }
    }
    value
}
