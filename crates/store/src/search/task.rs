//! What is to be searched, and for whom.

use crate::{Error, Version, job::Shared, sql::Row, version::shown};
use tessera_model::{AccessContext, Query, search::query::Total};

/// A search to run.
pub(crate) struct Search {
    pub(crate) shared: Shared,
    pub(crate) access: AccessContext,
    pub(crate) query: Query,
    pub(crate) cursor: Option<String>,
}

impl Search {
    /// What the caller is shown of a row.
    pub(crate) fn shown(&self, row: &mut Row) -> Result<Version, Error> {
        shown(row, &self.access, &self.shared.definitions)
    }

    /// Whether one statement answers it, so that it needs no snapshot of its own.
    pub(crate) fn is_one_statement(&self) -> bool {
        self.query.includes.is_empty() && self.query.total != Total::Accurate
    }
}
