//! Keeping what is seen of requests: the access log, and the traces that are sent to a collector. The threads that serve put what has ended into a bounded queue and
//! go on; a thread of its own takes it from there several times a second. What finds no room is dropped and counted: a
//! disk that is slow or full slows nobody down.

mod export;
mod line;
mod output;
mod spans;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use keyward_edge::{Observed, Observer};
use parking_lot::{Condvar, Mutex};
use tokio_util::sync::CancellationToken;

use self::export::{Exporter, SPANS_MAX};
use self::output::Output;
use crate::config::Config;
use crate::failure::{Doing, Outcome};

/// The most requests that wait to be written; each takes a few hundred bytes.
const WAITING_MAX: usize = 65_536;
/// So many wake the writer before its time.
const WAKING: usize = WAITING_MAX / 8;
/// How often what waits is written.
const EVERY: Duration = Duration::from_millis(100);
/// How long a stop waits for the collector of traces.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// What keeps what is seen. Stopping it writes what waits.
#[derive(Debug)]
pub struct Watching {
    queue: Arc<Queue>,
    writer: JoinHandle<()>,
    sending: Option<tokio::task::JoinHandle<()>>,
}

/// Where what is seen is kept.
struct Kept {
    log: Option<Output>,
    traces: Option<Exporter>,
}

/// Requests that have ended and are not written yet.
#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    dropped: metrics::Counter,
    has_log: bool,
    sampled: Option<f64>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Observed>,
    is_to_reopen: bool,
    is_ending: bool,
}

impl Watching {
    /// Begins to keep what the configuration wants kept; none where it wants nothing.
    ///
    /// # Errors
    /// Where the log's file cannot be opened, or the collector not be spoken to.
    pub fn begin(config: &Config) -> Outcome<Option<Watching>> {
        let open = |path: PathBuf| {
            let doing = format!("open the access log {}", path.display());
            Output::open(path).doing(&doing)
        };
        let log = config.access_log().map(open).transpose()?;
        let traced = config.traces();
        let exporter = traced.map(|(endpoint, _)| Exporter::start(endpoint, &config.node_name())).transpose()?;
        let (traces, sending) = exporter.unzip();
        let (has_log, sampled) = (log.is_some(), traced.map(|(_, share)| share));
        if !has_log && sampled.is_none() {
            return Ok(None);
        }
        let dropped = metrics::counter!("keyward_access_log_dropped_total");
        dropped.increment(0);
        let queue = Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), dropped, has_log, sampled });
        let from = Arc::clone(&queue);
        let writer = std::thread::Builder::new().name("keyward-access-log".into());
        let writer =
            writer.spawn(move || write(&from, Kept { log, traces })).doing("start the access log's thread")?;
        Ok(Some(Watching { queue, writer, sending }))
    }

    /// Who is to be told of requests.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.queue) as Arc<dyn Observer>
    }

    /// Opens the log's file anew at every SIGHUP, until `stop`: whoever rotates logs has moved it away then.
    ///
    /// # Errors
    /// Where the signal cannot be caught.
    pub fn reopen_on_hangup(&self, stop: CancellationToken) -> Outcome<impl Future<Output = ()> + use<>> {
        let queue = Arc::clone(&self.queue);
        let kind = tokio::signal::unix::SignalKind::hangup();
        let mut hangups = tokio::signal::unix::signal(kind).doing("catch signals")?;
        Ok(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    hangup = hangups.recv() => match hangup {
                        Some(()) => queue.tell(|state| state.is_to_reopen = true),
                        None => return,
                    },
                }
            }
        })
    }

    /// Writes what waits and ends.
    pub async fn stop(self) {
        self.queue.tell(|state| state.is_ending = true);
        let ended = tokio::task::spawn_blocking(move || self.writer.join().is_ok()).await;
        if !ended.unwrap_or(false) {
            tracing::error!("the access log's thread did not end as it should");
        }
        // The thread has given away its last spans.
        if let Some(sending) = self.sending
            && tokio::time::timeout(LAST_SPANS, sending).await.is_err()
        {
            tracing::warn!("the collector of traces did not take the last spans in time");
        }
    }
}

impl Queue {
    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_one();
    }
}

impl Observer for Queue {
    fn observe(&self, observed: Observed) {
        let is_traced = observed.trace.as_ref().is_some_and(|trace| trace.is_sampled);
        if !self.has_log && !is_traced {
            return;
        }
        let mut state = self.state.lock();
        if state.waiting.len() >= WAITING_MAX {
            drop(state);
            return self.dropped.increment(1);
        }
        state.waiting.push(observed);
        if state.waiting.len() == WAKING {
            self.changed.notify_one();
        }
    }

    fn sampled(&self) -> Option<f64> {
        self.sampled
    }
}

/// Writes until told to end.
fn write(queue: &Queue, mut kept: Kept) {
    let mut batch = Vec::new();
    let mut lines = Vec::new();
    loop {
        let (is_to_reopen, is_ending) = {
            let mut state = queue.state.lock();
            if !state.is_ending && !state.is_to_reopen {
                queue.changed.wait_for(&mut state, EVERY);
            }
            std::mem::swap(&mut batch, &mut state.waiting);
            (std::mem::take(&mut state.is_to_reopen), state.is_ending)
        };
        if let Some(log) = &mut kept.log {
            batch.iter().for_each(|observed| line::write(observed, &mut lines));
            if !log.write(&lines) {
                queue.dropped.increment(batch.len() as u64);
            }
            lines.clear();
            if is_to_reopen {
                log.reopen();
            }
        }
        if let Some(traces) = &kept.traces {
            let mut spans: Vec<_> = batch.iter().filter_map(spans::of).flatten().collect();
            while !spans.is_empty() {
                let rest = spans.split_off(spans.len().min(SPANS_MAX));
                traces.send(std::mem::replace(&mut spans, rest));
            }
        }
        batch.clear();
        if is_ending {
            return;
        }
    }
}
