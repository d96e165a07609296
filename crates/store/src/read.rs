//! read and vread: one row by its key, sent as it is; and the reading entries of a transaction.

use crate::{
    Error, Read, Seen, Version,
    backend::Connection,
    history,
    job::Shared,
    search::compile::{At, Compiler},
    search::{self, Search},
    sql::Sql,
    version::{COLUMNS, from_row},
};
use tessera_model::{AccessContext, Key, VersionId};

/// The current version, a deletion too.
pub(crate) async fn current(
    shared: &Shared,
    access: &AccessContext,
    key: &Key,
    connection: &mut dyn Connection,
) -> Result<Option<Version>, Error> {
    let mut sql = Sql::new("SELECT ");
    let resource = sql.alias();
    sql.join(", ", COLUMNS, |sql, column| {
        sql.column(resource, column);
    });
    sql.push(" FROM resource ").name(resource);
    sql.push(" WHERE ").column(resource, "type").push(" = ").bind(key.resource_type);
    sql.push(" AND ").column(resource, "id").push(" = ").bind(key.id.as_str());
    sql.push(" AND ").column(resource, "version").push(" > 0");
    let mut compiler = Compiler { sql, access, dialect: connection.dialect() };
    compiler.visible(key.resource_type, At::resource(resource));
    let mut rows = connection.query(&compiler.sql).await?;
    rows.first_mut().map(|row| from_row(row, 0, &shared.definitions)).transpose()
}

/// That version. What it is seen through is the current version (CMP-4; the version's own membership comes with it).
pub(crate) async fn version(
    shared: &Shared,
    access: &AccessContext,
    key: &Key,
    wanted: VersionId,
    connection: &mut dyn Connection,
) -> Result<Option<Version>, Error> {
    let mut sql = Sql::default();
    let (resource, history) = (sql.alias(), sql.alias());
    sql.push("SELECT ").column(resource, "type").push(", ").column(resource, "id");
    for column in &COLUMNS[2..] {
        sql.push(", COALESCE(").column(history, column).push(", ").column(resource, column).push(")");
    }
    sql.push(" FROM resource ").name(resource).push(" LEFT JOIN resource_history ").name(history);
    sql.push(" ON ").column(history, "rid").push(" = ").column(resource, "rid");
    sql.push(" AND ").column(history, "version").push(" = ").bind(wanted);
    sql.push(" WHERE ").column(resource, "type").push(" = ").bind(key.resource_type);
    sql.push(" AND ").column(resource, "id").push(" = ").bind(key.id.as_str());
    sql.push(" AND (").column(history, "rid").push(" IS NOT NULL OR ");
    sql.column(resource, "version").push(" = ").bind(wanted).push(")");
    sql.push(" AND ").column(resource, "version").push(" > 0");
    let mut compiler = Compiler { sql, access, dialect: connection.dialect() };
    compiler.visible(key.resource_type, At::resource(resource));
    let mut rows = connection.query(&compiler.sql).await?;
    rows.first_mut().map(|row| from_row(row, 0, &shared.definitions)).transpose()
}

/// What a reading entry of a transaction sees, on the transaction's own connection.
pub(crate) async fn perform(
    shared: &Shared,
    access: &AccessContext,
    read: &Read,
    connection: &mut dyn Connection,
) -> Result<Seen, Error> {
    Ok(match read {
        Read::Current(key) => Seen::Version(current(shared, access, key, connection).await?),
        Read::Version(key, wanted) => Seen::Version(version(shared, access, key, *wanted, connection).await?),
        Read::Search(query) => {
            let search =
                Search { shared: shared.clone(), access: access.clone(), query: (**query).clone(), cursor: None };
            Seen::Matches(search::run(&search, connection).await?)
        }
        Read::History(scope, page) => Seen::History(history::page(shared, access, scope, page, connection).await?),
    })
}
