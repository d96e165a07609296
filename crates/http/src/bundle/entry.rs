//! What an entry of a batch or transaction asks for: its URL is read by the same grammar as one on the wire.
//! <https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request>

use crate::{
    Context,
    conditions::{Conditions, if_none_exist, tags},
    error::Error,
    request::{Preferences, Request},
};
use tessera_model::{
    Definitions, Resource,
    definitions::TypeId,
    interaction::{Method, percent_decode},
    json::{Kind, Node},
    temporal,
};

/// The request that an entry means.
pub(super) fn request(context: &Context, entry: Node<'_>, preferences: Preferences) -> Result<Request, Error> {
    let of_entry = type_within(context.definitions, &["entry"]);
    refuse_unknown(context.definitions, entry, "Bundle.entry", of_entry)?;
    let request = entry.get("request").ok_or_else(|| Error::BadRequest("the entry has no request".into()))?;
    let of_request = type_within(context.definitions, &["entry", "request"]);
    refuse_unknown(context.definitions, request, "Bundle.entry.request", of_request)?;
    let text = |name: &str| match request.get(name) {
        None => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) => Ok(Some(text.into_owned())),
            None => Err(Error::BadRequest(format!("request.{name} must be a text"))),
        },
    };
    let method = text("method")?.and_then(|name| Method::parse(&name));
    let method = method
        .ok_or_else(|| Error::BadRequest("request.method must be GET, HEAD, POST, PUT, PATCH or DELETE".into()))?;
    let url = text("url")?.ok_or_else(|| Error::BadRequest("the entry's request has no url".into()))?;
    let (path, query) = relative(&url, &context.base);
    let mut parsed = Request::new(method, &percent_decode(path, false), query, context.definitions)?;
    parsed.preferences = preferences;
    if let Some(resource) = entry.get("resource") {
        parsed.resource = Some(Resource::new(resource, "", context.definitions)?);
    }
    let since = |instant: String| {
        let range = temporal::range(&instant).filter(|_| instant.contains('T'));
        range
            .map(|range| range.low)
            .ok_or_else(|| Error::BadRequest("request.ifModifiedSince must be an instant".into()))
    };
    parsed.conditions = Conditions {
        if_match: text("ifMatch")?.as_deref().map(tags).transpose()?,
        if_none_match: text("ifNoneMatch")?.as_deref().map(tags).transpose()?,
        if_modified_since: text("ifModifiedSince")?.map(since).transpose()?,
        if_none_exist: text("ifNoneExist")?.as_deref().map(if_none_exist),
    };
    Ok(parsed)
}

/// Path and query of a URL that is relative, or absolute below this server's base.
fn relative<'a>(url: &'a str, base: &str) -> (&'a str, &'a str) {
    let below = url.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?'])).unwrap_or(url);
    let below = below.strip_prefix('/').unwrap_or(below);
    below.split_once('?').unwrap_or((below, ""))
}

/// The type of what stands there within a Bundle.
pub(super) fn type_within(definitions: &Definitions, path: &[&str]) -> Option<TypeId> {
    let bundle = definitions.types().named("Bundle")?;
    path.iter().try_fold(bundle, |of, name| Some(definitions.types()[of].property(name)?.type_id))
}

/// A member that means nothing is refused: `ifMatched` would lose an update, `entries` would do nothing.
pub(super) fn refuse_unknown(
    definitions: &Definitions,
    node: Node<'_>,
    place: &str,
    type_id: Option<TypeId>,
) -> Result<(), Error> {
    if node.kind() != Kind::Object {
        return Err(Error::BadRequest(format!("{place} must be an object")));
    }
    let Some(definition) = type_id.map(|type_id| &definitions.types()[type_id]) else { return Ok(()) };
    for member in node.children() {
        let name = member.name();
        let bare = name.strip_prefix('_').unwrap_or(&name);
        if definition.property(bare).is_none() && name != "resourceType" {
            let name: String = name.chars().take(64).collect();
            return Err(Error::BadRequest(format!("{place} has no element \"{name}\"")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_relative_to_the_base() {
        let check = |url: &str, expect: (&str, &str)| assert_eq!(relative(url, "http://here/fhir"), expect, "{url}");
        check("Patient/1", ("Patient/1", ""));
        check("/Patient?a=b?c", ("Patient", "a=b?c"));
        check("http://here/fhir/Patient/1", ("Patient/1", ""));
        check("http://here/fhir?_type=Patient", ("", "_type=Patient"));
        check("http://here/fhirx/Patient/1", ("http://here/fhirx/Patient/1", ""));
    }
}
