//! Servers that are wrong on purpose, which the suite must not pass: a check that cannot fail says nothing.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use conformance_tests::suite::{self, Need, Options, Report};
use serde_json::{Value, json};

use crate::suite::{ask, ids};

/// How a stand-in is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    /// It answers everything but `metadata` with 200 and a resource that nobody has asked for.
    Nonsense,
    /// It keeps what it is sent, refuses nothing, deletes nothing, and its searches find all that has the tag.
    FindsAll,
    /// The same, but its searches find nothing.
    FindsNothing,
    /// As the one that finds all, but it answers every second request with 429.
    Throttles,
    /// It answers all with the request's headers.
    Echo,
    /// It answers with a body without end, or nearly so.
    Endless,
    /// It does not answer.
    Silent,
}

/// A server for a test, on a port of its own.
struct StandIn {
    base: String,
    fault: Fault,
    kept: Mutex<BTreeMap<String, Value>>,
    /// The `Authorization` header of each request that came; empty if it had none.
    authorizations: Mutex<Vec<String>>,
    /// What it leads clients to in its links.
    next: Option<String>,
}

impl StandIn {
    async fn start(fault: Fault, next: Option<&str>) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let next = next.map(ToOwned::to_owned);
        let server = Arc::new(Self { base, fault, kept: Mutex::default(), authorizations: Mutex::default(), next });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&server));
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }
}

async fn answer(
    State(server): State<Arc<StandIn>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    server.authorizations.lock().unwrap().push(authorization.clone().unwrap_or_default());
    let path = uri.path().trim_start_matches("/fhir").trim_matches('/').to_owned();
    if server.fault == Fault::Endless {
        return (StatusCode::OK, "x".repeat(17 * 1024 * 1024)).into_response();
    }
    let count = server.authorizations.lock().unwrap().len();
    if server.fault == Fault::Throttles && count % 2 == 1 {
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response();
    }
    if path == "metadata" {
        return fhir(StatusCode::OK, &[], &statement(server.fault != Fault::FindsNothing));
    }
    match server.fault {
        Fault::Nonsense => {
            fhir(StatusCode::OK, &[], &json!({"resourceType": "Basic", "id": "<script>nonsense</script>\u{1}"}))
        }
        Fault::Echo => {
            let said = authorization.unwrap_or_default();
            let body =
                json!({"resourceType": "OperationOutcome", "issue": [{"diagnostics": format!("you said {said}")}]});
            fhir(StatusCode::IM_A_TEAPOT, &[("x-said", &said), ("location", &said)], &body)
        }
        Fault::Silent => std::future::pending().await,
        Fault::FindsAll | Fault::FindsNothing | Fault::Throttles | Fault::Endless => {
            server.careless(&method, &path, &uri, &body)
        }
    }
}

fn fhir(status: StatusCode, headers: &[(&'static str, &str)], body: &Value) -> Response {
    let mut response = (status, [("content-type", "application/fhir+json")], body.to_string()).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

impl StandIn {
    /// Keeps what it is sent, without a look at it.
    fn careless(&self, method: &Method, path: &str, uri: &Uri, body: &str) -> Response {
        let mut kept = self.kept.lock().unwrap();
        let sent: Value = serde_json::from_str(body).unwrap_or_else(|_| json!({"resourceType": "Patient"}));
        let number = kept.len();
        match (method.as_str(), path) {
            ("POST", "") => {
                let entries: Vec<Value> = sent["entry"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .enumerate()
                    .map(|(index, entry)| {
                        let resource_type = entry["resource"]["resourceType"].as_str().unwrap_or("Patient");
                        let reference = format!("{resource_type}/{}", number + index);
                        keep(&mut kept, &reference, entry["resource"].clone());
                        json!({"response": {"status": "201 Created", "location": format!("{reference}/_history/1")}})
                    })
                    .collect();
                let bundle_type = format!("{}-response", sent["type"].as_str().unwrap());
                fhir(StatusCode::OK, &[], &json!({"resourceType": "Bundle", "type": bundle_type, "entry": entries}))
            }
            ("POST", path) if path.contains('$') => fhir(StatusCode::OK, &[], &json!({"resourceType": "Parameters"})),
            ("POST", path) if !path.contains('/') => {
                let reference = format!("{path}/{number}");
                let resource = keep(&mut kept, &reference, sent);
                let location = format!("{}/{reference}/_history/1", self.base);
                fhir(StatusCode::CREATED, &[("location", &location), ("etag", "W/\"9\"")], &resource)
            }
            ("PUT", path) => fhir(StatusCode::OK, &[], &keep(&mut kept, path, sent)),
            ("DELETE", _) => StatusCode::NO_CONTENT.into_response(),
            (_, path) if path.contains("_history") => {
                fhir(StatusCode::OK, &[], &json!({"resourceType": "Bundle", "type": "history", "entry": [{}, {}, {}]}))
            }
            ("GET" | "POST", path)
                if !path.contains('/') || path.ends_with("_search") || path.matches('/').count() > 1 =>
            {
                fhir(StatusCode::OK, &[], &self.search(&kept, uri))
            }
            (_, path) => {
                let unknown = json!({"resourceType": path.split('/').next(), "id": "?"});
                fhir(StatusCode::OK, &[("etag", "W/\"9\"")], kept.get(path).unwrap_or(&unknown))
            }
        }
    }

    fn search(&self, kept: &BTreeMap<String, Value>, uri: &Uri) -> Value {
        let query = uri.query().unwrap_or_default();
        let matches = kept.values().filter(|resource| {
            let tag = resource["meta"]["tag"][0]["code"].as_str().unwrap_or("none");
            self.fault != Fault::FindsNothing && query.contains(tag)
        });
        let entries: Vec<Value> = matches.map(|resource| json!({"resource": resource})).collect();
        let mut links = vec![json!({"relation": "self", "url": uri.to_string()})];
        links.extend(self.next.as_ref().map(|url| json!({"relation": "next", "url": url})));
        json!({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries})
    }
}

fn keep(kept: &mut BTreeMap<String, Value>, reference: &str, mut resource: Value) -> Value {
    resource["id"] = json!(reference.split('/').nth(1));
    resource["meta"]["versionId"] = json!("1");
    kept.insert(reference.to_owned(), resource.clone());
    resource
}

/// A statement that lets every check be asked; but for one of two, of which each server is asked one.
fn statement(update_create: bool) -> Value {
    let mut types: BTreeMap<&str, Value> = BTreeMap::new();
    let (mut whole, mut compartments, mut patches) = (vec![], vec![], vec![]);
    for need in suite::checks().flat_map(|check| check.needs) {
        let mut add = |of: &'static str, member: &str, value: Value| {
            let stated = types.entry(of).or_insert_with(|| json!({"type": of}));
            match &mut stated[member] {
                Value::Array(list) if !list.contains(&value) => list.push(value),
                Value::Array(_) => {}
                empty => *empty = json!([value]),
            }
        };
        match *need {
            Need::Interaction(of, code) => add(of, "interaction", json!({"code": code})),
            Need::Parameter(of, name) => add(of, "searchParam", json!({"name": name, "type": "special"})),
            Need::Include(of, value) => add(of, "searchInclude", json!(value)),
            Need::RevInclude(of, value) => add(of, "searchRevInclude", json!(value)),
            Need::Operation(of, name) => add(of, "operation", json!({"name": name})),
            Need::System(code) => whole.push(json!({"code": code})),
            Need::Compartment(name) => {
                compartments.push(json!(format!("http://hl7.org/fhir/CompartmentDefinition/{name}")));
            }
            Need::Patch(format) => patches.push(json!(format)),
            Need::Versions(of)
            | Need::UpdateCreate(of)
            | Need::ConditionalCreate(of)
            | Need::ConditionalRead(of, _)
            | Need::ConditionalUpdate(of)
            | Need::ConditionalDelete(of) => {
                let stated = types.entry(of).or_insert_with(|| json!({"type": of}));
                stated["versioning"] = json!("versioned");
                stated["updateCreate"] = json!(update_create);
                stated["conditionalCreate"] = json!(true);
                stated["conditionalRead"] = json!("full-support");
                stated["conditionalUpdate"] = json!(true);
                stated["conditionalDelete"] = json!("multiple");
            }
            Need::Xml | Need::Smart => {}
        }
    }
    json!({
        "resourceType": "CapabilityStatement",
        "format": ["json", "xml"],
        "patchFormat": patches,
        "fhirVersion": "5.0.0",
        "kind": "instance",
        "software": {"name": "<script>alert(1)</script>"},
        "rest": [{
            "mode": "server",
            "security": {"service": [{"coding": [{"code": "SMART-on-FHIR"}]}]},
            "interaction": whole,
            "compartment": compartments,
            "resource": types.into_values().collect::<Vec<_>>(),
        }],
    })
}

async fn report_of(fault: Fault) -> Report {
    let server = StandIn::start(fault, None).await;
    ask(&Options::new(&server.base)).await
}

/// The checks that a wrong statement passes all the same.
const CAPABILITIES: [&str; 5] = [
    "capabilities.statement",
    "capabilities.server",
    "capabilities.types-once",
    "capabilities.parameters-once",
    "capabilities.open",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_with_status_200_passes_nothing() {
    let report = report_of(Fault::Nonsense).await;
    assert_eq!(ids(&report, "not stated"), Vec::<&str>::new());
    // It states that updates create; a server that looks at nothing is asked the other.
    assert_eq!(ids(&report, "not applicable"), ["update.creates-not"]);
    assert_eq!(ids(&report, "passed"), CAPABILITIES);
}

/// What a server can do that keeps what it is sent and looks at nothing.
const CARELESS: [&str; 21] = [
    "read.content",
    "read.media-type",
    "create.patient",
    "create.condition",
    "create.medication-statement",
    "create.allergy-intolerance",
    "create.observation",
    "create.location-version",
    "create.return-representation",
    "create.decimal-digits",
    "create.unicode",
    "create.extension",
    "update.content",
    "update.replaces",
    "conditional.create-no-match",
    "format.parameter-json",
    "format.generic-json",
    "format.anything",
    "search.self-link",
    "search.types",
    "transaction.response",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_looks_at_nothing_passes_little() {
    for fault in [Fault::FindsAll, Fault::FindsNothing] {
        let report = report_of(fault).await;
        let passed = ids(&report, "passed").into_iter().filter(|id| !CAPABILITIES.contains(id));
        let passed: Vec<&str> = passed.filter(|id| !CARELESS.contains(id)).collect();
        assert_eq!(passed, Vec::<&str>::new(), "{fault:?}");
        let creates = if fault == Fault::FindsAll { "update.creates" } else { "update.creates-not" };
        assert!(ids(&report, "failed").contains(&creates), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_too_often_is_asked_again_when_it_wants() {
    let report = report_of(Fault::Throttles).await;
    let as_asked_slowly = report_of(Fault::FindsAll).await;
    assert_eq!(ids(&report, "passed"), ids(&as_asked_slowly, "passed"));
    // The digits alone may be part of a tag, which is random.
    let html = suite::html(&report);
    assert!(html.contains("<b>200</b>") && !html.contains("<b>429</b>"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_is_in_no_report_even_if_the_server_sends_it_back() {
    let server = StandIn::start(Fault::Echo, None).await;
    let token = "secret-token-of-this-test";
    let options = Options { token: Some(token.into()), ..Options::new(&server.base) };
    let report = ask(&options).await;
    assert!(server.authorizations.lock().unwrap().contains(&format!("Bearer {token}")), "the token was sent");
    let mut texts = vec![suite::html(&report), suite::junit(&report), suite::summary(&report)];
    texts.extend(report.checked.iter().map(|checked| suite::line(checked, true)));
    texts.push(format!("{report:?}"));
    assert!(texts[0].contains("you said Bearer …"), "what the server has sent back is there");
    for text in texts {
        assert!(!text.contains(token));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_goes_to_no_other_server() {
    let other = StandIn::start(Fault::Nonsense, None).await;
    let next = format!("{}/Patient?page=2", other.base);
    let server = StandIn::start(Fault::FindsAll, Some(&next)).await;
    let options =
        Options { token: Some("secret".into()), only: vec!["result.pages".into()], ..Options::new(&server.base) };
    let report = ask(&options).await;
    assert!(report.has_failed() || report.count("not applicable") == 1, "{}", suite::summary(&report));
    assert!(other.authorizations.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_well_formed_and_escape_what_servers_send() {
    let report = report_of(Fault::Nonsense).await;
    let (html, junit) = (suite::html(&report), suite::junit(&report));
    assert!(!html.contains("<script"), "markup of the server is in the page");
    assert!(html.contains("&lt;script&gt;nonsense"));
    for outside in ["src=", "@import", "url(", "<link"] {
        assert!(!html.contains(outside), "the page wants something from elsewhere: {outside}");
    }
    let mut reader = quick_xml::Reader::from_str(&junit);
    let (mut cases, mut failures) = (0, 0);
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(start) | quick_xml::events::Event::Empty(start) => {
                match start.name().as_ref() {
                    "testcase" => cases += 1,
                    "failure" => failures += 1,
                    _ => {}
                }
            }
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!((cases, failures), (report.checked.len(), report.count("failed")));
    assert!(junit.chars().all(|c| matches!(c, '\n' | '\t') || c >= ' '), "a control character is in the XML");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_have_limits() {
    let server = StandIn::start(Fault::Endless, None).await;
    let error = suite::run(&Options::new(&server.base), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
    let server = StandIn::start(Fault::Silent, None).await;
    let mut options = Options::new(&server.base);
    // Long enough for the statement of a machine that is busy.
    options.timeout = Duration::from_secs(5);
    options.only = vec!["read.unknown-id".into()];
    assert_eq!(ids(&ask(&options).await, "failed"), ["read.unknown-id"]);
}

/// Runs the program; its exit status and what it printed.
async fn program(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance-tests"));
    command.args(arguments).env_remove("FHIR_TOKEN");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_ends_with_0_1_or_2_and_writes_its_reports() {
    let folder = conformance_tests::Folder::new("suite");
    let (html, junit) = (folder.path().join("a.html"), folder.path().join("a.xml"));
    let (html, junit) = (html.to_str().unwrap(), junit.to_str().unwrap());
    let server = StandIn::start(Fault::Nonsense, None).await;
    let base = ["--base-url", &server.base];
    let token = ["--token", "secret-token-of-this-test"];
    let files = ["--html", html, "--junit", junit];
    let (status, printed) = program(&[&base[..], &token, &files, &["--only", "read."]].concat()).await;
    assert_eq!(status, Some(1), "{printed}");
    assert!(printed.contains("FAILED: read.content") && !printed.contains(token[1]), "{printed}");
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert!(read(html).starts_with("<!DOCTYPE html>") && read(junit).starts_with("<?xml"));
    assert!(!read(html).contains(token[1]) && !read(junit).contains(token[1]));

    let (status, printed) = program(&[&base[..], &["--only", "capabilities.open"]].concat()).await;
    assert_eq!(status, Some(0), "{printed}");
    let (status, printed) = program(&["--base-url", "http://127.0.0.1:1/fhir"]).await;
    assert_eq!(status, Some(2), "{printed}");
    let (status, printed) = program(&[&base[..], &["--only", "nothing-of-the-sort"]].concat()).await;
    assert_eq!(status, Some(2), "{printed}");
    let (status, printed) = program(&["--list"]).await;
    assert_eq!(status, Some(0), "{printed}");
    assert!(suite::checks().all(|check| printed.contains(check.id) && printed.contains(&check.link())));
}
