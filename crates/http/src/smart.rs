//! The endpoints of the SMART authorization server. What they do is in `tessera-auth`; here are forms, headers and statuses.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/>

pub(crate) mod configuration;
pub(crate) mod cors;
mod pages;
mod register;

use crate::{Context, audit, endpoint::request_id};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts},
    middleware::{self, Next},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tessera_auth::{Authenticator, AuthorizationServer, Error};
use tessera_model::{Caller, interaction::query_pairs};

/// Largest form.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// DICOM's audit codes: "Token granted"; "Login"; "Logout", which a token that is taken back is, too.
const GRANTED: &str = "110142";
const LOGIN: &str = "110122";
const ENDED: &str = "110123";
/// A user lets an app have something, or takes it back: "User security Attributes Changed".
const CONSENT: &str = "110137";
/// "User security Attributes Changed"
const ATTRIBUTES: &str = "110137";

/// The routes of the authorization server, if there is one; of one elsewhere it is told where it is, and nothing else is here
/// (AUTH-31).
pub(crate) fn routes(context: &Context) -> Router<Context> {
    let server = match &context.authenticator {
        Authenticator::InsecureNoAuth => return Router::new(),
        Authenticator::External(server) => return configuration::routes_of_external(server),
        Authenticator::Smart(server) => server,
    };
    let desk = Desk { context: context.clone(), server: server.clone() };
    let limited = Router::new()
        .route("/auth/token", post(token))
        .route("/auth/introspect", post(introspect))
        .route("/auth/userinfo", get(userinfo).post(userinfo))
        .merge(register::routes(&desk))
        .with_state(desk.clone())
        .merge(pages::routes(context, server))
        .route_layer(middleware::from_fn_with_state(desk.clone(), within_limits));
    // To take a token back is always possible (REL-12).
    let others = Router::new().route("/auth/jwks", get(jwks)).route("/auth/revoke", post(revoke)).with_state(desk);
    limited.merge(others).merge(configuration::routes(server))
}

/// Whoever asks too often is told so before anything is looked up (HTTP-4).
async fn within_limits(State(desk): State<Desk>, request: Request, next: Next) -> Response<Body> {
    match desk.context.throttle.address(request.extensions()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let mut response = answer(&desk.server, None, Err(Error::TooManyAttempts));
            let seconds = HeaderValue::from(error.retry_after().unwrap_or(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            response
        }
    }
}

/// What the endpoints and pages reach.
#[derive(Clone)]
struct Desk {
    context: Context,
    server: Arc<AuthorizationServer>,
}

impl Desk {
    /// Records what became of a request (AUD-1). Without a record there is no answer.
    async fn record(
        &self,
        headers: &HeaderMap,
        code: &'static str,
        caller: Option<&Caller>,
        error: Option<&Error>,
    ) -> Result<(), Error> {
        let reason = error.map(|error| match error {
            Error::InvalidClient(why) => format!("{}: {why}", error.code()),
            error => error.code().to_owned(),
        });
        let id = request_id(headers);
        let recorded = audit::record_security(&self.context, caller, &id, code, reason.as_deref()).await;
        recorded.map_err(|error| {
            tracing::error!(%error, "a request to the authorization server could not be recorded");
            Error::Store(tessera_store::Error::Busy)
        })
    }
}

/// <https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-access-token>
async fn token(State(desk): State<Desk>, request: Request) -> Response<Body> {
    let headers = request.headers().clone();
    let header = authorization(&headers);
    let issued = match form(request).await {
        Ok(form) => desk.server.token(header.as_deref(), &form).await,
        Err(error) => Err(error.into()),
    };
    let (caller, result) = match issued {
        Ok(issued) => (Some(issued.caller), Ok(issued.answer)),
        Err(refused) => (refused.client.as_deref().map(Caller::of_client), Err(refused.error)),
    };
    let recorded = desk.record(&headers, GRANTED, caller.as_ref(), result.as_ref().err()).await;
    answer(&desk.server, header.as_deref(), recorded.and(result))
}

/// <https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html>
async fn introspect(State(desk): State<Desk>, request: Request) -> Response<Body> {
    let header = authorization(request.headers());
    let result = match form(request).await {
        Ok(form) => desk.server.introspect(header.as_deref(), &form).await,
        Err(error) => Err(error),
    };
    answer(&desk.server, header.as_deref(), result)
}

/// <https://www.rfc-editor.org/rfc/rfc7009>
async fn revoke(State(desk): State<Desk>, request: Request) -> Response<Body> {
    let headers = request.headers().clone();
    let header = authorization(&headers);
    let result = match form(request).await {
        Ok(form) => desk.server.revoke(header.as_deref(), &form).await,
        Err(error) => Err(error),
    };
    let recorded = desk.record(&headers, ENDED, result.as_ref().ok(), result.as_ref().err()).await;
    match recorded.and(result) {
        Ok(_) => secret(StatusCode::OK, Body::empty()),
        Err(error) => answer(&desk.server, header.as_deref(), Err(error)),
    }
}

/// <https://openid.net/specs/openid-connect-core-1_0.html#UserInfo>
async fn userinfo(State(Desk { server, .. }): State<Desk>, headers: HeaderMap) -> Response<Body> {
    let header = authorization(&headers);
    let token = header.as_deref().and_then(tessera_auth::bearer);
    let found = match token {
        Some(token) => server.userinfo(token).await,
        None => Ok(None),
    };
    let mut response = match found {
        Ok(Some(claims)) => return json_of(StatusCode::OK, &claims),
        Ok(None) => secret(StatusCode::UNAUTHORIZED, Body::empty()),
        Err(Error::AccessDenied(_)) => secret(StatusCode::FORBIDDEN, Body::empty()),
        Err(error) => return answer(&server, None, Err(error)),
    };
    let error = match (token, response.status()) {
        (None, _) => None,
        (_, StatusCode::FORBIDDEN) => Some("insufficient_scope"),
        _ => Some("invalid_token"),
    };
    challenge(response.headers_mut(), "Bearer", server.urls().issuer(), error);
    response
}

/// <https://www.rfc-editor.org/rfc/rfc7517#section-5>
async fn jwks(State(Desk { server, .. }): State<Desk>) -> Response<Body> {
    match server.jwks().await {
        Ok(keys) => {
            let mut response = json_of(StatusCode::OK, &keys);
            // The next key is published a day ahead: nobody needs to ask more often.
            let hour = HeaderValue::from_static("public, max-age=3600");
            response.headers_mut().insert(header::CACHE_CONTROL, hour);
            response.headers_mut().remove(header::PRAGMA);
            response
        }
        Err(error) => answer(&server, None, Err(error)),
    }
}

/// The form of a request.
async fn form(request: Request) -> Result<Vec<(String, String)>, Error> {
    let (parts, body) = request.into_parts();
    if !is_form(&parts) {
        return Err(Error::InvalidRequest("send application/x-www-form-urlencoded"));
    }
    let read = tokio::time::timeout(FORM_TIMEOUT, to_bytes(body, FORM_BYTES_MAX)).await;
    let Ok(Ok(bytes)) = read else { return Err(Error::InvalidRequest("the form is too long, or did not arrive")) };
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::InvalidRequest("the form is not in UTF-8"))?;
    Ok(query_pairs(text))
}

fn is_form(parts: &Parts) -> bool {
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).map(str::trim);
    media_type.is_some_and(|t| t.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn authorization(headers: &HeaderMap) -> Option<String> {
    headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// An answer, or an error as OAuth writes it: <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>
fn answer(server: &AuthorizationServer, header: Option<&str>, result: Result<Value, Error>) -> Response<Body> {
    let error = match result {
        Ok(value) => return json_of(StatusCode::OK, &value),
        Err(error) => error,
    };
    let (status, description) = match &error {
        Error::InvalidClient(reason) => {
            tracing::warn!(reason, "a client was refused");
            (StatusCode::UNAUTHORIZED, error.to_string())
        }
        Error::AccessDenied(_) => (StatusCode::FORBIDDEN, error.to_string()),
        Error::TooManyAttempts => (StatusCode::TOO_MANY_REQUESTS, error.to_string()),
        Error::InvalidRequest(_)
        | Error::InvalidGrant(_)
        | Error::UnauthorizedClient(_)
        | Error::UnsupportedGrantType
        | Error::InvalidScope(_) => (StatusCode::BAD_REQUEST, error.to_string()),
        Error::Store(tessera_store::Error::Busy) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the server is busy; try again".to_owned())
        }
        Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        Error::BadRecord | Error::Keys(_) | Error::Store(_) => {
            tracing::error!(%error, "the authorization server has failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "the server has failed; what went wrong is in its log".to_owned())
        }
    };
    let mut response = json_of(status, &json!({"error": error.code(), "error_description": description}));
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        // The scheme that was tried.
        let is_bearer = header.and_then(tessera_auth::bearer).is_some();
        let (scheme, error) = if is_bearer { ("Bearer", Some("invalid_token")) } else { ("Basic", None) };
        challenge(headers, scheme, server.urls().issuer(), error);
    }
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Says how to authenticate: <https://www.rfc-editor.org/rfc/rfc6750#section-3>
pub(crate) fn challenge(headers: &mut HeaderMap, scheme: &str, realm: &str, error: Option<&str>) {
    let error = error.map(|error| format!(", error=\"{error}\"")).unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(&format!("{scheme} realm=\"{realm}\"{error}")) {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
}

fn json_of(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = secret(status, Body::from(value.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer that nobody may keep.
pub(crate) fn secret(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
