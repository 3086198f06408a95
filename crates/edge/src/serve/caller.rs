//! One connection of a caller: who it is, whose move it is, and its socket, which reads along with hyper.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use http::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;
use tokio::io::ReadBuf;

use super::frames::Frames;
use super::framing::Framing;
use super::lifeline::{Lifeline, Party, Watched};
use super::linger;
use super::stream::{Begun, Stream};
use super::worker::{Door, Worker};
use crate::observe::Observing;

/// What is read of a socket at a time: also the largest piece of a body that goes on in one.
const READ_MAX: usize = 64 * 1024;

thread_local! {
    /// Where a worker reads into before hyper gets it.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into());
}

/// A connection of a caller.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The worker that serves it.
    pub worker: Arc<Worker>,
    /// The door it came in by.
    pub door: Arc<Door>,
    /// Whoever is at the other end of the socket: the caller, or a proxy before it.
    pub peer: IpAddr,
    /// The same as a header's value.
    pub peer_header: HeaderValue,
    is_tls: bool,
    is_certified: bool,
    lifeline: Arc<Lifeline>,
    reading: Reading,
    streams: AtomicU32,
    starting: Mutex<Option<Watched>>,
}

/// What reads along with hyper.
#[derive(Debug)]
enum Reading {
    Http1(Mutex<Framing>),
    Http2(Mutex<Frames>),
}

/// A request under way, until its answer's last byte is handed over.
#[derive(Debug)]
pub(crate) struct Turn {
    pub caller: Arc<Caller>,
    pub lifeline: Arc<Lifeline>,
    /// What is seen of it, where anybody wants to know.
    pub observing: Option<Box<Observing>>,
}

impl Caller {
    pub fn new(worker: Arc<Worker>, door: Arc<Door>, peer: IpAddr, watched: &Watched, begun: &Begun) -> Self {
        let Begun { stream, is_http1, is_certified } = begun;
        let (is_http1, is_tls) = (*is_http1, stream.is_tls());
        let peer = peer.to_canonical();
        let peer_header = HeaderValue::try_from(peer.to_string()).unwrap_or(HeaderValue::from_static("unknown"));
        let lifeline = Arc::clone(watched.lifeline());
        lifeline.expect(Party::Caller, worker.caps.header_timeout);
        let reading = match is_http1 {
            true => Reading::Http1(Mutex::new(Framing::new())),
            false => Reading::Http2(Mutex::new(Frames::new(lifeline.now()))),
        };
        Caller {
            worker,
            door,
            peer,
            peer_header,
            is_tls,
            is_certified: *is_certified,
            lifeline,
            reading,
            streams: AtomicU32::new(0),
            starting: Mutex::new(None),
        }
    }

    /// Begins a request. On HTTP/2 its stream has a lifeline of its own, which [`Caller::take_stream`] hands
    /// to the task that hyper starts for it right after.
    pub fn begin(self: &Arc<Self>) -> Turn {
        let lifeline = if self.is_http1() {
            Arc::clone(&self.lifeline)
        } else {
            let watched = self.worker.lifelines.watch();
            let lifeline = Arc::clone(watched.lifeline());
            self.streams.fetch_add(1, Ordering::Relaxed);
            if !self.is_awaited() {
                self.lifeline.excuse(Party::Caller);
            }
            *self.starting.lock() = Some(watched);
            lifeline
        };
        lifeline.begin();
        Turn { caller: Arc::clone(self), lifeline, observing: None }
    }

    /// The lifeline of the stream that was begun last.
    pub fn take_stream(&self) -> Option<Watched> {
        self.starting.lock().take()
    }

    /// The connection goes on as something other than HTTP.
    pub fn upgrade(&self) {
        if let Reading::Http1(framing) = &self.reading {
            framing.lock().end();
        }
    }

    /// Whether the caller may still be sending: the connection ended within a request, and was not cut.
    pub fn is_mid_request(&self) -> bool {
        matches!(&self.reading, Reading::Http1(framing) if framing.lock().is_within()) && !self.lifeline.was_cut()
    }

    /// Whether the caller has begun a header block of HTTP/2, which must be complete in its time, whatever runs.
    fn is_awaited(&self) -> bool {
        matches!(&self.reading, Reading::Http2(frames) if frames.lock().is_awaited())
    }

    /// Whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether the caller showed a client certificate that the listener's authorities (`tls.client_ca_file`) vouch for.
    pub fn is_certified(&self) -> bool {
        self.is_certified
    }

    fn is_http1(&self) -> bool {
        matches!(self.reading, Reading::Http1(_))
    }

    /// Looks at what was read before hyper does; false where it must not pass.
    fn read(&self, bytes: &[u8]) -> io::Result<bool> {
        let mut framing = match &self.reading {
            Reading::Http1(framing) => framing.lock(),
            Reading::Http2(frames) => return self.read_frames(&mut frames.lock(), bytes).map(|()| true),
        };
        if framing.is_between() {
            self.lifeline.expect(Party::Caller, self.worker.caps.header_timeout);
        }
        Ok(framing.read(bytes).is_ok())
    }

    fn read_frames(&self, frames: &mut Frames, bytes: &[u8]) -> io::Result<()> {
        let was_awaited = frames.is_awaited();
        if frames.read(bytes, self.lifeline.now()).is_err() {
            self.door.floods.increment(1);
            return Err(io::Error::other("too many frames that carry nothing"));
        }
        let caps = &self.worker.caps;
        match (was_awaited, frames.is_awaited()) {
            // Nothing else can come on the connection until the header block is complete, whatever runs on it.
            (false, true) => self.lifeline.expect(Party::Caller, caps.header_timeout),
            (true, false) if self.streams.load(Ordering::Relaxed) == 0 => {
                self.lifeline.expect(Party::Caller, caps.idle_timeout);
            }
            (true, false) => self.lifeline.excuse(Party::Caller),
            _ => {}
        }
        Ok(())
    }

    /// Notes what was written.
    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if let (Reading::Http2(frames), Poll::Ready(Ok(bytes))) = (&self.reading, written) {
            frames.lock().wrote(*bytes);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end_observing();
        drop(self.lifeline.release());
        self.lifeline.begin();
        let is_last = self.caller.is_http1() || self.caller.streams.fetch_sub(1, Ordering::Relaxed) == 1;
        if is_last && !self.caller.is_awaited() {
            self.caller.lifeline.expect(Party::Caller, self.caller.worker.caps.idle_timeout);
        }
    }
}

/// A caller's socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    caller: Arc<Caller>,
}

impl Socket {
    pub fn new(stream: Stream, caller: Arc<Caller>) -> Self {
        Socket { stream, caller }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A connection that is cut is reset: what the kernel still holds of it must not arrive either.
        if self.caller.lifeline.was_cut() {
            let _ = self.stream.socket().set_zero_linger();
        }
        if self.caller.is_mid_request() {
            linger::begin(self.stream.socket(), &self.caller);
        }
    }
}

impl Read for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        SCRATCH.with_borrow_mut(|scratch| {
            let room = into.remaining().min(scratch.len());
            let mut buffer = ReadBuf::new(&mut scratch[..room]);
            ready!(this.stream.poll_read(cx, &mut buffer))?;
            let bytes = buffer.filled();
            if this.caller.read(bytes)? {
                into.put_slice(bytes);
            } else {
                // No message has a NUL outside a body: hyper answers 400 and closes.
                into.put_slice(&[0]);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.caller.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.caller.wrote(&written);
        written
    }
}
