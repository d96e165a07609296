//! Binary in its own format: what is sent with another media type than FHIR's becomes the data of a Binary, and comes back
//! as it was sent. <https://hl7.org/fhir/R4/binary.html#rest>
//!
//! Whom its `securityContext` shows it to is a rule of the model: docs/access.md.

use crate::{
    error::Error,
    format::Format,
    reply::{Body, Reply},
};
use axum::{
    body::Body as HttpBody,
    http::{HeaderMap, HeaderName, HeaderValue, Response, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tessera_model::{
    Definitions, Key, Resource, ResourceType,
    interaction::{Interaction, Method},
    json::{Document, write_string},
};

/// Whose content stands in for the resource.
const BINARY: &str = "Binary";
/// A reference to the resource whose access rules hold for the content.
const SECURITY_CONTEXT: HeaderName = HeaderName::from_static("x-security-context");
/// What content without a type is.
const UNTYPED: &str = "application/octet-stream";
/// The media types that ask for the resource and not for its content, by name.
const FHIR: [&str; 4] =
    ["application/fhir+json", "application/fhir+xml", "application/json+fhir", "application/xml+fhir"];

/// Whether this writes a Binary.
pub(crate) fn is_write(interaction: &Interaction) -> bool {
    match interaction {
        Interaction::Create(resource_type) | Interaction::ConditionalUpdate(resource_type) => is_binary(*resource_type),
        Interaction::Update(key) => is_binary(key.resource_type),
        _ => false,
    }
}

/// Whether the content of a Binary may be the answer: it is read, and neither `_format` nor `Accept` names a format of FHIR.
pub(crate) fn may_be_content(
    method: &axum::http::Method,
    path: &str,
    format: Option<&str>,
    accept: Option<&str>,
    definitions: &Definitions,
) -> bool {
    let read = match Method::parse(method.as_str()).map(|method| Interaction::parse(method, path, false, definitions)) {
        Some(Ok(Interaction::Read(key) | Interaction::VersionRead(key, _))) => is_binary(key.resource_type),
        _ => false,
    };
    // A `_format` that is no media type is one of FHIR's short names, or a mistake.
    let by_format = format.is_some_and(|f| !f.contains('/') || Format::of_body(Some(&f.replace(' ', "+"))).is_ok());
    let named = |text: &str| ranges(text).any(|(range, _)| FHIR.contains(&range.as_str()));
    // `_format` goes before `Accept`.
    read && !by_format && !format.or(accept).is_some_and(named)
}

fn is_binary(resource_type: ResourceType) -> bool {
    resource_type.name() == BINARY
}

/// The media ranges of an `Accept` header that are not refused, in lower case, and their parameters.
fn ranges(accept: &str) -> impl Iterator<Item = (String, String)> {
    let range = |text: &str| {
        let (range, parameters) = text.split_once(';').unwrap_or((text, ""));
        (range.trim().to_ascii_lowercase(), parameters.replace(' ', "").to_ascii_lowercase())
    };
    accept.split(',').map(range).filter(|(_, parameters)| {
        let refused = |q: &str| q.strip_prefix("q=").is_some_and(|q| q.parse::<f32>() == Ok(0.0));
        !parameters.split(';').any(refused)
    })
}

/// The Binary that a body means: itself, if it is one, or else one that has it as its data.
/// <https://hl7.org/fhir/R4/binary.html#rest>: "except for the special case where the content is actually a Binary resource"
pub(crate) fn of_body(
    interaction: &Interaction,
    headers: &HeaderMap,
    bytes: &[u8],
    definitions: &Definitions,
) -> Result<(Resource, Sent), Error> {
    let bad = || Error::BadHeader("Content-Type and X-Security-Context must be made of visible ASCII characters");
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().map_err(|_| bad())).transpose();
    let (content_type, security_context) = (text(header::CONTENT_TYPE)?, text(SECURITY_CONTEXT)?);
    if let Ok(format) = Format::of_body(content_type) {
        let named = content_type.is_some_and(|t| FHIR.contains(&ranges(t).next().unwrap_or_default().0.as_str()));
        match format.read(bytes.to_vec(), definitions) {
            Ok(resource) if is_binary(resource.resource_type()) => {
                return match security_context {
                    None => Ok((resource, Sent::Resource)),
                    Some(_) => {
                        Err(Error::BadHeader("X-Security-Context goes with content; a Binary has securityContext"))
                    }
                };
            }
            Err(error) if named => return Err(error),
            _ => {}
        }
    }
    let id = if let Interaction::Update(key) = interaction { Some(key) } else { None };
    let text = of_content(id, content_type.unwrap_or(UNTYPED).trim(), security_context, bytes);
    Ok((Resource::parse(text, definitions)?, Sent::Content))
}

/// In which form a Binary was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Resource,
    Content,
}

fn of_content(key: Option<&Key>, content_type: &str, security_context: Option<&str>, bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() / 3 * 4 + 256);
    out.push_str("{\"resourceType\":\"Binary\"");
    let mut member = |name: &str, value: &str| {
        out.push_str(name);
        write_string(&mut out, value);
    };
    if let Some(key) = key {
        member(",\"id\":", key.id.as_str());
    }
    member(",\"contentType\":", content_type);
    if let Some(reference) = security_context {
        member(",\"securityContext\":{\"reference\":", reference.trim());
        out.push('}');
    }
    // An element is never empty.
    if !bytes.is_empty() {
        out.push_str(",\"data\":\"");
        STANDARD.encode_string(bytes, &mut out);
        out.push('"');
    }
    out.push('}');
    out
}

/// The content of a Binary, to be sent in its own format.
pub(crate) struct Content {
    content_type: HeaderValue,
    security_context: Option<HeaderValue>,
    bytes: Vec<u8>,
}

impl Content {
    /// The content, if a Binary was read and the client does not want the resource instead: it has not named the content's type,
    /// but `application/json` or `application/xml`.
    pub(crate) fn of(reply: &Reply, accept: Option<&str>) -> Option<Self> {
        let Body::Json(text) = &reply.body else { return None };
        let document = Document::parse(text.as_str()).ok().filter(|_| reply.status == 200)?;
        let binary = document.root();
        let content_type = binary.get_str("contentType").unwrap_or(UNTYPED.into());
        let bare = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let group = format!("{}/*", bare.split('/').next().unwrap_or_default());
        let accepted =
            |accept: &str| ranges(accept).any(|(range, _)| range == bare || range == group || range == "*/*");
        let fhir = |accept: &str| ranges(accept).any(|(range, _)| Format::of_body(Some(&range)).is_ok());
        if accept.is_some_and(|accept| !accepted(accept) && fhir(accept)) {
            return None;
        }
        let data = binary.get_str("data").unwrap_or_default();
        let data: String = data.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let reference = binary.get("securityContext").and_then(|context| context.get_str("reference"));
        Some(Self {
            content_type: HeaderValue::from_str(&content_type).unwrap_or(HeaderValue::from_static(UNTYPED)),
            security_context: reference.and_then(|reference| HeaderValue::from_str(&reference).ok()),
            bytes: STANDARD.decode(data).ok()?,
        })
    }

    /// The response whose other headers are those of `response`. A browser is to do nothing with the content but keep it:
    /// whoever uploaded it must not run script in the name of this server (HTTP-7).
    pub(crate) fn send(self, mut response: Response<HttpBody>) -> Response<HttpBody> {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type);
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
        if let Some(reference) = self.security_context {
            headers.insert(SECURITY_CONTEXT, reference);
        }
        *response.body_mut() = HttpBody::from(self.bytes);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_sent_unless_a_format_of_fhir_is_named() {
        let check = |path: &str, format: Option<&str>, accept: Option<&str>, expect: bool| {
            let get = axum::http::Method::GET;
            assert_eq!(may_be_content(&get, path, format, accept, Definitions::r4()), expect, "{format:?} {accept:?}");
        };
        check("Binary/1", None, None, true);
        check("Binary/1/_history/1", None, Some("*/*"), true);
        check("Binary/1", None, Some("text/html, application/xml;q=0.9, */*;q=0.8"), true);
        check("Binary/1", None, Some("application/pdf, Application/FHIR+json; q=0.1"), false);
        check("Binary/1", None, Some("application/pdf, application/fhir+json;q=0"), true);
        check("Binary/1", Some("json"), Some("application/pdf"), false);
        check("Binary/1", Some("application/fhir json"), None, false);
        check("Binary/1", Some("application/pdf"), Some("application/fhir+json"), true);
        check("Binary", None, None, false);
        check("Patient/1", None, None, false);
    }

    #[test]
    fn content_keeps_its_type() {
        let key = Key::new(Definitions::r4().resource_type(BINARY).unwrap(), tessera_model::Id::parse("1").unwrap());
        assert_eq!(
            of_content(Some(&key), "text/plain; charset=\"utf-8\"", Some("Patient/1"), b"hi"),
            r#"{"resourceType":"Binary","id":"1","contentType":"text/plain; charset=\"utf-8\"","securityContext":{"reference":"Patient/1"},"data":"aGk="}"#
        );
        assert_eq!(of_content(None, "a/b", None, b""), r#"{"resourceType":"Binary","contentType":"a/b"}"#);
    }
}
