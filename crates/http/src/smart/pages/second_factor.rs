//! The second step of a login, and setting it up (AUTH-13): a code of an authenticator app, or a recovery code.

use super::{
    Answer, Desk,
    browser::{Browser, value},
    login, page, see,
};
use crate::smart::{ATTRIBUTES, LOGIN, form};
use askama::Template;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode},
};
use qrcodegen::{QrCode, QrCodeEcc};
use std::net::IpAddr;
use tessera_auth::{
    Error, Form,
    second_factor::{self, Enrolment, Passed, Step},
    user,
};
use tessera_model::interaction::query_pairs;

/// White around a QR code, in its squares: <https://www.iso.org/standard/62021.html> section 9.1 has four.
const QUIET: i32 = 4;

#[derive(Template)]
#[template(path = "second_factor.html")]
struct StepPage<'a> {
    form_token: String,
    request: &'a str,
    login: &'a str,
    enrolment: Option<Enrolment>,
    picture: Picture,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "recovery_codes.html")]
struct CodesPage {
    codes: Vec<String>,
    next: String,
}

#[derive(Template)]
#[template(path = "second_factor_manage.html")]
struct ManagePage<'a> {
    form_token: String,
    user: &'a str,
    /// Recovery codes that are left; `None`: there is no second factor.
    left: Option<usize>,
    error: Option<String>,
}

/// A QR code as an SVG path.
#[derive(Default)]
struct Picture {
    size: i32,
    path: String,
}

impl Picture {
    fn of(text: &str) -> Self {
        // One that is too long is typed.
        let Ok(code) = QrCode::encode_text(text, QrCodeEcc::Medium) else { return Self::default() };
        let dark = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        let dark = dark.filter(|(x, y)| code.get_module(*x, *y));
        let path = dark.map(|(x, y)| format!("M{},{}h1v1h-1z", x + QUIET, y + QUIET)).collect();
        Self { size: code.size() + 2 * QUIET, path }
    }
}

/// The page of a user whose password was right: it asks for a code, and shows what to set up first. `request`: what comes after.
pub(super) async fn ask(
    desk: &Desk,
    browser: &Browser,
    user: &str,
    step: Step,
    request: &str,
) -> Result<Response<Body>, Error> {
    let (login, enrolment) = desk.server.wait_for(user, step).await?;
    Ok(show(desk, browser, request, login.expose(), enrolment, None).await)
}

async fn show(
    desk: &Desk,
    browser: &Browser,
    request: &str,
    login: &str,
    enrolment: Option<Enrolment>,
    error: Option<&Error>,
) -> Response<Body> {
    let picture = enrolment.as_ref().map(|enrolment| Picture::of(&enrolment.uri)).unwrap_or_default();
    let form_token = browser.token();
    let template = StepPage { form_token, request, login, enrolment, picture, error: error.map(ToString::to_string) };
    let status = match error {
        None => StatusCode::OK,
        Some(Error::TooManyAttempts) => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::FORBIDDEN,
    };
    // Where the right code may lead to, if the request is one.
    let asked = desk.server.authorization_request(&query_pairs(request)).await.ok();
    browser.remember(page(status, &template, asked.as_ref().map(|asked| asked.redirect_uri.as_str())))
}

/// `GET /auth/second-factor`: what a user who has logged in may change.
pub(super) async fn manage(State(desk): State<Desk>, request: Request) -> Answer {
    let browser = Browser::of(&desk, request.headers()).await?;
    managed(&desk, &browser, None).await
}

async fn managed(desk: &Desk, browser: &Browser, error: Option<&Error>) -> Answer {
    let Some(login) = &browser.login else { return Ok(login::show(desk, browser, "", None, None)) };
    let left = second_factor::recovery_codes_left(desk.server.records(), &login.user.key).await?;
    let (form_token, user) = (browser.token(), login.user.value.name.as_str());
    let template = ManagePage { form_token, user, left, error: error.map(ToString::to_string) };
    let status = if error.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Ok(browser.remember(page(status, &template, None)))
}

/// `POST /auth/second-factor`: ends a login that waits, or changes what a user has.
pub(super) async fn posted(State(desk): State<Desk>, request: Request) -> Answer {
    let from = login::address(&request);
    let headers = request.headers().clone();
    let form = form(request).await?;
    let browser = Browser::of(&desk, &headers).await?;
    browser.check(&form)?;
    match value(&form, "login") {
        Some(waiting) => end_login(&desk, &browser, &headers, from, waiting, &form).await,
        None => change(&desk, &browser, &headers, from, &form).await,
    }
}

async fn end_login(
    desk: &Desk,
    browser: &Browser,
    headers: &HeaderMap,
    from: Option<IpAddr>,
    waiting: &str,
    form: &Form,
) -> Answer {
    let [code, request] = ["code", "request"].map(|field| value(form, field).unwrap_or_default());
    let waited = desk.server.waiting(waiting).await?;
    let records = desk.server.records();
    let user = user::find(records, &waited.user).await?.ok_or(Error::AccessDenied("there is no such user"))?;
    let passed = match desk.server.pass(waiting, from, code).await {
        Ok(passed) => passed,
        Err(error @ (Error::AccessDenied(_) | Error::TooManyAttempts)) => {
            desk.record(headers, LOGIN, Some(&login::caller(&user)), Some(&error)).await?;
            return Ok(show(desk, browser, request, waiting, waited.enrolment, Some(&error)).await);
        }
        Err(error) => return Err(error.into()),
    };
    let Passed { recovery_codes, .. } = passed;
    if recovery_codes.is_some() {
        desk.record(headers, ATTRIBUTES, Some(&login::caller(&user)), None).await?;
    }
    let secret = login::let_in(desk, browser, headers, &user, true).await?;
    let next = login::after(desk, request);
    let response = match recovery_codes {
        None => see(&next),
        Some(codes) => page(StatusCode::OK, &CodesPage { codes, next }, None),
    };
    Ok(browser.set_session(response, Some(secret.expose())))
}

async fn change(desk: &Desk, browser: &Browser, headers: &HeaderMap, from: Option<IpAddr>, form: &Form) -> Answer {
    let Some(login) = &browser.login else { return Ok(login::show(desk, browser, "", None, None)) };
    let user = &login.user;
    let has_one = second_factor::recovery_codes_left(desk.server.records(), &user.key).await?.is_some();
    // Whoever finds a browser open shall not lock its user out.
    if !has_one && !login.session.value.is_fresh(desk.server.now()) {
        return Ok(login::show(desk, browser, "", None, None));
    }
    if has_one && let Err(error) = desk.server.take_code(&user.key, from, value(form, "code").unwrap_or_default()).await
    {
        desk.record(headers, ATTRIBUTES, Some(&login::caller(user)), Some(&error)).await?;
        return managed(desk, browser, Some(&error)).await;
    }
    match (value(form, "change"), has_one) {
        (Some("app"), _) => {
            let step = if has_one { Step::AnotherApp } else { Step::FirstApp };
            Ok(ask(desk, browser, &user.key, step, "").await?)
        }
        (Some("codes"), true) => {
            let codes = desk.server.renew_recovery_codes(&user.key).await?;
            desk.record(headers, ATTRIBUTES, Some(&login::caller(user)), None).await?;
            let next = format!("{}/second-factor", desk.server.urls().auth);
            Ok(page(StatusCode::OK, &CodesPage { codes, next }, None))
        }
        _ => Err(Error::InvalidRequest("nothing was chosen").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_13_the_key_is_shown_as_a_qr_code() {
        let picture =
            Picture::of("otpauth://totp/Tessera%20ehr.example.org:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(picture.size > 30 && picture.path.starts_with("M4,4h1v1h-1z"), "a finder pattern stands in the corner");
        assert_eq!(Picture::of(&"x".repeat(5000)).path, "", "too long for one");
    }
}
