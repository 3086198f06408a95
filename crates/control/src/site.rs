//! The site that people see: its address, and what follows from it for cookies and for the rule that a browser's
//! unsafe requests come from our own pages. Both doors for people, dashboard and REST, keep to this.

use std::net::{IpAddr, SocketAddr};

use cookie::{Cookie, SameSite};
use http::{HeaderMap, Method, Uri, header};
use ipnet::IpNet;

/// Where people reach the control plane.
#[derive(Debug, Clone)]
pub struct Site {
    origin: String,
    is_https: bool,
    /// The networks of proxies in front, whose `X-Forwarded-For` is believed.
    proxies: Vec<IpNet>,
    /// Where callers reach the gateway.
    gateway: Option<String>,
}

/// A text that cannot be the address of the site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an https address, or http on loopback, without a path: https://keys.example.com")]
pub struct NotASite;

impl Site {
    /// The site at an address: `https://keys.example.com`, or plain http on loopback.
    ///
    /// # Errors
    /// Where it is neither, or has a path.
    pub fn new(url: &str) -> Result<Self, NotASite> {
        let uri: Uri = url.parse().map_err(|_| NotASite)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(NotASite) };
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let is_https = scheme == "https";
        let has_path = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        if has_path || authority.as_str().contains('@') || !(is_https || (scheme == "http" && is_loopback)) {
            return Err(NotASite);
        }
        Ok(Site {
            origin: format!("{scheme}://{authority}").to_ascii_lowercase(),
            is_https,
            proxies: Vec::new(),
            gateway: None,
        })
    }

    /// The site at the address of a listener itself.
    pub fn at(listens: SocketAddr) -> Self {
        let is_https = !listens.ip().is_loopback();
        Site {
            origin: format!("{}://{listens}", if is_https { "https" } else { "http" }),
            is_https,
            proxies: Vec::new(),
            gateway: None,
        }
    }

    /// The same behind proxies on these networks.
    pub fn behind(self, proxies: Vec<IpNet>) -> Self {
        Site { proxies, ..self }
    }

    /// The address that a request comes from, given the peer's: what the proxies in front say, where they are listed.
    pub fn caller_address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let told = headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?"));
        let trusts = |address: IpAddr| self.proxies.iter().any(|network| network.contains(&address));
        keyward_core::forwarded::caller_address(told, peer.to_canonical(), trusts)
    }

    /// The same with the address at which callers reach the gateway: what snippets beside a new key are made for.
    pub fn with_gateway(self, url: &str) -> Self {
        Site { gateway: Some(url.trim_end_matches('/').to_owned()), ..self }
    }

    /// The address at which callers reach the gateway, where it is told.
    pub fn gateway(&self) -> Option<&str> {
        self.gateway.as_deref()
    }

    /// Its origin, as browsers write it: no slash at the end.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The address of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The name that one of our cookies has: with `__Host-`, which binds it to this host and to TLS (RFC 6265bis,
    /// section 4.1.3), where there is TLS.
    pub fn cookie_name(&self, name: &str) -> String {
        if self.is_https { format!("__Host-keyward-{name}") } else { format!("keyward-{name}") }
    }

    /// A cookie that sets a value: for this host only, out of reach of scripts, not sent along by other sites' forms.
    pub fn cookie(&self, name: &str, value: &str, max_age_seconds: Option<i64>) -> String {
        let mut cookie = Cookie::build((self.cookie_name(name), value.to_owned()))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.is_https)
            .build()
            .to_string();
        if let Some(seconds) = max_age_seconds {
            cookie.push_str(&format!("; Max-Age={seconds}"));
        }
        cookie
    }

    /// A cookie that takes a value away.
    pub fn no_cookie(&self, name: &str) -> String {
        self.cookie(name, "", Some(0))
    }

    /// The value of one of our cookies; none where the request has it not exactly once.
    pub fn read_cookie<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let name = self.cookie_name(name);
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether a request that changes something comes from one of our own pages (trust.md W01): by `Sec-Fetch-Site`,
    /// which every current browser sends and no page can set, else by `Origin`. What tells neither is no page of ours.
    pub fn is_same_origin(&self, method: &Method, headers: &HeaderMap) -> bool {
        if method.is_safe() {
            return true;
        }
        let mut sites = headers.get_all("sec-fetch-site").iter();
        let mut origins = headers.get_all(header::ORIGIN).iter();
        // No browser sends either twice: what does is refused.
        match (sites.next(), sites.next(), origins.next(), origins.next()) {
            (Some(site), None, ..) => site == "same-origin" || site == "none",
            (None, None, Some(origin), None) => {
                origin.to_str().is_ok_and(|origin| origin.eq_ignore_ascii_case(&self.origin))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_site_is_https_or_on_loopback() {
        for good in
            ["https://keys.example.com", "https://keys.example.com/", "http://127.0.0.1:7700", "http://[::1]:1"]
        {
            assert!(Site::new(good).is_ok(), "{good}");
        }
        for bad in ["", "keys.example.com", "http://keys.example.com", "https://a/b", "ftp://a", "https://u@a"] {
            assert!(Site::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn w01_cookies_are_bound_to_the_host() {
        let site = Site::new("https://keys.example.com").unwrap();
        let cookie = site.cookie("session", "abc", None);
        assert_eq!(cookie, "__Host-keyward-session=abc; HttpOnly; SameSite=Lax; Secure; Path=/");
        let sent = headers(&[("cookie", "a=b; __Host-keyward-session=abc")]);
        assert_eq!(site.read_cookie(&sent, "session"), Some("abc"));
        let twice = headers(&[("cookie", "__Host-keyward-session=abc"), ("cookie", "__Host-keyward-session=abd")]);
        assert_eq!(site.read_cookie(&twice, "session"), None);
        assert_eq!(site.read_cookie(&headers(&[("cookie", "keyward-session=abc")]), "session"), None);
    }

    #[test]
    fn h11_only_listed_proxies_speak_for_others() {
        let site = Site::new("https://keys.example.com").unwrap().behind(vec!["10.0.0.0/8".parse().unwrap()]);
        let told = headers(&[("x-forwarded-for", "6.6.6.6, 192.0.2.7")]);
        let from = |peer: &str| site.caller_address(&told, peer.parse().unwrap()).to_string();
        assert_eq!((from("10.0.0.1"), from("203.0.113.9")), ("192.0.2.7".into(), "203.0.113.9".into()));
    }

    #[test]
    fn w01_only_our_own_pages_change_anything() {
        let site = Site::new("https://keys.example.com").unwrap();
        let may = |method, pairs: &[(&'static str, &str)]| site.is_same_origin(&method, &headers(pairs));
        assert!(may(Method::GET, &[]));
        assert!(may(Method::POST, &[("sec-fetch-site", "same-origin")]));
        assert!(may(Method::POST, &[("origin", "https://keys.example.com")]));
        for foreign in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://keys.example.com")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://keys.example.com"), ("origin", "https://evil.example")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "http://keys.example.com")],
        ] {
            assert!(!may(Method::POST, foreign), "{foreign:?}");
            assert!(!may(Method::DELETE, foreign), "{foreign:?}");
        }
    }
}
