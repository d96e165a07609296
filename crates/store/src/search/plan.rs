//! Which predicate leads: the one that is looked up first, the others being probed for each row it gives
//! (docs/search.md, "How a search runs").

use super::criterion;
use tessera_model::{
    Visible,
    search::{
        query::{Criterion, Filter},
        reference::ReferenceValue,
        string::StringMode,
    },
};

/// The rank of what finds one patient's few hundred.
const OF_PATIENT: u8 = 90;

/// Whether that is one patient's record only.
pub(super) fn is_confined(visible: &Visible) -> bool {
    match visible {
        Visible::If(filter) => conjuncts(filter).iter().any(|filter| matches!(filter, Filter::OfPatient(_))),
        Visible::All | Visible::None => false,
    }
}

/// How few rows a predicate is likely to find; the highest leads. `None`: it cannot lead.
fn rank(filter: &Filter) -> Option<u8> {
    Some(match filter {
        Filter::Id(_) => 100,
        Filter::OfPatient(_) => return None,
        Filter::Value(_, criterion) => match criterion {
            // A reference to one resource: its patient's few hundred.
            Criterion::Reference(values) if values.len() <= 10 => OF_PATIENT,
            Criterion::Token(values) => {
                let coded = values.iter().all(|v| v.code.is_some());
                let in_system = values.iter().all(|v| v.system.as_deref().is_some_and(|s| !s.is_empty()));
                match (coded, in_system) {
                    // An identifier, or a code of a large terminology.
                    (true, true) => 80,
                    // A bare code is often that of a required binding: status, gender. Those are broad.
                    (true, false) => 40,
                    _ => 20,
                }
            }
            Criterion::Uri(_) => 75,
            Criterion::String(StringMode::Exact, _) => 70,
            Criterion::String(StringMode::StartsWith, values) => {
                if values.iter().all(|v| v.len() >= 3) {
                    65
                } else {
                    30
                }
            }
            Criterion::String(StringMode::Contains, _) => 25,
            Criterion::Reference(_) => 60,
            Criterion::String(StringMode::Equals, _) => 70,
            Criterion::String(StringMode::EndsWith | StringMode::Compares(_), _) => 15,
            Criterion::Near(_) => 35,
            Criterion::Quantity(_) | Criterion::Date(_) => 15,
            Criterion::Other(_) => return None,
        },
        // The empty word asks whether there are any.
        Filter::Words(_, all) => all.iter().any(|word| !word.is_empty()).then_some(55)?,
        Filter::Composite(_) => 50,
        Filter::Chain { filter, .. } => inner_rank(filter)?.saturating_sub(10),
        Filter::Has { filter, .. } => inner_rank(filter)?.saturating_sub(15),
        Filter::Any(any) if !any.is_empty() => any.iter().map(rank).min()??.saturating_sub(5),
        Filter::All(all) => all.iter().filter_map(rank).max()?,
        Filter::Any(_)
        | Filter::Not(_)
        | Filter::Type(_)
        | Filter::LastUpdated(_)
        | Filter::Present(..)
        | Filter::OfNoPatient
        | Filter::Every { .. } => {
            return None;
        }
    })
}

/// A link of a chain can always be walked from its other end, at worst through all of that type.
fn inner_rank(filter: &Filter) -> Option<u8> {
    Some(rank(filter).unwrap_or(12))
}

/// Whether the plan is known without looking at the values: the rows of one code, or of one patient, of whom each is asked the rest.
/// Of two broad predicates it depends on the values which is to lead, and only a planner with statistics can tell.
/// All matches of a code are needed where they are `sorted`.
pub(super) fn is_settled(filter: &Filter, sorted: bool) -> bool {
    let conjuncts = conjuncts(filter);
    let Some(lead) = lead(&conjuncts, false) else { return false };
    let direct = criterion::direct(conjuncts[lead]).is_some_and(|direct| direct.is_enough);
    let mut rest = conjuncts.iter().enumerate().filter(|(n, _)| *n != lead).map(|(_, filter)| *filter);
    direct && (conjuncts.len() == 1 && !sorted || is_of_one_patient(conjuncts[lead]) && rest.all(is_probed))
}

fn is_of_one_patient(filter: &Filter) -> bool {
    let Filter::Value(_, Criterion::Reference(values)) = filter else { return false };
    let is_patient = |value: &ReferenceValue| matches!(value, ReferenceValue::Local(types, _) if types.iter().all(|of| of.name() == "Patient"));
    values.iter().all(is_patient)
}

fn is_probed(filter: &Filter) -> bool {
    matches!(filter, Filter::Value(_, criterion) if criterion::can_probe(criterion) && !criterion::is_long(criterion))
}

/// The conjuncts of a filter, nested `All`s opened.
pub(super) fn conjuncts(filter: &Filter) -> Vec<&Filter> {
    match filter {
        Filter::All(all) => all.iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}

/// The index of the conjunct that leads.
///
/// `confined`: the caller sees one patient's record only. Then that is searched first, unless a predicate finds fewer.
pub(super) fn lead(conjuncts: &[&Filter], confined: bool) -> Option<usize> {
    let ranked = conjuncts.iter().enumerate().filter_map(|(n, filter)| Some((rank(filter)?, n)));
    let ranked = ranked.filter(|(rank, _)| !confined || *rank >= OF_PATIENT);
    ranked.max_by_key(|&(rank, n)| (rank, std::cmp::Reverse(n))).map(|(_, n)| n)
}
