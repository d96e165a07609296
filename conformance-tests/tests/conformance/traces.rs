//! What an OpenTelemetry collector is told, and what the log says of requests.

use conformance_tests::{Backend, Database};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use tessera_fixtures::patient;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Stands in for a collector: takes what is posted to it.
pub(crate) struct Collector {
    pub(crate) url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let taken = bodies.clone();
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(body) = take(&stream) {
                    taken.lock().unwrap().push(body);
                }
            }
        });
        Self { url, bodies }
    }

    /// All that was posted.
    pub(crate) fn text(&self) -> String {
        self.bodies.lock().unwrap().join("\n")
    }

    fn spans(&self) -> Vec<Value> {
        let mut spans = Vec::new();
        for body in &*self.bodies.lock().unwrap() {
            let body: Value = serde_json::from_str(body).unwrap();
            spans.extend(body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().iter().cloned());
        }
        spans
    }
}

/// The body of a request on that connection, which is answered.
fn take(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    (&mut &*stream).write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}").ok()?;
    String::from_utf8(body).ok()
}

fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
    let attributes = span["attributes"].as_array()?;
    let value = &attributes.iter().find(|attribute| attribute["key"] == key)?["value"];
    value["stringValue"].as_str().or(value["intValue"].as_str())
}

// https://www.w3.org/TR/trace-context/
#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_with_its_callers_trace_down_to_statements_without_values() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "traces") else { continue };
        let collector = Collector::start();
        let mut server = database.serve(&[("TESSERA_TRACES_ENDPOINT", &collector.url)]);
        let traced = server.client().with("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
        let created = traced.post("Patient", &patient().family("Canaryzqx").build()).await.expect_status(201);
        traced.get("Patient?family=Canaryzqx").await.assert_status(200);
        let not_traced = server.client().with("traceparent", &format!("00-{}-{CALLER}-00", TRACE.replace('4', "5")));
        not_traced.get(&format!("Patient/{}", created.id())).await.assert_status(200);
        server.client().get("metadata").await.assert_status(200);
        // What is not sent yet is sent then.
        assert!(server.stop().success());
        let spans = collector.spans();
        let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{spans:#?}"));
        let create = named("create Patient");
        assert_eq!((&create["traceId"], &create["parentSpanId"]), (&TRACE.into(), &CALLER.into()), "{backend}");
        assert_eq!((create["kind"].as_u64(), attribute(create, "http.response.status_code")), (Some(2), Some("201")));
        let statements = |of: &Value| {
            let below = spans.iter().filter(|span| span["parentSpanId"] == of["spanId"] && span["name"] == "sql");
            below.map(|span| attribute(span, "db.query.text").unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert!(statements(create).iter().any(|text| text.contains("INSERT INTO resource ")), "{backend}: {spans:#?}");
        let search = statements(named("search-type Patient"));
        assert!(search.iter().any(|text| text.contains("idx_string")), "{backend}: {search:#?}");
        let metadata = named("capabilities");
        assert!(metadata["traceId"] != TRACE && metadata["parentSpanId"].is_null());
        assert!(!spans.iter().any(|span| span["name"] == "read Patient"), "the caller does not collect it");
        let text = collector.text();
        assert!(!text.contains("zqx") && !text.contains(created.id()), "{backend}: a value is in a trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_the_log_are_json_and_carry_ids_of_requests_that_say_nothing() {
    let Some(database) = Database::create(Backend::Sqlite, "log_json") else { return };
    let mut server = database.serve(&[("TESSERA_LOG_FORMAT", "json"), ("TESSERA_LOG", "debug")]);
    let id = "0193a5b8-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
    for sent in [id, "Chalmerszqx"] {
        server.client().with("x-request-id", sent).get("Patient").await.assert_status(200);
    }
    assert!(server.stop().success());
    let log = server.log().unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<&Value> = lines.iter().filter(|line| line["message"] == "answered").collect();
    let ids: Vec<&Value> = answered.iter().map(|line| &line["spans"][0]["id"]).collect();
    assert_eq!(ids, [&Value::from(id), &Value::Null], "{log}");
    let line = answered[0];
    assert_eq!((&line["fhir.interaction"], &line["fhir.resource_type"]), (&"search-type".into(), &"Patient".into()));
    assert!(line["http.response.status_code"] == 200 && line["level"] == "DEBUG" && line["us"].is_u64(), "{line}");
    assert!(!log.contains("zqx"), "{log}");
}
