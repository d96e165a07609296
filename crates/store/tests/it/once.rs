//! Requests that may be sent again (REL-16).

use crate::store::{everything, on_both, post};
use serde_json::json;
use tessera_store::{Error, Once, Store as _, Work};

#[test]
fn rel_16_the_same_request_again_gets_the_first_answer() {
    on_both("rel_16", async |t| {
        let send = async |key: &str, request: &str| {
            let once = Some(Once { key: key.to_owned(), request: request.to_owned() });
            let changes =
                vec![post(&json!({"resourceType": "Patient"}), None), post(&json!({"resourceType": "Patient"}), None)];
            t.store.transact(&everything(), Work { changes, once, ..Work::default() }).await
        };
        let first = send("k", "r").await.unwrap();
        let second = send("k", "r").await.unwrap();
        assert!(!first.replayed && second.replayed);
        let keys = |t: &tessera_store::Transacted| {
            t.changed.iter().map(|c| c.version.clone().unwrap().key).collect::<Vec<_>>()
        };
        assert_eq!(keys(&first), keys(&second));
        assert_eq!(t.search("Patient").await.len(), 2);
        assert!(matches!(send("k", "other").await, Err(Error::KeyReused)));
        assert!(!send("k2", "r").await.unwrap().replayed);
    });
}

#[test]
fn rel_16_two_at_once_perform_it_once() {
    on_both("rel_16_race", async |t| {
        let t = &t;
        let all = futures::future::join_all((0..16).map(|_| async move {
            let once = Some(Once { key: "k".to_owned(), request: "r".to_owned() });
            let changes =
                vec![post(&json!({"resourceType": "Patient"}), None), post(&json!({"resourceType": "Patient"}), None)];
            for _ in 0..50 {
                match t
                    .store
                    .transact(&everything(), Work { changes: changes.clone(), once: once.clone(), ..Work::default() })
                    .await
                {
                    Err(Error::Busy) => {}
                    result => return result.unwrap().replayed,
                }
            }
            panic!("never answered")
        }))
        .await;
        assert_eq!(all.iter().filter(|replayed| !**replayed).count(), 1);
        assert_eq!(t.search("Patient").await.len(), 2);
    });
}
