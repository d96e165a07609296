//! Break-glass: in an emergency somebody sees one patient whom they do not see otherwise, and all of it is recorded.

use std::time::Duration;

use conformance_tests::browser::{Browser, Fields, attribute, encode, fields, parameter};
use conformance_tests::{Backend, Client, Database, Reply, Server};
use reqwest::Method;
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::smart::Key;
use crate::smart_second_factor::{enrol, set};

/// RFC 7636 appendix B
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "https://app.example/cb";
const PASSWORD: &str = "correct horse battery";
const REASON: &str = "unconscious after a fall, allergies unknown";

/// A hospital where Eve sees patient `a`, and in an emergency others.
struct Hospital {
    server: Server,
    key: Key,
}

impl Hospital {
    fn start(backend: Backend) -> Option<Self> {
        let database = Database::create(backend, "smart_break_glass")?;
        let mut open = database.serve(&[]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = open.client();
            for (id, family) in [("a", "Chalmers"), ("b", "Windsor")] {
                let mut resource = patient().family(family).build();
                resource["id"] = id.into();
                client.put(&format!("Patient/{id}"), &resource).await.assert_status(201);
                let resource = observation().subject(&format!("Patient/{id}")).build();
                client.post("Observation", &resource).await.assert_status(201);
            }
            let practitioner = json!({"resourceType": "Practitioner", "id": "p"});
            client.put("Practitioner/p", &practitioner).await.assert_status(201);
        });
        open.stop();
        let policy = ["--policy", "Patient?family=Chalmers", "--policy", "Observation?patient.family=Chalmers"];
        for (user, right) in [("eve", &["--break-glass"][..]), ("bob", &[])] {
            let given = ["user", "add", user, "--name", user, "--role", "clinician", "--fhir-user", "Practitioner/p"];
            drop(database.run(&[&given[..], &policy, right].concat(), PASSWORD));
        }
        let scopes = "launch offline_access patient/*.cruds user/*.cruds";
        let app = ["client", "add", "app", "--name", "Chart", "--authentication", "none", "--scope", scopes];
        let more = ["--redirect-uri", REDIRECT, "--launch-url", "https://app.example/launch", "--launches"];
        drop(database.run(&[&app[..], &more].concat(), ""));
        let key = Key::es384("k");
        let file = std::env::temp_dir().join(format!("break-glass-{:016x}.jwks", fastrand::u64(..)));
        std::fs::write(&file, crate::smart::jwks(&[&key]).to_string()).unwrap();
        let officer = ["client", "add", "officer", "--name", "Privacy", "--authentication", "private_key_jwt"];
        let more =
            ["--jwks", file.to_str().unwrap(), "--scope", "system/AuditEvent.rs", "--policy", "*", "--administers"];
        drop(database.run(&[&officer[..], &more].concat(), ""));
        std::fs::remove_file(&file).unwrap();
        let server = database.serve_with_authentication(&[("TESSERA_ACCESS_SECOND_FACTOR", "require")]);
        Some(Self { server, key })
    }

    fn with(&self, token: &str) -> Client {
        self.server.client().with("authorization", &format!("Bearer {token}"))
    }

    fn auth(&self, path: &str) -> String {
        format!("{}/{path}", self.server.base().replace("/fhir", "/auth"))
    }

    /// What an app gets that somebody who has logged in lets have all that it asks for.
    async fn token(&self, browser: &Browser, scope: &str, launch: Option<&str>) -> Value {
        let asked = [
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
            ("state", "x"),
            ("aud", self.server.base()),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let asked = asked.into_iter().chain(launch.map(|launch| ("launch", launch)));
        let asked = encode(&asked.map(|(n, v)| (n.to_owned(), v.to_owned())).collect::<Fields>());
        let page = browser.get(&format!("/auth/authorize?{asked}")).await.expect_status(200);
        let mut form = fields(&page.text, "action=\"consent\"");
        set(&mut form, "decision", "allow");
        let reply = browser.post("/auth/consent", &form).await.expect_status(303);
        let code = parameter(reply.header("location").unwrap(), "code").unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("client_id", "app"),
            ("code_verifier", VERIFIER),
        ];
        let form: Fields = form.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Browser::new(self.server.base()).post("/auth/token", &form).await.expect_status(200).body
    }

    async fn break_glass(&self, token: &str, body: &Value) -> Reply {
        let request = self.server.client().request(Method::POST, &self.auth("break-glass"));
        let request = request.header("authorization", &format!("Bearer {token}"));
        request.body("application/json", body.to_string()).send().await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is passed")]
fn on_each_backend(body: impl AsyncFn(&Hospital)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for backend in Backend::ALL {
        let Some(hospital) = Hospital::start(backend) else { continue };
        println!("on {backend}, {}", hospital.server.base());
        runtime.block_on(body(&hospital));
    }
}

async fn sees_b_alone_and_changes_nothing(api: &Client) {
    api.get("Patient/b").await.assert_status(200);
    api.get("Patient/a").await.assert_status(404);
    let found = api.get("Observation").await.expect_status(200);
    let subjects: Vec<&Value> = found.resources().iter().map(|resource| &resource["subject"]["reference"]).collect();
    assert_eq!(subjects, ["Patient/b"]);
    let mut resource = patient().family("Windsor").build();
    resource["id"] = "b".into();
    api.put("Patient/b", &resource).await.assert_status(403);
    api.post("Observation", &observation().subject("Patient/b").build()).await.assert_status(403);
    api.delete("Patient/b").await.assert_status(403);
}

#[test]
fn cns_7_in_an_emergency_somebody_sees_one_patient_for_a_while() {
    on_each_backend(async |hospital| {
        let browser = Browser::new(hospital.server.base());
        enrol(&browser, "eve", PASSWORD).await;
        let usual = hospital.token(&browser, "user/*.cruds", None).await;
        let usual = usual["access_token"].as_str().unwrap();
        let api = hospital.with(usual);
        api.get("Patient/a").await.assert_status(200);
        api.get("Patient/b").await.assert_status(404);

        let wanted = json!({"patient": "b", "reason": REASON});
        let told = hospital.break_glass(usual, &wanted).await.expect_status(200);
        assert_eq!(told.header("cache-control"), Some("no-store"));
        assert_eq!((&told.body["patient"], &told.body["scope"]), (&json!("b"), &json!("patient/*.rs")));
        assert!(told.body["expires_in"].as_i64().is_some_and(|seconds| (1700..=1800).contains(&seconds)));
        assert!(told.body.get("refresh_token").is_none() && told.body.get("break_glass").is_none());
        let token = told.body["access_token"].as_str().unwrap();
        sees_b_alone_and_changes_nothing(&hospital.with(token)).await;
        api.get("Patient/b").await.assert_status(404);
        // It leads to no other.
        hospital.break_glass(token, &json!({"patient": "b", "reason": ""})).await.assert_status(400);

        for (bad, status) in [
            (json!({"patient": "b"}), 400),
            (json!({"patient": "b", "reason": " "}), 400),
            (json!({"patient": "b", "reason": "x".repeat(1001)}), 400),
            (json!({"patient": "nobody", "reason": REASON}), 400),
            (json!({"patient": "../Practitioner/p", "reason": REASON}), 400),
            (json!({"reason": REASON}), 400),
        ] {
            hospital.break_glass(usual, &bad).await.assert_status(status);
        }
        hospital.break_glass("nonsense", &wanted).await.assert_status(401);

        // Somebody without the right.
        let other = Browser::new(hospital.server.base());
        enrol(&other, "bob", PASSWORD).await;
        assert!(!other.get("/auth/manage").await.text.contains("Emergency access"));
        let of_bob = hospital.token(&other, "user/*.cruds", None).await;
        let refused = hospital.break_glass(of_bob["access_token"].as_str().unwrap(), &wanted).await;
        refused.assert_status(403);

        // It ends with the session.
        let page = browser.get("/auth/manage").await;
        assert!(page.text.contains("Emergency access"));
        let form = fields(&page.text, "action=\"logout\"");
        browser.post("/auth/logout", &form).await.assert_status(303);
        hospital.with(token).get("Patient/b").await.assert_status(401);
    });
}

#[test]
fn cns_7_an_app_is_started_behind_the_glass() {
    on_each_backend(async |hospital| {
        let browser = Browser::new(hospital.server.base());
        enrol(&browser, "eve", PASSWORD).await;
        let page = browser.get("/auth/break-glass").await.expect_status(200);
        let mut form = fields(&page.text, "action=\"break-glass\"");
        for (name, value) in [("client", "app"), ("patient", "nobody"), ("reason", REASON)] {
            set(&mut form, name, value);
        }
        browser.post("/auth/break-glass", &form).await.assert_status(400);
        set(&mut form, "patient", "b");
        let page = browser.post("/auth/break-glass", &form).await.expect_status(200);
        let link = page.text.split("<a").find(|tag| tag.contains("app.example/launch")).unwrap();
        let launch = parameter(&attribute(link, "href").unwrap(), "launch").unwrap();
        let told = hospital.token(&browser, "launch offline_access patient/*.cruds user/*.cruds", Some(&launch)).await;
        assert_eq!((&told["patient"], &told["scope"]), (&json!("b"), &json!("launch patient/*.rs")));
        assert!(told.get("refresh_token").is_none() && told.get("break_glass").is_none());
        sees_b_alone_and_changes_nothing(&hospital.with(told["access_token"].as_str().unwrap())).await;
        // An EHR's launch says nothing of it.
        let usual = hospital.token(&browser, "user/*.cruds", None).await;
        let header = format!("Bearer {}", usual["access_token"].as_str().unwrap());
        let body = json!({"client": "app", "patient": "b", "break_glass": {"id": "x", "until": i64::MAX}});
        let request = hospital.server.client().request(Method::POST, &hospital.auth("launch"));
        let request = request.header("authorization", &header).body("application/json", body.to_string());
        request.send().await.assert_status(400);
    });
}

#[test]
fn cns_7_whatever_is_done_behind_the_glass_is_recorded_and_reviewed() {
    on_each_backend(async |hospital| {
        let browser = Browser::new(hospital.server.base());
        enrol(&browser, "eve", PASSWORD).await;
        let usual = hospital.token(&browser, "user/*.cruds", None).await;
        let wanted = json!({"patient": "b", "reason": REASON});
        let told = hospital.break_glass(usual["access_token"].as_str().unwrap(), &wanted).await.expect_status(200);
        let api = hospital.with(told.body["access_token"].as_str().unwrap());
        api.get("Patient/b").await.assert_status(200);
        api.get("Observation").await.assert_status(200);
        api.get("Patient/a").await.assert_status(404);
        api.delete("Patient/b").await.assert_status(403);

        let officer = hospital.officer().await;
        let is_btg = |event: &&Value| event["purposeOfEvent"][0]["coding"][0]["code"] == "BTG";
        let mut events = Vec::new();
        for _ in 0..50 {
            let found = officer.get("AuditEvent?_count=200&_sort=-date").await.expect_status(200);
            events = found.resources().into_iter().filter(is_btg).cloned().collect::<Vec<Value>>();
            if events.len() >= 6 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let codes: Vec<&str> = events.iter().map(|event| event["subtype"][0]["code"].as_str().unwrap()).collect();
        for code in ["110127", "110142", "read", "search-type", "delete"] {
            assert!(codes.contains(&code), "{code}: {codes:?}");
        }
        // Of the token nothing is without it.
        let policies: Vec<&Value> = events
            .iter()
            .filter_map(|event| event["agent"].as_array()?.iter().find_map(|agent| agent.get("policy")))
            .collect();
        let all = officer.get("AuditEvent?_count=200&_sort=-date").await.expect_status(200);
        let of_token = all.resources().into_iter().filter(|event| {
            event["agent"].as_array().is_some_and(|agents| {
                agents.iter().any(|agent| agent.get("policy").is_some_and(|policy| policies.contains(&policy)))
            })
        });
        assert!(of_token.clone().count() >= 5 && of_token.clone().all(|event| is_btg(&event)));
        let search = "AuditEvent?subtype=http://dicom.nema.org/resources/ontology/DCM|110127&patient=Patient/b";
        let found = officer.get(search).await.expect_status(200);
        let event = found.resources()[0].clone();
        assert!(event.to_string().contains(&format!("reason={REASON}")), "{event}");
        assert_eq!(event["outcome"], "0");

        let log = hospital.server.log().unwrap();
        let line = log.lines().find(|line| line.contains("BREAK-GLASS")).unwrap();
        assert!(line.contains("WARN") && line.contains("eve") && !log.contains("unconscious"), "{line}");
        assert!(!line.contains("Patient/b") && !line.contains("Windsor"));

        let database = hospital.server.database();
        let listed = database.run(&["audit", "break-glass"], "");
        assert!(
            listed.lines().count() == 1 && listed.contains("eve\tapp\trequest") && listed.contains("to be reviewed")
        );
        let id = listed.split('\t').next().unwrap();
        drop(database.run(&["audit", "break-glass", "--review", id, "--by", "Paula"], ""));
        assert!(database.run(&["audit", "break-glass"], "").contains("reviewed by Paula at "));
        let found = officer.get("AuditEvent?altid=tessera%20audit&subtype=verify").await.expect_status(200);
        let [review] = &found.resources()[..] else { panic!("{found:?}") };
        assert_eq!((&review["type"]["code"], &review["outcomeDesc"]), (&json!("110101"), &json!("reviewed by Paula")));
        assert!(review["entity"].to_string().contains(id), "{review}");
    });
}

impl Hospital {
    /// The privacy officer's client.
    #[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
    async fn officer(&self) -> Client {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let jti = format!("{:032x}", fastrand::u128(..));
        let claims =
            json!({"iss": "officer", "sub": "officer", "aud": self.auth("token"), "exp": now + 240, "jti": jti});
        let assertion = self.key.sign(&claims);
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "system/AuditEvent.rs"),
            ("client_assertion_type", crate::smart::ASSERTION_TYPE),
            ("client_assertion", &assertion),
        ];
        let form: Fields = form.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let told = Browser::new(self.server.base()).post("/auth/token", &form).await.expect_status(200);
        self.with(told.body["access_token"].as_str().unwrap())
    }
}
