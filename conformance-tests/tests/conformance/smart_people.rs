//! What becomes of users' access without them: whom they stand in for changes, administrators take back what they have allowed.

use std::time::Duration;

use conformance_tests::browser::buttons;
use serde_json::json;

use crate::smart_clinic::{choose, code, decide, in_clinic, related_person};

#[tokio::test(flavor = "multi_thread")]
async fn auth_5_a_related_person_sees_the_patient_while_active_and_within_the_period() {
    in_clinic(async |clinic| {
        let scopes = "launch/patient fhirUser openid patient/Patient.rs user/Patient.rs user/RelatedPerson.rs";
        let writing = "user/RelatedPerson.cruds";
        let bob = clinic.browser();
        let page = clinic.log_in(&bob, "bob", &clinic.request(writing, &[])).await.expect_status(200);
        let reply = decide(&bob, &page, "allow", |_| {}).await;
        let clinician = clinic.api(&clinic.token(&code(&reply), &[]).await.expect_status(200).body);
        let kim = clinic.browser();
        let page = clinic.log_in(&kim, "kim", &clinic.request(scopes, &[])).await.expect_status(200);
        assert_eq!(buttons(&page.text, "patient"), ["a"]);
        let page = choose(&kim, &page, "patient", "a").await.expect_status(200);
        let reply = decide(&kim, &page, "allow", |_| {}).await;
        let token = clinic.token(&code(&reply), &[]).await.expect_status(200).body;
        assert_eq!(token["patient"], "a");
        let api = clinic.api(&token);
        // Whatever was found is believed for some seconds.
        let becomes = async |status: u16| {
            for _ in 0..24 {
                if api.get("Patient/a").await.status == status {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            api.get("Patient/a").await.assert_status(status);
        };
        becomes(200).await;
        api.get("RelatedPerson/r").await.assert_status(200);
        api.get("Patient/b").await.assert_status(404);
        // How long they stand in for the patient is not for them to say, whatever the app may do.
        let page = kim.get(&format!("/auth/authorize?{}", clinic.request(writing, &[]))).await;
        let reply = decide(&kim, &page, "allow", |_| {}).await;
        let token = clinic.token(&code(&reply), &[]).await.expect_status(200).body;
        assert_eq!(token["scope"], writing);
        let longer = related_person(&json!({"period": {"end": "2100-01-01"}}));
        clinic.api(&token).put("RelatedPerson/r", &longer).await.assert_status(403);
        for ended in
            [json!({"active": false}), json!({"period": {"end": "2020-01-01"}}), json!({"period": {"start": "2100"}})]
        {
            clinician.put("RelatedPerson/r", &related_person(&ended)).await.assert_status(200);
            becomes(403).await;
            // Nobody can be chosen any more.
            let again = kim.get(&format!("/auth/authorize?{}", clinic.request(scopes, &[]))).await;
            assert!(again.status != 200 || !again.text.contains("Chalmers"), "{again}");
            clinician.put("RelatedPerson/r", &related_person(&json!({}))).await.assert_status(200);
            becomes(200).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_12_an_administrator_sees_and_takes_back_what_users_have_allowed() {
    in_clinic(async |clinic| {
        let admin = clinic.base().replace("/fhir", "/admin");
        let allow = async |user: &str, client: &str, scope: &str, patient: Option<&str>| {
            let browser = clinic.browser();
            let mut page = clinic.log_in(&browser, user, &clinic.request(scope, &[("client_id", client)])).await;
            if let Some(patient) = patient {
                page = choose(&browser, &page, "patient", patient).await;
            }
            let reply = decide(&browser, &page.expect_status(200), "allow", |_| {}).await;
            let secret = if client == "web" { clinic.secret.as_str() } else { "" };
            let changes = [("client_id", client), ("client_secret", secret)];
            let changes = if secret.is_empty() { &changes[..1] } else { &changes[..] };
            clinic.token(&code(&reply), changes).await.expect_status(200).body
        };
        // By a client that administers, and with the scope.
        let without = allow("root", "web", "user/Patient.rs", None).await;
        clinic.api(&without).get(&format!("{admin}/clients")).await.assert_status(403);
        let root = allow("root", "web", "user/Patient.rs tessera/admin", None).await;
        assert_eq!(root["scope"], "user/Patient.rs tessera/admin");
        let root = clinic.api(&root);
        root.get(&format!("{admin}/clients")).await.assert_status(200);
        // Nobody else's user token has it.
        let bob = allow("bob", "web", "user/Patient.rs tessera/admin", None).await;
        assert_eq!(bob["scope"], "user/Patient.rs");
        clinic.api(&bob).get(&format!("{admin}/clients")).await.assert_status(403);

        let tokens = [
            allow("zoe", "app", "launch/patient patient/Patient.rs offline_access", Some("a")).await,
            allow("zoe", "other", "user/Patient.rs", None).await,
        ];
        for token in &tokens {
            clinic.api(token).get("Patient/a").await.assert_status(200);
        }
        let list = async |query: &str| {
            let found = root.get(&format!("{admin}/authorizations?{query}")).await.expect_status(200).body;
            found["items"].as_array().unwrap().clone()
        };
        let found = list("user=zoe&client=app").await;
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0]["patient"], &found[0]["client"], &found[0]["user"]),
            (&json!("a"), &json!("app"), &json!("zoe"))
        );
        assert_eq!(list("user=zoe&patient=a").await, found);
        assert_eq!(list("user=zoe").await.len(), 2);
        // One client's, then the user's.
        let revoke = async |query: &str| root.delete(&format!("{admin}/authorizations?{query}")).await;
        revoke("").await.assert_status(400);
        revoke("nobody=x").await.assert_status(400);
        assert_eq!(revoke("user=zoe&patient=a").await.expect_status(200).body["revoked"], 1);
        clinic.api(&tokens[0]).get("Patient/a").await.assert_status(401);
        let refresh =
            [("grant_type", "refresh_token"), ("refresh_token", tokens[0]["refresh_token"].as_str().unwrap())];
        clinic.token("", &refresh).await.assert_status(400);
        clinic.api(&tokens[1]).get("Patient/a").await.assert_status(200);
        let id = list("user=zoe").await[0]["id"].as_str().unwrap().to_owned();
        root.delete(&format!("{admin}/authorizations/{id}")).await.assert_status(200);
        clinic.api(&tokens[1]).get("Patient/a").await.assert_status(401);
        root.get(&format!("{admin}/authorizations/{id}")).await.assert_status(404);
    })
    .await;
}
