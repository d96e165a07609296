//! Contained resources: who sees them, that their index rows are kept right, and that nobody else meets them.

use crate::store::{TestStore, delete, everything, granted, ids, key, labels, on_both, parsed, put};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use tessera_model::{
    AccessContext, Caller, Grant, Permission, Permissions, Within,
    search::{Context, NoTerminology, parse::parse},
};
use tessera_store::{Error, Location, Store as _};

/// An Observation about a Patient it contains.
fn observation(id: &str, status: &str, family: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": status, "code": {"text": "c"},
        "contained": [{"resourceType": "Patient", "id": "p", "name": [{"family": family}],
            "identifier": [{"system": "http://i", "value": "1"}]}],
        "subject": {"reference": "#p"},
    })
}

impl TestStore {
    async fn run(&self, statements: &[&'static str]) {
        match &self.location {
            Location::Sqlite(path) => {
                let url = format!("sqlite:{}", path.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                for &statement in statements {
                    connection.execute(statement).await.unwrap();
                }
            }
            Location::Postgres(url) => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                for &statement in statements {
                    connection.execute(statement).await.unwrap();
                }
            }
        }
    }
}

#[test]
fn core_2_what_is_contained_is_seen_through_its_container() {
    on_both("core_2_contained", async |t| {
        t.put(&observation("open", "final", "Chalmers")).await;
        t.put(&observation("hidden", "amended", "Chalmers")).await;
        t.put(&json!({"resourceType": "Patient", "id": "own", "name": [{"family": "Chalmers"}]})).await;
        let seeing = |urls: &[&str]| {
            let visible = urls.iter().map(|url| parsed(url).unwrap().query).map(|q| (q.types[0], q.filter));
            granted(visible.collect())
        };
        let found = async |access: &AccessContext, url: &str| {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = t.matches(access, &format!("{url}&_count=1"), cursor).await;
                assert!(page.next.is_none() || page.matches.len() == 1, "a page that is not full");
                found.extend(labels(&page));
                cursor = page.next;
                if cursor.is_none() {
                    let total = t.matches(access, &format!("{url}&_summary=count"), None).await.total;
                    assert_eq!(total, i64::try_from(found.len()).ok(), "{url}");
                    return found;
                }
            }
        };
        let finals = seeing(&["Observation?status=final", "Patient?_id:not=x"]);
        let patients = seeing(&["Patient?family=nobody"]);
        for by in ["family=chalmers", "identifier=http://i|1", "_id=p", "family:missing=false", "gender:missing=true"] {
            let contained = format!("Patient?{by}&_contained=true");
            let alone = format!("{contained}&_containedType=contained");
            assert_eq!(found(&everything(), &alone).await, ["hidden#1", "open#1"], "{by}");
            assert_eq!(found(&finals, &contained).await, ["open"], "{by}");
            assert_eq!(found(&finals, &alone).await, ["open#1"], "{by}");
            assert!(found(&patients, &alone).await.is_empty(), "{by}");
        }
        assert_eq!(found(&finals, "Patient?family=chalmers&_contained=both").await, ["open", "own"]);
        assert_eq!(found(&finals, "Patient?family=chalmers&_contained=both&_sort=_id").await, ["open", "own"]);
        // Whoever sees the container sees what stands in it, whatever else they see of that type.
        let no_patients = seeing(&["Observation?status=final", "Patient?family=nobody"]);
        for by in ["family=chalmers", "identifier=http://i|1", "_id=p"] {
            assert_eq!(found(&no_patients, &format!("Observation?subject:Patient.{by}")).await, ["open"], "{by}");
        }
        // But whoever may not search a type at all may not ask of it.
        let query = parsed("Observation?subject:Patient.family=chalmers").unwrap().query;
        let refused = t.store.search(&seeing(&["Observation?status=final"]), query, None).await;
        assert!(matches!(refused, Err(Error::Forbidden)));
        t.is_sound().await;
    });
}

#[test]
fn no_other_search_meets_what_is_contained() {
    on_both("contained_elsewhere", async |t| {
        t.put(&json!({"resourceType": "Organization", "id": "o"})).await;
        let mut value = observation("c", "final", "Chalmers");
        value["contained"][0]["managingOrganization"] = json!({"reference": "Organization/o"});
        t.put(&value).await;
        for url in [
            "Patient?family=chalmers",
            "Patient?identifier=http://i|1",
            "Patient?organization=Organization/o",
            "Patient?organization=Organization/o&_sort=family",
            "Patient?_id=p",
            "Patient?gender:missing=true",
            "Patient?_has:Observation:patient:status=final",
            "Organization?_has:Patient:organization:family=chalmers",
        ] {
            let page = t.matches(&everything(), url, None).await;
            assert!(page.matches.is_empty(), "{url}: {:?}", ids(&page.matches));
            assert_eq!(t.matches(&everything(), &format!("{url}&_summary=count"), None).await.total, Some(0), "{url}");
        }
        let page = t.matches(&everything(), "Organization?_revinclude=Patient:organization", None).await;
        assert!(page.included.is_empty());
        let page = t.matches(&everything(), "Observation?_include=Observation:subject&_revinclude=*", None).await;
        assert!(page.included.is_empty());
        // A cursor that someone has made up.
        let page = t.matches(&everything(), "Patient?identifier=http://i|1", Some("i-9000000000_i9_".into())).await;
        assert!(page.matches.is_empty());
    });
}

#[test]
fn rel_5_check_repairs_what_a_database_lacks_that_is_older_than_these_rows() {
    on_both("rel_5_contained", async |t| {
        for n in 0..3 {
            t.put(&observation(&format!("o{n}"), "final", "Chalmers")).await;
        }
        let query = "Patient?family=chalmers&_contained=true";
        assert_eq!(t.search(query).await, ["o0", "o1", "o2"]);
        let statements = [
            "DELETE FROM contained",
            "DELETE FROM idx_string WHERE rid < 0",
            "DELETE FROM idx_reference WHERE target < 0",
            "INSERT INTO contained (rid, type, id) VALUES (-1048577, 1, 'nobody')",
        ];
        t.run(&statements).await;
        assert!(t.search(query).await.is_empty());
        let report = t.store.check(true).await.unwrap();
        assert!(report.count > 9, "{report:?}");
        assert!(report.differences.iter().any(|d| d.resource.starts_with("Observation/")), "{report:?}");
        assert_eq!(t.search(query).await, ["o0", "o1", "o2"]);
        assert_eq!(t.search("Observation?subject:Patient.family=chalmers").await, ["o0", "o1", "o2"]);
        t.is_sound().await;
    });
}

#[test]
fn an_update_and_a_deletion_replace_the_rows_of_what_is_contained() {
    on_both("contained_update", async |t| {
        t.put(&observation("a", "final", "Chalmers")).await;
        t.put(&observation("a", "final", "Windsor")).await;
        assert!(t.search("Patient?family=chalmers&_contained=true").await.is_empty());
        assert_eq!(t.search("Patient?family=windsor&_contained=true").await, ["a"]);
        t.is_sound().await;
        t.write(vec![delete("Observation/a")]).await.unwrap();
        assert!(t.search("Patient?_contained=true").await.is_empty());
        t.is_sound().await;
        t.put(&observation("a", "final", "Windsor")).await;
        assert_eq!(t.search("Patient?_contained=true").await, ["a"]);
        t.is_sound().await;
    });
}

#[test]
fn a_stored_parameter_finds_what_was_contained_before_it() {
    on_both("contained_parameter", async |t| {
        // More of each than one step indexes, and more contained ones in one resource.
        let many: Vec<Value> = (0..250).map(|n| json!({"resourceType": "Patient", "id": format!("c{n}")})).collect();
        let mut crowd = observation("crowd", "final", "Pete");
        crowd["contained"].as_array_mut().unwrap().extend(many);
        t.put(&crowd).await;
        for chunk in 0..3 {
            let patients = (0..100).map(|n| json!({"resourceType": "Patient", "id": format!("p{chunk}-{n}")}));
            let observations = (0..100).map(|n| observation(&format!("o{chunk}-{n}"), "final", "Pete"));
            let changes = patients.zip(observations).flat_map(|(a, b)| [put(&a), put(&b)]);
            t.write(changes.collect()).await.unwrap();
        }
        t.put(&json!({
            "resourceType": "SearchParameter", "id": "kin", "url": "http://example.org/kin", "status": "active",
            "name": "X", "description": "x", "code": "kin", "base": ["Patient"], "type": "string",
            "expression": "%resource.name.select(family & '')",
        }))
        .await;
        let mut steps = 0;
        while t.store.index_step().await.unwrap() {
            steps += 1;
        }
        assert!(steps > 3, "{steps}");
        t.put(&observation("later", "final", "Pete")).await;
        let definitions = t.store.definitions();
        let context = Context {
            definitions: &definitions,
            base: crate::store::BASE,
            now: 0,
            lenient: false,
            terminology: &NoTerminology,
        };
        let total = async |name: &str, parameters: &[(&str, &str)]| {
            let parameters: Vec<_> = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let of_type = definitions.resource_type(name).unwrap();
            let query = parse(&[of_type], &parameters, context).unwrap().query;
            t.store.search(&everything(), query, None).await.unwrap().total
        };
        let count = ("_summary", "count");
        assert_eq!(total("Patient", &[("kin", "pete"), ("_contained", "true"), count]).await, Some(302));
        assert_eq!(total("Observation", &[("subject:Patient.kin", "pete"), count]).await, Some(302));
        assert_eq!(total("Patient", &[("kin", "pete"), count]).await, Some(0));
        t.is_sound().await;
        t.write(vec![delete("SearchParameter/kin")]).await.unwrap();
        while t.store.index_step().await.unwrap() {}
        t.is_sound().await;
    });
}

#[test]
fn cmp_1_who_is_contained_has_no_record_here_and_others_that_are_change_nothing() {
    on_both("cmp_1_contained", async |t| {
        t.put(&json!({"resourceType": "Patient", "id": "a"})).await;
        let about = |id: &str, subject: Value, performer: Value| {
            let contained = [
                json!({"resourceType": "Patient", "id": "p"}),
                json!({"resourceType": "Practitioner", "id": "d", "name": [{"family": "House"}]}),
                json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "c"},
                    "subject": {"reference": "Patient/b"}}),
            ];
            json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "c"},
                "contained": contained, "subject": subject, "performer": [performer]})
        };
        let refer = |text: &str| json!({"reference": text});
        t.put(&about("own", refer("Patient/a"), refer("#d"))).await;
        t.put(&about("contained", refer("#p"), refer("Patient/a"))).await;
        t.put(&about("nobody", refer("#p"), refer("#d"))).await;
        let patient = |id: &str| {
            let within = Within::Patient(key(&format!("Patient/{id}")).id);
            let permissions = Permissions::of(&[Permission::Read, Permission::Search]);
            let grant = Grant { within, resource_type: None, permissions, filter: tessera_model::Filter::always() };
            AccessContext::granted(Caller::of_client("app"), vec![grant], false)
        };
        let search = async |access: &AccessContext, url: &str| ids(&t.matches(access, url, None).await.matches);
        assert_eq!(search(&patient("a"), "Observation").await, ["own"]);
        assert_eq!(search(&patient("a"), "Observation?performer:Practitioner.name=house").await, ["own"]);
        for url in ["Observation?_contained=true", "Practitioner?name=house&_contained=true"] {
            assert_eq!(search(&patient("a"), url).await, ["own"], "{url}");
            assert!(search(&patient("b"), url).await.is_empty(), "{url}");
        }
        t.is_sound().await;
    });
}
