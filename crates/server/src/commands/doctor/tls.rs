//! Until when a certificate is good: the one thing of X.509 that is read here. Whether it is trusted, the connection says.
//! <https://www.rfc-editor.org/rfc/rfc5280#section-4.1>

use tessera_model::temporal::{self, Micros};

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate in DER; `None` if it cannot be read.
pub(super) fn not_after(der: &[u8]) -> Option<Micros> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = any(rest)?.2;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        rest = any(rest)?.2;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, _, not_after) = any(validity)?;
    let (tag, text, _) = any(not_after)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        // RFC 5280 section 4.1.2.5.1: two digits of the year, from 1950 on
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |at: usize, length: usize| text.get(at..at + length);
    let date = format!("{}-{}-{}", part(0, 4)?, part(4, 2)?, part(6, 2)?);
    let time = format!("{}:{}:{}", part(8, 2)?, part(10, 2)?, part(12, 2)?);
    Some(temporal::range(&format!("{date}T{time}Z"))?.low)
}

/// The content of an element with that tag, and what follows.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(der)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of an element, and what follows.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate's parts up to its validity.
    fn certificate(tag: u8, not_after: &str) -> Vec<u8> {
        let element = |tag: u8, content: &[u8]| {
            let length = u8::try_from(content.len()).unwrap();
            let length = if length < 0x80 { vec![length] } else { vec![0x81, length] };
            [&[tag][..], &length, content].concat()
        };
        let validity = [element(UTC_TIME, b"200101000000Z"), element(tag, not_after.as_bytes())].concat();
        let parts = [
            element(VERSION, &[2, 1, 2]),
            element(2, &[7; 16]),
            element(SEQUENCE, &[]),
            element(SEQUENCE, &[0; 90]),
            element(SEQUENCE, &validity),
        ];
        element(SEQUENCE, &element(SEQUENCE, &parts.concat()))
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let at = |text: &str| temporal::range(text).map(|range| range.low);
        assert_eq!(not_after(&certificate(UTC_TIME, "301231235959Z")), at("2030-12-31T23:59:59Z"));
        assert_eq!(not_after(&certificate(UTC_TIME, "500101000000Z")), at("1950-01-01T00:00:00Z"));
        assert_eq!(not_after(&certificate(GENERALIZED_TIME, "20500101000000Z")), at("2050-01-01T00:00:00Z"));
        let whole = certificate(UTC_TIME, "301231235959Z");
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        for bad in ["", "x", "3012312359Z", "301331235959Z", "\u{e4}01231235959Z"] {
            assert_eq!(not_after(&certificate(UTC_TIME, bad)), None, "{bad}");
        }
        assert_eq!(not_after(&certificate(4, "301231235959Z")), None);
    }
}
