//! `lowBoundary`, `highBoundary`, `precision` and `comparable`: of the next version,
//! <https://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal--date--datetime--time>

use super::{Function, function};
use crate::fhirpath::{
    PathError,
    call::{Call, Evaluated},
    quantity::Quantity,
    temporal::{Precision, Temporal, TemporalKind},
    value::Value,
};
use rust_decimal::{Decimal, RoundingStrategy};

pub(super) const FUNCTIONS: &[Function] = &[
    function("lowBoundary", (0, 1), |call| boundary(call, false)),
    function("highBoundary", (0, 1), |call| boundary(call, true)),
    function("precision", (0, 0), |mut call| {
        let Some(item) = call.single()? else { return Ok(Vec::new()) };
        let digits = match item.system(call.types()).as_deref() {
            Some(Value::Integer(_)) => Some(0),
            Some(Value::Decimal(number)) => i32::try_from(number.scale()).ok(),
            Some(Value::Temporal(value)) => Some(value.digits()),
            None if item.is_valueless(call.types()) => None,
            _ => return Err(call.wrong("the input", "a number, date or time", &item)),
        };
        Ok(digits.map(Value::Integer).into_iter().collect())
    }),
    function("comparable", (1, 1), |mut call| {
        let (Some(a), Some(b)) = (call.single()?, call.argument_single(0)?) else { return Ok(Vec::new()) };
        match (a.system(call.types()).as_deref(), b.system(call.types()).as_deref()) {
            (Some(Value::Quantity(a)), Some(Value::Quantity(b))) => Ok(vec![Value::Boolean(a.comparable(b))]),
            _ => Err(PathError::Type("comparable(): expected two quantities".into())),
        }
    }),
];

fn boundary<'a>(mut call: Call<'_, 'a>, high: bool) -> Evaluated<'a> {
    let given = if call.has(0) { call.argument_integer(0)? } else { None };
    let Some(item) = call.single()? else { return Ok(Vec::new()) };
    let result = match item.system(call.types()).as_deref() {
        Some(Value::Integer(number)) => of_number(Decimal::from(*number), given, high).map(Value::Decimal),
        Some(Value::Decimal(number)) => of_number(*number, given, high).map(Value::Decimal),
        Some(Value::Quantity(q)) => {
            of_number(q.value, given, high).map(|value| Value::Quantity(Quantity { value, unit: q.unit.clone() }))
        }
        Some(Value::Temporal(value)) => of_temporal(*value, given, high).map(Value::Temporal),
        None if item.is_valueless(call.types()) => None,
        _ => return Err(call.wrong("the input", "a number, quantity, date or time", &item)),
    };
    Ok(result.into_iter().collect())
}

/// Most digits behind the point that a decimal here can have.
const PLACES_MAX: i32 = 28;

/// Half a unit of the last written digit away. To fewer digits, the end nearer to zero is cut and the farther one rounded:
/// this is what HL7's suite expects.
fn of_number(number: Decimal, places: Option<i32>, high: bool) -> Option<Decimal> {
    let places = places.unwrap_or(8);
    let places = u32::try_from(places).ok().filter(|_| places <= PLACES_MAX)?;
    let half = Decimal::new(5, (number.scale() + 1).min(28));
    let edge = if high { number.checked_add(half) } else { number.checked_sub(half) }?;
    let outward = high != number.is_sign_negative();
    let strategy = if outward { RoundingStrategy::MidpointAwayFromZero } else { RoundingStrategy::ToZero };
    let mut rounded = edge.round_dp_with_strategy(places, strategy);
    rounded.rescale(places);
    Some(rounded)
}

/// The first or last moment that the written parts can mean, to as many digits.
fn of_temporal(value: Temporal, digits: Option<i32>, high: bool) -> Option<Temporal> {
    let full = match value.kind {
        TemporalKind::Date => 8,
        TemporalKind::DateTime => 17,
        TemporalKind::Time => 9,
    };
    let digits = digits.unwrap_or(full).min(full + 1);
    let of_date = if value.kind == TemporalKind::Time { digits + 8 } else { digits };
    let precision = match of_date {
        4 => Precision::Year,
        6 => Precision::Month,
        8 => Precision::Day,
        10 => Precision::Hour,
        12 => Precision::Minute,
        14 | 17 => Precision::Second,
        _ => return None,
    };
    if digits > full || value.kind == TemporalKind::Time && precision < Precision::Hour {
        return None;
    }
    Some(value.boundary(precision, if of_date == 17 { 3 } else { 0 }, high))
}
