//! One parameter of a search → the [`Filter`] that it means; chains and `_has` lead from there to further ones.
//! <https://hl7.org/fhir/R4/search.html#modifiers>

use super::{
    context::Context,
    escape::{Escaped, split_alternatives},
    modifier::Modifier,
    query::{Filter, Place},
    result_parameters, words,
};
use crate::{
    Error, Id, ResourceType,
    definitions::{SearchParameter, SearchType},
    error::similar,
};

/// Most links of a chain (HTTP-5).
const CHAIN_DEPTH_MAX: usize = 3;
/// What `_list` goes by: the type that the specification names, and its parameter.
const LIST: (&str, &str) = ("List", "item");
/// Most `_has` within each other (HTTP-5).
const HAS_DEPTH_MAX: usize = 2;
/// How deep a parameter is inside chains and `_has`.
#[derive(Clone, Copy, Default)]
pub(super) struct Depth {
    chain: usize,
    has: usize,
}

/// Reads parameters within a context.
pub(super) struct Parser<'a> {
    pub(super) context: Context<'a>,
    /// Reads `_filter`, which is made of parameters itself.
    pub(super) filter: fn(&Parser<'_>, &[ResourceType], &str, Depth) -> Result<Filter, Error>,
}

impl<'a> Parser<'a> {
    pub(super) fn filter(
        &self,
        types: &[ResourceType],
        name: &str,
        value: &str,
        depth: Depth,
    ) -> Result<Filter, Error> {
        if let Some(rest) = name.strip_prefix("_has:") {
            return self
                .has(types, name, rest, depth, |source, inner, depth| self.filter(&[source], inner, value, depth));
        }
        if let Some((head, rest)) = name.split_once('.') {
            return self
                .chain(types, name, head, rest, depth, |target, depth| self.filter(&[target], rest, value, depth));
        }
        let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
        match code {
            "_filter" if modifier.is_none() => return (self.filter)(self, types, value, depth),
            "_list" if modifier.is_none() => return self.list(name, value),
            "_query" => {
                let reason = "named queries are not supported by this server";
                return Err(Error::NotSupported(format!("{code}: {reason}")));
            }
            _ => {}
        }
        if let Some(place) = Place::of(code) {
            return self.words(types, code, modifier, value, place);
        }
        let parameters = self.parameters(types, code)?;
        let Some(first) = parameters.first() else { return Err(self.unknown(types, code)) };
        let modifier = match modifier {
            None => Modifier::None,
            Some(text) => Modifier::parse(text, code, first.search_type, self.context.definitions)?,
        };
        if modifier == Modifier::Missing {
            return match value {
                "true" => Ok(Filter::Not(Box::new(self.present(&parameters)))),
                "false" => Ok(self.present(&parameters)),
                _ => Err(Error::BadParameter { parameter: name.to_owned(), reason: "expected true or false".into() }),
            };
        }
        self.meets(&parameters, modifier, &split_alternatives(name, value)?)
    }

    /// The parameter of that code in each of the types, which must agree in its type.
    pub(super) fn parameters(&self, types: &[ResourceType], code: &str) -> Result<Vec<&'a SearchParameter>, Error> {
        let definitions = self.context.definitions;
        let all = if types.is_empty() { definitions.resource_types() } else { types };
        let mut found = Vec::with_capacity(all.len());
        for &resource_type in all {
            let Some(parameter) = definitions.parameter(resource_type, code) else {
                return Err(self.unknown(types, code));
            };
            parameter.ready()?;
            if parameter.program.is_none() {
                return Err(Error::NotSupported(format!(
                    "the search parameter {code} is not supported by this server"
                )));
            }
            found.push(parameter);
        }
        if found.windows(2).any(|pair| pair[0].search_type != pair[1].search_type) {
            let reason = "the types searched define this parameter with different types; search them one by one";
            return Err(Error::BadParameter { parameter: code.to_owned(), reason: reason.to_owned() });
        }
        Ok(found)
    }

    fn unknown(&self, types: &[ResourceType], code: &str) -> Error {
        let definitions = self.context.definitions;
        let codes = types.iter().flat_map(|&t| definitions.parameters(t)).map(|p| &*p.code);
        let (known, scope) = match types {
            [] => (
                vec!["_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_type"],
                "the system level".to_owned(),
            ),
            [one] => (codes.collect(), one.to_string()),
            several => (codes.collect(), several.iter().map(|t| t.name()).collect::<Vec<_>>().join(" or ")),
        };
        let known = known.into_iter().chain(result_parameters::NAMES);
        Error::UnknownParameter { scope, name: code.to_owned(), similar: similar(code, known) }
    }

    /// `_has:Observation:patient:code=…`; `inner` reads what follows: <https://hl7.org/fhir/R4/search.html#has>
    pub(super) fn has(
        &self,
        types: &[ResourceType],
        name: &str,
        rest: &str,
        depth: Depth,
        inner: impl FnOnce(ResourceType, &str, Depth) -> Result<Filter, Error>,
    ) -> Result<Filter, Error> {
        if depth.has >= HAS_DEPTH_MAX {
            return Err(Error::TooCostly(format!("more than {HAS_DEPTH_MAX} _has within each other")));
        }
        let bad = |reason: &str| Error::BadParameter { parameter: name.to_owned(), reason: reason.to_owned() };
        let mut parts = rest.splitn(3, ':');
        let (Some(source), Some(code), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("expected _has:Type:reference:parameter, such as _has:Observation:patient:code"));
        };
        let Some(source) = self.context.definitions.resource_type(source) else {
            return Err(bad("it names no resource type"));
        };
        let parameter = *self.parameters(&[source], code)?.first().ok_or_else(|| self.unknown(&[source], code))?;
        let leads_here =
            parameter.targets.is_empty() || types.is_empty() || types.iter().any(|t| parameter.targets.contains(t));
        if parameter.search_type != SearchType::Reference || !leads_here {
            return Err(bad("the parameter after the type must be a reference to the type searched"));
        }
        let filter = Box::new(inner(source, rest, Depth { has: depth.has + 1, ..depth })?);
        Ok(Filter::Has { source, parameter: parameter.id, filter })
    }

    /// `subject:Patient.name=…`; `inner` reads what follows: <https://hl7.org/fhir/R4/search.html#chaining>
    pub(super) fn chain(
        &self,
        types: &[ResourceType],
        name: &str,
        head: &str,
        rest: &str,
        depth: Depth,
        inner: impl FnOnce(ResourceType, Depth) -> Result<Filter, Error>,
    ) -> Result<Filter, Error> {
        if depth.chain >= CHAIN_DEPTH_MAX {
            return Err(Error::TooCostly(format!("more than {CHAIN_DEPTH_MAX} links in a chain")));
        }
        let bad = |reason: String| Error::BadParameter { parameter: name.to_owned(), reason };
        let (code, target) = head.split_once(':').map_or((head, None), |(code, target)| (code, Some(target)));
        let parameters = self.parameters(types, code)?;
        if parameters.iter().any(|p| p.search_type != SearchType::Reference) {
            return Err(bad(format!("{code} is no reference, so nothing can be chained to it")));
        }
        let mut possible: Vec<ResourceType> = parameters.iter().flat_map(|p| p.targets.iter().copied()).collect();
        if possible.is_empty() || parameters.iter().any(|p| p.targets.is_empty()) {
            possible = self.context.definitions.resource_types().to_vec();
        }
        possible.sort_unstable();
        possible.dedup();
        if let Some(target) = target {
            possible.retain(|t| t.name() == target);
            if possible.is_empty() {
                return Err(bad(format!("{code} does not refer to {target}")));
            }
        } else {
            let first = rest.split([':', '.', '[', ' ']).next().unwrap_or_default();
            let has = |t: &ResourceType| first == "_has" || self.context.definitions.parameter(*t, first).is_some();
            if !possible.iter().any(has) {
                return Err(self.unknown(&possible, first));
            }
            possible.retain(has);
        }
        let &[target] = &possible[..] else {
            let names: Vec<&str> = possible.iter().map(|t| t.name()).collect();
            return Err(bad(format!(
                "{code} may lead to {}; say which, as in {code}:{}.{}",
                names.join(", "),
                names[0],
                rest.split(' ').next().unwrap_or_default()
            )));
        };
        let filter = Box::new(inner(target, Depth { chain: depth.chain + 1, ..depth })?);
        Ok(Filter::Chain { parameters: parameters.iter().map(|p| p.id).collect(), target, filter })
    }

    /// <https://hl7.org/fhir/R4/search.html#content>
    fn words(
        &self,
        types: &[ResourceType],
        code: &str,
        modifier: Option<&str>,
        value: &str,
        place: Place,
    ) -> Result<Filter, Error> {
        if let Some(outside) = types.iter().find(|t| self.context.definitions.parameter(**t, code).is_none()) {
            return Err(self.unknown(&[*outside], code));
        }
        match (modifier, value) {
            (Some("missing"), "true") => Ok(Filter::Not(Box::new(words::present(place)))),
            (Some("missing"), "false") => Ok(words::present(place)),
            (Some(modifier), _) => Err(Error::BadParameter {
                parameter: format!("{code}:{modifier}"),
                reason: "this parameter has no modifier but :missing, which takes true or false".into(),
            }),
            (None, _) => {
                let values = split_alternatives(code, value)?;
                Ok(Filter::Any(values.iter().map(|v| words::parse(v, place)).collect::<Result<_, _>>()?))
            }
        }
    }

    /// `_list=42`: what the entries of that List refer to. <https://hl7.org/fhir/R4/search.html#list>
    fn list(&self, name: &str, value: &str) -> Result<Filter, Error> {
        let definitions = self.context.definitions;
        let (source, code) = LIST;
        let source = definitions.resource_type(source);
        let parameter = source.and_then(|source| definitions.parameter(source, code));
        let (Some(source), Some(parameter)) = (source, parameter) else { return Err(self.unknown(&[], name)) };
        let id = |v: &Escaped<'_>| {
            let text = v.text();
            if text.starts_with('$') {
                return Err(Error::NotSupported(format!("the functional list {text} is not supported by this server")));
            }
            let id = text.strip_prefix(source.name()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&text);
            Id::parse(id).ok_or_else(|| v.bad("expected the id of a List"))
        };
        let ids = split_alternatives(name, value)?.iter().map(id).collect::<Result<_, _>>()?;
        Ok(Filter::Has { source, parameter: parameter.id, filter: Box::new(Filter::Id(ids)) })
    }
}
