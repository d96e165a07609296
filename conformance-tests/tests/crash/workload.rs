//! Writers that note what the server acknowledges, until it is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conformance_tests::{Client, Reply, Request, Server, Unanswered};
use reqwest::Method;
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The system of the identifiers that the verification searches by.
pub(crate) const SYSTEM: &str = "http://example.org/crash";

/// How many writers there are.
const WRITERS: usize = 32;

/// How many resources all writers of a run update, so that they get into each other's way.
const CONTENDED: usize = 8;

/// How many resources a bundle creates: a patient and observations.
pub(crate) const BUNDLE: usize = 10;

/// What the server has acknowledged, and what it was asked for besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) created: Vec<Version>,
    pub(crate) updated: Vec<Version>,
    pub(crate) bundles: Vec<Bundle>,
}

/// A version that the server acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) version: u64,
    /// The family name, which no other version of any patient has.
    pub(crate) family: String,
}

/// A transaction that the server was sent.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    /// The identifier that all its resources share.
    pub(crate) tag: String,
    pub(crate) acknowledged: bool,
}

impl Ledger {
    /// How many writes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        let bundles = self.bundles.iter().filter(|bundle| bundle.acknowledged).count();
        self.created.len() + self.updated.len() + bundles
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.created.extend(other.created);
        self.updated.extend(other.updated);
        self.bundles.extend(other.bundles);
    }

    /// Fails unless a run has shown something: writes of each kind.
    #[track_caller]
    pub(crate) fn assert_tells(&self) {
        let bundles = self.bundles.iter().filter(|bundle| bundle.acknowledged).count();
        let (created, updated) = (self.created.len(), self.updated.len());
        assert!(created * updated * bundles > 0, "{created} creates, {updated} updates, {bundles} bundles: too few");
    }
}

/// A run of all writers at once.
pub(crate) struct Run {
    writers: JoinSet<Ledger>,
    stop: Arc<AtomicBool>,
}

impl Run {
    /// Starts the writers; `name` sets their resources apart from those of other runs.
    pub(crate) fn start(server: &Server, name: &str) -> Self {
        let (client, stop) = (server.client(), Arc::new(AtomicBool::new(false)));
        let mut writers = JoinSet::new();
        for number in 0..WRITERS {
            let writer = Writer { client: client.clone(), run: name.to_owned(), number, ledger: Ledger::default() };
            writers.spawn(writer.write_until_gone(Arc::clone(&stop)));
        }
        Self { writers, stop }
    }

    /// What was acknowledged, once the server is gone.
    pub(crate) async fn ledger(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Ledger::default();
        self.writers.join_all().await.into_iter().for_each(|ledger| all.add(ledger));
        all
    }
}

/// Lets all writers write for a moment between half a second and two, and then kills the server.
pub(crate) async fn write_until_killed(server: &mut Server, name: &str) -> Ledger {
    let run = Run::start(server, name);
    sleep(Duration::from_millis(fastrand::u64(500..2000))).await;
    server.kill_9();
    run.ledger().await
}

struct Writer {
    client: Client,
    run: String,
    number: usize,
    ledger: Ledger,
}

/// The server is gone.
struct Gone;

impl Writer {
    async fn write_until_gone(mut self, stop: Arc<AtomicBool>) -> Ledger {
        for turn in 0.. {
            let name = format!("{}-{}-{turn}", self.run, self.number);
            // Not all of them begin with the same, so that a short run has some of each.
            let step = match (turn + self.number) % 5 {
                0 | 1 => self.update(name).await,
                2 => self.create(name).await,
                3 => self.transact(name).await,
                _ => self.patch(name).await,
            };
            if step.is_err() || stop.load(Ordering::Relaxed) {
                break;
            }
        }
        self.ledger
    }

    async fn create(&mut self, name: String) -> Result<(), Gone> {
        let body = patient().family(&name).identifier(SYSTEM, &name).build();
        let request = self.client.request(Method::POST, "Patient").json(&body);
        if let Some(reply) = acknowledged(request).await? {
            self.ledger.created.push(Version { id: reply.id().to_owned(), version: reply.version(), family: name });
        }
        Ok(())
    }

    async fn update(&mut self, name: String) -> Result<(), Gone> {
        let id = format!("{}-contended-{}", self.run, fastrand::usize(..CONTENDED));
        let body = patient().id(&id).family(&name).build();
        let request = self.client.request(Method::PUT, &format!("Patient/{id}")).json(&body);
        if let Some(reply) = acknowledged(request).await? {
            self.ledger.updated.push(Version { id, version: reply.version(), family: name });
        }
        Ok(())
    }

    /// Patches a contended patient that is there for sure: this writer has written it.
    async fn patch(&mut self, name: String) -> Result<(), Gone> {
        let Some(Version { id, .. }) = self.ledger.updated.last().cloned() else { return self.update(name).await };
        let body = json!([{ "op": "replace", "path": "/name/0/family", "value": name }]);
        let request = self.client.request(Method::PATCH, &format!("Patient/{id}"));
        if let Some(reply) = acknowledged(request.body("application/json-patch+json", body.to_string())).await? {
            self.ledger.updated.push(Version { id, version: reply.version(), family: name });
        }
        Ok(())
    }

    async fn transact(&mut self, tag: String) -> Result<(), Gone> {
        let request = self.client.request(Method::POST, "").json(&bundle(&tag));
        let sent = acknowledged(request).await;
        let acknowledged = matches!(sent, Ok(Some(_)));
        self.ledger.bundles.push(Bundle { tag, acknowledged });
        sent.map(drop)
    }
}

/// The server's reply if it is an acknowledgement. Overload is none, and says that nothing has been done.
///
/// # Panics
/// When the server finds fault with the request, or with itself.
async fn acknowledged(request: Request) -> Result<Option<Reply>, Gone> {
    match request.try_send().await {
        Ok(reply) if reply.is_success() => Ok(Some(reply)),
        Ok(reply) if reply.status == 503 => {
            sleep(Duration::from_millis(20)).await;
            Ok(None)
        }
        Ok(reply) => panic!("{reply}"),
        Err(Unanswered { .. }) => Err(Gone),
    }
}

/// A transaction of a patient and observations about it, all with one identifier.
fn bundle(tag: &str) -> Value {
    let patient = patient().identifier(SYSTEM, tag).build();
    let about = json!({ "identifier": [{ "system": SYSTEM, "value": tag }] });
    let observation = observation().subject("urn:uuid:0198c0de-0000-7000-8000-000000000001");
    let observation = observation.set("identifier", about["identifier"].clone()).build();
    let mut entries = vec![json!({
        "fullUrl": "urn:uuid:0198c0de-0000-7000-8000-000000000001",
        "resource": patient,
        "request": { "method": "POST", "url": "Patient" },
    })];
    for _ in 1..BUNDLE {
        entries.push(json!({ "resource": observation, "request": { "method": "POST", "url": "Observation" } }));
    }
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries })
}
