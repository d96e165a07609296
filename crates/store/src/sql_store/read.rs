//! read and vread: one row by its key, sent as it is.

use super::{Shared, VERSION_COLUMNS, version as version_of};
use crate::{
    Error, Version,
    backend::Connection,
    search::compile::{At, Compiler},
    sql::Sql,
};
use tessera_model::{AccessContext, Key, VersionId};

/// The current version, a deletion too.
pub(super) async fn current(
    shared: &Shared,
    access: &AccessContext,
    key: &Key,
    connection: &mut dyn Connection,
) -> Result<Option<Version>, Error> {
    let mut sql = Sql::new("SELECT ");
    let resource = sql.alias();
    sql.join(", ", VERSION_COLUMNS, |sql, column| {
        sql.column(resource, column);
    });
    sql.push(" FROM resource ").name(resource);
    sql.push(" WHERE ").column(resource, "type").push(" = ").bind(key.resource_type);
    sql.push(" AND ").column(resource, "id").push(" = ").bind(key.id.as_str());
    sql.push(" AND ").column(resource, "version").push(" > 0");
    let mut compiler = Compiler { sql, access, dialect: connection.dialect() };
    compiler.visible(key.resource_type, At::resource(resource));
    let mut rows = connection.query(&compiler.sql).await?;
    rows.first_mut().map(|row| version_of(row, 0, shared.definitions)).transpose()
}

/// That version. What it is seen through is the current version (CMP-4; the version's own membership comes with it).
pub(super) async fn version(
    shared: &Shared,
    access: &AccessContext,
    key: &Key,
    wanted: VersionId,
    connection: &mut dyn Connection,
) -> Result<Option<Version>, Error> {
    let mut sql = Sql::default();
    let (resource, history) = (sql.alias(), sql.alias());
    sql.push("SELECT ").column(resource, "type").push(", ").column(resource, "id");
    for column in &VERSION_COLUMNS[2..] {
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
    rows.first_mut().map(|row| version_of(row, 0, shared.definitions)).transpose()
}
