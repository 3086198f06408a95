//! Whom to believe about where a request comes from: the socket, and what listed proxies add to it.

use std::net::IpAddr;

use http::HeaderValue;
use http::header::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Most hops that are looked at.
const HOPS_MAX: usize = 32;

/// The caller's address: the peer's, or where a trusted proxy speaks for it, the last address before the
/// proxies. `trusts` tells whether an address is a trusted proxy's.
pub(crate) fn caller_address(headers: &HeaderMap, peer: IpAddr, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    if !trusts(peer) {
        return peer;
    }
    let mut nearest = peer;
    let told: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .collect();
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

/// Tells the upstream of this hop.
pub(crate) fn tell(headers: &mut HeaderMap, peer: &HeaderValue, host: Option<HeaderValue>) {
    let before: Vec<&[u8]> = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    let chain = match before.is_empty() {
        true => peer.clone(),
        false => {
            let chain = [before.as_slice(), &[peer.as_bytes()]].concat().join(&b", "[..]);
            HeaderValue::from_bytes(&chain).unwrap_or_else(|_| peer.clone())
        }
    };
    headers.insert(X_FORWARDED_FOR, chain);
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = host
        && !headers.contains_key(X_FORWARDED_HOST)
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(told: &[&str], peer: &str) -> String {
        let mut headers = HeaderMap::new();
        for value in told {
            headers.append(X_FORWARDED_FOR, HeaderValue::try_from(*value).unwrap());
        }
        let trusts = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
        caller_address(&headers, peer.parse().unwrap(), trusts).to_string()
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

    #[test]
    fn h11_the_upstream_sees_the_whole_chain_and_this_hop_last() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("1.1.1.1"));
        tell(&mut headers, &HeaderValue::from_static("10.0.0.1"), Some(HeaderValue::from_static("api.example")));
        assert_eq!(headers[X_FORWARDED_FOR], "1.1.1.1, 10.0.0.1");
        assert_eq!(
            (headers[X_FORWARDED_PROTO].clone(), headers[X_FORWARDED_HOST].clone()),
            ("http".parse().unwrap(), "api.example".parse().unwrap())
        );
    }
}
