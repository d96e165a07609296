//! Where a request comes from.

use std::net::{IpAddr, Ipv6Addr};

/// The address of a client, as far as it is known behind proxies. Whoever serves the router puts it into a request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// What it is counted as where there are limits: of IPv6 its network, since whoever has one address has all of these.
    /// `None`: this machine, behind which a proxy that nobody has named has everybody.
    #[must_use]
    pub fn counted(self) -> Option<IpAddr> {
        let address = match self.0.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                IpAddr::V6(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)))
            }
            address => address,
        };
        (!address.is_loopback()).then_some(address)
    }
}
