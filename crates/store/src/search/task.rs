//! What is to be searched, and for whom.

use crate::job::Shared;
use tessera_model::{AccessContext, Query, search::query::Total};

/// A search to run.
pub(crate) struct Search {
    pub(crate) shared: Shared,
    pub(crate) access: AccessContext,
    pub(crate) query: Query,
    pub(crate) cursor: Option<String>,
}

impl Search {
    /// Whether one statement answers it, so that it needs no snapshot of its own.
    pub(crate) fn is_one_statement(&self) -> bool {
        self.query.includes.is_empty() && self.query.total != Total::Accurate
    }
}
