//! Users who log in at an identity provider, as a browser sees it: there, back, and what is refused (AUTH-13).

use std::time::{SystemTime, UNIX_EPOCH};

use conformance_tests::browser::{Browser, attribute, fields, parameter};
use conformance_tests::{Backend, Database, Reply, Server};
use serde_json::{Value, json};

use crate::smart::changed;
use crate::smart_provider::Provider;

/// A server whose users log in elsewhere.
struct Clinic {
    server: Server,
    provider: Provider,
}

impl Clinic {
    fn start(backend: Backend, more: &[(&str, &str)]) -> Option<Self> {
        let (database, provider) = (Database::create(backend, "smart_federated")?, Provider::start());
        let environment = [
            ("TESSERA_TEST_OUTBOUND_LOOPBACK", "1"),
            ("TESSERA_IDENTITY_MODE", "federated"),
            ("TESSERA_IDENTITY_ISSUER", &provider.issuer),
            ("TESSERA_IDENTITY_CLIENT_ID", "ehr"),
            ("TESSERA_IDENTITY_CLIENT_SECRET", "hush"),
            ("TESSERA_IDENTITY_LOGIN_NAME", "Example ID"),
        ];
        let user = ["user", "add", "bob", "--name", "Dr. Bob", "--role", "clinician", "--fhir-user", "Practitioner/p"];
        let _ = database.run(&[&user[..], &["--federated", &provider.issuer, "u1"]].concat(), "");
        let app =
            ["client", "add", "app", "--name", "Growth Chart", "--authentication", "none", "--scope", "user/*.rs"];
        let _ = database.run(&[&app[..], &["--redirect-uri", "https://app.example/cb"]].concat(), "");
        let server = database.serve_with_authentication(&[&environment[..], more].concat());
        Some(Self { server, provider })
    }

    fn browser(&self) -> Browser {
        Browser::new(self.server.base())
    }

    /// Where the link of a login page leads.
    async fn begin(&self, browser: &Browser, page: &Reply) -> String {
        let link = page.text.split("<a ").find(|tag| tag.contains("\"federated")).unwrap();
        let link = attribute(&format!(" {link}"), "href").unwrap();
        location(&browser.get(&format!("/auth/{link}")).await.expect_status(303))
    }

    /// The provider will say this of who has just logged in, to whoever redeems a code.
    #[expect(clippy::disallowed_methods, reason = "an identity provider has a clock of its own")]
    fn says(&self, sent_to: &str, change: Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": self.provider.issuer, "aud": "ehr", "sub": "u1", "exp": now + 300, "iat": now,
            "nonce": parameter(sent_to, "nonce").unwrap(),
        });
        let token = self.provider.key.sign(&changed(claims, change));
        self.provider.put("/token", json!({"access_token": "x", "token_type": "Bearer", "id_token": token}));
    }

    /// How the provider sends the browser back.
    fn back(&self, sent_to: &str, more: &str) -> String {
        let (uri, state) = (parameter(sent_to, "redirect_uri").unwrap(), parameter(sent_to, "state").unwrap());
        assert!(uri.starts_with(self.server.base().trim_end_matches("/fhir")), "{uri}");
        format!("{uri}?state={state}&{more}")
    }
}

fn location(reply: &Reply) -> String {
    reply.header("location").unwrap_or_default().to_owned()
}

#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is passed")]
fn on_each_backend(more: &[(&str, &str)], test: impl AsyncFn(&Clinic)) {
    if std::env::var(conformance_tests::BASE_URL_VARIABLE).is_ok() {
        return;
    }
    for backend in Backend::ALL {
        let Some(clinic) = Clinic::start(backend, more) else { continue };
        println!("on {backend}, {}", clinic.server.base());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(test(&clinic));
    }
}

fn authorize(base: &str) -> String {
    format!(
        "/auth/authorize?response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=s\
         &scope=user%2F*.rs&aud={base}&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
    )
}

#[test]
fn auth_13_a_user_logs_in_elsewhere_and_goes_on_here() {
    on_each_backend(&[], async |clinic| {
        let browser = clinic.browser();
        let page = browser.get(&authorize(clinic.server.base())).await.expect_status(200);
        assert!(page.text.contains("Log in with Example ID") && !page.text.contains("password"), "{}", page.text);
        let there = clinic.begin(&browser, &page).await;
        assert!(there.starts_with(&format!("{}/authorize?", clinic.provider.issuer)), "{there}");
        for (name, value) in [("client_id", "ehr"), ("scope", "openid"), ("code_challenge_method", "S256")] {
            assert_eq!(parameter(&there, name).as_deref(), Some(value));
        }
        clinic.says(&there, json!({}));
        let back = browser.get(&clinic.back(&there, "code=c")).await.expect_status(303);
        assert_eq!(clinic.provider.asked("/token").last().unwrap().1, "Basic ZWhyOmh1c2g=");
        let consent = browser.get(&location(&back)).await.expect_status(200);
        assert!(consent.text.contains("Growth Chart") && consent.text.contains("Dr. Bob"), "{}", consent.text);
        // The answer is taken once.
        browser.get(&clinic.back(&there, "code=c")).await.assert_status(403);
        // Passwords are off, and logging out tells where else to.
        let form = fields(&browser.get("/auth/manage").await.text, "action=\"logout\"");
        let out = browser.post("/auth/logout", &form).await.expect_status(200);
        assert!(out.text.contains(&format!("{}/logout?client_id=ehr", clinic.provider.issuer)), "{}", out.text);
        let page = browser.get("/auth/manage").await.expect_status(200);
        assert!(page.text.contains("Log in with Example ID"));
        let token = ("form_token".to_owned(), String::new());
        let fields = [token, ("name".to_owned(), "bob".to_owned()), ("password".to_owned(), "x".to_owned())];
        browser.post("/auth/login", &fields).await.assert_status(403);
    });
}

#[test]
fn auth_13_an_answer_that_is_not_the_browsers_own_or_not_to_be_believed_logs_nobody_in() {
    on_each_backend(&[], async |clinic| {
        let refused = async |change: Value, more: &str, status: u16| {
            let browser = clinic.browser();
            let page = browser.get("/auth/manage").await;
            let there = clinic.begin(&browser, &page).await;
            clinic.says(&there, change.clone());
            let answer = browser.get(&clinic.back(&there, more)).await;
            assert_eq!(answer.status, status, "{change} {more}");
            assert!(answer.header("set-cookie").is_none_or(|cookie| !cookie.contains("session")), "{change} {more}");
            answer.text
        };
        for change in [json!({"nonce": "x"}), json!({"aud": "other"}), json!({"iss": "https://x"}), json!({"exp": 1})] {
            refused(change, "code=c", 403).await;
        }
        refused(json!({}), "error=access_denied", 403).await;
        refused(json!({}), "code=c&iss=https%3A%2F%2Fevil.example", 403).await;
        let page = refused(json!({"sub": "u2", "email": "bob@example.org"}), "code=c", 403).await;
        assert!(page.contains("nobody here is linked") && page.contains("u2") && !page.contains("bob@"), "{page}");
        // A link with somebody else's answer, sent to another browser.
        let (own, victim) = (clinic.browser(), clinic.browser());
        let there = clinic.begin(&own, &own.get("/auth/manage").await).await;
        clinic.says(&there, json!({}));
        victim.get("/auth/manage").await.assert_status(200);
        victim.get(&clinic.back(&there, "code=c")).await.assert_status(403);
        own.get(&clinic.back(&there, "code=c")).await.assert_status(303);
        // Who is disabled is not let in any more.
        let _ = clinic.server.database().run(&["user", "disable", "bob"], "");
        refused(json!({}), "code=c", 403).await;
        clinic.provider.take("/token");
        let browser = clinic.browser();
        let there = clinic.begin(&browser, &browser.get("/auth/manage").await).await;
        browser.get(&clinic.back(&there, "code=c")).await.assert_status(503);
    });
}

#[test]
fn auth_13_passwords_beside_a_provider_are_allowed_by_a_setting_alone() {
    on_each_backend(&[("TESSERA_IDENTITY_LOGIN_PASSWORDS", "true")], async |clinic| {
        let page = clinic.browser().get("/auth/manage").await.expect_status(200);
        assert!(page.text.contains("Log in with Example ID") && page.text.contains("type=\"password\""));
    });
}
