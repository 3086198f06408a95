//! Units of quotas: asked of the store before they run out, given back when they lie idle, when others need them
//! and when the node stops.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::limits::block::BlockAsk;
use keyward_core::store::StoreError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::quota_cell::{QuotaCell, QuotaState, Says};
use super::{Limiter, Short};

/// Units that nobody asked for this long are given back.
const IDLE_NANOS: i64 = 10_000_000_000;
/// The same where another node asked for them.
const IDLE_RECALLED_NANOS: i64 = 50_000_000;
/// How often a node that holds units looks whether others need them.
const LOOK: Duration = Duration::from_millis(50);
/// How often, and after how long each time, a request looks whether others gave back what they were asked for.
const RECALL_LOOKS: u32 = 20;
const RECALL_LOOK: Duration = Duration::from_millis(20);

impl Limiter {
    /// Asks the store for units, so that the request that was short of them can be judged again. However many
    /// requests are short, one asks at a time, and those behind it find what it got.
    ///
    /// # Errors
    /// Where the store could not be asked: then it is not known whether there is enough.
    pub async fn fetch(&self, short: &Short) -> Result<(), StoreError> {
        let _one_at_a_time = short.cell.lane.lock().await;
        let mut looks = 0;
        loop {
            let term = &short.bound.terms.quotas[usize::from(short.place)];
            let (now, boottime) = (self.clock.now(), self.clock.boottime_nanos());
            let ask = {
                let mut state = short.cell.state.lock();
                state.roll(term.per, now);
                let is_settled = match state.says(short.units, term.limit, now, boottime) {
                    Says::Enough => !state.is_low(term.limit),
                    Says::Ask => false,
                    // Others may have given back meanwhile.
                    Says::UsedUp => looks == 0,
                };
                if is_settled {
                    return Ok(());
                }
                BlockAsk {
                    counter: short.cell.id.clone(),
                    period: state.period.clone(),
                    ends_at: state.end(),
                    holder: self.holder,
                    unspent: state.left(),
                    need: short.units.max(1),
                    limit: term.limit,
                }
            };
            let answer = self.store.exchange_block(&ask).await?;
            let is_told = {
                let mut state = short.cell.state.lock();
                let is_same = state.period == ask.period;
                if is_same {
                    state.told(&answer, ask.unspent, self.clock.boottime_nanos());
                }
                is_same
            };
            if !is_told {
                continue;
            }
            self.note_holding(&short.cell);
            let is_hopeless = answer.with_others == 0 || ask.need > term.limit || looks == RECALL_LOOKS;
            if answer.held >= ask.need || is_hopeless {
                return Ok(());
            }
            metrics::counter!("keyward_quota_recalls_total").increment(1);
            looks += 1;
            tokio::time::sleep(RECALL_LOOK).await;
        }
    }

    /// Has more units asked for while there still are some.
    pub fn want_more(&self, short: Short) {
        // Nobody takes wishes once the node stops; then none are needed.
        let _ = self.wanted.send(short);
    }

    /// Fulfils wishes for more units until the node stops.
    pub async fn refill(self: Arc<Self>, mut wishes: mpsc::UnboundedReceiver<Short>, stop: CancellationToken) {
        loop {
            let short = tokio::select! {
                () = stop.cancelled() => return,
                short = wishes.recv() => short,
            };
            let Some(short) = short else { return };
            let limiter = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(error) = limiter.fetch(&short).await {
                    tracing::warn!(%error, quota = %short.cell.id.name, "units of a quota could not be asked for");
                }
                short.cell.state.lock().unwant();
            });
        }
    }

    /// Looks, while this node holds units, whether others need them.
    pub async fn heed_recalls(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if self.holding.lock().is_empty() {
                continue;
            }
            match self.store.recalled_blocks(self.holder).await {
                Ok(recalled) => {
                    for (counter, period) in recalled {
                        let Some(cell) = self.counters.known_quota(&counter) else { continue };
                        let since = self.clock.boottime_nanos() - IDLE_RECALLED_NANOS;
                        if cell.state.lock().period == period {
                            self.give_back_if(&cell, |state| state.is_idle(since)).await;
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "whether others need units is not known"),
            }
        }
    }

    /// Gives back what lies idle.
    pub async fn give_back_idle(&self) {
        let since = self.clock.boottime_nanos() - IDLE_NANOS;
        for cell in self.held() {
            self.give_back_if(&cell, |state| state.is_idle(since)).await;
        }
    }

    /// Gives everything back: the node stops.
    pub async fn give_back_all(&self) {
        for cell in self.held() {
            self.give_back_if(&cell, |state| state.left() > 0).await;
        }
    }

    fn held(&self) -> Vec<Arc<QuotaCell>> {
        self.holding.lock().values().cloned().collect()
    }

    fn note_holding(&self, cell: &Arc<QuotaCell>) {
        let place = Arc::as_ptr(cell) as usize;
        self.holding.lock().entry(place).or_insert_with(|| Arc::clone(cell));
    }

    async fn give_back_if(&self, cell: &Arc<QuotaCell>, fits: impl Fn(&QuotaState) -> bool) {
        let _one_at_a_time = cell.lane.lock().await;
        let place = Arc::as_ptr(cell) as usize;
        let ask = {
            let mut state = cell.state.lock();
            let is_over = !state.counts(self.clock.now());
            if is_over || state.left() == 0 {
                // What is held of a period that is over is worth nothing to anybody.
                self.holding.lock().remove(&place);
                return;
            }
            if !fits(&state) {
                return;
            }
            let (period, ends_at) = (state.period.clone(), state.end());
            // Taken away before it is sent: should the answer be lost, they may be back in the store.
            let unspent = state.take_all();
            BlockAsk { counter: cell.id.clone(), period, ends_at, holder: self.holder, unspent, need: 0, limit: u64::MAX }
        };
        self.holding.lock().remove(&place);
        if let Err(error) = self.store.exchange_block(&ask).await {
            tracing::warn!(%error, quota = %cell.id.name, units = ask.unspent, "units could not be given back: they count as spent");
        }
    }
}
