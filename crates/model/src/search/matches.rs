//! Does this resource, among these others, satisfy this filter? The meaning of search: each database must find exactly what
//! this says, and the access rules judge new versions with it.

use super::{
    index::{IndexRow, IndexValue},
    patients::Patients,
    query::{Contained, ContainedType, Criterion, Filter, Query},
    string,
};
use crate::{
    Key, ResourceType,
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
    /// Its index rows, and those of what it contains.
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

/// Whether the filter holds of the candidate itself.
#[must_use]
pub fn matches(filter: &Filter, candidate: &Candidate, world: &dyn World) -> bool {
    holds(filter, Subject { candidate, contained: 0 }, world)
}

/// What of the candidate a query finds, the order aside: 0 stands for itself, n for the n-th resource it contains.
/// <https://hl7.org/fhir/R4/search.html#contained>
#[must_use]
pub fn found(query: &Query, candidate: &Candidate, world: &dyn World) -> Vec<u32> {
    let highest = candidate.rows.iter().map(|row| row.contained).max().unwrap_or(0);
    let numbers = match query.contained {
        Contained::False => 0..=0,
        Contained::True => 1..=highest,
        Contained::Both => 0..=highest,
    };
    let subjects = numbers.map(|contained| Subject { candidate, contained });
    let of_type = |subject: &Subject<'_>| {
        subject.itself().is_some_and(|(of_type, _)| query.types.is_empty() || query.types.contains(&of_type))
    };
    let all = subjects.filter(of_type).filter(|subject| holds(&query.filter, *subject, world));
    match query.contained_type {
        ContainedType::Contained => all.map(|subject| subject.contained).collect(),
        // However much in it matches, the container is one match.
        ContainedType::Container => all.take(1).map(|_| 0).collect(),
    }
}

/// A resource, or one that it contains.
#[derive(Clone, Copy)]
struct Subject<'a> {
    candidate: &'a Candidate,
    /// 0 or its number.
    contained: u32,
}

impl<'a> Subject<'a> {
    /// Its type and id; `None`: nothing is contained under that number.
    fn itself(self) -> Option<(ResourceType, &'a str)> {
        if self.contained == 0 {
            return Some((self.candidate.key.resource_type, self.candidate.key.id.as_str()));
        }
        self.rows().find_map(|row| match &row.value {
            IndexValue::Itself { resource_type, id } => Some((*resource_type, id.as_str())),
            _ => None,
        })
    }

    fn rows(self) -> impl Iterator<Item = &'a IndexRow> {
        self.candidate.rows.iter().filter(move |row| row.contained == self.contained)
    }

    fn of(self, parameters: &'a [ParameterId]) -> impl Iterator<Item = &'a IndexRow> {
        self.rows().filter(|row| parameters.contains(&row.parameter))
    }

    /// What a reference of it leads to.
    fn target(self, value: &IndexValue, world: &'a dyn World) -> Option<Subject<'a>> {
        match value {
            IndexValue::Reference(key) => world.get(key).map(|candidate| Subject { candidate, contained: 0 }),
            IndexValue::Contained(number) => Some(Subject { contained: *number, ..self }),
            _ => None,
        }
    }

    fn is(self, other: Subject<'_>) -> bool {
        self.candidate.key == other.candidate.key && self.contained == other.contained
    }
}

fn holds(filter: &Filter, subject: Subject<'_>, world: &dyn World) -> bool {
    let itself = || subject.itself();
    let last_updated = subject.candidate.last_updated;
    match filter {
        Filter::All(all) => all.iter().all(|f| holds(f, subject, world)),
        Filter::Any(any) => any.iter().any(|f| holds(f, subject, world)),
        Filter::Not(filter) => !holds(filter, subject, world),
        Filter::Type(types) => itself().is_some_and(|(of_type, _)| types.contains(&of_type)),
        Filter::Id(ids) => itself().is_some_and(|(_, id)| ids.iter().any(|wanted| wanted.as_str() == id)),
        // What is contained changes with its container.
        Filter::LastUpdated(comparisons) => {
            comparisons.iter().any(|c| c.holds(last_updated, last_updated_end(last_updated)))
        }
        Filter::Present(parameters, search_type) => subject.of(parameters).any(|row| is_value(row, *search_type)),
        Filter::Value(parameters, criterion) => subject.of(parameters).any(|row| meets(criterion, &row.value)),
        Filter::Words(place, all) => subject.rows().any(|row| {
            let IndexValue::Words(words) = &row.value else { return false };
            all.iter().all(|word| words.split(' ').any(|held| held == place.indexed(word)))
        }),
        Filter::Composite(alternatives) => alternatives.iter().any(|components| {
            let Some(((first, criterion), others)) = components.split_first() else { return false };
            subject.of(&[*first]).filter(|row| meets(criterion, &row.value)).any(|root| {
                others.iter().all(|(parameter, criterion)| {
                    subject.of(&[*parameter]).any(|row| row.ordinal == root.ordinal && meets(criterion, &row.value))
                })
            })
        }),
        // "A chained condition will be evaluated inside contained resources."
        Filter::Chain { parameters, target, filter } => subject.of(parameters).any(|row| {
            let end = subject.target(&row.value, world);
            end.is_some_and(|end| end.itself().is_some_and(|(is, _)| is == *target) && holds(filter, end, world))
        }),
        Filter::Has { source, parameter, filter } => world.all().any(|other| {
            let other = Subject { candidate: other, contained: 0 };
            let refers = |row: &IndexRow| other.target(&row.value, world).is_some_and(|end| end.is(subject));
            other.candidate.key.resource_type == *source
                && other.of(&[*parameter]).any(refers)
                && holds(filter, other, world)
        }),
        // Whose record it is in, its container says.
        Filter::OfPatient(patient) => subject.candidate.patients() == Patients::One(patient.clone()),
        Filter::OfNoPatient => subject.candidate.patients() == Patients::None,
        Filter::Every { parameters, filter } => {
            let leads_there = |row: &IndexRow| match &row.value {
                IndexValue::Reference(_) => {
                    subject.target(&row.value, world).is_some_and(|end| holds(filter, end, world))
                }
                _ => false,
            };
            let mut references = subject.of(parameters).filter(|row| is_value(row, SearchType::Reference)).peekable();
            references.peek().is_some() && references.all(leads_there)
        }
    }
}

impl Candidate {
    fn patients(&self) -> Patients {
        Patients::of(&self.key, &self.rows)
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

/// <https://hl7.org/fhir/R4/search.html#contained>
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Definitions, Id, Resource,
        search::{Context, NoTerminology, extract::extract, parse::parse},
    };

    const BASE: &str = "http://here/fhir";

    fn candidate(text: &str) -> Candidate {
        let resource = Resource::parse(text, Definitions::r4()).unwrap();
        let id = Id::parse(&resource.id().unwrap()).unwrap();
        let rows = extract(&resource, BASE, Definitions::r4());
        Candidate { key: Key::new(resource.resource_type(), id), last_updated: 0, rows }
    }

    fn world() -> Vec<Candidate> {
        let ingredient = r#""ingredient":[{"itemCodeableConcept":{"coding":[{"code":"abc"}]}}]"#;
        vec![
            candidate(&format!(
                r##"{{"resourceType":"MedicationRequest","id":"23","intent":"order","medicationReference":{{"reference":"#m1"}},
                "contained":[{{"resourceType":"Organization","id":"o","name":"Acme"}},
                {{"resourceType":"Medication","id":"m1","manufacturer":{{"reference":"#o"}},{ingredient}}},
                {{"resourceType":"Medication","id":"m2","manufacturer":{{"reference":"#nobody"}}}}]}}"##
            )),
            candidate(&format!(r#"{{"resourceType":"Medication","id":"alone",{ingredient}}}"#)),
        ]
    }

    fn parsed(url: &str) -> Result<Query, crate::Error> {
        let (name, query) = url.split_once('?').unwrap();
        let definitions = Definitions::r4();
        let context = Context { definitions, base: BASE, now: 0, lenient: false, terminology: &NoTerminology };
        let types: Vec<_> = definitions.resource_type(name).into_iter().collect();
        parse(&types, &crate::interaction::query_pairs(query), context).map(|parsed| parsed.query)
    }

    /// `Type/id` of each match, and the number of what is contained.
    fn check(url: &str, expect: &[&str]) {
        let (query, world) = (parsed(url).unwrap(), world());
        let mut all = Vec::new();
        for candidate in &world {
            for number in found(&query, candidate, &world) {
                all.push(if number == 0 { candidate.key.to_string() } else { format!("{}#{number}", candidate.key) });
            }
        }
        assert_eq!(all, expect, "{url}");
    }

    #[test]
    fn by_default_search_results_only_include_resources_that_are_not_contained_in_other_resources() {
        check("Medication?ingredient-code=abc", &["Medication/alone"]);
        check("Medication?ingredient-code=abc&_contained=false", &["Medication/alone"]);
        check("Organization?name=acme", &[]);
    }

    #[test]
    fn a_chained_condition_will_be_evaluated_inside_contained_resources() {
        check("MedicationRequest?medication.ingredient-code=abc", &["MedicationRequest/23"]);
        check("MedicationRequest?medication.manufacturer.name=acme", &["MedicationRequest/23"]);
        check("MedicationRequest?medication._id=m1", &["MedicationRequest/23"]);
        check("MedicationRequest?medication._id=m2", &[]);
    }

    #[test]
    fn true_returns_only_contained_resources_and_both_returns_both() {
        check("Medication?ingredient-code=abc&_contained=true", &["MedicationRequest/23"]);
        check("Medication?ingredient-code=abc&_contained=both", &["MedicationRequest/23", "Medication/alone"]);
        check("Medication?_contained=true", &["MedicationRequest/23"]);
        check("MedicationRequest?_contained=true", &[]);
        check("Medication?manufacturer:missing=false&_contained=both", &["MedicationRequest/23"]);
    }

    #[test]
    fn the_container_or_only_the_contained_resource_is_returned() {
        let itself = "_containedType=contained";
        check(&format!("Medication?_contained=true&{itself}"), &["MedicationRequest/23#2", "MedicationRequest/23#3"]);
        check(&format!("Medication?manufacturer.name=acme&_contained=true&{itself}"), &["MedicationRequest/23#2"]);
        check(&format!("Medication?_id=m1&_contained=both&{itself}"), &["MedicationRequest/23#2"]);
        check(&format!("Medication?_content=abc&_contained=true&{itself}"), &["MedicationRequest/23#2"]);
        let referred = "Medication?_has:MedicationRequest:medication:intent=order&_contained=true";
        check(&format!("{referred}&{itself}"), &["MedicationRequest/23#2"]);
    }

    #[test]
    fn what_cannot_be_asked_of_contained_resources_is_refused() {
        let refused = |query: &str| parsed(&format!("Medication?{query}")).unwrap_err().to_string();
        for include in ["_include=Medication:manufacturer", "_revinclude=*", "_sort=code"] {
            assert!(
                refused(&format!("{include}&_contained=true")).contains("use _containedType=contained"),
                "{include}"
            );
            assert!(parsed(&format!("Medication?{include}&_contained=both&_containedType=contained")).is_ok());
        }
        assert!(refused("_contained=maybe").contains("expected true, false or both"));
        assert!(refused("_containedType=x").contains("expected container or contained"));
        assert!(parsed("Medication?_contained=both&_sort=-_lastUpdated,_id").is_ok());
    }
}
