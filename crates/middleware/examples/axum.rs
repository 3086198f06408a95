//! An API on axum whose keys a Keyward node checks.
//!
//! ```text
//! KEYWARD_CHECK_ASKING_PROXIES=127.0.0.1/32 cargo run --release -- dev     # says where check listens; this machine may ask
//! CHECK=http://127.0.0.1:7701 API=standard cargo run -p keyward-middleware --example axum
//! curl -H "Authorization: Bearer $KEY" http://127.0.0.1:3000/whoami
//! ```
//!
//! `SECRET` is what the node's setting `check.proxy_secret_file` holds; empty where its `check.asking_proxies` has this
//! machine's network.

use std::error::Error;
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::{Extension, Router};
use keyward_middleware::{Caller, KeywardLayer, Remote};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let from = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let node = Remote::new(&from("CHECK", "http://127.0.0.1:7701"), &from("API", "standard"), &from("SECRET", ""))?;
    let checked = KeywardLayer::new(node).peers(
        |extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()),
        // The networks of load balancers in front of this server, whose X-Forwarded-For is believed.
        Vec::new(),
    );
    let app = Router::new()
        .route("/whoami", get(whoami))
        .layer(checked)
        // Below the layer stands what nobody needs a key for.
        .route("/health", get(|| async { "ok" }));
    let listener = tokio::net::TcpListener::bind(from("LISTEN", "127.0.0.1:3000")).await?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// Handlers find out who calls by asking for a [`Caller`].
async fn whoami(Extension(caller): Extension<Caller>) -> String {
    format!("project {}, key {}, plan {}\n", caller.project, caller.key, caller.plan)
}
