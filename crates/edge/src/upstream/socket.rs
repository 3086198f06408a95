//! A socket to the upstream, plain or under TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::Address;
use crate::gather;
use crate::tls::UpstreamTls;

/// A socket to the upstream.
#[derive(Debug)]
pub(crate) enum Socket {
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
            return Ok(Socket::Plain(TokioIo::new(stream)));
        }
        let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(tls.current()).connect(name, stream).await?;
        Ok(Socket::Tls(Box::new(TokioIo::new(stream))))
    }
}

impl Read for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(io) => Pin::new(io).poll_read(cx, into),
            Socket::Tls(io) => Pin::new(io).poll_read(cx, into),
        }
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Socket::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(io) => Pin::new(io).poll_flush(cx),
            Socket::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Socket::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Plain(io) => io.is_write_vectored(),
            Socket::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(io) => gather::poll_write(Pin::new(io), cx, parts),
            Socket::Tls(io) => gather::poll_write(Pin::new(&mut **io), cx, parts),
        }
    }
}
