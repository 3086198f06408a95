//! Following the log: how a change that is written comes into force on this node.
//!
//! The call that made a change waits in [`Engine::settle`] until the change is applied and the exchanges of
//! what it takes away have ended. With the embedded store this node is the only one, so that is the whole
//! barrier; several nodes acknowledge to one another through the store (`membership`).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::{Change, DataKeyChange, Entry, KeyChange, OrganizationChange, ProjectChange, Revision};
use keyward_core::contract::{Contract, ContractError, Presets};
use keyward_core::id::KeyId;
use keyward_core::store::StoreError;
use keyward_core::tenancy::Api;

use crate::engine::{ApiInForce, Engine};
use crate::exchange::{Closing, Owner};

/// How long a change that only gives waits for this node to apply it, and how often it looks.
const HERE_NANOS: i64 = 2_000_000_000;
const GLANCE: Duration = Duration::from_millis(1);

/// Changes read in one go.
const BATCH: u32 = 512;

/// How a change took force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// By what it is known.
    pub by: By,
    /// How many nodes confirmed it.
    pub nodes: u32,
    /// How long the call waited for that, in milliseconds.
    pub waited_ms: u64,
}

/// By what it is known that no node decides as before any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Every node confirmed the change.
    Acknowledged,
    /// The lease of at least one node ran out before it confirmed: it answers nothing from memory since.
    LeaseExpired,
}

/// The change is durable, but whether every node follows it is not known: never answer success.
#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    /// The store could not be read.
    #[error("the change is written, but could not be put in force here: {0}")]
    Store(#[from] StoreError),
    /// The nodes could not be asked for longer than a lease lasts.
    #[error("the change is written, but whether it is in force on every node could not be found out")]
    Unknown,
    /// The store went back behind the change: it was restored, or a standby that lagged took over.
    #[error("the store went back, and what was written last may be lost")]
    Lost,
    /// This node stopped meanwhile.
    #[error("the change is written, but this node stopped before it was known to be in force on every node")]
    Stopped,
}

impl Engine {
    /// Waits until everything up to `revision` is in force on every node: applied, and the exchanges of keys
    /// that were taken away ended; or the lease of a node that did not confirm it over. To be called after its commit was
    /// answered. Ends within the longest wait for a lease that any node has, and two seconds.
    ///
    /// # Errors
    /// [`Unsettled`] where that cannot be known. With the embedded store the node grants nothing until it can.
    pub async fn settle(&self, revision: Revision) -> Result<InForce, Unsettled> {
        let began = self.clock.boottime_nanos();
        let (by, nodes) = match &self.membership {
            // Entered even where the revision is applied already: whoever applied it may still be draining.
            None => {
                self.follow_to(Some(revision)).await?;
                (By::Acknowledged, 1)
            }
            Some(membership) => membership.settle(revision, began).await?,
        };
        let waited = self.clock.boottime_nanos().saturating_sub(began);
        let waited_ms = u64::try_from(waited / 1_000_000).unwrap_or(0);
        crate::membership::note_wait(by, waited);
        Ok(InForce { by, nodes, waited_ms })
    }

    /// Waits until this node has applied everything up to `revision`, and for no other: for changes that only give. A node
    /// that cannot read the log just now applies them later; they are written.
    ///
    /// # Errors
    /// As [`Engine::settle`], with the embedded store only.
    pub async fn settle_here(&self, revision: Revision) -> Result<InForce, Unsettled> {
        let Some(membership) = &self.membership else { return self.settle(revision).await };
        let began = self.clock.boottime_nanos();
        membership.hint();
        let waited = || self.clock.boottime_nanos().saturating_sub(began);
        while self.applied() < revision && waited() < HERE_NANOS {
            tokio::time::sleep(GLANCE).await;
        }
        let waited_ms = u64::try_from(waited() / 1_000_000).unwrap_or(0);
        Ok(InForce { by: By::Acknowledged, nodes: 1, waited_ms })
    }

    /// Whether everything up to `revision` is in force on every node by now, without waiting for any; none where one
    /// has not confirmed it yet.
    ///
    /// # Errors
    /// [`Unsettled`] where the nodes cannot be asked, or the store went back behind it.
    pub async fn in_force(&self, revision: Revision) -> Result<Option<InForce>, Unsettled> {
        let nodes = match &self.membership {
            // Whoever follows the log just now may still have exchanges to close.
            None => (self.following.try_lock().is_ok() && self.applied() >= revision).then_some(1),
            Some(membership) => membership.stands(revision).await?,
        };
        Ok(nodes.map(|nodes| InForce { by: By::Acknowledged, nodes, waited_ms: 0 }))
    }

    /// Follows the log to its end.
    pub(crate) async fn follow(&self) -> Result<(), StoreError> {
        self.follow_to(None).await
    }

    /// After the log could not be read: tries again, and grants again once it could.
    pub(crate) async fn recover(&self) {
        if !self.lease.holds(&*self.clock) && self.follow().await.is_ok() {
            tracing::info!("the log is followed again");
        }
    }

    /// Follows the log up to a revision, or to its end. Whether the lease holds afterwards is settled before
    /// another may follow, so that a failure is never overtaken by an earlier success.
    async fn follow_to(&self, revision: Option<Revision>) -> Result<(), StoreError> {
        let _one_at_a_time = self.following.lock().await;
        match self.apply_up_to(revision).await {
            Ok(closing) => {
                // What was followed to its end is all that is written; up to a revision may leave a gap open.
                if revision.is_none() {
                    self.lease.resume();
                }
                self.exchanges.drain(closing).await;
                Ok(())
            }
            Err(error) => {
                self.lease.suspend();
                metrics::counter!("keyward_follow_failures_total").increment(1);
                tracing::error!(%error, "the log could not be followed: nothing is granted until it can");
                Err(error)
            }
        }
    }

    async fn apply_up_to(&self, revision: Option<Revision>) -> Result<Closing, StoreError> {
        let mut closing = Closing::default();
        while revision.is_none_or(|revision| self.applied() < revision) {
            let entries = self.store.changes_since(self.applied(), BATCH).await?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                closing.join(self.apply(entry));
            }
        }
        Ok(closing)
    }

    /// Applies one change: memory first, exchanges second.
    pub(crate) fn apply(&self, entry: &Entry) -> Closing {
        match &entry.body.change {
            Change::Api { api } => self.put_in_force(&Api { revision: entry.revision, ..Api::clone(api) }),
            Change::ManagementKey { id, what } => self.management.apply(*id, what, entry.body.at, entry.revision),
            // People and invitations are read anew for every request of theirs: no node keeps them.
            Change::Organization { .. }
            | Change::Project { .. }
            | Change::Key { .. }
            | Change::Keys { .. }
            | Change::DataKey { .. }
            | Change::Person { .. }
            | Change::Invitation { .. }
            | Change::Store { .. } => {}
        }
        let narrows = match &entry.body.change {
            Change::Project { of, what: ProjectChange::DestinationSet { destination } } => {
                destination.is_none() || self.cache.may_have_destination(of.id)
            }
            change => self.may_narrow(change),
        };
        self.cache.apply(entry);
        self.data_keys.apply(&entry.body.change);
        self.close_what_ended(entry, narrows)
    }

    /// Whether a change to a key may take something from requests under way. Scopes that only grew do not; one
    /// with a colon may name a resource, and then limits where it is added.
    fn may_narrow(&self, change: &Change) -> bool {
        match change {
            Change::Key { of, what: KeyChange::Rescoped { scopes } } => match self.cache.known(of.id) {
                Some(known) => {
                    let added = scopes.iter().filter(|scope| !known.facts.scopes.iter().any(|old| old == *scope));
                    !known.facts.scopes.is_within(scopes) || added.into_iter().any(|scope| scope.contains(':'))
                }
                None => true,
            },
            Change::Key { what: KeyChange::AddressesSet { addresses }, .. } => !addresses.is_empty(),
            change => change.is_restrictive(),
        }
    }

    fn put_in_force(&self, api: &Api) {
        let mut apis = BTreeMap::clone(&self.apis.load());
        // What was read as a whole may be further than the log that is followed up to it.
        if apis.get(&api.name).is_some_and(|known| known.revision > api.revision) {
            return;
        }
        match compile(api) {
            Ok(compiled) => {
                apis.insert(api.name.clone(), Arc::new(compiled));
            }
            Err(error) => {
                // Written by another version of Keyward. Without a contract nothing of the API is granted.
                tracing::error!(api = %api.name, %error, "a contract cannot be read: its keys are refused");
                apis.remove(&api.name);
            }
        }
        self.apis.store(Arc::new(apis));
    }

    fn close_what_ended(&self, entry: &Entry, narrows: bool) -> Closing {
        match &entry.body.change {
            Change::Key { of, what: KeyChange::Rotated { ends_at, .. } } if *ends_at > entry.body.at => {
                self.exchanges.end_by(of.id, *ends_at);
                Closing::default()
            }
            Change::Key { of, what: KeyChange::ExpirySet { expires_at } } => {
                self.exchanges.end_by(of.id, *expires_at);
                Closing::default()
            }
            Change::Key { of, .. } if narrows => self.exchanges.close(|owner: &Owner| owner.key == of.id),
            Change::Keys { .. } => {
                let keys: HashSet<KeyId> = entry.body.change.keys().collect();
                self.exchanges.close(|owner| keys.contains(&owner.key))
            }
            Change::Project { of, what: ProjectChange::PlanSet { .. } | ProjectChange::AccessSet { .. } } => {
                let shut_out = self.cache.projects_without_access(&of.api, self.api(&of.api).as_deref());
                self.exchanges.close(|owner| owner.project == of.id && shut_out.contains(&owner.project))
            }
            Change::Api { api } => {
                let shut_out = self.cache.projects_without_access(&api.name, self.api(&api.name).as_deref());
                self.exchanges.close(|owner| shut_out.contains(&owner.project))
            }
            // What is on its way to the old address; where there was none, nothing is.
            Change::Project { of, what: ProjectChange::DestinationSet { .. } } if narrows => {
                self.exchanges.close(|owner| owner.project == of.id)
            }
            Change::Project { of, what: ProjectChange::Suspended | ProjectChange::Deleted }
            | Change::DataKey { of, what: DataKeyChange::Shredded { .. } } => {
                self.exchanges.close(|owner| owner.project == of.id)
            }
            Change::Organization { id, what: OrganizationChange::Suspended | OrganizationChange::Deleted } => {
                self.exchanges.close(|owner| owner.organization == *id)
            }
            _ => Closing::default(),
        }
    }
}

/// Compiles the contract in force of an API.
pub(crate) fn compile(api: &Api) -> Result<ApiInForce, ContractError> {
    let contract = Contract::read(&api.resolved, &Presets::default())?;
    Ok(ApiInForce { name: api.name.clone(), revision: api.revision, contract: Arc::new(contract) })
}
