//! Validation on every write: structure, primitive values, cardinality, required bindings, reference targets.
//! It cannot fail; it returns what it has found. <https://hl7.org/fhir/R4/validation.html>

pub(crate) mod narrative;
mod primitive;
mod structure;

use crate::{Definitions, Resource, operation_outcome::Issue};

/// Most issues reported for one resource: enough to mend it, and a bound on the answer.
pub const ISSUES_MAX: usize = 100;

/// Everything wrong with the resource, in document order, each with the FHIRPath of the element.
#[must_use]
pub fn validate(resource: &Resource, definitions: &Definitions) -> Vec<Issue> {
    structure::Walk::new(definitions, resource.node()).resource(resource)
}
