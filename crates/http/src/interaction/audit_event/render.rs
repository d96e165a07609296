//! A recorded event as an AuditEvent, in the shape of IHE's Basic Audit Log Patterns (AUD-2).
//! <https://profiles.ihe.net/ITI/BALP/content.html>

use crate::{
    Context,
    audit::{ARCHIVE, DISCLOSURE, RESTORE, REVIEW},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tessera_model::{interaction::percent_decode, temporal::format_instant};
use tessera_store::{AuditAction, Event, RecordedEvent};

const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const BALP: &str = "https://profiles.ihe.net/ITI/BALP";

/// Events that are no interactions of FHIR: the type of each subtype of DICOM.
/// <https://dicom.nema.org/medical/dicom/current/output/chtml/part16/sect_CID_401.html>
const NOT_REST: [(&str, &str, &str, &str); 9] = [
    ("110122", "Login", "110114", "User Authentication"),
    ("110123", "Logout", "110114", "User Authentication"),
    ("110120", "Application Start", "110100", "Application Activity"),
    ("110121", "Application Stop", "110100", "Application Activity"),
    ("110127", "Emergency Override Started", "110113", "Security Alert"),
    ("110129", "Security Configuration", "110113", "Security Alert"),
    ("110136", "Security Roles Changed", "110113", "Security Alert"),
    ("110137", "User security Attributes Changed", "110113", "Security Alert"),
    ("110142", "Token granted", "110114", "User Authentication"),
];

/// Events by which records leave the server, come to it or are looked at afterwards: what has happened to them in the words of ISO
/// 21089, and the type of DICOM. <http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle>
const LIFECYCLE: [(&str, &str, &str, &str, &str); 4] = [
    (DISCLOSURE, "disclose", "Disclose Record Lifecycle Event", "110106", "Export"),
    (ARCHIVE, "archive", "Archive Record Lifecycle Event", "110106", "Export"),
    (RESTORE, "restore", "Restore Record Lifecycle Event", "110107", "Import"),
    (REVIEW, "verify", "Verify Record Lifecycle Event", "110101", "Audit Log Used"),
];

/// The events of a type of DICOM.
pub(super) fn subtypes(code: &str) -> Vec<&'static str> {
    let of_records = LIFECYCLE.iter().filter(|(.., of, _)| *of == code).map(|(event, ..)| *event);
    NOT_REST.iter().filter(|(_, _, of, _)| *of == code).map(|(subtype, ..)| *subtype).chain(of_records).collect()
}

/// The event that a code of ISO 21089 is for.
pub(super) fn of_lifecycle(code: &str) -> Option<&'static str> {
    LIFECYCLE.iter().find(|(_, lifecycle, ..)| *lifecycle == code).map(|(event, ..)| *event)
}

/// The resource.
pub(super) fn resource(context: &Context, recorded: &RecordedEvent) -> Value {
    let event = &recorded.event;
    let mut resource = json!({"resourceType": "AuditEvent", "id": recorded.id});
    if let Some(profile) = profile(event) {
        resource["meta"] = json!({"profile": [format!("{BALP}/StructureDefinition/IHE.BasicAudit.{profile}")]});
    }
    if event.interaction == DISCLOSURE {
        resource["meta"] =
            json!({"profile": [format!("{BALP}/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source")]});
    }
    let (of_type, subtype) = codes(event);
    resource["type"] = of_type;
    if let Some(subtype) = subtype {
        resource["subtype"] = json!([subtype]);
    }
    resource["action"] = json!(event.action.code());
    resource["recorded"] = json!(format_instant(event.at));
    resource["outcome"] = json!(event.outcome.to_string());
    if !event.reason.is_empty() {
        resource["outcomeDesc"] = json!(event.reason);
    }
    if !event.purpose.is_empty() {
        resource["purposeOfEvent"] = json!([purpose(&event.purpose)]);
    }
    resource["agent"] = json!(agents(context, event));
    resource["source"] = json!({
        "site": &*context.base,
        "observer": {"display": "Tessera"},
        "type": [{"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4", "display": "Application Server"}],
    });
    let entities = entities(event);
    if !entities.is_empty() {
        resource["entity"] = json!(entities);
    }
    resource
}

/// The pattern that the event follows.
fn profile(event: &Event) -> Option<String> {
    let pattern = match (&*event.interaction, event.action) {
        ("read" | "vread", _) => "Read",
        ("search-type" | "search-system", _) => "Query",
        ("create", _) => "Create",
        ("update" | "patch", _) => "Update",
        ("delete", _) => "Delete",
        _ => return None,
    };
    Some(if event.patient.is_empty() { pattern.to_owned() } else { format!("Patient{pattern}") })
}

/// Type and subtype.
fn codes(event: &Event) -> (Value, Option<Value>) {
    let dicom = |code: &str, display: &str| json!({"system": DICOM, "code": code, "display": display});
    if let Some((code, display, of, of_display)) = NOT_REST.iter().find(|(code, ..)| *code == event.interaction) {
        return (dicom(of, of_display), Some(dicom(code, display)));
    }
    if let Some((_, code, display, of, of_display)) = LIFECYCLE.iter().find(|(name, ..)| *name == event.interaction) {
        let system = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
        return (dicom(of, of_display), Some(json!({"system": system, "code": code, "display": display})));
    }
    let rest = json!({
        "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
        "code": "rest",
        "display": "RESTful Operation",
    });
    let coding = |code: &str| json!({"system": "http://hl7.org/fhir/restful-interaction", "code": code});
    let subtype = match &*event.interaction {
        "" => None,
        // No code of the specification.
        "async-answer" => Some(json!({"display": "the answer to a request that was answered later"})),
        name if name.starts_with('$') => {
            let mut coding = coding("operation");
            coding["display"] = json!(name);
            Some(coding)
        }
        code => Some(coding(code)),
    };
    (rest, subtype)
}

/// A code of v3's PurposeOfUse, or a text.
fn purpose(text: &str) -> Value {
    if text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": text}]})
    } else {
        json!({"text": text})
    }
}

/// The client, this server, and the user if there is one.
fn agents(context: &Context, event: &Event) -> Vec<Value> {
    let dicom = |code: &str, display: &str| json!({"coding": [{"system": DICOM, "code": code, "display": display}]});
    let source = || dicom("110153", "Source Role ID");
    let destination = || dicom("110152", "Destination Role ID");
    let (of_client, of_server) = match event.action {
        AuditAction::Read => (destination(), source()),
        AuditAction::Delete => (
            dicom("110150", "Application"),
            json!({"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                "code": "custodian",
                "display": "Custodian",
            }]}),
        ),
        AuditAction::Create | AuditAction::Update | AuditAction::Execute => (source(), destination()),
    };
    let name = if event.client.is_empty() { "unknown" } else { &event.client };
    let mut who = json!({"identifier": {"value": name}, "display": name});
    if !event.organization.is_empty() {
        who["identifier"]["assigner"] = organization(&event.organization);
    }
    let mut client = json!({"type": of_client, "who": who});
    if !event.client.is_empty() {
        client["altId"] = json!(event.client);
    }
    client["requestor"] = json!(event.agent.is_empty());
    let policy = (!event.token.is_empty()).then(|| json!([format!("urn:ietf:params:oauth:jti:{}", event.token)]));
    if let Some(policy) = policy.clone().filter(|_| event.agent.is_empty()) {
        client["policy"] = policy;
    }
    let server = json!({
        "type": of_server,
        "who": {"display": "Tessera"},
        "requestor": false,
        "network": {"address": &*context.base, "type": "5"},
    });
    let mut agents = vec![client, server];
    if event.interaction == DISCLOSURE
        && let Some(custodian) = context.organization.as_deref()
    {
        agents.push(json!({
            "type": {"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                "code": "custodian",
                "display": "Custodian",
            }]},
            "who": organization(custodian),
            "requestor": false,
        }));
    }
    if !event.agent.is_empty() {
        let mut user = json!({
            "type": {"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                "code": "IRCP",
                "display": "information recipient",
            }]},
            "who": {"reference": event.agent},
            "requestor": true,
        });
        if let Some(policy) = policy {
            user["policy"] = policy;
        }
        agents.push(user);
    }
    agents
}

/// An organization by the name that is known of it: a reference or a URI.
fn organization(name: &str) -> Value {
    if name.starts_with("Organization/") {
        json!({"reference": name})
    } else {
        json!({"identifier": {"system": "urn:ietf:rfc:3986", "value": name}})
    }
}

/// What it was done to, whom it is about, what was asked, and in which request.
fn entities(event: &Event) -> Vec<Value> {
    let of_type = |code: &str, display: &str| json!({"system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": code, "display": display});
    let role = |code: &str, display: &str| json!({"system": "http://terminology.hl7.org/CodeSystem/object-role", "code": code, "display": display});
    let mut entities = Vec::new();
    if event.what.starts_with('/') {
        // A client, a user or an authorization: no resource.
        entities.push(json!({
            "what": {"identifier": {"value": event.what}},
            "type": of_type("2", "System Object"),
            "role": role("13", "Security Resource"),
        }));
    } else if !event.what.is_empty() {
        let reference = match event.version {
            0 => event.what.clone(),
            version => format!("{}/_history/{version}", event.what),
        };
        let mut data = json!({
            "what": {"reference": reference},
            "type": of_type("2", "System Object"),
            "role": role("4", "Domain Resource"),
        });
        if event.interaction == "$erase" || event.interaction == "$purge-history" {
            data["lifecycle"] = json!({
                "system": "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle",
                "code": "15",
                "display": "Permanent erasure / Physical destruction",
            });
        }
        entities.push(data);
    }
    if !event.patient.is_empty() {
        entities.push(json!({
            "what": {"reference": format!("Patient/{}", event.patient)},
            "type": of_type("1", "Person"),
            "role": role("1", "Patient"),
        }));
    }
    if !event.query.is_empty() {
        let mut query = json!({"type": of_type("2", "System Object"), "role": role("24", "Query")});
        let line = event.query.lines().next().unwrap_or_default();
        if let Some((_, parameters)) = line.split_once('?') {
            // A string has something to see in it, and no control character: `query` has the request as it was.
            let shown = percent_decode(parameters, true).replace(char::is_control, " ");
            if !shown.trim().is_empty() {
                query["description"] = json!(shown);
            }
        }
        query["query"] = json!(STANDARD.encode(&event.query));
        entities.push(query);
    }
    if !event.request.is_empty() {
        entities.push(json!({
            "what": {"identifier": {"value": event.request}},
            "type": {"system": format!("{BALP}/CodeSystem/BasicAuditEntityType"), "code": "XrequestId"},
        }));
    }
    entities
}
