//! Clients that register by themselves (AUTH-50): the endpoints are there if the operator wants that.
//! <https://www.rfc-editor.org/rfc/rfc7591#section-3>, <https://www.rfc-editor.org/rfc/rfc7592#section-2>

use super::{ATTRIBUTES, Desk, FORM_BYTES_MAX, FORM_TIMEOUT, answer, authorization, challenge, json_of, secret};
use crate::ClientAddress;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    routing::{get, post},
};
use serde_json::{Value, json};
use tessera_auth::{
    Error,
    dynamic::{NotRegistered, Registering},
};
use tessera_model::Caller;

/// The routes, if there are any.
pub(super) fn routes(desk: &Desk) -> Router<Desk> {
    if desk.server.rules().registering == Registering::Off {
        return Router::new();
    }
    Router::new()
        .route("/auth/register", post(register))
        .route("/auth/register/{id}", get(read).put(update).delete(remove))
}

async fn register(State(desk): State<Desk>, request: Request) -> Response<Body> {
    let from = request.extensions().get::<ClientAddress>().map(|from| from.0);
    let (headers, token) = (request.headers().clone(), token(request.headers()));
    let registered = match body(request).await {
        Ok(body) => desk.server.register(token.as_deref(), from, &body).await,
        Err(error) => Err(error),
    };
    let (id, result) = match registered {
        Ok(registered) => (Some(registered.id), Ok(registered.answer)),
        Err(error) => (None, Err(error)),
    };
    done(&desk, &headers, id.as_deref(), StatusCode::CREATED, result).await
}

async fn read(State(desk): State<Desk>, Path(id): Path<String>, headers: HeaderMap) -> Response<Body> {
    let found = desk.server.registration(&id, token(&headers).as_deref()).await;
    match found {
        Ok(value) => json_of(StatusCode::OK, &value),
        Err(error) => refused(&desk, error),
    }
}

async fn update(State(desk): State<Desk>, Path(id): Path<String>, request: Request) -> Response<Body> {
    let (headers, token) = (request.headers().clone(), token(request.headers()));
    let updated = match body(request).await {
        Ok(body) => desk.server.update_registration(&id, token.as_deref(), &body).await,
        Err(error) => Err(error),
    };
    let of = updated.is_ok().then_some(id);
    done(&desk, &headers, of.as_deref(), StatusCode::OK, updated).await
}

async fn remove(State(desk): State<Desk>, Path(id): Path<String>, headers: HeaderMap) -> Response<Body> {
    let removed = desk.server.unregister(&id, token(&headers).as_deref()).await;
    let of = removed.is_ok().then_some(id);
    done(&desk, &headers, of.as_deref(), StatusCode::NO_CONTENT, removed.map(|()| Value::Null)).await
}

fn token(headers: &HeaderMap) -> Option<String> {
    authorization(headers).as_deref().and_then(tessera_auth::bearer).map(str::to_owned)
}

/// The JSON of a request.
async fn body(request: Request) -> Result<Value, NotRegistered> {
    let bad = |text: &str| NotRegistered::Metadata(text.to_owned());
    let read = tokio::time::timeout(FORM_TIMEOUT, to_bytes(request.into_body(), FORM_BYTES_MAX)).await;
    let Ok(Ok(bytes)) = read else { return Err(bad("the body is longer than 64 KiB, or did not arrive")) };
    serde_json::from_slice(&bytes).map_err(|_| bad("send JSON"))
}

/// Records what became of it, and answers.
async fn done(
    desk: &Desk,
    headers: &HeaderMap,
    id: Option<&str>,
    status: StatusCode,
    result: Result<Value, NotRegistered>,
) -> Response<Body> {
    // What a client says of itself is not recorded.
    let error = match &result {
        Ok(_) => None,
        Err(NotRegistered::Failed(_)) => Some(Error::Keys("the server has failed")),
        Err(NotRegistered::NotAllowed) => Some(Error::InvalidClient("the token of a registration is not valid")),
        Err(_) => Some(Error::InvalidRequest("a client's metadata was refused")),
    };
    let caller = id.map(Caller::of_client);
    if let Err(error) = desk.record(headers, ATTRIBUTES, caller.as_ref(), error.as_ref()).await {
        return answer(&desk.server, None, Err(error));
    }
    match result {
        Ok(Value::Null) => secret(status, Body::empty()),
        Ok(value) => json_of(status, &value),
        Err(error) => refused(desk, error),
    }
}

fn refused(desk: &Desk, error: NotRegistered) -> Response<Body> {
    let text = error.to_string();
    let (status, code) = match error {
        NotRegistered::Failed(error) => return answer(&desk.server, None, Err(error)),
        NotRegistered::NotAllowed => (StatusCode::UNAUTHORIZED, "invalid_token"),
        NotRegistered::TooMany => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
        NotRegistered::RedirectUri(_) => (StatusCode::BAD_REQUEST, "invalid_redirect_uri"),
        NotRegistered::Metadata(_) => (StatusCode::BAD_REQUEST, "invalid_client_metadata"),
    };
    let mut response = json_of(status, &json!({"error": code, "error_description": text}));
    let headers = response.headers_mut();
    match status {
        StatusCode::UNAUTHORIZED => challenge(headers, "Bearer", desk.server.urls().issuer(), Some(code)),
        // The next day is at most that far.
        StatusCode::TOO_MANY_REQUESTS => {
            _ = headers.insert(header::RETRY_AFTER, HeaderValue::from_static("86400"));
        }
        _ => {}
    }
    response
}
