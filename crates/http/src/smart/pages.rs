//! The pages that users see: login, choice of a patient, consent, what they have allowed. Plain HTML forms: no script runs, the
//! one style sheet is ours, and nobody may put them into a frame (AUTH-7).

mod authorize;
mod break_glass;
mod browser;
mod choose;
mod federated;
mod launch;
mod login;
mod manage;
mod second_factor;
mod words;

use super::Desk;
use crate::Context;
use askama::Template;
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use std::sync::Arc;
use tessera_auth::{AuthorizationServer, Error, Refusal};

/// Why there is no page.
enum Stop {
    /// The user is told.
    Error(Error),
    /// They go elsewhere.
    Redirect(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Page(error) => Self::Error(error),
            Refusal::Redirect(url) => Self::Redirect(url),
        }
    }
}

type Answer = Result<Response<Body>, Stop>;

/// The routes of the pages.
pub(super) fn routes(context: &Context, server: &Arc<AuthorizationServer>) -> Router<Context> {
    let mut router = Router::new();
    if server.federation().is_some() {
        router = router.route("/auth/federated", get(federated::begin)).route("/auth/callback", get(federated::end));
    }
    router
        .route("/auth/authorize", get(authorize::begin).post(authorize::posted))
        .route("/auth/consent", post(authorize::decide))
        .route("/auth/login", post(login::login))
        .route("/auth/second-factor", get(second_factor::manage).post(second_factor::posted))
        .route("/auth/logout", post(login::logout))
        .route("/auth/manage", get(manage::show).post(manage::revoke))
        .route("/auth/break-glass", get(break_glass::show).post(break_glass::start))
        .route("/auth/launch", get(launch::show).post(launch::start))
        .route("/auth/style.css", get(style))
        .route("/auth/icon.svg", get(icon))
        .with_state(Desk { context: context.clone(), server: server.clone() })
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    text: String,
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response<Body> {
        let error = match self {
            Self::Redirect(url) => return see(&url),
            Self::Error(error) => error,
        };
        let (status, text) = match &error {
            Error::TooManyAttempts => (StatusCode::TOO_MANY_REQUESTS, error.to_string()),
            Error::AccessDenied(_) => (StatusCode::FORBIDDEN, error.to_string()),
            Error::Store(tessera_store::Error::Busy) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the server is busy; try again".to_owned())
            }
            Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            Error::BadRecord | Error::Keys(_) | Error::Store(_) => {
                tracing::error!(%error, "the authorization server has failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "the server has failed; what went wrong is in its log".to_owned())
            }
            _ => (StatusCode::BAD_REQUEST, error.to_string()),
        };
        page(status, &ErrorPage { text: sentence(&text) }, None)
    }
}

/// The text of an error as users read it.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).chain(['.']).collect()
}

/// Sends the browser elsewhere, by GET.
fn see(url: &str) -> Response<Body> {
    let mut response = super::secret(StatusCode::SEE_OTHER, Body::empty());
    match HeaderValue::from_str(url) {
        Ok(url) => _ = response.headers_mut().insert(header::LOCATION, url),
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

/// A page. Its forms lead to this server, and on to `target` where an app is told of the outcome.
fn page(status: StatusCode, template: &impl Template, target: Option<&str>) -> Response<Body> {
    let Ok(html) = template.render() else {
        return super::secret(StatusCode::INTERNAL_SERVER_ERROR, Body::empty());
    };
    let mut response = super::secret(status, Body::from(html));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Browsers ask form-action also where a form's answer redirects to.
    let target = target.and_then(source).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' {target}; frame-ancestors 'none'; base-uri 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// What a content security policy calls the place of a URL: its origin. It has no words for an address of IPv6, which is then
/// called by its scheme.
/// <https://www.w3.org/TR/CSP3/#framework-directive-source-list>
fn source(url: &str) -> Option<&str> {
    let origin = origin(url)?;
    match origin.split_once("//[") {
        Some((scheme, _)) => Some(scheme),
        None => Some(origin),
    }
}

/// The place of a URL: its origin, or its scheme if it is an app's own.
fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once(':')?;
    let length = match (scheme, rest.strip_prefix("//")) {
        ("http" | "https", Some(rest)) => scheme.len() + 3 + rest.find(['/', '?']).unwrap_or(rest.len()),
        _ => scheme.len() + 1,
    };
    let origin = url.get(..length)?;
    origin.bytes().all(|b| b.is_ascii_graphic() && !b";,'\"".contains(&b)).then_some(origin)
}

async fn style() -> Response<Body> {
    part("text/css; charset=utf-8", include_str!("../../templates/style.css"))
}

async fn icon() -> Response<Body> {
    part("image/svg+xml", include_str!("../../templates/icon.svg"))
}

/// What pages are made of beside themselves.
fn part(content_type: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_7_a_policy_names_the_origin_of_an_app_and_nothing_else() {
        let check = |url: &str, expect: Option<&str>| assert_eq!(source(url), expect, "{url}");
        check("https://app.example/cb?x=y", Some("https://app.example"));
        check("http://127.0.0.1:4711", Some("http://127.0.0.1:4711"));
        check("http://[::1]:4711/cb", Some("http:"));
        check("com.example.app:/cb", Some("com.example.app:"));
        check("https://a;script-src *", None);
        check("https://a, b/", None);
        check("nothing", None);
    }

    #[test]
    fn pages_link_relatively_so_that_a_proxy_may_add_a_path() {
        let templates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let pages = std::fs::read_dir(templates).unwrap().map(|entry| entry.unwrap().path());
        let pages: Vec<_> = pages.filter(|path| path.extension().is_some_and(|end| end == "html")).collect();
        assert!(pages.len() > 10);
        for page in pages {
            let text = std::fs::read_to_string(&page).unwrap();
            assert!(!text.contains("=\"/"), "{}", page.display());
        }
    }

    #[test]
    fn auth_7_pages_run_no_script_and_stand_in_no_frame() {
        let response = page(StatusCode::OK, &ErrorPage { text: "<script>".into() }, Some("https://app.example/cb"));
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' https://app.example;"
        ));
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert!(!ErrorPage { text: "<script>".into() }.render().unwrap().contains("<script"));
    }
}
