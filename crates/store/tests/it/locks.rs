//! What others lock makes nobody wait for long (REL-12, test T12). On SQLite there is one writer, and nothing that is locked.

use crate::store::{TestStore, everything, on_both, parsed, put};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::time::{Duration, Instant};
use tessera_store::{Error, Location, Store as _};

/// As many as there are connections that write, and as many as there are that search.
const CONNECTIONS: usize = 8;

fn patient(id: &str, gender: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "gender": gender})
}

/// Another client of the database, within a transaction that has run this.
async fn holding(t: &TestStore, sql: &'static str) -> Option<PgConnection> {
    let Location::Postgres(url) = &t.location else { return None };
    let mut other = PgConnection::connect(url).await.unwrap();
    other.execute("BEGIN").await.unwrap();
    other.execute(sql).await.unwrap();
    Some(other)
}

/// What it answers, and after how long.
async fn timed<T>(what: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    (what.await, started.elapsed())
}

#[test]
fn t12_rel_12_connections_held_by_a_locked_row_make_writers_wait_two_seconds_and_readers_not() {
    on_both("t12_writers", async |t| {
        t.put(&patient("held", "male")).await;
        t.put(&patient("free", "male")).await;
        let Some(mut other) = holding(&t, "SELECT rid FROM resource WHERE id = 'held' FOR UPDATE").await else {
            return;
        };
        let value = patient("held", "female");
        let held = join_all((0..CONNECTIONS).map(|_| t.write(vec![put(&value)])));
        let rest = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let writes = join_all((0..30).map(|n| {
                let change = put(&patient(&format!("n{n}"), "male"));
                timed(t.write(vec![change]))
            }));
            let reads = join_all((0..200).map(|_| timed(t.read("Patient/free"))));
            let (writes, reads) = tokio::join!(writes, reads);
            for (result, took) in writes {
                assert!(matches!(result, Err(Error::Busy)), "{result:?} after {took:?}");
                assert!((Duration::from_millis(1900)..Duration::from_millis(3500)).contains(&took), "{took:?}");
            }
            let slow = reads.iter().filter(|(_, took)| *took > Duration::from_secs(1)).count();
            assert!(reads.iter().all(|(version, _)| version.is_some()) && slow <= 2, "{slow} reads were slow");
            other.execute("COMMIT").await.unwrap();
        };
        let (held, ()) = tokio::join!(held, rest);
        assert!(held.iter().all(Result::is_ok), "{held:?}");
        t.put(&patient("n0", "female")).await;
        t.is_sound().await;
    });
}

#[test]
fn t12_rel_12_searches_wait_two_seconds_when_all_their_connections_are_held_but_no_reads_and_none_that_have_one_plan() {
    on_both("t12_readers", async |t| {
        t.put(&patient("free", "male")).await;
        let Some(mut other) = holding(&t, "LOCK TABLE idx_position IN ACCESS EXCLUSIVE MODE").await else { return };
        let (access, near) = (everything(), parsed("Location?near=48|16").unwrap().query);
        let held = join_all((0..CONNECTIONS).map(|_| t.store.search(&access, near.clone(), None)));
        let rest = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let free = parsed("Patient?gender=male&birthdate=gt1900").unwrap().query;
            let of_one_plan = parsed("Patient?gender=male").unwrap().query;
            let searches = join_all((0..30).map(|_| timed(t.store.search(&access, free.clone(), None))));
            let reads = join_all((0..30).map(|_| t.read("Patient/free")));
            let others = join_all((0..30).map(|_| t.store.search(&access, of_one_plan.clone(), None)));
            let (searches, reads, others) = tokio::join!(searches, reads, others);
            assert!(
                others.iter().all(|found| found.as_ref().is_ok_and(|found| found.matches.len() == 1)),
                "{others:?}"
            );
            for (result, took) in searches {
                assert!(matches!(result, Err(Error::Busy)), "{result:?} after {took:?}");
                assert!(took < Duration::from_millis(3500), "{took:?}");
            }
            assert!(reads.iter().all(Option::is_some));
            other.execute("COMMIT").await.unwrap();
        };
        let (held, ()) = tokio::join!(held, rest);
        assert!(held.iter().all(Result::is_ok), "{held:?}");
        assert!(t.read("Patient/free").await.is_some());
    });
}
