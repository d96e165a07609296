//! Clients (AUTH-20, ORG-1): what `tessera client` does, over HTTP.

use super::{Answer, Office, body, check_version, created, page, problem::Problem, versioned};
use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_auth::{
    Algorithm, Kept, Secret,
    client::{self, Authentication, Client, Keys, Limits, Organization},
    registration::check_client,
};
use tessera_model::temporal::format_instant;
use utoipa::ToSchema;

/// A client. Names that RFC 7591 has are its names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "client_id": "pharmacy",
    "client_name": "Pharmacy at the Market",
    "token_endpoint_auth_method": "client_secret_basic",
    "scope": "openid fhirUser user/MedicationStatement.rs",
    "policy": ["*"],
    "redirect_uris": ["https://pharmacy.example.org/callback"],
    "contact": "it@pharmacy.example.org",
}))]
pub(super) struct ClientRecord {
    /// Its id.
    client_id: String,
    /// Its name, which users are shown.
    client_name: String,
    /// `none`, `client_secret_basic`, `client_secret_post` or `private_key_jwt`.
    token_endpoint_auth_method: String,
    /// Where its JWKS is, for `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    /// Its JWKS, if it has no URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
    /// The algorithms that it signs assertions with: `RS384`, `ES384`, or both if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    token_endpoint_auth_signing_algs: Vec<Algorithm>,
    /// The scopes that it may be granted, with spaces between them.
    scope: String,
    /// What it may see at all: `*`, `Type` or `Type?parameters`; one line must hold.
    #[serde(default)]
    policy: Vec<String>,
    /// Where users are sent back to.
    #[serde(default)]
    redirect_uris: Vec<String>,
    /// Where an EHR starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    launch_url: Option<String>,
    /// The organization that it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organization: Option<OrganizationRecord>,
    /// The purposes of use that it may have, codes of v3 PurposeOfUse; the first is the usual one.
    #[serde(default)]
    purposes: Vec<String>,
    /// What ids that it chooses itself must begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_prefix: Option<String>,
    /// What it may ask for at a time, if not the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsRecord>,
    /// May it ask what tokens of others are good for?
    #[serde(default)]
    introspects: bool,
    /// May it start other apps for its users, as an EHR does?
    #[serde(default)]
    launches: bool,
    /// May it do what administrators may?
    #[serde(default)]
    administers: bool,
    /// The origins whose pages may send its requests.
    #[serde(default)]
    origins: Vec<String>,
    /// Whom to ask about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
    /// The algorithm of its id_tokens: `RS256` unless another is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    id_token_signed_response_alg: Option<Algorithm>,
    /// Whether it is let in.
    #[serde(default = "yes")]
    enabled: bool,
    /// Until when, if not for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires: Option<String>,
    /// Its new secret, in the answer that it is made for and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    client_secret: Option<String>,
}

/// The organization that a client acts for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OrganizationRecord {
    /// Its name, which users are shown.
    name: String,
    /// Its resource here: `Organization/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// The URI that it is known by elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
}

/// What a client may ask for at a time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LimitsRecord {
    /// Requests a second.
    requests_per_second: u32,
    /// Requests at once, now and then.
    burst: u32,
    /// Searches at a time.
    searches: u32,
    /// Of what costs most, at a time.
    costly: u32,
}

/// A client's new keys. For a client with a secret: an empty object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub(super) struct NewKeys {
    /// Where its JWKS is.
    jwks_uri: Option<String>,
    /// Its JWKS, if it has no URL.
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
    /// The algorithms that it signs with; both, if none is named.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    token_endpoint_auth_signing_algs: Vec<Algorithm>,
}

const fn yes() -> bool {
    true
}

impl ClientRecord {
    fn of(kept: &Kept<Client>, secret: Option<&Secret>) -> Self {
        let Client {
            name,
            authentication,
            organization,
            redirect_uris,
            launch_url,
            scopes,
            policy,
            purposes,
            id_prefix,
            limits,
            introspects,
            launches,
            administers,
            origins,
            contact,
            id_token_algorithm,
            enabled,
            expires,
        } = kept.value.clone();
        let method = authentication.name().to_owned();
        let (jwks_uri, jwks, algorithms) = match authentication {
            Authentication::PrivateKeyJwt(Keys { jwks_url, jwks, algorithms }) => (jwks_url, jwks, algorithms),
            _ => (None, None, Vec::new()),
        };
        Self {
            client_id: kept.key.clone(),
            client_name: name,
            token_endpoint_auth_method: method,
            jwks_uri,
            jwks,
            token_endpoint_auth_signing_algs: algorithms,
            scope: scopes,
            policy,
            redirect_uris,
            launch_url,
            organization: organization.map(|Organization { name, reference, uri }| OrganizationRecord {
                name,
                reference,
                uri,
            }),
            purposes,
            id_prefix,
            limits: limits.map(|Limits { requests_per_second, burst, searches, costly }| LimitsRecord {
                requests_per_second,
                burst,
                searches,
                costly,
            }),
            introspects,
            launches,
            administers,
            origins,
            contact,
            id_token_signed_response_alg: id_token_algorithm,
            enabled,
            expires: expires.map(format_instant),
            client_secret: secret.map(|secret| secret.expose().to_owned()),
        }
    }

    /// The client that it says, and its id; its secret, if it needs a new one. `current`: how it has shown who it is until now.
    fn read(self, current: Option<&Authentication>) -> Result<(String, Client, Option<Secret>), Problem> {
        if self.client_secret.is_some() {
            return Err(Problem::Refused("a secret is made by the server".to_owned()));
        }
        let keys = NewKeys {
            jwks_uri: self.jwks_uri,
            jwks: self.jwks,
            token_endpoint_auth_signing_algs: self.token_endpoint_auth_signing_algs,
        };
        let method = self.token_endpoint_auth_method.as_str();
        if method != "private_key_jwt" && keys.are_given() {
            return Err(Problem::Refused("keys are for private_key_jwt".to_owned()));
        }
        let (authentication, secret) = match (method, current) {
            ("none", _) => (Authentication::None, None),
            ("private_key_jwt", _) => (Authentication::PrivateKeyJwt(keys.read()), None),
            ("client_secret_basic" | "client_secret_post", Some(current)) if current.name() == method => {
                (current.clone(), None)
            }
            ("client_secret_basic" | "client_secret_post", _) => {
                let (secret, digest) = client::new_secret()?;
                let is_basic = method == "client_secret_basic";
                let kind = if is_basic { Authentication::ClientSecretBasic } else { Authentication::ClientSecretPost };
                (kind(digest), Some(secret))
            }
            _ => return Err(Problem::Refused(format!("{method} is no authentication method here"))),
        };
        let expires = match self.expires.as_deref().map(str::parse::<Timestamp>) {
            None => None,
            Some(Ok(time)) => Some(time.as_microsecond()),
            Some(Err(_)) => return Err(Problem::Refused("expires is a time such as 2030-01-01T00:00:00Z".to_owned())),
        };
        let client = Client {
            name: self.client_name,
            authentication,
            organization: self.organization.map(|OrganizationRecord { name, reference, uri }| Organization {
                name,
                reference,
                uri,
            }),
            redirect_uris: self.redirect_uris,
            launch_url: self.launch_url,
            scopes: self.scope,
            policy: self.policy,
            purposes: self.purposes,
            id_prefix: self.id_prefix,
            limits: self.limits.map(|LimitsRecord { requests_per_second, burst, searches, costly }| Limits {
                requests_per_second,
                burst,
                searches,
                costly,
            }),
            introspects: self.introspects,
            launches: self.launches,
            administers: self.administers,
            origins: self.origins,
            contact: self.contact,
            id_token_algorithm: self.id_token_signed_response_alg,
            enabled: self.enabled,
            expires,
        };
        Ok((self.client_id, client, secret))
    }
}

impl NewKeys {
    fn are_given(&self) -> bool {
        self.jwks_uri.is_some() || self.jwks.is_some() || !self.token_endpoint_auth_signing_algs.is_empty()
    }

    fn read(self) -> Keys {
        let algorithms = match self.token_endpoint_auth_signing_algs {
            none if none.is_empty() => Algorithm::OF_ASSERTIONS.to_vec(),
            some => some,
        };
        Keys { jwks_url: self.jwks_uri, jwks: self.jwks, algorithms }
    }
}

/// A page of the clients, in the order of their ids.
#[utoipa::path(get, path = "/admin/clients", tag = "Clients",
    params(("after" = Option<String>, Query, description = "begin behind this id"), ("count" = Option<u32>, Query, description = "how many; else 100", minimum = 1, maximum = 1000)),
    responses((status = 200, description = "items, and next if there may be more", body = super::Listed<ClientRecord>), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn list(State(office): State<Office>, request: Request) -> Answer {
    let page = page(&request, &[])?;
    let found = client::list(office.server.records(), &page.after, page.count).await?;
    page.of(&office, "clients", &found, |kept| ClientRecord::of(kept, None))
}

/// Registers a client; the answer has its secret, if it has one.
#[utoipa::path(post, path = "/admin/clients", tag = "Clients", request_body = ClientRecord,
    responses((status = 201, description = "registered; Location and ETag say where and which version", body = ClientRecord), (status = 409, description = "there is one of that id", body = super::problem::ProblemDetails, content_type = "application/problem+json"), (status = 422, description = "such a client may not be", body = super::problem::ProblemDetails, content_type = "application/problem+json"), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn create(State(office): State<Office>, request: Request) -> Answer {
    let (id, client, secret) = body::<ClientRecord>(request).await?.read(None)?;
    check_client(&id, &client, office.server.reading()).map_err(Problem::Refused)?;
    if !client::register(office.server.records(), &id, client).await? {
        return Err(Problem::Exists);
    }
    let kept = find(&office, &id).await?;
    created(&office, "clients", &id, &ClientRecord::of(&kept, secret.as_ref()))
}

/// A client.
#[utoipa::path(get, path = "/admin/clients/{id}", tag = "Clients", params(("id" = String, Path, description = "its id", example = "pharmacy")),
    responses((status = 200, description = "the client, with an ETag", body = ClientRecord), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn read(State(office): State<Office>, Path(id): Path<String>) -> Answer {
    let kept = find(&office, &id).await?;
    versioned(StatusCode::OK, kept.version(), &ClientRecord::of(&kept, None))
}

/// Replaces what is registered of a client. Its secret stays, unless it authenticates in another way now.
#[utoipa::path(put, path = "/admin/clients/{id}", tag = "Clients", request_body = ClientRecord,
    params(("id" = String, Path, description = "its id", example = "pharmacy"), ("If-Match" = String, Header, description = "the ETag of what was read", example = "\"1\"")),
    responses((status = 200, description = "replaced", body = ClientRecord), (status = 412, description = "it was changed since", body = super::problem::ProblemDetails, content_type = "application/problem+json"), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn update(State(office): State<Office>, Path(id): Path<String>, request: Request) -> Answer {
    let headers = request.headers().clone();
    let mut kept = find(&office, &id).await?;
    check_version(&headers, &kept, true)?;
    let (named, client, secret) = body::<ClientRecord>(request).await?.read(Some(&kept.value.authentication))?;
    if named != id {
        return Err(Problem::Refused("client_id is another one than that of the URL".to_owned()));
    }
    kept.value = client;
    keep(&office, &kept, secret.as_ref()).await
}

/// Gives a client a new secret, or other keys; the old ones are good no more.
#[utoipa::path(post, path = "/admin/clients/{id}/rotate", tag = "Clients", request_body = NewKeys,
    params(("id" = String, Path, description = "its id", example = "pharmacy"), ("If-Match" = Option<String>, Header, description = "the ETag of what was read")),
    responses((status = 200, description = "the client, with its new secret", body = ClientRecord), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn rotate(State(office): State<Office>, Path(id): Path<String>, request: Request) -> Answer {
    let mut kept = find(&office, &id).await?;
    check_version(request.headers(), &kept, false)?;
    let keys = body::<NewKeys>(request).await?;
    let mut secret = None;
    match &mut kept.value.authentication {
        Authentication::PrivateKeyJwt(current) => *current = keys.read(),
        _ if keys.are_given() => return Err(Problem::Refused("keys are for private_key_jwt".to_owned())),
        Authentication::None => return Err(Problem::Refused("a public client has no secret".to_owned())),
        Authentication::ClientSecretBasic(digest) | Authentication::ClientSecretPost(digest) => {
            let (new, of_new) = client::new_secret()?;
            *digest = of_new;
            secret = Some(new);
        }
    }
    keep(&office, &kept, secret.as_ref()).await
}

/// Lets a client in no more; its tokens are refused within 5 seconds.
#[utoipa::path(post, path = "/admin/clients/{id}/disable", tag = "Clients", params(("id" = String, Path, description = "its id", example = "pharmacy")),
    responses((status = 200, description = "disabled", body = ClientRecord), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn disable(State(office): State<Office>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    enable_or_not(&office, &id, &headers, false).await
}

/// Lets a client in again.
#[utoipa::path(post, path = "/admin/clients/{id}/enable", tag = "Clients", params(("id" = String, Path, description = "its id", example = "pharmacy")),
    responses((status = 200, description = "enabled", body = ClientRecord), (status = "4XX", body = super::problem::ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn enable(State(office): State<Office>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    enable_or_not(&office, &id, &headers, true).await
}

async fn enable_or_not(office: &Office, id: &str, headers: &HeaderMap, enabled: bool) -> Answer {
    let mut kept = find(office, id).await?;
    check_version(headers, &kept, false)?;
    kept.value.enabled = enabled;
    keep(office, &kept, None).await
}

async fn find(office: &Office, id: &str) -> Result<Kept<Client>, Problem> {
    client::find(office.server.records(), id).await?.ok_or(Problem::NotFound)
}

/// Keeps a client that was changed, if it may be so and nobody else has changed it.
async fn keep(office: &Office, kept: &Kept<Client>, secret: Option<&Secret>) -> Answer {
    check_client(&kept.key, &kept.value, office.server.reading()).map_err(Problem::Refused)?;
    if !client::update(office.server.records(), kept).await? {
        return Err(Problem::Changed);
    }
    office.server.forget();
    versioned(StatusCode::OK, kept.version() + 1, &ClientRecord::of(kept, secret))
}
