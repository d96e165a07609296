//! What takes too long: <https://hl7.org/fhir/R4/http.html#Status-Codes> and
//! <https://hl7.org/fhir/R4/valueset-issue-type.html>: `too-costly`

use conformance_tests::{Backend, Database};
use serde_json::Value;
use tessera_fixtures::patient;

use crate::space::{bundle, entry, refused_with, run};

// "The processing is terminated because … too expensive"; the server goes on.
#[test]
fn a_search_that_takes_too_long_is_ended_and_nothing_else_is() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "search_time") else { continue };
        let server = database.serve(&[("TESSERA_SEARCH_TIMEOUT_MS", "300")]);
        let client = server.client();
        // Writes take longer than that.
        let people: Vec<Value> =
            (0..1500).map(|_| entry("POST", "Patient", &patient().family(&"Chalmers".repeat(12)).build())).collect();
        run(client.post("", &bundle("transaction", &people))).assert_status(200);
        // 8,000 texts are looked for in each name; only the last of each parameter is there.
        let texts: String = (0..199).map(|n| format!("nobody{n},")).collect();
        let slow = vec![format!("family:contains={texts}chalmers"); 40].join("&") + "&_summary=count";
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
