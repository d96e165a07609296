//! Splits an expression into tokens: <http://hl7.org/fhirpath/N1/#lexical-elements>

/// Why a text is no FHIRPath expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at offset {at}")]
pub struct ParseError {
    /// What is wrong.
    pub message: &'static str,
    /// Byte offset in the expression.
    pub at: usize,
}

impl ParseError {
    pub(super) fn new(message: &'static str, at: usize) -> Self {
        Self { message, at }
    }
}

/// A token and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name, or a `` `delimited name` `` (then no keyword)
    Name(String, bool),
    String(String),
    Number(String),
    /// After `@`
    Time(String),
    /// `$this` …
    Variable(String),
    /// `%resource` …
    External(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 23] = [
    "<=", ">=", "!=", "!~", ".", "(", ")", "[", "]", "{", "}", ",", "+", "-", "*", "/", "&", "|", "<", ">", "=", "~",
    ";",
];

pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ParseError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = match character {
            ' ' | '\t' | '\n' | '\r' => {
                at += 1;
                continue;
            }
            '/' if rest.starts_with("//") => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            '/' if rest.starts_with("/*") => {
                at += rest.find("*/").ok_or(ParseError::new("the comment does not end", at))? + 2;
                continue;
            }
            '\'' => quoted(rest, '\'', at).map(|(text, length)| (Token::String(text), length))?,
            '`' => quoted(rest, '`', at).map(|(text, length)| (Token::Name(text, true), length))?,
            '%' if rest[1..].starts_with(['\'', '`']) => {
                let quote = if rest[1..].starts_with('`') { '`' } else { '\'' };
                quoted(&rest[1..], quote, at).map(|(text, length)| (Token::External(text), length + 1))?
            }
            '$' | '%' => {
                let name = name(&rest[1..]);
                let token = if character == '$' { Token::Variable(name.into()) } else { Token::External(name.into()) };
                (token, name.len() + 1)
            }
            '@' => {
                let literal = &rest[1..=temporal_length(&rest[1..])];
                if literal.is_empty() {
                    return Err(ParseError::new("expected a date or time after @", at));
                }
                (Token::Time(literal.into()), literal.len() + 1)
            }
            '0'..='9' => {
                let number = number(rest);
                (Token::Number(number.into()), number.len())
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let name = name(rest);
                (Token::Name(name.into(), false), name.len())
            }
            _ => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(symbol) => (Token::Symbol(symbol), symbol.len()),
                None => return Err(ParseError::new("unexpected character", at)),
            },
        };
        found.push((token, at));
        at += length;
    }
    Ok(found)
}

fn name(text: &str) -> &str {
    &text[..text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())]
}

fn number(text: &str) -> &str {
    let whole = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let fraction =
        text[whole..].strip_prefix('.').map_or(0, |f| f.find(|c: char| !c.is_ascii_digit()).unwrap_or(f.len()));
    &text[..if fraction > 0 { whole + 1 + fraction } else { whole }]
}

/// How much of the text is a date, a date and time, or `T` and a time. `@2020-01.toString()` ends before its full stop, and
/// `@2020-01-01-1 day` before its minus.
fn temporal_length(text: &str) -> usize {
    /// The length of `pattern` at `at`, where `0` is any digit; 0 if it does not stand there.
    fn there(text: &str, at: usize, pattern: &str) -> usize {
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        let fits = |(found, wanted): (&u8, u8)| if wanted == b'0' { found.is_ascii_digit() } else { *found == wanted };
        if rest.len() >= pattern.len() && rest.iter().zip(pattern.bytes()).all(fits) { pattern.len() } else { 0 }
    }
    /// Goes on as far as one pattern after the other stands there.
    fn along(text: &str, at: &mut usize, patterns: &[&str]) {
        for pattern in patterns {
            let length = there(text, *at, pattern);
            if length == 0 {
                return;
            }
            *at += length;
        }
    }
    let mut at = 0;
    along(text, &mut at, &["0000", "-00", "-00"]);
    if !text[at..].starts_with('T') {
        return at;
    }
    let dated = at > 0;
    at += 1;
    let clock = at;
    along(text, &mut at, &["00", ":00", ":00", ".0"]);
    if at == clock + "00:00:00.0".len() {
        at += text[at..].bytes().take_while(u8::is_ascii_digit).count();
    }
    if dated && at > clock {
        at += ["Z", "+00:00", "-00:00"].iter().map(|zone| there(text, at, zone)).max().unwrap_or(0);
    }
    at
}

/// The content of a quoted text with its escapes resolved, and its length with quotes.
fn quoted(text: &str, quote: char, at: usize) -> Result<(String, usize), ParseError> {
    let mut out = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            c if c == quote => return Ok((out, index + 1)),
            '\\' => match characters.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('f') => out.push('\u{c}'),
                Some('u') => {
                    let hex: String = characters.by_ref().take(4).map(|(_, c)| c).collect();
                    let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                    out.push(code.ok_or(ParseError::new("expected four hexadecimal digits after \\u", at))?);
                }
                Some(c @ ('\'' | '"' | '`' | '\\' | '/')) => out.push(c),
                _ => return Err(ParseError::new("unknown escape", at)),
            },
            c => out.push(c),
        }
    }
    Err(ParseError::new("the quoted text does not end", at))
}
