//! <http://hl7.org/fhirpath/N1/#combining>

use super::{Function, function};

pub(super) const FUNCTIONS: &[Function] = &[
    function("union", (1, 1), |mut call| {
        let mut items = std::mem::take(&mut call.input);
        items.extend(call.argument(0)?);
        call.distinct(items)
    }),
    function("combine", (1, 1), |mut call| {
        let mut items = std::mem::take(&mut call.input);
        items.extend(call.argument(0)?);
        Ok(items)
    }),
];
