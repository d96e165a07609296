//! Which search parameters make a resource a member of a compartment.
//! <https://hl7.org/fhir/R4/compartmentdefinition.html>

use super::row::rows;
use rustc_hash::FxHashMap;

const COMPARTMENTS: &str = include_str!("../../definitions/r4/compartments.ndjson");

/// (compartment, member type) → codes of the reference parameters that lead to the compartment's owner.
pub(super) type Compartments = FxHashMap<(Box<str>, Box<str>), Vec<Box<str>>>;

pub(super) fn load() -> Compartments {
    rows(COMPARTMENTS)
        .map(|row| ((row.text("compartment").into(), row.text("type").into()), row.texts("param")))
        .collect()
}
