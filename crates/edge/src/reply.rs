//! The body of every answer this crate gives, and the small answers that are its own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::gateway::fields::Transformed;
use crate::serve::caller::Turn;
use crate::serve::lifeline::Cut;
use crate::upstream::UpstreamBody;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An answer before it is bound to its turn.
pub(crate) type Reply = Response<Content>;

/// What an answer's body is.
#[derive(Debug)]
pub(crate) enum Content {
    /// Nothing.
    Empty,
    /// All of it in memory.
    Whole(Bytes),
    /// The same with trailers after it.
    Trailed(Bytes, HeaderMap),
    /// What the upstream sends.
    Upstream(UpstreamBody),
    /// The request's own body with some of its fields replaced.
    Transformed(Box<Transformed>),
}

/// A body that ends its turn when hyper is done with it.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    content: Content,
    turn: Option<Turn>,
}

impl ReplyBody {
    /// Binds a body to the turn it ends.
    pub fn new(content: Content, turn: Option<Turn>) -> Self {
        ReplyBody { content, turn }
    }
}

impl Content {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self {
            Content::Empty => Poll::Ready(None),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::Trailed(bytes, _) if !bytes.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Content::Trailed(_, trailers) => {
                let trailers = std::mem::take(trailers);
                *self = Content::Empty;
                Poll::Ready((!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers))))
            }
            Content::Upstream(body) => body.poll_frame(cx),
            Content::Transformed(body) => body.poll_answer(cx),
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let polled = self.content.poll_frame(cx);
        if let (Some(turn), Poll::Ready(Some(Ok(frame)))) = (&self.turn, &polled)
            && let Some(data) = frame.data_ref()
        {
            turn.note(|observed| observed.bytes_out += data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Trailed(bytes, trailers) => bytes.is_empty() && trailers.is_empty(),
            Content::Upstream(body) => body.is_end_stream(),
            Content::Transformed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) | Content::Trailed(bytes, _) => SizeHint::with_exact(bytes.len() as u64),
            Content::Upstream(body) => body.size_hint(),
            Content::Transformed(_) => SizeHint::default(),
        }
    }
}

/// A problem document (RFC 9457): what the check listener answers to what is no verify, and the gateway where
/// no contract says how.
pub(crate) fn problem(problem: &Problem<'_>, request_id: &HeaderValue) -> Reply {
    let mut document = serde_json::json!({
        "type": "about:blank",
        "title": problem.status.canonical_reason().unwrap_or("Error"),
        "status": problem.status.as_u16(),
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id.to_str().unwrap_or_default(),
    });
    if !problem.errors.is_empty() {
        let errors =
            problem.errors.iter().map(|(field, message)| serde_json::json!({ "field": field, "message": message }));
        document["errors"] = errors.collect();
    }
    let mut reply =
        whole(problem.status, HeaderValue::from_static("application/problem+json"), document.to_string());
    reply.headers_mut().insert(X_REQUEST_ID, request_id.clone());
    reply
}

/// What a problem document says.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    pub status: StatusCode,
    pub code: &'static str,
    pub detail: &'a str,
    /// Fields that are wrong, each with what is wrong with it.
    pub errors: &'a [(String, String)],
}

/// An answer that is in memory, not to be kept by anybody.
pub(crate) fn whole(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Content::Whole(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.reserve(6);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, NO_STORE);
    reply
}
