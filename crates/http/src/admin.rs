//! The administrator's API, beside the FHIR API: clients, users and what users have authorized, as JSON (docs/admin.md). What it does
//! are the functions of `tessera-auth` that the command line uses; here are the guard, the record of changes, and the shape of answers.

mod authorizations;
mod clients;
mod document;
mod problem;
mod users;

pub(crate) use document::add_to;

use crate::{Context, audit, endpoint::request_id, links::with_query};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header},
    middleware::Next,
    response::IntoResponse,
    routing::{get, post},
};
use problem::Problem;
use serde::{Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use tessera_auth::{AuthorizationServer, Kept, TokenHolder};
use tessera_model::interaction::{percent_encode, query_pairs};
use tessera_store::AuditAction;
use utoipa::ToSchema;

/// Largest body: a JWKS of a client is the largest that there is.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long it may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Entries of a page, if it is not said how many, and most of them.
const COUNT: u32 = 100;
const COUNT_MAX: u32 = 1000;

/// What the API reaches.
#[derive(Clone)]
struct Office {
    context: Context,
    server: Arc<AuthorizationServer>,
}

type Answer = Result<Response<Body>, Problem>;

/// The routes of the API. There are none without authentication: then there is nothing to administer.
pub(crate) fn routes(context: &Context) -> Router<Context> {
    let Some(server) = context.authenticator.server() else { return Router::new() };
    let office = Office { context: context.clone(), server: server.clone() };
    Router::new()
        .route("/admin/clients", get(clients::list).post(clients::create))
        .route("/admin/clients/{id}", get(clients::read).put(clients::update))
        .route("/admin/clients/{id}/rotate", post(clients::rotate))
        .route("/admin/clients/{id}/disable", post(clients::disable))
        .route("/admin/clients/{id}/enable", post(clients::enable))
        .route("/admin/users", get(users::list).post(users::create))
        .route("/admin/users/{name}", get(users::read).put(users::update))
        .route("/admin/users/{name}/password", post(users::set_password))
        .route("/admin/users/{name}/disable", post(users::disable))
        .route("/admin/users/{name}/enable", post(users::enable))
        .route("/admin/authorizations", get(authorizations::list).delete(authorizations::revoke_all))
        .route("/admin/authorizations/{id}", get(authorizations::read).delete(authorizations::revoke))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        // Around every route: none is without it.
        .route_layer(axum::middleware::from_fn_with_state(office.clone(), guard))
        .with_state(office)
}

/// Lets administrators in, and records what they change and who was refused (AUD-1). Without a record there is no answer.
async fn guard(State(office): State<Office>, request: Request, next: Next) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let id = request_id(request.headers());
    let has_token = request.headers().contains_key(header::AUTHORIZATION);
    let is_change = !matches!(method, Method::GET | Method::HEAD);
    let holder = holder(&office, request.headers()).await;
    let throttle = &office.context.throttle;
    let counted = match &holder {
        Ok(Some(holder)) => throttle.client(&holder.caller.client, holder.limits),
        Ok(None) | Err(_) => throttle.address(request.extensions()),
    };
    if let Err(error) = counted {
        // It is not recorded: the record would be the next thing to be filled.
        return Problem::TooMany(error.retry_after().unwrap_or(1)).into_response();
    }
    let (caller, refused) = match holder {
        Ok(Some(holder)) => (Some(holder.caller), (!holder.administers).then_some(Problem::NoAdministrator)),
        Ok(None) => (None, Some(Problem::NoToken)),
        Err(problem) => (None, Some(problem)),
    };
    let is_refused = refused.is_some();
    let mut response = match refused {
        None => next.run(request).await,
        Some(problem) => problem.into_response(),
    };
    let (status, headers) = (response.status(), response.headers());
    if is_change || is_refused {
        let action = match method {
            Method::GET | Method::HEAD => AuditAction::Read,
            Method::DELETE => AuditAction::Delete,
            Method::POST if matches!(&*path, "/admin/clients" | "/admin/users") => AuditAction::Create,
            _ => AuditAction::Update,
        };
        // What is new is where the answer says.
        let location = headers.get(header::LOCATION).and_then(|url| url.to_str().ok());
        let made = location.and_then(|url| url.find("/admin/").and_then(|at| url.get(at..)));
        let why = status.canonical_reason().unwrap_or_default();
        let refused = (!status.is_success()).then_some((status.as_u16(), why));
        let what = made.unwrap_or(&path);
        let done = (action, what);
        let recorded = audit::record_administration(&office.context, caller.as_ref(), &id, done, refused).await;
        if let Err(error) = recorded {
            tracing::error!(%error, "an administrator's request could not be recorded");
            response = Problem::Busy.into_response();
        }
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    if response.status() == StatusCode::UNAUTHORIZED || response.status() == StatusCode::FORBIDDEN {
        let is_known = response.status() == StatusCode::FORBIDDEN;
        let error = match (is_known, has_token) {
            (true, _) => Some("insufficient_scope\", scope=\"tessera/admin"),
            (false, true) => Some("invalid_token"),
            (false, false) => None,
        };
        crate::smart::challenge(response.headers_mut(), "Bearer", office.server.urls().issuer(), error);
    }
    response
}

/// Who it is, by the token of these headers.
async fn holder(office: &Office, headers: &HeaderMap) -> Result<Option<TokenHolder>, Problem> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(tessera_auth::bearer);
    match token {
        Some(token) => Ok(office.server.holder(token).await?),
        None => Ok(None),
    }
}

/// The body, as JSON of that form.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).map(str::trim);
    if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
        return Err(Problem::UnsupportedMediaType);
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(request.into_body(), BODY_BYTES_MAX)).await;
    let bytes = read.map_err(|_| Problem::Slow)?.map_err(|_| Problem::TooLarge)?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::Malformed(error.to_string()))
}

/// What a list is asked for.
struct Page {
    after: String,
    count: u32,
    filters: Vec<(String, String)>,
}

/// The parameters of a list: `after`, `count`, and the filters that it has.
fn page(request: &Request, filters: &[&str]) -> Result<Page, Problem> {
    let mut page = Page { after: String::new(), count: COUNT, filters: Vec::new() };
    for (name, value) in query_pairs(request.uri().query().unwrap_or_default()) {
        match name.as_str() {
            "after" => page.after = value,
            "count" => {
                let count = value.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
                page.count = count.ok_or_else(|| Problem::Malformed(format!("count is 1 to {COUNT_MAX}")))?;
            }
            known if filters.contains(&known) && page.filters.iter().all(|(n, _)| n != known) => {
                page.filters.push((name, value));
            }
            _ => return Err(Problem::Malformed(format!("{name} is no parameter here, or is there twice"))),
        }
    }
    Ok(page)
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
struct Listed<T> {
    items: Vec<T>,
    /// Where it goes on, if there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Page {
    /// What was found for this page: if it is full, with a link to where it goes on.
    fn of<V, T: Serialize>(
        &self,
        office: &Office,
        path: &str,
        found: &[Kept<V>],
        show: impl Fn(&Kept<V>) -> T,
    ) -> Answer {
        let more = found.last().filter(|_| found.len() == self.count as usize).map(|last| last.key.clone());
        self.answer(office, path, found.iter().map(show).collect(), more)
    }

    /// The value of a filter.
    fn filter(&self, name: &str) -> Option<String> {
        self.filters.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }

    /// A page of a list at that path: if it may go on after an entry, with a link to where.
    fn answer<T: Serialize>(&self, office: &Office, path: &str, items: Vec<T>, more_after: Option<String>) -> Answer {
        let next = more_after.map(|after| {
            let mut parameters = self.filters.clone();
            parameters.extend([("count".to_owned(), self.count.to_string()), ("after".to_owned(), after)]);
            with_query(&format!("{}/{path}", office.server.urls().admin), &parameters)
        });
        json(StatusCode::OK, &Listed { items, next })
    }
}

/// An answer that nobody keeps.
fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let text = serde_json::to_string(value).map_err(|_| Problem::Failed)?;
    let mut response = crate::smart::secret(status, Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// An answer with the version of what it shows.
fn versioned(status: StatusCode, version: i64, value: &impl Serialize) -> Answer {
    let mut response = json(status, value)?;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// An answer to a creation.
fn created(office: &Office, path: &str, key: &str, value: &impl Serialize) -> Answer {
    let mut response = versioned(StatusCode::CREATED, 1, value)?;
    let url = format!("{}/{path}/{}", office.server.urls().admin, percent_encode(key));
    if let Ok(url) = HeaderValue::from_str(&url) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    Ok(response)
}

/// Whether `If-Match`, where it is given, names the version that is there. A replacement must be of a version that was read.
fn check_version<T>(headers: &HeaderMap, kept: &Kept<T>, is_needed: bool) -> Result<(), Problem> {
    let tag = headers.get(header::IF_MATCH).map(|value| value.to_str().unwrap_or_default().trim());
    match tag {
        None if is_needed => Err(Problem::VersionNeeded),
        None | Some("*") => Ok(()),
        Some(tag) if tag.trim_start_matches("W/") == format!("\"{}\"", kept.version()) => Ok(()),
        Some(_) => Err(Problem::Changed),
    }
}
