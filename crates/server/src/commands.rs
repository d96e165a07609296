//! One file a command.

mod archive;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod health;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod migrate;
pub(crate) mod migrate_to;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod user;

use crate::{
    config::{Config, Settings},
    error::Error,
    telemetry,
};
use std::sync::Arc;
use tessera_auth::{Authenticator, MasterKey};
use tessera_http::{ANSWER_TIMEOUT, Budget, Context, Requests, Throttle, administration};
use tessera_model::Definitions;
use tessera_store::{
    AuditAction, AuditOptions, Event, Location, Options, SqlStore, Store as _, Synchronous,
    clock::{Clock as _, SystemClock},
};

/// Switches for tests that must break a promise to see that breaking it is noticed.
const SQLITE_SYNCHRONOUS: &str = "TESSERA_TEST_SQLITE_SYNCHRONOUS";
const POSTGRES_FSYNC: &str = "TESSERA_TEST_POSTGRES_FSYNC";

/// Migrates and opens the database of the settings. Whoever performs interactions has them recorded: [`Config::audit`].
async fn open(config: &Config, base: Option<String>, audit: Option<AuditOptions>) -> Result<SqlStore, Error> {
    open_with_replica(config, base, audit, None).await
}

/// The same, reading of a replica too.
async fn open_with_replica(
    config: &Config,
    base: Option<String>,
    audit: Option<AuditOptions>,
    replica: Option<String>,
) -> Result<SqlStore, Error> {
    let location = config.location()?;
    tessera_store::migrate(&location).await?;
    Ok(SqlStore::open(Options { replica, ..options(config, location, base, audit)? }).await?)
}

/// How a database is opened with these settings.
fn options(
    config: &Config,
    location: Location,
    base: Option<String>,
    audit: Option<AuditOptions>,
) -> Result<Options, Error> {
    let normal = std::env::var(SQLITE_SYNCHRONOUS).is_ok_and(|value| value == "NORMAL");
    let accept_fsync_off = std::env::var(POSTGRES_FSYNC).is_ok_and(|value| value == "off");
    if normal || accept_fsync_off {
        tracing::warn!("a test switch is set: acknowledged writes may be lost when the power fails");
    }
    let synchronous = if normal { Synchronous::Normal } else { Synchronous::Full };
    let search_timeout = config.search_timeout()?;
    let (clock, replica) = (Arc::new(SystemClock), None);
    Ok(Options { location, base, clock, synchronous, accept_fsync_off, search_timeout, audit, replica })
}

/// What most commands begin with: the settings in force, the log, the database. `records`: what it does is recorded.
async fn begin(settings: &Settings, records: bool) -> Result<(Config, SqlStore), Error> {
    let config = settings.resolve()?;
    telemetry::start(&config)?;
    let audit = if records { config.audit()? } else { None };
    let store = open(&config, config.base(), audit).await?;
    Ok((config, store))
}

/// Records what an operator has done by a command, to what has this path at the administrator's API (AUD-1).
async fn record(store: &SqlStore, command: &str, (action, path): (AuditAction, String)) -> Result<(), Error> {
    record_event(store, command, administration(SystemClock.now(), action, &path)).await
}

/// Records what an operator has done by a command.
async fn record_event(store: &SqlStore, command: &str, event: Event) -> Result<(), Error> {
    let event = Event { client: command.to_owned(), ..event };
    store.record(vec![event], true).await.map_err(|error| {
        Error::Failed(format!("it is done, and could not be recorded: {error}; look after the audit folder"))
    })?;
    if let Err(error) = store.end_audit().await {
        tracing::warn!(%error, "the audit record is left in its segment, for the server that starts next");
    }
    Ok(())
}

/// What requests may reach, and who lets them in.
fn context(
    store: SqlStore,
    config: &Config,
    authenticator: Authenticator,
    master_key: Option<Arc<MasterKey>>,
) -> Result<Context, Error> {
    // Without authentication nobody is told apart.
    let limits = (!authenticator.is_insecure()).then(|| config.limits.limits()).transpose()?;
    Ok(Context {
        base: store.base().into(),
        store: Arc::new(store),
        definitions: Definitions::r4(),
        organization: Some(config.organization.as_str()).filter(|name| !name.is_empty()).map(Into::into),
        conditional_delete: config.conditional_delete()?,
        clock: Arc::new(SystemClock),
        authenticator,
        master_key,
        throttle: Arc::new(Throttle::new(limits)),
        bodies: Budget::new(config.http.bodies()),
        answer_timeout: ANSWER_TIMEOUT,
        requests: Arc::new(Requests::new(Definitions::r4())),
    })
}
