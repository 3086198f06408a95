//! How a provider is asked: by HTTPS without redirections, in bounded time and with bounded answers. Plain HTTP goes to
//! loopback alone, and only where the issuer itself is there.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::Url;

use super::error::Unusable;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take, its last byte included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;

/// Asks a provider.
pub struct Transport {
    client: reqwest::Client,
    /// Whether the issuer is on this machine.
    is_local: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NotReached {
    /// The address is one that is not asked.
    #[error("an address of the provider is not https")]
    NotHttps,
    /// The answer goes on and on.
    #[error("an answer is longer than {ANSWER_MAX} bytes")]
    TooLong,
    /// It takes too long.
    #[error("an answer took longer than {} seconds", TIMEOUT.as_secs())]
    TooSlow,
    /// There is no connection, or it broke.
    #[error("{0}")]
    Broken(String),
}

impl Transport {
    /// Asks over https; for an issuer on this machine also over http, to this machine.
    ///
    /// # Errors
    /// Where the system's certificates cannot be used.
    pub fn new(is_local: bool) -> Result<Self, Unusable> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!is_local)
            .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")));
        // What is on this machine is not reached through a proxy elsewhere.
        let builder = if is_local { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| Unusable(format!("no provider can be asked: {error}")))?;
        Ok(Transport { client, is_local })
    }

    /// Whether an address is one that a provider may have.
    pub fn may_ask(&self, url: &Url) -> bool {
        may_ask(url, self.is_local)
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, NotReached> {
        let request = reqwest::Request::try_from(request).map_err(broken)?;
        if !self.may_ask(request.url()) {
            return Err(NotReached::NotHttps);
        }
        let mut answer = self.client.execute(request).await.map_err(broken)?;
        if answer.content_length().is_some_and(|length| length > ANSWER_MAX as u64) {
            return Err(NotReached::TooLong);
        }
        let mut head = http::Response::new(());
        *head.status_mut() = answer.status();
        *head.headers_mut() = std::mem::take(answer.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(NotReached::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(head.map(|()| body))
    }
}

impl<'c> AsyncHttpClient<'c> for Transport {
    type Error = NotReached;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NotReached>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

/// Whether an address is one that a provider may have, which is on this machine or not.
pub fn may_ask(url: &Url, is_local: bool) -> bool {
    url.scheme() == "https" || (is_local && url.scheme() == "http" && is_loopback(url))
}

/// Whether a host is this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']')) {
        Some("localhost") => true,
        Some(host) => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

fn broken(error: reqwest::Error) -> NotReached {
    if error.is_timeout() {
        return NotReached::TooSlow;
    }
    // Without the address: what it has in its query is nobody's business.
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        reason = format!("{reason}: {inner}");
        source = inner.source();
    }
    NotReached::Broken(super::error::quoted(&reason))
}
