//! <http://hl7.org/fhirpath/N1/#tree-navigation>

use super::{Function, function};
use crate::fhirpath::{
    PathError,
    call::{Call, Evaluated},
    navigation,
    value::Value,
};

pub(super) const FUNCTIONS: &[Function] =
    &[function("children", (0, 0), children), function("descendants", (0, 0), descendants)];

fn children<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let mut found = Vec::new();
    let types = call.types();
    for item in std::mem::take(&mut call.input) {
        if let Value::Element(element) = item {
            navigation::children(element, types, &mut found);
            call.spend(1)?;
        }
    }
    Ok(found)
}

/// All within, at any depth, in the order of the document.
fn descendants<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let types = call.types();
    let most = call.scope.environment().limits.items;
    let mut found = Vec::new();
    // What is still to be visited, next one last.
    let mut waiting = Vec::new();
    let mut inner = Vec::new();
    let mut push = |item: &Value<'a>, waiting: &mut Vec<Value<'a>>| {
        if let Value::Element(element) = item {
            navigation::children(*element, types, &mut inner);
            waiting.extend(inner.drain(..).rev());
        }
    };
    for item in std::mem::take(&mut call.input) {
        push(&item, &mut waiting);
        while let Some(item) = waiting.pop() {
            call.spend(1)?;
            push(&item, &mut waiting);
            found.push(item);
            if found.len() > most {
                return Err(PathError::TooCostly("a collection has too many items"));
            }
        }
    }
    Ok(found)
}
