//! history: versions of a resource, a type or everything, the newest first, by the change sequence.
//! <https://hl7.org/fhir/R4/http.html#history>

use crate::{
    Error, HistoryPage, HistoryScope, HistoryVersions, Method, Version,
    access::sees_version,
    backend::Connection,
    job::Shared,
    search::compile::{At, Compiler},
    search::page::{decode_cursor, encode_cursor},
    sql::{Alias, Row, Sql, Value},
    version::{COLUMNS, shown},
};
use tessera_model::{AccessContext, Definitions, Key, Permission};

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
    if let Some([Value::Int(seq), ..]) = after.as_deref()
        && !matches!(scope, HistoryScope::Instance(_))
    {
        goes_on(*seq, connection).await?;
    }
    let limit = usize::try_from(page.count).unwrap_or(0);
    let mut after = after;
    let mut found: Vec<(Version, bool, Vec<Value>)> = Vec::new();
    let mut looked_at = 0;
    // A version that must be looked at itself is left out before the page is cut.
    let more = loop {
        let rows = rows(access, scope, page, after.as_deref(), &shared.definitions, connection).await?;
        let ends = rows.len() <= limit;
        looked_at += rows.len();
        for mut row in rows {
            let place = place(&row);
            let (is_current, follows_deletion) = (row.int(IS_CURRENT) != 0, row.int(FOLLOWS_DELETION) != 0);
            let version = shown(&mut row, access, &shared.definitions)?;
            let visible = || access.visible(permission(scope), version.key.resource_type);
            if is_current || access.sees_everything() || sees_version(shared, &visible(), &version) {
                let created = version.version == 1 || follows_deletion;
                found.push((version, created, place.clone()));
            }
            after = Some(place);
        }
        if ends || found.len() > limit {
            break found.len() > limit;
        }
        if looked_at > LOOKED_AT_MAX {
            let text = "too many versions would have to be looked at; ask for one resource, or for a time by _since";
            return Err(tessera_model::Error::TooCostly(text.to_owned()).into());
        }
    };
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(_, _, place)| encode_cursor(place));
    let total = (page.cursor.is_none() && !more).then(|| i64::try_from(found.len()).unwrap_or(0));
    let (versions, created) = found.into_iter().map(|(version, created, _)| (version, created)).unzip();
    Ok(HistoryVersions { versions, created, next, total })
}

/// A page goes on where another database has cut the one before: of primary and replica each may show for a moment what the
/// other does not yet. Whatever the one has listed, and passed over, must have ended here too.
async fn goes_on(seq: i64, connection: &mut dyn Connection) -> Result<(), Error> {
    let Some(horizon) = connection.dialect().horizon else { return Ok(()) };
    let mut sql = Sql::new("SELECT ");
    sql.push(horizon);
    let horizon = connection.query(&sql).await?.first().map_or(0, |row| row.int(0));
    if seq < horizon { Ok(()) } else { Err(Error::Retry) }
}

/// What is needed to be told of a version.
const fn permission(scope: &HistoryScope) -> Permission {
    match scope {
        HistoryScope::Instance(_) => Permission::Read,
        HistoryScope::Type(_) | HistoryScope::System => Permission::Search,
    }
}

/// Where a page goes on after this row.
fn place(row: &Row) -> Vec<Value> {
    vec![Value::Int(row.int(SEQ)), Value::Int(row.int(SEQ + 1)), Value::Int(row.int(2))]
}

/// The versions after that place, as far as their rows say whether they may be seen: one more than a page holds.
async fn rows(
    access: &AccessContext,
    scope: &HistoryScope,
    page: &HistoryPage,
    after: Option<&[Value]>,
    definitions: &Definitions,
    connection: &mut dyn Connection,
) -> Result<Vec<Row>, Error> {
    let mut sql = Sql::new("SELECT ");
    sql.push(COLUMNS_LIST).push(", seq, rid, current, ");
    follows_deletion(&mut sql);
    sql.push(" FROM (");
    let mut compiler = Compiler::new(sql, access, connection.dialect());
    for (n, table) in ["resource", "resource_history"].into_iter().enumerate() {
        if n > 0 {
            compiler.sql.push(" UNION ALL ");
        }
        one_table(&mut compiler, table, scope, page, after, definitions);
    }
    compiler.sql.push(") v ORDER BY seq DESC, rid DESC, version DESC").limit(i64::from(page.count) + 1);
    connection.query(&compiler.sql).await
}

/// Whether the version before was a deletion.
fn follows_deletion(sql: &mut Sql) {
    let before = sql.alias();
    sql.push("(SELECT COUNT(*) FROM resource_history ").name(before);
    sql.push(" WHERE ").column(before, "rid").push(" = v.rid AND ").column(before, "version");
    sql.push(" = v.version - 1 AND ").column(before, "method").push(" = ").bind(Method::Delete.number()).push(")");
}

const COLUMNS_LIST: &str = "type, id, version, last_updated, method, body";
/// The columns after those: seq, rid, whether it is the current version, how many deletions are right before it.
const SEQ: usize = COLUMNS.len();
const IS_CURRENT: usize = SEQ + 2;
const FOLLOWS_DELETION: usize = SEQ + 3;
/// Most versions looked at for a page.
const LOOKED_AT_MAX: usize = 10_000;

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
    sql.push(if current { ", 1 AS current" } else { ", 0 AS current" });
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
    // A version is seen by whom the current one is seen by, if it is of the same record (CMP-4).
    if !current && !compiler.access.sees_everything() {
        compiler.sql.push(" AND ").column(row, "patient").push(" = ").column(resource, "patient");
    }
    match scope {
        HistoryScope::Instance(Key { resource_type, .. }) | HistoryScope::Type(resource_type) => {
            compiler.visible(permission(scope), *resource_type, At::resource(resource));
        }
        HistoryScope::System => compiler.visible_of_any_type(permission(scope), At::resource(resource)),
    }
    if let Some(list) = &page.list {
        member_of(compiler, row, list, definitions);
    }
    let sql = &mut compiler.sql;
    sql.push(" ORDER BY ").column(row, "seq").push(" DESC, ").column(row, "rid").push(" DESC, ").column(row, "version");
    sql.push(" DESC").limit(i64::from(page.count) + 1).push(") ").name(row);
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
    compiler.visible(Permission::Read, list.resource_type, At::resource(holder));
    compiler.sql.push(")");
}

/// The version that followed was made after `from`, so this one was still current then.
fn superseded_after(sql: &mut Sql, row: Alias, resource: Alias, from: i64) {
    let next = sql.alias();
    sql.push(" AND COALESCE((SELECT ").column(next, "last_updated").push(" FROM resource_history ").name(next);
    sql.push(" WHERE ").column(next, "rid").push(" = ").column(row, "rid").push(" AND ").column(next, "version");
    sql.push(" = ").column(row, "version").push(" + 1), ").column(resource, "last_updated").push(") > ").bind(from);
}
