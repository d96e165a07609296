//! Patches are applied to the current version, inside the transaction: <https://hl7.org/fhir/R4/http.html#patch>

use crate::store::{criteria, delete, everything, granted, key, on_both, post, put};
use futures::future::join_all;
use serde_json::{Value, json};
use tessera_model::{Patch, Permission, Visible};
use tessera_store::{Action, Change, Error, Outcome, Precondition, Store as _, Tags};

fn patch_if(text: &str, patch: &Value, if_match: Vec<i64>) -> Change {
    let if_match = (!if_match.is_empty()).then_some(Tags::Versions(if_match));
    let precondition = Precondition { if_match, ..Precondition::default() };
    let patch = Patch::json(patch.to_string()).unwrap();
    Change { action: Action::Patch { key: key(text), patch, precondition }, full_url: None }
}

fn patch(text: &str, value: &Value) -> Change {
    patch_if(text, value, Vec::new())
}

fn patch_where(query: &str, patch: &Value) -> Change {
    let patch = Patch::json(patch.to_string()).unwrap();
    let (criteria, precondition) = (criteria("Patient", query), Precondition::default());
    Change { action: Action::ConditionalPatch { criteria, patch, precondition }, full_url: None }
}

/// The error of the one entry.
fn inner(error: Error) -> Error {
    match error {
        Error::Entry { error, .. } => *error,
        error => error,
    }
}

#[test]
fn rel_3_no_patch_is_lost_among_64() {
    on_both("patch_rel_3", async |t| {
        let t = &t;
        t.put(&json!({"resourceType": "Patient", "id": "a", "name": [{"text": "N"}]})).await;
        let all = join_all((0..64).map(|n| {
            let add = json!([{"op": "add", "path": "/name/-", "value": {"text": format!("N{n}")}}]);
            let mut changes = vec![patch("Patient/a", &add)];
            // Half of them within a transaction bundle, which is serializable.
            if n % 2 == 1 {
                changes.push(post(&json!({"resourceType": "Basic", "code": {"text": n.to_string()}}), None));
            }
            async move {
                // "Busy" is an honest answer under contention, and the client comes again.
                for _ in 0..200 {
                    match t.write(changes.clone()).await {
                        Err(Error::Busy) => {}
                        result => return result.unwrap().remove(0).version.unwrap().version,
                    }
                }
                panic!("{n} was never answered")
            }
        }));
        let mut versions = all.await;
        versions.sort_unstable();
        assert_eq!(versions, (2..66).collect::<Vec<_>>());
        let body = t.read("Patient/a").await.unwrap().body;
        assert!((0..64).all(|n| body.contains(&format!("\"N{n}\""))), "{body}");
        t.is_sound().await;
    });
}

#[test]
fn a_patch_of_the_current_version_makes_the_next_and_index_rows_follow() {
    on_both("patch", async |t| {
        t.put(&json!({"resourceType": "Patient", "id": "a", "gender": "male", "name": [{"family": "A"}]})).await;
        let to_female = json!([{"op": "replace", "path": "/gender", "value": "female"}]);
        let changed = t.write(vec![patch("Patient/a", &to_female)]).await.unwrap().remove(0);
        assert_eq!((changed.outcome, changed.version.unwrap().version), (Outcome::Updated, 2));
        assert_eq!(t.search("Patient?gender=female&family=A").await, ["a"]);
        assert!(t.search("Patient?gender=male").await.is_empty());
        // The same again changes nothing.
        let again = t.write(vec![patch("Patient/a", &to_female)]).await.unwrap().remove(0);
        assert_eq!((again.outcome, again.version.unwrap().version), (Outcome::Unchanged, 2));
        t.is_sound().await;
    });
}

#[test]
fn what_is_not_there_is_not_patched() {
    on_both("patch_missing", async |t| {
        let nothing = json!([]);
        let failed = |result: Result<_, Error>| inner(result.err().unwrap());
        assert!(matches!(failed(t.write(vec![patch("Patient/a", &nothing)]).await), Error::NotFound(_)));
        // Something refers to it: that does not make it.
        t.put(&json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "c"},
            "subject": {"reference": "Patient/a"}}))
            .await;
        assert!(matches!(failed(t.write(vec![patch("Patient/a", &nothing)]).await), Error::NotFound(_)));
        assert!(matches!(failed(t.write(vec![patch_if("Patient/a", &nothing, vec![1])]).await), Error::NotFound(_)));
        t.put(&json!({"resourceType": "Patient", "id": "a"})).await;
        t.write(vec![delete("Patient/a")]).await.unwrap();
        assert!(matches!(failed(t.write(vec![patch("Patient/a", &nothing)]).await), Error::Gone(_)));
        assert!(t.read("Patient/a").await.unwrap().is_deletion());
    });
}

#[test]
fn what_is_not_visible_is_not_there_and_stays_visible() {
    on_both("patch_access", async |t| {
        let female = crate::store::parsed("Patient?gender=female").unwrap().query.filter;
        let access = granted(vec![(key("Patient/a").resource_type, female)]);
        assert!(matches!(access.visible(Permission::Read, key("Patient/a").resource_type), Visible::If(_)));
        t.put(&json!({"resourceType": "Patient", "id": "a", "gender": "female"})).await;
        t.put(&json!({"resourceType": "Patient", "id": "b", "gender": "male"})).await;
        let gender = |value: &str| json!([{"op": "replace", "path": "/gender", "value": value}]);
        let failed = |result: Result<_, Error>| inner(result.err().unwrap());
        let hidden = t.write_as(&access, vec![patch("Patient/b", &gender("female"))]).await;
        assert!(matches!(failed(hidden), Error::NotFound(_)));
        let by_criteria = t.write_as(&access, vec![patch_where("gender=male", &gender("female"))]).await;
        assert!(matches!(failed(by_criteria), Error::NoMatch(_)));
        // CMP-5: the new version must be visible to its writer.
        let away = t.write_as(&access, vec![patch("Patient/a", &gender("male"))]).await;
        assert!(matches!(failed(away), Error::Forbidden));
        let active = json!([{"op": "add", "path": "/active", "value": true}]);
        assert_eq!(t.write_as(&access, vec![patch("Patient/a", &active)]).await.unwrap()[0].outcome, Outcome::Updated);
    });
}

#[test]
fn a_condition_is_searched_and_must_match_one() {
    on_both("cpatch", async |t| {
        let active = json!([{"op": "add", "path": "/active", "value": true}]);
        let write = || t.write(vec![patch_where("identifier=s|1", &active)]);
        let value = json!({"resourceType": "Patient", "id": "a", "identifier": [{"system": "s", "value": "1"}]});
        assert!(matches!(inner(write().await.err().unwrap()), Error::NoMatch(_)));
        t.put(&value).await;
        assert_eq!(write().await.unwrap()[0].outcome, Outcome::Updated);
        t.write(vec![post(&value, None)]).await.unwrap();
        assert!(matches!(inner(write().await.err().unwrap()), Error::MultipleMatches(_)));
    });
}

#[test]
fn references_of_a_patched_resource_are_rewritten() {
    on_both("patch_references", async |t| {
        t.put(&json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "c"}})).await;
        t.put(&json!({"resourceType": "Practitioner", "id": "p", "identifier": [{"system": "s", "value": "1"}]})).await;
        let add = json!([
            {"op": "add", "path": "/subject", "value": {"reference": "urn:uuid:1"}},
            {"op": "add", "path": "/performer", "value": [{"reference": "Practitioner?identifier=s|1"}]},
        ]);
        let mut patient = post(&json!({"resourceType": "Patient"}), None);
        patient.full_url = Some("urn:uuid:1".into());
        let changed = t.write(vec![patch("Observation/o", &add), patient]).await.unwrap();
        let id = changed[1].version.clone().unwrap().key.id;
        assert_eq!(t.search(&format!("Observation?subject=Patient/{id}&performer=Practitioner/p")).await, ["o"]);
        t.is_sound().await;
    });
}

#[test]
fn a_patch_and_another_change_of_the_same_resource_are_refused() {
    on_both("patch_same", async |t| {
        let value = json!({"resourceType": "Patient", "id": "a"});
        t.put(&value).await;
        for other in [put(&value), delete("Patient/a"), patch("Patient/a", &json!([]))] {
            let result = t.write(vec![patch("Patient/a", &json!([])), other]).await;
            assert!(matches!(result, Err(Error::SameIdentity { entries: (0, 1), .. })), "{result:?}");
        }
        assert_eq!(t.store.read(&everything(), &key("Patient/a")).await.unwrap().unwrap().version, 1);
    });
}
