//! `tessera serve`.

use super::{context, open};
use crate::{
    config::{Config, Settings, is_local},
    error::Error,
    telemetry,
};
use std::{future::IntoFuture as _, net::SocketAddr, time::Duration};
use tessera_http::{Context, router};
use tokio::net::TcpListener;

/// How long requests may take to end after SIGTERM (REL-13).
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the log says that there is no authentication (AUTH-40).
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Starts the server.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Let everybody on this machine do everything: for development, on loopback only
    // No environment variable and no setting turns this on (AUTH-40).
    #[arg(long)]
    insecure_no_auth: bool,
}

/// Serves until SIGTERM or Ctrl-C.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let config = arguments.settings.resolve()?;
    telemetry::start(&config.log)?;
    if !arguments.insecure_no_auth {
        return Err(Error::Usage(
            "authentication is not built yet, so the server starts only with --insecure-no-auth, which lets everybody on this \
             machine do everything and listens on loopback only"
                .to_owned(),
        ));
    }
    let listener = listen(&config).await?;
    let address = listener.local_addr()?;
    let base = config.base_at(&address.to_string());
    let store = open(&config, Some(base)).await?;
    println!("Tessera listens on http://{address}/fhir");
    serve(listener, context(store, &config)?).await
}

/// Listens, if everything is on this machine (AUTH-40).
pub(crate) async fn listen(config: &Config) -> Result<TcpListener, Error> {
    if !is_local(&config.location()?) {
        return Err(Error::Usage("without authentication the database must be on this machine".to_owned()));
    }
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(&config.listen).await?.collect();
    if addresses.is_empty() || addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err(Error::Usage(format!(
            "without authentication the server listens on loopback only, not on {}",
            config.listen
        )));
    }
    Ok(TcpListener::bind(&addresses[..]).await?)
}

/// Serves until SIGTERM or Ctrl-C, then lets requests end.
pub(crate) async fn serve(listener: TcpListener, context: Context) -> Result<(), Error> {
    tracing::warn!("NO AUTHENTICATION: everybody on this machine may do everything");
    let warnings = tokio::spawn(async {
        loop {
            tokio::time::sleep(WARNING_INTERVAL).await;
            tracing::warn!("NO AUTHENTICATION: everybody on this machine may do everything");
        }
    });
    let store = context.store.clone();
    let indexing = tokio::spawn(async move { store.keep_indexed().await });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, router(context)).with_graceful_shutdown(async {
        signal().await;
        tracing::info!("stopping: requests in flight may end");
        let _ = stop.send(());
    });
    let late = async {
        let _ = stopped.await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        result = server.into_future() => result?,
        () = late => tracing::warn!("some requests did not end in time"),
    }
    warnings.abort();
    indexing.abort();
    Ok(())
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
