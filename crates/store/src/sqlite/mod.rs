//! The embedded store: SQLite in one folder, one writer, a few readers.
//!
//! [`open`] opens what [`check`] has looked at; [`writer`] and [`batch`] write (group commit), [`expect`] and [`apply`] on
//! [`records`] in memory, which [`foresee`] reads and [`rows`] writes back; [`writes`] are no changes, [`blocks`] exchanges
//! units of [`quotas`]; [`subjects`] stand beside the log; [`sessions`] come and go beside them; [`people`], [`people_rows`] and [`people_read`] do for people what the others do
//! for the rest; [`read`], [`key_lists`], [`log`], [`usage`], [`counts`], [`rates`] and [`events`] read, [`verify`] checks the log, [`journal`] and [`heads`] are the two files beside the database, [`backup`], [`mod@restore`]
//! and [`switch`] copy and put back ([`timeline`], [`replay`] and [`narrowing`] say what of the journal is
//! made again). Query texts keep to what PostgreSQL also reads; the types named below
//! are all that ties them to SQLite.

mod apply;
mod backup;
mod batch;
mod blocks;
mod bulk;
mod check;
mod connect;
mod counts;
mod error;
mod events;
mod expect;
mod foresee;
mod forget;
mod heads;
mod health;
mod journal;
mod key_lists;
mod log;
mod narrowing;
mod open;
mod people;
mod people_read;
mod people_rows;
mod peppers;
mod place;
mod quotas;
mod rates;
mod read;
mod record;
mod records;
mod replay;
mod restore;
mod rows;
mod sessions;
mod subjects;
mod switch;
mod timeline;
mod usage;
mod verify;
mod writer;
mod writes;

pub use error::OpenError;
pub use open::SqliteOptions;
pub use place::Place;
pub use restore::{JournalFound, RestoreProgress, RestoreReport, restore};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keyward_core::change::{Entry, Idempotency, Proposal, Revision};
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::id::{
    ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId, SessionId, StoreId,
};
use keyward_core::key::Key;
use keyward_core::limits::QuotaCounter;
use keyward_core::limits::block::{BlockAnswer, BlockAsk, Tally};
use keyward_core::log::{LogKeys, SignedHead};
use keyward_core::nodes::Nodes;
use keyward_core::people::{Identity, Invitation, PasswordHash, Person};
use keyward_core::secret::{Digest, PepperVersion};
use keyward_core::session::{Session, SignInLink};
use keyward_core::store::{
    Canary, ChangeFilter, EventFilter, EventPosition, KeyFilter, KeyInContext, KeyList, KeyPart, LogVerdict, Page,
    PersonFilter, Read, Result, SavedRate, SessionsOf, Store, StoreError,
};
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};
use keyward_core::usage::{Event, Fold, KeyUsage, UsageBatch, UsageCount, UsageRow};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};

use error::read_failure;
use forget::Old;
use health::Health;
use peppers::PepperWrite;
use place::FileIdentity;
use sessions::SessionWrite;
use writer::Command;
use writes::Write;

type Db = sqlx::Sqlite;
type Connection = sqlx::SqliteConnection;
type Row = sqlx::sqlite::SqliteRow;

/// State and log in a SQLite database, with the files that guard it beside it.
pub struct SqliteStore {
    id: StoreId,
    log_keys: Arc<LogKeys>,
    clock: Arc<dyn Clock>,
    place: Option<Place>,
    database: PathBuf,
    /// The file that was opened: another at its path is not the store.
    identity: FileIdentity,
    readers: SqlitePool,
    /// None where the store is open for reading only.
    writer: Option<WriterHandle>,
    health: Arc<Health>,
    followed: watch::Receiver<Revision>,
}

struct WriterHandle {
    commands: mpsc::Sender<Command>,
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("id", &self.id)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in a folder, and makes one where there is none. A restore that was cut off after all
    /// was ready is finished first.
    ///
    /// # Errors
    /// Where the folder is in use, a file is missing, damaged or of a newer schema, the log's keys are
    /// others, or the log is shorter than it once was. Each says what to do.
    pub async fn open(options: SqliteOptions) -> std::result::Result<Self, OpenError> {
        open::open(options).await
    }

    /// Opens a store (its folder) or a backup (the file) for reading only, beside a running server too: for
    /// `log verify` and `doctor`. Nothing is checked but what the file is and whose.
    ///
    /// # Errors
    /// As [`SqliteStore::open`], where the file is missing, of another schema or of other keys.
    pub async fn read_only(
        path: &Path,
        log_keys: Arc<LogKeys>,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Self, OpenError> {
        open::read_only(path, log_keys, clock).await
    }

    /// The last revision, as a value to wait on: a hint that there is more to read. Stays at zero where the
    /// store is open for reading only.
    pub fn follow(&self) -> watch::Receiver<Revision> {
        self.followed.clone()
    }

    /// What SQLite has to say against the file; nothing where it is whole. Reads all of it.
    ///
    /// # Errors
    /// As every reading.
    pub async fn check_file(&self) -> Result<Vec<String>> {
        let mut connection = self.reader().await?;
        check::quick_check(&mut connection).await.map_err(read_failure)
    }

    /// As [`Store::verify_log`], telling meanwhile how many entries were checked, of how many.
    ///
    /// # Errors
    /// As every reading.
    pub async fn verify_log_with(
        &self,
        heads: &[SignedHead],
        progress: impl FnMut(u64, u64) + Send,
    ) -> Result<LogVerdict> {
        let mut connection = self.reader().await?;
        verify::verify(&mut connection, &self.log_keys, self.id, heads, progress).await
    }

    async fn reader(&self) -> Result<PoolConnection<Db>> {
        self.readers.acquire().await.map_err(read_failure)
    }

    /// Asks the writer for something. The work is the writer's from then on: dropping the future that waits
    /// for the answer changes nothing of it.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::Unavailable("the store is open for reading only".into()));
        };
        self.health.check()?;
        let (answer, answered) = oneshot::channel();
        let sent = writer.commands.send(command(answer)).await;
        sent.map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Unknown("the writer ended meanwhile".into())))
    }

    /// Has the writer write something that is no change; says whether there is more to do of the kind.
    async fn write(&self, write: Write) -> Result<bool> {
        self.ask(|answer| Command::Write(write, answer)).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn id(&self) -> StoreId {
        self.id
    }

    async fn commit(&self, proposal: Proposal) -> Result<Vec<Entry>> {
        self.ask(|answer| Command::Commit(Box::new(proposal), answer)).await
    }

    async fn head(&self) -> Result<(Revision, [u8; 32])> {
        let head = batch::read_head(&mut *self.reader().await?).await.map_err(read_failure)?;
        Ok((head.revision, head.hash))
    }

    async fn changes_since(&self, after: Revision, limit: u32) -> Result<Vec<Entry>> {
        log::since(&mut *self.reader().await?, &self.log_keys, after, limit).await
    }

    async fn changes(&self, filter: &ChangeFilter, page: Page) -> Result<Vec<Entry>> {
        log::matching(&mut *self.reader().await?, &self.log_keys, filter, page).await
    }

    async fn key_by_digest(&self, digest: &Digest) -> Result<Read<Option<KeyInContext>>> {
        read::key_by_digest(&mut *self.reader().await?, &self.log_keys, digest).await
    }

    async fn add_digest(&self, key: KeyId, digest: &Digest, pepper: PepperVersion) -> Result<()> {
        self.write(Write::Pepper(PepperWrite::Digest { key, digest: *digest, pepper })).await.map(|_| ())
    }

    async fn key(&self, id: KeyId) -> Result<Option<Key>> {
        read::one(&mut *self.reader().await?, &self.log_keys, id.to_string()).await
    }

    async fn keys(&self, project: ProjectId, filter: &KeyFilter, page: Page) -> Result<Vec<Key>> {
        key_lists::by_age(&mut *self.reader().await?, &self.log_keys, project, filter, page).await
    }

    async fn sorted_keys(&self, project: ProjectId, filter: &KeyFilter, part: KeyPart) -> Result<KeyList> {
        key_lists::sorted(&mut *self.reader().await?, &self.log_keys, project, filter, part).await
    }

    async fn live_keys(&self, project: ProjectId, at: Timestamp) -> Result<u64> {
        key_lists::live(&mut *self.reader().await?, project, at).await
    }

    async fn key_usage(&self, keys: &[KeyId]) -> Result<Vec<KeyUsage>> {
        usage::of_keys(&mut *self.reader().await?, keys).await
    }

    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>> {
        read::one(&mut *self.reader().await?, &self.log_keys, id.to_string()).await
    }

    async fn organizations(&self, page: Page) -> Result<Vec<Organization>> {
        read::organizations(&mut *self.reader().await?, &self.log_keys, page).await
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>> {
        read::one(&mut *self.reader().await?, &self.log_keys, id.to_string()).await
    }

    async fn projects(&self, organization: OrganizationId, page: Page) -> Result<Vec<Project>> {
        read::projects(&mut *self.reader().await?, &self.log_keys, organization, page).await
    }

    async fn all_projects(&self, name_start: Option<&str>, page: Page) -> Result<Vec<Project>> {
        read::all_projects(&mut *self.reader().await?, &self.log_keys, name_start, page).await
    }

    async fn api(&self, name: &ApiName) -> Result<Option<Api>> {
        read::one(&mut *self.reader().await?, &self.log_keys, name.to_string()).await
    }

    async fn apis(&self) -> Result<Read<Vec<Api>>> {
        read::apis(&mut *self.reader().await?, &self.log_keys).await
    }

    async fn management_key(&self, id: ManagementKeyId) -> Result<Option<ManagementKey>> {
        read::one(&mut *self.reader().await?, &self.log_keys, id.to_string()).await
    }

    async fn management_keys(&self, page: Page) -> Result<Vec<ManagementKey>> {
        read::management_keys(&mut *self.reader().await?, &self.log_keys, page).await
    }

    async fn management_key_by_digest(&self, digest: &Digest) -> Result<Read<Option<ManagementKey>>> {
        read::management_key_by_digest(&mut *self.reader().await?, &self.log_keys, digest).await
    }

    async fn person(&self, id: PersonId) -> Result<Option<Person>> {
        read::one(&mut *self.reader().await?, &self.log_keys, id.to_string()).await
    }

    async fn person_by_email(&self, email: &str) -> Result<Option<Person>> {
        people_read::by_email(&mut *self.reader().await?, &self.log_keys, email).await
    }

    async fn person_by_identity(&self, identity: &Identity) -> Result<Option<Person>> {
        people_read::by_identity(&mut *self.reader().await?, &self.log_keys, identity).await
    }

    async fn people(&self, filter: &PersonFilter, page: Page) -> Result<Vec<Person>> {
        people_read::people(&mut *self.reader().await?, &self.log_keys, filter, page).await
    }

    async fn password(&self, person: PersonId) -> Result<Option<PasswordHash>> {
        people_read::password(&mut *self.reader().await?, &self.log_keys, person).await
    }

    async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>> {
        read::one(&mut *self.reader().await?, &self.log_keys, id.to_string()).await
    }

    async fn invitation_by_digest(&self, digest: &Digest) -> Result<Option<Invitation>> {
        people_read::invitation_by_digest(&mut *self.reader().await?, &self.log_keys, digest).await
    }

    async fn invitations(&self, organization: Option<OrganizationId>, page: Page) -> Result<Vec<Invitation>> {
        people_read::invitations(&mut *self.reader().await?, &self.log_keys, organization, page).await
    }

    async fn add_session(&self, session: &Session) -> Result<()> {
        self.write(Write::Sessions(SessionWrite::Add(Box::new(session.clone())))).await.map(|_| ())
    }

    async fn session_by_digest(&self, digest: &Digest) -> Result<Option<Session>> {
        sessions::by_digest(&mut *self.reader().await?, &self.log_keys, digest).await
    }

    async fn sessions(&self, person: PersonId) -> Result<Vec<Session>> {
        sessions::of_person(&mut *self.reader().await?, &self.log_keys, person).await
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
        sessions::link(&mut *self.reader().await?, &self.log_keys, digest).await
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
        read::idempotency(&mut *self.reader().await?, caller, key).await
    }

    async fn record_usage(&self, batch: &UsageBatch) -> Result<()> {
        self.write(Write::Usage(Box::new(batch.clone()))).await.map(|_| ())
    }

    async fn usage(&self, project: ProjectId, from: Timestamp, to: Timestamp) -> Result<Vec<UsageRow>> {
        usage::of_project(&mut *self.reader().await?, project, from, to).await
    }

    async fn usage_counts(
        &self,
        project: ProjectId,
        from: Timestamp,
        to: Timestamp,
        fold: Fold,
    ) -> Result<Vec<UsageCount>> {
        counts::of_project(&mut *self.reader().await?, project, (from, to), fold).await
    }

    async fn forget_usage(&self, minutes: Timestamp, hours: Timestamp, limit: u32) -> Result<bool> {
        self.write(Write::Forget(Old { minutes, hours, limit })).await
    }

    async fn exchange_block(&self, ask: &BlockAsk) -> Result<BlockAnswer> {
        self.ask(|answer| Command::Exchange(Box::new(ask.clone()), answer)).await
    }

    async fn recalled_blocks(&self, holder: u128) -> Result<Vec<(QuotaCounter, Box<str>)>> {
        quotas::recalled(&mut *self.reader().await?, holder).await
    }

    async fn quota_tallies(&self, counters: &[(QuotaCounter, Box<str>)]) -> Result<Vec<Tally>> {
        quotas::tallies(&mut *self.reader().await?, counters).await
    }

    async fn save_rates(&self, rates: &[SavedRate]) -> Result<()> {
        self.write(Write::Rates(rates.to_vec())).await.map(|_| ())
    }

    async fn saved_rates(&self, now: Timestamp) -> Result<Vec<SavedRate>> {
        self.write(Write::FullRates(now)).await?;
        rates::saved(&mut *self.reader().await?, now).await
    }

    async fn events(
        &self,
        project: ProjectId,
        filter: &EventFilter,
        before: Option<EventPosition>,
        limit: u32,
    ) -> Result<Vec<(EventPosition, Event)>> {
        events::events(&mut *self.reader().await?, &self.log_keys, project, filter, (before, limit)).await
    }

    async fn verify_log(&self, heads: &[SignedHead]) -> Result<LogVerdict> {
        self.verify_log_with(heads, |_, _| {}).await
    }

    async fn backup(&self, to: &Path) -> Result<Revision> {
        backup::backup(&self.database, self.identity, to).await
    }

    async fn canaries(&self) -> Result<Vec<Canary>> {
        peppers::canaries(&mut *self.reader().await?, self.clock.now()).await
    }

    async fn add_canary(&self, version: PepperVersion, canary: &[u8]) -> Result<()> {
        let write = PepperWrite::Canary { version, canary: canary.to_vec() };
        self.write(Write::Pepper(write)).await.map(|_| ())
    }

    async fn retire_pepper(&self, version: PepperVersion) -> Result<()> {
        self.write(Write::Pepper(PepperWrite::Retire(version))).await.map(|_| ())
    }

    async fn is_writable(&self) -> bool {
        let Some(writer) = &self.writer else { return false };
        if self.health.check().is_err() || writer.commands.is_closed() {
            return false;
        }
        // Once there was no room, only a write tells that there is again.
        !self.health.is_full() || self.write(Write::Probe).await.is_ok()
    }

    fn nodes(&self) -> Option<Arc<dyn Nodes>> {
        // The lock on its folder keeps every other process out.
        None
    }

    fn signed_heads(&self) -> Result<Vec<SignedHead>> {
        let Some(place) = &self.place else { return Ok(Vec::new()) };
        heads::read(&place.heads())
            .map_err(|error| StoreError::Unavailable(format!("reading {}: {error}", place.heads().display())))
    }

    /// The files are closed and the lock is let go, too. Without it the next start recovers.
    async fn close(&self) {
        self.readers.close().await;
        let Some(writer) = &self.writer else { return };
        // An error means that the writer has ended already.
        let _ = writer.commands.send(Command::Close).await;
        if let Some(ended) = writer.ended.lock().await.take() {
            let _ = ended.await;
        }
    }
}
