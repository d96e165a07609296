//! Logs, to standard error, and traces, to a collector; neither with patient data (HTTP-11).

mod otlp;
mod traces;

use crate::{config::Config, error::Error, outbound};
pub(crate) use otlp::Exporting;
use tokio::sync::mpsc;
use traces::Traces;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::{FilterExt as _, Targets, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// The spans that traces are made of: of requests and statements, and nobody else's.
const TRACED: [&str; 2] = ["tessera_http::request", "tessera_store::sql"];

/// Starts logging.
///
/// # Errors
/// [`Error::Usage`] if a setting of the log is none that there is.
pub(crate) fn start(config: &Config) -> Result<(), Error> {
    subscribe(config, None)
}

/// Starts logging, and tracing where the settings name a collector; whoever serves ends that when it ends.
///
/// # Errors
/// [`Error::Usage`] if a setting of the log or of traces is none that there is.
pub(crate) fn start_with_traces(config: &Config) -> Result<Option<Exporting>, Error> {
    if config.traces.endpoint.is_empty() {
        start(config)?;
        return Ok(None);
    }
    let (client, url) = outbound::collector(&config.traces.endpoint)?;
    let (ended, spans) = mpsc::channel(otlp::QUEUE_MAX);
    subscribe(config, Some(Traces::new(ended, config.traces.percent()?)))?;
    Ok(Some(Exporting::begin(client, url, spans)))
}

fn subscribe(config: &Config, traces: Option<Traces>) -> Result<(), Error> {
    let filter = filter(&config.log)?.and(filter_fn(may_be_logged));
    let lines = fmt::layer::<Registry>().with_writer(std::io::stderr).with_target(false);
    let lines = match is_json(&config.log_format)? {
        true => lines.json().flatten_event(true).with_current_span(false).boxed(),
        false => lines.boxed(),
    };
    let traced = Targets::new().with_targets(TRACED.map(|target| (target, Level::DEBUG)));
    // A list and no `Option`: a layer that is not there would have each place in the code asked anew whether it is wanted.
    let mut layers = vec![lines.with_filter(filter).boxed()];
    layers.extend(traces.map(|traces| traces.with_filter(traced).boxed()));
    // A second start in the same process would change nothing.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(())
}

/// What is logged.
///
/// # Errors
/// [`Error::Usage`] if the filter is none.
pub(crate) fn filter(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(filter).map_err(|error| Error::Usage(format!("log: {error}")))
}

/// Whether lines of the log are JSON.
///
/// # Errors
/// [`Error::Usage`] if there is no such format.
pub(crate) fn is_json(format: &str) -> Result<bool, Error> {
    match format {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err(Error::Usage("log_format: expected text or json".to_owned())),
    }
}

/// What other people's crates tell in detail may be headers, statements and values: no filter turns that on.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("tessera") || *metadata.level() <= Level::INFO
}
