//! Probes for whoever runs the server. They tell nothing about data.

use crate::Context;
use axum::{extract::State, http::StatusCode};
use tessera_model::AccessContext;
use tessera_store::Later;

/// The process answers.
pub(crate) async fn live() -> StatusCode {
    StatusCode::OK
}

/// The process has started: nothing is answered before the tables are brought up to date and the database is open.
pub(crate) async fn startup() -> StatusCode {
    StatusCode::OK
}

/// The database answers too: the one that is written, since resources might be read of a replica.
pub(crate) async fn ready(State(context): State<Context>) -> StatusCode {
    let asked = Later::Ask("health-probe".to_owned());
    match context.store.later(&AccessContext::internal("health probe"), asked).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
