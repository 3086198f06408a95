//! The address that a project's encrypted requests go to, checked as far as that goes without asking the network. What its
//! name leads to is checked by the data plane with every connection.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;
use keyward_core::network;

/// Longest address, in bytes.
const LENGTH_MAX: usize = 2048;

/// An address as it is kept, without a slash at its end.
///
/// # Errors
/// Why it can be no destination, to go on from the field's name.
pub(crate) fn checked(url: &str, allowed: &[IpNet]) -> std::result::Result<String, String> {
    let form = || "must be an address such as https://api.example.com/v1, without a query".to_owned();
    if url.len() > LENGTH_MAX {
        return Err(format!("has more than {LENGTH_MAX} bytes"));
    }
    let parsed: Uri = url.parse().map_err(|_| form())?;
    let (Some(scheme), Some(authority)) = (parsed.scheme_str(), parsed.authority()) else { return Err(form()) };
    if !matches!(scheme, "http" | "https") || parsed.query().is_some() || url.contains(['#', '\\']) {
        return Err(form());
    }
    if authority.as_str().contains('@') {
        return Err("must hold no name and password".into());
    }
    if parsed.path().split('/').any(|part| matches!(part, "." | "..") || part.contains('%')) {
        return Err("must have a plain path, without dots and percent signs".into());
    }
    let host = authority.host();
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let may_be_plain = literal.parse().map_or(!allowed.is_empty(), |address| network::is_in(address, allowed));
    match literal.parse::<IpAddr>() {
        Ok(address) if !network::is_allowed(address, allowed) => {
            return Err("leads into a network that destinations must not lead into".into());
        }
        // Names of digits alone are addresses in disguise to some resolvers; no public name is like that.
        Err(_) if host.rsplit('.').find(|part| !part.is_empty()).is_none_or(is_number) => return Err(form()),
        Err(_) if is_local(host) && allowed.is_empty() => {
            return Err("leads into a network that destinations must not lead into".into());
        }
        _ if scheme == "http" && !may_be_plain => {
            return Err("must be https, unless destinations.allowed_networks has its network".into());
        }
        _ => {}
    }
    Ok(format!("{scheme}://{}{}", authority.as_str().to_ascii_lowercase(), parsed.path().trim_end_matches('/')))
}

fn is_number(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit()) || part.starts_with("0x") || part.starts_with("0X")
}

fn is_local(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_one_form() {
        for (given, kept) in [
            ("https://API.example.com", "https://api.example.com"),
            ("https://api.example.com/", "https://api.example.com"),
            ("https://api.example.com:8080/v1/Records/", "https://api.example.com:8080/v1/Records"),
            ("https://8.8.8.8/x", "https://8.8.8.8/x"),
            ("https://[2606:4700::1111]:8443", "https://[2606:4700::1111]:8443"),
        ] {
            assert_eq!(checked(given, &[]).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn h14_what_leads_inside_is_refused_unless_it_is_allowed() {
        let inside = [
            "http://127.0.0.1:9000",
            "http://10.1.2.3/x",
            "http://169.254.169.254/latest",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[fe80::1]/",
            "http://localhost:1",
            "http://a.localhost",
        ];
        for url in inside {
            assert!(checked(url, &[]).unwrap_err().contains("leads into"), "{url}");
        }
        let allowed = ["127.0.0.0/8".parse().unwrap()];
        assert!(checked("http://127.0.0.1:9000", &allowed).is_ok());
        assert!(checked("http://localhost:9000", &allowed).is_ok());
        assert!(checked("http://10.1.2.3", &allowed).is_err());
        for url in
            ["http://127.1", "http://2130706433", "http://0x7f000001", "http://127.0.0.0x1", "http://017700000001"]
        {
            assert!(checked(url, &[]).is_err(), "{url}");
        }
    }

    #[test]
    fn h14_http_is_for_networks_that_are_allowed() {
        let refused = Err("must be https, unless destinations.allowed_networks has its network".to_owned());
        assert_eq!(checked("http://api.example.com", &[]), refused);
        assert_eq!(checked("http://8.8.8.8", &[]), refused);
        let allowed = ["10.0.0.0/8".parse().unwrap()];
        // What a name leads to is looked at with every connection.
        assert!(checked("http://api.example.com", &allowed).is_ok());
        assert_eq!(checked("http://8.8.8.8", &allowed), refused);
        assert!(checked("http://10.1.2.3", &allowed).is_ok());
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for url in [
            "",
            "api.example.com",
            "/v1",
            "ftp://api.example.com",
            "https://",
            "https://user:pw@api.example.com",
            "https://api.example.com/?a=b",
            "https://api.example.com/#x",
            "https://api.example.com/a/../b",
            "https://api.example.com/%2e%2e/b",
            "https://api.example.com\\@other.example.com",
            "https://api example.com",
        ] {
            assert!(checked(url, &[]).is_err(), "{url}");
        }
    }
}
