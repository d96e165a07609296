//! Types: `is`, `as`, `ofType` and `type()`. <http://hl7.org/fhirpath/N1/#types>,
//! <https://hl7.org/fhir/R4/fhirpath.html#types>

use super::{
    PathError,
    call::{Evaluated, Items, TypeName, single},
    value::Value,
};
use crate::definitions::{TypeKind, TypeTable};

/// The types of FHIRPath itself.
pub(super) const SYSTEM: [&str; 8] =
    ["Boolean", "Integer", "Decimal", "String", "Date", "DateTime", "Time", "Quantity"];

/// `is`: whether the item is of the type or one that specialises it.
pub(super) fn is<'a>(items: Items<'a>, name: &TypeName, types: &TypeTable) -> Evaluated<'a> {
    check(name, types)?;
    let item = single(items, "is")?;
    Ok(item.map(|item| Value::Boolean(is_a(&item, name, types, false))).into_iter().collect())
}

/// `as` and `ofType`: the items that are of the type.
pub(super) fn of_type<'a>(
    items: impl IntoIterator<Item = Value<'a>>,
    name: &TypeName,
    types: &TypeTable,
) -> Evaluated<'a> {
    check(name, types)?;
    // A code is a string for `is`, but not for `as`: HL7's suite demands it, and invariants such as dom-3 rely on it.
    Ok(items.into_iter().filter(|item| is_a(item, name, types, true)).collect())
}

/// A type that neither FHIR nor FHIRPath has is an error.
pub(super) fn check(name: &TypeName, types: &TypeTable) -> Result<(), PathError> {
    let known = match name.namespace.as_deref() {
        None => SYSTEM.contains(&&*name.name) || types.named(&name.name).is_some(),
        Some("FHIR") => types.named(&name.name).is_some(),
        // `Patient.is(System.Patient)` is false, not an error, says HL7's suite.
        Some("System") => true,
        Some(_) => false,
    };
    if known { Ok(()) } else { Err(PathError::Unknown(format!("there is no type {}", name.name))) }
}

fn is_a(item: &Value<'_>, name: &TypeName, types: &TypeTable, exact_primitive: bool) -> bool {
    let namespace = name.namespace.as_deref();
    let Value::Element(element) = item else {
        let (own_namespace, own) = item.type_name(types);
        return own == &*name.name && namespace.is_none_or(|namespace| namespace == own_namespace);
    };
    if namespace == Some("System") {
        return false;
    }
    types.named(&name.name).is_some_and(|named| {
        let primitive = matches!(types[named].kind, TypeKind::Primitive(_));
        if exact_primitive && primitive { element.type_id() == named } else { types.is_a(element.type_id(), named) }
    })
}
