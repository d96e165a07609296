//! What users have let clients do: to be seen, and taken back (AUTH-12).

use super::{Answer, Office, json, page, problem::Problem};
use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::Serialize;
use tessera_auth::{
    Kept,
    authorization::{self, Authorization, Selection},
};
use tessera_model::temporal::format_instant;
use utoipa::ToSchema;

/// Records that are looked through for a page: if they do not fill it, `next` goes on.
const LOOKED_THROUGH_MAX: usize = 10_000;
/// Records that are read at a time.
const READ: u32 = 1000;

/// What a user has let a client do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuthorizationRecord {
    /// Its id.
    id: String,
    /// The client's id.
    client: String,
    /// The name that the user logs in with.
    user: String,
    /// What was granted.
    scope: String,
    /// The patient in context.
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<String>,
    /// The encounter in context.
    #[serde(skip_serializing_if = "Option::is_none")]
    encounter: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    since: String,
    /// When it ends, unless it is used before.
    #[schema(format = DateTime)]
    expires: String,
}

/// How many were taken back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Revoked {
    revoked: usize,
}

impl AuthorizationRecord {
    fn of(kept: &Kept<Authorization>) -> Self {
        let Authorization { client, user, scopes, context, since, .. } = kept.value.clone();
        Self {
            id: kept.key.clone(),
            client,
            user,
            scope: scopes,
            patient: context.patient,
            encounter: context.encounter,
            since: format_instant(since),
            expires: format_instant(kept.expires),
        }
    }
}

/// The names of the filters.
const FILTERS: [&str; 3] = ["client", "user", "patient"];

fn selection(page: &super::Page) -> Selection {
    Selection { client: page.filter("client"), user: page.filter("user"), patient: page.filter("patient") }
}

/// A page of the authorizations, of all or of a client, a user or with a patient in context.
#[utoipa::path(get, path = "/admin/authorizations", tag = "Authorizations",
    params(("client" = Option<String>, Query, description = "a client's id"), ("user" = Option<String>, Query, description = "the name that a user logs in with"), ("patient" = Option<String>, Query, description = "the id of the patient in context"),
        ("after" = Option<String>, Query, description = "begin behind this id"), ("count" = Option<u32>, Query, description = "how many; else 100", minimum = 1, maximum = 1000)),
    responses((status = 200, description = "items, and next if there may be more", body = super::Listed<AuthorizationRecord>), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn list(State(office): State<Office>, request: Request) -> Answer {
    let page = page(&request, &FILTERS)?;
    let wanted = selection(&page);
    let (mut items, mut after, mut looked_through) = (Vec::new(), page.after.clone(), 0);
    loop {
        let records = office.server.records();
        let found = authorization::list(records, wanted.user.as_deref(), &after, READ).await?;
        for kept in &found {
            after.clone_from(&kept.key);
            if wanted.includes(&kept.value) {
                items.push(AuthorizationRecord::of(kept));
            }
            if items.len() == page.count as usize {
                return page.answer(&office, "authorizations", items, Some(after));
            }
        }
        looked_through += found.len();
        if found.len() < READ as usize {
            return page.answer(&office, "authorizations", items, None);
        }
        if looked_through >= LOOKED_THROUGH_MAX {
            return page.answer(&office, "authorizations", items, Some(after));
        }
    }
}

/// An authorization.
#[utoipa::path(get, path = "/admin/authorizations/{id}", tag = "Authorizations", params(("id" = String, Path, description = "its id")),
    responses((status = 200, description = "the authorization", body = AuthorizationRecord), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn read(State(office): State<Office>, Path(id): Path<String>) -> Answer {
    let kept = authorization::find(office.server.records(), &id).await?.ok_or(Problem::NotFound)?;
    json(StatusCode::OK, &AuthorizationRecord::of(&kept))
}

/// Takes an authorization back, whether or not it is there: none of its tokens is good for anything any more.
#[utoipa::path(delete, path = "/admin/authorizations/{id}", tag = "Authorizations", params(("id" = String, Path, description = "its id")),
    responses((status = 200, description = "it is not there", body = Revoked), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn revoke(State(office): State<Office>, Path(id): Path<String>) -> Answer {
    let records = office.server.records();
    let found = authorization::find(records, &id).await?;
    authorization::revoke(records, &id).await?;
    if let Some(found) = &found {
        tessera_auth::consent::forget(records, &found.value.user, &found.value.client).await?;
    }
    office.server.forget();
    json(StatusCode::OK, &Revoked { revoked: usize::from(found.is_some()) })
}

/// Takes back all authorizations of a client, of a user, with a patient in context, or of all of these that are given, codes that wait
/// and what users need not be asked again; for a client alone its own tokens, too.
#[utoipa::path(delete, path = "/admin/authorizations", tag = "Authorizations",
    params(("client" = Option<String>, Query, description = "a client's id"), ("user" = Option<String>, Query, description = "the name that a user logs in with"), ("patient" = Option<String>, Query, description = "the id of the patient in context")),
    responses((status = 200, description = "how many they were", body = Revoked), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn revoke_all(State(office): State<Office>, request: Request) -> Answer {
    let page = page(&request, &FILTERS)?;
    if page.filters.is_empty() {
        return Err(Problem::Malformed("client, user or patient must say which".to_owned()));
    }
    let revoked = authorization::revoke_all(office.server.records(), &selection(&page)).await?;
    office.server.forget();
    json(StatusCode::OK, &Revoked { revoked })
}
