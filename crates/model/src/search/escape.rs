//! Values of search parameters as they stand in a URL: separated by commas, with escapes.
//! <https://hl7.org/fhir/R4/search.html#escaping>

use crate::Error;

/// Most alternatives of one parameter (HTTP-5).
pub(super) const ALTERNATIVES_MAX: usize = 200;
/// A value of a parameter, still with its escapes: `\,` `\|` `\$` `\\`.
/// <https://hl7.org/fhir/R4/search.html#escaping>
pub(super) struct Escaped<'a> {
    parameter: &'a str,
    raw: &'a str,
}

impl<'a> Escaped<'a> {
    /// A value that is not one of several.
    pub(super) fn new(parameter: &'a str, raw: &'a str) -> Self {
        Self { parameter, raw }
    }

    /// The value without escapes.
    pub(super) fn text(&self) -> String {
        let mut out = String::with_capacity(self.raw.len());
        let mut characters = self.raw.chars().peekable();
        while let Some(character) = characters.next() {
            match characters.peek() {
                Some(&next @ (',' | '|' | '$' | '\\')) if character == '\\' => {
                    out.push(next);
                    characters.next();
                }
                _ => out.push(character),
            }
        }
        out
    }

    /// The parts between unescaped separators.
    pub(super) fn split(&self, separator: char) -> Vec<Escaped<'a>> {
        let mut parts = Vec::new();
        let (mut start, mut escaped) = (0, false);
        for (at, character) in self.raw.char_indices() {
            if escaped {
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == separator {
                parts.push(Escaped { parameter: self.parameter, raw: &self.raw[start..at] });
                start = at + separator.len_utf8();
            }
        }
        parts.push(Escaped { parameter: self.parameter, raw: &self.raw[start..] });
        parts
    }

    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    pub(super) fn bad(&self, reason: &str) -> Error {
        Error::BadParameter { parameter: format!("{}={}", self.parameter, self.raw), reason: reason.to_owned() }
    }
}

pub(super) fn split_alternatives<'a>(name: &'a str, value: &'a str) -> Result<Vec<Escaped<'a>>, Error> {
    let whole = Escaped { parameter: name, raw: value };
    let parts = whole.split(',');
    if value.contains('\0') {
        return Err(whole.bad("U+0000 is not accepted"));
    }
    if parts.iter().any(Escaped::is_empty) {
        return Err(whole.bad("a value is empty; leave the parameter out, or escape a comma as \\,"));
    }
    if parts.len() > ALTERNATIVES_MAX {
        return Err(Error::TooCostly(format!("{name}: more than {ALTERNATIVES_MAX} alternatives")));
    }
    Ok(parts)
}
