//! <http://hl7.org/fhirpath/N1/#string-manipulation>, with `trim`, `split`, `join` and `matchesFull` of the next version.
//! Positions count characters.

use super::{Function, function};
use crate::fhirpath::{
    PathError,
    call::{Call, Evaluated},
    value::Value,
};
use regex::{Regex, RegexBuilder};
use rustc_hash::FxHashMap;
use std::{borrow::Cow, cell::RefCell};

pub(super) const FUNCTIONS: &[Function] = &[
    function("indexOf", (1, 1), |call| {
        with_text(call, |text, part| Value::Integer(text.find(part).map_or(-1, |at| characters(&text[..at]))))
    }),
    function("lastIndexOf", (1, 1), |call| {
        with_text(call, |text, part| Value::Integer(text.rfind(part).map_or(-1, |at| characters(&text[..at]))))
    }),
    function("substring", (1, 2), substring),
    function("startsWith", (1, 1), |call| with_text(call, |text, part| Value::Boolean(text.starts_with(part)))),
    function("endsWith", (1, 1), |call| with_text(call, |text, part| Value::Boolean(text.ends_with(part)))),
    function("contains", (1, 1), |call| with_text(call, |text, part| Value::Boolean(text.contains(part)))),
    function("upper", (0, 0), |call| changed(call, str::to_uppercase)),
    function("lower", (0, 0), |call| changed(call, str::to_lowercase)),
    function("trim", (0, 0), |call| changed(call, |text| text.trim().to_owned())),
    function("replace", (2, 2), replace),
    function("matches", (1, 1), |call| matches(call, str::to_owned)),
    function("matchesFull", (1, 1), |call| matches(call, |pattern| format!(r"\A(?:{pattern})\z"))),
    function("replaceMatches", (2, 2), replace_matches),
    function("length", (0, 0), |mut call| {
        Ok(call.text()?.map(|text| Value::Integer(characters(&text))).into_iter().collect())
    }),
    function("toChars", (0, 0), |mut call| {
        let Some(text) = call.text()? else { return Ok(Vec::new()) };
        call.spend(text.len())?;
        Ok(text.chars().map(|c| Value::String(Cow::Owned(c.to_string()))).collect())
    }),
    function("split", (1, 1), |mut call| {
        let (Some(text), Some(separator)) = (call.text()?, call.argument_text(0)?) else { return Ok(Vec::new()) };
        call.spend(text.len() / 8)?;
        if separator.is_empty() {
            return Ok(text.chars().map(|c| Value::String(Cow::Owned(c.to_string()))).collect());
        }
        Ok(text.split(&*separator).map(|part| Value::String(Cow::Owned(part.to_owned()))).collect())
    }),
    function("join", (0, 1), join),
];

fn characters(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or(i32::MAX)
}

/// What is made of the text and the one argument; nothing if one of them is missing.
fn with_text<'a>(mut call: Call<'_, 'a>, make: impl Fn(&str, &str) -> Value<'a>) -> Evaluated<'a> {
    let (text, argument) = (call.text()?, call.argument_text(0)?);
    Ok(text.zip(argument).map(|(text, argument)| make(&text, &argument)).into_iter().collect())
}

fn changed<'a>(mut call: Call<'_, 'a>, make: impl Fn(&str) -> String) -> Evaluated<'a> {
    match call.text()? {
        Some(text) => call.computed(make(&text)),
        None => Ok(Vec::new()),
    }
}

fn substring<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let (text, start) = (call.text()?, call.argument_integer(0)?);
    let length = if call.has(1) { call.argument_integer(1)? } else { None };
    let (Some(text), Some(start)) = (text, start) else { return Ok(Vec::new()) };
    let Ok(start) = usize::try_from(start) else { return Ok(Vec::new()) };
    let rest = match text.char_indices().nth(start) {
        Some((at, _)) => &text[at..],
        None => return Ok(Vec::new()),
    };
    let length = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(0));
    let end = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
    Ok(vec![Value::String(Cow::Owned(rest[..end].to_owned()))])
}

fn replace<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let (text, pattern, substitution) = (call.text()?, call.argument_text(0)?, call.argument_text(1)?);
    let (Some(text), Some(pattern), Some(substitution)) = (text, pattern, substitution) else {
        return Ok(Vec::new());
    };
    // Nothing is found before every character and at the end; the result may not exceed what a text may be.
    let found = text.matches(&*pattern).count();
    grown(&call, &text, found, &substitution)?;
    call.computed(text.replace(&*pattern, &substitution))
}

fn grown(call: &Call<'_, '_>, text: &str, found: usize, substitution: &str) -> Result<(), PathError> {
    let length = found.saturating_mul(substitution.len()).saturating_add(text.len());
    if length > call.scope.environment().limits.text_bytes.saturating_mul(2) {
        return Err(PathError::TooCostly("a computed text is too long"));
    }
    Ok(())
}

fn matches<'a>(mut call: Call<'_, 'a>, whole: impl Fn(&str) -> String) -> Evaluated<'a> {
    let (text, pattern) = (call.text()?, call.argument_text(0)?);
    let (Some(text), Some(pattern)) = (text, pattern) else { return Ok(Vec::new()) };
    let regex = compiled(&call, &whole(&pattern))?;
    call.spend(text.len() / 16)?;
    Ok(vec![Value::Boolean(regex.is_match(&text))])
}

fn replace_matches<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let (text, pattern, substitution) = (call.text()?, call.argument_text(0)?, call.argument_text(1)?);
    let (Some(text), Some(pattern), Some(substitution)) = (text, pattern, substitution) else {
        return Ok(Vec::new());
    };
    if pattern.is_empty() {
        return call.computed(text.into_owned());
    }
    let regex = compiled(&call, &pattern)?;
    call.spend(text.len() / 16)?;
    // A `$1` of the substitution may be as long as the text.
    let groups = substitution.matches('$').count().saturating_mul(text.len());
    grown(&call, &text, regex.find_iter(&text).count(), &substitution)?;
    if groups > call.scope.environment().limits.text_bytes {
        return Err(PathError::TooCostly("a computed text is too long"));
    }
    call.computed(regex.replace_all(&text, &*substitution).into_owned())
}

fn join<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let separator = if call.has(0) { call.argument_text(0)?.unwrap_or_default() } else { Cow::Borrowed("") };
    let mut joined = String::new();
    let types = call.types();
    let most = call.scope.environment().limits.text_bytes;
    if items.is_empty() {
        return Ok(Vec::new());
    }
    for (n, item) in items.iter().enumerate() {
        let Some(text) = item.as_text(types) else { return Err(call.wrong("each item", "a string", item)) };
        if n > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&text);
        if joined.len() > most {
            return Err(PathError::TooCostly("a computed text is too long"));
        }
    }
    call.computed(joined)
}

/// Largest compiled pattern. The `regex` crate matches in linear time, so the size is all there is to bound. HL7's largest,
/// that of eld-19, does not fit in 256 KiB.
const REGEX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest pattern: HL7's longest has some 150 characters.
const PATTERN_LENGTH_MAX: usize = 2000;
/// Patterns stand in the expressions, which are few; each thread remembers as many, the refused ones too.
const REMEMBERED_MAX: usize = 32;

thread_local! {
    static PATTERNS: RefCell<FxHashMap<String, Result<Regex, PathError>>> = RefCell::default();
}

fn compiled(call: &Call<'_, '_>, pattern: &str) -> Result<Regex, PathError> {
    if !call.scope.environment().limits.patterns {
        return Err(PathError::TooCostly("regular expressions are not evaluated here"));
    }
    if pattern.len() > PATTERN_LENGTH_MAX {
        return Err(PathError::TooCostly("a regular expression is too long"));
    }
    PATTERNS.with_borrow_mut(|known| {
        if let Some(built) = known.get(pattern) {
            return built.clone();
        }
        // "Single line": a full stop stands for a line break too. <http://hl7.org/fhirpath/N1/#matchesregex-string-boolean>
        let built = RegexBuilder::new(pattern)
            .dot_matches_new_line(true)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .nest_limit(50)
            .build();
        let built = built.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PathError::TooCostly("a regular expression is too large"),
            _ => PathError::Type(format!("no regular expression that this server can run: {pattern}")),
        });
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(pattern.to_owned(), built.clone());
        built
    })
}
