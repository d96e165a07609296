//! Logins and their end, and what users take back.

use conformance_tests::browser::{encode, fields};

use crate::smart_clinic::{PASSWORD, code, decide, in_clinic, set};

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
        let mut foreign = fields(&own.text, "action=\"logout\"");
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
            let mut form = fields(&page.text, "action=\"login\"");
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
        browser.post("/auth/logout", &fields(&page.text, "action=\"logout\"")).await.assert_status(303);
        let page = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(200);
        assert!(page.text.contains("type=\"password\""));
        api.get("Patient/a").await.assert_status(401);
        // Nobody is sent to other sites by a login.
        assert!(encode(&fields(&page.text, "action=\"login\"")).contains("request="));
    })
    .await;
}
