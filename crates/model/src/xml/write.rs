//! A resource → XML, its elements in the order of the tables.

use super::{FHIR, XmlError, entity, is_attribute};
use crate::{
    Definitions,
    definitions::{Primitive, TypeId, TypeKind},
    json::{Kind, Node},
};
use std::borrow::Cow;

/// The XML document of the resource at `node`; `pretty` with line breaks and two spaces of indentation.
///
/// # Errors
/// [`XmlError`] if it is no resource, has a member that the tables do not have, or a character that XML does not have: what
/// has passed validation has none of these.
pub fn write(node: Node<'_>, pretty: bool, definitions: &Definitions) -> Result<String, XmlError> {
    let element = definitions.types().named("Element").unwrap_or(definitions.types().any_resource());
    let mut out = String::with_capacity(node.raw().len() * 3 / 2 + 100);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let mut writing = Writing { definitions, element, out, pretty, depth: 0 };
    let attribute = format!(" xmlns=\"{FHIR}\"");
    let name = node.get_str("resourceType").unwrap_or_default();
    writing.resource(node, &attribute).map_err(|error| error.within(&name, None))?;
    if pretty {
        writing.out.push('\n');
    }
    Ok(writing.out)
}

struct Writing<'a> {
    definitions: &'a Definitions,
    /// What a primitive may hold beside its value.
    element: TypeId,
    out: String,
    pretty: bool,
    depth: usize,
}

/// A member of an object, with the one of the same name and an underscore.
struct Member<'a> {
    /// The place of its element in the table.
    order: usize,
    type_id: TypeId,
    name: Cow<'a, str>,
    value: Option<Node<'a>>,
    extra: Option<Node<'a>>,
}

impl<'a> Writing<'a> {
    fn resource(&mut self, node: Node<'a>, attribute: &str) -> Result<(), XmlError> {
        let name = node.get_str("resourceType").unwrap_or_default();
        let found = self.definitions.resource_type(&name).and_then(|t| self.definitions.types().named(t.name()));
        let type_id = found.ok_or_else(|| XmlError::new("a resource with a known resourceType is expected"))?;
        self.line();
        self.start(&name);
        self.out.push_str(attribute);
        self.content(&name, node, type_id)
    }

    /// Attributes, elements and end of an element whose start tag is open.
    fn content(&mut self, tag: &str, node: Node<'a>, type_id: TypeId) -> Result<(), XmlError> {
        if node.kind() != Kind::Object {
            return Err(XmlError::new("an object is expected"));
        }
        let definition = &self.definitions.types()[type_id];
        let (attributes, elements): (Vec<_>, Vec<_>) =
            self.members(node, type_id)?.into_iter().partition(|member| is_attribute(&member.name, definition));
        for Member { name, value, extra, .. } in &attributes {
            match value {
                Some(value) if extra.is_none() => self.attribute(name, *value),
                _ => Err(XmlError::new("an attribute has a value and nothing else")),
            }
            .map_err(|error| error.within(name, None))?;
        }
        if elements.is_empty() {
            self.out.push_str("/>");
            return Ok(());
        }
        self.out.push('>');
        self.depth += 1;
        for member in &elements {
            self.member(member)?;
        }
        self.depth -= 1;
        self.line();
        self.end(tag);
        Ok(())
    }

    /// The members of an object in the order of their elements, a name and its underscored one together.
    fn members(&self, node: Node<'a>, type_id: TypeId) -> Result<Vec<Member<'a>>, XmlError> {
        let definition = &self.definitions.types()[type_id];
        let resource = matches!(definition.kind, TypeKind::Resource(_));
        let mut members: Vec<Member<'a>> = Vec::new();
        for child in node.children() {
            let whole = child.name();
            if resource && whole == "resourceType" {
                continue;
            }
            let name = match &whole {
                Cow::Borrowed(whole) => Cow::Borrowed(whole.strip_prefix('_').unwrap_or(whole)),
                Cow::Owned(whole) => Cow::Owned(whole.strip_prefix('_').unwrap_or(whole).to_owned()),
            };
            let extra = name.len() < whole.len();
            let unknown =
                || XmlError::new(format!("{} has no element \"{whole}\"", definition.name)).within(&name, None);
            let property = definition.property(&name).ok_or_else(unknown)?;
            if extra && !matches!(self.definitions.types()[property.type_id].kind, TypeKind::Primitive(_)) {
                return Err(unknown());
            }
            let at = members.iter().rposition(|member| member.name == name).unwrap_or_else(|| {
                let (order, type_id) = (property.element, property.type_id);
                members.push(Member { order, type_id, name, value: None, extra: None });
                members.len() - 1
            });
            let member = &mut members[at];
            *(if extra { &mut member.extra } else { &mut member.value }) = Some(child);
        }
        members.sort_by_key(|member| member.order);
        Ok(members)
    }

    /// The elements of a member.
    fn member(&mut self, member: &Member<'a>) -> Result<(), XmlError> {
        let mut values = member.value.into_iter().flat_map(Node::items);
        let mut extras = member.extra.into_iter().flat_map(Node::items);
        let repeats = member.value.or(member.extra).is_some_and(|node| node.kind() == Kind::Array);
        for index in 0.. {
            let (value, extra) = (values.next(), extras.next());
            if value.is_none() && extra.is_none() {
                break;
            }
            let there = |node: &Node<'a>| node.kind() != Kind::Null;
            self.item(member, value.filter(there), extra.filter(there))
                .map_err(|error| error.within(&member.name, repeats.then_some(index)))?;
        }
        Ok(())
    }

    /// One element: a value, what stands beside it, or both.
    fn item(&mut self, member: &Member<'a>, value: Option<Node<'a>>, extra: Option<Node<'a>>) -> Result<(), XmlError> {
        if value.is_none() && extra.is_none() {
            return Ok(());
        }
        self.line();
        match (self.definitions.types()[member.type_id].kind, value) {
            (TypeKind::Primitive(Primitive::Xhtml), Some(value)) if extra.is_none() => return self.narrative(value),
            (TypeKind::Primitive(_), value) => {
                self.start(&member.name);
                value.map_or(Ok(()), |value| self.attribute("value", value))?;
                match extra {
                    Some(extra) => self.content(&member.name, extra, self.element)?,
                    None => self.out.push_str("/>"),
                }
            }
            (TypeKind::AnyResource, Some(resource)) => {
                self.start(&member.name);
                self.out.push('>');
                self.depth += 1;
                self.resource(resource, "")?;
                self.depth -= 1;
                self.line();
                self.end(&member.name);
            }
            (_, Some(value)) => {
                self.start(&member.name);
                self.content(&member.name, value, member.type_id)?;
            }
            (_, None) => return Err(XmlError::new("a value is expected")),
        }
        Ok(())
    }

    fn attribute(&mut self, name: &str, value: Node<'a>) -> Result<(), XmlError> {
        let text = value.as_text().ok_or_else(|| XmlError::new("a string, number or boolean is expected"))?;
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escape = match byte {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'"' => "&quot;",
                // White space that is not escaped is read as a space.
                b'\t' => "&#9;",
                b'\n' => "&#10;",
                b'\r' => "&#13;",
                0..=0x1f | 0xef if !entity::is_text(&text) => {
                    return Err(XmlError::new("a character that XML does not have"));
                }
                _ => continue,
            };
            self.out.push_str(&text[plain..at]);
            self.out.push_str(escape);
            plain = at + 1;
        }
        self.out.push_str(&text[plain..]);
        self.out.push('"');
        Ok(())
    }

    /// Byte for byte, but that entities of HTML become the characters' numbers: XML does not have them.
    fn narrative(&mut self, value: Node<'a>) -> Result<(), XmlError> {
        let text = value.as_str().ok_or_else(|| XmlError::new("a string is expected"))?;
        if !entity::is_text(&text) {
            return Err(XmlError::new("a character that XML does not have"));
        }
        let mut parts = text.split('&');
        self.out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            self.out.push('&');
            match part.split_once(';') {
                Some((name, rest)) if entity::predefined(name).is_none() && entity::of_html(name).is_some() => {
                    let code = entity::of_html(name).map_or(0, u32::from);
                    self.out.push_str(&format!("#{code};{rest}"));
                }
                _ => self.out.push_str(part),
            }
        }
        Ok(())
    }

    fn start(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
    }

    fn end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn line(&mut self) {
        if self.pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }
}
