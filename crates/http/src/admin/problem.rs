//! [`Problem`]: why a request was not done, as `application/problem+json`. <https://www.rfc-editor.org/rfc/rfc9457>

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use tessera_auth::Error;
use utoipa::ToSchema;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Problem {
    /// There is no token, or none that is good.
    NoToken,
    /// Whoever holds it may not administer.
    NoAdministrator,
    /// There is no such client, user or authorization.
    NotFound,
    /// There is one of that name already.
    Exists,
    /// Too many requests; after so many seconds there may be another.
    TooMany(u64),
    /// The method has no meaning here.
    MethodNotAllowed,
    /// `If-Match` is missing.
    VersionNeeded,
    /// It was changed since it was read.
    Changed,
    /// The body is no JSON.
    UnsupportedMediaType,
    /// The body is too large.
    TooLarge,
    /// The body did not arrive.
    Slow,
    /// Body or parameters are not of the form that they must have.
    Malformed(String),
    /// They are, but such a client or user may not be.
    Refused(String),
    /// To be sent again.
    Busy,
    /// The server has failed.
    Failed,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidRequest(why) => Self::Refused(why.to_owned()),
            Error::Store(tessera_store::Error::Busy) => Self::Busy,
            error => {
                tracing::error!(%error, "the administrator's API has failed");
                Self::Failed
            }
        }
    }
}

/// What is told.
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemDetails {
    /// The HTTP status.
    status: u16,
    /// What kind of problem it is.
    title: &'static str,
    /// What is wrong with this request.
    detail: String,
}

impl Problem {
    fn told(&self) -> (StatusCode, String) {
        let (status, detail) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "an access token is needed: Authorization: Bearer …"),
            Self::NoAdministrator => {
                (StatusCode::FORBIDDEN, "the scope tessera/admin is needed, granted by an administrator")
            }
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too many requests; try again later"),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is none of that name"),
            Self::Exists => (StatusCode::CONFLICT, "there is one of that name already"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "the method has no meaning here"),
            Self::VersionNeeded => (StatusCode::PRECONDITION_REQUIRED, "If-Match must name the version that was read"),
            Self::Changed => (StatusCode::PRECONDITION_FAILED, "it was changed since it was read; read it again"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 256 KiB"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, why.as_str()),
            Self::Refused(why) => (StatusCode::UNPROCESSABLE_ENTITY, why.as_str()),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "the server is busy; try again"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "the server has failed; what went wrong is in its log"),
        };
        (status, detail.to_owned())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let (status, detail) = self.told();
        let title = status.canonical_reason().unwrap_or_default();
        let text =
            serde_json::to_string(&ProblemDetails { status: status.as_u16(), title, detail }).unwrap_or_default();
        let mut response = crate::smart::secret(status, Body::from(text));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let retry_after = match &self {
            Self::TooMany(seconds) => Some(*seconds),
            Self::Busy => Some(1),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
