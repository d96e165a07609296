//! Codes of an authenticator app: six digits by HMAC-SHA-1 for each half minute, which is what all of them can.
//! <https://www.rfc-editor.org/rfc/rfc6238>

use crate::{kept::SECOND, secret};
use aws_lc_rs::{hmac, rand};
use tessera_model::{interaction::percent_encode, temporal::Micros};

/// How long a code is shown.
const STEP: Micros = 30 * SECOND;
/// How many steps a clock may be ahead or behind.
const SKEW: i64 = 1;
/// 160 bits: as long as the digest (RFC 4226 section 4, R6).
pub(super) const SECRET_BYTES: usize = 20;
/// Digits of a code.
const DIGITS: usize = 6;
/// Codes that there are.
const MODULUS: u32 = 1_000_000;
/// RFC 4648 section 6
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A new secret. `None`: the system has no random numbers.
pub(super) fn new_secret() -> Option<[u8; SECRET_BYTES]> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The step at whose time this code is shown, of those that are near enough and later than `last`, whose code was used.
pub(super) fn step_of(secret: &[u8], given: &str, now: Micros, last: i64) -> Option<i64> {
    let step = now.div_euclid(STEP);
    // All are compared, so that the time says nothing.
    let steps: Vec<i64> =
        (step - SKEW..=step + SKEW).filter(|step| secret::equal(&code(secret, *step), given)).collect();
    steps.into_iter().find(|step| *step > last)
}

/// The code of a step: RFC 4226 section 5.3.
pub(super) fn code(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let digest = hmac::sign(&key, &step.to_be_bytes());
    let digest = digest.as_ref();
    let offset = usize::from(digest.last().copied().unwrap_or_default() & 15);
    let bytes = digest.iter().skip(offset).take(4).fold(0, |number: u32, byte| (number << 8) | u32::from(*byte));
    format!("{:0DIGITS$}", (bytes & 0x7fff_ffff) % MODULUS)
}

/// Bytes as people type them.
pub(super) fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let number = (0..5).fold(0_u64, |number, at| (number << 8) | u64::from(group.get(at).copied().unwrap_or(0)));
        let characters = (group.len() * 8).div_ceil(5);
        out.extend((0..characters).map(|at| {
            let five = usize::try_from((number >> (35 - 5 * at)) & 31).unwrap_or_default();
            char::from(ALPHABET.get(five).copied().unwrap_or(b'A'))
        }));
    }
    out
}

/// What an authenticator app reads from a QR code: <https://github.com/google/google-authenticator/wiki/Key-Uri-Format>
pub(super) fn uri(issuer: &str, user: &str, secret: &[u8]) -> String {
    let [issuer, user] = [issuer, user].map(percent_encode);
    format!("otpauth://totp/{issuer}:{user}?secret={}&issuer={issuer}", base32(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_13_codes_are_those_of_rfc_6238() {
        // Appendix B has eight digits; six are the last six of them.
        let secret = b"12345678901234567890";
        for (seconds, expect) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(secret, seconds / 30), expect);
        }
    }

    #[test]
    fn auth_13_a_code_is_good_for_its_step_and_one_around_it_and_never_twice() {
        let secret = b"12345678901234567890";
        let code = code(secret, 100);
        let at = |step: i64, last| step_of(secret, &code, step * STEP, last);
        assert_eq!([98, 99, 100, 101, 102].map(|step| at(step, 0)), [None, Some(100), Some(100), Some(100), None]);
        assert_eq!((at(100, 99), at(100, 100), at(101, 101)), (Some(100), None, None));
        for other in ["", "000000", &code[1..], &format!("{code}0")] {
            assert_eq!(step_of(secret, other, 100 * STEP, 0), None, "{other}");
        }
    }

    #[test]
    fn base32_as_rfc_4648_writes_it() {
        for (bytes, expect) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(bytes.as_bytes()), expect);
        }
        let uri = uri("Tessera here", "ann@b", b"12345678901234567890");
        let expect =
            "otpauth://totp/Tessera%20here:ann%40b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Tessera%20here";
        assert_eq!(uri, expect);
    }
}
