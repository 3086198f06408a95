//! A socket to the upstream, plain or under TLS, which counts what comes before an answer has begun.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::Address;
use crate::gather;
use crate::tls::UpstreamTls;

/// What may come before an answer has begun: its head, and what an upstream says to keep us waiting (1xx). hyper reads any
/// number of those without a pause, and would have no time for anybody else.
const BEFORE_ANSWER_MAX: usize = 128 * 1024;
/// What is read at a time before an answer has begun.
const READ_MAX: usize = 8 * 1024;

/// How much may still come before an answer has begun; shared by a socket and whoever waits for the answer.
#[derive(Debug, Clone)]
pub(crate) struct Patience(Arc<AtomicUsize>);

impl Patience {
    /// From now on an answer is waited for.
    pub fn begin(&self) {
        self.0.store(BEFORE_ANSWER_MAX, Ordering::Relaxed);
    }

    /// The answer has begun: what comes is its body.
    pub fn end(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == usize::MAX
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(bytes), Ordering::Relaxed);
        match bytes > left {
            true => Err(io::Error::new(io::ErrorKind::InvalidData, "the upstream's answer does not begin")),
            false => Ok(()),
        }
    }
}

/// A socket to the upstream.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    patience: Patience,
}

#[derive(Debug)]
enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Socket {
    /// Connects.
    pub async fn connect(address: &Address, tls: &UpstreamTls) -> io::Result<Self> {
        let stream = match &address.pinned[..] {
            [] => TcpStream::connect((address.host.as_str(), address.port)).await?,
            pinned => TcpStream::connect(pinned).await?,
        };
        stream.set_nodelay(true)?;
        if !address.is_tls {
            return Ok(Socket::over(Stream::Plain(TokioIo::new(stream))));
        }
        let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(tls.current()).connect(name, stream).await?;
        Ok(Socket::over(Stream::Tls(Box::new(TokioIo::new(stream)))))
    }

    fn over(stream: Stream) -> Self {
        Socket { stream, patience: Patience(Arc::new(AtomicUsize::new(usize::MAX))) }
    }

    /// What counts before an answer.
    pub fn patience(&self) -> Patience {
        self.patience.clone()
    }

    /// Reads a little, and counts it.
    fn poll_counted(&mut self, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::<u8>::uninit(); READ_MAX];
        let room = into.remaining().min(READ_MAX);
        let mut buffer = ReadBuf::uninit(&mut space[..room]);
        ready!(match &mut self.stream {
            Stream::Plain(io) => Pin::new(io.inner_mut()).poll_read(cx, &mut buffer),
            Stream::Tls(io) => Pin::new(io.inner_mut()).poll_read(cx, &mut buffer),
        })?;
        self.patience.spend(buffer.filled().len())?;
        into.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl Read for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.patience.is_over() {
            return this.poll_counted(cx, into);
        }
        match &mut this.stream {
            Stream::Plain(io) => Pin::new(io).poll_read(cx, into),
            Stream::Tls(io) => Pin::new(io).poll_read(cx, into),
        }
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Stream::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_flush(cx),
            Stream::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Stream::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(io) => io.is_write_vectored(),
            Stream::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => gather::poll_write(Pin::new(io), cx, parts),
            Stream::Tls(io) => gather::poll_write(Pin::new(&mut **io), cx, parts),
        }
    }
}
