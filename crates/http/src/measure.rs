//! How many requests there were, of what kind, with which status, and how long they took: counters that are all there from the
//! start, so that a request takes no lock and no memory to be counted. Nothing here knows an id, a client or a URL.

use crate::{Context, endpoint::REQUEST_ID, trace};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
    middleware::Next,
};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};
use tessera_model::{Definitions, ResourceType, interaction::InteractionCode};
use tessera_store::Histogram;
use tracing::Instrument as _;

/// Bounds for how long a request may take, in microseconds.
const LATENCIES: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];
/// Classes of statuses: 1xx to 5xx.
const CLASSES: usize = 5;

/// What a request asks for, as far as that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// An interaction, on a type or on none.
    Interaction(InteractionCode, Option<ResourceType>),
    /// FHIR, but it was not let in or not understood.
    Unknown,
    /// The authorization server.
    Authorization,
    /// The administrator's API.
    Administration,
}

impl Asked {
    const INTERACTIONS: [InteractionCode; 15] = [
        InteractionCode::Capabilities,
        InteractionCode::Batch,
        InteractionCode::Transaction,
        InteractionCode::Read,
        InteractionCode::VersionRead,
        InteractionCode::Create,
        InteractionCode::Update,
        InteractionCode::Patch,
        InteractionCode::Delete,
        InteractionCode::HistoryInstance,
        InteractionCode::HistoryType,
        InteractionCode::HistorySystem,
        InteractionCode::SearchType,
        InteractionCode::SearchSystem,
        InteractionCode::Operation,
    ];
    /// How many kinds there are.
    const KINDS: usize = Self::INTERACTIONS.len() + 3;

    /// The kinds, in the order of their places.
    fn kinds() -> impl Iterator<Item = Self> {
        let interactions = Self::INTERACTIONS.into_iter().map(|code| Self::Interaction(code, None));
        interactions.chain([Self::Unknown, Self::Authorization, Self::Administration])
    }

    /// Its place among the kinds.
    const fn place(self) -> usize {
        match self {
            Self::Interaction(code, _) => code as usize,
            Self::Unknown => Self::INTERACTIONS.len(),
            Self::Authorization => Self::INTERACTIONS.len() + 1,
            Self::Administration => Self::INTERACTIONS.len() + 2,
        }
    }

    /// The resource type that it concerns.
    pub(crate) fn resource_type(self) -> Option<&'static str> {
        match self {
            Self::Interaction(_, resource_type) => resource_type.map(ResourceType::name),
            Self::Unknown | Self::Authorization | Self::Administration => None,
        }
    }

    /// Its name: an interaction's is its code.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Interaction(code, _) => code.name(),
            Self::Unknown => "unknown",
            Self::Authorization => "authorization",
            Self::Administration => "administration",
        }
    }
}

/// What is counted of requests.
#[derive(Debug)]
pub struct Requests {
    /// The names of resource types at the places of their numbers, after that of no type.
    types: Vec<&'static str>,
    /// By kind, type and class of status.
    counts: Vec<AtomicU64>,
    /// By kind.
    latencies: [Histogram<16>; Asked::KINDS],
    running: AtomicU64,
    /// Those that are answered later.
    later: AtomicU64,
}

/// How many requests there were of one kind, on one type, with one class of status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The interaction's code, or what else was asked for.
    pub interaction: &'static str,
    /// The resource type; `none`: it concerns none, or is not known.
    pub resource_type: &'static str,
    /// `2xx`
    pub status: &'static str,
    /// How many.
    pub count: u64,
}

impl Requests {
    /// None yet.
    #[must_use]
    pub fn new(definitions: &Definitions) -> Self {
        let numbered = definitions.resource_types().iter().map(|t| (place(Some(*t)), t.name()));
        let last = numbered.clone().map(|(place, _)| place).max().unwrap_or(0);
        let mut types = vec!["none"; last + 1];
        numbered.for_each(|(place, name)| types[place] = name);
        let counts = (0..Asked::KINDS * types.len() * CLASSES).map(|_| AtomicU64::new(0)).collect();
        let latencies = [const { Histogram::new(&LATENCIES) }; Asked::KINDS];
        Self { types, counts, latencies, running: AtomicU64::new(0), later: AtomicU64::new(0) }
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> Running<'_> {
        self.running.fetch_add(1, Relaxed);
        Running { requests: self, began: Instant::now() }
    }

    /// Requests that are not answered yet.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.running.load(Relaxed)
    }

    /// A request that is answered later is being performed, until this is dropped.
    pub(crate) fn later(&self) -> Later<'_> {
        self.later.fetch_add(1, Relaxed);
        Later(self)
    }

    /// Requests that are being performed to be answered later.
    #[must_use]
    pub fn running_later(&self) -> u64 {
        self.later.load(Relaxed)
    }

    /// How many there were, where there were any.
    pub fn counts(&self) -> impl Iterator<Item = Count> {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let of_kinds = Asked::kinds().zip(self.counts.chunks(self.types.len() * CLASSES));
        of_kinds.flat_map(move |(kind, of_types)| {
            let of_types = self.types.iter().zip(of_types.chunks(CLASSES));
            of_types.flat_map(move |(resource_type, of_classes)| {
                let of_classes = of_classes.iter().map(|count| count.load(Relaxed)).zip(classes);
                let seen = of_classes.filter(|(count, _)| *count > 0);
                let interaction = kind.name();
                seen.map(move |(count, status)| Count { interaction, resource_type, status, count })
            })
        })
    }

    /// How long they took until the answer began, in microseconds, by what was asked for.
    pub fn latencies(&self) -> impl Iterator<Item = (&'static str, &Histogram<16>)> {
        Asked::kinds().map(Asked::name).zip(&self.latencies)
    }
}

/// The place of a resource type.
fn place(resource_type: Option<ResourceType>) -> usize {
    resource_type.and_then(|t| usize::try_from(t.number()).ok()).map_or(0, |number| number + 1)
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    requests: &'a Requests,
    began: Instant,
}

impl Running<'_> {
    /// It is answered.
    pub(crate) fn end(self, asked: Asked, status: StatusCode) {
        let Self { requests, began } = &self;
        let resource_type = match asked {
            Asked::Interaction(_, resource_type) => place(resource_type),
            Asked::Unknown | Asked::Authorization | Asked::Administration => 0,
        };
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES) - 1;
        let at = (asked.place() * requests.types.len() + resource_type) * CLASSES + class;
        if let Some(count) = requests.counts.get(at) {
            count.fetch_add(1, Relaxed);
        }
        let took = began.elapsed();
        trace::ended(asked, status, took);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        requests.latencies[asked.place()].count(micros);
    }
}

impl Drop for Running<'_> {
    /// Answered or given up.
    fn drop(&mut self) {
        self.requests.running.fetch_sub(1, Relaxed);
    }
}

/// A request that is answered later.
#[derive(Debug)]
pub(crate) struct Later<'a>(&'a Requests);

impl Drop for Later<'_> {
    fn drop(&mut self) {
        self.0.later.fetch_sub(1, Relaxed);
    }
}

/// Counts requests to the authorization server.
pub(crate) async fn authorization(State(context): State<Context>, request: Request, next: Next) -> Response<Body> {
    counted(&context, Asked::Authorization, request, next).await
}

/// Counts requests to the administrator's API.
pub(crate) async fn administration(State(context): State<Context>, request: Request, next: Next) -> Response<Body> {
    counted(&context, Asked::Administration, request, next).await
}

async fn counted(context: &Context, asked: Asked, request: Request, next: Next) -> Response<Body> {
    let running = context.requests.begin();
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let span = trace::span(id.unwrap_or_default(), request.headers());
    let answered = async {
        let response = next.run(request).await;
        running.end(asked, response.status());
        response
    };
    answered.instrument(span).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        let kinds: Vec<Asked> = Asked::kinds().collect();
        assert_eq!(kinds.len(), Asked::KINDS);
        for (place, kind) in kinds.into_iter().enumerate() {
            assert_eq!(kind.place(), place, "{kind:?}");
        }
    }

    #[test]
    fn requests_are_counted_by_what_they_ask_for_and_how_they_end() {
        let definitions = Definitions::r4();
        let requests = Requests::new(definitions);
        let read = |name: &str| Asked::Interaction(InteractionCode::Read, definitions.resource_type(name));
        let first = requests.begin();
        let given_up = requests.begin();
        assert_eq!(requests.running(), 2);
        first.end(read("Patient"), StatusCode::OK);
        drop(given_up);
        assert_eq!(requests.running(), 0);
        requests.begin().end(read("Patient"), StatusCode::NO_CONTENT);
        requests.begin().end(read("VisionPrescription"), StatusCode::NOT_FOUND);
        requests.begin().end(Asked::Administration, StatusCode::INTERNAL_SERVER_ERROR);
        let count = |interaction, resource_type, status, count| Count { interaction, resource_type, status, count };
        let mut counts: Vec<Count> = requests.counts().collect();
        counts.sort_by_key(|count| count.status);
        let expected = [
            count("read", "Patient", "2xx", 2),
            count("read", "VisionPrescription", "4xx", 1),
            count("administration", "none", "5xx", 1),
        ];
        assert_eq!(counts, expected);
        let reads = requests.latencies().find(|(name, _)| *name == "read").map(|(_, latency)| latency.totals().1);
        assert_eq!(reads, Some(3));
        let later = requests.later();
        assert_eq!(requests.running_later(), 1);
        drop(later);
        assert_eq!(requests.running_later(), 0);
    }
}
