//! Units of quotas: asked of the store before they run out, given back when they lie idle, when others need them
//! and when the node stops.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::limits::block::BlockAsk;
use keyward_core::limits::{Period, QuotaCounter};
use keyward_core::store::StoreError;
use tokio::sync::mpsc;

use super::quota_cell::{QuotaCell, QuotaState, Says};
use super::{Limiter, Short};

/// Units that nobody asked for this long are given back; who needs them sooner calls them back.
const IDLE_NANOS: i64 = 600_000_000_000;
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
    pub async fn fetch(self: &Arc<Self>, short: Short) -> Result<(), StoreError> {
        // In a task of its own: a caller that goes away must not take units with it that are on their way.
        let limiter = Arc::clone(self);
        let fetching = self.tasks.spawn(async move { limiter.fetch_here(&short).await });
        fetching.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }

    async fn fetch_here(&self, short: &Short) -> Result<(), StoreError> {
        let _one_at_a_time = short.cell.lane.lock().await;
        for look in 0..=RECALL_LOOKS {
            if self.stopping.is_cancelled() {
                return Err(StoreError::Unavailable("this node stops".into()));
            }
            // What waits here holds up nobody who gives units back: another node may wait for those of this one.
            if look > 0 {
                metrics::counter!("keyward_quota_recalls_total").increment(1);
                tokio::time::sleep(RECALL_LOOK).await;
            }
            if self.exchange_for(short, look).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Asks the store once; says whether there is nothing more to be got.
    async fn exchange_for(&self, short: &Short, look: u32) -> Result<bool, StoreError> {
        let Short { cell, bound, place, units } = short;
        let term = bound.terms.quota(*place);
        let _one_at_a_time = cell.exchanging.lock().await;
        let (now, boottime) = (self.clock.now(), self.clock.boottime_nanos());
        let (ask, at_hand) = {
            let mut state = cell.state.lock();
            state.roll(cell.per, now);
            let is_settled = match state.says(*units, term, now, boottime) {
                Says::Enough => !state.is_low(term.limit),
                Says::Ask | Says::Unknown | Says::AskAgain => false,
                // Others may have given back meanwhile.
                Says::UsedUp => look == 0,
            };
            if is_settled {
                return Ok(true);
            }
            // Of what can never be met it is enough to be told how things stand.
            let need = if *units > term.limit { 1 } else { (*units).max(1) };
            let ask = self.ask(cell, &state, need, term.limit);
            if state.may_lose_units(term.limit) {
                // Taken away before it is sent: nobody may spend meanwhile what the store takes back, and should the
                // answer be lost, nobody may spend it afterwards.
                state.take_all();
            }
            (ask, state.left())
        };
        let answer = self.store.exchange_block(&ask).await?;
        let is_hopeless = answer.with_others == 0 || *units == 0 || *units > term.limit || look == RECALL_LOOKS;
        let is_in_vain = answer.held < ask.need;
        let mut state = cell.state.lock();
        if let Some(state) = state.of(&ask.period) {
            state.told(&answer, ask.limit, at_hand);
            if !is_in_vain || is_hopeless {
                state.asked(is_in_vain, self.clock.boottime_nanos());
            }
        }
        self.counters.holding.note(cell);
        Ok(!is_in_vain || is_hopeless)
    }

    fn ask(&self, cell: &QuotaCell, state: &QuotaState, need: u64, limit: u64) -> BlockAsk {
        BlockAsk {
            counter: cell.id.clone(),
            period: state.period.clone(),
            ends_at: state.end(),
            holder: self.holder,
            unspent: state.left(),
            need,
            limit,
        }
    }

    /// Has more units asked for while there still are some.
    pub fn want_more(&self, short: Short) {
        // Nobody takes wishes once the node stops; then none are needed.
        let _ = self.wanted.send(short);
    }

    /// Fulfils wishes for more units until the node stops.
    pub async fn refill(self: Arc<Self>, mut wishes: mpsc::UnboundedReceiver<Short>) {
        loop {
            let short = tokio::select! {
                () = self.stopping.cancelled() => return,
                short = wishes.recv() => short,
            };
            let Some(short) = short else { return };
            let limiter = Arc::clone(&self);
            self.tasks.spawn(async move {
                if let Err(error) = limiter.fetch_here(&short).await {
                    tracing::warn!(%error, quota = %short.cell.id.name, "units of a quota could not be asked for");
                }
                short.cell.state.lock().unwant();
            });
        }
    }

    /// Looks, while this node holds units, whether others need them.
    pub async fn heed_recalls(self: Arc<Self>) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                _ = tick.tick() => {}
            }
            if self.counters.holding.is_empty() {
                continue;
            }
            match self.store.recalled_blocks(self.holder).await {
                Ok(recalled) => {
                    for (counter, period) in recalled {
                        let Some(cell) = self.counting(&counter, &period) else { continue };
                        let since = self.clock.boottime_nanos() - IDLE_RECALLED_NANOS;
                        // Where all is spent there is nothing to keep: others wait for it in vain.
                        self.give_back_if(&cell, |state| state.left() == 0 || state.is_idle(since)).await;
                    }
                }
                Err(error) => tracing::debug!(%error, "whether others need units is not known"),
            }
        }
    }

    /// The counter that counts in a period.
    fn counting(&self, counter: &QuotaCounter, period: &str) -> Option<Arc<QuotaCell>> {
        let all = [Period::Day, Period::Month, Period::Lifetime];
        let known = all.into_iter().filter_map(|per| self.counters.known_quota(counter.clone(), per));
        known.into_iter().find(|cell| *cell.state.lock().period == *period)
    }

    /// Gives back what lies idle.
    pub async fn give_back_idle(&self) {
        let since = self.clock.boottime_nanos() - IDLE_NANOS;
        for cell in self.counters.holding.all() {
            self.give_back_if(&cell, |state| state.is_idle(since)).await;
        }
    }

    /// Gives everything back: the node stops.
    pub(super) async fn give_back_all(&self) {
        for cell in self.counters.holding.all() {
            self.give_back_if(&cell, |_| true).await;
        }
    }

    async fn give_back_if(&self, cell: &Arc<QuotaCell>, fits: impl Fn(&QuotaState) -> bool) {
        let _one_at_a_time = cell.exchanging.lock().await;
        while let Some(ask) = self.take_out(cell, &fits) {
            match self.store.exchange_block(&ask).await {
                Ok(answer) => {
                    if let Some(state) = cell.state.lock().of(&ask.period) {
                        state.told(&answer, ask.limit, 0);
                    }
                }
                Err(error) => tracing::warn!(
                    %error, quota = %cell.id.name, units = ask.unspent,
                    "units could not be given back: they count as spent"
                ),
            }
        }
    }

    /// Takes the units of one period out of a cell, to be given back.
    fn take_out(&self, cell: &Arc<QuotaCell>, fits: impl Fn(&QuotaState) -> bool) -> Option<BlockAsk> {
        let now = self.clock.now();
        let mut state = cell.state.lock();
        if !state.has_block(now) {
            self.counters.holding.remove(cell);
            return None;
        }
        let state = state.block_of(now, fits)?;
        let ask = self.ask(cell, state, 0, u64::MAX);
        // Taken away before it is sent: should the answer be lost, they may be back in the store.
        state.take_all();
        Some(ask)
    }
}
