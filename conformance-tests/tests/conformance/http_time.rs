//! What takes too long: <https://hl7.org/fhir/R4/http.html#Status-Codes> and
//! <https://hl7.org/fhir/R4/valueset-issue-type.html>: `too-costly`

use conformance_tests::{Backend, Client, Database, Wire};
use serde_json::Value;
use std::time::Duration;
use tessera_fixtures::patient;

use crate::space::{bundle, entry, refused_with, run};

fn fill(client: &Client, length: usize) {
    let people: Vec<Value> =
        (0..1500).map(|_| entry("POST", "Patient", &patient().family(&"Chalmers".repeat(length)).build())).collect();
    run(client.post("", &bundle("transaction", &people))).assert_status(200);
}

/// 8,000 texts are looked for in each name; only the last of each parameter is there.
fn slow() -> String {
    let texts: String = (0..199).map(|n| format!("nobody{n},")).collect();
    vec![format!("family:contains={texts}chalmers"); 40].join("&") + "&_summary=count"
}

// "The processing is terminated because … too expensive"; the server goes on.
#[test]
fn a_search_that_takes_too_long_is_ended_and_nothing_else_is() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "search_time") else { continue };
        let server = database.serve(&[("TESSERA_SEARCH_TIMEOUT_MS", "300")]);
        let client = server.client();
        // Writes take longer than that.
        fill(&client, 12);
        let slow = slow();
        let search = || {
            let request = client.request("POST".parse().unwrap(), "Patient/_search");
            run(request.body("application/x-www-form-urlencoded", slow.clone()).send())
        };
        // More often than the server has connections to its database.
        for _ in 0..12 {
            let reply = search();
            refused_with(&reply, 503, "too-costly");
        }
        let created = run(client.post("Patient", &patient().build())).expect_status(201);
        let read = run(client.get(&format!("Patient?_id={}&_total=accurate", created.id()))).expect_status(200);
        assert_eq!(read.body["total"], 1);
    }
}

// More searches than the server has connections to its database, each of which would take far longer than the test.
#[test]
fn http_5_a_client_that_hangs_up_ends_its_search() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "search_gone") else { continue };
        let server = database.serve(&[("TESSERA_SEARCH_TIMEOUT_MS", "60000")]);
        fill(&server.client(), 250);
        let slow = slow();
        let request = format!(
            "POST /fhir/Patient/_search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{slow}",
            slow.len()
        );
        let mut clients: Vec<Wire> = (0..12).map(|_| Wire::connect(&server)).collect();
        clients.iter_mut().for_each(|client| client.send(&request));
        std::thread::sleep(Duration::from_millis(500));
        drop(clients);
        let next = Wire::connect(&server)
            .ask("GET /fhir/Patient?_count=1&_total=accurate HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(next.status == 200 && next.text.contains("\"total\":1500"), "{backend:?}: {}", next.text);
    }
}
