//! `tessera serve`.

use super::{context, open_with_replica};
use crate::{
    config::{Config, Mode, Settings, is_local},
    error::Error,
    first_administrator,
    listener::{self, Listener},
    metrics::{self, Metrics},
    outbound::{Outbound, Rules},
    secret, telemetry,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tessera_auth::{Authenticator, AuthorizationServer, MasterKey, Parts, external::External, policy::Reading};
use tessera_http::{Context, router};
use tessera_store::{Location, SqlStore, clock::SystemClock};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// How long the last audit records may take to reach the database.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the log says that there is no authentication (AUTH-40).
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// How often keys are looked after and what has expired is removed.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);

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
    let traces = telemetry::start_with_traces(&config)?;
    let insecure = arguments.insecure_no_auth;
    let listener = if insecure { listen_on_loopback(&config).await? } else { listen(&config).await? };
    let address = listener.tcp.local_addr()?;
    let scheme = listener.scheme();
    let base = config.base_at(scheme, &address.to_string());
    let metrics = metrics::listen(&config, insecure).await?;
    let store = open_with_replica(&config, Some(base), config.audit()?, config.replica()?).await?;
    let (authenticator, master) = if insecure {
        (Authenticator::InsecureNoAuth, None)
    } else {
        let (authenticator, master) = authenticator(&store, &config, address).await?;
        (authenticator, Some(master))
    };
    let context = context(store.clone(), &config, authenticator, master)?;
    let told = Metrics { store, requests: context.requests.clone() };
    let metrics = metrics.map(|listener| metrics::serve(listener, told));
    let served = serve(listener, context, &format!("{scheme}://{address}/fhir")).await;
    // To the end: they tell how it ends, too.
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    if let Some(traces) = traces {
        traces.end().await;
    }
    served
}

/// Who is let in, as `[identity]` says; and the key that the server's secret is.
async fn authenticator(
    store: &SqlStore,
    config: &Config,
    address: SocketAddr,
) -> Result<(Authenticator, Arc<MasterKey>), Error> {
    let parts = parts(store, config, address)?;
    let master = Arc::new(parts.master.clone());
    let rules = config.access.rules(&parts.base)?;
    let reading = Reading { base: &parts.base, now: parts.clock.now() };
    let authenticator = match config.identity.mode(reading)? {
        Mode::BuiltIn => {
            first_administrator::make(store, &config.location()?, &config.access.first_administrator_file).await?;
            Authenticator::Smart(Arc::new(AuthorizationServer::new(parts).await?.with_rules(rules)))
        }
        Mode::Federated(settings) => {
            let fetch = parts.fetch.clone();
            let server = AuthorizationServer::new(parts).await?.with_rules(rules);
            Authenticator::Smart(Arc::new(server.federated(*settings, fetch)))
        }
        Mode::External(settings) => {
            let external = External::new(parts.records, parts.clock, parts.fetch, &parts.base, *settings);
            if let Err(error) = external.configuration().await {
                tracing::warn!(%error, "the authorization server is not reached yet; tokens may be refused");
            }
            Authenticator::External(Arc::new(external))
        }
    };
    Ok((authenticator, master))
}

/// The authorization server of a server that listens there, with users of its own, and the key that the server's secret is.
pub(crate) async fn authorization_server(
    store: &SqlStore,
    config: &Config,
    address: SocketAddr,
) -> Result<(Arc<AuthorizationServer>, Arc<MasterKey>), Error> {
    let parts = parts(store, config, address)?;
    let master = Arc::new(parts.master.clone());
    let rules = config.access.rules(store.base())?;
    Ok((Arc::new(AuthorizationServer::new(parts).await?.with_rules(rules)), master))
}

/// What it is made of: what the store keeps, the server's secret, and what fetches.
fn parts(store: &SqlStore, config: &Config, address: SocketAddr) -> Result<Parts, Error> {
    let rules = Rules::new(&config.outbound.trusted_origins, &config.outbound.client_key_origins)?;
    rules.check(address.ip().is_loopback())?;
    Ok(Parts {
        records: Arc::new(store.clone()),
        clock: Arc::new(SystemClock),
        master: MasterKey::new(secret::read_or_make(&config.secret_key_file()?)?),
        fetch: Arc::new(Outbound::new(rules)?),
        related_persons: Arc::new(store.clone()),
        base: store.base().to_owned(),
    })
}

/// Listens. Clients must be told a URL that they can reach, and what they send must be encrypted on its way (HTTP-1).
async fn listen(config: &Config) -> Result<Listener, Error> {
    let (limits, proxies, tls) = (config.http.limits()?, config.http.proxies()?, config.tls.load()?);
    let tcp = TcpListener::bind(&config.listen).await?;
    let others_reach_it = !tcp.local_addr()?.ip().is_loopback();
    config.may_listen(others_reach_it, tls.is_some(), !proxies.networks.is_empty())?;
    Ok(Listener { tcp, limits, proxies, tls })
}

/// Listens, if everything is on this machine (AUTH-40).
pub(crate) async fn listen_on_loopback(config: &Config) -> Result<Listener, Error> {
    let (limits, proxies, tls) = (config.http.limits()?, config.http.proxies()?, config.tls.load()?);
    if !proxies.networks.is_empty() {
        return Err(Error::Usage("without authentication no proxy may be in front (http.proxies)".to_owned()));
    }
    let replica = config.replica()?.map(Location::Postgres);
    if !is_local(&config.location()?) || replica.is_some_and(|replica| !is_local(&replica)) {
        return Err(Error::Usage("without authentication the database must be on this machine".to_owned()));
    }
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(&config.listen).await?.collect();
    if addresses.is_empty() || addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err(Error::Usage(format!(
            "without authentication the server listens on loopback only, not on {}",
            config.listen
        )));
    }
    Ok(Listener { tcp: TcpListener::bind(&addresses[..]).await?, limits, proxies, tls })
}

/// Serves until SIGTERM or Ctrl-C, then lets requests end.
pub(crate) async fn serve(listener: Listener, context: Context, url: &str) -> Result<(), Error> {
    // Whoever has read that it listens may end it, and it ends in good order.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangups = signal(SignalKind::hangup())?;
    println!("Tessera listens on {url}");
    let access = tokio::spawn(look_after_access(context.authenticator.clone()));
    let store = context.store.clone();
    let indexing = tokio::spawn(async move { store.keep_indexed().await });
    let store = context.store.clone();
    if !store.audits() {
        tracing::warn!("NO AUDIT: it is not recorded who does what");
    }
    let auditing = tokio::spawn({
        let store = store.clone();
        async move { store.keep_audited().await }
    });
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests in flight may end");
    };
    let reload = async move || {
        if hangups.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    };
    listener::serve(listener, router(context), stop, reload).await;
    access.abort();
    indexing.abort();
    auditing.abort();
    // What cannot be brought into the database now waits in its segments for the next start.
    if let Ok(Err(error)) = tokio::time::timeout(AUDIT_TIMEOUT, store.end_audit()).await {
        tracing::warn!(%error, "the last audit records are left in their segments");
    }
    Ok(())
}

/// Says again and again that there is no authentication (AUTH-40), or else looks after keys and what has expired.
async fn look_after_access(authenticator: Authenticator) {
    match authenticator {
        Authenticator::InsecureNoAuth => warn_of_no_authentication(WARNING_INTERVAL).await,
        // It keeps nothing that expires.
        Authenticator::External(_) => {}
        Authenticator::Smart(server) => loop {
            tokio::time::sleep(MAINTENANCE_INTERVAL).await;
            if let Err(error) = server.maintain().await {
                tracing::warn!(%error, "keys and expired records were not looked after; the next time they are");
            }
        },
    }
}

async fn warn_of_no_authentication(interval: Duration) {
    loop {
        tracing::warn!("NO AUTHENTICATION: everybody on this machine may do everything");
        tokio::time::sleep(interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::Mutex;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn auth_40_the_log_says_every_minute_that_there_is_no_authentication() {
        assert_eq!(WARNING_INTERVAL, Duration::from_secs(60));
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let said_thrice = async {
            loop {
                let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
                if text.lines().filter(|line| line.contains("WARN") && line.contains("NO AUTHENTICATION")).count() >= 3
                {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let minute = Duration::from_millis(20);
        tokio::select! {
            () = warn_of_no_authentication(minute) => {}
            () = said_thrice => {}
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("it is not said again"),
        }
    }
}
