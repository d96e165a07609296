//! Opaque secrets: a prefix that says what it is, 256 random bits and a checksum, so that scanners find one that leaked and a
//! mistyped one is told apart without a look-up (AUTH-8). Only digests are kept.

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;

/// What a secret is for: its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
    /// An authorization code.
    Code,
    /// The handle of an EHR launch (AUTH-6).
    Launch,
    /// A user's session, in a cookie.
    Session,
    /// A login that waits for its second factor, in a form (AUTH-13).
    Login,
    /// What lets a client register (AUTH-50).
    Invitation,
    /// What a client manages its registration by.
    Registration,
    /// A confidential client's secret (AUTH-20).
    Client,
}

impl Purpose {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Access => "tsa_",
            Self::Refresh => "tsr_",
            Self::Code => "tsc_",
            Self::Launch => "tsl_",
            Self::Session => "tss_",
            Self::Login => "tsw_",
            Self::Invitation => "tsi_",
            Self::Registration => "tsm_",
            Self::Client => "tsk_",
        }
    }
}

/// Characters of the random part: 256 bits in base64url.
const RANDOM_CHARS: usize = 43;
/// Characters of the checksum: 24 bits.
const CHECKSUM_CHARS: usize = 4;

/// A secret as its holder knows it. It is never logged and never kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A new one. `None`: the system has no random numbers.
    pub(crate) fn new(purpose: Purpose) -> Option<Self> {
        let text = format!("{}{}", purpose.prefix(), random_text()?);
        let checksum = checksum(&text);
        Some(Self(text + &checksum))
    }

    /// Reads one of this purpose; `None` if it is none that this server has made.
    #[must_use]
    pub fn parse(purpose: Purpose, text: &str) -> Option<Self> {
        let length = purpose.prefix().len() + RANDOM_CHARS;
        if !text.is_ascii() || text.len() != length + CHECKSUM_CHARS || !text.starts_with(purpose.prefix()) {
            return None;
        }
        let (random, sum) = text.split_at(length);
        (checksum(random) == sum).then(|| Self(text.to_owned()))
    }

    /// The text, for its holder.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256(self.0.as_bytes())
    }
}

/// 256 random bits in base64url.
pub(crate) fn random_text() -> Option<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// 128 random bits in hexadecimal: an id that people copy to command lines, where one that begins with `-` would be an
/// option.
pub(crate) fn random_id() -> Option<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn checksum(text: &str) -> String {
    let mut sum = sha256(text.as_bytes());
    sum.truncate(CHECKSUM_CHARS);
    sum
}

/// SHA-256 in base64url: what PKCE compares, and under what secrets are kept.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}

/// Whether two digests are equal, in a time that does not tell where they differ.
pub(crate) fn equal(a: &str, b: &str) -> bool {
    verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_8_tokens_have_a_prefix_256_random_bits_and_a_checksum() {
        let secret = Secret::new(Purpose::Access).unwrap();
        assert!(secret.expose().starts_with("tsa_"));
        assert_eq!(URL_SAFE_NO_PAD.decode(&secret.expose()[4..47]).unwrap().len(), 32);
        assert_eq!(Secret::parse(Purpose::Access, secret.expose()), Some(secret.clone()));
        assert_eq!(Secret::parse(Purpose::Refresh, secret.expose()), None);
        assert_ne!(secret, Secret::new(Purpose::Access).unwrap());
        assert_eq!(format!("{secret:?}"), "Secret");
        for at in 4..secret.expose().len() {
            let mut text = secret.expose().to_owned();
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            text.replace_range(at..=at, other);
            assert_eq!(Secret::parse(Purpose::Access, &text), None, "{at}");
        }
        for text in ["", "tsa_", "tsa_äöü", &secret.expose()[1..], &format!("{}x", secret.expose())] {
            assert_eq!(Secret::parse(Purpose::Access, text), None, "{text}");
        }
    }

    #[test]
    fn ids_for_people_are_128_bits_without_punctuation() {
        let ids: std::collections::BTreeSet<String> = (0..1000).filter_map(|_| random_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }

    #[test]
    fn sha_256_as_rfc_7636_writes_it() {
        // RFC 7636 appendix B
        let challenge = sha256(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
