//! Black-box tests of Tessera: they start the real binary, on SQLite and on PostgreSQL, and only speak HTTP to it.
//!
//! ```no_run
//! # use conformance_tests::both;
//! # use tessera_fixtures::patient;
//! # async fn test() {
//! both("http_create", async |server| {
//!     let created = server.client().post("Patient", &patient().build()).await.expect_status(201);
//!     let read = server.client().get(&format!("Patient/{}", created.id())).await.expect_status(200);
//!     assert_eq!(read.header("etag"), Some("W/\"1\""));
//! })
//! .await;
//! # }
//! ```
//!
//! The tests of the FHIR specification can also be turned on another server, which [`BASE_URL_VARIABLE`] names.
//!
//! [`suite`] is another thing: checks of any FHIR R4 server, and reports about it, which `main.rs` makes a program.

mod binary;
pub mod browser;
mod client;
mod folder;
mod process;
mod proxy;
mod record;
pub mod server;
pub mod suite;
mod wire;

pub use binary::{BINARY_VARIABLE, check, tessera};
pub use client::{Client, Reply, Request, Unanswered};
pub use folder::Folder;
pub use proxy::PREFIX_VARIABLE;
pub use record::RECORD_VARIABLE;
pub use server::{BACKEND_VARIABLE, BASE_URL_VARIABLE, Backend, Database, Server};
pub use wire::{Wire, WireReply};

/// Runs a test's body against a fresh server on each backend. With [`BASE_URL_VARIABLE`] set, it runs once, against
/// that server.
pub async fn both(test: &str, body: impl AsyncFn(&Server)) {
    for backend in Backend::ALL {
        if let Some(server) = Server::start(backend, test) {
            body(&server).await;
        }
    }
}

/// Like [`both`], but the servers are those that all tests of this process share: for tests that find their own
/// resources among those of others. A server of one's own takes a moment to start.
pub async fn both_shared(test: &str, body: impl AsyncFn(&Server)) {
    for backend in Backend::ALL {
        if let Some(server) = Server::shared(backend, test) {
            body(server).await;
        }
    }
}
