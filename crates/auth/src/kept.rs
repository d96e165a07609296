//! [`Kept`]: a record of the authorization server, read as what it says. The kinds of records are numbered here.

use crate::Error;
use serde::{Serialize, de::DeserializeOwned};
use tessera_model::temporal::Micros;
use tessera_store::{Record, RecordChange, RecordKey, Records};

/// What is kept in a record of a kind of its own.
pub trait Keep: Serialize + DeserializeOwned + Send {
    /// The number of the kind. Numbers are never used again.
    const KIND: i64;
}

/// A second, in the microseconds that times are counted in.
pub(crate) const SECOND: Micros = 1_000_000;
/// A day.
pub(crate) const DAY: Micros = 24 * 3600 * SECOND;

/// Clients: by client id.
pub(crate) const CLIENT: i64 = 1;
/// Users: by name.
pub(crate) const USER: i64 = 2;
/// Sessions of users: by digest; owned by the user.
pub(crate) const SESSION: i64 = 3;
/// Authorization codes: by digest; owned by the client.
pub(crate) const CODE: i64 = 4;
/// Access tokens: by digest; owned by the authorization, or the client if there is none.
pub(crate) const TOKEN: i64 = 5;
/// What users have authorized: by a random id; owned by the user.
pub(crate) const AUTHORIZATION: i64 = 6;
/// Refresh tokens, used ones too: by digest; owned by the authorization.
pub(crate) const REFRESH: i64 = 7;
/// EHR launches: by digest; owned by the client.
pub(crate) const LAUNCH: i64 = 8;
/// Identifiers of assertions that were used: by digest of client and `jti`.
pub(crate) const JTI: i64 = 9;
/// Signing keys: by `kid`.
pub(crate) const SIGNING_KEY: i64 = 10;
/// What a user has consented to and need not be asked again: by user and client; owned by the user.
pub(crate) const CONSENT: i64 = 11;
/// Whom users are elsewhere: by digest of issuer and subject; owned by the user.
pub(crate) const IDENTITY: i64 = 12;
/// Logins that have begun at an identity provider: by digest of their `state`.
pub(crate) const FEDERATED_LOGIN: i64 = 13;
/// Second factors: by user.
pub(crate) const SECOND_FACTOR: i64 = 21;
/// Logins that wait for their second factor: by digest; owned by the user.
pub(crate) const WAITING_LOGIN: i64 = 22;
/// Tokens by which clients may register by themselves: by digest.
pub(crate) const INVITATION: i64 = 23;
/// Clients that have registered by themselves: by client id.
pub(crate) const REGISTRATION: i64 = 24;
/// How many have registered from an address: by digest of day and address.
pub(crate) const REGISTRATION_COUNT: i64 = 25;
/// Glasses that were broken: by a random id; owned by the user.
pub(crate) const BREAK_GLASS: i64 = 26;

/// What is kept, and where.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    /// What it says.
    pub value: T,
    /// Its key among those of its kind.
    pub key: String,
    /// What it can be listed by.
    pub owner: String,
    /// From then on it is not there.
    pub expires: Micros,
    version: i64,
}

impl<T> Kept<T> {
    /// Which version it is: 1, and one more with each change.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }
}

impl<T: Keep> Kept<T> {
    /// Something new to be kept.
    pub(crate) fn new(key: impl Into<String>, owner: impl Into<String>, expires: Micros, value: T) -> Self {
        Self { value, key: key.into(), owner: owner.into(), expires, version: 0 }
    }

    /// Reads a record.
    pub(crate) fn read(record: Record) -> Result<Self, Error> {
        let value = serde_json::from_str(&record.body).map_err(|_| Error::BadRecord)?;
        let Record { key, owner, version, expires, .. } = record;
        Ok(Self { value, key: key.key, owner, expires, version })
    }

    fn record(&self) -> Result<Record, Error> {
        Ok(Record {
            key: key::<T>(&self.key),
            owner: self.owner.clone(),
            version: self.version,
            expires: self.expires,
            body: serde_json::to_string(&self.value).map_err(|_| Error::BadRecord)?,
        })
    }

    /// Keeps it, if there is none yet.
    pub(crate) fn insert(&self) -> Result<RecordChange, Error> {
        self.record().map(RecordChange::Insert)
    }

    /// Keeps it in place of what was read.
    pub(crate) fn replace(&self) -> Result<RecordChange, Error> {
        self.record().map(RecordChange::Replace)
    }

    /// Takes away what was read, unless somebody else has changed it.
    pub(crate) fn remove(&self) -> RecordChange {
        RecordChange::Remove(key::<T>(&self.key), self.version)
    }
}

pub(crate) fn key<T: Keep>(key: &str) -> RecordKey {
    RecordKey { kind: T::KIND, key: key.to_owned() }
}

/// Takes away what is there.
pub(crate) fn discard<T: Keep>(of: &str) -> RecordChange {
    RecordChange::Discard(key::<T>(of))
}

/// What is kept under that key.
pub(crate) async fn get<T: Keep>(records: &dyn Records, of: &str) -> Result<Option<Kept<T>>, Error> {
    records.records(vec![key::<T>(of)]).await?.pop().flatten().map(Kept::read).transpose()
}

/// A page of what is kept, of an owner or all of it.
pub(crate) async fn list<T: Keep>(
    records: &dyn Records,
    owner: Option<&str>,
    after: &str,
    count: u32,
) -> Result<Vec<Kept<T>>, Error> {
    let found = records.listed(T::KIND, owner.map(str::to_owned), after.to_owned(), count).await?;
    found.into_iter().map(Kept::read).collect()
}
