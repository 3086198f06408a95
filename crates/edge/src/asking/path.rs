//! The path that is decided on: one reading, or none. A path that servers read in different ways (a slash
//! that is encoded, a dot segment, an empty one) could be decided on as one thing and served as another.

use std::borrow::Cow;

/// How much a path may leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Nothing of the path matters for the decision: only what is no path at all is refused.
    Lenient,
    /// Routes decide: every server must read the path in the same way.
    Strict,
}

/// The path as routes match it: decoded once. None where it is refused.
pub(crate) fn canonical(path: &str, strictness: Strictness) -> Option<Cow<'_, str>> {
    if !path.starts_with('/') {
        return None;
    }
    if strictness == Strictness::Lenient {
        // Its decoded form matters to nobody here, so it need not be UTF-8.
        return is_sane(path).then_some(Cow::Borrowed(path));
    }
    let decoded = decode(path)?;
    // An encoded percent sign followed by two digits is decoded once more by careless servers.
    let is_escaped_twice = matches!(decoded, Cow::Owned(_)) && has_escape(&decoded);
    let is_plain = path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b';'))
        && !hides_structure(path)
        && !is_escaped_twice
        && !decoded.bytes().any(|b| b < 0x20 || b == 0x7f);
    let is_canonical = is_plain && decoded[1..].split('/').all(|segment| !matches!(segment, "." | ".."));
    (is_canonical && !decoded.contains("//")).then_some(decoded)
}

/// Whether an encoded byte is one that gives a path its structure: / \ ;
fn hides_structure(path: &str) -> bool {
    escapes(path).any(|byte| matches!(byte, Some(b'/' | b'\\' | b';') | None))
}

fn has_escape(text: &str) -> bool {
    escapes(text).any(|byte| byte.is_some())
}

fn is_sane(path: &str) -> bool {
    escapes(path).all(|byte| byte.is_some_and(|byte| byte != 0))
}

/// The bytes that percent signs stand for; none for a percent sign that stands for nothing.
fn escapes(text: &str) -> impl Iterator<Item = Option<u8>> {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'%').map(|(at, _)| {
        let digit = |at: usize| bytes.get(at).and_then(|&b| (b as char).to_digit(16));
        Some((digit(at + 1)? * 16 + digit(at + 2)?) as u8)
    })
}

/// A text with its percent-encoding taken off once. None where that is broken or the outcome is no UTF-8.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    decoded.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.as_bytes().get(..2)?;
        let digit = |at: usize| (digits[at] as char).to_digit(16);
        decoded.push((digit(0)? * 16 + digit(1)?) as u8);
        decoded.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h12_paths_with_one_reading_are_decoded() {
        for (path, decoded) in [
            ("/", "/"),
            ("/v1/org/categories", "/v1/org/categories"),
            ("/v1/%6Frg/x%20y", "/v1/org/x y"),
            ("/v1/caf%C3%A9/", "/v1/café/"),
            ("/a.b/..c/...", "/a.b/..c/..."),
            ("/100%25", "/100%"),
        ] {
            assert_eq!(canonical(path, Strictness::Strict).as_deref(), Some(decoded), "{path}");
        }
    }

    #[test]
    fn h12_paths_with_several_readings_are_refused() {
        let paths = [
            "",
            "*",
            "v1",
            "//",
            "/a//b",
            "/a/",
            "/./a",
            "/a/.",
            "/a/..",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0a",
            "/a%7f",
            "/a;x=1/b",
            "/a%3bx",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%ff",
            "/a%252fb",
            "/a%252e%252e/b",
            "/caf\u{e9}",
        ];
        for path in paths.iter().filter(|path| **path != "/a/") {
            assert_eq!(canonical(path, Strictness::Strict), None, "{path}");
        }
        assert_eq!(canonical("/a/", Strictness::Strict).as_deref(), Some("/a/"));
    }

    #[test]
    fn where_nothing_depends_on_it_only_nonsense_is_refused() {
        for path in ["/a//b", "/a/../b", "/a%2fb", "/a;b", "/a%ff", "/a%252f"] {
            assert_eq!(canonical(path, Strictness::Lenient).as_deref(), Some(path));
        }
        for path in ["", "*", "/a%00b", "/a%", "/a%zz"] {
            assert_eq!(canonical(path, Strictness::Lenient), None, "{path}");
        }
    }
}
