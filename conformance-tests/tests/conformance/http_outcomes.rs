//! Errors: <https://hl7.org/fhir/R4/http.html#Status-Codes> and <https://hl7.org/fhir/R4/operationoutcome.html>

use serde_json::json;
use tessera_fixtures::patient;

use crate::space::{expressions, on_each_backend, refused, refused_with, send};

// https://hl7.org/fhir/R4/http.html#Status-Codes: 404 for types and paths that there are not
#[test]
fn a_type_that_there_is_not_is_404() {
    on_each_backend(|space| {
        for path in
            ["Nothing", "Nothing/1", "Nothing?name=a", "Nothing/_history", "patient/1", "DomainResource", "HumanName"]
        {
            println!("{path}");
            refused(&space.get(path), &[404]);
        }
        refused(&space.put("Nothing/1", &json!({ "resourceType": "Nothing", "id": "1" })), &[404]);
        refused(&space.delete("Nothing/1"), &[404]);
    });
}

// https://hl7.org/fhir/R4/http.html#Status-Codes
#[test]
fn a_type_that_is_misspelt_is_told_the_right_one() {
    on_each_backend(|space| {
        let reply = space.get("Pateint");
        refused(&reply, &[404]);
        assert!(reply.text.contains("Patient"), "{reply}");
    });
}

// https://hl7.org/fhir/R4/http.html#Status-Codes
#[test]
fn a_path_that_means_nothing_is_refused() {
    on_each_backend(|space| {
        for path in
            ["Patient/1/2/3", "Patient/1/_history/1/2", "_nothing", "metadata/x", "Patient/_nothing", "Patient//1"]
        {
            println!("{path}");
            refused(&space.get(path), &[400, 404, 501]);
        }
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6: 405 with Allow
#[test]
fn a_method_that_the_path_does_not_have_is_405() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for (method, path) in [
            ("POST", &*key),
            ("PUT", "metadata"),
            ("DELETE", "metadata"),
            ("POST", "_history"),
            ("DELETE", "Patient/_history"),
        ] {
            println!("{method} {path}");
            let reply = send(space.request(method, path).json(&json!({ "resourceType": "Patient" })));
            refused(&reply, &[405]);
            assert!(reply.header("allow").is_some_and(|methods| methods.contains("GET")), "no Allow: {reply}");
        }
    });
}

// https://hl7.org/fhir/R4/search.html#errors: unknown parameters are refused, the more so as strict is asked for
#[test]
fn an_unknown_parameter_is_refused_with_a_suggestion() {
    on_each_backend(|space| {
        for path in ["Patient?birthDate=2000", "Patient?nmae=a", "Patient?gendre=male&name=a"] {
            let reply = space.get(path);
            refused(&reply, &[400]);
            let name = path.split(['?', '=']).nth(1).unwrap();
            assert!(reply.text.contains(name), "the reply does not name {name}: {reply}");
        }
        let reply = space.get("Patient?birthDate=2000");
        assert!(reply.text.contains("birthdate"), "{reply}");
        refused(&send(space.request("GET", "Patient?nmae=a").header("prefer", "handling=strict")), &[400]);
        refused(&space.get("?unheard-of=a"), &[400]);
    });
}

// https://hl7.org/fhir/R4/search.html#errors: `Prefer: handling=lenient`
#[test]
fn lenient_handling_leaves_unknown_parameters_out_and_says_so() {
    on_each_backend(|space| {
        space.add("a", patient().gender("female").build());
        space.add("b", patient().gender("male").build());
        let path = space.within("Patient?nmae=nobody&gender=female");
        let reply = send(space.request("GET", &path).header("prefer", "handling=lenient")).expect_status(200);
        assert_eq!(space.names_in(&reply, "match"), ["a"], "{reply}");
        let own = reply.link("self").unwrap();
        assert!(!own.contains("nmae") && own.contains("gender=female"), "{own}");
        let outcomes: Vec<_> = reply.entries().iter().filter(|entry| entry["search"]["mode"] == "outcome").collect();
        assert_eq!(outcomes.len(), 1, "{reply}");
        assert_eq!(outcomes[0]["resource"]["resourceType"], "OperationOutcome", "{reply}");
        let issue = &outcomes[0]["resource"]["issue"][0];
        assert!(["warning", "information"].contains(&issue["severity"].as_str().unwrap()), "{reply}");
        assert!(issue.to_string().contains("nmae"), "{reply}");
        // Unknown modifiers are refused all the same: https://hl7.org/fhir/R4/search.html#modifiers
        let path = space.within("Patient?name:unheard-of=a");
        refused(&send(space.request("GET", &path).header("prefer", "handling=lenient")), &[400]);
    });
}

// https://hl7.org/fhir/R4/search.html#errors
#[test]
fn a_value_that_the_parameter_cannot_have_is_refused() {
    on_each_backend(|space| {
        for query in [
            "Patient?birthdate=yesterday",
            "Patient?birthdate=2021-13",
            "Patient?birthdate=2021-02-30",
            "Observation?value-quantity=much",
            "Observation?value-quantity=5|a|b|c",
            "Patient?name:missing=perhaps",
            "Patient?_count=-1",
            "Patient?_count=a",
            "Patient?_sort=unheard-of",
            "Patient?_summary=perhaps",
            "Patient?_total=perhaps",
            "Patient?_include=Patient",
            "Patient?_include=Patient:unheard-of",
            "Patient?_revinclude=Nothing:patient",
            "Patient?_lastUpdated=soon",
            "?_type=Nothing",
        ] {
            println!("{query}");
            refused(&space.get(query), &[400]);
        }
    });
}

// https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression
#[test]
fn an_outcome_of_validation_says_where_each_issue_is() {
    on_each_backend(|space| {
        let invalid =
            patient().gender("m").born("1974-13-01").set("name.0.family", "A").set("name.1.use", "unknown").build();
        let reply = space.post("Patient", &invalid);
        refused(&reply, &[400, 422]);
        let expressions = expressions(&reply.body);
        for expected in ["Patient.gender", "Patient.birthDate", "Patient.name[1].use"] {
            assert!(expressions.iter().any(|e| e == expected), "{expected} is not in {expressions:?}: {reply}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#mime-type
#[test]
fn an_outcome_is_sent_as_fhir() {
    on_each_backend(|space| {
        for reply in [
            space.get("Nothing/1"),
            space.get("Patient?nmae=a"),
            send(space.request("POST", "Patient").body("application/fhir+json", "{")),
            send(space.request("POST", "Patient").body("text/plain", "a")),
        ] {
            let media_type = reply.header("content-type").unwrap_or_default();
            assert!(media_type.starts_with("application/fhir+json"), "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/valueset-issue-type.html
#[test]
fn the_code_of_an_issue_is_one_of_the_specification() {
    on_each_backend(|space| {
        refused_with(&space.get("Patient/not-there"), 404, "not-found");
        let code = |path: &str| refused(&space.get(path), &[400, 404])["code"].as_str().unwrap().to_owned();
        assert!(["not-supported", "not-found", "processing", "invalid"].contains(&&*code("Nothing/1")));
        assert!(["not-supported", "invalid", "value", "processing", "not-found"].contains(&&*code("Patient?nmae=a")));
        assert!(["value", "invalid", "processing", "structure"].contains(&&*code("Patient?birthdate=soon")));
    });
}

// https://hl7.org/fhir/R4/http.html#Status-Codes
#[test]
fn a_body_where_none_can_be_is_no_error_of_the_server() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let reply = send(space.request("GET", &key).body("application/fhir+json", "{"));
        assert!(reply.status < 500, "{reply}");
        for path in [
            "Patient?name=%00",
            "Patient?name=%FF",
            "Patient?%00=a",
            "Patient?name=%C3%28",
            "Patient?=a",
            "Patient?&&",
            "Patient?name",
        ] {
            let reply = space.get(path);
            assert!(reply.status < 500, "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#custom: X-Request-Id
#[test]
fn the_id_of_a_request_comes_back() {
    on_each_backend(|space| {
        for path in ["metadata", "Patient/not-there"] {
            let reply = send(space.request("GET", path).header("x-request-id", "r-1"));
            assert_eq!(reply.header("x-request-id"), Some("r-1"), "{reply}");
        }
        let long = "x".repeat(300);
        let reply = send(space.request("GET", "metadata").header("x-request-id", &long)).expect_status(200);
        // The server makes one where there is none that it takes.
        let made = reply.header("x-request-id").unwrap_or_default();
        assert!(!made.is_empty() && made != long, "{made}");
        let other = send(space.request("GET", "metadata")).expect_status(200);
        assert_ne!(other.header("x-request-id"), Some(made));
    });
}

// https://hl7.org/fhir/R4/http.html#summary: HEAD wherever there is GET; elsewhere 405 with Allow
#[test]
fn head_is_answered_wherever_get_is() {
    on_each_backend(|space| {
        let key = space.add("a", tessera_fixtures::patient().build());
        let id = key.strip_prefix("Patient/").expect("a patient");
        for path in [
            key.clone(),
            format!("{key}/_history/1"),
            format!("{key}/_history"),
            // What other tests cannot change in between.
            "Patient/_history?_since=2999-01-01T00:00:00Z".into(),
            "_history?_since=2999-01-01T00:00:00Z".into(),
            format!("Patient?_id={id}"),
            format!("?_type=Patient&_id={id}"),
            "metadata".into(),
        ] {
            let (get, head) = (space.get(&path).expect_status(200), send(space.request("HEAD", &path)));
            assert_eq!((head.status, &*head.text), (200, ""), "{path}: {head}");
            for name in ["content-type", "content-length", "etag", "last-modified"] {
                assert_eq!(head.header(name), get.header(name), "{path}: {name}");
            }
        }
        for (method, path) in [("POST", &*key), ("DELETE", "metadata"), ("PUT", "_history"), ("GET", "Patient/_search")]
        {
            let reply = send(space.request(method, path));
            refused(&reply, &[405]);
            let allow = reply.header("allow").unwrap_or_default();
            assert!(!allow.is_empty() && !allow.contains(method), "{reply}");
        }
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-15.5.16: 415 for a coding that is not known
#[test]
fn a_content_encoding_that_is_unknown_is_415() {
    on_each_backend(|space| {
        for coding in ["compress", "gzip, gzip", "nonsense"] {
            let body = patient().build();
            let request = space.request("POST", "Patient").header("content-encoding", coding).json(&body);
            refused_with(&send(request), 415, "not-supported");
        }
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3: a write that is done is not answered as if it were refused
#[test]
fn a_write_is_answered_whatever_coding_is_wanted() {
    on_each_backend(|space| {
        for accepted in ["identity;q=0", "*;q=0", "compress, identity;q=0"] {
            let request = space.request("POST", "Patient").header("accept-encoding", accepted);
            send(request.json(&patient().build())).assert_status(201);
        }
    });
}
