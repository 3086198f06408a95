//! Looking whether certificates changed on disk, every few seconds and on SIGHUP. What cannot be used changes nothing:
//! it is said in the log and counted, and what was shown before goes on being shown.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::{Clock, Timestamp};
use keyward_edge::tls::{Pair, ServerTls, UpstreamTls};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::read::{Shown, Spoken};
use crate::config::{ListenerFiles, UpstreamFiles};
use crate::failure::{Failure, Outcome};

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What tells one state of a file from another: which file it is, its size, and when anything of it last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    file: u64,
    size: u64,
    changed: (i64, i64),
}

/// All files that are looked at.
pub struct Watch(pub(super) Vec<Watched>);

/// Files that belong together, and what is replaced by what they hold.
pub(super) struct Watched {
    held: Held,
    stamps: Vec<Option<Stamp>>,
    pair: Option<Pair>,
}

/// What is replaced.
pub(super) enum Held {
    /// What listeners show.
    Listeners {
        files: ListenerFiles,
        control: Option<ServerTls>,
        check: Option<ServerTls>,
        gateway: Option<ServerTls>,
    },
    /// What upstreams are spoken to with.
    Upstreams { files: UpstreamFiles, tls: UpstreamTls },
}

impl Watch {
    /// Looks until `stop`.
    pub async fn run(self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let Watch(mut watched) = self;
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                tracing::error!(%error, "certificates are not looked at: SIGHUP cannot be caught");
                return;
            }
        };
        if watched.is_empty() {
            // Nothing to look at; but a SIGHUP, which the log's rotation may send, must not end the process.
            stop.cancelled().await;
            return;
        }
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                _ = hangups.recv() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            let now = clock.now();
            // Disks can be slow: no thread that serves waits for them.
            let looked = tokio::task::spawn_blocking(move || {
                watched.iter_mut().for_each(|one| one.look(now, is_asked));
                watched
            });
            match looked.await {
                Ok(back) => watched = back,
                Err(error) => {
                    tracing::error!(%error, "certificates are no longer looked at; this is a bug");
                    return;
                }
            }
        }
    }
}

impl Watched {
    /// Of files as they were when `stamps` were taken; `pair` is the certificate they hold.
    pub fn new(held: Held, stamps: Vec<Option<Stamp>>, pair: Option<Pair>, now: Timestamp) -> Self {
        let watched = Watched { held, stamps, pair };
        let of = watched.held.of();
        for outcome in ["loaded", "failed"] {
            metrics::counter!("keyward_tls_reloads_total", "of" => of, "outcome" => outcome).absolute(0);
        }
        if let Some(pair) = watched.pair.as_ref().filter(|pair| !pair.is_valid_at(now)) {
            tracing::error!(of, not_after = %pair.not_after(), "this certificate is not valid now: callers will refuse it");
        }
        watched.tell_expiry();
        watched
    }

    /// Reads the files again where they changed, or where that is asked for.
    pub fn look(&mut self, now: Timestamp, is_asked: bool) {
        let stamps = stamps(&self.held.files());
        if stamps == self.stamps && !is_asked {
            return;
        }
        self.stamps = stamps;
        let of = self.held.of();
        let outcome = match self.replace(now) {
            Ok(()) => {
                let until = self.pair.as_ref().map(|pair| pair.not_after().to_string());
                tracing::info!(of, until, "certificates were read anew; the next connections get them");
                self.tell_expiry();
                "loaded"
            }
            Err(failure) => {
                let reason = failure.to_string();
                tracing::error!(of, reason, "new certificates cannot be used; the ones before stay in use");
                "failed"
            }
        };
        metrics::counter!("keyward_tls_reloads_total", "of" => of, "outcome" => outcome).increment(1);
    }

    fn replace(&mut self, now: Timestamp) -> Outcome {
        let fresh = match &self.held {
            Held::Listeners { files, control, check, gateway } => {
                let shown = Shown::read(files)?;
                self.refuse_worse(Some(&shown.pair), now)?;
                for (tls, config) in [(control, shown.control), (check, shown.check), (gateway, shown.gateway)] {
                    if let Some(tls) = tls {
                        tls.replace(config);
                    }
                }
                Some(shown.pair)
            }
            Held::Upstreams { files, tls } => {
                let spoken = Spoken::read(files)?;
                self.refuse_worse(spoken.pair.as_ref(), now)?;
                tls.replace(spoken.config);
                spoken.pair
            }
        };
        self.pair = fresh;
        Ok(())
    }

    /// A certificate that is not valid now does not take the place of one that is.
    fn refuse_worse(&self, fresh: Option<&Pair>, now: Timestamp) -> Outcome {
        let is_good = |pair: Option<&Pair>| pair.is_none_or(|pair| pair.is_valid_at(now));
        match (is_good(self.pair.as_ref()), fresh.filter(|fresh| !fresh.is_valid_at(now))) {
            (true, Some(fresh)) => Err(Failure::failed(format!(
                "the certificate is not valid now (it ends at {}), and the one in use is",
                fresh.not_after()
            ))),
            _ => Ok(()),
        }
    }

    fn tell_expiry(&self) {
        if let Some(pair) = &self.pair {
            let seconds = pair.not_after().as_millis().div_euclid(1000);
            metrics::gauge!("keyward_tls_certificate_expires_seconds", "of" => self.held.of()).set(seconds as f64);
        }
    }
}

impl Held {
    fn of(&self) -> &'static str {
        match self {
            Held::Listeners { .. } => "listeners",
            Held::Upstreams { .. } => "upstreams",
        }
    }

    fn files(&self) -> Vec<&Path> {
        match self {
            Held::Listeners { files, .. } => files.all(),
            Held::Upstreams { files, .. } => files.all(),
        }
    }
}

/// How files are at the moment; none for those that are not there.
pub(super) fn stamps(files: &[&Path]) -> Vec<Option<Stamp>> {
    let stamp = |path: &&Path| {
        let found = std::fs::metadata(path).ok()?;
        Some(Stamp { file: found.ino(), size: found.size(), changed: (found.ctime(), found.ctime_nsec()) })
    };
    files.iter().map(stamp).collect()
}
