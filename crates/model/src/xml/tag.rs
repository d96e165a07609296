//! The tags of an XML document: well-formedness, namespaces, and the few attributes that FHIR has.
//! <https://www.w3.org/TR/xml-names/>

use super::{FHIR, XHTML, XmlError, entity};
use quick_xml::{
    Reader,
    events::{BytesDecl, BytesStart, Event},
};

/// Most namespace declarations in scope. Senders have a handful, on the root.
const BINDINGS_MAX: usize = 64;
/// Deepest nesting of tags within a narrative, which validation allows as well.
const NARRATIVE_DEPTH_MAX: usize = 64;
/// White space, as XML has it: a no-break space is content.
pub(crate) const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A document being read.
pub(super) struct Tags<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    bindings: Vec<Binding<'a>>,
    /// Tags that are open.
    open: usize,
    /// Where the event that was read last begins.
    at: usize,
}

/// A namespace declaration in scope.
struct Binding<'a> {
    prefix: &'a str,
    namespace: Namespace,
    /// How many tags are around the one that declares it.
    open: usize,
}

/// The namespaces that mean something here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace {
    Fhir,
    Xhtml,
    Other,
}

/// A start tag. Attributes are as they were written.
pub(super) struct Tag<'a> {
    /// Without prefix.
    pub(super) name: &'a str,
    prefix: &'a str,
    namespace: Namespace,
    pub(super) value: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) url: Option<&'a str>,
    /// The first attribute that is none of these.
    pub(super) other: Option<&'a str>,
}

/// What comes next in a document.
pub(super) enum Next<'a> {
    Start(Tag<'a>),
    End,
    /// The document is over.
    Eof,
}

impl<'a> Tags<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        reader.config_mut().check_comments = true;
        Self { text, reader, bindings: Vec::new(), open: 0, at: 0 }
    }

    /// The line of the tag that was read last.
    pub(super) fn line(&self) -> usize {
        1 + self.text.bytes().take(self.at).filter(|byte| *byte == b'\n').count()
    }

    /// The next tag. Comments, processing instructions and white space are no content.
    pub(super) fn next(&mut self) -> Result<Next<'a>, XmlError> {
        loop {
            match self.event()? {
                Event::Start(tag) => return self.start(&tag).map(Next::Start),
                // The reader has compared it with its start.
                Event::End(_) => {
                    self.open = self.open.saturating_sub(1);
                    while self.bindings.last().is_some_and(|binding| binding.open >= self.open) {
                        self.bindings.pop();
                    }
                    return Ok(Next::End);
                }
                Event::Eof => return Ok(Next::Eof),
                Event::Decl(declaration) => self.declaration(&declaration)?,
                Event::Text(run) if run.trim_start_matches(SPACE).is_empty() => {}
                Event::Comment(_) | Event::PI(_) => {}
                Event::GeneralRef(name) if entity::predefined(&name).is_none() => return Err(unknown_entity()),
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Empty(_) => {
                    return Err(XmlError::new("text stands between the elements; values are attributes: value=\"…\""));
                }
                Event::DocType(_) => return Err(doctype()),
            }
        }
    }

    fn event(&mut self) -> Result<Event<'a>, XmlError> {
        self.at = position(self.reader.buffer_position());
        match self.reader.read_event() {
            Ok(Event::Eof) if self.open > 0 => Err(XmlError::new("the text ends inside an element")),
            Ok(event) => Ok(event),
            Err(error) => {
                self.at = position(self.reader.error_position());
                Err(XmlError::new(error.to_string()))
            }
        }
    }

    fn declaration(&self, declaration: &BytesDecl<'_>) -> Result<(), XmlError> {
        let version = declaration.version().is_ok_and(|version| version == "1.0");
        let utf8 = declaration.encoding().is_none_or(|e| e.is_ok_and(|e| e.eq_ignore_ascii_case("utf-8")));
        if self.at > 0 || !version || !utf8 {
            return Err(XmlError::new("the XML declaration stands at the start and says version 1.0 and UTF-8"));
        }
        Ok(())
    }

    /// Takes a start tag apart, in one pass over its attributes.
    fn start(&mut self, event: &BytesStart<'_>) -> Result<Tag<'a>, XmlError> {
        let malformed =
            || XmlError::new("the tag is not well-formed: attributes are written name=\"value\", < as &lt;");
        let start = self.at + 1;
        let inside = self.text.get(start..start + event.len()).ok_or_else(malformed)?;
        let (name, mut attributes) = inside.split_at_checked(event.name().as_ref().len()).ok_or_else(malformed)?;
        let (prefix, name) = name.split_once(':').unwrap_or(("", name));
        let mut tag = Tag { name, prefix, namespace: Namespace::Other, value: None, id: None, url: None, other: None };
        while !attributes.trim_start_matches(SPACE).is_empty() {
            let (name, value, rest) = attribute(attributes).ok_or_else(malformed)?;
            attributes = rest;
            let slot = match name {
                "value" => &mut tag.value,
                "id" => &mut tag.id,
                "url" => &mut tag.url,
                "xmlns" => {
                    self.bind("", value)?;
                    continue;
                }
                _ => {
                    if let Some(prefix) = name.strip_prefix("xmlns:") {
                        self.bind(prefix, value)?;
                    } else if !name.starts_with("xsi:") {
                        // Where a schema may be is no content; HL7's examples say it.
                        tag.other = tag.other.or(Some(name));
                    }
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                return Err(XmlError::new(format!("the attribute {name} is there twice")));
            }
        }
        let bound = self.bindings.iter().rev().find(|binding| binding.prefix == prefix);
        tag.namespace = bound.map_or(Namespace::Other, |binding| binding.namespace);
        self.open += 1;
        Ok(tag)
    }

    fn bind(&mut self, prefix: &'a str, namespace: &str) -> Result<(), XmlError> {
        let namespace = match namespace {
            FHIR => Namespace::Fhir,
            XHTML => Namespace::Xhtml,
            _ => Namespace::Other,
        };
        if self.bindings.len() == BINDINGS_MAX {
            return Err(XmlError::new("more than 64 namespaces are declared"));
        }
        if self.bindings.iter().any(|binding| binding.open == self.open && binding.prefix == prefix) {
            return Err(XmlError::new("a namespace prefix is declared twice"));
        }
        self.bindings.push(Binding { prefix, namespace, open: self.open });
        Ok(())
    }

    /// A narrative after its start tag, byte for byte up to its end, but that its namespace is declared in it.
    pub(super) fn narrative(&mut self, tag: &Tag<'a>) -> Result<String, XmlError> {
        if tag.namespace != Namespace::Xhtml {
            return Err(XmlError::new(
                "a narrative is in the XHTML namespace: <div xmlns=\"http://www.w3.org/1999/xhtml\">",
            ));
        }
        let start = self.at;
        let mut depth = 1;
        while depth > 0 {
            match self.event()? {
                Event::Start(tag) => {
                    references(tag.attributes_raw())?;
                    depth += 1;
                    if depth > NARRATIVE_DEPTH_MAX {
                        return Err(XmlError::new("elements are nested more than 64 deep"));
                    }
                }
                Event::End(_) => depth -= 1,
                Event::GeneralRef(name) if entity::predefined(&name).is_none() => return Err(unknown_entity()),
                Event::DocType(_) => return Err(doctype()),
                // What a narrative may hold, validation says.
                _ => {}
            }
        }
        let raw = self.text.get(start..position(self.reader.buffer_position())).unwrap_or_default();
        references(raw.split_once('>').map_or("", |(tag, _)| tag))?;
        self.open = self.open.saturating_sub(1);
        let own = |binding: &Binding<'_>| binding.open >= self.open && binding.prefix == tag.prefix;
        let declared = self.bindings.iter().any(own);
        self.bindings.retain(|binding| binding.open < self.open);
        if declared {
            return Ok(raw.to_owned());
        }
        let name = 1 + tag.name.len() + if tag.prefix.is_empty() { 0 } else { tag.prefix.len() + 1 };
        let (before, after) = raw.split_at_checked(name).unwrap_or((raw, ""));
        let (colon, prefix) = if tag.prefix.is_empty() { ("", "") } else { (":", tag.prefix) };
        Ok(format!("{before} xmlns{colon}{prefix}=\"{XHTML}\"{after}"))
    }
}

impl Tag<'_> {
    /// Refuses an element of another language.
    pub(super) fn of_fhir(&self) -> Result<(), XmlError> {
        if self.namespace == Namespace::Fhir {
            return Ok(());
        }
        Err(XmlError::new(format!("\"{}\" is not in the namespace of FHIR: xmlns=\"{FHIR}\"", self.name)))
    }
}

/// The first attribute of what follows the name of a tag: its name, its value as written, and what follows it.
pub(crate) fn attribute(raw: &str) -> Option<(&str, &str, &str)> {
    let start = raw.trim_start_matches(SPACE);
    let (name, rest) = start.split_once('=')?;
    let rest = rest.trim_start_matches(SPACE);
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (value, rest) = rest.get(1..)?.split_once(quote)?;
    (start.len() < raw.len() && !value.contains('<')).then(|| (name.trim_end_matches(SPACE), value, rest))
}

/// Refuses references to entities other than XML's own in attributes.
fn references(raw: &str) -> Result<(), XmlError> {
    let known = |text: &str| text.split_once(';').is_some_and(|(name, _)| entity::predefined(name).is_some());
    if raw.split('&').skip(1).all(known) { Ok(()) } else { Err(unknown_entity()) }
}

pub(super) fn unknown_entity() -> XmlError {
    XmlError::new("an entity that XML does not have: write the character itself, or as &#160;")
}

fn doctype() -> XmlError {
    XmlError::new("there is no document type declaration in FHIR")
}

fn position(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
