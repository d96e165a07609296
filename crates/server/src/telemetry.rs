//! Logs: to standard error, without patient data (HTTP-11).

use crate::error::Error;
use tracing_subscriber::EnvFilter;

/// Starts logging.
///
/// # Errors
/// [`Error::Usage`] if the filter is none.
pub(crate) fn start(filter: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(filter).map_err(|error| Error::Usage(format!("log: {error}")))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second start in the same process would change nothing.
    let _ = subscriber.try_init();
    Ok(())
}
