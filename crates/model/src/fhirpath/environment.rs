//! What surrounds an evaluation: the resource, the caller's variables, the time, other resources, and how much it may cost.
//! <http://hl7.org/fhirpath/N1/#environment-variables>, <https://hl7.org/fhir/R4/fhirpath.html#variables>

use super::{
    PathError,
    temporal::Temporal,
    value::{Element, Value},
};
use crate::{Definitions, definitions::TypeTable, json::Node, temporal::Micros};
use rustc_hash::FxHashMap;

/// How much an evaluation may cost. Beyond it is [`PathError::TooCostly`](super::PathError::TooCostly).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Items visited and comparisons made; texts count by their length.
    pub steps: usize,
    /// Items of one collection.
    pub items: usize,
    /// Bytes of one computed text.
    pub text_bytes: usize,
    /// Whether regular expressions are evaluated. What they take is bounded each, but not told by the steps: not for
    /// expressions of strangers.
    pub patterns: bool,
}

impl Default for Limits {
    /// Enough for every invariant on a Bundle of 30,000 entries, and less than a second.
    fn default() -> Self {
        Self { steps: 2_000_000, items: 500_000, text_bytes: 1024 * 1024, patterns: true }
    }
}

/// What is left of [`Limits::steps`].
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(limits.steps)
    }

    /// Pays for work.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), PathError> {
        self.0 = self.0.checked_sub(steps).ok_or(PathError::TooCostly("the expression takes too many steps"))?;
        Ok(())
    }
}

/// What an expression may ask of the world outside its document. Everything has a default, which knows nothing.
pub trait Host<'a> {
    /// The resource that a reference (or canonical) leads to, beyond contained resources and entries of the same Bundle.
    fn resolve(&self, reference: &str) -> Option<Node<'a>> {
        let _ = reference;
        None
    }

    /// Whether a code, Coding or CodeableConcept is in a value set. `None`: this value set is not known.
    fn member_of(&self, coded: &Value<'a>, value_set: &str) -> Option<bool> {
        let _ = (coded, value_set);
        None
    }

    /// Whether a code subsumes another of the same system. `None`: not known.
    fn subsumes(&self, code: &Value<'a>, other: &Value<'a>) -> Option<bool> {
        let _ = (code, other);
        None
    }

    /// Whether an element conforms to a profile. `None`: this profile is not known.
    fn conforms_to(&self, element: Element<'a>, profile: &str) -> Option<bool> {
        let _ = (element, profile);
        None
    }

    /// Called by `trace()`.
    fn trace(&self, name: &str, items: &[Value<'a>]) {
        let _ = (name, items);
    }
}

/// The host that knows nothing.
struct Nobody;

impl<'a> Host<'a> for Nobody {}

/// What surrounds an evaluation.
pub struct Environment<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) resource: Option<Element<'a>>,
    pub(super) root_resource: Option<Element<'a>>,
    pub(super) context: Option<Value<'a>>,
    pub(super) now: Option<Temporal>,
    pub(super) host: &'a dyn Host<'a>,
    pub(super) limits: Limits,
    pub(super) as_of_several: bool,
    variables: FxHashMap<String, Vec<Value<'a>>>,
}

impl<'a> Environment<'a> {
    /// An environment without resource, time and host.
    #[must_use]
    pub fn new(definitions: &'a Definitions) -> Self {
        Self {
            definitions,
            resource: None,
            root_resource: None,
            context: None,
            now: None,
            host: &Nobody,
            limits: Limits::default(),
            as_of_several: false,
            variables: FxHashMap::default(),
        }
    }

    /// `%resource`, and `%rootResource` unless [`Self::within`] says otherwise.
    #[must_use]
    pub fn resource(mut self, node: Node<'a>) -> Self {
        self.resource = Some(Element::resource(node, self.types()));
        self
    }

    /// `%rootResource`: the one that contains `%resource`.
    #[must_use]
    pub fn within(mut self, node: Node<'a>) -> Self {
        self.root_resource = Some(Element::resource(node, self.types()));
        self
    }

    /// `%context`; without it, the focus of the evaluation.
    #[must_use]
    pub fn context(mut self, context: Value<'a>) -> Self {
        self.context = Some(context);
        self
    }

    /// What `now()`, `today()` and `timeOfDay()` tell, in UTC; without it they are errors. Fixed, as the specification
    /// demands, and given by the caller, since this crate has no clock.
    #[must_use]
    pub fn at(mut self, now: Micros) -> Self {
        self.now = Temporal::of_micros(now);
        self
    }

    /// Who is asked for what is not in the document.
    #[must_use]
    pub fn host(mut self, host: &'a dyn Host<'a>) -> Self {
        self.host = host;
        self
    }

    /// Other limits than the usual ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets `as` filter several items as `ofType` does, where it should be an error: R4's own search parameters need it
    /// (`Observation.component.value as Quantity`).
    #[must_use]
    pub fn as_of_several(mut self) -> Self {
        self.as_of_several = true;
        self
    }

    /// Makes `%name` known.
    pub fn define(&mut self, name: impl Into<String>, items: Vec<Value<'a>>) {
        self.variables.insert(name.into(), items);
    }

    pub(super) fn types(&self) -> &'a TypeTable {
        self.definitions.types()
    }

    /// `%name`; `None` if there is no such variable.
    pub(super) fn variable(&self, name: &str) -> Option<Vec<Value<'a>>> {
        if let Some(items) = self.variables.get(name) {
            return Some(items.clone());
        }
        let text = |text: &'static str| Some(vec![Value::String(text.into())]);
        let element = |element: Option<Element<'a>>| element.map(|element| vec![Value::Element(element)]);
        match name {
            "resource" => element(self.resource),
            "rootResource" => element(self.root_resource.or(self.resource)),
            "context" => Some(self.context.clone().into_iter().collect()),
            "ucum" => text("http://unitsofmeasure.org"),
            "sct" => text("http://snomed.info/sct"),
            "loinc" => text("http://loinc.org"),
            _ => {
                let value_set = name.strip_prefix("vs-").map(|name| ("ValueSet", name));
                let (folder, name) =
                    value_set.or_else(|| name.strip_prefix("ext-").map(|name| ("StructureDefinition", name)))?;
                Some(vec![Value::String(format!("http://hl7.org/fhir/{folder}/{name}").into())])
            }
        }
    }
}
