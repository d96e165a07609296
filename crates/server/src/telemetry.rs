//! Logs: to standard error, without patient data (HTTP-11).

use crate::error::Error;
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts logging.
///
/// # Errors
/// [`Error::Usage`] if the filter is none.
pub(crate) fn start(filter: &str) -> Result<(), Error> {
    let filter = self::filter(filter)?;
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    // A second start in the same process would change nothing.
    let _ = tracing_subscriber::registry().with(lines).with(filter).with(filter_fn(may_be_logged)).try_init();
    Ok(())
}

/// What is logged.
///
/// # Errors
/// [`Error::Usage`] if the filter is none.
pub(crate) fn filter(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(filter).map_err(|error| Error::Usage(format!("log: {error}")))
}

/// What other people's crates tell in detail may be headers, statements and values: no filter turns that on.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("tessera") || *metadata.level() <= Level::INFO
}
