//! Which addresses of the internet may be reached on behalf of somebody else. A URL that a customer sets must not
//! lead into the operator's own network, so what is special in any way is refused unless the operator allows its
//! network. Names, resolving and connecting are for others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// IPv4 that is not the public internet (IANA's registry of special-purpose addresses, and an address at which a cloud
/// tells its machines their secrets although it looks public).
const SPECIAL_V4: [([u8; 4], u8); 17] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];

/// Special parts of 2000::/3, the only IPv6 that is public at all: protocol assignments with Teredo, documentation, 6to4.
const SPECIAL_V6: [([u16; 8], u8); 4] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Whether an address is of the public internet: not loopback, private, link-local, shared, multicast, reserved, for
/// documentation or a cloud's metadata, in any of the ways in which IPv6 can say an IPv4 address.
pub fn is_public(address: IpAddr) -> bool {
    match meant(address) {
        IpAddr::V4(address) => {
            !SPECIAL_V4.iter().any(|&(network, length)| holds_v4(network.into(), length, address))
        }
        IpAddr::V6(address) => {
            address.segments()[0] & 0xe000 == 0x2000
                && !hides_special_v4(address)
                && !SPECIAL_V6.iter().any(|&(network, length)| holds_v6(network.into(), length, address))
        }
    }
}

/// Whether an address may be reached on behalf of somebody else: it is public, or in a network that the operator allows.
pub fn is_allowed(address: IpAddr, allowed: &[IpNet]) -> bool {
    is_public(address) || is_in(address, allowed)
}

/// Whether an address, or the IPv4 address that it stands for, is in one of these networks.
pub fn is_in(address: IpAddr, networks: &[IpNet]) -> bool {
    let meant = meant(address);
    networks.iter().any(|network| network.contains(&address) || network.contains(&meant))
}

/// The address that a connection ends at: IPv6 that only wraps IPv4 (mapped, or NAT64's well-known prefix) taken off.
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => joined(high, low).into(),
        _ => address,
    }
}

/// ISATAP puts an IPv4 address behind any prefix; one that is not public has no business there.
fn hides_special_v4(address: Ipv6Addr) -> bool {
    match address.segments() {
        [.., 0 | 0x200, 0x5efe, high, low] => !is_public(joined(high, low).into()),
        _ => false,
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

fn holds_v4(network: Ipv4Addr, length: u8, address: Ipv4Addr) -> bool {
    (u32::from(network) ^ u32::from(address)) >> (32 - u32::from(length)) == 0
}

fn holds_v6(network: Ipv6Addr, length: u8, address: Ipv6Addr) -> bool {
    (u128::from(network) ^ u128::from(address)) >> (128 - u32::from(length)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap_or_else(|_| panic!("{text} is an address")))
    }

    #[test]
    fn h14_what_is_not_the_public_internet_is_not_public() {
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.254",
            "255.255.255.255",
        ] {
            assert!(!public(special), "{special}");
            for wrapped in [format!("::ffff:{special}"), format!("64:ff9b::{special}")] {
                assert!(!public(&wrapped), "{wrapped}");
            }
            assert!(!public(&format!("2606:4700::5efe:{special}")), "{special} by ISATAP");
        }
        for special in [
            "::",
            "::1",
            "::7f00:1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:127.0.0.1",
            "64:ff9b:1::7f00:1",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "4000::1",
            "8000::1",
            "1fff::1",
        ] {
            assert!(!public(special), "{special}");
        }
    }

    #[test]
    fn h14_what_stands_beside_a_special_network_is_public() {
        for address in [
            "1.0.0.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
        ] {
            assert!(public(address), "{address}");
            assert!(public(&format!("::ffff:{address}")), "{address} mapped");
            assert!(public(&format!("64:ff9b::{address}")), "{address} by NAT64");
        }
        for address in [
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700:4700::1111",
            "2606:4700::5efe:8.8.8.8",
            "3ffe::1",
            "3fff:1000::1",
            "2000::1",
        ] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn h14_the_operator_allows_networks_by_the_address_that_is_meant() {
        let allowed: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap(), "fd00:1::/32".parse().unwrap()];
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "fd00:1::7", "8.8.8.8"] {
            assert!(is_allowed(address.parse().unwrap(), &allowed), "{address}");
        }
        for address in ["10.0.0.1", "::1", "fd00:2::7", "::127.0.0.1", "2002:7f00:1::", "169.254.169.254"] {
            assert!(!is_allowed(address.parse().unwrap(), &allowed), "{address}");
        }
        assert!(!is_in("8.8.8.8".parse().unwrap(), &allowed));
    }
}
