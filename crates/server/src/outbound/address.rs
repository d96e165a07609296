//! Which addresses are of the public internet. <https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not: address and length of the prefix.
const SPECIAL_V4: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Also where clouds tell a machine its credentials.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    // Relays of 6to4.
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    // Looks public, and is the host of each machine in Azure.
    ([168, 63, 129, 16], 32),
    ([255, 255, 255, 255], 32),
];

/// Networks of IPv6 that are not, among those that are given out at all, [`GLOBAL_V6`].
const SPECIAL_V6: [([u16; 3], u32); 4] = [
    // Teredo, benchmarks, ORCHID and other protocols.
    ([0x2001, 0, 0], 23),
    ([0x2001, 0x0db8, 0], 32),
    // 6to4, which may hold any address of IPv4.
    ([0x2002, 0, 0], 16),
    ([0x3fff, 0, 0], 20),
];
/// Of IPv6 only this has been given out for the public internet. Outside of it are `::1`, what maps or translates IPv4
/// (`::ffff:0:0/96`, `64:ff9b::/96`, `64:ff9b:1::/48`), what is local (`fc00::/7`, `fe80::/10`) and multicast (`ff00::/8`).
const GLOBAL_V6: ([u16; 3], u32) = ([0x2000, 0, 0], 3);

/// Whether an address is of the public internet, and of no network that a machine is in by itself.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|(network, length)| v4(address, *network, *length)),
        IpAddr::V6(address) => {
            v6(address, GLOBAL_V6.0, GLOBAL_V6.1)
                && !SPECIAL_V6.iter().any(|(network, length)| v6(address, *network, *length))
        }
    }
}

fn v4(address: Ipv4Addr, network: [u8; 4], length: u32) -> bool {
    let differs = u32::from(address) ^ u32::from_be_bytes(network);
    differs.leading_zeros() >= length
}

fn v6(address: Ipv6Addr, [a, b, c]: [u16; 3], length: u32) -> bool {
    let differs = u128::from(address) ^ u128::from(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0));
    differs.leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_30_addresses_that_are_not_of_the_public_internet() {
        for text in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            // Unspecified, loopback, compatible with IPv4.
            "::",
            "::1",
            "::7f00:1",
            "::8.8.8.8",
            // Mapped from IPv4, public or not.
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            // NAT64.
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "64:ff9b::808:808",
            // 6to4 and Teredo.
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:808:808::1",
            "2001::1",
            "2001:0:4136:e378::1",
            // Benchmarks, ORCHID, documentation.
            "2001:2::1",
            "2001:20::1",
            "2001:1ff::1",
            "2001:db8::1",
            "3fff::1",
            "3fff:fff::1",
            // Discard, segment routing, unique local (and a cloud's metadata), link-local, once site-local, multicast.
            "100::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "1fff::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn http_30_addresses_that_are() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.112.1",
            "203.0.114.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
            "2001:db7::1",
            "2001:db9::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
