//! `_include` and `_revinclude`: one statement an include and round over the page's rids; `:iterate` until nothing new comes.
//! <https://hl7.org/fhir/R4/search.html#include>

use super::{
    compile::{At, Compiler},
    page::Found,
    task::Search,
};
use crate::{
    Error,
    backend::Connection,
    sql::{Alias, Row, Sql},
    version::COLUMNS,
};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use tessera_model::{Permission, ResourceType, search::query::Include};

/// Most included resources of a page; beyond, the answer says that it was cut (HTTP-5).
const INCLUDED_MAX: usize = 1000;
/// Most rounds of `:iterate` (HTTP-5).
const ROUNDS_MAX: usize = 3;

pub(super) async fn run(search: &Search, found: &mut Found, connection: &mut dyn Connection) -> Result<(), Error> {
    let mut seen: FxHashSet<i64> = found.rids.iter().copied().collect();
    let mut fresh = found.rids.clone();
    let mut not_granted = BTreeSet::new();
    for round in 0..ROUNDS_MAX {
        let mut next = Vec::new();
        for include in search.query.includes.iter().filter(|include| round == 0 || include.iterate) {
            not_granted.extend(refused(search, include, &fresh, connection).await?);
            found.not_granted = not_granted.iter().copied().collect();
            for mut row in follow(search, include, &fresh, connection).await? {
                let rid = row.int(COLUMNS.len());
                if !seen.insert(rid) {
                    continue;
                }
                if found.included.len() >= INCLUDED_MAX {
                    found.included_cut = true;
                    return Ok(());
                }
                next.push(rid);
                found.included.push(search.shown(&mut row)?);
            }
        }
        if next.is_empty() {
            break;
        }
        fresh = next;
    }
    Ok(())
}

/// The types at the other end of which nothing is granted: those that the references name, and the one that a `_revinclude`
/// does. Whether there is such a resource decides nothing.
async fn refused(
    search: &Search,
    include: &Include,
    from: &[i64],
    connection: &mut dyn Connection,
) -> Result<Vec<ResourceType>, Error> {
    let (access, definitions) = (&search.access, &search.shared.definitions);
    if access.sees_everything() || from.is_empty() {
        return Ok(Vec::new());
    }
    if include.reverse {
        return Ok(include.source.filter(|source| !access.allows(Permission::Search, *source)).into_iter().collect());
    }
    let types = definitions.resource_types().iter().copied();
    let refused: Vec<ResourceType> = types.filter(|t| !access.allows(Permission::Read, *t)).collect();
    if refused.is_empty() {
        return Ok(refused);
    }
    let mut sql = Sql::new("SELECT DISTINCT ");
    let (resource, link) = (sql.alias(), sql.alias());
    sql.column(resource, "type").push(" FROM resource ").name(resource).push(" WHERE ");
    sql.column(resource, "type").push(" IN ").bind_list(refused.iter().copied());
    sql.push(" AND ").column(resource, "rid").push(" IN (SELECT ").column(link, "target");
    sql.push(" FROM idx_reference ").name(link).push(" WHERE ");
    let mut compiler = Compiler::new(sql, access, connection.dialect());
    compiler.among(link, "rid", from);
    of_parameters(&mut compiler, link, search, include);
    compiler.sql.push(")");
    let rows = connection.query(&compiler.sql).await?;
    let named = rows.iter().filter_map(|row| definitions.resource_type_numbered(row.int(0)));
    Ok(named.filter(|named| include.target.is_none_or(|target| target == *named)).collect())
}

/// Writes ` AND …`: a reference of these parameters; of all that can be searched by, if none are named.
fn of_parameters(compiler: &mut Compiler<'_>, link: Alias, search: &Search, include: &Include) {
    compiler.sql.push(" AND ");
    if include.parameters.is_empty() {
        let definitions = &search.shared.definitions;
        let internal = definitions.resource_types().iter().flat_map(|&t| definitions.internal_parameters(t));
        compiler.sql.push("NOT ");
        compiler.parameter(link, &internal.map(|parameter| parameter.id).collect::<Vec<_>>());
    } else {
        compiler.parameter(link, &include.parameters);
    }
}

/// The live, visible resources at the other end of the references of, or to, these.
async fn follow(
    search: &Search,
    include: &Include,
    from: &[i64],
    connection: &mut dyn Connection,
) -> Result<Vec<Row>, Error> {
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let (near, far) = if include.reverse { ("target", "rid") } else { ("rid", "target") };
    let mut sql = Sql::new("SELECT ");
    let (resource, link) = (sql.alias(), sql.alias());
    sql.join(", ", COLUMNS, |sql, column| {
        sql.column(resource, column);
    });
    sql.push(", ").column(resource, "rid").push(" FROM resource ").name(resource).push(" WHERE ");
    sql.column(resource, "deleted").push(" = 0 AND ").column(resource, "rid").push(" IN (SELECT ").column(link, far);
    sql.push(" FROM idx_reference ").name(link).push(" WHERE ");
    let mut compiler = Compiler::new(sql, &search.access, connection.dialect());
    compiler.among(link, near, from);
    of_parameters(&mut compiler, link, search, include);
    compiler.sql.push(")");
    let wanted = if include.reverse { include.source } else { include.target };
    let permission = if include.reverse { Permission::Search } else { Permission::Read };
    match wanted {
        Some(resource_type) => {
            compiler.sql.push(" AND ").column(resource, "type").push(" = ").bind(resource_type);
            compiler.visible(permission, resource_type, At::resource(resource));
        }
        None => compiler.visible_of_any_type(permission, At::resource(resource)),
    }
    compiler.sql.push(" ORDER BY ").column(resource, "rid").limit(i64::try_from(INCLUDED_MAX).unwrap_or(0) + 1);
    connection.query(&compiler.sql).await
}
