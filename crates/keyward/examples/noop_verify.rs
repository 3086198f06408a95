//! What `/v1/verify` is measured against: an axum handler that reads the same body and answers the same bytes
//! without looking at either. Started by bench/run.sh: `noop_verify ADDRESS ANSWER_FILE`.

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::post;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: noop_verify ADDRESS ANSWER_FILE".into());
    };
    let answer = Bytes::from(std::fs::read(file)?);
    // As many headers, and as long ones, as Keyward's answer has.
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-request-id"), "0123456789abcdef0123456789abcdef"),
    ];
    let handler = move |body: Bytes| {
        let answer = answer.clone();
        async move {
            drop(body);
            (headers, answer)
        }
    };
    let listener = tokio::net::TcpListener::bind(address).await?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, Router::new().route("/v1/verify", post(handler))).await?;
    Ok(())
}
