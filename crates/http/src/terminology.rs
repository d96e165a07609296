//! Where terminology meets the store: what a question needs is gathered, with the caller's access, before it is answered.
//! What is stored goes before what is bundled.

mod conditions;

pub(crate) use conditions::answers;

use crate::{Context, error::Error};
use std::sync::Mutex;
use tessera_model::{
    AccessContext, Error as ModelError, Resource, ResourceType,
    reference::{self, Literal},
    search::{
        self, Coded,
        parse::{Parsed, parse},
    },
    terminology::{Canonical, CodeSystem, Kind, Library, Versions, compile},
};

/// URLs looked up by one search: the most alternatives that a parameter may have.
const URLS_MAX: usize = 200;
/// Most stored resources of a kind that may bear the URLs of one look-up, all versions together.
const VERSIONS_MAX: usize = 1000;

/// Settles all that is open in the library.
pub(crate) async fn gather(context: &Context, access: &AccessContext, library: &mut Library) -> Result<(), Error> {
    loop {
        let open = library.open();
        if open.is_empty() {
            return Ok(());
        }
        for kind in [Kind::CodeSystem, Kind::ValueSet, Kind::ConceptMap] {
            let of_kind: Vec<&Canonical> = open.iter().filter(|canonical| canonical.kind == kind).collect();
            for canonicals in of_kind.chunks(URLS_MAX) {
                let urls: Vec<&str> = canonicals.iter().map(|canonical| canonical.url.as_str()).collect();
                let stored = stored(context, access, kind, "url", &urls).await?;
                for canonical in canonicals {
                    match by_id(context, access, canonical).await? {
                        Some(resource) => library.add((*canonical).clone(), &resource)?,
                        None => library.settle(canonical, &stored)?,
                    }
                }
            }
        }
    }
}

/// The stored resources of a kind of which a URI parameter has one of the values.
pub(crate) async fn stored(
    context: &Context,
    access: &AccessContext,
    kind: Kind,
    parameter: &str,
    values: &[&str],
) -> Result<Vec<Resource>, Error> {
    let values: Vec<String> = values.iter().filter(|value| !value.is_empty()).map(|value| escaped(value)).collect();
    let Some(resource_type) = context.definitions.resource_type(kind.name()).filter(|_| !values.is_empty()) else {
        return Ok(Vec::new());
    };
    let pairs = [(parameter.to_owned(), values.join(","))];
    let mut query = parse(&[resource_type], &pairs, context.search(context.definitions, false))?.query;
    query.count = 100;
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = context.store.search(access, query.clone(), cursor).await?;
        for version in page.matches {
            found.push(Resource::parse(version.body, context.definitions)?);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
        if found.len() >= VERSIONS_MAX {
            let text = format!("more than {VERSIONS_MAX} resources of type {} are concerned", kind.name());
            return Err(ModelError::TooCostly(text).into());
        }
    }
}

/// What is named by `ValueSet/id` and not by a canonical.
async fn by_id(context: &Context, access: &AccessContext, canonical: &Canonical) -> Result<Option<Resource>, Error> {
    let Literal::Local(key, None) = reference::parse(&canonical.url, &context.base, context.definitions) else {
        return Ok(None);
    };
    if key.resource_type.name() != canonical.kind.name() || canonical.version.is_some() {
        return Ok(None);
    }
    match context.store.read(access, &key).await? {
        Some(version) if !version.is_deletion() => Ok(Some(Resource::parse(version.body, context.definitions)?)),
        Some(_) | None => Ok(None),
    }
}

/// A value of a search parameter, with the escapes of <https://hl7.org/fhir/R4/search.html#escaping>.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, ',' | '|' | '$' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// Parses a search, gathering the value sets and code systems that it turns out to need.
pub(crate) async fn parse_search(
    context: &Context,
    access: &AccessContext,
    types: &[ResourceType],
    parameters: &[(String, String)],
    lenient: bool,
) -> Result<Parsed, Error> {
    let mut known = Known::default();
    loop {
        let definitions = context.store.definitions();
        let asked = search::Context { terminology: &known, ..context.search(&definitions, lenient) };
        let parsed = parse(types, parameters, asked);
        // What was answered where something was missing does not count.
        let missing = std::mem::take(&mut *known.missing.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if missing.is_empty() {
            return Ok(parsed?);
        }
        missing.into_iter().for_each(|canonical| known.library.want(canonical));
        gather(context, access, &mut known.library).await?;
    }
}

/// What a search asks of terminology, answered from what was gathered; what is missing is noted.
#[derive(Default)]
struct Known {
    library: Library,
    missing: Mutex<Vec<Canonical>>,
}

impl Known {
    /// Whether that was looked for; if not, it will be.
    fn has(&self, canonical: &Canonical) -> bool {
        let has = self.library.is_settled(canonical);
        if !has {
            self.missing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(canonical.clone());
        }
        has
    }

    /// One of a system's codes and those below it, or above it.
    fn related(&self, system: &str, code: &str, below: bool) -> Answer {
        let canonical = Canonical::new(Kind::CodeSystem, system, None);
        if !self.has(&canonical) {
            return Ok(Vec::new());
        }
        let bad = |reason: String| ModelError::BadParameter { parameter: format!("{system}|{code}"), reason };
        let node = self.library.find(&canonical).ok_or_else(|| bad(canonical.unknown().to_string()))?;
        let held = CodeSystem::read(node);
        if !held.complete {
            let text = format!("only some of the codes of the code system {system} are here");
            return Err(ModelError::NotSupported(text));
        }
        let related = if below { held.descendants_or_self(code) } else { held.ancestors_or_self(code) };
        if related.is_empty() {
            return Err(bad("the code system has no such code".into()));
        }
        Ok(related.iter().map(|concept| (system.to_owned(), concept.code().into_owned())).collect())
    }
}

type Answer = Result<Vec<Coded>, ModelError>;

impl search::Terminology for Known {
    fn members(&self, value_set: &str) -> Answer {
        let canonical = Canonical::parse(Kind::ValueSet, value_set);
        if !self.has(&canonical) {
            return Ok(Vec::new());
        }
        let members = compile(&self.library, &canonical, &Versions::default()).and_then(|compiled| compiled.members());
        let members = members.map_err(|error| match error {
            // The URL of the request exists; what it names does not.
            ModelError::UnknownCanonical { .. } => {
                ModelError::BadParameter { parameter: value_set.to_owned(), reason: error.to_string() }
            }
            other => other,
        })?;
        Ok(members.into_iter().map(|member| (member.system.into_owned(), member.code.into_owned())).collect())
    }

    fn ancestors_or_self(&self, system: &str, code: &str) -> Answer {
        self.related(system, code, false)
    }

    fn descendants_or_self(&self, system: &str, code: &str) -> Answer {
        self.related(system, code, true)
    }
}
