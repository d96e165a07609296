//! The OpenAPI document of the administrator's API: `openapi/openapi.json`, which a test compares.

use super::{Answer, authorizations, clients, problem::Problem, users};
use axum::{
    body::Body,
    http::{HeaderValue, header},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(title = "Tessera", description = "The administrator's API: clients, users and what users have authorized. FHIR is described by GET [base]/metadata.", license(name = "Apache 2.0", identifier = "Apache-2.0")),
    paths(
        clients::list, clients::create, clients::read, clients::update, clients::rotate, clients::disable, clients::enable,
        users::list, users::create, users::read, users::update, users::set_password, users::disable, users::enable,
        authorizations::list, authorizations::revoke_all, authorizations::read, authorizations::revoke,
    ),
    modifiers(&Token),
    security(("token" = [])),
)]
struct Document;

/// How requests are let in.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An access token with the scope tessera/admin, granted by an administrator."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// `GET /admin/openapi.json`, for everybody: it says nothing of anybody.
pub(super) async fn show() -> Answer {
    let text = Document::openapi().to_json().map_err(|_| Problem::Failed)?;
    let mut response = crate::smart::secret(axum::http::StatusCode::OK, Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TESSERA_WRITE=1 cargo test -p tessera-http openapi` writes it.
    #[test]
    fn openapi_json_is_what_the_server_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/openapi.json");
        let document = Document::openapi().to_pretty_json().unwrap() + "\n";
        if std::env::var("TESSERA_WRITE").is_ok() {
            std::fs::write(path, &document).unwrap();
        }
        assert!(std::fs::read_to_string(path).unwrap_or_default() == document, "openapi/openapi.json is out of date");
    }
}
