//! <http://hl7.org/fhirpath/N1/#types-and-reflection>

use super::{Arguments, Function, function};
use crate::fhirpath::{
    call::{Call, Evaluated, single},
    reflection,
    value::Value,
};
use std::borrow::Cow;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "is", arity: (1, 1), arguments: Arguments::Type, run: is },
    Function { name: "as", arity: (1, 1), arguments: Arguments::Type, run: as_type },
    function("type", (0, 0), type_info),
];

fn is<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    match call.scope.type_name(0) {
        Some(name) => reflection::is(items, name, call.types()),
        None => Ok(Vec::new()),
    }
}

fn as_type<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let mut items = std::mem::take(&mut call.input);
    if !call.scope.environment().as_of_several {
        items = single(items, "as")?.into_iter().collect();
    }
    match call.scope.type_name(0) {
        Some(name) => reflection::of_type(items, name, call.types()),
        None => Ok(Vec::new()),
    }
}

fn type_info<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let types = call.types();
    let info = |item: &Value<'a>| {
        let (namespace, name) = item.type_name(types);
        Value::Type(namespace, Cow::Borrowed(name))
    };
    Ok(std::mem::take(&mut call.input).iter().map(info).collect())
}
