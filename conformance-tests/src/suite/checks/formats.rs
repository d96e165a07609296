//! JSON and XML: <https://hl7.org/fhir/R4/http.html#mime-type>, <https://hl7.org/fhir/R4/http.html#parameters>

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::{FHIR_JSON, FHIR_XML, Reply, Request};
use crate::suite::verdict::{Verdict, ensure, failed, not_applicable};
use crate::suite::visit::Visit;
use crate::suite::xml::values;

const JSON: &[Need] = needs!("Patient" "create" "read");
const XML: &[Need] = needs!("Patient" "create" "read"; Need::Xml);

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "format.xml-read",
        title: "A read that accepts application/fhir+xml brings the resource in XML",
        rule: "Servers support server-driven content negotiation; the media type of XML is application/fhir+xml.",
        section: "http.html#mime-type",
        strength: Strength::Shall,
        needs: XML,
        run: |visit| Box::pin(xml_read(visit)),
    },
    Check {
        id: "format.xml-create",
        title: "A resource that is created in XML is read in JSON with the same content",
        rule: "JSON and XML are representations of the same content.",
        section: "xml.html",
        strength: Strength::Shall,
        needs: XML,
        run: |visit| Box::pin(xml_create(visit)),
    },
    Check {
        id: "format.xml-outcome",
        title: "An error comes in the format that is accepted",
        rule: "Servers support server-driven content negotiation, for an OperationOutcome too.",
        section: "http.html#mime-type",
        strength: Strength::Should,
        needs: XML,
        run: |visit| Box::pin(xml_outcome(visit)),
    },
    Check {
        id: "format.weights",
        title: "The weights of an Accept header decide: XML before JSON with q=0.5",
        rule: "Servers support server-driven content negotiation as HTTP describes it.",
        section: "http.html#mime-type",
        strength: Strength::Shall,
        needs: XML,
        run: |visit| Box::pin(weights(visit)),
    },
    Check {
        id: "format.parameter-xml",
        title: "_format asks for XML with each of the names of XML, whatever Accept says",
        rule: "xml, text/xml, application/xml and application/fhir+xml in _format mean XML; servers should support _format.",
        section: "http.html#parameters",
        strength: Strength::Should,
        needs: XML,
        run: |visit| Box::pin(parameter_xml(visit)),
    },
    Check {
        id: "format.parameter-json",
        title: "_format asks for JSON with each of the names of JSON, whatever Accept says",
        rule: "json, application/json and application/fhir+json in _format mean JSON; servers should support _format.",
        section: "http.html#parameters",
        strength: Strength::Should,
        needs: JSON,
        run: |visit| Box::pin(parameter_json(visit)),
    },
    Check {
        id: "format.generic-json",
        title: "A read that accepts application/json brings the resource in JSON",
        rule: "For a generic media type in Accept the server should respond with the requested type.",
        section: "http.html#mime-type",
        strength: Strength::Should,
        needs: JSON,
        run: |visit| Box::pin(generic_json(visit)),
    },
    Check {
        id: "format.anything",
        title: "A read that accepts anything brings a resource",
        rule: "Accept: */* accepts every format that the server has.",
        section: "http.html#mime-type",
        strength: Strength::Shall,
        needs: JSON,
        run: |visit| Box::pin(anything(visit)),
    },
    Check {
        id: "format.not-acceptable",
        title: "A read that accepts only a format that the server does not have answers 406",
        rule: "406 is the appropriate response when Accept requests a format that the server does not support.",
        section: "http.html#mime-type",
        strength: Strength::Should,
        needs: JSON,
        run: |visit| Box::pin(not_acceptable(visit)),
    },
    Check {
        id: "format.unsupported",
        title: "A create with a body in a format that the server does not have answers 415",
        rule: "415 is the appropriate response when the client posts a format that the server does not support.",
        section: "http.html#mime-type",
        strength: Strength::Should,
        needs: JSON,
        run: |visit| Box::pin(unsupported(visit)),
    },
];

/// Fails unless the reply is a patient in XML with this family name.
fn expect_xml(reply: &Reply, id: &str) -> Verdict {
    reply.expect(&[200])?;
    let media_type = reply.expect_header("content-type")?;
    ensure(media_type.contains("xml"), "a media type of XML", media_type)?;
    match values(&reply.text, "Patient") {
        Ok(values) => {
            let has_id = values.iter().any(|(path, value)| path == "Patient.id" && value == id);
            ensure(has_id, format!("the patient {id} in XML"), "XML with another id, or none")
        }
        Err(error) => failed("a Patient in XML, in FHIR's namespace", error),
    }
}

fn expect_json(reply: &Reply, id: &str) -> Verdict {
    reply.expect(&[200])?;
    let media_type = reply.expect_header("content-type")?;
    ensure(media_type.contains("json"), "a media type of JSON", media_type)?;
    let patient = reply.expect_resource("Patient")?;
    ensure(patient["id"] == id, format!("the patient {id} in JSON"), patient["id"].to_string())
}

async fn xml_read(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.send(Request::new("GET", &made.reference).header("accept", FHIR_XML)).await?;
    expect_xml(&reply, &made.id)?;
    let media_type = reply.expect_header("content-type")?;
    ensure(media_type.starts_with(FHIR_XML), FHIR_XML, media_type)
}

async fn xml_create(visit: &mut Visit) -> Verdict {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Patient xmlns=\"http://hl7.org/fhir\"><active value=\"true\"/>\
                <name><family value=\"S&#xf8;rensen &amp; S&#246;hne\"/><given value=\"Ada\"/></name></Patient>";
    let created = visit.create(Request::new("POST", "Patient").text(FHIR_XML, body)).await?;
    created.expect(&[201])?.expect_header("location")?;
    let id = created.id("Patient").unwrap_or_default();
    let reply = visit.get(&format!("Patient/{id}")).await?;
    expect_json(&reply, &id)?;
    let patient = &reply.body;
    ensure(patient["active"] == true, "active true", patient["active"].to_string())?;
    let name = &patient["name"][0];
    let same = name["family"] == "Sørensen & Söhne" && name["given"][0] == "Ada";
    ensure(same, "the name Ada Sørensen & Söhne", name.to_string())
}

async fn xml_outcome(visit: &mut Visit) -> Verdict {
    let url = format!("Patient/{}", visit.tag);
    let reply = visit.send(Request::new("GET", url).header("accept", FHIR_XML)).await?;
    reply.expect(&[404])?;
    match values(&reply.text, "OperationOutcome") {
        Ok(_) => Ok(()),
        Err(error) => failed("an OperationOutcome in XML", error),
    }
}

async fn weights(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let accept = format!("{FHIR_JSON};q=0.5, {FHIR_XML}");
    expect_xml(&visit.send(Request::new("GET", &made.reference).header("accept", accept)).await?, &made.id)?;
    let accept = format!("{FHIR_XML};q=0.5, {FHIR_JSON}");
    expect_json(&visit.send(Request::new("GET", &made.reference).header("accept", accept)).await?, &made.id)
}

async fn parameter_xml(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    for name in ["xml", "text/xml", "application/xml", "application/fhir%2Bxml"] {
        let reply = visit.get(&format!("{}?_format={name}", made.reference)).await?;
        expect_xml(&reply, &made.id)?;
    }
    Ok(())
}

async fn parameter_json(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    for name in ["json", "application/json", "application/fhir%2Bjson"] {
        let url = format!("{}?_format={name}", made.reference);
        let reply = visit.send(Request::new("GET", url).header("accept", "application/fhir+turtle")).await?;
        expect_json(&reply, &made.id)?;
    }
    Ok(())
}

async fn generic_json(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.send(Request::new("GET", &made.reference).header("accept", "application/json")).await?;
    expect_json(&reply, &made.id)
}

async fn anything(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.send(Request::new("GET", &made.reference).header("accept", "*/*")).await?;
    reply.expect(&[200])?;
    match reply.header("content-type").unwrap_or_default() {
        name if name.contains("json") => expect_json(&reply, &made.id),
        name if name.contains("xml") => expect_xml(&reply, &made.id),
        name if name.contains("turtle") || name.contains("html") => not_applicable(format!("it comes as {name}")),
        name => failed("a media type of FHIR", name),
    }
}

async fn not_acceptable(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.send(Request::new("GET", &made.reference).header("accept", "image/png")).await?;
    reply.expect(&[406]).map(|_| ())
}

async fn unsupported(visit: &mut Visit) -> Verdict {
    let reply = visit.create(Request::new("POST", "Patient").text("text/csv", "id,active\n1,true\n")).await?;
    reply.expect(&[415]).map(|_| ())
}
