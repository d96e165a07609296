//! Versions: <https://hl7.org/fhir/R4/http.html#versioning>

use crate::store::{delete, everything, key, on_both, post, put, resource};
use serde_json::json;
use tessera_store::{Action, Change, Error, Outcome, Precondition, Store as _, Tags};

#[test]
fn rel_4_versions_are_1_to_n_and_a_deletion_is_one() {
    on_both("rel_4", async |t| {
        let patient = |family: &str| json!({"resourceType": "Patient", "id": "a", "name": [{"family": family}]});
        assert_eq!(t.put(&patient("A")).await.outcome, Outcome::Created);
        assert_eq!(t.put(&patient("B")).await.outcome, Outcome::Updated);
        assert_eq!(t.write(vec![delete("Patient/a")]).await.unwrap()[0].outcome, Outcome::Deleted);
        assert!(t.read("Patient/a").await.unwrap().is_deletion());
        assert!(t.search("Patient").await.is_empty());
        assert_eq!(t.write(vec![delete("Patient/a")]).await.unwrap()[0].outcome, Outcome::Nothing);
        let revived = t.put(&patient("C")).await;
        assert_eq!((revived.outcome, revived.version.unwrap().version), (Outcome::Created, 4));
        for (version, text) in [(1, "\"A\""), (2, "\"B\""), (3, ""), (4, "\"C\"")] {
            let found = t.store.vread(&everything(), &key("Patient/a"), version).await.unwrap().unwrap();
            assert!(found.body.contains(text) && found.version == version, "{version} {}", found.body);
        }
        assert!(t.store.vread(&everything(), &key("Patient/a"), 5).await.unwrap().is_none());
        assert!(t.read("Patient/b").await.is_none());
        t.is_sound().await;
    });
}

#[test]
fn rel_4_last_updated_rises_even_if_the_clock_steps_back() {
    on_both("rel_4_clock", async |t| {
        let mut last = 0;
        for n in 0..5 {
            t.clock.set_back(3_600_000_000);
            let changed = t.put(&json!({"resourceType": "Basic", "id": "a", "code": {"text": n.to_string()}})).await;
            let version = changed.version.unwrap();
            assert!(version.last_updated > last);
            last = version.last_updated;
        }
    });
}

#[test]
fn the_same_content_again_makes_no_new_version() {
    on_both("unchanged", async |t| {
        let patient =
            json!({"resourceType": "Patient", "id": "a", "multipleBirthInteger": 2, "meta": {"tag": [{"code": "x"}]}});
        t.put(&patient).await;
        let again = t.put(&patient).await;
        assert_eq!((again.outcome, again.version.unwrap().version), (Outcome::Unchanged, 1));
    });
}

#[test]
fn rel_3_if_match_is_compared_with_the_current_version() {
    on_both("rel_3", async |t| {
        let value = json!({"resourceType": "Patient", "id": "a"});
        let write = |if_match: Vec<i64>, if_none_match: bool| {
            let precondition = Precondition {
                if_match: (!if_match.is_empty()).then_some(Tags::Versions(if_match)),
                if_none_match: if_none_match.then_some(Tags::Any),
            };
            vec![Change {
                action: Action::Update { key: key("Patient/a"), resource: resource(&value), precondition },
                full_url: None,
            }]
        };
        assert!(
            matches!(t.write(write(vec![1], false)).await, Err(Error::Entry { error, .. }) if matches!(*error, Error::NothingToMatch))
        );
        assert!(t.write(write(vec![], true)).await.is_ok());
        assert!(
            matches!(t.write(write(vec![], true)).await, Err(Error::Entry { error, .. }) if matches!(*error, Error::Exists { current: 1 }))
        );
        assert!(
            matches!(t.write(write(vec![7, 2], false)).await, Err(Error::Entry { error, .. }) if matches!(*error, Error::VersionConflict { current: 1 }))
        );
        assert!(t.write(write(vec![7, 1], false)).await.is_ok());
    });
}

#[test]
fn rel_2_a_transaction_is_all_or_nothing() {
    on_both("rel_2", async |t| {
        let good = post(&json!({"resourceType": "Patient", "name": [{"family": "Lost"}]}), None);
        let bad = Change {
            action: Action::Delete {
                key: key("Patient/x"),
                precondition: Precondition { if_match: Some(Tags::Versions(vec![3])), ..Precondition::default() },
            },
            full_url: None,
        };
        assert!(t.write(vec![good, bad]).await.is_err());
        assert!(t.search("Patient?name=lost").await.is_empty());
        t.is_sound().await;
    });
}

#[test]
fn two_changes_of_one_resource_are_refused_naming_both() {
    on_both("same_identity", async |t| {
        let value = json!({"resourceType": "Patient", "id": "a"});
        let result = t.write(vec![put(&value), delete("Patient/b"), put(&value)]).await;
        assert!(matches!(result, Err(Error::SameIdentity { entries: (0, 2), .. })), "{result:?}");
    });
}

#[test]
fn an_update_replaces_the_index_rows() {
    on_both("reindex", async |t| {
        for (family, gender) in [("Old", "male"), ("New", "female"), ("New", "male")] {
            t.put(&json!({"resourceType": "Patient", "id": "a", "name": [{"family": family}], "gender": gender,
                "managingOrganization": {"reference": format!("Organization/{gender}")}}))
                .await;
            t.is_sound().await;
        }
        assert_eq!(t.search("Patient?family=new&gender=male&organization=male").await, ["a"]);
        assert!(t.search("Patient?family=old").await.is_empty());
        assert!(t.search("Patient?organization=female").await.is_empty());
    });
}
