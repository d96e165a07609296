//! What users are asked on the way to a token: which patient, and which scopes.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>

use conformance_tests::browser::{Fields, buttons, fields};
use serde_json::json;

use crate::smart_clinic::{CATEGORY, PASSWORD, choose, code, decide, error, in_clinic, set};

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
            let mut form = fields(&consent.text, "action=\"consent\"");
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
        let mut form = fields(&login.text, "action=\"login\"");
        set(&mut form, "name", "bob");
        set(&mut form, "password", PASSWORD);
        browser.post("/auth/login", &form).await.assert_status(403);
        let page = clinic.log_in(&browser, "bob", &request).await.expect_status(200);
        for change in [("form_token", ""), ("form_token", "x")] {
            let mut form = fields(&page.text, "action=\"consent\"");
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
