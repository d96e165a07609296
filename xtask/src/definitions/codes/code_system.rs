//! Code systems: their codes, and the filters that select some of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::definitions::row::{list, text};

/// The properties by which a code names codes above it, besides standing below them.
const PARENTS: [&str; 2] = ["parent", "subsumedBy"];

/// A code system with all its codes.
pub(super) struct CodeSystem<'a> {
    /// The concepts by code.
    concepts: BTreeMap<&'a str, Concept<'a>>,
}

/// A code and where it stands.
struct Concept<'a> {
    /// The codes directly above it.
    parents: BTreeSet<&'a str>,
    /// The properties it has.
    properties: &'a [Value],
}

impl<'a> CodeSystem<'a> {
    /// Reads a code system, unless it has only some of its codes.
    pub(super) fn new(definition: &'a Value) -> Option<Self> {
        if text(definition, "content") != Some("complete") {
            return None;
        }
        let mut system = Self { concepts: BTreeMap::new() };
        system.add(list(definition, "concept"), None);
        (!system.concepts.is_empty()).then_some(system)
    }

    /// All codes.
    pub(super) fn codes(&self) -> BTreeSet<&'a str> {
        self.concepts.keys().copied().collect()
    }

    /// The codes which a filter of a value set selects; nothing if it is of a kind that is not understood.
    pub(super) fn filter(&self, filter: &Value) -> Option<BTreeSet<&'a str>> {
        let (property, value) = (text(filter, "property")?, text(filter, "value")?);
        match (text(filter, "op")?, property) {
            ("is-a", "concept" | "code") => Some(self.select(|code, _| code == value || self.is_below(code, value))),
            ("descendent-of", "concept" | "code") => {
                Some(self.select(|code, _| code != value && self.is_below(code, value)))
            }
            ("=", "concept" | "code") => Some(self.select(|code, _| code == value)),
            ("=", "parent") => Some(self.select(|_, concept| concept.parents.contains(value))),
            ("=", _) => Some(self.select(|_, concept| concept.has(property, value))),
            _ => None,
        }
    }

    /// Adds concepts and those below them.
    fn add(&mut self, concepts: &'a [Value], above: Option<&'a str>) {
        for concept in concepts {
            let Some(code) = text(concept, "code") else { continue };
            let properties = list(concept, "property");
            let named = properties.iter().filter(|found| text(found, "code").is_some_and(|it| PARENTS.contains(&it)));
            let mut parents: BTreeSet<&str> = named.filter_map(|found| text(found, "valueCode")).collect();
            parents.extend(above);
            self.concepts.insert(code, Concept { parents, properties });
            self.add(list(concept, "concept"), Some(code));
        }
    }

    /// The codes of which `keep` says yes.
    fn select(&self, keep: impl Fn(&str, &Concept<'_>) -> bool) -> BTreeSet<&'a str> {
        let kept = self.concepts.iter().filter(|(code, concept)| keep(code, concept));
        kept.map(|(code, _)| *code).collect()
    }

    /// Whether one code stands below another, directly or not.
    fn is_below(&self, code: &str, ancestor: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![code];
        while let Some(next) = open.pop() {
            for parent in self.concepts.get(next).into_iter().flat_map(|concept| &concept.parents) {
                if *parent == ancestor {
                    return true;
                }
                if seen.insert(*parent) {
                    open.push(parent);
                }
            }
        }
        false
    }
}

impl Concept<'_> {
    /// Whether the concept has a property with a value, of whichever type.
    fn has(&self, property: &str, value: &str) -> bool {
        let named = self.properties.iter().filter(|found| text(found, "code") == Some(property));
        let values = named.filter_map(Value::as_object).flatten().filter(|(key, _)| key.starts_with("value"));
        values.into_iter().any(|(_, found)| match found {
            Value::String(text) => text == value,
            Value::Bool(flag) => value == if *flag { "true" } else { "false" },
            Value::Number(number) => number.as_str() == value,
            _ => false,
        })
    }
}
