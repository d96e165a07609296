//! <http://hl7.org/fhirpath/N1/#conversion>

use super::{Function, function};
use crate::fhirpath::{
    PathError,
    call::{Call, Evaluated, Focus, single},
    quantity::{CalendarUnit, Quantity, decimal},
    temporal::{Temporal, TemporalKind},
    value::Value,
};
use rust_decimal::Decimal;
use std::borrow::Cow;

pub(super) const FUNCTIONS: &[Function] = &[
    function("iif", (2, 3), iif),
    function("toBoolean", (0, 0), |call| convert(call, to_boolean)),
    function("convertsToBoolean", (0, 0), |call| converts(call, to_boolean)),
    function("toInteger", (0, 0), |call| convert(call, to_integer)),
    function("convertsToInteger", (0, 0), |call| converts(call, to_integer)),
    function("toDate", (0, 0), |call| convert(call, to_date)),
    function("convertsToDate", (0, 0), |call| converts(call, to_date)),
    function("toDateTime", (0, 0), |call| convert(call, to_date_time)),
    function("convertsToDateTime", (0, 0), |call| converts(call, to_date_time)),
    function("toTime", (0, 0), |call| convert(call, to_time)),
    function("convertsToTime", (0, 0), |call| converts(call, to_time)),
    function("toDecimal", (0, 0), |call| convert(call, to_decimal)),
    function("convertsToDecimal", (0, 0), |call| converts(call, to_decimal)),
    function("toString", (0, 0), |mut call| {
        let item = call.single()?;
        Ok(item.and_then(|item| item.to_text(call.types())).map(Value::String).into_iter().collect())
    }),
    function("convertsToString", (0, 0), |mut call| {
        let item = call.single()?;
        Ok(item.map(|item| Value::Boolean(item.to_text(call.types()).is_some())).into_iter().collect())
    }),
    function("toQuantity", (0, 1), |mut call| {
        let unit = call.argument_unit()?;
        convert(call, |value| to_quantity(value, unit.as_deref()))
    }),
    function("convertsToQuantity", (0, 1), |mut call| {
        let unit = call.argument_unit()?;
        converts(call, |value| to_quantity(value, unit.as_deref()))
    }),
];

/// Only the branch that is taken is evaluated.
fn iif<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let input = std::mem::take(&mut call.input);
    if input.len() > 1 {
        return Err(PathError::NotSingle { what: "iif", found: input.len() });
    }
    let focus = Focus { this: &input, ..call.focus };
    let types = call.types();
    let condition = match single(call.scope.argument(0, focus)?, "iif")? {
        None => false,
        Some(value) => match value.as_bool(types) {
            Some(value) => value,
            None if value.is_valueless(types) => false,
            None => return Err(call.wrong("the condition", "a boolean", &value)),
        },
    };
    call.scope.argument(if condition { 1 } else { 2 }, focus)
}

impl<'a> Call<'_, 'a> {
    fn argument_unit(&mut self) -> Result<Option<Cow<'a, str>>, PathError> {
        if self.has(0) { self.argument_text(0) } else { Ok(None) }
    }
}

fn convert<'a>(mut call: Call<'_, 'a>, to: impl Fn(&Value<'_>) -> Option<Value<'a>>) -> Evaluated<'a> {
    let Some(item) = call.single()? else { return Ok(Vec::new()) };
    Ok(item.system(call.types()).and_then(|value| to(&value)).into_iter().collect())
}

fn converts<'a>(mut call: Call<'_, 'a>, to: impl Fn(&Value<'_>) -> Option<Value<'a>>) -> Evaluated<'a> {
    let Some(item) = call.single()? else { return Ok(Vec::new()) };
    Ok(vec![Value::Boolean(item.system(call.types()).and_then(|value| to(&value)).is_some())])
}

fn to_boolean<'a>(value: &Value<'_>) -> Option<Value<'a>> {
    let known = match value {
        Value::Boolean(value) => Some(*value),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        Value::Decimal(value) if *value == Decimal::ONE => Some(true),
        Value::Decimal(value) if value.is_zero() => Some(false),
        Value::String(text) => match text.to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    known.map(Value::Boolean)
}

fn to_integer<'a>(value: &Value<'_>) -> Option<Value<'a>> {
    match value {
        Value::Integer(value) => Some(Value::Integer(*value)),
        Value::Boolean(value) => Some(Value::Integer(i32::from(*value))),
        Value::String(text) => text.parse().ok().map(Value::Integer),
        _ => None,
    }
}

fn to_decimal<'a>(value: &Value<'_>) -> Option<Value<'a>> {
    let number = match value {
        Value::Integer(value) => Some(Decimal::from(*value)),
        Value::Decimal(value) => Some(*value),
        Value::Boolean(value) => Some(if *value { Decimal::ONE } else { Decimal::ZERO }),
        Value::String(text) => plain_decimal(text),
        _ => None,
    };
    number.map(Value::Decimal)
}

/// `(\+|-)?\d+(\.\d+)?`
fn plain_decimal(text: &str) -> Option<Decimal> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let right = match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    };
    right.then(|| decimal(text))?
}

fn to_date<'a>(value: &Value<'_>) -> Option<Value<'a>> {
    let date = match value {
        Value::Temporal(value) if value.kind != TemporalKind::Time => Some(value.to_kind(TemporalKind::Date)),
        Value::String(text) => Temporal::parse_date_time(text).map(|date_time| date_time.to_kind(TemporalKind::Date)),
        _ => None,
    };
    date.map(Value::Temporal)
}

fn to_date_time<'a>(value: &Value<'_>) -> Option<Value<'a>> {
    let date_time = match value {
        Value::Temporal(value) if value.kind != TemporalKind::Time => Some(value.to_kind(TemporalKind::DateTime)),
        Value::String(text) => Temporal::parse_date_time(text),
        _ => None,
    };
    date_time.map(Value::Temporal)
}

fn to_time<'a>(value: &Value<'_>) -> Option<Value<'a>> {
    let time = match value {
        Value::Temporal(value) if value.kind == TemporalKind::Time => Some(*value),
        Value::String(text) => Temporal::parse_time(text.strip_prefix('T').unwrap_or(text)),
        _ => None,
    };
    time.map(Value::Temporal)
}

fn to_quantity<'a>(value: &Value<'_>, unit: Option<&str>) -> Option<Value<'a>> {
    let of_number = |value| Quantity { value, unit: Cow::Borrowed("1") };
    let quantity = match value {
        Value::Integer(value) => of_number(Decimal::from(*value)),
        Value::Decimal(value) => of_number(*value),
        Value::Boolean(value) => of_number(if *value { Decimal::ONE } else { Decimal::ZERO }),
        Value::Quantity(quantity) => {
            Quantity { value: quantity.value, unit: Cow::Owned(quantity.unit.clone().into_owned()) }
        }
        Value::String(text) => parse_quantity(text)?,
        _ => return None,
    };
    let converted = match unit {
        Some(unit) => quantity.convert_to(unit)?,
        None => quantity,
    };
    Some(Value::Quantity(converted))
}

/// `4 days`, `4 'mg'`, `4`
fn parse_quantity<'a>(text: &str) -> Option<Quantity<'a>> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let value = plain_decimal(number)?;
    let unit = unit.trim_start();
    let unit = match unit.strip_prefix('\'') {
        _ if unit.is_empty() => "1",
        Some(quoted) => quoted.strip_suffix('\'').filter(|unit| !unit.is_empty() && !unit.contains('\''))?,
        None => CalendarUnit::keyword(unit).map(|_| unit)?,
    };
    Some(Quantity { value, unit: Cow::Owned(unit.to_owned()) })
}
