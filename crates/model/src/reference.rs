//! What the string in `Reference.reference` (or a canonical) points to.
//! <https://hl7.org/fhir/R4/references.html#literal>

use crate::{Definitions, Id, Key, VersionId};

/// A literal reference, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal<'a> {
    /// A resource of this server: `Patient/123`, also with `/_history/2`, also absolute with this server's base.
    Local(Key, Option<VersionId>),
    /// `#id`: a resource contained in the one that refers to it.
    Contained(&'a str),
    /// `Patient?identifier=…`: to be resolved within a transaction.
    /// <https://hl7.org/fhir/R4/http.html#trules>
    Conditional(&'a str),
    /// Anything else: another server's URL, `urn:uuid:…`, a canonical.
    Elsewhere(&'a str),
}

/// Reads a literal reference; `base` is this server's base URL without a slash at its end.
#[must_use]
pub fn parse<'a>(text: &'a str, base: &str, definitions: &Definitions) -> Literal<'a> {
    if let Some(id) = text.strip_prefix('#') {
        return Literal::Contained(id);
    }
    let own = text.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    let relative = own.unwrap_or(text);
    if let Some((name, _)) = relative.split_once('?')
        && definitions.resource_type(name).is_some()
    {
        return Literal::Conditional(relative);
    }
    match local(relative, definitions) {
        Some((key, version)) => Literal::Local(key, version),
        None => Literal::Elsewhere(text),
    }
}

/// `Patient/123` or `Patient/123/_history/2`.
fn local(relative: &str, definitions: &Definitions) -> Option<(Key, Option<VersionId>)> {
    let mut parts = relative.split('/');
    let resource_type = definitions.resource_type(parts.next()?)?;
    let id = Id::parse(parts.next()?)?;
    let version = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => None,
        (Some("_history"), Some(version), None) => Some(version.parse().ok()?),
        _ => return None,
    };
    Some((Key::new(resource_type, id), version))
}

/// The resource type that an absolute or relative RESTful URL names: `http://other/fhir/Patient/1` → `Patient`.
#[must_use]
pub fn type_named(text: &str) -> Option<&str> {
    let text = text.split_once("/_history/").map_or(text, |(before, _)| before);
    let mut parts = text.rsplit('/');
    let _id = parts.next()?;
    parts.next().filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// A canonical URL and its `|version`, apart.
#[must_use]
pub fn split_canonical(text: &str) -> (&str, &str) {
    text.split_once('|').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_references() {
        let check = |text: &str, expect: &str| {
            assert_eq!(format!("{:?}", parse(text, "http://here/fhir", Definitions::r4())), expect);
        };
        check("Patient/1", "Local(Patient/1, None)");
        check("http://here/fhir/Patient/1/_history/2", "Local(Patient/1, Some(2))");
        check("#p", "Contained(\"p\")");
        check("Patient?identifier=a|b", "Conditional(\"Patient?identifier=a|b\")");
        check("http://there/fhir/Patient/1", "Elsewhere(\"http://there/fhir/Patient/1\")");
        check("urn:uuid:1", "Elsewhere(\"urn:uuid:1\")");
        check("Patent/1", "Elsewhere(\"Patent/1\")");
        check("Patient/a b", "Elsewhere(\"Patient/a b\")");
        assert_eq!(type_named("http://there/fhir/Patient/1/_history/3"), Some("Patient"));
    }
}
