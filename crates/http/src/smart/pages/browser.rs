//! [`Browser`]: who sits before it, and whether a form is ours. Two cookies: the session, and a random text that forms are bound
//! to, also before there is a session.

use super::Desk;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, header},
};
use tessera_auth::{
    Error, Form, Kept,
    session::{self, Session},
    user::{self, User},
};

/// Somebody who has logged in.
pub(super) struct Login {
    pub(super) session: Kept<Session>,
    pub(super) user: Kept<User>,
}

/// A browser, as its cookies tell.
pub(super) struct Browser {
    pub(super) login: Option<Login>,
    form: String,
    is_new: bool,
    is_secure: bool,
}

impl Browser {
    pub(super) async fn of(desk: &Desk, headers: &HeaderMap) -> Result<Self, Error> {
        let is_secure = desk.server.urls().base.starts_with("https:");
        let records = desk.server.records();
        let mut login = None;
        if let Some(cookie) = cookie(headers, &name("session", is_secure))
            && let Some(session) = session::find(records, cookie).await?
        {
            let user = user::find(records, &session.value.user).await?.filter(|user| user.value.enabled);
            if let Some(mut user) = user {
                desk.server.look_up_proxies(&mut user.value).await?;
                login = Some(Login { session, user });
            }
        }
        let form = cookie(headers, &name("form", is_secure)).filter(|form| form.len() == 43);
        let (is_new, form) = (form.is_none(), form.map_or_else(session::form_cookie, |form| Ok(form.to_owned()))?);
        Ok(Self { login, form, is_new, is_secure })
    }

    fn session(&self) -> &str {
        self.login.as_ref().map_or("", |login| login.session.key.as_str())
    }

    /// What only this browser knows, and has known since its first page.
    pub(super) fn secret(&self) -> &str {
        &self.form
    }

    /// What a form must bring back.
    pub(super) fn token(&self) -> String {
        session::form_token(&self.form, self.session())
    }

    /// Fails unless the form is one that this browser was given in this session.
    pub(super) fn check(&self, form: &Form) -> Result<(), Error> {
        let given = value(form, "form_token").unwrap_or_default();
        match session::is_form_token(given, &self.form, self.session()) {
            true => Ok(()),
            false => {
                Err(Error::AccessDenied("this form is too old, or from elsewhere; go back to the app and start again"))
            }
        }
    }

    /// Adds the cookie that forms are bound to.
    pub(super) fn remember(&self, mut response: Response<Body>) -> Response<Body> {
        if self.is_new {
            set(&mut response, &name("form", self.is_secure), &self.form, self.is_secure);
        }
        response
    }

    /// Adds the cookie of a session, or takes it away.
    pub(super) fn set_session(&self, mut response: Response<Body>, secret: Option<&str>) -> Response<Body> {
        set(&mut response, &name("session", self.is_secure), secret.unwrap_or_default(), self.is_secure);
        response
    }
}

/// Without TLS, which is on this machine only, browsers may not take what is to be sent with TLS alone.
fn name(of: &str, is_secure: bool) -> String {
    let prefix = if is_secure { "__Host-" } else { "" };
    format!("{prefix}tessera-{of}")
}

fn set(response: &mut Response<Body>, name: &str, value: &str, is_secure: bool) {
    let secure = if is_secure { "; Secure" } else { "" };
    let gone = if value.is_empty() { "; Max-Age=0" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{gone}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find(|(n, _)| *n == name).map(|(_, value)| value)
}

/// The first value of a form's field, if it says anything.
pub(super) fn value<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.iter().find(|(n, value)| n == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

/// All values of a form's field.
pub(super) fn values<'a>(form: &'a Form, name: &str) -> Vec<&'a str> {
    form.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_13_cookies_are_of_this_host_secure_and_no_script_s() {
        let mut response = Response::new(Body::empty());
        set(&mut response, &name("session", true), "x", true);
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        assert_eq!(cookie, "__Host-tessera-session=x; Path=/; HttpOnly; SameSite=Lax; Secure");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; b=2=3"));
        headers.append(header::COOKIE, HeaderValue::from_static("c=4"));
        assert_eq!(["a", "b", "c", "d"].map(|n| cookie(&headers, n)), [Some("1"), Some("2=3"), Some("4"), None]);
    }
}
