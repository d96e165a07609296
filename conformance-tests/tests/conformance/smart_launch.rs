//! Launches of apps, standalone and from an EHR: from the request to the token.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html>

use conformance_tests::browser::{attribute, buttons, fields, parameter};
use serde_json::json;
use tessera_fixtures::observation;

use crate::smart_clinic::{CHALLENGE, REDIRECT, choose, code, decide, error, in_clinic, location, set};

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
async fn auth_6_an_app_is_launched_from_the_page_of_the_server() {
    in_clinic(async |clinic| {
        let browser = clinic.browser();
        clinic.log_in(&browser, "bob", &clinic.request("user/Patient.rs", &[])).await.assert_status(200);
        let page = browser.get("/auth/launch").await.expect_status(200);
        let mut form = fields(&page.text, "method=\"post\" action=\"launch\"");
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
