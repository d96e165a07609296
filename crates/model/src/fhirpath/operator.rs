//! Operators, logic aside from its short cuts: <http://hl7.org/fhirpath/N1/#operations>

use super::{
    PathError,
    call::{Evaluated, Items, single},
    environment::{Budget, Limits},
    equality::{self, compare, equal_collections, equivalent_collections, number},
    path::Operator,
    quantity::Quantity,
    set::Set,
    value::Value,
};
use crate::definitions::TypeTable;
use rust_decimal::{Decimal, prelude::ToPrimitive};
use std::borrow::Cow;

/// What a boolean operator gives when its left side alone decides.
pub(super) fn decided(operator: Operator, left: Option<bool>) -> Option<bool> {
    match (operator, left) {
        (Operator::And, Some(false)) => Some(false),
        (Operator::Or, Some(true)) | (Operator::Implies, Some(false)) => Some(true),
        _ => None,
    }
}

/// Three-valued logic: <http://hl7.org/fhirpath/N1/#boolean-logic>
pub(super) fn logic(operator: Operator, left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (operator, left, right) {
        (Operator::And, Some(false), _) | (Operator::And, _, Some(false)) => Some(false),
        (Operator::And, Some(true), Some(true)) => Some(true),
        (Operator::Or, Some(true), _) | (Operator::Or, _, Some(true)) => Some(true),
        (Operator::Or, Some(false), Some(false)) => Some(false),
        (Operator::Xor, Some(left), Some(right)) => Some(left != right),
        (Operator::Implies, Some(false), _) | (Operator::Implies, _, Some(true)) => Some(true),
        (Operator::Implies, Some(true), Some(false)) => Some(false),
        _ => None,
    }
}

/// `+x` and `-x`
pub(super) fn sign<'a>(items: Items<'a>, negative: bool, types: &TypeTable) -> Evaluated<'a> {
    let Some(item) = single(items, "-")? else { return Ok(Vec::new()) };
    let signed = match item.system(types).as_deref() {
        None if item.is_valueless(types) => None,
        Some(Value::Integer(value)) if negative => value.checked_neg().map(Value::Integer),
        Some(Value::Integer(value)) => Some(Value::Integer(*value)),
        Some(Value::Decimal(value)) => Some(Value::Decimal(if negative { -*value } else { *value })),
        Some(Value::Quantity(quantity)) => {
            let value = if negative { -quantity.value } else { quantity.value };
            Some(Value::Quantity(Quantity { value, unit: quantity.unit.clone() }))
        }
        _ => return Err(PathError::Type("a sign stands before a number or quantity".into())),
    };
    Ok(signed.into_iter().collect())
}

/// Every other binary operator.
pub(super) fn apply<'a>(
    operator: Operator,
    left: Items<'a>,
    right: Items<'a>,
    types: &TypeTable,
    budget: &mut Budget,
    limits: &Limits,
) -> Evaluated<'a> {
    let boolean = |value: Option<bool>| Ok(value.map(Value::Boolean).into_iter().collect());
    match operator {
        Operator::Equal | Operator::NotEqual => {
            budget.spend(left.iter().map(equality::weight).sum())?;
            let equal = equal_collections(&left, &right, types);
            boolean(if operator == Operator::Equal { equal } else { equal.map(|equal| !equal) })
        }
        Operator::Equivalent | Operator::NotEquivalent => {
            let weight: usize = left.iter().map(equality::weight).sum();
            budget.spend(weight.saturating_mul(right.len()))?;
            boolean(Some(equivalent_collections(&left, &right, types) == (operator == Operator::Equivalent)))
        }
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            boolean(order(operator, left, right, types)?)
        }
        Operator::Union => {
            let mut set = Set::of(left, types, budget)?;
            for item in right {
                set.insert(item, types, budget)?;
            }
            let items = set.into_items();
            if items.len() > limits.items {
                return Err(PathError::TooCostly("a collection has too many items"));
            }
            Ok(items)
        }
        Operator::In => boolean(member(left, &right, "in", types, budget)?),
        Operator::Contains => boolean(member(right, &left, "contains", types, budget)?),
        Operator::Concatenate => concatenate(left, right, types, budget, limits),
        Operator::Plus | Operator::Minus | Operator::Times | Operator::Divide | Operator::Div | Operator::Mod => {
            arithmetic(operator, left, right, types, budget, limits)
        }
        Operator::And | Operator::Or | Operator::Xor | Operator::Implies => {
            let left = super::call::truth(&left, types, operator.spelling())?;
            let right = super::call::truth(&right, types, operator.spelling())?;
            boolean(logic(operator, left, right))
        }
    }
}

fn order<'a>(
    operator: Operator,
    left: Items<'a>,
    right: Items<'a>,
    types: &TypeTable,
) -> Result<Option<bool>, PathError> {
    let spelling = operator.spelling();
    let (Some(left), Some(right)) = (single(left, spelling)?, single(right, spelling)?) else { return Ok(None) };
    let ordering = compare(&left, &right, types).map_err(|()| mismatch(operator, &left, &right, types))?;
    Ok(ordering.map(|ordering| match operator {
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        _ => ordering.is_ge(),
    }))
}

fn mismatch(operator: Operator, left: &Value<'_>, right: &Value<'_>, types: &TypeTable) -> PathError {
    let (left, right) = (left.type_name(types), right.type_name(types));
    let spelling = operator.spelling();
    PathError::Type(format!("{spelling}: not possible with {}.{} and {}.{}", left.0, left.1, right.0, right.1))
}

/// Whether the one item is among the others.
fn member<'a>(
    item: Items<'a>,
    among: &[Value<'a>],
    what: &'static str,
    types: &TypeTable,
    budget: &mut Budget,
) -> Result<Option<bool>, PathError> {
    let Some(item) = single(item, what)? else { return Ok(None) };
    budget.spend(among.len().saturating_mul(equality::weight(&item)))?;
    Ok(Some(among.iter().any(|other| equality::equal(&item, other, types) == Some(true))))
}

fn concatenate<'a>(
    left: Items<'a>,
    right: Items<'a>,
    types: &TypeTable,
    budget: &mut Budget,
    limits: &Limits,
) -> Evaluated<'a> {
    let text = |items: Items<'a>| match single(items, "&")? {
        None => Ok(Cow::Borrowed("")),
        Some(item) => match item.as_text(types) {
            Some(text) => Ok(text),
            None if item.is_valueless(types) => Ok(Cow::Borrowed("")),
            None => Err(PathError::Type("&: both sides are strings".into())),
        },
    };
    let (left, right) = (text(left)?, text(right)?);
    joined(&left, &right, budget, limits)
}

fn joined<'a>(left: &str, right: &str, budget: &mut Budget, limits: &Limits) -> Evaluated<'a> {
    budget.spend((left.len() + right.len()) / 16)?;
    if left.len() + right.len() > limits.text_bytes {
        return Err(PathError::TooCostly("a computed text is too long"));
    }
    Ok(vec![Value::String(Cow::Owned(format!("{left}{right}")))])
}

/// Overflow and division by zero give nothing: <http://hl7.org/fhirpath/N1/#math>
fn arithmetic<'a>(
    operator: Operator,
    left: Items<'a>,
    right: Items<'a>,
    types: &TypeTable,
    budget: &mut Budget,
    limits: &Limits,
) -> Evaluated<'a> {
    let spelling = operator.spelling();
    let (Some(left), Some(right)) = (single(left, spelling)?, single(right, spelling)?) else {
        return Ok(Vec::new());
    };
    let (Some(a), Some(b)) = (left.system(types), right.system(types)) else {
        return if left.is_valueless(types) || right.is_valueless(types) {
            Ok(Vec::new())
        } else {
            Err(mismatch(operator, &left, &right, types))
        };
    };
    let result = match (operator, &*a, &*b) {
        (Operator::Plus, Value::String(a), Value::String(b)) => return joined(a, b, budget, limits),
        (Operator::Plus | Operator::Minus, Value::Temporal(date), Value::Quantity(quantity)) => {
            let unit = quantity.duration().ok_or_else(|| {
                PathError::Type(format!("{spelling}: '{}' is no duration of the calendar", quantity.unit))
            })?;
            let amount = if operator == Operator::Minus { -quantity.value } else { quantity.value };
            date.plus(amount, unit).map_err(|why| PathError::Type(format!("{spelling}: {why}")))?.map(Value::Temporal)
        }
        (Operator::Plus | Operator::Minus, Value::Quantity(a), Value::Quantity(b)) => {
            a.plus(b, operator == Operator::Minus).map(Value::Quantity)
        }
        (Operator::Times | Operator::Divide, Value::Quantity(a), Value::Quantity(b)) => {
            a.times(b, operator == Operator::Divide).map(Value::Quantity)
        }
        (Operator::Times | Operator::Divide, Value::Quantity(a), b) if number(b).is_some() => {
            let b = Quantity { value: number(b).unwrap_or_default(), unit: Cow::Borrowed("1") };
            a.times(&b, operator == Operator::Divide).map(Value::Quantity)
        }
        (Operator::Times, a, Value::Quantity(b)) if number(a).is_some() => {
            let a = Quantity { value: number(a).unwrap_or_default(), unit: Cow::Borrowed("1") };
            b.times(&a, false).map(Value::Quantity)
        }
        (Operator::Plus, Value::Integer(a), Value::Integer(b)) => a.checked_add(*b).map(Value::Integer),
        (Operator::Minus, Value::Integer(a), Value::Integer(b)) => a.checked_sub(*b).map(Value::Integer),
        (Operator::Times, Value::Integer(a), Value::Integer(b)) => a.checked_mul(*b).map(Value::Integer),
        (Operator::Div, Value::Integer(a), Value::Integer(b)) => a.checked_div(*b).map(Value::Integer),
        (Operator::Mod, Value::Integer(a), Value::Integer(b)) => a.checked_rem(*b).map(Value::Integer),
        (operator, a, b) => {
            let (Some(a), Some(b)) = (number(a), number(b)) else {
                return Err(mismatch(operator, &left, &right, types));
            };
            decimals(operator, a, b)
        }
    };
    Ok(result.into_iter().collect())
}

fn decimals<'a>(operator: Operator, a: Decimal, b: Decimal) -> Option<Value<'a>> {
    match operator {
        Operator::Plus => a.checked_add(b).map(Value::Decimal),
        Operator::Minus => a.checked_sub(b).map(Value::Decimal),
        Operator::Times => a.checked_mul(b).map(Value::Decimal),
        Operator::Divide => a.checked_div(b).map(Value::Decimal),
        Operator::Div => a.checked_div(b)?.trunc().to_i32().map(Value::Integer),
        _ => a.checked_rem(b).map(Value::Decimal),
    }
}
