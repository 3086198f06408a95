//! The credential: found in the places that the contract names and nowhere else, read strictly, and taken
//! out of whatever goes on to the upstream.

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName};
use keyward_core::contract;
use keyward_core::denial::Refusal;

/// A place a credential can travel in, prepared for looking.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Header { name: HeaderName, scheme: Option<Box<str>> },
    Query { name: Box<str> },
}

impl Place {
    /// A contract's place. None where its name is no header's: contracts are checked, so there is none.
    pub fn of(place: &contract::Place) -> Option<Self> {
        Some(match place {
            contract::Place::Header { name, scheme } => {
                Place::Header { name: name.parse().ok()?, scheme: scheme.as_deref().map(Box::from) }
            }
            contract::Place::Query { name } => Place::Query { name: name.as_str().into() },
        })
    }
}

/// The credential of a request. The first place in use decides alone, whatever stands in the others.
///
/// # Errors
/// `MissingKey` where no place is in use, `MalformedKey` where the first in use holds no one credential.
pub(crate) fn find<'r>(
    places: &[Place],
    headers: &'r HeaderMap,
    query: Option<&'r str>,
) -> Result<Cow<'r, str>, Refusal> {
    for place in places {
        let found = match place {
            Place::Header { name, scheme } => in_header(headers, name, scheme.as_deref()),
            Place::Query { name } => query.and_then(|query| in_query(query, name)),
        };
        if let Some(found) = found {
            return found.ok_or(Refusal::MalformedKey);
        }
    }
    Err(Refusal::MissingKey)
}

/// Some where the header is there; inside, the credential where it is one.
fn in_header<'r>(headers: &'r HeaderMap, name: &HeaderName, scheme: Option<&str>) -> Option<Option<Cow<'r, str>>> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some(None);
    }
    let credential = match scheme {
        None => Some(value.as_bytes()),
        Some(scheme) => after_scheme(value.as_bytes(), scheme),
    };
    Some(credential.and_then(one_token).map(Cow::Borrowed))
}

/// What stands after `scheme`, in any case, and exactly one space.
fn after_scheme<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (before, after) = value.split_at_checked(scheme.len())?;
    if !before.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    after.strip_prefix(b" ")
}

/// One run of visible ASCII without commas, which join what were several headers.
fn one_token(bytes: &[u8]) -> Option<&str> {
    // Looks at every byte, come what may: that is faster than stopping at the first that does not fit.
    let is_one = !bytes.is_empty() & bytes.iter().fold(true, |fits, b| fits & b.is_ascii_graphic() & (*b != b','));
    if is_one { std::str::from_utf8(bytes).ok() } else { None }
}

/// Some where the parameter is there; inside, the credential where it is one.
fn in_query<'r>(query: &'r str, name: &str) -> Option<Option<Cow<'r, str>>> {
    let mut values = query.split('&').filter_map(|part| value_of(part, name));
    let value = values.next()?;
    if values.next().is_some() {
        return Some(None);
    }
    let value = super::path::decode(value);
    Some(value.filter(|value| one_token(value.as_bytes()).is_some()))
}

/// The value of a part of a query, where the part is the parameter `name`, however it is written.
fn value_of<'q>(part: &'q str, name: &str) -> Option<&'q str> {
    let (key, value) = part.split_once('=').unwrap_or((part, ""));
    let is_named = key == name || (key.contains('%') && super::path::decode(key).is_some_and(|key| key == name));
    is_named.then_some(value)
}

/// Takes every place's credential out of the headers.
pub(crate) fn strip_headers(places: &[Place], headers: &mut HeaderMap) {
    for place in places {
        if let Place::Header { name, .. } = place {
            headers.remove(name);
        }
    }
}

/// Whether a header is one that a credential travels in.
pub(crate) fn is_header_of(places: &[Place], header: &HeaderName) -> bool {
    places.iter().any(|place| matches!(place, Place::Header { name, .. } if name == header))
}

/// The names, as they are written, of a query's parameters that hold a credential; each once.
pub(crate) fn parameters<'q>(places: &[Place], query: &'q str) -> Vec<&'q str> {
    let is_credential = |part: &&str| {
        places.iter().any(|place| matches!(place, Place::Query { name } if value_of(part, name).is_some()))
    };
    let mut names: Vec<&str> = Vec::new();
    for part in query.split('&').filter(is_credential) {
        let name = part.split('=').next().unwrap_or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The query without any place's credential, the rest byte for byte; none where nothing is to be taken out.
pub(crate) fn strip_query(places: &[Place], query: &str) -> Option<String> {
    let is_credential = |part: &str| {
        places.iter().any(|place| matches!(place, Place::Query { name } if value_of(part, name).is_some()))
    };
    if !query.split('&').any(is_credential) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(|part| !is_credential(part)).collect();
    Some(kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn bearer() -> Vec<Place> {
        vec![Place::Header { name: http::header::AUTHORIZATION, scheme: Some("Bearer".into()) }]
    }

    fn header_or_query() -> Vec<Place> {
        vec![
            Place::Header { name: HeaderName::from_static("x-api-key"), scheme: None },
            Place::Query { name: "api_key".into() },
        ]
    }

    fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    fn found(places: &[Place], pairs: &[(&str, &[u8])], query: Option<&str>) -> Result<String, Refusal> {
        find(places, &headers(pairs), query).map(Cow::into_owned)
    }

    #[test]
    fn g14_only_the_named_header_and_scheme_count() {
        let key = || Ok("k-1_a=".to_owned());
        assert_eq!(found(&bearer(), &[("authorization", b"Bearer k-1_a=")], None), key());
        assert_eq!(found(&bearer(), &[("Authorization", b"bEaReR k-1_a=")], None), key());
        assert_eq!(found(&bearer(), &[("authorization", b"Basic k")], None), Err(Refusal::MalformedKey));
        assert_eq!(found(&bearer(), &[("authorization", b"k")], None), Err(Refusal::MalformedKey));
        assert_eq!(found(&bearer(), &[("x-api-key", b"k")], Some("api_key=k")), Err(Refusal::MissingKey));
    }

    #[test]
    fn h03_odd_shapes_are_never_accepted() {
        let shapes: [&[u8]; 13] = [
            b"",
            b"Bearer",
            b"Bearer ",
            b"Bearer  x",
            b"bearer\tx",
            b"Bearer a, Bearer b",
            b"Bearer a,b",
            b"Bearer a b",
            b"Bearer a\t",
            b"Bearer \x80",
            b"Bearer caf\xc3\xa9",
            b"Bearerx",
            b"Bearer: x",
        ];
        for shape in shapes {
            assert_eq!(
                found(&bearer(), &[("authorization", shape)], None),
                Err(Refusal::MalformedKey),
                "{shape:?}"
            );
        }
        assert_eq!(found(&header_or_query(), &[("x-api-key", b"a b")], None), Err(Refusal::MalformedKey));
    }

    #[test]
    fn h01_a_header_twice_is_refused_even_with_equal_values() {
        for second in [&b"Bearer a"[..], b"Bearer b"] {
            let twice = [("authorization", &b"Bearer a"[..]), ("authorization", second)];
            assert_eq!(found(&bearer(), &twice, None), Err(Refusal::MalformedKey));
        }
    }

    #[test]
    fn h02_the_first_place_in_use_decides_alone() {
        let places = header_or_query();
        assert_eq!(found(&places, &[("x-api-key", b"k1")], Some("api_key=k2")), Ok("k1".into()));
        assert_eq!(found(&places, &[("x-api-key", b"")], Some("api_key=k2")), Err(Refusal::MalformedKey));
        assert_eq!(found(&places, &[("x-api-key", b"k1")], Some("api_key=a&api_key=b")), Ok("k1".into()));
        assert_eq!(found(&places, &[], Some("a=1")), Err(Refusal::MissingKey));
    }

    #[test]
    fn p19_the_query_parameter_is_decoded() {
        let places = header_or_query();
        for query in ["api_key=pf_1", "a=b&api_key=pf%5F1&c", "api%5Fkey=pf_1", "&&api_key=%70f_1"] {
            assert_eq!(found(&places, &[], Some(query)), Ok("pf_1".into()), "{query}");
        }
        assert_eq!(found(&places, &[], Some("api_key=a+b/c==")), Ok("a+b/c==".into()));
        for query in [
            "api_key",
            "api_key=",
            "api_key=%",
            "api_key=%zz",
            "api_key=%00",
            "api_key=a%20b",
            "api_key=a&api_key=a",
        ] {
            assert_eq!(found(&places, &[], Some(query)), Err(Refusal::MalformedKey), "{query}");
        }
    }

    #[test]
    fn p20_k08_the_query_is_stripped_and_its_rest_untouched() {
        let places = header_or_query();
        for (query, rest) in [
            ("api_key=k", Some("")),
            ("a=1&api_key=k&b=%2F&c", Some("a=1&b=%2F&c")),
            ("api_key=k&api%5fkey=l&z", Some("z")),
            ("a=1&&api_key=k", Some("a=1&")),
            ("a=api_key=k", None),
            ("api_keys=k", None),
        ] {
            assert_eq!(strip_query(&places, query).as_deref(), rest, "{query}");
        }
        let mut map = headers(&[("x-api-key", b"a"), ("x-api-key", b"b"), ("authorization", b"Bearer stays")]);
        strip_headers(&places, &mut map);
        assert_eq!(map, headers(&[("authorization", b"Bearer stays")]));
    }
}
