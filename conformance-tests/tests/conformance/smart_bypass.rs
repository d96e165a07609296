//! Ways around the predicate that only a request on the wire can try: odd paths, methods, headers and forms. An app in the
//! record of patient `a` learns nothing of patient `b` by any of them. Those within an interaction: http `tests/it/bypass.rs`.

use conformance_tests::{Client, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    smart::FORM,
    smart_clinic::{Clinic, choose, code, decide, in_clinic},
};

/// The token of an app that may do everything in the record of `a`.
async fn token(clinic: &Clinic) -> Value {
    let browser = clinic.browser();
    let request = clinic.request("launch/patient patient/*.cruds", &[]);
    let page = clinic.log_in(&browser, "bob", &request).await.expect_status(200);
    let page = choose(&browser, &page, "patient", "a").await.expect_status(200);
    let code = code(&decide(&browser, &page, "allow", |_| {}).await);
    clinic.token(&code, &[]).await.expect_status(200).body
}

/// That app.
async fn app(clinic: &Clinic) -> Client {
    clinic.api(&token(clinic).await)
}

/// Fails if the answer has something of `b`.
#[track_caller]
fn nothing_of_b(reply: &Reply, what: &str) {
    for secret in ["Windsor", "\"id\":\"b\"", "\"id\":\"eb\"", "\"reference\":\"Patient/b\""] {
        assert!(!reply.text.contains(secret), "{what}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bypass_paths_lead_nowhere_else() {
    in_clinic(async |clinic| {
        let token = token(clinic).await;
        let app = clinic.api(&token);
        let own = app.get("Patient/a").await.expect_status(200);
        assert!(own.text.contains("Chalmers"));
        for path in [
            "Patient/b",
            "Patient/b/",
            "Patient//b",
            "/Patient/b",
            "//Patient/b",
            "Patient/%62",
            "%50atient/b",
            "Patient%2Fb",
            "Patient/a%2F..%2Fb",
            "Patient/a%2f%2e%2e%2fb",
            "Patient/b%00",
            "Patient/b;a",
            "Patient/b%3F",
            "Patient/b%23",
            "patient/b",
            "PATIENT/b",
            "Patient/b.json",
            "Patient/b/_history/1/",
            "Patient/a/Patient/b",
            "Patient/b/Observation",
            "Patient/b/Observation/",
            "Encounter/eb",
            "Patient/b?_format=json&_pretty=true",
            "Patient/b?_elements=name",
            "Patient/b?_format=xml",
            "metadata/../Patient/b",
            ".well-known/../Patient/b",
            "?_type=Patient&_id=b",
        ] {
            let reply = app.get(path).await;
            assert!(reply.status < 500, "{path}: {reply}");
            nothing_of_b(&reply, path);
        }
        // As it stands, where a client library would have made it shorter.
        let token = token["access_token"].as_str().unwrap();
        for path in
            ["/fhir/Patient/a/../b", "/fhir/Patient/./b", "/auth/../fhir/Patient/b", "/fhir/metadata/../Patient/b"]
        {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
            let reply = conformance_tests::Wire::connect(&clinic.server).ask(&request);
            assert!(reply.status < 500 && !reply.text.contains("Windsor"), "{path}: {}", reply.text);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bypass_headers_and_forms_change_nothing() {
    in_clinic(async |clinic| {
        let app = app(clinic).await;
        let get =
            async |path: &str, name: &str, value: &str| app.request(Method::GET, path).header(name, value).send().await;
        for (name, value) in [
            ("x-http-method-override", "DELETE"),
            ("x-http-method", "DELETE"),
            ("x-method-override", "DELETE"),
            ("x-original-url", "/fhir/Patient/b"),
            ("x-rewrite-url", "/fhir/Patient/b"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-user", "root"),
            ("x-remote-user", "root"),
            ("x-patient", "b"),
            ("x-security-context", "Patient/b"),
            ("if-none-match", "W/\"1\""),
            ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("range", "bytes=0-10"),
        ] {
            let own = get("Patient/a", name, value).await;
            assert!([200, 304].contains(&own.status), "{name}: {own}");
            let hidden = get("Patient/b", name, value).await.expect_status(404);
            let missing = get("Patient/none", name, value).await.expect_status(404);
            assert_eq!(hidden.text.replace("Patient/b", "Patient/none"), missing.text, "{name}");
        }
        app.get("Patient/a").await.assert_status(200);
        // The method stands in the request and nowhere else.
        let overridden = app.request(Method::POST, "Patient/a").header("x-http-method-override", "DELETE").send().await;
        overridden.assert_status(405);
        assert!(app.get("Patient/a?_method=DELETE").await.status <= 400);
        app.get("Patient/a").await.assert_status(200);
        // Parameters in the URL and in the body, twice, and in either.
        let search =
            async |path: &str, body: &str| app.request(Method::POST, path).body(FORM, body.to_owned()).send().await;
        for (path, body) in [
            ("Observation/_search", "patient=b"),
            ("Observation/_search?patient=a", "patient=b"),
            ("Observation/_search?patient=b", "patient=a"),
            ("Observation/_search?patient=b", ""),
            ("Patient/_search?_id=a", "_id=b"),
            ("Patient/_search", "_id=a,b"),
            ("Patient/_search", "_id=b&_format=xml"),
            ("Patient/b/Observation/_search", "patient=a"),
            ("Patient/a/Observation/_search", "patient=b"),
            ("_search?_type=Patient", "_id=b"),
        ] {
            let reply = search(path, body).await;
            assert!(reply.status < 500, "{path} {body}: {reply}");
            nothing_of_b(&reply, &format!("{path} {body}"));
        }
        let both = search("Patient/_search?_id=a", "_id=a").await.expect_status(200);
        assert_eq!(both.entries().len(), 1);
        let twice = app.get("Patient?_id=b&_id=a").await.expect_status(200);
        assert_eq!(twice.entries().len(), 0, "both hold, or none");
        // What is refused is refused in every format, without a word of what is hidden.
        for format in ["json", "xml", "application/fhir%2Bjson", "text/html"] {
            for path in ["Patient/b?_pretty=true&_format=", "Observation?patient.family=wind&_format="] {
                nothing_of_b(&app.get(&format!("{path}{format}")).await, path);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bypass_bundles_are_asked_for_each_entry() {
    in_clinic(async |clinic| {
        let app = app(clinic).await;
        let get = |url: &str| json!({"request": {"method": "GET", "url": url}});
        let urls =
            ["Patient/b", "/Patient/b", "Patient?_id=b", "Patient/b/_history", "Patient/b/$everything", "Encounter/eb"];
        let entries: Vec<Value> =
            urls.iter().map(|url| get(url)).chain([get(&format!("{}/Patient/b", clinic.base()))]).collect();
        for kind in ["batch", "transaction"] {
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
            nothing_of_b(&app.post("", &bundle).await, kind);
            for entry in &entries {
                let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
                nothing_of_b(&app.post("", &bundle).await, &format!("{kind} {entry}"));
            }
        }
        let inner = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let outer = json!({"resourceType": "Bundle", "type": "batch", "entry": [
            {"resource": inner, "request": {"method": "POST", "url": "/"}},
            {"resource": inner, "request": {"method": "POST", "url": clinic.base()}},
        ]});
        let nested = app.post("", &outer).await.expect_status(200);
        let statuses = nested.entries().iter().map(|entry| entry["response"]["status"].as_str().unwrap_or_default());
        assert!(statuses.into_iter().all(|status| status.starts_with('4')), "{nested}");
        nothing_of_b(&nested, "a batch within a batch");
        // And a's own is there by the same ways.
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [get("Patient/a")]});
        assert!(app.post("", &bundle).await.expect_status(200).text.contains("Chalmers"));
    })
    .await;
}
