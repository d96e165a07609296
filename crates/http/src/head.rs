//! How long the head of a request may be (HTTP-2). What is longer still is refused by the connection, with 431.

use crate::{body, encoding, router::outcome};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Response, StatusCode},
    middleware::Next,
};

/// Longest URL.
pub(crate) const URL_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of header names and values.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Most header fields.
const HEADERS_MAX: usize = 100;

/// Refuses a head that is too long, before anybody reads it; of the others, makes what the coding of bodies needs.
pub(crate) async fn layer(request: Request, next: Next) -> Response<Body> {
    // Of HTTP/2 without scheme and host, as of HTTP/1.
    let url = request.uri().path_and_query().map_or(0, |url| url.as_str().len());
    if url > URL_BYTES_MAX {
        return outcome(StatusCode::URI_TOO_LONG, "too-long", "the URL is longer than 8192 bytes");
    }
    if !fit(request.headers()) {
        let text = "the headers are more than 100, or longer than 16384 bytes";
        return outcome(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too-long", text);
    }
    next.run(encoding::keep_identity(body::count_coded(request))).await
}

fn fit(headers: &HeaderMap) -> bool {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    headers.len() <= HEADERS_MAX && bytes <= HEADER_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    /// HTTP/1.1 counts fields before they come here, HTTP/2 does not.
    #[test]
    fn http_2_headers_are_counted_whatever_they_came_by() {
        let fields = |count: usize, bytes: usize| {
            let names = (0..count).map(|n| HeaderName::try_from(format!("x-{n:03}")).unwrap());
            let mut fields: HeaderMap = names.map(|name| (name, HeaderValue::from_static("1"))).collect();
            let missing = bytes.saturating_sub(count * "x-0001".len());
            let first = HeaderValue::try_from(format!("1{}", "a".repeat(missing))).unwrap();
            fields.insert("x-000", first);
            fit(&fields)
        };
        assert_eq!((fields(100, 0), fields(101, 0)), (true, false));
        assert_eq!((fields(1, 16 * 1024), fields(1, 16 * 1024 + 1)), (true, false));
    }
}
