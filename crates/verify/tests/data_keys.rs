//! Data keys at a node: made once, held for a while, gone when they are shredded, and never another's (trust.md C01,
//! C04–C07). What two nodes do at once is done here by two engines on one store.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use keyward_core::change::{Change, DataKeyChange, ProjectChange, ProjectRef};
use keyward_core::clock::SystemEntropy;
use keyward_core::data_key::{CannotOpen, DataKey, DataKeyBytes, DataKeyId, FieldContext, Sealed};
use keyward_core::id::ProjectId;
use keyward_core::key_encryption::{
    KekVersion, KeyEncryption, KeyEncryptionError, KeyEncryptionKey, WhichDataKey, Wrapped,
};
use keyward_core::store::Store;
use keyward_core::tenancy::Project;
use keyward_verify::{EncryptionOptions, Engine, EngineOptions, NoDataKey};
use support::site::{Opened, Site, TestClock, spend};
use tokio::sync::Semaphore;

const PLACE: FieldContext<'static> = FieldContext { marker: "mark", path: "a.b" };

/// Key-encryption keys that can go away, and hold their answers back.
struct Keepers {
    newest: AtomicU32,
    /// What the keys' bytes begin with: another seed is another key of the same version.
    seed: AtomicU32,
    is_away: AtomicBool,
    asked: AtomicUsize,
    held_back: AtomicBool,
    let_go: Semaphore,
}

impl Keepers {
    fn new() -> Arc<Self> {
        Arc::new(Keepers {
            newest: AtomicU32::new(1),
            seed: AtomicU32::new(0),
            is_away: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            held_back: AtomicBool::new(false),
            let_go: Semaphore::new(0),
        })
    }

    fn key(&self, version: KekVersion) -> KeyEncryptionKey {
        KeyEncryptionKey::new(version, &[(version.0 + self.seed.load(Ordering::SeqCst)) as u8; 32])
    }

    async fn reach(&self) -> Result<(), KeyEncryptionError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.held_back.load(Ordering::SeqCst) {
            self.let_go.acquire().await.unwrap().forget();
        }
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(KeyEncryptionError::Unavailable("as the test wants it".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl KeyEncryption for Keepers {
    async fn current(&self) -> Result<KekVersion, KeyEncryptionError> {
        Ok(KekVersion(self.newest.load(Ordering::SeqCst)))
    }

    async fn wrap(&self, which: WhichDataKey, key: &DataKeyBytes) -> Result<Wrapped, KeyEncryptionError> {
        self.reach().await?;
        Ok(self.key(self.current().await?).wrap(which, key, &SystemEntropy))
    }

    async fn unwrap(&self, which: WhichDataKey, wrapped: &Wrapped) -> Result<DataKeyBytes, KeyEncryptionError> {
        self.reach().await?;
        self.key(wrapped.version).unwrap(which, wrapped)
    }
}

/// A store, with what nodes on it share.
struct Place {
    site: Site,
    opened: Opened,
    clock: Arc<TestClock>,
    keepers: Arc<Keepers>,
}

impl Place {
    async fn new() -> Place {
        let clock = TestClock::at("2026-11-21T10:00:00Z");
        let site = Site::new("[plans.one]\ntitle = \"One\"\n", clock.clone()).await;
        let opened = site.open().await;
        Place { site, opened, clock, keepers: Keepers::new() }
    }

    async fn node(&self) -> Arc<Engine> {
        self.node_that_holds(4096).await
    }

    async fn node_that_holds(&self, keys_held: usize) -> Arc<Engine> {
        let keys: Arc<dyn KeyEncryption> = self.keepers.clone();
        let encryption = EncryptionOptions { keys: Some(keys), keys_held, ..EncryptionOptions::default() };
        let store = Arc::clone(&self.opened.store) as Arc<dyn Store>;
        self.opened.engine_with(store, EngineOptions { encryption, ..EngineOptions::default() }).await
    }

    fn project(&self) -> ProjectId {
        self.site.project.id
    }

    /// Shreds what a project has, and waits until that is in force on a node.
    async fn shred(&self, node: &Engine, project: &Project) {
        let ring = self.opened.store.data_keyring(project.id).await.unwrap().unwrap();
        let keys = ring.living().map(|key| key.id).collect();
        self.change(node, project, DataKeyChange::Shredded { keys }).await;
    }

    async fn change(&self, node: &Engine, project: &Project, what: DataKeyChange) {
        let of = ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() };
        let entry = self.opened.world.make(Change::DataKey { of, what }).await;
        node.settle(entry.revision).await.unwrap();
    }

    async fn rotate(&self, node: &Engine, project: &Project) {
        let (id, wrapped) = node.wrap_new_data_key(project.id).await.unwrap();
        self.change(node, project, DataKeyChange::Rotated { id, wrapped: Some(wrapped) }).await;
    }
}

fn opened(key: &DataKey, text: &str) -> Result<Vec<u8>, CannotOpen> {
    key.open(PLACE, &Sealed::parse(text, PLACE.marker)?).map(|plain| plain.to_vec())
}

#[tokio::test]
async fn a_first_data_key_is_made_once_however_many_ask_at_once() {
    let place = Place::new().await;
    let nodes = [place.node().await, place.node().await];
    let project = place.project();
    let asking = (0..64).map(|number: usize| {
        let node = Arc::clone(&nodes[number % 2]);
        tokio::spawn(async move { node.current_data_key(project).await.unwrap().id() })
    });
    let mut ids = HashSet::new();
    for asking in asking.collect::<Vec<_>>() {
        ids.insert(asking.await.unwrap());
    }
    assert_eq!(ids.len(), 1, "both nodes use the one that was made");
    let ring = place.opened.store.data_keyring(project).await.unwrap().unwrap();
    assert_eq!(ring.keys.len(), 1);
    // What one sealed the other opens, also when it held another state of the keys.
    let text = nodes[0].current_data_key(project).await.unwrap().seal(PLACE, b"x", &SystemEntropy);
    let id = Sealed::parse(&text, PLACE.marker).unwrap().key_id();
    assert_eq!(opened(&nodes[1].data_key(project, id).await.unwrap(), &text).unwrap(), b"x");
}

#[tokio::test]
async fn after_a_rotation_the_new_key_seals_and_the_old_one_opens() {
    let place = Place::new().await;
    let (node, other) = (place.node().await, place.node().await);
    let project = place.project();
    let old = node.current_data_key(project).await.unwrap();
    let text = old.seal(PLACE, b"x", &SystemEntropy);
    assert_eq!(other.current_data_key(project).await.unwrap().id(), old.id());
    place.rotate(&node, &place.site.project).await;
    let new = node.current_data_key(project).await.unwrap();
    assert_ne!(new.id(), old.id());
    assert_eq!(opened(&node.data_key(project, old.id()).await.unwrap(), &text).unwrap(), b"x");
    // The other has not heard of it yet; what the new key sealed opens there all the same.
    let newer = new.seal(PLACE, b"y", &SystemEntropy);
    assert_eq!(opened(&other.data_key(project, new.id()).await.unwrap(), &newer).unwrap(), b"y");
}

#[tokio::test]
async fn c05_without_its_key_encryption_key_nothing_is_encrypted_and_keys_are_verified_all_the_same() {
    let place = Place::new().await;
    let minted = place.site.mint(&place.opened, &place.site.project, 1).await.remove(0);
    let node = place.node().await;
    let id = node.current_data_key(place.project()).await.unwrap().id();
    place.keepers.is_away.store(true, Ordering::SeqCst);
    // What is held goes on for its time, and no longer.
    place.clock.pass(Duration::from_secs(299));
    assert!(node.current_data_key(place.project()).await.is_ok());
    assert!(spend(&node, &minted.secret, 1).await.outcome.is_ok());
    place.clock.pass(Duration::from_secs(1));
    assert_eq!(node.current_data_key(place.project()).await.unwrap_err(), NoDataKey::Unavailable);
    assert_eq!(node.data_key(place.project(), id).await.unwrap_err(), NoDataKey::Unavailable);
    assert!(spend(&node, &minted.secret, 1).await.outcome.is_ok());
    assert!(node.is_ready());
    place.keepers.is_away.store(false, Ordering::SeqCst);
    assert_eq!(node.current_data_key(place.project()).await.unwrap().id(), id);
}

#[tokio::test]
async fn c05_where_nobody_keeps_key_encryption_keys_everything_else_works() {
    let place = Place::new().await;
    let minted = place.site.mint(&place.opened, &place.site.project, 1).await.remove(0);
    let node = place.opened.engine().await;
    assert_eq!(node.current_data_key(place.project()).await.unwrap_err(), NoDataKey::Unavailable);
    assert!(spend(&node, &minted.secret, 1).await.outcome.is_ok());
    assert!(place.opened.store.data_keyring(place.project()).await.unwrap().is_none());
}

#[tokio::test]
async fn c06_a_storm_of_ten_thousand_projects_never_mixes_their_keys() {
    let place = Place::new().await;
    let node = place.node_that_holds(256).await;
    let mut projects = Vec::new();
    for number in 0..40 {
        projects.push(place.site.another_project(&place.opened, &format!("p{number}")).await.id);
    }
    let mut texts = Vec::new();
    for project in &projects {
        let key = node.current_data_key(*project).await.unwrap();
        texts.push((key.id(), key.seal(PLACE, project.to_string().as_bytes(), &SystemEntropy)));
    }
    for round in 0..10_000_usize {
        let at = round * 7919 % projects.len();
        let (id, text) = &texts[at];
        let key = node.data_key(projects[at], *id).await.unwrap();
        assert_eq!(opened(&key, text).unwrap(), projects[at].to_string().as_bytes());
        // Another project's id, and another project's text, under this one.
        let other = (at + 1 + round % (projects.len() - 1)) % projects.len();
        if round % 16 == 0 {
            assert_eq!(opened(&key, &texts[other].1), Err(CannotOpen));
        }
    }
    assert!(node.held_data_keys() <= 256);
    // A known id of another project is as good as none.
    place.clock.pass(Duration::from_secs(2));
    let foreign = node.data_key(projects[0], texts[1].0).await.unwrap_err();
    assert_eq!(foreign, NoDataKey::Unknown);
}

#[tokio::test]
async fn c06_ids_that_somebody_makes_up_cost_few_reads_and_deny_nobody_else() {
    let place = Place::new().await;
    let node = place.node().await;
    let other = place.site.another_project(&place.opened, "other").await;
    node.current_data_key(place.project()).await.unwrap();
    let mut outcomes = [0, 0];
    for number in 0..1000 {
        let made_up = DataKeyId::from_u128(number);
        match node.data_key(place.project(), made_up).await.unwrap_err() {
            NoDataKey::Unknown => outcomes[0] += 1,
            NoDataKey::Unavailable => outcomes[1] += 1,
            NoDataKey::Shredded => panic!("nothing was shredded"),
        }
    }
    assert!(outcomes[0] <= 21 && outcomes[1] > 900, "{outcomes:?}");
    assert!(node.current_data_key(other.id).await.is_ok() && node.current_data_key(place.project()).await.is_ok());
}

#[tokio::test]
async fn c07_when_shredding_returns_the_key_is_gone_and_the_projects_exchanges_have_ended() {
    let place = Place::new().await;
    let other = place.site.another_project(&place.opened, "other").await;
    let own = place.site.mint(&place.opened, &place.site.project, 1).await.remove(0);
    let foreign = place.site.mint(&place.opened, &other, 1).await.remove(0);
    let node = place.node().await;
    let key = node.current_data_key(place.project()).await.unwrap();
    let theirs = node.current_data_key(other.id).await.unwrap().id();
    let api = node.api(&"limited".parse().unwrap()).unwrap();
    let ask = |secret| keyward_verify::Ask { api: Some(&api), presented: secret, facts: Default::default() };
    let exchange = node.open(&ask(&own.secret)).await.exchange.unwrap();
    let untouched = node.open(&ask(&foreign.secret)).await.exchange.unwrap();
    let ending = tokio::spawn(async move { exchange.closed().await });
    place.shred(&node, &place.site.project).await;
    ending.await.unwrap();
    assert!(!untouched.is_closed());
    assert_eq!(node.data_key(place.project(), key.id()).await.unwrap_err(), NoDataKey::Shredded);
    assert_eq!(node.data_key(other.id, theirs).await.unwrap().id(), theirs);
    // A project that goes on gets another key; the old one stays destroyed.
    let next = node.current_data_key(place.project()).await.unwrap();
    assert_ne!(next.id(), key.id());
    assert_eq!(node.data_key(place.project(), key.id()).await.unwrap_err(), NoDataKey::Shredded);
}

#[tokio::test]
async fn c07_when_a_destination_is_replaced_what_was_on_its_way_has_ended() {
    let place = Place::new().await;
    let own = place.site.mint(&place.opened, &place.site.project, 1).await.remove(0);
    let node = place.node().await;
    let api = node.api(&"limited".parse().unwrap()).unwrap();
    let ask = keyward_verify::Ask { api: Some(&api), presented: &own.secret, facts: Default::default() };
    let project = &place.site.project;
    let of = ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() };
    let set = async |url: Option<&str>| {
        let what = ProjectChange::DestinationSet { destination: url.map(str::to_owned) };
        let entry = place.opened.world.make(Change::Project { of: of.clone(), what }).await;
        node.settle(entry.revision).await.unwrap();
    };
    // Where nothing could be on its way anywhere, nothing ends.
    let first = node.open(&ask).await.exchange.unwrap();
    set(Some("https://one.example.com")).await;
    assert!(!first.is_closed());
    for next in [Some("https://two.example.com"), None] {
        let exchange = node.open(&ask).await.exchange.unwrap();
        let ending = tokio::spawn(async move { exchange.closed().await });
        set(next).await;
        ending.await.unwrap();
    }
    assert!(first.is_closed());
}

#[tokio::test]
async fn c05_another_key_of_the_same_version_wraps_nothing() {
    let place = Place::new().await;
    let node = place.node().await;
    let other = place.site.another_project(&place.opened, "other").await;
    let id = node.current_data_key(place.project()).await.unwrap().id();
    place.keepers.seed.store(7, Ordering::SeqCst);
    let refused = node.wrap_new_data_key(place.project()).await.unwrap_err();
    assert!(refused.to_string().contains("version 1 here is another key than the store's"), "{refused}");
    assert_eq!(node.current_data_key(other.id).await.unwrap_err(), NoDataKey::Unavailable);
    assert!(place.opened.store.data_keyring(other.id).await.unwrap().is_none());
    // Under a version that the store has nothing of there is nothing to contradict.
    place.keepers.newest.store(2, Ordering::SeqCst);
    assert!(node.current_data_key(other.id).await.is_ok());
    place.keepers.seed.store(0, Ordering::SeqCst);
    let fresh = place.node().await;
    assert_eq!(fresh.current_data_key(place.project()).await.unwrap().id(), id);
}

#[tokio::test]
async fn c05_who_keeps_the_keys_and_never_answers_holds_nobody_up_for_longer_than_the_patience() {
    let place = Place::new().await;
    place.node().await.current_data_key(place.project()).await.unwrap();
    let node = place.node().await;
    place.keepers.held_back.store(true, Ordering::SeqCst);
    let before = place.keepers.asked.load(Ordering::SeqCst);
    let project = place.project();
    let began = std::time::Instant::now();
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.current_data_key(project).await.map(|key| key.id()) })
        })
        .collect();
    for asking in asking {
        assert_eq!(asking.await.unwrap(), Err(NoDataKey::Unavailable));
    }
    // One after the other they would have taken 100 s.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(place.keepers.asked.load(Ordering::SeqCst) > before, "it was the keeper that they waited for");
}

#[tokio::test]
async fn c07_a_key_that_was_read_before_it_was_shredded_is_not_held_after() {
    let place = Place::new().await;
    let node = place.node().await;
    let id = node.current_data_key(place.project()).await.unwrap().id();
    let slow = place.node().await;
    // The slow one has read the wrapped key, and waits for its unwrapping.
    place.keepers.held_back.store(true, Ordering::SeqCst);
    let before = place.keepers.asked.load(Ordering::SeqCst);
    let (project, asking) = (place.project(), Arc::clone(&slow));
    let asking = tokio::spawn(async move { asking.data_key(project, id).await.map(|key| key.id()) });
    while place.keepers.asked.load(Ordering::SeqCst) == before {
        tokio::task::yield_now().await;
    }
    place.shred(&slow, &place.site.project).await;
    place.keepers.held_back.store(false, Ordering::SeqCst);
    place.keepers.let_go.add_permits(1);
    assert_eq!(asking.await.unwrap(), Err(NoDataKey::Shredded));
    assert_eq!(slow.held_data_keys(), 0);
}

#[tokio::test]
async fn c04_what_was_sealed_before_during_and_after_wrapping_anew_opens() {
    let place = Place::new().await;
    let node = place.node().await;
    let mut texts = Vec::new();
    for number in 0..20 {
        let project = place.site.another_project(&place.opened, &format!("p{number}")).await.id;
        texts.push((project, node.current_data_key(project).await.unwrap().seal(PLACE, b"x", &SystemEntropy)));
    }
    place.keepers.newest.store(2, Ordering::SeqCst);
    let store = &place.opened.store;
    let (mut done, mut after) = (0, None);
    while let [key, ..] = &store.data_keys_under(KekVersion(1), after, 1).await.unwrap()[..] {
        after = Some(key.which.id);
        let bytes = place.keepers.unwrap(key.which, &key.wrapped).await.unwrap();
        let anew = place.keepers.wrap(key.which, &bytes).await.unwrap();
        assert!(store.rewrap_data_key(key.which, &key.wrapped, &anew).await.unwrap());
        done += 1;
        // Seen by a node that holds nothing yet.
        let fresh = place.node().await;
        for (project, text) in &texts {
            let id = Sealed::parse(text, PLACE.marker).unwrap().key_id();
            assert_eq!(opened(&fresh.data_key(*project, id).await.unwrap(), text).unwrap(), b"x");
        }
        fresh.stop().await;
    }
    assert_eq!((done, store.data_key_counts().await.unwrap()), (20, vec![(KekVersion(2), 20)]));
}

/// The environment variable by which this test runs itself as one of two processes.
const CLONE: &str = "KEYWARD_TEST_CLONE";

/// How many fields each of the two encrypts. `KEYWARD_TEST_FIELDS=5000000 cargo test -p keyward-verify --test data_keys c01
/// -- --nocapture` does ten million in all.
fn fields() -> usize {
    std::env::var("KEYWARD_TEST_FIELDS").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000)
}

#[test]
fn c01_two_processes_cloned_from_one_state_never_use_a_nonce_twice() {
    // The same key, as a copy of a machine's memory has it.
    let key = DataKey::new(ProjectId::from_u128(1), DataKeyId::from_u128(2), &DataKeyBytes::new([9; 32]));
    if let Some(path) = std::env::var_os(CLONE) {
        let mut nonces = Vec::with_capacity(fields() * 12);
        for _ in 0..fields() {
            let text = key.seal(PLACE, b"the same value", &SystemEntropy);
            nonces.extend(Sealed::parse(&text, PLACE.marker).unwrap().nonce());
        }
        return std::fs::write(path, nonces).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let files = ["one", "other"].map(|name| folder.path().join(name));
    let clones = files.each_ref().map(|file| {
        let mut clone = std::process::Command::new(std::env::current_exe().unwrap());
        clone.args(["--exact", "c01_two_processes_cloned_from_one_state_never_use_a_nonce_twice"]);
        clone.env(CLONE, file).spawn().unwrap()
    });
    for mut clone in clones {
        assert!(clone.wait().unwrap().success());
    }
    let mut seen = HashSet::with_capacity(fields() * 2);
    for file in &files {
        for nonce in std::fs::read(file).unwrap().chunks_exact(12) {
            assert!(seen.insert(<[u8; 12]>::try_from(nonce).unwrap()), "a nonce came twice");
        }
    }
    assert_eq!(seen.len(), fields() * 2);
}
