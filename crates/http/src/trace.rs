//! The span of a request: log lines within carry its id, and traces begin with it. It holds nothing that a client can put words
//! into (HTTP-11). Where nobody collects traces, it is all that they cost.

use crate::measure::Asked;
use axum::http::{HeaderMap, StatusCode};
use std::time::Duration;
use tracing::{Level, Span};

/// The target of requests' spans and of what is told of their end; the binary filters by it.
const TARGET: &str = "tessera_http::request";

/// Where in a trace a request belongs that somebody else has begun: <https://www.w3.org/TR/trace-context/#traceparent-header>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: u128,
    /// The caller's span in it.
    pub span: u64,
    /// Whether the caller collects it.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads the header's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut hex = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            u128::from_str_radix(part, 16).ok().filter(|_| is_hex)
        };
        let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let is_known = version != 0xff && (version != 0 || parts.next().is_none());
        let span = u64::try_from(span).ok()?;
        (is_known && trace != 0 && span != 0).then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

/// The span of a request with this id. An id that a client has made up is told if it is a UUID: others may say anything.
pub(crate) fn span(id: &str, headers: &HeaderMap) -> Span {
    let id = uuid::Uuid::try_parse(id).is_ok().then_some(id);
    let parent = headers.get("traceparent").and_then(|parent| parent.to_str().ok());
    let traceparent = parent.filter(|parent| TraceParent::parse(parent).is_some());
    tracing::info_span!(target: TARGET, "request", id, traceparent)
}

/// Tells what was asked for, within its span, and how it has ended.
pub(crate) fn ended(asked: Asked, status: StatusCode, took: Duration) {
    tracing::event!(
        target: TARGET,
        Level::DEBUG,
        {
            fhir.interaction = asked.name(),
            fhir.resource_type = asked.resource_type(),
            http.response.status_code = status.as_u16(),
            us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
        },
        "answered"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_parent_is_read_as_w3c_writes_it() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let parsed = TraceParent {
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            span: 0x00f0_67aa_0ba9_02b7,
            sampled: true,
        };
        assert_eq!(TraceParent::parse(&format!("00-{trace}-{span}-01")), Some(parsed));
        let unsampled = TraceParent { sampled: false, ..parsed };
        assert_eq!(TraceParent::parse(&format!("00-{trace}-{span}-00")), Some(unsampled));
        // A later version may have more.
        assert_eq!(TraceParent::parse(&format!("cc-{trace}-{span}-01-what")), Some(parsed));
        for bad in [
            String::new(),
            format!("ff-{trace}-{span}-01"),
            format!("00-{trace}-{span}-01-what"),
            format!("00-{trace}-{span}"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}-{span}-+1"),
        ] {
            assert_eq!(TraceParent::parse(&bad), None, "{bad}");
        }
    }
}
