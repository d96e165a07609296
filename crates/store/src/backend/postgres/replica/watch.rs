//! The task that watches a replica: it answers those who want to read, and looks by itself where nobody does.

use super::{
    Ask, ReplicaState, Status,
    peer::{Identity, Peer, ReplicaUnusable as Unusable, STARTED},
};
use crate::{Error, backend::postgres::readers::Readers};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// How often a replica is looked at that nobody asks for: as long as it is not used, reads go to the primary.
const TICK: Duration = Duration::from_millis(200);
/// How long a replica may take to come to where the primary is, before all that have asked go to the primary. It takes a
/// millisecond or two to get a write and perform it.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often it is asked meanwhile.
const PAUSE: Duration = Duration::from_millis(1);
/// How long either may take to answer, and to connect.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A replica that has been behind for so long is told of in the log.
const BEHIND_TOLD: Duration = Duration::from_secs(10);
/// Most that are answered at once.
const ANSWERED_MAX: usize = 1024;

pub(super) struct Watch {
    primary: Peer,
    replica: Peer,
    url: String,
    search_timeout: String,
    status: Arc<Status>,
    /// By which it is read, as soon as it is known to be a replica.
    readers: Option<Arc<Readers>>,
    /// A place of the primary's log, and when it was there: as soon as the replica is, its state is younger than that.
    mark: Option<(i64, Duration)>,
    /// What the log was last told.
    told: String,
}

impl Watch {
    pub(super) fn new(url: &str, primary: &str, search_timeout: &str, status: Arc<Status>) -> Result<Self, Error> {
        Ok(Self {
            primary: Peer::primary(primary, TIMEOUT)?,
            replica: Peer::replica(url, TIMEOUT)?,
            url: url.to_owned(),
            search_timeout: search_timeout.to_owned(),
            status,
            readers: None,
            mark: None,
            told: String::new(),
        })
    }

    /// Until nobody can ask any more.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut asking: Vec<Ask> = Vec::new();
        loop {
            let state = match self.look().await {
                Ok(true) => ReplicaState::Used,
                Ok(false) => ReplicaState::Behind,
                Err(reason) => self.let_go(&reason),
            };
            self.status.set(state);
            let readers = self.readers.as_ref().filter(|_| state == ReplicaState::Used);
            for ask in asking.drain(..) {
                // Whoever has hung up needs no answer.
                let _ = ask.send(readers.cloned());
            }
            // Nobody who has asked meanwhile waits for another look at one that cannot be read.
            while readers.is_none()
                && let Ok(ask) = asks.try_recv()
            {
                let _ = ask.send(None);
            }
            // Those who ask from here on are answered by a look that begins after that.
            if let Ok(0) = timeout(TICK, asks.recv_many(&mut asking, ANSWERED_MAX)).await {
                return;
            }
        }
    }

    /// Whether the replica has all that the primary has at this moment.
    async fn look(&mut self) -> Result<bool, Unusable> {
        if self.readers.is_none() {
            let (primary, replica) = tokio::join!(self.primary.identity(), self.replica.identity());
            self.readers = Some(Arc::new(self.readers_of(primary?, replica?)?));
        }
        let (wanted, reached) = tokio::join!(self.primary.place(), self.replica.place());
        let wanted = wanted?.ok_or(Unusable::NoReplica)?;
        let mut reached = reached?.ok_or(Unusable::NoReplica)?;
        let began = Instant::now();
        while reached < wanted && began.elapsed() < PATIENCE {
            sleep(PAUSE).await;
            reached = self.replica.place().await?.ok_or(Unusable::NoReplica)?;
        }
        self.note(wanted, reached);
        Ok(reached >= wanted)
    }

    /// Connections to this replica, and to no other.
    fn readers_of(&self, primary: Identity, replica: Identity) -> Result<Readers, Unusable> {
        replica.check(primary)?;
        // A name may stand for several replicas, of which one was asked how far it is.
        let same = |pool: sqlx::postgres::PgPoolOptions| {
            pool.after_connect(move |connection, _| {
                Box::pin(async move {
                    let started: i64 = sqlx::query_scalar(STARTED).fetch_one(connection).await?;
                    (started == replica.started).then_some(()).ok_or(sqlx::Error::PoolClosed)
                })
            })
        };
        Readers::with(&self.url, &self.search_timeout, same).map_err(|error| self.replica.lost(&error))
    }

    /// Notes how far behind it is.
    fn note(&mut self, wanted: i64, reached: i64) {
        let (status, now) = (&self.status, self.status.began.elapsed());
        let ms = |at: Duration| u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        status.lag_bytes.store(u64::try_from(wanted - reached).unwrap_or(0), Relaxed);
        match self.mark {
            _ if reached >= wanted => {
                status.complete_ms.store(ms(now), Relaxed);
                self.mark = None;
                self.tell(false, "resources are read of the replica".to_owned());
            }
            Some((place, _)) if reached < place => {}
            mark => {
                if let Some((_, at)) = mark {
                    status.complete_ms.store(ms(at), Relaxed);
                }
                self.mark = Some((wanted, now));
            }
        }
        let complete = Duration::from_millis(self.status.complete_ms.load(Relaxed));
        if reached < wanted && now.saturating_sub(complete) > BEHIND_TOLD {
            self.tell(true, "the replica is not used, because it is behind".to_owned());
        }
    }

    /// Reads of it no more, until it is asked anew who it is.
    fn let_go(&mut self, reason: &Unusable) -> ReplicaState {
        if let Some(readers) = self.readers.take() {
            readers.close();
        }
        (self.primary.connection, self.replica.connection) = (None, None);
        self.tell(true, format!("the replica is not used: {reason}"));
        if matches!(reason, Unusable::Lost(..)) { ReplicaState::Lost } else { ReplicaState::Refused }
    }

    /// Tells the log, unless that was the last that it was told.
    fn tell(&mut self, warns: bool, text: String) {
        if self.told == text {
            return;
        }
        if warns {
            tracing::warn!("{text}");
        } else {
            tracing::info!("{text}");
        }
        self.told = text;
    }
}
