//! The time limit of searches (HTTP-5), which writes do not have, but what they look for.

use crate::store::{TestStore, criteria, everything, on_both, parsed, post, put, resource};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::time::{Duration, Instant};
use tessera_store::{Action, Change, Error, Location, Matches, Precondition, Read, SqlStore, Store as _, Work};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_millis(300);

fn patient(n: usize) -> Value {
    json!({"resourceType": "Patient", "id": format!("p{n}"), "name": [{"family": "Chalmers".repeat(12)}]})
}

async fn fill(t: &TestStore) {
    t.write((0..1500).map(|n| put(&patient(n))).collect()).await.unwrap();
}

/// Looks for eight thousand texts in each name; only the last of each parameter is there. Sorting visits all of them.
fn slow() -> String {
    let texts: Vec<String> = (0..199).map(|n| format!("nobody{n}")).chain(["chalmers".to_owned()]).collect();
    let parameter = format!("name:contains={}", texts.join(","));
    format!("Patient?{}&_sort=birthdate", vec![parameter; 40].join("&"))
}

/// The same, but that nothing has the last parameter: conditions need two matches at most, and here all are visited for none.
fn slow_for_nothing() -> String {
    let slow = slow();
    let (before, after) = slow.rsplit_once("chalmers").unwrap();
    format!("{before}nobody199{after}")
}

async fn search(store: &SqlStore, url: &str) -> Result<Matches, Error> {
    store.search(&everything(), parsed(url).unwrap().query, None).await
}

#[test]
fn http_5_a_search_that_takes_too_long_is_ended_and_its_connection_goes_on() {
    on_both("http_5_time", async |t| {
        fill(&t).await;
        let store = t.another_in_a_hurry(LIMIT).await;
        // One statement, and several in a snapshot; more of them than there are connections.
        for url in [slow(), format!("{}&_total=accurate", slow())] {
            let started = Instant::now();
            let all = join_all((0..12).map(|_| search(&store, &url))).await;
            assert!(all.iter().all(|one| matches!(one, Err(Error::TooCostly))), "{:?}", all.first());
            assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        }
        for _ in 0..12 {
            assert_eq!(search(&store, "Patient?_id=p1&_total=accurate").await.unwrap().total, Some(1));
        }
    });
}

#[test]
fn http_5_writes_are_not_ended_by_the_time_limit_of_searches() {
    on_both("http_5_writes", async |t| {
        fill(&t).await;
        let store = t.another_in_a_hurry(Duration::from_millis(1)).await;
        let started = Instant::now();
        let changes = (0..300).map(|n| put(&patient(n + 1500))).collect();
        store.transact(&everything(), Work { changes, ..Work::default() }).await.unwrap();
        assert!(started.elapsed() > Duration::from_millis(1));
        assert!(matches!(search(&store, &slow()).await, Err(Error::TooCostly)));
        assert_eq!(t.search("Patient?_id=p0,p1799").await.len(), 2);
    });
}

/// How many searches PostgreSQL is at. Of what this test asks, none is.
const AT_WORK: &str = "SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%idx_string%'";

/// More searches than there are connections, each of which would take far longer than the test.
#[test]
fn http_5_a_search_that_nobody_waits_for_is_ended() {
    on_both("http_5_gone", async |t| {
        let long = |n: usize| json!({"resourceType": "Patient", "id": format!("p{n}"), "name": [{"family": "Chalmers".repeat(250)}]});
        t.write((0..1500).map(|n| put(&long(n))).collect()).await.unwrap();
        let store = t.another_in_a_hurry(Duration::from_secs(3600)).await;
        for url in [slow(), format!("{}&_total=accurate", slow())] {
            let searches = join_all((0..12).map(|_| search(&store, &url)));
            assert!(timeout(Duration::from_millis(500), searches).await.is_err());
            let next = timeout(Duration::from_secs(30), search(&store, "Patient?_id=p1&_total=accurate")).await;
            assert_eq!(next.expect("those before it go on").unwrap().total, Some(1));
            let Location::Postgres(database) = &t.location else { continue };
            let mut other = PgConnection::connect(database).await.unwrap();
            let ended = async {
                while sqlx::query_scalar::<_, i64>(AT_WORK).fetch_one(&mut other).await.unwrap() > 0 {
                    sleep(Duration::from_millis(50)).await;
                }
            };
            timeout(Duration::from_secs(30), ended).await.expect("PostgreSQL goes on");
        }
    });
}

/// A Basic that refers to a patient by criteria.
fn basic(id: &str, criteria: &str) -> Change {
    let subject = json!({"reference": criteria});
    put(&json!({"resourceType": "Basic", "id": id, "code": {"text": "x"}, "subject": subject}))
}

#[test]
fn http_5_what_a_write_looks_for_has_the_time_limit_of_searches() {
    on_both("http_5_conditions", async |t| {
        fill(&t).await;
        let store = t.another_in_a_hurry(LIMIT).await;
        let transact = async |work: Work| {
            let result = store.transact(&everything(), work).await;
            result.map(|transacted| transacted.changed.len()).map_err(|error| match error {
                Error::Entry { error, .. } => *error,
                error => error,
            })
        };
        let changes = |changes: Vec<Change>| transact(Work { changes, ..Work::default() });
        let slow = slow_for_nothing();
        let criteria = slow.replace("Patient?", "");
        let read = Read::Search(Box::new(parsed(&slow).unwrap().query));
        // All at once, so that on SQLite they share a commit with each other and with what is in time.
        let (conditional, reference, reading, all) = tokio::join!(
            changes(vec![post(&patient(0), Some(&criteria))]),
            changes(vec![put(&patient(2000)), basic("slow", &slow)]),
            transact(Work { changes: vec![put(&patient(2001))], reads: vec![read], ..Work::default() }),
            join_all((0..40).map(|n| changes(vec![put(&json!({"resourceType": "Basic", "id": format!("b{n}")}))]))),
        );
        for result in [conditional, reference, reading] {
            assert!(matches!(result, Err(Error::TooCostly)), "{result:?}");
        }
        assert!(all.iter().all(|result| matches!(result, Ok(1))), "{all:?}");
        assert_eq!(t.search("Basic?_count=1000").await.len(), 40);
        assert_eq!(t.search("Patient?_id=p2000,p2001").await.len(), 0, "all or nothing");
        let found = changes(vec![put(&patient(2000)), basic("quick", "Patient?_id=p1")]).await;
        assert_eq!(found.unwrap(), 2, "the writer goes on");
        t.is_sound().await;
    });
}

/// Only the conditions have that limit, not the rest of their write: here it waits for a lock that another holds.
#[test]
fn http_5_a_write_with_conditions_may_take_longer_than_they() {
    on_both("http_5_rest_of_write", async |t| {
        let Location::Postgres(url) = &t.location else { return };
        t.put(&patient(1)).await;
        let store = t.another_in_a_hurry(Duration::from_millis(500)).await;
        let mut other = PgConnection::connect(url).await.unwrap();
        other.execute("BEGIN; SELECT rid FROM resource WHERE id = 'p1' FOR UPDATE").await.unwrap();
        let action = Action::ConditionalUpdate {
            criteria: criteria("Patient", "_id=p1"),
            resource: resource(&json!({"resourceType": "Patient", "id": "p1", "gender": "male"})),
            precondition: Precondition::default(),
        };
        let change = Work { changes: vec![Change { action, full_url: None }], ..Work::default() };
        let access = everything();
        let (written, ()) = tokio::join!(store.transact(&access, change), async {
            sleep(Duration::from_millis(1500)).await;
            other.execute("COMMIT").await.unwrap();
        });
        assert_eq!(written.unwrap().changed.len(), 1);
    });
}

/// What is written is put off until something else is asked, be it a search: it has the time of a write all the same.
#[test]
fn http_5_what_is_written_before_a_search_may_take_longer_than_it() {
    on_both("http_5_before_search", async |t| {
        let Location::Postgres(url) = &t.location else { return };
        t.put(&patient(1)).await;
        let store = t.another_in_a_hurry(Duration::from_millis(500)).await;
        let mut other = PgConnection::connect(url).await.unwrap();
        other.execute("BEGIN; LOCK TABLE idx_string IN SHARE MODE").await.unwrap();
        let read = Read::Search(Box::new(parsed("Patient?_id=p1").unwrap().query));
        let work = Work { changes: vec![put(&patient(2))], reads: vec![read], ..Work::default() };
        let access = everything();
        let (written, ()) = tokio::join!(store.transact(&access, work), async {
            sleep(Duration::from_millis(1500)).await;
            other.execute("COMMIT").await.unwrap();
        });
        assert_eq!(written.unwrap().seen.len(), 1);
    });
}
