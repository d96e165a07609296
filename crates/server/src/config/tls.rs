//! `[tls]`: encryption in process.

use crate::{error::Error, listener};
use serde::Deserialize;
use std::path::Path;

/// The files of a certificate; both or none.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate and its chain.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Tls {
    /// The certificate, if there is one (HTTP-1).
    ///
    /// # Errors
    /// [`Error::Usage`] if only one of both is set, or they cannot be used.
    pub(crate) fn load(&self) -> Result<Option<listener::Tls>, Error> {
        match (self.certificate.as_str(), self.key.as_str()) {
            ("", "") => Ok(None),
            ("", _) | (_, "") => Err(Error::Usage("tls.certificate and tls.key belong together".to_owned())),
            (certificate, key) => listener::Tls::load(Path::new(certificate), Path::new(key)).map(Some),
        }
    }
}
