//! The framing of HTTP/1 requests, read along with hyper and more strictly: what two readers could take for
//! two different messages is refused, not repaired. hyper by itself accepts lines that end in a bare LF, a
//! Content-Length beside Transfer-Encoding, and repeated equal lengths.
//!
//! [`Framing`] sees every byte before hyper does and tells heads from bodies, so it also knows when a
//! connection waits for its next request. Everything else about a request is left to hyper and the doors.

/// The longest line of a chunk's size, extensions included, and the longest head that is looked at.
const CHUNK_LINE_MAX: usize = 4096;
const HEAD_MAX: usize = 64 * 1024;
const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
/// The one transfer coding that is spoken here.
const CHUNKED: &[u8] = b"chunked";

/// What must not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ambiguous;

/// Where in the stream of requests a connection is.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    head: Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a request's head, or before its first byte.
    Head,
    /// In a body, with so many bytes to come.
    Body(u64),
    /// In the line of a chunk's size.
    ChunkSize { size: u64, length: usize, digits_end: bool },
    /// In a chunk, with so many bytes to come, its CRLF included.
    Chunk(u64),
    /// In the trailers, on a line of so many bytes (CR not counted).
    Trailers { line: usize },
    /// No longer HTTP/1 requests.
    Ended,
}

/// What was read of a head so far.
#[derive(Debug, Default)]
struct Head {
    length: usize,
    line: usize,
    last: u8,
    /// The beginning of the line, in lower case, as far as a header's name is looked at.
    start: [u8; 20],
    content_length: Option<u64>,
    is_chunked: bool,
    has_request_line: bool,
    value: Value,
}

/// The value of the line that is being read, where it matters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Value {
    #[default]
    Other,
    Length(Option<u64>),
    /// So many letters of `chunked` so far.
    Encoding(usize),
}

impl Framing {
    pub fn new() -> Self {
        Framing { state: State::Head, head: Head::default() }
    }

    /// Whether the next byte would be the first of a request.
    pub fn is_between(&self) -> bool {
        self.state == State::Head && self.head.length == 0
    }

    /// Whether a request has begun and its end was not read.
    pub fn is_within(&self) -> bool {
        self.state != State::Ended && !self.is_between()
    }

    /// The connection is upgraded: what follows is no HTTP.
    pub fn end(&mut self) {
        self.state = State::Ended;
    }

    /// Reads the next bytes of the connection.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), Ambiguous> {
        while !bytes.is_empty() {
            let used = match &mut self.state {
                State::Ended => return Ok(()),
                State::Head => match self.read_whole_head(bytes) {
                    Some(used) => used?,
                    None => self.read_head(bytes)?,
                },
                State::Body(left) => {
                    let used = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= used as u64;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                    used
                }
                State::Chunk(left) => {
                    let used = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= used as u64;
                    if *left == 0 {
                        self.state = State::ChunkSize { size: 0, length: 0, digits_end: false };
                    }
                    used
                }
                State::ChunkSize { .. } => {
                    self.read_chunk_size(bytes[0])?;
                    1
                }
                State::Trailers { .. } => {
                    self.read_trailer(bytes[0]);
                    1
                }
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// The fast way for what nearly always comes: a head in one piece. None where it is something else.
    fn read_whole_head(&mut self, bytes: &[u8]) -> Option<Result<usize, Ambiguous>> {
        if self.head.length > 0 || bytes.len() > HEAD_MAX || matches!(bytes, [b'\r' | b'\n', ..]) {
            return None;
        }
        let (mut head, mut at) = (Head::default(), 0);
        loop {
            let end = at + memchr::memchr2(b'\r', b'\n', &bytes[at..])?;
            match bytes[end..] {
                [b'\r', b'\n', ..] => {}
                [b'\r'] => return None,
                _ => return Some(Err(Ambiguous)),
            }
            let line = &bytes[at..end];
            if line.is_empty() {
                let state = head.body();
                return Some(state.map(|state| {
                    self.state = state;
                    end + 2
                }));
            }
            if at > 0
                && says_where_the_message_ends(line)
                && let Err(ambiguous) = head.take_line(line)
            {
                return Some(Err(ambiguous));
            }
            at = end + 2;
        }
    }

    /// Reads a head byte by byte; gives how many bytes were of it.
    fn read_head(&mut self, bytes: &[u8]) -> Result<usize, Ambiguous> {
        let head = &mut self.head;
        for (at, &byte) in bytes.iter().enumerate() {
            head.length += 1;
            if head.length > HEAD_MAX {
                // hyper refuses it for its size.
                return Ok(bytes.len());
            }
            if byte != b'\n' {
                if head.last == b'\r' {
                    return Err(Ambiguous);
                }
                head.take(byte)?;
                head.last = byte;
                continue;
            }
            if head.last != b'\r' {
                return Err(Ambiguous);
            }
            let is_empty = head.line == 0;
            head.end_line()?;
            if is_empty && head.has_request_line {
                self.state = std::mem::take(&mut self.head).body()?;
                return Ok(at + 1);
            }
            if is_empty {
                // Empty lines before a request: hyper skips them too.
                self.head = Head::default();
                return Ok(at + 1);
            }
        }
        Ok(bytes.len())
    }

    /// hyper reads these lines strictly and refuses what is not as it should be; here only the size counts.
    fn read_chunk_size(&mut self, byte: u8) -> Result<(), Ambiguous> {
        let State::ChunkSize { size, length, digits_end } = &mut self.state else { return Ok(()) };
        *length += 1;
        if *length > CHUNK_LINE_MAX {
            return Err(Ambiguous);
        }
        match byte {
            b'\n' => {
                let size = *size;
                self.state = match size {
                    0 => State::Trailers { line: 0 },
                    _ => State::Chunk(size.checked_add(2).ok_or(Ambiguous)?),
                };
            }
            _ if *digits_end => {}
            _ => match (byte as char).to_digit(16) {
                Some(digit) => {
                    *size = size.checked_mul(16).and_then(|s| s.checked_add(digit.into())).ok_or(Ambiguous)?
                }
                None => *digits_end = true,
            },
        }
        Ok(())
    }

    fn read_trailer(&mut self, byte: u8) {
        let State::Trailers { line } = &mut self.state else { return };
        match byte {
            b'\n' if *line == 0 => self.state = State::Head,
            b'\n' => *line = 0,
            b'\r' => {}
            _ => *line += 1,
        }
    }
}

impl Head {
    /// A whole line that may be a header that matters.
    fn take_line(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        let Some(colon) = line.iter().take(self.start.len()).position(|&byte| byte == b':') else { return Ok(()) };
        self.start[..colon].copy_from_slice(&line[..colon]);
        self.start[..colon].make_ascii_lowercase();
        self.name_ends(colon)?;
        line[colon + 1..].iter().try_for_each(|&byte| self.take_of_value(byte))?;
        self.end_line()
    }

    /// What comes after the head.
    fn body(&self) -> Result<State, Ambiguous> {
        match (self.is_chunked, self.content_length) {
            (true, Some(_)) => Err(Ambiguous),
            (true, None) => Ok(State::ChunkSize { size: 0, length: 0, digits_end: false }),
            (false, Some(length)) if length > 0 => Ok(State::Body(length)),
            (false, _) => Ok(State::Head),
        }
    }

    /// The next byte of a line.
    fn take(&mut self, byte: u8) -> Result<(), Ambiguous> {
        if byte == b'\r' {
            return Ok(());
        }
        let column = self.line;
        self.line += 1;
        if self.value == Value::Other && byte == b':' && self.has_request_line {
            self.name_ends(column)?;
        } else {
            self.take_of_value(byte)?;
        }
        if let Some(place) = self.start.get_mut(column) {
            *place = byte.to_ascii_lowercase();
        }
        Ok(())
    }

    fn take_of_value(&mut self, byte: u8) -> Result<(), Ambiguous> {
        match self.value {
            Value::Length(sum) => self.value = Value::Length(length_with(sum, byte)?),
            Value::Encoding(letters) => self.value = Value::Encoding(encoding_with(letters, byte)?),
            Value::Other => {}
        }
        Ok(())
    }

    /// A colon: what stands before the first of a line is a header's name.
    fn name_ends(&mut self, column: usize) -> Result<(), Ambiguous> {
        match self.start.get(..column) {
            Some(b"content-length") if self.content_length.is_some() => return Err(Ambiguous),
            Some(b"content-length") => self.value = Value::Length(None),
            Some(b"transfer-encoding") if self.is_chunked => return Err(Ambiguous),
            Some(b"transfer-encoding") => {
                self.is_chunked = true;
                self.value = Value::Encoding(0);
            }
            _ => {}
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), Ambiguous> {
        match self.value {
            Value::Length(None) => return Err(Ambiguous),
            Value::Length(length) => self.content_length = length,
            Value::Encoding(letters) if letters < CHUNKED.len() => return Err(Ambiguous),
            Value::Encoding(_) | Value::Other => {}
        }
        self.has_request_line |= self.line > 0;
        (self.value, self.line, self.last, self.start) = (Value::Other, 0, b'\n', [0; 20]);
        Ok(())
    }
}

/// Whether a line is one of the two headers that matter here. Told by the length of the name first, which rules
/// out nearly every other.
fn says_where_the_message_ends(line: &[u8]) -> bool {
    let is_named =
        |name: &[u8]| line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name);
    is_named(CONTENT_LENGTH) || is_named(TRANSFER_ENCODING)
}

/// The next character of a Content-Length: digits, with blanks only around them.
fn length_with(sum: Option<u64>, byte: u8) -> Result<Option<u64>, Ambiguous> {
    match byte {
        b'0'..=b'9' => {
            let sum = sum.unwrap_or(0).checked_mul(10).and_then(|sum| sum.checked_add((byte - b'0').into()));
            sum.map(Some).ok_or(Ambiguous)
        }
        b' ' | b'\t' => Ok(sum),
        _ => Err(Ambiguous),
    }
}

/// The next character of a Transfer-Encoding: the one word, with blanks only around it.
fn encoding_with(letters: usize, byte: u8) -> Result<usize, Ambiguous> {
    match CHUNKED.get(letters) {
        Some(letter) if byte.eq_ignore_ascii_case(letter) => Ok(letters + 1),
        Some(_) if letters == 0 && matches!(byte, b' ' | b'\t') => Ok(0),
        None if matches!(byte, b' ' | b'\t') => Ok(letters),
        _ => Err(Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all at once and byte by byte; both must come to the same.
    fn read(text: &str) -> Result<bool, Ambiguous> {
        let mut whole = Framing::new();
        let outcome = whole.read(text.as_bytes());
        let mut dripped = Framing::new();
        let drip = text.bytes().try_for_each(|byte| dripped.read(&[byte]));
        assert_eq!(outcome, drip, "{text:?}");
        outcome.map(|()| whole.is_between())
    }

    #[test]
    fn h08_well_framed_requests_pass_and_end_where_they_end() {
        for (text, is_between) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\n", false),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", true),
            ("POST / HTTP/1.1\r\ncontent-LENGTH: 5\r\n\r\nab\ncd", true),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab\nc", false),
            ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n\n\n\n\r\n0\r\nA: b\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", false),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                true,
            ),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: \t CHUNKED \r\n\r\n0\r\n\r\n", true),
            ("GET /a:b HTTP/1.1\r\nX-A: content-length: 9\r\n\r\n", true),
        ] {
            assert_eq!(read(text), Ok(is_between), "{text:?}");
        }
    }

    #[test]
    fn h08_what_two_readers_could_read_differently_is_refused() {
        for text in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\rHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunkedx\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chun ked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n",
        ] {
            assert_eq!(read(text), Err(Ambiguous), "{text:?}");
        }
    }

    #[test]
    fn after_an_upgrade_nothing_is_read() {
        let mut framing = Framing::new();
        framing.end();
        assert_eq!(framing.read(b"\n\n\n"), Ok(()));
    }
}
