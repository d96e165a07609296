//! A resource: a JSON tree with a known type. What is stored is its minified text, with `id` and `meta` written by the
//! server and everything else in the sender's order, digits kept.
//! <https://hl7.org/fhir/R4/resource.html>

use crate::{
    Definitions, Error, Id, ResourceType, VersionId,
    definitions::{Primitive, TypeId, TypeKind},
    error::similar,
    json::{Document, Kind, Node, write_string},
    temporal::{Micros, format_instant},
};
use std::borrow::Cow;

/// A resource of a known type, not necessarily valid.
#[derive(Clone, Debug)]
pub struct Resource {
    document: Document,
    position: u32,
    resource_type: ResourceType,
}

/// What the server writes into each version.
#[derive(Clone, Debug)]
pub struct Stamp<'a> {
    /// The logical id.
    pub id: &'a Id,
    /// `meta.versionId`
    pub version: VersionId,
    /// `meta.lastUpdated`
    pub last_updated: Micros,
}

impl Resource {
    /// Parses the JSON of one resource.
    ///
    /// # Errors
    /// [`Error::Json`], or [`Error::NotAResource`] if `resourceType` is missing or unknown.
    pub fn parse(bytes: impl Into<Vec<u8>>, definitions: &Definitions) -> Result<Self, Error> {
        Self::new(Document::parse(bytes)?.root(), "", definitions)
    }

    /// The resource at a node of a larger document; `expression` says where that is.
    ///
    /// # Errors
    /// [`Error::NotAResource`] if `resourceType` is missing or unknown.
    pub fn new(node: Node<'_>, expression: &str, definitions: &Definitions) -> Result<Self, Error> {
        let wrong = |reason: String| Error::NotAResource { expression: expression.to_owned(), reason };
        if node.kind() != Kind::Object {
            return Err(wrong("a resource is a JSON object".into()));
        }
        let name = node.get_str("resourceType").ok_or_else(|| wrong("the resource has no resourceType".into()))?;
        let Some(resource_type) = definitions.resource_type(&name) else {
            let near = similar(&name, definitions.resource_types().iter().map(|t| t.name()));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            return Err(wrong(format!("\"{name}\" is not a resource type of FHIR R4{hint}")));
        };
        Ok(Self { document: node.document().clone(), position: node.position(), resource_type })
    }

    /// Its type.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// The JSON object.
    #[must_use]
    pub fn node(&self) -> Node<'_> {
        self.document.at(self.position)
    }

    /// The `id` as sent.
    #[must_use]
    pub fn id(&self) -> Option<Cow<'_, str>> {
        self.node().get_str("id")
    }

    /// The resources in it, as they stand one after the other; `None` for what is none.
    /// <https://hl7.org/fhir/R4/references.html#contained>
    pub fn contained<'a>(&'a self, definitions: &'a Definitions) -> impl Iterator<Item = Option<Self>> + use<'a> {
        let nodes = self.node().get("contained").into_iter().flat_map(Node::children);
        nodes.map(|node| Self::new(node, "", definitions).ok())
    }

    /// The resource as it is stored: minified, `resourceType`, `id` and `meta` first, `meta.versionId` and
    /// `meta.lastUpdated` from the stamp whatever the sender wrote there.
    #[must_use]
    pub fn stored_text(&self, stamp: &Stamp<'_>) -> String {
        let node = self.node();
        let mut out = String::with_capacity(node.raw().len() + 128);
        out.push_str("{\"resourceType\":\"");
        out.push_str(self.resource_type.name());
        out.push_str("\",\"id\":\"");
        out.push_str(stamp.id.as_str());
        out.push_str("\",\"meta\":{\"versionId\":\"");
        out.push_str(&stamp.version.to_string());
        out.push_str("\",\"lastUpdated\":\"");
        out.push_str(&format_instant(stamp.last_updated));
        out.push('"');
        let meta = node.get("meta").into_iter().flat_map(Node::children);
        write_members(
            meta.filter(|m| !matches!(&*m.name(), "versionId" | "lastUpdated" | "_versionId" | "_lastUpdated")),
            &mut out,
        );
        out.push('}');
        write_members(node.children().filter(|m| !matches!(&*m.name(), "resourceType" | "id" | "meta")), &mut out);
        out.push('}');
        out
    }

    /// The same resource with every reference, URL and narrative link replaced for which `replace` has something else.
    ///
    /// # Errors
    /// [`Error::Json`] if the result is no acceptable document, which only an absurd replacement can bring about.
    pub fn rewrite_references(
        &self,
        replace: &dyn Fn(&str) -> Option<String>,
        definitions: &Definitions,
    ) -> Result<Self, Error> {
        let mut out = String::with_capacity(self.node().raw().len());
        let rewrite = Rewrite { replace, definitions };
        rewrite.value(self.node(), definitions.types().any_resource(), &mut out);
        Self::parse(out, definitions)
    }

    /// Calls `found` with the text of every reference and URL in the resource: what [`Self::rewrite_references`] rewrites,
    /// narrative links aside.
    pub fn each_reference(&self, definitions: &Definitions, found: &mut dyn FnMut(&str)) {
        each_reference(self.node(), definitions.types().any_resource(), definitions, found);
    }
}

fn write_members<'a>(members: impl Iterator<Item = Node<'a>>, out: &mut String) {
    for member in members {
        out.push(',');
        member.write_name(out);
        member.write_minified(out);
    }
}

/// The type of what stands at `node`: for `Resource`, the one it says itself.
fn actual_type(node: Node<'_>, type_id: TypeId, definitions: &Definitions) -> TypeId {
    if type_id != definitions.types().any_resource() {
        return type_id;
    }
    node.get_str("resourceType").and_then(|name| definitions.types().named(&name)).unwrap_or(type_id)
}

/// Whether a value of that type points somewhere: `Reference.reference` is a string, the others are URIs.
/// <https://hl7.org/fhir/R4/http.html#trules>
fn holds_reference(owner: &str, member: &str, kind: TypeKind) -> bool {
    match kind {
        TypeKind::Primitive(
            Primitive::Uri | Primitive::Url | Primitive::Canonical | Primitive::Oid | Primitive::Uuid,
        ) => {
            !(owner == "Extension" && member == "url"
                || owner == "Coding" && member == "system"
                || owner == "Identifier" && member == "system")
        }
        TypeKind::Primitive(Primitive::String) => owner == "Reference" && member == "reference",
        _ => false,
    }
}

fn each_reference(node: Node<'_>, type_id: TypeId, definitions: &Definitions, found: &mut dyn FnMut(&str)) {
    let types = definitions.types();
    let type_id = actual_type(node, type_id, definitions);
    let definition = &types[type_id];
    for member in node.children() {
        let name = member.name();
        let Some(property) = definition.property(&name) else { continue };
        let kind = types[property.type_id].kind;
        if holds_reference(&definition.name, &name, kind) {
            member.items().filter_map(Node::as_str).for_each(|text| found(&text));
        } else if !matches!(kind, TypeKind::Primitive(_)) {
            member.items().for_each(|item| each_reference(item, property.type_id, definitions, found));
        }
    }
}

struct Rewrite<'a> {
    replace: &'a dyn Fn(&str) -> Option<String>,
    definitions: &'a Definitions,
}

impl Rewrite<'_> {
    fn value(&self, node: Node<'_>, type_id: TypeId, out: &mut String) {
        if node.kind() != Kind::Object {
            return node.write_minified(out);
        }
        let types = self.definitions.types();
        let definition = &types[actual_type(node, type_id, self.definitions)];
        out.push('{');
        for (n, member) in node.children().enumerate() {
            if n > 0 {
                out.push(',');
            }
            member.write_name(out);
            let name = member.name();
            let Some(property) = definition.property(&name) else {
                member.write_minified(out);
                continue;
            };
            let kind = types[property.type_id].kind;
            if holds_reference(&definition.name, &name, kind) {
                self.each(member, out, &|item, out| self.link(item, out));
            } else if kind == TypeKind::Primitive(Primitive::Xhtml) {
                self.narrative(member, out);
            } else if matches!(kind, TypeKind::Primitive(_)) {
                member.write_minified(out);
            } else {
                self.each(member, out, &|item, out| self.value(item, property.type_id, out));
            }
        }
        out.push('}');
    }

    fn each(&self, member: Node<'_>, out: &mut String, write: &dyn Fn(Node<'_>, &mut String)) {
        if member.kind() != Kind::Array {
            return write(member, out);
        }
        out.push('[');
        for (n, item) in member.children().enumerate() {
            if n > 0 {
                out.push(',');
            }
            write(item, out);
        }
        out.push(']');
    }

    fn link(&self, item: Node<'_>, out: &mut String) {
        match item.as_str().and_then(|text| (self.replace)(&text)) {
            Some(other) => write_string(out, &other),
            None => item.write_minified(out),
        }
    }

    /// Links of a narrative stand in `href` and `src` of its tags.
    fn narrative(&self, member: Node<'_>, out: &mut String) {
        let Some(text) = member.as_str() else { return member.write_minified(out) };
        let mut rewritten = String::with_capacity(text.len());
        let mut rest = &*text;
        while let Some(at) = rest.find('<') {
            let (before, tag) = rest.split_at(at);
            rewritten.push_str(before);
            rest = match tag.find("-->").filter(|_| tag.starts_with("<!--")) {
                Some(end) => {
                    let (comment, after) = tag.split_at(end);
                    rewritten.push_str(comment);
                    after
                }
                None => self.tag(tag, &mut rewritten),
            };
        }
        rewritten.push_str(rest);
        write_string(out, &rewritten);
    }

    /// Writes a tag up to its end, which a quoted `>` is not; returns what follows.
    fn tag<'t>(&self, mut rest: &'t str, out: &mut String) -> &'t str {
        while let Some(at) = rest.find(['"', '\'', '>']) {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let (quote, after) = from.split_at(1);
            let Some((value, next)) = after.split_once(quote).filter(|_| quote != ">") else { return from };
            let name = before.trim_end().strip_suffix('=').and_then(|name| name.split_whitespace().last());
            let link = matches!(name, Some("href" | "src")).then(|| (self.replace)(&value.replace("&amp;", "&")));
            out.push_str(quote);
            out.push_str(link.flatten().as_deref().unwrap_or(value));
            out.push_str(quote);
            rest = next;
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(text: &str) -> Resource {
        Resource::parse(text, Definitions::r4()).unwrap()
    }

    #[test]
    fn the_stored_text_keeps_order_and_digits_and_carries_the_stamp() {
        let sent = resource(
            r#"{ "valueQuantity": {"value": 1.00}, "meta": {"tag": [], "versionId": "9"}, "resourceType": "Observation", "id": "x", "status": "final" }"#,
        );
        let id = Id::parse("a").unwrap();
        let text = sent.stored_text(&Stamp { id: &id, version: 2, last_updated: 0 });
        assert_eq!(
            text,
            r#"{"resourceType":"Observation","id":"a","meta":{"versionId":"2","lastUpdated":"1970-01-01T00:00:00.000Z","tag":[]},"valueQuantity":{"value":1.00},"status":"final"}"#
        );
    }

    #[test]
    fn references_are_rewritten_where_they_can_stand_and_nowhere_else() {
        let sent = resource(
            r#"{"resourceType":"Observation","subject":{"reference":"urn:uuid:1","display":"urn:uuid:1"},"identifier":[{"value":"urn:uuid:1"}],
                "extension":[{"url":"urn:uuid:1","valueUri":"urn:uuid:1"}],"text":{"div":"<div><a href=\"urn:uuid:1\">urn:uuid:1</a></div>"}}"#,
        );
        let replaced = sent
            .rewrite_references(&|text| (text == "urn:uuid:1").then(|| "Patient/7".into()), Definitions::r4())
            .unwrap();
        assert_eq!(
            format!("{:?}", replaced.node()),
            r#"{"resourceType":"Observation","subject":{"reference":"Patient/7","display":"urn:uuid:1"},"identifier":[{"value":"urn:uuid:1"}],"extension":[{"url":"urn:uuid:1","valueUri":"Patient/7"}],"text":{"div":"<div><a href=\"Patient/7\">urn:uuid:1</a></div>"}}"#
        );
    }

    #[test]
    fn what_is_no_resource_says_so() {
        let check = |text: &str, expect: &str| {
            assert_eq!(Resource::parse(text, Definitions::r4()).unwrap_err().to_string(), expect);
        };
        check("[]", "a resource is a JSON object");
        check("{}", "the resource has no resourceType");
        check(
            r#"{"resourceType":"Patiant"}"#,
            "\"Patiant\" is not a resource type of FHIR R4; did you mean \"Patient\"?",
        );
    }
}
