//! Credentials of a request → [`AccessContext`].

use crate::{AuthorizationServer, Error, bearer, client::Limits, external::External};
use std::sync::Arc;
use tessera_model::{AccessContext, Caller};

/// Decides who a request is from.
#[derive(Clone, Debug)]
pub enum Authenticator {
    /// `--insecure-no-auth`: everybody on this machine may do everything (AUTH-40).
    InsecureNoAuth,
    /// Who holds an access token may do what it grants.
    Smart(Arc<AuthorizationServer>),
    /// The same, with tokens of an authorization server elsewhere.
    External(Arc<External>),
}

/// What a request brings to say who it is from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The host that it was sent to.
    pub host: Option<&'a str>,
    /// Its `Authorization` header.
    pub authorization: Option<&'a str>,
}

/// A request that is let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// What it may do.
    pub access: AccessContext,
    /// What its client may ask for at a time, if its registration says so.
    pub limits: Option<Limits>,
}

/// Why a request is not let in.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The `Host` is not this machine: a page of another site may have been rebound to us.
    #[error("this server runs without authentication and answers only to localhost, 127.0.0.1 and [::1]")]
    Misdirected,
    /// There is no access token.
    #[error("an access token is needed: Authorization: Bearer …")]
    NoToken,
    /// It is none of ours, has expired or was taken back.
    #[error("the access token is not valid")]
    BadToken,
    /// Nobody can tell now.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Authenticator {
    /// The access of a request with these credentials.
    ///
    /// # Errors
    /// [`Denied`] if it is not let in.
    pub async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Admitted, Denied> {
        match self {
            Self::InsecureNoAuth => Ok(Admitted { access: insecure(credentials.host)?, limits: None }),
            Self::Smart(server) => server.access(token(credentials)?).await?.ok_or(Denied::BadToken),
            Self::External(server) => server.access(token(credentials)?).await?.ok_or(Denied::BadToken),
        }
    }

    /// The access of a request that needs no credentials: it may be told what the server is, and nothing else.
    ///
    /// # Errors
    /// [`Denied::Misdirected`].
    pub fn anonymous(&self, credentials: Credentials<'_>) -> Result<AccessContext, Denied> {
        match self {
            Self::InsecureNoAuth => insecure(credentials.host),
            Self::Smart(_) | Self::External(_) => {
                Ok(AccessContext::granted(Caller::of_client("anonymous"), Vec::new(), false))
            }
        }
    }

    /// Whether it lets everybody in, which every answer then says.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        matches!(self, Self::InsecureNoAuth)
    }

    /// The authorization server, if it is this one.
    #[must_use]
    pub fn server(&self) -> Option<&Arc<AuthorizationServer>> {
        match self {
            Self::InsecureNoAuth | Self::External(_) => None,
            Self::Smart(server) => Some(server),
        }
    }

    /// Whether a client has registered this origin (HTTP-6).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn is_origin_of_a_client(&self, origin: &str) -> Result<bool, Error> {
        match self {
            Self::InsecureNoAuth => Ok(false),
            Self::Smart(server) => server.is_origin_of_a_client(origin).await,
            Self::External(server) => server.is_origin_of_a_client(origin).await,
        }
    }
}

fn token<'a>(credentials: Credentials<'a>) -> Result<&'a str, Denied> {
    credentials.authorization.and_then(bearer).ok_or(Denied::NoToken)
}

fn insecure(host: Option<&str>) -> Result<AccessContext, Denied> {
    if host.is_some_and(is_loopback) { Ok(AccessContext::insecure()) } else { Err(Denied::Misdirected) }
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

    #[tokio::test]
    async fn auth_40_only_loopback_hosts_are_let_in_without_authentication() {
        let to = |host| Credentials { host, authorization: None };
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
            let credentials = to(Some(host));
            assert!(Authenticator::InsecureNoAuth.authenticate(credentials).await.is_ok(), "{host}");
            assert!(Authenticator::InsecureNoAuth.anonymous(credentials).is_ok(), "{host}");
        }
        let others = ["example.org", "127.0.0.1.example.org", "localhost.example.org:80", "10.0.0.1", ""];
        for host in others.map(Some).into_iter().chain([None]) {
            let denied = Authenticator::InsecureNoAuth.authenticate(to(host)).await;
            assert!(matches!(denied, Err(Denied::Misdirected)), "{host:?}");
            assert!(Authenticator::InsecureNoAuth.anonymous(to(host)).is_err(), "{host:?}");
        }
    }
}
