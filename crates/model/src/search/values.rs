//! The values of a parameter → what must hold: each parameter type with its modifiers.
//! <https://hl7.org/fhir/R4/search.html#ptypes>

use super::{
    context::Coded,
    date,
    escape::Escaped,
    extract::COLUMNS,
    modifier::Modifier,
    near,
    parameter::Parser,
    quantity,
    query::{Criterion, Filter},
    reference,
    string::{StringMode, fold},
    token::{self, TokenValue},
    uri::UriValue,
};
use crate::{
    Error, Id, ResourceType,
    definitions::{ParameterId, SearchParameter, SearchType},
};

/// Most codes that `:in`, `:above` and `:below` may stand for (HTTP-5).
const CODES_MAX: usize = 100_000;

impl Parser<'_> {
    /// One of the parameters, one for each type searched, has one of the values.
    pub(super) fn meets(
        &self,
        parameters: &[&SearchParameter],
        modifier: Modifier,
        values: &[Escaped<'_>],
    ) -> Result<Filter, Error> {
        let Some(first) = parameters.first() else { return Ok(Filter::Any(Vec::new())) };
        if COLUMNS.contains(&&*first.code) {
            return self.column(&first.code, modifier, values);
        }
        if first.search_type == SearchType::Composite {
            return self.composite(parameters, values);
        }
        let ids: Vec<ParameterId> = parameters.iter().map(|p| p.id).collect();
        let not = |filter| Filter::Not(Box::new(filter));
        let tokens = |tokens| Filter::Value(ids.clone(), Criterion::Token(tokens));
        Ok(match (first.search_type, modifier) {
            (SearchType::Token, Modifier::Text) => {
                let folded = values.iter().map(|v| fold(&v.text())).collect();
                Filter::Value(ids, Criterion::String(StringMode::Contains, folded))
            }
            (SearchType::Token, Modifier::OfType) => {
                self.of_identifiers(parameters)?;
                let identifiers = values.iter().map(token::parse_of_type).collect::<Result<_, _>>()?;
                Filter::Value(ids.into_iter().map(ParameterId::by_type).collect(), Criterion::Token(identifiers))
            }
            (SearchType::Token, Modifier::In | Modifier::NotIn) => {
                let members = |v: &Escaped<'_>| self.context.terminology.members(&v.text());
                let filter = tokens(coded(&first.implied_systems, values, members)?);
                if modifier == Modifier::NotIn { not(filter) } else { filter }
            }
            (SearchType::Token, Modifier::Above | Modifier::Below) => {
                tokens(coded(&first.implied_systems, values, |v| self.hierarchy(v, modifier))?)
            }
            _ => {
                let targets: Vec<ResourceType> = if parameters.iter().any(|p| p.targets.is_empty()) {
                    Vec::new()
                } else {
                    parameters.iter().flat_map(|p| p.targets.iter().copied()).collect()
                };
                let criterion =
                    self.criterion(first.search_type, modifier, &targets, &first.implied_systems, values)?;
                let filter = Filter::Value(ids, criterion);
                if modifier == Modifier::Not { not(filter) } else { filter }
            }
        })
    }

    /// One of the parameters has a value at all.
    pub(super) fn present(&self, parameters: &[&SearchParameter]) -> Filter {
        let Some(first) = parameters.first() else { return Filter::Any(Vec::new()) };
        // Ids and times are never missing.
        if COLUMNS.contains(&&*first.code) {
            return Filter::always();
        }
        // A composite has values where its first component has any.
        match first.components.first() {
            Some(component) => Filter::Present(
                parameters.iter().filter_map(|p| p.components.first()).map(|c| c.id).collect(),
                component.search_type,
            ),
            None => Filter::Present(parameters.iter().map(|p| p.id).collect(), first.search_type),
        }
    }

    /// `_id` and `_lastUpdated` stand in the resource's own row.
    fn column(&self, code: &str, modifier: Modifier, values: &[Escaped<'_>]) -> Result<Filter, Error> {
        let bad = || Error::BadParameter {
            parameter: code.to_owned(),
            reason: "this parameter has no modifiers but :missing and, if it is _id, :not".into(),
        };
        match (code, modifier) {
            ("_lastUpdated", Modifier::None) => {
                let times = values.iter().map(|v| date::parse(v, self.context.now));
                Ok(Filter::LastUpdated(times.collect::<Result<_, _>>()?))
            }
            ("_id", Modifier::None | Modifier::Not) => {
                let id = |v: &Escaped<'_>| {
                    Id::parse(&v.text()).ok_or_else(|| v.bad("expected an id: 1 to 64 of A-Z a-z 0-9 - ."))
                };
                let filter = Filter::Id(values.iter().map(id).collect::<Result<_, _>>()?);
                Ok(if modifier == Modifier::Not { Filter::Not(Box::new(filter)) } else { filter })
            }
            _ => Err(bad()),
        }
    }

    /// <https://hl7.org/fhir/R4/search.html#composite>
    fn composite(&self, parameters: &[&SearchParameter], values: &[Escaped<'_>]) -> Result<Filter, Error> {
        let mut alternatives = Vec::new();
        for parameter in parameters {
            for value in values {
                let parts = value.split('$');
                if parts.len() != parameter.components.len() || parts.iter().any(Escaped::is_empty) {
                    return Err(value.bad(&format!("expected {} values separated by $", parameter.components.len())));
                }
                let mut components = Vec::new();
                for (component, part) in parameter.components.iter().zip(parts) {
                    let criterion =
                        self.criterion(component.search_type, Modifier::None, &component.targets, &[], &[part])?;
                    components.push((component.id, criterion));
                }
                alternatives.push(components);
            }
        }
        Ok(Filter::Composite(alternatives))
    }

    /// `:of-type` asks for identifiers.
    fn of_identifiers(&self, parameters: &[&SearchParameter]) -> Result<(), Error> {
        let types = self.context.definitions.types();
        let holds_identifiers = |p: &&SearchParameter| {
            p.program.as_ref().is_some_and(|program| program.types().iter().any(|&t| &*types[t].name == "Identifier"))
        };
        match parameters.iter().find(|p| !holds_identifiers(p)) {
            None => Ok(()),
            Some(p) => Err(Error::BadParameter {
                parameter: format!("{}:of-type", p.code),
                reason: "this modifier is for identifiers; this parameter has none".into(),
            }),
        }
    }

    /// The codes above or below `system|code`.
    fn hierarchy(&self, value: &Escaped<'_>, modifier: Modifier) -> Result<Vec<Coded>, Error> {
        let terminology = self.context.terminology;
        match &value.split('|')[..] {
            [system, code] if !system.is_empty() && !code.is_empty() => {
                let (system, code) = (system.text(), code.text());
                if modifier == Modifier::Above {
                    terminology.ancestors_or_self(&system, &code)
                } else {
                    terminology.descendants_or_self(&system, &code)
                }
            }
            _ => Err(value.bad("expected system|code: the hierarchy is that of a code system")),
        }
    }

    /// What a value must be, of a parameter or a component.
    pub(super) fn criterion(
        &self,
        search_type: SearchType,
        modifier: Modifier,
        targets: &[ResourceType],
        implied_systems: &[Box<str>],
        values: &[Escaped<'_>],
    ) -> Result<Criterion, Error> {
        let (definitions, base, now) = (self.context.definitions, self.context.base, self.context.now);
        Ok(match search_type {
            SearchType::String => {
                let mode = match modifier {
                    Modifier::Exact => StringMode::Exact,
                    Modifier::Contains => StringMode::Contains,
                    _ => StringMode::StartsWith,
                };
                let text = |v: &Escaped<'_>| if mode == StringMode::Exact { v.text() } else { fold(&v.text()) };
                Criterion::String(mode, values.iter().map(text).collect())
            }
            SearchType::Token => Criterion::Token(tokens(values, implied_systems)?),
            SearchType::Reference if modifier == Modifier::Identifier => {
                Criterion::Token(tokens(values, implied_systems)?)
            }
            SearchType::Date => Criterion::Date(values.iter().map(|v| date::parse(v, now)).collect::<Result<_, _>>()?),
            SearchType::Number => {
                Criterion::Quantity(values.iter().map(quantity::parse_number).collect::<Result<_, _>>()?)
            }
            SearchType::Quantity => Criterion::Quantity(values.iter().map(quantity::parse).collect::<Result<_, _>>()?),
            SearchType::Reference => {
                let of_type = if let Modifier::Type(resource_type) = modifier { Some(resource_type) } else { None };
                let parse = |v: &Escaped<'_>| reference::parse(v, of_type, targets, base, definitions);
                Criterion::Reference(values.iter().map(parse).collect::<Result<_, _>>()?)
            }
            SearchType::Uri => {
                let read = match modifier {
                    Modifier::Below => UriValue::below,
                    Modifier::Above => UriValue::above,
                    _ => UriValue::exact,
                };
                Criterion::Uri(values.iter().map(|v| read(&v.text())).collect())
            }
            SearchType::Special => Criterion::Near(values.iter().map(near::parse).collect::<Result<_, _>>()?),
            SearchType::Composite => {
                return Err(Error::NotSupported("this kind of search parameter is not supported here".into()));
            }
        })
    }
}

fn tokens(values: &[Escaped<'_>], implied_systems: &[Box<str>]) -> Result<Vec<TokenValue>, Error> {
    Ok(values.iter().map(|v| token::parse(v, implied_systems)).collect::<Result<Vec<_>, _>>()?.concat())
}

/// The codes that the values stand for, each once.
fn coded(
    implied_systems: &[Box<str>],
    values: &[Escaped<'_>],
    codes_of: impl Fn(&Escaped<'_>) -> Result<Vec<Coded>, Error>,
) -> Result<Vec<TokenValue>, Error> {
    let mut codes: Vec<Coded> = Vec::new();
    for value in values {
        codes.extend(codes_of(value)?);
        if codes.len() > CODES_MAX {
            return Err(Error::TooCostly(format!("the value stands for more than {CODES_MAX} codes")));
        }
    }
    codes.sort_unstable();
    codes.dedup();
    Ok(codes.into_iter().flat_map(|(system, code)| TokenValue::coded(system, Some(code), implied_systems)).collect())
}
