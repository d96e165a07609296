//! The keys: one that signs checkpoints (AUD-5), and one a month that encrypts queries (AUD-6). All hang on the server's secret:
//! the signing key is made of it, the keys of the months are random and lie in the database, wrapped.

use super::record::broken;
use crate::{Error, backend::Connection, sql::Sql};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    hmac, rand,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};
use tessera_model::temporal::Micros;

/// A month's key is there so long before the month is. In microseconds.
const AHEAD: Micros = 3 * 24 * 3600 * 1_000_000;

/// What stands for a query whose key is gone, or another server's.
const UNREADABLE: &str = "";

/// The keys of one secret.
pub(super) struct Keys {
    wrapping: LessSafeKey,
    signing: Ed25519KeyPair,
    /// Tells the keys of servers apart that have different secrets.
    mark: String,
    months: RwLock<HashMap<String, LessSafeKey>>,
}

impl Keys {
    /// Those of a secret of 32 random bytes.
    pub(super) fn new(secret: &[u8; 32]) -> Result<Self, Error> {
        let derived = |purpose: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), purpose.as_bytes());
        let signing = Ed25519KeyPair::from_seed_unchecked(derived("tessera audit: checkpoints").as_ref());
        let signing = signing.map_err(|_| broken("no signing key can be made of the secret"))?;
        let mark = hex(&digest(&SHA256, signing.public_key().as_ref()).as_ref()[..4]);
        Ok(Self { wrapping: aes(derived("tessera audit: months").as_ref())?, signing, mark, months: RwLock::default() })
    }

    /// Reads the months' keys, and makes those of this month and of the one that begins soon. It may run again after a run that was
    /// rolled back, so what is in memory says nothing about the database.
    pub(super) async fn ready(&self, now: Micros, connection: &mut dyn Connection) -> Result<(), Error> {
        for at in [now, now + AHEAD] {
            let name = self.name(at);
            let mut key = [0; 32];
            rand::fill(&mut key).map_err(|_| broken("there is no randomness"))?;
            let mut sql = Sql::new("INSERT INTO audit_key (name, wrapped) VALUES (");
            sql.bind(name.as_str()).push(", ").bind(seal(&self.wrapping, &name, &key)?);
            sql.push(") ON CONFLICT (name) DO NOTHING");
            connection.query(&sql).await?;
            // Another server with the same secret may have been first.
            self.load(connection).await?;
        }
        Ok(())
    }

    /// Reads the months' keys.
    pub(super) async fn load(&self, connection: &mut dyn Connection) -> Result<(), Error> {
        let rows = connection.query(&Sql::new("SELECT name, wrapped FROM audit_key")).await?;
        let mut months = HashMap::new();
        for row in rows.iter().filter(|row| row.text(0).ends_with(&self.mark)) {
            let key = open(&self.wrapping, row.text(0), row.text(1));
            let key = key.ok_or_else(|| broken("a key of the audit record is not what this server has wrapped"))?;
            months.insert(row.text(0).to_owned(), aes(&key)?);
        }
        *self.months.write().unwrap_or_else(PoisonError::into_inner) = months;
        Ok(())
    }

    /// Whether [`Keys::ready`] has nothing to do.
    pub(super) fn are_ready(&self, now: Micros) -> bool {
        let months = self.months.read().unwrap_or_else(PoisonError::into_inner);
        [now, now + AHEAD].iter().all(|at| months.contains_key(&self.name(*at)))
    }

    /// A query, encrypted by the key of the month. If the database could not be reached since the month began, by the newest.
    pub(super) fn encrypt(&self, now: Micros, query: &str) -> Result<String, Error> {
        let months = self.months.read().unwrap_or_else(PoisonError::into_inner);
        let name = self.name(now);
        let newest = || months.iter().max_by_key(|(name, _)| *name);
        let (name, key) = months.get_key_value(&name).or_else(newest).ok_or(Error::Unrecorded)?;
        Ok(format!("{name}:{}", seal(key, name, query.as_bytes())?))
    }

    /// The query, if its key is there.
    pub(super) fn decrypt(&self, encrypted: &str) -> String {
        let months = self.months.read().unwrap_or_else(PoisonError::into_inner);
        let plain = encrypted.split_once(':').and_then(|(name, sealed)| open(months.get(name)?, name, sealed));
        plain.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| UNREADABLE.to_owned())
    }

    /// Forgets the keys of the months before this one.
    pub(super) fn forget(&self, since: &str) {
        self.months.write().unwrap_or_else(PoisonError::into_inner).retain(|name, _| name.as_str() >= since);
    }

    pub(super) fn sign(&self, text: &str) -> String {
        STANDARD_NO_PAD.encode(self.signing.sign(text.as_bytes()))
    }

    pub(super) fn public(&self) -> String {
        STANDARD_NO_PAD.encode(self.signing.public_key().as_ref())
    }

    /// Tells the keys of servers apart that have different secrets.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// `2026-07.1f2e3d4c`
    fn name(&self, at: Micros) -> String {
        format!("{}.{}", month(at, 0), self.mark)
    }
}

/// The month that many years before: `2026-07`. Names of keys are in its order.
pub(super) fn month(at: Micros, years_before: u16) -> String {
    let at = jiff::Timestamp::from_microsecond(at).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    format!("{:04}-{:02}", i32::from(at.year()) - i32::from(years_before), at.month())
}

/// Destroys the keys of the months before this one, whichever secret has wrapped them, and says their names.
pub(super) async fn destroy(since: &str, connection: &mut dyn Connection) -> Result<Vec<String>, Error> {
    let mut sql = Sql::new("DELETE FROM audit_key WHERE name < ");
    sql.bind(since).push(" RETURNING name");
    Ok(connection.query(&sql).await?.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Whether the key has signed the text.
pub(super) fn verify(public: &str, text: &str, signature: &str) -> bool {
    let (Ok(public), Ok(signature)) = (STANDARD_NO_PAD.decode(public), STANDARD_NO_PAD.decode(signature)) else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, public).verify(text.as_bytes(), &signature).is_ok()
}

fn aes(key: &[u8]) -> Result<LessSafeKey, Error> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| broken("a key has not 32 bytes"))?))
}

/// Nonce and ciphertext. `name` is authenticated with it.
fn seal(key: &LessSafeKey, name: &str, plain: &[u8]) -> Result<String, Error> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| broken("there is no randomness"))?;
    let mut sealed = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name.as_bytes()), &mut sealed)
        .map_err(|_| broken("a query could not be encrypted"))?;
    Ok(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat()))
}

fn open(key: &LessSafeKey, name: &str, sealed: &str) -> Option<Vec<u8>> {
    let mut bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    Some(key.open_in_place(nonce, Aad::from(name.as_bytes()), sealed).ok()?.to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aud_6_a_query_is_read_with_its_key_alone() {
        let (keys, others) = (Keys::new(&[1; 32]).unwrap(), Keys::new(&[2; 32]).unwrap());
        assert!(matches!(keys.encrypt(0, "x"), Err(Error::Unrecorded)));
        for keys in [&keys, &others] {
            keys.months.write().unwrap().insert(keys.name(0), aes(&[7; 32]).unwrap());
        }
        let query = "GET Patient?name=Chalmers";
        let encrypted = keys.encrypt(0, query).unwrap();
        assert!(!encrypted.contains("Chalmers") && encrypted.starts_with("1970-01."), "{encrypted}");
        assert_ne!(encrypted, keys.encrypt(0, query).unwrap());
        assert_eq!(keys.decrypt(&encrypted), query);
        assert_eq!(others.decrypt(&encrypted), "");
        keys.months.write().unwrap().clear();
        assert_eq!(keys.decrypt(&encrypted), "");
    }

    #[test]
    fn aud_6_the_keys_of_months_that_are_longer_ago_are_forgotten() {
        let keys = Keys::new(&[1; 32]).unwrap();
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        assert_eq!(month(at("2026-01-31T23:59:59Z"), 6), "2020-01");
        let all = ["2019-12-31T23:59:59Z", "2020-01-01T00:00:00Z", "2026-01-31T00:00:00Z"].map(at);
        for at in all {
            keys.months.write().unwrap().insert(keys.name(at), aes(&[7; 32]).unwrap());
        }
        keys.forget(&month(all[2], 6));
        let kept = all.map(|at| keys.months.read().unwrap().contains_key(&keys.name(at)));
        assert_eq!(kept, [false, true, true]);
    }

    #[test]
    fn aud_5_a_signature_holds_for_its_text_and_key() {
        let (keys, others) = (Keys::new(&[1; 32]).unwrap(), Keys::new(&[2; 32]).unwrap());
        let signature = keys.sign("a");
        assert!(verify(&keys.public(), "a", &signature));
        assert!(!verify(&keys.public(), "b", &signature));
        assert!(!verify(&others.public(), "a", &signature));
        assert!(!verify("", "a", ""));
    }
}
