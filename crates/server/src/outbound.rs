//! What the server fetches by itself: the keys of clients (AUTH-22). https only, no redirects, within limits.

use crate::error::Error;
use futures::{FutureExt as _, future::BoxFuture};
use reqwest::{Client, StatusCode, Url, header, redirect::Policy};
use std::time::Duration;
use tessera_auth::outbound::{Fetch, Fetched};

/// For tests, which have no certificates: http to this machine.
const LOOPBACK: &str = "TESSERA_TEST_OUTBOUND_LOOPBACK";

/// Fetches what it may.
pub(crate) struct Outbound {
    client: Client,
    loopback: bool,
}

impl Outbound {
    /// Fails if there is no TLS.
    pub(crate) fn new() -> Result<Self, Error> {
        let client = Client::builder().redirect(Policy::none()).no_proxy().build();
        let client = client.map_err(|error| Error::Failed(error.to_string()))?;
        let loopback = std::env::var(LOOPBACK).is_ok_and(|value| value == "1");
        if loopback {
            tracing::warn!("a test switch is set: http to this machine is allowed");
        }
        Ok(Self { client, loopback })
    }

    fn may_reach(&self, url: &Url) -> bool {
        let is_loopback = || matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        url.scheme() == "https" || (self.loopback && url.scheme() == "http" && is_loopback())
    }

    async fn get(&self, url: &str, bytes_max: usize) -> Result<Fetched, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        if !self.may_reach(&url) {
            return Err("only https is fetched".to_owned());
        }
        let text = |error: reqwest::Error| error.to_string();
        let mut response =
            self.client.get(url).header(header::ACCEPT, "application/json").send().await.map_err(text)?;
        if response.status() != StatusCode::OK {
            return Err(format!("the status is {}", response.status()));
        }
        let cache_control = response.headers().get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let cache_control = cache_control.map(str::to_owned);
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(text)? {
            if body.len() + part.len() > bytes_max {
                return Err(format!("it is longer than {bytes_max} bytes"));
            }
            body.extend_from_slice(&part);
        }
        Ok(Fetched { body, cache_control })
    }
}

impl Fetch for Outbound {
    fn fetch<'a>(&'a self, url: &'a str, bytes_max: usize, timeout: Duration) -> BoxFuture<'a, Option<Fetched>> {
        async move {
            let fetched = tokio::time::timeout(timeout, self.get(url, bytes_max)).await;
            match fetched.unwrap_or_else(|_| Err("it took too long".to_owned())) {
                Ok(fetched) => Some(fetched),
                Err(why) => {
                    tracing::warn!(url, why, "keys of a client could not be fetched");
                    None
                }
            }
        }
        .boxed()
    }
}
