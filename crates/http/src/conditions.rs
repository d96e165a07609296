//! [`Conditions`]: under which conditions a request is to be performed, from its headers or from `Bundle.entry.request`.
//! What cannot be read is refused: a condition that is overlooked loses an update.
//! <https://hl7.org/fhir/R4/http.html#concurrency>

use crate::{error::Error, format::OF_HTTP, respond::parse_http_date};
use axum::http::HeaderMap;
use tessera_model::{VersionId, interaction::query_pairs, temporal::Micros};
use tessera_store::{Precondition, Tags};

/// Conditional headers, or the members of `Bundle.entry.request`.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<Tags>,
    pub(crate) if_none_match: Option<Tags>,
    pub(crate) if_modified_since: Option<Micros>,
    pub(crate) if_none_exist: Option<IfNoneExist>,
}

/// `If-None-Exist`
#[derive(Debug, Default)]
pub(crate) struct IfNoneExist {
    /// What stands before the question mark, if there is one: nothing, or the type once more.
    pub(crate) of: String,
    pub(crate) criteria: Vec<(String, String)>,
}

impl Conditions {
    /// The conditions in the headers of a request.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Self, Error> {
        if headers.contains_key("if-unmodified-since") {
            return Err(Error::BadHeader("If-Unmodified-Since is not supported; use If-Match"));
        }
        Ok(Self {
            if_match: header(headers, "if-match")?.as_deref().map(tags).transpose()?,
            if_none_match: header(headers, "if-none-match")?.as_deref().map(tags).transpose()?,
            // "A recipient MUST ignore the If-Modified-Since header field if the received field value is not a valid
            // HTTP-date": <https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3>
            if_modified_since: headers.get("if-modified-since").and_then(|v| v.to_str().ok()).and_then(parse_http_date),
            if_none_exist: header(headers, "if-none-exist")?.as_deref().map(if_none_exist),
        })
    }

    /// What must hold of the version that a write replaces.
    pub(crate) fn precondition(&self) -> Precondition {
        Precondition { if_match: self.if_match.clone(), if_none_match: self.if_none_match.clone() }
    }
}

/// Reads `If-None-Exist`. Clients add `_format` to whatever URL they make, to this one too.
pub(crate) fn if_none_exist(text: &str) -> IfNoneExist {
    let (of, query) = text.split_once('?').unwrap_or(("", text));
    let mut criteria = query_pairs(query);
    criteria.retain(|(name, _)| !OF_HTTP.contains(&name.as_str()));
    IfNoneExist { of: of.trim().rsplit('/').next().unwrap_or_default().to_owned(), criteria }
}

/// The value of a header. One that comes several times is a list (RFC 9110, section 5.3).
fn header(headers: &HeaderMap, name: &str) -> Result<Option<String>, Error> {
    let bad = || Error::BadHeader("a conditional header must be made of visible ASCII characters");
    let values = headers.get_all(name).iter().map(|value| value.to_str().map_err(|_| bad()));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    if name == "if-none-exist" && values.len() > 1 {
        return Err(Error::BadHeader("If-None-Exist comes once"));
    }
    Ok((!values.is_empty()).then(|| values.join(", ")))
}

/// The versions that `*` or `W/"1", W/"2"` names. A tag that is none of ours names nothing; a bare number is taken for one.
pub(crate) fn tags(text: &str) -> Result<Tags, Error> {
    let bad = || Error::BadHeader("expected * or entity tags such as W/\"1\"");
    if text.trim() == "*" {
        return Ok(Tags::Any);
    }
    let mut versions = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"');
        let (tag, after) = match quoted {
            Some(quoted) => quoted.split_once('"').ok_or_else(bad)?,
            None => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
        };
        if tag.is_empty() {
            return Err(bad());
        }
        versions.push(tag.parse().ok().filter(|version: &VersionId| version.to_string() == tag).unwrap_or(-1));
        let after = after.trim_start();
        rest = after.strip_prefix(',').map(str::trim_start).unwrap_or(after);
        if rest.len() == after.len() && !rest.is_empty() {
            return Err(bad());
        }
    }
    if versions.is_empty() { Err(bad()) } else { Ok(Tags::Versions(versions)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_weak_strong_and_lists() {
        let check = |text: &str, expect: &[VersionId]| {
            assert_eq!(tags(text).unwrap(), Tags::Versions(expect.to_vec()), "{text}");
        };
        check("W/\"1\"", &[1]);
        check("\"2\", W/\"3\",4", &[2, 3, 4]);
        check("W/\"abc\"", &[-1]);
        check("\"a,b\" , \"01\"", &[-1, -1]);
        assert_eq!(tags(" * ").unwrap(), Tags::Any);
        for bad in ["", "W/\"\"", "abc", "\"1", "1\"", "W/1", "w/\"1\"", "*, \"1\"", "\"1\" \"2\"", "-1"] {
            assert!(tags(bad).is_err(), "{bad}");
        }
    }
}
