//! Login at an identity provider: there and back (AUTH-13). What is checked is in auth `federation.rs`.

use super::{
    Answer, Desk, Stop,
    browser::{Browser, value},
    login, page, see,
};
use crate::smart::LOGIN;
use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use tessera_auth::{
    Error,
    federation::{NotLoggedIn, Recent},
    session,
};
use tessera_model::interaction::query_pairs;

#[derive(Template)]
#[template(path = "unknown.html")]
struct UnknownPage<'a> {
    provider: &'a str,
    issuer: &'a str,
    subject: &'a str,
}

/// `GET /auth/federated`: to the provider. A link and no form, since nobody knows where the provider sends the browser on, and a
/// policy would have to name all of it.
pub(super) async fn begin(State(desk): State<Desk>, request: Request) -> Answer {
    let browser = Browser::of(&desk, request.headers()).await?;
    let pairs = query_pairs(request.uri().query().unwrap_or_default());
    let next = value(&pairs, "request").unwrap_or_default();
    let asked = desk.server.authorization_request(&query_pairs(next)).await.ok();
    let recent = asked.map(|asked| Recent { now: asked.logs_in, max_age: asked.max_age });
    let from = login::address(&request);
    let url = desk.server.begin_login(from, browser.secret(), next, recent.unwrap_or_default()).await?;
    Ok(browser.remember(see(&url)))
}

/// `GET /auth/callback`: back from there.
pub(super) async fn end(State(desk): State<Desk>, request: Request) -> Answer {
    let headers = request.headers().clone();
    let browser = Browser::of(&desk, &headers).await?;
    let answer = query_pairs(request.uri().query().unwrap_or_default());
    let logged_in = match desk.server.end_login(browser.secret(), &answer).await {
        Ok(logged_in) => logged_in,
        Err(NotLoggedIn::Unknown(identity)) => {
            let refused = Error::AccessDenied("nobody here is linked to this account");
            desk.record(&headers, LOGIN, None, Some(&refused)).await?;
            let provider = desk.server.federation().map_or("", tessera_auth::federation::Federation::name);
            let template = UnknownPage { provider, issuer: &identity.issuer, subject: &identity.subject };
            return Ok(page(StatusCode::FORBIDDEN, &template, None));
        }
        Err(NotLoggedIn::Error(error)) => {
            if matches!(error, Error::AccessDenied(_)) {
                desk.record(&headers, LOGIN, None, Some(&error)).await?;
            }
            return Err(Stop::Error(error));
        }
    };
    desk.record(&headers, LOGIN, Some(&login::caller(&logged_in.user)), None).await?;
    let records = desk.server.records();
    if let Some(login) = &browser.login {
        session::end(records, &login.session.key).await?;
        desk.server.forget();
    }
    let secret = session::create_since(records, desk.server.now(), &logged_in.user.key, logged_in.since).await?;
    Ok(browser.set_session(see(&login::after(&desk, &logged_in.request)), Some(secret.expose())))
}
