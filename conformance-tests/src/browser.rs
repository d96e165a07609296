//! A browser for tests: keeps cookies, reads forms, follows nothing by itself and runs no script.

use std::collections::BTreeMap;
use std::sync::Mutex;

use reqwest::Method;
use reqwest::header::SET_COOKIE;

use crate::client::{Client, Reply};

/// Names and values of a form.
pub type Fields = Vec<(String, String)>;

/// A browser, with the cookies that it was given.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    origin: String,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// A browser without cookies. Paths are relative to the server's origin.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let origin = base.trim_end_matches("/fhir").to_owned();
        Self { client: Client::new(base), origin, cookies: Mutex::default() }
    }

    /// `GET`
    pub async fn get(&self, url: &str) -> Reply {
        self.send(Method::GET, url, None).await
    }

    /// `POST` of a form.
    pub async fn post(&self, url: &str, fields: &[(String, String)]) -> Reply {
        self.send(Method::POST, url, Some(encode(fields))).await
    }

    async fn send(&self, method: Method, url: &str, body: Option<String>) -> Reply {
        let url = if url.starts_with('/') { format!("{}{url}", self.origin) } else { url.to_owned() };
        let cookies: Vec<String> = self.jar().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.client.request(method, &url).header("accept", "text/html");
        if !cookies.is_empty() {
            request = request.header("cookie", &cookies.join("; "));
        }
        if let Some(body) = body {
            request = request.body("application/x-www-form-urlencoded", body);
        }
        let reply = request.send().await;
        for cookie in reply.headers.get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap_or_default();
            let Some((name, value)) = text.split(';').next().and_then(|pair| pair.split_once('=')) else { continue };
            match value {
                "" => self.jar().remove(name),
                value => self.jar().insert(name.to_owned(), value.to_owned()),
            };
        }
        reply
    }

    fn jar(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.cookies.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A form's or a query's text.
#[must_use]
pub fn encode(fields: &[(String, String)]) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
            out
        })
    };
    fields.iter().map(|(n, v)| format!("{}={}", escape(n), escape(v))).collect::<Vec<_>>().join("&")
}

/// What a browser would send of the first form of a page with that text in it, but for its buttons: hidden and typed values, and
/// what is ticked.
#[must_use]
pub fn fields(page: &str, form: &str) -> Fields {
    let forms = page.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next());
    let inputs =
        forms.into_iter().find(|text| text.contains(form)).into_iter().flat_map(|text| text.split("<input").skip(1));
    let tags = inputs.filter_map(|rest| rest.split('>').next());
    let sent = tags.filter(|tag| {
        let ticks = tag.contains("type=\"checkbox\"") || tag.contains("type=\"radio\"");
        !ticks || tag.split_whitespace().any(|word| word == "checked")
    });
    sent.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))).collect()
}

/// The values of the buttons of that name.
#[must_use]
pub fn buttons(page: &str, name: &str) -> Vec<String> {
    let tags = page.split("<button").skip(1).filter_map(|rest| rest.split('>').next());
    tags.filter(|tag| attribute(tag, "name").as_deref() == Some(name))
        .filter_map(|tag| attribute(tag, "value"))
        .collect()
}

/// The value of an attribute of a tag's text.
#[must_use]
pub fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.replace('\n', " ");
    let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    let mut text = value.to_owned();
    for (escaped, character) in [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")] {
        text = text.replace(escaped, character);
    }
    Some(text)
}

/// A parameter of a URL, decoded.
#[must_use]
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::{buttons, fields};

    #[test]
    fn forms_are_read() {
        let page = r#"<form action="/a"><input name="x"></form><form action="/b"><input type="hidden" name="h"
            value="a&#38;b"><input type="checkbox" name="c" value="1" checked><input type="checkbox" name="d"
            value="2"><button name="go" value="yes">Go</button></form>"#;
        let expect = [("h", "a&b"), ("c", "1")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(fields(page, "\"/b\""), expect);
        assert_eq!(buttons(page, "go"), ["yes"]);
    }
}
