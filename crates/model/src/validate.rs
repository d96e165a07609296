//! Validation on every write: structure, primitive values, cardinality, required bindings, reference targets.
//! It cannot fail; it returns what it has found. <https://hl7.org/fhir/R4/validation.html>

mod invariant;
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

/// What [`validate`] finds, and every invariant of the specification that does not hold: rules as errors, best practices as
/// warnings. For `$validate`; ordinary writes are spared it (docs/fhirpath.md has its cost).
#[must_use]
pub fn validate_fully(resource: &Resource, definitions: &Definitions) -> Vec<Issue> {
    let mut issues = validate(resource, definitions);
    issues.extend(invariant::check(resource, definitions));
    issues.truncate(ISSUES_MAX);
    issues
}
