//! Writes: one [`Change`], and [`Changed`] → [`Reply`], for a single write and for a transaction's entry alike.

use super::change::change;
use crate::{
    Context,
    error::Error,
    reply::{Body, Reply},
    request::{Request, Return},
    terminology,
};
use tessera_model::{AccessContext, operation_outcome::Issue};
use tessera_store::{Changed, Outcome, Work};

/// Performs a single write.
pub(crate) async fn perform(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    let returns = request.preferences.returns.unwrap_or(Return::Representation);
    let once = request.once.clone();
    let Some(change) = change(context, request, None)? else { return Err(Error::NoBody) };
    let changes = vec![change];
    let terminology = terminology::answers(context, access, &changes).await?;
    let work = Work { changes, once, terminology, ..Work::default() };
    let transacted = context.store.transact(access, work).await;
    let transacted = transacted.map_err(|error| match error {
        // There is but one entry, and the client knows of none.
        tessera_store::Error::Entry { error, .. } => Error::Store(*error),
        error => Error::Store(error),
    })?;
    let replayed = transacted.replayed;
    let changed = transacted.changed.into_iter().next().ok_or(Error::NoBody)?;
    Ok(Reply { replayed, ..reply(changed, returns) })
}

/// What a client is told of a change. <https://hl7.org/fhir/R4/http.html#ops>
pub(crate) fn reply(changed: Changed, returns: Return) -> Reply {
    let status = match changed.outcome {
        Outcome::Created => 201,
        Outcome::Updated | Outcome::Unchanged | Outcome::Found => 200,
        Outcome::Deleted | Outcome::Nothing | Outcome::Purged => {
            if returns == Return::OperationOutcome {
                200
            } else {
                204
            }
        }
    };
    let words = match changed.outcome {
        Outcome::Created => "created",
        Outcome::Updated => "updated",
        Outcome::Unchanged => "the content is that of the current version, which stays",
        Outcome::Found => "a resource that matches is there already",
        Outcome::Deleted => "deleted",
        Outcome::Purged => "gone for good",
        Outcome::Nothing => "there was nothing to delete",
    };
    let outcome = || Body::Outcome(vec![Issue::information(words)].into());
    let Some(version) = changed.version else {
        let body = if returns == Return::OperationOutcome { outcome() } else { Body::None };
        return Reply { status, body, ..Reply::default() };
    };
    let deletion = version.is_deletion();
    let body = match returns {
        Return::Minimal => Body::None,
        Return::OperationOutcome => outcome(),
        Return::Representation if deletion || version.body.is_empty() => Body::None,
        Return::Representation => Body::Json(version.body),
    };
    Reply {
        status,
        body,
        location: (!deletion).then(|| format!("{}/_history/{}", version.key, version.version)),
        version: Some(version.version),
        last_modified: (!deletion).then_some(version.last_updated),
        ..Reply::default()
    }
}
