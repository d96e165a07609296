//! The codes of the value sets that required bindings name.
//! <https://hl7.org/fhir/R4/terminologies.html#required>

use super::row::rows;
use crate::json::Node;
use rustc_hash::{FxHashMap, FxHashSet};

const CODES: &str = include_str!("../../definitions/r4/codes.ndjson");

/// The codes of one value set.
#[derive(Debug, Default)]
pub struct CodeSet {
    codes: FxHashSet<Box<str>>,
    by_system: FxHashMap<Box<str>, FxHashSet<Box<str>>>,
}

impl CodeSet {
    /// Whether the code stands in the set, in any system: for elements of type `code`.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.codes.contains(code)
    }

    /// Whether that code of that system stands in the set.
    #[must_use]
    pub fn has(&self, system: &str, code: &str) -> bool {
        self.by_system.get(system).is_some_and(|codes| codes.contains(code))
    }

    /// All codes, in no order.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.codes.iter().map(|code| &**code)
    }

    /// The code systems the set draws from.
    pub fn systems(&self) -> impl Iterator<Item = &str> {
        self.by_system.keys().map(|system| &**system)
    }
}

/// The enumerable value sets by URL; one that cannot be enumerated (languages, MIME types, UCUM) is absent.
pub(super) fn load() -> FxHashMap<Box<str>, CodeSet> {
    let mut sets = FxHashMap::default();
    for row in rows(CODES) {
        let Some(systems) = row.get("codes") else { continue };
        let mut set = CodeSet::default();
        for system in systems.children() {
            let codes: FxHashSet<Box<str>> = system.children().filter_map(Node::as_str).map(Into::into).collect();
            set.codes.extend(codes.iter().cloned());
            set.by_system.insert(system.name().into(), codes);
        }
        sets.insert(row.text("valueSet").into(), set);
    }
    sets
}
