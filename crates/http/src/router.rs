//! The few fixed routes; everything below the FHIR base goes to the endpoint, which has a grammar of its own: a router of
//! patterns would read `%24validate` as an id and answer `/Patient/` with 404.

use crate::{
    Context, admin,
    endpoint::{BASE_PATH, endpoint},
    head, health, measure, site, smart,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
    middleware::{from_fn, from_fn_with_state, map_response},
    routing::{any, get},
};
use std::{future::ready, sync::Arc};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, Predicate as _, SizeAbove},
    },
    decompression::RequestDecompressionLayer,
};

/// Smaller answers are sent as they are: coded they would hardly be shorter, and fit one packet anyway.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// All routes of the server.
pub fn router(context: Context) -> Router {
    // Each layer is cloned, boxed and awaited for each request: few of them do.
    let of_server: Arc<[_]> = headers_of(&context).into();
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/startup", get(health::startup))
        .route(BASE_PATH, any(endpoint))
        .route("/fhir/", any(endpoint))
        .route("/fhir/{*path}", any(endpoint))
        .merge(site::routes(&context))
        .merge(smart::routes(&context).layer(from_fn_with_state(context.clone(), measure::authorization)))
        .merge(admin::routes(&context).layer(from_fn_with_state(context.clone(), measure::administration)))
        .fallback(elsewhere)
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_BYTES_MIN))))
        // What it does not know is refused where the error becomes an OperationOutcome.
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(from_fn(head::layer))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(context.clone(), smart::cors::layer))
        .layer(map_response(move |response| ready(with_headers(response, &of_server))))
        .with_state(context)
}

/// HTTP-7: headers of every answer; pages and contents say more.
const OF_ALL: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// Headers of every answer of this server.
fn headers_of(context: &Context) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<_> = OF_ALL.map(|(name, value)| (name, HeaderValue::from_static(value))).into();
    // HTTP-1: a browser that has come by TLS comes by it from now on.
    if context.base.starts_with("https://") {
        headers.push((header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")));
    }
    // AUTH-40: every response says so.
    if context.authenticator.is_insecure() {
        headers.push((HeaderName::from_static("x-insecure-mode"), HeaderValue::from_static("no-auth")));
    }
    headers
}

/// The answer with those headers that it does not have yet.
fn with_headers(mut response: Response<Body>, headers: &[(HeaderName, HeaderValue)]) -> Response<Body> {
    for (name, value) in headers {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    response
}

async fn elsewhere() -> Response<Body> {
    outcome(StatusCode::NOT_FOUND, "not-found", "there is nothing here; FHIR begins at /fhir")
}

fn panicked(_payload: Box<dyn std::any::Any + Send>) -> Response<Body> {
    tracing::error!("a request has panicked");
    outcome(StatusCode::INTERNAL_SERVER_ERROR, "exception", "the server has failed; what went wrong is in its log")
}

/// An answer of the server rather than of FHIR. The texts are ours and need no escapes.
pub(crate) fn outcome(status: StatusCode, code: &str, text: &str) -> Response<Body> {
    let body = format!(
        r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"error","code":"{code}","diagnostics":"{text}"}}]}}"#
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(crate::format::FHIR_JSON));
    response
}
