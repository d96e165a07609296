//! Patients read who looked at their record, and learn nothing of others from it (AUD-1, docs/audit.md).

use crate::world::{Server, get, grant, on_both};
use serde_json::{Value, json};
use tessera_http::{Local, archived};
use tessera_model::{AccessContext, Caller, interaction::Method};
use tessera_store::Store as _;

/// The events that a search finds.
async fn found(local: &Local, path: &str) -> Vec<Value> {
    let answer = get(local, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    let bundle: Value = serde_json::from_str(&answer.text).unwrap();
    bundle["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()).collect()
}

async fn status(local: &Local, method: Method, path: &str) -> u16 {
    local.send(method, path, b"{\"resourceType\":\"AuditEvent\"}".to_vec(), None).await.status
}

/// What it was done to.
fn data(event: &Value) -> Option<&str> {
    let entities = event["entity"].as_array()?;
    entities.iter().find(|entity| entity["role"]["code"] == "4")?["what"]["reference"].as_str()
}

#[test]
fn aud_1_patients_read_the_events_about_themselves_and_no_others() {
    on_both("own-events", &async |location| {
        let server = Server::audited(location()).await;
        server.fill(&["a", "b"]).await;
        let (a, b, administrator) = (server.as_patient("a"), server.as_patient("b"), server.as_administrator());
        // Of a search with a secret in it, and of B's record, in which there is something about A.
        let about_both = json!({"resourceType": "Observation", "id": "both", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/b"}, "performer": [{"reference": "Patient/a"}]});
        server.put(&about_both).await;
        for path in [
            "Patient?_id=a,b&address=Secretstreet,Street&_id=a,b",
            "Encounter/e-a",
            "Patient/b/$everything",
            "Observation/both",
        ] {
            get(&administrator, path).await;
        }
        let events = found(&a, "AuditEvent?_count=1000").await;
        assert!(events.len() > 5, "{events:?}");
        assert!(events.iter().any(|event| data(event).is_some_and(|data| data.starts_with("Patient/a"))));
        for event in &events {
            let text = event.to_string();
            assert!(text.contains("\"Patient/a\""), "{text}");
            for other in ["Patient/b", "Observation/both", "Secretstreet", "\"query\""] {
                assert!(!text.contains(other), "{other}: {text}");
            }
        }
        let all = found(&administrator, "AuditEvent?_count=1000&patient=Patient/a").await;
        assert!(
            all.iter().any(|event| event.to_string().contains("Patient/b/")
                || data(event).is_some_and(|data| data.starts_with("Patient/b"))),
            "nothing was hidden"
        );
        assert_eq!(found(&a, "AuditEvent?_count=1000&patient=Patient/b").await, Vec::<Value>::new());
        assert_eq!(found(&a, "Patient/b/AuditEvent?_count=1000").await, Vec::<Value>::new());
        assert!(found(&a, "Patient/a/AuditEvent").await.len() > 5);
        assert_eq!(get(&a, "AuditEvent?entity=Patient/b&_count=0").await.status, 403);

        let of_b = found(&b, "AuditEvent?_count=1000&subtype=update").await;
        let id = of_b[0]["id"].as_str().unwrap();
        assert_eq!(get(&b, &format!("AuditEvent/{id}")).await.status, 200);
        assert_eq!(get(&a, &format!("AuditEvent/{id}")).await.status, 404);
        assert_eq!(found(&a, &format!("AuditEvent?_id={id}")).await, Vec::<Value>::new());
    });
}

#[test]
fn aud_2_who_did_it_in_which_role_with_which_token_and_what_for() {
    on_both("agents", &async |location| {
        let server = Server::audited(location()).await;
        server.fill(&["a", "b"]).await;
        let caller = Caller {
            user: Some("Patient/a".to_owned()),
            purpose: Some("PATRQT".to_owned()),
            token: Some("token-1".to_owned()),
            ..Caller::of_client("growth-chart")
        };
        let app = Local::new(
            server.context.clone(),
            AccessContext::granted(caller, vec![grant(Some("a"), "*.cruds")], false),
        );
        let administrator = server.as_administrator();
        let observation = json!({"resourceType": "Observation", "id": "o1-a", "status": "amended", "code": {"text": "x"},
            "subject": {"reference": "Patient/a"}});
        let body = observation.to_string().into_bytes();
        let (source, destination) = ("110153", "110152");
        for (method, path, body, subtype, action, roles) in [
            (Method::Get, "Observation/o1-a", Vec::new(), "read", "R", [destination, source]),
            (Method::Get, "Observation?_id=o1-a", Vec::new(), "search-type", "E", [source, destination]),
            (Method::Post, "Observation", body.clone(), "create", "C", [source, destination]),
            (Method::Put, "Observation/o1-a", body, "update", "U", [source, destination]),
            (Method::Delete, "Observation/o1-a", Vec::new(), "delete", "D", ["110150", "custodian"]),
        ] {
            assert!(app.send(method, path, body, None).await.status < 300, "{subtype}");
            let events = found(&administrator, &format!("AuditEvent?altid=growth-chart&subtype={subtype}")).await;
            assert_eq!(events.len(), 1, "{subtype}");
            let event = &events[0];
            assert_eq!((&event["action"], &event["outcome"]), (&json!(action), &json!("0")), "{event}");
            assert_eq!(event["purposeOfEvent"][0]["coding"][0]["code"], "PATRQT", "{event}");
            let agents = event["agent"].as_array().unwrap();
            let role = |n: usize| agents[n]["type"]["coding"][0]["code"].as_str().unwrap();
            assert_eq!(([role(0), role(1)], role(2), agents.len()), (roles, "IRCP", 3), "{subtype}");
            assert_eq!(agents[0]["who"]["identifier"]["value"], "growth-chart");
            assert_eq!(agents[2]["who"]["reference"], "Patient/a");
            // The user has asked, by a token that is named and not told.
            let asked: Vec<bool> = agents.iter().map(|agent| agent["requestor"] == true).collect();
            assert_eq!(asked, [false, false, true], "{subtype}");
            assert_eq!(agents[2]["policy"], json!(["urn:ietf:params:oauth:jti:token-1"]));
            assert_eq!(patient(event), "Patient/a");
        }
        // What was refused because it is hidden is known to the record alone: the answer is that of what is not there.
        for (path, what) in [("Observation/o1-b", "Observation/o1-b"), ("Patient/b/_history", "Patient/b")] {
            let refused = get(&app, path).await;
            assert_eq!(refused.status, 404, "{path}");
            let events = found(&administrator, &format!("AuditEvent?altid=growth-chart&outcome=4&entity={what}")).await;
            assert_eq!(events.len(), 1, "{path}");
            assert_eq!((data(&events[0]), &events[0]["outcomeDesc"]), (Some(what), &json!("404 not-found")), "{path}");
        }
    });
}

#[test]
fn aud_2_what_is_told_of_a_query_is_a_text_that_can_be_seen() {
    on_both("odd-queries", &async |location| {
        let server = Server::audited(location()).await;
        let administrator = server.as_administrator();
        for path in ["Patient?", "Patient?%20%09", "Patient?name=a%00%1F", "Patient?name=b"] {
            get(&administrator, path).await;
        }
        let events = found(&administrator, "AuditEvent?_count=1000").await;
        let entities = events.iter().flat_map(|event| event["entity"].as_array().into_iter().flatten());
        let queries: Vec<&Value> = entities.filter(|entity| entity["role"]["code"] == "24").collect();
        assert!(queries.len() >= 4, "{queries:?}");
        let told: Vec<&str> = queries.iter().filter_map(|query| query["description"].as_str()).collect();
        assert!(told.contains(&"name=b"), "{told:?}");
        assert!(told.iter().all(|text| !text.trim().is_empty() && !text.contains(char::is_control)), "{told:?}");
    });
}

#[test]
fn aud_5_nobody_writes_events_and_who_may_not_search_sees_none() {
    on_both("no-events", &async |location| {
        let server = Server::audited(location()).await;
        server.fill(&["a"]).await;
        for local in [server.as_patient("a"), server.as_administrator()] {
            assert_eq!(status(&local, Method::Post, "AuditEvent").await, 405);
            for method in [Method::Put, Method::Delete] {
                assert_eq!(status(&local, method, "AuditEvent/1-1").await, 405);
            }
        }
        let nobody = server.as_patient_with("a", tessera_model::Permissions::NONE, "app");
        assert_eq!(get(&nobody, "AuditEvent").await.status, 403);
        assert_eq!(get(&nobody, "AuditEvent/1-1").await.status, 403);
    });
}

#[test]
fn aud_3_what_other_organizations_read_of_a_patient_is_a_disclosure() {
    on_both("disclosures", &async |location| {
        let server = Server::audited(location()).await;
        server.fill(&["a", "b"]).await;
        let (theirs, ours) =
            (server.of_organization("http://other.example.org"), server.of_organization("Organization/own"));
        for local in [&theirs, &ours] {
            for (path, status) in
                [("Encounter/e-a", 200), ("Patient?_id=a,b", 200), ("Patient/nobody", 404), ("Organization/org", 200)]
            {
                assert_eq!(get(local, path).await.status, status, "{path}");
            }
        }
        let administrator = server.as_administrator();
        let disclosed = found(&administrator, "AuditEvent?type=110106&_sort=date").await;
        let patients: Vec<&str> = disclosed.iter().map(patient).collect();
        assert_eq!(patients, ["Patient/a", "Patient/a", "Patient/b"]);
        let event = &disclosed[0];
        assert_eq!(event["subtype"][0]["code"], "disclose");
        assert!(data(event).is_some_and(|data| data.starts_with("Encounter/e-a/_history/")), "{event}");
        let agents = event["agent"].to_string();
        assert!(agents.contains("http://other.example.org") && agents.contains("Organization/own"), "{agents}");
        assert_eq!(found(&administrator, "AuditEvent?subtype=disclose").await.len(), 3);
        // The reads are recorded all the same.
        assert_eq!(found(&administrator, "AuditEvent?subtype=read&entity=Encounter/e-a").await.len(), 2);
    });
}

#[test]
fn aud_1_backups_and_what_was_restored_are_found_by_type_and_by_what_happened() {
    on_both("archives", &async |location| {
        let server = Server::audited(location()).await;
        server.store.record(vec![archived(1, false), archived(2, true)], true).await.unwrap();
        let administrator = server.as_administrator();
        let lifecycle = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
        for (of_type, subtype, action) in [("110106", "archive", "R"), ("110107", "restore", "C")] {
            for search in
                [format!("type={of_type}"), format!("subtype={subtype}"), format!("subtype={lifecycle}|{subtype}")]
            {
                let events = found(&administrator, &format!("AuditEvent?{search}")).await;
                assert_eq!(events.len(), 1, "{search}");
                let event = &events[0];
                assert_eq!((&event["type"]["code"], &event["action"]), (&json!(of_type), &json!(action)), "{event}");
                assert_eq!(event["subtype"][0]["code"], subtype, "{event}");
            }
        }
    });
}

/// Whom it is about.
fn patient(event: &Value) -> &str {
    let entities = event["entity"].as_array().unwrap();
    entities.iter().find(|entity| entity["role"]["code"] == "1").unwrap()["what"]["reference"].as_str().unwrap()
}
