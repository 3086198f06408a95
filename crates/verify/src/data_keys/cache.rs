//! What a node holds of data keys: which there are of a project, and those it has unwrapped. Bounded in number and in
//! time, and never ahead of the log: what is read while a change is applied is not let in.
//!
//! A key is held by project and id together, so that none is ever another's. What is dropped is wiped by its own type.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use keyward_core::data_key::{DataKey, DataKeyId};
use keyward_core::data_keyring::DataKeyring;
use keyward_core::id::ProjectId;
use keyward_core::key_encryption::WhichDataKey;
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Among how many generations a part's projects are spread, so that what happens to one rarely concerns another.
const GENERATIONS: usize = 256;
/// How often a second a project's keys are read again because a ciphertext names one that is not known.
const REREADS_PER_SECOND: u32 = 20;
const SECOND: i64 = 1_000_000_000;

/// What is held, in parts by project.
pub(super) struct Held {
    shards: Vec<Mutex<Shard>>,
    /// How many of each kind a part may hold.
    room: usize,
    life_nanos: i64,
}

#[derive(Default)]
struct Shard {
    /// Moved on by every change to what is held of the projects that share one; made when it is first needed.
    generations: HashMap<usize, u64>,
    /// Moved on when everything is forgotten.
    times_forgotten: u64,
    rings: Slots<ProjectId, Arc<DataKeyring>>,
    keys: Slots<WhichDataKey, Arc<DataKey>>,
    /// Since when, and how often, a project's keys were read again.
    rereads: HashMap<ProjectId, (i64, u32)>,
}

impl Shard {
    fn generation(&self, project: ProjectId) -> Generation {
        let own = self.generations.get(&generation_of(project)).copied().unwrap_or(0);
        Generation { own, times_forgotten: self.times_forgotten }
    }

    fn move_on(&mut self, project: ProjectId) {
        *self.generations.entry(generation_of(project)).or_insert(0) += 1;
    }
}

/// What has to be the same before and after a read for what was read to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    own: u64,
    times_forgotten: u64,
}

/// Which generation of its part a project shares.
fn generation_of(project: ProjectId) -> usize {
    super::part_of(project, SHARDS * GENERATIONS)
}

/// Values with when they were put in, and when they were used last.
struct Slots<I, V>(HashMap<I, Slot<V>>);

struct Slot<V> {
    value: V,
    since: i64,
    used: i64,
}

impl<I, V> Default for Slots<I, V> {
    fn default() -> Self {
        Slots(HashMap::new())
    }
}

impl<I: Hash + Eq + Copy, V: Clone> Slots<I, V> {
    fn get(&mut self, id: I, now: i64, life: i64) -> Option<V> {
        let slot = self.0.get_mut(&id)?;
        if now.saturating_sub(slot.since) >= life {
            self.0.remove(&id);
            return None;
        }
        slot.used = now;
        Some(slot.value.clone())
    }

    fn put(&mut self, id: I, value: V, now: i64, room: usize) {
        if self.0.len() >= room && !self.0.contains_key(&id) {
            let oldest = self.0.iter().min_by_key(|(_, slot)| slot.used).map(|(id, _)| *id);
            oldest.map(|id| self.0.remove(&id));
        }
        self.0.insert(id, Slot { value, since: now, used: now });
    }

    fn drop_ended(&mut self, now: i64, life: i64) {
        self.0.retain(|_, slot| now.saturating_sub(slot.since) < life);
    }
}

impl Held {
    pub fn new(most: usize, life: Duration) -> Self {
        Held {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            room: most.div_ceil(SHARDS).max(1),
            life_nanos: i64::try_from(life.as_nanos()).unwrap_or(i64::MAX),
        }
    }

    fn shard(&self, project: ProjectId) -> &Mutex<Shard> {
        &self.shards[super::part_of(project, SHARDS)]
    }

    /// To be asked before what is let in is read.
    pub fn generation(&self, project: ProjectId) -> Generation {
        self.shard(project).lock().generation(project)
    }

    pub fn ring(&self, project: ProjectId, now: i64) -> Option<Arc<DataKeyring>> {
        self.shard(project).lock().rings.get(project, now, self.life_nanos)
    }

    pub fn key(&self, which: WhichDataKey, now: i64) -> Option<Arc<DataKey>> {
        self.shard(which.project).lock().keys.get(which, now, self.life_nanos)
    }

    /// The key that encrypts for a project, where all of that is held.
    pub fn current(&self, project: ProjectId, now: i64) -> Option<Arc<DataKey>> {
        let mut shard = self.shard(project).lock();
        let id: DataKeyId = shard.rings.get(project, now, self.life_nanos)?.current()?.id;
        shard.keys.get(WhichDataKey { project, id }, now, self.life_nanos)
    }

    /// Lets in what was read since `generation`; says whether nothing had changed meanwhile.
    pub fn put_ring(&self, ring: &Arc<DataKeyring>, now: i64, generation: Generation) -> bool {
        let mut shard = self.shard(ring.project).lock();
        if shard.generation(ring.project) != generation {
            return false;
        }
        shard.rings.put(ring.project, Arc::clone(ring), now, self.room);
        true
    }

    /// The same for a key.
    pub fn put_key(&self, key: &Arc<DataKey>, now: i64, generation: Generation) -> bool {
        let which = WhichDataKey { project: key.project(), id: key.id() };
        let mut shard = self.shard(which.project).lock();
        if shard.generation(which.project) != generation {
            return false;
        }
        shard.keys.put(which, Arc::clone(key), now, self.room);
        true
    }

    /// Which keys a project has is to be read again, for they changed.
    pub fn forget_ring(&self, project: ProjectId) {
        let mut shard = self.shard(project).lock();
        shard.move_on(project);
        shard.rings.0.remove(&project);
    }

    /// The same for a reader that did not find what it looked for. Nothing changed: what others are reading is good.
    pub fn reread_ring(&self, project: ProjectId) {
        self.shard(project).lock().rings.0.remove(&project);
    }

    /// Nothing of a project is held any more.
    pub fn forget_project(&self, project: ProjectId) {
        let mut shard = self.shard(project).lock();
        shard.move_on(project);
        shard.rings.0.remove(&project);
        shard.keys.0.retain(|which, _| which.project != project);
    }

    /// Nothing is held any more.
    pub fn forget(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let times_forgotten = shard.times_forgotten + 1;
            *shard = Shard { times_forgotten, ..Shard::default() };
        }
    }

    /// Drops what has been held for as long as it may.
    pub fn drop_ended(&self, now: i64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.rings.drop_ended(now, self.life_nanos);
            shard.keys.drop_ended(now, self.life_nanos);
            shard.rereads.retain(|_, (since, _)| now.saturating_sub(*since) < SECOND);
        }
    }

    /// Whether a project's keys may be read again now because one is named that is not known.
    pub fn may_reread(&self, project: ProjectId, now: i64) -> bool {
        let mut shard = self.shard(project).lock();
        let (since, count) = shard.rereads.entry(project).or_insert((now, 0));
        if now.saturating_sub(*since) >= SECOND {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= REREADS_PER_SECOND
    }

    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().keys.0.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_core::data_key::DataKeyBytes;

    fn key(project: u128, id: u128) -> Arc<DataKey> {
        let (project, id) = (ProjectId::from_u128(project), DataKeyId::from_u128(id));
        Arc::new(DataKey::new(project, id, &DataKeyBytes::new([1; 32])))
    }

    fn which(key: &DataKey) -> WhichDataKey {
        WhichDataKey { project: key.project(), id: key.id() }
    }

    #[test]
    fn c05_a_key_is_held_for_a_bounded_time() {
        let held = Held::new(100, Duration::from_secs(300));
        let key = key(1, 1);
        let generation = held.generation(key.project());
        assert!(held.put_key(&key, 0, generation));
        // Using it makes it no younger.
        assert!(held.key(which(&key), 299 * SECOND).is_some());
        assert!(held.key(which(&key), 300 * SECOND).is_none());
        assert!(held.put_key(&key, 0, generation));
        held.drop_ended(300 * SECOND);
        assert_eq!(held.len(), 0);
    }

    #[test]
    fn c06_few_are_held_however_many_pass_through() {
        let held = Held::new(64, Duration::from_secs(300));
        for number in 0..10_000 {
            let key = key(number, 7);
            assert!(held.put_key(&key, number as i64, held.generation(key.project())));
            let found = held.key(which(&key), number as i64).unwrap();
            assert_eq!((found.project(), found.id()), (key.project(), key.id()));
        }
        assert!(held.len() <= 64, "{}", held.len());
        // The same id in another project is another key.
        assert!(
            held.key(WhichDataKey { project: ProjectId::from_u128(20_000), id: DataKeyId::from_u128(7) }, 9_999)
                .is_none()
        );
    }

    #[test]
    fn c07_what_was_read_before_a_change_is_not_let_in_after_it() {
        let held = Held::new(64, Duration::from_secs(300));
        let key = key(1, 1);
        let generation = held.generation(key.project());
        held.forget_project(key.project());
        assert!(!held.put_key(&key, 0, generation));
        assert!(held.key(which(&key), 0).is_none());
        let generation = held.generation(key.project());
        held.forget();
        assert!(!held.put_key(&key, 0, generation));
    }

    #[test]
    fn c06_what_happens_to_one_project_keeps_nothing_of_another_out() {
        let held = Held::new(64, Duration::from_secs(300));
        // Two that share a part.
        let (one, other) = (key(1, 1), key(1 + SHARDS as u128, 1));
        let generations = [&one, &other].map(|key| held.generation(key.project()));
        held.forget_project(one.project());
        held.reread_ring(other.project());
        assert!(!held.put_key(&one, 0, generations[0]));
        assert!(held.put_key(&other, 0, generations[1]));
    }
}
