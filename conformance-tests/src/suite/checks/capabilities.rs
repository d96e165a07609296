//! What a server says of itself: <https://hl7.org/fhir/R4/http.html#capabilities>. These checks have no needs: what they look
//! for must be stated.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::suite::check::{Check, Strength};
use crate::suite::request::Request;
use crate::suite::statement::array;
use crate::suite::verdict::{Verdict, ensure, failed};
use crate::suite::visit::{Visit, list};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "capabilities.statement",
        title: "The server answers GET metadata with a CapabilityStatement",
        rule: "All servers support the capabilities interaction, which returns a CapabilityStatement.",
        section: "http.html#capabilities",
        strength: Strength::Shall,
        needs: &[],
        run: |visit| Box::pin(statement(visit)),
    },
    Check {
        id: "capabilities.elements",
        title: "The statement has every element that a CapabilityStatement must have",
        rule: "status, date, kind, fhirVersion and format are mandatory, and so is the mode of each rest.",
        section: "capabilitystatement-definitions.html",
        strength: Strength::Shall,
        needs: &[],
        run: |visit| Box::pin(elements(visit)),
    },
    Check {
        id: "capabilities.version",
        title: "The statement says that the server speaks FHIR R4",
        rule: "fhirVersion is the version of FHIR that the statement describes; R4 is 4.0.1, or 4.0.0 before its errata.",
        section: "capabilitystatement-definitions.html#CapabilityStatement.fhirVersion",
        strength: Strength::Shall,
        needs: &[],
        run: |visit| Box::pin(version(visit)),
    },
    Check {
        id: "capabilities.kind",
        title: "The statement describes what its kind makes it describe",
        rule: "A statement describes REST, messaging or documents (cpb-1), says what the thing is (cpb-2), and one of the kind \
               instance names the implementation (cpb-14).",
        section: "capabilitystatement.html#invs",
        strength: Strength::Shall,
        needs: &[],
        run: |visit| Box::pin(kind(visit)),
    },
    Check {
        id: "capabilities.server",
        title: "The statement describes the REST interface of a server, with resource types",
        rule: "A server's statement says which interactions and resource types it supports.",
        section: "http.html#capabilities",
        strength: Strength::Shall,
        needs: &[],
        run: |visit| Box::pin(server(visit)),
    },
    Check {
        id: "capabilities.types-once",
        title: "Each resource type is described once, with interactions that exist",
        rule: "A resource type is described once for each mode (cpb-9); interactions are of the value set TypeRestfulInteraction.",
        section: "capabilitystatement.html#invs",
        strength: Strength::Shall,
        needs: &[],
        run: |visit| Box::pin(types_once(visit)),
    },
    Check {
        id: "capabilities.parameters-once",
        title: "Each search parameter is stated once for a type, with a type of its own",
        rule: "The names of search parameters are unique for a resource type (cpb-12); each has a type of the value set \
               SearchParamType.",
        section: "capabilitystatement.html#invs",
        strength: Strength::Shall,
        needs: &[],
        run: |visit| Box::pin(parameters_once(visit)),
    },
    Check {
        id: "capabilities.parameter-types",
        title: "Search parameters of the specification are stated with the specification's types",
        rule: "The type of a search parameter is that of its definition.",
        section: "capabilitystatement-definitions.html#CapabilityStatement.rest.resource.searchParam.type",
        strength: Strength::Shall,
        needs: &[],
        run: |visit| Box::pin(parameter_types(visit)),
    },
    Check {
        id: "capabilities.etag",
        title: "The statement comes with an ETag",
        rule: "An ETag should be returned with the statement; it changes when the statement does.",
        section: "http.html#capabilities",
        strength: Strength::Should,
        needs: &[],
        run: |visit| Box::pin(etag(visit)),
    },
    Check {
        id: "capabilities.open",
        title: "The statement can be read without a token",
        rule: "Clients read the statement to find out how to get a token, so it is to be there without one.",
        section: "https://hl7.org/fhir/smart-app-launch/conformance.html",
        strength: Strength::Should,
        needs: &[],
        run: |visit| Box::pin(open(visit)),
    },
];

/// The statement, if it is one.
async fn read(visit: &mut Visit) -> Verdict<Value> {
    let reply = visit.get("metadata").await?;
    reply.expect(&[200])?.expect_resource("CapabilityStatement").cloned()
}

async fn statement(visit: &mut Visit) -> Verdict {
    let reply = visit.get("metadata").await?;
    reply.expect(&[200])?.expect_resource("CapabilityStatement")?;
    let media_type = reply.expect_header("content-type")?;
    ensure(media_type.starts_with("application/fhir+json"), "the media type application/fhir+json", media_type)
}

async fn elements(visit: &mut Visit) -> Verdict {
    let statement = read(visit).await?;
    let mandatory = ["status", "date", "kind", "fhirVersion", "format"];
    let missing = mandatory.into_iter().filter(|name| statement[*name].is_null() || statement[*name] == "");
    let mut missing: Vec<&str> = missing.collect();
    if array(&statement["rest"]).iter().any(|rest| !matches!(rest["mode"].as_str(), Some("client" | "server"))) {
        missing.push("rest.mode");
    }
    if statement["format"].is_string() || array(&statement["format"]).is_empty() {
        missing.push("format");
    }
    ensure(missing.is_empty(), "all mandatory elements", format!("missing or wrong: {}", list(missing)))
}

async fn version(visit: &mut Visit) -> Verdict {
    let statement = read(visit).await?;
    let version = statement["fhirVersion"].as_str().unwrap_or("none");
    ensure(matches!(version, "4.0.1" | "4.0.0"), "fhirVersion 4.0.1", format!("fhirVersion {version}"))
}

async fn kind(visit: &mut Visit) -> Verdict {
    let statement = read(visit).await?;
    let any = |names: &[&str]| names.iter().any(|name| !statement[*name].is_null());
    ensure(any(&["rest", "messaging", "document"]), "rest, messaging or document", "none of them")?;
    let says = any(&["description", "software", "implementation"]);
    ensure(says, "description, software or implementation", "none of them")?;
    match statement["kind"].as_str() {
        Some("instance") => ensure(any(&["implementation"]), "implementation, as the kind is instance", "none"),
        Some("capability" | "requirements") => Ok(()),
        other => failed("the kind instance, capability or requirements", format!("{other:?}")),
    }
}

async fn server(visit: &mut Visit) -> Verdict {
    let statement = read(visit).await?;
    let server = array(&statement["rest"]).iter().find(|rest| rest["mode"] == "server");
    let Some(server) = server else { return failed("a rest of the mode server", "none") };
    let types = array(&server["resource"]);
    ensure(!types.is_empty(), "at least one resource type", "none")?;
    let named = types.iter().all(|part| part["type"].as_str().is_some_and(|name| !name.is_empty()));
    ensure(named, "a type for each resource", "a resource without one")
}

/// <https://hl7.org/fhir/R4/valueset-type-restful-interaction.html>
const INTERACTIONS: [&str; 9] =
    ["read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"];

async fn types_once(visit: &mut Visit) -> Verdict {
    let statement = read(visit).await?;
    let mut seen = BTreeSet::new();
    let mut any = false;
    for rest in array(&statement["rest"]) {
        for part in array(&rest["resource"]) {
            any = true;
            let name = part["type"].as_str().unwrap_or_default();
            let once = seen.insert((rest["mode"].as_str().unwrap_or_default().to_owned(), name.to_owned()));
            ensure(once, format!("{name} once"), "it is described twice")?;
            for interaction in array(&part["interaction"]) {
                let code = interaction["code"].as_str().unwrap_or_default();
                ensure(INTERACTIONS.contains(&code), "an interaction of the value set", format!("{code:?} of {name}"))?;
            }
        }
    }
    ensure(any, "resource types", "none")
}

/// <https://hl7.org/fhir/R4/valueset-search-param-type.html>
const TYPES: [&str; 9] = ["number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"];

async fn parameters_once(visit: &mut Visit) -> Verdict {
    let statement = read(visit).await?;
    let mut any = false;
    for rest in array(&statement["rest"]) {
        for part in array(&rest["resource"]) {
            let of = part["type"].as_str().unwrap_or_default();
            let mut seen = BTreeSet::new();
            for parameter in array(&part["searchParam"]) {
                any = true;
                let name = parameter["name"].as_str().unwrap_or_default();
                ensure(!name.is_empty(), format!("a name for each search parameter of {of}"), "one without")?;
                ensure(seen.insert(name), format!("{name} of {of} once"), "it is stated twice")?;
                let stated = parameter["type"].as_str().unwrap_or_default();
                ensure(TYPES.contains(&stated), format!("a type of {name} of {of}"), format!("{stated:?}"))?;
            }
        }
    }
    // A server need not search, but then it does not state that it does.
    let searches = visit.statement().types().any(|name| visit.statement().allows(name, "search-type"));
    ensure(any || !searches, "search parameters, as types can be searched", "none")
}

/// Some that are in use everywhere. <https://hl7.org/fhir/R4/searchparameter-registry.html>
const KNOWN: [(&str, &str, &str); 22] = [
    ("Patient", "identifier", "token"),
    ("Patient", "name", "string"),
    ("Patient", "family", "string"),
    ("Patient", "birthdate", "date"),
    ("Patient", "gender", "token"),
    ("Patient", "general-practitioner", "reference"),
    ("Condition", "code", "token"),
    ("Condition", "patient", "reference"),
    ("Condition", "onset-age", "quantity"),
    ("Condition", "recorded-date", "date"),
    ("Condition", "clinical-status", "token"),
    ("MedicationStatement", "subject", "reference"),
    ("MedicationStatement", "status", "token"),
    ("MedicationStatement", "effective", "date"),
    ("AllergyIntolerance", "code", "token"),
    ("AllergyIntolerance", "patient", "reference"),
    ("AllergyIntolerance", "criticality", "token"),
    ("Observation", "code", "token"),
    ("Observation", "date", "date"),
    ("Observation", "value-quantity", "quantity"),
    ("Observation", "value-string", "string"),
    ("Observation", "code-value-quantity", "composite"),
];

async fn parameter_types(visit: &mut Visit) -> Verdict {
    let statement = read(visit).await?;
    ensure(!array(&statement["rest"]).is_empty(), "a rest", "none")?;
    for (of, name, expected) in KNOWN {
        let stated = visit.statement().parameters(of).find(|parameter| parameter["name"] == name);
        let Some(stated) = stated.and_then(|parameter| parameter["type"].as_str()) else { continue };
        ensure(stated == expected, format!("{name} of {of} with the type {expected}"), stated)?;
    }
    Ok(())
}

async fn etag(visit: &mut Visit) -> Verdict {
    visit.get("metadata").await?.expect(&[200])?.expect_header("etag").map(|_| ())
}

async fn open(visit: &mut Visit) -> Verdict {
    let reply = visit.send(Request::new("GET", "metadata").anonymous()).await?;
    reply.expect(&[200])?.expect_resource("CapabilityStatement").map(|_| ())
}
