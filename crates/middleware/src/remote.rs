//! Asking a node over the network: its check listener's forward-auth, which every proxy asks as well.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use keyward_core::id::ApiName;

use crate::Caller;
use crate::service::{Head, Permit, Verdict, unavailable};

const SECRET: HeaderName = HeaderName::from_static("x-keyward-proxy-secret");
const REFUSAL: &str = "x-keyward-refusal";
const OURS: &str = "x-keyward-";
/// The target without a credential in its query.
const TARGET: &str = "x-keyward-target";
/// Headers that hold the credential, or pass for ours.
const TO_REMOVE: &str = "x-envoy-auth-headers-to-remove";
/// What a request is marked with; what else a node tells is for the caller.
const IDENTITY: [&str; 6] = [
    "x-keyward-key-id",
    "x-keyward-project",
    "x-keyward-organization",
    "x-keyward-plan",
    "x-keyward-scopes",
    "x-keyward-request-id",
];
/// What a node may take to answer before the request is refused.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A refusal longer than this is none of a contract's.
const REFUSAL_BYTES_MAX: u64 = 256 * 1024;

/// Verification by a node, for one API.
#[derive(Debug, Clone)]
pub struct Remote {
    client: reqwest::Client,
    url: reqwest::Url,
    secret: HeaderValue,
    timeout: Duration,
}

/// What was given is no way to a node.
#[derive(Debug, thiserror::Error)]
pub enum NotANode {
    /// The address is none.
    #[error("\"{0}\" is no http or https address of a node's check listener, such as http://127.0.0.1:7701")]
    Url(String),
    /// The API's name is none.
    #[error("\"{0}\" is no name of an API: {1}")]
    Api(String, String),
    /// The secret cannot travel in a header.
    #[error("the proxy secret is no one line of visible characters")]
    Secret,
    /// No client can be made.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl Remote {
    /// Asks the node whose check listener is at `check_url` about requests to `api`. `proxy_secret` is what its setting
    /// `check.proxy_secret_file` holds; empty where this machine's network is in its `check.asking_proxies`.
    ///
    /// # Errors
    /// [`NotANode`] where one of them is none.
    pub fn new(check_url: &str, api: &str, proxy_secret: &str) -> Result<Self, NotANode> {
        let name: ApiName = api.parse().map_err(|error| NotANode::Api(api.to_owned(), format!("{error}")))?;
        let url = format!("{}/v1/forward-auth/{name}?proxy=middleware", check_url.trim_end_matches('/'));
        let url = reqwest::Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| NotANode::Url(check_url.to_owned()))?;
        let mut secret = HeaderValue::from_str(proxy_secret).map_err(|_| NotANode::Secret)?;
        secret.set_sensitive(true);
        // A refusal may be a redirect; it is the caller's, and not for this client to follow.
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(Remote { client, url, secret, timeout: TIMEOUT })
    }

    /// How long the node may take to answer before a request is refused with 503; two seconds unless told.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) async fn verify(&self, head: &Head<'_>) -> Verdict {
        let asked = self.client.get(self.url.clone()).headers(self.question(head)).timeout(self.timeout);
        match asked.send().await {
            Ok(answer) => read(answer).await.unwrap_or_else(|problem| {
                tracing::error!(node = %self.url, problem, "a request was refused: the node's answer is none");
                Verdict::Denied(unavailable())
            }),
            Err(error) => {
                tracing::error!(node = %self.url, error = %error.without_url(), "a request was refused: the node cannot be asked");
                Verdict::Denied(unavailable())
            }
        }
    }

    /// The request's head, as forward-auth is told it. A caller's own word on any of it is not passed on.
    fn question(&self, head: &Head<'_>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(head.headers.len() + 4);
        for (name, value) in head.headers.iter().filter(|(name, _)| goes_on(name)) {
            headers.append(name.clone(), value.clone());
        }
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let told = [
            ("x-forwarded-method", HeaderValue::from_str(head.method.as_str())),
            ("x-forwarded-uri", HeaderValue::from_str(target)),
            ("x-forwarded-for", HeaderValue::from_str(&head.address.to_string())),
        ];
        for (name, value) in told {
            headers.insert(name, value.unwrap_or(HeaderValue::from_static("?")));
        }
        if !self.secret.is_empty() {
            headers.insert(SECRET, self.secret.clone());
        }
        headers
    }
}

/// Whether a caller's header is asked about: not what is of one hop or of the body, nor what the question itself tells.
fn goes_on(name: &HeaderName) -> bool {
    let of_the_hop = [
        header::HOST,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::ACCEPT_ENCODING,
        header::FORWARDED,
    ];
    let text = name.as_str();
    let spelled = text.replace('_', "-");
    let is_told = ["x-forwarded-", "x-original-", OURS].iter().any(|start| spelled.starts_with(start));
    !of_the_hop.contains(name) && !is_told && !matches!(text, "keep-alive" | "proxy-connection")
}

async fn read(answer: reqwest::Response) -> Result<Verdict, &'static str> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    if status == StatusCode::OK {
        return granted(headers).ok_or("it does not tell who calls");
    }
    if !headers.contains_key(REFUSAL) {
        return Err("it is no refusal of a contract: is this server trusted (check.asking_proxies, \
                    check.proxy_secret_file), and the API's name right?");
    }
    if answer.content_length().is_none_or(|length| length > REFUSAL_BYTES_MAX) {
        return Err("its refusal is too long");
    }
    let body = answer.bytes().await.map_err(|_| "its refusal broke off")?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    remove(response.headers_mut(), |name| name == REFUSAL || is_of_the_answer(name));
    Ok(Verdict::Denied(response))
}

fn granted(mut headers: HeaderMap) -> Option<Verdict> {
    let caller = Caller::told(&headers)?;
    let identity = IDENTITY.iter().filter_map(|&name| {
        let value = headers.get(name)?.clone();
        Some((HeaderName::from_static(name), value))
    });
    let identity: HeaderMap = identity.collect();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let query = text(TARGET)?.split_once('?').map_or("", |(_, query)| query).to_owned();
    let remove_from_request =
        text(TO_REMOVE).unwrap_or_default().split(',').filter_map(|name| name.trim().parse().ok()).collect();
    let is_for_us = |name: &str| identity.contains_key(name) || name == TARGET || name == TO_REMOVE;
    remove(&mut headers, |name| {
        is_for_us(name.as_str()) || is_of_the_answer(name) || *name == header::CACHE_CONTROL
    });
    Some(Verdict::Granted(Box::new(Permit {
        caller,
        identity,
        remove: remove_from_request,
        query: Some(query),
        exchange: None,
        tell: headers,
        granted: None,
    })))
}

/// Whether a header is of the node's own answer, and none that the caller is told.
fn is_of_the_answer(name: &HeaderName) -> bool {
    [header::DATE, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::VARY]
        .contains(name)
}

fn remove(headers: &mut HeaderMap, is_doomed: impl Fn(&HeaderName) -> bool) {
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| is_doomed(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}
