//! Reads of a streaming replica: they see what the primary would show, whatever the replica lacks.

use crate::store::{TestStore, everything, granted, ids, key, open, parsed};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use tessera_fixtures::postgres::Cluster;
use tessera_store::{
    Error, HistoryPage, HistoryScope, Location, Record, RecordChange, RecordKey, Records as _, ReplicaLoad,
    ReplicaState, SqlStore, Store as _, migrate,
};

/// However slow the machine is.
const LIMIT: Duration = Duration::from_secs(300);

/// A store on a database of the one primary, with a replica of the test's own.
struct Pair {
    t: TestStore,
    primary: &'static Cluster,
    replica: Cluster,
    replica_url: String,
}

/// Runs the body, unless there is no PostgreSQL.
fn with_replica<F: Future<Output = ()>>(name: &str, body: impl FnOnce(Pair) -> F) {
    static PRIMARY: OnceLock<Option<Cluster>> = OnceLock::new();
    // One after the other: where many write, a replica is seldom complete. A test that has failed is no matter of the next.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(primary) = PRIMARY.get_or_init(|| Cluster::options().start_or_skip(name)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let replica = primary.replica().unwrap();
    runtime.block_on(async {
        let url = primary.create_database();
        let mut t = open(Location::Postgres(url.clone()), None).await;
        let replica_url = replica.url(database(&url));
        t.store = t.another_with_replica(replica_url.clone()).await;
        body(Pair { t, primary, replica, replica_url }).await;
    });
}

fn database(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

/// What a statement says, of a server that may be starting.
async fn ask(url: &str, sql: &str) -> Option<String> {
    let mut connection = PgConnection::connect(url).await.ok()?;
    connection.fetch_one(AssertSqlSafe(sql.to_owned())).await.ok()?.try_get(0).ok()
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < LIMIT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn load(store: &SqlStore) -> ReplicaLoad {
    store.load().replica.unwrap()
}

async fn becomes(store: &SqlStore, state: ReplicaState) {
    until(&format!("{state:?}"), async || load(store).state == state).await;
}

/// Does it until it was done on the replica; what came of it.
async fn of_replica<T>(store: &SqlStore, read: impl AsyncFn() -> T) -> T {
    let began = Instant::now();
    loop {
        let before = load(store).reads;
        let result = read().await;
        if load(store).reads > before {
            return result;
        }
        assert!(began.elapsed() < LIMIT, "nothing is read of the replica: {:?}", load(store));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn patient(id: &str, family: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]})
}

fn page(count: u32, cursor: Option<String>) -> HistoryPage {
    HistoryPage { since: None, at: None, list: None, count, cursor }
}

impl Pair {
    /// The replica gets what is written, and does not perform it.
    async fn pause(&self) {
        ask(&self.replica_url, "SELECT pg_wal_replay_pause()::text").await;
        let state = "SELECT pg_get_wal_replay_pause_state()";
        until("paused", async || ask(&self.replica_url, state).await.as_deref() == Some("paused")).await;
    }

    async fn resume(&self) {
        ask(&self.replica_url, "SELECT pg_wal_replay_resume()::text").await;
    }
}

async fn family(store: &SqlStore, text: &str) -> String {
    let version = store.read(&everything(), &key(text)).await.unwrap().unwrap();
    let body: Value = serde_json::from_str(version.body.as_str()).unwrap();
    body["name"][0]["family"].as_str().unwrap().to_owned()
}

#[test]
fn every_read_of_resources_goes_to_the_replica_and_nothing_else_does() {
    with_replica("replica_reads", async |pair| {
        let t = &pair.t;
        t.put(&patient("a", "one")).await;
        let all = everything();
        let (all, key) = (&all, &key("Patient/a"));
        let read = of_replica(&t.store, async || t.store.read(all, key).await.unwrap().unwrap()).await;
        assert_eq!(read.version, 1);
        let read = of_replica(&t.store, async || t.store.vread(all, key, 1).await.unwrap()).await;
        assert!(read.is_some());
        let scope = HistoryScope::Instance(key.clone());
        let read = async || t.store.history(all, scope.clone(), page(9, None)).await.unwrap().versions.len();
        assert_eq!(of_replica(&t.store, read).await, 1);
        // One statement, and several that see one state.
        for url in ["Patient?name=one", "Patient?name=one&_total=accurate&_include=Patient:organization"] {
            assert_eq!(of_replica(&t.store, async || t.search(url).await).await, ["a"], "{url}");
        }
        // The replica itself says so.
        let asked = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'tessera' AND query LIKE '%FROM resource%'";
        assert_ne!(ask(&pair.replica_url, asked).await.unwrap(), "0");
        let before = load(&t.store);
        let record = RecordKey { kind: 1, key: "k".to_owned() };
        t.store.records(vec![record]).await.unwrap();
        t.store.listed(1, None, String::new(), 9).await.unwrap();
        t.put(&patient("a", "two")).await;
        let after = load(&t.store);
        assert_eq!((after.reads, after.reads_of_primary), (before.reads, before.reads_of_primary));
    });
}

#[test]
fn what_was_written_is_seen_at_once_on_every_server_while_the_replica_stands_still() {
    with_replica("replica_paused", async |pair| {
        let t = &pair.t;
        let other = t.another_with_replica(pair.replica_url.clone()).await;
        let secret = RecordKey { kind: 7, key: "token".to_owned() };
        let record = Record {
            key: secret.clone(),
            owner: String::new(),
            version: 0,
            expires: Record::NEVER,
            body: String::new(),
        };
        assert!(t.store.change(vec![RecordChange::Insert(record)]).await.unwrap());
        t.put(&patient("a", "old")).await;
        t.put(&patient("b", "old")).await;
        let observation = |of: &str| json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}, "subject": {"reference": format!("Patient/{of}")}});
        t.put(&observation("a")).await;
        for store in [&t.store, &other] {
            becomes(store, ReplicaState::Used).await;
        }
        pair.pause().await;
        t.put(&patient("a", "new")).await;
        t.write(vec![crate::store::delete("Patient/b")]).await.unwrap();
        // Of whom it was may not see it any more.
        t.put(&observation("b")).await;
        assert!(t.store.change(vec![RecordChange::Discard(secret.clone())]).await.unwrap());
        let before = [load(&t.store).reads, load(&other).reads];
        let query = parsed("Observation?patient=a").unwrap().query;
        let limited = granted(vec![(query.types[0], query.filter)]);
        for _ in 0..20 {
            for store in [&t.store, &other] {
                assert_eq!(family(store, "Patient/a").await, "new");
                let found = store.search(&everything(), parsed("Patient").unwrap().query, None).await.unwrap();
                assert_eq!(ids(&found.matches), ["a"]);
                assert!(store.read(&limited, &key("Observation/o")).await.unwrap().is_none());
                assert!(store.vread(&limited, &key("Observation/o"), 1).await.unwrap().is_none());
                assert_eq!(store.records(vec![secret.clone()]).await.unwrap(), [None]);
                let scope = HistoryScope::Instance(key("Patient/a"));
                let versions = store.history(&everything(), scope, page(9, None)).await.unwrap().versions;
                assert_eq!(versions.len(), 2);
            }
        }
        assert_eq!([load(&t.store).reads, load(&other).reads], before, "nothing was read of the replica");
        becomes(&other, ReplicaState::Behind).await;
        let behind = load(&other);
        assert!(behind.lag_bytes > 0 && behind.lag > Duration::ZERO && behind.reads_of_primary > 0, "{behind:?}");
        pair.resume().await;
        assert_eq!(of_replica(&other, async || family(&other, "Patient/a").await).await, "new");
        until("no lag", async || load(&other).lag_bytes == 0).await;
    });
}

#[test]
fn a_write_by_one_server_is_seen_by_the_next_read_of_another() {
    with_replica("replica_hammer", async |pair| {
        let t = &pair.t;
        let other = t.another_with_replica(pair.replica_url.clone()).await;
        let (began, mut n) = (Instant::now(), 0);
        // Until the replica has answered its share, and lagging was its due in between.
        while load(&other).reads < 10 {
            assert!(began.elapsed() < LIMIT, "{:?}", load(&other));
            n += 1;
            let name = format!("n{n}");
            t.put(&patient("a", &name)).await;
            assert_eq!(family(&other, "Patient/a").await, name);
            let url = format!("Patient?family:exact={name}");
            let found = other.search(&everything(), parsed(&url).unwrap().query, None).await.unwrap();
            assert_eq!(ids(&found.matches), ["a"]);
        }
    });
}

#[test]
fn pages_go_on_where_the_one_before_ended_on_replica_and_primary() {
    with_replica("replica_pages", async |pair| {
        let t = &pair.t;
        let names: Vec<String> = (0..9).map(|n| format!("p{n}")).collect();
        for name in &names {
            t.put(&patient(name, name)).await;
        }
        let all = everything();
        let patients = key("Patient/x").resource_type;
        let search = async |cursor: Option<String>| {
            let query = parsed("Patient?_sort=family&_count=3").unwrap().query;
            let found = t.store.search(&all, query, cursor).await.unwrap();
            (ids(&found.matches), found.next)
        };
        let history = async |cursor: Option<String>| {
            let found = t.store.history(&all, HistoryScope::Type(patients), page(3, cursor)).await.unwrap();
            (ids(&found.versions), found.next)
        };
        // The feed shows what is below every open transaction, autovacuum's too.
        until("all in the feed", async || {
            t.store.history(&all, HistoryScope::Type(patients), page(99, None)).await.unwrap().versions.len() == 9
        })
        .await;
        let (first, cursor) = of_replica(&t.store, async || search(None).await).await;
        let (newest, place) = of_replica(&t.store, async || history(None).await).await;
        pair.pause().await;
        t.put(&json!({"resourceType": "Basic", "id": "b", "code": {"text": "x"}})).await;
        let before = load(&t.store).reads;
        let (second, cursor) = search(cursor).await;
        let (older, place) = history(place).await;
        assert_eq!(load(&t.store).reads, before, "of the primary");
        pair.resume().await;
        let third = of_replica(&t.store, async || search(cursor.clone()).await.0).await;
        let oldest = of_replica(&t.store, async || history(place.clone()).await.0).await;
        assert_eq!([first, second, third].concat(), names);
        let mut versions = [newest, older, oldest].concat();
        versions.reverse();
        assert_eq!(versions, names);
    });
}

#[test]
fn a_page_of_the_feed_waits_until_what_the_one_before_has_passed_over_is_there() {
    with_replica("replica_feed", async |pair| {
        let t = &pair.t;
        let Location::Postgres(url) = &t.location else { return };
        let mut writer = PgConnection::connect(url).await.unwrap();
        writer.execute("BEGIN").await.unwrap();
        writer.execute("SELECT seq FROM tessera_stamp()").await.unwrap();
        for name in ["one", "two"] {
            t.put(&patient("a", name)).await;
        }
        // A place that the feed does not show here yet, as if it had been shown elsewhere.
        let instance = HistoryScope::Instance(key("Patient/a"));
        let place = t.store.history(&everything(), instance, page(1, None)).await.unwrap().next;
        let feed = async || t.store.history(&everything(), HistoryScope::System, page(9, place.clone())).await;
        assert!(matches!(feed().await, Err(Error::Busy)));
        writer.execute("COMMIT").await.unwrap();
        until("the feed goes on", async || matches!(feed().await, Ok(found) if found.versions.len() == 1)).await;
    });
}

#[test]
fn a_replica_that_dies_is_done_without_and_used_again_when_it_is_back() {
    with_replica("replica_killed", async |mut pair| {
        pair.t.put(&patient("a", "one")).await;
        of_replica(&pair.t.store, async || family(&pair.t.store, "Patient/a").await).await;
        pair.replica.kill_9();
        for n in 0..20 {
            let name = format!("n{n}");
            pair.t.put(&patient("a", &name)).await;
            assert_eq!(family(&pair.t.store, "Patient/a").await, name);
        }
        becomes(&pair.t.store, ReplicaState::Lost).await;
        pair.replica.restart();
        assert_eq!(of_replica(&pair.t.store, async || family(&pair.t.store, "Patient/a").await).await, "n19");
    });
}

#[test]
fn what_is_no_replica_of_this_database_is_refused() {
    with_replica("replica_refused", async |pair| {
        let t = &pair.t;
        t.put(&patient("a", "one")).await;
        let Location::Postgres(url) = &t.location else { return };
        let refuses = async |replica: String| {
            let store = t.another_with_replica(replica).await;
            becomes(&store, ReplicaState::Refused).await;
            assert_eq!(family(&store, "Patient/a").await, "one");
            assert_eq!(load(&store).reads, 0);
        };
        // The primary itself, and another database of it.
        refuses(url.clone()).await;
        let beside = format!("{}_beside", database(url));
        ask(url, &format!("CREATE DATABASE {beside} TEMPLATE template0")).await;
        let beside = pair.replica.url(&beside);
        until("it is there", async || ask(&beside, "SELECT 'x'").await.is_some()).await;
        refuses(beside).await;
        // One of the same name, of another cluster.
        let Ok(elsewhere) = Cluster::shared() else { return };
        let there = elsewhere.url("postgres");
        ask(&there, &format!("CREATE DATABASE {} TEMPLATE template0", database(url))).await;
        let elsewhere = Location::Postgres(elsewhere.url(database(url)));
        migrate(&elsewhere).await.unwrap();
        let of_other = open(elsewhere, None).await;
        let store = of_other.another_with_replica(pair.replica_url.clone()).await;
        becomes(&store, ReplicaState::Refused).await;
    });
}

#[test]
fn a_replica_that_does_not_follow_a_new_primary_is_refused() {
    with_replica("replica_timeline", async |pair| {
        let Pair { t, primary, replica, replica_url } = pair;
        let stays = primary.replica().unwrap();
        t.put(&patient("a", "one")).await;
        of_replica(&t.store, async || t.read("Patient/a").await).await;
        assert_eq!(ask(&replica_url, "SELECT pg_promote()::text").await.as_deref(), Some("true"));
        becomes(&t.store, ReplicaState::Refused).await;
        // The other one goes on with the old primary, and comes to have performed more than the new one has written.
        for n in 0..20 {
            t.put(&patient("a", &format!("n{n}"))).await;
        }
        let promoted = open(Location::Postgres(replica_url.clone()), None).await;
        let stays_url = stays.url(database(&replica_url));
        let store = promoted.another_with_replica(stays_url.clone()).await;
        becomes(&store, ReplicaState::Refused).await;
        assert_eq!(family(&store, "Patient/a").await, "one");
        // That it is refused is for the timeline alone: of the old primary it is a replica.
        becomes(&t.another_with_replica(stays_url).await, ReplicaState::Used).await;
        drop(replica);
    });
}

#[test]
fn a_file_has_no_replica() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let t = crate::store::sqlite().await;
        let refused = t.try_with_replica("postgres://127.0.0.1/x".to_owned()).await;
        assert!(matches!(refused, Err(Error::Backend(text)) if text.contains("no replica")));
    });
}
