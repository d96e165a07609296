//! Launches of apps, as a browser sees them: login, choice of a patient, consent, code, token.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html>

use std::sync::OnceLock;
use std::time::Duration;

use conformance_tests::browser::{Browser, Fields, attribute, buttons, encode, fields, parameter};
use conformance_tests::{Backend, Client, Database, Reply, Server};
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

/// RFC 7636 appendix B
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "https://app.example/callback?own=1";
const PASSWORD: &str = "correct horse battery";
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

/// A server with patients `a` and `b`, of whom one user is the first, and with apps.
struct Clinic {
    server: Server,
    /// The secret of the client `web`.
    secret: String,
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
        let confined = ["--policy", "Patient?family=Chalmers", "--policy", "Encounter"];
        user(
            &[&["eve", "--name", "Eve", "--role", "clinician", "--fhir-user", "Practitioner/p"][..], &confined]
                .concat(),
        );
        let scopes = "launch launch/patient launch/encounter openid fhirUser offline_access online_access patient/*.cruds \
                      user/*.cruds";
        let app = |id: &str, name: &str, more: &[&str]| {
            let given =
                ["client", "add", id, "--name", name, "--scope", scopes, "--redirect-uri", REDIRECT, "--policy", "*"];
            let launch = ["--launch-url", "https://app.example/launch"];
            database.run(&[&given[..], &launch, more].concat(), "")
        };
        app("app", "Growth Chart", &["--authentication", "none", "--organization", "Example Inc."]);
        app("other", "Another App", &["--authentication", "none"]);
        app("ehr", "The EHR", &["--authentication", "none", "--launches"]);
        let told = app("web", "A Web App", &["--authentication", "client_secret_post"]);
        let told: Value = serde_json::from_str(&told).unwrap();
        let secret = told["client_secret"].as_str().unwrap().to_owned();
        Some(Self { server: database.serve_with_authentication(&[]), secret })
    }

    fn base(&self) -> &str {
        self.server.base()
    }

    fn browser(&self) -> Browser {
        Browser::new(self.base())
    }

    /// A request for a code, changed: an empty value takes a parameter away.
    fn request(&self, scope: &str, changes: &[(&str, &str)]) -> String {
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
    async fn log_in(&self, browser: &Browser, user: &str, request: &str) -> Reply {
        let page = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(200);
        let mut form = fields(&page.text, "/auth/login");
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

    async fn token(&self, code: &str, changes: &[(&str, &str)]) -> Reply {
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

    fn api(&self, token: &Value) -> Client {
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
    let practitioner = json!({"resourceType": "Practitioner", "id": "p", "name": [{"family": "Bob"}]});
    client.put("Practitioner/p", &practitioner).await.assert_status(201);
}

/// Runs a test on each backend; its tests share the servers.
async fn in_clinic(body: impl AsyncFn(&Clinic)) {
    static CLINICS: [OnceLock<Option<Clinic>>; 2] = [OnceLock::new(), OnceLock::new()];
    for (backend, clinic) in Backend::ALL.into_iter().zip(&CLINICS) {
        let clinic = tokio::task::spawn_blocking(move || clinic.get_or_init(|| Clinic::start(backend))).await.unwrap();
        if let Some(clinic) = clinic {
            body(clinic).await;
        }
    }
}

fn location(reply: &Reply) -> &str {
    reply.header("location").unwrap_or_else(|| panic!("no Location: {reply}"))
}

fn set(form: &mut Fields, name: &str, value: &str) {
    form.retain(|(n, _)| n != name);
    form.push((name.to_owned(), value.to_owned()));
}

/// What a user does on the consent page.
async fn decide(browser: &Browser, page: &Reply, decision: &str, change: impl FnOnce(&mut Fields)) -> Reply {
    assert!(page.text.contains("value=\"allow\""), "no consent page: {page}");
    let mut form = fields(&page.text, "/auth/consent");
    set(&mut form, "decision", decision);
    change(&mut form);
    browser.post("/auth/consent", &form).await.expect_status(303)
}

/// What a user does on the page with a search and its results.
async fn choose(browser: &Browser, page: &Reply, field: &str, id: &str) -> Reply {
    let mut form = fields(&page.text, "/auth/consent");
    set(&mut form, field, id);
    form.retain(|(name, _)| name != "search");
    browser.post("/auth/consent", &form).await
}

fn code(reply: &Reply) -> String {
    let url = location(reply);
    parameter(url, "code").unwrap_or_else(|| panic!("no code: {url}"))
}

fn error(reply: &Reply) -> String {
    let url = location(reply);
    assert!(url.starts_with("https://app.example/callback?own=1&"), "{url}");
    assert_eq!(parameter(url, "code"), None);
    parameter(url, "error").unwrap_or_else(|| panic!("no error: {url}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_1_the_configuration_says_where_users_are_sent() {
    in_clinic(async |clinic| {
        let found = clinic.server.client().get(".well-known/smart-configuration").await.expect_status(200);
        assert_eq!(found.header("content-type"), Some("application/json"));
        let origin = clinic.base().trim_end_matches("/fhir");
        for (name, path) in [("authorization_endpoint", "authorize"), ("management_endpoint", "manage")] {
            assert_eq!(found.body[name], format!("{origin}/auth/{path}"));
        }
        assert_eq!(found.body["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(found.body["response_types_supported"], json!(["code"]));
        let capabilities = found.body["capabilities"].as_array().unwrap();
        for capability in ["launch-standalone", "launch-ehr", "authorize-post", "context-standalone-patient"] {
            assert!(capabilities.contains(&json!(capability)), "{capability}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_2_a_standalone_launch_leads_from_login_over_choice_and_consent_to_a_token() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let request = clinic.request("launch/patient openid fhirUser patient/Patient.rs patient/Observation.rs", &[]);
        let page = clinic.log_in(&browser, "bob", &request).await.expect_status(200);
        assert_eq!(buttons(&page.text, "patient"), ["a", "b"]);
        let page = choose(&browser, &page, "patient", "a").await.expect_status(200);
        assert!(
            page.text.contains("Growth Chart") && page.text.contains("Example Inc.") && page.text.contains("Dr. Bob")
        );
        assert!(page.text.contains("In the record of Ann Chalmers."));
        let reply = decide(&browser, &page, "allow", |_| {}).await;
        // "state unchanged and iss (RFC 9207)"
        let url = location(&reply);
        assert!(url.starts_with("https://app.example/callback?own=1&code="), "{url}");
        assert_eq!(parameter(url, "state").as_deref(), Some("a state & more"));
        assert_eq!(parameter(url, "iss").as_deref(), Some(clinic.base()));
        let token = clinic.token(&code(&reply), &[]).await.expect_status(200);
        assert_eq!(token.header("cache-control"), Some("no-store"));
        assert_eq!(token.body["patient"], "a");
        assert_eq!(token.body["need_patient_banner"], true);
        assert_eq!(token.body["scope"], "launch/patient openid fhirUser patient/Patient.rs patient/Observation.rs");
        assert!(token.body["id_token"].is_string() && token.body["refresh_token"].is_null());
        let api = clinic.api(&token.body);
        api.get("Patient/a").await.assert_status(200);
        api.get("Patient/b").await.assert_status(404);
        assert_eq!(api.get("Observation").await.expect_status(200).entries().len(), 2);
        api.get("Encounter/ea").await.assert_status(403);
        api.post("Observation", &observation().subject("Patient/a").build()).await.assert_status(403);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_2_the_request_may_be_a_form() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let form = [("client_id", "app"), ("redirect_uri", REDIRECT), ("state", "x")];
        let form = form.map(|(n, v)| (n.to_owned(), v.to_owned()));
        let reply = browser.post("/auth/authorize", &form).await.expect_status(303);
        let reply = browser.get(location(&reply)).await.expect_status(303);
        assert_eq!(
            (error(&reply).as_str(), parameter(location(&reply), "state").as_deref()),
            ("invalid_request", Some("x"))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_2_nobody_is_sent_where_no_app_has_registered() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        for change in [
            ("client_id", "nobody"),
            ("client_id", ""),
            ("redirect_uri", ""),
            ("redirect_uri", "https://app.example/callback"),
            ("redirect_uri", "https://app.example/callback?own=1&x=y"),
            ("redirect_uri", "https://evil.example/callback?own=1"),
            ("redirect_uri", "https://app.example/callback?own=1#x"),
        ] {
            let request = clinic.request("patient/*.rs", &[change]);
            let page = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(400);
            assert!(page.header("location").is_none() && page.text.contains("role=\"alert\""), "{change:?}");
            assert!(!page.text.contains("evil"), "{change:?}");
        }
        let twice = format!("{}&client_id=app", clinic.request("patient/*.rs", &[]));
        browser.get(&format!("/auth/authorize?{twice}")).await.assert_status(400);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_2_what_is_missing_or_for_another_server_is_refused() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        for (change, expect) in [
            (("response_type", ""), "invalid_request"),
            (("response_type", "token"), "unsupported_response_type"),
            (("scope", ""), "invalid_request"),
            (("scope", "system/*.rs"), "invalid_scope"),
            (("scope", "patient/Observaton.rs"), "invalid_scope"),
            (("state", ""), "invalid_request"),
            (("aud", ""), "invalid_request"),
            (("aud", "https://other.example/fhir"), "invalid_request"),
            (("resource", "https://other.example/fhir"), "invalid_request"),
            (("code_challenge", ""), "invalid_request"),
            (("code_challenge", "short"), "invalid_request"),
            (("code_challenge_method", ""), "invalid_request"),
            (("code_challenge_method", "plain"), "invalid_request"),
            (("response_mode", "fragment"), "invalid_request"),
            (("request", "x"), "request_not_supported"),
            (("launch", "x"), "invalid_scope"),
            (("prompt", "none"), "login_required"),
        ] {
            let request = clinic.request("patient/*.rs", &[change]);
            let reply = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(303);
            assert_eq!(error(&reply), expect, "{change:?}");
            assert_eq!(parameter(location(&reply), "iss").as_deref(), Some(clinic.base()));
        }
        // "one trailing slash ignored"
        let request = clinic.request("patient/*.rs", &[("aud", &format!("{}/", clinic.base()))]);
        browser.get(&format!("/auth/authorize?{request}")).await.assert_status(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_3_a_code_is_good_once_and_with_its_verifier() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let request = clinic.request("user/Patient.rs", &[]);
        let mut page = clinic.log_in(&browser, "bob", &request).await.expect_status(200);
        for changes in [
            [("code_verifier", "")],
            [("code_verifier", CHALLENGE)],
            [("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl")],
            [("redirect_uri", "https://app.example/callback")],
            [("client_id", "other")],
        ] {
            let code = code(&decide(&browser, &page, "allow", |_| {}).await);
            let refused = clinic.token(&code, &changes).await.expect_status(400);
            assert_eq!(refused.body["error"], "invalid_grant", "{changes:?}");
            page = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(200);
        }
        let code = code(&decide(&browser, &page, "allow", |_| {}).await);
        let token = clinic.token(&code, &[]).await.expect_status(200);
        let api = clinic.api(&token.body);
        api.get("Patient/b").await.assert_status(200);
        let again = clinic.token(&code, &[]).await.expect_status(400);
        assert_eq!(again.body["error"], "invalid_grant");
        api.get("Patient/b").await.assert_status(401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_20_a_confidential_client_needs_its_secret_and_code_and_verifier() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let request = clinic.request("user/Patient.rs offline_access", &[("client_id", "web")]);
        let page = clinic.log_in(&browser, "bob", &request).await.expect_status(200);
        let code = code(&decide(&browser, &page, "allow", |_| {}).await);
        for secret in ["", "wrong"] {
            let refused = clinic.token(&code, &[("client_id", "web"), ("client_secret", secret)]).await;
            assert_eq!((refused.status, &refused.body["error"]), (401, &json!("invalid_client")), "{secret}");
        }
        let own = [("client_id", "web"), ("client_secret", clinic.secret.as_str())];
        let token = clinic.token(&code, &own).await.expect_status(200);
        clinic.api(&token.body).get("Patient/a").await.assert_status(200);
        let refresh = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.body["refresh_token"].as_str().unwrap()),
            own[0],
            own[1],
        ];
        let again = clinic.token("", &refresh).await.expect_status(200);
        clinic.api(&again.body).get("Patient/a").await.assert_status(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_5_the_picker_offers_what_the_user_may_see_and_takes_nothing_else() {
    in_clinic(async |clinic| {
        for (user, sees) in [("ann", &["a"][..]), ("bob", &["a", "b"]), ("eve", &["a"])] {
            let browser = clinic.browser();
            let page = clinic.log_in(&browser, user, &clinic.request("patient/*.rs", &[])).await.expect_status(200);
            assert_eq!(buttons(&page.text, "patient"), sees, "{user}");
            for id in ["b", "nobody", "../x", "a?x"].into_iter().filter(|id| !sees.contains(id)) {
                let reply = choose(&browser, &page, "patient", id).await.expect_status(303);
                assert_eq!(error(&reply), "access_denied", "{user} {id}");
            }
            // Consent does not believe it either.
            let consent = choose(&browser, &page, "patient", "a").await.expect_status(200);
            if !sees.contains(&"b") {
                let reply = decide(&browser, &consent, "allow", |form| set(form, "patient", "b")).await;
                assert_eq!(error(&reply), "access_denied", "{user}");
            }
            let mut form = fields(&consent.text, "/auth/consent");
            form.retain(|(name, _)| name != "patient");
            set(&mut form, "decision", "allow");
            let reply = browser.post("/auth/consent", &form).await.expect_status(200);
            assert!(!buttons(&reply.text, "patient").is_empty(), "asked again");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_5_patients_are_searched_by_name() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let page = clinic.log_in(&browser, "bob", &clinic.request("patient/*.rs", &[])).await.expect_status(200);
        let mut form = fields(&page.text, "type=\"search\"");
        for (search, expect) in
            [("wind", &["b"][..]), ("ann chalm", &["a"]), ("nobody", &[]), ("a,b", &[]), ("", &["a", "b"])]
        {
            set(&mut form, "search", search);
            let page = browser.post("/auth/consent", &form).await.expect_status(200);
            assert_eq!(buttons(&page.text, "patient"), expect, "{search}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_5_an_encounter_must_be_of_the_patient() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let request = clinic.request("launch/encounter patient/Encounter.rs", &[]);
        let page = clinic.log_in(&browser, "bob", &request).await.expect_status(200);
        let page = choose(&browser, &page, "patient", "a").await.expect_status(200);
        assert_eq!(buttons(&page.text, "encounter"), ["ea"]);
        assert_eq!(error(&choose(&browser, &page, "encounter", "eb").await.expect_status(303)), "access_denied");
        let page = choose(&browser, &page, "encounter", "ea").await.expect_status(200);
        let reply = decide(&browser, &page, "allow", |form| set(form, "encounter", "eb")).await;
        assert_eq!(error(&reply), "access_denied");
        let code = code(&decide(&browser, &page, "allow", |_| {}).await);
        let token = clinic.token(&code, &[]).await.expect_status(200);
        assert_eq!((&token.body["patient"], &token.body["encounter"]), (&json!("a"), &json!("ea")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_6_an_app_is_launched_from_the_page_of_the_server() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        clinic.log_in(&browser, "bob", &clinic.request("user/Patient.rs", &[])).await.assert_status(200);
        let page = browser.get("/auth/launch").await.expect_status(200);
        let mut form = fields(&page.text, "method=\"post\" action=\"/auth/launch\"");
        set(&mut form, "patient", "b");
        set(&mut form, "client", "app");
        let page = browser.post("/auth/launch", &form).await.expect_status(200);
        let link = page.text.split("<a class=\"button\"").nth(1).and_then(|tag| attribute(tag, "href")).unwrap();
        assert!(link.starts_with("https://app.example/launch?iss="), "{link}");
        assert_eq!(parameter(&link, "iss").as_deref(), Some(clinic.base()));
        let launch = parameter(&link, "launch").unwrap();
        let request = clinic.request("launch patient/Patient.rs", &[("launch", &launch)]);

        // Another app and another session get nothing by it.
        let of_other = clinic.request("launch patient/Patient.rs", &[("launch", &launch), ("client_id", "other")]);
        let reply = browser.get(&format!("/auth/authorize?{of_other}")).await.expect_status(303);
        assert_eq!(error(&reply), "invalid_request");
        let reply = clinic.log_in(&clinic.browser(), "bob", &request).await.expect_status(303);
        assert_eq!(error(&reply), "invalid_request");

        let page = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(200);
        assert!(page.text.contains("Ann Windsor"));
        let code = code(&decide(&browser, &page, "allow", |_| {}).await);
        let token = clinic.token(&code, &[]).await.expect_status(200);
        assert_eq!(token.body["patient"], "b");
        clinic.api(&token.body).get("Patient/b").await.assert_status(200);
        // "single use"
        assert_eq!(error(&decide(&browser, &page, "allow", |_| {}).await), "invalid_request");
        let reply = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(303);
        assert_eq!(error(&reply), "invalid_request");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_6_an_ehr_launches_an_app_for_its_user() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let request = |client: &str| clinic.request("user/Patient.rs user/Encounter.rs", &[("client_id", client)]);
        let token = async |client: &str| {
            let page = browser.get(&format!("/auth/authorize?{}", request(client))).await.expect_status(200);
            let code = code(&decide(&browser, &page, "allow", |_| {}).await);
            clinic.token(&code, &[("client_id", client)]).await.expect_status(200)
        };
        clinic.log_in(&browser, "eve", &request("ehr")).await.assert_status(200);
        let ehr = clinic.api(&token("ehr").await.body);
        let url = format!("{}/auth/launch", clinic.base().trim_end_matches("/fhir"));
        let context = |patient: &str| {
            json!({"client": "app", "patient": patient, "encounter": format!("e{patient}"), "need_patient_banner": false,
                "intent": "reconcile", "fhirContext": [{"reference": "Practitioner/p"}]})
        };
        let launched = ehr.post(&url, &context("a")).await.expect_status(201);
        let launch = launched.body["launch"].as_str().unwrap();
        let page =
            browser.get(&format!("/auth/authorize?{}", clinic.request("launch patient/*.rs", &[("launch", launch)]))).await;
        let code = code(&decide(&browser, &page, "allow", |_| {}).await);
        let given = clinic.token(&code, &[]).await.expect_status(200);
        assert_eq!((&given.body["patient"], &given.body["encounter"]), (&json!("a"), &json!("ea")));
        assert_eq!((&given.body["intent"], &given.body["need_patient_banner"]), (&json!("reconcile"), &json!(false)));
        assert_eq!(given.body["fhirContext"], json!([{"reference": "Practitioner/p"}]));
        // What the user may not see is not opened, an app that is no EHR opens nothing, and nobody without a token.
        ehr.post(&url, &context("b")).await.assert_status(403);
        ehr.post(&url, &json!({"client": "nobody", "patient": "a"})).await.assert_status(400);
        let app = clinic.api(&token("other").await.body);
        app.post(&url, &context("a")).await.assert_status(403);
        assert!(!clinic.server.client().post(&url, &context("a")).await.is_success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_7_what_is_unticked_is_not_granted() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let asked = "launch/patient patient/Patient.rs patient/Observation.rs offline_access";
        let page = clinic.log_in(&browser, "ann", &clinic.request(asked, &[])).await.expect_status(200);
        let page = choose(&browser, &page, "patient", "a").await.expect_status(200);
        assert!(page.text.contains("100 days"));
        let laboratory = format!("{CATEGORY}|laboratory");
        let reply = decide(&browser, &page, "allow", |form| {
            form.retain(|(name, value)| {
                name != "scope" || !["offline_access", "patient/Patient.rs"].contains(&value.as_str())
            });
            form.push(("category patient/Observation.rs".to_owned(), laboratory.clone()));
            // What was not asked for is not granted either.
            form.push(("scope".to_owned(), "patient/*.cruds".to_owned()));
        })
        .await;
        let token = clinic.token(&code(&reply), &[]).await.expect_status(200);
        assert_eq!(token.body["scope"], format!("launch/patient patient/Observation.rs?category={laboratory}"));
        assert!(token.body["refresh_token"].is_null());
        let api = clinic.api(&token.body);
        api.get("Patient/a").await.assert_status(403);
        let found = api.get("Observation").await.expect_status(200);
        assert_eq!(found.resources().len(), 1);
        assert_eq!(found.resources()[0]["category"][0]["coding"][0]["code"], "laboratory");
        // Nothing at all is a no, and so is a no.
        let nothing = decide(&browser, &page, "allow", |form| form.retain(|(name, _)| name != "scope")).await;
        assert_eq!(error(&nothing), "access_denied");
        assert_eq!(error(&decide(&browser, &page, "deny", |_| {}).await), "access_denied");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_7_forms_of_elsewhere_are_refused_and_pages_stand_in_no_frame() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let request = clinic.request("user/Patient.rs", &[]);
        let login = clinic.browser().get(&format!("/auth/authorize?{request}")).await.expect_status(200);
        // A token of another browser
        let mut form = fields(&login.text, "/auth/login");
        set(&mut form, "name", "bob");
        set(&mut form, "password", PASSWORD);
        browser.post("/auth/login", &form).await.assert_status(403);
        let page = clinic.log_in(&browser, "bob", &request).await.expect_status(200);
        for change in [("form_token", ""), ("form_token", "x")] {
            let mut form = fields(&page.text, "/auth/consent");
            set(&mut form, "decision", "allow");
            set(&mut form, change.0, change.1);
            browser.post("/auth/consent", &form).await.assert_status(403);
        }
        for page in [&login, &page] {
            let policy = page.header("content-security-policy").unwrap();
            assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"), "{policy}");
            assert!(
                !policy.contains("unsafe") && policy.contains("form-action 'self' https://app.example;"),
                "{policy}"
            );
            assert!(!page.text.contains("<script") && !page.text.contains(" style=") && !page.text.contains("<style"));
            assert_eq!(page.header("cache-control"), Some("no-store"));
            assert_eq!(page.header("x-frame-options"), Some("DENY"));
        }
        browser.get("/auth/style.css").await.assert_status(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_7_consent_is_remembered_for_the_same_and_less_and_not_for_public_clients_offline() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let ask = async |scope: &str| browser.get(&format!("/auth/authorize?{}", clinic.request(scope, &[]))).await;
        let remember = |form: &mut Fields| set(form, "remember", "yes");
        let page = clinic.log_in(&browser, "eve", &clinic.request("user/Patient.rs user/Encounter.rs", &[])).await;
        decide(&browser, &page, "allow", remember).await;
        code(&ask("user/Patient.rs user/Encounter.rs").await.expect_status(303));
        code(&ask("user/Patient.rs").await.expect_status(303));
        ask("user/Patient.rs user/Observation.rs").await.assert_status(200);
        let forced = clinic.request("user/Patient.rs", &[("prompt", "consent")]);
        browser.get(&format!("/auth/authorize?{forced}")).await.assert_status(200);
        let silent = clinic.request("user/Observation.rs", &[("prompt", "none")]);
        let reply = browser.get(&format!("/auth/authorize?{silent}")).await.expect_status(303);
        assert_eq!(error(&reply), "consent_required");
        let offline = "user/Patient.rs offline_access";
        let page = ask(offline).await.expect_status(200);
        assert!(!page.text.contains("name=\"remember\""));
        decide(&browser, &page, "allow", remember).await;
        ask(offline).await.assert_status(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_12_a_user_takes_back_what_they_have_allowed() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let page = clinic.log_in(&browser, "bob", &clinic.request("user/Patient.rs offline_access", &[])).await;
        let code = code(&decide(&browser, &page, "allow", |_| {}).await);
        let token = clinic.token(&code, &[]).await.expect_status(200);
        let api = clinic.api(&token.body);
        api.get("Patient/a").await.assert_status(200);
        let page = browser.get("/auth/manage").await.expect_status(200);
        let form = fields(&page.text, "name=\"authorization\"");
        // Another user cannot.
        let other = clinic.browser();
        clinic.log_in(&other, "ann", &clinic.request("user/Patient.rs", &[])).await.assert_status(200);
        let own = other.get("/auth/manage").await.expect_status(200);
        let mut foreign = fields(&own.text, "/auth/logout");
        let id = form.iter().find(|(name, _)| name == "authorization").map(|(_, id)| id.clone()).unwrap();
        set(&mut foreign, "authorization", &id);
        other.post("/auth/manage", &foreign).await.assert_status(303);
        api.get("Patient/a").await.assert_status(200);
        browser.post("/auth/manage", &form).await.assert_status(303);
        api.get("Patient/a").await.assert_status(401);
        let refresh =
            [("grant_type", "refresh_token"), ("refresh_token", token.body["refresh_token"].as_str().unwrap())];
        let refused = clinic.token("", &refresh).await.expect_status(400);
        assert_eq!(refused.body["error"], "invalid_grant");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_13_a_login_says_nothing_and_a_logout_ends_the_session() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let request = clinic.request("user/Patient.rs online_access", &[]);
        let page = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(200);
        let mut said = Vec::new();
        for (name, password) in [("bob", "wrong"), ("nobody", PASSWORD)] {
            let mut form = fields(&page.text, "/auth/login");
            set(&mut form, "name", name);
            set(&mut form, "password", password);
            let page = browser.post("/auth/login", &form).await.expect_status(403);
            said.push(page.text.replace(name, ""));
        }
        assert_eq!(said[0], said[1]);
        let page = clinic.log_in(&browser, "bob", &request).await.expect_status(200);
        let code = code(&decide(&browser, &page, "allow", |_| {}).await);
        let token = clinic.token(&code, &[]).await.expect_status(200);
        let api = clinic.api(&token.body);
        api.get("Patient/a").await.assert_status(200);
        let page = browser.get("/auth/manage").await.expect_status(200);
        browser.post("/auth/logout", &fields(&page.text, "/auth/logout")).await.assert_status(303);
        let page = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(200);
        assert!(page.text.contains("type=\"password\""));
        api.get("Patient/a").await.assert_status(401);
        // Nobody is sent to other sites by a login.
        assert!(encode(&fields(&page.text, "/auth/login")).contains("request="));
    })
    .await;
}
