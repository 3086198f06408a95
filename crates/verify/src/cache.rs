//! What a node keeps in memory of keys and projects, and the fence that keeps stale reads out.
//!
//! An entry never changes: a change to its key marks it stale and takes it out, and the next use reads the
//! key anew. Entries get in only through [`Cache::admit`], which refuses what was read before a change that
//! has been applied since.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use keyward_core::change::{Change, Entry as LogEntry, Revision};
use keyward_core::decision::{HoldsKey, KeyFacts, ProjectFacts};
use keyward_core::id::{ApiName, KeyId, OrganizationId, ProjectId};
use keyward_core::secret::Digest;
use keyward_core::store::{KeyInContext, Read};
use parking_lot::Mutex;

use crate::engine::ApiInForce;
use crate::exchange::Owner;
use crate::limits::{KeyCounters, ProjectTerms};

/// How many applied changes the fence remembers; a read that is older than all of them is not kept.
const REMEMBERED: usize = 4096;
/// How many keys of one change it remembers at most, one by one.
const TOUCHED_MAX: usize = 1024;
/// How many digests are remembered that no key has.
const ABSENT_SLOTS: usize = 65_536;

/// A key in memory, all in one piece: a decision on a key that is not hot costs one trip to memory for it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub facts: KeyFacts,
    pub project: Arc<ProjectSlot>,
    /// What its limits count on.
    pub counters: KeyCounters,
    stale: AtomicBool,
    /// Grants since the last flush, the first and the last of them.
    pub granted: AtomicU32,
    pub first_granted: AtomicI64,
    pub last_granted: AtomicI64,
}

impl Entry {
    /// Whether a change to the key was applied since: look it up again.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::SeqCst)
    }

    pub fn owner(&self) -> Owner {
        Owner { key: self.facts.id, project: self.project.id, organization: self.project.organization }
    }
}

impl HoldsKey for Entry {
    fn facts(&self) -> &KeyFacts {
        &self.facts
    }
}

/// A project in memory, shared by the entries of its keys.
#[derive(Debug)]
pub(crate) struct ProjectSlot {
    pub id: ProjectId,
    pub organization: OrganizationId,
    pub facts: ArcSwap<ProjectFacts>,
    /// Its limits, as they follow from the facts and the contract.
    pub terms: ProjectTerms,
    /// The revision its facts were read at: older changes are in them.
    read_at: Revision,
}

/// Keys and projects in memory.
#[derive(Debug)]
pub(crate) struct Cache {
    by_digest: papaya::HashMap<Digest, Arc<Entry>, BuildHasherDefault<DigestHasher>>,
    /// Under which digest a key was let in first.
    by_id: papaya::HashMap<KeyId, Digest>,
    /// Everything that must be looked at and altered in one step when something is let in or applied.
    fence: Mutex<Fence>,
    absent: Mutex<Box<[Option<Digest>]>>,
}

#[derive(Debug)]
struct Fence {
    applied: Revision,
    /// How often everything was forgotten because the log was followed from elsewhere: what was read before that is
    /// not let in, whatever its revision.
    generation: u64,
    /// Whether anything is let in.
    is_open: bool,
    /// Whether anything read is let in, wrongly.
    #[cfg(feature = "mutants")]
    is_unfenced: bool,
    recent: VecDeque<(Revision, Touched)>,
    projects: HashMap<ProjectId, Arc<ProjectSlot>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Touched {
    Key(KeyId),
    /// In order.
    Keys(Box<[KeyId]>),
    Project(ProjectId),
    Organization(OrganizationId),
    Everything,
    Nothing,
}

/// Takes the digest's own bytes: they are uniform already.
#[derive(Debug, Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Cache {
    pub fn new(applied: Revision) -> Self {
        Self::with_room(applied, ABSENT_SLOTS)
    }

    /// One that remembers so many digests that no key has.
    pub fn with_room(applied: Revision, absent: usize) -> Self {
        Cache {
            by_digest: papaya::HashMap::default(),
            by_id: papaya::HashMap::default(),
            fence: Mutex::new(Fence {
                applied,
                generation: 0,
                is_open: true,
                #[cfg(feature = "mutants")]
                is_unfenced: false,
                recent: VecDeque::new(),
                projects: HashMap::new(),
            }),
            absent: Mutex::new(vec![None; absent].into()),
        }
    }

    /// The key with this digest, if it is in memory.
    pub fn get(&self, digest: &Digest) -> Option<Arc<Entry>> {
        self.by_digest.pin().get(digest).cloned()
    }

    /// The key of this id, if it is in memory.
    pub fn known(&self, id: KeyId) -> Option<Arc<Entry>> {
        let first = self.by_id.pin().get(&id).copied()?;
        self.get(&first)
    }

    /// The projects of an API in memory whose plan does not include it under this contract; all of them where
    /// there is none.
    pub fn projects_without_access(&self, name: &ApiName, api: Option<&ApiInForce>) -> HashSet<ProjectId> {
        let fence = self.fence.lock();
        let of_api = fence.projects.values().filter(|slot| slot.facts.load().api == *name);
        let gives =
            |facts: &ProjectFacts| api.is_some_and(|api| api.contract.gives_access(&facts.plan, facts.is_granted));
        of_api.filter(|slot| !gives(&slot.facts.load())).map(|slot| slot.id).collect()
    }

    /// Whether a project may send requests on to a destination, as far as is known here: one that is not in memory may.
    pub fn may_have_destination(&self, project: ProjectId) -> bool {
        let fence = self.fence.lock();
        fence.projects.get(&project).is_none_or(|slot| slot.facts.load().destination.is_some())
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn applied(&self) -> Revision {
        self.fence.lock().applied
    }

    /// Lets in whatever was read, wrongly.
    #[cfg(feature = "mutants")]
    pub fn set_unfenced(&mut self, is_unfenced: bool) {
        self.fence.get_mut().is_unfenced = is_unfenced;
    }

    /// To be asked before anything is read that shall be let in.
    pub fn generation(&self) -> u64 {
        self.fence.lock().generation
    }

    /// Forgets everything, and lets nothing in until [`Cache::begin`].
    pub fn shut(&self) {
        self.start_over(None);
    }

    /// Forgets everything and follows the log from `applied` on, which may be before what was followed: nothing that was
    /// begun to be read before this is let in.
    pub fn begin(&self, applied: Revision) {
        self.start_over(Some(applied));
    }

    fn start_over(&self, applied: Option<Revision>) {
        let mut fence = self.fence.lock();
        self.clear();
        fence.projects.clear();
        fence.recent.clear();
        fence.generation += 1;
        fence.is_open = applied.is_some();
        fence.applied = applied.unwrap_or(fence.applied);
    }

    /// Lets in a key that was read, unless a change to it was applied after the revision it was read at: then
    /// none is given, and the key has to be read again. `generation` is what was current before the read.
    pub fn admit(&self, digest: &Digest, read: Read<KeyInContext>, generation: u64) -> Option<Arc<Entry>> {
        let Read { value: KeyInContext { key, project, organization }, revision } = read;
        let mut fence = self.fence.lock();
        if !fence.lets_in(generation) || !fence.is_current(revision, key.id, project.id, organization.id) {
            return None;
        }
        let slot = fence.projects.entry(project.id).or_insert_with(|| {
            Arc::new(ProjectSlot {
                id: project.id,
                organization: organization.id,
                facts: ArcSwap::from_pointee(ProjectFacts::of(&project, &organization)),
                terms: ProjectTerms::default(),
                read_at: revision,
            })
        });
        let slot = Arc::clone(slot);
        let known = self.known(key.id);
        let entry = match known {
            // Known under another digest already (an older pepper's): both lead to one entry.
            Some(known) => known,
            None => Arc::new(Entry {
                facts: KeyFacts::of(&key),
                project: slot,
                counters: KeyCounters::default(),
                stale: AtomicBool::new(false),
                granted: AtomicU32::new(0),
                first_granted: AtomicI64::new(0),
                last_granted: AtomicI64::new(0),
            }),
        };
        self.by_id.pin().get_or_insert(key.id, *digest);
        self.by_digest.pin().insert(*digest, Arc::clone(&entry));
        Some(entry)
    }

    /// Notes that no key had this digest at `revision`.
    pub fn admit_absent(&self, digest: &Digest, revision: Revision, generation: u64) {
        let fence = self.fence.lock();
        if fence.lets_in(generation) && fence.applied <= revision {
            let mut absent = self.absent.lock();
            let slot = slot_of(digest, absent.len());
            absent[slot] = Some(*digest);
        }
    }

    /// Whether it is known that no key has this digest.
    pub fn is_absent(&self, digest: &Digest) -> bool {
        let absent = self.absent.lock();
        absent[slot_of(digest, absent.len())].as_ref() == Some(digest)
    }

    /// Applies one change of the log. Keys that it touches are read anew at their next use.
    pub fn apply(&self, change: &LogEntry) {
        let mut fence = self.fence.lock();
        if change.revision <= fence.applied {
            return;
        }
        let at = change.body.at;
        let touched = match &change.body.change {
            Change::Key { of, what } => {
                if let keyward_core::change::KeyChange::Created { key: new }
                | keyward_core::change::KeyChange::Rotated { new, .. } = what
                {
                    self.forget_absent(&new.digest);
                }
                self.take_out(of.id);
                Touched::Key(of.id)
            }
            Change::Keys { .. } => {
                let mut keys: Vec<KeyId> = change.body.change.keys().collect();
                keys.iter().for_each(|id| self.take_out(*id));
                keys.sort_unstable();
                // Who read meanwhile reads again: that is cheaper than to remember very many for long.
                if keys.len() > TOUCHED_MAX { Touched::Everything } else { Touched::Keys(keys.into()) }
            }
            Change::Project { of, what } => {
                fence.alter(change.revision, |slot| slot.id == of.id, |facts| facts.after(what, at));
                Touched::Project(of.id)
            }
            Change::Organization { id, what } => {
                let is_its = |slot: &ProjectSlot| slot.organization == *id;
                fence.alter(change.revision, is_its, |facts| facts.after_organization(what, at));
                Touched::Organization(*id)
            }
            Change::Store { .. } => {
                self.clear();
                fence.projects.clear();
                Touched::Everything
            }
            Change::Api { .. }
            | Change::DataKey { .. }
            | Change::ManagementKey { .. }
            | Change::Person { .. }
            | Change::Invitation { .. } => Touched::Nothing,
        };
        fence.remember(change.revision, touched);
    }

    fn take_out(&self, id: KeyId) {
        let first = self.by_id.pin().remove(&id).copied();
        if let Some(digest) = first
            && let Some(entry) = self.by_digest.pin().remove(&digest)
        {
            entry.stale.store(true, Ordering::SeqCst);
        }
    }

    /// Takes out every entry of a digest that has gone stale under another digest of the same key.
    pub fn drop_stale(&self, digest: &Digest, entry: &Arc<Entry>) {
        let map = self.by_digest.pin();
        if map.get(digest).is_some_and(|held| Arc::ptr_eq(held, entry)) {
            map.remove(digest);
        }
    }

    fn forget_absent(&self, digest: &Digest) {
        let mut absent = self.absent.lock();
        let place = slot_of(digest, absent.len());
        let slot = &mut absent[place];
        if slot.as_ref() == Some(digest) {
            *slot = None;
        }
    }

    /// Forgets every key; the next use of each reads it anew.
    pub fn forget(&self) {
        let _nothing_is_let_in = self.fence.lock();
        self.clear();
    }

    fn clear(&self) {
        self.by_digest.pin().values().for_each(|entry| entry.stale.store(true, Ordering::SeqCst));
        self.by_id.pin().clear();
        self.by_digest.pin().clear();
        self.absent.lock().fill(None);
    }
}

fn slot_of(digest: &Digest, slots: usize) -> usize {
    digest.as_u64() as usize % slots
}

impl Fence {
    fn lets_in(&self, generation: u64) -> bool {
        self.is_open && self.generation == generation
    }

    /// Whether what was read at `revision` of this key is still so.
    fn is_current(&self, revision: Revision, key: KeyId, project: ProjectId, organization: OrganizationId) -> bool {
        #[cfg(feature = "mutants")]
        if self.is_unfenced {
            return true;
        }
        if self.applied <= revision {
            return true;
        }
        let remembers_all_since = self.recent.front().is_some_and(|(oldest, _)| oldest.0 <= revision.0 + 1);
        remembers_all_since
            && self.recent.iter().rev().take_while(|(applied, _)| *applied > revision).all(|(_, touched)| {
                match touched {
                    Touched::Key(id) => *id != key,
                    Touched::Keys(ids) => ids.binary_search(&key).is_err(),
                    Touched::Project(id) => *id != project,
                    Touched::Organization(id) => *id != organization,
                    Touched::Everything => false,
                    Touched::Nothing => true,
                }
            })
    }

    fn alter(
        &mut self,
        revision: Revision,
        fits: impl Fn(&ProjectSlot) -> bool,
        after: impl Fn(&ProjectFacts) -> ProjectFacts,
    ) {
        for slot in self.projects.values().filter(|slot| fits(slot) && slot.read_at < revision) {
            slot.facts.store(Arc::new(after(&slot.facts.load())));
        }
    }

    fn remember(&mut self, revision: Revision, touched: Touched) {
        self.applied = revision;
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((revision, touched));
    }
}
