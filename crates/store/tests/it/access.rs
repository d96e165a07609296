//! What is not visible is not there: in every call, at every place of a search (CORE-2).

use crate::store::{TestStore, delete, everything, granted, ids, key, on_both, parsed, post, put};
use futures::future::join_all;
use serde_json::json;
use tessera_model::{AccessContext, Definitions, Patch};
use tessera_store::{Action, Change, Error, HistoryPage, HistoryScope, Outcome, Precondition, Store as _};

/// Sees patient a, what is about patient a, and organizations.
fn limited() -> AccessContext {
    let visible = ["Patient?_id=a", "Observation?patient=a", "Organization?_id:not=hidden"];
    granted(
        visible
            .iter()
            .map(|url| {
                let query = parsed(url).unwrap().query;
                (query.types[0], query.filter)
            })
            .collect(),
    )
}

async fn fill(t: &TestStore) {
    for organization in ["open", "hidden"] {
        t.put(&json!({"resourceType": "Organization", "id": organization, "name": organization})).await;
    }
    for (patient, organization) in [("a", "hidden"), ("b", "open")] {
        let organization = json!({"reference": format!("Organization/{organization}")});
        t.put(&json!({"resourceType": "Patient", "id": patient, "name": [{"family": patient}], "managingOrganization": organization})).await;
        let id = format!("o-{patient}");
        t.put(&json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"coding": [{"system": "s", "code": "c"}]},
            "subject": {"reference": format!("Patient/{patient}")}, "focus": [{"reference": "Patient/b"}]}))
            .await;
    }
    t.put(&json!({"resourceType": "Basic", "id": "x", "code": {"text": "x"}})).await;
}

#[test]
fn what_is_refused_once_it_was_written_leaves_nothing_and_the_writes_of_its_commit_stay() {
    on_both("refused_in_a_group", async |t| {
        fill(&t).await;
        let (everything, limited) = (everything(), limited());
        let of_b = json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}, "subject": {"reference": "Patient/b"}});
        let writes = (0..90).map(|n| match n % 3 {
            0 => t.write_as(&limited, vec![post(&of_b, None)]),
            _ => t.write_as(
                &everything,
                vec![put(&json!({"resourceType": "Basic", "id": format!("n{n}"), "code": {"text": "x"}}))],
            ),
        });
        for (n, written) in join_all(writes).await.into_iter().enumerate() {
            match n % 3 {
                0 => assert!(
                    matches!(written, Err(Error::Forbidden | Error::Entry { .. } | Error::Busy)),
                    "{n}: {written:?}"
                ),
                _ => assert_eq!(written.unwrap()[0].version.as_ref().unwrap().version, 1, "{n}"),
            }
        }
        assert_eq!(t.search("Observation").await, ["o-a", "o-b"]);
        assert_eq!(t.search("Basic?_count=100").await.len(), 61);
        t.is_sound().await;
    });
}

#[test]
fn core_2_every_read_sees_only_what_is_visible() {
    on_both("core_2", async |t| {
        fill(&t).await;
        let access = limited();
        let search = async |url: &str| ids(&t.matches(&access, url, None).await.matches);
        assert_eq!(search("Observation").await, ["o-a"]);
        assert_eq!(search("Observation?code=c").await, ["o-a"]);
        assert!(search("Observation?subject=Patient/b").await.is_empty());
        assert_eq!(search("?_count=100").await, ["open", "a", "o-a"], "the system level, in order of creation");
        assert!(search("Basic").await.is_empty(), "a type that is not granted");
        assert_eq!(t.matches(&access, "Observation?_summary=count", None).await.total, Some(1));
        // Every hop: chains and _has match nothing through what is hidden.
        assert!(search("Patient?organization.name=hidden").await.is_empty());
        assert!(search("Observation?focus:Patient.name=b").await.is_empty());
        assert!(search("Organization?_has:Patient:organization:name=b").await.is_empty());
        // Whichever predicate leads.
        assert!(search("Patient?_id=a&organization.name=hidden").await.is_empty());
        assert!(search("Observation?_id=o-a&focus:Patient.name=b").await.is_empty());
        assert!(search("Organization?_id=open&_has:Patient:organization:name=b").await.is_empty());
        assert_eq!(search("Observation?_id=o-a&subject:Patient.name=a").await, ["o-a"]);
        assert_eq!(search("Observation?subject:Patient.name=a").await, ["o-a"]);
        let included = async |url: &str| ids(&t.matches(&access, url, None).await.included);
        assert!(included("Patient?_include=Patient:organization").await.is_empty());
        assert_eq!(included("Observation?_include=Observation:*").await, ["a"]);
        assert!(included("Organization?_revinclude=Patient:organization").await.is_empty());
        for (text, seen) in [("Patient/a", true), ("Patient/b", false), ("Observation/o-b", false), ("Basic/x", false)]
        {
            assert_eq!(t.store.read(&access, &key(text)).await.unwrap().is_some(), seen, "{text}");
            assert_eq!(t.store.vread(&access, &key(text), 1).await.unwrap().is_some(), seen, "{text}");
            let page = HistoryPage { since: None, at: None, list: None, count: 10, cursor: None };
            let history = t.store.history(&access, HistoryScope::Instance(key(text)), page.clone()).await.unwrap();
            assert_eq!(history.versions.len() == 1, seen, "{text}");
        }
        let page = HistoryPage { since: None, at: None, list: None, count: 10, cursor: None };
        let all = t.store.history(&access, HistoryScope::System, page.clone()).await.unwrap();
        assert_eq!(ids(&all.versions), ["o-a", "a", "open"]);
        let patients = HistoryScope::Type(Definitions::r4().resource_type("Patient").unwrap());
        assert_eq!(t.store.history(&access, patients, page).await.unwrap().versions.len(), 1);
    });
}

#[test]
fn core_2_writes_neither_change_nor_reveal_what_is_hidden() {
    on_both("core_2_writes", async |t| {
        fill(&t).await;
        let access = limited();
        let forbidden = |result: Result<Vec<tessera_store::Changed>, Error>| match result {
            Err(Error::Forbidden) => true,
            Err(Error::Entry { error, .. }) => matches!(*error, Error::Forbidden),
            _ => false,
        };
        let observation = |id: &str, patient: &str| json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "new"}, "subject": {"reference": format!("Patient/{patient}")}});
        let not_there = |result: Result<Vec<tessera_store::Changed>, Error>| match result {
            Err(Error::Entry { error, .. }) => matches!(*error, Error::NotFound(_)),
            _ => false,
        };
        // CORE-6, CMP-8: what is hidden is answered as what does not exist.
        for hidden in ["o-b", "o-none"] {
            assert!(not_there(t.write_as(&access, vec![put(&observation(hidden, "b"))]).await), "{hidden}");
            assert!(
                not_there(t.write_as(&access, vec![put(&observation(hidden, "a"))]).await),
                "{hidden}, made one's own"
            );
            let deleted = t.write_as(&access, vec![delete(&format!("Observation/{hidden}"))]).await.unwrap();
            assert_eq!(deleted[0].outcome, Outcome::Nothing, "{hidden}");
        }
        assert!(forbidden(t.write_as(&access, vec![put(&observation("o-a", "b"))]).await), "one's own, given away");
        assert!(forbidden(
            t.write_as(&access, vec![post(&json!({"resourceType": "Basic", "code": {"text": "x"}}), None)]).await
        ));
        assert!(t.write_as(&access, vec![put(&observation("o-a", "a"))]).await.is_ok());
        // A condition sees only what is visible: the hidden match is no match.
        let create = post(&observation("n", "a"), Some("subject=Patient/b"));
        assert_eq!(t.write_as(&access, vec![create]).await.unwrap()[0].outcome, Outcome::Created);
        let refer = json!({"resourceType": "Observation", "status": "final", "code": {"text": "r"},
            "subject": {"reference": "Patient/a"}, "focus": [{"reference": "Patient?name=b"}]});
        assert!(
            t.write_as(&access, vec![post(&refer, None)]).await.is_err(),
            "a conditional reference to what is hidden"
        );
        assert_eq!(t.store.read(&everything(), &key("Observation/o-b")).await.unwrap().unwrap().version, 1);
    });
}

#[test]
fn core_3_what_is_hidden_takes_no_place_of_a_page() {
    on_both("core_3", async |t| {
        fill(&t).await;
        let observation = |id: String, patient: &str| {
            put(
                &json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"coding": [{"system": "s", "code": "c"}]},
            "subject": {"reference": format!("Patient/{patient}")}, "hasMember": [{"reference": "Observation/o-a"}]}),
            )
        };
        // More than may be included, before the ones that are visible.
        t.write((0..1100).map(|n| observation(format!("h{n}"), "b")).collect()).await.unwrap();
        t.write((0..3).map(|n| observation(format!("v{n}"), "a")).collect()).await.unwrap();
        let access = limited();
        for sort in ["", "&_sort=_id", "&_sort=-_lastUpdated", "&_sort=code", "&code=c", "&subject:Patient.name=a"] {
            let url = format!("Observation?_count=2{sort}");
            let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
            loop {
                let page = t.matches(&access, &url, cursor).await;
                assert!(page.matches.len() == 2 || page.next.is_none(), "{url}: a page that is not full");
                found.extend(ids(&page.matches));
                pages += 1;
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            found.sort();
            assert_eq!((found, pages), (["o-a", "v0", "v1", "v2"].map(str::to_owned).to_vec(), 2), "{url}");
        }
        let page = t.matches(&access, "Observation?_id=o-a&_revinclude=Observation:has-member", None).await;
        assert_eq!((ids(&page.included), page.included_cut), (["v0", "v1", "v2"].map(str::to_owned).to_vec(), false));
        // What may be seen is cut at the limit, and says so (HTTP-5).
        let page = t.matches(&everything(), "Observation?_id=o-a&_revinclude=Observation:has-member", None).await;
        assert_eq!((page.included.len(), page.included_cut), (1000, true));
        let page = HistoryPage { since: None, at: None, list: None, count: 4, cursor: None };
        let scope = HistoryScope::Type(key("Observation/x").resource_type);
        let mut history = t.store.history(&access, scope.clone(), page.clone()).await.unwrap();
        for _ in 0..500 {
            // PostgreSQL waits for whoever else of the cluster still writes.
            if history.versions.len() == 4 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            history = t.store.history(&access, scope.clone(), page.clone()).await.unwrap();
        }
        assert_eq!(ids(&history.versions), ["v2", "v1", "v0", "o-a"]);
        assert!(history.next.is_none());
    });
}

#[test]
fn scp_4_filters_bind_what_is_written_before_and_after() {
    on_both("scp_4", async |t| {
        fill(&t).await;
        let access = granted(vec![{
            let query = parsed("Observation?status=final").unwrap().query;
            (query.types[0], query.filter)
        }]);
        let observation = |id: &str, status: &str| json!({"resourceType": "Observation", "id": id, "status": status, "code": {"text": "c"}});
        t.put(&observation("f", "final")).await;
        t.put(&observation("p", "preliminary")).await;
        let patch = |id: &str, status: &str| {
            let patch = json!([{"op": "replace", "path": "/status", "value": status}]);
            let patch = Patch::json(patch.to_string()).unwrap();
            let key = key(&format!("Observation/{id}"));
            Change { action: Action::Patch { key, patch, precondition: Precondition::default() }, full_url: None }
        };
        let outcome = async |change| match t.write_as(&access, vec![change]).await {
            Ok(changed) => format!("{:?}", changed[0].outcome),
            Err(Error::Entry { error, .. }) => format!("{error:?}").split('(').next().unwrap().to_owned(),
            Err(error) => format!("{error:?}").split('(').next().unwrap().to_owned(),
        };
        for (change, expected) in [
            (post(&observation("x", "final"), None), "Created"),
            (post(&observation("x", "preliminary"), None), "Forbidden"),
            (put(&observation("f", "preliminary")), "Forbidden"),
            (put(&observation("p", "final")), "NotFound"),
            (put(&observation("f", "final")), "Unchanged"),
            (patch("f", "amended"), "Forbidden"),
            (patch("p", "final"), "NotFound"),
            (delete("Observation/p"), "Nothing"),
            (delete("Observation/f"), "Deleted"),
        ] {
            let what = format!("{:?}", change.action);
            assert_eq!(outcome(change).await, expected, "{what}");
        }
        assert_eq!(t.read("Observation/p").await.unwrap().version, 1);
        // Several entries are judged at once, and the first that is refused is named.
        t.put(&observation("f2", "final")).await;
        let several =
            vec![put(&observation("f2", "final")), delete("Observation/f2x"), put(&observation("p", "final"))];
        let refused = t.write_as(&access, several).await;
        assert!(
            matches!(&refused, Err(Error::Entry { entry: 2, error }) if matches!(**error, Error::NotFound(_))),
            "{refused:?}"
        );
    });
}
