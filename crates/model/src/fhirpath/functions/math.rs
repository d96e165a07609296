//! <http://hl7.org/fhirpath/N1/#math>. Sums, products and roundings are exact; logarithms, powers and roots that have no
//! exact value are rounded to 15 digits.

use super::{Function, function};
use crate::fhirpath::{
    PathError,
    call::{Call, Evaluated},
    equality::number,
    quantity::{Quantity, decimal},
    value::Value,
};
use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};

pub(super) const FUNCTIONS: &[Function] = &[
    function("abs", (0, 0), abs),
    function("ceiling", (0, 0), |call| whole(call, |number| number.ceil())),
    function("floor", (0, 0), |call| whole(call, |number| number.floor())),
    function("truncate", (0, 0), |call| whole(call, |number| number.trunc())),
    function("round", (0, 1), round),
    function("exp", (0, 0), |call| real(call, f64::exp)),
    function("ln", (0, 0), |call| real(call, f64::ln)),
    function("log", (1, 1), |mut call| {
        let base = argument(&mut call)?;
        match base {
            Some(base) => real(call, |number| number.ln() / base.to_f64().unwrap_or(f64::NAN).ln()),
            None => Ok(Vec::new()),
        }
    }),
    function("sqrt", (0, 0), |call| real(call, f64::sqrt)),
    function("power", (1, 1), power),
];

fn input(call: &mut Call<'_, '_>) -> Result<Option<Decimal>, PathError> {
    let Some(item) = call.single()? else { return Ok(None) };
    match item.system(call.types()).as_deref() {
        None if item.is_valueless(call.types()) => Ok(None),
        Some(value) if number(value).is_some() => Ok(number(value)),
        _ => Err(call.wrong("the input", "a number", &item)),
    }
}

fn argument(call: &mut Call<'_, '_>) -> Result<Option<Decimal>, PathError> {
    let Some(item) = call.argument_single(0)? else { return Ok(None) };
    match item.system(call.types()).as_deref() {
        Some(value) if number(value).is_some() => Ok(number(value)),
        _ => Err(call.wrong("the argument", "a number", &item)),
    }
}

fn abs<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let Some(item) = call.single()? else { return Ok(Vec::new()) };
    let result = match item.system(call.types()).as_deref() {
        None if item.is_valueless(call.types()) => None,
        Some(Value::Integer(value)) => value.checked_abs().map(Value::Integer),
        Some(Value::Decimal(value)) => Some(Value::Decimal(value.abs())),
        Some(Value::Quantity(quantity)) => {
            Some(Value::Quantity(Quantity { value: quantity.value.abs(), unit: quantity.unit.clone() }))
        }
        _ => return Err(call.wrong("the input", "a number or quantity", &item)),
    };
    Ok(result.into_iter().collect())
}

fn whole<'a>(mut call: Call<'_, 'a>, make: fn(Decimal) -> Decimal) -> Evaluated<'a> {
    let whole = input(&mut call)?.and_then(|number| make(number).to_i32());
    Ok(whole.map(Value::Integer).into_iter().collect())
}

fn round<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let places = if call.has(0) { call.argument_integer(0)? } else { Some(0) };
    let (Some(number), Some(places)) = (input(&mut call)?, places) else { return Ok(Vec::new()) };
    let places = u32::try_from(places).map_err(|_| PathError::Type("round(): digits are not negative".into()))?;
    Ok(vec![Value::Decimal(number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero))])
}

/// A function of real numbers; what has no real value gives nothing.
fn real<'a>(mut call: Call<'_, 'a>, make: impl Fn(f64) -> f64) -> Evaluated<'a> {
    let result = input(&mut call)?.and_then(|number| number.to_f64()).and_then(|number| rounded(make(number)));
    Ok(result.map(Value::Decimal).into_iter().collect())
}

/// Floats carry 15 decimal digits for certain.
fn rounded(number: f64) -> Option<Decimal> {
    number.is_finite().then(|| decimal(&format!("{number:.14e}")).map(|d| d.normalize()))?
}

fn power<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let exponent = argument(&mut call)?;
    let item = call.input.first().cloned();
    let (Some(base), Some(exponent)) = (input(&mut call)?, exponent) else { return Ok(Vec::new()) };
    let integer = item.is_some_and(|item| matches!(item.system(call.types()).as_deref(), Some(Value::Integer(_))));
    let exact = exponent.is_integer().then(|| exponent.to_u32()).flatten().and_then(|n| exact_power(base, n));
    let result = match exact {
        Some(exact) if integer && exact.to_i32().is_some() => exact.to_i32().map(Value::Integer),
        Some(exact) => Some(Value::Decimal(exact)),
        None => {
            let real = base.to_f64().zip(exponent.to_f64()).and_then(|(base, exponent)| rounded(base.powf(exponent)));
            real.filter(|_| exponent.to_u32().is_none() || !exponent.is_integer()).map(Value::Decimal)
        }
    };
    Ok(result.into_iter().collect())
}

fn exact_power(base: Decimal, exponent: u32) -> Option<Decimal> {
    let (mut result, mut square, mut left) = (Decimal::ONE, base, exponent);
    while left > 0 {
        if left % 2 == 1 {
            result = result.checked_mul(square)?;
        }
        left /= 2;
        if left > 0 {
            square = square.checked_mul(square)?;
        }
    }
    Some(result)
}
