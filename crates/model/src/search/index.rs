//! What the index holds of a resource: a row for each value of each search parameter. Each kind of value has a table.

use crate::{Key, ResourceType, definitions::ParameterId, temporal::Micros};
use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
};

/// How many values of a parameter are compared one by one. Beyond, a set is asked: a code system may have 100,000 codes. The
/// set's hashes are seeded, since clients choose the values.
const FEW: usize = 32;

/// One value of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexRow {
    /// Whose value it is: 0, the resource's own; n, that of the n-th resource it contains.
    pub contained: u32,
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
    String {
        norm: String,
        exact: String,
    },
    Token {
        system: String,
        code: String,
    },
    Date {
        low: Micros,
        high: Micros,
    },
    Quantity(Quantity),
    Reference(Key),
    /// A reference to the n-th resource that is contained in the same one (`#id`).
    Contained(u32),
    /// That a contained resource is there: what its own row would say if it had one.
    Itself {
        resource_type: ResourceType,
        id: String,
    },
    Uri {
        value: String,
        version: String,
    },
    Position([i64; 3]),
    Words(String),
}

// Numbers of the index come from decimals, of which none is NaN.
impl Eq for IndexValue {}

impl Hash for IndexValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::String { norm, exact } => (norm, exact).hash(state),
            Self::Token { system, code } => (system, code).hash(state),
            Self::Date { low, high } => (low, high).hash(state),
            Self::Quantity(quantity) => {
                // Adding 0 makes equal what is equal: -0 and 0.
                [quantity.low, quantity.high].map(|number| (number + 0.0).to_bits()).hash(state);
                (&quantity.system, &quantity.code, &quantity.unit).hash(state);
            }
            Self::Reference(key) => key.hash(state),
            Self::Contained(number) => number.hash(state),
            Self::Itself { resource_type, id } => (resource_type, id).hash(state),
            Self::Uri { value, version } => (value, version).hash(state),
            Self::Position(place) => place.hash(state),
            Self::Words(words) => words.hash(state),
        }
    }
}

/// Collects the values of one parameter, each once.
pub(super) struct Values<'a> {
    parameter: ParameterId,
    ordinal: i64,
    start: usize,
    rows: &'a mut Vec<IndexRow>,
    /// All values, once there are more than [`FEW`].
    seen: HashSet<(ParameterId, IndexValue)>,
}

impl<'a> Values<'a> {
    pub(super) fn new(parameter: ParameterId, ordinal: i64, rows: &'a mut Vec<IndexRow>) -> Self {
        Self { parameter, ordinal, start: rows.len(), rows, seen: HashSet::new() }
    }

    pub(super) fn push(&mut self, value: IndexValue) {
        self.push_under(self.parameter, value);
    }

    /// Adds an identifier under what holds them by type.
    pub(super) fn push_by_type(&mut self, value: IndexValue) {
        self.push_under(self.parameter.by_type(), value);
    }

    fn push_under(&mut self, parameter: ParameterId, value: IndexValue) {
        let own = &self.rows[self.start..];
        let new = if own.len() <= FEW {
            !own.iter().any(|row| row.parameter == parameter && row.value == value)
        } else {
            if self.seen.is_empty() {
                self.seen.extend(own.iter().map(|row| (row.parameter, row.value.clone())));
            }
            self.seen.insert((parameter, value.clone()))
        };
        if new {
            self.rows.push(IndexRow { contained: 0, parameter, ordinal: self.ordinal, value });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_stands_once_however_many_there_are() {
        let token = |n: usize| IndexValue::Token { system: String::new(), code: n.to_string() };
        for count in [1, FEW - 1, FEW, FEW + 1, FEW + 2, 50_000] {
            let mut rows = Vec::new();
            let mut values = Values::new(ParameterId(7), 0, &mut rows);
            for _ in 0..2 {
                (0..count).for_each(|n| values.push(token(n)));
            }
            // Under another number it is another.
            values.push_by_type(token(0));
            values.push_by_type(token(0));
            assert_eq!(rows.len(), count + 1);
            assert_eq!(rows[count - 1].value, token(count - 1));
        }
    }
}
