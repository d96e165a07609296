//! One file a command.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod migrate;
pub(crate) mod serve;
pub(crate) mod user;

use crate::{config::Config, error::Error};
use std::sync::Arc;
use tessera_auth::{Authenticator, MasterKey};
use tessera_http::{Budget, Context, Throttle};
use tessera_model::Definitions;
use tessera_store::{AuditOptions, Options, SqlStore, Synchronous, clock::SystemClock};

/// Switches for tests that must break a promise to see that breaking it is noticed.
const SQLITE_SYNCHRONOUS: &str = "TESSERA_TEST_SQLITE_SYNCHRONOUS";
const POSTGRES_FSYNC: &str = "TESSERA_TEST_POSTGRES_FSYNC";

/// Migrates and opens the database of the settings. Whoever performs interactions has them recorded: [`Config::audit`].
async fn open(config: &Config, base: Option<String>, audit: Option<AuditOptions>) -> Result<SqlStore, Error> {
    let location = config.location()?;
    tessera_store::migrate(&location).await?;
    let normal = std::env::var(SQLITE_SYNCHRONOUS).is_ok_and(|value| value == "NORMAL");
    let accept_fsync_off = std::env::var(POSTGRES_FSYNC).is_ok_and(|value| value == "off");
    if normal || accept_fsync_off {
        tracing::warn!("a test switch is set: acknowledged writes may be lost when the power fails");
    }
    let synchronous = if normal { Synchronous::Normal } else { Synchronous::Full };
    let search_timeout = config.search_timeout()?;
    let options =
        Options { location, base, clock: Arc::new(SystemClock), synchronous, accept_fsync_off, search_timeout, audit };
    Ok(SqlStore::open(options).await?)
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
    })
}
