//! `encode`, `decode`, `escape` and `unescape`: of the next version, <https://hl7.org/fhirpath/#additional-string-functions>

use super::{Function, function};
use crate::{
    fhirpath::{
        PathError,
        call::{Call, Evaluated},
    },
    json::{Document, write_string},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use std::fmt::Write as _;

pub(super) const FUNCTIONS: &[Function] = &[
    function("encode", (1, 1), |call| formed(call, encode)),
    function("decode", (1, 1), |call| formed(call, decode)),
    function("escape", (1, 1), |call| formed(call, escape)),
    function("unescape", (1, 1), |call| formed(call, unescape)),
];

/// The text in the form that the argument names; nothing if the text is not of that form.
fn formed<'a>(mut call: Call<'_, 'a>, make: fn(&str, &str) -> Result<Option<String>, PathError>) -> Evaluated<'a> {
    let (Some(text), Some(form)) = (call.text()?, call.argument_text(0)?) else { return Ok(Vec::new()) };
    match make(&text, &form)? {
        Some(made) => call.computed(made),
        None => Ok(Vec::new()),
    }
}

fn unknown(form: &str) -> PathError {
    PathError::Unknown(format!("there is no form \"{form}\": hex, base64 and urlbase64, or html and json"))
}

fn encode(text: &str, form: &str) -> Result<Option<String>, PathError> {
    Ok(Some(match form {
        "base64" => STANDARD.encode(text),
        "urlbase64" => URL_SAFE.encode(text),
        "hex" => text.bytes().fold(String::with_capacity(text.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        }),
        _ => return Err(unknown(form)),
    }))
}

fn decode(text: &str, form: &str) -> Result<Option<String>, PathError> {
    let bytes = match form {
        "base64" => STANDARD.decode(text).ok(),
        "urlbase64" => URL_SAFE.decode(text).ok(),
        "hex" => text
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                let pair = std::str::from_utf8(pair).ok().filter(|p| p.len() == 2 && !p.starts_with('+'))?;
                u8::from_str_radix(pair, 16).ok()
            })
            .collect(),
        _ => return Err(unknown(form)),
    };
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

fn escape(text: &str, form: &str) -> Result<Option<String>, PathError> {
    Ok(Some(match form {
        "html" => text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
            match character {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                other => out.push(other),
            }
            out
        }),
        "json" => {
            let mut quoted = String::new();
            write_string(&mut quoted, text);
            quoted[1..quoted.len() - 1].to_owned()
        }
        _ => return Err(unknown(form)),
    }))
}

fn unescape(text: &str, form: &str) -> Result<Option<String>, PathError> {
    Ok(match form {
        "html" => Some(unescape_html(text)),
        // A quotation mark that nobody escaped stays what it is: HL7's suite expects it.
        "json" => {
            let closed = text.replace("\\\"", "\"").replace('"', "\\\"");
            Document::parse(format!("\"{closed}\"")).ok().and_then(|json| json.root().as_str().map(Into::into))
        }
        _ => return Err(unknown(form)),
    })
}

/// The five entities of XML and character references; what is none of them stays as it is.
fn unescape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').filter(|end| *end <= 10);
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((character, end)) => {
                out.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}
