//! What the law wants gone: `$purge-history` and `$erase`, which are this server's own.

use conformance_tests::{Backend, Database};
use serde_json::json;
use tessera_fixtures::{observation, patient};

use crate::space::{Space, bare_entry, bundle, on_each_backend, refused, run};

/// A patient with three versions.
fn lived(space: &Space, name: &str) -> String {
    let key = space.add(name, patient().family("Before").build());
    let mut body = space.get(&key).expect_status(200).body;
    for family in ["Middle", "After"] {
        body["name"][0]["family"] = json!(family);
        space.put(&key, &body).assert_status(200);
    }
    key
}

fn invoke(space: &Space, key: &str, operation: &str) -> conformance_tests::Reply {
    space.post(&format!("{key}/${operation}?reason=Article%2017"), &json!({ "resourceType": "Parameters" }))
}

/// The records of what was done to that resource.
fn records(space: &Space, key: &str) -> Vec<serde_json::Value> {
    let found = space.get(&format!("AuditEvent?entity={key}&subtype=operation&outcome=0")).expect_status(200);
    found.resources().into_iter().cloned().collect()
}

#[test]
fn purge_history_takes_all_versions_but_the_current_one() {
    on_each_backend(|space| {
        let key = lived(space, "a");
        let reply = invoke(space, &key, "purge-history").expect_status(200);
        assert_eq!(reply.body["resourceType"], "OperationOutcome", "{reply}");
        let read = space.get(&key).expect_status(200);
        assert_eq!((read.version(), &read.body["name"][0]["family"]), (3, &json!("After")));
        refused(&space.get(&format!("{key}/_history/2")), &[404]);
        assert_eq!(space.get(&format!("{key}/_history")).entries().len(), 1);
        space.finds("Patient?family=after", "a");
        // Versions go on where they were.
        let mut body = read.body;
        body["name"][0]["family"] = json!("Later");
        assert_eq!(space.put(&key, &body).expect_status(200).version(), 4);
        assert_eq!(space.get(&format!("{key}/_history")).entries().len(), 2);
        let records = records(space, &key);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["purposeOfEvent"][0]["text"], "Article 17");
        // The record is a valid resource.
        let valid = space.post("AuditEvent/$validate", &records[0]).expect_status(200);
        assert!(!valid.text.contains("\"error\""), "{valid}");
    });
}

#[test]
fn erase_leaves_nothing_but_the_record() {
    on_each_backend(|space| {
        let (key, other) = (lived(space, "a"), space.add("other", patient().build()));
        let observed = space.add("o", observation().subject(&key).build());
        invoke(space, &key, "erase").assert_status(200);
        for path in [key.clone(), format!("{key}/_history/1"), format!("{key}/_history/3"), format!("{key}/_history")] {
            refused(&space.get(&path), &[404]);
        }
        space.finds("Patient", "other");
        space.finds("Patient?family=after", "");
        // What refers to it refers to what is not there.
        space.finds(&format!("Observation?subject={key}"), "o");
        assert_eq!(space.get(&observed).body["subject"]["reference"], *key);
        let history = space.get("_history?_count=200").text;
        assert!(!history.contains(&format!("{}/{key}\"", space.base)), "{history}");
        assert_eq!(records(space, &key).len(), 1);
        // As if it had never been: the next is the first.
        let id = key.rsplit('/').next().unwrap();
        let again = space.put(&key, &space.tagged(patient().id(id).family("New").build())).expect_status(201);
        assert_eq!(again.version(), 1);
        space.get(&other).assert_status(200);
    });
}

#[test]
fn erase_takes_what_is_deleted_and_not_what_never_was() {
    on_each_backend(|space| {
        let key = lived(space, "a");
        space.delete(&key).assert_status(204);
        invoke(space, &key, "erase").assert_status(200);
        refused(&space.get(&key), &[404]);
        refused(&invoke(space, &key, "erase"), &[404]);
        refused(&invoke(space, "Patient/never-was", "purge-history"), &[404]);
        // What was not done has no record.
        assert_eq!(records(space, &key).len(), 1);
        assert_eq!(records(space, "Patient/never-was").len(), 0);
    });
}

#[test]
fn what_is_gone_for_good_is_not_taken_by_a_slip() {
    on_each_backend(|space| {
        let key = lived(space, "a");
        for operation in ["erase", "purge-history"] {
            refused(&space.get(&format!("{key}/${operation}")), &[405]);
            refused(&space.post(&format!("Patient/${operation}"), &json!({})), &[400, 404]);
            let entry = bare_entry("POST", &format!("{key}/${operation}"));
            assert!(space.post("", &bundle("transaction", &[entry])).status >= 400);
        }
        invoke(space, &key, "purge-history").assert_status(200);
        let record = format!("AuditEvent/{}", records(space, &key)[0]["id"].as_str().unwrap());
        refused(&invoke(space, &record, "erase"), &[501]);
        assert_eq!(space.get(&key).version(), 3);
    });
}

// Pages that were begun before go on.
#[test]
fn pages_go_on_after_an_erasure() {
    on_each_backend(|space| {
        let keys: Vec<String> = ["a", "b", "c", "d"].iter().map(|name| space.add(name, patient().build())).collect();
        let first = space.search("Patient?_count=2&_sort=_lastUpdated");
        let next = first.link("next").unwrap().to_owned();
        invoke(space, &keys[1], "erase").assert_status(200);
        invoke(space, &keys[2], "erase").assert_status(200);
        let rest = space.get(&next).expect_status(200);
        assert_eq!(space.names_in(&rest, "match"), ["d"]);
    });
}

// REL-5: the check knows what was taken on purpose.
#[test]
fn rel_5_the_check_finds_nothing_wrong_after_purges() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "rel_5_purge") else { continue };
        let server = database.serve(&[]);
        let client = server.client();
        let mut keys = Vec::new();
        for _ in 0..3 {
            let created = run(client.post("Patient", &patient().family("One").build())).expect_status(201);
            let mut body = created.body.clone();
            body["name"][0]["family"] = json!("Two");
            let key = format!("Patient/{}", created.id());
            run(client.put(&key, &body)).assert_status(200);
            keys.push((key, body));
        }
        let nothing = json!({ "resourceType": "Parameters" });
        run(client.post(&format!("{}/$purge-history", keys[0].0), &nothing)).assert_status(200);
        run(client.post(&format!("{}/$erase", keys[1].0), &nothing)).assert_status(200);
        let (key, body) = &mut keys[0];
        body["name"][0]["family"] = json!("Three");
        run(client.put(key, body)).assert_status(200);
        drop(server);
        database.check();
    }
}
