//! Conditional interactions: <https://hl7.org/fhir/R4/http.html#ccreate>

use crate::store::{criteria, delete, on_both, post, resource};
use futures::future::join_all;
use serde_json::json;
use tessera_store::{Action, Change, Error, Outcome, Precondition};

#[test]
fn rel_9_of_64_equal_conditional_creates_one_wins() {
    on_both("rel_9", async |t| {
        let t = &t;
        for key in ["k1", "k2", "k3"] {
            let value = json!({"resourceType": "Patient", "identifier": [{"system": "s", "value": key}]});
            let query = format!("identifier=s|{key}");
            let all = join_all((0..64).map(|n| {
                let mut changes = vec![post(&value, Some(&query))];
                // Half of them within a transaction bundle, which is serializable.
                if n % 2 == 1 {
                    changes.push(post(&json!({"resourceType": "Basic", "code": {"text": format!("{key}-{n}")}}), None));
                }
                let query = query.clone();
                async move {
                    // "Busy" is an honest answer under contention, and the client comes again.
                    for _ in 0..50 {
                        match t.write(changes.clone()).await {
                            Err(Error::Busy) => {}
                            result => return result,
                        }
                    }
                    panic!("{query} was never answered")
                }
            }))
            .await;
            let keys: Vec<_> = all.into_iter().map(|c| c.unwrap()[0].version.clone().unwrap().key).collect();
            assert!(keys.iter().all(|k| *k == keys[0]), "{keys:?}");
            assert_eq!(t.search(&format!("Patient?{query}")).await.len(), 1);
        }
        t.is_sound().await;
    });
}

#[test]
fn conditional_create_none_one_several() {
    on_both("ccreate", async |t| {
        let value = json!({"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}]});
        let create = || vec![post(&value, Some("identifier=s|1"))];
        assert_eq!(t.write(create()).await.unwrap()[0].outcome, Outcome::Created);
        let found = t.write(create()).await.unwrap().remove(0);
        assert_eq!(found.outcome, Outcome::Found);
        assert!(found.version.unwrap().body.contains("\"value\":\"1\""));
        t.write(vec![post(&value, None)]).await.unwrap();
        let several = t.write(create()).await;
        assert!(matches!(several, Err(Error::Entry { error, .. }) if matches!(*error, Error::MultipleMatches(_))));
    });
}

#[test]
fn conditional_update_none_one_and_the_wrong_id() {
    on_both("cupdate", async |t| {
        let update = |value: &serde_json::Value| {
            let criteria = criteria("Patient", "identifier=s|1");
            let action = Action::ConditionalUpdate {
                criteria,
                resource: resource(value),
                precondition: Precondition::default(),
            };
            vec![Change { action, full_url: None }]
        };
        let value = json!({"resourceType": "Patient", "id": "mine", "identifier": [{"system": "s", "value": "1"}]});
        let created = t.write(update(&value)).await.unwrap().remove(0);
        assert_eq!(
            (created.outcome, created.version.unwrap().key.to_string()),
            (Outcome::Created, "Patient/mine".to_owned())
        );
        let changed =
            json!({"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}], "gender": "male"});
        assert_eq!(t.write(update(&changed)).await.unwrap()[0].outcome, Outcome::Updated);
        let other = json!({"resourceType": "Patient", "id": "other", "identifier": [{"system": "s", "value": "1"}]});
        assert!(
            matches!(t.write(update(&other)).await, Err(Error::Entry { error, .. }) if matches!(*error, Error::IdMismatch { .. }))
        );
    });
}

#[test]
fn conditional_delete_and_criteria_that_select_nothing() {
    on_both("cdelete", async |t| {
        let remove = |query: &str| {
            let criteria = criteria("Patient", query);
            let precondition = Precondition::default();
            vec![Change {
                action: Action::ConditionalDelete { criteria, precondition, multiple: false },
                full_url: None,
            }]
        };
        t.put(&json!({"resourceType": "Patient", "id": "a", "gender": "male"})).await;
        assert!(t.write(remove("_count=5")).await.is_err(), "no criterion at all");
        assert!(t.write(remove("gendr=male")).await.is_err(), "an unknown criterion");
        assert_eq!(t.write(remove("gender=female")).await.unwrap()[0].outcome, Outcome::Nothing);
        assert_eq!(t.write(remove("gender=male")).await.unwrap()[0].outcome, Outcome::Deleted);
    });
}

#[test]
fn a_bundle_deletes_before_it_creates() {
    on_both("order", async |t| {
        let value =
            |id: &str| json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "s", "value": "1"}]});
        t.put(&value("a")).await;
        let changed = t.write(vec![post(&value("b"), Some("identifier=s|1")), delete("Patient/a")]).await.unwrap();
        assert_eq!((changed[0].outcome, changed[1].outcome), (Outcome::Created, Outcome::Deleted));
        assert_eq!(t.search("Patient?identifier=s|1").await.len(), 1);
    });
}

#[test]
fn two_entries_with_equal_criteria_mean_one_resource() {
    on_both("equal_criteria", async |t| {
        let value = json!({"resourceType": "Organization", "identifier": [{"system": "s", "value": "1"}]});
        let mut changes = vec![post(&value, Some("identifier=s|1")), post(&value, Some("identifier=s|1"))];
        for (n, change) in changes.iter_mut().enumerate() {
            change.full_url = Some(format!("urn:uuid:{n}"));
        }
        for n in 0..2 {
            let organization = json!({"reference": format!("urn:uuid:{n}")});
            changes.push(post(&json!({"resourceType": "Patient", "managingOrganization": organization}), None));
        }
        let changed = t.write(changes).await.unwrap();
        assert_eq!(changed[1].outcome, Outcome::Found);
        let organization = changed[0].version.clone().unwrap().key.id;
        assert_eq!(t.search(&format!("Patient?organization={organization}")).await.len(), 2);
    });
}
