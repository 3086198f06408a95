//! The judgement of a request once its key is found: `decide`, then the limits, then a note of the outcome. What
//! limits lack is asked for here, and the request is judged again, so that nothing is granted on what was true
//! before.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use keyward_core::contract::Contract;
use keyward_core::decision::{ProjectFacts, RequestFacts, decide};
use keyward_core::denial::{Denial, Kind, Refusal};
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::limits::Rate;
use keyward_core::store::StoreError;

use crate::cache::Entry;
use crate::engine::{ApiInForce, Ask, Decision, Engine};
use crate::limits::shared::SharedRates;
use crate::limits::{Charge, Lacking, LimitView, Request, Short, TakenAhead, Unmet};
use crate::lookup::UNAVAILABLE;

/// How long one request asks for units of shared rates, in nanoseconds: a few times as long as one ask may take.
const SHARED_NANOS_MAX: i64 = 100_000_000;

/// What has to be asked for before a request can be judged.
enum Asking {
    /// Units of a quota, of the store.
    Units(Short),
    /// Units of rates, of the server that nodes share them in.
    Shared(Arc<Lacking>),
}

impl Engine {
    /// Judges a key by what is known now, and notes the outcome. None where the key changed while something was
    /// asked for: then it has to be looked up again.
    pub(crate) async fn judge(&self, entry: &Arc<Entry>, ask: &Ask<'_>) -> Option<Decision> {
        match self.judge_at_once(entry, ask) {
            Ok(decision) => Some(decision),
            // In a box, like all that is rare: what a cached verify does not need must not make its future larger.
            Err(asking) => Box::pin(self.judge_with(asking, entry, ask)).await,
        }
    }

    async fn judge_with(&self, mut asking: Asking, entry: &Arc<Entry>, ask: &Ask<'_>) -> Option<Decision> {
        let mut ahead: Vec<(Arc<Lacking>, TakenAhead)> = Vec::new();
        let mut sharing_since = None;
        loop {
            let now = self.clock.boottime_nanos();
            let refused = match asking {
                Asking::Units(short) => self.limiter.fetch(short).await.err().map(|error| {
                    tracing::warn!(%error, "units of a quota could not be asked for: nothing is granted on a guess");
                    (UNAVAILABLE, Charge::default())
                }),
                // What is taken for one request another may spend; none asks again and again for long.
                Asking::Shared(_) if now - *sharing_since.get_or_insert(now) > SHARED_NANOS_MAX => {
                    Some((UNAVAILABLE, Charge::default()))
                }
                Asking::Shared(lacking) => match self.limiter.take_shared(&lacking).await {
                    Ok(taken) => {
                        ahead.push((lacking, taken));
                        None
                    }
                    Err(charge) => Some((Denial::new(Refusal::RateLimited), charge)),
                },
            };
            let judged = match refused {
                _ if entry.is_stale() => None,
                Some((denial, charge)) => Some(self.refused(entry, ask, denial, charge)),
                None => match self.judge_at_once(entry, ask) {
                    Ok(decision) => Some(decision),
                    Err(more) => {
                        asking = more;
                        continue;
                    }
                },
            };
            if judged.as_ref().is_none_or(|decision| decision.outcome.is_err()) {
                self.undo(ahead);
            }
            return judged;
        }
    }

    /// Gives back what was taken ahead for a request that was refused; nobody waits for it.
    fn undo(&self, ahead: Vec<(Arc<Lacking>, TakenAhead)>) {
        if ahead.is_empty() {
            return;
        }
        let limiter = Arc::clone(&self.limiter);
        tokio::spawn(async move {
            for (lacking, taken) in ahead {
                limiter.undo_shared(&lacking, taken).await;
            }
        });
    }

    fn refused(&self, entry: &Entry, ask: &Ask<'_>, denial: Denial, charge: Charge) -> Decision {
        let project = entry.project.facts.load();
        self.usage.refused(entry.facts.id, &project, denial, self.clock.now(), ask.facts.address);
        if let Some(limit) = charge.denied_by() {
            let (api, limit) = (project.api.to_string(), limit.to_owned());
            metrics::counter!("keyward_limit_refusals_total", "api" => api, "limit" => limit).increment(1);
        }
        Decision { outcome: Err(denial), key: Some(entry.facts.id), charge }
    }

    /// Judges a key with what is at hand; gives what has to be asked for first.
    fn judge_at_once(&self, entry: &Arc<Entry>, ask: &Ask<'_>) -> Result<Decision, Asking> {
        let now = self.clock.now();
        let project = entry.project.facts.load();
        let facts = RequestFacts { api: ask.api.map(|api| &api.name), ..ask.facts };
        let limits = Request { limiter: &self.limiter, cost: facts.cost, address: facts.address, now };
        let decide = |api: &ApiInForce| match decide(entry, &project, &api.contract, &facts, now) {
            Ok(pending) => pending.reserve(&limits),
            // Who holds a good key is told how its limits stand, whatever else is refused.
            Err(denial) if denial.refusal().kind() == Kind::Authority => {
                Err(Unmet::Denied(denial, limits.look(entry, &project, &api.contract)))
            }
            Err(denial) => Err(Unmet::Denied(denial, Charge::default())),
        };
        let outcome = match ask.api {
            Some(api) => decide(api),
            None => match self.apis.load().get(&project.api) {
                Some(api) => decide(api),
                None => Err(Unmet::Denied(UNAVAILABLE, Charge::default())),
            },
        };
        match outcome {
            Ok((grant, charge)) => {
                self.usage.granted(entry, now, facts.address);
                Ok(Decision { outcome: Ok(grant), key: Some(entry.facts.id), charge })
            }
            Err(Unmet::Denied(denial, charge)) => Ok(self.refused(entry, ask, denial, charge)),
            Err(Unmet::Ask(short)) => Err(Asking::Units(short)),
            Err(Unmet::Share(lacking)) => Err(Asking::Shared(lacking.into())),
        }
    }

    /// Where the contract limits failed authentication: a credential that is refused, too often from one network,
    /// is refused for that. What is granted is never touched.
    pub fn guard(&self, ask: &Ask<'_>, decision: Decision) -> Decision {
        let (Err(denial), Some(api), Some(address)) = (&decision.outcome, ask.api, ask.facts.address) else {
            return decision;
        };
        let Some(rate) = &api.contract.guards.failed_authentication else { return decision };
        if denial.refusal().kind() != Kind::Credential {
            return decision;
        }
        match self.limiter.guarded.failed(Some(&api.name), address, rate, self.clock.boottime_nanos()) {
            Ok(()) => decision,
            Err(wait) => Decision {
                outcome: Err(Denial::new(Refusal::RateLimited)),
                key: decision.key,
                charge: Charge::refused_by_guard("failed_authentication", wait),
            },
        }
    }

    /// How the limits of a project stand; those that count by key for the key of this lineage.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn limit_views(
        &self,
        project: ProjectFacts,
        contract: &Arc<Contract>,
        lineage: Option<KeyId>,
    ) -> Result<Vec<LimitView>, StoreError> {
        self.limiter.views(project, contract, lineage).await
    }

    /// The counters of rates that this node shares with others, where it does.
    pub fn shared_rates(&self) -> Option<&SharedRates> {
        self.limiter.shared()
    }

    /// Counts an act of key management, where the contract limits them.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub fn guard_key_management(&self, project: ProjectId, contract: &Contract) -> Result<(), Duration> {
        let Some(rate) = &contract.guards.key_management else { return Ok(()) };
        self.limiter.guarded.managed(project, rate, self.clock.boottime_nanos())
    }

    /// Counts a failed authentication at the control plane; `rate` is how many one network may have.
    ///
    /// # Errors
    /// How long to wait, where there were too many from one network.
    pub fn guard_failed_management(&self, address: IpAddr, rate: &Rate) -> Result<(), Duration> {
        self.limiter.guarded.failed(None, address, rate, self.clock.boottime_nanos())
    }

    /// Keeps where rates stand, gives back units that lie idle, forgets counters that nobody counts on.
    pub(crate) async fn look_after_limits(&self) {
        self.limiter.save_rates().await;
        self.limiter.give_back_idle().await;
        self.limiter.forget_unused();
    }
}
