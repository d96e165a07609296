//! read and vread: one row by its key, sent as it is; and the reading entries of a transaction.

use crate::{
    Error, Read, Seen, Version,
    access::sees_version,
    backend::Connection,
    history,
    job::Shared,
    search::compile::{At, Compiler},
    search::{self, Search},
    sql::Sql,
    version::{COLUMNS, shown},
};
use tessera_model::{AccessContext, Key, Permission, VersionId};

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
    let mut compiler = Compiler::new(sql, access, connection.dialect());
    compiler.visible(Permission::Read, key.resource_type, At::resource(resource));
    let mut rows = connection.query(&compiler.sql).await?;
    rows.first_mut().map(|row| shown(row, access, &shared.definitions)).transpose()
}

/// That version, if both it and the current one may be seen (CMP-4).
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
    sql.push(", COALESCE(").column(history, "rid").push(", 0)");
    sql.push(" FROM resource ").name(resource).push(" LEFT JOIN resource_history ").name(history);
    sql.push(" ON ").column(history, "rid").push(" = ").column(resource, "rid");
    sql.push(" AND ").column(history, "version").push(" = ").bind(wanted);
    sql.push(" WHERE ").column(resource, "type").push(" = ").bind(key.resource_type);
    sql.push(" AND ").column(resource, "id").push(" = ").bind(key.id.as_str());
    sql.push(" AND (").column(history, "rid").push(" IS NOT NULL OR ");
    sql.column(resource, "version").push(" = ").bind(wanted).push(")");
    sql.push(" AND ").column(resource, "version").push(" > 0");
    let mut compiler = Compiler::new(sql, access, connection.dialect());
    if !access.sees_everything() {
        compiler.sql.push(" AND (").column(history, "rid").push(" IS NULL OR ");
        compiler.sql.column(history, "patient").push(" = ").column(resource, "patient").push(")");
    }
    compiler.visible(Permission::Read, key.resource_type, At::resource(resource));
    let mut rows = connection.query(&compiler.sql).await?;
    let Some(row) = rows.first_mut() else { return Ok(None) };
    let is_current = row.int(COLUMNS.len()) == 0;
    let version = shown(row, access, &shared.definitions)?;
    let visible = access.visible(Permission::Read, key.resource_type);
    Ok(Some(version).filter(|version| is_current || sees_version(shared, &visible, version)))
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
