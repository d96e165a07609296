//! The parameters that shape the result instead of choosing matches: _sort, _count, _total, _summary, _elements, _include,
//! _revinclude, _type, _contained. <https://hl7.org/fhir/R4/search.html#return>

use super::{
    context::Context,
    query::{Contained, ContainedType, Include, Query, Sort, SortKey, Summary, Total},
};
use crate::{
    Definitions, Error,
    definitions::{SearchParameter, SearchType},
};

/// Matches a page unless asked otherwise.
pub(super) const COUNT_DEFAULT: u32 = 50;
/// Most matches a page; a larger `_count` is served as this (HTTP-5).
const COUNT_MAX: u32 = 1000;
/// Most keys of `_sort`: each is one more look-up a match.
const SORT_KEYS_MAX: usize = 5;
/// Most `_include`s: each is one more statement a page.
const INCLUDES_MAX: usize = 20;

/// Their names, for suggestions. `_format` and `_pretty` belong to HTTP and never come here.
pub(super) const NAMES: [&str; 16] = [
    "_sort",
    "_count",
    "_total",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
    "_type",
    "_contained",
    "_containedType",
    "_has",
    "_list",
    "_filter",
    "_explain",
    "_format",
    "_pretty",
];

/// Applies one of them; `false` if the name is none.
pub(super) fn apply(query: &mut Query, name: &str, value: &str, context: Context<'_>) -> Result<bool, Error> {
    let bad = |reason: &str| Error::BadParameter { parameter: format!("{name}={value}"), reason: reason.to_owned() };
    let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
    if modifier.is_some()
        && !matches!((code, modifier), ("_include" | "_revinclude", Some("iterate" | "recurse")))
        && code != "_has"
        && NAMES.contains(&code)
    {
        return Err(bad("this parameter has no such modifier"));
    }
    match code {
        "_count" => {
            let count: u32 = value.parse().map_err(|_| bad("expected a whole number from 0"))?;
            query.count = count.min(COUNT_MAX);
        }
        "_total" => {
            query.total = match value {
                "none" => Total::None,
                "estimate" | "accurate" => Total::Accurate,
                _ => return Err(bad("expected none, estimate or accurate")),
            }
        }
        "_summary" => {
            query.summary = match value {
                "true" => Summary::True,
                "false" => Summary::False,
                "text" => Summary::Text,
                "data" => Summary::Data,
                "count" => Summary::Count,
                _ => return Err(bad("expected true, false, text, data or count")),
            }
        }
        "_explain" => {
            query.explain = match value {
                "true" => true,
                "false" => false,
                _ => return Err(bad("expected true or false")),
            }
        }
        "_elements" => {
            for element in value.split(',') {
                // At the system level an element may carry its type: `Patient.name`.
                query.elements.push(element.rsplit('.').next().unwrap_or(element).trim().to_owned());
            }
        }
        "_sort" => sort(query, value, context.definitions)?,
        "_include" | "_revinclude" => {
            include(query, code == "_revinclude", modifier.is_some(), value, context.definitions)?;
        }
        // Read beforehand, since it decides which parameters there are; on one type it says nothing new.
        "_type" => {}
        "_contained" => {
            query.contained = match value {
                "false" => Contained::False,
                "true" => Contained::True,
                "both" => Contained::Both,
                _ => return Err(bad("expected true, false or both")),
            }
        }
        "_containedType" => {
            query.contained_type = match value {
                "container" => ContainedType::Container,
                "contained" => ContainedType::Contained,
                _ => return Err(bad("expected container or contained")),
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What cannot be together.
pub(super) fn check(query: &Query) -> Result<(), Error> {
    if query.contained == Contained::False || query.contained_type == ContainedType::Contained {
        return Ok(());
    }
    // The matches are others than what is returned: these would ask one of them and look at the other.
    let by_parameter = |sort: &Sort| matches!(sort.key, SortKey::Parameter(..));
    let name = match (query.includes.first(), query.sort.iter().any(by_parameter)) {
        (Some(include), _) if include.reverse => "_revinclude",
        (Some(_), _) => "_include",
        (None, true) => "_sort by a search parameter",
        (None, false) => return Ok(()),
    };
    let text = format!("{name} is not supported where containers are returned; use _containedType=contained");
    Err(Error::NotSupported(text))
}

/// `_type` of a search at the system level.
pub(super) fn types(
    query: &mut Query,
    parameters: &[(String, String)],
    definitions: &Definitions,
) -> Result<(), Error> {
    for (_, value) in parameters.iter().filter(|(name, _)| name == "_type") {
        for name in value.split(',') {
            let resource_type = definitions.resource_type(name).ok_or_else(|| Error::BadParameter {
                parameter: format!("_type={value}"),
                reason: format!("{name} is not a resource type of FHIR R4"),
            })?;
            query.types.push(resource_type);
        }
    }
    query.types.sort_unstable();
    query.types.dedup();
    Ok(())
}

/// <https://hl7.org/fhir/R4/search.html#sort>
fn sort(query: &mut Query, value: &str, definitions: &Definitions) -> Result<(), Error> {
    for text in value.split(',') {
        let bad = |reason: String| Error::BadParameter { parameter: format!("_sort={value}"), reason };
        let (code, descending) = text.strip_prefix('-').map_or((text, false), |code| (code, true));
        let key = match code {
            "_id" => SortKey::Id,
            "_lastUpdated" => SortKey::LastUpdated,
            _ => {
                let types = if query.types.is_empty() { definitions.resource_types() } else { &query.types };
                let found: Vec<&SearchParameter> =
                    types.iter().filter_map(|&t| definitions.parameter(t, code)).collect();
                found.iter().try_for_each(|p| p.ready().map(|_| ()))?;
                let search_type = found.first().map(|p| p.search_type);
                let Some(search_type) = search_type.filter(|_| found.len() == types.len()) else {
                    return Err(bad(format!("{code} is not a search parameter of the types searched")));
                };
                let sortable = found.iter().all(|p| p.search_type == search_type && p.program.is_some());
                if !sortable
                    || matches!(search_type, SearchType::Composite | SearchType::Special | SearchType::Reference)
                {
                    return Err(bad(format!("sorting by {code} ({}) is not supported", search_type.name())));
                }
                SortKey::Parameter(found.iter().map(|p| p.id).collect(), search_type)
            }
        };
        query.sort.push(Sort { key, descending });
    }
    if query.sort.len() > SORT_KEYS_MAX {
        return Err(Error::TooCostly(format!("more than {SORT_KEYS_MAX} keys in _sort")));
    }
    Ok(())
}

/// `Type:parameter`, `Type:parameter:Target`, `Type:*`, `*`.
fn include(
    query: &mut Query,
    reverse: bool,
    iterate: bool,
    value: &str,
    definitions: &Definitions,
) -> Result<(), Error> {
    let name = if reverse { "_revinclude" } else { "_include" };
    let bad = |reason: &str| Error::BadParameter { parameter: format!("{name}={value}"), reason: reason.to_owned() };
    let mut parts = value.splitn(3, ':');
    let type_named = |name: Option<&str>| definitions.resource_type(name?);
    let references = |p: &&SearchParameter| p.search_type == SearchType::Reference && p.program.is_some();
    let wanted = parts.next();
    let (source, parameters, target) = if value == "*" {
        (None, Vec::new(), None)
    } else {
        let expected = "expected Type:parameter, such as Observation:subject, or *";
        let source = type_named(wanted).ok_or_else(|| bad(expected))?;
        let code = parts.next().ok_or_else(|| bad(expected))?;
        let target = match parts.next() {
            None => None,
            some => Some(type_named(some).ok_or_else(|| bad("the target is no resource type"))?),
        };
        let parameters: Vec<_> = match code {
            "*" => definitions.parameters(source).filter(references).filter(|p| p.ready().is_ok()).collect(),
            _ => {
                let parameter = definitions.parameter(source, code).map(SearchParameter::ready).transpose()?;
                parameter.filter(references).into_iter().collect()
            }
        };
        if parameters.is_empty() {
            return Err(bad(&format!("{code} is not a reference parameter of {source}")));
        }
        let leads_to = |target| parameters.iter().any(|p| p.targets.is_empty() || p.targets.contains(&target));
        if let Some(target) = target.filter(|target| !leads_to(*target)) {
            return Err(bad(&format!("{code} does not refer to {target}")));
        }
        let in_scope = query.types.is_empty() || query.types.contains(&source);
        if !reverse && !iterate && !in_scope {
            return Err(bad(
                "the type is not among those searched; use :iterate to follow references of included resources",
            ));
        }
        (Some(source), parameters.iter().map(|p| p.id).collect(), target)
    };
    query.includes.push(Include { reverse, iterate, source, parameters, target });
    if query.includes.len() > INCLUDES_MAX {
        return Err(Error::TooCostly(format!("more than {INCLUDES_MAX} _include and _revinclude")));
    }
    Ok(())
}
