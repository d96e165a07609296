//! [`SqlStore`]: the five calls over a [`Backend`]. All SQL is written here and in the modules below, once for both.

mod opening;
mod statistics;

use crate::{
    AuditOptions, Error, Event, EventPage, EventQuery, Events, HistoryPage, HistoryScope, HistoryVersions, Later,
    Matches, Measures, Progress, Store, Transacted, Version, Work,
    audit::{self, Audit},
    backend::{Backend, Isolation, Job, Reading, postgres::Postgres, sqlite::Sqlite},
    clock::Clock,
    history,
    job::{Shared, job},
    later,
    parameters::{
        self,
        indexing::{IndexingProgress, progress},
    },
    read,
    search::{self, Search},
    transact::{Transaction, once},
};
use futures::future::BoxFuture;
use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tessera_model::{AccessContext, Definitions, Key, Query, VersionId, definitions::is_definition};
use tokio::sync::Notify;

/// How often a request that met other writers is run again before the client is told to (REL-10).
const TRIES_MAX: u32 = 5;

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file.
    Sqlite(PathBuf),
    /// `postgres://…`
    Postgres(String),
}

impl Location {
    /// Reads `sqlite:PATH` or `postgres://…`.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Some(Self::Postgres(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        (!path.is_empty()).then(|| Self::Sqlite(path.into()))
    }
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub location: Location,
    /// This server's base URL, without a slash at its end: references that start with it are local. `None`: the one that the
    /// database was last served under, so that the index comes out the same.
    pub base: Option<String>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How safely SQLite commits: anything but `Full` is for the power-loss test's control run.
    pub synchronous: crate::Synchronous,
    /// Accept a PostgreSQL that runs with `fsync=off`: for tests.
    pub accept_fsync_off: bool,
    /// How long a search may run: on SQLite all its statements together, on PostgreSQL each (HTTP-5).
    pub search_timeout: Duration,
    /// How events are recorded; `None`: not at all.
    pub audit: Option<AuditOptions>,
    /// A streaming replica of a PostgreSQL, to read resources of: `postgres://…`
    pub replica: Option<String>,
}

/// How long a search may run unless [`Options::search_timeout`] says otherwise.
pub const SEARCH_TIMEOUT: Duration = Duration::from_secs(10);

/// A store in a SQL database.
#[derive(Clone, Debug)]
pub struct SqlStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    backend: Backend,
    base: Arc<str>,
    clock: Arc<dyn Clock>,
    definitions: parameters::Current,
    redefined: Notify,
    audit: Option<Arc<Audit>>,
    statistics: statistics::Statistics,
    measures: Arc<Measures>,
}

impl SqlStore {
    /// Opens a database whose tables are current (see [`crate::migrate`]).
    ///
    /// # Errors
    /// [`Error::Backend`]: it cannot be opened, or would not keep what it acknowledges.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let measures = Arc::new(Measures::new());
        let audit = options.audit.as_ref().map(Audit::open).transpose()?.map(Arc::new);
        let backend = connect(&options, audit.clone(), &measures).await?;
        let begin = job((options.clock.clone(), options.base), |s, c| {
            Box::pin(async move { opening::begin(s.0.now(), s.1.as_deref(), c).await })
        });
        let base = backend.write(Isolation::ReadCommitted, begin).await?.into();
        let definitions = parameters::Current::default();
        let statistics = statistics::Statistics::new();
        let inner = Inner {
            backend,
            base,
            clock: options.clock,
            definitions,
            redefined: Notify::new(),
            audit,
            statistics,
            measures,
        };
        let store = Self { inner: Arc::new(inner) };
        store.load_definitions().await?;
        if let Some(audit) = store.audit() {
            store.audit_keys(audit).await?;
            store.raise_segments(audit).await?;
        }
        Ok(store)
    }

    /// The base URL whose references are local.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.inner.base
    }

    pub(crate) fn shared(&self) -> Shared {
        Shared {
            definitions: self.definitions(),
            base: self.inner.base.clone(),
            clock: self.inner.clock.clone(),
            measures: self.inner.measures.clone(),
        }
    }

    /// Told when the stored search parameters have changed.
    pub(crate) fn redefined(&self) -> &Notify {
        &self.inner.redefined
    }

    /// Reads the stored search parameters.
    pub(crate) async fn load_definitions(&self) -> Result<(), Error> {
        let load = job((), |_, c| Box::pin(async move { parameters::load(c).await }));
        let definitions = self.writing(Isolation::ReadCommitted, load).await?;
        self.inner.definitions.keep(definitions);
        Ok(())
    }

    /// The same, if another server has changed them.
    pub(crate) async fn refresh_definitions(&self) -> Result<(), Error> {
        let version = job((), |_, c| Box::pin(async move { parameters::version(c).await }));
        if self.backend().read(Reading::Once, version).await? != self.definitions().stored_version() {
            self.load_definitions().await?;
        }
        Ok(())
    }

    pub(crate) fn shared_measures(&self) -> &Arc<Measures> {
        &self.inner.measures
    }

    pub(crate) fn audit(&self) -> Option<&Arc<Audit>> {
        self.inner.audit.as_ref()
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.inner.backend
    }

    /// Runs a whole request again, from what was asked, if other writers were in its way (REL-10).
    async fn retrying<T, F: Future<Output = Result<T, Error>>>(&self, attempt: impl Fn() -> F) -> Result<T, Error> {
        retrying(&self.inner.measures, attempt).await
    }

    /// Runs a read.
    pub(crate) async fn reading<T: Send + 'static>(&self, reading: Reading, job: Job<T>) -> Result<T, Error> {
        self.retrying(|| self.backend().read(reading, job.clone())).await
    }

    /// Runs a read of resources: of a replica, if there is one that shows all that the primary does. Nothing else is read there.
    async fn reading_resources<T: Send + 'static>(&self, reading: Reading, job: Job<T>) -> Result<T, Error> {
        match self.backend().read_of_replica(reading, &job).await {
            Some(result) => result,
            None => self.reading(reading, job).await,
        }
    }

    /// Runs a write.
    pub(crate) async fn writing<T: Send + 'static>(&self, isolation: Isolation, job: Job<T>) -> Result<T, Error> {
        self.retrying(|| self.backend().write(isolation, job.clone())).await
    }
}

/// Connects to a database.
pub(crate) async fn connect(
    options: &Options,
    audit: Option<Arc<Audit>>,
    measures: &Arc<Measures>,
) -> Result<Backend, Error> {
    Ok(match &options.location {
        Location::Sqlite(_) if options.replica.is_some() => {
            return Err(Error::Backend("a SQLite database has no replica".to_owned()));
        }
        Location::Sqlite(path) => {
            let (clock, timeout) = (&options.clock, options.search_timeout);
            let chain = audit.as_ref().map(|audit| audit.chain(1));
            Backend::Sqlite(Sqlite::open(path, options.synchronous, clock, timeout, chain, measures.clone())?)
        }
        Location::Postgres(url) => {
            let (accept, timeout) = (options.accept_fsync_off, options.search_timeout);
            let postgres = Postgres::connect(url, options.replica.as_deref(), accept, timeout, audit).await?;
            Backend::Postgres(Box::new(postgres))
        }
    })
}

/// Runs something again, from the start, if other writers were in its way (REL-10).
pub(crate) async fn retrying<T, F: Future<Output = Result<T, Error>>>(
    measures: &Measures,
    attempt: impl Fn() -> F,
) -> Result<T, Error> {
    let mut tries = 0;
    loop {
        match attempt().await {
            Err(Error::Retry) => {
                measures.retries.fetch_add(1, Relaxed);
                wait_before_retry(&mut tries).await?;
            }
            result => return result,
        }
    }
}

/// Waits a random while that grows with each try; after the last one, the client is told that the server is busy.
async fn wait_before_retry(tries: &mut u32) -> Result<(), Error> {
    *tries += 1;
    if *tries >= TRIES_MAX {
        return Err(Error::Busy);
    }
    // The random bits of a fresh UUID serve as jitter.
    let jitter = uuid::Uuid::now_v7().as_bytes()[15];
    tokio::time::sleep(Duration::from_millis(u64::from(jitter % 8 + 1) << *tries)).await;
    Ok(())
}

impl Store for SqlStore {
    fn definitions(&self) -> Arc<Definitions> {
        self.inner.definitions.get()
    }

    fn indexing(&self) -> Vec<IndexingProgress> {
        progress(&self.definitions())
    }

    fn index_again(&self, url: Option<String>) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(Self::index_again(self, url))
    }

    fn keep_indexed(&self) -> BoxFuture<'_, ()> {
        Box::pin(Self::keep_indexed(self))
    }

    fn read<'a>(&'a self, access: &'a AccessContext, key: &'a Key) -> BoxFuture<'a, Result<Option<Version>, Error>> {
        let state = (self.shared(), access.clone(), key.clone());
        let run = job(state, |s, c| Box::pin(async move { read::current(&s.0, &s.1, &s.2, c).await }));
        Box::pin(self.reading_resources(Reading::LookUp, run))
    }

    fn vread<'a>(
        &'a self,
        access: &'a AccessContext,
        key: &'a Key,
        version: VersionId,
    ) -> BoxFuture<'a, Result<Option<Version>, Error>> {
        let state = (self.shared(), access.clone(), key.clone(), version);
        let run = job(state, |s, c| Box::pin(async move { read::version(&s.0, &s.1, &s.2, s.3, c).await }));
        Box::pin(self.reading_resources(Reading::LookUp, run))
    }

    fn history<'a>(
        &'a self,
        access: &'a AccessContext,
        scope: HistoryScope,
        page: HistoryPage,
    ) -> BoxFuture<'a, Result<HistoryVersions, Error>> {
        let state = (self.shared(), access.clone(), scope, page);
        let run = job(state, |s, c| Box::pin(async move { history::page(&s.0, &s.1, &s.2, &s.3, c).await }));
        Box::pin(self.reading_resources(Reading::Once, run))
    }

    fn search<'a>(
        &'a self,
        access: &'a AccessContext,
        query: Query,
        cursor: Option<String>,
    ) -> BoxFuture<'a, Result<Matches, Error>> {
        let search = Search { shared: self.shared(), access: access.clone(), query, cursor };
        let reading = match (search.is_one_statement(), search.is_settled()) {
            (true, true) => Reading::Settled,
            (true, false) => Reading::Once,
            (false, _) => Reading::Snapshot,
        };
        let run = job(search, |search, c| Box::pin(async move { search::run(&search, c).await }));
        Box::pin(self.reading_resources(reading, run))
    }

    fn later<'a>(&'a self, access: &'a AccessContext, later: Later) -> BoxFuture<'a, Result<Option<Progress>, Error>> {
        Box::pin(async move {
            let asked = matches!(later, Later::Ask(_));
            let run = job((self.shared().clone(), access.caller().identity(), later), |s, c| {
                Box::pin(async move { later::perform(&s.0, &s.1, &s.2, c).await })
            });
            if asked {
                self.reading(Reading::Once, run).await
            } else {
                self.writing(Isolation::ReadCommitted, run).await
            }
        })
    }

    fn audits(&self) -> bool {
        self.inner.audit.is_some()
    }

    fn record(&self, events: Vec<Event>, urgent: bool) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match self.audit() {
                Some(audit) => {
                    let count = events.len();
                    audit.record(events, urgent).await?;
                    self.inner.measures.appended(count);
                    Ok(())
                }
                None => Ok(()),
            }
        })
    }

    fn events(&self, query: EventQuery, page: EventPage) -> BoxFuture<'_, Result<Events, Error>> {
        Box::pin(async move {
            let Some(audit) = self.audit() else { return Ok(Events::default()) };
            // What this server has recorded is there to be found.
            self.drain(audit::Upto::Found).await?;
            let find = job((audit.clone(), query, page), |s, c| {
                Box::pin(async move { audit::find(&s.0, &s.1, &s.2, c).await })
            });
            self.reading(Reading::Snapshot, find).await
        })
    }

    fn analyze(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(Self::analyze(self))
    }

    fn keep_audited(&self) -> BoxFuture<'_, ()> {
        Box::pin(Self::keep_audited(self))
    }

    fn end_audit(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.drain(audit::Upto::Signed))
    }

    fn transact<'a>(&'a self, access: &'a AccessContext, mut work: Work) -> BoxFuture<'a, Result<Transacted, Error>> {
        Box::pin(async move {
            if let (Some(audit), Some(event)) = (self.audit(), &mut work.event) {
                audit.seal(event)?;
            }
            // A key is its client's own: another's says nothing of this one's.
            if let Some(once) = &mut work.once {
                once.key = format!("{}\n{}", access.caller().identity(), once.key);
            }
            let single = work.changes.len() + work.reads.len() == 1;
            let isolation = if single { Isolation::ReadCommitted } else { Isolation::Serializable };
            let once = work.once.clone().map(|once| {
                job((self.shared(), once), |s, c| Box::pin(async move { once::done_before(&s.0, &s.1, c).await }))
            });
            let redefines = work.changes.iter().any(|change| is_definition(change.action.resource_type()));
            let work = Arc::new(work);
            let mut transacted = self
                .retrying(|| async {
                    if let Some(done_before) = &once
                        && let Some(changed) = self.reading(Reading::Once, done_before.clone()).await?
                    {
                        return Ok(Transacted { changed, replayed: true, ..Transacted::default() });
                    }
                    let transaction = Transaction::new(self.shared(), access.clone(), work.clone());
                    let run = job(transaction, |transaction, c| Box::pin(async move { transaction.run(c).await }));
                    match self.backend().write(isolation, run).await {
                        Err(Error::Redefined) => {
                            self.load_definitions().await?;
                            Err(Error::Retry)
                        }
                        result => result,
                    }
                })
                .await?;
            let unwritten = std::mem::take(&mut transacted.unwritten);
            if let Some(audit) = self.audit().filter(|_| !unwritten.is_empty()) {
                let count = unwritten.len();
                audit.keep(unwritten, false).await?;
                self.inner.measures.appended(count);
            }
            if !transacted.replayed {
                self.wrote(transacted.changed.len());
            }
            if redefines {
                self.load_definitions().await?;
                self.redefined().notify_one();
            }
            Ok(transacted)
        })
    }
}
