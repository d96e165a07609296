//! HL7's own code systems, value sets and concept maps, as the package of R4 has them, without prose.
//!
//! The tables are lines of text in the binary. A line is found by its URL and parsed when it is asked for: nothing is paid
//! for what nobody asks.

use super::{Canonical, Kind};
use crate::json::Document;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

const CODE_SYSTEMS: &str = include_str!("../../definitions/r4/code-systems.ndjson");
const VALUE_SETS: &str = include_str!("../../definitions/r4/value-sets.ndjson");
const CONCEPT_MAPS: &str = include_str!("../../definitions/r4/concept-maps.ndjson");

/// The lines of each URL: few have several versions, and these stand together.
type Index = FxHashMap<&'static str, &'static str>;

static CODE_SYSTEM_LINES: LazyLock<Index> = LazyLock::new(|| index(CODE_SYSTEMS));
static VALUE_SET_LINES: LazyLock<Index> = LazyLock::new(|| index(VALUE_SETS));
static CONCEPT_MAP_LINES: LazyLock<Index> = LazyLock::new(|| index(CONCEPT_MAPS));

/// What is bundled under that name: the resource without `resourceType`.
#[must_use]
pub fn find(canonical: &Canonical) -> Option<Document> {
    let lines = lines(canonical.kind).get(canonical.url.as_str())?.lines();
    let is_it = |found: &Document| {
        let version = found.root().get_str("version");
        canonical.version.is_none() || canonical.version.as_deref() == version.as_deref()
    };
    // The oldest version comes first.
    lines.rev().filter_map(|line| Document::parse(line).ok()).find(is_it)
}

/// Everything of a kind, sorted by URL.
pub fn all(kind: Kind) -> impl Iterator<Item = Document> {
    table(kind).lines().filter_map(|line| Document::parse(line).ok())
}

const fn table(kind: Kind) -> &'static str {
    match kind {
        Kind::CodeSystem => CODE_SYSTEMS,
        Kind::ValueSet => VALUE_SETS,
        Kind::ConceptMap => CONCEPT_MAPS,
    }
}

fn lines(kind: Kind) -> &'static Index {
    match kind {
        Kind::CodeSystem => &CODE_SYSTEM_LINES,
        Kind::ValueSet => &VALUE_SET_LINES,
        Kind::ConceptMap => &CONCEPT_MAP_LINES,
    }
}

/// `{"url":"http://…",…` opens every line; `cargo xtask definitions` writes them so.
fn index(table: &'static str) -> Index {
    let mut index = Index::default();
    let (mut start, mut at, mut current) = (0, 0, "");
    for line in table.split_inclusive('\n') {
        let url = line.strip_prefix("{\"url\":\"").and_then(|rest| rest.split_once('"')).map_or("", |(url, _)| url);
        if url != current {
            (start, current) = (at, url);
        }
        at += line.len();
        index.insert(url, &table[start..at]);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_by_its_url() {
        for kind in [Kind::CodeSystem, Kind::ValueSet, Kind::ConceptMap] {
            for line in table(kind).lines() {
                let document = Document::parse(line).unwrap();
                let url = document.root().get_str("url").unwrap();
                let version = document.root().get_str("version").map(std::borrow::Cow::into_owned);
                let found = find(&Canonical { kind, url: url.into_owned(), version }).unwrap();
                assert_eq!(found.root().raw(), line);
            }
        }
        assert!(find(&Canonical::parse(Kind::ValueSet, "http://hl7.org/fhir/ValueSet/task-status|1.0")).is_none());
        assert!(find(&Canonical::parse(Kind::ValueSet, "http://hl7.org/fhir/ValueSet/task-status|4.0.1")).is_some());
    }
}
