//! `[access]`: how users log in and clients register.

use crate::error::Error;
use serde::Deserialize;
use tessera_auth::{Rules, dynamic::Registering};

/// What the settings are.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// Whether clinicians and administrators need a second factor: `require`, `optional` or `auto`.
    pub second_factor: String,
    /// Who may register clients: `off`, `token` or `sandbox`.
    pub registration: String,
    /// Where the first administrator's password is written; empty: none is made.
    pub first_administrator_file: String,
}

impl Access {
    /// What a server with this base URL asks of users and clients.
    ///
    /// # Errors
    /// [`Error::Usage`] if a setting is none of those that there are.
    pub(crate) fn rules(&self, base: &str) -> Result<Rules, Error> {
        let staff_needs_second_factor = match &*self.second_factor {
            "require" => true,
            "optional" => false,
            // What only this machine reaches is a trial or development.
            "auto" => !is_loopback(base),
            _ => return Err(Error::Usage("access.second_factor: expected require, optional or auto".to_owned())),
        };
        let registering = match &*self.registration {
            "off" => Registering::Off,
            "token" => Registering::Token,
            "sandbox" if is_loopback(base) => Registering::Sandbox,
            "sandbox" => {
                let text = "access.registration: sandbox is for servers whose base URL is of this machine alone";
                return Err(Error::Usage(text.to_owned()));
            }
            _ => return Err(Error::Usage("access.registration: expected off, token or sandbox".to_owned())),
        };
        Ok(Rules { staff_needs_second_factor, registering })
    }
}

/// Whether a URL leads to this machine, whichever that is.
#[must_use]
pub(crate) fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(second_factor: &str, registration: &str) -> Access {
        Access {
            second_factor: second_factor.to_owned(),
            registration: registration.to_owned(),
            first_administrator_file: String::new(),
        }
    }

    #[test]
    fn auth_13_staff_needs_a_second_factor_where_others_reach_the_server() {
        let needs = |setting: &str, base: &str| {
            let rules = access(setting, "off").rules(base);
            rules.map(|rules| rules.staff_needs_second_factor).ok()
        };
        for base in ["https://ehr.example.org/fhir", "http://localhost.example.org/fhir", "http://10.0.0.1:8080/fhir"] {
            assert_eq!(needs("auto", base), Some(true), "{base}");
        }
        for base in ["http://localhost:8080/fhir", "http://127.0.0.1/fhir", "http://[::1]:80/fhir"] {
            assert_eq!((needs("auto", base), needs("require", base)), (Some(false), Some(true)), "{base}");
        }
        assert_eq!(needs("optional", "https://ehr.example.org/fhir"), Some(false));
        assert_eq!(needs("off", "https://ehr.example.org/fhir"), None);
    }

    #[test]
    fn auth_50_the_sandbox_is_on_this_machine() {
        let registering = |setting: &str, base: &str| {
            let rules = access("auto", setting).rules(base);
            rules.map(|rules| rules.registering).ok()
        };
        let (here, there) = ("http://127.0.0.1:8080/fhir", "https://ehr.example.org/fhir");
        assert_eq!(
            ["off", "token", "sandbox", "x"].map(|s| registering(s, here)),
            [Some(Registering::Off), Some(Registering::Token), Some(Registering::Sandbox), None]
        );
        assert_eq!(["token", "sandbox"].map(|s| registering(s, there)), [Some(Registering::Token), None]);
    }
}
