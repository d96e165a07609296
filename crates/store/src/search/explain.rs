//! `_explain`: what a search was understood as, which predicate leads it, and its SQL without any value.

use super::{counting, criterion, page, plan, task::Search};
use crate::{Error, Matches, backend::Dialect};
use rustc_hash::FxHashMap;
use std::fmt::Write as _;
use tessera_model::{
    Definitions, Permission,
    search::query::{Contained, Filter, Sort, SortKey},
};

/// Explains a search instead of running it.
pub(super) fn run(search: &Search, dialect: &'static Dialect) -> Result<Matches, Error> {
    let names = names(&search.shared.definitions);
    let query = &search.query;
    let types: Vec<&str> = query.types.iter().map(|t| t.name()).collect();
    let types = if types.is_empty() { "every type".to_owned() } else { types.join(", ") };
    let among = match query.contained {
        Contained::False => "",
        Contained::True => ", contained in others",
        Contained::Both => ", also those contained in others",
    };
    let conjuncts = plan::conjuncts(&query.filter);
    let confined = match query.types[..] {
        [one] => plan::is_confined(&search.access.visible(Permission::Search, one)),
        _ => false,
    };
    let (lead, walk) = match plan::lead(&conjuncts, confined) {
        Some(n) if criterion::direct(conjuncts[n]).is_some() => {
            (Some(n), "its own index is walked in the page's order")
        }
        Some(n) => (Some(n), "its index is searched first, the others are asked of each row"),
        None => (None, "every resource of the types is looked at"),
    };
    let lead = lead.map_or_else(|| "nothing".to_owned(), |n| described(conjuncts[n], &names));
    let order = if query.sort.is_empty() { "creation".to_owned() } else { ordered(&query.sort, &names) };
    let plans = if search.is_settled() { "one plan for all values" } else { "planned for its values" };
    let explanation = vec![
        format!(
            "query: {types}{among}; {}; ordered by {order}; {} a page",
            described(&query.filter, &names),
            query.count
        ),
        format!("plan: {lead} leads; {walk}; {} includes; {plans}", query.includes.len()),
        format!("sql of a page: {}", page::statement(search, dialect)?.0.text()),
        format!("sql of a total: {}", counting(search, dialect).text()),
    ];
    Ok(Matches { explanation: Some(explanation), ..Matches::default() })
}

/// The parameters by their numbers.
fn names(definitions: &Definitions) -> FxHashMap<i64, String> {
    let mut names = FxHashMap::default();
    for &resource_type in definitions.resource_types() {
        for parameter in definitions.parameters(resource_type) {
            names.insert(parameter.id.0, format!("{resource_type}.{}", parameter.code));
            for (n, component) in parameter.components.iter().enumerate() {
                names.insert(component.id.0, format!("{resource_type}.{}${}", parameter.code, n + 1));
            }
        }
    }
    names
}

/// The filter with names for numbers.
fn described(filter: &Filter, names: &FxHashMap<i64, String>) -> String {
    let text = format!("{filter:?}");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("ParameterId(") {
        let (number, after) = after.split_once(')').unwrap_or((after, ""));
        let name = number.parse::<i64>().ok().and_then(|n| names.get(&n.abs()));
        let _ = write!(out, "{before}{}", name.map_or(number, String::as_str));
        rest = after;
    }
    out + rest
}

fn ordered(sort: &[Sort], names: &FxHashMap<i64, String>) -> String {
    let key = |sort: &Sort| {
        let name = match &sort.key {
            SortKey::Id => "_id",
            SortKey::LastUpdated => "_lastUpdated",
            SortKey::Parameter(parameters, _) => {
                parameters.first().and_then(|p| names.get(&p.0)).map_or("?", String::as_str)
            }
        };
        format!("{name} {}", if sort.descending { "descending" } else { "ascending" })
    };
    sort.iter().map(key).collect::<Vec<_>>().join(", ")
}
