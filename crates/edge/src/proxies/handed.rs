//! What a proxy hands over of the request that it asks about: method and target, each told once and without a
//! contradiction. nginx writes `X-Original-Method` and `X-Original-URI`, Caddy and Traefik `X-Forwarded-Method` and
//! `X-Forwarded-Uri`; one that asks under the request's own path hands both over by asking.

use http::header::{HeaderMap, HeaderName};

const METHOD: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-method"), HeaderName::from_static("x-original-method")];
const TARGET: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-uri"), HeaderName::from_static("x-original-uri")];

/// The request that a proxy asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: Option<&'a str>,
}

/// Why it cannot be told which request is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unclear {
    /// The proxy does not say: it is not set up to.
    Missing,
    /// It says two things, one of them probably what the caller sent.
    Contradictory,
}

impl<'a> Handed<'a> {
    /// Told by headers.
    pub fn in_headers(headers: &'a HeaderMap) -> Result<Self, Unclear> {
        Ok(Handed::of(told(headers, &METHOD)?, told(headers, &TARGET)?))
    }

    /// Of a method and a target.
    pub fn of(method: &'a str, target: &'a str) -> Self {
        match target.split_once('?') {
            Some((path, query)) => Handed { method, path, query: Some(query) },
            None => Handed { method, path: target, query: None },
        }
    }
}

/// What headers of these names say, if all say the same.
fn told<'a>(headers: &'a HeaderMap, names: &[HeaderName]) -> Result<&'a str, Unclear> {
    let mut values = names.iter().flat_map(|name| headers.get_all(name));
    let first = values.next().ok_or(Unclear::Missing)?;
    if values.any(|other| other != first) {
        return Err(Unclear::Contradictory);
    }
    match first.to_str() {
        Ok("") | Err(_) => Err(Unclear::Contradictory),
        Ok(text) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn either_pair_of_headers_will_do() {
        let get = Handed { method: "GET", path: "/a%20b", query: Some("c=d?e") };
        for prefix in ["x-forwarded-uri", "x-original-uri"] {
            let told = headers(&[("x-original-method", "GET"), (prefix, "/a%20b?c=d?e")]);
            assert_eq!(Handed::in_headers(&told), Ok(get));
        }
        let twice =
            headers(&[("x-forwarded-method", "GET"), ("x-original-method", "GET"), ("x-original-uri", "/")]);
        assert_eq!(Handed::in_headers(&twice), Ok(Handed { path: "/", query: None, ..get }));
    }

    #[test]
    fn h11_two_stories_are_none() {
        let method = ("x-forwarded-method", "GET");
        for told in [
            headers(&[method, ("x-forwarded-uri", "/a"), ("x-original-uri", "/b")]),
            headers(&[method, ("x-forwarded-uri", "/a"), ("x-forwarded-uri", "/b")]),
            headers(&[method, ("x-original-method", "POST"), ("x-forwarded-uri", "/a")]),
            headers(&[method, ("x-forwarded-uri", "")]),
        ] {
            assert_eq!(Handed::in_headers(&told), Err(Unclear::Contradictory), "{told:?}");
        }
        assert_eq!(Handed::in_headers(&headers(&[method])), Err(Unclear::Missing));
        assert_eq!(Handed::in_headers(&headers(&[("x-forwarded-uri", "/")])), Err(Unclear::Missing));
    }
}
