//! Promises about who sees what that are held apart from the interactions: docs/rules.md.

use crate::world::{Server, get, on_both};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tessera_model::interaction::Method;

/// Where everything may be seen: the server's own work, and development without authentication.
const SEES_EVERYTHING: [&str; 6] = [
    "auth/src/authenticate.rs",
    "auth/src/proxy.rs",
    "http/src/health.rs",
    "model/src/access.rs",
    "server/src/commands/demo.rs",
    "server/src/commands/load/target.rs",
];

/// The sources of all crates, without tests: each one's path, and its text.
fn sources() -> Vec<(String, String)> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(crates).unwrap() {
        let folder = entry.unwrap().path().join("src");
        if folder.is_dir() {
            collect(&folder, &mut files);
        }
    }
    // Tests stand at the end, or in a file of their own.
    let read = |file: PathBuf| {
        let path = file.strip_prefix(crates).unwrap().to_str().unwrap().replace('\\', "/");
        let text = std::fs::read_to_string(&file).unwrap();
        (path, text.split("#[cfg(test)]").next().unwrap().to_owned())
    };
    let is_test = |path: &str| path.ends_with("tests.rs") || path.contains("/tests/") || path.ends_with("testing.rs");
    files.into_iter().map(read).filter(|(path, _)| !is_test(path)).collect()
}

#[test]
fn core_1_few_modules_make_an_access_context_that_sees_everything() {
    let makes =
        |text: &str| ["AccessContext::internal", "AccessContext::insecure"].iter().any(|call| text.contains(call));
    let mut named: Vec<String> = sources().into_iter().filter(|(_, text)| makes(text)).map(|(path, _)| path).collect();
    named.sort();
    assert_eq!(named, SEES_EVERYTHING);
}

#[test]
fn core_2_every_call_of_the_store_for_resources_takes_the_context() {
    let source = include_str!("../../../store/src/store.rs");
    let (_, source) = source.split_once("pub trait Store").unwrap();
    let (calls, _) = source.split_once("\n}").unwrap();
    // What is about no resource: definitions, indexing and audit, whose callers ask whether their caller administers.
    let others = [
        "definitions",
        "indexing",
        "index_again",
        "keep_indexed",
        "audits",
        "record",
        "events",
        "keep_audited",
        "end_audit",
        "analyze",
    ];
    let mut without = Vec::new();
    let mut count = 0;
    for call in calls.split("    fn ").skip(1) {
        let signature = call.split(';').next().unwrap();
        let name = signature.split(['<', '(']).next().unwrap();
        count += 1;
        if !signature.contains("access: &'a AccessContext") {
            without.push(name);
        }
    }
    assert_eq!(without, others);
    assert!(count > others.len());
}

#[test]
fn http_2_a_bundle_has_30000_entries_and_not_one_more() {
    on_both("http_2_entries", &async |location| {
        let all = Server::new(location()).await.all();
        let bundle = |count: usize| {
            let entry = r#"{"request":{"method":"GET","url":"Nothing"}}"#;
            let entries = vec![entry; count].join(",");
            format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entries}]}}"#).into_bytes()
        };
        let most = all.send(Method::Post, "", bundle(30_000), None).await;
        assert_eq!((most.status, most.text.matches("\"status\":\"404").count()), (200, 30_000));
        let more = all.send(Method::Post, "", bundle(30_001), None).await;
        assert!(more.status == 400 && more.text.contains("too-costly"), "{}", more.status);
    });
}

#[test]
fn http_8_xml_is_read_in_one_place_by_one_parser() {
    let (mut parsers, mut readers) = (Vec::new(), Vec::new());
    for (path, text) in sources() {
        let others = ["roxmltree", "xmltree", "minidom", "serde_xml", "libxml", "xml::reader", "sxd_document"];
        assert!(!others.iter().any(|other| text.contains(other)), "{path}");
        if text.contains("quick_xml::") {
            parsers.push(path.clone());
        }
        if text.contains("xml::read(") {
            readers.push(path);
        }
    }
    parsers.sort();
    // The reader of resources, and the narrative within them.
    assert_eq!(parsers, ["model/src/validate/narrative.rs", "model/src/xml/tag.rs"]);
    assert_eq!(readers, ["http/src/format.rs"]);
}

/// The same text, whoever's record it is asked about: patient b's is hidden, patient x's is not there.
fn masked(text: &str) -> String {
    text.replace("-b", "-x").replace("/b", "/x").replace("=b", "=x")
}

#[test]
fn cmp_6_counts_order_links_headers_and_errors_tell_nothing_of_what_is_hidden() {
    on_both("cmp_6", &async |location| {
        let (with, without) = (Server::new(location()).await, Server::new(location()).await);
        with.fill(&["b", "a", "c"]).await;
        without.fill(&["a"]).await;
        let (with, without) = (with.as_patient("a"), without.as_patient("a"));
        let body = |answer: &tessera_http::Answer| {
            let text =
                regex::Regex::new(r"_page=[A-Za-z0-9_-]+").unwrap().replace_all(&answer.text, "_page=").into_owned();
            regex::Regex::new(r"20[2-9]\d-\d\d-\d\dT[0-9:.]+(Z|\+00:00)")
                .unwrap()
                .replace_all(&text, "(time)")
                .into_owned()
        };
        for path in [
            "Observation?_total=accurate",
            "Observation?_summary=count",
            "Observation?_count=0",
            "Observation?_count=1",
            "Observation?_count=2",
            "Observation?_count=1&_sort=-date",
            "Observation?_sort=code,-_lastUpdated",
            "Observation?_lastUpdated=gt2000",
            "?_count=3&_type=Observation,Condition",
            "_history?_count=1",
            "Patient/_history",
        ] {
            let (mut one, mut other) = (get(&with, path).await, get(&without, path).await);
            for _ in 0..100 {
                // PostgreSQL's histories of types wait for whoever else of the cluster still writes (ADR 0008).
                if !path.contains("_history") || body(&one) == body(&other) {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                (one, other) = (get(&with, path).await, get(&without, path).await);
            }
            assert_eq!((one.status, body(&one)), (other.status, body(&other)), "{path}");
        }
        // Conditions on a version are not looked at where there is nothing to see.
        for request in [
            json!({"method": "GET", "url": "Observation/o1-b", "ifNoneMatch": "W/\"1\""}),
            json!({"method": "GET", "url": "Observation/o1-b", "ifModifiedSince": "2000-01-01T00:00:00Z"}),
            json!({"method": "GET", "url": "Observation/o1-b/_history/1"}),
            json!({"method": "GET", "url": "Observation/o1-b/_history/9"}),
            json!({"method": "PUT", "url": "Observation/o1-b", "ifMatch": "W/\"1\""}),
            json!({"method": "PUT", "url": "Observation/o1-b", "ifMatch": "W/\"7\""}),
            json!({"method": "DELETE", "url": "Observation/o1-b", "ifMatch": "W/\"1\""}),
            json!({"method": "PUT", "url": "Observation?patient=b"}),
            json!({"method": "DELETE", "url": "Observation?patient=b"}),
        ] {
            let ask = async |request: &Value| {
                let mut entry = json!({"request": request});
                if request["method"] == "PUT" {
                    let id = request["url"].as_str().unwrap().strip_prefix("Observation/").unwrap_or_default();
                    entry["resource"] = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
                        "subject": {"reference": "Patient/b"}});
                    if !id.is_empty() {
                        entry["resource"]["id"] = id.into();
                    }
                }
                let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
                with.send(Method::Post, "", masked(&bundle.to_string()).into_bytes(), None).await.text == {
                    let answer = with.send(Method::Post, "", bundle.to_string().into_bytes(), None).await;
                    masked(&answer.text)
                }
            };
            assert!(ask(&request).await, "{request}");
        }
    });
}

#[test]
fn cmp_9_a_hidden_match_does_not_stop_a_conditional_create() {
    on_both("cmp_9", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a", "b"]).await;
        let create = async |patient: &str| {
            let resource = json!({"resourceType": "Observation", "status": "final", "code": {"text": "once"},
                "subject": {"reference": format!("Patient/{patient}")}});
            let request = json!({"method": "POST", "url": "Observation", "ifNoneExist": "code:text=once&status=final"});
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request, "resource": resource}]});
            let answer = server.as_patient(patient).send(Method::Post, "", bundle.to_string().into_bytes(), None).await;
            let answer: Value = serde_json::from_str(&answer.text).unwrap();
            answer["entry"][0]["response"]["status"].as_str().unwrap_or_default()[..3].to_owned()
        };
        // Each has one of their own, and finds it again: the claim on equal criteria makes them take turns, no more.
        for (patient, expected) in [("b", "201"), ("a", "201"), ("b", "200"), ("a", "200")] {
            assert_eq!(create(patient).await, expected, "{patient}");
        }
        let both = tokio::join!(create("a"), create("b"));
        assert_eq!(both, ("200".to_owned(), "200".to_owned()));
    });
}

#[test]
fn cmp_10_what_gathers_resources_sees_what_a_search_sees() {
    on_both("cmp_10", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["a", "b"]).await;
        let entry = |text: &str| json!({"reference": text});
        // a's own document and list refer to what is b's.
        server
            .put(&json!({"resourceType": "Composition", "id": "doc", "status": "final", "type": {"text": "t"}, "date": "2020", "title": "t",
                "subject": entry("Patient/a"), "author": [entry("Practitioner/doc")], "section": [{"title": "s",
                    "entry": [entry("Observation/o1-a"), entry("Observation/o1-b"), entry("Binary/bin-b")]}]}))
            .await;
        let a = server.as_patient("a");
        for path in [
            "Patient/a/$everything?_count=1000",
            "Patient/$everything?_count=1000",
            "Composition?_id=doc&_include=Composition:entry",
            "Observation/$lastn?max=100&patient=a",
        ] {
            let answer = get(&a, path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert!(answer.text.contains("8867-4 of a"), "{path}");
            assert!(
                !answer.text.contains("of b") && !answer.text.contains("Y29udGVudCBvZiBi"),
                "{path}: {}",
                answer.text
            );
        }
        // A document that lacks something is none; what is hidden lacks.
        let hidden = get(&a, "Composition/doc/$document").await;
        let missing = "the composition refers to Observation/o1-b, which is not there";
        assert!(hidden.status == 422 && hidden.text.contains(missing), "{}", hidden.text);
        let entries: Vec<Value> =
            ["Observation/o1-b", "Patient/b/$everything", "Observation?patient=b", "Binary/bin-b"]
                .iter()
                .map(|url| json!({"request": {"method": "GET", "url": url}}))
                .collect();
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let answer = a.send(Method::Post, "", bundle.to_string().into_bytes(), None).await;
        assert!(answer.status == 200 && !answer.text.contains("of b") && !answer.text.contains("Y29udGVudCBvZiBi"));
    });
}
