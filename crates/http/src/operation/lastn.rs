//! `$lastn`: of each kind of observation the most recent. <https://hl7.org/fhir/R4/observation-operation-lastn.html>

use super::{Call, input::bad};
use crate::{error::Error, interaction::search, reply::Reply};
use std::collections::HashMap;
use tessera_model::{
    Error as ModelError, Resource, json::Node, operation_outcome::IssueCode, search::parse::parse, temporal,
};
use tessera_store::{Matches, Version};

/// Observations looked at; beyond, the question costs too much.
const LOOKED_AT_MAX: usize = 20_000;
/// How many at a time.
const PAGE: u32 = 1000;
/// Most observations of each kind.
const EACH_MAX: usize = 1000;
/// Parameters that shape a page of a search, which this answer is not.
const OF_PAGES: [&str; 7] = ["_sort", "_count", "_total", "_include", "_revinclude", "_contained", "_containedType"];

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    let max = match call.input.text("max") {
        None => 1,
        Some(text) => {
            let max = text.parse::<usize>().ok().filter(|max| (1..=EACH_MAX).contains(max));
            max.ok_or_else(|| bad(IssueCode::Value, format!("max={text}: expected 1 to {EACH_MAX}")))?
        }
    };
    let criteria = &call.input.criteria;
    let base_name = |name: &str| name.split([':', '.']).next().unwrap_or_default().to_owned();
    if !criteria.iter().any(|(name, _)| matches!(&*base_name(name), "patient" | "subject")) {
        return Err(bad(IssueCode::Required, "$lastn needs the parameter patient or subject".to_owned()));
    }
    if let Some((name, _)) = criteria.iter().find(|(name, _)| OF_PAGES.contains(&&*base_name(name))) {
        return Err(bad(IssueCode::Invalid, format!("{name} means nothing to $lastn")));
    }
    let types: Vec<_> = call.operation.level.resource_type().into_iter().collect();
    let mut parameters = criteria.clone();
    parameters.push(("_sort".to_owned(), "-date".to_owned()));
    let definitions = call.context.store.definitions();
    let mut parsed = parse(&types, &parameters, call.context.search(&definitions, false))?;
    parsed.query.count = PAGE;
    let mut groups = Groups::new(max);
    let (mut cursor, mut looked_at) = (None, 0);
    loop {
        let page = call.context.store.search(call.access, parsed.query.clone(), cursor).await?;
        looked_at += page.matches.len();
        for version in page.matches {
            groups.add(&Resource::parse(version.body.as_str(), call.context.definitions)?, version);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        if looked_at >= LOOKED_AT_MAX {
            let text = format!("more than {LOOKED_AT_MAX} observations match: narrow by category, code or date");
            return Err(ModelError::TooCostly(text).into());
        }
    }
    parsed.applied = call.input.query();
    let matches = groups.finish();
    let matches = Matches { total: i64::try_from(matches.len()).ok(), matches, ..Matches::default() };
    let url = format!("{}/{}", call.context.base, call.operation);
    search::bundle(call.context, call.access, &url, &parsed, &matches, false)
}

/// Observations by code, each group in the order in which they come: the most recent first.
struct Groups {
    max: usize,
    /// A code → its group. Groups that turn out to be one are led to the one that stays.
    of_code: HashMap<String, usize>,
    leads_to: Vec<usize>,
    /// What is kept of each group: the most recent, and what ties with the last of them.
    kept: Vec<Vec<(Option<i64>, usize, Version)>>,
    arrived: usize,
}

impl Groups {
    fn new(max: usize) -> Self {
        Self { max, of_code: HashMap::new(), leads_to: Vec::new(), kept: Vec::new(), arrived: 0 }
    }

    fn find(&self, mut group: usize) -> usize {
        while self.leads_to[group] != group {
            group = self.leads_to[group];
        }
        group
    }

    /// "The code translations are assumed to be equal and the grouping by code SHALL follow the transitive property of
    /// equality": an observation of two codes makes one group of two.
    fn add(&mut self, observation: &Resource, version: Version) {
        let node = observation.node();
        let mut group = None;
        for code in codes(node) {
            let other = self.of_code.get(&code).map(|&other| self.find(other));
            match (group, other) {
                (None, Some(other)) => group = Some(other),
                (Some(group), Some(other)) if group != other => self.merge(group, other),
                _ => {}
            }
            let group = *group.get_or_insert_with(|| {
                self.leads_to.push(self.leads_to.len());
                self.kept.push(Vec::new());
                self.leads_to.len() - 1
            });
            self.of_code.insert(code, group);
        }
        let Some(group) = group else { return };
        let effective = effective(node);
        self.arrived += 1;
        if self.is_recent(group, effective) {
            self.kept[group].push((effective, self.arrived, version));
        }
    }

    /// "When the effective times for >1 Observations are equal - both will be returned."
    fn is_recent(&self, group: usize, effective: Option<i64>) -> bool {
        let kept = &self.kept[group];
        kept.len() < self.max || effective.is_some() && kept.get(self.max - 1).is_some_and(|last| last.0 == effective)
    }

    fn merge(&mut self, group: usize, other: usize) {
        self.leads_to[other] = group;
        let moved = std::mem::take(&mut self.kept[other]);
        let kept = &mut self.kept[group];
        kept.extend(moved);
        kept.sort_by_key(|(_, arrived, _)| *arrived);
        let last = kept.get(self.max - 1).and_then(|last| last.0);
        let mut n = 0;
        let max = self.max;
        kept.retain(|(effective, ..)| {
            n += 1;
            n <= max || effective.is_some() && *effective == last
        });
    }

    /// Code by code, that of the most recent observation first.
    fn finish(mut self) -> Vec<Version> {
        self.kept.sort_by_key(|kept| kept.first().map(|(_, arrived, _)| *arrived));
        self.kept.into_iter().flatten().map(|(_, _, version)| version).collect()
    }
}

/// What an observation is grouped by: its codings, or its text as it is written.
fn codes(observation: Node<'_>) -> Vec<String> {
    let Some(code) = observation.get("code") else { return Vec::new() };
    let coding = |coding: Node<'_>| {
        let code = coding.get_str("code")?;
        Some(format!("{}|{code}", coding.get_str("system").unwrap_or_default()))
    };
    let codings: Vec<String> = code.get("coding").into_iter().flat_map(Node::children).filter_map(coding).collect();
    if codings.is_empty() {
        // No system begins with a space.
        return code.get_str("text").map(|text| format!(" {text}")).into_iter().collect();
    }
    codings
}

/// When it was effective, as the search by date sorts it: the last moment.
fn effective(observation: Node<'_>) -> Option<i64> {
    let end = |node: Node<'_>| temporal::range(&node.as_str()?).map(|range| range.high);
    let at = observation.get("effectiveDateTime").or_else(|| observation.get("effectiveInstant")).and_then(end);
    at.or_else(|| {
        observation.get("effectivePeriod").and_then(|period| period.get("end").map_or(Some(temporal::END), end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_model::{Definitions, Id, Key};
    use tessera_store::Method;

    /// Observations as `codes@time`, the most recent first → what is kept.
    fn check(max: usize, observations: &str, expect: &str) {
        let mut groups = Groups::new(max);
        for (n, text) in observations.split_whitespace().enumerate() {
            let (codes, time) = text.split_once('@').unwrap();
            let codings: Vec<String> = codes.split(',').map(|code| format!(r#"{{"code":"{code}"}}"#)).collect();
            let time = format!(r#""effectiveDateTime":"20{time}""#);
            let time = if time.contains("20-") { "\"status\":\"final\"".to_owned() } else { time };
            let body =
                format!(r#"{{"resourceType":"Observation","code":{{"coding":[{}]}},{time}}}"#, codings.join(","));
            let resource = Resource::parse(body, Definitions::r4()).unwrap();
            let key = Key::new(resource.resource_type(), Id::parse(&n.to_string()).unwrap());
            let body = text.to_owned();
            groups.add(&resource, Version { key, version: 1, last_updated: 0, method: Method::Post, body });
        }
        let kept: Vec<String> = groups.finish().into_iter().map(|version| version.body).collect();
        assert_eq!(kept.join(" "), expect, "{observations}");
    }

    #[test]
    fn the_most_recent_of_each_code() {
        check(1, "a@20 b@19 a@18 b@17", "a@20 b@19");
        check(2, "a@20 b@19 a@18 a@17", "a@20 a@18 b@19");
    }

    #[test]
    fn a_tie_returns_both_but_what_has_no_time_ties_with_nothing() {
        check(1, "a@20 a@20 a@19", "a@20 a@20");
        check(2, "a@20 a@19 a@19 a@18", "a@20 a@19 a@19");
        check(1, "a@- a@-", "a@-");
    }

    #[test]
    fn equality_of_codes_is_transitive() {
        check(1, "a@20 b@19 c,a@18", "a@20 b@19");
        check(1, "a@20 b@19 a,b@18", "a@20");
        check(2, "a@20 b@19 a@18 b@17 a,b@16", "a@20 b@19");
    }
}
