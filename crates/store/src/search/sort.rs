//! `_sort`: the keys of each candidate, and where a page goes on. <https://hl7.org/fhir/R4/search.html#sort>

use super::{compile::Compiler, contained};
use crate::sql::{Alias, Sql, Value};
use tessera_model::{
    definitions::SearchType,
    search::query::{Contained, Sort, SortKey},
};

/// Names of the key columns; there are at most five keys (`_sort` is checked when it is parsed).
pub(super) const KEYS: [&str; 5] = ["k0", "k1", "k2", "k3", "k4"];

/// A key whose values are gathered in a table of their own, joined to the candidates.
pub(super) struct Gathered<'a> {
    alias: Alias,
    sort: &'a Sort,
}

/// Writes `, key AS k0, …` for the candidate; what is returned must be joined to it.
pub(super) fn write_keys<'a>(
    compiler: &mut Compiler<'_>,
    sort: &'a [Sort],
    candidate: Alias,
    of: Contained,
) -> Vec<Gathered<'a>> {
    let mut gathered = Vec::new();
    for (sort, name) in sort.iter().zip(KEYS) {
        compiler.sql.push(", ");
        match &sort.key {
            SortKey::Id => write_column(compiler, contained::table(of), "id", |sql| {
                sql.column(candidate, "rid");
            }),
            // What is contained has its container's.
            SortKey::LastUpdated => write_column(compiler, "resource", "last_updated", |sql| match of {
                Contained::False => {
                    sql.column(candidate, "rid");
                }
                Contained::True | Contained::Both => contained::write_container(sql, candidate, "rid"),
            }),
            SortKey::Parameter(_, search_type) if !has_key_by_rid(place(*search_type).0) => {
                let alias = compiler.sql.alias();
                compiler.sql.column(alias, "value");
                gathered.push(Gathered { alias, sort });
            }
            SortKey::Parameter(parameters, search_type) => {
                let (table, column) = place(*search_type);
                let alias = compiler.sql.alias();
                compiler
                    .sql
                    .push("(SELECT ")
                    .push(extreme(sort))
                    .column(alias, column)
                    .push(") FROM ")
                    .push(table)
                    .push(" ")
                    .name(alias);
                compiler.sql.push(" WHERE ").column(alias, "rid").push(" = ").column(candidate, "rid").push(" AND ");
                compiler.parameter(alias, parameters);
                compiler.sql.push(")");
            }
        }
        compiler.sql.push(" AS ").push(name);
    }
    gathered
}

/// Writes the joins of the gathered keys: one pass over the parameter instead of a probe a row.
pub(super) fn write_joins(compiler: &mut Compiler<'_>, gathered: &[Gathered<'_>], candidate: Alias) {
    for Gathered { alias, sort } in gathered {
        let SortKey::Parameter(parameters, search_type) = &sort.key else { continue };
        let (table, column) = place(*search_type);
        let inner = compiler.sql.alias();
        compiler
            .sql
            .push(" LEFT JOIN (SELECT ")
            .column(inner, "rid")
            .push(" AS rid, ")
            .push(extreme(sort))
            .column(inner, column);
        compiler.sql.push(") AS value FROM ").push(table).push(" ").name(inner).push(" WHERE ");
        compiler.parameter(inner, parameters);
        compiler.sql.push(" GROUP BY ").column(inner, "rid").push(") ").name(*alias);
        compiler.sql.push(" ON ").column(*alias, "rid").push(" = ").column(candidate, "rid");
    }
}

/// The table and column that a parameter of that type sorts by.
fn place(search_type: SearchType) -> (&'static str, &'static str) {
    match search_type {
        SearchType::String => ("idx_string", "norm"),
        SearchType::Date => ("idx_date", "low"),
        SearchType::Number | SearchType::Quantity => ("idx_quantity", "low"),
        SearchType::Uri => ("idx_uri", "value"),
        SearchType::Token | SearchType::Reference | SearchType::Composite | SearchType::Special => {
            ("idx_token", "code")
        }
    }
}

fn has_key_by_rid(table: &str) -> bool {
    !matches!(table, "idx_token" | "idx_uri")
}

/// The least value when ascending, the greatest when descending.
fn extreme(sort: &Sort) -> &'static str {
    if sort.descending { "MAX(" } else { "MIN(" }
}

fn write_column(compiler: &mut Compiler<'_>, table: &'static str, column: &'static str, rid: impl FnOnce(&mut Sql)) {
    let alias = compiler.sql.alias();
    compiler
        .sql
        .push("(SELECT ")
        .column(alias, column)
        .push(" FROM ")
        .push(table)
        .push(" ")
        .name(alias)
        .push(" WHERE ");
    rid(compiler.sql.column(alias, "rid").push(" = "));
    compiler.sql.push(")");
}

/// Whether a cursor's values can be those of these keys: it comes from outside.
pub(super) fn fits(sort: &[Sort], keys: &[Value]) -> bool {
    sort.iter().zip(keys).all(|(sort, value)| match (&sort.key, value) {
        (SortKey::Parameter(..), Value::Null)
        | (SortKey::Id, Value::Text(_))
        | (SortKey::LastUpdated, Value::Int(_)) => true,
        (SortKey::Parameter(_, SearchType::Date), value) => matches!(value, Value::Int(_)),
        (SortKey::Parameter(_, SearchType::Number | SearchType::Quantity), value) => matches!(value, Value::Real(_)),
        (SortKey::Parameter(..), value) => matches!(value, Value::Text(_)),
        (SortKey::Id | SortKey::LastUpdated, _) => false,
    })
}

/// Writes ` ORDER BY …`; resources without a value come last.
pub(super) fn write_order(compiler: &mut Compiler<'_>, sort: &[Sort], rows: Alias) {
    compiler.sql.push(" ORDER BY ");
    for (sort, name) in sort.iter().zip(KEYS) {
        compiler.sql.column(rows, name);
        compiler.sql.push(if sort.descending { " DESC NULLS LAST, " } else { " NULLS LAST, " });
    }
    compiler.sql.column(rows, "rid");
}

/// Writes the condition that a row comes after the one with these keys and rid. Missing values are a case of their own, and
/// mixed directions need the long form.
pub(super) fn write_after(compiler: &mut Compiler<'_>, sort: &[Sort], rows: Alias, keys: &[Value], rid: i64) {
    let sql = &mut compiler.sql;
    sql.push("(");
    for length in 0..=sort.len() {
        if length > 0 {
            sql.push(" OR ");
        }
        sql.push("(");
        for (key, name) in keys[..length].iter().zip(KEYS) {
            match key {
                Value::Null => sql.column(rows, name).push(" IS NULL AND "),
                value => sql.column(rows, name).push(" = ").bind(value.clone()).push(" AND "),
            };
        }
        match (sort.get(length), keys.get(length)) {
            (Some(_), None | Some(Value::Null)) => sql.push("1 = 0"),
            (Some(sort), Some(value)) => {
                let name = KEYS[length];
                sql.push("(").column(rows, name).push(if sort.descending { " < " } else { " > " }).bind(value.clone());
                sql.push(" OR ").column(rows, name).push(" IS NULL)")
            }
            (None, _) => sql.column(rows, "rid").push(" > ").bind(rid),
        };
        sql.push(")");
    }
    sql.push(")");
}
