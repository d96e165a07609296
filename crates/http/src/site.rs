//! Pages for whoever comes with a browser: what this server is, what it can do, and an explorer of its interface. They tell
//! nothing about data and nothing secret, need nothing from any other host, and but for the explorer they run no script.
//! Links are relative, so that they hold behind a proxy with a prefix.

mod capabilities;
mod published;

use crate::{Context, capability, openapi};
use askama::Template;
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode},
    routing::get,
};
use capabilities::Statement;
use published::Published;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use tessera_auth::Authenticator;

/// Pages that run no script.
const QUIET: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
/// The explorer: its scripts are files of this server, and speak with it alone. Its styles are made by its script.
const EXPLORER: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// The explorer itself (assets/README.md).
const SCALAR: &[u8] = include_bytes!("../assets/scalar.js.gz");

/// What is made when it is first asked for.
type Once = Arc<OnceLock<Published>>;

/// The routes.
pub(crate) fn routes(context: &Context) -> Router<Context> {
    let page = |path: &str, published: Published| {
        let published = Arc::new(published);
        Router::new().route(path, get(async move |headers: HeaderMap| published.answer(&headers)))
    };
    let (statement, document): (Once, Once) = (Once::default(), Once::default());
    page("/", landing(context))
        .merge(page(
            "/docs",
            render(&ExplorerPage { root: "", insecure: context.authenticator.is_insecure() }, EXPLORER),
        ))
        .merge(page("/docs/scalar.js", Published::compressed("text/javascript; charset=utf-8", SCALAR)))
        .merge(page(
            "/docs/explorer.js",
            Published::new("text/javascript; charset=utf-8", include_str!("../templates/explorer.js")),
        ))
        .merge(page(
            "/docs/explorer.css",
            Published::new("text/css; charset=utf-8", include_str!("../templates/explorer.css")),
        ))
        .merge(page(
            "/docs/style.css",
            Published::new("text/css; charset=utf-8", include_str!("../templates/style.css")),
        ))
        .merge(page("/docs/icon.svg", Published::new("image/svg+xml", include_str!("../templates/icon.svg"))))
        .route(
            "/docs/capabilities",
            get(async move |State(context): State<Context>, headers: HeaderMap| {
                capabilities_page(&context, &statement, &headers).await
            }),
        )
        .route(
            "/openapi.json",
            get(async move |State(context): State<Context>, headers: HeaderMap| {
                let made = || Published::new("application/json", openapi::text(&context));
                document.get_or_init(made).answer(&headers)
            }),
        )
}

fn render(template: &impl Template, policy: &'static str) -> Published {
    Published::page(template.render().unwrap_or_default(), policy)
}

#[derive(Template)]
#[template(path = "landing.html")]
struct LandingPage<'a> {
    /// What stands before links: where the page is, seen from the server's root.
    root: &'a str,
    version: &'a str,
    base: &'a str,
    /// The last part of the base URL, by which the FHIR API is reached from here.
    fhir: &'a str,
    /// Whether everybody is let in, which every page says (AUTH-40).
    insecure: bool,
    access: Access,
}

/// Who lets users and apps in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Here,
    Elsewhere,
    Nobody,
}

fn landing(context: &Context) -> Published {
    let access = match &context.authenticator {
        Authenticator::Smart(_) => Access::Here,
        Authenticator::External(_) => Access::Elsewhere,
        Authenticator::InsecureNoAuth => Access::Nobody,
    };
    let fhir = context.base.rsplit('/').next().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    render(
        &LandingPage { root: "", version, base: &context.base, fhir, insecure: access == Access::Nobody, access },
        QUIET,
    )
}

#[derive(Template)]
#[template(path = "explorer.html")]
struct ExplorerPage<'a> {
    root: &'a str,
    insecure: bool,
}

#[derive(Template)]
#[template(path = "capabilities.html")]
struct CapabilitiesPage<'a> {
    root: &'a str,
    version: &'a str,
    base: &'a str,
    fhir: &'a str,
    insecure: bool,
    statement: Statement,
}

async fn capabilities_page(context: &Context, made: &Once, headers: &HeaderMap) -> Response<Body> {
    if let Some(page) = made.get() {
        return page.answer(headers);
    }
    let Ok(text) = capability::statement_of_mode(context, &[]).await else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    };
    let statement: Value = serde_json::from_str(&text).unwrap_or_default();
    let page = CapabilitiesPage {
        root: "../",
        version: env!("CARGO_PKG_VERSION"),
        base: &context.base,
        fhir: context.base.rsplit('/').next().unwrap_or_default(),
        insecure: context.authenticator.is_insecure(),
        statement: Statement::of(&statement),
    };
    made.get_or_init(|| render(&page, QUIET)).answer(headers)
}
