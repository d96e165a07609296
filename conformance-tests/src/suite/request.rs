//! Requests in the making, and replies.

use serde_json::Value;

use super::verdict::{Stop, Verdict, ensure, failed};

/// The media type of FHIR's JSON.
pub(crate) const FHIR_JSON: &str = "application/fhir+json";
/// The media type of FHIR's XML.
pub(crate) const FHIR_XML: &str = "application/fhir+xml";

/// A request in the making. Its path is relative to the base, unless it is a whole URL.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<String>,
    /// Whether the token stays at home.
    pub(crate) anonymous: bool,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        let headers = vec![("accept", FHIR_JSON.to_owned())];
        Self { method, path: path.into(), headers, body: None, anonymous: false }
    }

    /// Sets a header in place of the one of that name.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    /// With a resource as JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(FHIR_JSON, body.to_string())
    }

    /// With any body.
    pub(crate) fn text(self, media_type: &str, body: impl Into<String>) -> Self {
        let mut request = self.header("content-type", media_type);
        request.body = Some(body.into());
        request
    }

    /// Without the token.
    pub(crate) fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// `GET Patient/1`
    pub(crate) asked: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    /// Null if the body is not JSON.
    pub(crate) body: Value,
}

impl Reply {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the server says that the request is at fault.
    pub(crate) fn is_refusal(&self) -> bool {
        (400..500).contains(&self.status) || self.status == 501
    }

    /// In a few words: the status, and of an OperationOutcome what it says.
    pub(crate) fn in_short(&self) -> String {
        let issue = &self.body["issue"][0];
        let said = issue["diagnostics"].as_str().or_else(|| issue["details"]["text"].as_str());
        let what = match (said, self.body["resourceType"].as_str()) {
            (Some(said), _) => format!(": {}", said.chars().take(200).collect::<String>()),
            (None, Some(name)) => format!(" with the resource type {name}"),
            (None, None) if self.text.is_empty() => " without a body".to_owned(),
            (None, None) => " with a body that is no resource in JSON".to_owned(),
        };
        format!("{} was answered {}{what}", self.asked, self.status)
    }

    /// Fails unless the status is one of these.
    pub(crate) fn expect(&self, statuses: &[u16]) -> Verdict<&Self> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        let names: Vec<String> = statuses.iter().map(u16::to_string).collect();
        failed(format!("the status {}", names.join(" or ")), self.in_short())
    }

    /// Fails unless the server says that the request is at fault.
    pub(crate) fn expect_refusal(&self) -> Verdict<&Self> {
        ensure((400..500).contains(&self.status), "a refusal: a status of 400 to 499", self.in_short())?;
        Ok(self)
    }

    /// Fails unless the body is a resource of this type.
    pub(crate) fn expect_resource(&self, resource_type: &str) -> Verdict<&Value> {
        let found = self.body["resourceType"] == resource_type;
        ensure(found, format!("a body that is the resource type {resource_type}"), self.in_short())?;
        Ok(&self.body)
    }

    /// Fails unless the answer is a Bundle of this type.
    pub(crate) fn expect_bundle(&self, bundle_type: &str) -> Verdict<&Value> {
        self.expect(&[200])?;
        let bundle = self.expect_resource("Bundle")?;
        let came = format!("a Bundle of the type {}", bundle["type"]);
        ensure(bundle["type"] == bundle_type, format!("a Bundle of the type {bundle_type}"), came)?;
        Ok(bundle)
    }

    /// Fails unless the body is an OperationOutcome with an issue that is an error.
    pub(crate) fn expect_outcome(&self) -> Verdict<&Value> {
        let outcome = self.expect_resource("OperationOutcome")?;
        let is_error = |issue: &Value| issue["severity"] == "error" || issue["severity"] == "fatal";
        let has_error = outcome["issue"].as_array().is_some_and(|issues| issues.iter().any(is_error));
        ensure(has_error, "an OperationOutcome with an issue of the severity error or fatal", self.in_short())?;
        Ok(outcome)
    }

    /// The value of a header that must be there.
    pub(crate) fn expect_header(&self, name: &str) -> Verdict<&str> {
        self.header(name).map_or_else(|| failed(format!("a header {name}"), format!("none; {}", self.in_short())), Ok)
    }

    /// The entries of the Bundle in the body.
    pub(crate) fn entries(&self) -> &[Value] {
        entries(&self.body)
    }

    /// The URL of a link of the Bundle in the body.
    pub(crate) fn link(&self, relation: &str) -> Option<&str> {
        let links = self.body["link"].as_array()?;
        links.iter().find(|link| link["relation"] == relation)?["url"].as_str()
    }

    /// The id that the server has given: of the body, or of `Location`.
    pub(crate) fn id(&self, resource_type: &str) -> Option<String> {
        let of_body = || self.body["id"].as_str().filter(|_| self.body["resourceType"] == resource_type);
        let location = self.header("location").and_then(|location| id_in(location, resource_type));
        location.or_else(|| of_body().map(ToOwned::to_owned))
    }

    /// Why data could not be made: the server's business rules are no fault of it.
    pub(crate) fn no_data(&self) -> Stop {
        match self.status {
            403 | 422 => {
                Stop::NotApplicable(format!("the server does not take this check's data: {}", self.in_short()))
            }
            _ => Stop::Failed { expected: "the status 201".into(), came: self.in_short() },
        }
    }
}

/// The entries of a Bundle.
pub(crate) fn entries(bundle: &Value) -> &[Value] {
    bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The id in a relative or absolute URL of a resource, with or without version.
pub(crate) fn id_in(url: &str, resource_type: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let path = path.split("/_history").next()?;
    let (rest, id) = path.rsplit_once('/')?;
    let name = rest.rsplit('/').next()?;
    (name == resource_type && !id.is_empty()).then(|| id.to_owned())
}

/// A value for a URL's query: everything but letters, digits and `-._~` escaped.
pub(crate) fn escape(value: &str) -> String {
    let mut escaped = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escape, id_in};

    #[test]
    fn ids_are_found_in_urls_of_their_type() {
        assert_eq!(id_in("http://h/fhir/Patient/a/_history/1", "Patient").as_deref(), Some("a"));
        assert_eq!(id_in("Patient/a", "Patient").as_deref(), Some("a"));
        assert_eq!(id_in("Observation/a", "Patient"), None);
        assert_eq!(id_in("a", "Patient"), None);
    }

    #[test]
    fn values_are_escaped() {
        assert_eq!(escape("a|b c+ä"), "a%7Cb%20c%2B%C3%A4");
    }
}
