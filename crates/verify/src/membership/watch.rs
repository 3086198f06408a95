//! Looking at the clock: ends what may not outlive the lease, sees that the machine stood still, removes nodes that are
//! gone, and tells how this node stands.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::{Clock, Timestamp};

use super::{GLANCE, Membership};
use crate::clock::NodeClock;
use crate::engine::Engine;
use crate::nodes::nanos;
use crate::nodes::reaper::Reaper;
use crate::standing::Standing;

/// How far the machine's wall clock may be from the database's.
const SKEW_MAX: Duration = Duration::from_secs(30);

/// A moment on both of the machine's clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub boottime: i64,
    wall: Timestamp,
}

impl Moment {
    pub fn now(clock: &NodeClock) -> Self {
        Moment { boottime: clock.boottime_nanos(), wall: clock.machine_now() }
    }

    /// How much longer the time since an earlier moment was by the wall clock: a machine that was held still, or somebody
    /// who set the clock.
    fn unseen_since(self, earlier: Moment) -> i64 {
        let wall = self.wall.as_millis().saturating_sub(earlier.wall.as_millis()).saturating_mul(1_000_000);
        wall.saturating_sub(self.boottime.saturating_sub(earlier.boottime))
    }
}

impl Membership {
    /// Looks at the clock ten times a second, until the node stops.
    pub(super) async fn watch_on(self: Arc<Self>, engine: Arc<Engine>) {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(GLANCE) => {}
            }
            self.distrust_a_clock_that_stood_still(&engine);
            if !engine.lease.holds(&*engine.clock) {
                // Others stop waiting for this node now, so what it let in has to end now. Nobody waits for it here.
                drop(engine.exchanges.close(|_| true));
            }
        }
    }

    /// CLOCK_BOOTTIME stands still while a virtual machine is held or moved, and a lease that is measured by it then lasts
    /// too long. The wall clock tells, once it is right again.
    fn distrust_a_clock_that_stood_still(&self, engine: &Engine) {
        let mut told = self.told.lock();
        if told.renewed.is_some_and(|renewed| self.has_stood_still_since(renewed)) {
            told.renewed = None;
            engine.lease.suspend();
            self.member.lock().renew_now();
            self.nudged.notify_one();
            tracing::warn!(
                "the wall clock went on for longer than a lease while this machine stood still, or was set: renewing"
            );
        }
    }

    pub(super) fn has_stood_still_since(&self, earlier: Moment) -> bool {
        Moment::now(&self.clock).unseen_since(earlier) > nanos(self.options.lease.length)
    }

    /// Removes nodes that are gone, until this node stops.
    pub(super) async fn reap_on(self: Arc<Self>) {
        let mut reaper = Reaper::default();
        loop {
            let until = self.after(self.options.lease.renew_every);
            while !tokio::select! {
                () = self.stopping.cancelled() => return,
                is_time = self.glance(until) => is_time,
            } {}
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.reap(&mut reaper) => {}
            }
        }
    }

    async fn reap(&self, reaper: &mut Reaper) {
        let Ok(census) = self.bounded(self.nodes.census()).await else { return };
        metrics::gauge!("keyward_nodes").set(census.nodes.len() as f64);
        for (id, nonce) in reaper.observe(self.clock.boottime_nanos(), &census) {
            match self.bounded(self.nodes.reap(id, nonce)).await {
                Ok(true) => tracing::warn!(node = %id, "a node that did not renew its lease is removed"),
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, node = %id, "a node could not be removed yet"),
            }
        }
    }

    /// How this node stands.
    pub fn standing(&self, engine: &Engine) -> Standing {
        let told = self.told.lock();
        let member = self.member.lock();
        let is_ready = engine.lease.holds(&*engine.clock);
        let skew = self.clock.skew_millis();
        let age = told.renewed.map(|renewed| self.clock.boottime_nanos().saturating_sub(renewed.boottime).max(0));
        let mut reasons = Vec::new();
        let mut note = |is_so: bool, reason: &str| {
            if is_so {
                reasons.push(reason.to_owned());
            }
        };
        note(!is_ready, "this node has no lease: it answers nothing from memory until the store answers it");
        note(told.is_failing, "the store does not answer this node");
        note(told.may_not_remember, "restrictive changes cannot be kept outside the database");
        note(told.has_gone_back, "the store went back behind what this node had seen, since this node started");
        if skew.unsigned_abs() > SKEW_MAX.as_millis() as u64 {
            reasons.push(format!("the machine's wall clock is {} s off the database's", skew / 1000));
        }
        Standing {
            id: member.run(),
            lease_ends_in: engine.lease.left(&*engine.clock),
            lease_age: age.map(|age| Duration::from_nanos(age.unsigned_abs())),
            applied: engine.applied(),
            seen_head: member.head().max(engine.applied()),
            clock_skew_ms: skew,
            is_ready,
            reasons,
        }
    }

    /// Sets the gauges, and warns of a clock that is off.
    pub fn tell(&self, engine: &Engine) {
        let standing = self.standing(engine);
        let seconds = |duration: Option<Duration>| duration.unwrap_or_default().as_secs_f64();
        metrics::gauge!("keyward_lease_seconds_left").set(seconds(standing.lease_ends_in));
        metrics::gauge!("keyward_lease_age_seconds").set(seconds(standing.lease_age));
        metrics::gauge!("keyward_revision_lag").set((standing.seen_head.0 - standing.applied.0) as f64);
        metrics::gauge!("keyward_clock_skew_seconds").set(standing.clock_skew_ms as f64 / 1000.0);
        let mut told = self.told.lock();
        metrics::gauge!("keyward_revision_regressed").set(f64::from(u8::from(told.has_gone_back)));
        let is_off = standing.clock_skew_ms.unsigned_abs() > SKEW_MAX.as_millis() as u64;
        if is_off && !std::mem::replace(&mut told.is_off_time, is_off) {
            let skew = standing.clock_skew_ms;
            tracing::warn!(skew_ms = skew, "the machine's wall clock is off; keys expire by the database's");
        }
        told.is_off_time = is_off;
    }
}
