//! [`MasterKey`]: what lies in the database and must not be read there is sealed with it (HTTP-12). It lies in a file of its own.

use crate::Error;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;

const KEY_BYTES: usize = 32;

/// 256 bits, from which a key for each purpose is made.
#[derive(Clone)]
pub struct MasterKey([u8; KEY_BYTES]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// The one of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key of a purpose.
    fn key(&self, purpose: &str) -> Result<RandomizedNonceKey, Error> {
        let failed = |_| Error::Keys("no key can be made of the master key");
        let pseudorandom = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tessera").extract(&self.0);
        let mut bytes = [0; KEY_BYTES];
        let info = [purpose.as_bytes()];
        pseudorandom.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut bytes)).map_err(failed)?;
        RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(failed)
    }

    /// Seals bytes for a purpose; `name` is that of the place where they are kept, so that they are good nowhere else.
    ///
    /// # Errors
    /// [`Error::Keys`] if it cannot be done.
    pub fn seal(&self, purpose: &str, name: &str, bytes: &[u8]) -> Result<String, Error> {
        let mut sealed = bytes.to_vec();
        let nonce = self.key(purpose)?.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut sealed);
        let nonce = nonce.map_err(|_| Error::Keys("a key cannot be sealed"))?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    /// What was sealed.
    ///
    /// # Errors
    /// [`Error::Keys`] if it was not sealed so.
    pub fn open(&self, purpose: &str, name: &str, sealed: &str) -> Result<Vec<u8>, Error> {
        let failed = || Error::Keys("the master key is not the one that the database was written with");
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| failed())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN).ok_or_else(failed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
        let mut sealed = sealed.to_vec();
        let key = self.key(purpose)?;
        let opened = key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut sealed).map_err(|_| failed())?;
        Ok(opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_12_what_is_sealed_is_opened_by_the_same_key_in_the_same_place_alone() {
        let key = MasterKey::new([1; 32]);
        let sealed = key.seal("p", "n", b"secret").unwrap();
        assert_eq!(key.open("p", "n", &sealed).unwrap(), b"secret");
        assert_ne!(sealed, key.seal("p", "n", b"secret").unwrap());
        assert!(MasterKey::new([2; 32]).open("p", "n", &sealed).is_err());
        assert!(key.open("q", "n", &sealed).is_err() && key.open("p", "m", &sealed).is_err());
        assert!(key.open("p", "n", "").is_err() && key.open("p", "n", &sealed[1..]).is_err());
        assert_eq!(format!("{key:?}"), "MasterKey");
    }
}
