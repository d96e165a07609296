//! Spans for an OpenTelemetry collector: one of each request, and below it one of each statement, without its values (HTTP-11).
//! A span that ends goes into a queue with a bound; where that is full, it is dropped, and nobody waits.

use super::otlp::{Attribute, Span};
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tessera_http::TraceParent;
use tessera_store::clock::{Clock as _, SystemClock};
use tokio::sync::mpsc::Sender;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{layer::Context, registry::LookupSpan};

/// Most of an attribute's text: a statement with thousands of places is longer.
const TEXT_BYTES_MAX: usize = 4096;
/// Most attributes of a span.
const ATTRIBUTES_MAX: usize = 32;
/// The field in which a caller's trace context comes.
const TRACE_PARENT: &str = "traceparent";

/// Makes spans of those of `tracing`.
pub(super) struct Traces {
    ended: Sender<Span>,
    /// Of a hundred traces that begin here.
    percent: u64,
    random: RandomState,
    made: AtomicU64,
}

/// A span that has not ended. One that nobody asks for stands for its children, too.
struct Open(Option<Span>);

impl Traces {
    pub(super) fn new(ended: Sender<Span>, percent: u64) -> Self {
        Self { ended, percent, random: RandomState::new(), made: AtomicU64::new(0) }
    }

    /// 64 bits that nobody has had before.
    fn id(&self) -> u64 {
        self.random.hash_one(self.made.fetch_add(1, Relaxed)).max(1)
    }

    /// Where a span that has no parent here belongs: its trace, and its parent elsewhere. `None`: it is not wanted.
    fn root(&self, fields: &Fields) -> Option<(u128, u64)> {
        match fields.parent {
            Some(TraceParent { sampled: false, .. }) => None,
            Some(TraceParent { trace, span, .. }) => Some((trace, span)),
            None if self.id() % 100 < self.percent => {
                Some(((u128::from(self.id()) << u64::BITS) | u128::from(self.id()), 0))
            }
            None => None,
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let place = match span.parent() {
            Some(parent) => match parent.extensions().get::<Open>() {
                Some(Open(open)) => open.as_ref().map(|open| (open.trace, open.id)),
                None => self.root(&fields),
            },
            None => self.root(&fields),
        };
        let open = place.map(|(trace, parent)| Span {
            trace,
            id: self.id(),
            parent,
            name: span.name(),
            began: SystemClock.now(),
            ended: 0,
            attributes: fields.attributes,
        });
        span.extensions_mut().insert(Open(open));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(Open(Some(open))) = span.extensions_mut().get_mut() {
            open.add(|fields| values.record(fields));
        }
    }

    /// What an event says belongs to the span that it happens in.
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        if let Some(Open(Some(open))) = span.extensions_mut().get_mut() {
            open.add(|fields| event.record(fields));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if let Some(Open(Some(mut open))) = span.extensions_mut().remove::<Open>() {
            open.ended = SystemClock.now();
            // Nobody is to wait for it.
            let _ = self.ended.try_send(open);
        }
    }
}

impl Span {
    fn add(&mut self, record: impl FnOnce(&mut Fields)) {
        let mut fields = Fields { attributes: std::mem::take(&mut self.attributes), parent: None };
        record(&mut fields);
        self.attributes = fields.attributes;
    }
}

/// Collects fields as attributes.
#[derive(Default)]
struct Fields {
    attributes: Vec<(&'static str, Attribute)>,
    parent: Option<TraceParent>,
}

impl Fields {
    fn push(&mut self, field: &Field, value: Attribute) {
        if field.name() != "message" && self.attributes.len() < ATTRIBUTES_MAX {
            self.attributes.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            TRACE_PARENT => self.parent = TraceParent::parse(value),
            _ => self.push(field, Attribute::Text(value[..value.floor_char_boundary(TEXT_BYTES_MAX)].to_owned())),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, Attribute::Number(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, Attribute::Number(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    /// What is no text and no number is not told: only those who wrote it know what it may hold.
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
