//! The search parameters of AuditEvent that the audit record answers. Others are refused.
//! <https://hl7.org/fhir/R4/auditevent.html#search>

use super::render::of_lifecycle;
use crate::{Context, error::Error, links::Parameters};
use tessera_model::{
    Error as ModelError, Id, Key,
    reference::{self, Literal},
    search::prefix::Prefix,
    temporal,
};
use tessera_store::{AuditAction, EventField, EventPage, EventQuery};

/// Their names.
pub(crate) const PARAMETERS: [&str; 11] =
    ["_id", "_lastUpdated", "action", "agent", "altid", "date", "entity", "outcome", "patient", "subtype", "type"];

/// Events a page, unless asked otherwise.
const COUNT_DEFAULT: u32 = 50;
/// Most events a page (HTTP-5).
const COUNT_MAX: u32 = 1000;
/// Most values of a parameter (HTTP-5).
const VALUES_MAX: usize = 200;

const TYPES: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const INTERACTIONS: &str = "http://hl7.org/fhir/restful-interaction";
const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const LIFECYCLE: &str = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
const ACTIONS: &str = "http://hl7.org/fhir/audit-event-action";
const OUTCOMES: &str = "http://terminology.hl7.org/CodeSystem/audit-event-outcome";

/// What is searched.
pub(super) struct Asked {
    pub(super) query: EventQuery,
    pub(super) page: EventPage,
    /// The parameters that were applied.
    pub(super) applied: Parameters,
}

/// Reads the parameters. `owner`: the patient whose compartment is searched.
pub(super) fn parse(
    context: &Context,
    owner: Option<&Key>,
    parameters: &[(String, String)],
    lenient: bool,
) -> Result<Asked, Error> {
    let page = EventPage { count: COUNT_DEFAULT, ..EventPage::default() };
    let mut asked = Asked { query: EventQuery::default(), page, applied: Vec::new() };
    if let Some(owner) = owner {
        if owner.resource_type.name() != "Patient" {
            let text = format!("AuditEvents of the compartment of a {} are not found", owner.resource_type);
            return Err(ModelError::NotSupported(text).into());
        }
        asked.query.fields.push(of_patient(owner.id.as_str()));
    }
    for (name, value) in parameters {
        if one(context, &mut asked, name, value)? {
            asked.applied.push((name.clone(), value.clone()));
        } else if !lenient {
            let scope = super::TYPE.to_owned();
            return Err(ModelError::UnknownParameter { scope, name: name.clone(), similar: None }.into());
        }
    }
    Ok(asked)
}

/// Applies a parameter; `false`: there is none of that name.
fn one(context: &Context, asked: &mut Asked, name: &str, value: &str) -> Result<bool, Error> {
    let bad = |reason: &str| -> Error {
        ModelError::BadParameter { parameter: format!("{name}={value}"), reason: reason.to_owned() }.into()
    };
    let values: Vec<&str> = value.split(',').collect();
    if values.len() > VALUES_MAX || values.iter().any(|value| value.is_empty()) {
        return Err(bad("expected 1 to 200 values, none of them empty"));
    }
    let codes = |system: &str| values.iter().map(|value| code(value, system)).collect::<Option<Vec<&str>>>();
    let other_system = || bad("expected codes of the element's own code system");
    let query = &mut asked.query;
    match name {
        "_id" => query.ids = Some(values.iter().map(ToString::to_string).collect()),
        // An event is never changed after it was recorded.
        "date" | "_lastUpdated" => query
            .times
            .push(times(&values).ok_or_else(|| bad("expected one date or time, with eq, gt, lt, ge, le, sa or eb"))?),
        "action" => {
            let actions = codes(ACTIONS).ok_or_else(other_system)?;
            if actions.iter().any(|action| AuditAction::parse(action).is_none()) {
                return Err(bad("expected C, R, U, D or E"));
            }
            query.fields.push(vec![EventField::Action(owned(&actions))]);
        }
        "outcome" => {
            let outcomes = codes(OUTCOMES).ok_or_else(other_system)?;
            let numbers: Result<Vec<i64>, _> = outcomes.iter().map(|outcome| outcome.parse()).collect();
            let numbers = numbers.map_err(|_| bad("expected 0, 4, 8 or 12"))?;
            query.outcomes = Some(match query.outcomes.take() {
                Some(before) => before.into_iter().filter(|outcome| numbers.contains(outcome)).collect(),
                None => numbers,
            });
        }
        "subtype" => {
            let of = |value| match code(value, INTERACTIONS).or_else(|| code(value, DICOM)) {
                None => code(value, LIFECYCLE).and_then(of_lifecycle),
                Some(code) => of_lifecycle(code).or(Some(code)),
            };
            let subtypes: Option<Vec<&str>> = values.iter().copied().map(of).collect();
            let subtypes = subtypes.ok_or_else(other_system)?;
            let mut fields = vec![EventField::Interaction(owned(&subtypes))];
            if subtypes.contains(&"operation") {
                fields.push(EventField::Operations);
            }
            query.fields.push(fields);
        }
        "type" => {
            let of = |value| code(value, TYPES).or_else(|| code(value, DICOM));
            let types: Option<Vec<&str>> = values.iter().copied().map(of).collect();
            let of_type = |code: &str| match code {
                "rest" => EventField::Rest,
                code => EventField::Interaction(owned(&super::render::subtypes(code))),
            };
            query.fields.push(types.ok_or_else(other_system)?.into_iter().map(of_type).collect());
        }
        "altid" => query.fields.push(vec![EventField::Client(owned(&values))]),
        "agent:identifier" => {
            let clients: Vec<&str> = values.iter().map(|value| value.rsplit('|').next().unwrap_or(value)).collect();
            query.fields.push(vec![EventField::Client(owned(&clients))]);
        }
        "agent" => {
            let keys =
                keys(context, &values, None).ok_or_else(|| bad("expected a local reference such as Practitioner/1"))?;
            query.fields.push(vec![EventField::Agent(keys.iter().map(Key::to_string).collect())]);
        }
        "patient" => {
            let keys =
                keys(context, &values, Some("Patient")).ok_or_else(|| bad("expected a Patient of this server"))?;
            query.fields.push(keys.iter().flat_map(|key| of_patient(key.id.as_str())).collect());
        }
        "entity" => {
            let keys =
                keys(context, &values, None).ok_or_else(|| bad("expected a local reference such as Observation/1"))?;
            let mut fields = vec![EventField::What(keys.iter().map(Key::to_string).collect())];
            let patients = keys.iter().filter(|key| key.resource_type.name() == "Patient");
            let patients: Vec<String> = patients.map(|key| key.id.to_string()).collect();
            if !patients.is_empty() {
                fields.push(EventField::Patient(patients));
            }
            query.fields.push(fields);
        }
        "_count" => {
            let count: u32 = value.parse().map_err(|_| bad("expected a whole number"))?;
            asked.page.count = count.min(COUNT_MAX);
            asked.page.total |= count == 0;
        }
        "_sort" => match value {
            "date" | "-date" => asked.page.oldest_first = value == "date",
            _ => return Err(bad("AuditEvents are sorted by date or -date")),
        },
        "_total" => asked.page.total = matches!(value, "accurate" | "estimate"),
        "_summary" => match value {
            "count" => (asked.page.count, asked.page.total) = (0, true),
            "false" => {}
            _ => {
                return Err(
                    ModelError::NotSupported(format!("_summary={value} of AuditEvents is not supported")).into()
                );
            }
        },
        _ => return Ok(false),
    }
    Ok(true)
}

/// An event about the patient, or one by the patient.
fn of_patient(id: &str) -> Vec<EventField> {
    vec![EventField::Patient(vec![id.to_owned()]), EventField::Agent(vec![format!("Patient/{id}")])]
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// The code of a token, if it is of that system or of any.
fn code<'a>(value: &'a str, expected: &str) -> Option<&'a str> {
    match value.split_once('|') {
        None => Some(value),
        Some((system, code)) => (system == expected && !code.is_empty()).then_some(code),
    }
}

/// The resources that values name, an id alone one of `resource_type`.
fn keys(context: &Context, values: &[&str], resource_type: Option<&str>) -> Option<Vec<Key>> {
    let key = |value: &&str| match reference::parse(value, &context.base, context.definitions) {
        Literal::Local(key, _) => Some(key).filter(|key| resource_type.is_none_or(|t| key.resource_type.name() == t)),
        Literal::Contained(_) | Literal::Conditional(_) | Literal::Elsewhere(_) => {
            Some(Key::new(context.definitions.resource_type(resource_type?)?, Id::parse(value)?))
        }
    };
    values.iter().map(key).collect()
}

/// The times that a date means: from the first, before the second.
fn times(values: &[&str]) -> Option<(Option<i64>, Option<i64>)> {
    let [value] = values else { return None };
    let (prefix, date) = Prefix::split(value);
    let range = temporal::range(date)?;
    Some(match prefix {
        Prefix::Eq => (Some(range.low), Some(range.high)),
        Prefix::Ge => (Some(range.low), None),
        Prefix::Gt | Prefix::Sa => (Some(range.high), None),
        Prefix::Le => (None, Some(range.high)),
        Prefix::Lt | Prefix::Eb => (None, Some(range.low)),
        Prefix::Ne | Prefix::Ap => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_ranges() {
        let day = temporal::range("2026-07-01").unwrap();
        let check = |value: &str, expect: Option<(Option<i64>, Option<i64>)>| {
            assert_eq!(times(&[value]), expect, "{value}");
        };
        check("2026-07-01", Some((Some(day.low), Some(day.high))));
        check("ge2026-07-01", Some((Some(day.low), None)));
        check("gt2026-07-01", Some((Some(day.high), None)));
        check("lt2026-07-01", Some((None, Some(day.low))));
        check("le2026-07-01", Some((None, Some(day.high))));
        check("ne2026-07-01", None);
        check("yesterday", None);
        assert_eq!(times(&["2026", "2027"]), None);
    }
}
