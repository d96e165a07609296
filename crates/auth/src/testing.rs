//! For tests: records in memory, a clock that is set, a web of a few pages, and the servers that stand on these.

use crate::{
    AuthorizationServer, MasterKey, Parts, ProviderSettings, RelatedPersons,
    jwks::{Family, generate},
    jws::{Algorithm, sign_bytes},
    outbound::{Ask, Credentials, Fetch, Fetched},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{FutureExt as _, future::BoxFuture};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};
use tessera_model::{Id, temporal::Micros};
use tessera_store::{Error, Record, RecordChange, RecordKey, Records, clock::Clock};

/// Records in memory. The store's contract is tested where the store is; this one obeys it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    records: Mutex<BTreeMap<RecordKey, Record>>,
    time: AtomicI64,
    pub(crate) related_persons: Mutex<HashMap<String, Value>>,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { time: AtomicI64::new(1_700_000_000_000_000), ..Self::default() })
    }

    pub(crate) fn pass(&self, time: Micros) {
        self.time.fetch_add(time, Ordering::Relaxed);
    }

    fn is_there(&self, record: &Record) -> bool {
        record.expires > self.now()
    }
}

impl Clock for Memory {
    fn now(&self) -> Micros {
        self.time.load(Ordering::Relaxed)
    }
}

impl Memory {
    pub(crate) fn now(&self) -> Micros {
        Clock::now(self)
    }
}

impl Records for Memory {
    fn records(&self, keys: Vec<RecordKey>) -> BoxFuture<'_, Result<Vec<Option<Record>>, Error>> {
        let records = self.records.lock().unwrap();
        let found = keys.iter().map(|key| records.get(key).filter(|record| self.is_there(record)).cloned()).collect();
        async move { Ok(found) }.boxed()
    }

    fn listed(
        &self,
        kind: i64,
        owner: Option<String>,
        after: String,
        count: u32,
    ) -> BoxFuture<'_, Result<Vec<Record>, Error>> {
        let records = self.records.lock().unwrap();
        let of = |r: &&Record| r.key.kind == kind && owner.as_ref().is_none_or(|o| *o == r.owner) && r.key.key > after;
        let found = records.values().filter(of).filter(|record| self.is_there(record)).take(count as usize);
        let found = found.cloned().collect();
        async move { Ok(found) }.boxed()
    }

    fn change(&self, changes: Vec<RecordChange>) -> BoxFuture<'_, Result<bool, Error>> {
        let mut records = self.records.lock().unwrap();
        let mut new = records.clone();
        let mut holds = true;
        for change in changes {
            let version = |new: &BTreeMap<RecordKey, Record>, key| {
                new.get(key).filter(|record| self.is_there(record)).map(|record| record.version)
            };
            match change {
                RecordChange::Insert(record) => {
                    holds &= version(&new, &record.key).is_none();
                    new.insert(record.key.clone(), Record { version: 1, ..record });
                }
                RecordChange::Replace(record) => {
                    holds &= version(&new, &record.key) == Some(record.version);
                    new.insert(record.key.clone(), Record { version: record.version + 1, ..record });
                }
                RecordChange::Remove(key, of) => {
                    holds &= version(&new, &key) == Some(of);
                    new.remove(&key);
                }
                RecordChange::Discard(key) => {
                    new.remove(&key);
                }
            }
        }
        if holds {
            *records = new;
        }
        async move { Ok(holds) }.boxed()
    }

    fn purge(&self) -> BoxFuture<'_, Result<usize, Error>> {
        self.records.lock().unwrap().retain(|_, record| self.is_there(record));
        async { Ok(0) }.boxed()
    }
}

impl RelatedPersons for Memory {
    fn related_person(&self, id: Id) -> BoxFuture<'_, Result<Option<Value>, crate::Error>> {
        let found = self.related_persons.lock().unwrap().get(id.as_str()).cloned();
        async move { Ok(found) }.boxed()
    }
}

/// Pages by URL, and how often they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Web {
    pages: Mutex<HashMap<String, Fetched>>,
    posted: Mutex<Vec<(String, String)>>,
    count: AtomicUsize,
}

impl Web {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn put(&self, url: &str, body: &str, cache_control: Option<&str>) {
        let page = Fetched { status: 200, body: body.into(), cache_control: cache_control.map(str::to_owned) };
        self.pages.lock().unwrap().insert(url.to_owned(), page);
    }

    /// What is posted there is refused.
    pub(crate) fn refuse(&self, url: &str) {
        let page = Fetched { status: 400, body: b"{}".to_vec(), cache_control: None };
        self.pages.lock().unwrap().insert(url.to_owned(), page);
    }

    pub(crate) fn take(&self, url: &str) {
        self.pages.lock().unwrap().remove(url);
    }

    /// The form that was posted last.
    pub(crate) fn posted(&self) -> Vec<(String, String)> {
        self.posted.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Fetch for Web {
    fn fetch<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Option<Fetched>> {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(post) = ask.post {
            let pairs = post.form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            *self.posted.lock().unwrap() = pairs.collect();
        }
        let page = self.pages.lock().unwrap().get(ask.url).cloned();
        async move {
            // Others may ask in the meantime.
            tokio::task::yield_now().await;
            page
        }
        .boxed()
    }
}

/// A key of a client's.
pub(crate) struct SignedBy {
    pub(crate) public: Value,
    private: Vec<u8>,
    algorithm: Algorithm,
}

impl SignedBy {
    pub(crate) fn es384(kid: &str) -> Self {
        Self::new(kid, Family::Ec, Algorithm::Es384)
    }

    pub(crate) fn rs384(kid: &str) -> Self {
        Self::new(kid, Family::Rsa, Algorithm::Rs384)
    }

    fn new(kid: &str, family: Family, algorithm: Algorithm) -> Self {
        let (private, mut public) = generate(family).unwrap();
        public["kid"] = kid.into();
        public["alg"] = algorithm.name().into();
        Self { public, private, algorithm }
    }

    /// An assertion with these claims, whose header differs from the usual one in these members.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let usual = json!({"typ": "JWT", "alg": self.public["alg"], "kid": self.public["kid"]});
        let all = with(usual, header);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&all), part(claims));
        let signature = sign_bytes(signed.as_bytes(), self.algorithm, &self.private).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The server with the API `https://ehr/fhir`, of these records and this web.
pub(crate) async fn server(memory: &Arc<Memory>, web: Arc<Web>) -> AuthorizationServer {
    let parts = Parts {
        records: memory.clone(),
        clock: memory.clone(),
        master: MasterKey::new([1; 32]),
        fetch: web,
        related_persons: memory.clone(),
        base: "https://ehr/fhir".to_owned(),
    };
    AuthorizationServer::new(parts).await.unwrap()
}

/// An authorization server elsewhere, `https://idp/realm`: what it publishes, and the key that it signs with.
pub(crate) struct Issuer {
    pub(crate) web: Arc<Web>,
    pub(crate) key: SignedBy,
}

impl Issuer {
    pub(crate) const ID: &'static str = "https://idp/realm";
    pub(crate) const METADATA: &'static str = "https://idp/realm/.well-known/openid-configuration";
    pub(crate) const KEYS: &'static str = "https://idp/jwks";
    pub(crate) const TOKEN: &'static str = "https://idp/token";
    pub(crate) const INTROSPECTION: &'static str = "https://idp/introspect";

    pub(crate) fn new() -> Self {
        let issuer = Self { web: Web::new(), key: SignedBy::es384("k") };
        issuer.publish(&json!({}));
        issuer.web.put(Self::KEYS, &json!({"keys": [issuer.key.public]}).to_string(), None);
        issuer
    }

    /// Publishes its metadata, with these members besides.
    pub(crate) fn publish(&self, more: &Value) {
        let metadata = json!({
            "issuer": Self::ID, "jwks_uri": Self::KEYS, "token_endpoint": Self::TOKEN,
            "introspection_endpoint": Self::INTROSPECTION, "userinfo_endpoint": "https://idp/userinfo",
            "authorization_endpoint": "https://idp/authorize?tenant=1", "end_session_endpoint": "https://idp/logout",
        });
        self.web.put(Self::METADATA, &with(metadata, more).to_string(), None);
    }

    pub(crate) fn settings() -> ProviderSettings {
        ProviderSettings {
            issuer: Self::ID.to_owned(),
            algorithms: vec![Algorithm::Es384],
            ..ProviderSettings::default()
        }
    }

    /// Those of the server here.
    pub(crate) fn credentials() -> Credentials {
        Credentials { url: Self::ID.into(), id: "ehr".into(), secret: "s".into() }
    }
}

/// An object with these members; null takes one away.
pub(crate) fn with(mut value: Value, change: &Value) -> Value {
    for (name, member) in change.as_object().unwrap() {
        value[name] = member.clone();
        if member.is_null() {
            value.as_object_mut().unwrap().remove(name);
        }
    }
    value
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
