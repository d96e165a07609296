//! `tessera health`: whether the server of these settings, on this machine, answers its probes. For health checks of containers,
//! which have no other program for it, and which cannot know whether it speaks TLS.

use crate::{config::Settings, error::Error};
use reqwest::{Client, redirect::Policy};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Asks a server on this machine how it is.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which probe
    #[arg(value_name = "live|ready|startup", default_value = "ready", value_parser = ["live", "ready", "startup"])]
    probe: String,
    #[command(flatten)]
    settings: Settings,
}

/// Asks. Fails if the answer is not 200.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let config = arguments.settings.resolve()?;
    let address = tokio::net::lookup_host(&config.listen).await?.next().map(of_this_machine);
    let address = address.filter(|address| address.port() != 0);
    let address =
        address.ok_or_else(|| Error::Usage("--listen: expected the address that the server has".to_owned()))?;
    let scheme = if config.tls.certificate.is_empty() { "http" } else { "https" };
    // The certificate is for the name that clients use, not for this address. Nothing is sent that anybody could take.
    let builder = Client::builder().redirect(Policy::none()).no_proxy().tls_danger_accept_invalid_certs(true);
    let client = builder.timeout(TIMEOUT).build().map_err(|error| Error::Failed(error.to_string()))?;
    let url = format!("{scheme}://{address}/health/{}", arguments.probe);
    let response = client.get(&url).send().await.map_err(|error| Error::Failed(format!("{url}: {error}")))?;
    match response.status() {
        reqwest::StatusCode::OK => Ok(()),
        status => Err(Error::Failed(format!("{url}: {status}"))),
    }
}

/// Where a server that listens on all addresses is reached from its own machine.
fn of_this_machine(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
