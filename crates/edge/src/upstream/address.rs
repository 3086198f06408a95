//! Where an upstream is: an http or https URL, read once.

use std::net::SocketAddr;
use std::str::FromStr;

use http::HeaderValue;
use http::uri::{PathAndQuery, Scheme, Uri};

/// An upstream's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    /// What upstreams see as `Host`.
    pub(crate) host_header: HeaderValue,
    /// What stands before every path, without a slash at its end.
    pub(crate) base_path: String,
    /// Where to connect to, whatever the host's name leads to meanwhile; empty where the name is to be looked up.
    pub(crate) pinned: Vec<SocketAddr>,
}

/// A text that is no address of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no http or https URL with a host and at most a path, such as http://127.0.0.1:8080/base")]
pub struct NotAnAddress;

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let uri: Uri = text.parse().map_err(|_| NotAnAddress)?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(NotAnAddress),
        };
        let authority = uri.authority().ok_or(NotAnAddress)?;
        let is_plain = uri.query().is_none() && !authority.as_str().contains('@') && !text.contains('#');
        let base_path = uri.path_and_query().map_or("", PathAndQuery::path).trim_end_matches('/').to_owned();
        if !is_plain || authority.host().is_empty() {
            return Err(NotAnAddress);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Address {
            host,
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
            host_header: HeaderValue::from_str(authority.as_str()).map_err(|_| NotAnAddress)?,
            base_path,
            pinned: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_parts() {
        let address: Address = "http://127.0.0.1:8080".parse().unwrap();
        assert_eq!((address.host.as_str(), address.port, address.is_tls), ("127.0.0.1", 8080, false));
        assert_eq!(address.base_path, "");
        let address: Address = "https://API.example.com/base/".parse().unwrap();
        assert_eq!((address.port, address.is_tls, address.base_path.as_str()), (443, true, "/base"));
        assert_eq!(address.host_header, "API.example.com");
        let address: Address = "http://[::1]:9".parse().unwrap();
        assert_eq!((address.host.as_str(), address.host_header.to_str().unwrap()), ("::1", "[::1]:9"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "127.0.0.1:80", "/x", "ftp://a", "http://", "http://a?b", "http://u:p@a", "unix:/x"] {
            assert_eq!(bad.parse::<Address>(), Err(NotAnAddress), "{bad}");
        }
    }
}
