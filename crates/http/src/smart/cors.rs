//! Which pages of other sites may ask (HTTP-6): all of them what the server is; for everything else those of origins that a client
//! has registered. No cookies are ever taken from them. <https://fetch.spec.whatwg.org/#http-cors-protocol>

use crate::{Context, endpoint::BASE_PATH};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header},
    middleware::Next,
};

/// What a page may send.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const HEADERS: &str = "authorization, content-type, accept, prefer, if-match, if-none-match, if-modified-since, \
                       if-none-exist, idempotency-key, x-request-id";
/// What it may read.
const EXPOSED: &str =
    "etag, location, content-location, last-modified, link, retry-after, x-request-id, www-authenticate";
/// How long a browser may believe it, in seconds.
const BELIEVED: &str = "600";

/// Adds the headers that let pages ask, and answers browsers that ask whether they may.
pub(crate) async fn layer(State(context): State<Context>, request: Request, next: Next) -> Response<Body> {
    let (path, origin) = (request.uri().path().to_owned(), request.headers().get(header::ORIGIN).cloned());
    let allowed = allowed(&context, &path, origin).await;
    let origin_is_named = request.headers().contains_key(header::ORIGIN);
    let is_preflight = request.method() == Method::OPTIONS
        && origin_is_named
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    if allowed.as_ref().is_none_or(|origin| origin != "*") {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let lines: &[_] = if is_preflight {
            &[
                (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
                (header::ACCESS_CONTROL_MAX_AGE, BELIEVED),
            ]
        } else {
            &[(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)]
        };
        add(headers, lines);
    }
    response
}

fn add(headers: &mut HeaderMap, lines: &[(header::HeaderName, &'static str)]) {
    for (name, value) in lines {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
}

/// The origin that may read the answer, if one may.
async fn allowed(context: &Context, path: &str, origin: Option<HeaderValue>) -> Option<HeaderValue> {
    if is_public(path) {
        return Some(HeaderValue::from_static("*"));
    }
    let origin = origin?;
    // Who cannot be asked about is nobody's.
    let is_known = context.authenticator.is_origin_of_a_client(origin.to_str().ok()?).await.unwrap_or(false);
    is_known.then_some(origin)
}

/// What says what the server is, and nothing of anybody.
fn is_public(path: &str) -> bool {
    let below = path.strip_prefix(BASE_PATH).unwrap_or(path);
    below == "/metadata" || below.starts_with("/.well-known/") || path == "/auth/jwks"
}
