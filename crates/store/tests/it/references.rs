//! References between entries, to what is not there yet, and includes.

use crate::store::{delete, everything, ids, on_both, post, put};
use serde_json::json;
use tessera_store::{Change, Error};

#[test]
fn references_between_entries_become_references_to_their_ids() {
    on_both("links", async |t| {
        let patient =
            json!({"resourceType": "Patient", "link": [{"other": {"reference": "urn:uuid:2"}, "type": "seealso"}]});
        let mut changes = vec![post(&patient, None), post(&patient, None)];
        changes[0].full_url = Some("urn:uuid:1".to_owned());
        changes[1].full_url = Some("urn:uuid:2".to_owned());
        let mut far = post(&json!({"resourceType": "Organization"}), None);
        far.full_url = Some("http://there/Organization/9".to_owned());
        changes.push(far);
        let relative = |id: &str, full_url: Option<&str>| {
            let value =
                json!({"resourceType": "Patient", "id": id, "managingOrganization": {"reference": "Organization/9"}});
            Change { full_url: full_url.map(str::to_owned), ..put(&value) }
        };
        changes.push(relative("r", Some("http://there/Patient/r")));
        // Relative to another server, or to this one.
        changes.push(relative("s", Some("http://elsewhere/Patient/s")));
        changes.push(relative("t", None));
        let changed = t.write(changes).await.unwrap();
        let key = |n: usize| changed[n].version.clone().unwrap().key;
        assert_eq!(t.search(&format!("Patient?link={}", key(1))).await, [key(0).id.to_string(), key(1).id.to_string()]);
        assert_eq!(t.search(&format!("Patient?organization={}", key(2))).await, ["r"]);
        assert_eq!(t.search("Patient?organization=Organization/9").await, ["s", "t"]);
        t.is_sound().await;
    });
}

#[test]
fn conditional_references_lead_to_exactly_one_resource() {
    on_both("conditional_reference", async |t| {
        let organization = |id: &str, value: &str| json!({"resourceType": "Organization", "id": id, "identifier": [{"system": "s", "value": value}]});
        t.put(&organization("a", "1")).await;
        let refer = |value: &str| {
            let reference = json!({"reference": format!("Organization?identifier=s|{value}")});
            vec![post(&json!({"resourceType": "Patient", "managingOrganization": reference}), None)]
        };
        t.write(refer("1")).await.unwrap();
        assert_eq!(t.search("Patient?organization=a").await.len(), 1);
        let failed = t.write(refer("2")).await;
        assert!(
            matches!(failed, Err(Error::Entry { entry: 0, error }) if matches!(*error, Error::UnresolvedReference { matches: "no", .. }))
        );
        t.put(&organization("b", "1")).await;
        let failed = t.write(refer("1")).await;
        assert!(
            matches!(failed, Err(Error::Entry { error, .. }) if matches!(*error, Error::UnresolvedReference { matches: "several", .. }))
        );
    });
}

#[test]
fn what_is_referred_to_before_it_exists_is_nowhere_to_be_seen() {
    on_both("placeholder", async |t| {
        t.put(
            &json!({"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "Organization/later"}}),
        )
        .await;
        assert!(t.read("Organization/later").await.is_none());
        assert!(t.search("Organization").await.is_empty());
        assert!(t.search("Patient?organization.name:missing=true").await.is_empty());
        t.put(&json!({"resourceType": "Organization", "id": "later", "name": "L"})).await;
        assert_eq!(t.search("Patient?organization.name=l").await, ["p"]);
        assert_eq!(t.read("Organization/later").await.unwrap().version, 1);
    });
}

#[test]
fn includes_follow_references_both_ways_and_on() {
    on_both("include", async |t| {
        t.put(&json!({"resourceType": "Organization", "id": "top"})).await;
        t.put(&json!({"resourceType": "Organization", "id": "ward", "partOf": {"reference": "Organization/top"}}))
            .await;
        t.put(
            &json!({"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "Organization/ward"}}),
        )
        .await;
        t.put(&json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "c"}, "subject": {"reference": "Patient/p"}})).await;
        let included = async |url: &str| {
            let mut found = ids(&t.matches(&everything(), url, None).await.included);
            found.sort();
            found
        };
        assert_eq!(included("Observation?_include=Observation:subject").await, ["p"]);
        assert_eq!(
            included("Observation?_include=Observation:subject&_include:iterate=Patient:organization").await,
            ["p", "ward"]
        );
        let all = "Observation?_include=Observation:*&_include:iterate=Patient:organization&_include:iterate=Organization:partof";
        assert_eq!(included(all).await, ["p", "top", "ward"]);
        assert_eq!(included("Patient?_revinclude=Observation:subject").await, ["o"]);
        assert!(included("Observation?_include=Observation:subject:Group").await.is_empty());
        t.write(vec![delete("Patient/p")]).await.unwrap();
        assert!(included("Observation?_include=Observation:subject").await.is_empty());
    });
}
