//! What the public test kits ask of a SMART server and no other test here does: those of SMART App Launch 2.2 and of ONC's
//! (g)(10). docs/conformance-smart.md says which test answers which of their tests.

use conformance_tests::{Reply, browser::Fields};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::Jwk};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    smart::{ASSERTION_TYPE, FORM, Key, changed, form, jwks, on_each_backend},
    smart_clinic::{CATEGORY, Clinic, REDIRECT, VERIFIER, choose, code, decide, error, in_clinic},
};

/// What the kit asks for first: everything, in words of SMART 2.
const SCOPES: &str = "launch/patient openid fhirUser offline_access patient/Patient.rs patient/Observation.rs";

/// Launches an app for its user, who chooses Ann and allows everything; its code.
async fn launched(clinic: &Clinic, user: &str, scope: &str, changes: &[(&str, &str)]) -> String {
    let browser = clinic.browser();
    let mut page = clinic.log_in(&browser, user, &clinic.request(scope, changes)).await.expect_status(200);
    if !page.text.contains("value=\"allow\"") {
        page = choose(&browser, &page, "patient", "a").await.expect_status(200);
    }
    code(&decide(&browser, &page, "allow", |_| {}).await)
}

async fn token(clinic: &Clinic, user: &str, scope: &str) -> Value {
    clinic.token(&launched(clinic, user, scope, &[]).await, &[]).await.expect_status(200).body
}

async fn refresh(clinic: &Clinic, token: &str, more: &[(&str, &str)]) -> Reply {
    let own = [("grant_type", "refresh_token"), ("refresh_token", token)];
    clinic.token("", &[&own[..], more].concat()).await
}

/// The claims of an id_token, whose signature is good by a key that is published.
async fn identity(clinic: &Clinic, id_token: &str) -> Value {
    let client = clinic.server.client();
    let configuration = client.get(".well-known/openid-configuration").await.expect_status(200).body;
    let keys = client.get(configuration["jwks_uri"].as_str().unwrap()).await.expect_status(200).body;
    let header = decode_header(id_token).unwrap();
    assert_eq!(header.alg, Algorithm::RS256);
    let kid = header.kid.unwrap();
    let found: Vec<&Value> = keys["keys"].as_array().unwrap().iter().filter(|key| key["kid"] == kid).collect();
    assert_eq!(found.len(), 1, "one key is called {kid}");
    let key: Jwk = serde_json::from_value(found[0].clone()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["app"]);
    validation.set_issuer(&[configuration["issuer"].as_str().unwrap()]);
    decode::<Value>(id_token, &DecodingKey::from_jwk(&key).unwrap(), &validation).unwrap().claims
}

// smart_openid_*: the key, the header, the claims and the user of an id_token
#[tokio::test(flavor = "multi_thread")]
async fn kit_openid_the_user_of_an_id_token_is_known() {
    in_clinic(async |clinic| {
        let configuration = clinic.server.client().get(".well-known/openid-configuration").await.expect_status(200);
        for name in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"] {
            assert!(configuration.body[name].is_string(), "{name}");
        }
        for name in ["response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"] {
            assert!(configuration.body[name].as_array().is_some_and(|list| !list.is_empty()), "{name}");
        }
        let token = token(clinic, "ann", SCOPES).await;
        let claims = identity(clinic, token["id_token"].as_str().unwrap()).await;
        let sub = claims["sub"].as_str().unwrap();
        assert!(!sub.is_empty() && sub.len() <= 255);
        assert!(claims["iat"].is_u64() && claims["exp"].as_u64() > claims["iat"].as_u64());
        assert_eq!(claims["fhirUser"], format!("{}/Patient/a", clinic.base()));
        let user = clinic.api(&token).get(claims["fhirUser"].as_str().unwrap()).await.expect_status(200);
        assert_eq!(user.body["id"], "a");
    })
    .await;
}

// smart_token_refresh, smart_token_refresh_body, g10_invalid_token_refresh: with scopes and without
#[tokio::test(flavor = "multi_thread")]
async fn kit_refresh_brings_a_token_for_the_same_scopes_or_fewer() {
    in_clinic(async |clinic| {
        let mut last = token(clinic, "ann", SCOPES).await;
        for (asked, granted) in
            [(None, SCOPES), (Some(SCOPES), SCOPES), (Some("patient/Patient.rs"), "patient/Patient.rs")]
        {
            let more: Vec<_> = asked.map(|scope| ("scope", scope)).into_iter().collect();
            let reply = refresh(clinic, last["refresh_token"].as_str().unwrap(), &more).await.expect_status(200);
            assert_eq!(reply.header("cache-control"), Some("no-store"));
            assert_eq!(reply.header("pragma"), Some("no-cache"));
            assert_eq!((&reply.body["token_type"], &reply.body["scope"]), (&json!("Bearer"), &json!(granted)));
            assert!(reply.body["access_token"].is_string() && reply.body["expires_in"].is_u64());
            assert_eq!(reply.body["patient"], "a");
            clinic.api(&reply.body).get("Patient/a").await.assert_status(200);
            last = reply.body;
        }
        let more = [("scope", "patient/*.rs")];
        let refused = refresh(clinic, last["refresh_token"].as_str().unwrap(), &more).await.expect_status(400);
        assert_eq!(refused.body["error"], "invalid_scope");
        let refused = refresh(clinic, "8f8f3c5e-8a8d-4a3a-9d0c-3f4b8a1c2d3e", &[]).await.expect_status(400);
        assert_eq!(refused.body["error"], "invalid_grant");
    })
    .await;
}

// g10_smart_invalid_token_request: BAD_CODE, BAD_CLIENT_ID
#[tokio::test(flavor = "multi_thread")]
async fn kit_invalid_token_request_is_refused() {
    in_clinic(async |clinic| {
        let code = launched(clinic, "ann", "patient/Patient.rs", &[]).await;
        let refused = clinic.token("BAD_CODE", &[]).await.expect_status(400);
        assert_eq!(refused.body["error"], "invalid_grant");
        clinic.token(&code, &[("client_id", "BAD_CLIENT_ID")]).await.assert_status(401);
        clinic.token(&code, &[]).await.assert_status(200);
    })
    .await;
}

// g10_smart_invalid_launch_param, g10_smart_invalid_aud
#[tokio::test(flavor = "multi_thread")]
async fn kit_invalid_launch_and_aud_bring_no_code() {
    in_clinic(async |clinic| {
        let scope = "launch openid user/Patient.rs";
        let browser = clinic.browser();
        let launch = clinic.request(scope, &[("launch", "INVALID_LAUNCH_PARAM")]);
        assert_eq!(error(&clinic.log_in(&browser, "bob", &launch).await), "invalid_request");
        let aud = clinic.request(scope, &[("aud", "https://inferno.healthit.gov/invalid_aud")]);
        assert_eq!(error(&browser.get(&format!("/auth/authorize?{aud}")).await), "invalid_request");
    })
    .await;
}

// smart_token_introspection_*: what the token response said is said again
#[tokio::test(flavor = "multi_thread")]
async fn kit_introspection_says_what_the_token_response_said() {
    in_clinic(async |clinic| {
        let told = clinic.server.database().run(
            &[
                "client",
                "add",
                &format!("inspector-{:x}", fastrand::u64(..)),
                "--name",
                "Inspector",
                "--scope",
                "openid",
                "--authentication",
                "client_secret_post",
                "--introspects",
            ],
            "",
        );
        let told: Value = serde_json::from_str(&told).unwrap();
        let ask = async |token: &str| {
            let fields =
                ["client_id", "client_secret"].map(|name| (name.to_owned(), told[name].as_str().unwrap().to_owned()));
            let fields: Fields = fields.into_iter().chain([("token".to_owned(), token.to_owned())]).collect();
            clinic.browser().post("/auth/introspect", &fields).await.expect_status(200)
        };
        let token = token(clinic, "ann", SCOPES).await;
        let found = ask(token["access_token"].as_str().unwrap()).await.body;
        let claims = identity(clinic, token["id_token"].as_str().unwrap()).await;
        assert_eq!((&found["active"], &found["client_id"]), (&json!(true), &json!("app")));
        assert!(found["exp"].is_u64());
        for name in ["scope", "patient"] {
            assert_eq!(found[name], token[name], "{name}");
        }
        for name in ["iss", "sub", "fhirUser"] {
            assert_eq!(found[name], claims[name], "{name}");
        }
        assert_eq!(ask("invalid_token_value").await.body, json!({"active": false}));
    })
    .await;
}

// g10_smart_v1_scopes
#[tokio::test(flavor = "multi_thread")]
async fn kit_v1_scopes_are_granted_as_they_were_asked_for() {
    in_clinic(async |clinic| {
        let scope = "launch/patient patient/Patient.read patient/Observation.read";
        let token = token(clinic, "ann", scope).await;
        assert_eq!(token["scope"], scope);
        let api = clinic.api(&token);
        api.get("Patient/a").await.assert_status(200);
        assert_eq!(api.get("Observation?patient=a").await.expect_status(200).resources().len(), 2);
        api.get("Encounter?patient=a").await.assert_status(403);
    })
    .await;
}

// g10_smart_granular_scope_selection: asked for whole types, the user gives kinds of them
#[tokio::test(flavor = "multi_thread")]
async fn kit_granular_scopes_are_selected_by_the_user() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let asked = "launch/patient patient/Condition.rs patient/Observation.rs patient/Patient.rs";
        let page = clinic.log_in(&browser, "ann", &clinic.request(asked, &[])).await.expect_status(200);
        let page = choose(&browser, &page, "patient", "a").await.expect_status(200);
        let (problems, vital) = (
            "http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item",
            format!("{CATEGORY}|vital-signs"),
        );
        let reply = decide(&browser, &page, "allow", |form| {
            form.push(("category patient/Condition.rs".to_owned(), problems.to_owned()));
            form.push(("category patient/Observation.rs".to_owned(), vital.clone()));
        });
        let token = clinic.token(&code(&reply.await), &[]).await.expect_status(200);
        let expect = format!(
            "launch/patient patient/Condition.rs?category={problems} patient/Observation.rs?category={vital} \
             patient/Patient.rs"
        );
        assert_eq!(token.body["scope"], expect);
    })
    .await;
}

// g10_us_core_*_fine_grained_scopes: two kinds of one type, asked for one by one
#[tokio::test(flavor = "multi_thread")]
async fn kit_granular_scopes_that_were_asked_for_bind_reads_and_searches() {
    in_clinic(async |clinic| {
        let whole = clinic.api(&token(clinic, "ann", "patient/Observation.rs").await);
        let all = whole.get("Observation?patient=a").await.expect_status(200);
        let id = |kind: &str| {
            let found = all.resources().into_iter().find(|found| found["category"][0]["coding"][0]["code"] == kind);
            format!("Observation/{}", found.unwrap()["id"].as_str().unwrap())
        };
        let (laboratory, vital) = (id("laboratory"), id("vital-signs"));
        for (kind, seen, hidden) in [("laboratory", &laboratory, &vital), ("vital-signs", &vital, &laboratory)] {
            let scope = format!("patient/Observation.rs?category={CATEGORY}|{kind}");
            let token = token(clinic, "ann", &scope).await;
            assert_eq!(token["scope"], scope);
            let api = clinic.api(&token);
            api.get(seen).await.assert_status(200);
            api.get(hidden).await.assert_status(404);
            for search in ["Observation?patient=a", "Observation?patient=a&category=laboratory,vital-signs"] {
                let found = api.get(search).await.expect_status(200);
                assert_eq!(found.resources().len(), 1, "{search}");
            }
        }
    })
    .await;
}

// smart_cors_well_known_endpoint, smart_cors_metadata_request, smart_cors_token_exchange, smart_cors_openid_fhir_user_claim
#[tokio::test(flavor = "multi_thread")]
async fn kit_cors_is_for_origins_that_clients_have_registered() {
    in_clinic(async |clinic| {
        let origin = "https://app.example";
        let ask = async |method: Method, url: &str, body: Option<String>, token: Option<&str>| {
            let mut request = clinic.server.client().request(method, url).header("origin", origin);
            if let Some(body) = body {
                request = request.body(FORM, body);
            }
            if let Some(token) = token {
                request = request.header("authorization", &format!("Bearer {token}"));
            }
            request.send().await.expect_status(200)
        };
        for url in [".well-known/smart-configuration", "metadata"] {
            let reply = ask(Method::GET, url, None, None).await;
            assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{url}");
        }
        let code = launched(clinic, "ann", SCOPES, &[]).await;
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", REDIRECT),
            ("client_id", "app"),
            ("code_verifier", VERIFIER),
        ];
        let url = format!("{}/auth/token", clinic.base().trim_end_matches("/fhir"));
        let token = ask(Method::POST, &url, Some(form(&pairs)), None).await;
        assert_eq!(token.header("access-control-allow-origin"), Some(origin));
        let reply = ask(Method::GET, "Patient/a", None, token.body["access_token"].as_str()).await;
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
    })
    .await;
}

// g10_smart_asymmetric_launch: the code of a client that signs
#[tokio::test(flavor = "multi_thread")]
async fn kit_asymmetric_clients_exchange_their_code_with_an_assertion() {
    in_clinic(async |clinic| {
        let (key, other) = (Key::es384("k"), Key::es384("k"));
        let id = format!("signed-{:016x}", fastrand::u64(..));
        let file = std::env::temp_dir().join(format!("{id}.jwks"));
        std::fs::write(&file, jwks(&[&key]).to_string()).unwrap();
        let scope = "launch/patient offline_access patient/Patient.rs";
        let arguments =
            ["client", "add", &id, "--name", "Signed", "--authentication", "private_key_jwt", "--scope", scope];
        let more = ["--redirect-uri", REDIRECT, "--jwks", file.to_str().unwrap(), "--policy", "*"];
        drop(clinic.server.database().run(&[&arguments[..], &more].concat(), ""));
        std::fs::remove_file(&file).unwrap();
        let code = launched(clinic, "ann", scope, &[("client_id", &id)]).await;
        let assertion = |key: &Key| {
            let url = format!("{}/auth/token", clinic.base().trim_end_matches("/fhir"));
            let exp = jsonwebtoken::get_current_timestamp() + 240;
            let jti = format!("{:032x}", fastrand::u128(..));
            key.sign(&json!({"iss": id, "sub": id, "aud": url, "exp": exp, "jti": jti}))
        };
        let exchange = async |assertion: &str| {
            let shown =
                [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion), ("client_id", &id)];
            clinic.token(&code, &shown).await
        };
        exchange(&assertion(&other)).await.assert_status(401);
        let token = exchange(&assertion(&key)).await.expect_status(200);
        clinic.api(&token.body).get("Patient/a").await.assert_status(200);
    })
    .await;
}

// g10_smart_style_url, g10_smart_need_patient_banner, g10_encounter_context
#[tokio::test(flavor = "multi_thread")]
async fn kit_an_ehr_launch_brings_style_and_banner() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        let request = clinic.request("user/*.rs", &[("client_id", "ehr")]);
        let page = clinic.log_in(&browser, "bob", &request).await.expect_status(200);
        let ehr = clinic.token(&code(&decide(&browser, &page, "allow", |_| {}).await), &[("client_id", "ehr")]).await;
        let url = format!("{}/auth/launch", clinic.base().trim_end_matches("/fhir"));
        let context = json!({"client": "app", "patient": "a", "encounter": "ea", "need_patient_banner": true});
        let launched = clinic.api(&ehr.expect_status(200).body).post(&url, &context).await.expect_status(201);
        let launch = launched.body["launch"].as_str().unwrap();
        let scope = "launch openid fhirUser offline_access user/Patient.rs user/Encounter.rs";
        let page = browser.get(&format!("/auth/authorize?{}", clinic.request(scope, &[("launch", launch)]))).await;
        let token = clinic.token(&code(&decide(&browser, &page, "allow", |_| {}).await), &[]).await.expect_status(200);
        assert_eq!(token.body["scope"], scope);
        assert_eq!(token.body["need_patient_banner"], true);
        let style =
            clinic.server.client().get(token.body["smart_style_url"].as_str().unwrap()).await.expect_status(200);
        assert!(style.body["color_background"].is_string());
        let api = clinic.api(&token.body);
        api.get("Patient/a").await.assert_status(200);
        api.get(&format!("Encounter/{}", token.body["encounter"].as_str().unwrap())).await.assert_status(200);
    })
    .await;
}

// g10_smart_well_known_capabilities, well_known_capabilities_stu2
#[test]
fn kit_capabilities_are_those_that_certification_needs() {
    on_each_backend(async |smart| {
        let configuration = smart.configuration().await;
        let capabilities = configuration["capabilities"].as_array().unwrap();
        for name in [
            "launch-standalone",
            "launch-ehr",
            "client-public",
            "client-confidential-symmetric",
            "client-confidential-asymmetric",
            "sso-openid-connect",
            "context-standalone-patient",
            "context-ehr-patient",
            "context-ehr-encounter",
            "context-banner",
            "context-style",
            "permission-offline",
            "permission-patient",
            "permission-user",
            "authorize-post",
            "permission-v1",
            "permission-v2",
        ] {
            assert!(capabilities.contains(&json!(name)), "{name}");
        }
        for name in ["authorization_endpoint", "token_endpoint", "issuer", "jwks_uri"] {
            assert!(configuration[name].is_string(), "{name}");
        }
        assert!(configuration["grant_types_supported"].as_array().unwrap().contains(&json!("authorization_code")));
    });
}

// smart_backend_services_invalid_jwt: the kit's sends a good assertion with another type; and then what its name says
#[test]
fn kit_backend_services_refuse_a_wrong_type_with_400_and_a_wrong_jwt_with_401() {
    on_each_backend(async |smart| {
        let key = Key::rs384("k");
        let id = smart.register(&[&key], "system/Patient.rs", &["--policy", "*"]);
        let url = smart.endpoint("token_endpoint").await;
        let assertion = key.sign(&smart.claims(&id).await);
        let pairs = [
            ("grant_type", "client_credentials"),
            ("scope", "system/Patient.rs"),
            ("client_assertion_type", "not_an_assertion_type"),
            ("client_assertion", &assertion),
        ];
        let refused = smart.post(&url, None, &pairs).await.expect_status(400);
        assert_eq!(refused.body["error"], "invalid_request");
        let stale = changed(smart.claims(&id).await, json!({"exp": 1}));
        smart.ask(&key.sign(&stale), "system/Patient.rs").await.assert_status(401);
        let pairs = [
            ("grant_type", "not_a_grant_type"),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
        ];
        let refused = smart.post(&url, None, &pairs).await.expect_status(400);
        assert_eq!(refused.body["error"], "unsupported_grant_type");
        smart.ask(&assertion, "system/Patient.rs").await.assert_status(200);
    });
}
