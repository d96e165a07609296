//! Interactions as a caller with certain rights, through everything but the socket. Security tests carry the id of their rule.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod admin;
mod audit_event;
mod bypass;
mod guards;
mod matrix;
mod noninterference;
mod scopes;
#[path = "../../../auth/tests/it/still.rs"]
mod still;
mod time;
mod world;
