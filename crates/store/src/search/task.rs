//! What is to be searched, and for whom.

use super::{compile::Compiler, plan};
use crate::{
    Error, Version,
    backend::Dialect,
    job::Shared,
    sql::{Row, Sql},
    version::shown,
};
use tessera_model::{
    AccessContext, Permission, Query, Visible,
    search::query::{Contained, Total},
};

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

    /// Writes what finds its matches. Where there is one plan, it is the one that is written.
    pub(super) fn compiler(&self, sql: Sql, dialect: &'static Dialect) -> Compiler<'_> {
        let fence = if self.is_settled() { dialect.fence } else { "" };
        Compiler { fence, ..Compiler::new(sql, &self.access, dialect) }
    }

    /// Whether one statement answers it, so that it needs no snapshot of its own.
    pub(crate) fn is_one_statement(&self) -> bool {
        self.query.includes.is_empty() && self.query.total != Total::Accurate
    }

    /// Whether it has one plan, the best there is for all values.
    pub(crate) fn is_settled(&self) -> bool {
        let Query { types, contained: Contained::False, filter, .. } = &self.query else { return false };
        match types[..] {
            [one] => {
                self.access.visible(Permission::Search, one) == Visible::All
                    && plan::is_settled(filter, !self.query.sort.is_empty())
            }
            _ => false,
        }
    }
}
