//! What a transaction works on: what is asked, what is there, what will be written.

use crate::{Version, Work, job::Shared, parameters::Redefinition};
use std::sync::Arc;
use tessera_model::{AccessContext, IndexRow, Key, VersionId, temporal::Micros};

/// A transaction to run.
pub(crate) struct Transaction {
    pub(crate) shared: Shared,
    pub(crate) access: AccessContext,
    pub(crate) work: Arc<Work>,
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
    pub(crate) rows: Vec<IndexRow>,
    pub(crate) old_rows: Vec<IndexRow>,
    /// What it defines, if it is a SearchParameter.
    pub(crate) redefinition: Option<Redefinition>,
}
