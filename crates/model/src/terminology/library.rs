//! [`Library`]: the terminology resources that a question needs, gathered before it is answered.
//!
//! Whoever asks puts in what the question starts from ([`Library::add`], [`Library::want`]), and settles what is then
//! [open](Library::open) until nothing is: from what is stored, or else from what is bundled.

use super::{Canonical, Kind, bundled};
use crate::{
    Error, Resource,
    json::{Document, Node},
};
use rustc_hash::FxHashMap;
use std::{cmp::Ordering, collections::BTreeSet};

/// Most resources one question may need: a value set of value sets of value sets has to end somewhere.
const RESOURCES_MAX: usize = 500;
/// Most bytes of resources one question may need.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What is held, by the name it was asked for.
#[derive(Debug, Default)]
pub struct Library {
    held: FxHashMap<Canonical, Option<Entry>>,
    open: BTreeSet<Canonical>,
    bytes: usize,
}

/// A resource within a document.
#[derive(Clone, Debug)]
struct Entry {
    document: Document,
    position: u32,
}

impl Entry {
    fn node(&self) -> Node<'_> {
        self.document.at(self.position)
    }
}

impl Library {
    /// Asks for a resource.
    pub fn want(&mut self, canonical: Canonical) {
        if !self.held.contains_key(&canonical) {
            self.open.insert(canonical);
        }
    }

    /// What is wanted and not settled yet, in a certain order.
    #[must_use]
    pub fn open(&self) -> Vec<Canonical> {
        self.open.iter().cloned().collect()
    }

    /// Settles what was wanted: with the newest of those that are stored under the name, or what is bundled, or nothing.
    ///
    /// # Errors
    /// [`Error::TooCostly`] for more than 500 resources or 32 MiB of them.
    pub fn settle(&mut self, canonical: &Canonical, stored: &[Resource]) -> Result<(), Error> {
        self.open.remove(canonical);
        let entry = newest(canonical, stored)
            .map(|found| Entry { document: found.node().document().clone(), position: found.node().position() })
            .or_else(|| Some(Entry { document: bundled::find(canonical)?, position: 0 }));
        self.put(canonical.clone(), entry)
    }

    /// Puts in a resource as it is: one that came with the question, or was read by its id.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn add(&mut self, canonical: Canonical, resource: &Resource) -> Result<(), Error> {
        let node = resource.node();
        self.open.remove(&canonical);
        self.put(canonical, Some(Entry { document: node.document().clone(), position: node.position() }))
    }

    /// Settles everything from what is bundled.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn settle_bundled(&mut self) -> Result<(), Error> {
        while let Some(canonical) = self.open.first().cloned() {
            self.settle(&canonical, &[])?;
        }
        Ok(())
    }

    /// Whether it is known what is held under that name, if anything.
    #[must_use]
    pub fn is_settled(&self, canonical: &Canonical) -> bool {
        self.held.contains_key(canonical)
    }

    /// What is held under that name.
    #[must_use]
    pub fn find(&self, canonical: &Canonical) -> Option<Node<'_>> {
        self.held.get(canonical)?.as_ref().map(Entry::node)
    }

    fn put(&mut self, canonical: Canonical, entry: Option<Entry>) -> Result<(), Error> {
        let mut named = Vec::new();
        if let Some(entry) = &entry {
            self.bytes += entry.node().raw().len();
            names(canonical.kind, entry.node(), &mut named);
        }
        self.held.insert(canonical, entry);
        named.into_iter().for_each(|name| self.want(name));
        if self.held.len() + self.open.len() > RESOURCES_MAX || self.bytes > BYTES_MAX {
            return Err(Error::TooCostly(format!(
                "this needs more than {RESOURCES_MAX} value sets and code systems, or more than {} MiB of them",
                BYTES_MAX / 1024 / 1024
            )));
        }
        Ok(())
    }
}

/// The other resources that one names.
fn names(kind: Kind, node: Node<'_>, out: &mut Vec<Canonical>) {
    match kind {
        Kind::CodeSystem => {}
        Kind::ValueSet => {
            let compose = node.get("compose");
            let parts = ["include", "exclude"].map(|name| compose.and_then(|compose| compose.get(name)));
            for part in parts.into_iter().flatten().flat_map(Node::children) {
                if let Some(system) = part.get_str("system") {
                    out.push(Canonical::new(Kind::CodeSystem, &system, part.get_str("version").as_deref()));
                }
                let imports = part.get("valueSet").into_iter().flat_map(Node::children).filter_map(Node::as_str);
                out.extend(imports.map(|url| Canonical::parse(Kind::ValueSet, &url)));
            }
        }
        Kind::ConceptMap => {
            for group in node.get("group").into_iter().flat_map(Node::children) {
                if let Some(target) = group.get_str("target") {
                    out.push(Canonical::new(Kind::CodeSystem, &target, group.get_str("targetVersion").as_deref()));
                }
                if let Some(url) = group.get("unmapped").and_then(|unmapped| unmapped.get_str("url")) {
                    out.push(Canonical::parse(Kind::ConceptMap, &url));
                }
            }
        }
    }
}

/// The one that the name means: the right version, or the newest.
fn newest<'a>(canonical: &Canonical, stored: &'a [Resource]) -> Option<&'a Resource> {
    let text = |of: &Resource, name: &str| of.node().get_str(name).unwrap_or_default().into_owned();
    let is_it = |found: &&Resource| {
        found.resource_type().name() == canonical.kind.name()
            && text(found, "url") == canonical.url
            && canonical.version.as_ref().is_none_or(|version| text(found, "version") == *version)
    };
    // Of equals the last counts: they come in the order of creation.
    stored.iter().filter(is_it).max_by(|a, b| compare_versions(&text(a, "version"), &text(b, "version")))
}

/// Orders business versions: `4.0.1` before `4.0.10` before `5.0.0-ballot`. FHIR leaves their form open.
/// <https://hl7.org/fhir/R4/resource.html#versions>
fn compare_versions(a: &str, b: &str) -> Ordering {
    let mut of_b = b.split(['.', '-', '_']);
    for part in a.split(['.', '-', '_']) {
        let Some(other) = of_b.next() else { return Ordering::Greater };
        let order = match (part.parse::<u64>(), other.parse::<u64>()) {
            (Ok(part), Ok(other)) => part.cmp(&other),
            _ => part.cmp(other),
        };
        if order.is_ne() {
            return order;
        }
    }
    if of_b.next().is_some() { Ordering::Less } else { Ordering::Equal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Definitions;

    fn value_set(version: &str, name: &str) -> Resource {
        let text = format!(r#"{{"resourceType":"ValueSet","url":"http://x","version":"{version}","name":"{name}"}}"#);
        Resource::parse(text, Definitions::r4()).unwrap()
    }

    #[test]
    fn the_newest_version_wins_and_of_equal_ones_the_last() {
        let stored = [value_set("4.0.9", "a"), value_set("4.0.10", "b"), value_set("4.0.10", "c")];
        let check = |canonical: &str, expect: Option<&str>| {
            let mut library = Library::default();
            let canonical = Canonical::parse(Kind::ValueSet, canonical);
            library.want(canonical.clone());
            library.settle(&canonical, &stored).unwrap();
            assert!(library.open().is_empty());
            assert_eq!(library.find(&canonical).and_then(|found| found.get_str("name")).as_deref(), expect);
        };
        check("http://x", Some("c"));
        check("http://x|4.0.9", Some("a"));
        check("http://x|5", None);
        check("http://y", None);
    }

    #[test]
    fn what_a_resource_names_is_wanted_until_all_is_there() {
        let mut library = Library::default();
        library.want(Canonical::parse(Kind::ValueSet, "http://hl7.org/fhir/ValueSet/provenance-agent-type"));
        library.settle_bundled().unwrap();
        let held = |kind, url: &str| library.find(&Canonical::parse(kind, url)).is_some();
        assert!(held(Kind::ValueSet, "http://hl7.org/fhir/ValueSet/provenance-agent-type"));
        assert!(held(Kind::CodeSystem, "http://terminology.hl7.org/CodeSystem/provenance-participant-type"));
    }
}
