//! JSON as FHIR needs it: a document that keeps member order and the digits of numbers, and that refuses what JSON leaves
//! open (duplicate members, trailing bytes, bad UTF-8, unbounded depth).
//! <https://hl7.org/fhir/R4/json.html>
//!
//! A document is one text and one flat array of nodes, each pointing into that text: parsing makes two allocations however
//! large the resource, and a [`Node`] is a cheap copyable cursor (docs/adr/0005-json-as-a-tape.md).

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

mod parse;
#[cfg(test)]
mod tests;

pub use parse::SyntaxError;

/// Deepest nesting of objects and arrays that is accepted (HTTP-2). FHIR's own types need some twenty levels; the rest is
/// for contained resources and extensions of extensions.
pub const DEPTH_MAX: usize = 64;
/// What answers put around a resource: the Bundle of a search in the Bundle of a batch.
const ANSWER_DEPTH: usize = 6;

/// A parsed JSON document. Cloning is cheap: the text and its nodes are shared.
#[derive(Clone)]
pub struct Document {
    inner: Arc<Inner>,
}

struct Inner {
    text: String,
    nodes: Vec<Slot>,
}

/// One value of the document. Objects and arrays are followed by their content; `next` leaps over it.
#[derive(Clone, Copy)]
struct Slot {
    kind: Kind,
    /// The string (or the member name before it) holds a backslash, so reading it must unescape.
    escaped: bool,
    name_escaped: bool,
    name_start: u32,
    name_end: u32,
    start: u32,
    end: u32,
    next: u32,
}

/// What a JSON value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number, kept as text
    Number,
    /// A string
    String,
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

impl Document {
    /// Parses the bytes of one JSON value.
    ///
    /// # Errors
    /// [`SyntaxError`] with line and column: not UTF-8, not JSON, a duplicate member, deeper than [`DEPTH_MAX`], more bytes
    /// after the value, U+0000 in a string (PostgreSQL cannot hold it), or more than 4 GiB.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, SyntaxError> {
        let (text, nodes) = parse::parse(bytes.into(), DEPTH_MAX)?;
        Ok(Self { inner: Arc::new(Inner { text, nodes }) })
    }

    /// Parses an answer of this server, which may be as much deeper as a Bundle in a Bundle makes it.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_answer(text: String) -> Result<Self, SyntaxError> {
        let (text, nodes) = parse::parse(text.into_bytes(), DEPTH_MAX + ANSWER_DEPTH)?;
        Ok(Self { inner: Arc::new(Inner { text, nodes }) })
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node { document: self, slot: 0 }
    }

    /// The value at `position`, as [`Node::position`] told it.
    #[must_use]
    pub fn at(&self, position: u32) -> Node<'_> {
        Node { document: self, slot: position.min(self.last()) }
    }

    fn last(&self) -> u32 {
        u32::try_from(self.inner.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    fn slot(&self, index: u32) -> &Slot {
        &self.inner.nodes[index as usize]
    }

    fn slice(&self, start: u32, end: u32) -> &str {
        &self.inner.text[start as usize..end as usize]
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.inner.text)
    }
}

/// A cursor at one value of a [`Document`].
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document,
    slot: u32,
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.raw())
    }
}

impl<'a> Node<'a> {
    fn get_slot(self) -> &'a Slot {
        self.document.slot(self.slot)
    }

    /// Where in the document this is; [`Document::at`] comes back to it.
    #[must_use]
    pub fn position(self) -> u32 {
        self.slot
    }

    /// The document this belongs to.
    #[must_use]
    pub fn document(self) -> &'a Document {
        self.document
    }

    /// What kind of value this is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.get_slot().kind
    }

    /// The text as it stands in the document, quotes included.
    #[must_use]
    pub fn raw(self) -> &'a str {
        let slot = self.get_slot();
        self.document.slice(slot.start, slot.end)
    }

    /// The name of this member, or `""` for an array's item and the root.
    #[must_use]
    pub fn name(self) -> Cow<'a, str> {
        let slot = self.get_slot();
        let raw = self.document.slice(slot.name_start, slot.name_end);
        if slot.name_escaped { Cow::Owned(parse::unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let slot = self.get_slot();
        if slot.kind != Kind::String {
            return None;
        }
        let raw = self.document.slice(slot.start + 1, slot.end - 1);
        Some(if slot.escaped { Cow::Owned(parse::unescape(raw)) } else { Cow::Borrowed(raw) })
    }

    /// The text of a string, number or boolean: the lexical form of a FHIR primitive.
    #[must_use]
    pub fn as_text(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::String => self.as_str(),
            Kind::Number | Kind::Boolean => Some(Cow::Borrowed(self.raw())),
            Kind::Null | Kind::Array | Kind::Object => None,
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Boolean).then(|| self.raw() == "true")
    }

    /// The member of that name, if this is an object that has it.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Node<'a>> {
        if self.kind() != Kind::Object {
            return None;
        }
        self.children().find(|child| {
            let slot = child.get_slot();
            if slot.name_escaped {
                child.name() == name
            } else {
                self.document.slice(slot.name_start, slot.name_end) == name
            }
        })
    }

    /// The string member of that name.
    #[must_use]
    pub fn get_str(self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.as_str()
    }

    /// The members of an object or the items of an array, in order; nothing for anything else.
    pub fn children(self) -> impl Iterator<Item = Node<'a>> {
        let slot = self.get_slot();
        let (mut at, end) = match slot.kind {
            Kind::Array | Kind::Object => (self.slot + 1, slot.next),
            _ => (0, 0),
        };
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let child = Node { document: self.document, slot: at };
                at = child.get_slot().next;
                child
            })
        })
    }

    /// The items of an array, or this value alone: how FHIRPath sees an element, repeated or not.
    pub fn items(self) -> impl Iterator<Item = Node<'a>> {
        let array = self.kind() == Kind::Array;
        let alone = (!array).then_some(self);
        alone.into_iter().chain(array.then(|| self.children()).into_iter().flatten())
    }

    /// Writes the value without white space, numbers and strings as they stand.
    pub fn write_minified(self, out: &mut String) {
        match self.kind() {
            Kind::Array | Kind::Object => {
                let (open, close) = if self.kind() == Kind::Array { ('[', ']') } else { ('{', '}') };
                out.push(open);
                for (n, child) in self.children().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    if self.kind() == Kind::Object {
                        child.write_name(out);
                    }
                    child.write_minified(out);
                }
                out.push(close);
            }
            _ => out.push_str(self.raw()),
        }
    }

    /// Writes `"name":` of this member.
    pub fn write_name(self, out: &mut String) {
        let slot = self.get_slot();
        out.push('"');
        out.push_str(self.document.slice(slot.name_start, slot.name_end));
        out.push_str("\":");
    }

    /// Writes the value with line breaks and two spaces of indentation (`_pretty=true`).
    pub fn write_pretty(self, out: &mut String, indent: usize) {
        let container = matches!(self.kind(), Kind::Array | Kind::Object);
        if !container || self.children().next().is_none() {
            return self.write_minified(out);
        }
        let (open, close) = if self.kind() == Kind::Array { ('[', ']') } else { ('{', '}') };
        out.push(open);
        for (n, child) in self.children().enumerate() {
            out.push_str(if n > 0 { ",\n" } else { "\n" });
            out.extend(std::iter::repeat_n("  ", indent + 1));
            if self.kind() == Kind::Object {
                child.write_name(out);
                out.push(' ');
            }
            child.write_pretty(out, indent + 1);
        }
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", indent));
        out.push(close);
    }
}

/// Writes `text` as a JSON string, quotes included.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// A JSON text in which what references are made of stands as itself, for whoever looks through it without parsing it:
/// `Patient\/1` and `\u0050atient/1` are other ways to write `Patient/1`.
#[must_use]
pub fn unescaped(text: &str) -> Cow<'_, str> {
    let has = |escape: &str| memchr::memmem::find(text.as_bytes(), escape.as_bytes()).is_some();
    if memchr::memchr(b'\\', text.as_bytes()).is_none() || !has("\\/") && !has("\\u00") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let code = escape.strip_prefix("\\u").and_then(|code| u8::from_str_radix(code.get(..4)?, 16).ok());
        let (character, bytes) = match code.map(char::from) {
            _ if escape.starts_with("\\/") => (Some('/'), 2),
            Some(character) if matches!(character, ' '..='~') && !matches!(character, '"' | '\\') => {
                (Some(character), 6)
            }
            // It stays, with what it escapes.
            _ => (None, escape.chars().take(2).map(char::len_utf8).sum()),
        };
        match character {
            Some(character) => out.push(character),
            None => out.push_str(&escape[..bytes]),
        }
        rest = &escape[bytes..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}
