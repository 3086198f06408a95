//! Where a request comes from, as its headers tell it, and what the upstream is told of this hop. Whom to believe is core's
//! rule.

use std::net::IpAddr;

use http::HeaderValue;
use http::header::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The caller's address: the peer's, or where a trusted proxy speaks for it, the last address before the
/// proxies. `trusts` tells whether an address is a trusted proxy's.
pub(crate) fn caller_address(headers: &HeaderMap, peer: IpAddr, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    // What is no text was written by somebody before the last proxy that could be trusted.
    let told = headers.get_all(X_FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or("?"));
    keyward_core::forwarded::caller_address(told, peer, trusts)
}

/// Tells the upstream of this hop. `scheme` is what the caller spoke on it.
pub(crate) fn tell(headers: &mut HeaderMap, peer: &HeaderValue, host: Option<HeaderValue>, scheme: &'static str) {
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
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
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

    #[test]
    fn h11_the_upstream_sees_the_whole_chain_and_this_hop_last() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("1.1.1.1"));
        tell(
            &mut headers,
            &HeaderValue::from_static("10.0.0.1"),
            Some(HeaderValue::from_static("api.example")),
            "http",
        );
        assert_eq!(headers[X_FORWARDED_FOR], "1.1.1.1, 10.0.0.1");
        assert_eq!(
            (headers[X_FORWARDED_PROTO].clone(), headers[X_FORWARDED_HOST].clone()),
            ("http".parse().unwrap(), "api.example".parse().unwrap())
        );
    }
}
