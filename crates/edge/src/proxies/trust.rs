//! Which proxies may ask on behalf of others: those in a listed network, those that know the secret, and those that
//! showed a certificate that was verified. Everybody else could write any method, path and address into a question.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The header that a proxy shows its secret in.
pub(super) const SECRET: HeaderName = HeaderName::from_static("x-keyward-proxy-secret");

/// The shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 16;

/// Whom to believe.
#[derive(Debug, Clone, Default)]
pub struct ProxyTrust {
    /// The networks of proxies; their word on a caller's address is taken, too.
    pub networks: Arc<[IpNet]>,
    /// What any proxy may show instead.
    pub secret: Option<ProxySecret>,
}

/// A secret that a proxy shows with every question.
#[derive(Clone)]
pub struct ProxySecret(Arc<Zeroizing<String>>);

/// A text that is no secret of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not {SECRET_BYTES_MIN} or more visible ASCII characters on one line")]
pub struct NotAProxySecret;

impl ProxySecret {
    /// Of a text; white space around it is no part of it.
    ///
    /// # Errors
    /// Where it is too short to be one, or no header's value.
    pub fn new(text: &str) -> Result<Self, NotAProxySecret> {
        let text = text.trim();
        let is_one = text.len() >= SECRET_BYTES_MIN && text.bytes().all(|b| b.is_ascii_graphic());
        if is_one { Ok(ProxySecret(Arc::new(Zeroizing::new(text.to_owned())))) } else { Err(NotAProxySecret) }
    }

    fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for ProxySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxySecret(…)")
    }
}

impl ProxyTrust {
    /// Whether an address is a listed proxy's.
    pub(super) fn lists(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether one asking from this address with these headers may ask on behalf of others. `is_certified`: it showed a
    /// certificate that was verified.
    pub(super) fn admits(&self, peer: IpAddr, headers: &HeaderMap, is_certified: bool) -> bool {
        let mut shown = headers.get_all(SECRET).iter();
        let knows_secret = match (&self.secret, shown.next(), shown.next()) {
            (Some(secret), Some(shown), None) => secret.is(shown.as_bytes()),
            _ => false,
        };
        knows_secret || is_certified || self.lists(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn shown(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (SECRET, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn h11_nobody_is_a_proxy_unless_a_setting_says_so() {
        let trust = ProxyTrust::default();
        assert!(!trust.admits(PEER, &shown(&[""]), false));
        assert!(!trust.admits(PEER, &HeaderMap::new(), false));
        assert!(trust.admits(PEER, &HeaderMap::new(), true));
    }

    #[test]
    fn h11_a_network_or_the_whole_secret_once_is_believed() {
        let secret = ProxySecret::new("a-secret-of-the-proxies\n").unwrap();
        let trust = ProxyTrust { networks: [].into(), secret: Some(secret.clone()) };
        assert!(trust.admits(PEER, &shown(&["a-secret-of-the-proxies"]), false));
        for wrong in [&["a-secret-of-the-proxie"][..], &["A-secret-of-the-proxies"], &[""], &[]] {
            assert!(!trust.admits(PEER, &shown(wrong), false), "{wrong:?}");
        }
        assert!(!trust.admits(PEER, &shown(&["a-secret-of-the-proxies", "a-secret-of-the-proxies"]), false));
        let listed = ProxyTrust { networks: ["10.0.0.0/8".parse().unwrap()].into(), secret: Some(secret) };
        assert!(listed.admits(PEER, &shown(&["wrong"]), false));
        assert!(!listed.admits("11.0.0.1".parse().unwrap(), &HeaderMap::new(), false));
    }

    #[test]
    fn k09_a_short_secret_is_none_and_a_secret_is_never_shown() {
        for text in ["", "short", "fifteen-letters", "sixteen letters!", "sixteen\u{e9}letters!"] {
            assert_eq!(ProxySecret::new(text).unwrap_err(), NotAProxySecret, "{text}");
        }
        assert!(!format!("{:?}", ProxySecret::new("a-secret-of-the-proxies").unwrap()).contains("secret-of"));
    }
}
