//! Opens a fresh store on each database and offers short ways to write and search.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};
use tessera_fixtures::postgres;
use tessera_model::{
    AccessContext, Caller, Definitions, Filter, Grant, Id, Key, Permissions, Resource, ResourceType, Within,
    search::{
        Context,
        compartment::confine,
        parse::{Parsed, parse},
    },
};
use tessera_store::{
    Action, Change, Changed, Criteria, Error, Location, Matches, Options, Precondition, SEARCH_TIMEOUT, SqlStore,
    Store, Synchronous, Version, Work, clock::Clock, migrate,
};

pub(crate) const BASE: &str = "http://here/fhir";

/// A clock that a test sets; every look moves it by 10 ms. PostgreSQL keeps its own time.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.fetch_add(10_000, Ordering::Relaxed)
    }
}

impl TestClock {
    pub(crate) fn set_back(&self, micros: i64) {
        self.0.fetch_sub(micros, Ordering::Relaxed);
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

/// A store of its own for a test.
pub(crate) struct TestStore {
    pub(crate) store: SqlStore,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) location: Location,
    folder: Option<PathBuf>,
}

impl Drop for TestStore {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Runs the body on SQLite and on PostgreSQL.
pub(crate) fn on_both<F: Future<Output = ()>>(name: &str, body: impl Fn(TestStore) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { body(sqlite().await).await });
    if let Some(cluster) = postgres::shared_or_skip(name) {
        runtime.block_on(async { body(open(Location::Postgres(cluster.create_database()), None).await).await });
    }
}

pub(crate) async fn sqlite() -> TestStore {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("tessera-store-{}-{number}", std::process::id()));
    open(Location::Sqlite(folder.join("test.db")), Some(folder)).await
}

pub(crate) async fn open(location: Location, folder: Option<PathBuf>) -> TestStore {
    migrate(&location).await.unwrap();
    let clock = Arc::new(TestClock(AtomicI64::new(1_600_000_000_000_000)));
    TestStore { store: SqlStore::open(options(&location, clock.clone())).await.unwrap(), clock, location, folder }
}

fn options(location: &Location, clock: Arc<TestClock>) -> Options {
    Options {
        location: location.clone(),
        base: Some(BASE.to_owned()),
        clock,
        synchronous: Synchronous::Full,
        accept_fsync_off: true,
        search_timeout: SEARCH_TIMEOUT,
        audit: None,
        replica: None,
    }
}

pub(crate) fn everything() -> AccessContext {
    AccessContext::internal("test")
}

/// May do everything with what of each type satisfies its filter.
pub(crate) fn granted(visible: Vec<(ResourceType, Filter)>) -> AccessContext {
    let grant = |(resource_type, filter)| Grant {
        within: Within::Everything,
        resource_type: Some(resource_type),
        permissions: Permissions::ALL,
        filter,
    };
    AccessContext::granted(Caller::of_client("test"), visible.into_iter().map(grant).collect(), false)
}

pub(crate) fn key(text: &str) -> Key {
    let (name, id) = text.split_once('/').unwrap();
    Key::new(Definitions::r4().resource_type(name).unwrap(), Id::parse(id).unwrap())
}

pub(crate) fn resource(value: &serde_json::Value) -> Resource {
    Resource::parse(value.to_string(), Definitions::r4()).unwrap()
}

pub(crate) fn put(value: &serde_json::Value) -> Change {
    let resource = resource(value);
    let key = Key::new(resource.resource_type(), Id::parse(&resource.id().unwrap()).unwrap());
    Change { action: Action::Update { key, resource, precondition: Precondition::default() }, full_url: None }
}

pub(crate) fn post(value: &serde_json::Value, if_none_exist: Option<&str>) -> Change {
    let resource = resource(value);
    let if_none_exist = if_none_exist.map(|query| criteria(resource.resource_type().name(), query));
    Change { action: Action::Create { resource, if_none_exist }, full_url: None }
}

pub(crate) fn delete(text: &str) -> Change {
    Change { action: Action::Delete { key: key(text), precondition: Precondition::default() }, full_url: None }
}

pub(crate) fn criteria(name: &str, query: &str) -> Criteria {
    Criteria {
        resource_type: Definitions::r4().resource_type(name).unwrap(),
        parameters: tessera_model::interaction::query_pairs(query),
    }
}

pub(crate) fn parsed(url: &str) -> Result<Parsed, tessera_model::Error> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let (owner, name) = path.rsplit_once('/').map_or((None, path), |(owner, name)| (Some(key(owner)), name));
    let types: Vec<_> = Definitions::r4().resource_type(name).into_iter().collect();
    let context = Context {
        definitions: Definitions::r4(),
        base: BASE,
        now: 1_600_000_000_000_000,
        lenient: false,
        terminology: &crate::property::Codes,
    };
    let mut parsed = parse(&types, &tessera_model::interaction::query_pairs(query), context)?;
    if let Some(owner) = owner {
        confine(&mut parsed.query, &owner, Definitions::r4())?;
    }
    Ok(parsed)
}

impl TestStore {
    /// Another server on the same database.
    pub(crate) async fn another(&self) -> SqlStore {
        SqlStore::open(options(&self.location, self.clock.clone())).await.unwrap()
    }

    /// Another one, whose searches may take this long.
    pub(crate) async fn another_in_a_hurry(&self, search_timeout: Duration) -> SqlStore {
        SqlStore::open(Options { search_timeout, ..options(&self.location, self.clock.clone()) }).await.unwrap()
    }

    /// Another one, that may read of this replica.
    pub(crate) async fn another_with_replica(&self, url: String) -> SqlStore {
        self.try_with_replica(url).await.unwrap()
    }

    pub(crate) async fn try_with_replica(&self, url: String) -> Result<SqlStore, Error> {
        SqlStore::open(Options { replica: Some(url), ..options(&self.location, self.clock.clone()) }).await
    }

    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<Vec<Changed>, Error> {
        self.write_as(&everything(), changes).await
    }

    pub(crate) async fn write_as(&self, access: &AccessContext, changes: Vec<Change>) -> Result<Vec<Changed>, Error> {
        let work = Work { changes, ..Work::default() };
        self.store.transact(access, work).await.map(|transacted| transacted.changed)
    }

    pub(crate) async fn put(&self, value: &serde_json::Value) -> Changed {
        self.write(vec![put(value)]).await.unwrap().remove(0)
    }

    pub(crate) async fn read(&self, text: &str) -> Option<Version> {
        self.store.read(&everything(), &key(text)).await.unwrap()
    }

    pub(crate) async fn matches(&self, access: &AccessContext, url: &str, cursor: Option<String>) -> Matches {
        self.store.search(access, parsed(url).unwrap().query, cursor).await.unwrap()
    }

    /// The ids of the matches, in order.
    pub(crate) async fn search(&self, url: &str) -> Vec<String> {
        ids(&self.matches(&everything(), url, None).await.matches)
    }

    /// The ids of all pages, with the number of what is contained.
    pub(crate) async fn pages(&self, url: &str) -> Vec<String> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.matches(&everything(), url, cursor).await;
            found.extend(labels(&page));
            cursor = page.next;
            if cursor.is_none() {
                return found;
            }
        }
    }

    pub(crate) async fn is_sound(&self) {
        let report = self.store.check(false).await.unwrap();
        assert_eq!(report.count, 0, "{:?}", report.differences);
    }
}

/// `id`, or `id#2` for the second resource that it contains.
pub(crate) fn labels(page: &Matches) -> Vec<String> {
    assert_eq!(page.matches.len(), page.contained.len());
    page.matches.iter().zip(&page.contained).map(|(version, number)| label(&version.key.id, *number)).collect()
}

pub(crate) fn label(id: &Id, contained: u32) -> String {
    if contained == 0 { id.to_string() } else { format!("{id}#{contained}") }
}

pub(crate) fn ids(versions: &[Version]) -> Vec<String> {
    versions.iter().map(|version| version.key.id.to_string()).collect()
}
