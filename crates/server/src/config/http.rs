//! `[http]`: connections.

use crate::{error::Error, listener::Limits};
use serde::Deserialize;

/// How the server is reached.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// Most connections at a time.
    pub connections: usize,
    /// Most connections at a time from one address.
    pub connections_per_address: usize,
}

impl Http {
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
