//! <https://hl7.org/fhir/R4/http.html#transaction>

use conformance_tests::Reply;
use serde_json::{Value, json};
use tessera_fixtures::{condition, observation, patient};

use crate::space::{Space, bare_entry, bundle, entry, expressions, on_each_backend, refused};

pub(crate) const MRN: &str = "https://hospital.example/mrn";

pub(crate) fn transact(space: &Space, entries: &[Value]) -> Reply {
    let reply = space.post("", &bundle("transaction", entries));
    if reply.status == 200 {
        assert_eq!(reply.body["type"], "transaction-response", "{reply}");
        assert_eq!(reply.entries().len(), entries.len(), "one answer for each entry: {reply}");
    }
    reply
}

/// The keys in the locations of the answers, empty where there is none.
pub(crate) fn locations(reply: &Reply) -> Vec<String> {
    let key = |entry: &Value| {
        let location = entry["response"]["location"].as_str().unwrap_or_default().split("/_history").next();
        let parts: Vec<&str> = location.unwrap_or_default().rsplitn(3, '/').collect();
        if let [id, resource_type, ..] = parts[..] { format!("{resource_type}/{id}") } else { String::new() }
    };
    reply.entries().iter().map(key).collect()
}

fn statuses(reply: &Reply) -> Vec<&str> {
    reply.entries().iter().map(|entry| entry["response"]["status"].as_str().unwrap()[..3].trim()).collect()
}

pub(crate) fn urn(number: usize) -> String {
    format!("urn:uuid:00000000-0000-4000-8000-{number:012}")
}

/// A create whose resource others may refer to by [`urn`].
pub(crate) fn known_as(number: usize, resource: &Value) -> Value {
    let mut entry = entry("POST", resource["resourceType"].as_str().unwrap(), resource);
    entry["fullUrl"] = json!(urn(number));
    entry
}

pub(crate) fn identified(space: &Space, value: &str) -> Value {
    space.tagged(patient().identifier(MRN, &format!("{}{value}", space.tag)).build())
}

/// A conditional create of the patient with this space's identifier.
fn create_if_none(space: &Space, number: usize) -> Value {
    let mut entry = known_as(number, &identified(space, ""));
    entry["request"]["ifNoneExist"] = json!(format!("identifier={MRN}|{}", space.tag));
    entry
}

// https://hl7.org/fhir/R4/http.html#transaction-response
#[test]
fn answers_stand_in_the_order_of_the_entries() {
    on_each_backend(|space| {
        let (old, gone) = (space.add("old", patient().build()), space.add("gone", patient().build()));
        let id = old.rsplit('/').next().unwrap();
        let updated = space.tagged(patient().id(id).family("New").build());
        let reply = transact(
            space,
            &[
                bare_entry("GET", &old),
                entry("PUT", &old, &updated),
                entry("POST", "Observation", &space.tagged(observation().build())),
                bare_entry("DELETE", &gone),
            ],
        )
        .expect_status(200);
        let found = statuses(&reply);
        assert_eq!(found[..3], ["200", "200", "201"], "{reply}");
        assert!(["200", "204"].contains(&found[3]), "{reply}");
        // Reads come after the writes, wherever they stand.
        assert_eq!(reply.entries()[0]["resource"]["name"][0]["family"], "New", "{reply}");
        assert_eq!(reply.entries()[1]["response"]["etag"], "W/\"2\"", "{reply}");
        assert!(reply.entries()[2]["response"]["location"].as_str().unwrap().contains("Observation/"), "{reply}");
        assert!(reply.entries()[2]["response"]["lastModified"].is_string(), "{reply}");
        refused(&space.get(&gone), &[410]);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: DELETE, POST, PUT/PATCH, GET/HEAD
#[test]
fn entries_are_processed_in_the_order_of_their_methods() {
    on_each_backend(|space| {
        space.add("old", identified(space, ""));
        // The deletion comes before the conditional create, which therefore finds nothing, though it stands behind it.
        let mut create = entry("POST", "Patient", &identified(space, ""));
        create["request"]["ifNoneExist"] = json!(format!("identifier={MRN}|{}", space.tag));
        let old = space.search("Patient").resources()[0]["id"].as_str().unwrap().to_owned();
        let search = bare_entry("GET", &space.within("Patient?_summary=count"));
        let reply =
            transact(space, &[search, create, bare_entry("DELETE", &format!("Patient/{old}"))]).expect_status(200);
        assert_eq!(statuses(&reply)[1], "201", "{reply}");
        assert_eq!(reply.entries()[0]["resource"]["total"], 1, "{reply}");
        assert_ne!(locations(&reply)[1], format!("Patient/{old}"));
        refused(&space.get(&format!("Patient/{old}")), &[410]);
    });
}

// https://hl7.org/fhir/R4/http.html#ccreate
#[test]
fn conditional_creates_match_what_is_stored() {
    on_each_backend(|space| {
        let weight = || entry("POST", "Observation", &space.tagged(observation().subject(&urn(1)).build()));
        let first = transact(space, &[create_if_none(space, 1), weight()]).expect_status(200);
        let second = transact(space, &[weight(), create_if_none(space, 1)]).expect_status(200);
        assert_eq!(statuses(&first), ["201", "201"], "{first}");
        assert_eq!(statuses(&second), ["201", "200"], "{second}");
        let person = &locations(&first)[0];
        assert_eq!(&locations(&second)[1], person, "{second}");
        // The reference leads to the one that was there.
        assert_eq!(space.get(&locations(&second)[0]).body["subject"]["reference"], **person);
        assert_eq!(space.found("Patient").len(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: overlapping identities fail the transaction
#[test]
fn one_identity_twice_fails_and_names_both_entries() {
    on_each_backend(|space| {
        let key = space.add("one", patient().build());
        let update = entry("PUT", &key, &space.tagged(patient().id(key.rsplit('/').next().unwrap()).build()));
        for entries in [
            [update.clone(), update.clone()],
            [update.clone(), bare_entry("DELETE", &key)],
            [bare_entry("DELETE", &key), bare_entry("DELETE", &key)],
        ] {
            let reply = transact(space, &entries);
            refused(&reply, &[400]);
            for place in ["Bundle.entry[0]", "Bundle.entry[1]"] {
                assert!(reply.text.contains(place), "{place} is not named: {reply}");
            }
        }
        assert_eq!(space.get(&key).version(), 1);
        let read = bare_entry("GET", &key);
        transact(space, &[read.clone(), read, update]).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: the identity that a condition finds counts too
#[test]
fn one_identity_by_id_and_by_condition_fails() {
    on_each_backend(|space| {
        let key = space.add("one", identified(space, ""));
        let by_id = entry("PUT", &key, &space.tagged(patient().id(key.rsplit('/').next().unwrap()).build()));
        let by_condition = entry("PUT", &format!("Patient?identifier={MRN}|{}", space.tag), &identified(space, ""));
        refused(&transact(space, &[by_id, by_condition]), &[400]);
        assert_eq!(space.get(&key).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: two conditional creates of the same are one resource, or an error
#[test]
fn two_conditional_creates_with_equal_criteria_make_one_resource_at_most() {
    on_each_backend(|space| {
        let weight =
            |number: usize| entry("POST", "Observation", &space.tagged(observation().subject(&urn(number)).build()));
        let reply = transact(space, &[create_if_none(space, 1), create_if_none(space, 2), weight(1), weight(2)]);
        if reply.status == 200 {
            let keys = locations(&reply);
            assert_eq!(keys[0], keys[1], "{reply}");
            for weight in &keys[2..] {
                assert_eq!(space.get(weight).body["subject"]["reference"], *keys[0]);
            }
            assert_eq!(space.found("Patient").len(), 1);
        } else {
            refused(&reply, &[400, 412]);
            assert_eq!(space.found("Patient").len(), 0);
        }
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: all succeed or fail together
#[test]
fn one_bad_entry_and_nothing_is_stored() {
    on_each_backend(|space| {
        let key = space.add("kept", patient().build());
        let good = || entry("POST", "Observation", &space.tagged(observation().build()));
        let invalid = json!({ "resourceType": "Patient", "gender": "m" });
        let other = space.add("other", patient().build());
        let mut stale = entry("PUT", &other, &patient().id(other.rsplit('/').next().unwrap()).build());
        stale["request"]["ifMatch"] = json!("W/\"9\"");
        for (bad, status) in [
            (entry("POST", "Patient", &invalid), vec![400, 422]),
            (entry("POST", "Nothing", &json!({ "resourceType": "Nothing" })), vec![400, 404, 422]),
            (entry("POST", "Patient", &observation().build()), vec![400, 422]),
            (entry("PUT", "Patient/a", &patient().id("b").build()), vec![400, 422]),
            (stale, vec![412, 409]),
            (bare_entry("POST", "Patient"), vec![400, 422]),
            (json!({ "resource": patient().build() }), vec![400, 422]),
        ] {
            println!("{bad}");
            let reply = transact(space, &[good(), bare_entry("DELETE", &key), bad]);
            refused(&reply, &status);
            assert!(
                expressions(&reply.body).iter().any(|e| e.starts_with("Bundle.entry[2]")),
                "no Bundle.entry[2]: {reply}"
            );
            space.get(&key).assert_status(200);
            space.finds("Observation", "");
        }
    });
}

// https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request.ifMatch
#[test]
fn if_match_holds_for_an_entry() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let update = |version: u64, family: &str| {
            let mut entry =
                entry("PUT", &key, &space.tagged(patient().id(key.rsplit('/').next().unwrap()).family(family).build()));
            entry["request"]["ifMatch"] = json!(format!("W/\"{version}\""));
            entry
        };
        transact(space, &[update(1, "Second")]).assert_status(200);
        refused(&transact(space, &[update(1, "Third")]), &[409, 412]);
        assert_eq!(space.get(&key).version(), 2);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: updates, conditional ones and deletions too
#[test]
fn entries_may_be_conditional_updates_and_deletions() {
    on_each_backend(|space| {
        let keys = ["1", "2"].map(|value| space.add(value, identified(space, value)));
        let criteria = |value: &str| format!("Patient?identifier={MRN}|{}{value}", space.tag);
        let mut known = entry("PUT", &criteria("1"), &identified(space, "1"));
        known["fullUrl"] = json!(urn(1));
        known["resource"]["gender"] = json!("other");
        let reply = transact(
            space,
            &[
                entry("POST", "Condition", &space.tagged(condition().subject(&urn(1)).build())),
                known,
                bare_entry("DELETE", &criteria("2")),
                entry("PUT", &criteria("3"), &identified(space, "3")),
            ],
        )
        .expect_status(200);
        assert_eq!((statuses(&reply)[1], statuses(&reply)[3]), ("200", "201"), "{reply}");
        assert_eq!(space.get(&keys[0]).expect_status(200).body["gender"], "other");
        refused(&space.get(&keys[1]), &[410]);
        // The urn leads to the resource that the condition found.
        assert_eq!(space.get(&locations(&reply)[0]).body["subject"]["reference"], keys[0]);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: a deleted resource is brought back by PUT, in a bundle as outside
#[test]
fn a_deleted_resource_is_brought_back() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        transact(space, &[bare_entry("DELETE", &key)]).assert_status(200);
        let body = space.tagged(patient().id(key.rsplit('/').next().unwrap()).build());
        transact(space, &[entry("PUT", &key, &body)]).assert_status(200);
        assert_eq!(space.get(&key).expect_status(200).version(), 3);
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: large bundles and an empty one
#[test]
fn bundles_of_all_sizes_are_taken() {
    on_each_backend(|space| {
        transact(space, &[]).assert_status(200);
        let entries: Vec<Value> =
            (0..1000).map(|_| entry("POST", "Observation", &space.tagged(observation().build()))).collect();
        transact(space, &entries).assert_status(200);
        let count = space.search("Observation?_summary=count");
        assert_eq!(count.body["total"], 1000, "{count}");
    });
}

// https://hl7.org/fhir/R4/http.html#transaction-response: a read that finds nothing
#[test]
fn a_read_that_fails_is_told_as_such() {
    on_each_backend(|space| {
        for url in ["Patient/not-there", "Patient?nmae=a", "Nothing"] {
            let space = &space.apart();
            let good = entry("POST", "Observation", &space.tagged(observation().build()));
            let reply = transact(space, &[good, bare_entry("GET", url)]);
            // The specification leaves open whether this fails the transaction.
            if reply.status == 200 {
                assert!(statuses(&reply)[1].starts_with('4'), "{reply}");
            } else {
                refused(&reply, &[400, 404]);
            }
            assert_eq!(space.found("Observation").len(), usize::from(reply.status == 200), "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/bundle.html#bdl-7: a reference to it could mean either
#[test]
fn one_full_url_twice_fails_and_names_both_entries() {
    on_each_backend(|space| {
        let entries = [
            known_as(1, &space.tagged(patient().build())),
            known_as(2, &space.tagged(patient().build())),
            known_as(1, &space.tagged(patient().build())),
        ];
        let reply = transact(space, &entries);
        refused(&reply, &[400]);
        assert_eq!(expressions(&reply.body), ["Bundle.entry[0]", "Bundle.entry[2]"], "{reply}");
        space.finds("Patient", "");
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: an entry is answered as the request would be
#[test]
fn a_reading_entry_fails_as_the_request_does() {
    on_each_backend(|space| {
        let urls = ["Patient/not-there/_history", "Patient/not-there", "Patient/not-there/_history/1"];
        let entries: Vec<Value> = urls.iter().map(|url| bare_entry("GET", url)).collect();
        let reply = space.post("", &bundle("transaction", &entries));
        for (n, url) in urls.iter().enumerate() {
            let alone = space.get(url).status.to_string();
            assert!(reply.entries()[n]["response"]["status"].as_str().unwrap().starts_with(&alone), "{url}: {reply}");
        }
        refused(&space.post("", &bundle("transaction", &[bare_entry("GET", "Patient/1?name=a")])), &[400]);
    });
}

// https://hl7.org/fhir/R4/http.html#ops: Prefer counts for the entries
#[test]
fn prefer_return_chooses_what_the_entries_answer() {
    on_each_backend(|space| {
        let key = space.add("old", patient().build());
        let id = key.rsplit('/').next().unwrap();
        for (preference, resource, outcome) in
            [("minimal", false, false), ("representation", true, false), ("OperationOutcome", false, true)]
        {
            for bundle_type in ["batch", "transaction"] {
                let entries = [
                    entry("POST", "Patient", &space.tagged(patient().build())),
                    entry("PUT", &key, &space.tagged(patient().id(id).family(preference).build())),
                    bare_entry("DELETE", "Patient/never-was"),
                ];
                let prefer = format!("handling=strict, unheard-of, return={preference}");
                let request = space.request("POST", "").header("prefer", &prefer).json(&bundle(bundle_type, &entries));
                let reply = crate::space::send(request).expect_status(200);
                for (n, entry) in reply.entries().iter().enumerate() {
                    assert_eq!(entry.get("resource").is_some(), resource && n < 2, "{bundle_type} {n}: {reply}");
                    assert_eq!(entry["response"].get("outcome").is_some(), outcome, "{bundle_type} {n}: {reply}");
                    if n < 2 {
                        let location = entry["response"]["location"].as_str().unwrap();
                        assert!(location.contains("/_history/"), "{reply}");
                    }
                }
            }
        }
    });
}
