//! `[http]`: connections.

use crate::{
    error::Error,
    listener::{Forwarded, Limits, Proxies},
};
use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;

/// How the server is reached.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// Most connections at a time.
    pub connections: usize,
    /// Most connections at a time from one address.
    pub connections_per_address: usize,
    /// Networks of the proxies in front.
    pub proxies: Vec<String>,
    /// The header in which they name their clients.
    pub forwarded_header: String,
    /// What all bodies may take together, in MiB.
    pub bodies_mib: usize,
}

impl Http {
    /// The proxies in front (HTTP-1).
    ///
    /// # Errors
    /// [`Error::Usage`] if one is no network, or the header is none of both.
    pub(crate) fn proxies(&self) -> Result<Proxies, Error> {
        let network = |text: &String| {
            let of_one = || text.parse().ok().map(|address: IpAddr| address.to_canonical().into());
            text.parse().ok().or_else(of_one)
        };
        let networks: Option<Vec<IpNet>> = self.proxies.iter().map(network).collect();
        let networks = networks
            .ok_or_else(|| Error::Usage("http.proxies: expected addresses, or networks as 10.0.0.0/8".to_owned()))?;
        let header = Forwarded::parse(&self.forwarded_header);
        let header = header
            .ok_or_else(|| Error::Usage("http.forwarded_header: expected x-forwarded-for or forwarded".to_owned()))?;
        Ok(Proxies { networks, header })
    }

    /// What all bodies may take together, in bytes (HTTP-2).
    pub(crate) fn bodies(&self) -> usize {
        self.bodies_mib.saturating_mul(1024 * 1024)
    }

    /// How many connections there may be (HTTP-3).
    ///
    /// # Errors
    /// [`Error::Usage`] if there may be none.
    pub(crate) fn limits(&self) -> Result<Limits, Error> {
        let limits = Limits { connections: self.connections, per_address: self.connections_per_address };
        match limits.connections.min(limits.per_address) {
            0 => Err(Error::Usage("http.connections, http.connections_per_address: expected 1 at least".to_owned())),
            _ => Ok(limits),
        }
    }
}
