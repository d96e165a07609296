//! The few fixed routes; everything below the FHIR base goes to the endpoint, which has a grammar of its own: a router of
//! patterns would read `%24validate` as an id and answer `/Patient/` with 404.

use crate::{
    Context, admin, body, encoding,
    endpoint::{BASE_PATH, endpoint},
    head, health, measure, site, smart,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
    middleware::from_fn_with_state,
    routing::{any, get},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, Predicate as _, SizeAbove},
    },
    decompression::RequestDecompressionLayer,
    set_header::SetResponseHeaderLayer,
};

/// Smaller answers are sent as they are: coded they would hardly be shorter, and fit one packet anyway.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// All routes of the server.
pub fn router(context: Context) -> Router {
    // HTTP-1: a browser that has come by TLS comes by it from now on.
    let strict = context.base.starts_with("https://").then(|| HeaderValue::from_static("max-age=31536000"));
    // AUTH-40: every response says so.
    let insecure = context.authenticator.is_insecure().then(|| HeaderValue::from_static("no-auth"));
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
        .layer(axum::middleware::map_request(encoding::keep_identity))
        // What it does not know is refused where the error becomes an OperationOutcome.
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(axum::middleware::map_request(body::count_coded))
        .layer(axum::middleware::from_fn(head::layer))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn_with_state(context.clone(), smart::cors::layer))
        .layer(SetResponseHeaderLayer::if_not_present(HeaderName::from_static("x-insecure-mode"), insecure))
        // HTTP-7: pages and contents say more.
        .layer(unless_said(header::CACHE_CONTROL, "no-store"))
        .layer(unless_said(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(unless_said(header::REFERRER_POLICY, "no-referrer"))
        .layer(unless_said(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(SetResponseHeaderLayer::if_not_present(header::STRICT_TRANSPORT_SECURITY, strict))
        .with_state(context)
}

/// A header of every answer that does not have it yet.
fn unless_said(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
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
