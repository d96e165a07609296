//! Users: what `tessera user` does, over HTTP.

use super::{Answer, Office, body, check_version, created, page, problem::Problem, versioned};
use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use tessera_auth::{
    Kept,
    registration::check_user,
    session,
    user::{self, Role, User},
};
use utoipa::ToSchema;

/// Somebody who may log in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "user": "dora",
    "name": "Dr. Dora Ortega",
    "role": "clinician",
    "fhir_user": "Practitioner/1",
    "policy": ["*"],
}))]
pub(super) struct UserRecord {
    /// The name that they log in with.
    user: String,
    /// The name that they are greeted by.
    name: String,
    /// `patient`, `clinician` or `administrator`.
    #[schema(value_type = String)]
    role: Role,
    /// The resource that they are: `Practitioner/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fhir_user: Option<String>,
    /// For patients: ids of the patients whose records they may see, their own and others'.
    #[serde(default)]
    patients: Vec<String>,
    /// For patients: ids of the RelatedPersons that they are. As long as one is active and within its period, they may see the
    /// record of its patient.
    #[serde(default)]
    related_persons: Vec<String>,
    /// For others: what they may see, `*`, `Type` or `Type?parameters`; one line must hold.
    #[serde(default)]
    policy: Vec<String>,
    /// Whether they may break the glass in an emergency; for clinicians and administrators.
    #[serde(default)]
    break_glass: bool,
    /// Whether they are let in.
    #[serde(default = "yes")]
    enabled: bool,
    /// Their password. In a request for a new user: without it one is made; in the answer: the one that was made, this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// A password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "correct horse battery staple"}))]
pub(super) struct NewPassword {
    /// The new one, of 1 to 1024 bytes; without it one is made, which the answer has.
    password: Option<String>,
}

const fn yes() -> bool {
    true
}

impl UserRecord {
    fn of(kept: &Kept<User>, password: Option<String>) -> Self {
        let User { name, role, fhir_user, patients, related_persons, policy, break_glass, enabled, .. } =
            kept.value.clone();
        let user = kept.key.clone();
        Self { user, name, role, fhir_user, patients, related_persons, policy, break_glass, enabled, password }
    }

    /// The user that it says, with what is kept of the password, and their name.
    fn read(self, hash: Option<String>) -> (String, User) {
        let Self { user, name, role, fhir_user, patients, related_persons, policy, break_glass, enabled, .. } = self;
        let (proxied, password) = (Vec::new(), hash);
        let of =
            User { name, role, fhir_user, patients, related_persons, proxied, policy, break_glass, password, enabled };
        (user, of)
    }
}

/// A password's digest, and the password if it had to be made. Hashing takes a while and has a thread of its own.
async fn hashed(given: Option<String>) -> Result<(String, Option<String>), Problem> {
    let (password, made) = match given {
        Some(password) => (password, None),
        None => {
            let password = user::random_password()?;
            (password.clone(), Some(password))
        }
    };
    let hash = tokio::task::spawn_blocking(move || user::hash(&password)).await.map_err(|_| Problem::Failed)??;
    Ok((hash, made))
}

/// A page of the users, in the order of their names.
#[utoipa::path(get, path = "/admin/users", tag = "Users",
    params(("after" = Option<String>, Query, description = "begin behind this name"), ("count" = Option<u32>, Query, description = "how many; else 100", minimum = 1, maximum = 1000)),
    responses((status = 200, description = "items, and next if there may be more", body = super::Listed<UserRecord>), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn list(State(office): State<Office>, request: Request) -> Answer {
    let page = page(&request, &[])?;
    let found = user::list(office.server.records(), &page.after, page.count).await?;
    page.of(&office, "users", &found, |kept| UserRecord::of(kept, None))
}

/// Adds a user.
#[utoipa::path(post, path = "/admin/users", tag = "Users", request_body = UserRecord,
    responses((status = 201, description = "added; Location and ETag say where and which version", body = UserRecord), (status = 409, description = "there is one of that name", body = super::problem::ProblemDetails, content_type = "application/problem+json"), (status = 422, description = "such a user may not be", body = super::problem::ProblemDetails, content_type = "application/problem+json"), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn create(State(office): State<Office>, request: Request) -> Answer {
    let mut record = body::<UserRecord>(request).await?;
    let given = record.password.take();
    let (name, mut user) = record.read(None);
    check_user(&name, &user, office.server.reading()).map_err(Problem::Refused)?;
    let (hash, made) = hashed(given).await?;
    user.password = Some(hash);
    if !user::add(office.server.records(), &name, user).await? {
        return Err(Problem::Exists);
    }
    let kept = find(&office, &name).await?;
    created(&office, "users", &name, &UserRecord::of(&kept, made))
}

/// A user.
#[utoipa::path(get, path = "/admin/users/{name}", tag = "Users", params(("name" = String, Path, description = "the name that they log in with", example = "dora")),
    responses((status = 200, description = "the user, with an ETag", body = UserRecord), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn read(State(office): State<Office>, Path(name): Path<String>) -> Answer {
    let kept = find(&office, &name).await?;
    versioned(StatusCode::OK, kept.version(), &UserRecord::of(&kept, None))
}

/// Replaces what is known of a user, but for their password. Their sessions end.
#[utoipa::path(put, path = "/admin/users/{name}", tag = "Users", request_body = UserRecord,
    params(("name" = String, Path, description = "the name that they log in with", example = "dora"), ("If-Match" = String, Header, description = "the ETag of what was read", example = "\"1\"")),
    responses((status = 200, description = "replaced", body = UserRecord), (status = 412, description = "it was changed since", body = super::problem::ProblemDetails, content_type = "application/problem+json"), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn update(State(office): State<Office>, Path(name): Path<String>, request: Request) -> Answer {
    let mut kept = find(&office, &name).await?;
    check_version(request.headers(), &kept, true)?;
    let record = body::<UserRecord>(request).await?;
    if record.password.is_some() {
        return Err(Problem::Refused("a password has a request of its own".to_owned()));
    }
    let (named, user) = record.read(kept.value.password.clone());
    if named != name {
        return Err(Problem::Refused("user is another one than that of the URL".to_owned()));
    }
    kept.value = user;
    keep(&office, &kept, None).await
}

/// Gives a user a new password; their sessions end.
#[utoipa::path(post, path = "/admin/users/{name}/password", tag = "Users", request_body = NewPassword,
    params(("name" = String, Path, description = "the name that they log in with", example = "dora")),
    responses((status = 200, description = "the user, with the password if it was made", body = UserRecord), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn set_password(State(office): State<Office>, Path(name): Path<String>, request: Request) -> Answer {
    let mut kept = find(&office, &name).await?;
    check_version(request.headers(), &kept, false)?;
    let (hash, made) = hashed(body::<NewPassword>(request).await?.password).await?;
    kept.value.password = Some(hash);
    keep(&office, &kept, made).await
}

/// Lets a user in no more; their sessions end and their apps are refused within 5 seconds.
#[utoipa::path(post, path = "/admin/users/{name}/disable", tag = "Users", params(("name" = String, Path, description = "the name that they log in with", example = "dora")),
    responses((status = 200, description = "disabled", body = UserRecord), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn disable(State(office): State<Office>, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    enable_or_not(&office, &name, &headers, false).await
}

/// Lets a user in again.
#[utoipa::path(post, path = "/admin/users/{name}/enable", tag = "Users", params(("name" = String, Path, description = "the name that they log in with", example = "dora")),
    responses((status = 200, description = "enabled", body = UserRecord), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn enable(State(office): State<Office>, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    enable_or_not(&office, &name, &headers, true).await
}

async fn enable_or_not(office: &Office, name: &str, headers: &HeaderMap, enabled: bool) -> Answer {
    let mut kept = find(office, name).await?;
    check_version(headers, &kept, false)?;
    kept.value.enabled = enabled;
    keep(office, &kept, None).await
}

async fn find(office: &Office, name: &str) -> Result<Kept<User>, Problem> {
    user::find(office.server.records(), name).await?.ok_or(Problem::NotFound)
}

/// Keeps a user who was changed, if they may be so and nobody else has changed them, and ends their sessions.
async fn keep(office: &Office, kept: &Kept<User>, password: Option<String>) -> Answer {
    check_user(&kept.key, &kept.value, office.server.reading()).map_err(Problem::Refused)?;
    if !user::update(office.server.records(), kept).await? {
        return Err(Problem::Changed);
    }
    session::end_all(office.server.records(), &kept.key).await?;
    office.server.forget();
    versioned(StatusCode::OK, kept.version() + 1, &UserRecord::of(kept, password))
}
