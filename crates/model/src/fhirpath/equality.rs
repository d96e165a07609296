//! Equality, equivalence and order: <http://hl7.org/fhirpath/N1/#equality>, <http://hl7.org/fhirpath/N1/#comparison>

use super::{
    navigation::content,
    quantity,
    temporal::{Temporal, TemporalKind},
    value::{Element, Value},
};
use crate::definitions::{TypeKind, TypeTable};
use rust_decimal::Decimal;
use std::cmp::Ordering;

/// What comparing this item with another costs.
pub(super) fn weight(item: &Value<'_>) -> usize {
    item.element().map_or(1, |element| 1 + element.node().raw().len() / 64)
}

/// `a = b` for two items; `None` where it cannot be told (dates of different precision, months and days).
pub(super) fn equal(a: &Value<'_>, b: &Value<'_>, types: &TypeTable) -> Option<bool> {
    if let (Value::Element(x), Value::Element(y)) = (a, b)
        && x.is_same(*y)
    {
        return Some(true);
    }
    let (Some(x), Some(y)) = (a.system(types), b.system(types)) else { return equal_elements(a, b, types) };
    match (&*x, &*y) {
        (Value::Boolean(x), Value::Boolean(y)) => Some(x == y),
        (Value::String(x), Value::String(y)) => Some(x == y),
        (Value::Temporal(x), Value::Temporal(y)) => {
            if is_time(x) == is_time(y) {
                x.compare(*y).map(Ordering::is_eq)
            } else {
                Some(false)
            }
        }
        (Value::Quantity(x), Value::Quantity(y)) => match x.compare(y) {
            Some(ordering) => Some(ordering.is_eq()),
            // A calendar's month and a month of fixed length: not known. Grams and metres: no.
            None if x.is_calendar() || y.is_calendar() => None,
            None => Some(false),
        },
        (Value::Quantity(x), y) | (y, Value::Quantity(x)) => Some(x.unit == "1" && number(y) == Some(x.value)),
        (Value::Type(x, y), Value::Type(z, w)) => Some(x == z && y == w),
        (x, y) => match (number(x), number(y)) {
            (Some(x), Some(y)) => Some(x == y),
            _ => Some(false),
        },
    }
}

/// Two items that are no System values: equal if what is in them is, in the same order.
fn equal_elements(a: &Value<'_>, b: &Value<'_>, types: &TypeTable) -> Option<bool> {
    let (Value::Element(a), Value::Element(b)) = (a, b) else { return Some(false) };
    let (left, right) = (content(*a, types), content(*b, types));
    let resource = |of: &Element<'_>| matches!(types[of.type_id()].kind, TypeKind::Resource(_));
    if (resource(a) || resource(b)) && a.type_id() != b.type_id() {
        return Some(false);
    }
    if left.len() != right.len() || a.value().is_some() != b.value().is_some() {
        return Some(false);
    }
    // A primitive without value, or a text that is not of its type.
    if left.is_empty() {
        return Some(a.node().raw() == b.node().raw());
    }
    let mut unknown = false;
    for ((name, x), (other, y)) in left.iter().zip(&right) {
        match equal(x, y, types) {
            Some(true) if name == other => {}
            None if name == other => unknown = true,
            _ => return Some(false),
        }
    }
    (!unknown).then_some(true)
}

/// Whether two collections are equal, item by item.
pub(super) fn equal_collections(a: &[Value<'_>], b: &[Value<'_>], types: &TypeTable) -> Option<bool> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    if a.len() != b.len() {
        return Some(false);
    }
    let mut unknown = false;
    for (a, b) in a.iter().zip(b) {
        match equal(a, b, types) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => unknown = true,
        }
    }
    (!unknown).then_some(true)
}

/// `a ~ b` for two items: <http://hl7.org/fhirpath/N1/#equivalent>
pub(super) fn equivalent(a: &Value<'_>, b: &Value<'_>, types: &TypeTable) -> bool {
    let (Some(x), Some(y)) = (a.system(types), b.system(types)) else {
        let (Value::Element(a), Value::Element(b)) = (a, b) else { return false };
        if a.is_same(*b) {
            return true;
        }
        let (left, right) = (content(*a, types), content(*b, types));
        if left.is_empty() && right.is_empty() {
            return a.node().raw() == b.node().raw();
        }
        return matched(&left, &right, |x, y| x.0 == y.0 && equivalent(&x.1, &y.1, types));
    };
    match (&*x, &*y) {
        (Value::Boolean(x), Value::Boolean(y)) => x == y,
        (Value::String(x), Value::String(y)) => folded(x) == folded(y),
        (Value::Temporal(x), Value::Temporal(y)) => x.compare(*y) == Some(Ordering::Equal),
        (Value::Quantity(x), Value::Quantity(y)) => x.equivalent(y),
        (Value::Quantity(x), y) | (y, Value::Quantity(x)) => {
            x.unit == "1" && number(y).is_some_and(|y| quantity::equivalent(x.value, y))
        }
        (Value::Type(x, y), Value::Type(z, w)) => x == z && y == w,
        (Value::Integer(x), Value::Integer(y)) => x == y,
        (x, y) => matches!((number(x), number(y)), (Some(x), Some(y)) if quantity::equivalent(x, y)),
    }
}

/// Whether two collections are equivalent: the same items in any order.
pub(super) fn equivalent_collections(a: &[Value<'_>], b: &[Value<'_>], types: &TypeTable) -> bool {
    matched(a, b, |x, y| equivalent(x, y, types))
}

/// Whether each of `a` has a partner of its own in `b`.
fn matched<T>(a: &[T], b: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    let mut taken = vec![false; b.len()];
    a.len() == b.len()
        && a.iter().all(|x| {
            let partner = b.iter().enumerate().position(|(n, y)| !taken[n] && same(x, y));
            partner.inspect(|&n| taken[n] = true).is_some()
        })
}

/// Lower case, each run of white space one space.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// How two items stand in order. `Ok(None)`: it cannot be told. `Err`: they have no order.
pub(super) fn compare(a: &Value<'_>, b: &Value<'_>, types: &TypeTable) -> Result<Option<Ordering>, ()> {
    let (Some(x), Some(y)) = (a.system(types), b.system(types)) else {
        return if a.is_valueless(types) || b.is_valueless(types) { Ok(None) } else { Err(()) };
    };
    match (&*x, &*y) {
        (Value::String(x), Value::String(y)) => Ok(Some(x.cmp(y))),
        (Value::Temporal(x), Value::Temporal(y)) => {
            if is_time(x) == is_time(y) {
                Ok(x.compare(*y))
            } else {
                Err(())
            }
        }
        (Value::Quantity(x), Value::Quantity(y)) => Ok(x.compare(y)),
        (Value::Quantity(x), y) if x.unit == "1" => number(y).map(|y| Some(x.value.cmp(&y))).ok_or(()),
        (x, Value::Quantity(y)) if y.unit == "1" => number(x).map(|x| Some(x.cmp(&y.value))).ok_or(()),
        (x, y) => match (number(x), number(y)) {
            (Some(x), Some(y)) => Ok(Some(x.cmp(&y))),
            _ => Err(()),
        },
    }
}

fn is_time(value: &Temporal) -> bool {
    value.kind == TemporalKind::Time
}

/// The number, if it is one.
pub(super) fn number(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Integer(value) => Some(Decimal::from(*value)),
        Value::Decimal(value) => Some(*value),
        _ => None,
    }
}
