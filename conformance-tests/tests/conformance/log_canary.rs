//! HTTP-11: what is sent in requests, and what secrets are answered, comes out neither in the log, whatever its filter lets through,
//! nor in what is printed, in metrics, in traces, and in the files on the way to the audit record, which name ids alone.

use conformance_tests::{Backend, Database, Folder, Server, Wire};
use serde_json::{Value, json};
use std::{cell::Cell, env, fs, path::Path};
use tokio::runtime::Runtime;

use crate::{
    metrics,
    smart::{ASSERTION_TYPE, Key, form, jwks},
    traces::Collector,
};

/// How many texts there are to be, at least.
const CANARIES: usize = 5000;

/// A text that is nowhere else.
fn canary(n: usize) -> String {
    format!("zqxcanary{n:05}")
}

/// The same, where an id is asked for by which a resource or a request is known: the audit record is there to name it.
fn id(n: usize) -> String {
    format!("zqicanary{n:05}")
}

/// Fails if a text has one of those that were planted.
#[track_caller]
fn assert_silent(place: &str, text: &str, planted: &[&str]) {
    let found: Vec<&str> =
        text.lines().filter(|line| planted.iter().any(|planted| line.contains(planted))).take(5).collect();
    assert!(found.is_empty(), "{place}: {found:#?}");
}

/// All that the files below a folder hold.
fn files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // One may have gone meanwhile: it is in the database.
        text.push_str(&match entry.path().is_dir() {
            true => files(&entry.path()),
            false => String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).into_owned(),
        });
    }
    text
}

/// The secrets of a client that shows who it is, gets a token and uses it.
fn secrets(database: &Database, server: &Server) -> Vec<String> {
    let (key, client) = (Key::es384("k"), format!("canary-{:016x}", fastrand::u64(..)));
    let file = env::temp_dir().join(format!("{client}.jwks"));
    fs::write(&file, jwks(&[&key]).to_string()).unwrap();
    let add = ["client", "add", &client, "--name", "C", "--authentication", "private_key_jwt", "--jwks"];
    let more = [file.to_str().unwrap(), "--scope", "system/*.rs", "--policy", "*"];
    drop(database.run(&[&add[..], &more].concat(), ""));
    fs::remove_file(&file).unwrap();
    let basic = ["client", "add", &format!("{client}-basic"), "--name", "B", "--authentication", "client_secret_post"];
    let told: Value = serde_json::from_str(&database.run(&[&basic[..], &["--scope", "openid"]].concat(), "")).unwrap();
    let url = format!("{}/auth/token", server.base().trim_end_matches("/fhir"));
    let exp = jsonwebtoken::get_current_timestamp() + 240;
    let assertion = key.sign(
        &json!({"iss": client, "sub": client, "aud": url, "exp": exp, "jti": format!("{:x}", fastrand::u128(..))}),
    );
    let post = |path: &str, pairs: &[(&str, &str)]| {
        let (body, line) = (form(pairs), format!("POST /auth/{path} HTTP/1.1\r\nHost: localhost\r\n"));
        let of_body =
            format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n", body.len());
        Wire::connect(server).ask(&format!("{line}{of_body}{body}"))
    };
    let shown = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str())];
    let asked = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
    let answer = post("token", &[&asked[..], &shown].concat());
    assert_eq!(answer.status, 200, "{}", answer.text);
    let token: Value = serde_json::from_str(&answer.text).unwrap();
    let (token, secret) = (token["access_token"].as_str().unwrap(), told["client_secret"].as_str().unwrap());
    let with = |line: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        Wire::connect(server).ask(&request).status
    };
    assert_eq!((with("GET /fhir/Patient"), with("GET /fhir/Patient/none")), (200, 404));
    let basic = format!("{client}-basic");
    let credentials = [("client_id", basic.as_str()), ("client_secret", secret), ("token", token)];
    assert!([200, 403].contains(&post("introspect", &credentials).status));
    assert_eq!(post("revoke", &credentials).status, 200);
    [token, secret, &assertion].map(str::to_owned).into()
}

/// Requests with a text of its own in each of their parts, the first of which has this number; how many texts they are.
fn planted(first: usize) -> (Vec<String>, usize) {
    let count = Cell::new(first);
    let number = || {
        count.set(count.get() + 1);
        count.get()
    };
    let (next, next_id) = (|| canary(number()), || id(number()));
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
    let id = next_id();
    request(format!("PUT /fhir/Patient/{id}"), fhir, patient(&next(), &id, &next()));
    request(format!("PUT /fhir/Patient?identifier={}", next()), fhir, patient(&next(), &next_id(), &next()));
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
        request(format!("GET /fhir/Patient?{query}"), &format!("X-Request-Id: {}\r\n", next_id()), String::new());
        request("POST /fhir/Patient/_search".to_owned(), form, query.replace(&canary(0), ""));
    }
    for path in [
        format!("Patient/{}", next_id()),
        format!("Patient/{}/_history/9", next_id()),
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
    (requests, count.get() - first)
}

#[test]
fn http_11_nothing_that_is_sent_comes_out_in_the_log() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "http_11") else { continue };
        let log = ("TESSERA_LOG", "trace,sqlx=trace,hyper=trace,tokio=trace");
        let (collector, audit) = (Collector::start(), Folder::new("audit"));
        let folder = audit.path().display().to_string();
        let traces = ("TESSERA_TRACES_ENDPOINT", collector.url.as_str());
        let settings = [log, traces, ("TESSERA_METRICS_LISTEN", "127.0.0.1:0"), ("TESSERA_AUDIT_FOLDER", &folder)];
        for with_authentication in [false, true] {
            let mut server = if with_authentication {
                database.serve_with_authentication(&settings)
            } else {
                database.serve(&settings)
            };
            let (mut count, mut segments) = (0, String::new());
            while count < CANARIES {
                let (requests, texts) = planted(count);
                for (n, request) in requests.iter().enumerate() {
                    let reply = Wire::connect(&server).ask(request);
                    assert!(reply.status < 500, "{request}: {} {}", reply.status, reply.text);
                    if n % 25 == 0 {
                        // They go within a second.
                        segments.push_str(&files(audit.path()));
                    }
                }
                count += texts;
            }
            let secrets = if with_authentication { secrets(&database, &server) } else { Vec::new() };
            segments.push_str(&files(audit.path()));
            let page = Runtime::new().unwrap().block_on(metrics::page(&server));
            assert!(server.stop().success());
            let (log, printed, traces) = (server.log().unwrap(), server.printed().unwrap(), collector.text());
            assert!(log.lines().count() > 1, "{backend}: there is no log to look into");
            assert!(page.contains("tessera_requests_total") && printed.contains("listens"), "{backend}: {printed}");
            assert!(traces.contains("db.query.text"), "{backend}: there is no trace to look into");
            assert!(segments.contains("zqicanary"), "{backend}: there is no event to look into");
            let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let (texts, ids) =
                ([&["zqxcanary"], &secrets[..]].concat(), [&["zqxcanary", "zqicanary"], &secrets[..]].concat());
            for (place, text, planted) in [
                ("the log", &log, &ids),
                ("what is printed", &printed, &ids),
                ("metrics", &page, &ids),
                ("traces", &traces, &ids),
                ("audit segments", &segments, &texts),
            ] {
                assert_silent(&format!("{backend}, {place}, of {count} texts"), text, planted);
            }
            println!("HTTP-11: {count} texts and {} secrets on {backend}, 0 found", secrets.len());
        }
    }
}
