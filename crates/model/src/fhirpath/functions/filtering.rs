//! <http://hl7.org/fhirpath/N1/#filtering-and-projection>, with `sort` of the next version.

use super::{Arguments, Function, function};
use crate::{
    definitions::TypeTable,
    fhirpath::{
        PathError,
        call::{Call, Evaluated, single},
        equality::compare,
        reflection,
        set::Set,
        value::Value,
    },
};
use std::cmp::Ordering;

pub(super) const FUNCTIONS: &[Function] = &[
    function("where", (1, 1), filter),
    function("select", (1, 1), select),
    function("repeat", (1, 1), repeat),
    Function { name: "ofType", arity: (1, 1), arguments: Arguments::Type, run: of_type },
    Function { name: "sort", arity: (0, 8), arguments: Arguments::Keys, run: sort },
];

fn filter<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let mut found = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        if call.holds(0, &item, index)? {
            found.push(item);
        }
    }
    Ok(found)
}

fn select<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        found.extend(call.each(0, item, index)?);
        limit(&call, found.len())?;
    }
    Ok(found)
}

/// Goes on until nothing new comes.
fn repeat<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let types = call.types();
    let mut waiting = std::mem::take(&mut call.input);
    let mut set = Set::default();
    let mut count = 0;
    while !waiting.is_empty() {
        let mut next = Vec::new();
        for (index, item) in waiting.iter().enumerate() {
            for found in call.each(0, item, index)? {
                if set.insert(found.clone(), types, call.scope.budget())? {
                    next.push(found);
                    count += 1;
                    limit(&call, count)?;
                }
            }
        }
        waiting = next;
    }
    Ok(set.into_items())
}

fn of_type<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    match call.scope.type_name(0) {
        Some(name) => reflection::of_type(items, name, call.types()),
        None => Ok(Vec::new()),
    }
}

/// Items in the order of their keys; what has no key comes after what has one.
fn sort<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let types = call.types();
    let keys = call.scope.count().max(1);
    let mut keyed = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let mut key = Vec::with_capacity(keys);
        for n in 0..keys {
            let items = if call.has(n) { call.each(n, &item, index)? } else { vec![item.clone()] };
            key.push(single(items, "sort")?);
        }
        keyed.push((key, item));
    }
    let descending: Vec<bool> = (0..keys).map(|n| call.scope.descending(n)).collect();
    // Dates of different precision have no total order, for which `sort_by` may panic: each item goes behind the last one
    // that does not come after it.
    call.spend(keyed.len().saturating_mul(keyed.len()) / 64)?;
    let mut order: Vec<usize> = Vec::with_capacity(keyed.len());
    let mut incomparable = false;
    for n in 0..keyed.len() {
        let before = |&other: &usize| {
            let ordering = in_order(&keyed[other].0, &keyed[n].0, &descending, types);
            incomparable |= ordering.is_none();
            ordering.is_none_or(Ordering::is_le)
        };
        order.insert(order.partition_point(before), n);
    }
    if incomparable {
        return Err(PathError::Type("sort(): the keys have no order among each other".into()));
    }
    Ok(order.into_iter().map(|n| keyed[n].1.clone()).collect())
}

/// How two items stand by their keys; `None` if these are of types that have no order.
fn in_order(
    a: &[Option<Value<'_>>],
    b: &[Option<Value<'_>>],
    descending: &[bool],
    types: &TypeTable,
) -> Option<Ordering> {
    for ((a, b), descending) in a.iter().zip(b).zip(descending) {
        let ordering = match (a, b) {
            (Some(a), Some(b)) => compare(a, b, types).ok()?.unwrap_or(Ordering::Equal),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        if ordering.is_ne() {
            return Some(if *descending { ordering.reverse() } else { ordering });
        }
    }
    Some(Ordering::Equal)
}

fn limit(call: &Call<'_, '_>, count: usize) -> Result<(), PathError> {
    if count > call.scope.environment().limits.items {
        return Err(PathError::TooCostly("a collection has too many items"));
    }
    Ok(())
}
