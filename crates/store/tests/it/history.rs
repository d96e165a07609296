//! History and the change sequence: <https://hl7.org/fhir/R4/http.html#history>

use crate::store::{delete, everything, key, on_both};
use serde_json::json;
use tessera_store::{HistoryPage, HistoryScope, Location, Store as _, Version};

fn page(count: u32) -> HistoryPage {
    HistoryPage { since: None, at: None, list: None, count, cursor: None }
}

fn names(versions: &[Version]) -> Vec<String> {
    versions.iter().map(|v| format!("{}/{}", v.key, v.version)).collect()
}

#[test]
fn histories_come_newest_first_and_page_by_page() {
    on_both("history", async |t| {
        for n in 1..=3 {
            for id in ["a", "b"] {
                t.put(&json!({"resourceType": "Basic", "id": id, "code": {"text": n.to_string()}})).await;
            }
        }
        t.write(vec![delete("Basic/a")]).await.unwrap();
        t.put(&json!({"resourceType": "Patient", "id": "p"})).await;
        let read = async |scope: HistoryScope, page| t.store.history(&everything(), scope, page).await.unwrap();
        let instance = read(HistoryScope::Instance(key("Basic/a")), page(10)).await;
        assert_eq!(names(&instance.versions), ["Basic/a/4", "Basic/a/3", "Basic/a/2", "Basic/a/1"]);
        assert_eq!(instance.total, Some(4));
        // The feed waits for every transaction that was open before, in any database of the server.
        let mut everything_at_once = Vec::new();
        for _ in 0..500 {
            everything_at_once = names(&read(HistoryScope::System, page(100)).await.versions);
            if everything_at_once.len() == 8 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(everything_at_once.len(), 8);
        assert_eq!(everything_at_once[0], "Patient/p/1");
        let (mut paged, mut cursor) = (Vec::new(), None);
        loop {
            let found = read(HistoryScope::System, HistoryPage { cursor, ..page(3) }).await;
            paged.extend(names(&found.versions));
            cursor = found.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(paged, everything_at_once);
        let basic = key("Basic/a").resource_type;
        assert_eq!(read(HistoryScope::Type(basic), page(100)).await.versions.len(), 7);
    });
}

#[test]
fn since_and_at_choose_versions_by_time() {
    on_both("since", async |t| {
        let mut times = Vec::new();
        for n in 1..=3 {
            let changed = t.put(&json!({"resourceType": "Basic", "id": "a", "code": {"text": n.to_string()}})).await;
            times.push(changed.version.unwrap().last_updated);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let read = async |page| {
            t.store.history(&everything(), HistoryScope::Instance(key("Basic/a")), page).await.unwrap().versions
        };
        assert_eq!(names(&read(HistoryPage { since: Some(times[1]), ..page(9) }).await), ["Basic/a/3", "Basic/a/2"]);
        let at = |from: i64, until: i64| HistoryPage { at: Some((from, until)), ..page(9) };
        assert_eq!(names(&read(at(times[1], times[1] + 1)).await), ["Basic/a/2"]);
        assert_eq!(names(&read(at(times[0] + 1, times[2])).await), ["Basic/a/2", "Basic/a/1"]);
        assert!(read(at(0, times[0])).await.is_empty());
    });
}

/// A reader that polls with the last time it has seen must not pass over a transaction that began before and ends after.
#[test]
fn the_feed_waits_for_open_transactions() {
    on_both("feed", async |t| {
        let Location::Postgres(url) = &t.location else { return };
        let mut open = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
        // Another writer draws its number and has not committed yet.
        for statement in [
            "BEGIN",
            "INSERT INTO resource (rid, type, id, version, last_updated, seq, method, deleted, body)
             SELECT 1000000, 1, 'slow', 1, at, seq, 2, 0, '{\"resourceType\":\"Account\",\"id\":\"slow\"}' FROM tessera_stamp()",
        ] {
            sqlx::Executor::execute(&mut open, statement).await.unwrap();
        }
        let written =
            t.put(&json!({"resourceType": "Basic", "id": "fast", "code": {"text": "x"}})).await.version.unwrap();
        let read =
            async || names(&t.store.history(&everything(), HistoryScope::System, page(9)).await.unwrap().versions);
        assert!(read().await.is_empty(), "the newer version must not be shown before the older one is there");
        assert_eq!(t.search("Basic").await, ["fast"], "search never lags");
        sqlx::Executor::execute(&mut open, "COMMIT").await.unwrap();
        for _ in 0..500 {
            if read().await.len() == 2 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(read().await, ["Basic/fast/1", "Account/slow/1"]);
        let slow = t.read("Account/slow").await.unwrap();
        assert!(slow.last_updated <= written.last_updated, "number and time rise together");
    });
}
