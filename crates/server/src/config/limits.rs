//! `[limits]`: what callers may ask for at a time (HTTP-4).

use crate::error::Error;
use serde::Deserialize;
use tessera_http::Rate;

/// What callers may ask for at a time.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Requests of a client, a second.
    pub requests_per_second: u32,
    /// Requests of a client, at once.
    pub burst: u32,
    /// Searches of a client, at once.
    pub searches: u32,
    /// Of what costs most, at once.
    pub costly: u32,
    /// Requests of an address without a token or for one, a second.
    pub address_requests_per_second: u32,
    /// Requests of an address without a token or for one, at once.
    pub address_burst: u32,
}

impl Limits {
    /// As whoever keeps to them wants them.
    ///
    /// # Errors
    /// [`Error::Usage`] if one of them is 0.
    pub(crate) fn limits(&self) -> Result<tessera_http::Limits, Error> {
        let limits = tessera_http::Limits {
            client: Rate { per_second: self.requests_per_second, burst: self.burst },
            searches: self.searches,
            costly: self.costly,
            address: Rate { per_second: self.address_requests_per_second, burst: self.address_burst },
        };
        let Rate { per_second, burst } = limits.client;
        let all = [per_second, burst, limits.searches, limits.costly, limits.address.per_second, limits.address.burst];
        if all.contains(&0) {
            return Err(Error::Usage("limits: expected 1 at least".to_owned()));
        }
        Ok(limits)
    }
}
