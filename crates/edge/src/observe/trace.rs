//! Traces by the W3C's Trace Context: which trace a request belongs to, and what the upstream is told of it.
//!
//! A trace that the caller names is gone on with where the caller is a proxy that is trusted; anybody else could fill the
//! operator's traces, or make every upstream keep its own. Then a new trace begins, whose id is the request's.

use http::header::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const SAMPLED: u8 = 1;

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span that the request was made in.
    pub span: [u8; 8],
    /// Whether the caller keeps this trace.
    pub is_sampled: bool,
}

/// The trace that a request is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Its id.
    pub id: [u8; 16],
    /// The caller's span, where one is gone on with.
    pub parent: Option<[u8; 8]>,
    /// The request's own span.
    pub span: [u8; 8],
    /// The span of what is asked of the upstream.
    pub upstream_span: [u8; 8],
    /// Whether it is kept.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`: version, trace, span and flags.
    pub fn parse(value: &[u8]) -> Option<Self> {
        // A later version may say more behind a further dash; what is known stands where it stood.
        let (known, rest) = value.split_at_checked(55)?;
        let [version] = hex(&known[..2])?;
        let is_later = rest.first() == Some(&b'-') && version > 0;
        let dashes = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        if !dashes || version == 0xff || !(rest.is_empty() || is_later) {
            return None;
        }
        let (trace, span) = (hex(&known[3..35])?, hex(&known[36..52])?);
        let [flags] = hex(&known[53..55])?;
        let is_valid = trace != [0; 16] && span != [0; 8];
        is_valid.then_some(TraceContext { trace, span, is_sampled: flags & SAMPLED != 0 })
    }

    /// As a header's value.
    pub fn header(&self) -> HeaderValue {
        let mut text = String::from("00-");
        write(&self.trace, &mut text);
        text.push('-');
        write(&self.span, &mut text);
        text.push_str(if self.is_sampled { "-01" } else { "-00" });
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

impl Trace {
    /// The trace of a request with these headers, in which the upstream is told of it; `sampled` as an observer says it.
    /// New ids come from the request's and from `ids`.
    pub(crate) fn begin(
        headers: &mut HeaderMap,
        is_trusted: bool,
        sampled: Option<f64>,
        (request_id, ids): (&HeaderValue, impl Fn() -> HeaderValue),
    ) -> Option<Trace> {
        let parent = if is_trusted { given(headers) } else { None };
        let Some(sampled) = sampled else {
            // Nobody keeps traces here: headers go through as they came, and the log knows a trusted proxy's trace.
            let parent = parent?;
            let TraceContext { trace, span, .. } = parent;
            return Some(Trace { id: trace, parent: Some(span), span, upstream_span: span, is_sampled: false });
        };
        let new: [u8; 16] = hex(ids().as_bytes())?;
        let (span, upstream_span) = (half(&new, 0), half(&new, 8));
        let id = match parent {
            Some(parent) => parent.trace,
            None => hex(request_id.as_bytes())?,
        };
        let is_sampled = parent.map_or_else(|| is_chosen(&id, sampled), |parent| parent.is_sampled);
        let trace = Trace { id, parent: parent.map(|parent| parent.span), span, upstream_span, is_sampled };
        if parent.is_none() {
            headers.remove(TRACESTATE);
        }
        // A span that is not kept must not be anybody's parent: where a trace is gone on with, its own stays that.
        let told = match parent {
            Some(parent) if !is_sampled => parent,
            _ => TraceContext { trace: id, span: upstream_span, is_sampled },
        };
        headers.insert(TRACEPARENT, told.header());
        Some(trace)
    }

    /// The trace's id, in hexadecimal.
    pub fn id_text(&self) -> String {
        let mut text = String::with_capacity(32);
        write(&self.id, &mut text);
        text
    }
}

/// The one trace that headers name.
fn given(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { TraceContext::parse(value.as_bytes()) }
}

/// Whether a new trace is among the share that is kept: told by its id, so that all who see it choose alike.
fn is_chosen(id: &[u8; 16], share: f64) -> bool {
    let number = u64::from_be_bytes(half(id, 8)) >> 1;
    share >= 1.0 || (number as f64) < share * (1u64 << 63) as f64
}

fn half(bytes: &[u8; 16], from: usize) -> [u8; 8] {
    std::array::from_fn(|at| bytes[from + at])
}

/// Lower-case hexadecimal, as the standard has it.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn write(bytes: &[u8], into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        into.push(char::from(DIGITS[usize::from(byte >> 4)]));
        into.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const REQUEST: HeaderValue = HeaderValue::from_static("0123456789abcdef0123456789abcdef");
    const NEW: HeaderValue = HeaderValue::from_static("1111111111111111aaaaaaaaaaaaaaaa");

    fn headers(parent: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::try_from(parent).unwrap());
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        headers
    }

    fn begin(headers: &mut HeaderMap, is_trusted: bool, sampled: Option<f64>) -> Option<Trace> {
        Trace::begin(headers, is_trusted, sampled, (&REQUEST, || NEW))
    }

    #[test]
    fn a_traceparent_is_read_as_the_standard_has_it() {
        let read = TraceContext::parse(PARENT.as_bytes()).unwrap();
        assert_eq!(read.header(), PARENT);
        assert!(TraceContext::parse(format!("cc{}-later", &PARENT[2..]).as_bytes()).is_some());
        for bad in [
            "",
            "00",
            &PARENT[..54],
            &format!("{PARENT}-more"),
            &format!("ff{}", &PARENT[2..]),
            &PARENT.to_uppercase(),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace('-', "_"),
        ] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn only_a_trusted_proxys_trace_is_gone_on_with() {
        let mut map = headers(PARENT);
        let trace = begin(&mut map, true, Some(0.0)).unwrap();
        assert_eq!((trace.id_text().as_str(), trace.is_sampled), ("4bf92f3577b34da6a3ce929d0e0e4736", true));
        assert_eq!(map[TRACEPARENT], "00-4bf92f3577b34da6a3ce929d0e0e4736-aaaaaaaaaaaaaaaa-01");
        assert_eq!(map[TRACESTATE], "a=b");

        let mut map = headers(PARENT);
        let trace = begin(&mut map, false, Some(0.0)).unwrap();
        assert_eq!((trace.parent, trace.is_sampled), (None, false));
        assert_eq!(map[TRACEPARENT], "00-0123456789abcdef0123456789abcdef-aaaaaaaaaaaaaaaa-00");
        assert!(!map.contains_key(TRACESTATE));
    }

    #[test]
    fn a_trace_that_the_proxy_does_not_keep_is_not_kept_here() {
        let unsampled = PARENT.replace("-01", "-00");
        let mut map = headers(&unsampled);
        assert!(!begin(&mut map, true, Some(1.0)).unwrap().is_sampled);
        assert_eq!(map[TRACEPARENT], unsampled);
    }

    #[test]
    fn where_nobody_keeps_traces_headers_are_left_alone() {
        for is_trusted in [true, false] {
            let mut map = headers(PARENT);
            assert_eq!(begin(&mut map, is_trusted, None).is_some(), is_trusted);
            assert_eq!(map, headers(PARENT));
        }
    }

    #[test]
    fn the_share_is_of_all_ids() {
        let ids = (0..10_000u64).map(|n| {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            id
        });
        let chosen = ids.filter(|id| is_chosen(id, 0.25)).count();
        assert!((2400..2600).contains(&chosen), "{chosen}");
        assert!(is_chosen(&[0xff; 16], 1.0) && !is_chosen(&[0; 16], 0.0));
    }
}
