//! history: versions of a resource, a type or everything, the newest first, by the change sequence.
//! <https://hl7.org/fhir/R4/http.html#history>

use crate::{
    Error, HistoryPage, HistoryScope, HistoryVersions, Method,
    backend::Connection,
    job::Shared,
    search::compile::{At, Compiler},
    search::page::{decode_cursor, encode_cursor},
    sql::{Alias, Sql, Value},
    version::{COLUMNS, from_row},
};
use tessera_model::{AccessContext, Definitions, Key};

pub(crate) async fn page(
    shared: &Shared,
    access: &AccessContext,
    scope: &HistoryScope,
    page: &HistoryPage,
    connection: &mut dyn Connection,
) -> Result<HistoryVersions, Error> {
    let after = page.cursor.as_deref().map(|cursor| decode_cursor(cursor, 3)).transpose()?;
    if after.as_ref().is_some_and(|values| !values.iter().all(|value| matches!(value, Value::Int(_)))) {
        return Err(Error::BadCursor);
    }
    let limit = usize::try_from(page.count).unwrap_or(0);
    let mut sql = Sql::new("SELECT ");
    sql.push(COLUMNS_LIST).push(", seq, rid, ");
    follows_deletion(&mut sql);
    sql.push(" FROM (");
    let mut compiler = Compiler { sql, access, dialect: connection.dialect() };
    for (n, table) in ["resource", "resource_history"].into_iter().enumerate() {
        if n > 0 {
            compiler.sql.push(" UNION ALL ");
        }
        one_table(&mut compiler, table, scope, page, after.as_deref(), &shared.definitions);
    }
    compiler
        .sql
        .push(") v ORDER BY seq DESC, rid DESC, version DESC LIMIT ")
        .bind(i64::try_from(limit + 1).unwrap_or(i64::MAX));
    let mut rows = connection.query(&compiler.sql).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| {
        encode_cursor(&[
            Value::Int(row.int(COLUMNS.len())),
            Value::Int(row.int(COLUMNS.len() + 1)),
            Value::Int(row.int(2)),
        ])
    });
    let created = rows.iter().map(|row| row.int(2) == 1 || row.int(COLUMNS.len() + 2) != 0).collect();
    let versions = rows.iter_mut().map(|row| from_row(row, 0, &shared.definitions)).collect::<Result<Vec<_>, _>>()?;
    let total = (page.cursor.is_none() && !more).then(|| i64::try_from(versions.len()).unwrap_or(0));
    Ok(HistoryVersions { versions, created, next, total })
}

/// Whether the version before was a deletion.
fn follows_deletion(sql: &mut Sql) {
    let before = sql.alias();
    sql.push("(SELECT COUNT(*) FROM resource_history ").name(before);
    sql.push(" WHERE ").column(before, "rid").push(" = v.rid AND ").column(before, "version");
    sql.push(" = v.version - 1 AND ").column(before, "method").push(" = ").bind(Method::Delete.number()).push(")");
}

const COLUMNS_LIST: &str = "type, id, version, last_updated, method, body";

/// The versions that one of the two tables holds, limited by itself so that neither is read whole.
fn one_table(
    compiler: &mut Compiler<'_>,
    table: &'static str,
    scope: &HistoryScope,
    page: &HistoryPage,
    after: Option<&[Value]>,
    definitions: &Definitions,
) {
    let current = table == "resource";
    let sql = &mut compiler.sql;
    let (resource, row) = (sql.alias(), sql.alias());
    // SQLite takes a limited SELECT into a UNION only as a subquery.
    sql.push("SELECT * FROM (SELECT ").column(row, "type").push(" AS type, ").column(resource, "id").push(" AS id");
    for column in ["version", "last_updated", "method", "body", "seq", "rid"] {
        sql.push(", ").column(row, column).push(" AS ").push(column);
    }
    sql.push(" FROM ").push(table).push(" ").name(row);
    sql.push(" JOIN resource ").name(resource).push(" ON ").column(resource, "rid").push(" = ").column(row, "rid");
    sql.push(" WHERE ").column(row, "version").push(" > 0");
    match scope {
        HistoryScope::Instance(key) => {
            sql.push(" AND ").column(resource, "type").push(" = ").bind(key.resource_type);
            sql.push(" AND ").column(resource, "id").push(" = ").bind(key.id.as_str());
        }
        HistoryScope::Type(resource_type) => {
            sql.push(" AND ").column(row, "type").push(" = ").bind(*resource_type);
        }
        HistoryScope::System => {}
    }
    if let (Some(horizon), false) = (compiler.dialect.horizon, matches!(scope, HistoryScope::Instance(_))) {
        sql.push(" AND ").column(row, "seq").push(" < ").push(horizon);
    }
    if let Some(since) = page.since {
        sql.push(" AND ").column(row, "last_updated").push(" >= ").bind(since);
    }
    if let Some((from, until)) = page.at {
        sql.push(" AND ").column(row, "last_updated").push(" < ").bind(until);
        if !current {
            superseded_after(sql, row, resource, from);
        }
    }
    if let Some([seq, rid, version]) = after {
        sql.push(" AND (").column(row, "seq").push(" < ").bind(seq.clone());
        sql.push(" OR ").column(row, "seq").push(" = ").bind(seq.clone()).push(" AND (").column(row, "rid").push(" < ");
        sql.bind(rid.clone()).push(" OR ").column(row, "rid").push(" = ").bind(rid.clone());
        sql.push(" AND ").column(row, "version").push(" < ").bind(version.clone()).push("))");
    }
    match scope {
        HistoryScope::Instance(key) => compiler.visible(key.resource_type, At::resource(resource)),
        HistoryScope::Type(resource_type) => compiler.visible(*resource_type, At::resource(resource)),
        HistoryScope::System => compiler.visible_of_any_type(At::resource(resource)),
    }
    if let Some(list) = &page.list {
        member_of(compiler, row, list, definitions);
    }
    let sql = &mut compiler.sql;
    sql.push(" ORDER BY ").column(row, "seq").push(" DESC, ").column(row, "rid").push(" DESC, ").column(row, "version");
    sql.push(" DESC LIMIT ").bind(i64::from(page.count) + 1).push(") ").name(row);
}

/// The list, as it is now, refers to the resource. A list that is not there, or not visible, has no members.
fn member_of(compiler: &mut Compiler<'_>, row: Alias, list: &Key, definitions: &Definitions) {
    let sql = &mut compiler.sql;
    let (member, holder) = (sql.alias(), sql.alias());
    sql.push(" AND EXISTS (SELECT 1 FROM idx_reference ").name(member).push(" JOIN resource ").name(holder);
    sql.push(" ON ").column(holder, "rid").push(" = ").column(member, "rid");
    sql.push(" WHERE ").column(member, "target").push(" = ").column(row, "rid").push(" AND ").column(member, "param");
    sql.push(" IN ").bind_list(definitions.parameter(list.resource_type, "item").map(|parameter| parameter.id));
    sql.push(" AND ").column(holder, "type").push(" = ").bind(list.resource_type);
    sql.push(" AND ").column(holder, "id").push(" = ").bind(list.id.as_str());
    compiler.visible(list.resource_type, At::resource(holder));
    compiler.sql.push(")");
}

/// The version that followed was made after `from`, so this one was still current then.
fn superseded_after(sql: &mut Sql, row: Alias, resource: Alias, from: i64) {
    let next = sql.alias();
    sql.push(" AND COALESCE((SELECT ").column(next, "last_updated").push(" FROM resource_history ").name(next);
    sql.push(" WHERE ").column(next, "rid").push(" = ").column(row, "rid").push(" AND ").column(next, "version");
    sql.push(" = ").column(row, "version").push(" + 1), ").column(resource, "last_updated").push(") > ").bind(from);
}
