//! Runs a [`Query`]: plan, compile, page, include. What it finds is what `tessera_model::search::matches` says; the property
//! test in `tests/it/property.rs` holds it to that on both databases.

pub(crate) mod compile;
mod criterion;
mod include;
pub(crate) mod page;
mod plan;
mod sort;

use crate::{Error, Matches, backend::Connection, sql::Sql, sql_store::Shared};
use compile::Compiler;
use tessera_model::{
    AccessContext, Query,
    search::query::{Summary, Total},
};

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

    pub(crate) async fn run(&self, connection: &mut dyn Connection) -> Result<Matches, Error> {
        if self.query.summary == Summary::Count || self.query.count == 0 {
            return Ok(Matches { total: Some(self.count(connection).await?), ..Matches::default() });
        }
        let mut found = page::run(self, connection).await?;
        if found.total.is_none() && self.query.total == Total::Accurate {
            found.total = Some(self.count(connection).await?);
        }
        if self.query.total == Total::None {
            found.total = None;
        }
        if !self.query.includes.is_empty() {
            include::run(self, &mut found, connection).await?;
        }
        Ok(found.into_matches())
    }

    /// How many matches there are, of which pages show a part.
    async fn count(&self, connection: &mut dyn Connection) -> Result<i64, Error> {
        let mut compiler =
            Compiler { sql: Sql::new("SELECT COUNT(*) FROM ("), access: &self.access, dialect: connection.dialect() };
        compiler.candidates(&self.query.types, &self.query.filter, None);
        compiler.sql.push(") c");
        Ok(connection.query(&compiler.sql).await?.first().map_or(0, |row| row.int(0)))
    }
}
