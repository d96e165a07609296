//! Answers that come later: <https://hl7.org/fhir/R4/async.html>

use std::{thread, time::Duration};

use conformance_tests::{Backend, Database, Reply};
use serde_json::{Value, json};
use tessera_fixtures::patient;

use crate::space::{Space, bundle, entry, on_each_backend, refused, refused_with, run, send};

/// Begins a request that is answered later, and returns where.
fn begin(space: &Space, method: &str, path: &str, body: Option<&Value>) -> String {
    let request = space.request(method, path).header("prefer", "respond-async, return=minimal");
    let request = if let Some(body) = body { request.json(body) } else { request };
    let accepted = send(request).expect_status(202);
    let location = accepted.header("content-location").unwrap().to_owned();
    assert!(location.starts_with(&space.base) && accepted.header("retry-after").is_some(), "{accepted}");
    assert_eq!(accepted.text, "");
    location
}

/// Waits for the answer, as a client should.
fn wait(space: &Space, location: &str) -> Reply {
    for _ in 0..200 {
        let reply = space.get(location);
        if reply.status != 202 {
            return reply;
        }
        assert!(reply.header("retry-after").is_some(), "{reply}");
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{location} is never answered")
}

#[test]
fn a_transaction_is_answered_later_as_an_entry() {
    on_each_backend(|space| {
        let body = bundle("transaction", &[entry("POST", "Patient", &space.tagged(patient().build()))]);
        let location = begin(space, "POST", "", Some(&body));
        let reply = wait(space, &location).expect_status(200);
        assert_eq!((&reply.body["resourceType"], &reply.body["type"]), (&json!("Bundle"), &json!("batch-response")));
        let answer = &reply.entries()[0];
        assert_eq!(
            (&answer["response"]["status"], &answer["resource"]["type"]),
            (&json!("200 OK"), &json!("transaction-response"))
        );
        assert_eq!(space.found("Patient").len(), 1);
        // It can be fetched again, until it is forgotten.
        assert_eq!(space.get(&location).expect_status(200).text, reply.text);
        space.delete(&location).assert_status(202);
        refused(&space.get(&location), &[404]);
        refused(&space.delete(&location), &[404]);
    });
}

#[test]
fn searches_and_what_fails_are_answered_later_too() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let found = wait(space, &begin(space, "GET", &space.within("Patient?_count=5"), None)).expect_status(200);
        let searchset = &found.entries()[0]["resource"];
        assert_eq!(searchset["entry"][0]["fullUrl"], format!("{}/{key}", space.base), "{found}");
        wait(space, &begin(space, "GET", &format!("{key}/_history"), None)).assert_status(200);
        let failed = wait(space, &begin(space, "GET", "Patient?unheard-of=a", None)).expect_status(200);
        let response = &failed.entries()[0]["response"];
        assert!(response["status"].as_str().unwrap().starts_with("400"), "{failed}");
        assert_eq!(response["outcome"]["resourceType"], "OperationOutcome");
        // A request that is no FHIR is refused at once.
        let broken = space.request("POST", "").header("prefer", "respond-async").body("application/fhir+json", "{");
        refused(&send(broken), &[400]);
    });
}

#[test]
fn what_takes_no_time_is_answered_at_once() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        send(space.request("GET", &key).header("prefer", "respond-async")).assert_status(200);
        let create = space.request("POST", "Patient").header("prefer", "respond-async");
        send(create.json(&space.tagged(patient().build()))).assert_status(201);
        refused(&space.get("_async/unheard-of"), &[404]);
        refused(&space.post("_async/unheard-of", &json!({})), &[405]);
    });
}

// Too many: the preference is not heeded.
#[test]
fn answers_survive_the_server_and_their_number_is_bounded() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "async_bound") else { continue };
        let mut server = database.serve(&[]);
        let client = server.client();
        let ask = || send(client.request("GET".parse().unwrap(), "Patient").header("prefer", "respond-async"));
        let first = ask().expect_status(202).header("content-location").unwrap().to_owned();
        let statuses: Vec<u16> = (0..70).map(|_| ask().status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 63, "{statuses:?}");
        assert_eq!(statuses.last(), Some(&200));
        thread::sleep(Duration::from_millis(500));
        assert!(server.stop().success());
        let again = database.serve(&[]);
        let id = first.rsplit('/').next().unwrap();
        run(again.client().get(&format!("_async/{id}"))).assert_status(200);
    }
}

// A server that dies answers nothing more; the next one says so, once it has been silent for a minute.
#[test]
fn what_a_server_was_doing_when_it_died_is_told_as_interrupted() {
    thread::scope(|scope| {
        for backend in Backend::ALL {
            let Some(database) = Database::create(backend, "async_interrupted") else { continue };
            scope.spawn(move || interrupt(&database));
        }
    });
}

fn interrupt(database: &Database) {
    let mut server = database.serve(&[("TESSERA_SEARCH_TIMEOUT_MS", "60000")]);
    let client = server.client();
    let people: Vec<Value> =
        (0..3000).map(|_| entry("POST", "Patient", &patient().family(&"Chalmers".repeat(12)).build())).collect();
    run(client.post("", &bundle("transaction", &people))).assert_status(200);
    // Takes seconds.
    let texts: String = (0..199).map(|n| format!("nobody{n},")).collect();
    let slow = vec![format!("family:contains={texts}chalmers"); 40].join("&") + "&_summary=count";
    let search = client.request("POST".parse().unwrap(), "Patient/_search").header("prefer", "respond-async");
    let accepted = send(search.body("application/x-www-form-urlencoded", slow)).expect_status(202);
    let id = accepted.header("content-location").unwrap().rsplit('/').next().unwrap().to_owned();
    server.kill_9();
    server.restart();
    let client = server.client();
    let ask = || run(client.get(&format!("_async/{id}")));
    // Another server may well be at it.
    ask().assert_status(202);
    let mut reply = ask();
    for _ in 0..90 {
        if reply.status != 202 {
            break;
        }
        thread::sleep(Duration::from_secs(1));
        reply = ask();
    }
    refused_with(&reply, 500, "exception");
    // It can be forgotten as any other.
    run(client.delete(&format!("_async/{id}"))).assert_status(202);
    refused(&ask(), &[404]);
}
