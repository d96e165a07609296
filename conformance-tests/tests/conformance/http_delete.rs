//! <https://hl7.org/fhir/R4/http.html#delete>

use conformance_tests::{Backend, Database};
use tessera_fixtures::{observation, patient};

use crate::space::{on_each_backend, refused, refused_with, run, send};

// https://hl7.org/fhir/R4/http.html#delete
#[test]
fn delete_answers_200_or_204() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let deleted = space.delete(&key);
        match deleted.status {
            200 => assert_eq!(deleted.body["resourceType"], "OperationOutcome", "{deleted}"),
            _ => assert_eq!((deleted.status, &*deleted.text), (204, ""), "{deleted}"),
        }
        refused_with(&space.get(&key), 410, "deleted");
    });
}

// https://hl7.org/fhir/R4/http.html#delete: deletion is idempotent
#[test]
fn delete_of_what_is_deleted_or_never_was_is_a_success_too() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        assert!(space.delete(&key).is_success());
        let again = space.delete(&key);
        assert!(again.is_success(), "{again}");
        // A second deletion makes no version.
        let history = space.get(&format!("{key}/_history")).expect_status(200);
        assert_eq!(history.entries().len(), 2, "{history}");
        let never = space.delete(&format!("Patient/{}", space.tag));
        assert!(never.is_success() || never.status == 404, "{never}");
    });
}

// https://hl7.org/fhir/R4/http.html#delete: what is deleted is not found any more
#[test]
fn delete_takes_the_resource_out_of_search_and_leaves_its_history() {
    on_each_backend(|space| {
        let key = space.add("a", patient().family("Gone").build());
        space.finds("Patient?family=gone", "a");
        assert!(space.delete(&key).is_success());
        space.finds("Patient", "");
        space.finds("Patient?family=gone", "");
        space.finds(&format!("Patient?_id={}", key.rsplit('/').next().unwrap()), "");
        space.get(&format!("{key}/_history/1")).assert_status(200);
        let history = space.get(&format!("{key}/_history")).expect_status(200);
        assert_eq!(history.entries()[0]["request"]["method"], "DELETE", "{history}");
    });
}

// https://hl7.org/fhir/R4/http.html#delete
#[test]
fn delete_tells_its_version() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let deleted = space.delete(&key);
        // The ETag is optional; if there is one, it is that of the deletion.
        if deleted.header("etag").is_some() {
            assert_eq!(deleted.version(), 2, "{deleted}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#concurrency
#[test]
fn delete_with_if_match_succeeds_on_the_current_version_only() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let delete = |etag: &str| send(space.request("DELETE", &key).header("if-match", etag));
        refused(&delete("W/\"9\""), &[409, 412]);
        space.get(&key).assert_status(200);
        assert!(delete("W/\"1\"").is_success());
        refused(&space.get(&key), &[410]);
    });
}

// https://hl7.org/fhir/R4/http.html#delete
#[test]
fn delete_needs_an_id_or_criteria() {
    on_each_backend(|space| {
        refused(&space.delete("Patient"), &[400, 404, 405, 412]);
        refused(&space.delete("Patient/a_b"), &[400, 404]);
    });
}

// https://hl7.org/fhir/R4/http.html#3.1.0.7.1
#[test]
fn conditional_delete_deletes_the_one_match() {
    on_each_backend(|space| {
        let (one, other) =
            (space.add("one", patient().family("One").build()), space.add("other", patient().family("Other").build()));
        let deleted = space.delete(&space.within("Patient?family=one"));
        assert!(deleted.is_success(), "{deleted}");
        refused(&space.get(&one), &[410]);
        space.get(&other).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#3.1.0.7.1
#[test]
fn conditional_delete_without_match_deletes_nothing() {
    on_each_backend(|space| {
        let key = space.add("one", patient().family("One").build());
        let reply = space.delete(&space.within("Patient?family=nobody"));
        assert!(reply.is_success() || reply.status == 404, "{reply}");
        space.get(&key).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#3.1.0.7.1: one, all, or 412
#[test]
fn conditional_delete_of_several_deletes_all_or_none() {
    on_each_backend(|space| {
        let keys: Vec<String> = ["a", "b"].iter().map(|name| space.add(name, observation().build())).collect();
        let reply = space.delete(&space.within("Observation?status=final"));
        let status = if reply.is_success() {
            410
        } else {
            refused(&reply, &[412]);
            200
        };
        for key in keys {
            space.get(&key).assert_status(status);
        }
    });
}

// https://hl7.org/fhir/R4/search.html#errors: criteria that are ignored would delete too much
#[test]
fn conditional_delete_refuses_unknown_criteria() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        refused(&space.delete(&space.within("Patient?surname=chalmers")), &[400]);
        refused(&space.delete(&space.within("Patient?family:unheard-of=chalmers")), &[400]);
        let lenient =
            send(space.request("DELETE", &space.within("Patient?surname=a")).header("prefer", "handling=lenient"));
        refused(&lenient, &[400]);
        space.get(&key).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#cdelete: "multiple", as the CapabilityStatement says
#[test]
fn conditional_delete_deletes_all_matches_where_that_is_set() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "conditional_delete_multiple") else { continue };
        let server = database.serve(&[("TESSERA_CONDITIONAL_DELETE", "multiple")]);
        let client = server.client();
        let keys: Vec<String> = (0..3)
            .map(|n| {
                let body = patient().family(if n < 2 { "Twin" } else { "Other" }).build();
                format!("Patient/{}", run(client.post("Patient", &body)).expect_status(201).id())
            })
            .collect();
        let statement = run(client.get("metadata")).body;
        assert_eq!(statement["rest"][0]["resource"][0]["conditionalDelete"], "multiple");
        let request = client.request("DELETE".parse().unwrap(), "Patient?family=twin");
        refused(&send(request.header("if-match", "W/\"2\"")), &[412]);
        run(client.delete("Patient?family=twin")).assert_status(204);
        for (key, status) in keys.iter().zip([410, 410, 200]) {
            run(client.get(key)).assert_status(status);
        }
        refused(&run(client.delete("Patient?_count=5")), &[400]);
        // Both deletions are one transaction.
        let history = run(client.get("Patient/_history?_count=2"));
        assert_eq!(history.entries()[0]["response"]["lastModified"], history.entries()[1]["response"]["lastModified"]);
    }
}
