//! Makes value sets ready to be asked: each include and exclude with the code systems and value sets it draws from.
//! <https://hl7.org/fhir/R4/valueset.html#compositions>

use super::{
    Canonical, Kind, Library,
    code_system::CodeSystem,
    filter,
    value_set::{Codes, Cost, Part, ValueSet},
};
use crate::{Error, json::Node, search::quantity::UCUM};
use rustc_hash::FxHashMap;
use std::{borrow::Cow, rc::Rc};

/// Most value sets within each other.
const IMPORT_DEPTH_MAX: usize = 20;
/// What a filter costs besides looking at each concept: a regular expression is compiled.
const FILTER_COST: usize = 1000;

/// Which versions of code systems are used, beyond what a value set says itself: canonicals `system|version`.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    /// `system-version`: where the value set names none.
    pub preferred: Vec<Canonical>,
    /// `check-system-version`: where the value set names none; another one is an error.
    pub checked: Vec<Canonical>,
    /// `force-system-version`: whatever the value set names.
    pub forced: Vec<Canonical>,
}

impl Versions {
    /// All code systems that are named.
    pub fn systems(&self) -> impl Iterator<Item = &Canonical> {
        self.preferred.iter().chain(&self.checked).chain(&self.forced)
    }

    /// The version of a system that counts, given what the value set says.
    fn of(&self, system: &str, named: Option<Cow<'_, str>>) -> Result<Option<String>, Error> {
        let find = |list: &[Canonical]| list.iter().find(|c| c.url == system).and_then(|c| c.version.clone());
        let named = named.map(Cow::into_owned);
        if let Some(forced) = find(&self.forced) {
            return Ok(Some(forced));
        }
        match (find(&self.checked), named) {
            (Some(checked), Some(named)) if checked != named => Err(Error::BadParameter {
                parameter: format!("check-system-version={system}|{checked}"),
                reason: format!("the value set uses version {named}"),
            }),
            (_, Some(named)) => Ok(Some(named)),
            (Some(checked), None) => Ok(Some(checked)),
            (None, None) => Ok(find(&self.preferred)),
        }
    }
}

/// Makes a value set ready.
///
/// # Errors
/// [`Error::UnknownCanonical`] if it or an import is not held, [`Error::NotSupported`] for circular imports and what is no
/// definition, [`Error::TooCostly`]. What only concerns some of its codes is told when these are asked for.
pub fn compile<'a>(
    library: &'a Library,
    canonical: &Canonical,
    versions: &Versions,
) -> Result<Rc<ValueSet<'a>>, Error> {
    Compiler { library, versions, done: FxHashMap::default(), systems: FxHashMap::default(), cost: Cost::default() }
        .value_set(canonical, &mut Vec::new())
}

struct Compiler<'a, 'b> {
    library: &'a Library,
    versions: &'b Versions,
    done: FxHashMap<Canonical, Rc<ValueSet<'a>>>,
    systems: FxHashMap<Canonical, Rc<CodeSystem<'a>>>,
    cost: Cost,
}

impl<'a> Compiler<'a, '_> {
    fn value_set(&mut self, canonical: &Canonical, above: &mut Vec<Canonical>) -> Result<Rc<ValueSet<'a>>, Error> {
        if let Some(done) = self.done.get(canonical) {
            return Ok(Rc::clone(done));
        }
        if above.contains(canonical) {
            return Err(Error::NotSupported(format!("the value set {canonical} imports itself")));
        }
        if above.len() >= IMPORT_DEPTH_MAX {
            return Err(Error::TooCostly(format!("more than {IMPORT_DEPTH_MAX} value sets within each other")));
        }
        let node = self.library.find(canonical).ok_or_else(|| canonical.unknown())?;
        above.push(canonical.clone());
        let value_set = match (node.get("compose"), node.get("expansion")) {
            (Some(compose), _) => ValueSet {
                includes: self.parts(compose, "include", above)?,
                excludes: self.parts(compose, "exclude", above)?,
                cost: self.cost.clone(),
                active_only: compose.get("inactive").and_then(Node::as_bool) == Some(false),
            },
            (None, Some(expansion)) => expanded(canonical, expansion, &self.cost)?,
            (None, None) => {
                let text =
                    format!("the value set {canonical} has neither compose nor expansion: nobody knows its codes");
                return Err(Error::NotSupported(text));
            }
        };
        above.pop();
        let value_set = Rc::new(value_set);
        self.done.insert(canonical.clone(), Rc::clone(&value_set));
        Ok(value_set)
    }

    fn parts(&mut self, compose: Node<'a>, name: &str, above: &mut Vec<Canonical>) -> Result<Vec<Part<'a>>, Error> {
        let parts = compose.get(name).into_iter().flat_map(Node::children);
        parts.map(|part| self.part(part, above)).collect()
    }

    fn part(&mut self, part: Node<'a>, above: &mut Vec<Canonical>) -> Result<Part<'a>, Error> {
        let urls = part.get("valueSet").into_iter().flat_map(Node::children).filter_map(Node::as_str);
        let imports = urls.map(|url| self.value_set(&Canonical::parse(Kind::ValueSet, &url), above));
        let imports = imports.collect::<Result<Vec<_>, _>>()?;
        let system = part.get_str("system");
        let codes = match &system {
            None => Codes::OfImports,
            Some(system) => self.codes(system, part)?,
        };
        Ok(Part { system, codes, imports })
    }

    fn codes(&mut self, system: &str, part: Node<'a>) -> Result<Codes<'a>, Error> {
        let version = self.versions.of(system, part.get_str("version"))?;
        let canonical = Canonical::new(Kind::CodeSystem, system, version.as_deref());
        let held = self.code_system(&canonical);
        if let Some(concepts) = part.get("concept") {
            let listed = concepts.children().filter_map(|concept| Some((concept.get_str("code")?, concept)));
            let listed: Vec<_> = listed.collect();
            let order = listed.iter().map(|(code, _)| code.clone()).collect();
            return Ok(Codes::Listed(listed.into_iter().collect(), order, held));
        }
        let filters = part.get("filter");
        let Some(held) = held else {
            return Ok(if system == UCUM && filters.is_none() {
                Codes::Ucum
            } else {
                Codes::Unknown(canonical.unknown())
            });
        };
        if !held.complete {
            let text = format!("only some of the codes of the code system {canonical} are here");
            return Ok(Codes::Unknown(Error::NotSupported(text)));
        }
        self.cost.spend(held.concepts().len())?;
        let mut selected = vec![true; held.concepts().len()];
        for filter in filters.into_iter().flat_map(Node::children) {
            self.cost.spend(selected.len() + FILTER_COST)?;
            match filter::select(&held, filter) {
                Ok(mask) => selected.iter_mut().zip(mask).for_each(|(selected, also)| *selected &= also),
                Err(error) => return Ok(Codes::Unknown(error)),
            }
        }
        Ok(Codes::Selected(held, selected))
    }

    fn code_system(&mut self, canonical: &Canonical) -> Option<Rc<CodeSystem<'a>>> {
        if let Some(read) = self.systems.get(canonical) {
            return Some(Rc::clone(read));
        }
        let read = Rc::new(CodeSystem::read(self.library.find(canonical)?));
        self.systems.insert(canonical.clone(), Rc::clone(&read));
        Some(read)
    }
}

/// A value set of which only the result is known. <https://hl7.org/fhir/R4/valueset.html#expansion>
fn expanded<'a>(canonical: &Canonical, expansion: Node<'a>, cost: &Cost) -> Result<ValueSet<'a>, Error> {
    let mut includes: Vec<Part<'a>> = Vec::new();
    let mut by_system = FxHashMap::default();
    let (mut open, mut count): (Vec<Node<'a>>, usize) = (expansion.get("contains").into_iter().collect(), 0);
    while let Some(contains) = open.pop() {
        for item in contains.children() {
            count += 1;
            open.extend(item.get("contains"));
            let (Some(system), Some(code)) = (item.get_str("system"), item.get_str("code")) else { continue };
            let at = *by_system.entry(system.clone()).or_insert_with(|| {
                let codes = Codes::Listed(FxHashMap::default(), Vec::new(), None);
                includes.push(Part { system: Some(system), codes, imports: Vec::new() });
                includes.len() - 1
            });
            if let Codes::Listed(listed, order, _) = &mut includes[at].codes
                && listed.insert(code.clone(), item).is_none()
            {
                order.push(code);
            }
        }
    }
    let total = expansion.get("total").and_then(|total| total.raw().parse::<usize>().ok());
    if total.is_some_and(|total| total > count) {
        let text = format!("of the value set {canonical} only a page of an expansion is here");
        return Err(Error::NotSupported(text));
    }
    Ok(ValueSet { includes, excludes: Vec::new(), active_only: false, cost: cost.clone() })
}
