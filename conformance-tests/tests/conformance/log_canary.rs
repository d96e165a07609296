//! HTTP-11: what is sent in requests comes out neither in the log, whatever its filter lets through, nor in metrics and traces.

use conformance_tests::{Backend, Database, Server, Wire};
use tokio::runtime::Runtime;

use crate::metrics;
use crate::traces::Collector;

/// A text that is nowhere else.
fn canary(n: usize) -> String {
    format!("canary{n:04}zqx")
}

/// Everything that the server has written, and that it has written anything.
fn assert_silent(backend: Backend, server: &Server, planted: usize) {
    let log = server.log().unwrap_or_default();
    assert!(log.lines().count() > 1, "{backend}: there is no log to look into");
    let found: Vec<&str> = log.lines().filter(|line| line.contains("zqx")).take(5).collect();
    assert!(found.is_empty(), "{backend}, of {planted}: {found:#?}");
}

/// Requests with a text of its own in each of their parts.
fn planted() -> Vec<String> {
    let mut count = 0;
    let mut next = || {
        count += 1;
        canary(count)
    };
    let mut requests = Vec::new();
    let mut request = |line: String, headers: &str, body: String| {
        let length = body.len();
        requests.push(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}"));
    };
    let fhir = "Content-Type: application/fhir+json\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let patient = |family: &str, identifier: &str, narrative: &str| {
        format!(
            r#"{{"resourceType":"Patient","id":"{identifier}","name":[{{"family":"{family}"}}],"identifier":[{{"system":"urn:x","value":"{identifier}"}}],"text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{narrative}</div>"}}}}"#
        )
    };
    for path in ["Patient", "Patient?_format=json", "Patient/$validate", "Patient/$meta-add"] {
        request(format!("POST /fhir/{path}"), fhir, patient(&next(), &next(), &next()));
    }
    let id = next();
    request(format!("PUT /fhir/Patient/{id}"), fhir, patient(&next(), &id, &next()));
    request(format!("PUT /fhir/Patient?identifier={}", next()), fhir, patient(&next(), &next(), &next()));
    request(
        "POST /fhir/Patient".to_owned(),
        &format!("{fhir}If-None-Exist: identifier={}\r\n", next()),
        patient(&next(), &next(), &next()),
    );
    request(
        "POST /fhir/Patient".to_owned(),
        &format!("{fhir}Idempotency-Key: {}\r\n", next()),
        patient(&next(), &next(), &next()),
    );
    // What is wrong is told to the client alone.
    for body in [
        "{\"resourceType\":\"Patient\",\"X\":1",
        "<Patient>X",
        "[\"X\"]",
        "{\"resourceType\":\"Patient\",\"birthDate\":\"X\",\"X\":{}}",
    ] {
        request("POST /fhir/Patient".to_owned(), fhir, body.replace('X', &next()));
    }
    request(
        format!("PATCH /fhir/Patient/{id}"),
        "Content-Type: application/json-patch+json\r\n",
        format!(r#"[{{"op":"test","path":"/{}","value":"{}"}}]"#, next(), next()),
    );
    let entry = format!(
        r#"{{"resource":{},"request":{{"method":"POST","url":"Patient?{}"}}}}"#,
        patient(&next(), &next(), &next()),
        next()
    );
    for kind in ["batch", "transaction"] {
        request(
            "POST /fhir".to_owned(),
            fhir,
            format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entry}]}}"#),
        );
    }
    for query in [
        "name=X",
        "identifier=X|X",
        "_text=X",
        "_filter=name eq \"X\"",
        "general-practitioner.name=X",
        "_has:Observation:patient:code=X",
        "X=1",
        "_id=X",
        "_sort=X",
        "birthdate=X",
        "_include=X",
    ] {
        let query = query.replace('X', &next()).replace(' ', "%20").replace('"', "%22");
        request(format!("GET /fhir/Patient?{query}"), &format!("X-Request-Id: {}\r\n", next()), String::new());
        request("POST /fhir/Patient/_search".to_owned(), form, query.replace(&canary(0), ""));
    }
    for path in [
        format!("Patient/{}", next()),
        format!("Patient/{}/_history/9", next()),
        next(),
        format!("${}", next()),
        format!("ValueSet/$expand?url={}", next()),
    ] {
        request(
            format!("GET /fhir/{path}"),
            &format!("Accept: application/{}\r\nCookie: a={}\r\n", next(), next()),
            String::new(),
        );
        request(format!("DELETE /fhir/{path}"), &format!("Authorization: Bearer {}\r\n", next()), String::new());
    }
    request("POST /fhir/Binary".to_owned(), "Content-Type: text/plain\r\n", next());
    // At the authorization server.
    for path in ["token", "introspect", "revoke", "login", "consent", "logout", "authorize"] {
        let body = [
            "grant_type=authorization_code",
            "code",
            "client_id",
            "client_secret",
            "refresh_token",
            "code_verifier",
            "token",
            "name",
            "password",
            "request",
            "client_assertion",
            "state",
            "redirect_uri",
        ];
        let body: Vec<String> = body
            .iter()
            .map(|name| if name.contains('=') { (*name).to_owned() } else { format!("{name}={}", next()) })
            .collect();
        request(
            format!("POST /auth/{path}"),
            &format!("{form}Authorization: Basic {}\r\nCookie: __Host-session={}\r\n", next(), next()),
            body.join("&"),
        );
        request(
            format!("GET /auth/{path}?client_id={}&state={}", next(), next()),
            &format!("Referer: http://{}/\r\n", next()),
            String::new(),
        );
    }
    requests
}

#[test]
fn http_11_nothing_that_is_sent_comes_out_in_the_log() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "http_11") else { continue };
        let log = ("TESSERA_LOG", "trace,sqlx=trace,hyper=trace,tokio=trace");
        let collector = Collector::start();
        let traces = ("TESSERA_TRACES_ENDPOINT", collector.url.as_str());
        let trace = [log, traces, ("TESSERA_METRICS_LISTEN", "127.0.0.1:0")];
        for with_authentication in [false, true] {
            let mut server =
                if with_authentication { database.serve_with_authentication(&trace) } else { database.serve(&trace) };
            let requests = planted();
            for request in &requests {
                let reply = Wire::connect(&server).ask(request);
                assert!(reply.status < 500, "{request}: {} {}", reply.status, reply.text);
            }
            let page = Runtime::new().unwrap().block_on(metrics::page(&server));
            assert!(page.contains("tessera_requests_total") && !page.contains("zqx"), "{page}");
            assert!(server.stop().success());
            let text = collector.text();
            assert!(text.contains("db.query.text") && !text.contains("zqx"), "{backend}: a value is in a trace");
            assert_silent(backend, &server, requests.len());
        }
    }
}
