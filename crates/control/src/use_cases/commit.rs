//! From a decision to what is in force: committing with expectations, trying again on a conflict, waiting
//! for the engine, and answering a repeated request without doing its work again.

use std::sync::Arc;

use keyward_core::change::{Actor, Change, Expect, Idempotency, Origin, Proposal, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::data_key::DataKeyId;
use keyward_core::id::{InvitationId, KeyId, ManagementKeyId, OrganizationId, ProjectId};
use keyward_core::people::Person;
use keyward_core::store::StoreError;
use keyward_verify::InForce;
use serde::{Deserialize, Serialize};

use super::Control;
use super::caller::{Asked, Caller};
use super::error::{ControlError, Result};
use super::force::Force;

/// How often a use case decides anew before it gives up: every try that fails means that another succeeded.
const TRIES_MAX: u32 = 64;

/// What a request did, as far as a repetition needs to be told it: ids, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Made {
    Organization { id: OrganizationId },
    Project { id: ProjectId, key: Option<KeyId> },
    DataKey { id: DataKeyId },
    Key { id: KeyId, replaced: Option<KeyId> },
    ManagementKey { id: ManagementKeyId },
    Invitation { id: InvitationId },
}

/// What is to be written, once it is decided.
pub(crate) struct Plan {
    pub expect: Vec<Expect>,
    pub changes: Vec<Change>,
    /// What a repetition of the request is told.
    pub made: Option<Made>,
}

/// How a commit went.
pub(crate) enum Committed {
    /// Written, and in force on every node, unless the caller did not wait for that.
    InForce(Force),
    /// Not written, for this is no longer so.
    Stale(Expect),
}

/// What became of a request that may be a repetition.
pub(crate) enum Once<T> {
    /// Its work was done now.
    Now(T),
    /// Its work had been done before.
    Before(Made),
}

/// What a request does to one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Nothing.
    #[default]
    Keep,
    /// Takes its value away.
    Clear,
    /// Gives it a value.
    Set(T),
}

/// Counts the tries of one use case.
#[derive(Default)]
pub(crate) struct Tries(u32);

impl Tries {
    /// Lets the use case decide anew, on a state that this node has caught up with.
    pub async fn again(&mut self, control: &Control, stale: Expect) -> Result<()> {
        self.0 += 1;
        if self.0 >= TRIES_MAX {
            return Err(ControlError::Conflict(Some(stale)));
        }
        // The contract in force is the engine's: it must not be older than the state that is loaded next.
        control.settle_all().await.map(|_| ())
    }
}

impl Control {
    /// Commits a plan and waits until it is in force.
    pub(crate) async fn commit(&self, asked: &Asked, at: Timestamp, plan: Plan) -> Result<Committed> {
        if plan.changes.is_empty() {
            return self.settle_for(asked).await.map(Committed::InForce);
        }
        let mut expect = plan.expect;
        expect.extend(asked.caller.expectation());
        let proposal = Proposal {
            actor: asked.caller.actor(),
            origin: asked.origin.clone(),
            at,
            expect,
            changes: plan.changes,
            idempotency: record(asked, plan.made.as_ref())?,
        };
        // Who gives something waits in any case: only until this node has it itself.
        let waits = asked.waits || !proposal.changes.iter().any(Change::is_restrictive);
        let written = match self.write(proposal, waits).await {
            Ok((revision, Some(in_force))) => Ok(Force::taken(revision, in_force)),
            Ok((revision, None)) => Ok(self.pending(asked, revision)),
            Err(error) => Err(error),
        };
        match written {
            Err(ControlError::Conflict(Some(expect))) if is_caller(&asked.caller, &expect) => {
                Err(self.why_not_the_same(&asked.caller, expect).await?)
            }
            written => committed(written),
        }
    }

    /// Commits what somebody does who becomes a person by it, and waits until it is in force.
    pub(crate) async fn commit_as(
        &self,
        actor: Actor,
        origin: &Origin,
        at: Timestamp,
        plan: Plan,
    ) -> Result<Committed> {
        let Plan { expect, changes, .. } = plan;
        let proposal = Proposal { actor, origin: origin.clone(), at, expect, changes, idempotency: None };
        committed(self.write(proposal, true).await.and_then(|(revision, in_force)| {
            let in_force = in_force.ok_or_else(|| ControlError::Internal("nobody waited".into()))?;
            Ok(Force::taken(revision, in_force))
        }))
    }

    /// What to tell a caller that has changed since it was let in: a person who only has another name, say, is who they
    /// were, and asks again.
    async fn why_not_the_same(&self, caller: &Caller, stale: Expect) -> Result<ControlError> {
        let Caller::Person { person: before, .. } = caller else { return Ok(ControlError::Unauthenticated) };
        let now = self.store.person(before.id).await?;
        let has_kept = |now: &Person| {
            now.is_active() && now.is_operator == before.is_operator && now.memberships == before.memberships
        };
        Ok(match now.is_some_and(|now| has_kept(&now)) {
            true => ControlError::Conflict(Some(stale)),
            false => ControlError::Unauthenticated,
        })
    }

    /// Waits until all that is written is in force: the guarantee of a change that had been made before.
    pub(crate) async fn settle_all(&self) -> Result<InForce> {
        let (head, _) = self.store.head().await?;
        Ok(self.engine.settle(head).await?)
    }

    /// In tasks of their own: a caller that goes away, or does not wait, must not leave a change written but not in force.
    async fn write(&self, proposal: Proposal, waits: bool) -> Result<(Revision, Option<InForce>)> {
        let (store, engine) = (Arc::clone(&self.store), Arc::clone(&self.engine));
        let takes = proposal.changes.iter().any(Change::is_restrictive);
        let committing = tokio::spawn(async move {
            let entries = store.commit(proposal).await?;
            let last = entries.last().map(|entry| entry.revision);
            let last = last.ok_or_else(|| StoreError::Damaged("a commit gave no entry".into()))?;
            let settling = tokio::spawn(async move {
                match takes {
                    true => engine.settle(last).await,
                    false => engine.settle_here(last).await,
                }
            });
            Ok::<_, StoreError>((last, settling))
        });
        let lost = |failed: tokio::task::JoinError| ControlError::OutcomeUnknown(failed.to_string());
        let (last, settling) = committing.await.map_err(lost)??;
        match waits {
            true => Ok((last, Some(settling.await.map_err(lost)??))),
            false => Ok((last, None)),
        }
    }

    /// Does a request's work unless it was done before, also where a repetition that runs at the same time
    /// was faster.
    pub(crate) async fn once<T>(&self, asked: &Asked, work: impl Future<Output = Result<T>>) -> Result<Once<T>> {
        if let Some(made) = self.made_before(asked).await? {
            return Ok(Once::Before(made));
        }
        match work.await {
            Ok(done) => Ok(Once::Now(done)),
            // Not known is not done: the caller asks again and is then told.
            Err(
                error @ (ControlError::OutcomeUnknown(_)
                | ControlError::NotSettled(_)
                | ControlError::Unauthenticated),
            ) => Err(error),
            Err(error) => match self.made_before(asked).await? {
                Some(made) => Ok(Once::Before(made)),
                None => Err(error),
            },
        }
    }

    /// Whether a request did its work before: what asks once more must not ask who only repeats it.
    pub(crate) async fn was_done(&self, asked: &Asked) -> Result<bool> {
        Ok(self.made_before(asked).await?.is_some())
    }

    /// What a request did when it came before; in force by the time this answers.
    async fn made_before(&self, asked: &Asked) -> Result<Option<Made>> {
        let Some(repeat) = &asked.repeat else { return Ok(None) };
        let Some(found) = self.store.idempotency(&asked.caller.account(), &repeat.key).await? else {
            return Ok(None);
        };
        if found.fingerprint != repeat.fingerprint {
            return Err(ControlError::IdempotencyKeyReused);
        }
        let made = serde_json::from_str(&found.answer);
        let made = made.map_err(|error| ControlError::Internal(format!("an idempotency record: {error}")))?;
        if asked.waits {
            self.settle_all().await?;
        }
        Ok(Some(made))
    }
}

fn committed(written: Result<Force>) -> Result<Committed> {
    match written {
        Ok(force) => Ok(Committed::InForce(force)),
        Err(ControlError::Conflict(Some(expect))) => Ok(Committed::Stale(expect)),
        Err(error) => Err(error),
    }
}

fn record(asked: &Asked, made: Option<&Made>) -> Result<Option<Idempotency>> {
    let (Some(repeat), Some(made)) = (&asked.repeat, made) else { return Ok(None) };
    let answer = serde_json::to_string(made).map_err(|error| ControlError::Internal(error.to_string()))?;
    Ok(Some(Idempotency {
        caller: asked.caller.account(),
        key: repeat.key.clone(),
        fingerprint: repeat.fingerprint,
        answer,
    }))
}

fn is_caller(caller: &Caller, expect: &Expect) -> bool {
    match (caller, expect) {
        (Caller::ManagementKey(key), Expect::ManagementKey(id, _)) => key.id == *id,
        (Caller::Person { person, .. }, Expect::Person(id, revision)) => {
            (person.id, person.revision) == (*id, *revision)
        }
        _ => false,
    }
}

/// What is thrown where a repetition finds a record of another kind of request.
pub(crate) fn another_kind<T>(made: &Made) -> Result<T> {
    Err(ControlError::Internal(format!("an idempotency record of another request: {made:?}")))
}
