//! WebSockets of the echo upstream (RFC 6455): every message comes back as it went.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What RFC 6455 has servers put behind the client's key.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The largest frame that is echoed.
const FRAME_BYTES_MAX: u64 = 1024 * 1024;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Whether a request asks for a WebSocket.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Answers the handshake and echoes from then on.
pub fn accept(mut request: Request) -> Response {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        return (StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing").into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // The end of a connection, however it comes, is the end of the echo.
            let _ = echo(TokioIo::new(upgraded)).await;
        }
    });
    let answer = [
        (header::UPGRADE, "websocket".to_owned()),
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, answer_to(key.as_bytes())),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, answer).into_response()
}

fn answer_to(key: &[u8]) -> String {
    let hash = Sha1::new().chain_update(key).chain_update(MAGIC).finalize();
    base64::engine::general_purpose::STANDARD.encode(hash)
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    loop {
        let first = stream.read_u8().await?;
        let second = stream.read_u8().await?;
        let length = match second & 0x7f {
            126 => u64::from(stream.read_u16().await?),
            127 => stream.read_u64().await?,
            short => u64::from(short),
        };
        if length > FRAME_BYTES_MAX {
            return Ok(());
        }
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            stream.read_exact(&mut mask).await?;
        }
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await?;
        payload.iter_mut().enumerate().for_each(|(i, byte)| *byte ^= mask[i % 4]);
        let opcode = first & 0x0f;
        match opcode {
            PONG => continue,
            PING => write_frame(&mut stream, 0x80 | PONG, &payload).await?,
            _ => write_frame(&mut stream, first, &payload).await?,
        }
        if opcode == CLOSE {
            return stream.shutdown().await;
        }
    }
}

/// Writes a frame as servers do: not masked.
async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_answers_as_the_rfc_shows() {
        assert_eq!(answer_to(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[tokio::test]
    async fn a_masked_message_comes_back_unmasked() {
        let (mut client, server) = tokio::io::duplex(1024);
        let echoing = tokio::spawn(echo(server));
        client.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]).await.unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, &[0x81, 2, b'h', b'i']);
        client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [0x88, 0]);
        echoing.await.unwrap().unwrap();
    }
}
