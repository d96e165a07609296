//! XML in every interaction: <https://hl7.org/fhir/R4/xml.html>

use conformance_tests::Reply;
use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::space::{Space, bare_entry, bundle, on_each_backend, refused, send};

const XML: &str = "application/fhir+xml";

/// A request whose body and answer are XML.
#[track_caller]
fn xml(space: &Space, method: &str, path: &str, body: Option<&str>) -> Reply {
    let request = space.request(method, path).header("accept", XML);
    let reply = send(match body {
        Some(body) => request.body(XML, body),
        None => request,
    });
    if !reply.text.is_empty() {
        assert_eq!(reply.header("content-type"), Some("application/fhir+xml; charset=utf-8"), "{reply}");
        assert!(reply.text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"), "{reply}");
        assert!(reply.text.contains(" xmlns=\"http://hl7.org/fhir\""), "{reply}");
    }
    reply
}

/// Without what the server writes.
fn content(resource: &Value) -> Value {
    let mut resource = resource.clone();
    if let Some(members) = resource.as_object_mut() {
        members.remove("id");
        members.remove("meta");
    }
    resource
}

const PATIENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- someone -->
<Patient xmlns="http://hl7.org/fhir">
  <text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><p>by <b>Eve</b>  &#160;x</p></div></text>
  <extension url="http://example.org/e"><valueDecimal value="1.50"/></extension>
  <active value="true"/>
  <name id="n1">
    <family value="M&#252;ller &amp; &quot;S&#246;hne&quot;"/>
    <given value=" a&#10;b "/>
    <given>
      <extension url="http://example.org/e"><valueCode value="x"/></extension>
    </given>
  </name>
  <birthDate value="1974-12-25"><extension url="http://example.org/t"><valueTime value="08:30:00"/></extension></birthDate>
  <multipleBirthInteger value="2"/>
</Patient>"#;

fn patient_json() -> Value {
    json!({
        "resourceType": "Patient",
        "text": {
            "status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>by <b>Eve</b>  &#160;x</p></div>"
        },
        "extension": [{ "url": "http://example.org/e", "valueDecimal": serde_json::from_str::<Value>("1.50").unwrap() }],
        "active": true,
        "name": [{
            "id": "n1",
            "family": "Müller & \"Söhne\"",
            "given": [" a\nb ", null],
            "_given": [null, { "extension": [{ "url": "http://example.org/e", "valueCode": "x" }] }]
        }],
        "birthDate": "1974-12-25",
        "_birthDate": { "extension": [{ "url": "http://example.org/t", "valueTime": "08:30:00" }] },
        "multipleBirthInteger": 2
    })
}

// https://hl7.org/fhir/R4/formats.html: the formats mean the same
#[test]
fn what_is_sent_as_xml_is_the_same_resource_in_json_and_back() {
    on_each_backend(|space| {
        let created = xml(space, "POST", "Patient", Some(PATIENT)).expect_status(201);
        let key = format!("Patient/{}", created.id());
        assert!(created.header("location").is_some_and(|location| location.ends_with("/_history/1")), "{created}");
        let read = space.get(&key).expect_status(200);
        assert_eq!(content(&read.body), patient_json(), "{read}");
        assert!(read.text.contains("1.50"), "{read}");
        // What is read as XML may be sent back as it is: nothing has changed, so there is no new version.
        let read = xml(space, "GET", &key, None).expect_status(200);
        assert!(read.text.contains("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>by <b>Eve</b>  &#160;x</p></div>"));
        assert_eq!(read.header("etag"), Some("W/\"1\""), "{read}");
        let updated = xml(space, "PUT", &key, Some(&read.text)).expect_status(200);
        assert_eq!(updated.version(), 1, "{updated}");
        let changed = read.text.replace("1974-12-25", "1974-12-26");
        assert_eq!(xml(space, "PUT", &key, Some(&changed)).expect_status(200).version(), 2);
        assert_eq!(space.get(&key).body["birthDate"], "1974-12-26");
    });
}

// https://hl7.org/fhir/R4/http.html
#[test]
fn every_interaction_answers_in_xml() {
    on_each_backend(|space| {
        let key = space.add("a", patient().family("Chalmers").build());
        let check = |method: &str, path: &str, status: u16, start: &str| {
            let reply = xml(space, method, path, None).expect_status(status);
            assert!(reply.text.contains(start), "{method} {path}: {reply}");
        };
        check("GET", "metadata", 200, "<CapabilityStatement xmlns");
        check("GET", &key, 200, "<Patient xmlns");
        check("GET", &format!("{key}/_history/1"), 200, "<Patient xmlns");
        check("GET", &format!("{key}?_summary=true"), 200, "<Patient xmlns");
        check("GET", &format!("{key}/_history"), 200, "<type value=\"history\"/>");
        check("GET", "Patient/_history?_count=1", 200, "<type value=\"history\"/>");
        check("GET", "_history?_count=1", 200, "<type value=\"history\"/>");
        check("GET", &space.within("Patient"), 200, "<entry>");
        check("GET", &space.within("Patient"), 200, "<resource><Patient><id value=");
        check("GET", &space.within("Patient?_id=none"), 200, "<total value=\"0\"/>");
        check("GET", "Patient/none", 404, "<OperationOutcome xmlns");
        check("GET", "Nothing", 404, "<OperationOutcome xmlns");
        check("GET", "Patient?unheard-of=a", 400, "<OperationOutcome xmlns");
        check("GET", "$versions", 200, "<Parameters xmlns");
        let head = xml(space, "HEAD", &key, None).expect_status(200);
        assert_eq!(head.header("content-type"), Some("application/fhir+xml; charset=utf-8"), "{head}");
        let search =
            send(space.request("POST", "Patient/_search").header("accept", XML).body(
                "application/x-www-form-urlencoded",
                space.within("?").trim_start_matches(['?', '&']).to_owned(),
            ))
            .expect_status(200);
        assert!(search.text.contains("<family value=\"Chalmers\"/>"), "{search}");
        let wanted = space.request("DELETE", &key).header("accept", XML).header("prefer", "return=OperationOutcome");
        assert!(send(wanted).expect_status(200).text.contains("<OperationOutcome xmlns"));
        check("GET", &key, 410, "<OperationOutcome xmlns");
    });
}

// https://hl7.org/fhir/R4/http.html#parameters: _pretty
#[test]
fn pretty_xml_is_indented_and_means_the_same() {
    on_each_backend(|space| {
        let created = xml(space, "POST", "Patient", Some(PATIENT)).expect_status(201);
        let key = format!("Patient/{}", created.id());
        let pretty = xml(space, "GET", &format!("{key}?_pretty=true"), None).expect_status(200);
        assert!(pretty.text.contains("\n  <active value=\"true\"/>\n"), "{pretty}");
        assert_eq!(xml(space, "PUT", &key, Some(&pretty.text)).expect_status(200).version(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#transaction
#[test]
fn transactions_and_batches_go_in_and_out_as_xml() {
    on_each_backend(|space| {
        let transaction = format!(
            r#"<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/>
            <entry><fullUrl value="urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"/><resource>{}</resource><request><method value="POST"/><url value="Patient"/></request></entry>
            <entry><resource><Observation><status value="final"/><code><text value="x"/></code><subject><reference value="urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"/></subject></Observation></resource><request><method value="POST"/><url value="Observation"/></request></entry>
            </Bundle>"#,
            &PATIENT[PATIENT.find("<Patient").unwrap()..]
        );
        let request = space.request("POST", "").header("prefer", "return=representation").body(XML, transaction);
        let reply = send(request).expect_status(200);
        let [patient, observation] = &reply.resources()[..] else { panic!("{reply}") };
        assert_eq!(content(patient), patient_json());
        let reference = format!("Patient/{}", patient["id"].as_str().unwrap());
        assert_eq!(observation["subject"]["reference"], reference, "{reply}");
        let batch = bundle("batch", &[bare_entry("GET", &reference), bare_entry("GET", "Patient/none")]);
        let reply = send(space.request("POST", "").header("accept", XML).json(&batch)).expect_status(200);
        for part in [
            "<type value=\"batch-response\"/>",
            "<resource><Patient><id",
            "<status value=\"200 OK\"/>",
            "<status value=\"404 Not Found\"/>",
            "<outcome><OperationOutcome>",
        ] {
            assert!(reply.text.contains(part), "no {part}: {reply}");
        }
    });
}

// https://hl7.org/fhir/R4/operationoutcome.html: expression
#[test]
fn what_is_wrong_with_xml_is_told_with_its_place() {
    on_each_backend(|space| {
        let check = |inner: &str, expression: &str| {
            let body = format!("<Patient xmlns=\"http://hl7.org/fhir\">{inner}</Patient>");
            let reply = send(space.request("POST", "Patient").body(XML, body));
            let issue = refused(&reply, &[400, 422]);
            assert_eq!(issue["expression"][0], expression, "{reply}");
        };
        check("<name/><name><givn value=\"x\"/></name>", "Patient.name[1].givn");
        check("<active/>", "Patient.active");
        check("<active value=\"yes\"/>", "Patient.active");
        check("<birthDate value=\"2021-02-30\"/>", "Patient.birthDate");
        check("<multipleBirthInteger value=\"x\"/>", "Patient.multipleBirthInteger");
        check("<name><family value=\"\"/></name>", "Patient.name[0].family");
        check("<gender value=\"a\"/><gender value=\"b\"/>", "Patient.gender");
        check("<name xmlns=\"urn:x\"/>", "Patient.name[0]");
        check("<name>text</name>", "Patient.name[0]");
        check("<text><status value=\"generated\"/><div>x</div></text>", "Patient.text.div");
        let nested = |levels: usize| {
            let (open, close) = ("<extension url=\"x\">".repeat(levels), "</extension>".repeat(levels));
            format!("<Patient xmlns=\"http://hl7.org/fhir\">{open}{close}</Patient>")
        };
        let deep = refused(&send(space.request("POST", "Patient").body(XML, nested(20_000))), &[400]);
        assert!(deep.to_string().contains("nested deeper"), "{deep}");
        for body in ["", "<", "{\"resourceType\":\"Patient\"}", "<Patient/>", "<a><b></a></b>"] {
            println!("{body}");
            refused(&send(space.request("POST", "Patient").body(XML, body)), &[400]);
        }
        refused(&send(space.request("POST", "Observation").body(XML, PATIENT)), &[400]);
    });
}

// HTTP-8: https://hl7.org/fhir/R4/xml.html, "There SHALL be no DTD references in FHIR resources"
#[test]
fn http_8_document_types_and_entities_are_refused() {
    on_each_backend(|space| {
        for (doctype, value) in [
            ("<!DOCTYPE Patient>", "x"),
            ("<!DOCTYPE Patient [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>", "&a;"),
            ("<!DOCTYPE Patient [<!ENTITY a SYSTEM \"http://127.0.0.1:1/\">]>", "&a;"),
            ("<!DOCTYPE Patient [<!ENTITY % p SYSTEM \"http://127.0.0.1:1/x.dtd\">%p;]>", "x"),
            ("<!DOCTYPE Patient [<!ENTITY b \"bbbb\"><!ENTITY a \"&b;&b;&b;&b;\">]>", "&a;"),
            ("", "&a;"),
            ("", "&nbsp;"),
        ] {
            let body = format!(
                "<?xml version=\"1.0\"?>{doctype}<Patient xmlns=\"http://hl7.org/fhir\"><language value=\"{value}\"/></Patient>"
            );
            let reply = send(space.request("POST", "Patient").body(XML, body));
            refused(&reply, &[400]);
            assert!(!reply.text.contains("root:"), "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/datatypes.html#string: characters that XML cannot hold are none of FHIR's strings
#[test]
fn what_xml_could_not_hold_is_not_taken_as_json() {
    on_each_backend(|space| {
        for text in ["a\u{1}", "\u{b}", "a\u{ffff}"] {
            let body = json!({ "resourceType": "Patient", "name": [{ "text": text }] });
            refused(&space.post("Patient", &body), &[400, 422]);
        }
        // An error that quotes such a thing is told all the same.
        let reply = send(space.request("GET", "Patient?%01=a").header("accept", XML));
        assert_eq!(reply.status, 400, "{reply}");
    });
}

// https://hl7.org/fhir/R4/operations.html#executing: Parameters in either format
#[test]
fn operations_take_their_parameters_in_xml() {
    on_each_backend(|space| {
        let body = r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="mode"/><valueCode value="create"/></parameter><parameter><name value="resource"/><resource><Patient><birthDate value="2021-02-30"/></Patient></resource></parameter></Parameters>"#;
        let reply = xml(space, "POST", "Patient/$validate", Some(body)).expect_status(200);
        assert!(reply.text.contains("<OperationOutcome xmlns"), "{reply}");
        assert!(reply.text.contains("<expression value=\"Patient.birthDate\"/>"), "{reply}");
    });
}

// https://hl7.org/fhir/R4/binary.html#rest
#[test]
fn a_binary_may_be_sent_and_read_as_xml() {
    on_each_backend(|space| {
        let body =
            "<Binary xmlns=\"http://hl7.org/fhir\"><contentType value=\"text/plain\"/><data value=\"aGk=\"/></Binary>";
        let created = send(space.request("POST", "Binary").body(XML, body)).expect_status(201);
        assert_eq!(created.body["data"], "aGk=", "{created}");
        let key = format!("Binary/{}", created.id());
        let read = xml(space, "GET", &key, None).expect_status(200);
        assert!(read.text.contains("<data value=\"aGk=\"/>"), "{read}");
        assert_eq!(send(space.request("GET", &key).header("accept", "*/*")).text, "hi");
        refused(&send(space.request("POST", "Binary").body(XML, "<Binary")), &[400]);
    });
}

// https://hl7.org/fhir/R4/xml.html: a search result as deep as the deepest resource
#[test]
fn a_resource_as_deep_as_may_be_is_found_and_read_in_both_formats() {
    on_each_backend(|space| {
        let deep = (0..30)
            .fold(json!({ "url": "x", "valueCode": "y" }), |inner, _| json!({ "url": "x", "extension": [inner] }));
        let mut resource = observation().build();
        resource["extension"] = json!([deep]);
        let key = space.add("deep", resource);
        let read = xml(space, "GET", &key, None).expect_status(200);
        xml(space, "PUT", &key, Some(&read.text)).assert_status(200);
        for accept in ["application/fhir+xml", "application/fhir+json"] {
            let found = space.request("GET", &space.within("Observation?_pretty=true")).header("accept", accept);
            assert_eq!(send(found).expect_status(200).text.matches("valueCode").count(), 1);
            let url = space.within("Observation");
            let batch = bundle("batch", &[bare_entry("GET", &url)]);
            let found = send(space.request("POST", "").header("accept", accept).json(&batch)).expect_status(200);
            assert_eq!(found.text.matches("valueCode").count(), 1, "{found}");
        }
    });
}
