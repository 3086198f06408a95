//! A body on its way through the transformer: as much of it as came goes out at once, so it is never in memory as a
//! whole. What is wrong with it is found while it runs, and told beside it.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use keyward_core::data_key::DataKey;
use keyward_core::denial::Refusal;
use keyward_verify::{Engine, NoDataKey};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::cipher::{Cipher, Replaced};
use crate::encryption::transform::{Field, Transformer, Unfit};
use crate::serve::lifeline::{BodyFault, Cut, Lifeline, Party};
use crate::upstream::{RequestBody, Unforwardable};

/// What was wrong with a body that was already on its way.
pub(crate) type Fault = Arc<Mutex<Option<Unfit>>>;

/// Most values that are replaced in one body.
const REPLACED_MAX: usize = 10_000;
/// After so many the worker's other requests get their turn.
const REPLACED_AT_ONCE: usize = 256;

type Getting = Pin<Box<dyn Future<Output = Result<Arc<DataKey>, NoDataKey>> + Send>>;

/// A body with fields that are replaced.
pub(crate) struct Transformed {
    body: RequestBody,
    transformer: Transformer,
    cipher: Cipher,
    engine: Arc<Engine>,
    lifeline: Arc<Lifeline>,
    /// What came and is not read yet.
    left: Bytes,
    /// What is ready to go out.
    out: Vec<u8>,
    /// Where in it the last field's replacement stands, for as long as nothing was taken out.
    last: Range<usize>,
    /// A field that waits for its key.
    waiting: Option<(Field, Getting)>,
    received: usize,
    replaced: usize,
    has_paused: bool,
    progress: Progress,
    fault: Fault,
    /// Its share of the node's memory.
    _room: OwnedSemaphorePermit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Coming,
    /// All of it was read; what is ready has still to go out.
    Ended,
    Failed,
}

impl std::fmt::Debug for Transformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transformed({:?}, {:?} after {} bytes)", self.cipher, self.progress, self.received)
    }
}

impl Transformed {
    /// A body that is about to come.
    pub fn new(
        body: RequestBody,
        transformer: Transformer,
        cipher: Cipher,
        (engine, lifeline): (&Arc<Engine>, &Arc<Lifeline>),
        room: OwnedSemaphorePermit,
    ) -> Self {
        Transformed {
            body,
            transformer,
            cipher,
            engine: Arc::clone(engine),
            lifeline: Arc::clone(lifeline),
            left: Bytes::new(),
            out: Vec::new(),
            last: 0..0,
            waiting: None,
            received: 0,
            replaced: 0,
            has_paused: false,
            progress: Progress::Coming,
            fault: Fault::default(),
            _room: room,
        }
    }

    /// Where what is wrong with it will stand once it is on its way.
    pub fn fault(&self) -> Fault {
        Arc::clone(&self.fault)
    }

    /// Reads on until the body has ended or more than `bytes_max` of it came. True where it has ended.
    ///
    /// # Errors
    /// What is wrong with it so far.
    pub async fn gather(&mut self, bytes_max: usize) -> Result<bool, Unfit> {
        let gathered = std::future::poll_fn(|cx| {
            while self.progress == Progress::Coming && self.received <= bytes_max {
                ready!(self.poll_read(cx))?;
            }
            Poll::Ready(Ok(self.progress == Progress::Ended))
        })
        .await;
        self.lifeline.excuse(Party::Caller);
        self.lifeline.excuse(Party::Upstream);
        gathered
    }

    /// All that is ready to go out.
    pub fn take_ready(&mut self) -> Bytes {
        std::mem::take(&mut self.out).into()
    }

    /// What the last field was replaced with; none where there was none.
    pub fn last_replaced(&self) -> Option<&[u8]> {
        self.out.get(self.last.clone()).filter(|replaced| !replaced.is_empty())
    }

    /// Polls for what goes out next.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unforwardable>>> {
        while self.out.is_empty() {
            match self.progress {
                Progress::Ended => return Poll::Ready(None),
                Progress::Failed => return Poll::Ready(Some(Err(Unforwardable))),
                Progress::Coming => {}
            }
            if let Err(unfit) = ready!(self.poll_read(cx)) {
                self.progress = Progress::Failed;
                if self.lifeline.body_fault() == BodyFault::None {
                    if unfit.refusal != Refusal::Unavailable {
                        self.lifeline.set_body_fault(BodyFault::Broken);
                    }
                    *self.fault.lock() = Some(unfit);
                }
                // What came before the fault was of a document that is none.
                self.out.clear();
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.take_ready()))))
    }

    /// The same where it is the answer: nobody is behind, and a key that is taken away ends it.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.lifeline.is_revoked() {
            return Poll::Ready(Some(Err(Cut::Revoked)));
        }
        let polled = ready!(self.poll_frame(cx));
        if polled.is_none() {
            self.lifeline.excuse(Party::Caller);
            self.lifeline.excuse(Party::Upstream);
        }
        Poll::Ready(polled.map(|frame| frame.map_err(|_| Cut::Unfit)))
    }

    /// Reads one more piece of the body, or on in the last one.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unfit>> {
        if let Some((field, getting)) = &mut self.waiting {
            let got = ready!(getting.as_mut().poll(cx));
            self.cipher.keep(got, field)?;
            if let Some((field, _)) = self.waiting.take() {
                self.replace(field)?;
            }
            return Poll::Ready(Ok(()));
        }
        if !self.left.is_empty() {
            let is_due = self.replaced > 0 && self.replaced.is_multiple_of(REPLACED_AT_ONCE);
            if is_due && !std::mem::replace(&mut self.has_paused, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(self.read_left());
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => {
                self.transformer.finish()?;
                self.progress = Progress::Ended;
            }
            // Which it is stands in the lifeline.
            Some(Err(Unforwardable)) => return Poll::Ready(Err(self.broken().into())),
            Some(Ok(frame)) => {
                // Trailers were about the body as it came: they end here.
                if let Ok(data) = frame.into_data() {
                    self.received += data.len();
                    self.left = data;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn read_left(&mut self) -> Result<(), Unfit> {
        let mut unread = &self.left[..];
        let field = self.transformer.feed(&mut unread, &mut self.out)?;
        let read = self.left.len() - unread.len();
        self.left = self.left.slice(read..);
        let Some(field) = field else { return Ok(()) };
        self.replaced += 1;
        self.has_paused = false;
        if self.replaced > REPLACED_MAX {
            return Err(Unfit::field(Refusal::BodyTooLarge, &field.path));
        }
        self.replace(field)
    }

    fn replace(&mut self, field: Field) -> Result<(), Unfit> {
        let begin = self.out.len();
        match self.cipher.replace(&field, &mut self.out)? {
            Replaced::Done => self.last = begin..self.out.len(),
            Replaced::Needs(id) => {
                let (engine, project) = (Arc::clone(&self.engine), self.cipher.project());
                self.waiting = Some((field, Box::pin(async move { engine.data_key(project, id).await })));
            }
        }
        Ok(())
    }

    fn broken(&self) -> Refusal {
        match self.lifeline.body_fault() {
            BodyFault::TooLarge => Refusal::BodyTooLarge,
            BodyFault::Broken | BodyFault::None => Refusal::BadRequest,
        }
    }
}
