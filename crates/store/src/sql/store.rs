//! Core's [`Store`] over the SQL beside it, for whichever driver includes it.
//!
//! What a driver's store gives for it: `lend` a connection that reads, `bounded` waiting for what is read, `settle` what
//! becomes of the connection, and whether it `is_worth_another`; `make` proposals, `exchange` units of quotas and `write` what is no change; and what only
//! it knows: `copy_to` a file, whether it `takes_writes`, its `meeting_place`, its `kept_heads`, and its `end`.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use keyward_core::change::{Entry, Idempotency, Proposal, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::data_key::DataKeyId;
use keyward_core::data_keyring::DataKeyring;
use keyward_core::id::{
    ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId, SessionId, StoreId,
};
use keyward_core::key::Key;
use keyward_core::key_encryption::{KekVersion, WhichDataKey, Wrapped};
use keyward_core::limits::QuotaCounter;
use keyward_core::limits::block::{BlockAnswer, BlockAsk, Tally};
use keyward_core::log::SignedHead;
use keyward_core::nodes::Nodes;
use keyward_core::people::{Identity, Invitation, PasswordHash, Person};
use keyward_core::secret::{Digest, PepperVersion};
use keyward_core::session::{Session, SignInLink};
use keyward_core::store::{
    Canary, ChangeFilter, EventFilter, EventPosition, KeyFilter, KeyInContext, KeyList, KeyPart, LogVerdict, Page,
    PersonFilter, Read, Result, SavedRate, SessionsOf, Store, WrappedDataKey,
};
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};
use keyward_core::usage::{Event, Fold, KeyUsage, UsageBatch, UsageCount, UsageRow};

use super::data_keys::DataKeyWrite;
use super::dialect::read_failure;
use super::forget::Old;
use super::peppers::PepperWrite;
use super::sessions::SessionWrite;
use super::writes::Write;
use super::{
    Connection, Own, batch, counts, data_keys, events, key_lists, log, people_read, peppers, quotas, rates, read,
    sessions, usage,
};
use crate::head::HeadOfLog;

/// Reads something on a connection lent for it.
macro_rules! read {
    ($store:ident, $($function:ident)::+ ($($argument:expr),*)) => {{
        let mut tried = 0;
        loop {
            let mut lent = $store.lend().await?;
            let done = $store.bounded($($function)::+(&mut lent $(, $argument)*)).await;
            let done = $store.settle(lent, done);
            tried += 1;
            if !$store.is_worth_another(&done, tried) {
                break done;
            }
        }
    }};
}

#[async_trait]
impl Store for Own {
    fn id(&self) -> StoreId {
        self.id
    }

    async fn commit(&self, proposal: Proposal) -> Result<Vec<Entry>> {
        self.make(proposal).await
    }

    async fn head(&self) -> Result<(Revision, [u8; 32])> {
        let head = read!(self, head())?;
        Ok((head.revision, head.hash))
    }

    async fn changes_since(&self, after: Revision, limit: u32) -> Result<Vec<Entry>> {
        read!(self, log::since(&self.log_keys, after, limit))
    }

    async fn changes(&self, filter: &ChangeFilter, page: Page) -> Result<Vec<Entry>> {
        read!(self, log::matching(&self.log_keys, filter, page))
    }

    async fn key_by_digest(&self, digest: &Digest) -> Result<Read<Option<KeyInContext>>> {
        read!(self, read::key_by_digest(&self.log_keys, digest))
    }

    async fn add_digest(&self, key: KeyId, digest: &Digest, pepper: PepperVersion) -> Result<()> {
        self.write(Write::Pepper(PepperWrite::Digest { key, digest: *digest, pepper })).await.map(|_| ())
    }

    async fn key(&self, id: KeyId) -> Result<Option<Key>> {
        read!(self, read::one(&self.log_keys, id.to_string()))
    }

    async fn keys(&self, project: ProjectId, filter: &KeyFilter, page: Page) -> Result<Vec<Key>> {
        read!(self, key_lists::by_age(&self.log_keys, project, filter, page))
    }

    async fn sorted_keys(&self, project: ProjectId, filter: &KeyFilter, part: KeyPart) -> Result<KeyList> {
        read!(self, key_lists::sorted(&self.log_keys, project, filter, part))
    }

    async fn live_keys(&self, project: ProjectId, at: Timestamp) -> Result<u64> {
        read!(self, key_lists::live(project, at))
    }

    async fn key_usage(&self, keys: &[KeyId]) -> Result<Vec<KeyUsage>> {
        read!(self, usage::of_keys(keys))
    }

    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>> {
        read!(self, read::one(&self.log_keys, id.to_string()))
    }

    async fn organizations(&self, page: Page) -> Result<Vec<Organization>> {
        read!(self, read::organizations(&self.log_keys, page))
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>> {
        read!(self, read::one(&self.log_keys, id.to_string()))
    }

    async fn projects(&self, organization: OrganizationId, page: Page) -> Result<Vec<Project>> {
        read!(self, read::projects(&self.log_keys, organization, page))
    }

    async fn all_projects(&self, name_start: Option<&str>, page: Page) -> Result<Vec<Project>> {
        read!(self, read::all_projects(&self.log_keys, name_start, page))
    }

    async fn api(&self, name: &ApiName) -> Result<Option<Api>> {
        read!(self, read::one(&self.log_keys, name.to_string()))
    }

    async fn apis(&self) -> Result<Read<Vec<Api>>> {
        read!(self, read::apis(&self.log_keys))
    }

    async fn management_key(&self, id: ManagementKeyId) -> Result<Option<ManagementKey>> {
        read!(self, read::one(&self.log_keys, id.to_string()))
    }

    async fn management_keys(&self, page: Page) -> Result<Vec<ManagementKey>> {
        read!(self, read::management_keys(&self.log_keys, page))
    }

    async fn management_key_by_digest(&self, digest: &Digest) -> Result<Read<Option<ManagementKey>>> {
        read!(self, read::management_key_by_digest(&self.log_keys, digest))
    }

    async fn person(&self, id: PersonId) -> Result<Option<Person>> {
        read!(self, read::one(&self.log_keys, id.to_string()))
    }

    async fn person_by_email(&self, email: &str) -> Result<Option<Person>> {
        read!(self, people_read::by_email(&self.log_keys, email))
    }

    async fn person_by_identity(&self, identity: &Identity) -> Result<Option<Person>> {
        read!(self, people_read::by_identity(&self.log_keys, identity))
    }

    async fn people(&self, filter: &PersonFilter, page: Page) -> Result<Vec<Person>> {
        read!(self, people_read::people(&self.log_keys, filter, page))
    }

    async fn password(&self, person: PersonId) -> Result<Option<PasswordHash>> {
        read!(self, people_read::password(&self.log_keys, person))
    }

    async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>> {
        read!(self, read::one(&self.log_keys, id.to_string()))
    }

    async fn invitation_by_digest(&self, digest: &Digest) -> Result<Option<Invitation>> {
        read!(self, people_read::invitation_by_digest(&self.log_keys, digest))
    }

    async fn invitations(&self, organization: Option<OrganizationId>, page: Page) -> Result<Vec<Invitation>> {
        read!(self, people_read::invitations(&self.log_keys, organization, page))
    }

    async fn add_session(&self, session: &Session) -> Result<()> {
        self.write(Write::Sessions(SessionWrite::Add(Box::new(session.clone())))).await.map(|_| ())
    }

    async fn session_by_digest(&self, digest: &Digest) -> Result<Option<Session>> {
        read!(self, sessions::by_digest(&self.log_keys, digest))
    }

    async fn sessions(&self, person: PersonId) -> Result<Vec<Session>> {
        read!(self, sessions::of_person(&self.log_keys, person))
    }

    async fn touch_session(&self, id: SessionId, seen_at: Timestamp) -> Result<()> {
        self.write(Write::Sessions(SessionWrite::Touch { id, seen_at })).await.map(|_| ())
    }

    async fn end_sessions(&self, which: &SessionsOf) -> Result<()> {
        self.write(Write::Sessions(SessionWrite::End(*which))).await.map(|_| ())
    }

    async fn rehash_password(&self, person: PersonId, old: &PasswordHash, new: &PasswordHash) -> Result<()> {
        let (old, new) = (old.clone(), new.clone());
        self.write(Write::Sessions(SessionWrite::Rehash { person, old, new })).await.map(|_| ())
    }

    async fn add_sign_in_link(&self, link: &SignInLink) -> Result<()> {
        self.write(Write::Sessions(SessionWrite::AddLink(Box::new(link.clone())))).await.map(|_| ())
    }

    async fn sign_in_link(&self, digest: &Digest) -> Result<Option<SignInLink>> {
        read!(self, sessions::link(&self.log_keys, digest))
    }

    async fn take_sign_in_link(&self, digest: &Digest) -> Result<Option<SignInLink>> {
        // A link never changes: who deletes it has what was read before.
        let Some(link) = self.sign_in_link(digest).await? else { return Ok(None) };
        let taken = self.write(Write::Sessions(SessionWrite::TakeLink(*digest))).await?;
        Ok(taken.then_some(link))
    }

    async fn forget_sessions(&self, unused_since: Timestamp, now: Timestamp, limit: u32) -> Result<bool> {
        self.write(Write::Sessions(SessionWrite::Forget { unused_since, now, limit })).await
    }

    async fn idempotency(&self, caller: &str, key: &str) -> Result<Option<Idempotency>> {
        read!(self, read::idempotency(caller, key))
    }

    async fn record_usage(&self, batch: &UsageBatch) -> Result<()> {
        self.write(Write::Usage(Box::new(batch.clone()))).await.map(|_| ())
    }

    async fn usage(&self, project: ProjectId, from: Timestamp, to: Timestamp) -> Result<Vec<UsageRow>> {
        read!(self, usage::of_project(project, from, to))
    }

    async fn usage_counts(
        &self,
        project: ProjectId,
        from: Timestamp,
        to: Timestamp,
        fold: Fold,
    ) -> Result<Vec<UsageCount>> {
        read!(self, counts::of_project(project, (from, to), fold))
    }

    async fn forget_usage(&self, minutes: Timestamp, hours: Timestamp, limit: u32) -> Result<bool> {
        self.write(Write::Forget(Old { minutes, hours, limit })).await
    }

    async fn exchange_block(&self, ask: &BlockAsk) -> Result<BlockAnswer> {
        self.exchange(ask).await
    }

    async fn recalled_blocks(&self, holder: u128) -> Result<Vec<(QuotaCounter, Box<str>)>> {
        read!(self, quotas::recalled(holder))
    }

    async fn quota_tallies(&self, counters: &[(QuotaCounter, Box<str>)]) -> Result<Vec<Tally>> {
        read!(self, quotas::tallies(counters))
    }

    async fn save_rates(&self, rates: &[SavedRate]) -> Result<()> {
        self.write(Write::Rates(rates.to_vec())).await.map(|_| ())
    }

    async fn saved_rates(&self, now: Timestamp) -> Result<Vec<SavedRate>> {
        self.write(Write::FullRates(now)).await?;
        read!(self, rates::saved(now))
    }

    async fn events(
        &self,
        project: ProjectId,
        filter: &EventFilter,
        before: Option<EventPosition>,
        limit: u32,
    ) -> Result<Vec<(EventPosition, Event)>> {
        read!(self, events::events(&self.log_keys, project, filter, (before, limit)))
    }

    async fn verify_log(&self, heads: &[SignedHead]) -> Result<LogVerdict> {
        self.verify_log_with(heads, |_, _| {}).await
    }

    async fn backup(&self, to: &Path) -> Result<Revision> {
        self.copy_to(to).await
    }

    async fn canaries(&self) -> Result<Vec<Canary>> {
        read!(self, peppers::canaries(self.clock.now()))
    }

    async fn add_canary(&self, version: PepperVersion, canary: &[u8]) -> Result<()> {
        let write = PepperWrite::Canary { version, canary: canary.to_vec() };
        self.write(Write::Pepper(write)).await.map(|_| ())
    }

    async fn retire_pepper(&self, version: PepperVersion) -> Result<()> {
        self.write(Write::Pepper(PepperWrite::Retire(version))).await.map(|_| ())
    }

    async fn data_keyring(&self, project: ProjectId) -> Result<Option<DataKeyring>> {
        read!(self, data_keys::ring(&self.log_keys, project))
    }

    async fn wrapped_data_key(&self, which: WhichDataKey) -> Result<Option<Wrapped>> {
        read!(self, data_keys::wrapped(&self.log_keys, which))
    }

    async fn data_keys_under(
        &self,
        version: KekVersion,
        after: Option<DataKeyId>,
        limit: u32,
    ) -> Result<Vec<WrappedDataKey>> {
        read!(self, data_keys::under(&self.log_keys, version, after, limit))
    }

    async fn data_key_counts(&self) -> Result<Vec<(KekVersion, u64)>> {
        read!(self, data_keys::counts())
    }

    async fn rewrap_data_key(&self, which: WhichDataKey, old: &Wrapped, new: &Wrapped) -> Result<bool> {
        let (old, new) = (old.clone(), new.clone());
        self.write(Write::DataKeys(DataKeyWrite::Rewrap { which, old, new })).await
    }

    async fn retire_encryption_key(&self, version: KekVersion) -> Result<bool> {
        self.write(Write::DataKeys(DataKeyWrite::Retire(version))).await
    }

    async fn is_writable(&self) -> bool {
        self.takes_writes().await
    }

    fn nodes(&self) -> Option<Arc<dyn Nodes>> {
        self.meeting_place()
    }

    fn signed_heads(&self) -> Result<Vec<SignedHead>> {
        self.kept_heads()
    }

    async fn close(&self) {
        self.end().await;
    }
}

async fn head(connection: &mut Connection) -> Result<HeadOfLog> {
    batch::read_head(connection).await.map_err(read_failure)
}
