//! Whom a request comes from, where proxies stand in front: what they say is believed, and of nobody else (HTTP-1). What they
//! say of host and scheme is not used: URLs are made of the base URL.

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// The proxies in front, and how they name their clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proxies {
    pub(crate) networks: Vec<IpNet>,
    pub(crate) header: Forwarded,
}

/// The header in which proxies name whom they ask for. One of both: a client could write the one that its proxy does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded`: <https://www.rfc-editor.org/rfc/rfc7239>
    Forwarded,
}

impl Forwarded {
    /// The header of that name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::XForwardedFor, Self::Forwarded].into_iter().find(|header| header.name().as_str() == name)
    }

    const fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => header::FORWARDED,
        }
    }

    /// The address in one of the header's elements; `None` if it names nobody.
    fn address(self, element: &str) -> Option<IpAddr> {
        let node = match self {
            Self::XForwardedFor => element,
            Self::Forwarded => element.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("for").then_some(value)
            })?,
        };
        let node = node.trim().trim_matches('"');
        let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
        let with_port = || node.parse().ok().map(|address: SocketAddr| address.ip());
        bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
    }
}

impl Proxies {
    /// Whether that is one of them.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whom a request comes from: of those whom the proxies name, the last that is none of them.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let values = headers.get_all(self.header.name());
        let mut named = values.iter().rev().flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        while self.contains(client) {
            // What cannot be read was written by nobody who is believed.
            let Some(next) = named.next().and_then(|element| self.header.address(element)) else { break };
            client = next;
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: &str, peer: &str, lines: &[(&str, &str)]) -> String {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap()).to_vec();
        let proxies = Proxies { networks, header: Forwarded::parse(header).unwrap() };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn http_1_only_proxies_say_who_asks() {
        let check = |peer: &str, lines: &[&str], expected: &str| {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(client("x-forwarded-for", peer, &lines), expected, "{peer} {lines:?}");
        };
        check("192.0.2.1", &["198.51.100.7"], "192.0.2.1");
        check("10.0.0.1", &["198.51.100.7"], "198.51.100.7");
        check("::ffff:10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7");
        check("2001:db8::1", &["[2001:db9::7]:1"], "2001:db9::7");
        // What stands before the last address that no proxy has written, anybody may have.
        check("10.0.0.1", &["127.0.0.1, 198.51.100.7, 10.0.0.2"], "198.51.100.7");
        check("10.0.0.1", &["127.0.0.1", "198.51.100.7", "10.0.0.2"], "198.51.100.7");
        check("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

    #[test]
    fn http_1_one_header_is_believed_and_not_the_other() {
        let lines =
            [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=192.0.2.9, By=x;FOR=\"[2001:db9::7]:80\"")];
        assert_eq!(client("x-forwarded-for", "10.0.0.1", &lines), "198.51.100.7");
        assert_eq!(client("forwarded", "10.0.0.1", &lines), "2001:db9::7");
        assert_eq!(client("forwarded", "10.0.0.1", &[("forwarded", "for=_hidden")]), "10.0.0.1");
        assert_eq!(Forwarded::parse("x-real-ip"), None);
    }
}
