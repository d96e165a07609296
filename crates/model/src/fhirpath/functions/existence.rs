//! <http://hl7.org/fhirpath/N1/#existence>

use super::{Function, function};
use crate::fhirpath::{
    PathError,
    call::{Call, Evaluated, truth},
    set::Set,
    value::Value,
};

pub(super) const FUNCTIONS: &[Function] = &[
    function("empty", (0, 0), |call| boolean(call.input.is_empty())),
    function("exists", (0, 1), exists),
    function("all", (1, 1), all),
    function("allTrue", (0, 0), |call| booleans(&call, true, |mut all| all.all(|value| value))),
    function("anyTrue", (0, 0), |call| booleans(&call, false, |mut all| all.any(|value| value))),
    function("allFalse", (0, 0), |call| booleans(&call, true, |mut all| all.all(|value| !value))),
    function("anyFalse", (0, 0), |call| booleans(&call, false, |mut all| all.any(|value| !value))),
    function("subsetOf", (1, 1), |mut call| {
        let (inner, outer) = (std::mem::take(&mut call.input), call.argument(0)?);
        is_subset(&mut call, &inner, outer)
    }),
    function("supersetOf", (1, 1), |mut call| {
        let (outer, inner) = (std::mem::take(&mut call.input), call.argument(0)?);
        is_subset(&mut call, &inner, outer)
    }),
    function("count", (0, 0), |call| Ok(i32::try_from(call.input.len()).map(Value::Integer).into_iter().collect())),
    function("distinct", (0, 0), |mut call| {
        let items = std::mem::take(&mut call.input);
        call.distinct(items)
    }),
    function("isDistinct", (0, 0), |mut call| {
        let items = std::mem::take(&mut call.input);
        let count = items.len();
        boolean(call.distinct(items)?.len() == count)
    }),
    function("not", (0, 0), |call| {
        let value = truth(&call.input, call.types(), "not")?;
        Ok(value.map(|value| Value::Boolean(!value)).into_iter().collect())
    }),
];

fn boolean<'a>(value: bool) -> Evaluated<'a> {
    Ok(vec![Value::Boolean(value)])
}

fn exists<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    if !call.has(0) {
        return boolean(!items.is_empty());
    }
    for (index, item) in items.iter().enumerate() {
        if call.holds(0, item, index)? {
            return boolean(true);
        }
    }
    boolean(false)
}

fn all<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    for (index, item) in items.iter().enumerate() {
        if !call.holds(0, item, index)? {
            return boolean(false);
        }
    }
    boolean(true)
}

fn booleans<'a>(
    call: &Call<'_, 'a>,
    of_nothing: bool,
    fold: impl Fn(std::vec::IntoIter<bool>) -> bool,
) -> Evaluated<'a> {
    let types = call.types();
    let mut values = Vec::with_capacity(call.input.len());
    for item in &call.input {
        match item.as_bool(types) {
            Some(value) => values.push(value),
            None if item.is_valueless(types) => {}
            None => return Err(call.wrong("each item", "a boolean", item)),
        }
    }
    boolean(if values.is_empty() { of_nothing } else { fold(values.into_iter()) })
}

fn is_subset<'a>(call: &mut Call<'_, 'a>, inner: &[Value<'a>], outer: Vec<Value<'a>>) -> Evaluated<'a> {
    let types = call.types();
    let budget = call.scope.budget();
    let outer = Set::of(outer, types, budget)?;
    let contained = inner.iter().map(|item| outer.contains(item, types, budget)).collect::<Result<Vec<_>, PathError>>();
    boolean(contained?.into_iter().all(|contained| contained))
}
