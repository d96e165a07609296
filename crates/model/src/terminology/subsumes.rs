//! `$subsumes`: how two codes of a system stand to each other.
//! <https://hl7.org/fhir/R4/codesystem-operation-subsumes.html>

use super::{CodeSystem, lookup::find};
use crate::Error;

/// A code of <https://hl7.org/fhir/R4/valueset-concept-subsumption-outcome.html>.
///
/// # Errors
/// [`Error::UnknownCanonical`] if the system has not both codes, [`Error::NotSupported`] if it is not known whole.
pub fn subsumes(system: &CodeSystem<'_>, a: &str, b: &str) -> Result<&'static str, Error> {
    let (a, b) = (find(system, a)?.code(), find(system, b)?.code());
    Ok(if a == b {
        "equivalent"
    } else if system.subsumes(&a, &b) {
        "subsumes"
    } else if system.subsumes(&b, &a) {
        "subsumed-by"
    } else if system.complete {
        "not-subsumed"
    } else {
        let text = format!("only a part of the code system {} is here: it cannot be known", system.url);
        return Err(Error::NotSupported(text));
    })
}
