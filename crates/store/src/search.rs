//! Runs a [`Query`]: plan, compile, page, include. What it finds is what `tessera_model::search::matches` says; the property
//! test in `tests/it/property.rs` holds it to that on both databases.

pub(crate) mod compile;
pub(crate) mod contained;
mod criterion;
mod explain;
mod include;
pub(crate) mod page;
mod plan;
mod sort;
mod task;
mod visible;

pub(crate) use task::Search;

use crate::{
    Error, Matches,
    backend::{Connection, Dialect},
    sql::Sql,
};
use tessera_model::search::query::{Summary, Total};

/// Runs a search.
pub(crate) async fn run(search: &Search, connection: &mut dyn Connection) -> Result<Matches, Error> {
    if !search.access.may_ask(&search.query, &search.shared.definitions) {
        return Err(Error::Forbidden);
    }
    if search.query.explain {
        return explain::run(search, connection.dialect());
    }
    connection.searching(true);
    let found = find(search, connection).await;
    connection.searching(false);
    found
}

async fn find(search: &Search, connection: &mut dyn Connection) -> Result<Matches, Error> {
    if search.query.summary == Summary::Count || search.query.count == 0 {
        return Ok(Matches { total: Some(count(search, connection).await?), ..Matches::default() });
    }
    let mut found = page::run(search, connection).await?;
    if found.total.is_none() && search.query.total == Total::Accurate {
        found.total = Some(count(search, connection).await?);
    }
    if search.query.total == Total::None {
        found.total = None;
    }
    if !search.query.includes.is_empty() {
        include::run(search, &mut found, connection).await?;
    }
    Ok(found.into_matches())
}

/// How many matches there are, of which pages show a part.
async fn count(search: &Search, connection: &mut dyn Connection) -> Result<i64, Error> {
    let sql = counting(search, connection.dialect());
    Ok(connection.query(&sql).await?.first().map_or(0, |row| row.int(0)))
}

fn counting(search: &Search, dialect: &'static Dialect) -> Sql {
    let mut compiler = search.compiler(Sql::new("SELECT COUNT(*) FROM ("), dialect);
    compiler.returned(&search.query, None);
    compiler.sql.push(") c");
    compiler.sql
}
