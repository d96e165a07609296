//! What the index holds of a resource: a row for each value of each search parameter. Each kind of value has a table.

use crate::{Key, definitions::ParameterId, temporal::Micros};

/// One value of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexRow {
    /// The parameter, or the component of a composite.
    pub parameter: ParameterId,
    /// For a component: the ordinal of the element it lies in, from 0. For a parameter: 0.
    pub ordinal: i64,
    /// The value.
    pub value: IndexValue,
}

/// A value as the index holds it; each kind has a table.
#[expect(missing_docs, reason = "the fields are the columns of docs/search.md")]
#[derive(Clone, Debug, PartialEq)]
pub enum IndexValue {
    String { norm: String, exact: String },
    Token { system: String, code: String },
    Date { low: Micros, high: Micros },
    Quantity(Quantity),
    Reference(Key),
    Uri { value: String, version: String },
    Position([i64; 3]),
    Words(String),
}

/// Collects the values of one parameter, each once.
pub(super) struct Values<'a> {
    parameter: ParameterId,
    ordinal: i64,
    start: usize,
    rows: &'a mut Vec<IndexRow>,
}

impl<'a> Values<'a> {
    pub(super) fn new(parameter: ParameterId, ordinal: i64, rows: &'a mut Vec<IndexRow>) -> Self {
        Self { parameter, ordinal, start: rows.len(), rows }
    }

    pub(super) fn push(&mut self, value: IndexValue) {
        self.push_under(self.parameter, value);
    }

    /// Adds an identifier under what holds them by type.
    pub(super) fn push_by_type(&mut self, value: IndexValue) {
        self.push_under(self.parameter.by_type(), value);
    }

    fn push_under(&mut self, parameter: ParameterId, value: IndexValue) {
        if !self.rows[self.start..].iter().any(|row| row.parameter == parameter && row.value == value) {
            self.rows.push(IndexRow { parameter, ordinal: self.ordinal, value });
        }
    }

    pub(super) fn extend(&mut self, values: impl IntoIterator<Item = IndexValue>) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

/// A number or quantity as the index holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// The number, or the low end of a Range.
    pub low: f64,
    /// The number, or the high end of a Range.
    pub high: f64,
    /// The unit's system.
    pub system: String,
    /// The unit's code.
    pub code: String,
    /// The unit as people read it.
    pub unit: String,
    /// The same in base units; 0 if there is no conversion.
    pub canonical_low: f64,
    /// The same in base units; 0 if there is no conversion.
    pub canonical_high: f64,
    /// The base units, or `""`.
    pub canonical_unit: String,
}
