//! An authorization server elsewhere: which of its tokens are good here (AUTH-30), and what of ours is then off (AUTH-31).

use std::time::{SystemTime, UNIX_EPOCH};

use conformance_tests::{Backend, Client, Database, Server};
use serde_json::{Value, json};
use tessera_fixtures::patient;

use crate::smart::{Key, changed};
use crate::smart_provider::Provider;

/// A server whose tokens come from elsewhere.
struct Clinic {
    server: Server,
    provider: Provider,
}

impl Clinic {
    fn start(backend: Backend, mode: &str, more: &[(&str, &str)]) -> Option<Self> {
        let (database, provider) = (Database::create(backend, "smart_external")?, Provider::start());
        let environment = [
            ("TESSERA_TEST_OUTBOUND_LOOPBACK", "1"),
            ("TESSERA_IDENTITY_MODE", mode),
            ("TESSERA_IDENTITY_ISSUER", &provider.issuer),
            ("TESSERA_IDENTITY_TOKENS_CLIENT_POLICY", "*"),
            ("TESSERA_IDENTITY_TOKENS_USER_POLICY", "*"),
        ];
        let server = database.serve_with_authentication(&[&environment[..], more].concat());
        Some(Self { server, provider })
    }

    #[expect(clippy::disallowed_methods, reason = "an identity provider has a clock of its own")]
    fn claims(&self, change: Value) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let good = json!({
            "iss": self.provider.issuer, "aud": self.server.base(), "exp": now + 300, "iat": now, "sub": "s1",
            "client_id": "lab", "scope": "system/*.cruds",
        });
        changed(good, change)
    }

    fn with(&self, token: &str) -> Client {
        self.server.client().with("authorization", &format!("Bearer {token}"))
    }

    /// A client with a token that says this.
    fn saying(&self, change: Value) -> Client {
        self.with(&self.provider.key.sign(&self.claims(change)))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is passed")]
fn on_each_backend(mode: &str, more: &[(&str, &str)], test: impl AsyncFn(&Clinic)) {
    if std::env::var(conformance_tests::BASE_URL_VARIABLE).is_ok() {
        return;
    }
    for backend in Backend::ALL {
        let Some(clinic) = Clinic::start(backend, mode, more) else { continue };
        println!("on {backend}, {}", clinic.server.base());
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(test(&clinic));
    }
}

#[test]
fn auth_30_tokens_of_the_issuer_are_good_and_others_are_not() {
    on_each_backend("external-jwt", &[], async |clinic| {
        let system = clinic.saying(json!({}));
        let a = system.post("Patient", &patient().family("A").build()).await.expect_status(201).id().to_owned();
        let b = system.post("Patient", &patient().family("B").build()).await.expect_status(201).id().to_owned();
        let own = clinic.saying(json!({"scope": "patient/*.rs", "patient": a, "fhirUser": format!("Patient/{a}")}));
        own.get(&format!("Patient/{a}")).await.assert_status(200);
        own.get(&format!("Patient/{b}")).await.assert_status(404);
        let user = format!("{}/Practitioner/p", clinic.server.base());
        let practitioner = clinic.saying(json!({"scope": "user/Patient.rs", "fhirUser": user}));
        assert_eq!(practitioner.get("Patient").await.expect_status(200).entries().len(), 2);
        practitioner.get("Observation").await.assert_status(403);
        practitioner.post("Patient", &patient().build()).await.assert_status(403);
        for change in [
            json!({"iss": "http://127.0.0.1:1"}),
            json!({"aud": "lab"}),
            json!({"exp": 1}),
            json!({"nbf": 4_000_000_000_u64}),
            json!({"nonce": "n"}),
            json!({"scope": null}),
            json!({"client_id": null}),
            json!({"scope": "patient/*.rs", "patient": "Patient/1"}),
        ] {
            let refused = clinic.saying(change.clone()).get("Patient").await.expect_status(401);
            let challenge = refused.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer ") && challenge.contains("invalid_token"), "{change}: {challenge}");
        }
        let other = Key::es384("provider").sign(&clinic.claims(json!({})));
        let unknown = Key::es384("unknown").sign(&clinic.claims(json!({})));
        for token in [other.as_str(), &unknown, "tsa_x", "a.b.c"] {
            clinic.with(token).get("Patient").await.assert_status(401);
        }
        clinic.server.client().get("Patient").await.assert_status(401);
    });
}

#[test]
fn auth_30_who_is_disabled_here_is_refused_whatever_the_token_says() {
    on_each_backend("external-jwt", &[], async |clinic| {
        let run = |arguments: &[&str]| drop(clinic.server.database().run(arguments, ""));
        let client =
            ["client", "add", "lab", "--name", "Lab", "--authentication", "none", "--scope", "user/Patient.rs"];
        run(&[&client[..], &["--redirect-uri", "https://lab.example/cb"]].concat());
        run(&[
            "user",
            "add",
            "ann",
            "--name",
            "Ann",
            "--role",
            "clinician",
            "--fhir-user",
            "Practitioner/1",
            "--federated",
            &clinic.provider.issuer,
            "s1",
        ]);
        let ann = clinic.saying(json!({"scope": "user/*.rs"}));
        ann.get("Patient").await.assert_status(200);
        ann.get("Observation").await.assert_status(403);
        run(&["user", "disable", "ann"]);
        ann.get("Patient").await.assert_status(401);
        run(&["user", "enable", "ann"]);
        ann.get("Patient").await.assert_status(200);
        run(&["client", "disable", "lab"]);
        ann.get("Patient").await.assert_status(401);
    });
}

#[test]
fn auth_31_the_endpoints_of_the_other_server_are_published_and_ours_are_off() {
    on_each_backend("external-jwt", &[], async |clinic| {
        let client = clinic.server.client();
        let found = client.get(".well-known/smart-configuration").await.expect_status(200);
        for (name, path) in
            [("authorization_endpoint", "/authorize"), ("token_endpoint", "/token"), ("jwks_uri", "/jwks")]
        {
            assert_eq!(found.body[name], format!("{}{path}", clinic.provider.issuer));
        }
        assert_eq!(found.body["issuer"], clinic.provider.issuer);
        assert_eq!(found.body["code_challenge_methods_supported"], json!(["S256"]));
        assert!(found.body["capabilities"].as_array().is_some_and(|all| all.contains(&json!("permission-v2"))));
        let origin = clinic.server.base().trim_end_matches("/fhir").to_owned();
        for path in [
            "authorize",
            "token",
            "introspect",
            "revoke",
            "jwks",
            "userinfo",
            "manage",
            "launch",
            "login",
            "logout",
            "consent",
            "style.css",
        ] {
            for method in [reqwest::Method::GET, reqwest::Method::POST] {
                let url = format!("{origin}/auth/{path}");
                client.request(method, &url).send().await.assert_status(404);
            }
        }
        let statement = client.get("metadata").await.expect_status(200).body;
        let security = &statement["rest"][0]["security"];
        assert_eq!(security["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
        let uris = security["extension"][0]["extension"].as_array().unwrap();
        assert!(uris.contains(&json!({"url": "token", "valueUri": format!("{}/token", clinic.provider.issuer)})));
    });
}

#[test]
fn auth_30_opaque_tokens_are_asked_about() {
    let more = [("TESSERA_IDENTITY_CLIENT_ID", "ehr"), ("TESSERA_IDENTITY_CLIENT_SECRET", "hush")];
    on_each_backend("external-introspection", &more, async |clinic| {
        clinic.with("first").get("Patient").await.assert_status(503);
        clinic.provider.put("/introspect", clinic.claims(json!({"active": true})));
        clinic.with("opaque").get("Patient").await.assert_status(200);
        clinic.with("opaque").get("Patient").await.assert_status(200);
        let asked = clinic.provider.asked("/introspect");
        let of_opaque: Vec<_> = asked.iter().filter(|(body, _)| body.contains("token=opaque&")).collect();
        assert_eq!(of_opaque.len(), 1, "{asked:?}");
        assert_eq!(of_opaque[0].1, "Basic ZWhyOmh1c2g=");
        for (n, change) in [
            json!({"active": false}),
            json!({"aud": null}),
            json!({"aud": "lab"}),
            json!({"iss": "https://other"}),
            json!({"exp": 1}),
            json!({"exp": null}),
        ]
        .into_iter()
        .enumerate()
        {
            clinic.provider.put("/introspect", changed(clinic.claims(json!({"active": true})), change.clone()));
            let refused = clinic.with(&format!("refused-{n}")).get("Patient").await;
            assert_eq!(refused.status, 401, "{change}");
        }
        clinic.provider.take("/introspect");
        clinic.with("last").get("Patient").await.assert_status(503);
        clinic.with("opaque").get("Patient").await.assert_status(200);
    });
}
