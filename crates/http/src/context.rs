//! What an interaction may reach. It holds things and knows no handler.

use crate::{Budget, Requests, Throttle};
use std::{sync::Arc, time::Duration};
use tessera_auth::{Authenticator, MasterKey};
use tessera_model::{Definitions, search};
use tessera_store::{Store, clock::Clock};

/// How many resources a conditional delete may delete: <https://hl7.org/fhir/R4/valueset-conditional-delete-status.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConditionalDelete {
    /// One: several matches are an error.
    #[default]
    Single,
    /// All that match, up to a limit.
    Multiple,
}

impl ConditionalDelete {
    /// The setting of that name, which is the specification's code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        [Self::Single, Self::Multiple].into_iter().find(|setting| setting.code() == code)
    }

    /// The specification's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Multiple => "multiple",
        }
    }
}

/// Everything a request may use.
#[derive(Clone)]
pub struct Context {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The tables of FHIR, without what is stored beside them.
    pub definitions: &'static Definitions,
    /// This server's base URL, without a slash at its end.
    pub base: Arc<str>,
    /// The organization whose records these are: a reference or a URI, as clients' organizations are named; `None`: not said.
    pub organization: Option<Arc<str>>,
    /// What a conditional delete may delete.
    pub conditional_delete: ConditionalDelete,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who is let in.
    pub authenticator: Authenticator,
    /// What page links are sealed with; `None`: they are not, since there is no authentication.
    pub master_key: Option<Arc<MasterKey>>,
    /// What callers may ask for at a time.
    pub throttle: Arc<Throttle>,
    /// What all bodies may take together.
    pub bodies: Budget,
    /// How long an answer may take.
    pub answer_timeout: Duration,
    /// What is counted of requests.
    pub requests: Arc<Requests>,
}

impl Context {
    /// What parsing a search needs to know. `definitions`: those of the store, with the search parameters stored there.
    pub(crate) fn search<'a>(&'a self, definitions: &'a Definitions, lenient: bool) -> search::Context<'a> {
        search::Context {
            definitions,
            base: &self.base,
            now: self.clock.now(),
            lenient,
            terminology: &search::NoTerminology,
        }
    }
}
