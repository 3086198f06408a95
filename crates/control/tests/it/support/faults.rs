//! A store that fails when told to, over a real one.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keyward_core::change::{Entry, Expect, Idempotency, Proposal, Revision};
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
    PersonFilter, Read, Result, SavedRate, SessionsOf, Store, StoreError, WrappedDataKey,
};
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};
use keyward_core::usage::{Event, Fold, KeyUsage, UsageBatch, UsageCount, UsageRow};
use tokio::sync::Notify;

/// How the store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The commit is made and its outcome lost.
    LostAnswer,
    /// The commit is not made and its outcome lost.
    LostCommit,
    /// No room.
    Full,
    /// Not now.
    Unavailable,
    /// Somebody else is always faster.
    AlwaysConflicting,
    /// The log cannot be read, so that nothing can be put in force.
    UnreadableLog,
    /// Reading the log takes until the fault is over: what is written is not in force before.
    SlowLog,
}

/// A store that fails when told to.
pub struct FaultyStore {
    over: Arc<dyn Store>,
    fault: Mutex<Option<Fault>>,
    altered: Notify,
    shared: Mutex<Option<Arc<dyn Nodes>>>,
}

impl FaultyStore {
    pub fn over(over: Arc<dyn Store>) -> Self {
        FaultyStore { over, fault: Mutex::default(), altered: Notify::new(), shared: Mutex::default() }
    }

    /// Fails like this from now on, or no more.
    pub fn fail(&self, fault: impl Into<Option<Fault>>) {
        *self.fault.lock().unwrap() = fault.into();
        self.altered.notify_waiters();
    }

    /// Says from now on that these nodes share it.
    pub fn share(&self, nodes: Arc<dyn Nodes>) {
        *self.shared.lock().unwrap() = Some(nodes);
    }

    /// Waits while the log is slow.
    async fn read_slowly(&self) {
        loop {
            let mut altered = std::pin::pin!(self.altered.notified());
            altered.as_mut().enable();
            if self.fault() != Some(Fault::SlowLog) {
                return;
            }
            altered.await;
        }
    }

    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap()
    }
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for FaultyStore {
            fn id(&self) -> StoreId {
                self.over.id()
            }

            async fn commit(&self, proposal: Proposal) -> Result<Vec<Entry>> {
                let reason = "as the test wants it".to_owned();
                match self.fault() {
                    Some(Fault::LostCommit) => Err(StoreError::Unknown(reason)),
                    Some(Fault::LostAnswer) => {
                        self.over.commit(proposal).await?;
                        Err(StoreError::Unknown(reason))
                    }
                    Some(Fault::Full) => Err(StoreError::Full(reason)),
                    Some(Fault::Unavailable) => Err(StoreError::Unavailable(reason)),
                    Some(Fault::AlwaysConflicting) => {
                        let expect = Expect::Organization(OrganizationId::from_u128(1), Revision::ZERO);
                        Err(StoreError::Conflict(expect))
                    }
                    Some(Fault::UnreadableLog | Fault::SlowLog) | None => self.over.commit(proposal).await,
                }
            }

            async fn changes_since(&self, after: Revision, limit: u32) -> Result<Vec<Entry>> {
                match self.fault() {
                    Some(Fault::UnreadableLog) => Err(StoreError::Unavailable("as the test wants it".into())),
                    _ => {
                        self.read_slowly().await;
                        self.over.changes_since(after, limit).await
                    }
                }
            }

            fn nodes(&self) -> Option<Arc<dyn Nodes>> {
                self.shared.lock().unwrap().clone().or_else(|| self.over.nodes())
            }

            fn signed_heads(&self) -> Result<Vec<SignedHead>> {
                self.over.signed_heads()
            }

            $(async fn $name(&self, $($argument: $type),*) -> $answer {
                self.over.$name($($argument),*).await
            })*
        }
    };
}

pass_on! {
    head() -> Result<(Revision, [u8; 32])>;
    changes(filter: &ChangeFilter, page: Page) -> Result<Vec<Entry>>;
    key_by_digest(digest: &Digest) -> Result<Read<Option<KeyInContext>>>;
    add_digest(key: KeyId, digest: &Digest, pepper: PepperVersion) -> Result<()>;
    key(id: KeyId) -> Result<Option<Key>>;
    keys(project: ProjectId, filter: &KeyFilter, page: Page) -> Result<Vec<Key>>;
    sorted_keys(project: ProjectId, filter: &KeyFilter, part: KeyPart) -> Result<KeyList>;
    live_keys(project: ProjectId, at: Timestamp) -> Result<u64>;
    key_usage(keys: &[KeyId]) -> Result<Vec<KeyUsage>>;
    organization(id: OrganizationId) -> Result<Option<Organization>>;
    data_keyring(project: ProjectId) -> Result<Option<DataKeyring>>;
    wrapped_data_key(which: WhichDataKey) -> Result<Option<Wrapped>>;
    data_keys_under(version: KekVersion, after: Option<DataKeyId>, limit: u32) -> Result<Vec<WrappedDataKey>>;
    data_key_counts() -> Result<Vec<(KekVersion, u64)>>;
    rewrap_data_key(which: WhichDataKey, old: &Wrapped, new: &Wrapped) -> Result<bool>;
    retire_encryption_key(version: KekVersion) -> Result<bool>;
    organizations(page: Page) -> Result<Vec<Organization>>;
    project(id: ProjectId) -> Result<Option<Project>>;
    projects(organization: OrganizationId, page: Page) -> Result<Vec<Project>>;
    all_projects(name_start: Option<&str>, page: Page) -> Result<Vec<Project>>;
    api(name: &ApiName) -> Result<Option<Api>>;
    apis() -> Result<Read<Vec<Api>>>;
    management_key(id: ManagementKeyId) -> Result<Option<ManagementKey>>;
    management_keys(page: Page) -> Result<Vec<ManagementKey>>;
    management_key_by_digest(digest: &Digest) -> Result<Read<Option<ManagementKey>>>;
    person(id: PersonId) -> Result<Option<Person>>;
    person_by_email(email: &str) -> Result<Option<Person>>;
    person_by_identity(identity: &Identity) -> Result<Option<Person>>;
    people(filter: &PersonFilter, page: Page) -> Result<Vec<Person>>;
    password(person: PersonId) -> Result<Option<PasswordHash>>;
    rehash_password(person: PersonId, old: &PasswordHash, new: &PasswordHash) -> Result<()>;
    invitation(id: InvitationId) -> Result<Option<Invitation>>;
    invitation_by_digest(digest: &Digest) -> Result<Option<Invitation>>;
    invitations(organization: Option<OrganizationId>, page: Page) -> Result<Vec<Invitation>>;
    add_session(session: &Session) -> Result<()>;
    session_by_digest(digest: &Digest) -> Result<Option<Session>>;
    sessions(person: PersonId) -> Result<Vec<Session>>;
    touch_session(id: SessionId, seen_at: Timestamp) -> Result<()>;
    end_sessions(which: &SessionsOf) -> Result<()>;
    add_sign_in_link(link: &SignInLink) -> Result<()>;
    sign_in_link(digest: &Digest) -> Result<Option<SignInLink>>;
    take_sign_in_link(digest: &Digest) -> Result<Option<SignInLink>>;
    forget_sessions(unused_since: Timestamp, now: Timestamp, limit: u32) -> Result<bool>;
    idempotency(caller: &str, key: &str) -> Result<Option<Idempotency>>;
    record_usage(batch: &UsageBatch) -> Result<()>;
    usage(project: ProjectId, from: Timestamp, to: Timestamp) -> Result<Vec<UsageRow>>;
    usage_counts(project: ProjectId, from: Timestamp, to: Timestamp, fold: Fold) -> Result<Vec<UsageCount>>;
    forget_usage(minutes: Timestamp, hours: Timestamp, limit: u32) -> Result<bool>;
    exchange_block(ask: &BlockAsk) -> Result<BlockAnswer>;
    recalled_blocks(holder: u128) -> Result<Vec<(QuotaCounter, Box<str>)>>;
    quota_tallies(counters: &[(QuotaCounter, Box<str>)]) -> Result<Vec<Tally>>;
    save_rates(rates: &[SavedRate]) -> Result<()>;
    saved_rates(now: Timestamp) -> Result<Vec<SavedRate>>;
    events(project: ProjectId, filter: &EventFilter, before: Option<EventPosition>, limit: u32)
        -> Result<Vec<(EventPosition, Event)>>;
    verify_log(heads: &[SignedHead]) -> Result<LogVerdict>;
    backup(to: &Path) -> Result<Revision>;
    canaries() -> Result<Vec<Canary>>;
    add_canary(version: PepperVersion, canary: &[u8]) -> Result<()>;
    retire_pepper(version: PepperVersion) -> Result<()>;
    is_writable() -> bool;
    close() -> ();
}
