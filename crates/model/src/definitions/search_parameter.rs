//! Search parameters, their expressions compiled for each resource type they apply to.
//! <https://hl7.org/fhir/R4/searchparameter-registry.html>

use super::{TypeId, TypeKind, TypeTable, row::rows};
use crate::{
    Error, ResourceType,
    fhirpath::{CompileError, Program, compile},
};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, HashMap};

pub(super) const SPECIFIED: &str = include_str!("../../definitions/r4/search-parameters.ndjson");
/// What the index holds for the server's own use: nobody can search by these. Their numbers are above the specification's.
pub(super) const INTERNAL: &str = include_str!("../../definitions/tessera/search-parameters.ndjson");

/// How many numbers each resource type has for its parameters; the table's own numbers stay below.
const NUMBERS_PER_TYPE: i64 = 2048;

/// What databases hold instead of a parameter's name: one number for each resource type and parameter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ParameterId(pub i64);

impl ParameterId {
    /// The first number of parameters that are stored as resources: from there on, numbers for components follow each.
    pub const STORED_FIRST: i64 = 1 << 40;

    /// Under which number an identifier parameter holds its identifiers by their types: their rows are no values of the
    /// parameter itself. A stored parameter has the numbers after its own, and a token has no components that would need them.
    #[must_use]
    pub fn by_type(self) -> Self {
        Self(if self.0 >= Self::STORED_FIRST { self.0 + 1 } else { -self.0 })
    }
}

/// The types of search parameters: <https://hl7.org/fhir/R4/search.html#ptypes>
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SearchType {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

impl SearchType {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "number" => Self::Number,
            "date" => Self::Date,
            "string" => Self::String,
            "token" => Self::Token,
            "reference" => Self::Reference,
            "composite" => Self::Composite,
            "quantity" => Self::Quantity,
            "uri" => Self::Uri,
            _ => Self::Special,
        }
    }

    /// The specification's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Date => "date",
            Self::String => "string",
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Composite => "composite",
            Self::Quantity => "quantity",
            Self::Uri => "uri",
            Self::Special => "special",
        }
    }
}

/// One search parameter of one resource type.
#[derive(Debug)]
pub struct SearchParameter {
    /// Its number in databases.
    pub id: ParameterId,
    /// The resource type it is for.
    pub resource_type: ResourceType,
    /// Its name in a URL.
    pub code: Box<str>,
    /// The canonical URL of its definition.
    pub url: Box<str>,
    /// Its type.
    pub search_type: SearchType,
    /// What its references may point to; empty: anything.
    pub targets: Vec<ResourceType>,
    /// Finds its values in a resource; `None` where the definition has no expression (`_text`, `near` of some types).
    pub program: Option<Program>,
    /// For a composite: its components, whose values must lie within one element.
    pub components: Vec<Component>,
    /// Code systems that need not be said with a `code`, since a required binding implies them.
    pub implied_systems: Vec<Box<str>>,
    /// Whether everything stored is indexed for it.
    pub readiness: Readiness,
}

impl SearchParameter {
    /// Whether it may look at elements of these names in a resource of that type: its own, or one that it reaches from there.
    #[must_use]
    pub fn may_read(&self, resource_type: ResourceType, names: &[&str]) -> bool {
        let own = self.resource_type == resource_type;
        let components = self.components.iter().map(|component| &component.program);
        self.program.iter().chain(components).any(|program| program.may_read(names, own))
    }

    /// Whether it is for the server's own use.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.code.starts_with('-')
    }

    /// Under which numbers its values stand in databases.
    pub fn numbers(&self) -> impl Iterator<Item = ParameterId> {
        [self.id, self.id.by_type()].into_iter().chain(self.components.iter().map(|component| component.id))
    }

    /// Itself, if a search by it finds everything that it should.
    ///
    /// # Errors
    /// [`Error::NotIndexed`]; [`Error::BadParameter`] if its definition cannot be used.
    pub fn ready(&self) -> Result<&Self, Error> {
        match &self.readiness {
            Readiness::Ready => Ok(self),
            Readiness::Indexing(done) => Err(Error::NotIndexed { code: self.code.to_string(), done: *done }),
            Readiness::Unusable(why) => Err(Error::BadParameter {
                parameter: self.code.to_string(),
                reason: format!("the SearchParameter {} cannot be used: {why}", self.url),
            }),
        }
    }
}

/// Whether a parameter finds everything that it should. Those of the specification always do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It was stored when there were resources already, which are being indexed for it: how many of them are, in percent.
    Indexing(u8),
    /// Its definition cannot be used, and why.
    Unusable(Box<str>),
}

/// One part of a composite parameter.
#[derive(Debug)]
pub struct Component {
    /// Its number in databases.
    pub id: ParameterId,
    /// The type of its values.
    pub search_type: SearchType,
    /// Finds its values, starting from the composite's element.
    pub program: Program,
    /// As [`SearchParameter::targets`].
    pub targets: Vec<ResourceType>,
}

/// An expression that this server cannot compile. A test holds that there is none.
#[derive(Debug, thiserror::Error)]
#[error("search parameter {url}: {error}")]
pub struct BadExpression {
    /// The parameter.
    pub url: String,
    /// Why.
    pub error: CompileError,
}

/// A resource type's parameters by code, in order.
pub(super) type ByType = FxHashMap<ResourceType, BTreeMap<Box<str>, SearchParameter>>;

struct Definition {
    number: i64,
    code: Box<str>,
    url: Box<str>,
    bases: Vec<Box<str>>,
    search_type: SearchType,
    expression: String,
    targets: Vec<ResourceType>,
    components: Vec<(String, String)>,
}

pub(super) fn load(
    table: &'static str,
    types: &TypeTable,
    resource_types: &[ResourceType],
    code_systems: &dyn Fn(&str) -> Vec<Box<str>>,
) -> (ByType, Vec<BadExpression>) {
    let definitions = read(table, types);
    let by_url: FxHashMap<&str, &Definition> = definitions.iter().map(|d| (&*d.url, d)).collect();
    let mut by_type = ByType::default();
    let mut bad = Vec::new();
    for definition in &definitions {
        for &resource_type in resource_types {
            let Some(type_id) = types.named(resource_type.name()) else { continue };
            let mut bases = definition.bases.iter().filter_map(|base| types.named(base));
            if !bases.any(|base| types.is_a(type_id, base)) {
                continue;
            }
            match parameter(definition, resource_type, types, &by_url, code_systems, compile) {
                Ok(parameter) => {
                    by_type.entry(resource_type).or_default().insert(definition.code.clone(), parameter);
                }
                Err(error) => bad.push(BadExpression { url: definition.url.to_string(), error }),
            }
        }
    }
    (by_type, bad)
}

fn read(table: &'static str, types: &TypeTable) -> Vec<Definition> {
    let resource = |name: &str| match types[types.named(name)?].kind {
        TypeKind::Resource(resource_type) => Some(resource_type),
        _ => None,
    };
    rows(table)
        .map(|row| Definition {
            number: row.number("n").unwrap_or(0).into(),
            code: row.text("code").into(),
            url: row.text("url").into(),
            bases: row.texts("base"),
            search_type: SearchType::named(row.text("type")),
            expression: row.unescaped("expression"),
            targets: row.texts("target").iter().filter_map(|name| resource(name)).collect(),
            components: row
                .objects("component")
                .iter()
                .map(|c| {
                    (c.get_str("url").unwrap_or_default().into(), c.get_str("expression").unwrap_or_default().into())
                })
                .collect(),
        })
        .collect()
}

/// The expressions of the specification's parameters by URL.
pub(super) fn expressions() -> HashMap<String, String> {
    rows(SPECIFIED).map(|row| (row.text("url").to_owned(), row.unescaped("expression"))).collect()
}

/// [`compile`], or whatever a test puts in its place.
type Compile = fn(&str, &[TypeId], TypeId, &TypeTable) -> Result<Program, CompileError>;

fn parameter(
    definition: &Definition,
    resource_type: ResourceType,
    types: &TypeTable,
    by_url: &FxHashMap<&str, &Definition>,
    code_systems: &dyn Fn(&str) -> Vec<Box<str>>,
    compile: Compile,
) -> Result<SearchParameter, CompileError> {
    let id = |number: i64| ParameterId(resource_type.number() * NUMBERS_PER_TYPE + number);
    let root = types.named(resource_type.name()).ok_or(CompileError::UnknownType(resource_type.name().into()))?;
    let program = match &*definition.expression {
        "" => None,
        expression => Some(compile(expression, &[root], root, types)?),
    };
    let mut components = Vec::new();
    for (index, (url, expression)) in definition.components.iter().enumerate() {
        let Some(part) = by_url.get(url.as_str()) else { return Err(CompileError::UnknownType(url.as_str().into())) };
        let roots = program.as_ref().map(|p| p.types().to_vec()).unwrap_or_default();
        components.push(Component {
            id: id(definition.number + 1 + i64::try_from(index).unwrap_or(0)),
            search_type: part.search_type,
            program: compile(expression, &roots, root, types)?,
            targets: part.targets.clone(),
        });
    }
    let implied_systems = implied_systems(program.as_ref(), code_systems);
    let targets = narrowed(&definition.targets, program.as_ref());
    Ok(SearchParameter {
        id: id(definition.number),
        resource_type,
        code: definition.code.clone(),
        url: definition.url.clone(),
        search_type: definition.search_type,
        targets,
        program,
        components,
        implied_systems,
        readiness: Readiness::Ready,
    })
}

/// The code systems of the required bindings on what a program ends in.
pub(super) fn implied_systems(
    program: Option<&Program>,
    code_systems: &dyn Fn(&str) -> Vec<Box<str>>,
) -> Vec<Box<str>> {
    let bindings = program.map(Program::bindings).unwrap_or_default();
    let mut systems: Vec<Box<str>> = bindings.iter().flat_map(|value_set| code_systems(value_set)).collect();
    systems.sort_unstable();
    systems.dedup();
    systems
}

/// The target types that the expression itself leaves: `where(resolve() is Patient)`.
pub(super) fn narrowed(targets: &[ResourceType], program: Option<&Program>) -> Vec<ResourceType> {
    let resolved = program.and_then(Program::resolved_types);
    let kept =
        |target: &&ResourceType| resolved.as_ref().is_none_or(|names| names.iter().any(|n| **n == *target.name()));
    targets.iter().filter(kept).copied().collect()
}

#[cfg(test)]
mod tests;
