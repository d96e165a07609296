//! [`Policy`]: what a client or a user may see at all, as the operator has written it: `Type?parameters` (ORG-1).

use tessera_model::{
    Definitions, Filter, Query, ResourceType,
    interaction::query_pairs,
    search::{Context, NoTerminology, parse::parse},
    temporal::Micros,
};

/// Most lines of a policy.
pub const LINES_MAX: usize = 100;

/// Of each type, resources of which the filter holds. One line is enough.
#[derive(Clone, Debug)]
pub(crate) struct Policy(Vec<(Option<ResourceType>, Filter)>);

/// What reading a policy or a scope depends on.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The server's base URL.
    pub base: &'a str,
    /// The time.
    pub now: Micros,
}

impl Policy {
    /// Everything.
    pub(crate) fn everything() -> Self {
        Self(vec![(None, Filter::always())])
    }

    /// Reads it. An empty one is nothing (CORE-5).
    ///
    /// # Errors
    /// Which line cannot be read, and why.
    pub(crate) fn parse(lines: &[String], reading: Reading<'_>) -> Result<Self, String> {
        if lines.len() > LINES_MAX {
            return Err(format!("a policy has at most {LINES_MAX} lines"));
        }
        let lines = lines.iter().map(|text| line(text, reading).map_err(|why| format!("{text}: {why}")));
        lines.collect::<Result<_, _>>().map(Self)
    }

    /// What of that type (`None`: of any) it lets through: types, each with what must hold.
    pub(crate) fn of(&self, wanted: Option<ResourceType>) -> impl Iterator<Item = (Option<ResourceType>, &Filter)> {
        self.0.iter().filter_map(move |(allowed, filter)| match (wanted, allowed) {
            (Some(wanted), Some(allowed)) if wanted != *allowed => None,
            (wanted, allowed) => Some((wanted.or(*allowed), filter)),
        })
    }
}

/// Whether a policy can be read, and if not, why.
///
/// # Errors
/// Which line cannot be read, and why.
pub fn check(lines: &[String], reading: Reading<'_>) -> Result<(), String> {
    Policy::parse(lines, reading).map(drop)
}

fn line(text: &str, reading: Reading<'_>) -> Result<(Option<ResourceType>, Filter), String> {
    if text == "*" {
        return Ok((None, Filter::always()));
    }
    let (name, query) = text.split_once('?').map_or((text, None), |(name, query)| (name, Some(query)));
    let resource_type = Definitions::r4().resource_type(name).ok_or_else(|| format!("there is no type {name}"))?;
    let filter = match query {
        None => Filter::always(),
        Some(query) => filter(&[resource_type], &query_pairs(query), reading)?,
    };
    // `Patient?` may be meant to say something.
    if query.is_some() && filter.is_always() {
        return Err("a condition is missing after the question mark".to_owned());
    }
    Ok((Some(resource_type), filter))
}

/// What must hold of a resource that these parameters find. Others than conditions are refused.
pub(crate) fn filter(
    types: &[ResourceType],
    parameters: &[(String, String)],
    reading: Reading<'_>,
) -> Result<Filter, String> {
    let Reading { base, now } = reading;
    let definitions = Definitions::r4();
    let context = Context { definitions, base, now, lenient: false, terminology: &NoTerminology };
    let read = |parameters: &[(String, String)]| parse(types, parameters, context).map_err(|error| error.to_string());
    let Query { filter, .. } = read(parameters)?.query;
    let nothing = read(&[])?.query;
    if (Query { filter: nothing.filter.clone(), ..read(parameters)?.query }) != nothing {
        return Err("only conditions stand here".to_owned());
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn org_1_a_policy_is_conditions_on_types() {
        let reading = Reading { base: "http://h/fhir", now: 0 };
        let read = |line: &str| check(&[line.to_owned()], reading);
        for line in [
            "*",
            "Patient",
            "Patient?organization=Organization/1",
            "Observation?patient.organization=Organization/1&status=final",
            "Condition?_has:Provenance:target:agent=Organization/1",
        ] {
            assert_eq!(read(line), Ok(()), "{line}");
        }
        for line in [
            "",
            "?",
            "Patient?",
            "Patient?&",
            "patient",
            "*?_id=1",
            "Nothing?x=y",
            "Patient?nothing=x",
            "Patient?_count=1",
            "Patient?organization=1&_include=Patient:organization",
            "Patient?_sort=name",
            "Patient?birthdate=soon",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
        assert!(check(&vec!["*".to_owned(); 101], reading).is_err());
    }
}
