//! `$purge-history` and `$erase`: what the law wants gone is gone for good. For administrators only, and never without an
//! AuditEvent, which is written in the same transaction. <https://hl7.org/fhir/R4/auditevent.html>
//!
//! No operation of HL7 does this to a single resource; the names are those that other servers use, or nobody.

use super::Call;
use crate::{
    error::Error,
    reply::{Body, Reply},
};
use serde_json::json;
use tessera_model::{Key, Resource, interaction::Level, operation_outcome::Issue, temporal::format_instant};
use tessera_store::{Action, Change, Purge, Work};

/// Every version but the current one.
pub(super) async fn history(call: Call<'_>) -> Result<Reply, Error> {
    perform(&call, Purge::History).await
}

/// All of it.
pub(super) async fn erase(call: Call<'_>) -> Result<Reply, Error> {
    perform(&call, Purge::Everything).await
}

async fn perform(call: &Call<'_>, purge: Purge) -> Result<Reply, Error> {
    let Level::Instance(key) = &call.operation.level else { return Err(Error::NoBody) };
    if !call.access.administers() {
        return Err(Error::Forbidden);
    }
    let audit = audit_event(call, key)?;
    if audit.resource_type() == key.resource_type {
        return Err(Error::BadRequest(format!("{}s say what was done and by whom: they stay", key.resource_type)));
    }
    let actions = [Action::Purge { key: key.clone(), purge }, Action::Create { resource: audit, if_none_exist: None }];
    let changes = actions.map(|action| Change { action, full_url: None }).to_vec();
    let work = Work { changes, ..Work::default() };
    let transacted = call.context.store.transact(call.access, work).await.map_err(|error| match error {
        // There is but one resource that the client knows of.
        tessera_store::Error::Entry { error, .. } => Error::Store(*error),
        error => Error::Store(error),
    })?;
    let record = transacted.changed.into_iter().find_map(|changed| changed.version).ok_or(Error::NoBody)?;
    let what = if purge == Purge::History { "the history of " } else { "" };
    let text = format!("{what}{key} is gone for good; {} records it", record.key);
    Ok(Reply { status: 200, body: Body::Outcome(vec![Issue::information(text)].into()), ..Reply::default() })
}

/// Who did what to which resource, and why. It names the resource and says nothing of its content.
fn audit_event(call: &Call<'_>, key: &Key) -> Result<Resource, Error> {
    let agent = if call.context.authenticator.is_insecure() { "insecure-dev" } else { "administrator" };
    let mut event = json!({
        "resourceType": "AuditEvent",
        "type": {
            "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
            "code": "rest",
            "display": "RESTful Operation",
        },
        "subtype": [{
            "system": "http://hl7.org/fhir/restful-interaction",
            "code": "operation",
            "display": format!("${}", call.operation.name),
        }],
        "action": "D",
        "recorded": format_instant(call.context.clock.now()),
        "outcome": "0",
        "agent": [{"who": {"display": agent}, "requestor": true}],
        "source": {"site": &*call.context.base, "observer": {"display": "Tessera"}},
        "entity": [{
            "what": {"reference": key.to_string()},
            "lifecycle": {
                "system": "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle",
                "code": "15",
                "display": "Permanent erasure / Physical destruction",
            },
        }],
    });
    if let Some(reason) = call.input.text("reason") {
        event["purposeOfEvent"] = json!([{"text": reason}]);
    }
    Ok(Resource::parse(event.to_string(), call.context.definitions)?)
}
