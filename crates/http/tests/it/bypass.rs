//! The ways in which servers have let one patient see another's record, one by one: docs/access.md.

use crate::world::{Server, base64, get, on_both};
use serde_json::{Value, json};
use tessera_http::Local;
use tessera_model::{Permission, Permissions, interaction::Method};

/// Texts that stand in patient b's record alone, as far as a request does not name them itself.
const OF_B: [&str; 5] = ["family-b", "mrn-b", "8867-4 of b", "8302-2 of b", "Y29udGVudCBvZiBi"];

#[test]
fn bypass_reads_tell_nothing_of_another() {
    on_both("bypass_reads", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a", "b"]).await;
        let a = server.as_patient("a");
        let nothing_of_b = async |path: &str| {
            let answer = get(&a, path).await;
            for secret in OF_B.iter().filter(|secret| !path.contains(**secret)) {
                assert!(!answer.text.contains(*secret), "{path}: {}", answer.text);
            }
            for id in
                ["\"o1-b\"", "\"o2-b\"", "\"c-b\"", "\"e-b\"", "\"cov-b\"", "\"d-b\"", "\"p-b\"", "\"g-b\"", "\"l-b\""]
            {
                assert!(!answer.text.contains(id), "{path}: {}", answer.text);
            }
            answer
        };
        for search in [
            "Observation?patient=b",
            "Observation?patient=Patient/b",
            "Observation?subject:Patient=b",
            "Observation?patient=http://here/fhir/Patient/b",
            "Observation?patient:identifier=http://mrn|mrn-b",
            "Observation?patient=a,b",
            "Observation?performer=Patient/b",
            "Observation?patient=a&patient=b",
            "Encounter?participant=doc&patient=b",
            // A parameter that narrows, beside another of the same meaning.
            "Appointment?patient=a&actor=Patient/b",
            "Appointment?actor=Patient/a&actor=Patient/b",
            "Coverage?patient=a&beneficiary=Patient/b",
            "Patient/a/Appointment?actor=Patient/b",
            "Patient/b/*",
            "Patient/b/Observation",
            "Patient/a/Observation?patient=b",
            "Coverage?_include=Coverage:subscriber",
            "Coverage?_include=*",
            "Patient?_revinclude=*",
            "Patient?_revinclude=Provenance:target",
            "Practitioner?_revinclude=*",
            "Practitioner?_revinclude=Observation:performer",
            "Organization?_revinclude=Encounter:service-provider",
            "Organization?_revinclude=Patient:organization&_revinclude:iterate=Observation:patient",
            "Practitioner?_revinclude=Observation:focus",
            "Coverage?beneficiary.birthdate=1980-01-01",
            "Coverage?subscriber.birthdate=1980-01-01",
            "Observation?patient.family=family-b",
            "Observation?patient.identifier=http://mrn|mrn-b",
            "Organization?_has:Patient:organization:family=family-b",
            "Practitioner?_has:Observation:performer:patient.family=family-b",
            "Patient?_has:Observation:patient:code-value-quantity=8867-4$60",
            "Observation?_filter=patient eq Patient/b",
            "Observation?_list=l-b",
            "Observation?_text=b",
            "Observation?_content=mrn",
            "?_type=Patient,Observation",
            "?_type=Group",
            "Group",
            "Patient?_id=b",
            "Patient?identifier=mrn-b",
            "Patient?_sort=family",
            "Observation?_sort=patient.name",
            "Observation?_contained=true&performer:Practitioner.family=inner-b",
            "Practitioner?_contained=true&family=inner-b",
            "Observation?_sort=-date&_count=1",
            "Observation?_elements=subject",
            "Observation?_summary=true",
            "Observation?_total=accurate",
            "Device",
            "List?item=Observation/o1-b",
            "_history",
            "Patient/_history",
            "Observation/_history?_list=l-b",
            "Provenance?target=Observation/o1-b",
            "Patient/b/$everything",
            "Patient/$everything",
            "Observation/$lastn?max=10&patient=b",
            "Group/g-b/$everything",
            "Encounter/e-b/$everything",
            "Patient/b/$meta",
            "Binary",
            "Binary?_id=bin-b,att-b",
            "Binary/bin-b/$meta",
            "DocumentReference?_include=*",
            "List?_include=List:item&_include:iterate=*",
        ] {
            nothing_of_b(search).await;
        }
        for (search, total) in
            [("Patient?_summary=count", 1), ("Observation?_count=0", 2), ("Patient?family=family-b&_summary=count", 0)]
        {
            let answer: Value = serde_json::from_str(&nothing_of_b(search).await.text).unwrap();
            assert_eq!(answer["total"], total, "{search}");
        }
        for path in [
            "Patient/b",
            "Observation/o1-b",
            "Observation/o1-b/_history/1",
            "Observation/o1-b/_history",
            "Patient/b/_history",
            "Binary/bin-b",
            "Binary/att-b",
            "Binary/bin-b/_history/1",
            "Binary/att-b/_history",
        ] {
            let of_nobody = path.replace("-b", "-x").replace("/b", "/x");
            let (hidden, missing) = (nothing_of_b(path).await, get(&a, &of_nobody).await);
            let missing_text = missing.text.replace("-x", "-b").replace("/x", "/b");
            assert_eq!((hidden.status, hidden.text), (404, missing_text), "CORE-6: {path}");
        }
        // And b sees theirs: the same searches can find something.
        assert!(get(&server.as_patient("b"), "Observation?patient=b").await.text.contains("8867-4 of b"));
    });
}

#[test]
fn bypass_writes_neither_reach_nor_reveal_another() {
    on_both("bypass_writes", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a", "b"]).await;
        let a = server.as_patient("a");
        // A patch of what is hidden, and one that gives away what is one's own: in a Bundle, where the format is told.
        let patch = |id: &str, subject: &str| {
            let patch = json!([{"op": "replace", "path": "/subject/reference", "value": format!("Patient/{subject}")}]);
            let patch = json!({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": base64(&patch.to_string())});
            let entry = json!({"resource": patch, "request": {"method": "PATCH", "url": format!("Observation/{id}")}});
            json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}).to_string().into_bytes()
        };
        let patched = async |id: &str, subject: &str| a.send(Method::Post, "", patch(id, subject), None).await;
        assert_eq!((patched("o1-b", "a").await.status, patched("none", "a").await.status), (404, 404));
        assert_eq!(
            patched("o1-b", "a").await.text.replace("o1-b", "none"),
            patched("none", "a").await.text,
            "what is hidden is not there"
        );
        assert_eq!(patched("o1-a", "b").await.status, 403);
        assert_eq!(patched("o1-a", "x").await.status, 403);
        // A batch within a batch would be nobody's request.
        let inner = json!({"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Patient/b"}}]});
        let outer = json!({"resourceType": "Bundle", "type": "batch", "entry": [
            {"resource": inner, "request": {"method": "POST", "url": ""}},
            {"resource": inner, "request": {"method": "POST", "url": "/"}},
        ]});
        let nested = a.send(Method::Post, "", outer.to_string().into_bytes(), None).await;
        let statuses = nested.text.matches("\"status\":\"4").count();
        assert!(statuses == 2 && !nested.text.contains("family-b"), "{}", nested.text);
        let send = async |method, path: &str, body: Value| {
            a.send(method, path, body.to_string().into_bytes(), None).await.status
        };
        let observation = |id: &str, subject: &str| {
            json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
            "subject": {"reference": format!("Patient/{subject}")}})
        };
        assert_eq!(send(Method::Put, "Observation/o1-b", observation("o1-b", "a")).await, 404);
        assert_eq!(send(Method::Put, "Observation/none", observation("none", "a")).await, 404, "CMP-8");
        assert_eq!(send(Method::Put, "Observation/o1-a", observation("o1-a", "b")).await, 403);
        assert_eq!(send(Method::Post, "Observation", observation("x", "b")).await, 403);
        let performed_by_b = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/a"}, "performer": [{"reference": "Patient/b"}]});
        assert_eq!(send(Method::Post, "Observation", performed_by_b).await, 403);
        let (hidden, missing) = (
            a.send(Method::Delete, "Observation/o1-b", Vec::new(), None).await,
            a.send(Method::Delete, "Observation/none", Vec::new(), None).await,
        );
        assert_eq!((hidden.status, hidden.text.replace("o1-b", "none")), (missing.status, missing.text));
        let bundle = |entries: Value| json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let sees_b = async |entries: Value| {
            let answer = a.send(Method::Post, "", bundle(entries).to_string().into_bytes(), None).await;
            OF_B.iter().any(|secret| answer.text.contains(secret))
        };
        assert!(!sees_b(json!([{"request": {"method": "GET", "url": "Patient/b"}}])).await);
        assert!(!sees_b(json!([{"request": {"method": "GET", "url": "Observation?patient=b"}}])).await);
        let by_reference = |family: &str| {
            json!([{"resource": {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/a"}, "focus": [{"reference": format!("Patient?family={family}")}]}, "request": {"method": "POST", "url": "Observation"}}])
        };
        let answers =
            async |entries: Value| a.send(Method::Post, "", bundle(entries).to_string().into_bytes(), None).await;
        let (hidden, missing) = (answers(by_reference("family-b")).await, answers(by_reference("family-x")).await);
        assert_eq!((hidden.status, hidden.text), (missing.status, missing.text.replace("family-x", "family-b")));
        // What an entry is called does not make it another's: the record is b's whatever refers to it.
        let linked = json!([
            {"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001", "resource": {"resourceType": "Patient", "id": "b"},
                "request": {"method": "PUT", "url": "Patient/b"}},
            {"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000002",
                "resource": observation("z", "b").as_object().map(|o| {
                    let mut o = o.clone();
                    o.insert("subject".to_owned(), json!({"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}));
                    o.remove("id");
                    o
                }), "request": {"method": "POST", "url": "Observation"}},
        ]);
        let linked = answers(linked).await;
        assert!(linked.status == 404 && !linked.text.contains("family-b"), "{}", linked.text);
        // If-None-Exist finds no hidden match: it creates.
        let probing = json!([{"resource": observation("y", "a"), "request": {"method": "POST", "url": "Observation", "ifNoneExist": "code=8867-4&patient=b"}}]);
        assert!(answers(probing).await.text.contains("201"));
        let b = server.as_patient("b");
        assert_eq!(
            get(&b, "Observation?_summary=count").await.text.matches("\"total\":2").count(),
            1,
            "b's record is as it was"
        );
    });
}

#[test]
fn bypass_what_was_deleted_or_was_once_ones_own_is_not_there() {
    on_both("bypass_past", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a", "b"]).await;
        let (a, all) = (server.as_patient("a"), server.all());
        let observation = |subject: &str| {
            json!({"resourceType": "Observation", "id": "moved", "status": "final", "code": {"text": "8867-4 of b"},
                "subject": {"reference": format!("Patient/{subject}")}})
        };
        server.put(&observation("a")).await;
        server.put(&observation("b")).await;
        for path in ["Observation/o1-b", "Condition/c-b"] {
            assert_eq!(all.send(Method::Delete, path, Vec::new(), None).await.status, 204);
        }
        // What was theirs when it was deleted is gone, and that is told to them alone (CORE-6: never 410 to others).
        assert_eq!(all.send(Method::Delete, "Condition/c-a", Vec::new(), None).await.status, 204);
        assert_eq!(get(&a, "Condition/c-a").await.status, 410);
        assert_eq!(get(&server.as_patient("b"), "Condition/c-b").await.status, 410);
        for (path, missing) in [
            ("Observation/o1-b", "Observation/missing"),
            ("Condition/c-b", "Condition/missing"),
            ("Observation/o1-b/_history", "Observation/missing/_history"),
            ("Observation/o1-b/_history/1", "Observation/missing/_history/1"),
            ("Observation/o1-b/_history/2", "Observation/missing/_history/2"),
            ("Observation/moved", "Observation/missing"),
            ("Observation/moved/_history", "Observation/missing/_history"),
            ("Observation/moved/_history/1", "Observation/missing/_history/1"),
            ("Observation/moved/$meta", "Observation/missing/$meta"),
        ] {
            let (hidden, none) = (get(&a, path).await, get(&a, missing).await);
            let text = hidden.text.replace("o1-b", "missing").replace("c-b", "missing").replace("moved", "missing");
            assert_eq!((hidden.status, text), (404, none.text), "{path}");
        }
        for path in ["Observation?_id=moved,o1-b", "Observation?_content=8867-4", "Patient/a/Observation?_id=moved"] {
            let found: Value = serde_json::from_str(&get(&a, path).await.text).unwrap();
            let found = found["entry"].to_string();
            assert!(!found.contains("moved") && !found.contains("o1-b"), "{path}: {found}");
        }
    });
}

#[test]
fn cmp_7_anothers_page_link_is_no_page_link() {
    on_both("cmp_7", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a", "b"]).await;
        let next = async |local: &Local| {
            let bundle: Value = serde_json::from_str(&get(local, "Observation?_count=1").await.text).unwrap();
            let link = bundle["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
            link["url"].as_str().unwrap().replace("http://here/fhir/", "")
        };
        let (a, b) = (server.as_patient("a"), server.as_patient("b"));
        let link = next(&a).await;
        assert_eq!(get(&a, &link).await.status, 200);
        assert_eq!(get(&b, &link).await.status, 400);
        assert_eq!(get(&server.as_patient_with("a", Permissions::ALL, "other"), &link).await.status, 400);
        assert_eq!(get(&a, &format!("{link}&_include=*")).await.status, 400);
        // Every page asks anew what may be seen.
        assert_eq!(
            get(&server.as_patient_with("a", Permissions::of(&[Permission::Read]), "app"), &link).await.status,
            403
        );
    });
}
