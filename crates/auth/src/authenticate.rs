//! Credentials of a request → [`AccessContext`].

use tessera_model::AccessContext;

/// Decides who a request is from.
#[derive(Clone, Copy, Debug)]
pub enum Authenticator {
    /// `--insecure-no-auth`: everybody on this machine may do everything (AUTH-40).
    InsecureNoAuth,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The `Host` is not this machine: a page of another site may have been rebound to us.
    #[error("this server runs without authentication and answers only to localhost, 127.0.0.1 and [::1]")]
    Misdirected,
}

impl Authenticator {
    /// The access of a request with this `Host`.
    ///
    /// # Errors
    /// [`Denied`] if it is not let in.
    pub fn authenticate(self, host: Option<&str>) -> Result<AccessContext, Denied> {
        match self {
            Self::InsecureNoAuth if host.is_some_and(is_loopback) => Ok(AccessContext::insecure()),
            Self::InsecureNoAuth => Err(Denied::Misdirected),
        }
    }

    /// Whether it lets everybody in, which every answer then says.
    #[must_use]
    pub fn is_insecure(self) -> bool {
        matches!(self, Self::InsecureNoAuth)
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.split(':').next().unwrap_or(host),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_40_only_loopback_hosts_are_let_in_without_authentication() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
            assert!(Authenticator::InsecureNoAuth.authenticate(Some(host)).is_ok(), "{host}");
        }
        for host in ["example.org", "127.0.0.1.example.org", "localhost.example.org:80", "10.0.0.1", ""] {
            assert_eq!(
                Authenticator::InsecureNoAuth.authenticate(Some(host)).err(),
                Some(Denied::Misdirected),
                "{host}"
            );
        }
        assert!(Authenticator::InsecureNoAuth.authenticate(None).is_err());
    }
}
