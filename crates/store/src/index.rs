//! The index rows of resources as rows of tables: one table a kind of value. docs/search.md lists their columns.

use crate::{
    Error,
    backend::{Connection, Kind, Table},
    parameters,
    search::contained,
    sql::Value,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Ordering;
use tessera_model::{IndexRow, IndexValue, Key};

use Kind::{Int, Real, Text};

pub(crate) static TOKEN: Table = Table {
    name: "idx_token",
    columns: &[("rid", Int), ("param", Int), ("ord", Int), ("system", Text), ("code", Text)],
    // Long codes are cut for their key, and two may be cut to the same.
    on_conflict: "ON CONFLICT DO NOTHING",
};
pub(crate) static REFERENCE: Table = Table {
    name: "idx_reference",
    columns: &[("rid", Int), ("param", Int), ("ord", Int), ("target", Int)],
    on_conflict: "",
};
pub(crate) static DATE: Table = Table {
    name: "idx_date",
    columns: &[("rid", Int), ("param", Int), ("ord", Int), ("low", Int), ("high", Int)],
    on_conflict: "",
};
pub(crate) static STRING: Table = Table {
    name: "idx_string",
    columns: &[("rid", Int), ("param", Int), ("ord", Int), ("norm", Text), ("rest", Text), ("exact", Text)],
    on_conflict: "",
};
pub(crate) static QUANTITY: Table = Table {
    name: "idx_quantity",
    columns: &[
        ("rid", Int),
        ("param", Int),
        ("ord", Int),
        ("low", Real),
        ("high", Real),
        ("system", Text),
        ("code", Text),
        ("unit", Text),
        ("canonical_low", Real),
        ("canonical_high", Real),
        ("canonical_unit", Text),
    ],
    on_conflict: "",
};
pub(crate) static URI: Table = Table {
    name: "idx_uri",
    columns: &[("rid", Int), ("param", Int), ("ord", Int), ("value", Text), ("version", Text)],
    on_conflict: "ON CONFLICT DO NOTHING",
};

pub(crate) static POSITION: Table = Table {
    name: "idx_position",
    columns: &[("rid", Int), ("param", Int), ("ord", Int), ("x", Int), ("y", Int), ("z", Int)],
    on_conflict: "",
};
pub(crate) static TEXT: Table = Table {
    name: "idx_text",
    columns: &[("rid", Int), ("param", Int), ("ord", Int), ("words", Text)],
    on_conflict: "",
};

/// What is contained: it has no row in `resource`.
pub(crate) static CONTAINED: Table =
    Table { name: "contained", columns: &[("rid", Int), ("type", Int), ("id", Text)], on_conflict: "" };

/// Every index table; in all but the last, the second column is the parameter's number.
pub(crate) static TABLES: [&Table; TABLES_COUNT] =
    [&TOKEN, &REFERENCE, &DATE, &STRING, &QUANTITY, &URI, &POSITION, &TEXT, &CONTAINED];
const TABLES_COUNT: usize = 9;

/// Those with rows of parameters.
pub(crate) fn of_parameters() -> impl Iterator<Item = &'static Table> {
    TABLES.into_iter().filter(|table| table.columns[1].0 == "param")
}

/// Rows of each of [`TABLES`], in its order.
pub(crate) type Tables = [Vec<Vec<Value>>; TABLES_COUNT];

/// Longest text in a key: PostgreSQL refuses index rows over 2,704 bytes, and three such texts may meet in one.
const KEY_BYTES_MAX: usize = 500;

/// A text as it stands in a key: cut if it is long, and then told apart by a hash of the whole.
pub(crate) fn key_text(text: &str) -> String {
    if text.len() <= KEY_BYTES_MAX {
        return text.to_owned();
    }
    format!("{}#{:032x}", cut(text, KEY_BYTES_MAX - 33), fnv1a(text))
}

/// A folded string for its key, and the rest of it.
pub(crate) fn split_norm(norm: &str) -> (&str, &str) {
    let kept = cut(norm, KEY_BYTES_MAX);
    (kept, &norm[kept.len()..])
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// FNV-1a with 128 bits: stable over versions of Rust, unlike the standard library's hasher.
pub(crate) fn fnv1a(text: &str) -> u128 {
    text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

/// Rows for each table of [`TABLES`], in its order.
#[derive(Default)]
pub(crate) struct Rows(Tables);

impl Rows {
    /// Adds a resource's index rows. `targets` knows the rid of every key that is referred to.
    pub(crate) fn add(&mut self, rid: i64, rows: &[IndexRow], targets: &FxHashMap<Key, i64>) {
        // Two targets may be one: Patient/1 and Patient/1/_history/2.
        let mut references = FxHashSet::default();
        for row in rows {
            let mut values = Vec::with_capacity(6);
            let own = contained::rid(rid, row.contained);
            values.extend([Value::Int(own), row.parameter.into(), Value::Int(row.ordinal)]);
            let table = match &row.value {
                IndexValue::Token { system, code } => {
                    values.extend([key_text(system).into(), key_text(code).into()]);
                    0
                }
                IndexValue::Reference(key) => {
                    let Some(&target) = targets.get(key) else { continue };
                    if !references.insert((own, row.parameter, row.ordinal, target)) {
                        continue;
                    }
                    values.push(target.into());
                    1
                }
                IndexValue::Contained(number) => {
                    values.push(contained::rid(rid, *number).into());
                    1
                }
                IndexValue::Itself { resource_type, id } => {
                    values = vec![own.into(), (*resource_type).into(), id.as_str().into()];
                    8
                }
                IndexValue::Date { low, high } => {
                    values.extend([Value::Int(*low), Value::Int(*high)]);
                    2
                }
                IndexValue::String { norm, exact } => {
                    let (norm, rest) = split_norm(norm);
                    values.extend([norm.into(), rest.into(), exact.as_str().into()]);
                    3
                }
                IndexValue::Quantity(q) => {
                    values.extend([q.low.into(), q.high.into(), q.system.as_str().into(), q.code.as_str().into()]);
                    values.extend([q.unit.as_str().into(), q.canonical_low.into(), q.canonical_high.into()]);
                    values.push(q.canonical_unit.as_str().into());
                    4
                }
                IndexValue::Uri { value, version } => {
                    values.extend([key_text(value).into(), key_text(version).into()]);
                    5
                }
                IndexValue::Position(point) => {
                    values.extend(point.map(Value::Int));
                    6
                }
                IndexValue::Words(words) => {
                    values.push(words.as_str().into());
                    7
                }
            };
            self.0[table].push(values);
        }
    }

    /// Takes out of both what stands in both, so that an update touches only what it changes.
    pub(crate) fn cancel(&mut self, other: &mut Self) {
        // Whether a stored parameter's old rows are there yet, only the index knows: they are deleted and inserted.
        let of_specification =
            |row: &[Value]| matches!(row.get(1), Some(Value::Int(param)) if *param < parameters::FIRST);
        for (mine, others) in self.0.iter_mut().zip(&mut other.0) {
            // In order, since a resource may have a hundred thousand rows.
            others.sort_unstable_by(|a, b| compare(a, b));
            let mut kept = vec![true; others.len()];
            mine.retain(|row| {
                let from = others.partition_point(|other| compare(other, row).is_lt());
                let mut equal = others.iter().zip(&mut kept).skip(from).take_while(|(other, _)| *other == row);
                match equal.find(|(_, kept)| **kept).filter(|_| of_specification(row)) {
                    Some((_, kept)) => {
                        *kept = false;
                        false
                    }
                    None => true,
                }
            });
            let mut kept = kept.into_iter();
            others.retain(|_| kept.next().unwrap_or(true));
        }
    }

    /// Adds the rows of another resource.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.iter_mut().zip(&mut other.0).for_each(|(mine, others)| mine.append(others));
    }

    /// How many they are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|rows| rows.len() as u64).sum()
    }

    /// Inserts them.
    pub(crate) async fn insert(self, connection: &mut dyn Connection) -> Result<(), Error> {
        for (table, rows) in TABLES.into_iter().zip(self.0) {
            if !rows.is_empty() {
                connection.insert(table, rows).await?;
            }
        }
        Ok(())
    }

    /// Deletes them.
    pub(crate) async fn delete(self, connection: &mut dyn Connection) -> Result<(), Error> {
        for (table, rows) in TABLES.into_iter().zip(self.0) {
            if !rows.is_empty() {
                connection.delete(table, rows).await?;
            }
        }
        Ok(())
    }

    /// The rows of each table, for comparing.
    pub(crate) fn into_tables(self) -> Tables {
        self.0
    }

    /// From rows as tables hold them.
    pub(crate) fn from_tables(tables: Tables) -> Self {
        Self(tables)
    }
}

/// Any order of rows in which equal ones lie together.
fn compare(a: &[Value], b: &[Value]) -> Ordering {
    let values = |(a, b): (&Value, &Value)| match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Real(a), Value::Real(b)) => a.total_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Null, Value::Null) => Ordering::Equal,
        (a, b) => kind(a).cmp(&kind(b)),
    };
    a.iter().zip(b).map(values).find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Int(_) => 1,
        Value::Real(_) => 2,
        Value::Text(_) => 3,
        Value::Texts(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_to_500_bytes_and_stay_distinct() {
        let (a, b) = ("é".repeat(400) + "a", "é".repeat(400) + "b");
        assert!(key_text(&a).len() <= 500);
        assert_ne!(key_text(&a), key_text(&b));
        assert_eq!(key_text("short"), "short");
        let (norm, rest) = split_norm(&a);
        assert_eq!(format!("{norm}{rest}"), a);
        assert!(norm.len() <= 500);
    }
}
