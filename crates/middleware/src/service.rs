//! The layer itself: asks, marks the request, calls the service, and ends it when the key is taken away.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use ipnet::IpNet;
use keyward_edge::asking::Granted;
use keyward_verify::Exchange;
use tower::{BoxError, Layer, Service};

use crate::{Caller, Held, InProcess, Remote};

/// A request's head, as it is asked about.
pub(crate) struct Head<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    pub address: IpAddr,
}

/// What asking ended in.
pub(crate) enum Verdict {
    Granted(Box<Permit>),
    Denied(Response<Bytes>),
}

/// A request that may be served, and what is to be done with it.
pub(crate) struct Permit {
    pub caller: Caller,
    /// Put into the request.
    pub identity: HeaderMap,
    /// Taken out of it.
    pub remove: Vec<HeaderName>,
    /// Its query without the credential, where that stood there.
    pub query: Option<String>,
    /// Put into the answer.
    pub tell: HeaderMap,
    pub exchange: Option<Exchange>,
    /// Where this process decided: tells limits once it is known what the request cost.
    pub granted: Option<Box<Granted>>,
}

/// Who decides.
#[derive(Debug, Clone)]
pub enum Verifier {
    /// An engine of this process.
    InProcess(InProcess),
    /// A node.
    Remote(Remote),
}

impl From<InProcess> for Verifier {
    fn from(verifier: InProcess) -> Self {
        Verifier::InProcess(verifier)
    }
}

impl From<Remote> for Verifier {
    fn from(verifier: Remote) -> Self {
        Verifier::Remote(verifier)
    }
}

/// Where a connection comes from, out of what the server left in a request's extensions.
type PeerOf = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

struct Shared {
    verifier: Verifier,
    peer_of: PeerOf,
    trusted_proxies: Vec<IpNet>,
}

/// Lets only requests through that Keyward grants.
#[derive(Clone)]
pub struct KeywardLayer(Arc<Shared>);

/// A service behind a [`KeywardLayer`].
#[derive(Clone)]
pub struct Keyward<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl KeywardLayer {
    /// Asks an [`InProcess`] engine or a [`Remote`] node. Where requests come from is not known unless
    /// [`KeywardLayer::peers`] tells: without it keys that are limited to networks are refused, and all callers count as one where
    /// failed authentication and rates are counted by address.
    pub fn new(verifier: impl Into<Verifier>) -> Self {
        let peer_of: PeerOf = Arc::new(|_| None);
        KeywardLayer(Arc::new(Shared { verifier: verifier.into(), peer_of, trusted_proxies: Vec::new() }))
    }

    /// Tells where connections come from. With axum's `ConnectInfo`:
    /// `|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())`. `X-Forwarded-For` is believed
    /// of peers in `trusted_proxies` and of nobody else.
    #[must_use]
    pub fn peers(
        self,
        peer_of: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
        trusted_proxies: Vec<IpNet>,
    ) -> Self {
        let verifier = self.0.verifier.clone();
        KeywardLayer(Arc::new(Shared { verifier, peer_of: Arc::new(peer_of), trusted_proxies }))
    }
}

impl std::fmt::Debug for KeywardLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeywardLayer").field("verifier", &self.0.verifier).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for KeywardLayer {
    type Service = Keyward<S>;

    fn layer(&self, inner: S) -> Keyward<S> {
        Keyward { inner, shared: Arc::clone(&self.0) }
    }
}

impl Shared {
    async fn verify(&self, parts: &Parts) -> Verdict {
        let peer = (self.peer_of)(&parts.extensions).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical();
        let told = parts.headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?"));
        let trusts = |address: IpAddr| self.trusted_proxies.iter().any(|network| network.contains(&address));
        let address = keyward_core::forwarded::caller_address(told, peer, trusts);
        let head = Head { method: &parts.method, uri: &parts.uri, headers: &parts.headers, address };
        match &self.verifier {
            Verifier::InProcess(verifier) => verifier.verify(&head).await,
            Verifier::Remote(verifier) => verifier.verify(&head).await,
        }
    }

    /// The answer to a request whose key was taken away while it was served.
    fn cut(&self) -> Response<Bytes> {
        match &self.verifier {
            Verifier::InProcess(verifier) => verifier.cut(),
            Verifier::Remote(_) => unavailable(),
        }
    }
}

impl Permit {
    /// Marks a request with who calls, and takes out what must not go on.
    fn mark(&mut self, parts: &mut Parts) {
        let ours = |name: &HeaderName| name.as_str().replace('_', "-").starts_with("x-keyward-");
        let forged: Vec<HeaderName> = parts.headers.keys().filter(|name| ours(name)).cloned().collect();
        for name in forged.iter().chain(&self.remove) {
            parts.headers.remove(name);
        }
        parts.headers.extend(std::mem::take(&mut self.identity));
        if let Some(query) = self.query.take()
            && parts.uri.query().is_some_and(|before| before != query)
        {
            set_query(&mut parts.uri, &query);
        }
        parts.extensions.insert(self.caller.clone());
    }

    /// What the caller is told of its limits, now that it is known whether the request failed.
    fn tell(&mut self, headers: &mut HeaderMap, status: StatusCode) {
        headers.extend(std::mem::take(&mut self.tell));
        if let Some(granted) = &mut self.granted {
            if status.is_client_error() || status.is_server_error() {
                // What failed costs nothing of quotas whose contract says so.
                granted.charge = std::mem::take(&mut granted.charge).refunded();
            }
            granted.tell_caller(headers);
        }
    }
}

fn set_query(uri: &mut Uri, query: &str) {
    let target = if query.is_empty() { uri.path().to_owned() } else { format!("{}?{query}", uri.path()) };
    let mut parts = std::mem::take(uri).into_parts();
    // A part of a query that was one is one.
    parts.path_and_query = target.parse::<PathAndQuery>().ok();
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

/// The answer where nothing can be decided.
pub(crate) fn unavailable() -> Response<Bytes> {
    let body =
        r#"{"title":"unavailable","status":503,"code":"unavailable","detail":"Keys cannot be checked right now."}"#;
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, body);
    response.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    response
}

/// The answer in place of an upgrade, after which nothing here could end the connection with its key.
fn not_upgraded() -> Response<Bytes> {
    let body = r#"{"title":"not upgraded","status":501,"code":"upgrade_unsupported","detail":"Connections are not upgraded here."}"#;
    problem(StatusCode::NOT_IMPLEMENTED, body)
}

fn problem(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    for (name, value) in [("content-type", "application/problem+json"), ("cache-control", "no-store")] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl<S, B, R> Service<Request<B>> for Keyward<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Body<Error: Into<BoxError>>,
{
    type Response = Response<Held<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was found ready is the one that is called.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { pass(&shared, inner, request).await })
    }
}

async fn pass<S, B, R>(shared: &Shared, mut inner: S, request: Request<B>) -> Result<Response<Held<R>>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    let (mut parts, body) = request.into_parts();
    let mut permit = match shared.verify(&parts).await {
        Verdict::Granted(permit) => permit,
        Verdict::Denied(response) => return Ok(response.map(Held::refusal)),
    };
    permit.mark(&mut parts);
    let exchange = permit.exchange.take();
    let answered = {
        let serving = inner.call(Request::from_parts(parts, body));
        match &exchange {
            None => serving.await,
            Some(exchange) => tokio::select! {
                biased;
                () = exchange.closed() => return Ok(shared.cut().map(Held::refusal)),
                answered = serving => answered,
            },
        }
    };
    let mut response = answered?;
    if exchange.is_some() && response.status() == StatusCode::SWITCHING_PROTOCOLS {
        tracing::warn!("an upgrade was refused: what follows it would outlive the key");
        return Ok(not_upgraded().map(Held::refusal));
    }
    let status = response.status();
    permit.tell(response.headers_mut(), status);
    Ok(response.map(|body| Held::served(body, exchange)))
}
