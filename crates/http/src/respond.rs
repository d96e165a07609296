//! [`Reply`] or [`Error`] → HTTP, or an entry of a response Bundle. <https://hl7.org/fhir/R4/http.html#versioning>

use crate::{
    Context,
    error::Error,
    format::Format,
    reply::{Body, Reply},
    smart,
};
use axum::{
    body::Body as HttpBody,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use std::fmt::Write as _;
use tessera_model::temporal::{Micros, format_instant};

/// How the answer is to be written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// `_format` or `Accept`
    pub(crate) format: Format,
    /// `_pretty=true`
    pub(crate) pretty: bool,
}

/// The response to a request on the wire.
pub(crate) fn respond(context: &Context, result: Result<Reply, Error>, shape: Shape) -> Response<HttpBody> {
    let allowed = result.as_ref().err().and_then(Error::allowed_methods);
    let challenge = result.as_ref().err().and_then(Error::challenge);
    let retry_after = result.as_ref().err().and_then(Error::retry_after);
    let no_patch = matches!(result, Err(Error::UnsupportedPatch(_)));
    let mut reply = result.unwrap_or_else(|error| of_error(&error));
    let mut headers = HeaderMap::new();
    let json = |body| match body {
        Body::None => String::new(),
        Body::Json(text) => text,
        Body::Outcome(outcome) => serde_json::to_string(&outcome).unwrap_or_default(),
    };
    let text = json(std::mem::take(&mut reply.body));
    // An error may quote what XML cannot hold; it is told all the same.
    let told = (reply.status >= 400 && shape.format != Format::Json).then(|| text.clone());
    let (text, format) = match (shape.format.write(text, shape.pretty, context.definitions), told) {
        (Ok(text), _) => (text, shape.format),
        (Err(_), Some(told)) => (told, Format::Json),
        (Err(error), None) => {
            let refusal = of_error(&error);
            reply.status = refusal.status;
            (json(refusal.body), Format::Json)
        }
    };
    if !text.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    }
    if let Some(version) = reply.version {
        insert(&mut headers, header::ETAG, &format!("W/\"{version}\""));
    }
    if let Some(digest) = reply.digest {
        insert(&mut headers, header::ETAG, &format!("W/\"{digest}\""));
    }
    if let Some(at) = reply.last_modified {
        insert(&mut headers, header::LAST_MODIFIED, &http_date(at));
    }
    if let Some(location) = reply.location {
        let name = if reply.status == 201 { header::LOCATION } else { header::CONTENT_LOCATION };
        insert(&mut headers, name, &format!("{}/{location}", context.base));
    }
    if reply.replayed {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    if let Some(seconds) = retry_after.or((reply.status == 202).then_some(1)) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allowed) = allowed {
        insert(&mut headers, header::ALLOW, &allowed);
    }
    if let Some(error) = challenge {
        smart::challenge(&mut headers, "Bearer", &context.base, error);
    }
    if no_patch {
        // RFC 5789 section 3.1
        insert(
            &mut headers,
            header::HeaderName::from_static("accept-patch"),
            &tessera_model::patch::MEDIA_TYPES.join(", "),
        );
    }
    // For HEAD too: the server below leaves the body out, and tells its length as it does for GET.
    let mut response = Response::new(HttpBody::from(text));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

/// Header values are made of ids, numbers and the base URL, which was checked at start.
fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn of_error(error: &Error) -> Reply {
    let (status, outcome) = error.answer();
    Reply { status, body: Body::Outcome(outcome), ..Reply::default() }
}

/// Writes an entry of a batch-response or transaction-response.
pub(crate) fn entry_response(context: &Context, result: Result<Reply, Error>, out: &mut String) {
    let reply = result.unwrap_or_else(|error| of_error(&error));
    out.push('{');
    let (resource, outcome) = match reply.body {
        Body::Json(text) if !text.is_empty() => (Some(text), None),
        Body::Json(_) | Body::None => (None, None),
        Body::Outcome(outcome) => (None, serde_json::to_string(&outcome).ok()),
    };
    if let Some(text) = resource {
        let _ = write!(out, "\"resource\":{text},");
    }
    let reason = StatusCode::from_u16(reply.status).ok().and_then(|s| s.canonical_reason()).unwrap_or_default();
    let _ = write!(out, "\"response\":{{\"status\":\"{} {reason}\"", reply.status);
    if let Some(location) = reply.location {
        let _ = write!(out, ",\"location\":\"{}/{location}\"", context.base);
    }
    if let Some(version) = reply.version {
        let _ = write!(out, ",\"etag\":\"W/\\\"{version}\\\"\"");
    }
    if let Some(at) = reply.last_modified {
        let _ = write!(out, ",\"lastModified\":\"{}\"", format_instant(at));
    }
    if let Some(outcome) = outcome {
        let _ = write!(out, ",\"outcome\":{outcome}");
    }
    out.push_str("}}");
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn http_date(at: Micros) -> String {
    let Ok(at) = jiff::Timestamp::from_microsecond(at) else { return String::new() };
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}

/// Reads an HTTP date.
pub(crate) fn parse_http_date(text: &str) -> Option<Micros> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(text)
        .ok()
        .map(jiff::Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates() {
        let text = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(http_date(parse_http_date(text).unwrap()), text);
        assert_eq!(parse_http_date("yesterday"), None);
    }
}
