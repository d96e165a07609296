//! Who did what: <https://hl7.org/fhir/R4/auditevent.html>, in the patterns of
//! <https://profiles.ihe.net/ITI/BALP/content.html>; AUD-1 to AUD-5.

use conformance_tests::{Backend, Database, Folder, Reply};
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::space::{Space, bare_entry, bundle, entry, on_each_backend, refused, run, send};

/// All events since a time, by the id of their request.
fn events_of(space: &Space, since: &str, request: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut page = space.get(&format!("AuditEvent?date=ge{since}&_count=1000&_sort=date")).expect_status(200);
    loop {
        let of_request = |event: &&Value| {
            let entities = event["entity"].as_array().into_iter().flatten();
            entities.filter(|e| e["type"]["code"] == "XrequestId").any(|e| e["what"]["identifier"]["value"] == request)
        };
        found.extend(page.resources().into_iter().filter(of_request).cloned());
        let Some(next) = page.link("next").map(str::to_owned) else { return found };
        page = space.get(&next).expect_status(200);
    }
}

/// When this space's first request was answered, as the server says it.
fn now(space: &Space) -> String {
    let created = space.post("Basic", &space.tagged(json!({"resourceType": "Basic", "code": {"text": "now"}})));
    created.expect_status(201).body["meta"]["lastUpdated"].as_str().unwrap().to_owned()
}

/// What an event says, in a line: subtype, action, outcome, reason, data, patient.
fn said(event: &Value) -> String {
    let entities = event["entity"].as_array().unwrap();
    let of_role = |code: &str| {
        let entity = entities.iter().find(|entity| entity["role"]["code"] == code);
        entity.map_or("-", |entity| entity["what"]["reference"].as_str().unwrap_or("?"))
    };
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let subtype = &event["subtype"][0];
    let code = if subtype["display"].is_string() { text(&subtype["display"]) } else { text(&subtype["code"]) };
    let outcome = format!("{} {}", text(&event["outcome"]), text(&event["outcomeDesc"]));
    format!("{code} {} {outcome} {} {}", text(&event["action"]), of_role("4"), of_role("1"))
}

/// Sends a request under an id of its own, and fails unless its events say that.
#[track_caller]
fn check(space: &Space, method: &str, path: &str, body: Option<&Value>, expected: &[&str]) -> Reply {
    let since = now(space);
    let id = format!("{}-{}", space.tag, fastrand::u64(..));
    let mut request = space.request(method, path).header("x-request-id", &id);
    if let Some(body) = body {
        let patch = method == "PATCH";
        request =
            if patch { request.body("application/json-patch+json", body.to_string()) } else { request.json(body) };
    }
    let reply = send(request);
    let mut found: Vec<String> = events_of(space, &since, &id).iter().map(said).collect();
    let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{method} {path}: {reply}");
    reply
}

#[test]
fn aud_1_every_interaction_is_recorded() {
    on_each_backend(|space| {
        let p = space.add("p", patient().family("Chalmers").build());
        let o = format!("Observation/{}", space.tag);
        let mut body = space.tagged(observation().id(&space.tag).subject(&p).build());
        let at = |version: u32| format!("{o}/_history/{version}");
        check(space, "PUT", &o, Some(&body), &[&format!("update U 0 - {} {p}", at(1))]).assert_status(201);
        body["status"] = json!("amended");
        check(space, "PUT", &o, Some(&body), &[&format!("update U 0 - {} {p}", at(2))]).assert_status(200);
        // The same content again makes no version, and is recorded all the same.
        check(space, "PUT", &o, Some(&body), &[&format!("update U 0 - {} {p}", at(2))]).assert_status(200);
        let patch = json!([{"op": "replace", "path": "/status", "value": "final"}]);
        check(space, "PATCH", &o, Some(&patch), &[&format!("patch U 0 - {} {p}", at(3))]).assert_status(200);
        check(space, "GET", &o, None, &[&format!("read R 0 - {} {p}", at(3))]).assert_status(200);
        check(space, "HEAD", &o, None, &[&format!("read R 0 - {} {p}", at(3))]).assert_status(200);
        check(space, "GET", &at(1), None, &[&format!("vread R 0 - {} {p}", at(1))]).assert_status(200);
        check(space, "GET", &format!("{o}/_history"), None, &[&format!("history-instance R 0 - {o} {p}")]);
        let search = format!("Observation?_id={}", space.tag);
        check(space, "GET", &search, None, &[&format!("search-type E 0 - - {p}")]).assert_status(200);
        let search = format!("?_type=Observation&_id={}", space.tag);
        check(space, "GET", &search, None, &[&format!("search-system E 0 - - {p}")]).assert_status(200);
        let search = format!("{p}/Observation");
        check(space, "GET", &search, None, &[&format!("search-type E 0 - - {p}")]).assert_status(200);
        let none = format!("Observation?_id={}-none", space.tag);
        check(space, "GET", &none, None, &["search-type E 0 - - -"]).assert_status(200);
        let everything = format!("{p}/$everything");
        check(space, "GET", &everything, None, &[&format!("$everything E 0 - {p} {p}")]).assert_status(200);
        check(space, "GET", "metadata", None, &["capabilities E 0 - - -"]).assert_status(200);
        check(space, "DELETE", &o, None, &[&format!("delete D 0 - {} {p}", at(4))]).assert_status(204);
        check(space, "DELETE", &o, None, &[&format!("delete D 0 - {o} -")]);
        check(space, "GET", &o, None, &[&format!("read R 4 410 deleted {o} -")]).assert_status(410);
        let erase = format!("{o}/$erase");
        check(space, "POST", &erase, Some(&json!({"resourceType": "Parameters"})), &[&format!("$erase D 0 - {o} -")]);
        let created = space.post("Patient", &space.tagged(patient().build())).expect_status(201);
        let q = format!("Patient/{}", created.id());
        let delete = format!("Patient?_id={}", created.id());
        check(space, "DELETE", &delete, None, &[&format!("delete D 0 - {q}/_history/2 {q}")]).assert_status(204);
        check(space, "DELETE", &delete, None, &["delete D 0 - - -"]);
    });
}

#[test]
fn aud_1_what_is_refused_is_recorded_with_its_reason() {
    on_each_backend(|space| {
        check(space, "GET", "Patient/never-was", None, &["read R 4 404 not-found Patient/never-was -"]);
        check(space, "GET", "Patient?unheard-of=1", None, &["search-type E 4 400 not-supported - -"]);
        check(space, "GET", "Patiant/1", None, &["- E 4 404 not-supported - -"]);
        check(
            space,
            "POST",
            "AuditEvent",
            Some(&json!({"resourceType": "AuditEvent"})),
            &["create C 4 405 not-supported - -"],
        );
        check(
            space,
            "POST",
            "Patient",
            Some(&json!({"resourceType": "Patient", "x": 1})),
            &["create C 4 400 structure - -"],
        );
        check(
            space,
            "POST",
            "",
            Some(&json!({"resourceType": "Bundle", "type": "document"})),
            &["batch E 4 400 invalid - -"],
        );
        let p = space.add("p", patient().build());
        let mut stale = space.get(&p).expect_status(200).body;
        stale["active"] = json!(true);
        let since = now(space);
        let id = format!("{}-stale", space.tag);
        let request = space.request("PUT", &p).header("x-request-id", &id).header("if-match", "W/\"9\"").json(&stale);
        send(request).assert_status(412);
        let found: Vec<String> = events_of(space, &since, &id).iter().map(said).collect();
        assert_eq!(found, [format!("update U 4 412 conflict {p} -")]);
        // Who is not let in is not known, and is written down.
        let id = format!("{}-elsewhere", space.tag);
        let request = space.request("GET", "Patient").header("x-request-id", &id).header("host", "example.org");
        send(request).assert_status(421);
        let events = events_of(space, &since, &id);
        assert_eq!(events.iter().map(said).collect::<Vec<_>>(), ["- E 4 421 forbidden - -"]);
        assert_eq!(events[0]["agent"][0]["who"]["display"], "unknown");
    });
}

#[test]
fn aud_1_there_is_an_event_for_each_patient_and_each_entry() {
    on_each_backend(|space| {
        let (p, q) = (space.add("p", patient().build()), space.add("q", patient().build()));
        for key in [&p, &q, &p] {
            space.add("o", observation().subject(key).build());
        }
        let search = space.within("Observation?");
        let both = [format!("search-type E 0 - - {p}"), format!("search-type E 0 - - {q}")];
        check(space, "GET", &search, None, &[&both[0], &both[1]]).assert_status(200);
        let o = format!("Observation/{}", space.tag);
        let write = entry("PUT", &o, &space.tagged(observation().id(&space.tag).subject(&q).build()));
        let missing = bare_entry("GET", "Patient/never-was");
        let transaction = bundle("transaction", &[write.clone(), bare_entry("GET", &p), bare_entry("GET", &search)]);
        let expected = [
            format!("update U 0 - {o}/_history/1 {q}"),
            format!("read R 0 - {p}/_history/1 {p}"),
            both[0].clone(),
            both[1].clone(),
        ];
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(space, "POST", "", Some(&transaction), &expected).assert_status(200);
        let batch = bundle("batch", &[missing, bare_entry("GET", &q), bare_entry("PUT", "Patiant/1")]);
        let expected = [
            "read R 4 404 not-found Patient/never-was -",
            &format!("read R 0 - {q}/_history/1 {q}"),
            "- E 4 404 not-supported - -",
        ];
        check(space, "POST", "", Some(&batch), &expected).assert_status(200);
        // A transaction that fails has done nothing but this.
        let wrong = entry("POST", "Patient", &json!({"resourceType": "Patient", "x": 1}));
        let failed = bundle("transaction", &[write, wrong]);
        check(space, "POST", "", Some(&failed), &["create C 4 400 structure - -"]).assert_status(400);
    });
}

#[test]
fn aud_2_events_have_the_shape_of_the_patterns() {
    on_each_backend(|space| {
        let p = space.add("p", patient().family("Chalmers").build());
        let path = format!("Patient?_id={}&name=Chal%6Ders", p.strip_prefix("Patient/").unwrap());
        let since = now(space);
        let id = format!("{}-shape", space.tag);
        send(space.request("GET", &path).header("x-request-id", &id)).assert_status(200);
        let event = events_of(space, &since, &id).remove(0);
        let profile = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientQuery";
        assert_eq!(event["meta"]["profile"], json!([profile]));
        assert_eq!((&event["type"]["code"], &event["subtype"][0]["code"]), (&json!("rest"), &json!("search-type")));
        assert_eq!((&event["action"], &event["outcome"]), (&json!("E"), &json!("0")));
        let agents = event["agent"].as_array().unwrap();
        assert_eq!(agents[0]["type"]["coding"][0]["code"], "110153");
        assert_eq!((&agents[0]["altId"], &agents[0]["requestor"]), (&json!("insecure-dev"), &json!(true)));
        assert_eq!(agents[1]["type"]["coding"][0]["code"], "110152");
        let query = event["entity"].as_array().unwrap().iter().find(|e| e["role"]["code"] == "24").unwrap();
        assert!(query["description"].as_str().unwrap().ends_with("name=Chalmers"), "{query}");
        assert!(query["query"].as_str().unwrap().starts_with("R0VUIFBhdGllbnQ/"), "{query}");
        let read = space.get(&format!("AuditEvent/{}", event["id"].as_str().unwrap())).expect_status(200);
        assert_eq!(read.body, event);
        // A valid resource, also to read as XML.
        let valid = space.post("AuditEvent/$validate", &event).expect_status(200);
        assert!(!valid.text.contains("\"error\""), "{valid}");
        let xml = send(
            space
                .request("GET", &format!("AuditEvent/{}", event["id"].as_str().unwrap()))
                .header("accept", "application/fhir+xml"),
        );
        assert!(xml.expect_status(200).text.contains("<AuditEvent "));
        // What was posted was searched, too.
        let id = format!("{}-form", space.tag);
        let form = space.request("POST", "Patient/_search").header("x-request-id", &id);
        send(form.body("application/x-www-form-urlencoded", "name=Chalmers")).assert_status(200);
        assert!(!events_of(space, &since, &id).is_empty());
    });
}

#[test]
fn aud_5_nobody_writes_audit_events() {
    on_each_backend(|space| {
        let p = space.add("p", patient().build());
        let event = space.get(&format!("AuditEvent?patient={p}")).expect_status(200).resources()[0].clone();
        let key = format!("AuditEvent/{}", event["id"].as_str().unwrap());
        let new = json!({
            "resourceType": "AuditEvent",
            "type": {"code": "rest"},
            "recorded": "2020-01-01T00:00:00Z",
            "agent": [{"requestor": true}],
            "source": {"observer": {"display": "x"}},
        });
        refused(&space.post("AuditEvent", &new), &[405]);
        refused(&space.put(&key, &event), &[405]);
        refused(&space.put("AuditEvent?_id=x", &event), &[405]);
        refused(&space.patch(&key, &json!([{"op": "remove", "path": "/action"}])), &[405]);
        let deleted = space.delete(&key);
        refused(&deleted, &[405]);
        assert_eq!(deleted.header("allow"), Some("GET, HEAD"));
        refused(&space.delete(&format!("AuditEvent?patient={p}")), &[405]);
        refused(&space.post("", &bundle("transaction", &[entry("POST", "AuditEvent", &new)])), &[400, 405, 501]);
        let batch = space.post("", &bundle("batch", &[bare_entry("DELETE", &key)])).expect_status(200);
        assert!(batch.entries()[0]["response"]["status"].as_str().unwrap().starts_with('4'), "{batch}");
        refused(&space.post(&format!("{key}/$erase"), &json!({"resourceType": "Parameters"})), &[501]);
        for path in [format!("{key}/_history"), format!("{key}/_history/1"), "AuditEvent/_history".into()] {
            refused(&space.get(&path), &[501]);
        }
        assert_eq!(space.get(&key).expect_status(200).body, event);
    });
}

#[test]
fn aud_9_events_are_searched() {
    on_each_backend(|space| {
        let p = space.add("p", patient().build());
        let id = p.strip_prefix("Patient/").unwrap();
        space.get(&p).assert_status(200);
        let o = space.add("o", observation().subject(&p).build());
        space.get(&o).assert_status(200);
        let count = |query: &str| {
            let found = space.get(&format!("AuditEvent?{query}")).expect_status(200);
            assert!(found.entries().iter().all(|entry| entry["search"]["mode"] == "match"), "{found}");
            found.entries().len()
        };
        assert_eq!(count(&format!("patient={p}")), 4);
        assert_eq!(count(&format!("patient={id}&action=R")), 2);
        assert_eq!(count(&format!("patient={}/{p}&action=R,C&subtype=read", space.base)), 2);
        assert_eq!(count(&format!("entity={p}")), 4);
        assert_eq!(count(&format!("entity={o}")), 2);
        assert_eq!(count(&format!("entity={o}&outcome=4")), 0);
        assert_eq!(count(&format!("entity={o}&type=rest&altid=insecure-dev")), 2);
        assert_eq!(count(&format!("entity={o}&agent:identifier=insecure-dev&subtype=create")), 1);
        assert_eq!(count(&format!("entity={o}&agent=Practitioner/1")), 0);
        assert_eq!(count(&format!("entity={o}&type=110114")), 0);
        assert_eq!(count(&format!("entity={o}&date=gt2020&date=lt2999")), 2);
        assert_eq!(count(&format!("entity={o}&date=lt2020")), 0);
        let counted = space.get(&format!("AuditEvent?patient={p}&_summary=count")).expect_status(200);
        assert_eq!((&counted.body["total"], counted.entries().len()), (&json!(4), 0));
        // Page by page, in both orders.
        let mut all: Vec<Vec<String>> = Vec::new();
        for sort in ["date", "-date"] {
            let mut page = space.get(&format!("AuditEvent?patient={p}&_count=3&_sort={sort}")).expect_status(200);
            let mut ids = Vec::new();
            loop {
                ids.extend(page.resources().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
                let Some(next) = page.link("next").map(str::to_owned) else { break };
                page = space.get(&next).expect_status(200);
            }
            all.push(ids);
        }
        all[1].reverse();
        assert_eq!((all[0].len(), &all[0]), (4, &all[1]));
        let compartment = space.get(&format!("{p}/AuditEvent?subtype=read")).expect_status(200);
        assert_eq!(compartment.entries().len(), 2);
        for query in
            ["source=x", "action=X", "outcome=a", "date=yesterday", "patient=Observation/1", "_sort=type", "entity=x"]
        {
            refused(&space.get(&format!("AuditEvent?{query}")), &[400]);
        }
        refused(&space.get("AuditEvent/none"), &[404]);
    });
}

// What is not among the resources is not silently left out where it is asked for.
#[test]
fn aud_9_other_searches_do_not_pretend_to_look_for_events() {
    on_each_backend(|space| {
        let p = space.add("p", patient().build());
        for path in [
            "Patient?_has:AuditEvent:patient:action=R".to_owned(),
            "Patient?_revinclude=AuditEvent:patient".to_owned(),
            "?_type=Patient,AuditEvent&_id=1".to_owned(),
            format!("{p}/$everything?_type=AuditEvent"),
        ] {
            refused(&space.get(&path), &[400, 501]);
        }
        assert!(!space.get(&format!("{p}/$everything")).text.contains("AuditEvent"));
    });
}

#[test]
fn aud_4_what_cannot_be_recorded_is_not_answered() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "aud_4_what_cannot_be_recorded") else { continue };
        let folder = Folder::new("audit");
        let segments = folder.path().join("segments");
        let path = segments.display().to_string();
        let server = database.serve(&[("TESSERA_AUDIT_FOLDER", &path)]);
        let client = server.client();
        let created = run(client.post("Patient", &patient().build())).expect_status(201);
        let key = format!("Patient/{}", created.id());
        run(client.get(&key)).assert_status(200);
        std::fs::remove_dir_all(&segments).unwrap();
        // What is refused waits for the disk, and so notices at once; then nothing is read.
        run(client.get("Patient/never-was")).assert_status(503);
        let reply = run(client.get(&key));
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{reply}");
        run(client.get("Patient")).assert_status(503);
        // A write is recorded with its change.
        run(client.post("Patient", &patient().build())).assert_status(201);
        std::fs::create_dir_all(segments.join("1")).unwrap();
        run(client.get(&key)).assert_status(200);
        run(client.get("Patient/never-was")).assert_status(404);
    }
}
