//! Archives: what one database has written, either of both takes, and it is the same afterwards.

use crate::{
    audit::{Folder, SECRET, audited, read, work},
    store::{TestStore, delete, everything, on_both, open, put, sqlite},
};
use serde_json::json;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};
use tessera_fixtures::{observation, patient, postgres::shared_or_skip};
use tessera_store::{
    Error, EventField, EventPage, EventQuery, Location, Options, Record, RecordChange, RecordKey, Records as _,
    SEARCH_TIMEOUT, SqlStore, Store as _, Synchronous, Work,
    archive::{Archived, Observer, Source, back_up, copy, inspect, restore},
    clock::SystemClock,
};

fn silent() -> Observer {
    Arc::new(|_| {})
}

fn source(location: &Location, audit_folder: Option<&Path>) -> Source {
    Source {
        location: location.clone(),
        audit_folder: audit_folder.map(Path::to_owned),
        secret: Some(SECRET),
        made: String::new(),
    }
}

/// With the machine's clock, and under the base URL that the archive brings.
fn into(location: &Location) -> Options {
    Options {
        location: location.clone(),
        base: None,
        clock: Arc::new(SystemClock),
        synchronous: Synchronous::Full,
        accept_fsync_off: true,
        search_timeout: SEARCH_TIMEOUT,
        audit: None,
        replica: None,
    }
}

async fn archive(location: &Location, audit_folder: Option<&Path>, path: &Path) -> Archived {
    let file = File::create(path).unwrap();
    back_up(source(location, audit_folder), Box::new(file), silent()).await.unwrap()
}

async fn restored(path: &Path, location: &Location, start_over: bool) -> Result<Archived, Error> {
    restore(Box::new(File::open(path).unwrap()), into(location), start_over, silent()).await
}

/// Empty databases of both kinds.
fn empty(folder: &Folder, name: &str) -> Vec<Location> {
    let sqlite = Location::Sqlite(folder.0.join(format!("{name}.db")));
    let postgres = shared_or_skip(name).map(|cluster| Location::Postgres(cluster.create_database()));
    std::iter::once(sqlite).chain(postgres).collect()
}

/// All that there is to know of the current version.
async fn text(test: &TestStore, id: &str) -> String {
    format!("{:?}", test.read(id).await)
}

/// Something in every table.
async fn fill(test: &TestStore, audit: &Path) {
    let store = audited(test, audit).await;
    let parameter = json!({
        "resourceType": "SearchParameter", "id": "nick", "url": "http://example.org/nick", "status": "active", "name": "X",
        "description": "x", "code": "nick", "base": ["Patient"], "type": "string",
        "expression": "Patient.name.where(use='nickname').given",
    });
    let location = json!({
        "resourceType": "Location", "id": "here", "position": {"longitude": -83.694_710, "latitude": 42.25},
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">By the river</div>"},
    });
    let contains = json!({
        "resourceType": "Observation", "id": "o", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "x"}]},
        "contained": [{"resourceType": "Patient", "id": "p", "name": [{"family": "Within"}]}],
        "subject": {"reference": "Patient/not-there-yet"}, "effectiveDateTime": "2020-02-03",
        "valueQuantity": {"value": 1.00, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"},
    });
    for change in [parameter, location, contains] {
        store.transact(&everything(), work(vec![put(&change)])).await.unwrap();
    }
    for n in 0..40 {
        let named = patient().id(&format!("p{n}")).family("Chalmers").build();
        store.transact(&everything(), work(vec![put(&named)])).await.unwrap();
        let weighed = observation().id(&format!("o{n}")).subject(&format!("Patient/p{n}")).build();
        store.transact(&everything(), work(vec![put(&weighed)])).await.unwrap();
        if n % 3 == 0 {
            let renamed = patient().id(&format!("p{n}")).family("Ünlaut\u{1F600}").build();
            store.transact(&everything(), work(vec![put(&renamed)])).await.unwrap();
        }
        if n % 10 == 0 {
            store.transact(&everything(), work(vec![delete(&format!("Observation/o{n}"))])).await.unwrap();
        }
    }
    let body = "{\"a\":1}".to_owned();
    let record = Record {
        key: RecordKey { kind: 3, key: "k".into() },
        owner: "o".into(),
        version: 1,
        expires: Record::NEVER,
        body,
    };
    assert!(store.change(vec![RecordChange::Insert(record)]).await.unwrap());
    store.record(vec![read("Patient/p1")], false).await.unwrap();
    store.end_audit().await.unwrap();
    // What waits in a segment when the archive is made.
    store.record(vec![read("Patient/p2"), read("Patient/p3")], true).await.unwrap();
    while store.index_step().await.unwrap() {}
}

#[test]
fn what_one_database_has_written_either_of_both_takes_and_writes_again_byte_by_byte() {
    on_both("what_one_database_has_written_either_of_both_takes", |test| async move {
        let (folder, audit) = (Folder::new(), Folder::new());
        fill(&test, &audit.0).await;
        let first = folder.0.join("first");
        let archived = archive(&test.location, Some(&audit.0), &first).await;
        assert_eq!(inspect(Box::new(File::open(&first).unwrap()), silent()).await.unwrap().checksum, archived.checksum);
        for (n, location) in empty(&folder, "archive_round_trip").iter().enumerate() {
            let back = restored(&first, location, false).await.unwrap();
            assert_eq!((back.rows, &back.checksum), (archived.rows, &archived.checksum));
            // Without the segments, whose events have arrived in the database: everything else is the same, in the same order.
            let (second, third) = (folder.0.join(format!("second{n}")), folder.0.join(format!("third{n}")));
            let from_restored = archive(location, None, &second).await;
            let again = Location::Sqlite(folder.0.join(format!("again{n}.db")));
            restored(&second, &again, false).await.unwrap();
            assert_eq!(archive(&again, None, &third).await.checksum, from_restored.checksum);
            let rows = |archived: &Archived, name: &str| {
                archived.header.tables.iter().find(|table| table.name == name).map_or(0, |table| table.rows)
            };
            for table in &archived.header.tables {
                let more = if table.name == "audit" { 2 } else { 0 };
                assert_eq!(rows(&from_restored, &table.name), table.rows + more, "{}", table.name);
            }
            let there = open(location.clone(), None).await;
            // What was in the segment is found when a server has begun.
            let about = EventQuery {
                fields: vec![
                    vec![EventField::What(vec!["Patient/p3".into()])],
                    vec![EventField::Action(vec!["E".into()])],
                ],
                ..EventQuery::default()
            };
            let page = EventPage { count: 5, ..EventPage::default() };
            let audit = Folder::new();
            let found = audited(&there, &audit.0).await.events(about, page).await.unwrap();
            assert_eq!(found.events.len(), 1);
            there.is_sound().await;
            let report = there.store.verify_audit(&SECRET).await.unwrap();
            assert!(report.faults.is_empty() && report.checkpoints > 0, "{report:?}");
            for url in [
                "Patient?family=chalmers",
                "Observation?_sort=-date",
                "Location?near=42.25|-83.69|10|km",
                "Observation?subject:Patient.family=ünlaut",
                "Patient?_has:Observation:patient:_id=o2",
                "Location?_text=river",
                "Observation?_contained=true&code=x",
            ] {
                assert_eq!(there.pages(url).await, test.pages(url).await, "{url}");
            }
            for id in ["Patient/p3", "Observation/o10", "Patient/not-there-yet"] {
                assert_eq!(text(&there, id).await, text(&test, id).await, "{id}");
            }
            // It goes on behind what was there.
            let before = there.read("Patient/p1").await.unwrap();
            there.put(&patient().id("new").family("New").build()).await;
            let new = there.read("Patient/new").await.unwrap();
            assert!(new.last_updated >= before.last_updated);
            there.is_sound().await;
        }
    });
}

#[test]
fn a_copy_is_what_a_restored_archive_is() {
    on_both("a_copy_is_what_a_restored_archive_is", |test| async move {
        let (folder, audit) = (Folder::new(), Folder::new());
        fill(&test, &audit.0).await;
        let archived = archive(&test.location, Some(&audit.0), &folder.0.join("archive")).await;
        for location in empty(&folder, "archive_copy") {
            let copied = copy(source(&test.location, Some(&audit.0)), into(&location), false, silent()).await.unwrap();
            assert_eq!(copied.checksum, archived.checksum);
            open(location, None).await.is_sound().await;
        }
    });
}

#[test]
fn a_copy_that_was_interrupted_goes_on_unless_its_source_has_changed() {
    on_both("a_copy_that_was_interrupted_goes_on", |test| async move {
        let (folder, audit) = (Folder::new(), Folder::new());
        fill(&test, &audit.0).await;
        for location in empty(&folder, "archive_copy_resume") {
            let from = || source(&test.location, Some(&audit.0));
            let breaks_at = |table: &'static str| -> Observer {
                Arc::new(move |progress| assert!(progress.table != table, "the interruption that is wanted here"))
            };
            for table in ["idx_token", "audit"] {
                assert!(copy(from(), into(&location), false, breaks_at(table)).await.is_err());
                assert!(SqlStore::open(into(&location)).await.is_err());
            }
            test.put(&patient().id("p1").family(&format!("{location:?}")).build()).await;
            let refused = copy(from(), into(&location), false, silent()).await.unwrap_err().to_string();
            assert!(refused.contains("--start-over"), "{refused}");
            assert!(copy(from(), into(&location), true, breaks_at("idx_date")).await.is_err());
            copy(from(), into(&location), false, silent()).await.unwrap();
            let there = open(location, None).await;
            there.is_sound().await;
            assert_eq!(text(&there, "Patient/p1").await, text(&test, "Patient/p1").await);
        }
    });
}

#[tokio::test]
async fn a_byte_that_changed_a_part_that_is_missing_and_an_end_that_is_cut_off_are_noticed() {
    let (test, folder, audit) = (sqlite().await, Folder::new(), Folder::new());
    fill(&test, &audit.0).await;
    let path = folder.0.join("archive");
    archive(&test.location, Some(&audit.0), &path).await;
    let whole = std::fs::read(&path).unwrap();
    let inspected = |bytes: Vec<u8>| inspect(Box::new(io::Cursor::new(bytes)), silent());
    let checksum = inspected(whole.clone()).await.unwrap().checksum;
    for at in (0..whole.len()).step_by(whole.len() / 400) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        // Some bits of the compression's frames say nothing: then what is read is what was written.
        let read = inspected(changed).await;
        assert!(read.is_err() || read.is_ok_and(|read| read.checksum == checksum), "byte {at}");
        assert!(inspected(whole[..at].to_vec()).await.is_err(), "cut at {at}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(inspected(longer).await.is_err());
    // A part is missing, or is where another belongs: each is whole in itself.
    let mut parts = vec![20];
    while parts[parts.len() - 1] < whole.len() {
        let at = parts[parts.len() - 1];
        let length = u32::from_le_bytes(whole[at + 1..at + 5].try_into().unwrap());
        parts.push(at + 41 + length as usize);
    }
    let without = [&whole[..parts[1]], &whole[parts[2]..]].concat();
    assert!(inspected(without).await.is_err());
    let moved =
        [&whole[..parts[1]], &whole[parts[2]..parts[3]], &whole[parts[1]..parts[2]], &whole[parts[3]..]].concat();
    assert_eq!(moved.len(), whole.len());
    assert!(inspected(moved).await.is_err());
}

/// Ends with an error after so many bytes, as a process that is killed would end.
struct Cut(io::Cursor<Vec<u8>>, u64);

impl Read for Cut {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.1.saturating_sub(self.0.position())).unwrap().min(buffer.len());
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("cut"));
        }
        self.0.read(&mut buffer[..left])
    }
}

#[test]
fn until_a_restoration_has_ended_nobody_opens_the_database_and_it_goes_on_where_it_was() {
    on_both("until_a_restoration_has_ended", |test| async move {
        let (folder, audit) = (Folder::new(), Folder::new());
        fill(&test, &audit.0).await;
        let (path, other) = (folder.0.join("archive"), folder.0.join("other"));
        let archived = archive(&test.location, Some(&audit.0), &path).await;
        test.put(&patient().id("p1").family("Later").build()).await;
        archive(&test.location, Some(&audit.0), &other).await;
        let bytes = std::fs::read(&path).unwrap();
        for location in empty(&folder, "archive_resume") {
            for share in [1, 2, 3] {
                let cut = Cut(io::Cursor::new(bytes.clone()), bytes.len() as u64 * share / 4);
                assert!(restore(Box::new(cut), into(&location), false, silent()).await.is_err());
                let opened = SqlStore::open(into(&location)).await;
                assert!(matches!(opened, Err(Error::Archive(_))), "{share}");
                // Nor is half of something archived.
                let file = File::create(folder.0.join("half")).unwrap();
                assert!(back_up(source(&location, None), Box::new(file), silent()).await.is_err());
            }
            // Another archive does not go on with it, unless it begins anew.
            let refused = restored(&other, &location, false).await.unwrap_err().to_string();
            assert!(refused.contains("--start-over"), "{refused}");
            restored(&path, &location, false).await.unwrap();
            open(location.clone(), None).await.is_sound().await;
            let again = archive(&location, None, &folder.0.join("again")).await;
            assert_eq!(again.header.changes, archived.header.changes);
            let refused = restored(&path, &location, true).await.unwrap_err().to_string();
            assert!(refused.contains("not empty"), "{refused}");
        }
        for location in empty(&folder, "archive_start_over") {
            let location = match location {
                Location::Sqlite(_) => Location::Sqlite(folder.0.join("over.db")),
                postgres @ Location::Postgres(_) => postgres,
            };
            let cut = Cut(io::Cursor::new(bytes.clone()), bytes.len() as u64 / 2);
            assert!(restore(Box::new(cut), into(&location), false, silent()).await.is_err());
            restored(&other, &location, true).await.unwrap();
            let there = open(location, None).await;
            there.is_sound().await;
            assert_eq!(text(&there, "Patient/p1").await, text(&test, "Patient/p1").await);
        }
    });
}

#[test]
fn a_database_that_is_not_empty_is_not_restored_into() {
    on_both("a_database_that_is_not_empty_is_not_restored_into", |test| async move {
        let folder = Folder::new();
        let path = folder.0.join("archive");
        test.put(&patient().id("a").build()).await;
        archive(&test.location, None, &path).await;
        let before = text(&test, "Patient/a").await;
        let refused = restored(&path, &test.location, true).await.unwrap_err().to_string();
        assert!(refused.contains("not empty"), "{refused}");
        assert_eq!(text(&test, "Patient/a").await, before);
    });
}

/// Writes `Patient/a…`, then `Patient/b…`, again and again, and counts what was acknowledged.
async fn write_on(store: SqlStore, number: usize, acknowledged: Arc<AtomicI64>, stop: Arc<AtomicBool>) {
    let mut round = 0;
    while !stop.load(Ordering::Acquire) {
        round += 1;
        for name in ["a", "b"] {
            let changed = patient().id(&format!("{name}{number}")).family(&format!("Round{round}")).build();
            let work = Work { changes: vec![put(&changed)], ..Work::default() };
            store.transact(&everything(), work).await.unwrap();
        }
        acknowledged.store(round, Ordering::Release);
    }
}

#[test]
fn a_backup_of_a_database_that_is_written_to_holds_all_that_was_acknowledged_before_and_nothing_without_its_forerunner()
{
    on_both("a_backup_of_a_database_that_is_written_to", |test| async move {
        const WRITERS: usize = 3;
        let (folder, stop) = (Folder::new(), Arc::new(AtomicBool::new(false)));
        let acknowledged: Vec<Arc<AtomicI64>> = (0..WRITERS).map(|_| Arc::default()).collect();
        let spawn = |n| tokio::spawn(write_on(test.store.clone(), n, acknowledged[n].clone(), stop.clone()));
        let writers: Vec<_> = (0..WRITERS).map(spawn).collect();
        let counts = || acknowledged.iter().map(|count| count.load(Ordering::Acquire)).collect::<Vec<_>>();
        let mut before;
        for round in 0..3 {
            while counts().iter().any(|count| *count < 5 * (round + 1)) {
                tokio::task::yield_now().await;
            }
            before = counts();
            let path = folder.0.join(format!("archive{round}"));
            archive(&test.location, None, &path).await;
            let after = counts();
            let location = Location::Sqlite(folder.0.join(format!("restored{round}.db")));
            restored(&path, &location, false).await.unwrap();
            let there = open(location, None).await;
            there.is_sound().await;
            for n in 0..WRITERS {
                let version = async |name: &str| {
                    let version = there.read(&format!("Patient/{name}{n}")).await.unwrap();
                    assert!(version.body.contains(&format!("Round{}", version.version)), "{}", version.body);
                    version.version
                };
                let (a, b) = (version("a").await, version("b").await);
                assert!(a == b || a == b + 1, "b is written behind a: {a} {b}");
                assert!(b >= before[n] && a <= after[n] + 1, "{} <= {b} <= {a} <= {}", before[n], after[n]);
            }
        }
        stop.store(true, Ordering::Release);
        for writer in writers {
            writer.await.unwrap();
        }
    });
}
