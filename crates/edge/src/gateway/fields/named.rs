//! What a request's headers say of its fields: whether they are encrypted or decrypted, which they are, where the request
//! is to be sent on to; and which headers stay here.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderName};
use keyward_core::contract::EncryptionRules;
use keyward_core::denial::Refusal;

use crate::asking::path::{self, Strictness};
use crate::encryption::paths::{FieldPaths, NoField};
use crate::encryption::transform::Unfit;
use crate::upstream::Address;

/// What is done with fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Encrypt,
    Decrypt,
}

/// Headers that say something of a body's very bytes: untrue once any of them is another.
const OF_THE_BYTES: [&str; 5] = ["content-length", "content-md5", "digest", "content-digest", "repr-digest"];

/// The mode that a request asks for; encryption where it says nothing.
pub(crate) fn mode(rules: &EncryptionRules, headers: &HeaderMap) -> Result<Mode, Refusal> {
    let Some(name) = &rules.mode_header else { return Ok(Mode::Encrypt) };
    let mut mode = None;
    for value in headers.get_all(name) {
        let said = match value.as_bytes().trim_ascii() {
            word if word.eq_ignore_ascii_case(b"encrypt") => Mode::Encrypt,
            word if word.eq_ignore_ascii_case(b"decrypt") => Mode::Decrypt,
            _ => return Err(Refusal::BadRequest),
        };
        if mode.replace(said).is_some_and(|before| before != said) {
            return Err(Refusal::BadRequest);
        }
    }
    Ok(mode.unwrap_or(Mode::Encrypt))
}

/// The fields that a request names; none where it names none.
pub(crate) fn fields(rules: &EncryptionRules, headers: &HeaderMap) -> Result<Option<FieldPaths>, Unfit> {
    let Some(name) = &rules.fields_header else { return Ok(None) };
    let values: Option<Vec<&str>> =
        headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()).ok()).collect();
    let list = values.ok_or(Refusal::BadRequest)?.join(",");
    if list.trim_ascii().is_empty() {
        return Ok(None);
    }
    let parsed = FieldPaths::parse(&list);
    parsed.map(Some).map_err(|NoField(part)| Unfit::field(Refusal::FieldNotEncryptable, &part))
}

/// Where a request is to be sent on to: the project's destination, or a place below it that the request names. None
/// where the project has none.
pub(crate) fn destination(
    rules: &EncryptionRules,
    headers: &HeaderMap,
    configured: Option<&str>,
) -> Result<Option<Address>, Refusal> {
    // A destination that was accepted once and is no address any more leads nowhere.
    let configured: Option<Address> =
        configured.map(str::parse).transpose().map_err(|_| Refusal::DestinationRefused)?;
    let mut named = rules.destination_header.iter().flat_map(|name| headers.get_all(name));
    let Some(value) = named.next() else { return Ok(configured) };
    let named: Option<Address> = match named.next() {
        None => value.to_str().ok().and_then(|text| text.parse().ok()),
        Some(_) => None,
    };
    match (configured, named) {
        (Some(configured), Some(named)) if is_at_or_below(&named, &configured) => Ok(Some(named)),
        _ => Err(Refusal::DestinationRefused),
    }
}

fn is_at_or_below(named: &Address, configured: &Address) -> bool {
    let is_below = named.base_path.strip_prefix(configured.base_path.as_str());
    let is_one_reading =
        named.base_path.is_empty() || path::canonical(&named.base_path, Strictness::Strict).is_some();
    named.host.eq_ignore_ascii_case(&configured.host)
        && (named.port, named.is_tls) == (configured.port, configured.is_tls)
        && is_below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && is_one_reading
}

/// Refuses a body that is compressed: nothing is unpacked here, so no field would be found.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    match encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        true => Ok(()),
        false => Err(Refusal::UnsupportedBody),
    }
}

/// Takes out the headers that are for us, and where the body is `changed` those that are untrue of the new one.
pub(crate) fn strip(rules: &EncryptionRules, headers: &mut HeaderMap, changed: bool) {
    let own = [&rules.mode_header, &rules.fields_header, &rules.destination_header];
    let is_own = |name: &str| {
        own.iter().any(|own| own.as_deref() == Some(name))
            || rules.own_headers.as_deref().is_some_and(|beginning| name.starts_with(beginning))
    };
    let is_untrue = |name: &HeaderName| changed && OF_THE_BYTES.contains(&name.as_str());
    let doomed: Vec<HeaderName> =
        headers.keys().filter(|name| is_own(name.as_str()) || is_untrue(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
    if changed {
        headers.remove(CONTENT_LENGTH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> EncryptionRules {
        let source = "schema = 1\nextends = \"standard\"\n[encryption]\nmarker = \"m\"\nmode_header = \"X-A-Mode\"\n\
                      fields_header = \"X-A-Fields\"\ndestination_header = \"X-To\"\nown_headers = \"X-A-\"\n";
        let standard = include_str!("../../../../../contracts/standard.toml").to_owned();
        let presets = keyward_core::contract::Presets::new([("standard".to_owned(), standard)]);
        keyward_core::contract::Contract::read(source, &presets).unwrap().encryption.unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn the_mode_is_one_of_two_and_said_once() {
        let mode = |values: &[&str]| {
            let pairs: Vec<_> = values.iter().map(|value| ("x-a-mode", *value)).collect();
            mode(&rules(), &headers(&pairs))
        };
        assert_eq!((mode(&[]), mode(&["encrypt"])), (Ok(Mode::Encrypt), Ok(Mode::Encrypt)));
        assert_eq!((mode(&[" Decrypt "]), mode(&["decrypt", "DECRYPT"])), (Ok(Mode::Decrypt), Ok(Mode::Decrypt)));
        for bad in [&["hide"][..], &[""], &["encrypt", "decrypt"], &["encrypt,decrypt"]] {
            assert_eq!(mode(bad), Err(Refusal::BadRequest), "{bad:?}");
        }
    }

    #[test]
    fn fields_come_from_all_of_the_header() {
        let fields = |values: &[&str]| {
            let pairs: Vec<_> = values.iter().map(|value| ("x-a-fields", *value)).collect();
            fields(&rules(), &headers(&pairs)).map(|paths| paths.map(|paths| paths.named().join("|")))
        };
        assert_eq!(fields(&["title, body", "ü.x"]), Ok(Some("title|body|ü.x".into())));
        assert_eq!(
            (fields(&[]), fields(&["", " "])),
            (Ok(None), Err(Unfit::field(Refusal::FieldNotEncryptable, "")))
        );
        assert_eq!(fields(&["a,,b"]), Err(Unfit::field(Refusal::FieldNotEncryptable, "")));
        assert_eq!(fields(&["a..b"]), Err(Unfit::field(Refusal::FieldNotEncryptable, "a..b")));
    }

    #[test]
    fn h14_a_destination_is_the_projects_or_below_it() {
        let to = |named: &[&str], configured: Option<&str>| {
            let pairs: Vec<_> = named.iter().map(|value| ("x-to", *value)).collect();
            destination(&rules(), &headers(&pairs), configured).map(|to| to.map(|to| to.base_path))
        };
        let configured = Some("https://api.example.com/v1");
        assert_eq!((to(&[], None), to(&[], configured)), (Ok(None), Ok(Some("/v1".into()))));
        for (named, path) in [
            ("https://api.example.com/v1", "/v1"),
            ("https://API.example.com:443/v1/people", "/v1/people"),
            ("https://api.example.com/v1/", "/v1"),
        ] {
            assert_eq!(to(&[named], configured), Ok(Some(path.into())), "{named}");
        }
        for named in [
            "https://api.example.com",
            "https://api.example.com/v10",
            "https://api.example.com/v1/../x",
            "https://api.example.com/v1/%2e%2e/x",
            "https://api.example.com/v1//x",
            "http://api.example.com/v1",
            "https://api.example.com:444/v1",
            "https://evil.example.com/v1",
            "https://api.example.com@evil/v1",
            "https://api.example.com/v1?x",
            "https://api.example.com/v1#x",
            "ftp://api.example.com/v1",
            "/v1",
            "",
        ] {
            assert_eq!(to(&[named], configured), Err(Refusal::DestinationRefused), "{named}");
            assert_eq!(to(&[named], None), Err(Refusal::DestinationRefused), "{named}");
        }
        let twice = ["https://api.example.com/v1", "https://api.example.com/v1"];
        assert_eq!(to(&twice, configured), Err(Refusal::DestinationRefused));
    }

    #[test]
    fn headers_for_us_stay_here_and_those_of_the_old_bytes_with_them() {
        let all = [
            ("x-a-mode", "encrypt"),
            ("x-a-other", "1"),
            ("x-to", "x"),
            ("x-b", "kept"),
            ("content-length", "7"),
            ("content-md5", "x"),
            ("content-type", "application/json"),
        ];
        let left = |changed| {
            let mut headers = headers(&all);
            strip(&rules(), &mut headers, changed);
            headers.keys().map(|name| name.as_str().to_owned()).collect::<std::collections::BTreeSet<_>>()
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(left(true), names(&["x-b", "content-type"]));
        assert_eq!(left(false), names(&["x-b", "content-length", "content-md5", "content-type"]));
    }
}
