//! Does this resource, among these others, satisfy this filter? The meaning of search: each database must find exactly what
//! this says, and the access rules judge new versions with it.

use super::{
    index::{IndexRow, IndexValue},
    patients::Patients,
    query::{Criterion, Filter},
    string,
};
use crate::{
    Key,
    definitions::{ParameterId, SearchType},
    temporal::Micros,
};

/// A current resource as search sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its type and id.
    pub key: Key,
    /// `meta.lastUpdated`
    pub last_updated: Micros,
    /// Its index rows.
    pub rows: Vec<IndexRow>,
}

/// The other resources, for chains and `_has`.
pub trait World {
    /// The current resource of that key.
    fn get(&self, key: &Key) -> Option<&Candidate>;
    /// All current resources.
    fn all(&self) -> Box<dyn Iterator<Item = &Candidate> + '_>;
}

impl World for Vec<Candidate> {
    fn get(&self, key: &Key) -> Option<&Candidate> {
        self.iter().find(|candidate| candidate.key == *key)
    }

    fn all(&self) -> Box<dyn Iterator<Item = &Candidate> + '_> {
        Box::new(self.iter())
    }
}

/// Whether the filter holds of the candidate.
#[must_use]
pub fn matches(filter: &Filter, candidate: &Candidate, world: &dyn World) -> bool {
    let holds = |filter: &Filter, of: &Candidate| matches(filter, of, world);
    match filter {
        Filter::All(all) => all.iter().all(|f| holds(f, candidate)),
        Filter::Any(any) => any.iter().any(|f| holds(f, candidate)),
        Filter::Not(filter) => !holds(filter, candidate),
        Filter::Type(types) => types.contains(&candidate.key.resource_type),
        Filter::Id(ids) => ids.contains(&candidate.key.id),
        Filter::LastUpdated(comparisons) => {
            comparisons.iter().any(|c| c.holds(candidate.last_updated, last_updated_end(candidate.last_updated)))
        }
        Filter::Present(parameters, search_type) => candidate.of(parameters).any(|row| is_value(row, *search_type)),
        Filter::Value(parameters, criterion) => candidate.of(parameters).any(|row| meets(criterion, &row.value)),
        Filter::Words(place, all) => candidate.rows.iter().any(|row| {
            let IndexValue::Words(words) = &row.value else { return false };
            all.iter().all(|word| words.split(' ').any(|held| held == place.indexed(word)))
        }),
        Filter::Composite(alternatives) => alternatives.iter().any(|components| {
            let Some(((first, criterion), others)) = components.split_first() else { return false };
            candidate.of(&[*first]).filter(|row| meets(criterion, &row.value)).any(|root| {
                others.iter().all(|(parameter, criterion)| {
                    candidate.of(&[*parameter]).any(|row| row.ordinal == root.ordinal && meets(criterion, &row.value))
                })
            })
        }),
        Filter::Chain { parameters, target, filter } => candidate.of(parameters).any(|row| {
            let IndexValue::Reference(key) = &row.value else { return false };
            key.resource_type == *target && world.get(key).is_some_and(|target| holds(filter, target))
        }),
        Filter::Has { source, parameter, filter } => world.all().any(|other| {
            let refers = |row: &IndexRow| matches!(&row.value, IndexValue::Reference(key) if *key == candidate.key);
            other.key.resource_type == *source && other.of(&[*parameter]).any(refers) && holds(filter, other)
        }),
        Filter::OfPatient(patient) => candidate.patients() == Patients::One(patient.clone()),
        Filter::OfNoPatient => candidate.patients() == Patients::None,
        Filter::Every { parameters, filter } => {
            let leads_there = |row: &IndexRow| match &row.value {
                IndexValue::Reference(key) => world.get(key).is_some_and(|target| holds(filter, target)),
                _ => false,
            };
            let mut references = candidate.of(parameters).filter(|row| is_value(row, SearchType::Reference)).peekable();
            references.peek().is_some() && references.all(leads_there)
        }
    }
}

impl Candidate {
    fn patients(&self) -> Patients {
        Patients::of(&self.key, &self.rows)
    }

    fn of<'a>(&'a self, parameters: &'a [ParameterId]) -> impl Iterator<Item = &'a IndexRow> {
        self.rows.iter().filter(|row| parameters.contains(&row.parameter))
    }
}

/// `meta.lastUpdated` is written to the millisecond and covers it.
#[must_use]
pub fn last_updated_end(last_updated: Micros) -> Micros {
    last_updated.saturating_add(1000)
}

/// Whether the row is a value of a parameter of that type: an identifier stands beside the reference it belongs to. A concept
/// that has only a text is a value too.
fn is_value(row: &IndexRow, search_type: SearchType) -> bool {
    !(search_type == SearchType::Reference && matches!(row.value, IndexValue::Token { .. }))
}

fn meets(criterion: &Criterion, value: &IndexValue) -> bool {
    match (criterion, value) {
        (Criterion::String(mode, values), IndexValue::String { norm, exact }) => {
            string::meets(*mode, values, norm, exact)
        }
        (Criterion::Token(values), IndexValue::Token { system, code }) => values.iter().any(|v| v.meets(system, code)),
        (Criterion::Date(comparisons), IndexValue::Date { low, high }) => {
            comparisons.iter().any(|c| c.holds(*low, *high))
        }
        (Criterion::Quantity(values), IndexValue::Quantity(quantity)) => values.iter().any(|v| v.meets(quantity)),
        (Criterion::Reference(values), IndexValue::Reference(key)) => values.iter().any(|v| v.meets_local(key)),
        (Criterion::Reference(values), IndexValue::Uri { value, version }) => {
            values.iter().any(|v| v.meets_elsewhere(value, version))
        }
        (Criterion::Uri(values), IndexValue::Uri { value, version }) => values.iter().any(|v| v.meets(value, version)),
        (Criterion::Near(values), IndexValue::Position(point)) => values.iter().any(|v| v.meets(*point)),
        (Criterion::Other(criterion), value) => is_of_kind(criterion, value) && !meets(criterion, value),
        _ => false,
    }
}

/// Whether a criterion can be asked of a value at all.
fn is_of_kind(criterion: &Criterion, value: &IndexValue) -> bool {
    match criterion {
        Criterion::String(..) => matches!(value, IndexValue::String { .. }),
        Criterion::Token(_) => matches!(value, IndexValue::Token { .. }),
        Criterion::Date(_) => matches!(value, IndexValue::Date { .. }),
        Criterion::Quantity(_) => matches!(value, IndexValue::Quantity(_)),
        Criterion::Reference(_) => matches!(value, IndexValue::Reference(_) | IndexValue::Uri { .. }),
        Criterion::Uri(_) => matches!(value, IndexValue::Uri { .. }),
        Criterion::Near(_) => matches!(value, IndexValue::Position(_)),
        Criterion::Other(criterion) => is_of_kind(criterion, value),
    }
}
