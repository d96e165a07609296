//! All that the server fetches by itself goes through here (HTTP-30): keys of clients, and identity providers; and where traces are
//! sent to. By https, to public addresses that are looked at when the connection is made, without redirects and proxies, within limits.

mod address;
#[cfg(test)]
mod tests;

use crate::error::Error;
use futures::{FutureExt as _, future::BoxFuture};
use reqwest::{
    Client, RequestBuilder, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header,
    redirect::Policy,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tessera_auth::outbound::{Ask, Feature, Fetch, Fetched};
use tokio::sync::Semaphore;

/// For tests, which have no certificates: http to this machine.
const LOOPBACK: &str = "TESSERA_TEST_OUTBOUND_LOOPBACK";
/// Ports at public addresses: those of https.
const PORTS: [u16; 2] = [443, 8443];
/// How long one fetch may take, with waiting for its turn.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Fetches at a time.
const AT_ONCE_MAX: usize = 32;

/// Where it may go beyond the public internet, and where only, as the operator has set it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Origins that may be at any address and port.
    trusted: Vec<String>,
    /// The only origins where keys of clients may be; any if there is none.
    client_keys: Vec<String>,
    /// A test switch: http to this machine.
    loopback: bool,
}

impl Rules {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`Error::Usage`] if one of them is no origin of https.
    pub(crate) fn new(trusted: &[String], client_keys: &[String]) -> Result<Self, Error> {
        let origins = |texts: &[String]| texts.iter().map(|text| origin(text)).collect::<Result<Vec<_>, _>>();
        let loopback = std::env::var(LOOPBACK).is_ok_and(|value| value == "1");
        Ok(Self { trusted: origins(trusted)?, client_keys: origins(client_keys)?, loopback })
    }

    /// Fails if the test switch is set for a server that others can reach.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(crate) fn check(&self, listens_on_loopback: bool) -> Result<(), Error> {
        match (self.loopback, listens_on_loopback) {
            (false, _) => Ok(()),
            (true, false) => Err(Error::Usage(format!("{LOOPBACK} is for tests, on loopback only"))),
            (true, true) => {
                tracing::warn!("a test switch is set: http to this machine is allowed");
                Ok(())
            }
        }
    }
}

/// An origin as an operator writes it.
fn origin(text: &str) -> Result<String, Error> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.path() == "/" && !has_user(url));
    let url = url.filter(|url| url.query().is_none() && url.fragment().is_none());
    let bad = || Error::Usage(format!("{text}: expected an origin such as https://idp.example.org:8443"));
    url.map(|url| url.origin().ascii_serialization()).ok_or_else(bad)
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// How names become addresses.
type Lookup = fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

/// The system's way.
fn by_system(name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
    async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) }.boxed()
}

/// Looks names up for each connection, and lets it be made to addresses only that it has looked at: what the name says a
/// moment later changes nothing.
struct Guarded {
    lookup: Lookup,
    may_reach: fn(IpAddr) -> bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, may_reach) = ((self.lookup)(name.as_str().to_owned()), self.may_reach);
        Box::pin(async move {
            let addresses = found.await?.into_iter().filter(|address| may_reach(*address));
            let addresses: Vec<_> = addresses.map(|address| SocketAddr::new(address, 0)).collect();
            if addresses.is_empty() {
                return Err("the name has no address that may be reached".into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Fetches what it may.
pub(crate) struct Outbound {
    rules: Rules,
    ports: Vec<u16>,
    timeout: Duration,
    may_reach: fn(IpAddr) -> bool,
    /// For the public internet: by addresses that may be reached.
    public: Client,
    /// For origins that the operator trusts. Connections of the one are never used for the other.
    trusted: Client,
    turns: Semaphore,
}

impl Outbound {
    /// Fails if there is no TLS.
    pub(crate) fn new(rules: Rules) -> Result<Self, Error> {
        Self::with(rules, PORTS.to_vec(), TIMEOUT, address::is_public, by_system)
    }

    fn with(
        rules: Rules,
        ports: Vec<u16>,
        timeout: Duration,
        may_reach: fn(IpAddr) -> bool,
        lookup: Lookup,
    ) -> Result<Self, Error> {
        let client = |may_reach| {
            let builder = Client::builder().redirect(Policy::none()).no_proxy().referer(false);
            let built = builder.dns_resolver(Guarded { lookup, may_reach }).build();
            built.map_err(|error| Error::Failed(error.to_string()))
        };
        let (public, trusted) = (client(may_reach)?, client(|_| true)?);
        Ok(Self { rules, ports, timeout, may_reach, public, trusted, turns: Semaphore::new(AT_ONCE_MAX) })
    }

    /// Who may fetch that for this purpose.
    fn client(&self, url: &Url, feature: Feature) -> Result<&Client, &'static str> {
        let host = url.host_str().unwrap_or_default();
        if has_user(url) {
            return Err("a URL with a user is not fetched");
        }
        if self.rules.loopback && url.scheme() == "http" && matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            return Ok(&self.trusted);
        }
        if url.scheme() != "https" {
            return Err("only https is fetched");
        }
        let origin = url.origin().ascii_serialization();
        if feature == Feature::ClientKeys
            && !self.rules.client_keys.is_empty()
            && !self.rules.client_keys.contains(&origin)
        {
            return Err("it is at no origin of outbound.client_key_origins");
        }
        if self.rules.trusted.contains(&origin) {
            return Ok(&self.trusted);
        }
        if !url.port_or_known_default().is_some_and(|port| self.ports.contains(&port)) {
            return Err("the port is neither 443 nor 8443, and the origin not one of outbound.trusted_origins");
        }
        // Of a host that is an address nobody looks up a name. The parser has made all ways to write one into one.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if literal.is_ok_and(|address| !(self.may_reach)(address)) {
            return Err("the address is not public, and the origin not one of outbound.trusted_origins");
        }
        Ok(&self.public)
    }

    async fn ask(&self, ask: &Ask<'_>) -> Result<Fetched, String> {
        let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
        let url = Url::parse(ask.url).map_err(|error| error.to_string())?;
        let client = self.client(&url, ask.feature)?;
        let request = match &ask.post {
            None => client.get(url),
            Some(post) => {
                let mut request = client.post(url.clone());
                if let Some(credentials) = post.credentials {
                    let known = Url::parse(&credentials.url).map_err(|error| error.to_string())?;
                    if known.origin() != url.origin() {
                        return Err("credentials are for another origin".to_owned());
                    }
                    request = request.header(header::AUTHORIZATION, credentials.basic());
                }
                request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(post.body())
            }
        };
        // What is wrong with a form, its answer says.
        let expected: &[StatusCode] =
            if ask.post.is_some() { &[StatusCode::OK, StatusCode::BAD_REQUEST] } else { &[StatusCode::OK] };
        self.read(request.header(header::ACCEPT, "application/json"), expected, ask.bytes_max).await
    }

    async fn read(
        &self,
        request: RequestBuilder,
        expected: &[StatusCode],
        bytes_max: usize,
    ) -> Result<Fetched, String> {
        let mut response = request.send().await.map_err(told)?;
        let status = response.status();
        if !expected.contains(&status) {
            return Err(format!("the status is {status}"));
        }
        let cache_control = response.headers().get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let cache_control = cache_control.map(str::to_owned);
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(told)? {
            if body.len().saturating_add(part.len()) > bytes_max {
                return Err(format!("it is longer than {bytes_max} bytes"));
            }
            body.extend_from_slice(&part);
        }
        Ok(Fetched { status: status.as_u16(), body, cache_control })
    }
}

/// What traces are sent with, and where to (`traces.endpoint`): to what the operator has named, at whatever address it has.
///
/// # Errors
/// [`Error::Usage`] if that is no URL of http or https.
pub(crate) fn collector(endpoint: &str) -> Result<(Client, Url), Error> {
    let url = Url::parse(&format!("{}/v1/traces", endpoint.trim_end_matches('/'))).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && !has_user(url) && url.query().is_none());
    let url =
        url.ok_or_else(|| Error::Usage("traces.endpoint: expected a URL such as http://collector:4318".to_owned()))?;
    let client = Client::builder().redirect(Policy::none()).no_proxy().referer(false).timeout(TIMEOUT).build();
    Ok((client.map_err(|error| Error::Failed(error.to_string()))?, url))
}

/// An error with what lies below it, where the reason stands; without the URL, which is told beside it.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(below) = source {
        text = format!("{text}: {below}");
        source = below.source();
    }
    text
}

impl Fetch for Outbound {
    fn fetch<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Option<Fetched>> {
        async move {
            let fetched = tokio::time::timeout(self.timeout, self.ask(&ask)).await;
            match fetched.unwrap_or_else(|_| Err("it took too long".to_owned())) {
                Ok(fetched) => Some(fetched),
                Err(why) => {
                    tracing::warn!(url = ask.url, why, "could not be fetched");
                    None
                }
            }
        }
        .boxed()
    }
}
