//! What a user has allowed, and takes back (AUTH-12).

use super::{
    Answer, Desk,
    browser::{Browser, value},
    login, page, see, words,
};
use crate::smart::{CONSENT, form};
use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use jiff::Timestamp;
use tessera_auth::{Error, authorization, client, consent};
use tessera_model::{Caller, temporal::Micros};

/// Most that are shown.
const SHOWN_MAX: u32 = 200;

struct Allowed {
    id: String,
    app: String,
    since: String,
    until: String,
    what: Vec<String>,
}

#[derive(Template)]
#[template(path = "manage.html")]
struct ManagePage<'a> {
    form_token: String,
    user: &'a str,
    may_break_glass: bool,
    allowed: Vec<Allowed>,
}

/// `GET /auth/manage`
pub(super) async fn show(State(desk): State<Desk>, request: Request) -> Answer {
    let browser = Browser::of(&desk, request.headers()).await?;
    let Some(login) = &browser.login else {
        return Ok(match request.uri().query() {
            Some(login::ENDED_QUERY) => login::show_ended(&desk, &browser),
            _ => login::show(&desk, &browser, "", None, None),
        });
    };
    let records = desk.server.records();
    let mut allowed = Vec::new();
    for authorization in authorization::list(records, Some(&login.user.key), "", SHOWN_MAX).await? {
        let of = &authorization.value;
        let app = client::find(records, &of.client).await?.map_or_else(|| of.client.clone(), |app| app.value.name);
        let what = of.scopes().iter().map(|scope| words::item(scope, "the chosen patient").title).collect();
        let (since, until) = (day(of.since), day(authorization.expires));
        allowed.push((of.since, Allowed { id: authorization.key, app, since, until, what }));
    }
    allowed.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
    let allowed = allowed.into_iter().map(|(_, allowed)| allowed).collect();
    let (user, may_break_glass) = (login.user.value.name.as_str(), login.user.value.break_glass);
    let template = ManagePage { form_token: browser.token(), user, may_break_glass, allowed };
    Ok(browser.remember(page(StatusCode::OK, &template, None)))
}

/// `POST /auth/manage`: takes one back.
pub(super) async fn revoke(State(desk): State<Desk>, request: Request) -> Answer {
    let headers = request.headers().clone();
    let form = form(request).await?;
    let browser = Browser::of(&desk, &headers).await?;
    browser.check(&form)?;
    let records = desk.server.records();
    let found = match value(&form, "authorization") {
        Some(id) => authorization::find(records, id).await?,
        None => return Err(Error::InvalidRequest("nothing was chosen").into()),
    };
    // Another user's is not there. What is gone already is what was wanted.
    if let (Some(found), Some(login)) = (found, &browser.login)
        && found.value.user == login.user.key
    {
        let caller = Caller { client: found.value.client.clone(), ..login::caller(&login.user) };
        desk.record(&headers, CONSENT, Some(&caller), None).await?;
        authorization::revoke(records, &found.key).await?;
        consent::forget(records, &login.user.key, &found.value.client).await?;
        desk.server.forget();
    }
    Ok(see(&format!("{}/manage", desk.server.urls().auth)))
}

fn day(time: Micros) -> String {
    Timestamp::from_microsecond(time).map_or_else(|_| String::new(), |time| time.strftime("%Y-%m-%d").to_string())
}
