//! <http://hl7.org/fhirpath/N1/#utility-functions>, <http://hl7.org/fhirpath/N1/#aggregates>

use super::{Function, function};
use crate::fhirpath::{
    PathError,
    call::{Call, Evaluated, Focus},
    temporal::{Temporal, TemporalKind},
    value::Value,
};

pub(super) const FUNCTIONS: &[Function] = &[
    function("trace", (1, 2), trace),
    function("now", (0, 0), |call| now(&call).map(|now| vec![Value::Temporal(now)])),
    function("today", (0, 0), |call| now(&call).map(|now| vec![Value::Temporal(now.to_kind(TemporalKind::Date))])),
    function("timeOfDay", (0, 0), |call| {
        let text = now(&call)?.to_string();
        let time = text.split_once('T').and_then(|(_, time)| Temporal::parse_time(time.trim_end_matches('Z')));
        Ok(time.map(Value::Temporal).into_iter().collect())
    }),
    function("aggregate", (1, 2), aggregate),
];

fn now(call: &Call<'_, '_>) -> Result<Temporal, PathError> {
    call.scope.environment().now.ok_or_else(|| PathError::Failed(format!("{}(): no time is known here", call.name)))
}

/// The input; the environment's host may look at it, or at what the second argument makes of it.
fn trace<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let name = call.argument_text(0)?.unwrap_or_default();
    let mut shown = Vec::new();
    if call.has(1) {
        for (index, item) in items.iter().enumerate() {
            shown.extend(call.each(1, item, index)?);
        }
    } else {
        shown.clone_from(&items);
    }
    call.scope.environment().host.trace(&name, &shown);
    Ok(items)
}

fn aggregate<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let mut total = if call.has(1) { call.argument(1)? } else { Vec::new() };
    for (index, item) in items.iter().enumerate() {
        call.spend(1)?;
        let index = i32::try_from(index).ok();
        total = call.scope.argument(0, Focus { this: std::slice::from_ref(item), index, total: Some(&total) })?;
    }
    Ok(total)
}
