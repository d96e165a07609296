//! The server that is asked. Every request has a timeout, every answer a limit, and the token goes nowhere else.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use reqwest::{Method, Url, redirect::Policy};
use serde_json::Value;

use super::exchange::{Exchange, Message, hide};
use super::request::{Reply, Request};
use super::statement::Statement;

/// A longer answer is a failure. A CapabilityStatement of everything is some hundred kilobytes.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// How often a request is sent again that comes too soon (429).
const THROTTLED_MAX: usize = 20;
/// How long it waits before, where the server does not say; and at most.
const THROTTLED_WAIT: Duration = Duration::from_secs(1);
const THROTTLED_WAIT_MAX: Duration = Duration::from_secs(10);

/// A server.
#[derive(Debug)]
pub(crate) struct Subject {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    /// How long to wait between writing and searching.
    pub(crate) settle: Duration,
    /// What it says of itself.
    pub(crate) statement: Statement,
}

impl Subject {
    /// A server by its base URL; what is wrong with that otherwise.
    pub(crate) fn new(base: &str, token: Option<&str>, timeout: Duration, settle: Duration) -> Result<Self, String> {
        let base = Url::parse(base.trim_end_matches('/')).map_err(|error| format!("no base URL: {error}"))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err("the base URL is to begin with http:// or https://".into());
        }
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            return Err("the base URL is to have no user, password or query".into());
        }
        // What is asked is to be this server: a redirect is an answer.
        let http = reqwest::Client::builder().timeout(timeout).redirect(Policy::none());
        // A proxy that the environment names does not reach servers on this machine.
        let http = if is_loopback(&base) { http.no_proxy() } else { http };
        let http = http.build();
        let http = http.map_err(|error| format!("no HTTP client: {error}"))?;
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Ok(Self { http, base, token, settle, statement: Statement::default() })
    }

    /// The base URL, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// A text without the token.
    pub(crate) fn hide(&self, text: &str) -> String {
        hide(self.token.as_deref(), text)
    }

    fn url(&self, path: &str) -> Result<Url, String> {
        let whole = if path.starts_with("http://") || path.starts_with("https://") {
            path.to_owned()
        } else if path.is_empty() || path.starts_with('?') {
            format!("{}{path}", self.base())
        } else {
            format!("{}/{}", self.base(), path.trim_start_matches('/'))
        };
        // Some servers refuse these in a URL, as RFC 3986 lets them.
        let whole = whole.replace('|', "%7C").replace('\\', "%5C");
        Url::parse(&whole).map_err(|error| format!("{path} is no URL: {error}"))
    }

    /// Sends a request, and says what is to be shown of it.
    pub(crate) async fn send(&self, request: Request) -> (Result<Reply, String>, Exchange) {
        let asked = format!("{} {}", request.method, request.path);
        let shown = self.url(&request.path).map_or_else(|_| asked.clone(), |url| format!("{} {url}", request.method));
        let mut headers: Vec<(String, String)> = vec![];
        headers.extend(request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let token = self.token.as_deref().filter(|_| !request.anonymous);
        if token.is_some() {
            headers.push(("authorization".into(), "Bearer …".into()));
        }
        let sent = Message::new(&headers, request.body.as_deref().unwrap_or_default());
        let mut begin = Instant::now();
        let mut answer = self.answer(&request, token, &asked).await;
        for _ in 0..THROTTLED_MAX {
            let Some(wait) = answer.as_ref().ok().and_then(throttled) else { break };
            tokio::time::sleep(wait).await;
            begin = Instant::now();
            answer = self.answer(&request, token, &asked).await;
        }
        let response = answer.as_ref().map(|reply| Message::new(&reply.headers, &reply.text));
        let exchange = Exchange {
            asked: self.hide(&shown),
            request: sent,
            status: answer.as_ref().map(|reply| reply.status).map_err(Clone::clone),
            response: response.unwrap_or_default(),
            millis: begin.elapsed().as_millis(),
        };
        (answer, exchange)
    }

    async fn answer(&self, request: &Request, token: Option<&str>, asked: &str) -> Result<Reply, String> {
        let url = self.url(&request.path)?;
        let method: Method = request.method.parse().map_err(|_| format!("{} is no method", request.method))?;
        let here = url.origin() == self.base.origin();
        // A link may lead anywhere; the token is for this server.
        if !here {
            return Err(format!(
                "{} is not on the server that is tested, so it was not asked",
                url.origin().ascii_serialization()
            ));
        }
        let mut sending = self.http.request(method, url);
        for (name, value) in &request.headers {
            sending = sending.header(*name, value);
        }
        // Servers that keep the answers of searches for a while are asked to look again.
        sending = sending.header("cache-control", "no-cache");
        if let Some(token) = token {
            sending = sending.bearer_auth(token);
        }
        if let Some(body) = &request.body {
            sending = sending.body(body.clone());
        }
        let mut response = sending.send().await.map_err(why)?;
        let status = response.status().as_u16();
        // What a server sends back of the token ends here, so that no message can quote it.
        let text = |value: &reqwest::header::HeaderValue| self.hide(&String::from_utf8_lossy(value.as_bytes()));
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(why)? {
            if bytes.len() + chunk.len() > BODY_MAX {
                return Err(format!("the answer has more than {BODY_MAX} bytes"));
            }
            bytes.extend_from_slice(&chunk);
        }
        let mut text = self.hide(&String::from_utf8_lossy(&bytes));
        let mut body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        // The token may come back with some of its characters escaped.
        let (plain, hidden) = (body.to_string(), self.hide(&body.to_string()));
        if plain != hidden {
            body = serde_json::from_str(&hidden).unwrap_or(Value::Null);
            text = hidden;
        }
        Ok(Reply { asked: asked.to_owned(), status, headers, text, body })
    }
}

/// How long a server wants to be left alone that is asked too often, and has not done what was asked.
/// <https://www.rfc-editor.org/rfc/rfc6585#section-4>
fn throttled(reply: &Reply) -> Option<Duration> {
    let seconds = |text: &str| text.trim().parse().ok();
    let wanted = reply.header("retry-after").and_then(seconds).map_or(THROTTLED_WAIT, Duration::from_secs);
    (reply.status == 429).then(|| wanted.min(THROTTLED_WAIT_MAX))
}

fn is_loopback(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Why no whole answer came, with its causes.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Subject, Url, is_loopback};

    fn subject(base: &str) -> Result<Subject, String> {
        Subject::new(base, None, Duration::from_secs(1), Duration::ZERO)
    }

    #[test]
    fn paths_join_the_base() {
        let subject = subject("http://h/fhir/").unwrap();
        let check = |path, url| assert_eq!(subject.url(path).unwrap().as_str(), url);
        check("", "http://h/fhir");
        check("Patient?name=a|b c", "http://h/fhir/Patient?name=a%7Cb%20c");
        check("?_type=Patient", "http://h/fhir?_type=Patient");
        check("http://h/fhir?page=2", "http://h/fhir?page=2");
    }

    #[test]
    fn this_machine_is_known() {
        let check = |base: &str, loopback| assert_eq!(is_loopback(&Url::parse(base).unwrap()), loopback, "{base}");
        check("http://127.0.0.1:8080/fhir", true);
        check("http://[::1]/fhir", true);
        check("http://localhost", true);
        check("https://example.org", false);
    }

    #[test]
    fn base_urls_are_plain() {
        assert!(subject("https://h").is_ok());
        for wrong in ["h/fhir", "file:///tmp", "http://a:b@h/fhir", "http://h/fhir?a=b"] {
            assert!(subject(wrong).is_err(), "{wrong}");
        }
    }
}
