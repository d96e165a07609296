//! Break-glass (CNS-7): a user who may do so sees one patient in an emergency: by a page here, which starts an app, or by an EHR
//! that asks with its user's token and gets one for that patient.

use super::{
    Answer, Desk,
    browser::{Browser, Login, value},
    choose::Choices,
    launch::{self, LaunchedPage},
    login, page,
};
use crate::{
    audit,
    endpoint::request_id,
    smart::{self, form},
};
use askama::Template;
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode},
};
use serde_json::Value;
use tessera_auth::{
    Error, Form, Kept,
    break_glass::{Glass, PURPOSE},
    client::Client,
    launch::LaunchContext,
    session::Session,
    user::User,
};
use tessera_model::{Caller, Id};

/// Longest reason, in characters.
const REASON_MAX: usize = 1000;

#[derive(Template)]
#[template(path = "break_glass.html")]
struct BreakGlassPage<'a> {
    form_token: String,
    user: &'a str,
    apps: Vec<(String, String)>,
    patient: &'a str,
    reason: &'a str,
    /// Why the user cannot do it now.
    obstacle: Option<String>,
    error: Option<String>,
}

/// `GET /auth/break-glass`
pub(super) async fn show(State(desk): State<Desk>, request: Request) -> Answer {
    let browser = Browser::of(&desk, request.headers()).await?;
    match &browser.login {
        Some(login) => the_page(&desk, &browser, login, &[], None).await,
        None => Ok(login::show(&desk, &browser, "", None, None)),
    }
}

async fn the_page(desk: &Desk, browser: &Browser, login: &Login, form: &Form, error: Option<&Error>) -> Answer {
    let obstacle = desk.server.may_break_glass(&login.user.value, &login.session.value).err();
    let apps = launch::apps(desk).await?.into_iter().map(|app| (app.key, app.value.name)).collect();
    let template = BreakGlassPage {
        form_token: browser.token(),
        user: &login.user.value.name,
        apps,
        patient: value(form, "patient").unwrap_or_default(),
        reason: value(form, "reason").unwrap_or_default(),
        obstacle: obstacle.map(|error| error.to_string()),
        error: error.map(ToString::to_string),
    };
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(browser.remember(page(status, &template, None)))
}

/// `POST /auth/break-glass`
pub(super) async fn start(State(desk): State<Desk>, request: Request) -> Response<Body> {
    let header = smart::authorization(request.headers());
    match header.as_deref().and_then(tessera_auth::bearer) {
        Some(token) => smart::answer(&desk.server, header.as_deref(), by_ehr(&desk, token, request).await),
        None => by_user(&desk, request).await.unwrap_or_else(axum::response::IntoResponse::into_response),
    }
}

async fn by_user(desk: &Desk, request: Request) -> Answer {
    let headers = request.headers().clone();
    let form = form(request).await?;
    let browser = Browser::of(desk, &headers).await?;
    browser.check(&form)?;
    let Some(login) = &browser.login else { return Ok(login::show(desk, &browser, "", None, None)) };
    let app = launch::app(desk, value(&form, "client").unwrap_or_default()).await?;
    let [patient, reason] = ["patient", "reason"].map(|field| value(&form, field).unwrap_or_default());
    let emergency = Emergency { desk, headers: &headers, user: &login.user, session: &login.session, client: &app };
    let (patient, glass) = match emergency.begin(patient, reason).await {
        Ok(begun) => begun,
        Err(error @ Error::InvalidRequest(_)) => return the_page(desk, &browser, login, &form, Some(&error)).await,
        Err(error) => return Err(error.into()),
    };
    let context = LaunchContext {
        patient: Some(patient.as_str().to_owned()),
        // This server shows nothing around the app.
        need_patient_banner: Some(true),
        break_glass: Some(glass),
        ..LaunchContext::default()
    };
    let (_, url) = launch::handle(desk, &login.session.key, &app, context).await?;
    Ok(page(StatusCode::OK, &LaunchedPage { app: &app.value.name, url: &url }, None))
}

/// An EHR asks with its user's access token, in JSON: `{"patient": "1", "reason": "…"}`. It gets a token for that patient.
async fn by_ehr(desk: &Desk, token: &str, request: Request) -> Result<Value, Error> {
    let headers = request.headers().clone();
    let active = desk.server.active(token).await?;
    let active = active.ok_or(Error::InvalidClient("the token is not good"))?;
    let Some((authorization, user)) = active.granted else {
        return Err(Error::AccessDenied("a token of a user is needed"));
    };
    let session = desk.server.session_of(&authorization.value).await?;
    let session = session.ok_or(Error::AccessDenied("the user has logged out"))?;
    let read = tokio::time::timeout(smart::FORM_TIMEOUT, to_bytes(request.into_body(), smart::FORM_BYTES_MAX)).await;
    let Ok(Ok(bytes)) = read else { return Err(Error::InvalidRequest("the body is too long, or did not arrive")) };
    let body: Value = serde_json::from_slice(&bytes).map_err(|_| Error::InvalidRequest("send JSON"))?;
    let [patient, reason] =
        ["patient", "reason"].map(|name| body.get(name).and_then(Value::as_str).unwrap_or_default());
    let emergency = Emergency { desk, headers: &headers, user: &user, session: &session, client: &active.client };
    let (patient, glass) = emergency.begin(patient, reason).await?;
    let issued = desk.server.token_behind_glass(&active.client, &user, &session, &patient, glass).await?;
    desk.record(&headers, smart::GRANTED, Some(&issued.caller), None).await?;
    Ok(issued.answer)
}

/// Somebody who wants to break the glass.
struct Emergency<'a> {
    desk: &'a Desk,
    headers: &'a HeaderMap,
    user: &'a Kept<User>,
    session: &'a Kept<Session>,
    client: &'a Kept<Client>,
}

impl Emergency<'_> {
    /// Breaks the glass, after it was recorded who does it for whom and why; or records that it was refused.
    async fn begin(&self, patient: &str, reason: &str) -> Result<(Id, Glass), Error> {
        let server = &self.desk.server;
        let checked = self.check(patient, reason).await;
        self.record(patient, reason, checked.as_ref().err()).await?;
        let patient = checked?;
        let request = request_id(self.headers);
        let glass = server.break_glass(self.user, &self.session.value, &self.client.key, &request).await?;
        tracing::warn!(
            user = self.user.key, client = self.client.key, id = glass.id, %request,
            "BREAK-GLASS: a user sees a patient whom their policy may not show; `tessera audit break-glass` lists what is to be reviewed"
        );
        Ok((patient, glass))
    }

    async fn check(&self, patient: &str, reason: &str) -> Result<Id, Error> {
        self.desk.server.may_break_glass(&self.user.value, &self.session.value)?;
        let length = reason.trim().chars().count();
        if !(1..=REASON_MAX).contains(&length) {
            return Err(Error::InvalidRequest("a reason of 1 to 1000 characters is needed"));
        }
        let unknown = Error::InvalidRequest("there is no such patient");
        let Some(id) = Id::parse(patient) else { return Err(unknown) };
        let choices = Choices::behind_glass(self.desk, &self.client.value, &id);
        if choices.patient(patient).await.is_some() { Ok(id) } else { Err(unknown) }
    }

    async fn record(&self, patient: &str, reason: &str, refused: Option<&Error>) -> Result<(), Error> {
        let caller = Caller {
            client: self.client.key.clone(),
            user: login::caller(self.user).user,
            purpose: Some(PURPOSE.to_owned()),
            ..Caller::default()
        };
        let id = request_id(self.headers);
        let reason: String = reason.chars().take(REASON_MAX).collect();
        let patient = Id::parse(patient);
        let code = refused.map(Error::code);
        let recorded =
            audit::record_break_glass(&self.desk.context, &caller, &id, patient.as_ref(), &reason, code).await;
        recorded.map_err(|error| {
            tracing::error!(%error, "a broken glass could not be recorded: it was not broken");
            Error::Store(tessera_store::Error::Busy)
        })
    }
}
