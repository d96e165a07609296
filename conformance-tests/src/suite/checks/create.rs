//! Creating: <https://hl7.org/fhir/R4/http.html#create>

use serde_json::{Value, json};

use crate::suite::check::{Check, Need, Running, Strength, needs};
use crate::suite::request::{FHIR_JSON, Request};
use crate::suite::resources::{allergy, condition, medication_statement, observation, patient, with};
use crate::suite::verdict::{Verdict, ensure, failed, not_applicable};
use crate::suite::visit::Visit;

const PATIENT: &[Need] = needs!("Patient" "create" "read");
const OBSERVATION: &[Need] = needs!("Patient" "create", "Observation" "create" "read");
const KEEPS: &str = "A server should accept the resource as it was sent, and return the same content when it is read.";
const LOCATION: &str = "A create returns 201, with a Location of the new id; what is read there is what was created.";

pub(super) const CHECKS: &[Check] = &[
    kept("create.patient", "A Patient is created and can be read", PATIENT, |visit| {
        Box::pin(round_trip(visit, |_| patient("Chalmers")))
    }),
    kept(
        "create.condition",
        "A Condition is created and can be read",
        needs!("Patient" "create", "Condition" "create" "read"),
        |visit| Box::pin(round_trip(visit, condition)),
    ),
    kept(
        "create.medication-statement",
        "A MedicationStatement is created and can be read",
        needs!("Patient" "create", "MedicationStatement" "create" "read"),
        |visit| Box::pin(round_trip(visit, medication_statement)),
    ),
    kept(
        "create.allergy-intolerance",
        "An AllergyIntolerance is created and can be read",
        needs!("Patient" "create", "AllergyIntolerance" "create" "read"),
        |visit| Box::pin(round_trip(visit, allergy)),
    ),
    kept("create.observation", "An Observation is created and can be read", OBSERVATION, |visit| {
        Box::pin(round_trip(visit, observation))
    }),
    Check {
        id: "create.meta",
        title: "The server gives id, versionId and lastUpdated, whatever the body says",
        rule: "The server ignores the id, meta.versionId and meta.lastUpdated of the body and populates them itself.",
        section: "http.html#create",
        strength: Strength::Shall,
        needs: PATIENT,
        run: |visit| Box::pin(meta(visit)),
    },
    Check {
        id: "create.etag",
        title: "A create comes with Last-Modified, and with an ETag if there are versions",
        rule: "Servers should return an ETag with the versionId, if they support versions, and Last-Modified.",
        section: "http.html#create",
        strength: Strength::Should,
        needs: PATIENT,
        run: |visit| Box::pin(etag(visit)),
    },
    Check {
        id: "create.location-version",
        title: "The Location of a create names the version, if there are versions",
        rule: "Location is as specific as possible: [base]/[type]/[id]/_history/[vid] if the server understands versioning.",
        section: "http.html#create",
        strength: Strength::Should,
        needs: &[Need::Interaction("Patient", "create"), Need::Versions("Patient")],
        run: |visit| Box::pin(location_version(visit)),
    },
    Check {
        id: "create.return-minimal",
        title: "Prefer: return=minimal brings no body",
        rule: "return=minimal asks for no body; servers should honor it.",
        section: "http.html#ops",
        strength: Strength::Should,
        needs: PATIENT,
        run: |visit| Box::pin(return_minimal(visit)),
    },
    Check {
        id: "create.return-representation",
        title: "Prefer: return=representation brings the resource",
        rule: "return=representation asks for the full resource; servers should honor it.",
        section: "http.html#ops",
        strength: Strength::Should,
        needs: PATIENT,
        run: |visit| Box::pin(return_representation(visit)),
    },
    Check {
        id: "create.return-outcome",
        title: "Prefer: return=OperationOutcome brings an OperationOutcome",
        rule: "return=OperationOutcome asks for an OperationOutcome; servers should honor it.",
        section: "http.html#ops",
        strength: Strength::Should,
        needs: PATIENT,
        run: |visit| Box::pin(return_outcome(visit)),
    },
    Check {
        id: "create.decimal-digits",
        title: "A decimal keeps its digits: 0.010 is not 0.01",
        rule: "The precision of a decimal has significance and is to be preserved.",
        section: "datatypes.html#decimal",
        strength: Strength::Shall,
        needs: OBSERVATION,
        run: |visit| Box::pin(decimal_digits(visit)),
    },
    Check {
        id: "create.unicode",
        title: "Names in other scripts and outside the basic plane come back as they were sent",
        rule: "Texts are Unicode, and UTF-8 is used for FHIR's media types.",
        section: "http.html#mime-type",
        strength: Strength::Shall,
        needs: PATIENT,
        run: |visit| Box::pin(unicode(visit)),
    },
    Check {
        id: "create.extension",
        title: "An extension that the server does not know comes back as it was sent",
        rule: KEEPS,
        section: "http.html#create",
        strength: Strength::Should,
        needs: PATIENT,
        run: |visit| Box::pin(extension(visit)),
    },
    Check {
        id: "create.not-parsable",
        title: "A body that is no JSON answers 400",
        rule: "When the syntax of the resource is incorrect, the server returns 400 Bad Request.",
        section: "http.html#create",
        strength: Strength::Shall,
        needs: PATIENT,
        run: |visit| Box::pin(not_parsable(visit)),
    },
    Check {
        id: "create.other-type",
        title: "A resource of another type than the URL names is refused",
        rule: "The body of a create is a resource of the type in the URL; what cannot be created is answered 400 or 422.",
        section: "http.html#create",
        strength: Strength::Shall,
        needs: OBSERVATION,
        run: |visit| Box::pin(other_type(visit)),
    },
    Check {
        id: "create.invalid",
        title: "A resource that breaks FHIR's rules is refused",
        rule: "A resource that fails basic validation is answered 400 or 422: a date that is none, a mandatory element that is \
               missing.",
        section: "http.html#create",
        strength: Strength::Should,
        needs: OBSERVATION,
        run: |visit| Box::pin(invalid(visit)),
    },
    Check {
        id: "create.unknown-type",
        title: "A create of a type that FHIR does not have answers 404",
        rule: "404 says that the resource type is not supported.",
        section: "http.html#create",
        strength: Strength::Shall,
        needs: PATIENT,
        run: |visit| Box::pin(unknown_type(visit)),
    },
];

/// A resource of a type comes back as it was created.
const fn kept(
    id: &'static str,
    title: &'static str,
    needs: &'static [Need],
    run: fn(&mut Visit) -> Running<'_>,
) -> Check {
    Check { id, title, rule: LOCATION, section: "http.html#create", strength: Strength::Shall, needs, run }
}

async fn round_trip(visit: &mut Visit, build: impl FnOnce(&str) -> Value) -> Verdict {
    let patient = visit.patient().await?;
    let body = visit.tagged(build(&patient.reference));
    let resource_type = body["resourceType"].as_str().unwrap_or_default().to_owned();
    let created = visit.create(Request::new("POST", &resource_type).json(&body)).await?;
    let location = created.expect(&[201])?.expect_header("location")?;
    let Some(id) = created.id(&resource_type) else {
        return failed(format!("a Location such as {resource_type}/[id]"), location);
    };
    let reply = visit.get(&format!("{resource_type}/{id}")).await?;
    let read = reply.expect(&[200])?.expect_resource(&resource_type)?;
    ensure(read["id"] == id.as_str(), format!("the id {id}"), read["id"].to_string())?;
    for (name, sent) in body.as_object().into_iter().flatten().filter(|(name, _)| *name != "meta") {
        // References may have become absolute, codes may have got displays.
        let came = &read[name];
        let kept = match sent {
            Value::String(_) | Value::Bool(_) => came == sent,
            _ => !came.is_null(),
        };
        ensure(kept, format!("{name} {sent}, as it was sent"), came.to_string())?;
    }
    let (sent, came) = (&body["code"]["coding"][0]["code"], &read["code"]["coding"][0]["code"]);
    ensure(sent == came, format!("the code {sent}"), came.to_string())
}

async fn meta(visit: &mut Visit) -> Verdict {
    let mut body = visit.tagged(patient("Chalmers"));
    let own = format!("own-{}", visit.tag);
    body["id"] = json!(own);
    body["meta"]["versionId"] = json!("4711");
    body["meta"]["lastUpdated"] = json!("2001-01-01T00:00:00Z");
    let created = visit.create(Request::new("POST", "Patient").json(&body)).await?;
    created.expect(&[201])?;
    let id = created.id("Patient").unwrap_or_default();
    ensure(!id.is_empty() && id != own, format!("another id than {own}, which the body had"), id.clone())?;
    let reply = visit.get(&format!("Patient/{id}")).await?;
    let meta = &reply.expect(&[200])?.expect_resource("Patient")?["meta"];
    let updated = meta["lastUpdated"].as_str().unwrap_or_default();
    ensure(
        !updated.is_empty() && !updated.starts_with("2001-"),
        "a lastUpdated of the server's",
        format!("{updated:?}"),
    )?;
    if visit.statement().lacks(Need::Versions("Patient")).is_none() {
        let version = meta["versionId"].as_str().unwrap_or_default();
        let own = !version.is_empty() && version != "4711";
        ensure(own, "a versionId of the server's", format!("{version:?}"))?;
    }
    Ok(())
}

/// Creates a patient with a header.
async fn create_with(visit: &mut Visit, name: &'static str, value: &str) -> Verdict<crate::suite::request::Reply> {
    let body = visit.tagged(patient("Chalmers"));
    let created = visit.create(Request::new("POST", "Patient").header(name, value).json(&body)).await?;
    created.expect(&[201])?;
    Ok(created)
}

async fn etag(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    made.reply.expect_header("last-modified")?;
    if visit.statement().lacks(Need::Versions("Patient")).is_none() {
        made.reply.expect_header("etag")?;
    }
    Ok(())
}

async fn location_version(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let location = made.reply.expect_header("location")?;
    ensure(location.contains("/_history/"), "Location: [base]/Patient/[id]/_history/[vid]", location)
}

async fn return_minimal(visit: &mut Visit) -> Verdict {
    let created = create_with(visit, "prefer", "return=minimal").await?;
    ensure(created.text.trim().is_empty(), "no body", created.in_short())
}

async fn return_representation(visit: &mut Visit) -> Verdict {
    let created = create_with(visit, "prefer", "return=representation").await?;
    let patient = created.expect_resource("Patient")?;
    let whole = patient["name"][0]["family"] == "Chalmers" && patient["id"].is_string();
    ensure(whole, "the patient that was sent, with its id", patient.to_string())
}

async fn return_outcome(visit: &mut Visit) -> Verdict {
    let created = create_with(visit, "prefer", "return=OperationOutcome").await?;
    created.expect_resource("OperationOutcome").map(|_| ())
}

async fn decimal_digits(visit: &mut Visit) -> Verdict {
    let patient = visit.patient().await?;
    for digits in ["0.010", "100", "5.40"] {
        let made = visit.add("weight", crate::suite::resources::weight(&patient.reference, digits)).await?;
        let reply = visit.get(&made.reference).await?;
        let came = reply.expect(&[200])?.expect_resource("Observation")?["valueQuantity"]["value"].to_string();
        ensure(came == digits, format!("the value {digits}, as it was sent"), came.clone())?;
    }
    Ok(())
}

async fn unicode(visit: &mut Visit) -> Verdict {
    let name = "Ångström-Søren 李 𠮷 עברית ñ 😀";
    let made = visit.add("patient", patient(name)).await?;
    let reply = visit.get(&made.reference).await?;
    let came = &reply.expect(&[200])?.expect_resource("Patient")?["name"][0]["family"];
    ensure(*came == name, format!("the family name {name}"), came.to_string())
}

async fn extension(visit: &mut Visit) -> Verdict {
    let extension = json!([{"url": "https://example.org/conformance/extension", "valueString": "kept"}]);
    let made = visit.add("patient", with(patient("Chalmers"), "extension", extension.clone())).await?;
    let reply = visit.get(&made.reference).await?;
    let came = &reply.expect(&[200])?.expect_resource("Patient")?["extension"];
    let kept = came.as_array().is_some_and(|all| all.contains(&extension[0]));
    ensure(kept, format!("the extension {extension}"), came.to_string())
}

async fn not_parsable(visit: &mut Visit) -> Verdict {
    let body = "{\"resourceType\": \"Patient\", \"active\": ";
    let reply = visit.create(Request::new("POST", "Patient").text(FHIR_JSON, body)).await?;
    reply.expect(&[400]).map(|_| ())
}

async fn other_type(visit: &mut Visit) -> Verdict {
    let body = visit.tagged(patient("Chalmers"));
    visit.create(Request::new("POST", "Observation").json(&body)).await?.expect_refusal().map(|_| ())
}

async fn invalid(visit: &mut Visit) -> Verdict {
    let subject = visit.patient().await?;
    let no_date = with(patient("Chalmers"), "birthDate", json!("the 17th of May"));
    let mut no_status = observation(&subject.reference);
    if let Some(members) = no_status.as_object_mut() {
        members.remove("status");
    }
    for (body, resource_type) in [(no_date, "Patient"), (no_status, "Observation")] {
        let body = visit.tagged(body);
        let reply = visit.create(Request::new("POST", resource_type).json(&body)).await?;
        reply.expect(&[400, 422])?;
    }
    Ok(())
}

async fn unknown_type(visit: &mut Visit) -> Verdict {
    let reply = visit.create(Request::new("POST", "NoSuchType").json(&json!({"resourceType": "NoSuchType"}))).await?;
    if reply.status == 405 {
        return not_applicable("the server answers 405, which HTTP allows for what takes no POST");
    }
    reply.expect(&[404]).map(|_| ())
}
