//! Which format is spoken: <https://hl7.org/fhir/R4/http.html#mime-type>

use serde_json::json;
use tessera_fixtures::patient;

use crate::space::{Space, on_each_backend, refused, send};

/// The media type of the answer to a read that accepts this.
fn format_of(space: &Space, path: &str, accept: &str) -> String {
    let reply = send(space.request("GET", path).header("accept", accept)).expect_status(200);
    let content_type = reply.header("content-type").unwrap_or_default().to_owned();
    assert_eq!(reply.text.trim_start().starts_with('<'), content_type.contains("xml"), "{reply}");
    content_type
}

const JSON: &str = "application/fhir+json; charset=utf-8";
const XML: &str = "application/fhir+xml; charset=utf-8";

// https://hl7.org/fhir/R4/http.html#mime-type: the Accept header, and https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
#[test]
fn accept_is_weighed_and_compared_without_case() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for (accept, expected) in [
            ("application/fhir+json", JSON),
            ("application/fhir+xml", XML),
            ("APPLICATION/FHIR+XML", XML),
            ("Application/Json", JSON),
            ("text/xml", XML),
            ("application/fhir+xml; charset=UTF-8; fhirVersion=4.0", XML),
            ("application/fhir+xml;q=0.3, application/fhir+json;q=0.4", JSON),
            ("application/fhir+json;q=0.3, application/fhir+xml;q=0.4", XML),
            ("application/fhir+json;q=0, */*", XML),
            ("*/*", JSON),
            ("image/png, */*;q=0.1", JSON),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", XML),
        ] {
            assert_eq!(format_of(space, &key, accept), expected, "{accept}");
        }
        let reply = send(space.request("GET", &key).without_header("accept")).expect_status(200);
        assert_eq!(reply.header("content-type"), Some(JSON), "{reply}");
        let vary = reply.header("vary").unwrap_or_default().to_ascii_lowercase();
        assert!(vary.contains("accept,") && vary.contains("accept-encoding"), "{reply}");
    });
}

// https://hl7.org/fhir/R4/http.html#parameters: "_format … overrides the Accept header"
#[test]
fn format_goes_before_accept_in_all_its_spellings() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for format in
            ["xml", "text/xml", "application/xml", "application/fhir%2Bxml", "application/fhir+xml", "XML", "Text/Xml"]
        {
            assert_eq!(format_of(space, &format!("{key}?_format={format}"), "application/fhir+json"), XML, "{format}");
        }
        for format in
            ["json", "text/json", "application/json", "application/fhir%2Bjson", "application/fhir+json", "JSON"]
        {
            assert_eq!(format_of(space, &format!("{key}?_format={format}"), "application/fhir+xml"), JSON, "{format}");
        }
        // It also decides when Accept alone could not be met.
        assert_eq!(format_of(space, &format!("{key}?_format=json"), "image/png"), JSON);
    });
}

// https://hl7.org/fhir/R4/http.html#mime-type: 406
#[test]
fn formats_that_are_not_spoken_are_406_and_nothing_is_done() {
    on_each_backend(|space| {
        let key = space.add("a", patient().build());
        for accept in [
            "text/html",
            "application/fhir+turtle",
            "application/fhir+ndjson",
            "application/fhir+json;q=0",
            "application/fhir+json; fhirVersion=3.0",
            "application/fhir+xml; fhirVersion=5.0",
            "application/fhir+json; charset=utf-16",
        ] {
            println!("{accept}");
            refused(&send(space.request("GET", &key).header("accept", accept)), &[406]);
            let write = space.request("DELETE", &key).header("accept", accept);
            refused(&send(write), &[406]);
        }
        for format in ["html", "text/html", "ttl", "ndjson", "application/fhir+ndjson", "json; fhirVersion=3.0"] {
            println!("{format}");
            refused(&space.get(&format!("{key}?_format={format}")), &[406]);
        }
        space.get(&key).assert_status(200);
    });
}

// https://hl7.org/fhir/R4/http.html#mime-type: 415; "the character encoding … SHALL be UTF-8"
#[test]
fn bodies_of_other_formats_charsets_and_versions_are_415_with_the_reason() {
    on_each_backend(|space| {
        let body = space.tagged(patient().build()).to_string();
        for (content_type, reason) in [
            ("application/fhir+turtle", "application/fhir+turtle"),
            ("application/fhir+ndjson", "application/fhir+ndjson"),
            ("application/fhir+json; charset=iso-8859-1", "UTF-8"),
            ("application/fhir+xml; charset=UTF-16", "UTF-8"),
            ("application/fhir+json; fhirVersion=3.0", "4.0"),
            ("application/fhir+xml; fhirVersion=5.0", "4.0"),
        ] {
            let reply = send(space.request("POST", "Patient").body(content_type, &*body));
            let issue = refused(&reply, &[415]);
            assert!(issue.to_string().contains(reason), "{content_type}: {reply}");
        }
        for content_type in ["APPLICATION/FHIR+JSON; Charset=\"UTF-8\"", "application/fhir+json; FHIRVERSION=4.0"] {
            send(space.request("POST", "Patient").body(content_type, &*body)).assert_status(201);
        }
        assert_eq!(space.search("Patient").entries().len(), 2);
    });
}

// https://www.rfc-editor.org/rfc/rfc8259#section-8.1: a parser may ignore a byte order mark
#[test]
fn a_byte_order_mark_is_no_part_of_a_body_and_other_encodings_are_refused() {
    on_each_backend(|space| {
        let json = format!("\u{feff}{}", space.tagged(patient().build()));
        send(space.request("POST", "Patient").body("application/fhir+json", json)).assert_status(201);
        let xml = "\u{feff}<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"true\"/></Patient>";
        send(space.request("POST", "Patient").body("application/fhir+xml", xml)).assert_status(201);
        let latin = b"{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"M\xfcller\"}]}".to_vec();
        refused(&send(space.request("POST", "Patient").body("application/fhir+json", latin)), &[400]);
        let utf16: Vec<u8> = xml.encode_utf16().flat_map(u16::to_le_bytes).collect();
        refused(&send(space.request("POST", "Patient").body("application/fhir+xml", utf16)), &[400]);
    });
}

// https://hl7.org/fhir/R4/http.html#paging: links are followed as they are
#[test]
fn page_links_keep_the_format() {
    on_each_backend(|space| {
        for name in ["a", "b", "c"] {
            space.add(name, patient().build());
        }
        let first = space.search("Patient?_count=1&_format=json&_pretty=true");
        let next = first.link("next").unwrap();
        let second = send(space.request("GET", next).header("accept", "application/fhir+xml")).expect_status(200);
        assert_eq!(second.header("content-type"), Some(JSON), "{second}");
        assert!(second.text.contains("\n  "), "not pretty: {second}");
        assert!(second.link("next").unwrap().contains("_pretty=true"), "{second}");
    });
}

// https://hl7.org/fhir/R4/search.html: parameters of the URL and of the body count alike
#[test]
fn format_may_stand_in_the_body_of_a_search() {
    on_each_backend(|space| {
        space.add("a", patient().build());
        let body = format!("{}&_format=xml", space.within("?").trim_start_matches(['?', '&']));
        let reply = send(space.request("POST", "Patient/_search").body("application/x-www-form-urlencoded", body));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(XML)), "{reply}");
        let body = "_format=html";
        let reply = send(space.request("POST", "Patient/_search").body("application/x-www-form-urlencoded", body));
        refused(&reply, &[406]);
    });
}

// https://hl7.org/fhir/R4/capabilitystatement.html: CapabilityStatement.format
#[test]
fn the_capability_statement_lists_the_formats() {
    on_each_backend(|space| {
        let statement = space.get("metadata").expect_status(200);
        let formats = &statement.body["format"];
        assert_eq!(formats, &json!(["application/fhir+json", "application/fhir+xml", "json", "xml"]), "{formats}");
        for format in formats.as_array().unwrap() {
            space.get(&format!("metadata?_format={}", format.as_str().unwrap())).assert_status(200);
        }
    });
}
