//! A response's body under a key: it ends when the key is taken away.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use keyward_verify::Exchange;
use pin_project_lite::pin_project;
use tower::BoxError;

/// The key was taken away while its response was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key was taken away while the response was under way")]
pub struct Cut;

pin_project! {
    /// The body of a response that came through the layer, or of a refusal.
    #[derive(Debug)]
    pub struct Held<B> {
        #[pin]
        content: Content<B>,
        // Last: whoever waits for the exchange to end must find the body gone.
        exchange: Option<Exchange>,
    }
}

pin_project! {
    #[project = ContentNow]
    #[derive(Debug)]
    enum Content<B> {
        Served { #[pin] body: B },
        Refusal { body: Bytes },
    }
}

impl<B> Held<B> {
    pub(crate) fn served(body: B, exchange: Option<Exchange>) -> Self {
        Held { content: Content::Served { body }, exchange }
    }

    pub(crate) fn refusal(body: Bytes) -> Self {
        Held { content: Content::Refusal { body }, exchange: None }
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for Held<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(exchange) = this.exchange
            && exchange.poll_closed(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Cut.into())));
        }
        match this.content.project() {
            ContentNow::Refusal { body } if body.is_empty() => Poll::Ready(None),
            ContentNow::Refusal { body } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(body))))),
            ContentNow::Served { body } => body.poll_frame(cx).map(|frame| {
                let frame = frame?.map_err(Into::into);
                Some(frame.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Served { body } => body.is_end_stream(),
            Content::Refusal { body } => body.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Served { body } => body.size_hint(),
            Content::Refusal { body } => SizeHint::with_exact(body.len() as u64),
        }
    }
}
