//! XML → the JSON text of the same resource, in one pass and in the order of the document. What is not well-formed, not
//! FHIR's or not in the tables is refused with its place; values are left to validation, as those of JSON are.
//! Hardened as HTTP-8: no document type declaration, no entities but XML's own, the depth of JSON.

use super::{
    XmlError, entity, is_attribute,
    tag::{Next, Tag, Tags, unknown_entity},
};
use crate::{
    Definitions,
    definitions::{Primitive, TypeDefinition, TypeId, TypeKind},
    error::similar,
    json::{DEPTH_MAX, write_string},
};
use std::fmt::Write as _;

/// The JSON text of the resource that the XML document holds.
///
/// # Errors
/// [`crate::Error::Xml`] with line and element: not UTF-8, not well-formed, a document type declaration, an entity, another
/// namespace, an element or attribute that the type does not have, text outside narratives, or nested deeper than JSON may be.
pub fn read(bytes: &[u8], definitions: &Definitions) -> Result<String, crate::Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        XmlError { line: Some(line), ..XmlError::new("the text is not UTF-8") }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !entity::is_text(text) {
        return Err(XmlError::new("the text has a control character, which XML does not allow").into());
    }
    let element = definitions.types().named("Element").unwrap_or(definitions.types().any_resource());
    let out = String::with_capacity(text.len());
    let mut reading = Reading { tags: Tags::new(text), definitions, element, depth: 0, out };
    match reading.document() {
        Ok(()) => Ok(reading.out),
        Err(error) => Err(XmlError { line: Some(reading.tags.line()), ..error }.into()),
    }
}

struct Reading<'a> {
    tags: Tags<'a>,
    definitions: &'a Definitions,
    /// What a primitive may hold beside its value.
    element: TypeId,
    /// Objects and arrays of the JSON that are open.
    depth: usize,
    out: String,
}

/// A member of the JSON being written; the next element may belong to it too.
struct Member<'a> {
    name: &'a str,
    type_id: TypeId,
    repeats: bool,
    /// Whether other members stand before it.
    first: bool,
    /// Where it begins in the output.
    start: usize,
    count: usize,
    /// Whether any of its values is there: else the member with the underscore stands alone.
    valued: bool,
    /// The items of the member with the underscore, commas included.
    extras: String,
    extras_count: usize,
}

impl<'a> Reading<'a> {
    fn document(&mut self) -> Result<(), XmlError> {
        let Next::Start(tag) = self.tags.next()? else { return Err(XmlError::new("there is no element")) };
        self.resource(&tag).map_err(|error| error.within(tag.name, None))?;
        match self.tags.next()? {
            Next::Eof => Ok(()),
            _ => Err(XmlError::new("an XML document has one root element")),
        }
    }

    /// A resource, after its start tag.
    fn resource(&mut self, tag: &Tag<'a>) -> Result<(), XmlError> {
        tag.of_fhir()?;
        let found = self.definitions.resource_type(tag.name).and_then(|t| self.definitions.types().named(t.name()));
        let type_id = found.ok_or_else(|| {
            let near = similar(tag.name, self.definitions.resource_types().iter().map(|t| t.name()));
            XmlError::new(format!("\"{}\" is not a resource type of FHIR R4{}", tag.name, hint(near.as_deref())))
        })?;
        if tag.id.is_some() {
            return Err(XmlError::new("the id of a resource is an element: <id value=\"…\"/>"));
        }
        no_attribute(&[("value", tag.value), ("url", tag.url)], tag)?;
        self.depth += 1;
        let _ = write!(self.out, "{{\"resourceType\":\"{}\"", tag.name);
        self.members(type_id, false)?;
        self.out.push('}');
        self.depth -= 1;
        Ok(())
    }

    /// The one resource within `contained`, `Bundle.entry.resource` and the like.
    fn nested_resource(&mut self) -> Result<(), XmlError> {
        let wrong = || XmlError::new("one resource stands here, as an element named by its type: <Patient>…</Patient>");
        let Next::Start(tag) = self.tags.next()? else { return Err(wrong()) };
        self.resource(&tag)?;
        match self.tags.next()? {
            Next::End => Ok(()),
            _ => Err(wrong()),
        }
    }

    /// The elements up to the end tag, as members of the JSON object that is open; `first` if it has none so far.
    fn members(&mut self, type_id: TypeId, mut first: bool) -> Result<(), XmlError> {
        let definition = &self.definitions.types()[type_id];
        let mut member: Option<Member<'a>> = None;
        let mut seen: Vec<&str> = Vec::new();
        while let Next::Start(tag) = self.tags.next()? {
            let mut current = match member.take() {
                Some(current) if current.name == tag.name => {
                    if !current.repeats {
                        return Err(XmlError::new("the element may be there once only").within(tag.name, None));
                    }
                    current
                }
                before => {
                    if let Some(before) = before {
                        seen.push(before.name);
                        self.finish(&before);
                        first = false;
                    }
                    let wrong = match seen.contains(&tag.name) {
                        true => Err(XmlError::new("repetitions of an element stand one after another")),
                        false => self.begin(&tag, definition, first),
                    };
                    wrong.map_err(|error| error.within(tag.name, None))?
                }
            };
            let index = current.repeats.then_some(current.count);
            self.item(&tag, &mut current).map_err(|error| error.within(tag.name, index))?;
            member = Some(current);
        }
        if let Some(member) = member {
            self.finish(&member);
        }
        Ok(())
    }

    fn begin(&mut self, tag: &Tag<'a>, definition: &TypeDefinition, first: bool) -> Result<Member<'a>, XmlError> {
        let name = tag.name;
        let Some(property) = definition.property(name) else {
            tag.of_fhir()?;
            let near = similar(name, definition.names());
            let text = format!("{} has no element \"{name}\"{}", definition.name, hint(near.as_deref()));
            return Err(XmlError::new(text));
        };
        if is_attribute(name, definition) {
            return Err(XmlError::new(format!("{name} is an attribute here: {name}=\"…\"")));
        }
        let repeats = definition.elements[property.element].repeats;
        self.check_depth(usize::from(repeats))?;
        let start = self.out.len();
        self.out.push_str(if first { "\"" } else { ",\"" });
        self.out.push_str(name);
        self.out.push_str(if repeats { "\":[" } else { "\":" });
        Ok(Member {
            name,
            type_id: property.type_id,
            repeats,
            first,
            start,
            count: 0,
            valued: false,
            extras: String::new(),
            extras_count: 0,
        })
    }

    /// Ends a member, and writes the one with the underscore.
    fn finish(&mut self, member: &Member<'a>) {
        if member.valued {
            self.out.push_str(if member.repeats { "]" } else { "" });
        } else {
            self.out.truncate(member.start);
        }
        if member.extras_count == 0 {
            return;
        }
        self.out.push_str(if member.first && !member.valued { "\"_" } else { ",\"_" });
        self.out.push_str(member.name);
        self.out.push_str(if member.repeats { "\":[" } else { "\":" });
        self.out.push_str(member.extras.trim_end_matches(','));
        for _ in member.extras_count..member.count {
            self.out.push_str(",null");
        }
        self.out.push_str(if member.repeats { "]" } else { "" });
    }

    /// One element of a member, after its start tag.
    fn item(&mut self, tag: &Tag<'a>, member: &mut Member<'a>) -> Result<(), XmlError> {
        self.out.push_str(if member.count > 0 { "," } else { "" });
        member.count += 1;
        self.depth += usize::from(member.repeats);
        let definition = &self.definitions.types()[member.type_id];
        match definition.kind {
            TypeKind::Primitive(Primitive::Xhtml) => {
                member.valued = true;
                write_string(&mut self.out, &self.tags.narrative(tag)?);
            }
            TypeKind::Primitive(primitive) => self.primitive(tag, member, primitive)?,
            kind => {
                tag.of_fhir()?;
                member.valued = true;
                let url = tag.url.filter(|_| !is_attribute("url", definition));
                no_attribute(&[("value", tag.value), ("url", url)], tag)?;
                if kind == TypeKind::AnyResource {
                    no_attribute(&[("id", tag.id)], tag)?;
                    self.nested_resource()?;
                } else {
                    self.object(tag, member.type_id)?;
                }
            }
        }
        self.depth -= usize::from(member.repeats);
        Ok(())
    }

    fn primitive(&mut self, tag: &Tag<'a>, member: &mut Member<'a>, primitive: Primitive) -> Result<(), XmlError> {
        tag.of_fhir()?;
        no_attribute(&[("url", tag.url)], tag)?;
        match tag.value {
            Some(raw) => write_value(&mut self.out, raw, primitive)?,
            None => self.out.push_str("null"),
        }
        member.valued |= tag.value.is_some();
        let start = self.out.len();
        self.object(tag, self.element)?;
        // An element with nothing at all becomes `{}`, which validation refuses.
        if tag.value.is_none() || self.out.len() > start + "{}".len() {
            while member.extras_count + 1 < member.count {
                member.extras.push_str("null,");
                member.extras_count += 1;
            }
            member.extras.push_str(&self.out[start..]);
            member.extras.push(',');
            member.extras_count += 1;
        }
        self.out.truncate(start);
        Ok(())
    }

    /// An object after its start tag: attributes, then elements.
    fn object(&mut self, tag: &Tag<'a>, type_id: TypeId) -> Result<(), XmlError> {
        self.depth += 1;
        self.out.push('{');
        let mut first = true;
        for (name, value) in [("id", tag.id), ("url", tag.url)] {
            let Some(value) = value else { continue };
            self.check_depth(0)?;
            let _ = write!(self.out, "{}\"{name}\":", if first { "" } else { "," });
            write_value(&mut self.out, value, Primitive::String).map_err(|error| error.within(name, None))?;
            first = false;
        }
        self.members(type_id, first)?;
        self.out.push('}');
        self.depth -= 1;
        Ok(())
    }

    /// Refuses what JSON would be too deep for. An object counts once there is something in it.
    fn check_depth(&self, more: usize) -> Result<(), XmlError> {
        if self.depth + more > DEPTH_MAX {
            return Err(XmlError::new(format!("nested deeper than {DEPTH_MAX} objects and arrays of JSON")));
        }
        Ok(())
    }
}

/// Refuses attributes that the element cannot have.
fn no_attribute(known: &[(&str, Option<&str>)], tag: &Tag<'_>) -> Result<(), XmlError> {
    let found = known.iter().find(|(_, value)| value.is_some()).map(|(name, _)| *name).or(tag.other);
    match found {
        Some("value") => Err(XmlError::new("the element has parts, and no value of its own")),
        Some(name) => Err(XmlError::new(format!("the element has no attribute \"{name}\""))),
        None => Ok(()),
    }
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"))
}

/// Writes the value of an attribute as JSON. What is no number or boolean becomes a string, and validation says so.
fn write_value(out: &mut String, raw: &str, primitive: Primitive) -> Result<(), XmlError> {
    let bare = match primitive {
        Primitive::Boolean => Some(raw).filter(|raw| matches!(*raw, "true" | "false")),
        Primitive::Decimal => Some(raw).filter(|raw| is_number(raw)),
        // A sign that XML may have and JSON may not.
        Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => {
            Some(raw.strip_prefix('+').filter(|rest| !rest.starts_with('-')).unwrap_or(raw))
                .filter(|raw| is_number(raw))
        }
        _ => None,
    };
    if let Some(bare) = bare {
        out.push_str(bare);
        return Ok(());
    }
    if !raw.bytes().any(|byte| matches!(byte, b'&' | b'\t' | b'\n' | b'\r')) {
        write_string(out, raw);
        return Ok(());
    }
    write_string(out, &normalized(raw)?);
    Ok(())
}

/// The value of an attribute as XML means it: references replaced, white space that was written as such made spaces.
/// <https://www.w3.org/TR/xml/#AVNormalize>
fn normalized(raw: &str) -> Result<String, XmlError> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        let (plain, special) = rest.split_at(at);
        text.push_str(plain);
        rest = if let Some(reference) = special.strip_prefix('&') {
            let (name, rest) = reference.split_once(';').ok_or_else(unknown_entity)?;
            text.push(entity::predefined(name).ok_or_else(unknown_entity)?);
            rest
        } else {
            text.push(' ');
            // A line end of two characters is one.
            special.strip_prefix("\r\n").unwrap_or(&special[1..])
        };
    }
    text.push_str(rest);
    Ok(text)
}

/// Whether the text is a number of JSON.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = text
        .split_once(['e', 'E'])
        .map_or((text, "0"), |(mantissa, exponent)| (mantissa, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole) && digits(fraction) && digits(exponent) && (whole == "0" || !whole.starts_with('0'))
}
