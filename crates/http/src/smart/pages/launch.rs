//! Launches of apps from within an EHR (AUTH-6): prepared by a user on a page here, or by an EHR that is a client of its own and
//! may do so, within the session in which its user has logged in here.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch>

use super::{
    Answer, Desk,
    browser::{Browser, value},
    choose::{Choice, Choices},
    login, page, see,
};
use crate::{
    links::with_query,
    smart::{self, form},
};
use askama::Template;
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Response, StatusCode},
};
use serde_json::{Value, json};
use tessera_auth::{
    Error, Kept,
    client::{self, Client},
    launch::{self, LaunchContext},
    user::User,
};
use tessera_model::interaction::query_pairs;

/// Most apps that are offered.
const APPS_MAX: u32 = 1000;

#[derive(Template)]
#[template(path = "launch.html")]
struct LaunchPage<'a> {
    form_token: String,
    user: &'a str,
    search: &'a str,
    apps: Vec<(String, String)>,
    patients: Vec<Choice>,
}

/// `GET /auth/launch`: which app, and for which patient.
pub(super) async fn show(State(desk): State<Desk>, request: Request) -> Answer {
    let browser = Browser::of(&desk, request.headers()).await?;
    let Some(login) = &browser.login else { return Ok(login::show(&desk, &browser, login::LAUNCH, None, None)) };
    let query = query_pairs(request.uri().query().unwrap_or_default());
    let search = value(&query, "search").unwrap_or_default();
    let apps = apps(&desk).await?;
    let patients = match apps.first() {
        Some(app) => Choices::of(&desk, &login.user.value, &app.value).patients(search).await,
        None => Vec::new(),
    };
    // A form's answer redirects to any of the apps: the browser goes there by a link of its own.
    let apps = apps.into_iter().map(|app| (app.key, app.value.name)).collect();
    let (form_token, user) = (browser.token(), login.user.value.name.as_str());
    let template = LaunchPage { form_token, user, search, apps, patients };
    Ok(browser.remember(page(StatusCode::OK, &template, None)))
}

#[derive(Template)]
#[template(path = "launched.html")]
pub(super) struct LaunchedPage<'a> {
    pub(super) app: &'a str,
    pub(super) url: &'a str,
}

/// `POST /auth/launch`
pub(super) async fn start(State(desk): State<Desk>, request: Request) -> Response<Body> {
    let header = smart::authorization(request.headers());
    let prepared = match header.as_deref().and_then(tessera_auth::bearer) {
        Some(token) => by_ehr(&desk, token, request).await,
        None => return by_user(&desk, request).await.unwrap_or_else(axum::response::IntoResponse::into_response),
    };
    match prepared {
        Ok(value) => smart::json_of(StatusCode::CREATED, &value),
        Err(error) => smart::answer(&desk.server, header.as_deref(), Err(error)),
    }
}

async fn by_user(desk: &Desk, request: Request) -> Answer {
    let headers = request.headers().clone();
    let form = form(request).await?;
    let browser = Browser::of(desk, &headers).await?;
    browser.check(&form)?;
    let Some(login) = &browser.login else { return Ok(see(&format!("{}/manage", desk.server.urls().auth))) };
    let app = app(desk, value(&form, "client").unwrap_or_default()).await?;
    let context = LaunchContext {
        patient: value(&form, "patient").map(str::to_owned),
        // This server shows nothing around the app.
        need_patient_banner: Some(true),
        ..LaunchContext::default()
    };
    let (_, url) = prepare(desk, &login.user.value, &login.session.key, &app, context).await?;
    let template = LaunchedPage { app: &app.value.name, url: &url };
    Ok(page(StatusCode::OK, &template, None))
}

/// An EHR asks with its user's access token, in JSON: the client, and the context as the app will be told it.
async fn by_ehr(desk: &Desk, token: &str, request: Request) -> Result<Value, Error> {
    let denied = Error::AccessDenied("the token may not launch apps");
    let active = desk.server.active(token).await?.filter(|active| active.client.value.launches);
    let Some((authorization, user)) = active.and_then(|active| active.granted) else { return Err(denied) };
    let read = tokio::time::timeout(smart::FORM_TIMEOUT, to_bytes(request.into_body(), smart::FORM_BYTES_MAX)).await;
    let Ok(Ok(bytes)) = read else { return Err(Error::InvalidRequest("the body is too long, or did not arrive")) };
    let body: Value = serde_json::from_slice(&bytes).map_err(|_| Error::InvalidRequest("send JSON"))?;
    let app = app(desk, body.get("client").and_then(Value::as_str).unwrap_or_default()).await?;
    let context: LaunchContext =
        serde_json::from_value(body).map_err(|_| Error::InvalidRequest("the context cannot be read"))?;
    if context.break_glass.is_some() {
        return Err(Error::InvalidRequest("the glass is broken elsewhere"));
    }
    let (handle, url) = prepare(desk, &user.value, &authorization.value.session, &app, context).await?;
    Ok(json!({"launch": handle, "iss": desk.server.urls().issuer(), "launch_url": url}))
}

/// The apps that can be started.
pub(super) async fn apps(desk: &Desk) -> Result<Vec<Kept<Client>>, Error> {
    let (records, now) = (desk.server.records(), desk.server.now());
    let apps = client::list(records, "", APPS_MAX).await?.into_iter();
    Ok(apps.filter(|app| app.value.launch_url.is_some() && app.value.is_active(now)).collect())
}

pub(super) async fn app(desk: &Desk, id: &str) -> Result<Kept<Client>, Error> {
    let found = client::find(desk.server.records(), id).await?;
    let found = found.filter(|app| app.value.is_active(desk.server.now()) && app.value.launch_url.is_some());
    found.ok_or(Error::InvalidRequest("there is no such app that can be launched"))
}

/// Prepares the launch of what the user may see: its handle, and where it begins.
async fn prepare(
    desk: &Desk,
    user: &User,
    session: &str,
    app: &Kept<Client>,
    mut context: LaunchContext,
) -> Result<(String, String), Error> {
    let choices = Choices::of(desk, user, &app.value);
    let is_visible = match (&context.patient, &context.encounter) {
        (Some(patient), None) => choices.patient(patient).await.is_some(),
        (Some(patient), Some(encounter)) => {
            choices.patient(patient).await.is_some() && choices.encounter(patient, encounter).await.is_some()
        }
        (None, encounter) => encounter.is_none(),
    };
    if !is_visible {
        return Err(Error::AccessDenied("the user may not see what is to be opened"));
    }
    if !context.fhir_context.iter().all(|entry| entry.get("reference").is_some_and(Value::is_string)) {
        return Err(Error::InvalidRequest("each entry of fhirContext has a reference"));
    }
    context.smart_style_url.get_or_insert_with(|| format!("{}/smart-style.json", desk.server.urls().auth));
    handle(desk, session, app, context).await
}

/// The launch of what was checked: its handle, and where it begins.
pub(super) async fn handle(
    desk: &Desk,
    session: &str,
    app: &Kept<Client>,
    context: LaunchContext,
) -> Result<(String, String), Error> {
    let (records, now) = (desk.server.records(), desk.server.now());
    let handle = launch::create(records, now, &app.key, session, context).await?;
    let handle = handle.expose().to_owned();
    let parameters = [("iss", desk.server.urls().issuer()), ("launch", handle.as_str())];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let url = with_query(app.value.launch_url.as_deref().unwrap_or_default(), &parameters);
    Ok((handle, url))
}
