//! Whom to believe about where a request comes from: the socket, and what listed proxies add to it.

use std::net::IpAddr;

/// Most hops that are looked at.
const HOPS_MAX: usize = 32;

/// The caller's address: the peer's, or where a trusted proxy speaks for it, the last address before the proxies. `told`
/// are the values of `X-Forwarded-For` in the order they came, each a list with commas; `trusts` tells whether an address
/// is a trusted proxy's.
pub fn caller_address<'a>(
    told: impl IntoIterator<Item = &'a str>,
    peer: IpAddr,
    trusts: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    if !trusts(peer) {
        return peer;
    }
    let mut nearest = peer;
    let told: Vec<&str> = told.into_iter().flat_map(|value| value.split(',')).map(str::trim).collect();
    for text in told.into_iter().rev().take(HOPS_MAX) {
        // What cannot be read was written by somebody before the last proxy that could be trusted.
        let Some(address) = parse(text) else { return nearest };
        nearest = address;
        if !trusts(address) {
            return address;
        }
    }
    nearest
}

/// An address, with or without a port and brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let address: Option<IpAddr> = text.parse().ok();
    let address = address.or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(told: &[&str], peer: &str) -> String {
        let trusts = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
        caller_address(told.iter().copied(), peer.parse().unwrap(), trusts).to_string()
    }

    #[test]
    fn h11_nobody_but_trusted_proxies_is_believed() {
        assert_eq!(address(&["1.1.1.1"], "9.9.9.9"), "9.9.9.9");
        assert_eq!(address(&["1.1.1.1"], "10.0.0.1"), "1.1.1.1");
        assert_eq!(address(&["6.6.6.6, 1.1.1.1, 10.0.0.2"], "10.0.0.1"), "1.1.1.1");
        assert_eq!(address(&["6.6.6.6", "1.1.1.1"], "10.0.0.1"), "1.1.1.1");
        assert_eq!(address(&["10.0.0.3"], "10.0.0.1"), "10.0.0.3");
        assert_eq!(address(&["6.6.6.6, garbage, 10.0.0.2"], "10.0.0.1"), "10.0.0.2");
        assert_eq!(address(&["[2001:db8::1]:443"], "10.0.0.1"), "2001:db8::1");
        assert_eq!(address(&["::ffff:1.2.3.4"], "10.0.0.1"), "1.2.3.4");
        assert_eq!(address(&[], "10.0.0.1"), "10.0.0.1");
    }
}
