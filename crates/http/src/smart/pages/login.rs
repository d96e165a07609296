//! Login and logout (AUTH-13).

use super::{
    Answer, Desk,
    browser::{Browser, value},
    page, second_factor, see, sentence,
};
use crate::{
    ClientAddress,
    links::query_string,
    smart::{ENDED, LOGIN, form},
};
use askama::Template;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode},
};
use std::net::IpAddr;
use tessera_auth::{Error, Kept, Secret, session, user::User};
use tessera_model::{
    Caller,
    interaction::{percent_encode, query_pairs},
};

/// What comes after a login that was for the page of launches.
pub(super) const LAUNCH: &str = "page=launch";

/// With this query the page of what apps may do tells somebody that they have logged out.
pub(super) const ENDED_QUERY: &str = "ended";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    form_token: String,
    /// What comes after: a request for authorization, [`LAUNCH`], or nothing.
    request: &'a str,
    app: Option<&'a str>,
    name: &'a str,
    /// What has happened before.
    notice: Option<&'static str>,
    error: Option<String>,
    /// The identity provider, if users may log in there.
    provider: Option<Provider>,
    /// Whether users may log in by a password.
    passwords: bool,
}

struct Provider {
    name: String,
    link: String,
}

impl Provider {
    fn of(desk: &Desk, request: &str) -> Option<Self> {
        let federation = desk.server.federation()?;
        let link = match request {
            "" => "federated".to_owned(),
            request => format!("federated?request={}", percent_encode(request)),
        };
        Some(Self { name: federation.name().to_owned(), link })
    }
}

/// Whether users may log in by a password.
fn allows_passwords(desk: &Desk) -> bool {
    desk.server.federation().is_none_or(tessera_auth::federation::Federation::allows_passwords)
}

#[derive(Template)]
#[template(path = "logged_out.html")]
struct LoggedOutPage<'a> {
    provider: &'a str,
    /// Where they log out there, if that is known.
    there: Option<String>,
    again: String,
}

/// The page that asks for name and password, or leads to the identity provider.
pub(super) fn show(
    desk: &Desk,
    browser: &Browser,
    request: &str,
    app: Option<&str>,
    target: Option<&str>,
) -> Response<Body> {
    let (provider, passwords) = (Provider::of(desk, request), allows_passwords(desk));
    let form_token = browser.token();
    let template = LoginPage { form_token, request, app, name: "", notice: None, error: None, provider, passwords };
    browser.remember(page(StatusCode::OK, &template, target))
}

/// The page after a logout.
pub(super) fn show_ended(desk: &Desk, browser: &Browser) -> Response<Body> {
    let (provider, passwords) = (Provider::of(desk, ""), allows_passwords(desk));
    let (form_token, notice) = (browser.token(), Some("You have logged out."));
    let template = LoginPage { form_token, request: "", app: None, name: "", notice, error: None, provider, passwords };
    browser.remember(page(StatusCode::OK, &template, None))
}

pub(super) async fn login(State(desk): State<Desk>, request: Request) -> Answer {
    let from = address(&request);
    let headers = request.headers().clone();
    let form = form(request).await?;
    let browser = Browser::of(&desk, &headers).await?;
    browser.check(&form)?;
    if !allows_passwords(&desk) {
        return Err(Error::AccessDenied("users log in at the identity provider").into());
    }
    let [name, password, next] = ["name", "password", "request"].map(|field| value(&form, field).unwrap_or_default());
    let (records, now) = (desk.server.records(), desk.server.now());
    let user = match desk.server.logins().log_in(records, now, from, name, password).await {
        Ok(user) => user,
        // What was typed as a name may be a password: it is not recorded.
        Err(error @ (Error::AccessDenied(_) | Error::TooManyAttempts)) => {
            let status = match error {
                Error::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::FORBIDDEN,
            };
            desk.record(&headers, LOGIN, None, Some(&error)).await?;
            let error = Some(sentence(&error.to_string()));
            let provider = Provider::of(&desk, next);
            // Where the next try may lead to, if the request is one.
            let asked = desk.server.authorization_request(&query_pairs(next)).await.ok();
            let app = asked.as_ref().map(|asked| asked.client.value.name.as_str());
            let (form_token, notice) = (browser.token(), None);
            let template = LoginPage { form_token, request: next, app, name, notice, error, provider, passwords: true };
            return Ok(page(status, &template, asked.as_ref().map(|asked| asked.redirect_uri.as_str())));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(step) = desk.server.step_after_password(&user).await? {
        return Ok(second_factor::ask(&desk, &browser, &user.key, step, next).await?);
    }
    let secret = let_in(&desk, &browser, &headers, &user, false).await?;
    Ok(browser.set_session(see(&after(&desk, next)), Some(secret.expose())))
}

/// Begins a session of a user who has shown who they are, and ends the one before. What it answers is the cookie's value.
pub(super) async fn let_in(
    desk: &Desk,
    browser: &Browser,
    headers: &HeaderMap,
    user: &Kept<User>,
    by_second_factor: bool,
) -> Result<Secret, Error> {
    let (records, now) = (desk.server.records(), desk.server.now());
    desk.record(headers, LOGIN, Some(&caller(user)), None).await?;
    if let Some(login) = &browser.login {
        session::end(records, &login.session.key).await?;
        desk.server.forget();
    }
    match by_second_factor {
        true => session::create_with_second_factor(records, now, &user.key).await,
        false => session::create(records, now, &user.key).await,
    }
}

/// Who it is, for the audit record.
pub(super) fn caller(user: &Kept<User>) -> Caller {
    Caller { user: user.value.fhir_user.clone().or_else(|| Some(user.key.clone())), ..Caller::default() }
}

/// Where a login leads to. That the user was to log in, or not too long ago, has been done.
pub(super) fn after(desk: &Desk, request: &str) -> String {
    let auth = &desk.server.urls().auth;
    if request == LAUNCH {
        return format!("{auth}/launch");
    }
    let mut pairs = query_pairs(request);
    if pairs.is_empty() {
        return format!("{auth}/manage");
    }
    pairs.retain(|(name, _)| name != "max_age");
    for (name, value) in &mut pairs {
        if name == "prompt" {
            let others = value.split(' ').filter(|prompt| !["login", "select_account"].contains(prompt));
            *value = others.collect::<Vec<_>>().join(" ");
        }
    }
    pairs.retain(|(name, value)| name != "prompt" || !value.is_empty());
    format!("{auth}/authorize?{}", query_string(&pairs))
}

pub(super) async fn logout(State(desk): State<Desk>, request: Request) -> Answer {
    let headers = request.headers().clone();
    let form = form(request).await?;
    let browser = Browser::of(&desk, &headers).await?;
    browser.check(&form)?;
    if let Some(login) = &browser.login {
        desk.record(&headers, ENDED, Some(&caller(&login.user)), None).await?;
        session::end(desk.server.records(), &login.session.key).await?;
        desk.server.forget();
    }
    let next = match value(&form, "request") {
        Some(request) => after(&desk, request),
        None => format!("{}/manage?{ENDED_QUERY}", desk.server.urls().auth),
    };
    let Some(federation) = desk.server.federation() else { return Ok(browser.set_session(see(&next), None)) };
    // Whoever is sent to the provider at once is logged in again at once, and nobody sees that they were logged out.
    let there = desk.server.provider_logout().await;
    let again = after(&desk, value(&form, "request").unwrap_or_default());
    let template = LoggedOutPage { provider: federation.name(), there, again };
    Ok(browser.set_session(page(StatusCode::OK, &template, None), None))
}

/// The address that a login comes from, if logins from there are counted.
pub(super) fn address(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ClientAddress>().and_then(|from| from.counted())
}
