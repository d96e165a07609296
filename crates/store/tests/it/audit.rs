//! The audit record: kept with the change, drained once, and not changed unnoticed.

use crate::store::{BASE, TestStore, everything, on_both, post, put};
use sqlx::{Connection as _, Executor as _, Row as _};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tessera_fixtures::{observation, patient};
use tessera_store::{
    AuditOptions, Error, Event, EventField, EventPage, EventQuery, Location, Options, RecordedEvent, SEARCH_TIMEOUT,
    SqlStore, Store as _, Synchronous, Work,
    clock::{Clock, SystemClock},
};

pub(crate) const SECRET: [u8; 32] = [7; 32];

/// A folder that goes.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("tessera-audit-{}-{}", std::process::id(), fastrand::u64(..)));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// The segments of the process that came first.
    fn segments(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.0.join("1")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Another store on the same database, which records.
pub(crate) async fn audited(test: &TestStore, folder: &Path) -> SqlStore {
    audited_at(test, folder, Arc::new(SystemClock)).await
}

async fn audited_at(test: &TestStore, folder: &Path, clock: Arc<dyn Clock>) -> SqlStore {
    let options = Options {
        location: test.location.clone(),
        base: Some(BASE.to_owned()),
        clock,
        synchronous: Synchronous::Full,
        accept_fsync_off: true,
        search_timeout: SEARCH_TIMEOUT,
        audit: Some(AuditOptions { folder: folder.to_owned(), always_sync: false, secret: SECRET, query_years: 6 }),
        replica: None,
    };
    SqlStore::open(options).await.unwrap()
}

pub(crate) fn read(what: &str) -> Event {
    Event {
        at: 1_700_000_000_000_000,
        interaction: "read".into(),
        client: "app".into(),
        what: what.into(),
        patient: "1".into(),
        request: "r".into(),
        query: "GET Patient?name=Chalmers".into(),
        ..Event::default()
    }
}

async fn all(store: &SqlStore) -> Vec<RecordedEvent> {
    let page = EventPage { count: 1000, oldest_first: true, ..EventPage::default() };
    store.events(EventQuery::default(), page).await.unwrap().events
}

pub(crate) fn work(changes: Vec<tessera_store::Change>) -> Work {
    Work { changes, event: Some(Event { client: "app".into(), ..Event::default() }), ..Work::default() }
}

/// Runs a statement behind the store's back.
async fn tamper(location: &Location, sql: &'static str) {
    match location {
        Location::Sqlite(path) => {
            let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
            connection.execute(sql).await.unwrap();
        }
        Location::Postgres(url) => {
            sqlx::PgConnection::connect(url).await.unwrap().execute(sql).await.unwrap();
        }
    }
}

/// The numbers that a statement finds.
async fn numbers(location: &Location, sql: &'static str) -> Vec<i64> {
    match location {
        Location::Sqlite(path) => {
            let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
            connection.fetch_all(sql).await.unwrap().iter().map(|row| row.get(0)).collect()
        }
        Location::Postgres(url) => {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            connection.fetch_all(sql).await.unwrap().iter().map(|row| row.get(0)).collect()
        }
    }
}

/// Waits until a statement finds these.
async fn found(location: &Location, sql: &'static str, expected: &[i64]) {
    let mut tries = 0;
    while numbers(location, sql).await != expected {
        tries += 1;
        assert!(tries < 600, "{sql}: {:?}, not {expected:?}", numbers(location, sql).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn aud_4_a_write_and_its_event_are_one() {
    on_both("aud_4_a_write_and_its_event_are_one", |test| async move {
        let folder = Folder::new();
        let store = audited(&test, &folder.0).await;
        let about = observation().id("o").subject("Patient/p").build();
        let changes = vec![put(&patient().id("p").build()), put(&about), post(&patient().build(), None)];
        let done = store.transact(&everything(), work(changes)).await.unwrap();
        assert_eq!(done.events.len(), 3);
        let found = all(&store).await;
        let said: Vec<_> =
            found.iter().map(|r| (&*r.event.interaction, &*r.event.what, &*r.event.patient, r.event.version)).collect();
        assert_eq!(said[..2], [("update", "Patient/p", "p", 1), ("update", "Observation/o", "p", 1)]);
        assert_eq!((said[2].0, said[2].3), ("create", 1));
        // What is refused leaves neither.
        let twice = vec![put(&patient().id("q").build()), put(&patient().id("q").build())];
        store.transact(&everything(), work(twice)).await.unwrap_err();
        assert_eq!(all(&store).await.len(), 3);
        // A deletion is about whom the resource was about.
        store.transact(&everything(), work(vec![crate::store::delete("Observation/o")])).await.unwrap();
        let deleted = all(&store).await.pop().unwrap().event;
        assert_eq!((&*deleted.interaction, &*deleted.patient, deleted.version), ("delete", "p", 2));
        // Many at once, on whatever connections.
        let many = (0..40).map(|n| {
            let store = store.clone();
            async move {
                let change = put(&patient().id(&format!("m{}", n % 8)).family(&format!("N{n}")).build());
                store.transact(&everything(), work(vec![change])).await.unwrap();
            }
        });
        futures::future::join_all(many).await;
        assert_eq!(all(&store).await.len(), 44);
        let report = test.store.verify_audit(&SECRET).await.unwrap();
        assert_eq!((report.records, report.faults), (44, Vec::new()));
    });
}

#[test]
fn the_index_is_made_of_the_events_whoever_recorded_them() {
    on_both("the_index_is_made_of_the_events", |test| async move {
        let (folder, other) = (Folder::new(), Folder::new());
        let store = audited(&test, &folder.0).await;
        store.transact(&everything(), work(vec![put(&patient().id("p").build())])).await.unwrap();
        store.record((0..2500).map(|n| read(&format!("Patient/{n}"))).collect(), false).await.unwrap();
        // Its process ends before the index has them.
        store.end_audit().await.unwrap();
        drop(store);
        for sql in ["DELETE FROM audit_index", "DELETE FROM audit_indexed"] {
            tamper(&test.location, sql).await;
        }
        let store = audited(&test, &other.0).await;
        let about = |what: &str| EventQuery {
            fields: vec![vec![EventField::What(vec![what.to_owned()])]],
            ..EventQuery::default()
        };
        let count = EventPage { total: true, ..EventPage::default() };
        assert_eq!(store.events(EventQuery::default(), count.clone()).await.unwrap().total, Some(2501));
        for (what, expected) in [("Patient/p", 1), ("Patient/2499", 1), ("Patient/2500", 0)] {
            assert_eq!(store.events(about(what), count.clone()).await.unwrap().total, Some(expected), "{what}");
        }
    });
}

#[test]
fn aud_4_a_segment_is_drained_once() {
    on_both("aud_4_a_segment_is_drained_once", |test| async move {
        let folder = Folder::new();
        let store = audited(&test, &folder.0).await;
        for n in 0..1200 {
            store.record(vec![read(&format!("Patient/{n}"))], n % 400 == 0).await.unwrap();
        }
        let segment = folder.segments().pop().unwrap();
        let copy = std::fs::read(&segment).unwrap();
        store.end_audit().await.unwrap();
        assert!(!segment.exists());
        // The crash came between the commit and the removal of the file.
        std::fs::write(&segment, copy).unwrap();
        drop(store);
        let store = audited(&test, &folder.0).await;
        store.record(vec![read("Patient/last")], false).await.unwrap();
        store.end_audit().await.unwrap();
        let count = EventPage { total: true, ..EventPage::default() };
        assert_eq!(store.events(EventQuery::default(), count).await.unwrap().total, Some(1201));
        let report = test.store.verify_audit(&SECRET).await.unwrap();
        assert_eq!((report.chains, report.checkpoints, report.faults), (1, 2, Vec::new()));
    });
}

#[test]
fn aud_4_what_a_dead_process_left_is_taken_over() {
    on_both("aud_4_what_a_dead_process_left_is_taken_over", |test| async move {
        let folder = Folder::new();
        let (first, second) = (audited(&test, &folder.0).await, audited(&test, &folder.0).await);
        second.record(vec![read("Patient/2")], true).await.unwrap();
        // Its last line was cut short.
        drop(second);
        let left = std::fs::read_dir(folder.0.join("2")).unwrap().map(|entry| entry.unwrap().path());
        let left = left.filter(|path| path.extension().is_some_and(|extension| extension == "log")).last().unwrap();
        let mut text = std::fs::read_to_string(&left).unwrap();
        text.push_str("6e25\t2\t17");
        std::fs::write(&left, text).unwrap();
        let keeping = first.clone();
        let kept = tokio::spawn(async move { keeping.keep_audited().await });
        let mut tries = 0;
        while left.exists() {
            tries += 1;
            assert!(tries < 100, "{} is left", left.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        kept.abort();
        assert_eq!(all(&first).await[0].event.what, "Patient/2");
    });
}

#[test]
fn aud_4_without_a_segment_nothing_is_recorded_and_that_is_said() {
    on_both("aud_4_without_a_segment_nothing_is_recorded", |test| async move {
        let folder = Folder::new();
        let store = audited(&test, &folder.0).await;
        store.record(vec![read("Patient/1")], true).await.unwrap();
        store.end_audit().await.unwrap();
        std::fs::remove_dir_all(&folder.0).unwrap();
        // The file that was open can still be appended to, but nobody would find it.
        assert!(matches!(store.record(vec![read("Patient/2")], true).await, Err(Error::Unrecorded)));
        assert!(matches!(store.record(vec![read("Patient/3")], false).await, Err(Error::Unrecorded)));
        assert!(matches!(store.end_audit().await, Err(Error::Unrecorded)));
        std::fs::create_dir_all(folder.0.join("1")).unwrap();
        store.record(vec![read("Patient/4")], true).await.unwrap();
        let found = all(&store).await;
        assert_eq!(found.iter().map(|r| &*r.event.what).collect::<Vec<_>>(), ["Patient/1", "Patient/4"]);
    });
}

#[test]
fn aud_5_every_tampering_is_found_and_named() {
    on_both("aud_5_every_tampering_is_found_and_named", |test| async move {
        let folder = Folder::new();
        let store = audited(&test, &folder.0).await;
        for n in 1..=20 {
            store.record(vec![read(&format!("Patient/{n}"))], false).await.unwrap();
        }
        store.end_audit().await.unwrap();
        let chain = all(&store).await[0].id.rsplit_once('-').unwrap().0.to_owned();
        tamper(&test.location, "CREATE TABLE kept AS SELECT * FROM audit").await;
        tamper(&test.location, "CREATE TABLE signed AS SELECT * FROM audit_checkpoint").await;
        let check = async |sql: &[&'static str], seq: i64, expect: &str| {
            for sql in sql {
                tamper(&test.location, sql).await;
            }
            let faults = test.store.verify_audit(&SECRET).await.unwrap().faults;
            let said: Vec<_> = faults.iter().map(|fault| (&*fault.record, fault.text.contains(expect))).collect();
            assert_eq!(said, [(&*format!("{chain}-{seq}"), true)], "{sql:?}: {faults:?}");
            for sql in [
                "DELETE FROM audit",
                "INSERT INTO audit SELECT * FROM kept",
                "DELETE FROM audit_checkpoint",
                "INSERT INTO audit_checkpoint SELECT * FROM signed",
            ] {
                tamper(&test.location, sql).await;
            }
        };
        // Each column.
        check(&["UPDATE audit SET at = at + 1 WHERE seq = 3"], 3, "broken").await;
        check(&["UPDATE audit SET interaction = 'vread' WHERE seq = 4"], 4, "broken").await;
        check(&["UPDATE audit SET action = 'D' WHERE seq = 4"], 4, "broken").await;
        check(&["UPDATE audit SET outcome = 4 WHERE seq = 5"], 5, "broken").await;
        check(&["UPDATE audit SET client = 'other' WHERE seq = 6"], 6, "broken").await;
        check(&["UPDATE audit SET agent = 'Practitioner/1' WHERE seq = 7"], 7, "broken").await;
        check(&["UPDATE audit SET patient = '2' WHERE seq = 8"], 8, "broken").await;
        check(&["UPDATE audit SET what = 'Patient/x' WHERE seq = 9"], 9, "broken").await;
        check(&["UPDATE audit SET rest = '0' WHERE seq = 10"], 10, "broken").await;
        check(&["UPDATE audit SET hash = '' WHERE seq = 11"], 11, "broken").await;
        check(&["UPDATE audit SET client = '' WHERE seq = 20"], 20, "broken").await;
        // Rows that are not where they were.
        check(&["DELETE FROM audit WHERE seq = 1"], 1, "missing").await;
        check(&["DELETE FROM audit WHERE seq BETWEEN 12 AND 14"], 12, "missing").await;
        check(&["DELETE FROM audit WHERE seq > 18"], 19, "missing").await;
        check(&["DELETE FROM audit"], 1, "missing").await;
        let swap = [
            "UPDATE audit SET seq = 100 WHERE seq = 5",
            "UPDATE audit SET seq = 5 WHERE seq = 6",
            "UPDATE audit SET seq = 6 WHERE seq = 100",
        ];
        check(&swap, 5, "reordered").await;
        let copy = "INSERT INTO audit SELECT chain, 21, at, interaction, action, outcome, client, agent, patient, what, rest, hash FROM audit WHERE seq = 20";
        check(&[copy], 21, "duplicated").await;
        // What was signed.
        check(&["UPDATE audit_checkpoint SET at = at + 1"], 20, "signature").await;
        check(&["UPDATE audit_checkpoint SET signature = ''"], 20, "signature").await;
        let report = test.store.verify_audit(&SECRET).await.unwrap();
        assert_eq!((report.records, report.checkpoints, report.faults.len()), (20, 1, 0));
        // Another secret has not signed this.
        assert_eq!(test.store.verify_audit(&[8; 32]).await.unwrap().faults.len(), 1);
    });
}

#[test]
fn aud_5_a_segment_that_was_changed_or_taken_away_is_found() {
    on_both("aud_5_a_segment_that_was_changed_or_taken_away_is_found", |test| async move {
        let folder = Folder::new();
        let store = audited(&test, &folder.0).await;
        for n in 1..=5 {
            store.record(vec![read(&format!("Patient/{n}"))], false).await.unwrap();
        }
        let segment = folder.segments().pop().unwrap();
        let text = std::fs::read_to_string(&segment).unwrap();
        std::fs::write(&segment, text.replace("Patient/3", "Patient/4")).unwrap();
        store.end_audit().await.unwrap();
        let fault = test.store.verify_audit(&SECRET).await.unwrap().faults.remove(0);
        assert!(fault.record.ends_with("-3") && fault.text.contains("broken"), "{fault:?}");
        tamper(&test.location, "DELETE FROM audit").await;
        tamper(&test.location, "DELETE FROM audit_checkpoint").await;
        store.record(vec![read("Patient/6")], true).await.unwrap();
        std::fs::remove_file(folder.segments().pop().unwrap()).unwrap();
        store.end_audit().await.unwrap();
        store.record(vec![read("Patient/7")], false).await.unwrap();
        store.end_audit().await.unwrap();
        let fault = test.store.verify_audit(&SECRET).await.unwrap().faults.remove(0);
        assert!(fault.text.contains("missing"), "{fault:?}");
    });
}

/// What drains enters events where they are found, and then signs: whoever sees the next events entered knows that it has done so
/// with those before.
#[test]
fn aud_5_a_chain_is_signed_after_ten_minutes_or_10000_records() {
    const ENTERED: &str = "SELECT seq FROM audit_indexed WHERE seq > 0";
    const SIGNED: &str = "SELECT seq FROM audit_checkpoint ORDER BY seq";
    on_both("aud_5_a_chain_is_signed_after_ten_minutes", |test| async move {
        let folder = Folder::new();
        let store = audited_at(&test, &folder.0, test.clock.clone()).await;
        let records = async |count: usize, seconds: i64| {
            store.record(vec![read("Patient/1"); count], false).await.unwrap();
            test.clock.pass(seconds);
        };
        let keeping = store.clone();
        let kept = tokio::spawn(async move { keeping.keep_audited().await });
        records(1, 0).await;
        found(&test.location, SIGNED, &[1]).await;
        for (seconds, seq) in [(300, 2), (178, 3), (61, 4)] {
            records(1, seconds).await;
            found(&test.location, ENTERED, &[seq]).await;
        }
        records(1, 61).await;
        found(&test.location, SIGNED, &[1, 5]).await;
        records(9_999, 61).await;
        found(&test.location, ENTERED, &[10_004]).await;
        records(1, 61).await;
        found(&test.location, SIGNED, &[1, 5, 10_005]).await;
        kept.abort();
        let report = test.store.verify_audit(&SECRET).await.unwrap();
        assert_eq!((report.records, report.checkpoints, report.faults), (10_005, 3, Vec::new()));
    });
}

#[test]
fn aud_6_queries_are_not_in_the_database_and_go_with_their_key() {
    on_both("aud_6_queries_are_not_in_the_database", |test| async move {
        let folder = Folder::new();
        let store = audited(&test, &folder.0).await;
        store.record(vec![read("Patient/1")], true).await.unwrap();
        let segment = std::fs::read_to_string(folder.segments().pop().unwrap()).unwrap();
        assert!(segment.contains("Patient/1") && !segment.contains("Chalmers"), "{segment}");
        assert_eq!(all(&store).await[0].event.query, "GET Patient?name=Chalmers");
        let rest = "SELECT rest FROM audit";
        let rest: String = match &test.location {
            Location::Sqlite(path) => {
                let url = format!("sqlite:{}", path.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                connection.fetch_one(rest).await.unwrap().get(0)
            }
            Location::Postgres(url) => {
                sqlx::PgConnection::connect(url).await.unwrap().fetch_one(rest).await.unwrap().get(0)
            }
        };
        assert!(!rest.contains("Chalmers"), "{rest}");
        tamper(&test.location, "DELETE FROM audit_key").await;
        drop(store);
        let store = audited(&test, &folder.0).await;
        let found = all(&store).await;
        assert_eq!((found.len(), &*found[0].event.query), (1, ""));
        assert_eq!(test.store.verify_audit(&SECRET).await.unwrap().faults, []);
    });
}

#[test]
fn aud_6_queries_are_forgotten_after_six_years_and_their_events_are_not() {
    const DAY: i64 = 24 * 3600;
    const ENTERED: &str = "SELECT seq FROM audit_indexed WHERE seq > 0";
    on_both("aud_6_queries_are_forgotten", |test| async move {
        let folder = Folder::new();
        let store = audited_at(&test, &folder.0, test.clock.clone()).await;
        let keeping = store.clone();
        let kept = tokio::spawn(async move { keeping.keep_audited().await });
        let asked = async |seq: i64| {
            let event = Event { at: test.clock.now(), ..read("Patient/1") };
            store.record(vec![event], false).await.unwrap();
            test.clock.pass(61);
            found(&test.location, ENTERED, &[seq]).await;
        };
        let queries =
            async |store: &SqlStore| all(store).await.iter().map(|found| found.event.query.clone()).collect::<Vec<_>>();
        let query = "GET Patient?name=Chalmers";
        // In September 2020, and twice in September 2026: whoever sees the second entered knows that keys were looked at before.
        asked(1).await;
        test.clock.pass(6 * 365 * DAY);
        found(&test.location, "SELECT COUNT(*) FROM audit_key", &[2]).await;
        asked(2).await;
        asked(3).await;
        assert_eq!(queries(&store).await, [query; 3]);
        // In October 2026.
        test.clock.pass(30 * DAY);
        found(&test.location, "SELECT COUNT(*) FROM audit_key WHERE name < '2026'", &[0]).await;
        asked(4).await;
        assert_eq!(queries(&store).await, ["", query, query, query]);
        // A clock that is suddenly years ahead may be wrong: nothing goes.
        test.clock.pass(8 * 365 * DAY);
        asked(5).await;
        asked(6).await;
        let all_but_one = ["", query, query, query, query, query];
        assert_eq!(queries(&store).await, all_but_one);
        kept.abort();
        store.end_audit().await.unwrap();
        let other = Folder::new();
        let again = audited_at(&test, &other.0, test.clock.clone()).await;
        assert_eq!(queries(&again).await, all_but_one);
        assert_eq!(all(&again).await[0].event.what, "Patient/1");
        let report = test.store.verify_audit(&SECRET).await.unwrap();
        assert_eq!((report.records, report.faults), (6, Vec::new()));
    });
}

#[test]
fn aud_9_events_are_found_by_what_they_say() {
    on_both("aud_9_events_are_found_by_what_they_say", |test| async move {
        let folder = Folder::new();
        let store = audited(&test, &folder.0).await;
        for (n, (interaction, client, agent)) in
            [("read", "a", "Practitioner/1"), ("$everything", "a", ""), ("110122", "b", "Practitioner/2"), ("", "", "")]
                .into_iter()
                .enumerate()
        {
            let event = Event {
                at: 1_700_000_000_000_000 + i64::try_from(n).unwrap(),
                interaction: interaction.into(),
                client: client.into(),
                agent: agent.into(),
                outcome: if n == 3 { 4 } else { 0 },
                ..read(&format!("Patient/{n}"))
            };
            store.record(vec![event], false).await.unwrap();
        }
        let finds = async |query: EventQuery, expect: &str| {
            let page = EventPage { count: 10, oldest_first: true, total: true, ..EventPage::default() };
            let found = store.events(query.clone(), page).await.unwrap();
            let names: String = found.events.iter().map(|r| r.event.what.trim_start_matches("Patient/")).collect();
            assert_eq!((&*names, found.total), (expect, Some(expect.len() as i64)), "{query:?}");
        };
        let by = |field: EventField| EventQuery { fields: vec![vec![field]], ..EventQuery::default() };
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        finds(EventQuery::default(), "0123").await;
        finds(by(EventField::Interaction(texts(&["read", "110122"]))), "02").await;
        finds(by(EventField::Operations), "1").await;
        finds(by(EventField::Rest), "013").await;
        finds(by(EventField::Client(texts(&["a"]))), "01").await;
        finds(by(EventField::Agent(texts(&["Practitioner/2"]))), "2").await;
        finds(by(EventField::What(texts(&["Patient/3", "Patient/1"]))), "13").await;
        finds(by(EventField::Patient(texts(&["1"]))), "0123").await;
        finds(by(EventField::Patient(Vec::new())), "").await;
        finds(by(EventField::Action(texts(&["E"]))), "0123").await;
        finds(EventQuery { outcomes: Some(vec![4, 8]), ..EventQuery::default() }, "3").await;
        let from = 1_700_000_000_000_001;
        finds(EventQuery { times: vec![(Some(from), Some(from + 2))], ..EventQuery::default() }, "12").await;
        let id = all(&store).await[2].id.clone();
        finds(EventQuery { ids: Some(vec![id, "x".into()]), ..EventQuery::default() }, "2").await;
        // Page by page, the newest first.
        let (mut names, mut cursor) = (String::new(), None);
        loop {
            let page = EventPage { count: 3, cursor: cursor.take(), ..EventPage::default() };
            let found = store.events(EventQuery::default(), page).await.unwrap();
            names.extend(found.events.iter().map(|r| r.event.what.trim_start_matches("Patient/")));
            cursor = found.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names, "3210");
        let page = EventPage { count: 3, cursor: Some("x".into()), ..EventPage::default() };
        assert!(matches!(store.events(EventQuery::default(), page).await, Err(Error::BadCursor)));
    });
}
