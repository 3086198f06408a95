//! The store of a simulated world: keys, the log, the nodes' rows; and the known ways to get each wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use keyward_core::change::{Actor, Change, Entry, EntryBody, KeyChange, KeyRef, Origin, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, NodeId, OrganizationId, ProjectId};
use keyward_core::key::{Key, KeyState, Metadata};
use keyward_core::nodes::{Census, Epoch, Followed, Renewal, Renewed, SeenNode};
use keyward_core::scope::Scopes;
use keyward_core::secret::Digest;
use keyward_core::store::{KeyInContext, Read};
use keyward_core::tenancy::{Environment, Organization, Project, TenantState};

use crate::nodes::mutants::Mutant;

const AT: Timestamp = Timestamp::from_millis(1);

type Rows = BTreeMap<NodeId, SeenNode>;

/// The store.
pub struct Database {
    mutant: Option<Mutant>,
    /// In the order of revisions, each with the moment of its commit.
    log: Vec<(i64, Entry)>,
    /// The revision that revoked each key.
    keys: Vec<Option<Revision>>,
    sequence: i64,
    rows: Rows,
    epoch: u32,
    /// Until when it does not answer.
    down_until: i64,
    /// The rows as they were; kept only to lose some.
    past: Vec<(i64, Rows)>,
}

/// The hash of an entry, as far as anybody here can tell.
fn hash_of(revision: Revision) -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&revision.0.to_be_bytes());
    hash
}

impl Database {
    pub fn new(mutant: Option<Mutant>) -> Self {
        let (log, rows, past) = (Vec::new(), Rows::new(), Vec::new());
        Database { mutant, log, keys: vec![None; 6], sequence: 0, rows, epoch: 0, down_until: 0, past }
    }

    pub fn is_up(&self, now: i64) -> bool {
        now >= self.down_until
    }

    /// It crashes and comes back, with all that was committed.
    pub fn crash(&mut self, now: i64, down_until: i64, lost: i64) {
        self.down_until = down_until;
        if self.mutant == Some(Mutant::AsyncRenewal) {
            // What was not yet on disk is lost, and nobody can tell.
            while self.past.last().is_some_and(|(at, _)| *at > now - lost) {
                self.past.pop();
            }
            self.rows = self.past.last().map(|(_, rows)| rows.clone()).unwrap_or_default();
        } else {
            self.epoch += 1;
        }
    }

    fn note(&mut self, now: i64) {
        if self.mutant == Some(Mutant::AsyncRenewal) {
            self.past.push((now, self.rows.clone()));
        }
    }

    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    pub fn add_key(&mut self) {
        self.keys.push(None);
    }

    pub fn head(&self) -> Revision {
        self.log.last().map_or(Revision::ZERO, |(_, entry)| entry.revision)
    }

    /// Begins to revoke a key; gives the revision that does or did, and whether it is still to be committed.
    pub fn begin_revoke(&mut self, key: usize) -> (Revision, bool) {
        if let Some(revision) = self.keys[key] {
            return (revision, false);
        }
        self.sequence = self.sequence.max(self.head().0) + 1;
        (Revision(self.sequence), true)
    }

    /// Commits it, unless another has meanwhile; gives the revision that revoked the key.
    pub fn commit_revoke(&mut self, now: i64, key: usize, revision: Revision) -> Revision {
        if let Some(before) = self.keys[key] {
            return before;
        }
        self.keys[key] = Some(revision);
        let of = KeyRef {
            id: KeyId::from_u128(key as u128),
            project: ProjectId::from_u128(1),
            organization: OrganizationId::from_u128(1),
            api: "x".parse().expect("a name"),
        };
        let change = Change::Key { of, what: KeyChange::Revoked { reason: None } };
        let actor = Actor::Operator { command: String::new() };
        let body = EntryBody { at: AT, actor, origin: Origin::default(), change };
        let place = self.log.partition_point(|(_, entry)| entry.revision < revision);
        self.log.insert(place, (now, Entry { revision, body, hash: hash_of(revision) }));
        revision
    }

    pub fn changes_since(&self, after: Revision, as_of: i64) -> Vec<Entry> {
        let known = self.log.iter().filter(|(at, entry)| entry.revision > after && *at <= as_of);
        known.map(|(_, entry)| entry.clone()).collect()
    }

    pub fn followed(&self) -> Followed {
        Followed { revision: self.head(), hash: hash_of(self.head()) }
    }

    pub fn register(&mut self, now: i64, id: NodeId, nonce: u128, lease: Duration) {
        let (name, version) = (String::new(), String::new());
        let acknowledged = Revision::ZERO;
        let (started_at, renewed_at) = (AT, AT);
        let row = SeenNode { id, nonce, acknowledged, lease, name, version, started_at, renewed_at };
        self.rows.insert(id, row);
        self.note(now);
    }

    /// `as_of` is now, but where a replica is read that lags.
    pub fn renew(
        &mut self,
        now: i64,
        as_of: i64,
        (id, nonce): (NodeId, u128),
        acknowledged: Revision,
        followed: Followed,
    ) -> Renewal {
        let Some(row) = self.rows.get_mut(&id) else { return Renewal::Fenced };
        row.nonce = nonce;
        row.acknowledged = row.acknowledged.max(acknowledged);
        self.note(now);
        let known = self.log.iter().rev().find(|(at, _)| *at <= as_of);
        let head = known.map_or(Revision::ZERO, |(_, entry)| entry.revision).max(followed.revision);
        let entries = self.changes_since(followed.revision, as_of);
        let (hash, epoch) = (Some(hash_of(followed.revision)), Epoch(String::new()));
        Renewal::Renewed(Renewed { head, hash, entries, epoch, now: AT })
    }

    pub fn acknowledge(&mut self, id: NodeId, acknowledged: Revision) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.acknowledged = row.acknowledged.max(acknowledged);
        }
    }

    pub fn census(&self) -> Census {
        let nodes = self.rows.values().cloned().collect();
        Census { nodes, epoch: Epoch(self.epoch.to_string()), head: self.head(), now: AT }
    }

    pub fn reap(&mut self, now: i64, id: NodeId, nonce: u128) {
        let is_unguarded = self.mutant == Some(Mutant::ReapUnguarded);
        if self.rows.get(&id).is_some_and(|row| is_unguarded || row.nonce == nonce) {
            self.rows.remove(&id);
            self.note(now);
        }
    }

    pub fn read_key(&self, key: usize) -> Read<KeyInContext> {
        let id = KeyId::from_u128(key as u128);
        let (project, organization) = (ProjectId::from_u128(1), OrganizationId::from_u128(1));
        let state = match self.keys[key] {
            None => KeyState::Active,
            Some(_) => KeyState::Revoked { at: AT, reason: None, replaced_by: None },
        };
        let revision = Revision(1);
        let key = Key {
            id,
            project,
            lineage: id,
            name: None,
            hint: String::new(),
            digest: digest_of(key),
            pepper: 1,
            scopes: Scopes::none(),
            addresses: Vec::new(),
            metadata: Metadata::new(),
            created_at: AT,
            expires_at: None,
            state,
            created_revision: revision,
            revision,
        };
        let project = Project {
            id: project,
            organization,
            api: "x".parse().expect("a name"),
            name: String::new(),
            environment: Environment::Live,
            plan: String::new(),
            active_key_limit: None,
            limits: BTreeMap::new(),
            is_granted: false,
            destination: None,
            state: TenantState::Active,
            created_at: AT,
            created_revision: revision,
            revision,
        };
        let organization = Organization {
            id: organization,
            name: String::new(),
            created_at: AT,
            state: TenantState::Active,
            created_revision: revision,
            revision,
        };
        Read { value: KeyInContext { key, project, organization }, revision: self.head() }
    }
}

/// The digest that a key is kept under.
pub fn digest_of(key: usize) -> Digest {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&(key as u64).to_le_bytes());
    Digest::from_bytes(bytes)
}
