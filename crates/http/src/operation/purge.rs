//! `$purge-history` and `$erase`: what the law wants gone is gone for good. For administrators only, and never without a
//! record, which is written in the same transaction. <https://hl7.org/fhir/R4/auditevent.html>
//!
//! No operation of HL7 does this to a single resource; the names are those that other servers use, or nobody.

use super::Call;
use crate::{
    error::Error,
    reply::{Body, Reply},
};
use tessera_model::{interaction::Level, operation_outcome::Issue};
use tessera_store::{Action, Change, Event, Purge, Work};

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
    if !call.context.store.audits() {
        return Err(Error::BadRequest("nothing is taken away for good while nothing is recorded".into()));
    }
    let changes = vec![Change { action: Action::Purge { key: key.clone(), purge }, full_url: None }];
    let event = Event { purpose: call.input.text("reason").unwrap_or_default().into_owned(), ..Event::default() };
    let work = Work { changes, event: Some(event), ..Work::default() };
    let transacted = call.context.store.transact(call.access, work).await.map_err(|error| match error {
        // There is but one resource that the client knows of.
        tessera_store::Error::Entry { error, .. } => Error::Store(*error),
        error => Error::Store(error),
    })?;
    let record = transacted.events.first().ok_or(Error::NoBody)?;
    let what = if purge == Purge::History { "the history of " } else { "" };
    let text = format!("{what}{key} is gone for good; AuditEvent/{record} records it");
    Ok(Reply { status: 200, body: Body::Outcome(vec![Issue::information(text)].into()), ..Reply::default() })
}
