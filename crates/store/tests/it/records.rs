//! What the authorization server keeps.

use crate::store::on_both;
use tessera_store::{Record, RecordChange, RecordKey, Records as _, clock::Clock as _};

const SECOND: i64 = 1_000_000;

fn key(kind: i64, key: &str) -> RecordKey {
    RecordKey { kind, key: key.to_owned() }
}

fn record(kind: i64, name: &str, owner: &str, body: &str) -> Record {
    Record { key: key(kind, name), owner: owner.to_owned(), version: 1, expires: Record::NEVER, body: body.to_owned() }
}

fn bodies(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.body.as_str()).collect()
}

#[test]
fn several_keys_come_in_their_order_and_only_of_their_kind() {
    on_both("records_several", async |t| {
        let insert = |kind, name, body| RecordChange::Insert(record(kind, name, "o", body));
        let changes = vec![insert(1, "b", "1b"), insert(1, "a", "1a"), insert(2, "a", "2a")];
        assert!(t.store.change(changes).await.unwrap());
        let keys = vec![key(2, "a"), key(1, "x"), key(1, "a"), key(2, "b"), key(1, "b")];
        let found = t.store.records(keys).await.unwrap();
        let found: Vec<_> = found.iter().map(|r| r.as_ref().map(|r| r.body.as_str())).collect();
        assert_eq!(found, [Some("2a"), None, Some("1a"), None, Some("1b")]);
        assert!(t.store.records(Vec::new()).await.unwrap().is_empty());
        assert!(t.store.records(vec![key(1, "a"); 101]).await.is_err());
    });
}

#[test]
fn changes_are_made_all_or_none() {
    on_both("records_atomic", async |t| {
        assert!(t.store.change(vec![RecordChange::Insert(record(1, "a", "o", "old"))]).await.unwrap());
        let replaced = record(1, "a", "o", "new");
        let stale = Record { version: 7, ..replaced.clone() };
        for refused in [
            RecordChange::Insert(record(1, "a", "o", "again")),
            RecordChange::Replace(stale),
            RecordChange::Replace(record(1, "none", "o", "x")),
            RecordChange::Remove(key(1, "a"), 2),
            RecordChange::Remove(key(1, "none"), 1),
        ] {
            let changes = vec![RecordChange::Insert(record(0, "first", "o", "x")), refused.clone()];
            assert!(!t.store.change(changes).await.unwrap(), "{refused:?}");
            let changes = vec![refused.clone(), RecordChange::Insert(record(2, "last", "o", "x"))];
            assert!(!t.store.change(changes).await.unwrap(), "{refused:?}");
        }
        let found = t.store.records(vec![key(0, "first"), key(1, "a"), key(2, "last")]).await.unwrap();
        assert_eq!((&found[0], &found[2]), (&None, &None));
        assert_eq!(found[1], Some(record(1, "a", "o", "old")));
        assert!(t.store.change(vec![RecordChange::Replace(replaced.clone())]).await.unwrap());
        let found = t.store.records(vec![key(1, "a")]).await.unwrap();
        assert_eq!(found[0], Some(Record { version: 2, ..replaced }));
        let changes = vec![RecordChange::Remove(key(1, "a"), 2), RecordChange::Discard(key(1, "none"))];
        assert!(t.store.change(changes).await.unwrap());
        assert_eq!(t.store.records(vec![key(1, "a")]).await.unwrap(), [None]);
        assert!(t.store.change(vec![RecordChange::Insert(record(1, "a", "o", "x"))]).await.unwrap());
        assert!(t.store.change(vec![RecordChange::Discard(key(1, "a"))]).await.unwrap());
        assert_eq!(t.store.records(vec![key(1, "a")]).await.unwrap(), [None]);
    });
}

#[test]
fn of_racing_changes_one_wins() {
    on_both("records_race", async |t| {
        let t = &t;
        let race = async |change: &(dyn Fn(usize) -> RecordChange + Sync)| {
            let all = (0..16).map(|n| async move {
                // Beside it one of its own, whose key comes first or last.
                let own = record(if n % 2 == 0 { 0 } else { 9 }, &format!("{n}"), "race", &format!("{n}"));
                for _ in 0..50 {
                    match t.store.change(vec![RecordChange::Insert(own.clone()), change(n)]).await {
                        Err(tessera_store::Error::Busy) => {}
                        result => return result.unwrap(),
                    }
                }
                panic!("never answered")
            });
            let won: Vec<bool> = futures::future::join_all(all).await;
            assert_eq!(won.iter().filter(|won| **won).count(), 1);
            won.iter().position(|won| *won).unwrap()
        };
        let winner = race(&|n| RecordChange::Insert(record(5, "a", "o", &format!("{n}")))).await;
        let found = t.store.records(vec![key(5, "a")]).await.unwrap().remove(0).unwrap();
        assert_eq!((found.version, found.body), (1, winner.to_string()));
        for kind in [0, 9] {
            for own in t.store.listed(kind, None, String::new(), 100).await.unwrap() {
                assert_eq!(own.body, winner.to_string());
                t.store.change(vec![RecordChange::Discard(own.key)]).await.unwrap();
            }
        }
        let winner = race(&|n| RecordChange::Replace(record(5, "a", "o", &format!("{n}")))).await;
        let found = t.store.records(vec![key(5, "a")]).await.unwrap().remove(0).unwrap();
        assert_eq!((found.version, found.body), (2, winner.to_string()));
        t.store.change(vec![RecordChange::Discard(key(0, &winner.to_string()))]).await.unwrap();
        t.store.change(vec![RecordChange::Discard(key(9, &winner.to_string()))]).await.unwrap();
        race(&|_| RecordChange::Remove(key(5, "a"), 2)).await;
        assert_eq!(t.store.records(vec![key(5, "a")]).await.unwrap(), [None]);
    });
}

#[test]
fn what_has_expired_is_not_there_and_is_purged() {
    on_both("records_expiry", async |t| {
        let until = |name: &str, expires| Record { expires, ..record(1, name, "o", name) };
        let now = t.clock.now();
        let (short, long) = (until("short", now + SECOND), until("long", now + 1000 * SECOND));
        let stays = until("stays", Record::NEVER);
        let insert = [&short, &long, &stays].map(|record| RecordChange::Insert(record.clone()));
        assert!(t.store.change(insert.to_vec()).await.unwrap());
        assert_eq!(t.store.listed(1, Some("o".into()), String::new(), 10).await.unwrap().len(), 3);
        assert_eq!(t.store.purge().await.unwrap(), 0);
        t.clock.set_back(-10 * SECOND);
        assert_eq!(t.store.records(vec![key(1, "short")]).await.unwrap(), [None]);
        assert_eq!(bodies(&t.store.listed(1, None, String::new(), 10).await.unwrap()), ["long", "stays"]);
        assert!(!t.store.change(vec![RecordChange::Replace(short.clone())]).await.unwrap());
        assert!(!t.store.change(vec![RecordChange::Remove(key(1, "short"), 1)]).await.unwrap());
        // Its key is free again.
        let again = until("short", now + 1000 * SECOND);
        assert!(t.store.change(vec![RecordChange::Insert(again)]).await.unwrap());
        t.clock.set_back(-2000 * SECOND);
        assert_eq!(t.store.purge().await.unwrap(), 2);
        assert_eq!(bodies(&t.store.listed(1, None, String::new(), 10).await.unwrap()), ["stays"]);
    });
}

#[test]
fn lists_go_by_owner_page_by_page() {
    on_both("records_listed", async |t| {
        let names = ["a", "b", "c", "d", "e"];
        let insert = |(n, name): (usize, &&str)| {
            RecordChange::Insert(record(1, name, if n % 2 == 0 { "even" } else { "odd" }, name))
        };
        assert!(t.store.change(names.iter().enumerate().map(insert).collect()).await.unwrap());
        let list = async |owner: Option<&str>, after: &str, count| {
            let list = t.store.listed(1, owner.map(str::to_owned), after.to_owned(), count).await.unwrap();
            list.into_iter().map(|record| record.body).collect::<String>()
        };
        assert_eq!(list(None, "", 2).await, "ab");
        assert_eq!(list(None, "b", 10).await, "cde");
        assert_eq!(list(Some("even"), "", 2).await, "ac");
        assert_eq!(list(Some("even"), "c", 2).await, "e");
        assert_eq!(list(Some("odd"), "", 10).await, "bd");
        assert_eq!(list(Some("nobody"), "", 10).await, "");
    });
}
