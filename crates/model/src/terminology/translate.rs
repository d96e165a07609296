//! `$translate`: what a code is in another system. <https://hl7.org/fhir/R4/conceptmap-operation-translate.html>

use super::{Canonical, CodeSystem, Coding, Kind, Library};
use crate::{Error, json::Node, reference::split_canonical};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

/// Most maps that one leads to by `unmapped`.
const MAPS_MAX: usize = 10;

/// What is to be translated.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The codes; each is translated.
    pub codings: Vec<Coding>,
    /// The value set they were chosen from.
    pub source: Option<String>,
    /// The value set a translation is sought in.
    pub target: Option<String>,
    /// The code system a translation is sought in.
    pub target_system: Option<String>,
    /// Whether the codes are those that a map leads to.
    pub reverse: bool,
    /// What else is known: properties and their values, for what a map says `dependsOn`.
    pub dependencies: Vec<(String, Coding)>,
}

/// The matches in these maps, as parameters.
///
/// # Errors
/// [`Error::UnknownCanonical`] if a map, or one it leads to, is not held; [`Error::TooCostly`] if they lead too far.
pub fn translate(library: &Library, maps: &[Canonical], question: &Question) -> Result<Vec<Value>, Error> {
    let mut translation =
        Translation { library, question, matches: Vec::new(), found: false, systems: FxHashMap::default() };
    for canonical in maps {
        for coding in &question.codings {
            translation.map(canonical, coding, &mut Vec::new())?;
        }
    }
    let Translation { matches, found, .. } = translation;
    let mut out = vec![json!({"name": "result", "valueBoolean": found})];
    if !found {
        let codes: Vec<String> = question.codings.iter().map(|c| format!("{}|{}", c.system, c.code)).collect();
        out.push(json!({"name": "message", "valueString": format!("there is no translation of {}", codes.join(", "))}));
    }
    out.extend(matches);
    Ok(out)
}

/// Whether a map is about these value sets, as far as it says.
#[must_use]
pub fn is_between(map: Node<'_>, source: Option<&str>, target: Option<&str>) -> bool {
    let is = |wanted: Option<&str>, names: [&str; 2]| {
        wanted.is_none_or(|wanted| {
            names
                .iter()
                .filter_map(|name| map.get_str(name))
                .any(|own| split_canonical(&own).0 == split_canonical(wanted).0)
        })
    };
    is(source, ["sourceUri", "sourceCanonical"]) && is(target, ["targetUri", "targetCanonical"])
}

struct Translation<'a> {
    library: &'a Library,
    question: &'a Question,
    matches: Vec<Value>,
    /// Whether one of them is a translation.
    found: bool,
    /// Code systems that were asked for displays.
    systems: FxHashMap<Canonical, Option<CodeSystem<'a>>>,
}

impl Translation<'_> {
    fn map(&mut self, canonical: &Canonical, coding: &Coding, above: &mut Vec<Canonical>) -> Result<(), Error> {
        let map = self.library.find(canonical).ok_or_else(|| canonical.unknown())?;
        if above.contains(canonical) || above.len() >= MAPS_MAX {
            return Err(Error::TooCostly(format!("the concept map {canonical} leads to another, and that on and on")));
        }
        above.push(canonical.clone());
        if is_between(map, self.question.source.as_deref(), self.question.target.as_deref()) || above.len() > 1 {
            for group in map.get("group").into_iter().flat_map(Node::children) {
                if self.question.reverse {
                    self.reversed(map, group, coding);
                } else {
                    self.group(map, group, coding, above)?;
                }
            }
        }
        above.pop();
        Ok(())
    }

    /// From the group's source to its target.
    fn group(
        &mut self,
        map: Node<'_>,
        group: Node<'_>,
        coding: &Coding,
        above: &mut Vec<Canonical>,
    ) -> Result<(), Error> {
        if !is_of(group, "source", "sourceVersion", coding) || !self.leads_to(group, "target") {
            return Ok(());
        }
        let elements = group.get("element").into_iter().flat_map(Node::children);
        let mut elements = elements.filter(|element| is(*element, "code", &coding.code)).peekable();
        if elements.peek().is_none() {
            return self.unmapped(map, group, coding, above);
        }
        for target in elements.filter_map(|element| element.get("target")).flat_map(Node::children) {
            if self.depends(target) {
                self.add(map, group, "target", Some(target), target);
            }
        }
        Ok(())
    }

    /// From the group's target to its source.
    fn reversed(&mut self, map: Node<'_>, group: Node<'_>, coding: &Coding) {
        if !is_of(group, "target", "targetVersion", coding) || !self.leads_to(group, "source") {
            return;
        }
        for element in group.get("element").into_iter().flat_map(Node::children) {
            for target in element.get("target").into_iter().flat_map(Node::children) {
                if is(target, "code", &coding.code) && self.depends(target) {
                    self.add(map, group, "source", Some(element), target);
                }
            }
        }
    }

    /// What a group says of codes that it does not name.
    /// <https://hl7.org/fhir/R4/conceptmap-definitions.html#ConceptMap.group.unmapped>
    fn unmapped(
        &mut self,
        map: Node<'_>,
        group: Node<'_>,
        coding: &Coding,
        above: &mut Vec<Canonical>,
    ) -> Result<(), Error> {
        let Some(unmapped) = group.get("unmapped") else { return Ok(()) };
        match unmapped.get_str("mode").as_deref() {
            Some("provided") => {
                let concept =
                    json!({"system": group.get_str("target"), "code": coding.code, "display": coding.display});
                self.push(map, Some("equal"), Some(without_nulls(concept)), Vec::new());
            }
            Some("fixed") => {
                let text = |name: &str| unmapped.get_str(name);
                let concept =
                    json!({"system": group.get_str("target"), "code": text("code"), "display": text("display")});
                self.push(map, None, Some(without_nulls(concept)), Vec::new());
            }
            Some("other-map") => {
                let url = unmapped.get_str("url").unwrap_or_default();
                self.map(&Canonical::parse(Kind::ConceptMap, &url), coding, above)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the concept of `named` (an element or its target), which the group's `side` has, as `target` relates it.
    fn add(&mut self, map: Node<'_>, group: Node<'_>, side: &str, named: Option<Node<'_>>, target: Node<'_>) {
        let equivalence = target.get_str("equivalence");
        let equivalence = if side == "source" { equivalence.as_deref().map(turned) } else { equivalence.as_deref() };
        let concept = named.and_then(|named| {
            let code = named.get_str("code")?;
            let system = group.get_str(side);
            let version = group.get_str(if side == "source" { "sourceVersion" } else { "targetVersion" });
            let display = named.get_str("display").map(std::borrow::Cow::into_owned);
            let display = display.or_else(|| self.display(system.as_deref()?, version.as_deref(), &code));
            Some(without_nulls(json!({"system": system, "version": version, "code": code, "display": display})))
        });
        let products = target.get("product").into_iter().flat_map(Node::children).filter(|_| side == "target");
        let product = |product: Node<'_>| {
            let text = |name: &str| product.get_str(name);
            let system = text("system").map(|system| split_canonical(&system).0.to_owned());
            let concept = json!({"system": system, "code": text("value"), "display": text("display")});
            json!({"name": "product", "part": [
                {"name": "element", "valueUri": text("property")},
                {"name": "concept", "valueCoding": without_nulls(concept)}]})
        };
        self.push(map, equivalence, concept, products.map(product).collect());
    }

    fn push(&mut self, map: Node<'_>, equivalence: Option<&str>, concept: Option<Value>, products: Vec<Value>) {
        self.found |= concept.is_some() && !matches!(equivalence, Some("unmatched" | "disjoint"));
        let mut part: Vec<Value> =
            equivalence.into_iter().map(|code| json!({"name": "equivalence", "valueCode": code})).collect();
        part.extend(concept.map(|coding| json!({"name": "concept", "valueCoding": coding})));
        part.extend(products);
        part.extend(map.get_str("url").map(|url| json!({"name": "source", "valueUri": url})));
        self.matches.push(json!({"name": "match", "part": part}));
    }

    fn leads_to(&self, group: Node<'_>, side: &str) -> bool {
        self.question.target_system.as_deref().is_none_or(|wanted| is(group, side, wanted))
    }

    /// Whether what the translation depends on is the case.
    fn depends(&self, target: Node<'_>) -> bool {
        target.get("dependsOn").into_iter().flat_map(Node::children).all(|needed| {
            let system = needed.get_str("system").map(|system| split_canonical(&system).0.to_owned());
            self.question.dependencies.iter().any(|(property, coding)| {
                is(needed, "property", property)
                    && is(needed, "value", &coding.code)
                    && system.as_ref().is_none_or(|system| *system == coding.system)
            })
        })
    }

    fn display(&mut self, system: &str, version: Option<&str>, code: &str) -> Option<String> {
        let (canonical, library) = (Canonical::new(Kind::CodeSystem, system, version), self.library);
        let read = |canonical: &Canonical| library.find(canonical).map(CodeSystem::read);
        let held = self.systems.entry(canonical).or_insert_with_key(read).as_ref()?;
        held.find(code)?.display().map(std::borrow::Cow::into_owned)
    }
}

fn is(node: Node<'_>, name: &str, value: &str) -> bool {
    node.get_str(name).is_some_and(|own| own == value)
}

/// Whether that side of a group is of the coding's system and version, as far as both say.
fn is_of(group: Node<'_>, side: &str, version: &str, coding: &Coding) -> bool {
    let version = group.get_str(version);
    let versions = version.as_deref().zip(coding.version.as_deref());
    is(group, side, &coding.system) && versions.is_none_or(|(own, asked)| own == asked)
}

/// The relation seen from the other end. <https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html>
fn turned(equivalence: &str) -> &str {
    match equivalence {
        "wider" => "narrower",
        "narrower" => "wider",
        "subsumes" => "specializes",
        "specializes" => "subsumes",
        same => same,
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}
