//! <https://hl7.org/fhir/R4/http.html#read> and what holds for all interactions on resources.

use serde_json::json;
use tessera_fixtures::{observation, patient};

use crate::space::{on_each_backend, refused, refused_with, send};

// https://hl7.org/fhir/R4/http.html#read
#[test]
fn read_returns_the_resource_with_the_id_that_was_asked_for() {
    on_each_backend(|space| {
        let key = space.add("peter", patient().family("Chalmers").build());
        let read = space.get(&key).expect_status(200);
        assert_eq!(read.body["resourceType"], "Patient");
        assert_eq!(format!("Patient/{}", read.body["id"].as_str().unwrap()), key);
        assert_eq!(read.body["name"][0]["family"], "Chalmers");
    });
}

// https://hl7.org/fhir/R4/http.html#versions
#[test]
fn read_returns_the_version_as_weak_etag_and_in_meta() {
    on_each_backend(|space| {
        let read = space.get(&space.add("a", patient().build())).expect_status(200);
        let version = read.body["meta"]["versionId"].as_str().unwrap();
        assert_eq!(read.header("etag"), Some(&*format!("W/\"{version}\"")), "{read}");
    });
}

// https://hl7.org/fhir/R4/http.html#read
#[test]
fn read_returns_last_modified_that_agrees_with_meta() {
    on_each_backend(|space| {
        let read = space.get(&space.add("a", patient().build())).expect_status(200);
        let header = read.header("last-modified").unwrap_or_else(|| panic!("no Last-Modified: {read}"));
        let instant = read.body["meta"]["lastUpdated"].as_str().unwrap();
        // Both name the second, one as `Thu, 05 Mar 2026 10:11:12 GMT`, the other as `2026-03-05T10:11:12.345Z`.
        assert!(header.ends_with(" GMT"), "{header}");
        assert_eq!(
            header.split(' ').nth(4),
            instant.split('T').nth(1).map(|time| &time[..8]),
            "{header} and {instant}"
        );
    });
}

// https://hl7.org/fhir/R4/http.html#mime-type
#[test]
fn json_is_sent_as_application_fhir_json() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for accept in ["application/fhir+json", "application/json", "*/*", "application/fhir+json;fhirVersion=4.0"] {
            let read = send(space.request("GET", &key).header("accept", accept)).expect_status(200);
            let media_type = read.header("content-type").unwrap_or_default();
            assert!(media_type.starts_with("application/fhir+json"), "{accept}: {media_type}");
        }
        let without = send(space.request("GET", &key).without_header("accept")).expect_status(200);
        assert!(without.header("content-type").unwrap_or_default().starts_with("application/fhir+json"), "{without}");
    });
}

// https://hl7.org/fhir/R4/http.html#parameters
#[test]
fn format_takes_every_spelling_of_json_and_goes_before_accept() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for spelling in ["json", "application/fhir%2Bjson", "application/json", "text/json", "application/fhir+json"] {
            for path in [format!("{key}?_format={spelling}"), format!("{}&_format={spelling}", space.within("Patient"))]
            {
                let read = send(space.request("GET", &path).header("accept", "text/html")).expect_status(200);
                assert!(read.header("content-type").unwrap_or_default().contains("json"), "{spelling}: {read}");
                assert!(read.body.is_object(), "{spelling}: {read}");
            }
        }
    });
}

// https://hl7.org/fhir/R4/http.html#mime-type: 406 for a format that cannot be sent
#[test]
fn a_format_that_the_server_does_not_have_is_not_acceptable() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let xml = space.get(&format!("{key}?_format=xml"));
        if xml.status == 200 {
            assert!(xml.header("content-type").unwrap_or_default().contains("xml"), "{xml}");
        } else {
            refused(&xml, &[406]);
            refused(&send(space.request("GET", &key).header("accept", "application/fhir+xml")), &[406]);
        }
        refused(&space.get(&format!("{key}?_format=application/x-unheard-of")), &[406]);
        refused(&send(space.request("GET", &key).header("accept", "application/x-unheard-of")), &[406]);
    });
}

// https://hl7.org/fhir/R4/http.html#parameters
#[test]
fn pretty_changes_white_space_and_nothing_else() {
    on_each_backend(|space| {
        let key = space.add("a", patient().family("Chalmers").build());
        let plain = space.get(&key).expect_status(200);
        let pretty = space.get(&format!("{key}?_pretty=true")).expect_status(200);
        assert!(pretty.text.lines().count() > plain.body.as_object().unwrap().len(), "not pretty: {}", pretty.text);
        assert_eq!(pretty.body, plain.body);
        assert_eq!(space.get(&format!("{key}?_pretty=false")).expect_status(200).body, plain.body);
        let page = space.get(&space.within("Patient?_pretty=true")).expect_status(200);
        assert!(page.text.lines().count() > 10, "not pretty: {}", page.text);
    });
}

// https://hl7.org/fhir/R4/http.html#summary
#[test]
fn read_takes_summary_and_elements_and_says_that_the_resource_is_a_part() {
    on_each_backend(|space| {
        let key =
            space.add("a", patient().family("Chalmers").born("1974-12-25").set("contact.0.name.family", "B").build());
        for parameter in ["_summary=true", "_elements=birthDate"] {
            let part = space.get(&format!("{key}?{parameter}")).expect_status(200);
            assert_eq!(part.body["birthDate"], "1974-12-25", "{part}");
            assert!(part.body.get("contact").is_none(), "{part}");
            assert!(part.body["meta"]["tag"].to_string().contains("SUBSETTED"), "{part}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#read
#[test]
fn read_of_what_never_was_is_not_found() {
    on_each_backend(|space| {
        refused_with(&space.get(&format!("Patient/{}", space.tag)), 404, "not-found");
        // The same id under another type is another resource.
        let key = space.add("a", patient().build());
        refused(&space.get(&key.replace("Patient", "Observation")), &[404]);
    });
}

// https://hl7.org/fhir/R4/datatypes.html#id
#[test]
fn read_of_what_is_no_id_is_refused() {
    on_each_backend(|space| {
        for id in ["a_b", "a%20b", &"a".repeat(65), "%C3%A9"] {
            refused(&space.get(&format!("Patient/{id}")), &[400, 404]);
        }
    });
}

// https://hl7.org/fhir/R4/http.html#read: 410 for a deleted resource
#[test]
fn read_of_what_was_deleted_is_gone() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        assert!(space.delete(&key).is_success());
        refused_with(&space.get(&key), 410, "deleted");
    });
}

// https://hl7.org/fhir/R4/http.html#vread
#[test]
fn vread_returns_each_version_as_it_was() {
    on_each_backend(|space| {
        let key = space.add("a", patient().family("Before").build());
        let mut body = space.get(&key).expect_status(200).body;
        body["name"][0]["family"] = json!("After");
        space.put(&key, &body).assert_status(200);
        let versions = space.get(&format!("{key}/_history")).expect_status(200);
        let ids: Vec<&str> = versions.resources().iter().filter_map(|r| r["meta"]["versionId"].as_str()).collect();
        assert_eq!(ids.len(), 2, "{versions}");
        for (version, family) in ids.iter().zip(["After", "Before"]) {
            let read = space.get(&format!("{key}/_history/{version}")).expect_status(200);
            assert_eq!(read.body["name"][0]["family"], family, "{read}");
            assert_eq!(read.body["meta"]["versionId"], *version, "{read}");
            assert_eq!(read.header("etag"), Some(&*format!("W/\"{version}\"")), "{read}");
            assert!(read.header("last-modified").is_some(), "{read}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#vread
#[test]
fn vread_of_a_version_that_is_not_there_is_not_found() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for version in ["99", "0", "abc"] {
            refused(&space.get(&format!("{key}/_history/{version}")), &[404]);
        }
        refused(&space.get(&format!("Patient/{}/_history/1", space.tag)), &[404]);
    });
}

// https://hl7.org/fhir/R4/http.html#vread: the version that is the deletion
#[test]
fn vread_of_a_deletion_is_gone_and_older_versions_stay() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let first = space.get(&key).version();
        assert!(space.delete(&key).is_success());
        space.get(&format!("{key}/_history/{first}")).assert_status(200);
        refused(&space.get(&format!("{key}/_history/{}", first + 1)), &[410, 404]);
    });
}

// https://hl7.org/fhir/R4/http.html#general: HEAD
#[test]
fn head_answers_as_get_without_the_body() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        let (get, head) = (space.get(&key), send(space.request("HEAD", &key)).expect_status(200));
        assert_eq!(head.text, "");
        for name in ["etag", "last-modified", "content-type"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
        send(space.request("HEAD", &format!("Patient/{}", space.tag))).assert_status(404);
    });
}

// https://hl7.org/fhir/R4/json.html: the precision of decimals is kept
#[test]
fn decimals_and_the_order_of_members_are_those_of_the_sender() {
    on_each_backend(|space| {
        let sent = observation().quantity("5.400", "mmol/L").set("referenceRange.0.low.value", json!(0)).build();
        let text = space.tagged(sent).to_string().replace("\"value\":0", "\"value\":1.00e-2");
        let created = send(space.request("POST", "Observation").body("application/fhir+json", text)).expect_status(201);
        let read = space.get(&format!("Observation/{}", created.id())).expect_status(200);
        assert!(read.text.replace(' ', "").contains("\"value\":5.400"), "{read}");
        let low = read.body["referenceRange"][0]["low"]["value"].to_string();
        assert!(["1.00e-2", "1.00E-2", "0.0100"].contains(&&*low), "{low}");
        let order = |names: [&str; 3]| names.map(|name| read.text.find(&format!("\"{name}\"")).unwrap());
        assert!(order(["status", "valueQuantity", "referenceRange"]).is_sorted(), "{read}");
    });
}
