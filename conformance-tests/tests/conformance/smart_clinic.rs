//! What the tests of launches stand on: servers with patients, users and apps, and what a user does there with a browser.

use std::sync::OnceLock;
use std::time::Duration;

use conformance_tests::browser::{Browser, Fields, encode, fields, parameter};
use conformance_tests::{Backend, Client, Database, Reply, Server};
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

/// RFC 7636 appendix B
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const REDIRECT: &str = "https://app.example/callback?own=1";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

/// A server with patients `a` and `b`, of whom one user is the first, and with apps.
pub(crate) struct Clinic {
    pub(crate) server: Server,
    /// The secret of the client `web`.
    pub(crate) secret: String,
}

impl Clinic {
    fn start(backend: Backend) -> Option<Self> {
        let database = Database::create(backend, "smart_launch")?;
        let mut open = database.serve(&[]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(fill(&open.client()));
        open.stop();
        let user = |arguments: &[&str]| drop(database.run(&[&["user", "add"], arguments].concat(), PASSWORD));
        user(&["ann", "--name", "Ann Chalmers", "--role", "patient", "--fhir-user", "Patient/a", "--patient", "a"]);
        user(&["bob", "--name", "Dr. Bob", "--role", "clinician", "--fhir-user", "Practitioner/p"]);
        user(&["root", "--name", "Root", "--role", "administrator", "--fhir-user", "Practitioner/p"]);
        let person = ["--fhir-user", "RelatedPerson/r", "--related-person", "RelatedPerson/r"];
        user(&[&["kim", "--name", "Kim", "--role", "patient"][..], &person].concat());
        let confined = ["--policy", "Patient?family=Chalmers", "--policy", "Encounter"];
        user(
            &[&["eve", "--name", "Eve", "--role", "clinician", "--fhir-user", "Practitioner/p"][..], &confined]
                .concat(),
        );
        // Of whom one test counts what they have allowed.
        user(&["zoe", "--name", "Zoe", "--role", "clinician", "--fhir-user", "Practitioner/p"]);
        let scopes = "launch launch/patient launch/encounter openid fhirUser offline_access online_access patient/*.cruds \
                      user/*.cruds";
        let app = |id: &str, name: &str, more: &[&str]| {
            let scopes = format!("{scopes}{}", if more.contains(&"--administers") { " tessera/admin" } else { "" });
            let given =
                ["client", "add", id, "--name", name, "--scope", &scopes, "--redirect-uri", REDIRECT, "--policy", "*"];
            let launch = ["--launch-url", "https://app.example/launch"];
            database.run(&[&given[..], &launch, more].concat(), "")
        };
        app(
            "app",
            "Growth Chart",
            &["--authentication", "none", "--organization", "Example Inc.", "--origin", "https://app.example"],
        );
        app("other", "Another App", &["--authentication", "none"]);
        app("ehr", "The EHR", &["--authentication", "none", "--launches"]);
        let told = app("web", "A Web App", &["--authentication", "client_secret_post", "--administers"]);
        let told: Value = serde_json::from_str(&told).unwrap();
        let secret = told["client_secret"].as_str().unwrap().to_owned();
        Some(Self { server: database.serve_with_authentication(&[]), secret })
    }

    pub(crate) fn base(&self) -> &str {
        self.server.base()
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.base())
    }

    /// A request for a code, changed: an empty value takes a parameter away.
    pub(crate) fn request(&self, scope: &str, changes: &[(&str, &str)]) -> String {
        let usual = [
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
            ("state", "a state & more"),
            ("aud", self.base()),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let kept = usual.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let changed = changes.iter().copied().filter(|(_, value)| !value.is_empty());
        encode(&kept.chain(changed).map(|(n, v)| (n.to_owned(), v.to_owned())).collect::<Fields>())
    }

    /// Logs in on the way to that request; what comes next.
    pub(crate) async fn log_in(&self, browser: &Browser, user: &str, request: &str) -> Reply {
        let page = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(200);
        let mut form = fields(&page.text, "action=\"login\"");
        set(&mut form, "name", user);
        set(&mut form, "password", PASSWORD);
        let mut reply = browser.post("/auth/login", &form).await;
        for _ in 0..30 {
            // Tests beside this one log the same user in.
            if reply.status == 429 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                reply = browser.post("/auth/login", &form).await;
            }
        }
        reply.assert_status(303);
        browser.get(location(&reply)).await
    }

    pub(crate) async fn token(&self, code: &str, changes: &[(&str, &str)]) -> Reply {
        let usual = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("client_id", "app"),
            ("code_verifier", VERIFIER),
        ];
        let kept = usual.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let form: Fields = kept.chain(changes.iter().copied()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        self.browser().post("/auth/token", &form).await
    }

    pub(crate) fn api(&self, token: &Value) -> Client {
        self.server.client().with("authorization", &format!("Bearer {}", token["access_token"].as_str().unwrap()))
    }
}

async fn fill(client: &Client) {
    for (id, family) in [("a", "Chalmers"), ("b", "Windsor")] {
        let mut resource = patient().family(family).given("Ann").born("1970-01-02").build();
        resource["id"] = id.into();
        client.put(&format!("Patient/{id}"), &resource).await.assert_status(201);
        for category in ["laboratory", "vital-signs"] {
            let mut resource = observation().subject(&format!("Patient/{id}")).build();
            resource["category"] = json!([{"coding": [{"system": CATEGORY, "code": category}]}]);
            client.post("Observation", &resource).await.assert_status(201);
        }
        let encounter = json!({"resourceType": "Encounter", "id": format!("e{id}"), "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "subject": {"reference": format!("Patient/{id}")}, "period": {"start": "2020-02-03"}});
        client.put(&format!("Encounter/e{id}"), &encounter).await.assert_status(201);
    }
    client.put("RelatedPerson/r", &related_person(&json!({}))).await.assert_status(201);
    let practitioner = json!({"resourceType": "Practitioner", "id": "p", "name": [{"family": "Bob"}]});
    client.put("Practitioner/p", &practitioner).await.assert_status(201);
}

/// Somebody who stands in for patient `a`.
pub(crate) fn related_person(change: &Value) -> Value {
    let mut person =
        json!({"resourceType": "RelatedPerson", "id": "r", "active": true, "patient": {"reference": "Patient/a"}});
    person.as_object_mut().unwrap().extend(change.as_object().cloned().unwrap());
    person
}

/// Runs a test on each backend; its tests share the servers.
pub(crate) async fn in_clinic(body: impl AsyncFn(&Clinic)) {
    static CLINICS: [OnceLock<Option<Clinic>>; 2] = [OnceLock::new(), OnceLock::new()];
    for (backend, clinic) in Backend::ALL.into_iter().zip(&CLINICS) {
        let clinic = tokio::task::spawn_blocking(move || clinic.get_or_init(|| Clinic::start(backend))).await.unwrap();
        if let Some(clinic) = clinic {
            body(clinic).await;
        }
    }
}

pub(crate) fn location(reply: &Reply) -> &str {
    reply.header("location").unwrap_or_else(|| panic!("no Location: {reply}"))
}

pub(crate) fn set(form: &mut Fields, name: &str, value: &str) {
    form.retain(|(n, _)| n != name);
    form.push((name.to_owned(), value.to_owned()));
}

/// What a user does on the consent page.
pub(crate) async fn decide(browser: &Browser, page: &Reply, decision: &str, change: impl FnOnce(&mut Fields)) -> Reply {
    assert!(page.text.contains("value=\"allow\""), "no consent page: {page}");
    let mut form = fields(&page.text, "action=\"consent\"");
    set(&mut form, "decision", decision);
    change(&mut form);
    browser.post("/auth/consent", &form).await.expect_status(303)
}

/// What a user does on the page with a search and its results.
pub(crate) async fn choose(browser: &Browser, page: &Reply, field: &str, id: &str) -> Reply {
    let mut form = fields(&page.text, "action=\"consent\"");
    set(&mut form, field, id);
    form.retain(|(name, _)| name != "search");
    browser.post("/auth/consent", &form).await
}

pub(crate) fn code(reply: &Reply) -> String {
    let url = location(reply);
    parameter(url, "code").unwrap_or_else(|| panic!("no code: {url}"))
}

pub(crate) fn error(reply: &Reply) -> String {
    let url = location(reply);
    assert!(url.starts_with("https://app.example/callback?own=1&"), "{url}");
    assert_eq!(parameter(url, "code"), None);
    parameter(url, "error").unwrap_or_else(|| panic!("no error: {url}"))
}
