//! Header hygiene: what of a request's headers may reach the upstream, and of an answer's the caller.
//!
//! Everything of one hop, everything that a caller could pass off as ours and everything that tells of
//! hops we do not trust goes; ours is put in afterwards, so that nothing a request says can take it out.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, TE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Version};
use keyward_core::denial::Refusal;

/// Most headers and bytes of them that a request may have, and the longest target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadCaps {
    pub headers_max: usize,
    pub header_bytes_max: usize,
    pub target_bytes_max: usize,
}

/// Refuses a request whose head is too large, or could be read in more than one way.
pub(crate) fn check(parts: &Parts, caps: HeadCaps) -> Result<(), Refusal> {
    check_method(parts.method.as_str())?;
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > caps.target_bytes_max {
        return Err(Refusal::UriTooLong);
    }
    // A name, a value, and the four bytes around them.
    let bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if parts.headers.len() > caps.headers_max || target + bytes > caps.header_bytes_max {
        return Err(Refusal::HeadersTooLarge);
    }
    check_host(parts)?;
    let mut encodings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    let lengths = parts.headers.get_all(CONTENT_LENGTH).iter().count();
    if is_plain && lengths <= 1 { Ok(()) } else { Err(Refusal::BadRequest) }
}

/// Refuses a method that is never forwarded, or that servers could take for another.
pub(crate) fn check_method(method: &str) -> Result<(), Refusal> {
    let is_one = !method.is_empty() && method.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_lowercase());
    if is_one && !matches!(method, "TRACE" | "CONNECT") { Ok(()) } else { Err(Refusal::MethodNotAllowed) }
}

/// One Host, and the target's where that names one too.
fn check_host(parts: &Parts) -> Result<(), Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let named = parts.uri.authority().map(|authority| authority.as_str());
    let host = host.map(|host| host.to_str().unwrap_or("\0"));
    let fits = match (host, named) {
        _ if second.is_some() => false,
        (Some(host), Some(named)) => host.eq_ignore_ascii_case(named),
        (Some(host), None) => is_host(host),
        (None, Some(_)) => parts.version == Version::HTTP_2,
        (None, None) => parts.version == Version::HTTP_10,
    };
    let is_bare = named.is_none_or(|named| !named.contains('@'));
    if fits && is_bare { Ok(()) } else { Err(Refusal::BadRequest) }
}

fn is_host(text: &str) -> bool {
    text.bytes().all(|b| OF_A_HOST[usize::from(b)])
}

/// The characters of hosts, addresses in brackets and ports included (RFC 3986).
static OF_A_HOST: [bool; 256] = {
    let mut table = [false; 256];
    let signs = b"-._~:[]%!$&'()*+;=";
    let mut at = 0;
    while at < table.len() {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    at = 0;
    while at < signs.len() {
        table[signs[at] as usize] = true;
        at += 1;
    }
    table
};

/// The host that a request was made to.
pub(crate) fn host(parts: &Parts) -> Option<&str> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => parts.headers.get(HOST)?.to_str().ok(),
    }
}

/// Takes out of a request's headers all that must not reach the upstream. `is_proxy_trusted` keeps what the
/// peer says of hops before it.
pub(crate) fn clean_request(headers: &mut HeaderMap, version: Version, is_proxy_trusted: bool) {
    let takes_trailers =
        headers.get(TE).is_some_and(|te| names(te).any(|name| name.eq_ignore_ascii_case("trailers")));
    remove_listed(headers);
    let is_doomed = |name: &HeaderName| {
        let name = name.as_str();
        is_of_one_hop(name) || is_ours(name) || (!is_proxy_trusted && tells_of_hops(name)) || rewrites_target(name)
    };
    remove_where(headers, is_doomed);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if version == Version::HTTP_2 {
        join_cookies(headers);
    }
}

/// Whether an answer's length can be told in one way only.
pub(crate) fn is_clear(headers: &HeaderMap) -> bool {
    match (headers.get(TRANSFER_ENCODING), headers.get(CONTENT_LENGTH)) {
        (None, None) => true,
        (Some(encoding), None) => encoding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (None, Some(length)) => length.as_bytes().iter().all(u8::is_ascii_digit),
        (Some(_), Some(_)) => false,
    }
}

/// Takes out of an answer's headers all that is of one hop or could be taken for ours.
pub(crate) fn clean_answer(headers: &mut HeaderMap) {
    remove_listed(headers);
    remove_where(headers, |name| {
        let name = name.as_str();
        // Trailer stays: hyper sends only the trailers that it names.
        (is_of_one_hop(name) && name != "trailer") || is_ours(name)
    });
}

/// Takes out of trailers all that could be taken for ours, or for the message's own framing.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| {
        let name = name.as_str();
        is_ours(name)
            || is_of_one_hop(name)
            || matches!(name, "content-length" | "host" | "authorization" | "cookie")
    });
}

/// Whether any server could read a header's name as one of ours: many make no difference between a hyphen and
/// other signs.
pub(crate) fn is_ours(name: &str) -> bool {
    const OURS: &[u8; 9] = b"x-keyward";
    let name = name.as_bytes();
    name.first().is_some_and(|first| first.eq_ignore_ascii_case(&b'x'))
        && name.len() >= OURS.len()
        && name.iter().zip(OURS).all(|(&b, &ours)| match ours {
            b'-' => !b.is_ascii_alphanumeric(),
            letter => b.to_ascii_lowercase() == letter,
        })
        && name.get(OURS.len()).is_none_or(|b| !b.is_ascii_alphanumeric())
}

fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "transfer_encoding"
            | "content_length"
            | "upgrade"
            | "http2-settings"
            | "expect"
    )
}

/// Headers by which proxies tell of hops before them: anybody can write them.
fn tells_of_hops(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x') => {
            reads_as(name, "x-real-ip") || name.get(..12).is_some_and(|head| reads_as(head, "x-forwarded-"))
        }
        Some(b'f') => name == "forwarded",
        _ => false,
    }
}

/// Whether a server that makes no difference between a hyphen and an underscore could read a name as this one.
/// CGI and what descends from it does.
fn reads_as(name: &str, plain: &str) -> bool {
    name.len() == plain.len() && name.bytes().map(|b| if b == b'_' { b'-' } else { b }).eq(plain.bytes())
}

/// Headers by which some servers let a request name another target than the one decided on.
fn rewrites_target(name: &str) -> bool {
    name.starts_with('x') && ["x-original-url", "x-rewrite-url", "x-original-uri"].iter().any(|n| reads_as(name, n))
}

/// Headers by which some servers let a request name another method than the one decided on.
pub(crate) fn overrides_method(headers: &HeaderMap) -> bool {
    const NAMES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
    let is_one = |name: &HeaderName| NAMES.iter().any(|plain| reads_as(name.as_str(), plain));
    headers.keys().any(|name| name.as_str().starts_with('x') && is_one(name))
}

fn names(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim)
}

/// Whether a request asks to go on as another protocol, and that protocol is not HTTP.
pub(crate) fn upgrade(parts: &Parts) -> Option<HeaderValue> {
    let asks = parts.headers.get_all(CONNECTION).iter().flat_map(names).any(|n| n.eq_ignore_ascii_case("upgrade"));
    let protocol = parts.headers.get(http::header::UPGRADE)?;
    let is_http = names(protocol).any(|name| {
        let name = name.split('/').next().unwrap_or_default();
        name.is_empty()
            || ["h2", "h2c"].iter().any(|h2| name.eq_ignore_ascii_case(h2))
            || name.to_ascii_lowercase().starts_with("http")
    });
    (asks && !is_http && parts.version == Version::HTTP_11).then(|| protocol.clone())
}

/// Takes out Connection, and whatever it lists.
fn remove_listed(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(CONNECTION).iter();
    match (lines.next(), lines.next()) {
        (None, _) => return,
        // Nearly all that there are name no header.
        (Some(only), None) if [&b"keep-alive"[..], b"close"].iter().any(|word| only == *word) => {
            headers.remove(CONNECTION);
            return;
        }
        _ => {}
    }
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(names)
        // What the message itself stands on cannot be declared away.
        .filter(|name| {
            !["host", "content-length", "transfer-encoding"].iter().any(|n| name.eq_ignore_ascii_case(n))
        })
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect();
    for name in listed {
        headers.remove(name);
    }
}

fn remove_where(headers: &mut HeaderMap, is_doomed: impl Fn(&HeaderName) -> bool) {
    // Most requests have nothing to take out: then nothing is allocated.
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| is_doomed(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// HTTP/2 may split cookies over several headers; HTTP/1 has one.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let parts: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const CAPS: HeadCaps = HeadCaps { headers_max: 100, header_bytes_max: 16 * 1024, target_bytes_max: 8 * 1024 };

    fn parts(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(n, v): &(&str, &str)| (HeaderName::try_from(*n).unwrap(), HeaderValue::try_from(*v).unwrap());
        pairs.iter().map(pair).fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    #[test]
    fn h10_every_spelling_of_ours_is_removed() {
        let spellings = [
            "x-keyward-project",
            "X-KEYWARD-PROJECT",
            "X_Keyward_Project",
            "x_keyward-project",
            "x.keyward.key-id",
            "x-keyward",
            "x-keyward-",
            "x!keyward~scopes",
        ];
        for spelling in spellings {
            assert!(is_ours(spelling), "{spelling}");
            let mut headers = map(&[(spelling, "forged"), (spelling, "twice"), ("x-other", "stays")]);
            clean_request(&mut headers, Version::HTTP_11, true);
            assert_eq!(headers.len(), 1, "{spelling}");
        }
        for other in ["x-keywards", "keyward", "x-keywar", "xkeyward-project", "x-api-key"] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn h09_what_connection_lists_goes_and_so_does_connection() {
        let mut headers = map(&[
            ("connection", "close, X-Private"),
            ("connection", "content-length"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("te", "gzip, trailers"),
            ("content-length", "3"),
            ("x-public", "2"),
            ("http2-settings", "AAMAAABk"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic x"),
        ]);
        clean_request(&mut headers, Version::HTTP_11, false);
        assert_eq!(headers, map(&[("content-length", "3"), ("x-public", "2"), ("te", "trailers")]));
    }

    #[test]
    fn h11_what_tells_of_hops_goes_unless_the_peer_is_trusted() {
        let told = [("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4"), ("x-forwarded-prefix", "/x")];
        let mut headers = map(&told);
        clean_request(&mut headers, Version::HTTP_11, true);
        assert_eq!(headers, map(&told));
        clean_request(&mut headers, Version::HTTP_11, false);
        assert!(headers.is_empty());
        let mut headers = map(&[("x-original-url", "/admin"), ("x-rewrite-url", "/admin")]);
        clean_request(&mut headers, Version::HTTP_11, true);
        assert!(headers.is_empty());
    }

    #[test]
    fn h04_heads_have_a_size() {
        let many = |n: usize| {
            let start = Request::builder().uri("/").header("host", "a");
            (1..n).fold(start, |request, i| request.header(format!("x-{i}"), "v"))
        };
        assert_eq!(check(&parts(many(100)), CAPS), Ok(()));
        assert_eq!(check(&parts(many(101)), CAPS), Err(Refusal::HeadersTooLarge));
        let long = Request::builder().uri("/").header("host", "a").header("x", "v".repeat(16 * 1024));
        assert_eq!(check(&parts(long), CAPS), Err(Refusal::HeadersTooLarge));
        let uri = format!("/{}", "a".repeat(8 * 1024));
        assert_eq!(check(&parts(Request::builder().uri(uri).header("host", "a")), CAPS), Err(Refusal::UriTooLong));
    }

    #[test]
    fn h17_methods_and_targets_that_are_never_forwarded() {
        for method in ["TRACE", "CONNECT", "get", "Post"] {
            let request = Request::builder().method(method).uri("/").header("host", "a");
            assert_eq!(check(&parts(request), CAPS), Err(Refusal::MethodNotAllowed), "{method}");
        }
        let absolute = |host: &str| Request::builder().uri("http://a.example/x").header("host", host);
        assert_eq!(check(&parts(absolute("a.example")), CAPS), Ok(()));
        assert_eq!(check(&parts(absolute("b.example")), CAPS), Err(Refusal::BadRequest));
    }

    #[test]
    fn h08_there_is_one_host_and_one_framing() {
        let plain = || Request::builder().uri("/").header("host", "a");
        assert_eq!(check(&parts(plain()), CAPS), Ok(()));
        for bad in [
            Request::builder().uri("/"),
            plain().header("host", "a"),
            Request::builder().uri("/").header("host", "a/b"),
            plain().header("transfer-encoding", "gzip, chunked"),
            plain().header("transfer-encoding", "chunked").header("transfer-encoding", "chunked"),
        ] {
            assert_eq!(check(&parts(bad), CAPS), Err(Refusal::BadRequest));
        }
    }

    #[test]
    fn upgrades_are_to_other_protocols_than_http() {
        let asking = |protocol: &str| {
            upgrade(&parts(
                Request::builder().uri("/").header("connection", "keep-alive, Upgrade").header("upgrade", protocol),
            ))
        };
        assert!(asking("websocket").is_some());
        for http in ["h2c", "h2", "HTTP/2.0", "websocket, h2c", ""] {
            assert!(asking(http).is_none(), "{http}");
        }
    }

    #[test]
    fn cookies_that_http2_split_are_joined() {
        let mut headers = map(&[("cookie", "a=1"), ("cookie", "b=2")]);
        clean_request(&mut headers, Version::HTTP_2, false);
        assert_eq!(headers, map(&[("cookie", "a=1; b=2")]));
    }
}
