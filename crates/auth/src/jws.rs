//! Signed tokens (JWS): taken apart, checked against a key, made. What the claims must say is decided elsewhere.
//! <https://www.rfc-editor.org/rfc/rfc7515>

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
        RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256,
        RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Largest JWS that is looked at (AUTH-21).
const JWS_BYTES_MAX: usize = 8 * 1024;
/// Shortest modulus of an RSA key, in bytes.
const RSA_BYTES_MIN: usize = 256;

/// A signature algorithm: those of SMART and of OpenID Connect, and what identity providers use beside them. None needs a shared
/// secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// RSA with SHA-256: for id_tokens, which OpenID Connect has signed so unless the client wants otherwise.
    Rs256,
    /// RSA with SHA-384.
    Rs384,
    /// RSA with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

impl Algorithm {
    /// Those that clients may sign assertions with.
    pub const OF_ASSERTIONS: [Self; 2] = [Self::Rs384, Self::Es384];
    /// Those that id_tokens may be signed with.
    pub const OF_ID_TOKENS: [Self; 3] = [Self::Rs256, Self::Rs384, Self::Es384];

    /// Those that identity providers may sign with.
    pub const OF_PROVIDERS: [Self; 6] = [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Es256, Self::Es384];

    /// Its name in JWA.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
        }
    }

    /// That of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::OF_PROVIDERS.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub(crate) const fn is_rsa(self) -> bool {
        !matches!(self, Self::Es256 | Self::Es384)
    }
}

/// A compact JWS, taken apart and not yet believed.
#[derive(Clone, Debug)]
pub(crate) struct Jws<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    /// Takes it apart; `None` if it is no compact JWS of two JSON objects, or too long.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > JWS_BYTES_MAX {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| match serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?) {
            Ok(Value::Object(object)) => Some(object),
            _ => None,
        };
        Some(Self { header: object(header)?, claims: object(claims)?, signed, signature })
    }

    /// Whether the holder of this key has signed it.
    pub(crate) fn is_signed_by(&self, key: &Value, algorithm: Algorithm) -> bool {
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(key.get(name)?.as_str()?).ok();
        let Ok(signature) = URL_SAFE_NO_PAD.decode(self.signature) else { return false };
        let (message, signature) = (self.signed.as_bytes(), signature.as_slice());
        let parameters = match algorithm {
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::Es256 | Algorithm::Es384 => {
                let (Some(x), Some(y)) = (bytes("x"), bytes("y")) else { return false };
                // An uncompressed point: a byte 4, then both coordinates, whole (RFC 7518 section 6.2.1).
                let point = [&[4][..], &x, &y].concat();
                let is_256 = algorithm == Algorithm::Es256;
                let curve = if is_256 { &ECDSA_P256_SHA256_FIXED } else { &ECDSA_P384_SHA384_FIXED };
                let key = UnparsedPublicKey::new(curve, &point);
                return x.len() == y.len() && key.verify(message, signature).is_ok();
            }
        };
        let (Some(n), Some(e)) = (bytes("n"), bytes("e")) else { return false };
        RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
    }
}

/// Whether a key of a JWKS may check signatures of this algorithm.
pub(crate) fn is_for(key: &Value, algorithm: Algorithm) -> bool {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let fits = if algorithm.is_rsa() {
        let significant = |n: Vec<u8>| n.iter().skip_while(|byte| **byte == 0).count();
        text("kty") == Some("RSA") && bytes("n").is_some_and(|n| significant(n) >= RSA_BYTES_MIN)
    } else {
        let curve = if algorithm == Algorithm::Es256 { "P-256" } else { "P-384" };
        text("kty") == Some("EC") && text("crv") == Some(curve)
    };
    fits && text("use") != Some("enc") && text("alg").is_none_or(|alg| alg == algorithm.name())
}

/// Signs claims with a key in PKCS #8.
pub(crate) fn sign(claims: &Value, algorithm: Algorithm, kid: &str, pkcs8: &[u8]) -> Option<String> {
    let header = serde_json::json!({"alg": algorithm.name(), "kid": kid, "typ": "JWT"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = sign_bytes(signed.as_bytes(), algorithm, pkcs8)?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

pub(crate) fn sign_bytes(message: &[u8], algorithm: Algorithm, pkcs8: &[u8]) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let padding: &'static dyn RsaEncoding = match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &RSA_PSS_SHA256,
        Algorithm::Es256 | Algorithm::Es384 => {
            let is_256 = algorithm == Algorithm::Es256;
            let curve = if is_256 { &ECDSA_P256_SHA256_FIXED_SIGNING } else { &ECDSA_P384_SHA384_FIXED_SIGNING };
            let key = EcdsaKeyPair::from_pkcs8(curve, pkcs8).ok()?;
            return Some(key.sign(&random, message).ok()?.as_ref().to_vec());
        }
    };
    let key = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(padding, &random, message, &mut signature).ok()?;
    Some(signature)
}
