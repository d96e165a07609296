//! The parser behind [`super::Document`]: one pass over the bytes, strict RFC 8259, no recursion.

use super::{Kind, Slot};
use rustc_hash::FxHashSet;

/// Why bytes are not one acceptable JSON value, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line}, column {column}")]
pub struct SyntaxError {
    /// What is wrong, for the sender.
    pub message: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

/// Objects with more members than this look for duplicates in a hash set, smaller ones by comparing.
const COMPARED_MEMBERS_MAX: usize = 16;

pub(super) fn parse(bytes: Vec<u8>, depth_max: usize) -> Result<(String, Vec<Slot>), SyntaxError> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(error(&[], 0, "more than 4 GiB"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|e| error(e.as_bytes(), e.utf8_error().valid_up_to(), "the text is not UTF-8"))?;
    // A byte order mark is no part of JSON, but some senders write it (RFC 8259 section 8.1 lets a parser ignore it).
    let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut parser = Parser {
        bytes: text.as_bytes(),
        at,
        nodes: Vec::with_capacity(text.len() / 16 + 1),
        open: Vec::new(),
        depth_max,
    };
    parser.document()?;
    let nodes = parser.nodes;
    Ok((text, nodes))
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Slot>,
    /// The containers around `at`, as indices of `nodes`.
    open: Vec<usize>,
    depth_max: usize,
}

/// The span of a string's content and whether it holds a backslash.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
    escaped: bool,
}

const NO_NAME: Span = Span { start: 0, end: 0, escaped: false };

impl Parser<'_> {
    fn document(&mut self) -> Result<(), SyntaxError> {
        self.value(NO_NAME)?;
        while let Some(&container) = self.open.last() {
            self.skip_space();
            let array = self.nodes[container].kind == Kind::Array;
            let first = self.nodes.len() == container + 1;
            let close = if array { b']' } else { b'}' };
            match self.peek() {
                Some(byte) if byte == close => {
                    self.at += 1;
                    self.close(container)?;
                    continue;
                }
                Some(b',') if !first => {
                    self.at += 1;
                    self.skip_space();
                }
                Some(_) if first => {}
                Some(_) => return Err(self.fail(if array { "expected , or ]" } else { "expected , or }" })),
                None => return Err(self.fail("the text ends inside a value")),
            }
            let name = if array { NO_NAME } else { self.name()? };
            self.value(name)?;
        }
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(self.fail("more text after the end of the value"));
        }
        Ok(())
    }

    fn close(&mut self, container: usize) -> Result<(), SyntaxError> {
        self.open.pop();
        let next = self.nodes.len();
        self.nodes[container].end = offset(self.at);
        self.nodes[container].next = offset(next);
        if self.nodes[container].kind == Kind::Object {
            self.refuse_duplicates(container)?;
        }
        Ok(())
    }

    fn refuse_duplicates(&self, container: usize) -> Result<(), SyntaxError> {
        let end = self.nodes.len();
        let name = |slot: &Slot| {
            let raw = &self.bytes[slot.name_start as usize..slot.name_end as usize];
            // Names with escapes compare by what they mean: "a" and "\u0061" are one name.
            if slot.name_escaped {
                std::str::from_utf8(raw).map(|raw| unescape(raw).into_bytes()).unwrap_or_default().into()
            } else {
                std::borrow::Cow::Borrowed(raw)
            }
        };
        let mut members: Vec<usize> = Vec::with_capacity(8);
        let mut at = container + 1;
        while at < end {
            members.push(at);
            at = self.nodes[at].next as usize;
        }
        let mut seen = FxHashSet::default();
        for (n, &member) in members.iter().enumerate() {
            let this = name(&self.nodes[member]);
            let duplicate = if members.len() > COMPARED_MEMBERS_MAX {
                !seen.insert(this.clone())
            } else {
                members[..n].iter().any(|&before| {
                    let (a, b) = (&self.nodes[before], &self.nodes[member]);
                    (a.name_escaped || b.name_escaped || a.name_end - a.name_start == b.name_end - b.name_start)
                        && name(a) == this
                })
            };
            if duplicate {
                let text = format!("the member \"{}\" stands twice", String::from_utf8_lossy(&this));
                return Err(error(self.bytes, self.nodes[member].name_start as usize, &text));
            }
        }
        Ok(())
    }

    fn name(&mut self) -> Result<Span, SyntaxError> {
        if self.peek() != Some(b'"') {
            return Err(self.fail("expected a member name in double quotes"));
        }
        let span = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.fail("expected : after the member name"));
        }
        self.at += 1;
        Ok(span)
    }

    fn value(&mut self, name: Span) -> Result<(), SyntaxError> {
        self.skip_space();
        let start = self.at;
        let mut escaped = false;
        let kind = match self.peek() {
            Some(b'{') => self.open(Kind::Object)?,
            Some(b'[') => self.open(Kind::Array)?,
            Some(b'"') => {
                escaped = self.string()?.escaped;
                Kind::String
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Kind::Number
            }
            Some(b't') => self.word(b"true", Kind::Boolean)?,
            Some(b'f') => self.word(b"false", Kind::Boolean)?,
            Some(b'n') => self.word(b"null", Kind::Null)?,
            Some(_) => return Err(self.fail("expected a value")),
            None => return Err(self.fail("the text ends where a value should stand")),
        };
        let index = self.nodes.len();
        if matches!(kind, Kind::Array | Kind::Object) {
            self.open.push(index);
        }
        self.nodes.push(Slot {
            kind,
            escaped,
            name_escaped: name.escaped,
            name_start: name.start,
            name_end: name.end,
            start: offset(start),
            end: offset(self.at),
            next: offset(index + 1),
        });
        Ok(())
    }

    fn open(&mut self, kind: Kind) -> Result<Kind, SyntaxError> {
        if self.open.len() >= self.depth_max {
            return Err(self.fail("nested deeper than 64 levels"));
        }
        self.at += 1;
        Ok(kind)
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, SyntaxError> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(kind)
        } else {
            Err(self.fail("expected a value"))
        }
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.fail("expected a digit")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), SyntaxError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.fail("expected a digit"));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Result<Span, SyntaxError> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Span { start: offset(start), end: offset(self.at - 1), escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) => return Err(self.fail("a control character must be escaped in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.fail("the text ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let unit = self.unit(self.at)?;
                let low = if (0xd800..0xdc00).contains(&unit) { self.unit(self.at + 6).ok() } else { None };
                match (unit, low) {
                    (0, _) => Err(self.fail("U+0000 is not accepted")),
                    (0xd800..0xdc00, Some(0xdc00..0xe000)) => {
                        self.at += 12;
                        Ok(())
                    }
                    (0xd800..0xe000, _) => Err(self.fail("half of a surrogate pair")),
                    _ => {
                        self.at += 6;
                        Ok(())
                    }
                }
            }
            _ => Err(self.fail("unknown escape in a string")),
        }
    }

    /// The UTF-16 unit of a `\uXXXX` that starts at `at`.
    fn unit(&self, at: usize) -> Result<u32, SyntaxError> {
        let digits = self.bytes.get(at..at + 6).filter(|s| s.starts_with(b"\\u")).map(|s| &s[2..]);
        digits
            .filter(|s| s.iter().all(u8::is_ascii_hexdigit))
            .and_then(|s| std::str::from_utf8(s).ok())
            .and_then(|s| u32::from_str_radix(s, 16).ok())
            .ok_or_else(|| self.fail("expected four hexadecimal digits after \\u"))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn fail(&self, message: &str) -> SyntaxError {
        error(self.bytes, self.at, message)
    }
}

/// Texts over 4 GiB are refused before parsing, so every offset fits.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn error(bytes: &[u8], at: usize, message: &str) -> SyntaxError {
    let (line, column) = line_and_column(bytes, at);
    SyntaxError { message: message.to_owned(), line, column }
}

fn line_and_column(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = &bytes[..at.min(bytes.len())];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    (line, column)
}

/// Resolves the escapes of a string that [`parse`] has accepted.
pub(super) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let unit =
            |from: usize| rest.get(from..from + 4).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0);
        let (character, length) = match rest.as_bytes().get(at + 1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => match unit(at + 2) {
                high @ 0xd800..0xdc00 => {
                    let low = unit(at + 8);
                    let code = 0x10000 + ((high - 0xd800) << 10) + (low.saturating_sub(0xdc00) & 0x3ff);
                    (char::from_u32(code).unwrap_or('\u{fffd}'), 12)
                }
                code => (char::from_u32(code).unwrap_or('\u{fffd}'), 6),
            },
            Some(&other) => (char::from(other), 2),
            None => ('\\', 1),
        };
        out.push(character);
        rest = rest.get(at + length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}
