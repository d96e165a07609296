//! What everybody sees of the server.

use super::{Report, tls};
use crate::{config::is_loopback, error::Error};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{self, HeaderMap},
    redirect::Policy,
    tls::TlsInfo,
};
use serde_json::Value;
use std::time::Duration;
use tessera_auth::Urls;
use tessera_model::temporal::{self, Micros};
use tessera_store::clock::{Clock as _, SystemClock};

/// Longest that one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is read.
const BYTES_MAX: usize = 8 * 1024 * 1024;
const SECOND: Micros = 1_000_000;
const DAY: Micros = 24 * 3600 * SECOND;
/// By how much clocks may differ: what assertions of clients may (AUTH-21), and what a little drift is.
const CLOCK_FAIL: Micros = 30 * SECOND;
const CLOCK_WARN: Micros = 5 * SECOND;
/// How long before its end a certificate is warned of.
const CERTIFICATE_WARN: Micros = 21 * DAY;

/// An answer, read.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Looks from outside. `is_external`: an authorization server elsewhere issues the tokens (AUTH-31).
pub(super) async fn look(report: &mut Report, urls: &Urls, is_external: bool) -> Result<(), Error> {
    let builder = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).tls_info(true).no_proxy();
    let client = builder.build().map_err(|error| Error::Failed(error.to_string()))?;
    let outside = Outside { client, urls };
    if outside.metadata(report).await {
        if is_external {
            outside.external(report).await;
        } else {
            let smart = outside.discovery(report).await;
            outside.keys(report, &smart).await;
            outside.endpoints(report).await;
        }
        outside.authentication(report).await;
    }
    outside.plain_http(report).await;
    Ok(())
}

struct Outside<'a> {
    client: Client,
    urls: &'a Urls,
}

impl Outside<'_> {
    async fn get(&self, url: &str) -> Result<Answer, String> {
        read(self.client.get(url).send().await).await
    }

    /// The first look; `false`: there is no server to look at.
    async fn metadata(&self, report: &mut Report) -> bool {
        let base = &self.urls.base;
        let is_local = is_loopback(base);
        match base.starts_with("https://") {
            true => report.ok("base URL", base),
            false if is_local => {
                report.warn("base URL", &format!("{base}: without TLS, which is for this machine only"));
            }
            false => report.fail(
                "base URL",
                &format!(
                    "{base}: others reach it without TLS; put a proxy with TLS in front and set base_url to https"
                ),
            ),
        }
        let asked = SystemClock.now();
        let sent =
            self.client.get(format!("{base}/metadata")).header(header::ACCEPT, "application/fhir+json").send().await;
        let certificate = sent.as_ref().ok().and_then(|response| {
            let info = response.extensions().get::<TlsInfo>()?;
            tls::not_after(info.peer_certificate()?)
        });
        let answer = match read(sent).await {
            Ok(answer) => answer,
            Err(why) => {
                report.fail(
                    "server",
                    &format!("{base} does not answer: {why}; is it started, and does the proxy lead to it?"),
                );
                return false;
            }
        };
        let answered = SystemClock.now();
        let statement = answer.json();
        if answer.status != StatusCode::OK || statement["resourceType"] != "CapabilityStatement" {
            let text = format!(
                "{base}/metadata answers {} and no CapabilityStatement; does the base URL lead to Tessera?",
                answer.status
            );
            report.fail("metadata", &text);
            return false;
        }
        match statement["implementation"]["url"].as_str() {
            Some(url) if url.trim_end_matches('/') == base => {
                report.ok("metadata", "FHIR, under the base URL that the server has");
            }
            url => {
                let url = url.unwrap_or("none");
                report.fail(
                    "metadata",
                    &format!("the server's base URL is {url}: set base_url to {base}, or look there"),
                );
            }
        }
        if base.starts_with("https://") {
            self.certificate(report, certificate);
            match answer.header(header::STRICT_TRANSPORT_SECURITY) {
                Some(_) => report.ok("headers", "Strict-Transport-Security is set"),
                None => report.warn("headers", "Strict-Transport-Security is missing: let the proxy add it"),
            }
        }
        match answer.header(header::X_CONTENT_TYPE_OPTIONS) {
            Some("nosniff") => report.ok("headers", "X-Content-Type-Options is nosniff"),
            _ => report.warn("headers", "X-Content-Type-Options: nosniff is missing"),
        }
        clock(report, answer.header(header::DATE), asked, answered);
        match answer.header("x-insecure-mode") {
            None => report.ok("mode", "the server authenticates"),
            Some(_) if is_local => report.warn("mode", "there is NO AUTHENTICATION (--insecure-no-auth): for development only"),
            Some(_) => report.fail("mode", "there is NO AUTHENTICATION and others reach the server: stop it, and start it without --insecure-no-auth"),
        }
        true
    }

    fn certificate(&self, report: &mut Report, not_after: Option<Micros>) {
        let Some(not_after) = not_after else {
            return report.warn("certificate", "it is trusted here, but its end cannot be read");
        };
        let left = not_after.saturating_sub(SystemClock.now());
        let until = temporal::format_instant(not_after);
        match left {
            // One that has ended is not let through by the connection.
            ..CERTIFICATE_WARN => report.warn("certificate", &format!("it ends at {until}: renew it")),
            _ => report.ok("certificate", &format!("it is trusted here and good until {until}")),
        }
    }

    /// The documents, which name everything else.
    async fn discovery(&self, report: &mut Report) -> Value {
        let Urls { base, auth, .. } = self.urls;
        let mut smart = Value::Null;
        for name in ["smart-configuration", "openid-configuration"] {
            let url = format!("{base}/.well-known/{name}");
            let answer = match self.get(&url).await {
                Ok(answer) if answer.status == StatusCode::OK => answer,
                Ok(answer) => {
                    report.fail(
                        name,
                        &format!(
                            "{url} answers {}; does the proxy lead all of the base URL to the server?",
                            answer.status
                        ),
                    );
                    continue;
                }
                Err(why) => {
                    report.fail(name, &format!("{url}: {why}"));
                    continue;
                }
            };
            let document = answer.json();
            let text = |member: &str| document[member].as_str().unwrap_or_default().to_owned();
            let expected = [
                ("issuer", base.clone()),
                ("authorization_endpoint", format!("{auth}/authorize")),
                ("token_endpoint", format!("{auth}/token")),
                ("jwks_uri", format!("{auth}/jwks")),
            ];
            let wrong = expected.into_iter().find(|(member, expect)| text(member) != *expect);
            let is_json = answer.header(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
            match wrong {
                Some((member, expect)) => {
                    report.fail(
                        name,
                        &format!("{member} is {:?} and not {expect}: set base_url to {base}", text(member)),
                    );
                }
                None if !is_json => report.fail(name, "it is not application/json: the proxy changes it"),
                None => report.ok(name, "its URLs are those of the base URL"),
            }
            if answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN) != Some("*") {
                report.warn(name, "Access-Control-Allow-Origin is not *: apps in browsers cannot read it");
            }
            if name == "smart-configuration" {
                smart = document;
            }
        }
        smart
    }

    /// Where the authorization server elsewhere is.
    async fn external(&self, report: &mut Report) {
        let url = format!("{}/.well-known/smart-configuration", self.urls.base);
        match self.get(&url).await {
            Ok(answer) if answer.json()["issuer"].is_string() => {
                report.ok("smart-configuration", "it names the authorization server");
            }
            Ok(answer) => {
                let text = format!(
                    "{url} answers {} and names no issuer: is the authorization server reached?",
                    answer.status
                );
                report.fail("smart-configuration", &text);
            }
            Err(why) => report.fail("smart-configuration", &format!("{url}: {why}")),
        }
    }

    async fn keys(&self, report: &mut Report, smart: &Value) {
        let url = smart["jwks_uri"].as_str().map_or_else(|| format!("{}/jwks", self.urls.auth), str::to_owned);
        let answer = match self.get(&url).await {
            Ok(answer) => answer,
            Err(why) => return report.fail("JWKS", &format!("{url}: {why}")),
        };
        let jwks = answer.json();
        let keys = jwks["keys"].as_array().map_or(&[][..], Vec::as_slice);
        let is_private = |key: &Value| ["d", "p", "q", "k"].iter().any(|member| !key[*member].is_null());
        if answer.status != StatusCode::OK || keys.is_empty() {
            report.fail(
                "JWKS",
                &format!(
                    "{url} answers {} and has {} keys; does the proxy lead /auth to the server?",
                    answer.status,
                    keys.len()
                ),
            );
        } else if keys.iter().any(is_private) {
            report.fail("JWKS", "it has PRIVATE KEYS in it: stop the server");
        } else if keys.iter().any(|key| key["kid"].as_str().is_none_or(str::is_empty)) {
            report.fail("JWKS", "a key has no kid");
        } else {
            report.ok("JWKS", &format!("{} public keys", keys.len()));
        }
    }

    /// Whether the endpoints are there: each refuses what is not for it.
    async fn endpoints(&self, report: &mut Report) {
        let auth = &self.urls.auth;
        let page = self.get(&format!("{auth}/authorize")).await.map(|answer| answer.status);
        let form = async |name: &str| {
            let request = self.client.post(format!("{auth}/{name}")).body("");
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            read(request.send().await).await.map(|answer| answer.status)
        };
        let all = [
            ("authorize", page),
            ("token", form("token").await),
            ("revoke", form("revoke").await),
            ("introspect", form("introspect").await),
        ];
        let manage = ("manage", self.get(&format!("{auth}/manage")).await.map(|answer| answer.status));
        for (name, status) in all.into_iter().chain([manage]) {
            let check = format!("/auth/{name}");
            match status {
                Ok(StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) => {
                    report.ok(&check, "it is there");
                }
                Ok(status) => report
                    .fail(&check, &format!("{auth}/{name} answers {status}; does the proxy lead /auth to the server?")),
                Err(why) => report.fail(&check, &format!("{auth}/{name}: {why}")),
            }
        }
    }

    async fn authentication(&self, report: &mut Report) {
        let url = format!("{}/Patient?_count=1", self.urls.base);
        match self.get(&url).await {
            Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => match answer.header(header::WWW_AUTHENTICATE) {
                Some(challenge) if challenge.starts_with("Bearer") => {
                    report.ok("access", "without a token nobody is let in");
                }
                _ => report.warn("access", "the proxy takes WWW-Authenticate away, or authenticates itself"),
            },
            Ok(answer) if answer.status.is_success() && is_loopback(&self.urls.base) => {
                report.warn("access", "everybody on this machine may read patients");
            }
            Ok(answer) if answer.status.is_success() => {
                report.fail("access", "EVERYBODY MAY READ PATIENTS without a token: stop the server");
            }
            Ok(answer) => {
                report.fail("access", &format!("a search without a token answers {} and not 401", answer.status));
            }
            Err(why) => report.fail("access", &why),
        }
    }

    /// http leads to https, or to nothing.
    async fn plain_http(&self, report: &mut Report) {
        let Some(rest) = self.urls.base.strip_prefix("https://") else { return };
        let Ok(mut url) = Url::parse(&format!("http://{rest}/metadata")) else { return };
        // The port of https is none of http.
        let _ = url.set_port(None);
        match self.get(url.as_str()).await {
            Err(_) => report.ok("http", "nothing answers without TLS"),
            Ok(answer) if answer.header(header::LOCATION).is_some_and(|to| to.starts_with("https://")) => {
                report.ok("http", "it leads to https");
            }
            Ok(answer) if answer.status.is_success() => {
                report.fail("http", &format!("{url} is answered without TLS: redirect it to https"));
            }
            Ok(answer) => report.warn("http", &format!("{url} answers {} and does not lead to https", answer.status)),
        }
    }
}

/// Reads an answer, or says why there is none, with its causes: the last one says that a certificate is not good.
async fn read(sent: Result<Response, reqwest::Error>) -> Result<Answer, String> {
    let text = |error: reqwest::Error| {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    };
    let mut response = sent.map_err(text)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + part.len() > BYTES_MAX {
            return Err("the answer is too long".to_owned());
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer { status, headers, body })
}

fn clock(report: &mut Report, date: Option<&str>, asked: Micros, answered: Micros) {
    let Some(theirs) = date.and_then(http_date) else {
        return report.warn("clock", "there is no Date header to compare with");
    };
    // Date has whole seconds.
    let ahead = theirs.saturating_sub(answered).max(0);
    let behind = asked.saturating_sub(theirs.saturating_add(SECOND)).max(0);
    let difference = ahead.max(behind);
    let text = format!("the server's clock differs from this machine's by {} s", difference / SECOND);
    match difference {
        CLOCK_FAIL.. => report.fail("clock", &format!("{text}: set them by NTP, or tokens are refused")),
        CLOCK_WARN.. => report.warn("clock", &format!("{text}: set them by NTP")),
        _ => report.ok("clock", &text),
    }
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>
fn http_date(text: &str) -> Option<Micros> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Some(temporal::range(&format!("{year}-{month:02}-{day}T{time}Z"))?.low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        let expect = temporal::range("1994-11-06T08:49:37Z").unwrap().low;
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(expect));
        for text in
            ["", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Xxx 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"]
        {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
