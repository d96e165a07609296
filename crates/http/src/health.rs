//! Probes for whoever runs the server. They tell nothing about data.

use crate::Context;
use axum::{extract::State, http::StatusCode};
use tessera_model::{AccessContext, Id, Key};

/// The process answers.
pub(crate) async fn live() -> StatusCode {
    StatusCode::OK
}

/// The process has started: nothing is answered before the tables are brought up to date and the database is open.
pub(crate) async fn startup() -> StatusCode {
    StatusCode::OK
}

/// The database answers too.
pub(crate) async fn ready(State(context): State<Context>) -> StatusCode {
    let key =
        context.definitions.resource_types().first().zip(Id::parse("health-probe")).map(|(t, id)| Key::new(*t, id));
    let Some(key) = key else { return StatusCode::SERVICE_UNAVAILABLE };
    match context.store.read(&AccessContext::internal("health probe"), &key).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
