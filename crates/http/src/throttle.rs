//! What callers may ask for at a time (HTTP-4), so that one's requests do not keep out those of others: so many a second, so many
//! searches at once, and fewer of what costs most. Without authentication nobody is told apart, and nobody is limited.

mod bucket;

use crate::{address::ClientAddress, error::Error, request::Request};
use axum::http::Extensions;
pub use bucket::Rate;
use bucket::{Bucket, Buckets};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tessera_auth::client;
use tessera_model::{AccessContext, interaction::Interaction};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// How many of a client's searches may wait, beside those that run.
const QUEUE_MAX: u32 = 32;
/// How long one waits.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
/// Clients that are remembered, unless more are asking.
const CLIENTS_MAX: usize = 10_000;

/// What callers may ask for at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests of a client.
    pub client: Rate,
    /// Searches of a client at once.
    pub searches: u32,
    /// Of these, with `_has`, and operations that collect much, at once.
    pub costly: u32,
    /// Requests of an address without an access token, and to the authorization server.
    pub address: Rate,
}

/// Keeps callers within [`Limits`].
#[derive(Debug)]
pub struct Throttle(Option<State>);

#[derive(Debug)]
struct State {
    limits: Limits,
    addresses: Buckets,
    clients: Mutex<HashMap<String, Arc<Client>>>,
}

/// What a client has asked for.
#[derive(Debug)]
struct Client {
    limits: client::Limits,
    bucket: Mutex<Bucket>,
    searches: Queue,
    costly: Queue,
}

/// Whoever may have a turn, and whoever may wait for one.
#[derive(Debug)]
struct Queue {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// To perform something is one's turn for as long as there is this.
#[derive(Debug, Default)]
pub(crate) struct Turn(Vec<OwnedSemaphorePermit>);

impl Throttle {
    /// With these limits, or without any.
    #[must_use]
    pub fn new(limits: Option<Limits>) -> Self {
        Self(limits.map(|limits| State { limits, addresses: Buckets::new(), clients: Mutex::default() }))
    }

    /// Counts a request of a client, whose registration may have limits of its own.
    pub(crate) fn client(&self, id: &str, own: Option<client::Limits>) -> Result<(), Error> {
        let Some(state) = &self.0 else { return Ok(()) };
        let client = state.client(id, own);
        let rate = Rate { per_second: client.limits.requests_per_second, burst: client.limits.burst };
        let taken = client.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(rate, Instant::now());
        taken.map_err(throttled)
    }

    /// Counts a request from where these extensions say, of somebody who is not known.
    pub(crate) fn address(&self, extensions: &Extensions) -> Result<(), Error> {
        let address = extensions.get::<ClientAddress>().and_then(|address| address.counted());
        let (Some(state), Some(address)) = (&self.0, address) else { return Ok(()) };
        state.addresses.take(address, state.limits.address, Instant::now()).map_err(throttled)
    }

    /// Waits until what is asked may be performed.
    pub(crate) async fn turn(&self, access: &AccessContext, request: &Request) -> Result<Turn, Error> {
        let (is_search, is_costly) = class(request);
        let (Some(state), true) = (&self.0, is_search || is_costly) else { return Ok(Turn::default()) };
        // The server's own work is no client's.
        let Some(client) = state.known(&access.caller().client) else { return Ok(Turn::default()) };
        let mut turn = Turn::default();
        // Always in this order: who waits for a search has a costly turn, but not the other way round.
        if is_costly {
            client.costly.wait(&mut turn).await?;
        }
        if is_search {
            client.searches.wait(&mut turn).await?;
        }
        Ok(turn)
    }
}

/// Whether that is a search, and whether it costs much.
fn class(request: &Request) -> (bool, bool) {
    match &request.interaction {
        Interaction::SearchType(_) | Interaction::SearchSystem | Interaction::SearchCompartment(..) => {
            (true, request.parameters.iter().any(|(name, _)| name.contains("_has:")))
        }
        Interaction::Operation(operation) => (false, matches!(&*operation.name, "everything" | "export")),
        _ => (false, false),
    }
}

fn throttled(wait: Duration) -> Error {
    Error::Throttled { seconds: wait.as_secs() + u64::from(wait.subsec_nanos() > 0) }
}

impl State {
    fn known(&self, id: &str) -> Option<Arc<Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn client(&self, id: &str, own: Option<client::Limits>) -> Arc<Client> {
        let limits = own.unwrap_or(client::Limits {
            requests_per_second: self.limits.client.per_second,
            burst: self.limits.client.burst,
            searches: self.limits.searches,
            costly: self.limits.costly,
        });
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(id).filter(|client| client.limits == limits) {
            return client.clone();
        }
        if clients.len() >= CLIENTS_MAX {
            let now = Instant::now();
            clients.retain(|_, client| !client.is_idle(now));
        }
        let client = Arc::new(Client {
            limits,
            bucket: Mutex::default(),
            searches: Queue::new(limits.searches),
            costly: Queue::new(limits.costly),
        });
        clients.insert(id.to_owned(), client.clone());
        client
    }
}

impl Client {
    /// Whether a new one would be the same.
    fn is_idle(self: &Arc<Self>, now: Instant) -> bool {
        let is_full = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).is_full(now);
        let is_idle = self.searches.is_idle(self.limits.searches) && self.costly.is_idle(self.limits.costly);
        is_full && is_idle && Arc::strong_count(self) == 1
    }
}

impl Queue {
    fn new(turns: u32) -> Self {
        let semaphore = |permits: u32| Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(usize::MAX)));
        Self { places: semaphore(turns.saturating_add(QUEUE_MAX)), turns: semaphore(turns) }
    }

    fn is_idle(&self, turns: u32) -> bool {
        u32::try_from(self.turns.available_permits()).is_ok_and(|free| free == turns)
    }

    async fn wait(&self, turn: &mut Turn) -> Result<(), Error> {
        let busy = || throttled(Duration::from_secs(1));
        let place = self.places.clone().try_acquire_owned().map_err(|_| busy())?;
        let permit = timeout(QUEUE_TIMEOUT, self.turns.clone().acquire_owned()).await.map_err(|_| busy())?;
        turn.0.push(place);
        turn.0.extend(permit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_model::{Caller, Definitions, interaction::Method};

    const LIMITS: Limits = Limits {
        client: Rate { per_second: 1, burst: 3 },
        searches: 2,
        costly: 1,
        address: Rate { per_second: 1, burst: 2 },
    };

    fn request(path: &str, query: &str) -> Request {
        Request::new(Method::Get, path, query, Definitions::r4()).unwrap()
    }

    fn access(client: &str) -> AccessContext {
        AccessContext::granted(Caller::of_client(client), Vec::new(), false)
    }

    #[test]
    fn http_4_each_client_has_its_own_limit_and_its_registration_may_raise_it() {
        let throttle = Throttle::new(Some(LIMITS));
        let admitted = |id: &str, own| (0..100).take_while(|_| throttle.client(id, own).is_ok()).count();
        assert_eq!(admitted("one", None), 3);
        assert_eq!(admitted("two", None), 3);
        assert!(matches!(throttle.client("one", None), Err(Error::Throttled { seconds: 1 })));
        let own = client::Limits { requests_per_second: 1, burst: 50, searches: 1, costly: 1 };
        assert_eq!(admitted("three", Some(own)), 50);
        assert_eq!((0..1000).filter(|_| Throttle::new(None).client("one", None).is_ok()).count(), 1000);
    }

    #[test]
    fn http_4_unknown_callers_are_counted_by_address() {
        let throttle = Throttle::new(Some(LIMITS));
        let admitted = |address: &str| {
            let mut from = Extensions::new();
            from.insert(ClientAddress(address.parse().unwrap()));
            (0..100).take_while(|_| throttle.address(&from).is_ok()).count()
        };
        assert_eq!(admitted("192.0.2.1"), 2);
        assert_eq!(admitted("::ffff:192.0.2.1"), 0);
        assert_eq!((admitted("2001:db8::1"), admitted("2001:db8::2")), (2, 0));
        assert_eq!((admitted("127.0.0.1"), admitted("::1")), (100, 100));
    }

    #[tokio::test]
    async fn http_4_searches_take_turns_and_the_queue_has_an_end() {
        let throttle = Arc::new(Throttle::new(Some(LIMITS)));
        throttle.client("one", None).unwrap();
        throttle.client("two", None).unwrap();
        let search = request("Patient", "name=x");
        let turns = [
            throttle.turn(&access("one"), &search).await.unwrap(),
            throttle.turn(&access("one"), &search).await.unwrap(),
        ];
        // Others do not wait, nor does what is no search.
        let soon = Duration::from_secs(5);
        assert!(timeout(soon, throttle.turn(&access("two"), &search)).await.is_ok());
        assert!(timeout(soon, throttle.turn(&access("one"), &request("Patient/1", ""))).await.is_ok());
        let waiting: Vec<_> = (0..QUEUE_MAX)
            .map(|_| {
                let throttle = throttle.clone();
                tokio::spawn(async move { throttle.turn(&access("one"), &request("Patient", "name=x")).await.is_ok() })
            })
            .collect();
        let places = || throttle.0.as_ref().unwrap().known("one").unwrap().searches.places.available_permits();
        while places() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(throttle.turn(&access("one"), &search).await, Err(Error::Throttled { .. })));
        drop(turns);
        for waited in waiting {
            assert!(waited.await.unwrap());
        }
        assert_eq!(places(), 2 + usize::try_from(QUEUE_MAX).unwrap());
    }

    #[tokio::test]
    async fn http_4_who_has_a_turn_is_not_forgotten_however_many_ask() {
        let throttle = Throttle::new(Some(LIMITS));
        let own = Some(client::Limits { requests_per_second: 1000, burst: 3, searches: 1, costly: 1 });
        for path in ["Patient/1/$everything", "Patient"] {
            throttle.client("one", own).unwrap();
            let turn = throttle.turn(&access("one"), &request(path, "")).await.unwrap();
            // Its bucket is full again.
            tokio::time::sleep(Duration::from_millis(20)).await;
            for n in 0..=CLIENTS_MAX {
                let _ = throttle.client(&format!("{path} {n}"), None);
            }
            throttle.client("one", own).unwrap();
            let another = || async {
                timeout(Duration::from_millis(50), throttle.turn(&access("one"), &request(path, ""))).await
            };
            assert!(another().await.is_err(), "{path}: two at once");
            drop(turn);
            assert!(another().await.is_ok(), "{path}");
        }
    }

    #[test]
    fn http_4_what_costs_most_is_known() {
        let costly = |path: &str, query: &str| class(&request(path, query));
        assert_eq!(costly("Patient", "_has:Observation:patient:code=1"), (true, true));
        assert_eq!(costly("Observation", "patient._has:Group:member:_id=1"), (true, true));
        assert_eq!(costly("Patient", "name=_has"), (true, false));
        assert_eq!(costly("Patient/1/$everything", ""), (false, true));
        assert_eq!(costly("Patient/1", ""), (false, false));
    }
}
