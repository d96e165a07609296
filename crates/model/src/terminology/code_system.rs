//! A code system: its codes, what they are called, and which stand below which.
//! <https://hl7.org/fhir/R4/codesystem.html>

use crate::json::Node;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// Properties by which a concept names concepts above it, besides standing below them.
const PARENTS: [&str; 2] = ["parent", "subsumedBy"];
/// Statuses of concepts that are out of use: <https://hl7.org/fhir/R4/codesystem-concept-properties.html>
const OUT_OF_USE: [&str; 2] = ["retired", "inactive"];

/// A code system, read.
#[derive(Debug)]
pub struct CodeSystem<'a> {
    /// Its URL.
    pub url: Cow<'a, str>,
    /// Its business version.
    pub version: Option<Cow<'a, str>>,
    /// Its name for computers.
    pub name: Option<Cow<'a, str>>,
    /// The language of its displays.
    pub language: Option<Cow<'a, str>>,
    /// Whether it is all there: `content` is `complete`.
    pub complete: bool,
    /// Whether a code in other case is another code. If the system does not say, the specification asks to be generous.
    pub case_sensitive: bool,
    concepts: Vec<Concept<'a>>,
    parents: Vec<Vec<usize>>,
    children: Vec<Vec<usize>>,
    by_code: FxHashMap<Cow<'a, str>, usize>,
    /// By lower-case code, unless case matters.
    by_folded: FxHashMap<String, usize>,
    declared: Vec<Cow<'a, str>>,
}

/// A concept of a code system.
#[derive(Clone, Copy, Debug)]
pub struct Concept<'a> {
    node: Node<'a>,
    /// Whether it only groups others and is not meant to be recorded.
    pub is_abstract: bool,
    /// Whether it is out of use.
    pub inactive: bool,
}

impl<'a> Concept<'a> {
    /// Its code.
    #[must_use]
    pub fn code(&self) -> Cow<'a, str> {
        self.node.get_str("code").unwrap_or_default()
    }

    /// What it is called.
    #[must_use]
    pub fn display(&self) -> Option<Cow<'a, str>> {
        self.node.get_str("display")
    }

    /// What it means.
    #[must_use]
    pub fn definition(&self) -> Option<Cow<'a, str>> {
        self.node.get_str("definition")
    }

    /// Other names of it.
    pub fn designations(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.node.get("designation").into_iter().flat_map(Node::children)
    }

    /// Its properties.
    pub fn properties(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.node.get("property").into_iter().flat_map(Node::children)
    }
}

impl<'a> CodeSystem<'a> {
    /// Reads a CodeSystem resource.
    #[must_use]
    pub fn read(node: Node<'a>) -> Self {
        // A hierarchy that says it is none of kinds tells nothing about subsumption; one that says nothing is taken for one.
        let meaning = node.get_str("hierarchyMeaning");
        let mut reader = Reader {
            nesting: meaning.is_none_or(|meaning| meaning == "is-a"),
            flags: Flags::declared(node),
            concepts: Vec::new(),
            parents: Vec::new(),
            by_code: FxHashMap::default(),
            named: Vec::new(),
        };
        reader.add(node, None);
        let Reader { concepts, mut parents, by_code, named, .. } = reader;
        for (child, parent) in named {
            let (Some(&child), Some(&parent)) = (by_code.get(&child), by_code.get(&parent)) else { continue };
            if !parents[child].contains(&parent) {
                parents[child].push(parent);
            }
        }
        let mut below = vec![Vec::new(); concepts.len()];
        for (child, parents) in parents.iter().enumerate() {
            parents.iter().for_each(|&parent| below[parent].push(child));
        }
        let case_sensitive = node.get("caseSensitive").and_then(Node::as_bool).unwrap_or(false);
        let folded = concepts.iter().enumerate().rev().filter(|_| !case_sensitive);
        Self {
            url: node.get_str("url").unwrap_or_default(),
            version: node.get_str("version"),
            name: node.get_str("name"),
            language: node.get_str("language"),
            complete: node.get_str("content").is_some_and(|content| content == "complete"),
            case_sensitive,
            by_folded: folded.map(|(at, concept)| (concept.code().to_lowercase(), at)).collect(),
            declared: children(node, "property").filter_map(|property| property.get_str("code")).collect(),
            concepts,
            parents,
            children: below,
            by_code,
        }
    }

    /// All concepts, those above before those that stand within them.
    #[must_use]
    pub fn concepts(&self) -> &[Concept<'a>] {
        &self.concepts
    }

    /// The concept of that code.
    #[must_use]
    pub fn find(&self, code: &str) -> Option<Concept<'a>> {
        self.position(code).map(|at| self.concepts[at])
    }

    /// The concepts directly above that one.
    pub fn parents(&self, code: &str) -> impl Iterator<Item = Concept<'a>> {
        self.beside(&self.parents, code)
    }

    /// The concepts directly below that one.
    pub fn children(&self, code: &str) -> impl Iterator<Item = Concept<'a>> {
        self.beside(&self.children, code)
    }

    fn beside<'b>(&'b self, related: &'b [Vec<usize>], code: &str) -> impl Iterator<Item = Concept<'a>> + use<'a, 'b> {
        let found = self.position(code).map(|at| related[at].as_slice()).unwrap_or_default();
        found.iter().map(|&at| self.concepts[at])
    }

    /// That concept and all that stand above it.
    #[must_use]
    pub fn ancestors_or_self(&self, code: &str) -> Vec<Concept<'a>> {
        self.position(code).map(|at| self.marked(&self.ancestors(at))).unwrap_or_default()
    }

    /// That concept and all that stand below it.
    #[must_use]
    pub fn descendants_or_self(&self, code: &str) -> Vec<Concept<'a>> {
        self.position(code).map(|at| self.marked(&self.descendants(at))).unwrap_or_default()
    }

    fn marked(&self, marks: &[bool]) -> Vec<Concept<'a>> {
        self.concepts.iter().zip(marks).filter(|(_, marked)| **marked).map(|(concept, _)| *concept).collect()
    }

    /// Whether properties of that name are defined here.
    #[must_use]
    pub fn declares(&self, property: &str) -> bool {
        self.declared.iter().any(|declared| declared == property)
    }

    /// Whether the first code is the second or stands above it.
    #[must_use]
    pub fn subsumes(&self, above: &str, below: &str) -> bool {
        let (Some(above), Some(below)) = (self.position(above), self.position(below)) else { return false };
        self.ancestors(below)[above]
    }

    pub(super) fn position(&self, code: &str) -> Option<usize> {
        self.by_code.get(code).copied().or_else(|| self.by_folded.get(&code.to_lowercase()).copied())
    }

    /// Which concepts are that one or stand above it.
    pub(super) fn ancestors(&self, from: usize) -> Vec<bool> {
        self.reach(from, |at| &self.parents[at])
    }

    /// Which concepts are that one or stand below it.
    pub(super) fn descendants(&self, from: usize) -> Vec<bool> {
        self.reach(from, |at| &self.children[at])
    }

    fn reach<'b>(&self, from: usize, next: impl Fn(usize) -> &'b Vec<usize>) -> Vec<bool> {
        let mut reached = vec![false; self.concepts.len()];
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                open.extend(next(at));
            }
        }
        reached
    }
}

/// What reads concepts out of their nesting.
struct Reader<'a> {
    nesting: bool,
    flags: Flags<'a>,
    concepts: Vec<Concept<'a>>,
    parents: Vec<Vec<usize>>,
    by_code: FxHashMap<Cow<'a, str>, usize>,
    /// Child and parent by their codes, as properties tell them.
    named: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Reader<'a> {
    /// Adds the concepts within `node`. Of two with the same code the first counts.
    fn add(&mut self, node: Node<'a>, above: Option<usize>) {
        for concept in children(node, "concept") {
            let Some(code) = concept.get_str("code") else { continue };
            let at = *self.by_code.entry(code.clone()).or_insert(self.concepts.len());
            if at == self.concepts.len() {
                self.concepts.push(self.flags.concept(concept));
                self.parents.push(Vec::new());
            }
            self.parents[at].extend(above.filter(|&above| self.nesting && above != at));
            for property in children(concept, "property") {
                let (Some(name), Some(value)) = (property.get_str("code"), property.get_str("valueCode")) else {
                    continue;
                };
                if PARENTS.contains(&&*name) {
                    self.named.push((code.clone(), value));
                } else if name == "child" {
                    self.named.push((value, code.clone()));
                }
            }
            self.add(concept, Some(at));
        }
    }
}

/// The names under which a code system keeps the properties that every server should understand.
/// <https://hl7.org/fhir/R4/codesystem-concept-properties.html>
struct Flags<'a> {
    not_selectable: Vec<Cow<'a, str>>,
    inactive: Vec<Cow<'a, str>>,
    status: Vec<Cow<'a, str>>,
}

impl<'a> Flags<'a> {
    fn declared(node: Node<'a>) -> Self {
        let named = |end: &str, usual: &[&'static str]| {
            let declared = children(node, "property").filter(|property| {
                property.get_str("uri").is_some_and(|uri| {
                    uri.strip_prefix("http://hl7.org/fhir/concept-properties#").is_some_and(|name| name == end)
                })
            });
            let usual = usual.iter().map(|&name| Cow::Borrowed(name));
            usual.chain(declared.filter_map(|property| property.get_str("code"))).collect()
        };
        Self {
            not_selectable: named("notSelectable", &["notSelectable", "abstract"]),
            inactive: named("inactive", &["inactive"]),
            status: named("status", &["status"]),
        }
    }

    fn concept(&self, node: Node<'a>) -> Concept<'a> {
        let mut concept = Concept { node, is_abstract: false, inactive: false };
        for property in children(node, "property") {
            let Some(name) = property.get_str("code") else { continue };
            let flag = property.get("valueBoolean").and_then(Node::as_bool).unwrap_or(false);
            concept.is_abstract |= flag && self.not_selectable.contains(&name);
            concept.inactive |= flag && self.inactive.contains(&name);
            let status = property.get_str("valueCode").filter(|_| self.status.contains(&name));
            concept.inactive |= status.is_some_and(|status| OUT_OF_USE.contains(&&*status));
        }
        concept
    }
}

fn children<'a>(node: Node<'a>, name: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
    node.get(name).into_iter().flat_map(Node::children)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;

    fn animals(meaning: &str) -> Document {
        Document::parse(format!(
            r#"{{"url":"http://x","content":"complete"{meaning},
                "property":[{{"code":"gone","uri":"http://hl7.org/fhir/concept-properties#inactive","type":"boolean"}}],
                "concept":[
                    {{"code":"pet","property":[{{"code":"notSelectable","valueBoolean":true}}]}},
                    {{"code":"Mammal","concept":[
                        {{"code":"dog","property":[{{"code":"parent","valueCode":"pet"}}]}},
                        {{"code":"mammoth","property":[{{"code":"gone","valueBoolean":true}}]}}]}},
                    {{"code":"quagga","property":[{{"code":"status","valueCode":"retired"}}]}},
                    {{"code":"cat","property":[{{"code":"status","valueCode":"deprecated"}}]}},
                    {{"code":"fish","property":[{{"code":"child","valueCode":"goldfish"}}]}}, {{"code":"goldfish"}}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn subsumption_comes_from_nesting_and_from_properties() {
        let document = animals("");
        let system = CodeSystem::read(document.root());
        let check = |above: &str, below: &str, expect: bool| assert_eq!(system.subsumes(above, below), expect);
        check("Mammal", "dog", true);
        check("pet", "dog", true);
        check("fish", "goldfish", true);
        check("dog", "dog", true);
        check("dog", "pet", false);
        check("Mammal", "goldfish", false);
        check("Mammal", "unicorn", false);
    }

    #[test]
    fn a_hierarchy_of_another_meaning_says_nothing_about_subsumption() {
        let document = animals(r#","hierarchyMeaning":"part-of""#);
        let system = CodeSystem::read(document.root());
        assert!(!system.subsumes("Mammal", "dog"));
        assert!(system.subsumes("pet", "dog"));
    }

    #[test]
    fn concepts_out_of_use_and_abstract_ones() {
        let document = animals("");
        let system = CodeSystem::read(document.root());
        let flags = |code: &str| system.find(code).map(|found| (found.is_abstract, found.inactive)).unwrap();
        assert_eq!(flags("pet"), (true, false));
        assert_eq!(flags("mammoth"), (false, true));
        assert_eq!(flags("quagga"), (false, true));
        assert_eq!(flags("cat"), (false, false));
    }

    #[test]
    fn case_matters_only_where_the_system_says_so() {
        let document = animals("");
        assert_eq!(CodeSystem::read(document.root()).find("MAMMAL").unwrap().code(), "Mammal");
        let document = animals(r#","caseSensitive":true"#);
        assert!(CodeSystem::read(document.root()).find("MAMMAL").is_none());
    }
}
