//! What requests cost a server in time and in CPU.
//!
//! `cargo run --release -p conformance-tests --bin measure -- BASE_URL PID[,PID…]`
//!
//! The process ids are those of the server and, for PostgreSQL, of the postmaster: the CPU time of a process counts
//! with that of its children, those that have ended too. The server must hold patients and observations, for example
//! Synthea's. The result is a table in Markdown: for each kind of request and number of connections the requests a
//! second, the median and the 99th percentile of their times, and the CPU milliseconds a request.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table is what this program is for")]

use std::{
    collections::HashMap,
    env, fs,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use conformance_tests::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The numbers of keep-alive connections.
const CONNECTIONS: [usize; 3] = [1, 4, 16];

/// How long each measurement takes.
const SPAN: Duration = Duration::from_secs(5);

/// Clock ticks a second in `/proc/PID/stat`: USER_HZ, which is 100 on every Linux that one meets.
const TICKS: f64 = 100.0;

/// What is measured, with what it asks for.
enum Kind {
    /// `GET` of one of these.
    Get(Vec<String>),
    /// `POST` of this to its type.
    Create(Value),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [base, ids] = &arguments[..] else { return fail("usage: measure BASE_URL PID[,PID…]") };
    let Ok(ids) = ids.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>() else {
        return fail("the process ids are no numbers");
    };
    if cpu(&ids).is_none() {
        return fail("there is no such process, or no /proc");
    }
    let kinds = match kinds(&Client::new(base)).await {
        Ok(kinds) => kinds,
        Err(error) => return fail(&error),
    };
    println!("| request | connections | requests/s | median ms | p99 ms | CPU ms a request |\n|{}", " --- |".repeat(6));
    for (name, kind) in kinds {
        let kind = Arc::new(kind);
        for connections in CONNECTIONS {
            if let Err(error) = measure(base, &name, &kind, connections, &ids).await {
                return fail(&error);
            }
        }
    }
    ExitCode::SUCCESS
}

fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

/// The requests, made of what the server holds.
async fn kinds(client: &Client) -> Result<Vec<(String, Kind)>, String> {
    let page = client.get("Patient?_count=200&_elements=id").await;
    let ids =
        |resources: &[&Value]| resources.iter().filter_map(|r| r["id"].as_str().map(str::to_owned)).collect::<Vec<_>>();
    let patients = ids(&page.resources());
    if patients.is_empty() {
        return Err(format!("the server holds no patients: {}", page.status));
    }
    let each = |make: &dyn Fn(&String) -> String| Kind::Get(patients.iter().map(make).collect());
    let by_code = |code: &str| format!("Observation?code=http://loinc.org|{code}&_count=50");
    let codes = ["8302-2", "29463-7", "85354-9", "55284-4", "4548-4", "2339-0"];
    let concept = |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
    let observation = json!({
        "resourceType": "Observation", "status": "final",
        "category": [concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs")],
        "code": concept("http://loinc.org", "29463-7"),
        "subject": { "reference": format!("Patient/{}", patients[0]) },
        "effectiveDateTime": "2020-01-01T12:00:00Z",
        "valueQuantity": { "value": 70.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg" },
    });
    Ok(vec![
        ("read `Patient/[id]`".into(), each(&|id| format!("Patient/{id}"))),
        (
            "page `Observation?patient=&category=&_sort=-date&_count=50`".into(),
            each(&|id| format!("Observation?patient={id}&category=vital-signs&_sort=-date&_count=50")),
        ),
        ("page `Observation?code=&_count=50`".into(), Kind::Get(codes.map(by_code).to_vec())),
        (
            "chain `Observation?patient.gender=&code=`".into(),
            Kind::Get(codes.map(|c| format!("Observation?patient.gender=female&code={c}&_count=50")).to_vec()),
        ),
        (
            "count `Observation?code=&_summary=count`".into(),
            Kind::Get(codes.map(|c| format!("Observation?code={c}&_summary=count")).to_vec()),
        ),
        (
            "include `Encounter?patient=&_include=Encounter:practitioner`".into(),
            each(&|id| format!("Encounter?patient={id}&_include=Encounter:practitioner&_count=50")),
        ),
        ("create `Observation`".into(), Kind::Create(observation)),
    ])
}

/// Keeps so many connections busy for the span, and prints a line.
async fn measure(base: &str, name: &str, kind: &Arc<Kind>, connections: usize, ids: &[u32]) -> Result<(), String> {
    let (before, start) = (cpu(ids).unwrap_or_default(), Instant::now());
    let mut workers = JoinSet::new();
    for worker in 0..connections {
        let (client, kind) = (Client::new(base), Arc::clone(kind));
        workers.spawn(async move { busy(&client, &kind, worker, start).await });
    }
    let mut times = Vec::new();
    while let Some(worker) = workers.join_next().await {
        times.extend(worker.map_err(|error| error.to_string())??);
    }
    let (elapsed, used) = (start.elapsed().as_secs_f64(), cpu(ids).unwrap_or_default() - before);
    times.sort_unstable();
    let at = |part: usize| {
        times
            .get((times.len() * part / 1000).min(times.len().saturating_sub(1)))
            .map_or(0.0, |t| t.as_secs_f64() * 1000.0)
    };
    let requests = times.iter().map(|_| 1.0).sum::<f64>();
    let (rate, cost) = (requests / elapsed, used * 1000.0 / requests);
    println!("| {name} | {connections} | {rate:.0} | {:.2} | {:.2} | {cost:.3} |", at(500), at(990));
    Ok(())
}

async fn busy(client: &Client, kind: &Kind, worker: usize, start: Instant) -> Result<Vec<Duration>, String> {
    let mut times = Vec::new();
    // Each connection begins at another place.
    let mut number = worker * 7;
    while start.elapsed() < SPAN {
        let begun = Instant::now();
        let reply = match kind {
            Kind::Get(paths) => client.get(&paths[number % paths.len()]).await,
            Kind::Create(resource) => {
                client.post(resource["resourceType"].as_str().unwrap_or_default(), resource).await
            }
        };
        if !reply.is_success() {
            return Err(reply.to_string());
        }
        times.push(begun.elapsed());
        number += 1;
    }
    Ok(times)
}

/// The seconds of CPU that these processes and all their descendants have used, also those descendants that have ended.
fn cpu(ids: &[u32]) -> Option<f64> {
    let mut ticks: HashMap<u32, (u32, f64)> = HashMap::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        if let Some((id, stat)) = entry.file_name().to_str().and_then(|name| Some((name.parse().ok()?, stat(name)?))) {
            ticks.insert(id, stat);
        }
    }
    let belongs = |mut id: u32| {
        // A parent is always older, so this ends; the bound is for ids that were used again.
        for _ in 0..64 {
            if ids.contains(&id) {
                return true;
            }
            match ticks.get(&id) {
                Some((parent, _)) if *parent > 1 => id = *parent,
                _ => return false,
            }
        }
        false
    };
    if !ids.iter().all(|id| ticks.contains_key(id)) {
        return None;
    }
    Some(ticks.iter().filter(|(id, _)| belongs(**id)).map(|(_, (_, ticks))| ticks).sum::<f64>() / TICKS)
}

/// The parent of a process, and its utime + stime + cutime + cstime.
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
fn stat(id: &str) -> Option<(u32, f64)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks))
}
