//! `Prefer: respond-async` (RFC 7240): who does not want to wait until a change is in force is answered once it is written,
//! with 202 and a place to ask.

use http::HeaderMap;

/// The preference that is known here.
pub(super) const RESPOND_ASYNC: &str = "respond-async";

/// Whether a request prefers not to wait. What cannot be read, or is not known, is passed over.
pub(super) fn respond_async(headers: &HeaderMap) -> bool {
    let lines = headers.get_all("prefer").iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| split(line, ',')).any(|preference| {
        let token = split(preference, ';').next().unwrap_or_default();
        let (name, value) = token.split_once('=').unwrap_or((token, ""));
        // An empty value is none; with another one it is no preference that is known.
        name.trim().eq_ignore_ascii_case(RESPOND_ASYNC) && matches!(value.trim(), "" | "\"\"")
    })
}

/// The parts of a text between separators that stand in no quoted string.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            '"' if !was_escaped => is_quoted = !is_quoted,
            _ => return c == separator && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn reads(lines: &[&[u8]]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("prefer", HeaderValue::from_bytes(line).unwrap());
        }
        respond_async(&headers)
    }

    #[test]
    fn the_preference_is_read_as_rfc_7240_writes_it() {
        for lines in [
            &[&b"respond-async"[..]][..],
            &[b"Respond-Async"],
            &[b"respond-async, wait=10"],
            &[b"wait=10,respond-async"],
            &[b"return=minimal", b" respond-async "],
            &[b"foo; a=\"x, y\", respond-async"],
            &[b"respond-async; foo=\"bar\""],
            &[b"respond-async=\"\""],
            &[b"\xff", b"respond-async"],
        ] {
            assert!(reads(lines), "{lines:?}");
        }
    }

    #[test]
    fn what_is_malformed_or_another_is_passed_over() {
        for lines in [
            &[][..],
            &[&b""[..]],
            &[b"respond-asynchronously"],
            &[b"respond async"],
            &[b"respond-async=yes"],
            &[b"wait=10"],
            &[b"foo=\"respond-async"],
            &[b"foo=\"a, respond-async, b\""],
            &[b"foo=\"\\\", respond-async\""],
            &[b"foo; respond-async"],
            &[b"\xff, respond-async"],
            &[b",,;=,"],
        ] {
            assert!(!reads(lines), "{lines:?}");
        }
    }
}
