//! A value set that is ready: whether a code is in it, and which codes are in it, follow from the same parts.
//! <https://hl7.org/fhir/R4/valueset.html#compositions>

use super::{
    code_system::CodeSystem,
    member::{Member, is_ucum},
};
use crate::{Error, json::Node, search::quantity::UCUM};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{borrow::Cow, cell::Cell, rc::Rc};

/// How much one question may cost: concepts looked at by filters, codes looked for in imports.
const COST_MAX: usize = 4_000_000;

/// What a question has cost so far, all its value sets together.
#[derive(Clone, Debug, Default)]
pub(super) struct Cost(Rc<Cell<usize>>);

impl Cost {
    pub(super) fn spend(&self, steps: usize) -> Result<(), Error> {
        self.0.set(self.0.get() + steps);
        if self.0.get() > COST_MAX {
            return Err(Error::TooCostly("this value set takes too much work".into()));
        }
        Ok(())
    }
}

/// A value set, ready to be asked.
#[derive(Debug)]
pub struct ValueSet<'a> {
    pub(super) includes: Vec<Part<'a>>,
    pub(super) excludes: Vec<Part<'a>>,
    /// `compose.inactive` is `false`.
    pub(super) active_only: bool,
    pub(super) cost: Cost,
}

/// An include or exclude: what is selected from a system, if any, and also stands in all imports.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) system: Option<Cow<'a, str>>,
    pub(super) codes: Codes<'a>,
    pub(super) imports: Vec<Rc<ValueSet<'a>>>,
}

/// What is selected from a system.
#[derive(Debug)]
pub(super) enum Codes<'a> {
    /// No system is named: the imports say.
    OfImports,
    /// These; the code system, if it is held, says which of them there are.
    Listed(FxHashMap<Cow<'a, str>, Node<'a>>, Vec<Cow<'a, str>>, Option<Rc<CodeSystem<'a>>>),
    /// Those of a code system that are marked.
    Selected(Rc<CodeSystem<'a>>, Vec<bool>),
    /// All that UCUM's grammar can say.
    Ucum,
    /// What cannot be known here, and why.
    Unknown(Error),
}

impl<'a> ValueSet<'a> {
    /// The code, if it is in the value set.
    ///
    /// # Errors
    /// If that cannot be known, since a code system is not held or a filter is not understood.
    pub fn find(&self, system: &str, code: &str) -> Result<Option<Member<'a>>, Error> {
        self.cost.spend(1 + self.includes.len() + self.excludes.len())?;
        let Some(member) = any(&self.includes, system, code)? else { return Ok(None) };
        let left_out =
            self.active_only && member.inactive || any(&self.excludes, &member.system, &member.code)?.is_some();
        Ok(Some(member).filter(|_| !left_out))
    }

    /// All codes of the value set, in its order, each once.
    ///
    /// # Errors
    /// As [`Self::find`], and [`Error::TooCostly`].
    pub fn members(&self) -> Result<Vec<Member<'a>>, Error> {
        self.gather()
    }

    /// The code systems that its includes name, imports aside.
    pub fn systems(&self) -> impl Iterator<Item = &str> {
        self.includes.iter().filter_map(|part| part.system.as_deref())
    }

    fn gather(&self) -> Result<Vec<Member<'a>>, Error> {
        let (mut seen, mut members) = (FxHashSet::default(), Vec::new());
        for part in &self.includes {
            for member in part.members(&self.cost)? {
                self.cost.spend(self.excludes.len())?;
                let left_out =
                    self.active_only && member.inactive || any(&self.excludes, &member.system, &member.code)?.is_some();
                if !left_out && seen.insert((member.system.clone(), member.code.clone())) {
                    members.push(member);
                }
            }
        }
        Ok(members)
    }
}

/// The code, if one of the parts selects it. Only if none does, what cannot be known matters.
fn any<'a>(parts: &[Part<'a>], system: &str, code: &str) -> Result<Option<Member<'a>>, Error> {
    let mut unknown = Ok(None);
    for part in parts {
        match part.find(system, code) {
            Ok(Some(member)) => return Ok(Some(member)),
            Ok(None) => {}
            Err(error) => unknown = Err(error),
        }
    }
    unknown
}

impl<'a> Part<'a> {
    fn find(&self, system: &str, code: &str) -> Result<Option<Member<'a>>, Error> {
        if self.system.as_deref().is_some_and(|own| own != system) {
            return Ok(None);
        }
        let mut found = match &self.codes {
            Codes::OfImports => Ok(None),
            Codes::Listed(listed, _, held) => Ok(self.listed(listed, held.as_deref(), code)),
            Codes::Selected(held, selected) => Ok(held
                .position(code)
                .filter(|&at| selected[at])
                .map(|at| Member::of_concept(held, &held.concepts()[at]))),
            Codes::Ucum => Ok(is_ucum(code).then(|| Member::bare(UCUM.into(), code.to_owned().into(), None))),
            Codes::Unknown(error) => Err(error.clone()),
        };
        if self.system.is_some() && matches!(found, Ok(None)) {
            return Ok(None);
        }
        // All imports must have it. One that has it not decides, whatever cannot be known of others.
        for import in &self.imports {
            match (import.find(system, code), &found) {
                (Ok(None), _) => return Ok(None),
                (Ok(Some(member)), Ok(None)) => found = Ok(Some(member)),
                (Ok(Some(_)), _) | (Err(_), Err(_)) => {}
                (Err(error), Ok(_)) => found = Err(error),
            }
        }
        found
    }

    fn members(&self, cost: &Cost) -> Result<Vec<Member<'a>>, Error> {
        let (own, others) = match (&self.codes, self.imports.split_first()) {
            (Codes::OfImports, None) => (Vec::new(), &[][..]),
            (Codes::OfImports, Some((first, others))) => (first.gather()?, others),
            (Codes::Listed(listed, order, held), _) => (
                order.iter().filter_map(|code| self.listed(listed, held.as_deref(), code)).collect(),
                &self.imports[..],
            ),
            (Codes::Selected(held, selected), _) => {
                let concepts = held.concepts().iter().zip(selected).filter(|(_, is)| **is);
                (concepts.map(|(concept, _)| Member::of_concept(held, concept)).collect(), &self.imports[..])
            }
            (Codes::Ucum, _) => return Err(Error::TooCostly("UCUM has no end of codes".into())),
            (Codes::Unknown(error), _) => return Err(error.clone()),
        };
        cost.spend(own.len())?;
        let mut members = Vec::with_capacity(own.len());
        'members: for member in own {
            for import in others {
                if import.find(&member.system, &member.code)?.is_none() {
                    continue 'members;
                }
            }
            members.push(member);
        }
        Ok(members)
    }

    /// A code that is listed, unless its code system is all here and has no such code.
    fn listed(
        &self,
        listed: &FxHashMap<Cow<'a, str>, Node<'a>>,
        held: Option<&CodeSystem<'a>>,
        code: &str,
    ) -> Option<Member<'a>> {
        let concept = held.and_then(|held| held.find(code));
        let own = concept.map_or(Cow::Borrowed(code), |concept| concept.code());
        // The list may write the code in another case than its system, if there case does not matter.
        let (name, node) = listed.get_key_value(code).or_else(|| listed.get_key_value(&*own))?;
        match (held, concept) {
            (Some(held), Some(concept)) => Some(Member { listed: Some(*node), ..Member::of_concept(held, &concept) }),
            (Some(held), None) if held.complete => None,
            _ => Some(Member::bare(self.system.clone()?, name.clone(), Some(*node))),
        }
    }
}
