//! <https://hl7.org/fhir/R4/http.html#create>

use serde_json::json;
use tessera_fixtures::{observation, patient, resource};

use crate::space::{expressions, on_each_backend, refused, send};

// https://hl7.org/fhir/R4/http.html#create
#[test]
fn create_answers_201_with_the_location_of_the_new_version() {
    on_each_backend(|space| {
        let created = space.post("Patient", &space.tagged(patient().build())).expect_status(201);
        let location = created.header("location").unwrap_or_else(|| panic!("no Location: {created}"));
        let version = created.header("etag").unwrap().trim_start_matches("W/").trim_matches('"');
        let expected = format!("{}/Patient/{}/_history/{version}", space.base, created.id());
        assert_eq!(location, expected, "{created}");
        assert!(created.header("last-modified").is_some(), "{created}");
        space.get(location).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#create: these three are the server's
#[test]
fn create_ignores_the_clients_id_version_and_last_updated() {
    on_each_backend(|space| {
        let mut sent = space.tagged(patient().id("chosen-by-the-client").build());
        sent["meta"]["versionId"] = json!("77");
        sent["meta"]["lastUpdated"] = json!("1999-12-31T23:59:59Z");
        let created = space.post("Patient", &sent).expect_status(201);
        assert_ne!(created.id(), "chosen-by-the-client");
        let read = space.get(&format!("Patient/{}", created.id())).expect_status(200);
        assert_ne!(read.body["meta"]["versionId"], "77");
        assert!(read.body["meta"]["lastUpdated"].as_str().unwrap() > "2020", "{read}");
        // The rest of meta is the client's.
        assert_eq!(read.body["meta"]["tag"], sent["meta"]["tag"]);
    });
}

// https://hl7.org/fhir/R4/http.html#create
#[test]
fn create_keeps_everything_that_was_sent() {
    on_each_backend(|space| {
        let sent = space.tagged(
            patient()
                .family("Ægir 🐟 \"q\" \\ \u{2028}")
                .set("extension.0", json!({ "url": "http://example.org/x", "valueDecimal": 1 }))
                .set("_birthDate.extension.0", json!({ "url": "http://example.org/y", "valueString": "about then" }))
                .born("1974-12")
                .set("contained.0", json!({ "resourceType": "Organization", "id": "o", "name": "O" }))
                .managing_organization("#o")
                .build(),
        );
        let created = space.post("Patient", &sent).expect_status(201);
        let mut read = space.get(&format!("Patient/{}", created.id())).expect_status(200).body;
        read.as_object_mut().unwrap().remove("id");
        for member in ["versionId", "lastUpdated"] {
            read["meta"].as_object_mut().unwrap().remove(member);
        }
        assert_eq!(read, sent);
    });
}

// https://hl7.org/fhir/R4/http.html#ops
#[test]
fn prefer_return_chooses_what_comes_back() {
    on_each_backend(|space| {
        let body = space.tagged(patient().build());
        let create = |preference: &str| {
            let created =
                send(space.request("POST", "Patient").header("prefer", preference).json(&body)).expect_status(201);
            assert!(created.header("location").is_some() && created.header("etag").is_some(), "{created}");
            created
        };
        assert_eq!(create("return=minimal").text, "");
        let representation = create("return=representation");
        assert_eq!(representation.body["resourceType"], "Patient", "{representation}");
        assert!(representation.body["meta"]["versionId"].is_string(), "{representation}");
        assert_eq!(representation.header("content-type").map(|t| t.starts_with("application/fhir+json")), Some(true));
        let outcome = create("return=OperationOutcome");
        assert_eq!(outcome.body["resourceType"], "OperationOutcome", "{outcome}");
    });
}

// https://hl7.org/fhir/R4/http.html#create: 400 where the resource cannot be parsed
#[test]
fn create_refuses_what_is_not_json() {
    on_each_backend(|space| {
        let bodies = [
            "",
            " ",
            "{",
            "{\"resourceType\":\"Patient\",}",
            "{'resourceType':'Patient'}",
            "{\"resourceType\":\"Patient\"} {}",
            "[]",
            "null",
            "\"Patient\"",
            "{\"resourceType\":\"Patient\",\"active\":tru}",
            "{\"resourceType\":\"Patient\",\"active\":01}",
            "<Patient xmlns=\"http://hl7.org/fhir\"/>",
            "{\"resourceType\":\"Patient\",\"language\":\"a\nb\"}",
            "{}",
            "{\"id\":\"a\"}",
        ];
        for body in bodies {
            let reply = send(space.request("POST", "Patient").body("application/fhir+json", body));
            println!("{body}");
            refused(&reply, &[400]);
        }
    });
}

// https://hl7.org/fhir/R4/json.html: property names are unique
#[test]
fn create_refuses_duplicate_members() {
    on_each_backend(|space| {
        for body in [
            r#"{"resourceType":"Patient","gender":"male","gender":"female"}"#,
            r#"{"resourceType":"Patient","resourceType":"Patient"}"#,
            r#"{"resourceType":"Patient","name":[{"family":"A","family":"B"}]}"#,
            r#"{"resourceType":"Patient","gender":"male","\u0067ender":"male"}"#,
        ] {
            println!("{body}");
            refused(&send(space.request("POST", "Patient").body("application/fhir+json", body)), &[400, 422]);
        }
    });
}

// https://hl7.org/fhir/R4/validation.html
#[test]
fn create_refuses_elements_that_the_specification_does_not_have() {
    on_each_backend(|space| {
        let reply = space.post("Patient", &patient().set("birthdate", "1974-12-25").build());
        refused(&reply, &[400, 422]);
        assert!(expressions(&reply.body).iter().any(|e| e.starts_with("Patient")), "{reply}");
        refused(&space.post("Patient", &patient().set("name.0.surname", "A").build()), &[400, 422]);
    });
}

// https://hl7.org/fhir/R4/http.html#create: the resource type is that of the URL
#[test]
fn create_refuses_a_resource_of_another_type_than_the_url() {
    on_each_backend(|space| {
        refused(&space.post("Patient", &observation().build()), &[400, 422]);
        refused(&space.post("Patient", &json!({ "resourceType": "Nothing" })), &[400, 422]);
        refused(&space.post("Nothing", &json!({ "resourceType": "Nothing" })), &[404]);
    });
}

// https://hl7.org/fhir/R4/http.html#mime-type: 415 for a format that is not supported
#[test]
fn create_refuses_media_types_that_it_does_not_know() {
    on_each_backend(|space| {
        let body = patient().json();
        for media_type in ["text/plain", "application/pdf", "image/json", "application/x-www-form-urlencoded"] {
            println!("{media_type}");
            refused(&send(space.request("POST", "Patient").body(media_type, &*body)), &[415]);
        }
    });
}

// https://hl7.org/fhir/R4/http.html#mime-type
#[test]
fn create_takes_the_media_types_of_json() {
    on_each_backend(|space| {
        let body = space.tagged(patient().build()).to_string();
        for media_type in
            ["application/fhir+json", "application/json", "application/fhir+json; charset=UTF-8", "text/json"]
        {
            let reply = send(space.request("POST", "Patient").body(media_type, &*body));
            assert_eq!(reply.status, 201, "{media_type}: {reply}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#create: a limit of depth keeps the parser safe
#[test]
fn create_refuses_what_is_nested_too_deep() {
    on_each_backend(|space| {
        // Each extension is an object in an array: two levels.
        let nested = |times: usize| {
            let open = r#""extension":[{"url":"http://example.org/x","#.repeat(times);
            let close = "}]".repeat(times);
            format!(
                r#"{{"resourceType":"Patient","meta":{{"tag":[{{"code":"{}"}}]}},{open}"valueBoolean":true{close}}}"#,
                space.tag
            )
        };
        let create = |times| send(space.request("POST", "Patient").body("application/fhir+json", nested(times)));
        create(25).assert_status(201);
        refused(&create(40), &[400, 422]);
        refused(&create(20_000), &[400, 413, 422]);
    });
}

// https://hl7.org/fhir/R4/http.html#create
#[test]
fn create_works_for_types_of_every_kind() {
    on_each_backend(|space| {
        let code = json!({ "text": "x" });
        let resources = [
            json!({ "resourceType": "Basic", "code": code }),
            json!({ "resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8=" }),
            json!({ "resourceType": "ValueSet", "status": "draft", "url": "http://example.org/vs" }),
            json!({ "resourceType": "Questionnaire", "status": "draft", "item": [{ "linkId": "1", "type": "group",
                "item": [{ "linkId": "1.1", "type": "string", "text": "?" }] }] }),
            json!({ "resourceType": "MolecularSequence", "coordinateSystem": 0 }),
            resource("Bundle")
                .set("type", "collection")
                .set("entry.0.resource", patient().active(true).build())
                .build(),
        ];
        for body in resources {
            let resource_type = body["resourceType"].as_str().unwrap();
            let created = space.post(resource_type, &body).expect_status(201);
            let read = space.get(&format!("{resource_type}/{}", created.id())).expect_status(200);
            // A server may send a Binary as what it holds.
            assert!(read.body["resourceType"] == body["resourceType"] || resource_type == "Binary", "{read}");
        }
    });
}
