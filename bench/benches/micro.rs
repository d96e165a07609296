//! What each step of a request costs, without sockets: `cargo bench -p tessera-bench`, or one step with
//! `cargo bench -p tessera-bench -- NAME`. `cargo test` runs each once.

use divan::{Bencher, black_box, counter::BytesCount};
use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
};
use tessera_auth::{Authenticator, MasterKey};
use tessera_fixtures::Population;
use tessera_http::{ANSWER_TIMEOUT, Budget, ConditionalDelete, Context, Local, Requests, Throttle};
use tessera_model::{
    AccessContext, Caller, Definitions, Filter, Grant, Permissions, Resource, Within,
    interaction::{Method, query_pairs},
    search::{Context as Searching, NoTerminology, extract, parse::parse},
    validate::validate,
    xml,
};
use tessera_store::{Location, Options, SEARCH_TIMEOUT, SqlStore, Synchronous, clock::SystemClock, migrate};
use tokio::runtime::{Builder, Runtime};

// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BASE: &str = "http://tessera.example/fhir";
const PATIENTS: usize = 20;

fn main() {
    divan::main();
}

/// The resources of a synthetic population: some of each type, as JSON.
static RESOURCES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let entries = Population::new(1, 3).flat_map(|bundle| bundle["entry"].as_array().cloned().unwrap_or_default());
    entries.map(|entry| entry["resource"].to_string()).collect()
});

static PARSED: LazyLock<Vec<Resource>> = LazyLock::new(|| RESOURCES.iter().map(|text| resource(text)).collect());

fn resource(text: &str) -> Resource {
    Resource::parse(text, Definitions::r4()).expect("the population can be read")
}

/// Does something with each of the resources; the figure is for all of them, and the rate is of their JSON.
fn each<T>(bencher: Bencher<'_, '_>, step: impl Fn(&str, &Resource) -> T + Sync) {
    let bytes: usize = RESOURCES.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        for (text, parsed) in RESOURCES.iter().zip(PARSED.iter()) {
            black_box(step(text, parsed));
        }
    });
}

#[divan::bench]
fn parse_json(bencher: Bencher<'_, '_>) {
    each(bencher, |text, _| resource(text));
}

#[divan::bench]
fn validate_resources(bencher: Bencher<'_, '_>) {
    each(bencher, |_, parsed| validate(parsed, Definitions::r4()));
}

#[divan::bench]
fn extract_index_rows(bencher: Bencher<'_, '_>) {
    each(bencher, |_, parsed| extract::extract(parsed, BASE, Definitions::r4()));
}

#[divan::bench]
fn write_xml(bencher: Bencher<'_, '_>) {
    each(bencher, |_, parsed| xml::write(parsed.node(), false, Definitions::r4()));
}

#[divan::bench]
fn read_xml(bencher: Bencher<'_, '_>) {
    let definitions = Definitions::r4();
    let texts: Vec<String> =
        PARSED.iter().filter_map(|parsed| xml::write(parsed.node(), false, definitions).ok()).collect();
    bencher.counter(BytesCount::new(texts.iter().map(String::len).sum::<usize>())).bench(|| {
        for text in &texts {
            let _ = black_box(xml::read(text.as_bytes(), definitions));
        }
    });
}

const SEARCHES: [&str; 4] = [
    "patient=pat-1&category=vital-signs&_sort=-date&_count=50",
    "code=http://loinc.org|8867-4&date=ge2020&date=lt2022",
    "code-value-quantity=8867-4$gt70",
    "patient.family=Jansen&_include=Observation:encounter",
];

#[divan::bench(args = SEARCHES)]
fn parse_search(query: &str) {
    let definitions = Definitions::r4();
    let context = Searching { definitions, base: BASE, now: 0, lenient: false, terminology: &NoTerminology };
    let observation: Vec<_> = definitions.resource_type("Observation").into_iter().collect();
    let _ = black_box(parse(&observation, &query_pairs(query), context));
}

/// A server with a population, without a socket.
struct Server {
    runtime: Runtime,
    local: Local,
    /// Where a patient is.
    patient: String,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    fn new(name: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let folder = std::env::temp_dir().join(format!("tessera-bench-{name}-{}", std::process::id()));
        let (local, patient) = runtime.block_on(async {
            let local = local(folder.join("bench.db")).await;
            for bundle in Population::new(1, PATIENTS) {
                let answer = local.send(Method::Post, "", bundle.to_string().into_bytes(), None).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
            }
            let found = local.send(Method::Get, "Patient?_count=1&_elements=id", Vec::new(), None).await;
            let found: serde_json::Value = serde_json::from_str(&found.text).expect("a Bundle");
            (local, format!("Patient/{}", found["entry"][0]["resource"]["id"].as_str().expect("an id")))
        });
        Self { runtime, local, patient, folder }
    }

    /// Asks for `path`, where `{patient}` is a patient.
    fn bench(&self, bencher: Bencher<'_, '_>, path: &str) {
        let path = path.replace("{patient}", &self.patient);
        let ask = || self.runtime.block_on(self.local.send(Method::Get, &path, Vec::new(), None));
        let answer = ask();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        bencher.counter(BytesCount::new(answer.text.len())).bench_local(|| black_box(ask()));
    }
}

async fn local(path: PathBuf) -> Local {
    let location = Location::Sqlite(path);
    migrate(&location).await.expect("the tables are made");
    let options = Options {
        location,
        base: Some(BASE.to_owned()),
        clock: Arc::new(SystemClock),
        synchronous: Synchronous::Full,
        accept_fsync_off: false,
        search_timeout: SEARCH_TIMEOUT,
        audit: None,
        replica: None,
    };
    let context = Context {
        store: Arc::new(SqlStore::open(options).await.expect("the database opens")),
        definitions: Definitions::r4(),
        base: BASE.into(),
        organization: None,
        conditional_delete: ConditionalDelete::Single,
        clock: Arc::new(SystemClock),
        authenticator: Authenticator::InsecureNoAuth,
        master_key: Some(Arc::new(MasterKey::new([1; 32]))),
        throttle: Arc::new(Throttle::new(None)),
        bodies: Budget::new(1024 * 1024 * 1024),
        answer_timeout: ANSWER_TIMEOUT,
        requests: Arc::new(Requests::new(Definitions::r4())),
    };
    let everything = Grant {
        within: Within::Everything,
        resource_type: None,
        permissions: Permissions::ALL,
        filter: Filter::always(),
    };
    Local::new(context, AccessContext::granted(Caller::of_client("bench"), vec![everything], true))
}

#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    Server::new("read").bench(bencher, "{patient}");
}

/// Parsing and planning: the statement is made and told, but not run.
#[divan::bench]
fn plan_search(bencher: Bencher<'_, '_>) {
    let search = "Observation?patient={patient}&category=vital-signs&_sort=-date&_count=50&_explain=true";
    Server::new("plan").bench(bencher, search);
}

#[divan::bench]
fn search_a_page(bencher: Bencher<'_, '_>) {
    Server::new("page").bench(bencher, "Observation?patient={patient}&category=vital-signs&_sort=-date&_count=50");
}

#[divan::bench]
fn everything(bencher: Bencher<'_, '_>) {
    Server::new("everything").bench(bencher, "{patient}/$everything");
}
