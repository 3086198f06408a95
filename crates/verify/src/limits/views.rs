//! How the limits of a project stand, for people and programs that manage it.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::contract::Contract;
use keyward_core::decision::ProjectFacts;
use keyward_core::id::KeyId;
use keyward_core::limits::block::Tally;
use keyward_core::limits::{LimitBy, Period, QuotaCounter};
use keyward_core::store::StoreError;

use super::Limiter;
use super::charge::LimitKind;
use super::quota_cell::QuotaCell;
use super::rate_cell::RateOf;
use super::terms::{QuotaTerm, RateTerm, Terms};

/// One limit of a project and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitView {
    /// Its name.
    pub name: String,
    /// Rate or quota.
    pub kind: LimitKind,
    /// Whose requests it counts.
    pub by: LimitBy,
    /// How much there is: the project's own, or the plan's.
    pub limit: u64,
    /// A rate's burst.
    pub burst: Option<u64>,
    /// A rate's time.
    pub per: Option<Duration>,
    /// A quota's period.
    pub period: Option<Period>,
    /// Whether the project has one of its own.
    pub is_own: bool,
    /// How much is used; none where it counts by key and none was named, or by address.
    pub used: Option<u64>,
    /// How much would pass now.
    pub remaining: Option<u64>,
    /// When it is all there again; none where it is, or never will be.
    pub renews_at: Option<Timestamp>,
}

impl Limiter {
    /// How the limits of a project stand; those that count by key for the key with this lineage.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn views(
        &self,
        project: ProjectFacts,
        contract: &Arc<Contract>,
        lineage: Option<KeyId>,
    ) -> Result<Vec<LimitView>, StoreError> {
        let terms = Terms::of(&Arc::new(project), contract);
        let mut views: Vec<LimitView> =
            terms.rates.iter().map(|term| self.rate_view(&terms, term, lineage)).collect();
        let now = self.clock.now();
        let counters: Vec<Option<(QuotaCounter, Box<str>)>> = terms
            .quotas
            .iter()
            .map(|term| {
                let of = of(&terms, term.by, lineage)?;
                Some((terms.quota_id(term, of), term.per.span(now).id))
            })
            .collect();
        let cells: Vec<Option<Arc<QuotaCell>>> = counters
            .iter()
            .zip(&terms.quotas)
            .map(|(counter, term)| self.counters.known_quota(counter.as_ref()?.0.clone(), term.per))
            .collect();
        // What the store says of a counter and what this node spent of its block are told of one moment. In one order
        // for all, so that two that look never wait for one another in a circle.
        let mut known: Vec<&Arc<QuotaCell>> = cells.iter().flatten().collect();
        known.sort_by_key(|cell| Arc::as_ptr(cell) as usize);
        let mut nothing_moves = Vec::with_capacity(known.len());
        for cell in known {
            nothing_moves.push(cell.exchanging.lock().await);
        }
        let asked: Vec<_> = counters.iter().flatten().cloned().collect();
        let mut tallies = self.store.quota_tallies(&asked).await?.into_iter();
        for ((term, counter), cell) in terms.quotas.iter().zip(counters).zip(&cells) {
            let used =
                counter.map(|(_, period)| used(cell.as_deref(), &period, &tallies.next().unwrap_or_default()));
            views.push(quota_view(&terms, term, used, now));
        }
        Ok(views)
    }

    fn rate_view(&self, terms: &Terms, term: &RateTerm, lineage: Option<KeyId>) -> LimitView {
        let (now, boottime) = (self.clock.now(), self.clock.boottime_nanos());
        let stood = of(terms, term.by, lineage).map(|of| {
            let known = self.counters.known_rate(&terms.rate_id(term, RateOf::Counted(of)));
            known.map_or(0, |cell| cell.state.lock().ahead(&term.rate, self.mode(), boottime))
        });
        let ahead = stood.unwrap_or(0);
        let remaining = stood.map(|ahead| term.rate.remaining(ahead, 0));
        LimitView {
            name: term.name.to_string(),
            kind: LimitKind::Rate,
            by: term.by,
            limit: term.rate.limit(),
            burst: Some(term.rate.burst()),
            per: Some(term.rate.per()),
            period: None,
            is_own: terms.project.limits.contains_key(&*term.name),
            used: remaining.map(|remaining| term.rate.burst().saturating_sub(remaining)),
            remaining,
            renews_at: (ahead > 0).then(|| now.saturating_add(Duration::from_nanos(ahead as u64))),
        }
    }
}

/// Units used: what this node spent of its block is known here only.
fn used(cell: Option<&QuotaCell>, period: &str, tally: &Tally) -> u64 {
    let Some(cell) = cell else { return tally.spent };
    cell.state.lock().of(period).map_or(tally.spent, |state| state.spent_of(tally.spent))
}

/// Whose counter to look at; none where it counts by key and none is named, or by address.
fn of(terms: &Terms, by: LimitBy, lineage: Option<KeyId>) -> Option<keyward_core::limits::CountedOf> {
    match by {
        LimitBy::Key => lineage.and_then(|lineage| terms.counted(by, lineage)),
        by => terms.counted(by, KeyId::from_u128(0)),
    }
}

fn quota_view(terms: &Terms, term: &QuotaTerm, used: Option<u64>, now: Timestamp) -> LimitView {
    LimitView {
        name: term.name.to_string(),
        kind: LimitKind::Quota,
        by: term.by,
        limit: term.limit,
        burst: None,
        per: None,
        period: Some(term.per),
        is_own: terms.project.limits.contains_key(&*term.name),
        used,
        remaining: used.map(|used| term.limit.saturating_sub(used)),
        renews_at: term.per.span(now).end,
    }
}
