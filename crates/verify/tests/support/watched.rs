//! A store whose reads of keys are watched: counted, or held up.

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
use keyward_core::store::*;
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};
use keyward_core::usage::{Event, Fold, KeyUsage, UsageBatch, UsageCount, UsageRow};

/// What happens with every key that was read, before it is handed on.
#[async_trait]
pub trait OnRead: Send + Sync + 'static {
    async fn read(&self);

    /// Before anything is asked of the store: whether it can be reached.
    async fn reach(&self) -> Result<()> {
        Ok(())
    }

    /// Where its nodes meet.
    fn nodes(&self) -> Option<Arc<dyn Nodes>> {
        None
    }

    /// The same for units of quotas that were exchanged.
    async fn exchanged(&self, _ask: &BlockAsk) {}
}

/// A store, watched.
pub struct Watched {
    pub store: Arc<dyn Store>,
    pub on_read: Arc<dyn OnRead>,
}

macro_rules! passed_on {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl Store for Watched {
            fn id(&self) -> StoreId {
                self.store.id()
            }

            async fn key_by_digest(&self, digest: &Digest) -> Result<Read<Option<KeyInContext>>> {
                self.on_read.reach().await?;
                let read = self.store.key_by_digest(digest).await;
                self.on_read.read().await;
                read
            }

            async fn exchange_block(&self, ask: &BlockAsk) -> Result<BlockAnswer> {
                let answer = self.store.exchange_block(ask).await;
                self.on_read.exchanged(ask).await;
                answer
            }

            async fn is_writable(&self) -> bool {
                self.store.is_writable().await
            }

            fn nodes(&self) -> Option<Arc<dyn Nodes>> {
                self.on_read.nodes().or_else(|| self.store.nodes())
            }

            fn signed_heads(&self) -> Result<Vec<SignedHead>> {
                self.store.signed_heads()
            }

            async fn close(&self) {
                self.store.close().await;
            }

            $(async fn $name(&self, $($arg: $type),*) -> Result<$out> {
                self.on_read.reach().await?;
                self.store.$name($($arg),*).await
            })*
        }
    };
}

passed_on! {
    commit(proposal: Proposal) -> Vec<Entry>;
    head() -> (Revision, [u8; 32]);
    changes_since(after: Revision, limit: u32) -> Vec<Entry>;
    changes(filter: &ChangeFilter, page: Page) -> Vec<Entry>;
    add_digest(key: KeyId, digest: &Digest, pepper: PepperVersion) -> ();
    key(id: KeyId) -> Option<Key>;
    keys(project: ProjectId, filter: &KeyFilter, page: Page) -> Vec<Key>;
    sorted_keys(project: ProjectId, filter: &KeyFilter, part: KeyPart) -> KeyList;
    live_keys(project: ProjectId, at: Timestamp) -> u64;
    key_usage(keys: &[KeyId]) -> Vec<KeyUsage>;
    organization(id: OrganizationId) -> Option<Organization>;
    data_keyring(project: ProjectId) -> Option<DataKeyring>;
    wrapped_data_key(which: WhichDataKey) -> Option<Wrapped>;
    data_keys_under(version: KekVersion, after: Option<DataKeyId>, limit: u32) -> Vec<WrappedDataKey>;
    data_key_counts() -> Vec<(KekVersion, u64)>;
    rewrap_data_key(which: WhichDataKey, old: &Wrapped, new: &Wrapped) -> bool;
    retire_encryption_key(version: KekVersion) -> bool;
    organizations(page: Page) -> Vec<Organization>;
    project(id: ProjectId) -> Option<Project>;
    projects(organization: OrganizationId, page: Page) -> Vec<Project>;
    all_projects(name_start: Option<&str>, page: Page) -> Vec<Project>;
    api(name: &ApiName) -> Option<Api>;
    apis() -> Read<Vec<Api>>;
    management_key(id: ManagementKeyId) -> Option<ManagementKey>;
    management_keys(page: Page) -> Vec<ManagementKey>;
    management_key_by_digest(digest: &Digest) -> Read<Option<ManagementKey>>;
    person(id: PersonId) -> Option<Person>;
    person_by_email(email: &str) -> Option<Person>;
    person_by_identity(identity: &Identity) -> Option<Person>;
    people(filter: &PersonFilter, page: Page) -> Vec<Person>;
    password(person: PersonId) -> Option<PasswordHash>;
    rehash_password(person: PersonId, old: &PasswordHash, new: &PasswordHash) -> ();
    invitation(id: InvitationId) -> Option<Invitation>;
    invitation_by_digest(digest: &Digest) -> Option<Invitation>;
    invitations(organization: Option<OrganizationId>, page: Page) -> Vec<Invitation>;
    add_session(session: &Session) -> ();
    session_by_digest(digest: &Digest) -> Option<Session>;
    sessions(person: PersonId) -> Vec<Session>;
    touch_session(id: SessionId, seen_at: Timestamp) -> ();
    end_sessions(which: &SessionsOf) -> ();
    add_sign_in_link(link: &SignInLink) -> ();
    sign_in_link(digest: &Digest) -> Option<SignInLink>;
    take_sign_in_link(digest: &Digest) -> Option<SignInLink>;
    forget_sessions(unused_since: Timestamp, now: Timestamp, limit: u32) -> bool;
    idempotency(caller: &str, key: &str) -> Option<Idempotency>;
    record_usage(batch: &UsageBatch) -> ();
    usage(project: ProjectId, from: Timestamp, to: Timestamp) -> Vec<UsageRow>;
    usage_counts(project: ProjectId, from: Timestamp, to: Timestamp, fold: Fold) -> Vec<UsageCount>;
    forget_usage(minutes: Timestamp, hours: Timestamp, limit: u32) -> bool;
    recalled_blocks(holder: u128) -> Vec<(QuotaCounter, Box<str>)>;
    quota_tallies(counters: &[(QuotaCounter, Box<str>)]) -> Vec<Tally>;
    save_rates(rates: &[SavedRate]) -> ();
    saved_rates(now: Timestamp) -> Vec<SavedRate>;
    events(project: ProjectId, filter: &EventFilter, before: Option<EventPosition>, limit: u32) -> Vec<(EventPosition, Event)>;
    verify_log(heads: &[SignedHead]) -> LogVerdict;
    backup(to: &Path) -> Revision;
    canaries() -> Vec<Canary>;
    add_canary(version: PepperVersion, canary: &[u8]) -> ();
    retire_pepper(version: PepperVersion) -> ();
}
