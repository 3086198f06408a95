//! The state as one transaction sees it: records are read once, moved on in memory by one proposal after the
//! other, and written back together at the end ([`super::rows`]).
//!
//! What a proposal does lies on top of what the accepted ones before it did, and goes away with it if it is
//! refused: nothing of it ever reached the database.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use keyward_core::change::Idempotency;
use keyward_core::clock::Timestamp;
use keyward_core::data_key::DataKeyId;
use keyward_core::data_keyring::DataKeyring;
use keyward_core::id::{ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId};
use keyward_core::key::Key;
use keyward_core::key_encryption::Wrapped;
use keyward_core::log::LogKeys;
use keyward_core::people::{Identity, Invitation, PasswordHash, Person};
use keyward_core::secret::Digest;
use keyward_core::store::StoreError;
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};
use sqlx::{QueryBuilder, Row as _};

use super::bulk::{parts, push_list};
use super::record::{self, Record};
use super::{Connection, Db, dialect};

/// Why a proposal is not written.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// For a reason of its own: others in the batch go on.
    Proposal(StoreError),
    /// The database failed: the batch as a whole is lost.
    Database(sqlx::Error),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::Proposal(error)
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Refusal::Database(error)
    }
}

/// Values of one kind, in three layers.
#[derive(Debug)]
pub(crate) struct Layers<I, V> {
    /// As the database has them.
    pub(crate) found: HashMap<I, Option<V>>,
    /// As the accepted proposals leave them.
    pub(crate) moved: HashMap<I, V>,
    /// As the proposal at hand leaves them.
    pub(crate) pending: HashMap<I, V>,
}

impl<I, V> Default for Layers<I, V> {
    fn default() -> Self {
        Layers { found: HashMap::new(), moved: HashMap::new(), pending: HashMap::new() }
    }
}

impl<I: Hash + Eq + Clone, V: Clone> Layers<I, V> {
    /// The value as the proposal at hand sees it; none where the database was not asked yet.
    pub(crate) fn get(&self, id: &I) -> Option<Option<&V>> {
        let moved = self.pending.get(id).or_else(|| self.moved.get(id));
        moved.map(Some).or_else(|| self.found.get(id).map(Option::as_ref))
    }

    fn knows(&self, id: &I) -> bool {
        self.found.contains_key(id) || self.moved.contains_key(id)
    }

    pub(crate) fn put(&mut self, id: I, value: V) {
        self.pending.insert(id, value);
    }

    fn accept(&mut self) {
        self.moved.extend(self.pending.drain());
    }

    fn refuse(&mut self) {
        self.pending.clear();
    }
}

/// A record that a transaction can hold, by its id.
pub(crate) trait Kept: Record {
    /// Its id.
    type Id: Hash + Eq + Clone + ToString + Send + Sync;

    fn layers<'a>(records: &'a mut Records<'_>) -> &'a mut Layers<Self::Id, Self>;
    fn id(&self) -> Self::Id;
}

macro_rules! kept {
    ($($record:ident: $id:ident in $layers:ident by $field:ident;)*) => {$(
        impl Kept for $record {
            type Id = $id;

            fn layers<'a>(records: &'a mut Records<'_>) -> &'a mut Layers<$id, Self> {
                &mut records.$layers
            }

            fn id(&self) -> $id {
                self.$field.clone()
            }
        }
    )*};
}

kept! {
    Key: KeyId in keys by id;
    Project: ProjectId in projects by id;
    DataKeyring: ProjectId in keyrings by project;
    Organization: OrganizationId in organizations by id;
    ManagementKey: ManagementKeyId in management_keys by id;
    Api: ApiName in apis by name;
    Person: PersonId in people by id;
    Invitation: InvitationId in invitations by id;
}

/// Whose a digest is.
pub(crate) type DigestOf = Layers<Digest, String>;

/// The state as one transaction sees it.
pub(crate) struct Records<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) log_keys: &'a LogKeys,
    pub(crate) keys: Layers<KeyId, Key>,
    pub(crate) projects: Layers<ProjectId, Project>,
    pub(crate) keyrings: Layers<ProjectId, DataKeyring>,
    /// Data keys that are made, with whose they are, or destroyed. They are only written here.
    pub(crate) wrapped: Layers<DataKeyId, Option<(ProjectId, Wrapped)>>,
    pub(crate) organizations: Layers<OrganizationId, Organization>,
    pub(crate) management_keys: Layers<ManagementKeyId, ManagementKey>,
    pub(crate) apis: Layers<ApiName, Api>,
    pub(crate) people: Layers<PersonId, Person>,
    pub(crate) invitations: Layers<InvitationId, Invitation>,
    /// Digests of keys. Those moved are of keys that the transaction makes.
    pub(crate) digests: DigestOf,
    pub(crate) management_digests: DigestOf,
    pub(crate) invitation_digests: DigestOf,
    /// Whose mail addresses these are: nobody loses one.
    pub(crate) emails: Layers<String, PersonId>,
    /// Whose identities these are; nobody's where a provider speaks for them no more.
    pub(crate) identities: Layers<Identity, Option<PersonId>>,
    /// Passwords that are set, or taken away. They are only written here.
    pub(crate) passwords: Layers<PersonId, Option<PasswordHash>>,
    /// People whose sessions end.
    pub(crate) signed_out: Layers<PersonId, ()>,
    /// Records of requests by caller and key, with the time of those that the transaction makes.
    pub(crate) requests: Layers<(String, String), (Idempotency, Timestamp)>,
    /// Live keys by project and time, as the database has them.
    live: HashMap<(ProjectId, Timestamp), i64>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(connection: &'a mut Connection, log_keys: &'a LogKeys) -> Self {
        Records {
            connection,
            log_keys,
            keys: Layers::default(),
            projects: Layers::default(),
            keyrings: Layers::default(),
            wrapped: Layers::default(),
            organizations: Layers::default(),
            management_keys: Layers::default(),
            apis: Layers::default(),
            people: Layers::default(),
            invitations: Layers::default(),
            digests: Layers::default(),
            management_digests: Layers::default(),
            invitation_digests: Layers::default(),
            emails: Layers::default(),
            identities: Layers::default(),
            passwords: Layers::default(),
            signed_out: Layers::default(),
            requests: Layers::default(),
            live: HashMap::new(),
        }
    }

    /// What the proposal at hand did is to be written.
    pub(crate) fn accept(&mut self) {
        self.keys.accept();
        self.projects.accept();
        self.keyrings.accept();
        self.wrapped.accept();
        self.organizations.accept();
        self.management_keys.accept();
        self.apis.accept();
        self.digests.accept();
        self.management_digests.accept();
        self.people.accept();
        self.invitations.accept();
        self.invitation_digests.accept();
        self.emails.accept();
        self.identities.accept();
        self.passwords.accept();
        self.signed_out.accept();
        self.requests.accept();
    }

    /// What the proposal at hand did is undone.
    pub(crate) fn refuse(&mut self) {
        self.keys.refuse();
        self.projects.refuse();
        self.keyrings.refuse();
        self.wrapped.refuse();
        self.organizations.refuse();
        self.management_keys.refuse();
        self.apis.refuse();
        self.digests.refuse();
        self.management_digests.refuse();
        self.people.refuse();
        self.invitations.refuse();
        self.invitation_digests.refuse();
        self.emails.refuse();
        self.identities.refuse();
        self.passwords.refuse();
        self.signed_out.refuse();
        self.requests.refuse();
    }

    /// The record with this id, as the proposal at hand sees it.
    pub(crate) async fn load<R: Kept>(&mut self, id: &R::Id) -> Result<Option<R>, Refusal> {
        if R::layers(self).get(id).is_none() {
            self.fetch::<R>(std::slice::from_ref(id)).await?;
        }
        Ok(R::layers(self).get(id).flatten().cloned())
    }

    /// Puts a record as the proposal at hand leaves it.
    pub(crate) fn put<R: Kept>(&mut self, record: R) {
        R::layers(self).put(record.id(), record);
    }

    /// Reads records that are not known yet, together.
    pub(crate) async fn fetch<R: Kept>(&mut self, ids: &[R::Id]) -> Result<(), Refusal> {
        let mut unknown: HashSet<R::Id> = ids.iter().cloned().collect();
        unknown.retain(|id| !R::layers(self).knows(id));
        let unknown: Vec<R::Id> = unknown.into_iter().collect();
        for part in parts(&unknown) {
            let mut select: QueryBuilder<Db> = QueryBuilder::new(R::SELECT_AMONG);
            push_list(&mut select, part, |query, id| {
                query.push_bind(id.to_string());
            });
            select.push(")");
            let rows = select.build().fetch_all(&mut *self.connection).await?;
            let mut found: HashMap<R::Id, Option<R>> = part.iter().map(|id| (id.clone(), None)).collect();
            for row in &rows {
                let id: &str = row.try_get("id")?;
                let record: R = record::open_as(self.log_keys, row, &id)?;
                found.insert(record.id(), Some(record));
            }
            R::layers(self).found.extend(found);
        }
        Ok(())
    }

    /// The id of the key, or management key, with this digest.
    pub(crate) async fn holder(&mut self, kind: DigestKind, digest: &Digest) -> Result<Option<String>, Refusal> {
        if kind.layers(self).get(digest).is_none() {
            self.fetch_holders(kind, std::slice::from_ref(digest)).await?;
        }
        Ok(kind.layers(self).get(digest).flatten().cloned())
    }

    /// Reads whose digests these are, together.
    pub(crate) async fn fetch_holders(&mut self, kind: DigestKind, digests: &[Digest]) -> Result<(), Refusal> {
        for part in parts(digests) {
            let mut select: QueryBuilder<Db> = QueryBuilder::new(kind.select());
            push_list(&mut select, part, |query, digest| {
                query.push_bind(digest.as_bytes().to_vec());
            });
            select.push(")");
            let rows = select.build().fetch_all(&mut *self.connection).await?;
            let layers = kind.layers(self);
            layers.found.extend(part.iter().map(|digest| (*digest, None)));
            for row in &rows {
                let digest: &[u8] = row.try_get("digest")?;
                if let Ok(bytes) = digest.try_into() {
                    layers.found.insert(Digest::from_bytes(bytes), Some(row.try_get("holder")?));
                }
            }
        }
        Ok(())
    }

    /// The record kept for a request of a caller.
    pub(crate) async fn request(&mut self, caller: &str, key: &str) -> Result<Option<Idempotency>, Refusal> {
        let place = (caller.to_owned(), key.to_owned());
        if self.requests.get(&place).is_none() {
            self.fetch_requests(std::slice::from_ref(&place)).await?;
        }
        Ok(self.requests.get(&place).flatten().map(|(record, _)| record.clone()))
    }

    /// Reads the records kept for these requests, together.
    pub(crate) async fn fetch_requests(&mut self, places: &[(String, String)]) -> Result<(), Refusal> {
        for part in parts(places) {
            // A join, because SQLite looks through the whole table for a list of pairs.
            let mut select: QueryBuilder<Db> =
                QueryBuilder::new("SELECT i.caller, i.request_key, i.fingerprint, i.answer, i.at FROM (VALUES ");
            push_list(&mut select, part, |query, (caller, key)| {
                query.push("(").push_bind(dialect::text(caller)).push(", ").push_bind(dialect::text(key)).push(")");
            });
            select.push(
                ") AS asked
                 JOIN idempotency AS i ON i.caller = asked.column1 AND i.request_key = asked.column2",
            );
            let rows = select.build().fetch_all(&mut *self.connection).await?;
            self.requests.found.extend(part.iter().map(|place| (place.clone(), None)));
            for row in &rows {
                let record = record::idempotency_of(row)?;
                let at = Timestamp::from_millis(row.try_get("at")?);
                let place = (record.caller.clone(), record.key.clone());
                self.requests.found.insert(place, Some((record, at)));
            }
        }
        Ok(())
    }

    /// How many keys of a project open at `at`, as the proposal at hand sees them.
    pub(crate) async fn live_keys(&mut self, project: ProjectId, at: Timestamp) -> Result<i64, Refusal> {
        if !self.live.contains_key(&(project, at)) {
            self.fetch_live_keys(&[(project, at)]).await?;
        }
        let in_database = self.live.get(&(project, at)).copied().unwrap_or(0);
        let is_live = |key: &Key| i64::from(key.project == project && key.standing(at).is_live());
        let touched: HashSet<&KeyId> = self.keys.moved.keys().chain(self.keys.pending.keys()).collect();
        let difference: i64 = touched
            .into_iter()
            .map(|id| {
                let before = self.keys.found.get(id).and_then(Option::as_ref).map_or(0, is_live);
                self.keys.get(id).flatten().map_or(0, is_live) - before
            })
            .sum();
        Ok(in_database + difference)
    }

    /// Counts the live keys of projects at times, together.
    pub(crate) async fn fetch_live_keys(&mut self, asked: &[(ProjectId, Timestamp)]) -> Result<(), Refusal> {
        for part in parts(asked) {
            let mut select: QueryBuilder<Db> = QueryBuilder::new(
                "SELECT asked.column1 AS project, asked.column2 AS at, (
                     SELECT COUNT(*) FROM keys AS k
                     WHERE k.project = asked.column1 AND k.state <> 'revoked' AND k.state <> 'disabled'
                         AND (k.ends_at IS NULL OR k.ends_at > asked.column2)
                         AND (k.expires_at IS NULL OR k.expires_at > asked.column2)
                 ) AS live
                 FROM (VALUES ",
            );
            push_list(&mut select, part, |query, (project, at)| {
                query.push("(").push_bind(project.to_string()).push(", ").push_bind(at.as_millis()).push(")");
            });
            select.push(") AS asked");
            let rows = select.build().fetch_all(&mut *self.connection).await?;
            for row in &rows {
                let project: &str = row.try_get("project")?;
                let at = Timestamp::from_millis(row.try_get("at")?);
                if let Ok(project) = project.parse() {
                    self.live.insert((project, at), row.try_get("live")?);
                }
            }
        }
        Ok(())
    }
}

/// Digests of keys, of management keys and of invitations are told apart: none opens what another does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DigestKind {
    Key,
    ManagementKey,
    Invitation,
}

impl DigestKind {
    fn select(self) -> &'static str {
        match self {
            DigestKind::Key => "SELECT digest, key_id AS holder FROM digests WHERE digest IN (",
            DigestKind::ManagementKey => "SELECT digest, id AS holder FROM management_keys WHERE digest IN (",
            DigestKind::Invitation => "SELECT digest, id AS holder FROM invitations WHERE digest IN (",
        }
    }

    pub(crate) fn layers<'a>(self, records: &'a mut Records<'_>) -> &'a mut DigestOf {
        match self {
            DigestKind::Key => &mut records.digests,
            DigestKind::ManagementKey => &mut records.management_digests,
            DigestKind::Invitation => &mut records.invitation_digests,
        }
    }
}
