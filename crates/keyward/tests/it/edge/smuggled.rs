//! The corpus of `smuggling`: requests whose end can be read in two ways, and some whose end cannot. In all of
//! them `KEY` stands for a key that opens, `@` for the smuggled request, `LENGTH` for its length.

/// What must never become a request of its own. `KEY` stands for a key that opens.
pub const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\n\r\n";

/// Ambiguous or malformed requests: each is refused, and the connection closed. `@` stands for the smuggled request.
pub const REFUSED: &[(&str, &str)] = &[
    (
        "CL.TE",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE.CL",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4c\r\n@\r\n0\r\n\r\n",
    ),
    (
        "CL.0 with TE",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "CL twice, the same",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n@",
    ),
    (
        "CL twice, other",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\nContent-Length: 200\r\n\r\n@",
    ),
    (
        "CL as a list",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0, 0\r\n\r\n@",
    ),
    (
        "CL as a list of two",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0, 200\r\n\r\n@",
    ),
    (
        "CL with a plus",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: +0\r\n\r\n@",
    ),
    (
        "CL below zero",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: -1\r\n\r\n@",
    ),
    (
        "CL in hexadecimal",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0x0\r\n\r\n@",
    ),
    (
        "CL with an exponent",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0e1\r\n\r\n@",
    ),
    (
        "CL with words",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0 200\r\n\r\n@",
    ),
    ("CL empty", "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length:\r\n\r\n@"),
    (
        "CL beyond 64 bits",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 18446744073709551616\r\n\r\n@",
    ),
    (
        "CL after a blank that is none",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length:\u{a0}0\r\n\r\n@",
    ),
    (
        "CL with a blank before the colon",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length : 0\r\n\r\n@",
    ),
    (
        "TE with another coding after",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE with another coding before",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE gzip",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE unknown",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE quoted",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE with a parameter",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE empty",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding:\r\nContent-Length: 0\r\n\r\n@",
    ),
    (
        "TE with a vertical tab",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE with a blank before the colon",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE with a tab before the colon",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE after a blank",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE in a folded line",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nX: x\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE folded",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE after a bare LF",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nX: x\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE after a bare CR",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nX: x\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE twice",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE twice, other",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n@",
    ),
    (
        "TE in HTTP/1.0",
        "POST /outer HTTP/1.0\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n@",
    ),
    ("a head with bare LFs", "POST /outer HTTP/1.1\nHost: a\nAuthorization: Bearer KEY\nContent-Length: 0\n\n@"),
    (
        "an end of head with a bare LF",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\n\n@",
    ),
    (
        "two hosts",
        "POST /outer HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\n\r\n@",
    ),
    ("no host", "POST /outer HTTP/1.1\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\n\r\n@"),
    (
        "two blanks in the request line",
        "POST  /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\n\r\n@",
    ),
    (
        "a blank in the target",
        "POST /outer /smuggled HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\n\r\n@",
    ),
    (
        "a version that is none",
        "POST /outer HTTP/1.2\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\n\r\n@",
    ),
    ("HTTP/0.9", "GET /smuggled\r\n@"),
    (
        "NUL in a header",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n@",
    ),
    (
        "NUL in a name",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nX\0: a\r\nContent-Length: 0\r\n\r\n@",
    ),
    (
        "a header without a name",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\n: a\r\nContent-Length: 0\r\n\r\n@",
    ),
    (
        "a line without a colon",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nGET /smuggled HTTP/1.1\r\nContent-Length: 0\r\n\r\n@",
    ),
];

/// Bodies in broken chunks: the head is good, so some of it may be on its way to the upstream when the fault is found.
pub const BROKEN_CHUNKS: &[(&str, &str)] = &[
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n@"),
    ("a size with a plus", "+5\r\nhello\r\n0\r\n\r\n@"),
    ("a size below zero", "-5\r\nhello\r\n0\r\n\r\n@"),
    ("a size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n@"),
    ("no size", "\r\nhello\r\n0\r\n\r\n@"),
    ("a size that is none", "zz\r\nhello\r\n0\r\n\r\n@"),
    ("a size that ends in a bare LF", "5\nhello\r\n0\r\n\r\n@"),
    ("an extension with a bare LF", "5;a\nb\r\nhello\r\n0\r\n\r\n@"),
    ("a chunk that ends in a bare LF", "5\r\nhello\n0\r\n\r\n@"),
    ("a chunk longer than its size", "3\r\nhello\r\n0\r\n\r\n@"),
    ("a chunk without its end", "5\r\nhello0\r\n\r\n@"),
    ("a last chunk without its end", "5\r\nhello\r\n0\r\n@"),
    ("a size of digits in another script", "\u{0665}\r\nhello\r\n0\r\n\r\n@"),
];

/// Requests with one clear framing: each reaches the upstream, once and alone.
pub const FORWARDED: &[(&str, &str)] = &[
    (
        "a request in a body",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: LENGTH\r\n\r\n@",
    ),
    (
        "a request in a body of GET",
        "GET /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: LENGTH\r\n\r\n@",
    ),
    (
        "a request in a chunk",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\n\r\nHEXLENGTH\r\n@\r\n0\r\n\r\n",
    ),
    (
        "TE in capitals",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: CHUNKED\r\n\r\nHEXLENGTH\r\n@\r\n0\r\n\r\n",
    ),
    (
        "CL with zeros before it",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 000LENGTH\r\n\r\n@",
    ),
    (
        "TE with an underscore",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer_Encoding: chunked\r\nContent-Length: LENGTH\r\n\r\n@",
    ),
    (
        "CL named by Connection",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nConnection: Content-Length\r\nContent-Length: LENGTH\r\n\r\n@",
    ),
    (
        "TE named by Connection",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\nHEXLENGTH\r\n@\r\n0\r\n\r\n",
    ),
    (
        "Host named by Connection",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nConnection: Host\r\nContent-Length: LENGTH\r\n\r\n@",
    ),
    (
        "an extension",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\n\r\nHEXLENGTH;x=\"y\"\r\n@\r\n0;z\r\n\r\n",
    ),
    (
        "an upgrade to HTTP/2",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nContent-Length: LENGTH\r\n\r\n@",
    ),
    (
        "trailers of framing",
        "POST /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTE: trailers\r\nTrailer: Content-Length, X-Keyward-Project\r\nTransfer-Encoding: chunked\r\n\r\nHEXLENGTH\r\n@\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nX-Keyward-Project: forged\r\nAuthorization: Bearer x\r\n\r\n",
    ),
];

/// What a request of HTTP/2 is meant to do, its fields, and its body.
pub type Translated = (&'static str, Vec<(&'static str, Vec<u8>)>, &'static [u8]);

/// Requests of HTTP/2 that would become two, or another one, when written down as HTTP/1.
pub fn translated(key: &[u8]) -> Vec<Translated> {
    let base = |changed: &[(&'static str, &[u8])]| {
        let mut fields: Vec<(&'static str, Vec<u8>)> =
            [(":method", &b"POST"[..]), (":scheme", b"http"), (":path", b"/outer"), (":authority", b"a")]
                .into_iter()
                .map(|(name, value)| (name, value.to_vec()))
                .collect();
        for (name, value) in changed {
            match fields.iter_mut().find(|(own, _)| own == name && name.starts_with(':')) {
                Some(field) => field.1 = value.to_vec(),
                None => fields.push((name, value.to_vec())),
            }
        }
        fields.push(("authorization", key.to_vec()));
        fields
    };
    const TAIL: &[u8] = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    vec![
        ("transfer-encoding", base(&[("transfer-encoding", b"chunked")]), TAIL),
        ("a length that is too small", base(&[("content-length", b"0")]), TAIL),
        ("a length that is too large", base(&[("content-length", b"500")]), TAIL),
        ("two lengths", base(&[("content-length", b"0"), ("content-length", b"40")]), TAIL),
        ("a length that is none", base(&[("content-length", b"+0")]), TAIL),
        ("CRLF in a value", base(&[("x", b"a\r\nTransfer-Encoding: chunked")]), TAIL),
        ("LF in a value", base(&[("x", b"a\nTransfer-Encoding: chunked")]), TAIL),
        ("a whole request in a value", base(&[("x", b"a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a")]), b""),
        ("NUL in a value", base(&[("x", b"a\0b")]), b""),
        ("CRLF in a name", base(&[("x: a\r\ntransfer-encoding", b"chunked")]), TAIL),
        ("a colon in a name", base(&[("transfer-encoding:", b"chunked")]), TAIL),
        ("a blank in a name", base(&[("transfer-encoding ", b"chunked")]), TAIL),
        ("capitals in a name", base(&[("Transfer-Encoding", b"chunked")]), TAIL),
        ("connection", base(&[("connection", b"content-length")]), TAIL),
        ("upgrade", base(&[("upgrade", b"websocket")]), b""),
        ("CRLF in the path", base(&[(":path", b"/outer HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled")]), b""),
        ("a blank in the path", base(&[(":path", b"/outer HTTP/1.1 /x")]), b""),
        ("an empty path", base(&[(":path", b"")]), b""),
        ("an absolute path", base(&[(":path", b"http://b/smuggled")]), b""),
        ("CRLF in the method", base(&[(":method", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nPOST")]), b""),
        ("a blank in the method", base(&[(":method", b"GET /smuggled")]), b""),
        ("CRLF in the authority", base(&[(":authority", b"a\r\nTransfer-Encoding: chunked")]), TAIL),
        ("an authority and another host", base(&[("host", b"b")]), b""),
        ("user information", base(&[(":authority", b"a@b")]), b""),
        ("te", base(&[("te", b"chunked")]), TAIL),
        ("a late pseudo-header", base(&[("x", b"a"), (":unknown", b"b")]), b""),
        ("a trailer of framing", base(&[("trailer", b"content-length")]), TAIL),
    ]
}
