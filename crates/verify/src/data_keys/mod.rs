//! Data keys as a node uses them: which one encrypts for a project, and those that open what was encrypted before.
//!
//! They are read from the store, unwrapped by whoever keeps the key-encryption keys, and held for a while (`cache`).
//! Deciding on keys never waits for any of it. A project's first data key is made here, when it is first asked for: of
//! any number of nodes that do so at once one wins, and the others use what it made.

mod cache;

use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::{
    Actor, Change, DataKeyChange, Expect, OrganizationChange, Origin, ProjectChange, ProjectRef, Proposal,
};
use keyward_core::clock::Entropy;
use keyward_core::data_key::{DataKey, DataKeyBytes, DataKeyId};
use keyward_core::data_keyring::{DATA_KEYS_MAX, DataKeyring};
use keyward_core::id::ProjectId;
use keyward_core::key_encryption::{KeyEncryption, KeyEncryptionError, WhichDataKey, Wrapped};
use keyward_core::store::StoreError;

use self::cache::Held;
use crate::engine::Engine;
use crate::options::EncryptionOptions;

const LANES: usize = 64;
/// How often a look-up starts over because something changed while it was on its way.
const TRIES: usize = 16;
/// How long a look-up may take in all, with the wait for its turn, the store and whoever keeps the key-encryption keys.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDataKey {
    /// It cannot be had now: the store or the key-encryption key is away, or none was set up. Ask again later.
    #[error("the data key cannot be had now")]
    Unavailable,
    /// The project has no such data key.
    #[error("the project has no such data key")]
    Unknown,
    /// It was destroyed on purpose: what was encrypted under it cannot be opened any more.
    #[error("the data key was shredded")]
    Shredded,
}

/// The data keys of a node.
pub(crate) struct DataKeys {
    held: Held,
    keepers: Option<Arc<dyn KeyEncryption>>,
    entropy: Arc<dyn Entropy>,
    /// What this node is called, for the log.
    node: String,
    /// Lanes that look-ups queue in: of many that ask for the same at once one reads.
    lanes: Vec<tokio::sync::Mutex<LastFailure>>,
}

/// Of which project a look-up failed last, and when. Whoever waited for it by then is told the same: a queue must not try
/// one after the other what takes seconds to fail.
type LastFailure = Option<(ProjectId, i64)>;

/// Which of so many parts a project belongs to.
fn part_of(project: ProjectId, parts: usize) -> usize {
    (project.as_u128() % parts as u128) as usize
}

impl DataKeys {
    pub fn new(options: EncryptionOptions, node: String) -> Self {
        DataKeys {
            held: Held::new(options.keys_held, options.key_life),
            keepers: options.keys,
            entropy: options.entropy,
            node,
            lanes: (0..LANES).map(|_| tokio::sync::Mutex::default()).collect(),
        }
    }

    /// Applies one change of the log.
    pub fn apply(&self, change: &Change) {
        match change {
            Change::DataKey { of, what: DataKeyChange::Shredded { .. } }
            | Change::Project { of, what: ProjectChange::Deleted } => self.held.forget_project(of.id),
            Change::DataKey { of, what: DataKeyChange::Created { .. } | DataKeyChange::Rotated { .. } } => {
                self.held.forget_ring(of.id);
            }
            Change::Organization { what: OrganizationChange::Deleted, .. } | Change::Store { .. } => {
                self.held.forget();
            }
            _ => {}
        }
    }

    /// Holds nothing any more: what is kept in memory is read anew as a whole.
    pub fn forget(&self) {
        self.held.forget();
    }

    /// Drops what has been held for as long as it may, and tells how much is.
    pub fn look_after(&self, now: i64) {
        self.held.drop_ended(now);
        metrics::gauge!("keyward_cached_data_keys").set(self.held.len() as f64);
    }

    fn keepers(&self) -> Result<&Arc<dyn KeyEncryption>, KeyEncryptionError> {
        self.keepers.as_ref().ok_or(KeyEncryptionError::None)
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, KeyEncryptionError>>) -> Result<T, KeyEncryptionError> {
    let late = |_| KeyEncryptionError::Unavailable(format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
}

impl Engine {
    /// The data key that encrypts for a project; its first is made here. To be called for a request whose exchange is
    /// registered, so that shredding ends it; keep the key for no longer than the request.
    ///
    /// # Errors
    /// [`NoDataKey::Unavailable`] where it cannot be had now.
    pub async fn current_data_key(&self, project: ProjectId) -> Result<Arc<DataKey>, NoDataKey> {
        self.may_use_data_keys()?;
        if let Some(key) = self.data_keys.held.current(project, self.clock.boottime_nanos()) {
            return Ok(key);
        }
        self.in_lane(project, self.find_current(project)).await
    }

    async fn find_current(&self, project: ProjectId) -> Result<Arc<DataKey>, NoDataKey> {
        for _ in 0..TRIES {
            let (ring, _) = self.data_keyring(project).await?;
            let key = match ring.current() {
                Some(current) => self.unwrapped(WhichDataKey { project, id: current.id }).await?,
                None => {
                    self.make_data_key(&ring).await?;
                    None
                }
            };
            match key {
                Some(key) => return Ok(key),
                None => self.data_keys.held.reread_ring(project),
            }
        }
        Err(NoDataKey::Unavailable)
    }

    /// The data key of a project with this id, for opening; otherwise as [`Engine::current_data_key`].
    ///
    /// # Errors
    /// [`NoDataKey`], whichever fits. A caller is told the same for every one but `Unavailable`.
    pub async fn data_key(&self, project: ProjectId, id: DataKeyId) -> Result<Arc<DataKey>, NoDataKey> {
        self.may_use_data_keys()?;
        let which = WhichDataKey { project, id };
        if let Some(key) = self.data_keys.held.key(which, self.clock.boottime_nanos()) {
            return Ok(key);
        }
        self.in_lane(project, self.find_data_key(which)).await
    }

    async fn find_data_key(&self, which: WhichDataKey) -> Result<Arc<DataKey>, NoDataKey> {
        let WhichDataKey { project, id } = which;
        for _ in 0..TRIES {
            let (ring, is_new) = self.data_keyring(project).await?;
            match ring.key(id).map(|key| key.state) {
                Some(state) if state.is_shredded() => return Err(NoDataKey::Shredded),
                Some(_) => {
                    if let Some(key) = self.unwrapped(which).await? {
                        return Ok(key);
                    }
                }
                None if is_new => return Err(NoDataKey::Unknown),
                // Another node may have made it since.
                None if !self.data_keys.held.may_reread(project, self.clock.boottime_nanos()) => {
                    return Err(NoDataKey::Unavailable);
                }
                None => {}
            }
            self.data_keys.held.reread_ring(project);
        }
        Err(NoDataKey::Unavailable)
    }

    /// Fresh bytes for a new data key of a project, wrapped, with its id: for a change that brings it into use.
    ///
    /// # Errors
    /// Where nothing can be wrapped now.
    pub async fn wrap_new_data_key(&self, project: ProjectId) -> Result<(DataKeyId, Wrapped), KeyEncryptionError> {
        let entropy = &*self.data_keys.entropy;
        let id = DataKeyId::random(entropy);
        let bytes = DataKey::random_bytes(entropy);
        Ok((id, self.wrap_data_key(WhichDataKey { project, id }, &bytes).await?))
    }

    /// Wraps a data key under the current version, after a look at whether that is the store's key of this version: two
    /// nodes may have been given different keys of one number, and what the wrong one wraps the others cannot open.
    ///
    /// # Errors
    /// Where that cannot be done now, or the key of this version here does not open what the store has under it.
    pub async fn wrap_data_key(
        &self,
        which: WhichDataKey,
        key: &DataKeyBytes,
    ) -> Result<Wrapped, KeyEncryptionError> {
        let keepers = self.data_keys.keepers()?;
        in_time(async {
            let wrapped = keepers.wrap(which, key).await?;
            let version = wrapped.version;
            let there = self.store.data_keys_under(version, None, 1).await;
            let there = there.map_err(|error| KeyEncryptionError::Unavailable(error.to_string()))?;
            let Some(sample) = there.first() else { return Ok(wrapped) };
            match keepers.unwrap(sample.which, &sample.wrapped).await {
                Ok(_) => Ok(wrapped),
                Err(KeyEncryptionError::Refused(_)) => {
                    tracing::error!(
                        %version,
                        "the key-encryption key of this version is not the one that the store's data keys are wrapped \
                         under: nothing is wrapped under it. Bring the right secrets to this node"
                    );
                    let reason = format!("version {version} here is another key than the store's");
                    Err(KeyEncryptionError::Unavailable(reason))
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Whoever keeps the key-encryption keys.
    ///
    /// # Errors
    /// [`KeyEncryptionError::None`] where encryption was not set up.
    pub fn key_encryption(&self) -> Result<Arc<dyn KeyEncryption>, KeyEncryptionError> {
        self.data_keys.keepers().cloned()
    }

    /// How many data keys are held unwrapped.
    pub fn held_data_keys(&self) -> usize {
        self.data_keys.held.len()
    }

    /// Looks something up when it is its turn.
    async fn in_lane<T>(
        &self,
        project: ProjectId,
        look_up: impl Future<Output = Result<T, NoDataKey>>,
    ) -> Result<T, NoDataKey> {
        let began = self.clock.boottime_nanos();
        let ends = tokio::time::Instant::now() + PATIENCE;
        let late = || unavailable(project, &format!("not found within {} s", PATIENCE.as_secs()));
        let lane = self.data_keys.lanes[part_of(project, LANES)].lock();
        let mut lane = tokio::time::timeout_at(ends, lane).await.map_err(|_| late())?;
        if lane.is_some_and(|(failed, at)| failed == project && at > began) {
            return Err(NoDataKey::Unavailable);
        }
        let found = tokio::time::timeout_at(ends, look_up).await.unwrap_or_else(|_| Err(late()));
        if matches!(found, Err(NoDataKey::Unavailable)) {
            *lane = Some((project, self.clock.boottime_nanos()));
        }
        found
    }

    /// Before the look-up, as for keys: what is held is good as of a moment when the lease held.
    fn may_use_data_keys(&self) -> Result<(), NoDataKey> {
        if self.lease.holds(&*self.clock) { Ok(()) } else { Err(NoDataKey::Unavailable) }
    }

    /// Which data keys a project has, and whether that was read only now.
    async fn data_keyring(&self, project: ProjectId) -> Result<(Arc<DataKeyring>, bool), NoDataKey> {
        if let Some(ring) = self.data_keys.held.ring(project, self.clock.boottime_nanos()) {
            return Ok((ring, false));
        }
        for _ in 0..TRIES {
            let generation = self.data_keys.held.generation(project);
            let read = self.store.data_keyring(project).await.map_err(|error| unavailable(project, &error))?;
            let ring = Arc::new(read.unwrap_or_else(|| DataKeyring::empty(project)));
            if self.data_keys.held.put_ring(&ring, self.clock.boottime_nanos(), generation) {
                return Ok((ring, true));
            }
        }
        Err(NoDataKey::Unavailable)
    }

    /// A data key, from what is held or from the store; none where it changed meanwhile.
    async fn unwrapped(&self, which: WhichDataKey) -> Result<Option<Arc<DataKey>>, NoDataKey> {
        let DataKeys { held, keepers, .. } = &self.data_keys;
        if let Some(key) = held.key(which, self.clock.boottime_nanos()) {
            return Ok(Some(key));
        }
        let WhichDataKey { project, id } = which;
        let generation = held.generation(project);
        let read = self.store.wrapped_data_key(which).await.map_err(|error| unavailable(project, &error))?;
        let Some(wrapped) = read else { return Ok(None) };
        let keepers = keepers.as_ref().ok_or_else(|| unavailable(project, &KeyEncryptionError::None))?;
        let bytes = in_time(keepers.unwrap(which, &wrapped)).await.map_err(|error| unavailable(project, &error))?;
        let key = Arc::new(DataKey::new(project, id, &bytes));
        Ok(held.put_key(&key, self.clock.boottime_nanos(), generation).then_some(key))
    }

    /// Makes a data key for a project that has none that encrypts. Where another was faster, nothing is made.
    async fn make_data_key(&self, ring: &DataKeyring) -> Result<(), NoDataKey> {
        let project = ring.project;
        if ring.keys.len() >= DATA_KEYS_MAX {
            return Err(unavailable(project, &"it has had as many data keys as a project can have"));
        }
        let found = self.store.project(project).await.map_err(|error| unavailable(project, &error))?;
        let Some(found) = found.filter(|found| found.state.is_active()) else { return Err(NoDataKey::Unavailable) };
        let around =
            self.store.organization(found.organization).await.map_err(|error| unavailable(project, &error))?;
        let Some(around) = around.filter(|around| around.state.is_active()) else {
            return Err(NoDataKey::Unavailable);
        };
        let made = self.wrap_new_data_key(project).await;
        let (id, wrapped) = made.map_err(|error| unavailable(project, &error))?;
        let of = ProjectRef { id: project, organization: found.organization, api: found.api };
        let proposal = Proposal {
            actor: Actor::Node { name: self.data_keys.node.clone() },
            origin: Origin::default(),
            at: self.clock.now(),
            // None is made for a project that is being deleted: nobody could destroy it any more.
            expect: vec![
                Expect::DataKeys(project, ring.revision),
                Expect::Project(project, found.revision),
                Expect::Organization(around.id, around.revision),
            ],
            changes: vec![Change::DataKey { of, what: DataKeyChange::Created { id, wrapped: Some(wrapped) } }],
            idempotency: None,
        };
        // In a task of its own: a caller that goes away must not leave it half done.
        let store = Arc::clone(&self.store);
        match tokio::spawn(async move { store.commit(proposal).await }).await {
            Ok(Ok(_) | Err(StoreError::Conflict(_))) => Ok(()),
            Ok(Err(error)) => Err(unavailable(project, &error)),
            Err(error) => Err(unavailable(project, &error)),
        }
    }
}

fn unavailable(project: ProjectId, error: &dyn std::fmt::Display) -> NoDataKey {
    metrics::counter!("keyward_data_key_failures_total").increment(1);
    tracing::warn!(%project, %error, "a data key cannot be had");
    NoDataKey::Unavailable
}
