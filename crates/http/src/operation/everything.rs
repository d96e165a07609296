//! `$everything`: the record of a patient, of the patients of a group, of all patients, or of an encounter: what is in the
//! compartment, and what that refers to. Page by page, by key, so that a record of any size takes the memory of one page.
//! <https://hl7.org/fhir/R4/patient-operation-everything.html>

use super::{Call, input::bad};
use crate::{
    error::Error,
    interaction::{audit_event, search},
    reply::Reply,
};
use std::collections::HashSet;
use tessera_model::{
    Error as ModelError, Filter, Id, Key, Permission, Query, Resource, ResourceType,
    definitions::{ParameterId, SearchType},
    interaction::Level,
    json::{Node, unescaped},
    operation_outcome::IssueCode,
    search::{
        parse::{Parsed, parse},
        prefix::{Comparison, Condition, End, Operator},
        query::Criterion,
        reference::ReferenceValue,
    },
    temporal,
};
use tessera_store::{Matches, Version};

/// Resources of the compartment a page, unless asked otherwise, and at most: as in a search (HTTP-5).
const COUNT_DEFAULT: u32 = 50;
const COUNT_MAX: u32 = 1000;
/// Most patients of a group: each is one value of a condition.
const MEMBERS_MAX: usize = 1000;
/// Most groups that stand together within groups, and how deep.
const GROUPS_MAX: usize = 100;
const GROUPS_WITHIN_MAX: usize = 5;
/// Most supporting resources of a page, and how far references are followed from what is in the compartment: a role leads to
/// a practitioner and an organization, and that to another.
const SUPPORTING_MAX: usize = 1000;
const ROUNDS_MAX: usize = 3;
/// Dates that tell nothing of care: "the date range relates to care dates, not record currency dates".
const NO_CARE_DATES: [&str; 3] = ["birthdate", "death-date", "value-date"];

/// Whose records.
enum Subjects {
    All,
    These(Vec<Key>),
}

/// For the types whose compartment it is: Patient, Encounter.
pub(super) async fn of_compartment(call: Call<'_>) -> Result<Reply, Error> {
    let (compartment, subjects) = match &call.operation.level {
        Level::Instance(key) | Level::Version(key, _) => {
            call.read(key).await?;
            (key.resource_type, Subjects::These(vec![key.clone()]))
        }
        Level::Type(resource_type) => (*resource_type, Subjects::All),
        Level::System => return Err(Error::NoBody),
    };
    everything(&call, compartment, &subjects).await
}

/// For a group: the records of the patients who are its members, or members of groups that are.
pub(super) async fn of_group(call: Call<'_>) -> Result<Reply, Error> {
    let Level::Instance(key) = &call.operation.level else { return Err(Error::NoBody) };
    let patient = call.context.definitions.resource_type("Patient").ok_or(Error::NoBody)?;
    let mut groups = vec![call.read(key).await?];
    let mut seen = HashSet::from([key.clone()]);
    let mut patients = Vec::new();
    for _ in 0..GROUPS_WITHIN_MAX {
        let mut within = Vec::new();
        for group in &groups {
            for member in members(&call, group)? {
                let (is_patient, is_group) =
                    (member.resource_type == patient, member.resource_type == key.resource_type);
                if (is_patient || is_group) && seen.insert(member.clone()) {
                    if is_patient { patients.push(member) } else { within.push(member) }
                }
            }
        }
        if patients.len() > MEMBERS_MAX || within.len() > GROUPS_MAX {
            let text =
                format!("the group has more than {MEMBERS_MAX} patients, or more than {GROUPS_MAX} groups within");
            return Err(ModelError::TooCostly(text).into());
        }
        if within.is_empty() {
            return everything(&call, patient, &Subjects::These(patients)).await;
        }
        groups = call.read_all(&within).await?;
    }
    Err(ModelError::TooCostly(format!("groups are nested deeper than {GROUPS_WITHIN_MAX}")).into())
}

/// What a group's active members are, as far as it is here.
fn members(call: &Call<'_>, group: &Version) -> Result<Vec<Key>, Error> {
    let group = Resource::parse(group.body.as_str(), call.context.definitions)?;
    let members = group.node().get("member").into_iter().flat_map(Node::children);
    let members = members.filter(|member| member.get("inactive").and_then(Node::as_bool) != Some(true));
    let references = members.filter_map(|member| member.get("entity")?.get_str("reference"));
    Ok(references.filter_map(|text| call.local(&text)).collect())
}

async fn everything(call: &Call<'_>, compartment: ResourceType, subjects: &Subjects) -> Result<Reply, Error> {
    let definitions = call.context.definitions;
    let is_member = |t: ResourceType| !definitions.compartment_parameters(compartment, t).is_empty();
    let wanted = wanted(call)?;
    let is_wanted = |t: ResourceType| wanted.as_ref().is_none_or(|types| types.contains(&t));
    // If only what the record refers to is wanted, the record is walked for its references.
    let supporting = wanted.as_ref().is_none_or(|types| types.iter().any(|t| !is_member(*t)));
    // What is found by a search is shown whole here, so it takes the right to read it, too.
    let readable = |t: ResourceType| call.access.allows(Permission::Read, t);
    let walked = |t: &ResourceType| is_member(*t) && (supporting || is_wanted(*t)) && readable(*t);
    let types: Vec<ResourceType> = definitions.resource_types().iter().copied().filter(walked).collect();
    let mut count = count(call)?;
    if !types.iter().any(|t| is_wanted(*t)) {
        count = COUNT_MAX;
    }
    let phases = phases(call, compartment, subjects, &types)?;
    let mut matches = walk(call, &phases, count).await?;
    if supporting {
        (matches.included, matches.included_cut) = follow(call, &matches.matches, is_member).await?;
        matches.included.retain(|version| is_wanted(version.key.resource_type));
    }
    matches.matches.retain(|version| is_wanted(version.key.resource_type));
    let query = parse(&[], &[], call.context.search(call.context.definitions, false))?.query;
    let parsed = Parsed { query, applied: call.input.query(), ignored: Vec::new() };
    let url = format!("{}/{}", call.context.base, call.operation);
    search::bundle(call.context, call.access, &url, &parsed, &matches, call.cursor.is_some())
}

/// `_type`: "one or more parameters, each containing one or more comma-delimited FHIR resource types".
fn wanted(call: &Call<'_>) -> Result<Option<Vec<ResourceType>>, Error> {
    let mut types = Vec::new();
    for text in call.input.texts("_type") {
        audit_event::refuse_elsewhere(&[("_type".to_owned(), text.to_string())])?;
        for name in text.split(',') {
            let found = call.context.definitions.resource_type(name.trim());
            types
                .push(found.ok_or_else(|| bad(IssueCode::Value, format!("_type={text}: {name} is no resource type")))?);
        }
    }
    Ok((!types.is_empty()).then_some(types))
}

fn count(call: &Call<'_>) -> Result<u32, Error> {
    let Some(text) = call.input.text("_count") else { return Ok(COUNT_DEFAULT) };
    let count = text.parse::<u32>().ok().filter(|count| *count > 0);
    let count = count.ok_or_else(|| bad(IssueCode::Value, format!("_count={text}: expected a whole number from 1")))?;
    Ok(count.min(COUNT_MAX))
}

/// The searches whose matches, one after the other, are the record: first whose it is, then the rest of the compartment.
fn phases(
    call: &Call<'_>,
    compartment: ResourceType,
    subjects: &Subjects,
    types: &[ResourceType],
) -> Result<Vec<Query>, Error> {
    let definitions = call.context.definitions;
    let mut base = parse(&[], &[], call.context.search(call.context.definitions, false))?.query;
    base.filter = since(call)?;
    let memberships: Vec<ParameterId> = types
        .iter()
        .flat_map(|&t| definitions.compartment_parameters(compartment, t).iter().map(move |code| (t, code)))
        .filter_map(|(t, code)| definitions.parameter(t, code))
        .filter(|parameter| parameter.search_type == SearchType::Reference)
        .map(|parameter| parameter.id)
        .collect();
    let with = |types: Vec<ResourceType>, filters: Vec<Filter>| Query {
        types,
        filter: Filter::All(filters.into_iter().chain([base.filter.clone()]).collect()),
        ..base.clone()
    };
    let mut phases = Vec::new();
    match subjects {
        Subjects::These(keys) => {
            let ids: Vec<Id> = keys.iter().map(|key| key.id.clone()).collect();
            if types.contains(&compartment) && !keys.is_empty() {
                phases.push(with(vec![compartment], vec![Filter::Id(ids.clone())]));
            }
            let values = ids.iter().map(|id| ReferenceValue::Local(vec![compartment], id.clone())).collect();
            let member = Filter::Value(memberships, Criterion::Reference(values));
            let subject = Filter::All(vec![Filter::Type(vec![compartment]), Filter::Id(ids)]);
            if !types.is_empty() && !keys.is_empty() {
                phases
                    .push(with(types.to_vec(), vec![member, Filter::Not(Box::new(subject)), care_dates(call, types)?]));
            }
        }
        Subjects::All => {
            if types.contains(&compartment) {
                phases.push(with(vec![compartment], Vec::new()));
            }
            let target = compartment;
            let member = Filter::Chain { parameters: memberships, target, filter: Box::new(Filter::always()) };
            // Nearly everything is somebody's: walking all resources by key beats looking up this condition first, which a
            // negation never is.
            let member = Filter::Not(Box::new(Filter::Not(Box::new(member))));
            let others: Vec<ResourceType> = types.iter().copied().filter(|t| *t != compartment).collect();
            if !others.is_empty() {
                let care_dates = care_dates(call, &others)?;
                phases.push(with(others, vec![member, care_dates]));
            }
        }
    }
    Ok(phases)
}

fn since(call: &Call<'_>) -> Result<Filter, Error> {
    let Some(text) = call.input.text("_since") else { return Ok(Filter::always()) };
    let range =
        temporal::range(&text).ok_or_else(|| bad(IssueCode::Value, format!("_since={text}: expected an instant")))?;
    let since = Condition { end: End::Low, operator: Operator::GreaterOrEqual, value: range.low };
    Ok(Filter::LastUpdated(vec![Comparison(vec![vec![since]])]))
}

/// `start` and `end`: some care of that time. What has no date of care is not outside of any time.
fn care_dates(call: &Call<'_>, types: &[ResourceType]) -> Result<Filter, Error> {
    let definitions = call.context.definitions;
    let is_care = |code: &str| !code.starts_with('_') && !NO_CARE_DATES.contains(&code);
    let parameters = types.iter().flat_map(|&t| definitions.parameters(t));
    let parameters =
        parameters.filter(|p| p.search_type == SearchType::Date && p.program.is_some() && is_care(&p.code));
    let parameters: Vec<ParameterId> = parameters.map(|parameter| parameter.id).collect();
    let mut within = Vec::new();
    for (name, end, operator) in [("start", End::High, Operator::Greater), ("end", End::Low, Operator::Less)] {
        let Some(text) = call.input.text(name) else { continue };
        let range = temporal::range(&text);
        let range = range.ok_or_else(|| bad(IssueCode::Value, format!("{name}={text}: expected a date")))?;
        let value = if name == "start" { range.low } else { range.high };
        let comparison = Comparison(vec![vec![Condition { end, operator, value }]]);
        within.push(Filter::Value(parameters.clone(), Criterion::Date(vec![comparison])));
    }
    if within.is_empty() {
        return Ok(Filter::always());
    }
    let undated = Filter::Not(Box::new(Filter::Present(parameters, SearchType::Date)));
    Ok(Filter::Any(vec![Filter::All(within), undated]))
}

/// A page through all phases. Its cursor is `phase:cursor`.
async fn walk(call: &Call<'_>, phases: &[Query], count: u32) -> Result<Matches, Error> {
    let bad_cursor = || Error::Store(tessera_store::Error::BadCursor);
    let (mut phase, mut cursor) = match &call.cursor {
        None => (0, None),
        Some(text) => {
            let (phase, cursor) = text.split_once(':').ok_or_else(bad_cursor)?;
            let phase = phase.parse::<usize>().ok().filter(|phase| *phase < phases.len()).ok_or_else(bad_cursor)?;
            (phase, (!cursor.is_empty()).then(|| cursor.to_owned()))
        }
    };
    let mut found = Matches::default();
    while let Some(query) = phases.get(phase) {
        let left = count.saturating_sub(u32::try_from(found.matches.len()).unwrap_or(u32::MAX));
        if left == 0 {
            found.next = Some(format!("{phase}:"));
            break;
        }
        let page = call.context.store.search(call.access, Query { count: left, ..query.clone() }, cursor).await?;
        found.matches.extend(page.matches);
        if let Some(next) = page.next {
            found.next = Some(format!("{phase}:{next}"));
            break;
        }
        (phase, cursor) = (phase + 1, None);
    }
    Ok(found)
}

/// "The server also returns whatever resources are needed to support the records": what these refer to and is in nobody's
/// compartment, so that another patient's record is never drawn in. Also whether there was more.
async fn follow(
    call: &Call<'_>,
    from: &[Version],
    is_member: impl Fn(ResourceType) -> bool,
) -> Result<(Vec<Version>, bool), Error> {
    let definitions = call.context.definitions;
    let mut seen: HashSet<Key> = from.iter().map(|version| version.key.clone()).collect();
    let mut included: Vec<Version> = Vec::new();
    let mut start = None;
    for _ in 0..ROUNDS_MAX {
        let mut keys = Vec::new();
        let fresh = start.map_or(from, |start: usize| included.get(start..).unwrap_or_default());
        let leads =
            |key: &Key| !is_member(key.resource_type) && call.access.allows(Permission::Read, key.resource_type);
        for version in fresh {
            if !may_lead(call, &unescaped(&version.body), |key| leads(key) && !seen.contains(key)) {
                continue;
            }
            let resource = Resource::parse(version.body.as_str(), definitions)?;
            resource.each_reference(definitions, &mut |text| {
                if let Some(key) = call.local(text)
                    && leads(&key)
                    && seen.insert(key.clone())
                {
                    keys.push(key);
                }
            });
        }
        let room = SUPPORTING_MAX - included.len();
        let cut = keys.len() > room;
        keys.truncate(room);
        start = Some(included.len());
        included.extend(call.read_all(&keys).await?);
        if cut {
            return Ok((included, true));
        }
        if keys.is_empty() {
            break;
        }
    }
    Ok((included, false))
}

/// Whether a resource's text may refer to something that is wanted. Most refer to what was found before, and are not parsed to see
/// that.
fn may_lead(call: &Call<'_>, text: &str, is_wanted: impl Fn(&Key) -> bool) -> bool {
    // What stands between two quotes is a string, a part of one, or no reference.
    let mut pieces = text.split('"').filter(|piece| piece.contains('/'));
    pieces.any(|piece| call.local(piece).is_some_and(|key| is_wanted(&key)))
}
