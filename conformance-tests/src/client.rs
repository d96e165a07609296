use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use crate::record::record;

/// The media type of FHIR's JSON.
const FHIR_JSON: &str = "application/fhir+json";

/// A request that is not answered for so long is a failure.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one server. Paths are relative to its base URL, except for whole URLs such as those of paging links.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
}

impl Client {
    /// A client of the server with this base URL.
    ///
    /// # Panics
    /// When there is no TLS.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        let http = http.no_proxy().build().unwrap_or_else(|error| panic!("no HTTP client: {error}"));
        Self { http, base: base.trim_end_matches('/').to_owned(), headers: HeaderMap::new() }
    }

    /// This client with a header that all its requests carry, in place of the usual one of that name, if any.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(header_name(name), header_value(value));
        client
    }

    /// `GET path`
    pub async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path).send().await
    }

    /// `POST path`
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.request(Method::POST, path).json(body).send().await
    }

    /// `PUT path`
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.request(Method::PUT, path).json(body).send().await
    }

    /// `PATCH path` with a JSON Patch document.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.request(Method::PATCH, path).body("application/json-patch+json", body.to_string()).send().await
    }

    /// `DELETE path`
    pub async fn delete(&self, path: &str) -> Reply {
        self.request(Method::DELETE, path).send().await
    }

    /// Any request.
    ///
    /// # Panics
    /// When the path is no part of a URL.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let url = self.url(path);
        let url = Url::parse(&url).unwrap_or_else(|error| panic!("{url} is no URL: {error}"));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(FHIR_JSON));
        headers.extend(self.headers.clone());
        Request { client: self.clone(), method, url, headers, body: None }
    }

    fn url(&self, path: &str) -> String {
        if path.starts_with("http://") || path.starts_with("https://") {
            return path.to_owned();
        }
        match path.trim_start_matches('/') {
            "" => self.base.clone(),
            // A search on all types has no slash: `[base]?_type=…`.
            query if query.starts_with('?') => format!("{}{query}", self.base),
            path => format!("{}/{path}", self.base),
        }
    }
}

/// A request in the making.
#[derive(Debug)]
#[must_use]
pub struct Request {
    client: Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Sets a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(header_name(name), header_value(value));
        self
    }

    /// Takes a header away that would be sent by default.
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Sets a JSON body, of FHIR's media type unless the client has another.
    pub fn json(mut self, body: &Value) -> Self {
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(FHIR_JSON));
        self.body = Some(body.to_string().into_bytes());
        self
    }

    /// Sets any body.
    pub fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.headers.insert(CONTENT_TYPE, header_value(media_type));
        self.body = Some(body.into());
        self
    }

    /// Sends the request.
    ///
    /// # Panics
    /// When no whole reply comes back.
    pub async fn send(self) -> Reply {
        self.try_send().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends the request to a server that may be killed meanwhile.
    ///
    /// # Errors
    /// When no whole reply comes back. The server may or may not have done what was asked.
    pub async fn try_send(self) -> Result<Reply, Unanswered> {
        let asked = format!("{} {}", self.method, self.url);
        let unanswered = |error| Unanswered { asked: asked.clone(), error };
        let mut request = self.client.http.request(self.method, self.url).headers(self.headers);
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(unanswered)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.map_err(unanswered)?.to_vec();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // One that is compressed is no text; it came uncompressed as well.
        let content_type = headers.get(CONTENT_TYPE).filter(|_| !headers.contains_key(CONTENT_ENCODING));
        record(content_type.and_then(|value| value.to_str().ok()), &asked, &text);
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { status, headers, body, text, bytes, asked })
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The body, null if it is not JSON.
    pub body: Value,
    /// The body as text.
    pub text: String,
    /// The body as it came.
    pub bytes: Vec<u8>,
    asked: String,
}

impl Reply {
    /// The value of a header, if it is there, and text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The id of the resource in the body, or else of the one that `Location` names; empty if neither is there.
    #[must_use]
    pub fn id(&self) -> &str {
        let location = || id_of(self.header("location")?);
        self.body["id"].as_str().or_else(location).unwrap_or_default()
    }

    /// The version number in `ETag`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn version(&self) -> u64 {
        let version = self.header("etag").and_then(version_of);
        version.unwrap_or_else(|| panic!("no version number in ETag: {self}"))
    }

    /// Itself, if this is its status.
    ///
    /// # Panics
    /// When it is another one.
    #[must_use = "without the reply, use `assert_status`"]
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        self.assert_status(status);
        self
    }

    /// Fails if the status is another one.
    ///
    /// # Panics
    /// When it is.
    #[track_caller]
    pub fn assert_status(&self, status: u16) {
        assert!(self.status == status, "expected {status}: {self}");
    }

    /// Whether the status is one of 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The resources of the Bundle in the body, of all entries.
    #[must_use]
    pub fn resources(&self) -> Vec<&Value> {
        self.entries().iter().filter_map(|entry| entry.get("resource")).collect()
    }

    /// The entries of the Bundle in the body.
    #[must_use]
    pub fn entries(&self) -> &[Value] {
        self.body["entry"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The URL of a Bundle's link.
    #[must_use]
    pub fn link(&self, relation: &str) -> Option<&str> {
        let links = self.body["link"].as_array()?;
        links.iter().find(|link| link["relation"] == relation)?["url"].as_str()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} was answered {} {:?}\n{}", self.asked, self.status, self.headers, self.text)
    }
}

/// A request without a whole reply.
#[derive(Debug)]
pub struct Unanswered {
    asked: String,
    error: reqwest::Error,
}

impl Unanswered {
    /// Whether nobody can have got the request.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        self.error.is_connect()
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} was not answered: {}", self.asked, self.error)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for Unanswered {}

/// The id in a reference, be it relative or absolute, with or without version.
fn id_of(reference: &str) -> Option<&str> {
    let unversioned = reference.split("/_history/").next()?;
    unversioned.rsplit('/').next()
}

/// The number in `W/"3"`.
fn version_of(etag: &str) -> Option<u64> {
    etag.strip_prefix("W/\"")?.strip_suffix('"')?.parse().ok()
}

fn header_name(name: &str) -> HeaderName {
    name.parse().unwrap_or_else(|error| panic!("{name:?} is no header: {error}"))
}

fn header_value(value: &str) -> HeaderValue {
    value.parse().unwrap_or_else(|error| panic!("{value:?} is no header's value: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{Client, id_of, version_of};

    #[test]
    fn paths_join_the_base() {
        let client = Client::new("http://h/fhir/");
        let check = |path, url| assert_eq!(client.url(path), url);
        check("", "http://h/fhir");
        check("Patient", "http://h/fhir/Patient");
        check("/Patient?name=a", "http://h/fhir/Patient?name=a");
        check("?_type=Patient", "http://h/fhir?_type=Patient");
        check("http://h/fhir?page=2", "http://h/fhir?page=2");
    }

    #[test]
    fn ids_and_versions_are_found() {
        assert_eq!(id_of("http://h/fhir/Patient/a/_history/1"), Some("a"));
        assert_eq!(id_of("Patient/a"), Some("a"));
        assert_eq!(version_of("W/\"12\""), Some(12));
        assert_eq!(version_of("\"12\""), None);
    }
}
