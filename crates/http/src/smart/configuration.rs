//! What the authorization server can do and where it is: only what works (AUTH-1).
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#using-well-known>

use crate::{Context, endpoint::BASE_PATH};
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    routing::get,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tessera_auth::{Algorithm, Authenticator, AuthorizationServer, Urls, dynamic::Registering, external::External};

/// What of SMART is supported. <https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#capabilities>
const CAPABILITIES: [&str; 19] = [
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-standalone-patient",
    "context-standalone-encounter",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-banner",
    "context-style",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
];
/// How tokens can be had.
const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", "client_credentials"];
/// How clients show who they are.
const CLIENT_AUTHENTICATION: [&str; 3] = ["private_key_jwt", "client_secret_basic", "client_secret_post"];
/// Scopes, as examples: others of their form are understood too.
const SCOPES: [&str; 13] = [
    "openid",
    "fhirUser",
    "launch",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "patient/*.cruds",
    "patient/*.rs",
    "user/*.cruds",
    "user/*.rs",
    "system/*.cruds",
    "system/*.rs",
];

/// The documents at their places.
pub(super) fn routes(server: &Arc<AuthorizationServer>) -> Router<Context> {
    let document = |value: Value| {
        let text: Arc<str> = value.to_string().into();
        get(move || async move { publish(text.to_string()) })
    };
    let (mut smart, mut openid) = (smart(server.urls()), openid(server.urls()));
    if let Some(register) = registration(server) {
        smart["registration_endpoint"] = register.as_str().into();
        openid["registration_endpoint"] = register.into();
    }
    Router::new()
        .route(&format!("{BASE_PATH}/.well-known/smart-configuration"), document(smart))
        .route(&format!("{BASE_PATH}/.well-known/openid-configuration"), document(openid.clone()))
        .route("/.well-known/openid-configuration", document(openid))
        .route("/auth/smart-style.json", document(style()))
}

/// The document of an authorization server elsewhere: as it is known now (AUTH-31).
pub(super) fn routes_of_external(server: &Arc<External>) -> Router<Context> {
    let server = server.clone();
    let document = get(move || async move {
        match server.configuration().await {
            Ok(document) => publish(document.to_string()),
            Err(error) => {
                tracing::warn!(%error, "where the authorization server is, cannot be told");
                let mut response = publish(json!({"error": error.code()}).to_string());
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                let headers = response.headers_mut();
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
                response
            }
        }
    });
    Router::new().route(&format!("{BASE_PATH}/.well-known/smart-configuration"), document)
}

/// Where clients register by themselves, if they may (AUTH-50).
fn registration(server: &AuthorizationServer) -> Option<String> {
    let may = server.rules().registering != Registering::Off;
    may.then(|| format!("{}/register", server.urls().auth))
}

fn publish(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What both documents say.
fn common(urls: &Urls) -> Value {
    json!({
        "issuer": urls.issuer(),
        "jwks_uri": format!("{}/jwks", urls.auth),
        "authorization_endpoint": format!("{}/authorize", urls.auth),
        "token_endpoint": urls.token(),
        "introspection_endpoint": format!("{}/introspect", urls.auth),
        "revocation_endpoint": format!("{}/revoke", urls.auth),
        "grant_types_supported": GRANT_TYPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "authorization_response_iss_parameter_supported": true,
        "token_endpoint_auth_methods_supported": CLIENT_AUTHENTICATION,
        "token_endpoint_auth_signing_alg_values_supported": Algorithm::OF_ASSERTIONS.map(Algorithm::name),
        "scopes_supported": SCOPES,
        "code_challenge_methods_supported": ["S256"],
    })
}

fn smart(urls: &Urls) -> Value {
    let mut document = common(urls);
    document["management_endpoint"] = format!("{}/manage", urls.auth).into();
    document["capabilities"] = json!(CAPABILITIES);
    document
}

fn openid(urls: &Urls) -> Value {
    let mut document = common(urls);
    document["userinfo_endpoint"] = format!("{}/userinfo", urls.auth).into();
    document["subject_types_supported"] = json!(["public"]);
    document["id_token_signing_alg_values_supported"] = json!(Algorithm::OF_ID_TOKENS.map(Algorithm::name));
    document["claims_supported"] = json!(["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser"]);
    document
}

/// What the pages look like, for apps that are started from them.
/// <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#styling>
fn style() -> Value {
    json!({
        "color_background": "#f4f5f3",
        "color_error": "#9c1f1f",
        "color_highlight": "#0b6157",
        "color_modal_backdrop": "#1b2526",
        "color_success": "#0b6157",
        "color_text": "#1b2526",
        "dim_border_radius": "6px",
        "dim_font_size": "16px",
        "dim_spacing_size": "16px",
        "font_family_body": "system-ui, sans-serif",
        "font_family_heading": "system-ui, sans-serif",
    })
}

/// What the CapabilityStatement says of who is let in: <https://hl7.org/fhir/smart-app-launch/1.0.0/conformance/index.html>
pub(crate) async fn security(authenticator: &Authenticator) -> Value {
    let endpoints = match authenticator {
        Authenticator::InsecureNoAuth => {
            return json!({"description": "This server runs without authentication, for development on one machine."});
        }
        Authenticator::Smart(server) => {
            let mut smart = smart(server.urls());
            if let Some(register) = registration(server) {
                smart["registration_endpoint"] = register.into();
            }
            smart
        }
        // Where it is, cannot always be told.
        Authenticator::External(server) => server.configuration().await.unwrap_or_default(),
    };
    let names = ["authorize", "token", "manage", "introspect", "revoke", "register"];
    let keys = ["authorization", "token", "management", "introspection", "revocation", "registration"];
    let uris = names.iter().zip(keys).filter_map(|(name, key)| {
        let uri = endpoints[format!("{key}_endpoint")].as_str()?;
        Some(json!({"url": name, "valueUri": uri}))
    });
    let uris: Vec<Value> = uris.collect();
    let mut security = json!({
        "cors": true,
        "service": [{
            "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                "code": "SMART-on-FHIR",
            }],
            "text": "OAuth2 using SMART-on-FHIR profile (see http://docs.smarthealthit.org)",
        }],
    });
    if !uris.is_empty() {
        let url = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris";
        security["extension"] = json!([{"url": url, "extension": uris}]);
    }
    security
}
