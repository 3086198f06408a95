//! A caller's stream of bytes, plain or under TLS: how it begins, and which HTTP it speaks.

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Write;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::worker::{Door, Worker};
use crate::gather;
use crate::tls::agreed_on_http2;

const HTTP2_PREFACE_START: &[u8; 4] = b"PRI ";

/// A caller's stream of bytes.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    // In a box: what few connections need must not make all of them larger.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// A stream that is ready for HTTP, and what its beginning told.
#[derive(Debug)]
pub(crate) struct Begun {
    pub stream: Stream,
    pub is_http1: bool,
    /// Whether the client showed a certificate that its listener's authorities vouch for.
    pub is_certified: bool,
}

/// Takes a socket over, to the end of the handshake where there is one, within the time that a head may take. How
/// large a handshake may be is bounded by rustls.
pub(super) async fn begin(stream: StdTcpStream, door: &Door, worker: &Worker) -> io::Result<Begun> {
    let stream = TcpStream::from_std(stream)?;
    tokio::select! {
        begun = tokio::time::timeout(worker.caps.header_timeout, shake(stream, door)) => begun?,
        // Nothing was asked yet, so nothing is cut off.
        () = worker.stop.gently.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

async fn shake(stream: TcpStream, door: &Door) -> io::Result<Begun> {
    let Some(tls) = &door.tls else {
        let is_http1 = sniff(&stream).await?;
        return Ok(Begun { stream: Stream::Plain(TokioIo::new(stream)), is_http1, is_certified: false });
    };
    let stream = TlsAcceptor::from(tls.current()).accept(stream).await.inspect_err(|error| {
        door.handshakes_failed.increment(1);
        tracing::debug!(%error, "a TLS handshake failed");
    })?;
    let session = stream.get_ref().1;
    // Certificates are asked for only where there are authorities to verify them by, and then they were.
    let is_certified = session.peer_certificates().is_some_and(|chain| !chain.is_empty());
    let is_http1 = !agreed_on_http2(session.alpn_protocol());
    Ok(Begun { stream: Stream::Tls(Box::new(TokioIo::new(stream))), is_http1, is_certified })
}

/// Tells HTTP/1 from HTTP/2 by the first bytes, without taking them.
async fn sniff(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; HTTP2_PREFACE_START.len()];
    loop {
        match stream.peek(&mut start).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n if start[..n] != HTTP2_PREFACE_START[..n] => return Ok(true),
            n if n == start.len() => return Ok(false),
            // The first bytes of PRI, or of PROPFIND: rare enough to look again a little later.
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

impl Stream {
    /// Whether it is under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(io) => io.inner(),
            Stream::Tls(io) => io.inner().get_ref().0,
        }
    }

    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(io) => Pin::new(io.inner_mut()).poll_read(cx, into),
            Stream::Tls(io) => Pin::new(io.inner_mut()).poll_read(cx, into),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Stream::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(io) => Pin::new(io).poll_flush(cx),
            Stream::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Stream::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(io) => io.is_write_vectored(),
            Stream::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(io) => gather::poll_write(Pin::new(io), cx, parts),
            Stream::Tls(io) => gather::poll_write(Pin::new(&mut **io), cx, parts),
        }
    }
}
