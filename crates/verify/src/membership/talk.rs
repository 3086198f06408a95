//! The conversation with the store: does what the state machine says, one thing after another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keyward_core::clock::Clock;
use keyward_core::nodes::{Followed, NewNode, Renewal};
use keyward_core::store::StoreError;

use super::watch::Moment;
use super::{Membership, Undrained};
use crate::engine::Engine;
use crate::nodes::member::{Act, Heard, PAGE, Say};
use crate::options::StartError;

/// How long a start asks a store again that does not answer.
const START_PATIENCE: Duration = Duration::from_secs(15);

/// What came of saying something.
type Answer = Result<Heard, StartError>;

impl Membership {
    /// Talks until the lease holds. Gives what to say next. A store that is slow or busy just now is asked again for a
    /// while: nodes start when much is going on.
    pub(super) async fn talk_until_held(&self, engine: &Engine) -> Result<Say, StartError> {
        let give_up = self.after(START_PATIENCE);
        let mut say = self.take(engine, Heard::Time);
        loop {
            if let (Say::Wait { .. }, true) = (&say, engine.lease.holds(&*engine.clock)) {
                return Ok(say);
            }
            let heard = match self.say(engine, say, &mut 0).await {
                Err(error) if error.may_pass() && self.clock.boottime_nanos() < give_up => {
                    tracing::warn!(%error, "the store did not answer this node yet; it is asked again");
                    Heard::Failed
                }
                answer => answer?,
            };
            say = self.take(engine, heard);
        }
    }

    /// Talks on until the node stops.
    pub(super) async fn talk_on(self: Arc<Self>, engine: Arc<Engine>, mut say: Say) {
        let mut hints = 0;
        loop {
            let answer = tokio::select! {
                () = self.stopping.cancelled() => return,
                answer = boxed_say(&self, &engine, say, &mut hints) => answer,
            };
            if !matches!(say, Say::Wait { .. }) {
                self.note(say, &answer);
            }
            say = self.take(&engine, answer.unwrap_or(Heard::Failed));
        }
    }

    /// Does what follows from what was heard.
    fn take(&self, engine: &Engine, heard: Heard) -> Say {
        let step = self.heard(heard);
        for act in step.acts {
            self.act(engine, act);
        }
        step.say
    }

    fn act(&self, engine: &Engine, act: Act) {
        match act {
            Act::EndLease => engine.lease.suspend(),
            Act::DropEverything => {
                metrics::counter!("keyward_fenced_total").increment(1);
                tracing::warn!("this node starts afresh: everything it had read is dropped");
                engine.cache.shut();
                let closing = engine.exchanges.close(|_| true);
                let mut undrained = self.undrained.lock();
                // What was applied and is not acknowledged yet belongs to a run, and perhaps to a past, that is over.
                let Undrained { mut dropped, closing: begun, .. } = std::mem::take(&mut *undrained);
                dropped.join(begun);
                dropped.join(closing);
                undrained.dropped = dropped;
            }
            Act::Apply(entries) => {
                let mut undrained = self.undrained.lock();
                for entry in entries {
                    undrained.closing.join(engine.apply(&entry));
                    undrained.entries.push(entry);
                }
            }
            Act::Publish { until } => {
                let mut told = self.told.lock();
                told.renewed = told.renewing;
                if !told.renewed.is_some_and(|sent| self.has_stood_still_since(sent)) {
                    engine.lease.publish(until);
                }
            }
            Act::Drain { run, revision } => {
                self.undrained.lock().up_to = Some((run, revision));
                self.drain.notify_one();
            }
            Act::Alarm => {
                tracing::error!(
                    "the store went back behind what this node has seen: it was restored, or a standby that lagged \
                     took over; what was taken away since is made again from what nodes remember"
                );
                self.told.lock().has_gone_back = true;
                metrics::counter!("keyward_lease_renewals_total", "outcome" => "regressed").increment(1);
                self.lose();
            }
        }
    }

    /// Says it, and gives what was heard.
    async fn say(&self, engine: &Engine, say: Say, hints: &mut u64) -> Answer {
        match say {
            Say::Register { id, nonce } => {
                let new = NewNode {
                    id,
                    nonce,
                    lease: self.options.lease.length,
                    name: self.options.name.clone(),
                    version: self.options.version.clone(),
                    started_at: self.started_at,
                };
                self.bounded(self.nodes.register(&new)).await?;
                Ok(Heard::Registered)
            }
            Say::Load => {
                let patience = self.patience() * 10;
                let loaded = self.within(patience, self.load(engine)).await;
                loaded.unwrap_or(Err(StartError::Late(patience))).map(Heard::Loaded)
            }
            Say::Renew { id, nonce, acknowledged, followed } => {
                let sent = Moment::now(&self.clock);
                self.told.lock().renewing = Some(sent);
                let renewal = self.bounded(self.nodes.renew(id, nonce, acknowledged, followed, PAGE)).await?;
                if let Renewal::Renewed(renewed) = &renewal {
                    self.clock.measured(sent.boottime, self.clock.boottime_nanos(), renewed.now);
                }
                Ok(Heard::Renewed(renewal))
            }
            Say::Read { after } => Ok(Heard::Read(self.bounded(engine.store.changes_since(after, PAGE)).await?)),
            Say::Replay => {
                let replayed = self.nodes.replay().await?;
                if replayed.changes > 0 {
                    tracing::warn!(
                        changes = replayed.changes,
                        "restrictive changes that the store had lost are made again"
                    );
                }
                match replayed.unreadable {
                    0 => Ok(Heard::Replayed),
                    // Whether what they took away is still taken away is not known: this node answers nothing.
                    unreadable => Err(StoreError::Damaged(format!(
                        "{unreadable} changes that this node remembers cannot be read, and the store may have lost them"
                    ))
                    .into()),
                }
            }
            Say::Wait { until } => Ok(self.wait(until, hints).await),
        }
    }

    /// Reads everything that is kept in memory as a whole, as of where the log stood before, or later.
    async fn load(&self, engine: &Engine) -> Result<Followed, StartError> {
        let dropped = std::mem::take(&mut self.undrained.lock().dropped);
        engine.exchanges.drain(dropped).await;
        let (revision, hash) = engine.store.head().await?;
        engine.cache.begin(revision);
        engine.data_keys.forget();
        engine.load().await?;
        Ok(Followed { revision, hash })
    }

    async fn wait(&self, until: i64, hints: &mut u64) -> Heard {
        loop {
            tokio::select! {
                count = self.nodes.hint(*hints) => {
                    *hints = count;
                    return Heard::Hint;
                }
                () = self.nudged.notified() => {
                    return if self.is_hinted.swap(false, Ordering::SeqCst) { Heard::Hint } else { Heard::Time };
                }
                is_time = self.glance(until) => if is_time {
                    return Heard::Time;
                }
            }
        }
    }

    /// Counts and logs what came of something that was said: the first failure, and the first success after it.
    fn note(&self, say: Say, answer: &Answer) {
        if let Say::Renew { .. } = say {
            let outcome = match answer {
                Ok(Heard::Renewed(Renewal::Fenced)) => "fenced",
                Ok(_) => "renewed",
                Err(_) => "failed",
            };
            metrics::counter!("keyward_lease_renewals_total", "outcome" => outcome).increment(1);
        }
        let was_failing = std::mem::replace(&mut self.told.lock().is_failing, answer.is_err());
        match answer {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "the store does not answer this node; it goes on from memory until its lease ends");
            }
            Ok(_) if was_failing => tracing::info!("the store answers again"),
            _ => {}
        }
    }
}

/// In a box, as what it holds is large and rarely looked at.
fn boxed_say<'a>(
    node: &'a Membership,
    engine: &'a Engine,
    say: Say,
    hints: &'a mut u64,
) -> std::pin::Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
    Box::pin(node.say(engine, say, hints))
}
