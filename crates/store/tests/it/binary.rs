//! Who sees a Binary: <https://hl7.org/fhir/R4/binary.html#security>, CMP-1.

use crate::store::{BASE, TestStore, delete, everything, granted, ids, key, on_both, parsed, post, put};
use serde_json::{Value, json};
use tessera_model::{AccessContext, Caller, Filter, Grant, Permission, Permissions, Within};
use tessera_store::{Error, HistoryPage, HistoryScope, Outcome, Store as _};

fn of_a(permissions: Permissions) -> AccessContext {
    let within = Within::Patient(key("Patient/a").id);
    let grant = Grant { within, resource_type: None, permissions, filter: Filter::always() };
    AccessContext::granted(Caller::of_client("app"), vec![grant], false)
}

/// Everything of these types, of patients a alone.
fn of_types(names: &[&str]) -> AccessContext {
    let of = |name: &&str| {
        let url = if *name == "Patient" { "Patient?_id=a" } else { name };
        let query = parsed(url).unwrap().query;
        let filter = if *name == "Patient" { query.filter } else { Filter::always() };
        (query.types[0], filter)
    };
    granted(names.iter().map(of).collect())
}

fn binary(id: &str, context: Option<&str>) -> Value {
    let mut binary = json!({"resourceType": "Binary", "id": id, "contentType": "text/plain", "data": "aGk="});
    if let Some(context) = context {
        binary["securityContext"] = json!({"reference": context});
    }
    binary
}

fn document(id: &str, patient: &str, url: &str) -> Value {
    json!({"resourceType": "DocumentReference", "id": id, "status": "current", "subject": {"reference": format!("Patient/{patient}")},
        "content": [{"attachment": {"contentType": "text/plain", "url": url}}]})
}

/// The security context of each Binary that is not just pointed to.
const CONTEXTS: [(&str, &str); 8] = [
    ("of-a", "Patient/a"),
    ("of-oa", "Observation/oa"),
    ("of-b", "Patient/b"),
    ("of-ob", "Observation/ob"),
    ("of-org", "Organization/org"),
    ("of-none", "Patient/none"),
    ("elsewhere", "http://there/Patient/a"),
    ("of-binary", "Binary/of-a"),
];

async fn fill(t: &TestStore) {
    for p in ["a", "b"] {
        t.put(&json!({"resourceType": "Patient", "id": p})).await;
        t.put(&json!({"resourceType": "Observation", "id": format!("o{p}"), "status": "final", "code": {"text": "c"},
            "subject": {"reference": format!("Patient/{p}")}}))
            .await;
    }
    t.put(&json!({"resourceType": "Organization", "id": "org", "name": "O"})).await;
    for (id, context) in CONTEXTS {
        t.put(&binary(id, Some(context))).await;
    }
    for id in ["plain", "pointed", "absolute", "media", "of-both", "pointed-b"] {
        t.put(&binary(id, None)).await;
    }
    t.put(&document("d1", "a", "Binary/pointed")).await;
    t.put(&json!({"resourceType": "DiagnosticReport", "id": "d2", "status": "final", "code": {"text": "c"},
        "subject": {"reference": "Patient/a"}, "presentedForm": [{"url": format!("{BASE}/Binary/absolute/_history/1")}]}))
        .await;
    t.put(&json!({"resourceType": "Media", "id": "d3", "status": "completed", "subject": {"reference": "Patient/a"},
        "content": {"url": "Binary/media"}}))
        .await;
    for p in ["a", "b"] {
        t.put(&document(&format!("d4{p}"), p, "Binary/of-both")).await;
    }
    t.put(&document("d5", "b", "Binary/pointed-b")).await;
    // What points to content does not open what has a context of its own.
    t.put(&document("d6", "a", "Binary/of-b")).await;
    t.put(&document("d7", "a", "http://there/Binary/plain")).await;
}

fn page() -> HistoryPage {
    HistoryPage { since: None, at: None, list: None, count: 100, cursor: None }
}

/// Exactly these are read, found and in histories, and nothing else is.
async fn sees(t: &TestStore, access: &AccessContext, expected: &[&str]) {
    let mut all: Vec<&str> = CONTEXTS.iter().map(|(id, _)| *id).collect();
    all.extend(["plain", "pointed", "absolute", "media", "of-both", "pointed-b"]);
    let seen: Vec<&str> = all.iter().copied().filter(|id| expected.contains(id)).collect();
    assert_eq!(seen.len(), expected.len());
    let mut found = Vec::new();
    for id in all {
        let key = key(&format!("Binary/{id}"));
        let read = t.store.read(access, &key).await.unwrap().is_some();
        let vread = t.store.vread(access, &key, 1).await.unwrap().is_some();
        let history = t.store.history(access, HistoryScope::Instance(key.clone()), page()).await.unwrap();
        assert_eq!((vread, !history.versions.is_empty()), (read, read), "{id}");
        found.extend(read.then_some(id));
    }
    assert_eq!(found, seen);
    assert_eq!(ids(&t.matches(access, "Binary?_count=100", None).await.matches), seen);
    assert_eq!(ids(&t.matches(access, "?_type=Binary&_count=100", None).await.matches), seen);
    assert_eq!(t.matches(access, "Binary?_summary=count", None).await.total, Some(i64::try_from(seen.len()).unwrap()));
}

#[test]
fn cmp_1_a_binary_is_seen_by_whom_its_security_context_is_seen_by() {
    on_both("cmp_1_binary", async |t| {
        fill(&t).await;
        sees(&t, &of_a(Permissions::ALL), &["of-a", "of-oa", "of-org", "pointed", "absolute", "media", "of-both"])
            .await;
        let unsecured = ["plain", "pointed", "absolute", "media", "of-both", "pointed-b"];
        let with = |more: &[&'static str]| [more, &unsecured].concat();
        sees(&t, &of_types(&["Patient", "Binary"]), &with(&["of-a"])).await;
        sees(&t, &of_types(&["Binary"]), &unsecured).await;
        sees(&t, &of_types(&["Observation", "Organization", "Binary"]), &with(&["of-oa", "of-ob", "of-org"])).await;
        sees(&t, &of_types(&["Patient", "Observation"]), &[]).await;
        let all: Vec<&str> = CONTEXTS.iter().map(|(id, _)| *id).chain(unsecured).collect();
        sees(&t, &everything(), &all).await;
        let grant = Grant {
            within: Within::Everything,
            resource_type: None,
            permissions: Permissions::ALL,
            filter: Filter::always(),
        };
        sees(&t, &AccessContext::granted(Caller::of_client("c"), vec![grant], false), &all).await;
        // To read it takes the right to read what is decisive.
        let search = of_a(Permissions::of(&[Permission::Search]));
        assert!(t.matches(&search, "Binary", None).await.matches.is_empty());
        t.is_sound().await;
    });
}

#[test]
fn cmp_1_a_binary_is_hidden_in_includes_and_its_past_is() {
    on_both("cmp_1_binary_past", async |t| {
        fill(&t).await;
        let access = of_a(Permissions::ALL);
        let entry = |text: &str| json!({"item": {"reference": text}});
        t.put(&json!({"resourceType": "List", "id": "l", "status": "current", "mode": "working", "subject": {"reference": "Patient/a"},
            "entry": [entry("Binary/of-a"), entry("Binary/of-b"), entry("Binary/plain"), entry("Binary/pointed")]}))
            .await;
        for url in ["List?_include=List:item", "List?_include=*"] {
            let included = t.matches(&access, url, None).await.included;
            let of_type = included.iter().filter(|v| v.key.resource_type == key("Binary/x").resource_type);
            assert_eq!(of_type.map(|v| v.key.id.to_string()).collect::<Vec<_>>(), ["of-a", "pointed"], "{url}");
        }
        // `*` means search parameters: what the index holds for access alone is none.
        let included = t.matches(&everything(), "DocumentReference?_id=d1&_include=*", None).await.included;
        assert_eq!(ids(&included), ["a"]);
        // Moved from b to a, and from a to b.
        let (moved, given) = (key("Binary/of-b"), key("Binary/of-a"));
        t.put(&binary("of-b", Some("Patient/a"))).await;
        t.put(&binary("of-a", Some("Patient/b"))).await;
        assert!(t.store.vread(&access, &moved, 1).await.unwrap().is_none());
        assert!(t.store.vread(&access, &moved, 2).await.unwrap().is_some());
        assert!(t.store.read(&access, &given).await.unwrap().is_none());
        assert!(t.store.vread(&access, &given, 1).await.unwrap().is_none());
        // The patient's own: its past is theirs, too.
        t.put(&binary("own", Some("Patient/a"))).await;
        t.put(&json!({"resourceType": "Binary", "id": "own", "contentType": "a/b", "securityContext": {"reference": "Patient/a"}})).await;
        assert!(t.store.vread(&access, &key("Binary/own"), 1).await.unwrap().is_some());
        // What is deleted says nothing of whose it was.
        let policy = of_types(&["Patient", "Binary"]);
        t.write(vec![delete("Binary/of-ob"), delete("Binary/plain")]).await.unwrap();
        for (access, text) in [(&policy, "Binary/of-ob"), (&access, "Binary/of-ob"), (&access, "Binary/plain")] {
            assert!(t.store.read(access, &key(text)).await.unwrap().is_none(), "{text}");
            let history = t.store.history(access, HistoryScope::Instance(key(text)), page()).await.unwrap();
            assert!(history.versions.is_empty(), "{text}");
        }
        t.is_sound().await;
    });
}

#[test]
fn cmp_5_a_binary_is_written_by_whom_its_security_context_is_seen_by() {
    on_both("cmp_5_binary", async |t| {
        fill(&t).await;
        let (patient, policy) = (of_a(Permissions::ALL), of_types(&["Patient", "Binary"]));
        let forbidden = async |access: &AccessContext, change| match t.write_as(access, vec![change]).await {
            Err(Error::Forbidden) => Ok(true),
            Err(Error::Entry { error, .. }) if matches!(*error, Error::Forbidden) => Ok(true),
            Err(error) => Err(error),
            Ok(_) => Ok(false),
        };
        let new = |context| post(&binary("x", context), None);
        for (context, by_patient, by_policy) in [
            (Some("Patient/a"), false, false),
            (Some("Observation/oa"), false, true),
            (Some("Patient/b"), true, true),
            (Some("Observation/ob"), true, true),
            (Some("Organization/org"), true, true),
            (Some("Patient/none"), true, true),
            (Some("http://there/Patient/a"), true, true),
            (Some("Binary/of-a"), true, true),
            (None, true, false),
        ] {
            assert_eq!(forbidden(&patient, new(context)).await.unwrap(), by_patient, "{context:?}");
            assert_eq!(forbidden(&policy, new(context)).await.unwrap(), by_policy, "{context:?}");
        }
        for access in [&patient, &policy] {
            let not_there = forbidden(access, put(&binary("of-b", Some("Patient/a")))).await;
            assert!(matches!(not_there, Err(Error::Entry { error, .. }) if matches!(*error, Error::NotFound(_))));
            assert!(forbidden(access, put(&binary("of-a", Some("Patient/b")))).await.unwrap(), "given away");
            let deleted = t.write_as(access, vec![delete("Binary/of-b")]).await.unwrap();
            assert_eq!(deleted[0].outcome, Outcome::Nothing);
        }
        // Who points to content sees it: so it must be theirs already.
        let pointing = |url: &str| post(&document("x", "a", url), None);
        for (url, refused) in [
            ("Binary/of-a", false),
            ("http://there/Binary/of-b", false),
            ("Binary/of-b", true),
            ("Binary/plain", true),
            ("Binary/pointed-b", true),
            ("Binary/none", true),
            ("Binary/of-oa", true),
        ] {
            assert_eq!(forbidden(&patient, pointing(url)).await.unwrap(), refused, "{url}");
        }
        assert!(forbidden(&patient, put(&document("d7", "a", "Binary/plain"))).await.unwrap());
        t.is_sound().await;
    });
}
