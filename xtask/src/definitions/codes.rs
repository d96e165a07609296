//! `codes.ndjson`: the codes of the value sets that elements are bound to with the strength `required`.

mod code_system;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    elements::required_value_sets,
    row::{Row, list, text, texts, without_version},
};
use crate::{error::Error, package::Package};
use code_system::CodeSystem;

/// Codes by system.
type Expansion = BTreeMap<String, BTreeSet<String>>;

/// One row per value set, sorted by URL. Those which the package does not enumerate are open.
pub(super) fn rows(package: &Package) -> Result<Vec<Row>, Error> {
    let terminology = Terminology::new(package);
    let urls: BTreeSet<&str> = required_value_sets(package).into_iter().collect();
    let row = |url: &str| {
        let row = Row::new().with("valueSet", url);
        match terminology.expand(url) {
            Some(expansion) => row.with("codes", object(expansion)),
            None => row.with("open", true),
        }
    };
    Ok(urls.into_iter().map(row).collect())
}

/// An expansion as JSON.
fn object(expansion: Expansion) -> Map<String, Value> {
    let codes = |codes: BTreeSet<String>| Value::from(codes.into_iter().collect::<Vec<_>>());
    expansion.into_iter().map(|(system, found)| (system, codes(found))).collect()
}

/// The value sets and code systems of the package.
struct Terminology<'a> {
    /// Code systems by URL.
    systems: BTreeMap<&'a str, CodeSystem<'a>>,
    /// Value sets by URL.
    value_sets: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Terminology<'a> {
    /// Finds the value sets and code systems.
    fn new(package: &'a Package) -> Self {
        let by_url = |found: &'a Value| text(found, "url").map(|url| (url, found));
        let systems = package.of_kind("CodeSystem").filter_map(by_url);
        Self {
            systems: systems.filter_map(|(url, found)| Some((url, CodeSystem::new(found)?))).collect(),
            value_sets: package.of_kind("ValueSet").filter_map(by_url).collect(),
        }
    }

    /// The codes of a value set; nothing if the package does not enumerate them.
    fn expand(&self, url: &str) -> Option<Expansion> {
        self.expand_below(url, &mut Vec::new())
    }

    /// As [`Self::expand`]; `above` holds the value sets whose expansion this is part of.
    fn expand_below(&self, url: &str, above: &mut Vec<String>) -> Option<Expansion> {
        let url = without_version(url);
        let value_set = self.value_sets.get(url)?;
        if above.iter().any(|other| other == url) {
            return None;
        }
        above.push(url.to_owned());
        let mut codes = Expansion::new();
        for include in list(&value_set["compose"], "include") {
            for (system, found) in self.selection(include, above)? {
                codes.entry(system).or_default().extend(found);
            }
        }
        for exclude in list(&value_set["compose"], "exclude") {
            for (system, found) in self.selection(exclude, above)? {
                if let Some(kept) = codes.get_mut(&system) {
                    kept.retain(|code| !found.contains(code));
                }
            }
        }
        above.pop();
        codes.retain(|_, found| !found.is_empty());
        (!codes.is_empty()).then_some(codes)
    }

    /// The codes which one `include` or `exclude` selects: those that satisfy all it says.
    fn selection(&self, part: &Value, above: &mut Vec<String>) -> Option<Expansion> {
        let mut selected = match text(part, "system") {
            Some(system) => Some(self.of_system(system, part)?),
            None => None,
        };
        for url in texts(part, "valueSet") {
            let other = self.expand_below(url, above)?;
            selected = Some(match selected {
                Some(codes) => intersection(codes, &other),
                None => other,
            });
        }
        selected
    }

    /// The codes of a system which the concepts or filters of an `include` select.
    fn of_system(&self, system: &str, part: &Value) -> Option<Expansion> {
        let concepts = list(part, "concept");
        let codes: BTreeSet<String> = if concepts.is_empty() {
            let found = self.systems.get(without_version(system))?;
            let filters = list(part, "filter");
            let mut codes = found.codes();
            for filter in filters {
                let kept = found.filter(filter)?;
                codes.retain(|code| kept.contains(code));
            }
            codes.into_iter().map(str::to_owned).collect()
        } else {
            concepts.iter().filter_map(|concept| text(concept, "code")).map(str::to_owned).collect()
        };
        Some(Expansion::from([(system.to_owned(), codes)]))
    }
}

/// The codes which both expansions have.
fn intersection(mut codes: Expansion, other: &Expansion) -> Expansion {
    codes.retain(|system, found| {
        let others = other.get(system);
        found.retain(|code| others.is_some_and(|others| others.contains(code)));
        !found.is_empty()
    });
    codes
}

#[cfg(test)]
mod tests;
