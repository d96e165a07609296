//! Logins and their end, and what users take back.

use conformance_tests::browser::{encode, fields};

use reqwest::{Method, header::SET_COOKIE};

use crate::{
    smart::FORM,
    smart_clinic::{PASSWORD, code, decide, in_clinic, set},
};

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

// https://owasp.org/www-community/attacks/Session_fixation
#[tokio::test(flavor = "multi_thread")]
async fn auth_13_each_login_begins_a_session_of_its_own_and_ends_the_one_before() {
    in_clinic(async |clinic| {
        let origin = clinic.base().trim_end_matches("/fhir").to_owned();
        let ask = async |method: Method, path: &str, cookies: &[String], body: Option<String>| {
            let request = clinic.server.client().request(method, &format!("{origin}{path}"));
            let request = request.header("accept", "text/html").header("cookie", &cookies.join("; "));
            match body {
                Some(body) => request.body(FORM, body).send().await,
                None => request.send().await,
            }
        };
        let given = |reply: &conformance_tests::Reply, name: &str| {
            let cookies = reply.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
            let mut cookies = cookies.filter_map(|cookie| cookie.split(';').next());
            cookies.find(|cookie| cookie.starts_with(name)).map(str::to_owned)
        };
        let log_in = async |session: &str| {
            let request = clinic.request("user/Patient.rs", &[("prompt", "login")]);
            let page = ask(Method::GET, &format!("/auth/authorize?{request}"), &[session.to_owned()], None).await;
            let form_cookie = given(&page, "tessera-form").unwrap();
            let mut form = fields(&page.text, "action=\"login\"");
            set(&mut form, "name", "zoe");
            set(&mut form, "password", PASSWORD);
            let cookies = [form_cookie, session.to_owned()];
            for _ in 0..30 {
                let reply = ask(Method::POST, "/auth/login", &cookies, Some(encode(&form))).await;
                if reply.status != 429 {
                    reply.assert_status(303);
                    return given(&reply, "tessera-session").unwrap();
                }
                // Tests beside this one log users in, too.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            panic!("nobody can log in");
        };
        let is_in = async |session: &str| {
            let page = ask(Method::GET, "/auth/manage", &[session.to_owned()], None).await;
            page.status == 200 && !page.text.contains("type=\"password\"")
        };
        // One that somebody else has put there is not taken.
        let planted = format!("tessera-session=tss_{}", "A".repeat(50));
        let first = log_in(&planted).await;
        assert_ne!(first, planted);
        assert!(is_in(&first).await && !is_in(&planted).await);
        let second = log_in(&first).await;
        assert_ne!(second, first);
        assert!(is_in(&second).await && !is_in(&first).await);
    })
    .await;
}
