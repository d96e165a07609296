//! The time limit of searches (HTTP-5), which writes do not have.

use crate::store::{TestStore, everything, on_both, parsed, put};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tessera_store::{Error, Matches, SqlStore, Store as _, Work};

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
            let all = futures::future::join_all((0..12).map(|_| search(&store, &url))).await;
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
        // What a write looks for is part of the write.
        let criteria = slow().replace("Patient?", "");
        let found = store
            .transact(
                &everything(),
                Work { changes: vec![crate::store::post(&patient(0), Some(&criteria))], ..Work::default() },
            )
            .await;
        assert!(matches!(found, Err(Error::Entry { error, .. }) if matches!(*error, Error::MultipleMatches(_))));
        assert_eq!(t.search("Patient?_id=p0,p1799").await.len(), 2);
    });
}
