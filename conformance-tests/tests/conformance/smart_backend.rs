//! <https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html> and
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html>

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use jsonwebtoken::{Algorithm, EncodingKey, encode};
use serde_json::json;
use tessera_fixtures::patient;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::smart::{Key, changed, jwks, on_each_backend};

#[test]
fn auth_21_a_backend_service_gets_a_token_by_es384_and_by_rs384() {
    on_each_backend(async |smart| {
        for key in [Key::es384("a"), Key::rs384("b")] {
            let id = smart.register(&[&key], "system/Patient.cruds", &["--policy", "*"]);
            let answer =
                smart.ask(&key.sign(&smart.claims(&id).await), "system/Patient.cruds").await.expect_status(200);
            let client = smart.with(answer.body["access_token"].as_str().unwrap());
            let created = client.post("Patient", &patient().build()).await.expect_status(201);
            client.get(&format!("Patient/{}", created.id())).await.assert_status(200);
            let found = client.get(&format!("Patient?_id={}", created.id())).await.expect_status(200);
            assert_eq!(found.resources().len(), 1);
        }
    });
}

// https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html#issue-access-token
#[test]
fn auth_4_the_token_response_says_what_was_granted_and_is_kept_by_nobody() {
    on_each_backend(async |smart| {
        let key = Key::es384("k");
        let id = smart.register(&[&key], "system/Patient.rs system/Observation.rs", &["--policy", "*"]);
        let assertion = key.sign(&smart.claims(&id).await);
        let answer = smart.ask(&assertion, "system/Patient.cruds system/Observation.rs").await.expect_status(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("pragma"), Some("no-cache"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.body["token_type"], "Bearer");
        assert_eq!(answer.body["scope"], "system/Patient.rs system/Observation.rs");
        assert!(answer.body["expires_in"].as_u64().is_some_and(|seconds| (1..=300).contains(&seconds)));
        assert!(answer.body.get("refresh_token").is_none());
    });
}

#[test]
fn auth_21_each_failure_is_answered_alike() {
    on_each_backend(async |smart| {
        let (key, other) = (Key::es384("k"), Key::es384("k"));
        let id = smart.register(&[&key], "system/*.rs", &["--policy", "*"]);
        let claims = smart.claims(&id).await;
        let now = claims["exp"].as_u64().unwrap() - 240;
        let mut assertions = vec![("no JWS", "nonsense".to_owned())];
        let mut header = key.header();
        header.typ = None;
        assertions.push(("1 typ", key.sign_with(&header, &claims)));
        let mut header = key.header();
        header.kid = None;
        assertions.push(("1 kid", key.sign_with(&header, &claims)));
        let mut header = key.header();
        header.alg = Algorithm::HS384;
        let secret = EncodingKey::from_secret(b"secret");
        assertions.push(("1 alg", encode(&header, &claims, &secret).unwrap()));
        let mut header = key.header();
        header.jku = Some("https://evil.example.org/jwks".to_owned());
        assertions.push(("3 jku", key.sign_with(&header, &claims)));
        let mut header = key.header();
        header.kid = Some("other".to_owned());
        assertions.push(("4 key", key.sign_with(&header, &claims)));
        assertions.push(("5 signature", other.sign(&claims)));
        for (name, change) in [
            ("2 iss", json!({"iss": "somebody"})),
            ("2 sub", json!({"sub": "somebody"})),
            ("2 both", json!({"iss": "somebody", "sub": "somebody"})),
            ("6 aud", json!({"aud": "https://elsewhere.example.org/token"})),
            ("6 no aud", json!({"aud": null})),
            ("6 several", json!({"aud": [claims["aud"], "https://elsewhere.example.org/token"]})),
            ("7 no exp", json!({"exp": null})),
            ("7 expired", json!({"exp": now - 60})),
            ("7 too late", json!({"exp": now + 400})),
            ("7 iat", json!({"iat": now + 60})),
            ("8 no jti", json!({"jti": null})),
        ] {
            assertions.push((name, key.sign(&changed(claims.clone(), change))));
        }
        let good = key.sign(&claims);
        smart.ask(&good, "system/*.rs").await.assert_status(200);
        assertions.push(("8 replayed", good));
        for (name, assertion) in assertions {
            let refused = smart.ask(&assertion, "system/*.rs").await;
            assert_eq!(refused.status, 401, "{name}: {refused}");
            let body = json!({"error": "invalid_client", "error_description": "the client is not authenticated"});
            assert_eq!(refused.body, body, "{name}");
            assert_eq!(refused.header("cache-control"), Some("no-store"), "{name}");
        }
    });
}

#[test]
fn auth_21_the_assertion_type_is_jwt_bearer() {
    on_each_backend(async |smart| {
        let key = Key::es384("k");
        let id = smart.register(&[&key], "system/*.rs", &["--policy", "*"]);
        let assertion = key.sign(&smart.claims(&id).await);
        let url = smart.endpoint("token_endpoint").await;
        let grant = [("grant_type", "client_credentials"), ("scope", "system/*.rs"), ("client_assertion", &assertion)];
        for kind in ["urn:ietf:params:oauth:client-assertion-type:jwt-bear", ""] {
            let pairs = [&grant[..], &[("client_assertion_type", kind)]].concat();
            let refused = smart.post(&url, None, &pairs).await.expect_status(400);
            assert_eq!(refused.body["error"], "invalid_request");
        }
    });
}

#[test]
fn auth_23_only_registered_system_scopes_are_granted() {
    on_each_backend(async |smart| {
        let key = Key::es384("k");
        let scopes = "system/Patient.rs system/Observation.rs?category=laboratory";
        let id = smart.register(&[&key], scopes, &["--policy", "*"]);
        for (asked, granted) in [
            ("system/*.rs", "system/Patient.rs system/Observation.rs?category=laboratory"),
            ("system/*.read", "system/Patient.read system/Observation.read?category=laboratory"),
            ("system/Observation.r", "system/Observation.r?category=laboratory"),
            ("system/Patient.rs openid launch user/Patient.rs patient/Patient.rs", "system/Patient.rs"),
            ("system/Patient.rs system/Patient.rr system/Observaton.rs", "system/Patient.rs"),
        ] {
            let answer = smart.ask(&key.sign(&smart.claims(&id).await), asked).await.expect_status(200);
            assert_eq!(answer.body["scope"], granted, "{asked}");
        }
        for asked in ["", "openid", "system/Condition.rs", "system/Patient.cud", "system/Patient.dus", "system/Patient"]
        {
            let refused = smart.ask(&key.sign(&smart.claims(&id).await), asked).await.expect_status(400);
            assert_eq!(refused.body["error"], "invalid_scope", "{asked}");
        }
    });
}

// https://www.rfc-editor.org/rfc/rfc6749#section-5.2
#[test]
fn auth_23_other_grants_and_malformed_requests_are_400() {
    on_each_backend(async |smart| {
        let url = smart.endpoint("token_endpoint").await;
        let ask = async |pairs: &[(&str, &str)], error: &str| {
            let refused = smart.post(&url, None, pairs).await.expect_status(400);
            assert_eq!(refused.body["error"], error, "{pairs:?}");
        };
        ask(&[("grant_type", "password")], "unsupported_grant_type").await;
        ask(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")], "unsupported_grant_type").await;
        ask(&[], "invalid_request").await;
        ask(&[("grant_type", "client_credentials"), ("grant_type", "client_credentials")], "invalid_request").await;
        let request = smart.client().request(reqwest::Method::POST, &url);
        let refused = request.body("application/json", "{}").send().await.expect_status(400);
        assert_eq!(refused.body["error"], "invalid_request");
        let long = "x".repeat(100_000);
        ask(&[("grant_type", &long)], "invalid_request").await;
    });
}

#[test]
fn auth_20_a_client_with_a_secret_is_no_backend_service() {
    on_each_backend(async |smart| {
        let url = smart.endpoint("token_endpoint").await;
        let (_, basic) = smart.register_basic(&[]);
        let pairs = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
        let refused = smart.post(&url, Some(&basic), &pairs).await.expect_status(400);
        assert_eq!(refused.body["error"], "unauthorized_client");
        let refused = smart.post(&url, Some("Basic eDp5"), &pairs).await.expect_status(401);
        assert_eq!(refused.body["error"], "invalid_client");
        assert!(refused.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")));
    });
}

/// A site with one page, and how often it was asked for.
async fn site(answer: impl Into<String>) -> (String, Arc<AtomicUsize>, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let (count, page) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(answer.into())));
    let (asked, shown) = (count.clone(), page.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            asked.fetch_add(1, Ordering::Relaxed);
            let answer = shown.lock().unwrap().clone();
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, count, page)
}

fn page(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

#[test]
fn auth_22_keys_at_a_url_are_fetched_and_kept_for_as_long_as_their_answer_says() {
    on_each_backend(async |smart| {
        let key = Key::rs384("a");
        let body = jwks(&[&key]).to_string();
        let (url, count, shown) = site(page("200 OK", "Cache-Control: max-age=600\r\n", &body)).await;
        let register = |url: &str| {
            let id = format!("by-url-{:016x}", fastrand::u64(..));
            let client = ["client", "add", &id, "--name", "By URL", "--authentication", "private_key_jwt"];
            smart.command(&[&client[..], &["--jwks-url", url, "--scope", "system/*.rs", "--policy", "*"]].concat());
            id
        };
        let id = register(&url);
        for _ in 0..3 {
            smart.token(&id, &key, "system/*.rs").await;
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        // A key that is not there is looked for no more than once a minute.
        let unknown = Key::rs384("b");
        for _ in 0..3 {
            smart.ask(&unknown.sign(&smart.claims(&id).await), "system/*.rs").await.assert_status(401);
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        let mut header = key.header();
        header.jku = Some(url.clone());
        smart.ask(&key.sign_with(&header, &smart.claims(&id).await), "system/*.rs").await.assert_status(200);
        header.jku = Some(format!("{url}?"));
        smart.ask(&key.sign_with(&header, &smart.claims(&id).await), "system/*.rs").await.assert_status(401);

        // Neither somewhere else, nor without end, nor what is no answer.
        let large = format!("{}{}", body, " ".repeat(256 * 1024));
        for answer in [
            page("302 Found", &format!("Location: {url}\r\n"), ""),
            page("404 Not Found", "", &body),
            page("200 OK", "", &large),
            page("200 OK", "", "nonsense"),
        ] {
            let (other, ..) = site(answer.clone()).await;
            let id = register(&other);
            let refused = smart.ask(&key.sign(&smart.claims(&id).await), "system/*.rs").await;
            refused.assert_status(401);
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        *shown.lock().unwrap() = page("404 Not Found", "", "");
        smart.token(&id, &key, "system/*.rs").await;
    });
}

#[test]
fn a_rotated_key_is_good_and_the_old_one_is_not() {
    on_each_backend(async |smart| {
        let (old, new) = (Key::es384("old"), Key::es384("new"));
        let id = smart.register(&[&old], "system/*.rs", &["--policy", "*"]);
        smart.token(&id, &old, "system/*.rs").await;
        let file = std::env::temp_dir().join(format!("{id}.new.jwks"));
        std::fs::write(&file, jwks(&[&new]).to_string()).unwrap();
        smart.command(&["client", "rotate", &id, "--jwks", file.to_str().unwrap()]);
        std::fs::remove_file(&file).unwrap();
        smart.ask(&old.sign(&smart.claims(&id).await), "system/*.rs").await.assert_status(401);
        smart.token(&id, &new, "system/*.rs").await;
    });
}
