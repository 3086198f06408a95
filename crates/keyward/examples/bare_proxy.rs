//! What the gateway is measured against, beside nginx: hyper's server and hyper-util's pooled client back to back,
//! with no decision and no clean-up of headers. Started by bench/run.sh: `bare_proxy ADDRESS UPSTREAM [header-timer]`; without the
//! last word it has no timer either, so that slow callers may hold its connections for ever.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(upstream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bare_proxy ADDRESS UPSTREAM_HOST_AND_PORT [header-timer]".into());
    };
    let is_timed = arguments.next().is_some_and(|word| word == "header-timer");
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<HttpConnector, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, upstream) = (client.clone(), upstream.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
            let target: Result<Uri, _> = format!("http://{upstream}{path}").parse();
            let client = client.clone();
            async move {
                *request.uri_mut() = target.map_err(std::io::Error::other)?;
                client.request(request).await.map_err(std::io::Error::other)
            }
        });
        let mut server = http1::Builder::new();
        if is_timed {
            server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
        } else {
            server.header_read_timeout(None);
        }
        let connection = server.serve_connection(TokioIo::new(stream), service);
        // A caller that goes away ends its connection, which is no error here.
        tokio::spawn(async move { drop(connection.await) });
    }
}
