//! Operations: `$name` at the system, a type, an instance or one of its versions. [`OPERATIONS`] is the list; routing, the
//! CapabilityStatement and the texts of 404, 405 and 501 follow from it and from the definitions, which also say what goes in.
//! <https://hl7.org/fhir/R4/operations.html>

mod coded;
mod document;
mod everything;
mod expand;
mod graph;
mod input;
mod lastn;
mod lookup;
mod meta;
mod meta_change;
mod output;
mod purge;
mod reindex;
mod statistic;
mod stats;
mod subsumes;
mod translate;
mod validate;
mod validate_code;
mod versions;

pub(crate) use input::{Input, Parameter};
pub(crate) use output::Output;

use crate::{Context, error::Error, links::Pages, reply::Reply, request::Request};
use futures::future::BoxFuture;
use std::collections::HashMap;
use tessera_model::{
    AccessContext, Definitions, Error as ModelError, Filter, Key, Permission, ResourceType,
    definitions::OperationDefinition,
    interaction::{Interaction, Level, Operation},
    reference::{self, Literal},
    search::parse::parse,
};
use tessera_store::Version;

/// The operations of this server. To add one: a line here, a file in `operation/`, and, if the specification does not define
/// it, a row in `crates/model/definitions/tessera/operations.ndjson`.
const OPERATIONS: &[Supported] = &[
    Supported::new("CodeSystem-lookup", Needs::Nothing, |call| Box::pin(lookup::perform(call))),
    Supported::new("CodeSystem-subsumes", Needs::Nothing, |call| Box::pin(subsumes::perform(call))),
    Supported::new("CodeSystem-validate-code", Needs::Nothing, |call| Box::pin(validate_code::of_code_system(call))),
    Supported::new("ConceptMap-translate", Needs::Nothing, |call| Box::pin(translate::perform(call))),
    Supported::new("ValueSet-expand", Needs::Nothing, |call| Box::pin(expand::perform(call))),
    Supported::new("ValueSet-validate-code", Needs::Nothing, |call| Box::pin(validate_code::of_value_set(call))),
    Supported::new("CapabilityStatement-versions", Needs::Nothing, |call| Box::pin(versions::perform(call))),
    Supported::new("Composition-document", READ, |call| Box::pin(document::perform(call))),
    Supported::new("Encounter-everything", READ_AND_SEARCH, |call| Box::pin(everything::of_compartment(call))).paged(),
    Supported::new("Group-everything", READ_AND_SEARCH, |call| Box::pin(everything::of_group(call))).paged(),
    Supported::new("Observation-lastn", SEARCH, |call| Box::pin(lastn::perform(call))).takes_criteria(),
    Supported::new("Observation-stats", SEARCH, |call| Box::pin(stats::perform(call))),
    Supported::new("Patient-everything", READ_AND_SEARCH, |call| Box::pin(everything::of_compartment(call))).paged(),
    Supported::new("Resource-meta", READ, |call| Box::pin(meta::perform(call))).on_versions(),
    Supported::new("Resource-erase", Needs::Administration, |call| Box::pin(purge::erase(call))).affects_state(),
    Supported::new("Resource-purge-history", Needs::Administration, |call| Box::pin(purge::history(call)))
        .affects_state(),
    Supported::new("SearchParameter-reindex", Needs::Administration, |call| Box::pin(reindex::perform(call))),
    Supported::new("Resource-graph", READ_AND_SEARCH, |call| Box::pin(graph::perform(call))),
    Supported::new("Resource-meta-add", UPDATE, |call| Box::pin(meta_change::add(call))).affects_state(),
    Supported::new("Resource-meta-delete", UPDATE, |call| Box::pin(meta_change::delete(call))).affects_state(),
    Supported::new("Resource-validate", Needs::OneOf(&[Permission::Create, Permission::Update]), |call| {
        Box::pin(validate::perform(call))
    }),
];

/// What its caller must be allowed to do on its type, before anything is done. What it then reads and writes goes through the
/// store, which restricts it to what the caller may see.
#[derive(Clone, Copy, Debug)]
enum Needs {
    /// Nothing: it tells nothing of any patient.
    Nothing,
    /// All of these.
    All(&'static [Permission]),
    /// One of these.
    OneOf(&'static [Permission]),
    /// To be an administrator.
    Administration,
}

const READ: Needs = Needs::All(&[Permission::Read]);
const SEARCH: Needs = Needs::All(&[Permission::Search]);
const READ_AND_SEARCH: Needs = Needs::All(&[Permission::Read, Permission::Search]);
const UPDATE: Needs = Needs::All(&[Permission::Update]);

impl Needs {
    /// Whether these are met. At the system level, on some type.
    fn are_met(self, access: &AccessContext, resource_type: Option<ResourceType>) -> bool {
        let allows = |permission: &Permission| match resource_type {
            Some(resource_type) => access.allows(*permission, resource_type),
            None => access.allows_any(*permission),
        };
        match self {
            Self::Nothing => true,
            Self::All(permissions) => permissions.iter().all(allows),
            Self::OneOf(permissions) => permissions.iter().any(allows),
            Self::Administration => access.administers(),
        }
    }
}

/// An operation that this server has: at all levels that its definition names.
pub(crate) struct Supported {
    /// The end of its definition's URL: `Patient-everything`. Name, levels and parameters stand there.
    definition: &'static str,
    needs: Needs,
    affects_state: bool,
    on_versions: bool,
    takes_criteria: bool,
    paged: bool,
    perform: Perform,
}

type Perform = for<'a> fn(Call<'a>) -> BoxFuture<'a, Result<Reply, Error>>;

impl Supported {
    const fn new(definition: &'static str, needs: Needs, perform: Perform) -> Self {
        Self {
            definition,
            needs,
            affects_state: false,
            on_versions: false,
            takes_criteria: false,
            paged: false,
            perform,
        }
    }

    /// It changes something: by POST alone.
    const fn affects_state(mut self) -> Self {
        self.affects_state = true;
        self
    }

    /// What can be asked of an instance can be asked of its versions.
    const fn on_versions(mut self) -> Self {
        self.on_versions = true;
        self
    }

    /// Search parameters stand beside its own.
    const fn takes_criteria(mut self) -> Self {
        self.takes_criteria = true;
        self
    }

    /// Its answer has pages, each linked to by `_page`.
    const fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    /// Whether it changes something.
    pub(crate) fn is_write(&self) -> bool {
        self.affects_state
    }

    /// Whether a version of an instance can be asked.
    pub(crate) fn is_on_versions(&self) -> bool {
        self.on_versions
    }

    /// Whether search parameters stand beside its own.
    pub(crate) fn has_criteria(&self) -> bool {
        self.takes_criteria
    }

    /// Whether only administrators may.
    pub(crate) fn is_for_administrators(&self) -> bool {
        matches!(self.needs, Needs::Administration)
    }

    fn is_at(&self, level: &Level, definition: &OperationDefinition) -> bool {
        let of_type = level.resource_type().is_none_or(|t| definition.is_on(t.name()));
        of_type
            && match level {
                Level::System => definition.system,
                Level::Type(_) => definition.of_type,
                Level::Instance(_) => definition.instance,
                Level::Version(..) => definition.instance && self.on_versions,
            }
    }
}

/// An invocation of an operation, its parameters checked against the definition.
pub(crate) struct Call<'a> {
    pub(crate) context: &'a Context,
    pub(crate) access: &'a AccessContext,
    pub(crate) operation: &'a Operation,
    pub(crate) input: Input,
    /// Where the page before ended.
    pub(crate) cursor: Option<String>,
}

impl Call<'_> {
    /// The current version, which is no deletion.
    async fn read(&self, key: &Key) -> Result<Version, Error> {
        match self.context.store.read(self.access, key).await? {
            None => Err(Error::NotFound(key.clone())),
            Some(version) if version.is_deletion() => Err(Error::Gone(key.clone())),
            Some(version) => Ok(version),
        }
    }

    /// The current versions of these, in this order; what is not there is left out.
    async fn read_all(&self, keys: &[Key]) -> Result<Vec<Version>, Error> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(READ_AT_ONCE) {
            let mut types: Vec<ResourceType> = keys.iter().map(|key| key.resource_type).collect();
            types.sort_unstable();
            types.dedup();
            let of_type = |t: &ResourceType| {
                let ids = keys.iter().filter(|key| key.resource_type == *t).map(|key| key.id.clone());
                Filter::All(vec![Filter::Type(vec![*t]), Filter::Id(ids.collect())])
            };
            let mut query = parse(&types, &[], self.context.search(self.context.definitions, false))?.query;
            query.filter = Filter::Any(types.iter().map(of_type).collect());
            query.count = u32::try_from(READ_AT_ONCE).unwrap_or(u32::MAX);
            let page = self.context.store.search(self.access, query, None).await?.matches;
            let mut page: HashMap<Key, Version> = page.into_iter().map(|v| (v.key.clone(), v)).collect();
            found.extend(keys.iter().filter_map(|key| page.remove(key)));
        }
        Ok(found)
    }

    /// The resource of this server that a reference names.
    fn local(&self, reference: &str) -> Option<Key> {
        match reference::parse(reference, &self.context.base, self.context.definitions) {
            Literal::Local(key, _) => Some(key),
            Literal::Contained(_) | Literal::Conditional(_) | Literal::Elsewhere(_) => None,
        }
    }
}

/// How many resources one statement reads.
const READ_AT_ONCE: usize = 500;

/// The operations with their definitions.
pub(crate) fn supported(definitions: &Definitions) -> impl Iterator<Item = (&'static Supported, &OperationDefinition)> {
    OPERATIONS.iter().filter_map(|supported| {
        let by_url = |d: &&OperationDefinition| d.url.rsplit('/').next() == Some(supported.definition);
        Some((supported, definitions.operations().iter().find(by_url)?))
    })
}

/// Performs an operation.
pub(crate) async fn perform(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    let Interaction::Operation(operation) = &request.interaction else { return Err(Error::NoBody) };
    let (supported, definition) = find(operation, context.definitions)?;
    if supported.affects_state && operation.by_get {
        return Err(ModelError::MethodNotAllowed { method: "GET".into(), allowed: vec!["POST"] }.into());
    }
    if !supported.needs.are_met(access, operation.level.resource_type()) {
        return Err(Error::Forbidden);
    }
    let taken = input::Taken { definition, criteria: supported.takes_criteria };
    let (parameters, cursor) = if supported.paged {
        Pages::of(context, access).resolve(&request.parameters)?
    } else {
        (request.parameters, None)
    };
    let input = Input::parse(&taken, &parameters, request.resource, context.definitions)?;
    (supported.perform)(Call { context, access, operation, input, cursor }).await
}

/// The operation of that name at that level, or why there is none.
fn find<'a>(
    operation: &Operation,
    definitions: &'a Definitions,
) -> Result<(&'static Supported, &'a OperationDefinition), Error> {
    let named: Vec<_> = supported(definitions).filter(|(_, definition)| definition.code == operation.name).collect();
    if let Some(found) = named.iter().find(|(supported, definition)| supported.is_at(&operation.level, definition)) {
        return Ok(*found);
    }
    let name = operation.name.chars().take(64).collect::<String>();
    if !named.is_empty() {
        let places: Vec<String> = named.iter().flat_map(|(_, definition)| places(definition)).collect();
        let text = format!("the operation ${name} is not here; it is at {}", places.join(", "));
        return Err(ModelError::NoSuchPath(text).into());
    }
    if definitions.operations().iter().any(|definition| *definition.code == *name) {
        return Err(ModelError::NotSupported(format!("the operation ${name} is not supported by this server")).into());
    }
    Err(ModelError::NoSuchPath(format!("there is no operation ${name}")).into())
}

/// Where it can be invoked: `Patient/$everything`.
fn places(definition: &OperationDefinition) -> Vec<String> {
    let code = &definition.code;
    let mut places = Vec::new();
    if definition.system {
        places.push(format!("${code}"));
    }
    for name in &definition.resources {
        let name = if &**name == "Resource" { "[type]" } else { &**name };
        if definition.of_type {
            places.push(format!("{name}/${code}"));
        }
        if definition.instance {
            places.push(format!("{name}/[id]/${code}"));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_model::interaction::Method;

    #[test]
    fn every_operation_has_a_definition() {
        let defined: Vec<&str> = supported(Definitions::r4()).map(|(supported, _)| supported.definition).collect();
        assert_eq!(defined, OPERATIONS.iter().map(|supported| supported.definition).collect::<Vec<_>>());
    }

    #[test]
    fn an_operation_is_found_where_its_definition_puts_it() {
        let check = |path: &str, expect: Result<&str, &str>| {
            let parsed = Interaction::parse(Method::Post, path, false, Definitions::r4()).unwrap();
            let Interaction::Operation(operation) = parsed else { panic!("{path}") };
            let found = find(&operation, Definitions::r4()).map(|(supported, _)| supported.definition);
            assert_eq!(found.map_err(|e| e.to_string()), expect.map_err(str::to_owned), "{path}");
        };
        check("Patient/$validate", Ok("Resource-validate"));
        check("$meta", Ok("Resource-meta"));
        check("Patient/1/_history/1/$meta", Ok("Resource-meta"));
        check(
            "$validate",
            Err("the operation $validate is not here; it is at [type]/$validate, [type]/[id]/$validate"),
        );
        check("$convert", Err("the operation $convert is not supported by this server"));
        check("$unheard-of", Err("there is no operation $unheard-of"));
    }
}
