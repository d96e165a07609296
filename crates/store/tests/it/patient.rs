//! One patient's record, and nothing of another's: security rules CMP-1 to CMP-6, on both databases.

use crate::store::{BASE, TestStore, delete, ids, key, on_both, parsed, post, put};
use serde_json::{Value, json};
use tessera_model::{
    AccessContext, Caller, Filter, Grant, Patch, Permissions, Within,
    interaction::query_pairs,
    search::{Context, NoTerminology, parse::parse},
};
use tessera_store::{
    Action, Change, Error, HistoryPage, HistoryScope, HistoryVersions, Outcome, Precondition, Store as _,
};

/// May do what is granted within the record of patient a.
fn of_a(scopes: &[(&str, Permissions)]) -> AccessContext {
    of("Patient/a", scopes)
}

fn of(patient: &str, scopes: &[(&str, Permissions)]) -> AccessContext {
    let grant = |(url, permissions): &(&str, Permissions)| {
        let (name, query) = url.split_once('?').unwrap_or((url, ""));
        let filter = if query.is_empty() { Filter::always() } else { parsed(url).unwrap().query.filter };
        let resource_type = (name != "*").then(|| parsed(name).unwrap().query.types[0]);
        Grant { within: Within::Patient(key(patient).id), resource_type, permissions: *permissions, filter }
    };
    AccessContext::granted(Caller::of_client("app"), scopes.iter().map(grant).collect(), false)
}

fn all_of_a() -> AccessContext {
    of_a(&[("*", Permissions::ALL)])
}

fn observation(id: &str, subject: &str, more: &Value) -> Value {
    let mut observation = json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "c"},
        "subject": {"reference": subject}});
    observation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    observation
}

async fn fill(t: &TestStore) {
    for id in ["a", "b"] {
        t.put(&json!({"resourceType": "Patient", "id": id, "name": [{"family": id}],
            "generalPractitioner": [{"reference": "Practitioner/p"}], "link": [{"other": {"reference": "Patient/b"}, "type": "seealso"}]}))
            .await;
    }
    t.put(&json!({"resourceType": "Practitioner", "id": "p", "name": [{"family": "Doe"}], "birthDate": "1970-01-01",
        "telecom": [{"system": "phone", "value": "555"}], "address": [{"city": "Hidden"}]}))
        .await;
    t.put(&observation("a1", "Patient/a", &json!({"performer": [{"reference": "Practitioner/p"}]}))).await;
    t.put(&observation("b1", "Patient/b", &json!({}))).await;
    t.put(&observation("mixed", "Patient/a", &json!({"performer": [{"reference": "Patient/b"}]}))).await;
    t.put(&observation("elsewhere", "Patient/a", &json!({"performer": [{"reference": "http://there/Patient/9"}]})))
        .await;
    let named = json!({"performer": [{"display": "Dr. Doe"}, {"identifier": {"value": "1"}}]});
    t.put(&observation("named", "Patient/a", &named)).await;
    t.put(&observation("focus", "Patient/a", &json!({"focus": [{"reference": "Patient/b"}]}))).await;
    t.put(&json!({"resourceType": "Device", "id": "d-a", "patient": {"reference": "Patient/a"}})).await;
    t.put(&json!({"resourceType": "Device", "id": "d-b", "patient": {"reference": "Patient/b"}})).await;
    t.put(&json!({"resourceType": "Device", "id": "shelf"})).await;
    t.put(
        &json!({"resourceType": "Coverage", "id": "c-b", "status": "active", "beneficiary": {"reference": "Patient/b"},
        "subscriber": {"reference": "Patient/a"}, "payor": [{"reference": "Patient/a"}]}),
    )
    .await;
    t.put(&json!({"resourceType": "Basic", "id": "x", "code": {"text": "x"}, "subject": {"reference": "Patient/a"}}))
        .await;
    t.put(&json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true, "member": [{"entity": {"reference": "Patient/a"}}]}))
        .await;
    for (id, targets) in [
        ("pr-a", vec!["Observation/a1"]),
        ("pr-b", vec!["Observation/b1"]),
        ("pr-both", vec!["Observation/a1", "Observation/b1"]),
    ] {
        let target: Vec<Value> = targets.iter().map(|t| json!({"reference": t})).collect();
        t.put(&json!({"resourceType": "Provenance", "id": id, "target": target, "recorded": "2020-01-01T00:00:00Z",
            "agent": [{"who": {"reference": "Practitioner/p"}}]}))
            .await;
    }
}

/// On PostgreSQL a history of a type ends before whatever transaction is still running, other tests' too: it is asked until it
/// has gone on.
async fn history(t: &TestStore, access: &AccessContext, page: HistoryPage, versions: usize) -> HistoryVersions {
    let mut tries = 0;
    loop {
        let scope = HistoryScope::Type(key("Observation/x").resource_type);
        let history = t.store.history(access, scope, page.clone()).await.unwrap();
        if history.versions.len() >= versions || tries > 200 {
            return history;
        }
        tries += 1;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn found(t: &TestStore, access: &AccessContext, url: &str) -> Vec<String> {
    ids(&t.matches(access, url, None).await.matches)
}

#[test]
fn cmp_2_a_patient_sees_what_is_theirs_alone_and_what_is_nobodys() {
    on_both("cmp_2", async |t| {
        fill(&t).await;
        let access = all_of_a();
        assert_eq!(found(&t, &access, "Patient").await, ["a"], "links are not followed");
        assert_eq!(found(&t, &access, "Observation").await, ["a1", "named", "focus"]);
        assert_eq!(found(&t, &access, "Observation?status=final").await, ["a1", "named", "focus"]);
        assert_eq!(found(&t, &access, "Observation?patient=Patient/b").await, [""; 0]);
        assert_eq!(found(&t, &access, "Device").await, ["d-a", "shelf"]);
        assert_eq!(found(&t, &access, "Coverage").await, [""; 0], "the beneficiary counts");
        assert_eq!(found(&t, &access, "Provenance").await, ["pr-a"], "every target is visible");
        let other = of("Patient/b", &[("*", Permissions::ALL)]);
        assert_eq!(found(&t, &other, "Observation").await, ["b1"], "what belongs to both is neither's");
        for hidden in ["Basic", "Group"] {
            assert!(found(&t, &access, hidden).await.is_empty(), "{hidden}");
        }
        let all = found(&t, &access, "?_count=100").await;
        assert_eq!(all, ["a", "p", "a1", "named", "focus", "d-a", "shelf", "pr-a"]);
        assert_eq!(t.matches(&access, "Observation?_summary=count", None).await.total, Some(3));
        for (text, seen) in [("Observation/a1", true), ("Observation/mixed", false), ("Observation/b1", false)] {
            assert_eq!(t.store.read(&access, &key(text)).await.unwrap().is_some(), seen, "{text}");
        }
        t.is_sound().await;
    });
}

#[test]
fn cmp_3_a_practitioner_is_shown_without_what_is_private_and_that_is_not_searched() {
    on_both("cmp_3", async |t| {
        fill(&t).await;
        let access = all_of_a();
        let seen = t.store.read(&access, &key("Practitioner/p")).await.unwrap().unwrap().body;
        assert!(seen.contains("Doe") && !seen.contains("555") && !seen.contains("Hidden") && !seen.contains("1970"));
        let included = t.matches(&access, "Patient?_include=Patient:general-practitioner", None).await.included;
        assert!(!included[0].body.contains("555"));
        let refused = |url: &'static str| t.store.search(&access, parsed(url).unwrap().query, None);
        for url in [
            "Practitioner?phone=555",
            "Patient?general-practitioner:Practitioner.address-city=Hidden",
            "Practitioner?_content=555",
            "Practitioner?_sort=phone",
        ] {
            assert!(matches!(refused(url).await, Err(Error::Forbidden)), "{url}");
        }
        assert_eq!(found(&t, &access, "Practitioner?family=Doe").await, ["p"]);
        let practitioner = json!({"resourceType": "Practitioner", "id": "p", "name": [{"family": "Mine"}]});
        assert!(t.write_as(&access, vec![put(&practitioner)]).await.is_err(), "shared data is not written");
        assert!(t.write_as(&access, vec![post(&practitioner, None)]).await.is_err());
    });
}

#[test]
fn cmp_3_stored_parameters_do_not_find_what_is_withheld_either() {
    on_both("cmp_3_stored", async |t| {
        let parameter = |code: &str, base: &str, of_type: &str, expression: &str| {
            json!({"resourceType": "SearchParameter", "id": code, "url": format!("http://x/{code}"), "status": "active",
            "name": "X", "description": "x", "code": code, "base": [base], "type": of_type, "expression": expression})
        };
        for (code, base, of_type, expression) in [
            ("mobile", "Practitioner", "token", "Practitioner.telecom.where(use='mobile')"),
            ("town", "Practitioner", "string", "Practitioner.address.city.lower()"),
            ("all", "Practitioner", "string", "Practitioner.descendants().ofType(string)"),
            ("via", "Practitioner", "reference", "Practitioner.telecom.extension('http://x').value.ofType(Reference)"),
            ("inner", "Observation", "string", "Observation.contained.telecom.value"),
            ("trained", "Practitioner", "string", "Practitioner.qualification.code.text"),
            ("school", "Practitioner", "string", "Practitioner.qualification.identifier.value"),
        ] {
            t.put(&parameter(code, base, of_type, expression)).await;
        }
        let mut composite = parameter("pair", "Practitioner", "composite", "Practitioner");
        composite["component"] = json!([{"definition": "http://hl7.org/fhir/SearchParameter/individual-telecom", "expression": "telecom"},
            {"definition": "http://hl7.org/fhir/SearchParameter/individual-address-city", "expression": "address.city"}]);
        t.put(&composite).await;
        fill(&t).await;
        t.put(&json!({"resourceType": "Practitioner", "id": "p", "name": [{"family": "Doe"}],
            "telecom": [{"system": "phone", "value": "555", "use": "mobile",
                "extension": [{"url": "http://x", "valueReference": {"reference": "Organization/o"}}]}],
            "address": [{"city": "Hidden"}], "qualification": [{"identifier": [{"value": "S"}], "code": {"text": "md"}}]}))
            .await;
        t.put(&json!({"resourceType": "Organization", "id": "o", "name": "O"})).await;
        let inner = json!({"contained": [{"resourceType": "Practitioner", "id": "k", "telecom": [{"value": "777"}]}],
            "performer": [{"reference": "#k"}]});
        t.put(&observation("inner", "Patient/a", &inner)).await;
        let definitions = t.store.definitions();
        let search = async |access: &AccessContext, url: &str| {
            let (name, query) = url.split_once('?').unwrap();
            let context =
                Context { definitions: &definitions, base: BASE, now: 0, lenient: false, terminology: &NoTerminology };
            let types: Vec<_> = definitions.resource_type(name).into_iter().collect();
            let query = parse(&types, &query_pairs(query), context).unwrap().query;
            t.store.search(access, query, None).await.map(|found| ids(&found.matches))
        };
        let (patient, everybody) = (all_of_a(), crate::store::everything());
        for url in [
            "Practitioner?mobile=555",
            "Practitioner?mobile:not=555",
            "Practitioner?mobile:missing=false",
            "Practitioner?_filter=mobile eq 555",
            "Practitioner?town=hidden",
            "Practitioner?all=hidden",
            "Practitioner?all:contains=idde",
            "Practitioner?_sort=town",
            "Practitioner?_sort=-family,mobile",
            "Practitioner?pair=555$hidden",
            "Patient?general-practitioner:Practitioner.town=hidden",
            "Organization?_has:Practitioner:via:family=Doe",
            "Practitioner?via=Organization/o",
            "Practitioner?via:Organization.name=O",
            "Practitioner?_include=Practitioner:via",
            "Practitioner?_include=*",
            "Organization?_revinclude=Practitioner:via",
            "Organization?_revinclude=*",
            "Observation?inner=777",
            "Observation?_contained=both&inner=777",
            "Practitioner?_contained=true&all=777",
            "?_type=Practitioner&mobile=555",
        ] {
            assert!(matches!(search(&patient, url).await, Err(Error::Forbidden)), "{url}");
            let found = search(&everybody, url).await.unwrap();
            assert!(!found.is_empty() || url.contains(":not"), "{url} finds something for others");
        }
        // The narrative is withheld, so a `text` is not searched; what is harmless is.
        assert!(search(&patient, "Practitioner?trained=md").await.is_err());
        assert_eq!(search(&patient, "Practitioner?school=S").await.unwrap(), ["p"]);
        let grant = |within, resource_type: &str, filter| Grant {
            within,
            resource_type: definitions.resource_type(resource_type),
            permissions: Permissions::ALL,
            filter,
        };
        let with = |other: Grant| {
            let own = grant(Within::Patient(key("Patient/a").id), "*", Filter::always());
            AccessContext::granted(Caller::of_client("app"), vec![own, other], false)
        };
        let of_some = parsed("Practitioner?family=Doe").unwrap().query.filter;
        let (all, some) = (Filter::always(), of_some);
        let url = "Practitioner?mobile=555";
        assert!(search(&with(grant(Within::Everything, "Practitioner", all)), url).await.is_ok());
        assert!(search(&with(grant(Within::Everything, "Practitioner", some)), url).await.is_err(), "not of all");
        assert!(search(&with(grant(Within::Everything, "Patient", Filter::always())), url).await.is_err());
    });
}

#[test]
fn cmp_3_what_is_withheld_is_withheld_in_what_is_contained_too() {
    on_both("cmp_3_contained", async |t| {
        fill(&t).await;
        let inner = |note: &str| {
            let doctor = json!({"resourceType": "Practitioner", "id": "k", "name": [{"family": "Inner"}],
                "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">secret777</div>"},
                "telecom": [{"value": "secret777"}], "birthDate": "1977-07-07", "address": [{"text": "secret777"}]});
            let house =
                json!({"resourceType": "Organization", "id": "h", "name": "House", "telecom": [{"value": "888"}]});
            observation(
                "inner",
                "Patient/a",
                &json!({"contained": [house, doctor], "note": [{"text": note}],
                "performer": [{"reference": "#k"}, {"reference": "#h"}], "hasMember": [{"reference": "Observation/a1"}]}),
            )
        };
        t.put(&inner("before")).await;
        t.put(&inner("now")).await;
        let access = all_of_a();
        let is_part = |body: &str| {
            for shown in ["Inner", "House", "888", "SUBSETTED"] {
                assert!(body.contains(shown), "{shown}: {body}");
            }
            assert!(!body.contains("secret777") && !body.contains("1977"), "{body}");
        };
        let inner_key = key("Observation/inner");
        is_part(&t.store.read(&access, &inner_key).await.unwrap().unwrap().body);
        is_part(&t.store.vread(&access, &inner_key, 1).await.unwrap().unwrap().body);
        let page = HistoryPage { since: None, at: None, list: None, count: 100, cursor: None };
        let history = t.store.history(&access, HistoryScope::Instance(inner_key.clone()), page).await.unwrap();
        history.versions.iter().for_each(|version| is_part(&version.body));
        for url in [
            "Observation?_id=inner",
            "Observation?_contained=both&_id=inner",
            "Practitioner?_contained=true&family=inner",
            "Practitioner?_contained=true&_containedType=contained&family=inner",
            "Observation?performer:Practitioner.family=inner",
        ] {
            let found = t.matches(&access, url, None).await.matches;
            assert_eq!(ids(&found), ["inner"], "{url}");
            is_part(&found[0].body);
        }
        is_part(
            &t.matches(&access, "Observation?_id=a1&_revinclude=Observation:has-member", None).await.included[0].body,
        );
        // A patch keeps what its sender is not shown, and does not show it.
        let patch =
            Patch::json(r#"[{"op": "replace", "path": "/note/0/text", "value": "patched"}]"#.to_owned()).unwrap();
        let action = Action::Patch { key: inner_key, patch, precondition: Precondition::default() };
        let changed = t.write_as(&access, vec![Change { action, full_url: None }]).await.unwrap();
        is_part(&changed[0].version.as_ref().unwrap().body);
        assert!(t.read("Observation/inner").await.unwrap().body.contains("secret777"));
        // Nor is it searched.
        for url in [
            "Practitioner?_contained=true&phone=secret777",
            "Practitioner?_contained=both&_content=secret777",
            "Practitioner?_contained=true&_text=secret777",
            "Observation?performer:Practitioner.phone=secret777",
            "?_contained=both&_content=secret777",
        ] {
            assert!(
                matches!(t.store.search(&access, parsed(url).unwrap().query, None).await, Err(Error::Forbidden)),
                "{url}"
            );
        }
        assert_eq!(found(&t, &access, "Observation?_content=secret777").await, [""; 0]);
        assert_eq!(found(&t, &access, "Observation?_content=inner").await, ["inner"]);
        // Others are shown all of it.
        assert!(
            t.matches(&crate::store::everything(), "Practitioner?_contained=true&_content=secret777", None)
                .await
                .matches[0]
                .body
                .contains("1977")
        );
        t.is_sound().await;
    });
}

#[test]
fn cmp_4_a_version_is_seen_if_it_and_the_current_one_are() {
    on_both("cmp_4", async |t| {
        fill(&t).await;
        let versions = async |access: &AccessContext, scope: HistoryScope| {
            let page = HistoryPage { since: None, at: None, list: None, count: 100, cursor: None };
            let history = t.store.history(access, scope, page).await.unwrap();
            history.versions.iter().map(|v| format!("{}/{}", v.key.id.as_str(), v.version)).collect::<Vec<_>>()
        };
        let of = |text: &str| HistoryScope::Instance(key(text));
        // Moved from a to b: a sees nothing of it any more.
        t.put(&observation("moved", "Patient/a", &json!({}))).await;
        t.put(&observation("moved", "Patient/b", &json!({}))).await;
        let access = all_of_a();
        assert!(versions(&access, of("Observation/moved")).await.is_empty());
        assert!(t.store.vread(&access, &key("Observation/moved"), 1).await.unwrap().is_none());
        // Moved from b to a: the version that was b's stays b's.
        t.put(&observation("given", "Patient/b", &json!({}))).await;
        t.put(&observation("given", "Patient/a", &json!({}))).await;
        assert_eq!(versions(&access, of("Observation/given")).await, ["given/2"]);
        assert!(t.store.vread(&access, &key("Observation/given"), 1).await.unwrap().is_none());
        assert!(t.store.vread(&access, &key("Observation/given"), 2).await.unwrap().is_some());
        // Deleted: still theirs, or still not.
        t.write(vec![delete("Observation/a1"), delete("Observation/b1")]).await.unwrap();
        assert!(t.store.read(&access, &key("Observation/a1")).await.unwrap().unwrap().is_deletion());
        assert!(t.store.read(&access, &key("Observation/b1")).await.unwrap().is_none());
        assert_eq!(versions(&access, of("Observation/a1")).await, ["a1/2", "a1/1"]);
        let page = HistoryPage { since: None, at: None, list: None, count: 100, cursor: None };
        let all = history(&t, &access, page, 5).await.versions;
        assert_eq!(ids(&all), ["a1", "given", "focus", "named", "a1"]);
        t.is_sound().await;
    });
}

#[test]
fn cmp_4_a_version_satisfies_the_filter_of_the_scope_itself() {
    on_both("cmp_4_filter", async |t| {
        fill(&t).await;
        let category = |code: &str| json!({"category": [{"coding": [{"system": "http://c", "code": code}]}]});
        t.put(&observation("o", "Patient/a", &category("laboratory"))).await;
        t.put(&observation("o", "Patient/a", &category("vital-signs"))).await;
        t.put(&observation(
            "o",
            "Patient/a",
            &json!({"category": [{"coding": [{"system": "http://c", "code": "vital-signs"}], "text": "v"}]}),
        ))
        .await;
        t.put(&observation("lab", "Patient/a", &category("laboratory"))).await;
        let access = of_a(&[("Observation?category=http://c|vital-signs", Permissions::ALL)]);
        assert_eq!(found(&t, &access, "Observation").await, ["o"]);
        let page = |count| HistoryPage { since: None, at: None, list: None, count, cursor: None };
        let all = history(&t, &access, page(10), 2).await;
        assert_eq!(all.versions.iter().map(|v| v.version).collect::<Vec<_>>(), [3, 2]);
        let first = history(&t, &access, page(1), 1).await;
        let rest = HistoryPage { cursor: first.next.clone(), ..page(1) };
        let second = history(&t, &access, rest, 1).await;
        assert_eq!((first.versions[0].version, second.versions[0].version, second.next), (3, 2, None));
        assert!(t.store.vread(&access, &key("Observation/o"), 1).await.unwrap().is_none());
        assert!(t.store.vread(&access, &key("Observation/o"), 2).await.unwrap().is_some());
        // SCP-4: filters bind what is written, before and after.
        let written = |value: Value| {
            let access = access.clone();
            let t = &t;
            async move { t.write_as(&access, vec![put(&value)]).await }
        };
        assert!(written(observation("o", "Patient/a", &category("laboratory"))).await.is_err(), "after");
        assert!(written(observation("lab", "Patient/a", &category("vital-signs"))).await.is_err(), "before");
        assert!(written(observation("o", "Patient/a", &category("vital-signs"))).await.is_ok());
    });
}

#[test]
fn cmp_5_what_a_patient_writes_is_theirs_alone() {
    on_both("cmp_5", async |t| {
        fill(&t).await;
        let access = all_of_a();
        let forbidden = async |change| match t.write_as(&access, vec![change]).await {
            Err(Error::Forbidden) => true,
            Err(Error::Entry { error, .. }) => matches!(*error, Error::Forbidden),
            _ => false,
        };
        let new = |subject: &str, more: Value| post(&observation("x", subject, &more), None);
        assert!(!forbidden(new("Patient/a", json!({}))).await);
        assert!(forbidden(new("Patient/b", json!({}))).await);
        assert!(forbidden(new("Patient/a", json!({"performer": [{"reference": "Patient/b"}]}))).await);
        assert!(forbidden(new("Patient/none", json!({}))).await);
        assert!(forbidden(post(&json!({"resourceType": "Patient"}), None)).await, "another patient");
        assert!(forbidden(put(&observation("a1", "Patient/b", &json!({})))).await, "given away");
        let patch = |id: &str, path: &str, value: Value| {
            let patch = Patch::json(json!([{"op": "add", "path": path, "value": value}]).to_string()).unwrap();
            let action = Action::Patch { key: key(id), patch, precondition: Precondition::default() };
            Change { action, full_url: None }
        };
        let to = |subject: &str| patch("Observation/a1", "/subject/reference", json!(subject));
        assert!(forbidden(to("Patient/b")).await && forbidden(to("Patient/none")).await, "what a patch makes of it");
        let shared = patch("Observation/a1", "/performer", json!([{"reference": "Patient/b"}]));
        assert!(forbidden(shared).await, "somebody else's as well");
        assert!(!forbidden(patch("Observation/a1", "/language", json!("en"))).await);
        let provenance = |target: &str| {
            post(
                &json!({"resourceType": "Provenance", "target": [{"reference": target}],
            "recorded": "2020-01-01T00:00:00Z", "agent": [{"who": {"reference": "Patient/a"}}]}),
                None,
            )
        };
        assert!(!forbidden(provenance("Observation/a1")).await);
        // What is not visible and what is not there are the same.
        assert!(forbidden(provenance("Observation/b1")).await && forbidden(provenance("Observation/none")).await);
        // A transaction is refused whole.
        let both = vec![new("Patient/a", json!({"note": [{"text": "whole"}]})), new("Patient/b", json!({}))];
        let before = found(&t, &access, "Observation").await.len();
        assert!(t.write_as(&access, both).await.is_err());
        assert_eq!(found(&t, &access, "Observation").await.len(), before);
        // CMP-8, with a prefix of their own a client chooses ids.
        let own = all_of_a().with_id_prefix("app-".to_owned());
        let created = t.write_as(&own, vec![put(&observation("app-1", "Patient/a", &json!({})))]).await.unwrap();
        assert_eq!(created[0].outcome, Outcome::Created);
        assert!(t.write_as(&own, vec![put(&observation("other-1", "Patient/a", &json!({})))]).await.is_err());
        t.is_sound().await;
    });
}

#[test]
fn scp_permissions_are_asked_one_by_one() {
    on_both("scp_letters", async |t| {
        fill(&t).await;
        use tessera_model::Permission::{Create, Delete, Read, Search, Update};
        let only = |permission| of_a(&[("Observation", Permissions::of(&[permission]))]);
        let sees = async |access: AccessContext| {
            let read = t.store.read(&access, &key("Observation/a1")).await.unwrap().is_some();
            (read, !found(&t, &access, "Observation").await.is_empty())
        };
        assert_eq!(sees(only(Read)).await, (true, false));
        assert_eq!(sees(only(Search)).await, (false, true));
        for none in [Create, Update, Delete] {
            assert_eq!(sees(only(none)).await, (false, false), "{none:?}");
        }
        let a1 = || observation("a1", "Patient/a", &json!({"note": [{"text": "n"}]}));
        let writes = async |access: AccessContext, change| {
            t.write_as(&access, vec![change]).await.is_ok_and(|changed| changed[0].outcome != Outcome::Nothing)
        };
        for (permission, may) in [
            (Create, [true, false, false]),
            (Update, [false, true, false]),
            (Delete, [false, false, true]),
            (Read, [false; 3]),
        ] {
            let changes = [post(&a1(), None), put(&a1()), delete("Observation/a1")];
            for (change, may) in changes.into_iter().zip(may) {
                let what = format!("{permission:?} {:?}", change.action.permission());
                assert_eq!(writes(only(permission), change).await, may, "{what}");
            }
        }
    });
}
