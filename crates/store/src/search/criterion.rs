//! Each kind of search value as a predicate on the rows of its table.

use crate::{
    backend::Dialect,
    index::{key_text, split_norm},
    sql::{Alias, Sql},
};
use tessera_model::{
    definitions::ParameterId,
    search::{
        near::Near,
        prefix::{Comparison, End},
        quantity::{QuantityValue, Unit},
        query::{Criterion, Filter},
        reference::ReferenceValue,
        string::StringMode,
        token::TokenValue,
        uri::UriValue,
    },
};

/// Writes `param = $1` or `param IN (…)`.
pub(super) fn parameter(sql: &mut Sql, alias: Alias, parameters: &[ParameterId]) {
    sql.column(alias, "param");
    match parameters {
        [one] => sql.push(" = ").bind(*one),
        several => sql.push(" IN ").bind_list(several.iter().copied()),
    };
}

/// A table of index rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexTable {
    String,
    Token,
    Date,
    Quantity,
    Reference,
    Uri,
    Position,
}

/// The tables that may hold what a criterion asks for; references to what is not held here stand among the URIs.
pub(super) fn tables(criterion: &Criterion) -> &'static [IndexTable] {
    match criterion {
        Criterion::String(..) => &[IndexTable::String],
        Criterion::Token(_) => &[IndexTable::Token],
        Criterion::Date(_) => &[IndexTable::Date],
        Criterion::Quantity(_) => &[IndexTable::Quantity],
        Criterion::Uri(_) => &[IndexTable::Uri],
        Criterion::Near(_) => &[IndexTable::Position],
        Criterion::Other(criterion) => tables(criterion),
        Criterion::Reference(values) => {
            let local = values.iter().any(|v| matches!(v, ReferenceValue::Local(..)));
            let elsewhere = values.iter().any(|v| matches!(v, ReferenceValue::Elsewhere { .. }));
            match (local, elsewhere) {
                (_, false) => &[IndexTable::Reference],
                (false, true) => &[IndexTable::Uri],
                (true, true) => &[IndexTable::Reference, IndexTable::Uri],
            }
        }
    }
}

/// Whether the index can be asked about one resource without passing over others: by the value and rid, or by rid.
pub(super) fn can_probe(criterion: &Criterion) -> bool {
    match criterion {
        Criterion::Token(values) => values.iter().all(|v| v.code.is_some()),
        Criterion::Uri(values) => !values.iter().any(|v| matches!(v, UriValue::Below(_))),
        Criterion::Near(_) => false,
        // Neither the value nor, in two tables, the rid is a way in.
        Criterion::Other(other) => !matches!(**other, Criterion::Token(_) | Criterion::Uri(_)),
        Criterion::String(..) | Criterion::Date(_) | Criterion::Quantity(_) | Criterion::Reference(_) => true,
    }
}

/// Whether it lists so many codes that its rows are better found once than asked for one resource at a time. PostgreSQL knows
/// that only from statistics, which a table that has just been filled does not have.
pub(super) fn is_long(criterion: &Criterion) -> bool {
    matches!(criterion, Criterion::Token(values) if values.len() > LISTED_MAX)
}

/// A predicate whose rows all lie together in its table's key, in the order of rid.
pub(super) struct Direct<'a> {
    pub(super) table: &'static str,
    parameter: ParameterId,
    criterion: &'a Criterion,
    /// Whether one resource may have several such rows.
    pub(super) may_repeat: bool,
    /// Whether who has such a row satisfies the filter.
    pub(super) is_enough: bool,
}

/// The filter as a [`Direct`], if it is one: one code, or a reference to one resource, for one parameter. Who satisfies a composite
/// has a row of each of its components.
pub(super) fn direct(filter: &Filter) -> Option<Direct<'_>> {
    match filter {
        Filter::Value(parameters, criterion) => match parameters[..] {
            [parameter] => of_one(parameter, criterion),
            _ => None,
        },
        Filter::Composite(alternatives) => {
            let [components] = &alternatives[..] else { return None };
            let found = components.iter().find_map(|(parameter, criterion)| of_one(*parameter, criterion))?;
            Some(Direct { may_repeat: true, is_enough: false, ..found })
        }
        _ => None,
    }
}

fn of_one(parameter: ParameterId, criterion: &Criterion) -> Option<Direct<'_>> {
    let (table, may_repeat) = match criterion {
        Criterion::Token(values) => match &values[..] {
            [TokenValue { code: Some(_), system }] => ("idx_token", system.is_none()),
            _ => return None,
        },
        Criterion::Reference(values) => match &values[..] {
            [ReferenceValue::Local(types, _)] if types.len() == 1 => ("idx_reference", false),
            _ => return None,
        },
        _ => return None,
    };
    Some(Direct { table, parameter, criterion, may_repeat, is_enough: true })
}

impl Direct<'_> {
    pub(super) fn write(&self, sql: &mut Sql, dialect: &Dialect, alias: Alias) {
        parameter(sql, alias, &[self.parameter]);
        sql.push(" AND ");
        tables(self.criterion)[0].write(sql, dialect, self.criterion, alias);
    }
}

impl IndexTable {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::String => "idx_string",
            Self::Token => "idx_token",
            Self::Date => "idx_date",
            Self::Quantity => "idx_quantity",
            Self::Reference => "idx_reference",
            Self::Uri => "idx_uri",
            Self::Position => "idx_position",
        }
    }

    /// Writes what the criterion asks of a row of this table.
    pub(super) fn write(self, sql: &mut Sql, dialect: &Dialect, criterion: &Criterion, alias: Alias) {
        let position = dialect.position;
        match (self, criterion) {
            (Self::String, Criterion::String(mode, values)) => strings(sql, *mode, values, alias, position),
            (Self::Token, Criterion::Token(values)) => tokens(sql, dialect, values, alias),
            (Self::Date, Criterion::Date(comparisons)) => {
                sql.push("(").join(" OR ", comparisons, |sql, c| compare(sql, c, alias, "low", "high")).push(")");
            }
            (Self::Quantity, Criterion::Quantity(values)) => {
                sql.push("(").join(" OR ", values, |sql, value| quantity(sql, value, alias)).push(")");
            }
            (Self::Reference, Criterion::Reference(values)) => references(sql, values, alias),
            (Self::Uri, Criterion::Reference(values)) => {
                let elsewhere = values.iter().filter_map(|value| match value {
                    ReferenceValue::Elsewhere { value, version } => Some((value, version)),
                    ReferenceValue::Local(..) => None,
                });
                sql.push("(")
                    .join(" OR ", elsewhere, |sql, (value, version)| exact_uri(sql, value, version, alias))
                    .push(")");
            }
            (Self::Uri, Criterion::Uri(values)) => {
                sql.push("(").join(" OR ", values, |sql, value| uri(sql, value, alias, position)).push(")");
            }
            (Self::Position, Criterion::Near(values)) => {
                sql.push("(").join(" OR ", values, |sql, value| near(sql, value, alias)).push(")");
            }
            (_, Criterion::Other(other)) => {
                sql.push("NOT ");
                self.write(sql, dialect, other, alias);
            }
            // No other pair is ever put together (`tables`); if one were, it would find nothing.
            _ => {
                sql.push("1 = 0");
            }
        }
    }
}

fn compare<T: Copy + Into<crate::sql::Value>>(
    sql: &mut Sql,
    comparison: &Comparison<T>,
    alias: Alias,
    low: &'static str,
    high: &'static str,
) {
    sql.push("(").join(" OR ", &comparison.0, |sql, conditions| {
        sql.push("(").join(" AND ", conditions, |sql, condition| {
            sql.column(alias, if condition.end == End::Low { low } else { high });
            sql.push(" ").push(condition.operator.text()).push(" ").bind(condition.value);
        });
        sql.push(")");
    });
    sql.push(")");
}

fn quantity(sql: &mut Sql, value: &QuantityValue, alias: Alias) {
    sql.push("(");
    match &value.unit {
        Unit::Any => compare(sql, &value.comparison, alias, "low", "high"),
        Unit::Named(name) => {
            sql.push("(").column(alias, "code").push(" = ").bind(name.as_str()).push(" OR ");
            sql.column(alias, "unit").push(" = ").bind(name.as_str()).push(") AND ");
            compare(sql, &value.comparison, alias, "low", "high");
        }
        Unit::Coded(system, code) => {
            sql.column(alias, "system").push(" = ").bind(system.as_str()).push(" AND ");
            sql.column(alias, "code").push(" = ").bind(code.as_str()).push(" AND ");
            compare(sql, &value.comparison, alias, "low", "high");
        }
        Unit::Canonical(unit) => {
            sql.column(alias, "canonical_unit").push(" = ").bind(unit.as_str()).push(" AND ");
            compare(sql, &value.comparison, alias, "canonical_low", "canonical_high");
        }
    }
    sql.push(")");
}

fn strings(sql: &mut Sql, mode: StringMode, values: &[String], alias: Alias, position: &'static str) {
    sql.push("(").join(" OR ", values, |sql, value| {
        sql.push("(");
        match mode {
            StringMode::Exact => {
                // The folded text leads into the key, the exact one decides.
                let folded = tessera_model::search::string::fold(value);
                sql.column(alias, "norm").push(" = ").bind(split_norm(&folded).0);
                sql.push(" AND ").column(alias, "exact").push(" = ").bind(value.as_str());
            }
            StringMode::StartsWith => match split_norm(value) {
                (norm, "") => starts_with(sql, alias, "norm", norm),
                (norm, rest) => {
                    sql.column(alias, "norm").push(" = ").bind(norm).push(" AND ");
                    starts_with(sql, alias, "rest", rest);
                }
            },
            StringMode::Contains => {
                whole(sql.push(position).push("("), alias).push(", ").bind(value.as_str()).push(") > 0");
            }
            StringMode::Equals => {
                let (norm, rest) = split_norm(value);
                sql.column(alias, "norm").push(" = ").bind(norm);
                sql.push(" AND ").column(alias, "rest").push(" = ").bind(rest);
            }
            StringMode::EndsWith => {
                // Where the text is shorter, the start of the rest is before its own, and what is there does not count.
                let length = i64::try_from(value.chars().count()).unwrap_or(i64::MAX);
                whole(sql.push("length("), alias).push(") >= ").bind(length).push(" AND substr(");
                whole(whole(sql, alias).push(", CAST(length("), alias);
                sql.push(") - ").bind(length).push(" + 1 AS INTEGER)) = ").bind(value.as_str());
            }
            StringMode::Compares(operator) => {
                sql.push("(");
                whole(sql, alias).push(") ").push(operator.text()).push(" ").bind(value.as_str());
            }
        }
        sql.push(")");
    });
    sql.push(")");
}

/// Writes the folded text as one.
fn whole(sql: &mut Sql, alias: Alias) -> &mut Sql {
    sql.column(alias, "norm").push(" || ").column(alias, "rest")
}

/// A box leads into the key, the distance decides.
fn near(sql: &mut Sql, near: &Near, alias: Alias) {
    sql.push("(");
    for (column, middle) in ["x", "y", "z"].into_iter().zip(near.point) {
        sql.column(alias, column).push(" >= ").bind(middle - near.reach).push(" AND ");
        sql.column(alias, column).push(" <= ").bind(middle + near.reach).push(" AND ");
    }
    sql.join(" + ", ["x", "y", "z"].into_iter().zip(near.point), |sql, (column, middle)| {
        sql.push("(").column(alias, column).push(" - ").bind(middle).push(") * (");
        sql.column(alias, column).push(" - ").bind(middle).push(")");
    });
    sql.push(" <= ").bind(near.reach_squared).push(")");
}

/// A range of the key, which compares bytes: from the text itself to just above everything that starts with it.
fn starts_with(sql: &mut Sql, alias: Alias, column: &'static str, text: &str) {
    sql.column(alias, column).push(" >= ").bind(text);
    if let Some(above) = successor(text) {
        sql.push(" AND ").column(alias, column).push(" < ").bind(above);
    }
}

/// The least text greater than every text that starts with this one.
fn successor(text: &str) -> Option<String> {
    let mut characters: Vec<char> = text.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'), // surrogates are no characters
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

/// Codes of one system share one list, so that 200 of them are no 200 conditions.
fn tokens(sql: &mut Sql, dialect: &Dialect, values: &[TokenValue], alias: Alias) {
    if values.is_empty() {
        sql.push("(1 = 0)");
        return;
    }
    let mut systems: Vec<Option<&str>> = values.iter().map(|v| v.system.as_deref()).collect();
    systems.sort_unstable();
    systems.dedup();
    sql.push("(").join(" OR ", systems, |sql, system| {
        let of_system = || values.iter().filter(|v| v.system.as_deref() == system);
        let codes: Vec<String> = of_system().filter_map(|v| v.code.as_deref().map(key_text)).collect();
        sql.push("(");
        if of_system().all(|v| v.code.is_some()) {
            among(sql.column(alias, "code"), dialect, &codes);
        } else {
            sql.push("1 = 1");
        }
        if let Some(system) = system {
            sql.push(" AND ").column(alias, "system").push(" = ").bind(key_text(system));
        }
        sql.push(")");
    });
    sql.push(")");
}

/// Most values that are bound one by one: a statement has room for some 30,000, and a value set may have more.
const LISTED_MAX: usize = 200;

/// Writes that the column before is one of the values.
fn among(sql: &mut Sql, dialect: &Dialect, values: &[String]) {
    match values {
        [one] => {
            sql.push(" = ").bind(one.as_str());
        }
        few if few.len() <= LISTED_MAX => {
            sql.push(" IN ").bind_list(few.iter().map(String::as_str));
        }
        many => {
            sql.push(dialect.in_array.0).bind(many.to_vec()).push(dialect.in_array.1);
        }
    }
}

/// The targets are looked up first: by type and id, in the key of `resource`.
fn references(sql: &mut Sql, values: &[ReferenceValue], alias: Alias) {
    let local: Vec<_> = values
        .iter()
        .filter_map(|value| match value {
            ReferenceValue::Local(types, id) => Some((types, id)),
            ReferenceValue::Elsewhere { .. } => None,
        })
        .collect();
    let target = sql.alias();
    sql.column(alias, "target");
    if let [(types, id)] = &local[..]
        && let [one] = &types[..]
    {
        sql.push(" = (SELECT ").column(target, "rid").push(" FROM resource ").name(target).push(" WHERE ");
        sql.column(target, "type")
            .push(" = ")
            .bind(*one)
            .push(" AND ")
            .column(target, "id")
            .push(" = ")
            .bind(id.as_str())
            .push(")");
        return;
    }
    sql.push(" IN (SELECT ").column(target, "rid").push(" FROM resource ").name(target).push(" WHERE ");
    sql.join(" OR ", local, |sql, (types, id)| {
        sql.push("(").column(target, "type").push(" IN ").bind_list(types.iter().copied());
        sql.push(" AND ").column(target, "id").push(" = ").bind(id.as_str()).push(")");
    });
    sql.push(")");
}

fn exact_uri(sql: &mut Sql, value: &str, version: &str, alias: Alias) {
    sql.push("(").column(alias, "value").push(" = ").bind(key_text(value));
    if !version.is_empty() {
        sql.push(" AND ").column(alias, "version").push(" = ").bind(key_text(version));
    }
    sql.push(")");
}

fn uri(sql: &mut Sql, value: &UriValue, alias: Alias, position: &'static str) {
    match value {
        UriValue::Exact { value, version } => exact_uri(sql, value, version, alias),
        UriValue::Above(values) => {
            sql.column(alias, "value").push(" IN ").bind_list(values.iter().map(|v| key_text(v)));
        }
        UriValue::Below(value) => {
            sql.push("(").column(alias, "value").push(" = ").bind(key_text(value)).push(" OR ");
            let under = format!("{value}/");
            sql.push(position).push("(").column(alias, "value").push(", ").bind(under.as_str()).push(") = 1 AND (");
            starts_with(sql, alias, "value", &under);
            sql.push("))");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_is_above_everything_that_starts_with_the_text() {
        for text in ["a", "az", "\u{d7ff}", "a\u{10ffff}", "é"] {
            let above = successor(text).unwrap();
            assert!(above.as_str() > text && format!("{text}\u{10ffff}") < above, "{text:?}");
        }
        assert_eq!(successor("\u{10ffff}"), None);
    }
}
