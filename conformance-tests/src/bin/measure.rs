//! What requests cost a server in time and in CPU.
//!
//! `cargo run --release -p conformance-tests --bin measure -- BASE_URL PID[,PID…]`
//!
//! The process ids are those of the server and, for PostgreSQL, of the postmaster: the CPU time of a process counts
//! with that of its children, those that have ended too. The server must hold patients and observations, for example
//! Synthea's. The result is a table in Markdown: for each kind of request and number of connections the requests a
//! second, the median and the 99th percentile of their times, and the CPU milliseconds a request.
//!
//! `MEASURE_ONLY=create` measures what begins so alone.
//!
//! With `BASE_URL PID[,PID…]` of a second server, the two are measured in turns, and the result is how many requests a second
//! the first answers for each of the second's, and how much CPU it takes: so one sees what a setting costs (AUD-8).
//!
//! `MEASURE_TOKEN` is an access token for the first, of a client whose limits are high enough (HTTP-4).

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

/// How often two servers take turns, and how long a turn is.
const TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(1);

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
    let result = match &arguments[..] {
        [base, ids] => one(base, ids).await,
        [base, ids, other_base, other_ids] => two([(base, ids), (other_base, other_ids)]).await,
        _ => Err("usage: measure BASE_URL PID[,PID…] [BASE_URL PID[,PID…]]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// A server, and what its clients show it.
struct Target<'a> {
    base: &'a str,
    token: Option<String>,
}

impl Target<'_> {
    /// A client with connections of its own.
    fn client(&self) -> Client {
        let client = Client::new(self.base);
        match &self.token {
            Some(token) => client.with("authorization", &format!("Bearer {token}")),
            None => client,
        }
    }
}

fn token() -> Option<String> {
    env::var("MEASURE_TOKEN").ok().filter(|token| !token.is_empty())
}

fn process_ids(text: &str) -> Result<Vec<u32>, String> {
    let ids = text.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>();
    let ids = ids.map_err(|_| "the process ids are no numbers".to_owned())?;
    cpu(&ids).map(|_| ids).ok_or_else(|| "there is no such process, or no /proc".to_owned())
}

/// What one server answers.
async fn one(base: &str, ids: &str) -> Result<(), String> {
    let ids = process_ids(ids)?;
    let target = Target { base, token: token() };
    println!("| request | connections | requests/s | median ms | p99 ms | CPU ms a request |\n|{}", " --- |".repeat(6));
    for (name, kind) in kinds(&target.client()).await? {
        for connections in CONNECTIONS {
            let mut taken = measure(&target, &kind, connections, SPAN, &ids).await?;
            taken.times.sort_unstable();
            let (median, late) = (taken.at(500), taken.at(990));
            let (rate, cost) = (taken.rate(), taken.cost());
            println!("| {name} | {connections} | {rate:.0} | {median:.2} | {late:.2} | {cost:.3} |");
        }
    }
    Ok(())
}

/// What the first of two servers answers beside the second.
async fn two(servers: [(&str, &str); 2]) -> Result<(), String> {
    let mut sides = Vec::new();
    for ((base, ids), token) in servers.into_iter().zip([token(), None]) {
        let target = Target { base, token };
        let kinds = kinds(&target.client()).await?;
        sides.push((target, process_ids(ids)?, kinds));
    }
    println!("| request | connections | requests/s | beside | CPU ms a request | beside |\n|{}", " --- |".repeat(6));
    let count = sides.iter().map(|(_, _, kinds)| kinds.len()).min().unwrap_or(0);
    for n in 0..count {
        for connections in [1, 16] {
            let mut taken = [Taken::default(), Taken::default()];
            for _ in 0..TURNS {
                for (taken, (target, ids, kinds)) in taken.iter_mut().zip(&sides) {
                    taken.add(measure(target, &kinds[n].1, connections, TURN, ids).await?);
                }
            }
            let (name, [first, second]) = (&sides[0].2[n].0, &taken);
            let (rate, cost) = (first.rate(), first.cost());
            let (rates, costs) = (100.0 * rate / second.rate(), 100.0 * cost / second.cost());
            println!("| {name} | {connections} | {rate:.0} | {rates:.0} % | {cost:.3} | {costs:.0} % |");
        }
    }
    Ok(())
}

/// What was measured.
#[derive(Default)]
struct Taken {
    times: Vec<Duration>,
    seconds: f64,
    cpu: f64,
}

impl Taken {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.seconds += other.seconds;
        self.cpu += other.cpu;
    }

    fn requests(&self) -> f64 {
        self.times.iter().map(|_| 1.0).sum()
    }

    fn rate(&self) -> f64 {
        self.requests() / self.seconds
    }

    fn cost(&self) -> f64 {
        self.cpu * 1000.0 / self.requests()
    }

    /// The time that so many of a thousand did not exceed, in milliseconds; they are sorted.
    fn at(&self, part: usize) -> f64 {
        let last = self.times.len().saturating_sub(1);
        self.times.get((self.times.len() * part / 1000).min(last)).map_or(0.0, |t| t.as_secs_f64() * 1000.0)
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

/// The requests, made of what the server holds.
async fn kinds(client: &Client) -> Result<Vec<(String, Arc<Kind>)>, String> {
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
    let kinds: Vec<(String, Kind)> = vec![
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
    ];
    let only = env::var("MEASURE_ONLY").unwrap_or_default();
    let wanted = kinds.into_iter().filter(|(name, _)| name.starts_with(&only));
    Ok(wanted.map(|(name, kind)| (name, Arc::new(kind))).collect())
}

/// Keeps so many connections busy for the span.
async fn measure(
    target: &Target<'_>,
    kind: &Arc<Kind>,
    connections: usize,
    span: Duration,
    ids: &[u32],
) -> Result<Taken, String> {
    let (before, start) = (cpu(ids).unwrap_or_default(), Instant::now());
    let mut workers = JoinSet::new();
    for worker in 0..connections {
        let (client, kind) = (target.client(), Arc::clone(kind));
        workers.spawn(async move { busy(&client, &kind, worker, start + span).await });
    }
    let mut times = Vec::new();
    while let Some(worker) = workers.join_next().await {
        times.extend(worker.map_err(|error| error.to_string())??);
    }
    Ok(Taken { times, seconds: start.elapsed().as_secs_f64(), cpu: cpu(ids).unwrap_or_default() - before })
}

async fn busy(client: &Client, kind: &Kind, worker: usize, end: Instant) -> Result<Vec<Duration>, String> {
    let mut times = Vec::new();
    // Each connection begins at another place.
    let mut number = worker * 7;
    while Instant::now() < end {
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
