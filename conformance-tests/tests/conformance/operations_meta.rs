//! <https://hl7.org/fhir/R4/resource-operation-meta.html>, -meta-add and -meta-delete.

use conformance_tests::Reply;
use serde_json::{Value, json};

use crate::space::{on_each_backend, refused, refused_with};

const SYSTEM: &str = "http://example.org/labels";

fn label(code: &str) -> Value {
    json!({ "system": SYSTEM, "code": code })
}

fn given(meta: &Value) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [{ "name": "meta", "valueMeta": meta }] })
}

/// The Meta that an operation answers.
#[track_caller]
fn returned(reply: Reply) -> Value {
    let reply = reply.expect_status(200);
    assert_eq!(reply.body["parameter"][0]["name"], "return", "{reply}");
    reply.body["parameter"][0]["valueMeta"].clone()
}

fn codes(labels: &Value) -> Vec<&str> {
    labels.as_array().into_iter().flatten().filter_map(|label| label["code"].as_str()).collect()
}

#[test]
fn labels_are_added_and_taken_away() {
    on_each_backend(|space| {
        let key = space.add("p", json!({ "resourceType": "Patient", "active": true }));
        let tag = space.tag.clone();
        let meta = json!({ "tag": [label("a")], "security": [label("b")], "profile": ["http://example.org/p"] });
        let added = returned(space.post(&format!("{key}/$meta-add"), &given(&meta)));
        assert_eq!(codes(&added["tag"]), [&tag, "a"]);
        assert_eq!(codes(&added["security"]), ["b"]);
        assert_eq!(added["profile"], json!(["http://example.org/p"]));
        assert_eq!(returned(space.get(&format!("{key}/$meta"))), added);
        // What is labelled is found, and is otherwise as it was.
        space.finds(&format!("Patient?_security={SYSTEM}|b"), "p");
        assert_eq!(space.get(&key).expect_status(200).body["active"], true);
        let left = returned(
            space.post(&format!("{key}/$meta-delete"), &given(&json!({ "tag": [label("a"), label("none")] }))),
        );
        assert_eq!(codes(&left["tag"]), [&tag]);
        assert_eq!(codes(&left["security"]), ["b"]);
    });
}

// "The list of tags is a set": https://hl7.org/fhir/R4/resource-definitions.html#Meta.tag
#[test]
fn what_is_there_already_is_not_added_again() {
    on_each_backend(|space| {
        let key = space.add("p", json!({ "resourceType": "Patient" }));
        let path = format!("{key}/$meta-add");
        let first = returned(space.post(&path, &given(&json!({ "tag": [label("a")] }))));
        let again = json!({ "system": SYSTEM, "code": "a", "display": "other words" });
        let second = returned(space.post(&path, &given(&json!({ "tag": [again] }))));
        assert_eq!(first, second);
    });
}

#[test]
fn concurrent_labels_are_all_kept() {
    on_each_backend(|space| {
        let key = space.add("p", json!({ "resourceType": "Patient" }));
        let client = space.client.clone();
        let replies = crate::space::run(async {
            let tasks: Vec<_> = (0..4)
                .map(|n| {
                    let (client, path) = (client.clone(), format!("{key}/$meta-add"));
                    let body = given(&json!({ "tag": [label(&format!("n{n}"))] }));
                    tokio::spawn(async move { client.post(&path, &body).await })
                })
                .collect();
            let mut replies = Vec::new();
            for task in tasks {
                replies.push(task.await.unwrap());
            }
            replies
        });
        assert!(replies.iter().all(|reply| [200, 503].contains(&reply.status)), "{}", replies[0]);
        let meta = returned(space.get(&format!("{key}/$meta")));
        for (n, reply) in replies.iter().enumerate() {
            let kept = codes(&meta["tag"]).contains(&format!("n{n}").as_str());
            assert_eq!(kept, reply.status == 200, "n{n}: {meta} {reply}");
        }
    });
}

#[test]
fn the_labels_in_use_on_a_type_and_anywhere() {
    on_each_backend(|space| {
        let tagged = |code: &str, resource_type: &str| json!({ "resourceType": resource_type, "meta": { "tag": [{ "system": space.tag, "code": code }] } });
        space.add("a", tagged("of-patient", "Patient"));
        space.add("b", tagged("of-organization", "Organization"));
        let mine = |meta: &Value| -> Vec<String> {
            let tags = meta["tag"].as_array().unwrap().iter().filter(|tag| tag["system"] == space.tag);
            tags.map(|tag| tag["code"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(mine(&returned(space.get("Patient/$meta"))), ["of-patient"]);
        assert_eq!(mine(&returned(space.get("$meta"))), ["of-organization", "of-patient"]);
    });
}

#[test]
fn a_version_has_its_own_labels() {
    on_each_backend(|space| {
        let key = space.add("p", json!({ "resourceType": "Patient" }));
        let _ = returned(space.post(&format!("{key}/$meta-add"), &given(&json!({ "tag": [label("a")] }))));
        let first = returned(space.get(&format!("{key}/_history/1/$meta")));
        assert_eq!(codes(&first["tag"]), [&space.tag]);
    });
}

#[test]
fn what_cannot_be_labelled_is_refused() {
    on_each_backend(|space| {
        let key = space.add("p", json!({ "resourceType": "Patient" }));
        let meta = given(&json!({ "tag": [label("a")] }));
        let reply = space.get(&format!("{key}/$meta-add"));
        refused(&reply, &[405]);
        assert_eq!(reply.header("allow"), Some("POST"), "{reply}");
        refused_with(
            &space.post(&format!("{key}/$meta-add"), &json!({ "resourceType": "Parameters" })),
            400,
            "required",
        );
        refused_with(&space.post(&format!("{key}/$meta-add"), &given(&json!({ "versionId": "7" }))), 400, "value");
        refused(&space.post("Patient/nobody/$meta-add", &meta), &[404]);
        refused(&space.post("Patient/$meta-add", &meta), &[404]);
        space.delete(&key);
        refused(&space.post(&format!("{key}/$meta-delete"), &meta), &[404, 410]);
    });
}
