//! The keys that this server signs id_tokens with, and their public halves for those who check (HTTP-12): the next key is
//! published a day before it is used, the last one until all that it has signed has expired.

use crate::{
    Error,
    jws::{self, Algorithm},
    kept::{self, DAY, Keep, Kept, SECOND},
    seal::MasterKey,
    secret,
};
use aws_lc_rs::{
    encoding::{AsBigEndian as _, AsDer as _, EcPrivateKeyBin, Pkcs8V1Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaPublicKeyComponents},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError, RwLock};
use tessera_model::temporal::Micros;
use tessera_store::{Record, Records};

/// How long before its use a key is published.
const AHEAD: Micros = DAY;
/// How long a key is used.
const USED: Micros = 90 * DAY;
/// How long after its use a key stays published: longer than what it signs is good.
const AFTERWARDS: Micros = DAY;
/// How long what was read is believed: other servers make keys too.
const BELIEVED: Micros = 60 * SECOND;
/// What keys are sealed for.
const PURPOSE: &str = "signing keys";

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    Rsa,
    Ec,
}

impl Family {
    const fn of(algorithm: Algorithm) -> Self {
        if algorithm.is_rsa() { Self::Rsa } else { Self::Ec }
    }

    /// The key of its record with that number.
    fn place(self, number: u64) -> String {
        format!("{}-{number}", if self == Self::Rsa { "rsa" } else { "ec" })
    }
}

/// A key as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SigningKey {
    family: Family,
    /// 1, 2, 3 … of its family.
    number: u64,
    /// When it is used from.
    from: Micros,
    /// Its public half, as it is published.
    public: Value,
    /// In PKCS #8, sealed.
    private: String,
}

/// What an operator is told of a signing key.
#[derive(Clone, Debug)]
pub struct KeyState {
    /// The id that tokens name it by.
    pub kid: String,
    /// Its kind: `RSA` or `EC`.
    pub kty: String,
    /// When it is used from.
    pub from: Micros,
    /// When it is used until; `None`: no key follows it yet.
    pub until: Option<Micros>,
    /// What it does now.
    pub stage: Stage,
}

/// What a signing key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is published and not used yet.
    Next,
    /// It signs.
    Current,
    /// What it has signed is still checked.
    Last,
}

/// Makes the next signing keys now, as the operator wants; `false`: next ones wait already.
///
/// # Errors
/// [`Error::Keys`]; [`Error::Store`].
pub async fn rotate(records: Arc<dyn Records>, master: MasterKey, now: Micros) -> Result<bool, Error> {
    SigningKeys::new(records, master).rotate(now).await
}

/// All signing keys, the newest first.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(records: &dyn Records, now: Micros) -> Result<Vec<KeyState>, Error> {
    let keys = kept::list::<SigningKey>(records, None, "", 100).await?;
    let keys: Vec<SigningKey> = keys.into_iter().map(|key| key.value).collect();
    let state = |key: &SigningKey| {
        let text = |name: &str| key.public.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let next = keys.iter().filter(|other| other.family == key.family && other.number > key.number);
        let until = next.map(|next| next.from).min();
        let stage = match until {
            _ if key.from > now => Stage::Next,
            Some(until) if until <= now => Stage::Last,
            _ => Stage::Current,
        };
        KeyState { kid: text("kid"), kty: text("kty"), from: key.from, until, stage }
    };
    let mut states: Vec<KeyState> = keys.iter().map(state).collect();
    states.sort_by(|a, b| (b.from, &a.kty).cmp(&(a.from, &b.kty)));
    Ok(states)
}

impl Keep for SigningKey {
    const KIND: i64 = kept::SIGNING_KEY;
}

/// The signing keys.
pub(crate) struct SigningKeys {
    records: Arc<dyn Records>,
    master: MasterKey,
    read: RwLock<(Micros, Arc<Vec<SigningKey>>)>,
}

impl SigningKeys {
    pub(crate) fn new(records: Arc<dyn Records>, master: MasterKey) -> Self {
        Self { records, master, read: RwLock::new((Micros::MIN, Arc::default())) }
    }

    /// Makes the next keys now. They are used in a day, when everybody has had the time to read them; `false`: next ones wait
    /// already.
    pub(crate) async fn rotate(&self, now: Micros) -> Result<bool, Error> {
        let mut made = false;
        for family in [Family::Rsa, Family::Ec] {
            let keys = self.read(now, true).await?;
            let newest = keys.iter().filter(|key| key.family == family).max_by_key(|key| key.number);
            let Some(newest) = newest.filter(|newest| newest.from <= now) else { continue };
            made |= self.add(family, newest.number.saturating_add(1), now.saturating_add(AHEAD)).await?;
        }
        self.read(now, true).await?;
        Ok(made)
    }

    /// Keeps a new key; `false`: another server has made it already, and the first one's is kept.
    async fn add(&self, family: Family, number: u64, from: Micros) -> Result<bool, Error> {
        let key = self.make(family, number, from).await?;
        let place = family.place(number);
        Ok(self.records.change(vec![Kept::new(place, "", Record::NEVER, key).insert()?]).await?)
    }

    /// Makes the keys that are due, and removes those that nobody needs any more.
    pub(crate) async fn maintain(&self, now: Micros) -> Result<(), Error> {
        for family in [Family::Rsa, Family::Ec] {
            let keys = self.read(now, true).await?;
            let newest = keys.iter().filter(|key| key.family == family).max_by_key(|key| key.number);
            let (number, from) = match newest {
                None => (1, now),
                Some(newest) if newest.from.saturating_add(USED - AHEAD) <= now => {
                    (newest.number.saturating_add(1), now.saturating_add(AHEAD))
                }
                Some(_) => continue,
            };
            self.add(family, number, from).await?;
        }
        let keys = self.read(now, true).await?;
        for key in keys.iter() {
            let is_successor = |other: &&SigningKey| other.family == key.family && other.number > key.number;
            if keys.iter().filter(is_successor).any(|next| next.from.saturating_add(AFTERWARDS) <= now) {
                self.records.change(vec![kept::discard::<SigningKey>(&key.family.place(key.number))]).await?;
            }
        }
        self.read(now, true).await.map(drop)
    }

    async fn make(&self, family: Family, number: u64, from: Micros) -> Result<SigningKey, Error> {
        let failed = || Error::Keys("a signing key cannot be made");
        let made = tokio::task::spawn_blocking(move || generate(family)).await;
        let (private, mut public) = made.map_err(|_| failed())?.ok_or_else(failed)?;
        let kid = secret::sha256(public.to_string().as_bytes());
        public["kid"] = kid.into();
        public["use"] = "sig".into();
        let private = self.master.seal(PURPOSE, &family.place(number), &private)?;
        Ok(SigningKey { family, number, from, public, private })
    }

    async fn read(&self, now: Micros, anew: bool) -> Result<Arc<Vec<SigningKey>>, Error> {
        let (at, keys) = self.read.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !anew && now.saturating_sub(at) < BELIEVED {
            return Ok(keys);
        }
        let keys = kept::list::<SigningKey>(&*self.records, None, "", 100).await?;
        let keys: Arc<Vec<_>> = Arc::new(keys.into_iter().map(|key| key.value).collect());
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = (now, keys.clone());
        Ok(keys)
    }

    /// The public halves, bare.
    pub(crate) async fn jwks(&self, now: Micros) -> Result<Value, Error> {
        let keys = self.read(now, false).await?;
        Ok(json!({"keys": keys.iter().map(|key| key.public.clone()).collect::<Vec<_>>()}))
    }

    /// Signs claims.
    pub(crate) async fn sign(&self, now: Micros, algorithm: Algorithm, claims: &Value) -> Result<String, Error> {
        let keys = self.read(now, false).await?;
        let usable = |key: &&SigningKey| key.family == Family::of(algorithm) && key.from <= now;
        let key = keys.iter().filter(usable).max_by_key(|key| key.number);
        let key = key.ok_or(Error::Keys("there is no signing key"))?;
        let private = self.master.open(PURPOSE, &key.family.place(key.number), &key.private)?;
        let kid = key.public["kid"].as_str().unwrap_or_default();
        jws::sign(claims, algorithm, kid, &private).ok_or(Error::Keys("the signing key is not usable"))
    }
}

/// A new key pair for a client that signs by ES384: the JWKS with the private key, for the client, and the one to register.
///
/// # Errors
/// [`Error::Keys`] if none can be made.
pub fn new_client_keys() -> Result<(Value, Value), Error> {
    let failed = || Error::Keys("a key cannot be made");
    let (pkcs8, mut public) = generate(Family::Ec).ok_or_else(failed)?;
    public["kid"] = secret::sha256(public.to_string().as_bytes()).into();
    public["use"] = "sig".into();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pkcs8).map_err(|_| failed())?;
    let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(|_| failed())?;
    let mut private = public.clone();
    private["d"] = URL_SAFE_NO_PAD.encode(d.as_ref()).into();
    Ok((json!({"keys": [private]}), json!({"keys": [public]})))
}

/// A new key: in PKCS #8, and its public half as a JWK.
pub(crate) fn generate(family: Family) -> Option<(Vec<u8>, Value)> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match family {
        Family::Rsa => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
            let private: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
            // Without `alg`: it signs by RS256 and by RS384.
            Some((private.as_ref().to_vec(), json!({"kty": "RSA", "n": text(&n), "e": text(&e)})))
        }
        Family::Ec => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).ok()?;
            let private = pair.to_pkcs8v1().ok()?;
            // Uncompressed: a byte 4, then both coordinates.
            let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(48)?;
            let public = json!({"kty": "EC", "crv": "P-384", "alg": "ES384", "x": text(x), "y": text(y)});
            Some((private.as_ref().to_vec(), public))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jws::Jws, testing::Memory};

    fn kids(jwks: &Value) -> Vec<String> {
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn http_12_the_next_key_is_published_a_day_ahead_and_the_last_one_a_day_afterwards() {
        let memory = Memory::new();
        let master = MasterKey::new([1; 32]);
        let keys = SigningKeys::new(memory.clone(), master.clone());
        let mut now = memory.now();
        keys.maintain(now).await.unwrap();
        let first = keys.jwks(now).await.unwrap();
        assert_eq!(first["keys"].as_array().unwrap().len(), 2);
        assert!(!first.to_string().contains("private") && !first.to_string().contains("\"d\""));
        let signer = async |now| {
            let mut kids = Vec::new();
            let jwks = keys.jwks(now).await.unwrap();
            for algorithm in Algorithm::OF_ID_TOKENS {
                let text = keys.sign(now, algorithm, &json!({"sub": "x"})).await.unwrap();
                let jws = Jws::parse(&text).unwrap();
                let kid = jws.header["kid"].as_str().unwrap().to_owned();
                let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == *kid).unwrap();
                assert!(jws::is_for(key, algorithm) && jws.is_signed_by(key, algorithm));
                let others = jwks["keys"].as_array().unwrap().iter().filter(|key| key["kid"] != *kid);
                assert!(others.filter(|key| jws::is_for(key, algorithm)).all(|key| !jws.is_signed_by(key, algorithm)));
                kids.push(kid);
            }
            kids
        };
        let first_signers = signer(now).await;
        // Another server makes none of its own.
        let another = SigningKeys::new(memory.clone(), master);
        another.maintain(now).await.unwrap();
        assert_eq!(kids(&another.jwks(now).await.unwrap()), kids(&first));
        now += USED - AHEAD;
        keys.maintain(now).await.unwrap();
        assert_eq!(keys.jwks(now).await.unwrap()["keys"].as_array().unwrap().len(), 4);
        assert_eq!(signer(now).await, first_signers, "the next one waits");
        now += AHEAD;
        keys.maintain(now).await.unwrap();
        assert_eq!(keys.jwks(now).await.unwrap()["keys"].as_array().unwrap().len(), 4);
        assert!(signer(now).await.iter().all(|kid| !first_signers.contains(kid)));
        now += AFTERWARDS;
        keys.maintain(now).await.unwrap();
        let last = kids(&keys.jwks(now).await.unwrap());
        assert!(last.len() == 2 && last.iter().all(|kid| !first_signers.contains(kid)));
    }

    #[test]
    fn the_keys_of_a_client_are_a_pair() {
        let (private, public) = new_client_keys().unwrap();
        let (private, public) = (&private["keys"][0], &public["keys"][0]);
        assert!(public["d"].is_null() && private["kid"] == public["kid"] && jws::is_for(public, Algorithm::Es384));
        let bytes = |key: &Value, name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        let point = [&[4][..], &bytes(private, "x"), &bytes(private, "y")].concat();
        let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &bytes(private, "d"), &point).unwrap();
        let pkcs8 = pair.to_pkcs8v1().unwrap();
        let text = jws::sign(&json!({"sub": "x"}), Algorithm::Es384, "a", pkcs8.as_ref()).unwrap();
        assert!(Jws::parse(&text).unwrap().is_signed_by(public, Algorithm::Es384));
    }

    /// Somebody who checks signatures and believes a JWKS for an hour, as its answer says.
    struct Verifier {
        jwks: Value,
        at: Micros,
    }

    impl Verifier {
        /// An unknown key does not make it ask again: one that waits a day ahead is known to all.
        async fn verifies(&mut self, server: &SigningKeys, now: Micros, token: &str) -> bool {
            if now - self.at >= 3600 * SECOND {
                *self = Self { jwks: server.jwks(now).await.unwrap(), at: now };
            }
            let jws = Jws::parse(token).unwrap();
            let key = self.jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == jws.header["kid"]);
            let algorithm = Algorithm::named(jws.header["alg"].as_str().unwrap()).unwrap();
            key.is_some_and(|key| jws.is_signed_by(key, algorithm))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn http_12_keys_are_rotated_under_load_and_every_signature_is_verified() {
        let memory = Memory::new();
        let servers = [1, 1].map(|key| Arc::new(SigningKeys::new(memory.clone(), MasterKey::new([key; 32]))));
        let start = memory.now();
        servers[0].maintain(start).await.unwrap();
        let mut verifiers: Vec<Verifier> =
            (0..6).map(|n| Verifier { jwks: Value::Null, at: start - 3600 * SECOND - n * 600 * SECOND }).collect();
        let mut recent: Vec<(Micros, String)> = Vec::new();
        let (mut signed, mut kids) = (0, std::collections::BTreeSet::new());
        // Four days in steps of ten minutes; on the second and the third day keys are rotated, twice at once.
        for step in 0..4 * 144 {
            let now = start + step * 600 * SECOND;
            if [144, 2 * 144 + 7].contains(&step) {
                let both = servers.iter().map(|server| server.rotate(now));
                let made = futures::future::join_all(both).await;
                assert!(made.into_iter().any(Result::unwrap));
                assert!(!servers[0].rotate(now).await.unwrap(), "the next ones wait");
            }
            let load = (0..8_usize).map(|n| {
                let server = servers[n % 2].clone();
                let algorithm = Algorithm::OF_ID_TOKENS[if n == 0 { 0 } else { 2 }];
                tokio::spawn(async move { server.sign(now, algorithm, &json!({"n": n})).await.unwrap() })
            });
            for token in futures::future::join_all(load).await {
                recent.push((now, token.unwrap()));
                signed += 1;
            }
            servers[usize::from(step % 3 == 0)].maintain(now).await.unwrap();
            // What is good for an hour is checked at its beginning and its end.
            for (at, token) in recent.iter().filter(|(at, _)| *at == now || *at == now - 3600 * SECOND) {
                let n = usize::try_from(step).unwrap() % verifiers.len();
                assert!(verifiers[n].verifies(&servers[n % 2], now, token).await, "signed at {at}, checked at {now}");
                kids.insert(Jws::parse(token).unwrap().header["kid"].to_string());
            }
            recent.retain(|(at, _)| *at > now - 3600 * SECOND);
        }
        assert_eq!((signed, kids.len()), (4 * 144 * 8, 6), "three keys of each kind have signed");
        let states = list(&*memory, start + 4 * DAY).await.unwrap();
        assert_eq!(states.iter().filter(|key| key.stage == Stage::Current).count(), 2);
    }

    #[tokio::test]
    async fn http_12_signing_keys_are_sealed_where_they_are_kept() {
        let memory = Memory::new();
        let keys = SigningKeys::new(memory.clone(), MasterKey::new([1; 32]));
        keys.maintain(memory.now()).await.unwrap();
        let other = SigningKeys::new(memory.clone(), MasterKey::new([2; 32]));
        assert!(other.sign(memory.now(), Algorithm::Es384, &json!({})).await.is_err());
    }
}
