//! The [`Store`]: where state and log are kept. Implemented in `keyward-store`; held to one conformance
//! suite. Only implementations know SQL.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::change::{Entry, Idempotency, Proposal, Revision};
use crate::clock::Timestamp;
use crate::data_key::DataKeyId;
use crate::data_keyring::DataKeyring;
use crate::id::{
    ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId, SessionId, StoreId,
};
use crate::key::{Key, Standing};
use crate::key_encryption::{KekVersion, WhichDataKey, Wrapped};
use crate::limits::block::{BlockAnswer, BlockAsk, Tally};
use crate::limits::{CountedOf, QuotaCounter};
use crate::log::SignedHead;
use crate::nodes::Nodes;
use crate::people::{Identity, Invitation, PasswordHash, Person};
use crate::secret::{Digest, PepperVersion};
use crate::session::{Session, SignInLink};
use crate::tenancy::{Api, ManagementKey, Organization, Project};
use crate::usage::{Event, Fold, KeyUsage, UsageBatch, UsageCount, UsageRow};

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something that the proposal expected is no longer so; nothing was written. Load again and decide again.
    #[error("the state changed in between: {0:?}")]
    Conflict(crate::change::Expect),
    /// The same `Idempotency-Key` was used before; nothing was written.
    #[error("the idempotency key was used before")]
    Replayed(Box<Idempotency>),
    /// No room: nothing was written, and writing goes on once there is room again.
    #[error("the store is full: {0}")]
    Full(String),
    /// The outcome of a commit is not known: it may have happened. Never success.
    #[error("whether the change was written is not known: {0}")]
    Unknown(String),
    /// The store cannot be used now: nothing was written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What the store holds cannot be what Keyward wrote.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// A short name for what store calls give.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A key with everything that a decision on it needs, read in one snapshot.
#[derive(Debug, Clone)]
pub struct KeyInContext {
    /// The key.
    pub key: Key,
    /// Its project.
    pub project: Project,
    /// The project's organization.
    pub organization: Organization,
}

/// Something read, and the revision that the snapshot it was read from stood at.
#[derive(Debug, Clone)]
pub struct Read<T> {
    /// What was read.
    pub value: T,
    /// The last revision in that snapshot: a cache that has followed the log further must not keep it.
    pub revision: Revision,
}

/// A part of a list, newest first: those created before `before`.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The creation revision of the last item of the part before.
    pub before: Option<Revision>,
    /// At most so many.
    pub limit: u32,
}

/// Which keys of a project to list.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only those that stand like this, at the given moment.
    pub standing: Option<(Standing, Timestamp)>,
    /// Only those of this name.
    pub name: Option<String>,
    /// Only those whose name holds this; ASCII letters are the same in either case.
    pub name_part: Option<String>,
    /// Only those made before this moment of which no request was granted since.
    pub unused_since: Option<Timestamp>,
}

/// What keys are sorted by. Where that is the same for some, the newest is first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyOrder {
    /// The newest first.
    #[default]
    Created,
    /// By name, ASCII letters the same in either case; those without one last.
    Name,
    /// The one that expires first, first; those that never do last.
    Expires,
    /// The one used last, first; those never used last.
    LastUsed,
}

/// A part of a sorted list of keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyPart {
    /// What the list is sorted by.
    pub order: KeyOrder,
    /// Whether it is read from its end.
    pub is_reversed: bool,
    /// How many come before the part.
    pub offset: u32,
    /// At most so many.
    pub limit: u32,
}

/// A part of a list of keys, and how long the list is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyList {
    /// The part.
    pub keys: Vec<Key>,
    /// How many keys fit the filter in all.
    pub total: u64,
}

/// Which people to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct PersonFilter {
    /// Only members of this organization.
    pub organization: Option<OrganizationId>,
    /// Only operators.
    pub is_operator: bool,
}

/// Which sessions to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionsOf {
    /// One.
    Session(SessionId),
    /// All of a person, but for one where it is told; links that sign them in too.
    Person {
        /// Whose.
        id: PersonId,
        /// Which one stays.
        but: Option<SessionId>,
    },
}

/// Which changes of the log to read.
#[derive(Debug, Clone, Default)]
pub struct ChangeFilter {
    /// Only those about this organization.
    pub organization: Option<OrganizationId>,
    /// Only those about this project.
    pub project: Option<ProjectId>,
    /// Only those about this key.
    pub key: Option<KeyId>,
}

/// Which lines of a project's event log to read.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only those about this key.
    pub key: Option<KeyId>,
    /// Only those of this name: a change's name, `key.used` or `key.refused`.
    pub name: Option<String>,
    /// Only those that happened at this moment or later. Folded uses happened when the first of them did.
    pub from: Option<Timestamp>,
    /// Only those that happened before this moment.
    pub to: Option<Timestamp>,
}

/// A place in an event log, newest first. Opaque outside the store but for being carried in cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPosition {
    /// When the line happened.
    pub at: Timestamp,
    /// 0 for changes, 1 for folded uses.
    pub kind: u8,
    /// The line's number among its kind.
    pub number: i64,
}

/// What `log verify` found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum LogVerdict {
    /// Every entry is as it was written.
    Intact {
        /// The last revision.
        revision: Revision,
        /// How many signed heads the chain agrees with.
        heads: u64,
    },
    /// The first entry that is not as it was written.
    Broken {
        /// Its place.
        revision: Revision,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where a rate's counter stood when it was last kept, so that a restart refills nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRate {
    /// The API whose contract names the rate.
    pub api: ApiName,
    /// The rate's name.
    pub name: Box<str>,
    /// Whose requests are counted.
    pub of: CountedOf,
    /// Nanoseconds that one unit took.
    pub interval: i64,
    /// When the whole burst is there again.
    pub full_at: Timestamp,
}

/// A data key as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedDataKey {
    /// Which.
    pub which: WhichDataKey,
    /// As it is wrapped.
    pub wrapped: Wrapped,
}

/// A pepper that keys in the store were made under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Its version.
    pub version: PepperVersion,
    /// What its canary must be.
    pub canary: Vec<u8>,
    /// How many keys that could still open have a digest under this pepper and under no newer one.
    pub keys: u64,
}

/// Where state and log are kept.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Which store this is.
    fn id(&self) -> StoreId;

    /// Makes a proposal's changes, all or none, each under a revision of its own; returns their entries once
    /// they are durable.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] and [`StoreError::Replayed`] where nothing was written because of what
    /// stands there already; the others as they say.
    async fn commit(&self, proposal: Proposal) -> Result<Vec<Entry>>;

    /// The last revision and its hash.
    async fn head(&self) -> Result<(Revision, [u8; 32])>;

    /// The changes after a revision, oldest first, at most `limit`.
    async fn changes_since(&self, after: Revision, limit: u32) -> Result<Vec<Entry>>;

    /// Changes that fit a filter, newest first.
    async fn changes(&self, filter: &ChangeFilter, page: Page) -> Result<Vec<Entry>>;

    /// The key with this digest, with its context.
    async fn key_by_digest(&self, digest: &Digest) -> Result<Read<Option<KeyInContext>>>;

    /// Notes a further digest of a key, under a newer pepper. Not a change: it decides nothing.
    async fn add_digest(&self, key: KeyId, digest: &Digest, pepper: PepperVersion) -> Result<()>;

    /// A key by its id.
    async fn key(&self, id: KeyId) -> Result<Option<Key>>;

    /// A project's keys, newest first.
    async fn keys(&self, project: ProjectId, filter: &KeyFilter, page: Page) -> Result<Vec<Key>>;

    /// A part of a project's keys in some order. Parts are counted from the start: what is made or ended meanwhile
    /// moves the others.
    async fn sorted_keys(&self, project: ProjectId, filter: &KeyFilter, part: KeyPart) -> Result<KeyList>;

    /// How many keys of a project open at `at`.
    async fn live_keys(&self, project: ProjectId, at: Timestamp) -> Result<u64>;

    /// What is known of the use of each of these keys, in their order.
    async fn key_usage(&self, keys: &[KeyId]) -> Result<Vec<KeyUsage>>;

    /// An organization by its id, deleted ones included.
    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>>;

    /// Organizations that are not deleted, newest first.
    async fn organizations(&self, page: Page) -> Result<Vec<Organization>>;

    /// A project by its id, deleted ones included.
    async fn project(&self, id: ProjectId) -> Result<Option<Project>>;

    /// An organization's projects that are not deleted, newest first.
    async fn projects(&self, organization: OrganizationId, page: Page) -> Result<Vec<Project>>;

    /// Projects of all organizations that are not deleted, newest first. Where `name_start` is told, only those whose
    /// name begins with it; ASCII letters are the same in either case.
    async fn all_projects(&self, name_start: Option<&str>, page: Page) -> Result<Vec<Project>>;

    /// An API by its name.
    async fn api(&self, name: &ApiName) -> Result<Option<Api>>;

    /// All APIs, by name, with the revision of the snapshot.
    async fn apis(&self) -> Result<Read<Vec<Api>>>;

    /// A management key by its id.
    async fn management_key(&self, id: ManagementKeyId) -> Result<Option<ManagementKey>>;

    /// Management keys, revoked ones included, newest first.
    async fn management_keys(&self, page: Page) -> Result<Vec<ManagementKey>>;

    /// The management key with this digest.
    async fn management_key_by_digest(&self, digest: &Digest) -> Result<Read<Option<ManagementKey>>>;

    /// A person by their id.
    async fn person(&self, id: PersonId) -> Result<Option<Person>>;

    /// The person with this mail address, as [`crate::text::email`] gives it.
    async fn person_by_email(&self, email: &str) -> Result<Option<Person>>;

    /// The person that an OpenID provider speaks for.
    async fn person_by_identity(&self, identity: &Identity) -> Result<Option<Person>>;

    /// People, newest first.
    async fn people(&self, filter: &PersonFilter, page: Page) -> Result<Vec<Person>>;

    /// A person's password; none where they sign in by other ways only.
    async fn password(&self, person: PersonId) -> Result<Option<PasswordHash>>;

    /// Keeps the same password under a newer pepper, where it is still kept as `old`; else does nothing. Not a change: it
    /// decides nothing, and ends no session.
    async fn rehash_password(&self, person: PersonId, old: &PasswordHash, new: &PasswordHash) -> Result<()>;

    /// An invitation by its id.
    async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>>;

    /// The invitation with this digest.
    async fn invitation_by_digest(&self, digest: &Digest) -> Result<Option<Invitation>>;

    /// Invitations to an organization, or where none to the operators, whatever became of them, newest first.
    async fn invitations(&self, organization: Option<OrganizationId>, page: Page) -> Result<Vec<Invitation>>;

    /// Keeps a new session.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where its person is unknown or disabled.
    async fn add_session(&self, session: &Session) -> Result<()>;

    /// The session with this digest, ended ones excluded, whatever its times.
    async fn session_by_digest(&self, digest: &Digest) -> Result<Option<Session>>;

    /// A person's sessions that were not ended, newest first.
    async fn sessions(&self, person: PersonId) -> Result<Vec<Session>>;

    /// Notes that a session was used; never moves it back.
    async fn touch_session(&self, id: SessionId, seen_at: Timestamp) -> Result<()>;

    /// Ends sessions: gone when it returns.
    async fn end_sessions(&self, which: &SessionsOf) -> Result<()>;

    /// Keeps a new link that signs in once.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where its person is unknown or disabled.
    async fn add_sign_in_link(&self, link: &SignInLink) -> Result<()>;

    /// Looks at a link without using it up.
    async fn sign_in_link(&self, digest: &Digest) -> Result<Option<SignInLink>>;

    /// Uses a link up: of any number of calls at once, one gets it.
    async fn take_sign_in_link(&self, digest: &Digest) -> Result<Option<SignInLink>>;

    /// Forgets sessions that were not used since `unused_since` or have ended by `now`, and links that have expired. At
    /// most `limit` of each at a time; says whether there is more.
    async fn forget_sessions(&self, unused_since: Timestamp, now: Timestamp, limit: u32) -> Result<bool>;

    /// What was answered to a request with this `Idempotency-Key` of this caller.
    async fn idempotency(&self, caller: &str, key: &str) -> Result<Option<Idempotency>>;

    /// Adds a batch of folded uses; a batch added before adds nothing.
    async fn record_usage(&self, batch: &UsageBatch) -> Result<()>;

    /// A project's folded uses between two moments, oldest first.
    async fn usage(&self, project: ProjectId, from: Timestamp, to: Timestamp) -> Result<Vec<UsageRow>>;

    /// A project's uses between two moments, counted in steps, oldest first. Whole hours are counted: both moments
    /// are rounded down to one.
    async fn usage_counts(
        &self,
        project: ProjectId,
        from: Timestamp,
        to: Timestamp,
        fold: Fold,
    ) -> Result<Vec<UsageCount>>;

    /// Forgets folded minutes before `minutes` and counts of hours before `hours`, and what is kept of quotas' periods
    /// and of batches that ended long ago. At most `limit` rows of each at a time; says whether there is more.
    async fn forget_usage(&self, minutes: Timestamp, hours: Timestamp, limit: u32) -> Result<bool>;

    /// Exchanges units of a quota, by [`crate::limits::block::exchange`]; durable before it is answered. Where the
    /// asking node gets too few and others hold some, those are asked to give back what lies idle.
    async fn exchange_block(&self, ask: &BlockAsk) -> Result<BlockAnswer>;

    /// The counters, with the period, of which this holder was asked to give back what lies idle.
    async fn recalled_blocks(&self, holder: u128) -> Result<Vec<(QuotaCounter, Box<str>)>>;

    /// How each of these counters stands in its period, in their order; what any node holds is `with_others`.
    async fn quota_tallies(&self, counters: &[(QuotaCounter, Box<str>)]) -> Result<Vec<Tally>>;

    /// Keeps where rates stand, in place of what was kept of each before.
    async fn save_rates(&self, rates: &[SavedRate]) -> Result<()>;

    /// What was kept of rates whose burst is not all there again at `now`. Forgets the others.
    async fn saved_rates(&self, now: Timestamp) -> Result<Vec<SavedRate>>;

    /// A project's event log, newest first: changes and folded uses together.
    async fn events(
        &self,
        project: ProjectId,
        filter: &EventFilter,
        before: Option<EventPosition>,
        limit: u32,
    ) -> Result<Vec<(EventPosition, Event)>>;

    /// Checks the log's chain, and that it holds every one of `heads`.
    async fn verify_log(&self, heads: &[SignedHead]) -> Result<LogVerdict>;

    /// Writes a consistent copy to a new file while work goes on; returns the last revision in it.
    async fn backup(&self, to: &Path) -> Result<Revision>;

    /// The peppers that keys were made under.
    async fn canaries(&self) -> Result<Vec<Canary>>;

    /// Notes a pepper brought into use.
    async fn add_canary(&self, version: PepperVersion, canary: &[u8]) -> Result<()>;

    /// Forgets a pepper's canary and the digests under it that have a newer one.
    async fn retire_pepper(&self, version: PepperVersion) -> Result<()>;

    /// A project's data keys, as far as they are no secret; none before its first.
    async fn data_keyring(&self, project: ProjectId) -> Result<Option<DataKeyring>>;

    /// A data key as it is kept; none where it is unknown, another's or shredded.
    async fn wrapped_data_key(&self, which: WhichDataKey) -> Result<Option<Wrapped>>;

    /// Data keys wrapped under one version, in an order of the store's; those after a place in it.
    async fn data_keys_under(
        &self,
        version: KekVersion,
        after: Option<DataKeyId>,
        limit: u32,
    ) -> Result<Vec<WrappedDataKey>>;

    /// How many data keys are wrapped under each version, by version.
    async fn data_key_counts(&self) -> Result<Vec<(KekVersion, u64)>>;

    /// Keeps a data key wrapped anew, where it is still wrapped as `old`; says whether it was. Not a change: it decides
    /// nothing.
    async fn rewrap_data_key(&self, which: WhichDataKey, old: &Wrapped, new: &Wrapped) -> Result<bool>;

    /// Lets nothing be wrapped under a version any more, where nothing is; says whether so.
    async fn retire_encryption_key(&self, version: KekVersion) -> Result<bool>;

    /// Whether the store can be written to, for readiness.
    async fn is_writable(&self) -> bool;

    /// Where the nodes of a store that several share meet; none where one process has the store for itself.
    fn nodes(&self) -> Option<Arc<dyn Nodes>>;

    /// The signed heads kept outside the database, oldest first and unchecked: [`Store::verify_log`] checks them.
    fn signed_heads(&self) -> Result<Vec<SignedHead>>;

    /// Ends writing: what was asked for before is still done, the last head is signed. Calls after it are refused.
    async fn close(&self);
}
