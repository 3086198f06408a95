//! The frames of HTTP/2, counted along with hyper: frames that cost a caller nothing and us something (pings, settings,
//! resets, empty data, …) are paid from a credit that grows with time and with what we answer. h2 bounds the
//! memory that each of them can take, and some kinds of them by number; it does not bound how many of the others a
//! connection may keep us busy with.
//!
//! [`Frames`] sees every byte before hyper does, so it also knows when the connection's next frames are awaited that a
//! header block, or the preface, is not complete without. What frames mean is left to h2.

/// The most credit, and what a connection begins with.
const CREDIT_MAX: u32 = 4096;
/// What a tick (a quarter of a second) gives.
const CREDIT_OF_TICK: u32 = 128;
/// So many bytes of ours are worth one.
const BYTES_OF_CREDIT: u32 = 16;
/// What a frame costs that makes us write one as well; h2 answers pings and settings with a frame of 9 to 17 bytes.
const ANSWERED: u32 = 4;
/// What other frames cost that carry nothing.
const IDLE: u32 = 1;

const PREFACE_BYTES: u32 = 24;
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// A caller sent too many frames that carry nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flood;

/// Where in the stream of frames a connection is, and what it may still cost.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Bytes to come before the next frame's head: of the preface or of a payload.
    left: u32,
    head: [u8; HEAD_BYTES],
    head_length: usize,
    has_begun: bool,
    is_in_block: bool,
    credit: u32,
    /// The tick that credit was last given for.
    tick: u32,
    /// Bytes of ours that no credit was given for yet.
    written: u32,
}

impl Frames {
    /// A connection's, from its first byte.
    pub fn new(tick: u32) -> Self {
        Frames {
            left: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_length: 0,
            has_begun: false,
            is_in_block: false,
            credit: CREDIT_MAX,
            tick,
            written: 0,
        }
    }

    /// Whether the caller has begun what it must go on with: its preface and settings, or a header block.
    pub fn is_awaited(&self) -> bool {
        !self.has_begun || self.is_in_block
    }

    /// Notes what was written to the caller.
    pub fn wrote(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Reads the next bytes of the connection.
    pub fn read(&mut self, mut bytes: &[u8], tick: u32) -> Result<(), Flood> {
        self.earn(tick);
        while !bytes.is_empty() {
            if self.left > 0 {
                let used = bytes.len().min(self.left as usize);
                self.left -= used as u32;
                bytes = &bytes[used..];
                continue;
            }
            let used = bytes.len().min(HEAD_BYTES - self.head_length);
            self.head[self.head_length..self.head_length + used].copy_from_slice(&bytes[..used]);
            self.head_length += used;
            bytes = &bytes[used..];
            if self.head_length == HEAD_BYTES {
                self.head_length = 0;
                self.begin_frame()?;
            }
        }
        Ok(())
    }

    fn begin_frame(&mut self) -> Result<(), Flood> {
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = u32::from_be_bytes([0, a, b, c]);
        self.has_begun = true;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.is_in_block = flags & END_HEADERS == 0;
        }
        let cost = match kind {
            DATA if self.left > 0 && flags & PADDED == 0 => 0,
            DATA if self.left == 0 && flags & END_STREAM != 0 => 0,
            HEADERS | GOAWAY => 0,
            PING | SETTINGS | RST_STREAM => ANSWERED,
            _ => IDLE,
        };
        self.credit = self.credit.checked_sub(cost).ok_or(Flood)?;
        Ok(())
    }

    fn earn(&mut self, tick: u32) {
        let ticks = tick.saturating_sub(std::mem::replace(&mut self.tick, tick));
        let written = self.written / BYTES_OF_CREDIT;
        self.written %= BYTES_OF_CREDIT;
        let earned = ticks.saturating_mul(CREDIT_OF_TICK).saturating_add(written);
        self.credit = self.credit.saturating_add(earned).min(CREDIT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut frame = (payload as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.resize(HEAD_BYTES + payload, b'x');
        frame
    }

    fn begun() -> Frames {
        let mut frames = Frames::new(0);
        frames.read(PREFACE, 0).unwrap();
        frames.read(&frame(SETTINGS, 0, 0), 0).unwrap();
        frames
    }

    /// How many of a frame are taken, at most `most`.
    fn taken(frames: &mut Frames, frame: &[u8], tick: u32, most: usize) -> usize {
        (0..most).take_while(|_| frames.read(frame, tick).is_ok()).count()
    }

    #[test]
    fn h07_what_carries_nothing_is_taken_so_many_times() {
        let dear = [frame(PING, 0, 8), frame(SETTINGS, 0, 6), frame(RST_STREAM, 0, 4)];
        for frame in dear {
            assert_eq!(taken(&mut begun(), &frame, 0, 100_000), (CREDIT_MAX / ANSWERED) as usize - 1);
        }
        let others = [
            frame(DATA, 0, 0),
            frame(DATA, PADDED, 8),
            frame(2, 0, 5),
            frame(WINDOW_UPDATE, 0, 4),
            frame(CONTINUATION, 0, 0),
            frame(0xbe, 0, 3),
        ];
        for frame in others {
            assert_eq!(taken(&mut begun(), &frame, 0, 100_000), (CREDIT_MAX - ANSWERED) as usize);
        }
    }

    #[test]
    fn what_carries_something_costs_nothing() {
        for frame in [frame(DATA, 0, 1), frame(DATA, END_STREAM, 0), frame(HEADERS, END_HEADERS, 40)] {
            assert_eq!(taken(&mut begun(), &frame, 0, 100_000), 100_000);
        }
    }

    #[test]
    fn credit_comes_back_with_time_and_with_what_is_answered() {
        let ping = frame(PING, 0, 8);
        let after = |tick: u32, written: usize| {
            let mut frames = begun();
            frames.credit = 0;
            frames.wrote(written);
            taken(&mut frames, &ping, tick, 100_000)
        };
        assert_eq!(after(0, 0), 0);
        assert_eq!(after(1, 0), (CREDIT_OF_TICK / ANSWERED) as usize);
        assert_eq!(after(0, 1000 * BYTES_OF_CREDIT as usize), 1000 / ANSWERED as usize);
        assert_eq!(after(u32::MAX - 1, usize::MAX), (CREDIT_MAX / ANSWERED) as usize);
        let mut frames = begun();
        // A reader that says after each piece how much room it has again pays less than it is given.
        let update = frame(WINDOW_UPDATE, 0, 4);
        for _ in 0..100_000 {
            frames.wrote(60);
            frames.read(&update, 1).unwrap();
            frames.read(&update, 1).unwrap();
        }
        // Pongs by themselves do not pay for pings.
        let pinged = (0..100_000).take_while(|_| {
            frames.wrote(17);
            frames.read(&ping, 1).is_ok()
        });
        assert!(pinged.count() < 2000);
    }

    #[test]
    fn bytes_may_come_in_any_pieces() {
        let mut whole = PREFACE.to_vec();
        whole.extend(frame(SETTINGS, 0, 12));
        whole.extend(frame(HEADERS, 0, 40));
        for size in 1..whole.len() {
            let mut frames = Frames::new(0);
            assert!(frames.is_awaited());
            whole.chunks(size).for_each(|piece| frames.read(piece, 0).unwrap());
            assert!(frames.is_awaited(), "a header block that is not complete");
            frames.read(&frame(CONTINUATION, END_HEADERS, 3), 0).unwrap();
            assert!(!frames.is_awaited());
        }
    }
}
