//! The lexical forms and ranges of primitive types: <https://hl7.org/fhir/R4/datatypes.html#primitive>

use super::narrative;
use crate::{
    definitions::Primitive,
    id::is_id,
    json::{Kind, Node},
    temporal::{self, Precision},
    xml::entity::is_text,
};

/// Longest string: 1 MiB, as the specification says. `base64Binary` has no bound of its own.
const STRING_BYTES_MAX: usize = 1024 * 1024;

/// Why the value is not one of that type: `(whether its JSON type is wrong, what would be right)`.
pub(super) fn check(node: Node<'_>, primitive: Primitive) -> Result<(), (bool, String)> {
    let expected = match primitive {
        Primitive::Boolean => Kind::Boolean,
        Primitive::Decimal | Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => Kind::Number,
        _ => Kind::String,
    };
    if node.kind() != expected {
        return Err((true, format!("expected a JSON {}, found {}", kind_name(expected), kind_name(node.kind()))));
    }
    let wrong = |what: &str| Err((false, what.to_owned()));
    match primitive {
        Primitive::Boolean | Primitive::Decimal => Ok(()),
        Primitive::Integer => integer(node, i32::MIN, "a whole number from -2147483648 to 2147483647"),
        Primitive::UnsignedInt => integer(node, 0, "a whole number from 0 to 2147483647"),
        Primitive::PositiveInt => integer(node, 1, "a whole number from 1 to 2147483647"),
        _ => {
            let text = node.as_str().unwrap_or_default();
            if text.is_empty() {
                return wrong("a string is never empty; leave the element out");
            }
            if primitive != Primitive::Base64Binary && text.len() > STRING_BYTES_MAX {
                return wrong("longer than 1 MiB");
            }
            // "SHALL NOT contain Unicode character points below 32, except for u0009, u0010 and u0013"; nor can XML.
            if !is_text(&text) {
                return wrong("a control character, or none: XML could not hold it");
            }
            form(&text, primitive).map_or(Ok(()), wrong)
        }
    }
}

fn integer(node: Node<'_>, min: i32, expected: &str) -> Result<(), (bool, String)> {
    match node.raw().parse::<i32>() {
        Ok(value) if value >= min && node.raw() != "-0" => Ok(()),
        _ => Err((false, format!("expected {expected}"))),
    }
}

/// What a text of that type must look like, if this one does not.
fn form(text: &str, primitive: Primitive) -> Option<&'static str> {
    let (right, expected) = match primitive {
        Primitive::Code => (is_code(text), "expected a code: no white space around it, no two spaces in a row"),
        Primitive::Id => (is_id(text), "expected an id: 1 to 64 of A-Z a-z 0-9 - ."),
        Primitive::Uri | Primitive::Url | Primitive::Canonical => {
            (!text.contains(char::is_whitespace), "a URI has no white space")
        }
        Primitive::Oid => (is_oid(text), "expected an OID: urn:oid:1.2.3"),
        Primitive::Uuid => (is_uuid(text), "expected a UUID: urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
        Primitive::Base64Binary => (is_base64(text), "expected base64"),
        Primitive::Date => (
            temporal::parse(text).is_some_and(|w| w.precision <= Precision::Day),
            "expected a date of the calendar: YYYY, YYYY-MM or YYYY-MM-DD",
        ),
        Primitive::DateTime => (
            temporal::parse(text)
                .is_some_and(|w| w.precision <= Precision::Day || w.precision >= Precision::Second && w.zoned)
                && !text.contains(' '),
            "expected YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz",
        ),
        Primitive::Instant => (
            temporal::parse(text).is_some_and(|w| w.precision >= Precision::Second && w.zoned) && !text.contains(' '),
            "expected an instant: YYYY-MM-DDThh:mm:ss.sss+zz:zz",
        ),
        Primitive::Time => (
            !text.contains(['Z', '+', '-', ' '])
                && temporal::parse(&format!("2000-01-01T{text}")).is_some_and(|w| w.precision >= Precision::Second),
            "expected a time: hh:mm:ss",
        ),
        Primitive::Xhtml => return narrative::check(text),
        _ => (true, ""),
    };
    (!right).then_some(expected)
}

fn is_code(text: &str) -> bool {
    let spaces = |pair: &[char]| pair.iter().all(|c| c.is_whitespace());
    let characters: Vec<char> = text.chars().collect();
    text.trim() == text && !characters.windows(2).any(spaces)
}

fn is_oid(text: &str) -> bool {
    let arc =
        |arc: &str| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
    text.strip_prefix("urn:oid:").is_some_and(|oid| {
        let mut arcs = oid.split('.');
        arcs.next().is_some_and(|first| matches!(first, "0" | "1" | "2")) && oid.contains('.') && arcs.all(arc)
    })
}

fn is_uuid(text: &str) -> bool {
    text.strip_prefix("urn:uuid:").is_some_and(|uuid| {
        uuid.len() == 36
            && uuid
                .bytes()
                .enumerate()
                .all(|(n, b)| if matches!(n, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
    })
}

fn is_base64(text: &str) -> bool {
    let mut length = 0_usize;
    let mut padding = 0_usize;
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        length += 1;
        match byte {
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            _ => return false,
        }
    }
    length.is_multiple_of(4) && padding <= 2
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Boolean => "boolean",
        Kind::Number => "number",
        Kind::String => "string",
        Kind::Array => "array",
        Kind::Object => "object",
    }
}
