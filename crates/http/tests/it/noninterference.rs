//! CMP-20: what one patient is answered does not depend on whether there is another. The same random requests go to a server
//! with two records and to one with the caller's alone; but for ids and times that the server makes, the answers are equal.
//!
//! `TESSERA_REQUESTS=200000 cargo test -p tessera-http --release cmp_20` asks for longer; `TESSERA_SEED` repeats a run.

use crate::world::{Server, get, on_both};
use fastrand::Rng;
use regex::Regex;
use serde_json::json;
use std::collections::HashMap;
use tessera_http::{Answer, Local};
use tessera_model::interaction::Method;

const REQUESTS: usize = 2000;

#[test]
fn cmp_20_what_a_patient_is_answered_does_not_depend_on_others() {
    let number = |name: &str, default: usize| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let seed = number("TESSERA_SEED", 20) as u64;
    let requests = number("TESSERA_REQUESTS", REQUESTS);
    on_both("cmp_20", &async |location| {
        let (with, without) = (Server::new(location()).await, Server::new(location()).await);
        with.fill(&["b", "a"]).await;
        without.fill(&["a"]).await;
        let (with, without) = (with.as_patient("a"), without.as_patient("a"));
        let (mut seen_with, mut seen_without) = (Masks::new(), Masks::new());
        let mut rng = Rng::with_seed(seed);
        let mut succeeded = 0;
        for n in 0..requests {
            let request = request(&mut rng);
            let answers = (ask(&with, &request).await, ask(&without, &request).await);
            let masked = (seen_with.mask(&answers.0), seen_without.mask(&answers.1));
            same(&masked.0, &masked.1, &format!("seed {seed}, request {n}: {request:?}"));
            succeeded += usize::from(answers.0.status < 300);
            // The page after: its link is sealed, so it is followed and not compared.
            if let (Some(next), Some(other)) = (next(&answers.0), next(&answers.1)) {
                let pages = (get(&with, &next).await, get(&without, &other).await);
                let masked = (seen_with.mask(&pages.0), seen_without.mask(&pages.1));
                same(&masked.0, &masked.1, &format!("seed {seed}, request {n}: page after {request:?}"));
            }
        }
        println!("CMP-20: seed {seed}, {requests} requests, {succeeded} of them successful, 0 differences");
        assert!(succeeded > requests / 3, "only {succeeded} of {requests} requests were answered with success");
    });
}

/// Medians of so many reads of what is hidden and of what is not there, taking turns.
const PAIRS: usize = 5000;

#[test]
#[ignore = "measures, and shows nothing by itself: just noninterference-timing"]
fn cmp_20_timing_of_hidden_and_missing() {
    on_both("cmp_20_timing", &async |location| {
        let server = Server::new(location()).await;
        server.fill(&["b", "a"]).await;
        let a = server.as_patient("a");
        let mut times = [Vec::new(), Vec::new()];
        for n in 0..PAIRS + 100 {
            // Which comes first changes.
            for which in [n % 2, 1 - n % 2] {
                let path = ["Observation/o1-b", "Observation/o1-x"][which];
                let start = std::time::Instant::now();
                assert_eq!(get(&a, path).await.status, 404);
                let took = start.elapsed();
                if n >= 100 {
                    times[which].push(took);
                }
            }
        }
        let [hidden, missing] = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64() * 1e6
        });
        println!("hidden {hidden:.1} us, missing {missing:.1} us: {:+.1} %", (hidden / missing - 1.0) * 100.0);
    });
}

/// Answers are long: what is shown is where they part.
fn same(with: &(u16, String), without: &(u16, String), what: &str) {
    let parts =
        with.1.bytes().zip(without.1.bytes()).position(|(a, b)| a != b).unwrap_or(with.1.len().min(without.1.len()));
    let around = |text: &str| text.chars().skip(parts.saturating_sub(200)).take(400).collect::<String>();
    assert!(with == without, "{what}\n{} … {}\n{} … {}", with.0, around(&with.1), without.0, around(&without.1));
}

#[derive(Debug)]
struct Request(Method, String, String);

async fn ask(local: &Local, Request(method, path, body): &Request) -> Answer {
    local.send(*method, path, body.clone().into_bytes(), None).await
}

fn next(answer: &Answer) -> Option<String> {
    let rest = answer.text.split("\"relation\":\"next\",\"url\":\"http://here/fhir/").nth(1)?;
    Some(rest.split('"').next()?.to_owned())
}

/// Ids and times that a server makes differ; the same one is given the same name each time.
struct Masks {
    ids: Regex,
    times: Regex,
    pages: Regex,
    names: HashMap<String, usize>,
}

impl Masks {
    fn new() -> Self {
        Self {
            ids: Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap(),
            times: Regex::new(r"20[2-9]\d-\d\d-\d\dT[0-9:.]+(Z|\+00:00)").unwrap(),
            pages: Regex::new("_page=[A-Za-z0-9_-]+").unwrap(),
            names: HashMap::new(),
        }
    }

    fn mask(&mut self, answer: &Answer) -> (u16, String) {
        let text = self.times.replace_all(&answer.text, "(time)");
        let text = self.pages.replace_all(&text, "_page=");
        let names = &mut self.names;
        let text = self.ids.replace_all(&text, |found: &regex::Captures<'_>| {
            let next = names.len();
            format!("(id {})", names.entry(found[0].to_owned()).or_insert(next))
        });
        (answer.status, text.into_owned())
    }
}

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

const TYPES: [&str; 13] = [
    "Binary",
    "DocumentReference",
    "Patient",
    "Observation",
    "Condition",
    "Encounter",
    "Coverage",
    "Device",
    "Provenance",
    "Group",
    "List",
    "Practitioner",
    "Organization",
];

/// A resource of the caller's, of another's, or of nobody's.
fn path(rng: &mut Rng) -> String {
    let p = pick(rng, &["a", "b", "x"]);
    match rng.u32(..15) {
        12 => format!("Binary/bin-{p}"),
        13 => format!("Binary/att-{p}"),
        14 => format!("DocumentReference/doc-{p}"),
        0 => format!("Patient/{p}"),
        1 | 2 => format!("Observation/o1-{p}"),
        3 => format!("Observation/o2-{p}"),
        4 => format!("Condition/c-{p}"),
        5 => format!("Encounter/e-{p}"),
        6 => format!("Coverage/cov-{p}"),
        7 => format!("Device/d-{p}"),
        8 => format!("Provenance/p-{p}"),
        9 => format!("Group/g-{p}"),
        10 => format!("List/l-{p}"),
        _ => pick(rng, &["Practitioner/doc", "Organization/org", "Device/shelf"]).to_owned(),
    }
}

fn parameter(rng: &mut Rng) -> String {
    let p = pick(rng, &["a", "b", "x", "a,b"]);
    match rng.u32(..36) {
        33 => format!("focus:Patient.family=family-{p}"),
        34 => format!("_has:Observation:focus:code={}", pick(rng, &["8867-4", "8302-2"])),
        35 => "_revinclude=Observation:focus&_include=Observation:focus".to_owned(),
        0 => format!("patient={p}"),
        1 => format!("patient:identifier=http://mrn|mrn-{p}"),
        2 => format!("patient.family=family-{p}"),
        3 => format!("_id=o1-{p},c-{p},{p}"),
        4 => format!("_has:Observation:patient:code={}", pick(rng, &["8867-4", "8302-2", "none"])),
        5 => format!("_has:Observation:performer:patient={p}"),
        6 => format!("_has:Patient:organization:family=family-{p}"),
        7 => "_include=*".to_owned(),
        8 => "_revinclude=*".to_owned(),
        9 => "_include=Observation:has-member".to_owned(),
        10 => "_revinclude=Observation:patient&_revinclude:iterate=Provenance:target".to_owned(),
        11 => format!("_sort={}", pick(rng, &["_id", "date", "-code", "family"])),
        12 => format!("_count={}", rng.u32(..4)),
        13 => "_total=accurate".to_owned(),
        14 => format!("_summary={}", pick(rng, &["count", "true", "text", "data"])),
        15 => format!("_filter=patient eq Patient/{p}"),
        16 => format!("_list=l-{p}"),
        17 => format!("_content={}", pick(rng, &["family", "mrn", "b", "a"])),
        18 => format!("encounter=e-{p}"),
        19 => format!("encounter.patient.birthdate={}", pick(rng, &["1980", "1981"])),
        20 => format!("code={}", pick(rng, &["8867-4", "http://loinc.org|8302-2", "none"])),
        21 => format!("code:text=8867-4 of {p}"),
        22 => format!("patient:missing={}", rng.bool()),
        23 => format!("identifier=http://mrn|mrn-{p}"),
        24 => "_elements=subject,code".to_owned(),
        25 => format!("item=Observation/o1-{p}"),
        26 => format!("target=Observation/o1-{p}"),
        27 => format!("_type={},{}", pick(rng, &TYPES), pick(rng, &TYPES)),
        28 => format!("subject:Patient={p}"),
        29 => format!("_contained={}", pick(rng, &["true", "both"])),
        30 => format!("_contained={}&_containedType=contained", pick(rng, &["true", "both"])),
        31 => format!("performer:Practitioner.family=inner-{p}"),
        _ => format!("performer=Patient/{p}"),
    }
}

fn query(rng: &mut Rng) -> String {
    let parameters: Vec<String> = (0..rng.usize(..3)).map(|_| parameter(rng)).collect();
    if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) }
}

fn observation(rng: &mut Rng, id: Option<&str>) -> serde_json::Value {
    let mut observation = json!({"resourceType": "Observation", "status": "final",
        "code": {"text": pick(rng, &["one", "two"])}, "subject": {"reference": format!("Patient/{}", pick(rng, &["a", "a", "b", "x"]))}});
    if let Some(id) = id {
        observation["id"] = id.into();
    }
    if rng.u32(..4) == 0 {
        observation["focus"] = json!([{"reference": pick(rng, &["Patient/b", "Patient?family=family-b", "Patient?family=family-x", "Observation/o1-b"])}]);
    }
    if rng.u32(..6) == 0 {
        observation["performer"] = json!([{"reference": pick(rng, &["Patient/b", "Patient/x", "Practitioner/doc"])}]);
    }
    observation
}

/// Content, or a document that points to some.
fn attached(rng: &mut Rng) -> (&'static str, serde_json::Value) {
    let p = pick(rng, &["a", "b", "x"]);
    if rng.bool() {
        let context = pick(rng, &["Patient", "Observation/o1-", "Binary/bin-"]);
        let context = if context == "Patient" { format!("Patient/{p}") } else { format!("{context}{p}") };
        let binary =
            json!({"resourceType": "Binary", "contentType": "text/plain", "securityContext": {"reference": context}});
        return ("Binary", binary);
    }
    let url = format!("Binary/{}-{p}", pick(rng, &["bin", "att"]));
    let document = json!({"resourceType": "DocumentReference", "status": "current", "subject": {"reference": "Patient/a"},
        "content": [{"attachment": {"url": url}}]});
    ("DocumentReference", document)
}

fn request(rng: &mut Rng) -> Request {
    let reading = |url: String| Request(Method::Get, url, String::new());
    match rng.u32(..20) {
        0..=2 => reading(path(rng)),
        3 => reading(format!("{}/_history", path(rng))),
        4 => reading(format!("{}/_history/{}", path(rng), rng.u32(1..3))),
        5..=9 => reading(format!("{}{}", pick(rng, &TYPES), query(rng))),
        10 => reading(format!("?_count=50&{}", parameter(rng))),
        11 => reading(format!(
            "Patient/{}/{}{}",
            pick(rng, &["a", "b", "x"]),
            pick(rng, &["*", "Observation", "Condition"]),
            query(rng)
        )),
        12 => reading(format!("{}/$everything", path(rng))),
        13 => reading(format!("{}/$meta", path(rng))),
        14 if rng.bool() => {
            let (kind, body) = attached(rng);
            Request(Method::Post, kind.to_owned(), body.to_string())
        }
        14 => Request(Method::Post, "Observation".to_owned(), observation(rng, None).to_string()),
        15 => {
            let id = pick(rng, &["o1-a", "o1-b", "o1-x", "o2-a"]);
            Request(Method::Put, format!("Observation/{id}"), observation(rng, Some(id)).to_string())
        }
        16 => Request(Method::Delete, format!("Observation/{}", pick(rng, &["o2-a", "o1-b", "o1-x"])), String::new()),
        17 => Request(Method::Put, format!("Observation?{}", parameter(rng)), observation(rng, None).to_string()),
        _ => {
            // The entries of a batch are performed side by side, in no order: one of them is enough.
            let (kind, count) = if rng.bool() { ("batch", 1) } else { ("transaction", rng.usize(1..4)) };
            let entries = (0..count).map(|_| match rng.u32(..5) {
                0 => json!({"request": {"method": "GET", "url": path(rng)}}),
                1 => json!({"request": {"method": "GET", "url": format!("{}{}", pick(rng, &TYPES), query(rng))}}),
                2 => json!({"request": {"method": "DELETE", "url": format!("Condition/c-{}", pick(rng, &["a", "b", "x"]))}}),
                _ => json!({"resource": observation(rng, None), "request": {"method": "POST", "url": "Observation",
                    "ifNoneExist": format!("patient={}&code:text={}", pick(rng, &["a", "b"]), pick(rng, &["one", "8867-4 of b"]))}}),
            });
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries.collect::<Vec<_>>()});
            Request(Method::Post, String::new(), bundle.to_string())
        }
    }
}
