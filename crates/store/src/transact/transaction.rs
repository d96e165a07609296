//! What a transaction works on: what is asked, what is there, what will be written.

use crate::{Action, Change, Version, Work, job::Shared, parameters::Redefinition};
use std::sync::Arc;
use tessera_model::{AccessContext, IndexRow, Key, VersionId, search::extract, temporal::Micros};

/// A transaction to run.
pub(crate) struct Transaction {
    pub(crate) shared: Shared,
    pub(crate) access: AccessContext,
    pub(crate) work: Arc<Work>,
    /// The index rows of what a single change stores. They are made where the request runs: on SQLite all transactions
    /// run on one thread, one after the other.
    pub(super) rows: Option<Arc<Vec<IndexRow>>>,
}

impl Transaction {
    pub(crate) fn new(shared: Shared, access: AccessContext, work: Arc<Work>) -> Self {
        let rows = match &*work.changes {
            [
                Change {
                    action: Action::Create { resource, if_none_exist: None } | Action::Update { resource, .. },
                    ..
                },
            ] => Some(Arc::new(extract::extract(resource, &shared.base, &shared.definitions))),
            _ => None,
        };
        Self { shared, access, work, rows }
    }
}

/// The row of `resource` before the transaction.
pub(crate) struct Current {
    pub(crate) rid: i64,
    /// 0: it does not exist, something only refers to it.
    pub(crate) version: VersionId,
    pub(crate) last_updated: Micros,
    pub(crate) deleted: bool,
    /// Whose record it is of.
    pub(crate) patient: i64,
    pub(crate) body: String,
}

/// A version to be written.
pub(crate) struct Written {
    pub(crate) key: Key,
    pub(crate) before: Option<Current>,
    pub(crate) version: Version,
    pub(crate) rows: Arc<Vec<IndexRow>>,
    pub(crate) old_rows: Vec<IndexRow>,
    /// What it defines, if it is a SearchParameter.
    pub(crate) redefinition: Option<Redefinition>,
}
