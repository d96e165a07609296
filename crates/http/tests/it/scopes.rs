//! Which scopes each interaction takes, line by line: <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>,
//! docs/access.md. What is not granted by type is refused; what is not visible is not there.

use crate::world::{Server, base64, get, grant, on_both};
use serde_json::{Value, json};
use tessera_http::Local;
use tessera_model::{Grant, interaction::Method};

const TYPES: [&str; 6] = ["Patient", "Observation", "Condition", "Encounter", "Practitioner", "Provenance"];

/// What patient a's app may do: `Observation.rs Patient.r`.
fn scopes(text: &str) -> Vec<Grant> {
    text.split_whitespace().map(|scope| grant(Some("a"), scope)).collect()
}

struct App(Local);

impl App {
    async fn send(&self, method: Method, path: &str, body: Value) -> u16 {
        self.0.send(method, path, body.to_string().into_bytes(), None).await.status
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = get(&self.0, path).await;
        (answer.status, serde_json::from_str(&answer.text).unwrap_or_default())
    }

    /// The types of what is included, and what is said about them.
    async fn included(&self, path: &str) -> (Vec<String>, Option<String>) {
        let (status, bundle) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {bundle}");
        let of_mode = |mode: &'static str| {
            bundle["entry"].as_array().unwrap().iter().filter(move |entry| entry["search"]["mode"] == mode)
        };
        let types = of_mode("include").map(|entry| entry["resource"]["resourceType"].as_str().unwrap().to_owned());
        let mut said = of_mode("outcome").map(|entry| {
            let issues = entry["resource"]["issue"].as_array().unwrap();
            assert_eq!((issues.len(), &issues[0]["severity"]), (1, &json!("information")));
            issues[0]["diagnostics"].as_str().unwrap().to_owned()
        });
        (types.collect(), said.next_back())
    }
}

fn observation(text: &str, subject: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": text}, "subject": {"reference": subject}})
}

#[test]
fn scp_includes_say_which_type_is_not_granted_and_no_more() {
    on_both("scp_includes", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a", "b"]).await;
        let app = |text: &str| App(server.with(scopes(text)));
        let none = Vec::<String>::new();
        let says = |names: &str| Some(format!("not granted, and so not included: {names}"));
        for (granted, search, types, said) in [
            (
                "Observation.rs",
                "Observation?_id=o2-a&_include=Observation:performer",
                none.clone(),
                says("Practitioner"),
            ),
            ("Observation.rs", "Observation?_id=o2-a&_include=Observation:performer:Organization", none.clone(), None),
            (
                "Observation.rs Practitioner.s",
                "Observation?_id=o2-a&_include=Observation:performer",
                none.clone(),
                says("Practitioner"),
            ),
            (
                "Observation.rs Practitioner.r",
                "Observation?_id=o2-a&_include=Observation:performer",
                vec!["Practitioner".to_owned()],
                None,
            ),
            (
                "Observation.rs Practitioner.r",
                "Observation?_id=o2-a&_include=*",
                vec!["Practitioner".to_owned(), "Observation".to_owned()],
                says("Patient"),
            ),
            // A hop of its own is asked for each round.
            (
                "Observation.rs Encounter.r",
                "Observation?_id=o1-a&_include=Observation:encounter&_include:iterate=Encounter:service-provider",
                vec!["Encounter".to_owned()],
                says("Organization"),
            ),
            ("Observation.rs", "Observation?_id=o1-a&_revinclude=Provenance:target", none.clone(), says("Provenance")),
            (
                "Observation.rs Provenance.r",
                "Observation?_id=o1-a&_revinclude=Provenance:target",
                none.clone(),
                says("Provenance"),
            ),
            (
                "Observation.rs Provenance.s",
                "Observation?_id=o1-a&_revinclude=Provenance:target",
                vec!["Provenance".to_owned()],
                None,
            ),
            // Nothing matches, nothing is said.
            ("Observation.rs", "Observation?_id=o2-b&_include=Observation:performer", none.clone(), None),
        ] {
            let (_, bundle) = app(granted).get(search).await;
            if bundle["entry"].is_null() {
                assert_eq!((types, said), (none.clone(), None), "{granted} {search}");
                continue;
            }
            let (mut found, text) = app(granted).included(search).await;
            let mut types = types;
            found.sort();
            types.sort();
            assert_eq!((found, text), (types, said), "{granted} {search}");
        }
    });
}

#[test]
fn scp_conditions_take_search_on_every_type_they_go_through() {
    on_both("scp_conditions", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a", "b"]).await;
        let app = |text: &str| App(server.with(scopes(text)));
        for search in [
            "Observation?patient.family=family-a",
            "Observation?patient.identifier=http://mrn|mrn-a",
            "Observation?_has:Provenance:target:agent=Practitioner/doc",
            "Observation?_filter=subject.family eq family-a",
            "Observation?encounter.participant.family=Doe",
            "Observation?_contained=both&performer:Practitioner.family=x",
        ] {
            assert_eq!(
                app("Observation.rs Patient.r Provenance.r Practitioner.r Encounter.rs").get(search).await.0,
                403,
                "{search}"
            );
            let all: Vec<String> = TYPES.iter().map(|name| format!("{name}.rs")).collect();
            assert_eq!(app(&all.join(" ")).get(search).await.0, 200, "{search}");
        }
        // Conditional writes: their letter and s on what is matched.
        let new = observation("new", "Patient/a");
        let bundle = |url: &str, method: &str, more: Value| {
            let mut request = json!({"method": method, "url": url});
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let entry = if method == "DELETE" {
                json!({"request": request})
            } else {
                json!({"request": request, "resource": new})
            };
            json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        };
        let if_none_exist = || bundle("Observation", "POST", json!({"ifNoneExist": "code:text=new"}));
        for (granted, expected) in [("Observation.cr", 403), ("Observation.rs", 403), ("Observation.cs", 200)] {
            assert_eq!(app(granted).send(Method::Post, "", if_none_exist()).await, expected, "{granted}");
        }
        for (granted, expected) in [("Observation.ru", 403), ("Observation.rs", 403), ("Observation.us", 200)] {
            let put = bundle("Observation?code:text=new", "PUT", json!({}));
            assert_eq!(app(granted).send(Method::Post, "", put).await, expected, "{granted}");
        }
        for (granted, expected) in [("Observation.rd", 403), ("Observation.rs", 403), ("Observation.ds", 204)] {
            let path = "Observation?code:text=new";
            assert_eq!(app(granted).0.send(Method::Delete, path, Vec::new(), None).await.status, expected, "{granted}");
        }
        // A conditional reference is a search of the type that it names.
        let by_reference = json!({"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "POST",
            "url": "Observation"}, "resource": observation("x", "Patient?family=family-a")}]});
        for (granted, expected) in
            [("Observation.c", 403), ("Observation.c Patient.r", 403), ("Observation.c Patient.s", 200)]
        {
            assert_eq!(app(granted).send(Method::Post, "", by_reference.clone()).await, expected, "{granted}");
        }
    });
}

#[test]
fn scp_bundles_and_operations_take_what_their_parts_take() {
    on_both("scp_bundles", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a", "b"]).await;
        let app = |text: &str| App(server.with(scopes(text)));
        let entries = json!([
            {"request": {"method": "POST", "url": "Observation"}, "resource": observation("whole", "Patient/a")},
            {"request": {"method": "GET", "url": "Condition/c-a"}},
        ]);
        let bundle = |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
        let writer = app("Observation.crs");
        let count =
            async || app("Observation.rs").get("Observation?code:text=whole&_summary=count").await.1["total"].clone();
        // One denial refuses the whole transaction, before any write.
        assert_eq!(writer.send(Method::Post, "", bundle("transaction")).await, 403);
        assert_eq!(count().await, 0);
        let batch = writer.0.send(Method::Post, "", bundle("batch").to_string().into_bytes(), None).await;
        let batch: Value = serde_json::from_str(&batch.text).unwrap();
        let status = |n: usize| batch["entry"][n]["response"]["status"].as_str().unwrap()[..3].to_owned();
        assert_eq!((status(0), status(1)), ("201".to_owned(), "403".to_owned()));
        assert_eq!(count().await, 1);
        // $everything: r and s on each type that it returns; others are absent.
        let everything = async |granted: &str| {
            let (status, bundle) = app(granted).get("Patient/a/$everything?_count=100").await;
            let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
            let mut types: Vec<String> =
                entries.iter().map(|e| e["resource"]["resourceType"].as_str().unwrap().to_owned()).collect();
            types.sort();
            types.dedup();
            (status, types.join(" "))
        };
        assert_eq!(everything("Patient.r").await.0, 403);
        assert_eq!(everything("Patient.s Observation.rs").await.0, 403);
        assert_eq!(everything("Patient.rs").await, (200, "Patient".to_owned()));
        assert_eq!(
            everything("Patient.rs Observation.rs Condition.s Encounter.r").await,
            (200, "Observation Patient".to_owned())
        );
        assert_eq!(everything("Patient.rs Practitioner.s").await, (200, "Patient".to_owned()));
        assert_eq!(everything("Patient.rs Practitioner.rs").await, (200, "Patient Practitioner".to_owned()));
        // $validate: c or u.
        for (granted, expected) in [("Observation.rds", 403), ("Observation.c", 200), ("Observation.u", 200)] {
            let sent = app(granted).send(Method::Post, "Observation/$validate", observation("v", "Patient/a")).await;
            assert_eq!(sent, expected, "{granted}");
        }
        // The system level: what s is granted on, and nothing else.
        let (status, found) = app("Observation.rs Condition.r").get("?_count=100").await;
        let text = found.to_string();
        assert!(status == 200 && text.contains("o1-a") && !text.contains("\"Condition\""), "{text}");
        assert_eq!(app("Observation.r").get("?_count=100").await.0, 403);
        assert_eq!(app("Observation.r").get("_history").await.0, 403);
        let (_, found) = app("Observation.rs Condition.r").get("_history").await;
        assert!(!found.to_string().contains("Condition"), "{found}");
        assert_eq!(app("Observation.r").get("Observation/o1-a/_history").await.0, 200);
        assert_eq!(app("Observation.r").get("Observation/_history").await.0, 403);
        assert_eq!(app("Observation.s").get("Observation/o1-a").await.0, 403);
        // An operation for administrators is for nobody else.
        assert_eq!(
            app("Observation.cruds")
                .send(Method::Post, "Observation/o1-a/$purge-history", json!({"resourceType": "Parameters"}))
                .await,
            403
        );
    });
}

#[test]
fn cmp_3_what_was_withheld_is_not_lost_by_sending_back_what_was_shown() {
    on_both("cmp_3_back", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a"]).await;
        let inner = json!({"resourceType": "Practitioner", "id": "k", "name": [{"family": "Inner"}], "telecom": [{"value": "555"}]});
        let mut resource = observation("with", "Patient/a");
        resource["id"] = "with".into();
        resource["contained"] = json!([inner]);
        resource["performer"] = json!([{"reference": "#k"}]);
        server.put(&resource).await;
        let app = App(server.with(scopes("*.cruds")));
        let (status, mut shown) = app.get("Observation/with").await;
        assert!(status == 200 && shown["contained"][0]["telecom"].is_null(), "{shown}");
        shown["code"]["text"] = "changed".into();
        assert_eq!(app.send(Method::Put, "Observation/with", shown.clone()).await, 422);
        assert_eq!(app.send(Method::Put, "Observation?_id=with", shown.clone()).await, 422);
        let entry = json!({"resource": shown, "request": {"method": "PUT", "url": "Observation/with"}});
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
        assert_eq!(app.send(Method::Post, "", bundle).await, 422);
        let (_, kept) = App(server.all()).get("Observation/with").await;
        assert_eq!(
            (&kept["contained"][0]["telecom"][0]["value"], &kept["code"]["text"]),
            (&json!("555"), &json!("with"))
        );
    });
}

#[test]
fn auth_5_nobody_changes_within_a_record_what_their_access_to_it_rests_on() {
    on_both("auth_5_related_persons", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a"]).await;
        let person = |change: Value| {
            let mut person = json!({"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": "Patient/a"}});
            person.as_object_mut().unwrap().extend(change.as_object().cloned().unwrap());
            person
        };
        server.put(&person(json!({"period": {"end": "2020-01-01"}}))).await;
        let proxy = App(server.with(scopes("*.cruds RelatedPerson.cruds")));
        assert_eq!(proxy.get("RelatedPerson/r").await.0, 200);
        let longer = || person(json!({"period": {"end": "2100-01-01"}}));
        let patch = json!([{"op": "replace", "path": "/period/end", "value": "2100-01-01"}]);
        let patch = json!({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": base64(&patch.to_string())});
        let label = json!({"resourceType": "Parameters", "parameter": [
            {"name": "meta", "valueMeta": {"tag": [{"system": "http://tag", "code": "t"}]}},
        ]});
        let bundle = |method: &str, url: &str, resource: Option<Value>| {
            let mut entry = json!({"request": {"method": method, "url": url}});
            if let Some(resource) = resource {
                entry["resource"] = resource;
            }
            json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        };
        for (method, path, body) in [
            (Method::Put, "RelatedPerson/r", longer()),
            (Method::Put, "RelatedPerson?_id=r", longer()),
            (Method::Delete, "RelatedPerson/r", Value::Null),
            (Method::Delete, "RelatedPerson?_id=r", Value::Null),
            (Method::Post, "RelatedPerson/r/$meta-add", label),
            (Method::Post, "", bundle("PUT", "RelatedPerson/r", Some(longer()))),
            (Method::Post, "", bundle("PUT", "RelatedPerson?_id=r", Some(longer()))),
            (Method::Post, "", bundle("PATCH", "RelatedPerson/r", Some(patch.clone()))),
            (Method::Post, "", bundle("PATCH", "RelatedPerson?_id=r", Some(patch))),
            (Method::Post, "", bundle("DELETE", "RelatedPerson/r", None)),
        ] {
            let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
            assert_eq!(proxy.0.send(method, path, body, None).await.status, 403, "{method:?} {path}");
        }
        assert_eq!(proxy.get("RelatedPerson/r").await.1["period"]["end"], "2020-01-01");
        // Nobody's access rests on a new one until an operator says so; who sees more than the record changes the old.
        let mut new = longer();
        new.as_object_mut().unwrap().remove("id");
        assert_eq!(proxy.send(Method::Post, "RelatedPerson", new).await, 201);
        let clinic = App(server.with(vec![grant(None, "RelatedPerson.u")]));
        assert_eq!(clinic.send(Method::Put, "RelatedPerson/r", longer()).await, 200);
    });
}
