//! What an access token lets its bearer do: statuses, scopes, policies, introspection and revocation.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>,
//! <https://www.rfc-editor.org/rfc/rfc6750>

use std::time::{Duration, Instant};

use conformance_tests::Client;
use reqwest::Method;
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::smart::{Key, Smart, on_each_backend};

/// A client with these scopes and this policy.
async fn client(smart: &Smart, scope: &str, policy: &[&str]) -> Client {
    let key = Key::es384("k");
    let policy: Vec<&str> = policy.iter().flat_map(|line| ["--policy", line]).collect();
    let id = smart.register(&[&key], scope, &policy);
    smart.with(&smart.token(&id, &key, scope).await)
}

// https://www.rfc-editor.org/rfc/rfc6750#section-3
#[test]
fn core_6_without_a_good_token_everything_is_401() {
    on_each_backend(async |smart| {
        let anonymous = smart.client();
        let resource = patient().build();
        let paths =
            ["Patient", "Patient/1", "Patient/1/_history", "_history", "?_type=Patient", "Patient/1/$everything", ""];
        for path in paths {
            let refused = anonymous.get(path).await.expect_status(401);
            assert_eq!(refused.body["issue"][0]["code"], "login", "{path}");
            let challenge = refused.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer ") && !challenge.contains("error"), "{path}: {challenge}");
            assert_eq!(refused.header("x-insecure-mode"), None);
        }
        anonymous.post("Patient", &resource).await.assert_status(401);
        anonymous.put("Patient/1", &resource).await.assert_status(401);
        anonymous.delete("Patient/1").await.assert_status(401);
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": []});
        anonymous.post("", &bundle).await.assert_status(401);
        for token in ["nonsense", "tsa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0000", "a b"] {
            let refused = smart.with(token).get("Patient").await.expect_status(401);
            assert!(refused.header("www-authenticate").unwrap().contains("error=\"invalid_token\""), "{token}");
        }
        let basic = anonymous.with("authorization", "Basic eDp5");
        basic.get("Patient").await.assert_status(401);
        // Tokens in URLs end up in logs.
        let key = Key::es384("k");
        let id = smart.register(&[&key], "system/*.rs", &["--policy", "*"]);
        let token = smart.token(&id, &key, "system/*.rs").await;
        anonymous.get(&format!("Patient?access_token={token}")).await.assert_status(401);
        smart.with(&token).get("Patient").await.assert_status(200);
        let lower = anonymous.with("authorization", &format!("bearer {token}"));
        lower.get("Patient").await.assert_status(200);
    });
}

#[test]
fn core_6_what_the_scope_does_not_grant_is_403() {
    on_each_backend(async |smart| {
        let everything = smart.everything().await;
        let created = everything.post("Patient", &patient().build()).await.expect_status(201);
        let path = format!("Patient/{}", created.id());
        let with_id = created.body.clone();
        let check = async |scope: &str, allowed: &str| {
            let client = client(smart, scope, &["*"]).await;
            let status = |letter: char, good: u16| if allowed.contains(letter) { good } else { 403 };
            client.get(&path).await.assert_status(status('r', 200));
            client.get(&format!("{path}/_history")).await.assert_status(status('r', 200));
            client.get("Patient?_count=1").await.assert_status(status('s', 200));
            client.post("Patient", &patient().build()).await.assert_status(status('c', 201));
            client.put(&path, &with_id).await.assert_status(status('u', 200));
            client.delete("Patient/there-is-none").await.assert_status(status('d', 204));
            // Another type is not granted at all.
            client.get("Condition?_count=1").await.assert_status(403);
            client.get("Condition/there-is-none").await.assert_status(403);
        };
        for (scope, allowed) in [
            ("system/Patient.r", "r"),
            ("system/Patient.s", "s"),
            ("system/Patient.c", "c"),
            ("system/Patient.u", "u"),
            ("system/Patient.d", "d"),
            ("system/Patient.rs", "rs"),
            ("system/Patient.read", "rs"),
            ("system/Patient.write", "cud"),
            ("system/Patient.cruds", "cruds"),
            ("system/Patient.*", "cruds"),
        ] {
            check(scope, allowed).await;
        }
    });
}

fn ids(found: &[&Value]) -> Vec<String> {
    let mut ids: Vec<String> = found.iter().map(|resource| resource["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn scp_5_a_client_sees_what_its_policy_says_and_the_rest_is_not_there() {
    on_each_backend(async |smart| {
        let everything = smart.everything().await;
        let tag = format!("t{:016x}", fastrand::u64(..));
        let create = async |code: &str| {
            let mut resource = patient().build();
            resource["meta"] = json!({"tag": [{"system": "https://tessera.example/policy", "code": code}]});
            everything.post("Patient", &resource).await.expect_status(201).id().to_owned()
        };
        let (own, other) = (create(&tag).await, create("other").await);
        let policy = format!("Patient?_tag=https://tessera.example/policy|{tag}");
        let client = client(smart, "system/*.cruds", &[&policy]).await;
        client.get(&format!("Patient/{own}")).await.assert_status(200);
        let hidden = client.get(&format!("Patient/{other}")).await.expect_status(404);
        let missing = client.get("Patient/there-is-none").await.expect_status(404);
        assert_eq!(hidden.text.replace(&other, "?"), missing.text.replace("there-is-none", "?"));
        let found = client.get(&format!("Patient?_id={own},{other}&_total=accurate")).await.expect_status(200);
        assert_eq!((ids(&found.resources()), &found.body["total"]), (vec![own.clone()], &json!(1)));
        client.delete(&format!("Patient/{other}")).await.assert_status(204);
        everything.get(&format!("Patient/{other}")).await.assert_status(200);
        // What it would not see, it may not write.
        client.post("Patient", &patient().build()).await.assert_status(403);
        client.get("Observation").await.assert_status(403);
    });
}

// "patient/Observation.rs?category=…": finer-grained resource constraints using search parameters
#[test]
fn scp_2_conditions_of_scopes_hold_of_what_is_read_and_written() {
    on_each_backend(async |smart| {
        let everything = smart.everything().await;
        let system = "http://terminology.hl7.org/CodeSystem/observation-category";
        let of = |code: &str| {
            let mut resource = observation().build();
            resource["category"] = json!([{"coding": [{"system": system, "code": code}]}]);
            resource
        };
        let create =
            async |code: &str| everything.post("Observation", &of(code)).await.expect_status(201).id().to_owned();
        let (laboratory, vital) = (create("laboratory").await, create("vital-signs").await);
        let scope = format!("system/Observation.cruds?category={system}|laboratory");
        let client = client(smart, &scope, &["*"]).await;
        client.get(&format!("Observation/{laboratory}")).await.assert_status(200);
        client.get(&format!("Observation/{vital}")).await.assert_status(404);
        let found = client.get(&format!("Observation?_id={laboratory},{vital}")).await.expect_status(200);
        assert_eq!(ids(&found.resources()), [laboratory]);
        client.post("Observation", &of("laboratory")).await.assert_status(201);
        client.post("Observation", &of("vital-signs")).await.assert_status(403);
    });
}

#[test]
fn auth_12_a_revoked_token_is_good_no_more() {
    on_each_backend(async |smart| {
        let (key, other) = (Key::es384("k"), Key::es384("k"));
        let id = smart.register(&[&key], "system/*.rs", &["--policy", "*"]);
        let stranger = smart.register(&[&other], "system/*.rs", &["--policy", "*"]);
        let token = smart.token(&id, &key, "system/*.rs").await;
        let client = smart.with(&token);
        client.get("Patient?_count=1").await.assert_status(200);
        let url = smart.endpoint("revocation_endpoint").await;
        let revoke = async |id: &str, key: &Key, token: &str| {
            let assertion = key.sign(&smart.claims(id).await);
            let pairs = [
                ("token", token),
                ("client_assertion_type", crate::smart::ASSERTION_TYPE),
                ("client_assertion", &assertion),
            ];
            smart.post(&url, None, &pairs).await.assert_status(200);
        };
        // "only own tokens, always 200"
        revoke(&stranger, &other, &token).await;
        revoke(&id, &key, "nonsense").await;
        client.get("Patient?_count=1").await.assert_status(200);
        revoke(&id, &key, &token).await;
        client.get("Patient?_count=1").await.assert_status(401);
        smart.post(&url, None, &[("token", &token)]).await.assert_status(401);
    });
}

#[test]
fn auth_8_a_client_that_is_disabled_is_refused_within_five_seconds() {
    on_each_backend(async |smart| {
        let key = Key::es384("k");
        let id = smart.register(&[&key], "system/*.rs", &["--policy", "*"]);
        let client = smart.with(&smart.token(&id, &key, "system/*.rs").await);
        client.get("Patient?_count=1").await.assert_status(200);
        // By another process, as another server would be.
        smart.command(&["client", "disable", &id]);
        let disabled = Instant::now();
        while client.get("Patient?_count=1").await.status != 401 {
            assert!(disabled.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        smart.ask(&key.sign(&smart.claims(&id).await), "system/*.rs").await.assert_status(401);
        smart.command(&["client", "enable", &id]);
        smart.token(&id, &key, "system/*.rs").await;
    });
}

// https://www.rfc-editor.org/rfc/rfc7662
#[test]
fn auth_11_who_may_introspects_tokens() {
    on_each_backend(async |smart| {
        let key = Key::es384("k");
        let id = smart.register(&[&key], "system/Patient.rs", &["--policy", "*"]);
        let token = smart.token(&id, &key, "system/Patient.rs").await;
        let url = smart.endpoint("introspection_endpoint").await;
        let (_, allowed) = smart.register_basic(&["--introspects"]);
        let (_, not_allowed) = smart.register_basic(&[]);
        let ask =
            async |authorization: Option<&str>, token: &str| smart.post(&url, authorization, &[("token", token)]).await;
        let found = ask(Some(&allowed), &token).await.expect_status(200);
        assert_eq!(found.header("cache-control"), Some("no-store"));
        let seen = (&found.body["active"], &found.body["scope"], &found.body["client_id"]);
        assert_eq!(seen, (&json!(true), &json!("system/Patient.rs"), &json!(id)));
        assert!(found.body["exp"].is_u64());
        for token in ["nonsense", "tsa_", &token[..token.len() - 1]] {
            let found = ask(Some(&allowed), token).await.expect_status(200);
            assert_eq!(found.text, r#"{"active":false}"#, "{token}");
        }
        ask(None, &token).await.assert_status(401);
        ask(Some(&not_allowed), &token).await.assert_status(403);
        ask(Some(&format!("Bearer {token}")), &token).await.assert_status(403);
        ask(Some("Bearer nonsense"), &token).await.assert_status(401);
        let introspecting = smart.register(&[&key], "system/Patient.rs", &["--policy", "*", "--introspects"]);
        let bearer = format!("Bearer {}", smart.token(&introspecting, &key, "system/Patient.rs").await);
        ask(Some(&bearer), &token).await.assert_status(200);
        smart.command(&["client", "disable", &id]);
        assert_eq!(ask(Some(&allowed), &token).await.body, json!({"active": false}));
    });
}

#[test]
fn auth_10_userinfo_is_for_tokens_of_users() {
    on_each_backend(async |smart| {
        let configuration = smart.client().get(".well-known/openid-configuration").await.expect_status(200);
        let url = configuration.body["userinfo_endpoint"].as_str().unwrap().to_owned();
        smart.client().get(&url).await.assert_status(401);
        let key = Key::es384("k");
        let id = smart.register(&[&key], "system/Patient.rs", &["--policy", "*"]);
        let token = smart.token(&id, &key, "system/Patient.rs").await;
        let refused = smart.with(&token).get(&url).await.expect_status(403);
        assert!(refused.header("www-authenticate").unwrap().contains("insufficient_scope"));
        smart.with("nonsense").get(&url).await.assert_status(401);
    });
}

#[test]
fn aud_1_tokens_that_are_granted_and_refused_are_recorded() {
    on_each_backend(async |smart| {
        let (key, other) = (Key::es384("k"), Key::es384("k"));
        let id = smart.register(&[&key], "system/AuditEvent.rs", &["--policy", "*", "--administers"]);
        let client = smart.with(&smart.token(&id, &key, "system/AuditEvent.rs").await);
        smart.ask(&key.sign(&smart.claims(&id).await), "system/Patient.rs").await.assert_status(400);
        smart.ask(&other.sign(&smart.claims(&id).await), "system/AuditEvent.rs").await.assert_status(401);
        // "110142 Token granted"; what was refused with it is of the same kind.
        let search = "AuditEvent?subtype=http://dicom.nema.org/resources/ontology/DCM|110142&_sort=-date&_count=100";
        let mut seen = Vec::new();
        for _ in 0..50 {
            let found = client.get(search).await.expect_status(200);
            let of_client = |event: &&&Value| event.to_string().contains(&id);
            let outcome = |event: &&Value| event["outcome"].as_str().unwrap().to_owned();
            seen = found.resources().iter().filter(of_client).map(outcome).collect();
            let refused = found.resources().iter().any(|event| event.to_string().contains("the signature is not"));
            if seen.len() == 2 && refused {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        seen.sort();
        assert_eq!(seen, ["0", "4"], "granted, and refused with its name");
    });
}

#[test]
fn a_batch_and_a_transaction_are_asked_for_each_entry() {
    on_each_backend(async |smart| {
        let client = client(smart, "system/Patient.crs", &["*"]).await;
        let entry = |method: &str, url: &str, resource: Value| json!({"resource": resource, "request": {"method": method, "url": url}});
        let entries =
            json!([entry("POST", "Patient", patient().build()), entry("POST", "Observation", observation().build())]);
        let bundle = |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
        let batch = client.post("", &bundle("batch")).await.expect_status(200);
        let statuses: Vec<_> = batch.entries().iter().map(|e| e["response"]["status"].as_str().unwrap()).collect();
        assert!(statuses[0].starts_with("201") && statuses[1].starts_with("403"), "{statuses:?}");
        client.post("", &bundle("transaction")).await.assert_status(403);
        client.request(Method::GET, "metadata").send().await.assert_status(200);
    });
}
