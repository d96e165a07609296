//! What an interaction may reach. It holds things and knows no handler.

use std::sync::Arc;
use tessera_auth::Authenticator;
use tessera_model::{Definitions, search};
use tessera_store::{Store, clock::Clock};

/// Everything a request may use.
#[derive(Clone)]
pub struct Context {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The tables of FHIR.
    pub definitions: &'static Definitions,
    /// This server's base URL, without a slash at its end.
    pub base: Arc<str>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who is let in.
    pub authenticator: Authenticator,
}

impl Context {
    /// What parsing a search needs to know.
    pub(crate) fn search(&self, lenient: bool) -> search::Context<'_> {
        search::Context { definitions: self.definitions, base: &self.base, now: self.clock.now(), lenient }
    }
}
