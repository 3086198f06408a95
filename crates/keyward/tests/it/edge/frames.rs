//! HTTP/2 written by hand, for requests that no client library would send. Headers are literals without an
//! index and without Huffman's code, which every peer has to read.

use crate::harness::raw::Socket;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const PRIORITY: u8 = 2;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A connection that speaks HTTP/2 from its first byte.
pub struct Connection {
    socket: Socket,
    unread: Vec<u8>,
}

/// A frame as it came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Connection {
    /// Connects and sends the preface with empty settings.
    pub fn open(address: &str) -> Self {
        let mut connection = Connection { socket: Socket::connect(address), unread: Vec::new() };
        connection.socket.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        connection.send(SETTINGS, 0, 0, &[]);
        connection
    }

    /// Sends a frame; whether the other side still took it.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.socket.send(frame(kind, flags, stream, payload))
    }

    /// The next frame; none once the connection has ended.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(head) = self.unread.first_chunk::<9>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let (kind, flags) = (head[3], head[4]);
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                if self.unread.len() >= 9 + length {
                    let payload = self.unread[9..9 + length].to_vec();
                    self.unread.drain(..9 + length);
                    return Some(Frame { kind, flags, stream, payload });
                }
            }
            self.unread.extend(self.socket.some()?);
        }
    }

    /// Reads until `stream` has ended in one way or the other; its answer's first byte of headers tells the
    /// status where that is one of HPACK's own. None where it was reset or the connection ended.
    pub fn outcome(&mut self, stream: u32) -> Option<u16> {
        let mut status = None;
        while let Some(frame) = self.next() {
            match frame.kind {
                GOAWAY => return status,
                RST_STREAM if frame.stream == stream => return status,
                HEADERS if frame.stream == stream => {
                    status = Some(status_of(&frame.payload));
                    if frame.flags & END_STREAM != 0 {
                        return status;
                    }
                }
                DATA if frame.stream == stream && frame.flags & END_STREAM != 0 => return status,
                _ => {}
            }
        }
        status
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The status of an answer, where HPACK's static table has it; 0 for others.
fn status_of(block: &[u8]) -> u16 {
    const IN_TABLE: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // Updates of the dynamic table's size stand before the first field.
    let first = block.iter().find(|&&byte| byte & 0xe0 != 0x20).copied().unwrap_or_default();
    if (0x88..=0x8e).contains(&first) { IN_TABLE[usize::from(first - 0x88)] } else { Default::default() }
}

/// A header block.
pub fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        literal(name.as_bytes(), &mut block);
        literal(value, &mut block);
    }
    block
}

/// A text with its length before it, as an integer with a prefix of seven bits.
fn literal(text: &[u8], block: &mut Vec<u8>) {
    if text.len() < 127 {
        block.push(text.len() as u8);
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push((rest % 128 + 128) as u8);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}
