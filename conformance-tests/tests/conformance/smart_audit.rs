//! What is recorded beside the interactions of FHIR: logins, consents, tokens, and what leaves for other organizations (AUD-1, AUD-3).

use conformance_tests::{Client, browser::fields};
use serde_json::{Value, json};
use tessera_fixtures::patient;

use crate::{
    smart::{Key, on_each_backend},
    smart_clinic::{Clinic, PASSWORD, REDIRECT, code, decide, error, in_clinic},
};

/// The events that a search finds, the oldest first.
async fn events(reader: &Client, search: &str) -> Vec<Value> {
    let found = reader.get(&format!("AuditEvent?{search}&_sort=date&_count=100")).await.expect_status(200);
    found.resources().into_iter().cloned().collect()
}

/// Somebody who may read all of the record.
async fn auditor(clinic: &Clinic) -> Client {
    let browser = clinic.browser();
    let request = clinic.request("user/AuditEvent.rs tessera/admin", &[("client_id", "web")]);
    let page = clinic.log_in(&browser, "root", &request).await.expect_status(200);
    let reply = decide(&browser, &page, "allow", |_| {}).await;
    let of_web = [("client_id", "web"), ("client_secret", clinic.secret.as_str())];
    clinic.api(&clinic.token(&code(&reply), &of_web).await.expect_status(200).body)
}

#[tokio::test(flavor = "multi_thread")]
async fn aud_1_logins_consents_and_tokens_are_recorded_and_what_is_taken_back() {
    in_clinic(async |clinic| {
        let number = format!("{:016x}", fastrand::u64(..));
        let (app, user, who) = (format!("app-{number}"), format!("amy-{number}"), format!("Practitioner/{number}"));
        let database = clinic.server.database();
        let client = ["client", "add", &app, "--name", "App", "--authentication", "none", "--redirect-uri", REDIRECT];
        drop(database.run(&[&client[..], &["--scope", "user/*.rs"]].concat(), ""));
        let add = ["user", "add", &user, "--name", "Amy", "--role", "clinician", "--fhir-user", &who];
        drop(database.run(&add, PASSWORD));

        let browser = clinic.browser();
        let request = clinic.request("user/Patient.rs", &[("client_id", &app)]);
        let page = clinic.log_in(&browser, &user, &request).await.expect_status(200);
        assert_eq!(error(&decide(&browser, &page, "deny", |_| {}).await), "access_denied");
        let page = browser.get(&format!("/auth/authorize?{request}")).await.expect_status(200);
        let code = code(&decide(&browser, &page, "allow", |_| {}).await);
        let token = clinic.token(&code, &[("client_id", &app)]).await.expect_status(200);
        clinic.api(&token.body).get("Patient/a").await.assert_status(200);
        let page = browser.get("/auth/manage").await.expect_status(200);
        browser.post("/auth/manage", &fields(&page.text, "name=\"authorization\"")).await.assert_status(303);
        clinic.api(&token.body).get("Patient/a").await.assert_status(401);
        let page = browser.get("/auth/manage").await.expect_status(200);
        browser.post("/auth/logout", &fields(&page.text, "action=\"logout\"")).await.assert_status(303);
        // A code that is used again, by which nobody is known.
        clinic.token(&code, &[("client_id", &app)]).await.assert_status(400);

        let auditor = auditor(clinic).await;
        let said = |event: &Value| {
            let subtype = event["subtype"][0]["code"].as_str().unwrap_or_default();
            let of_app = event["agent"][0]["altId"] == app.as_str();
            format!("{subtype} {}{}", event["outcome"].as_str().unwrap(), if of_app { " by the app" } else { "" })
        };
        let of_user: Vec<String> = events(&auditor, &format!("agent={who}")).await.iter().map(said).collect();
        let expected = [
            "110122 0",
            "110137 4 by the app",
            "110137 0 by the app",
            "110142 0 by the app",
            "read 0 by the app",
            "110137 0 by the app",
            "110123 0",
        ];
        assert_eq!(of_user, expected);
        let of_app = events(&auditor, &format!("altid={app}&subtype=110142&outcome=4")).await;
        assert_eq!(of_app.len(), 1);
        assert_eq!(of_app[0]["outcomeDesc"], "invalid_grant");
        let text = Value::from(events(&auditor, &format!("altid={app}")).await).to_string();
        for secret in [code.as_str(), token.body["access_token"].as_str().unwrap(), PASSWORD.trim()] {
            assert!(!text.contains(secret));
        }
    })
    .await;
}

#[test]
fn aud_3_what_a_client_of_another_organization_reads_of_a_patient_is_a_disclosure() {
    on_each_backend(async |smart| {
        let created = smart.everything().await.post("Patient", &patient().build()).await.expect_status(201);
        let read = format!("Patient/{}", created.id());
        let asks = async |more: &[&str]| {
            let key = Key::es384("k");
            let id = smart.register(&[&key], "system/Patient.rs", &[&["--policy", "*"], more].concat());
            smart.with(&smart.token(&id, &key, "system/Patient.rs").await).get(&read).await.assert_status(200);
            id
        };
        let uri = "https://other.example.org";
        let (ours, theirs) = (asks(&[]).await, asks(&["--organization", "Other", "--organization-uri", uri]).await);
        let key = Key::es384("k");
        let more = ["--policy", "*", "--administers"];
        let id = smart.register(&[&key], "system/AuditEvent.rs tessera/admin", &more);
        let auditor = smart.with(&smart.token(&id, &key, "system/AuditEvent.rs tessera/admin").await);
        assert_eq!(events(&auditor, &format!("altid={ours}&type=110106")).await.len(), 0);
        let disclosed = events(&auditor, &format!("altid={theirs}&type=110106")).await;
        assert_eq!(disclosed.len(), 1);
        let event = &disclosed[0];
        let profile = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source";
        assert_eq!((&event["meta"]["profile"][0], &event["subtype"][0]["code"]), (&json!(profile), &json!("disclose")));
        assert!(event["agent"][0].to_string().contains(uri), "{event}");
        let entities = event["entity"].as_array().unwrap();
        let of_role = |code: &str| {
            let entity = entities.iter().find(|entity| entity["role"]["code"] == code).unwrap();
            entity["what"]["reference"].as_str().unwrap()
        };
        assert_eq!((of_role("1"), of_role("4")), (read.as_str(), format!("{read}/_history/1").as_str()));
        // The read is recorded beside it.
        assert_eq!(events(&auditor, &format!("altid={theirs}&subtype=read")).await.len(), 1);
    });
}
