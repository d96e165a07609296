//! <http://hl7.org/fhirpath/N1/#subsetting>

use super::{Function, function};
use crate::fhirpath::{
    call::{Call, Evaluated},
    set::Set,
};

pub(super) const FUNCTIONS: &[Function] = &[
    function("single", (0, 0), |mut call| Ok(call.single()?.into_iter().collect())),
    function("first", (0, 0), |call| Ok(call.input.into_iter().take(1).collect())),
    function("last", (0, 0), |mut call| Ok(call.input.pop().into_iter().collect())),
    function("tail", (0, 0), |call| Ok(call.input.into_iter().skip(1).collect())),
    function("skip", (1, 1), |mut call| {
        let count = count(&mut call)?.unwrap_or(0);
        Ok(call.input.into_iter().skip(count).collect())
    }),
    function("take", (1, 1), |mut call| {
        let count = count(&mut call)?.unwrap_or(0);
        Ok(call.input.into_iter().take(count).collect())
    }),
    function("intersect", (1, 1), intersect),
    function("exclude", (1, 1), exclude),
];

fn count(call: &mut Call<'_, '_>) -> Result<Option<usize>, crate::fhirpath::PathError> {
    Ok(call.argument_integer(0)?.map(|count| usize::try_from(count).unwrap_or(0)))
}

/// The items that are in both, each once.
fn intersect<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let other = call.argument(0)?;
    let types = call.types();
    let budget = call.scope.budget();
    let (other, mut common) = (Set::of(other, types, budget)?, Set::default());
    for item in items {
        if other.contains(&item, types, budget)? {
            common.insert(item, types, budget)?;
        }
    }
    Ok(common.into_items())
}

/// The items that are not in the other, duplicates kept.
fn exclude<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let other = call.argument(0)?;
    let types = call.types();
    let budget = call.scope.budget();
    let other = Set::of(other, types, budget)?;
    let mut kept = Vec::new();
    for item in items {
        if !other.contains(&item, types, budget)? {
            kept.push(item);
        }
    }
    Ok(kept)
}
