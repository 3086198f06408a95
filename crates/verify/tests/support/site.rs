//! A site for tests of limits: a store in a folder of its own with a contract of one's own text, engines on it as many
//! as one likes, a clock that moves when told to, and crashes: a run that ends without `stop` or `close`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use keyward_core::change::{Change, KeyChange, ProjectChange, ProjectRef};
use keyward_core::clock::{Clock, SystemEntropy, Timestamp};
use keyward_core::contract::{Contract, Presets};
use keyward_core::decision::{ProjectFacts, RequestFacts};
use keyward_core::id::{KeyId, OrganizationId};
use keyward_core::key::Key;
use keyward_core::limits::OwnLimit;
use keyward_core::log::LogKeys;
use keyward_core::secret::Peppers;
use keyward_core::store::Store;
use keyward_core::tenancy::{Api, Project};
use keyward_store::conformance::World;
use keyward_store::{OpenError, SqliteOptions, SqliteStore};
use keyward_verify::limits::LimitView;
use keyward_verify::{Ask, Decision, Engine, EngineOptions};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::{Minted, created, of_key, ring};

/// A wall clock and one that only goes on, moved by hand.
#[derive(Debug)]
pub struct TestClock {
    boottime: AtomicI64,
    /// How far the wall clock is ahead of the other, in nanoseconds.
    ahead: AtomicI64,
}

impl TestClock {
    pub fn at(moment: &str) -> Arc<Self> {
        let wall: Timestamp = moment.parse().unwrap();
        let boottime = 1_000_000_000_000;
        let ahead = wall.as_millis() * 1_000_000 - boottime;
        Arc::new(TestClock { boottime: AtomicI64::new(boottime), ahead: AtomicI64::new(ahead) })
    }

    /// Time passes.
    pub fn pass(&self, by: Duration) {
        self.boottime.fetch_add(i64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }

    /// Somebody sets the wall clock, on or back.
    pub fn jump(&self, millis: i64) {
        self.ahead.fetch_add(millis * 1_000_000, Ordering::SeqCst);
    }

    /// Time passes until the wall clock shows a moment.
    pub fn pass_to(&self, moment: Timestamp) {
        let now = self.wall_nanos();
        let nanos = (moment.as_millis() * 1_000_000 - now).max(0);
        self.pass(Duration::from_nanos(nanos as u64));
    }

    fn wall_nanos(&self) -> i64 {
        self.boottime.load(Ordering::SeqCst) + self.ahead.load(Ordering::SeqCst)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_nanos().div_euclid(1_000_000))
    }

    fn boottime_nanos(&self) -> i64 {
        self.boottime.load(Ordering::SeqCst)
    }
}

/// A contract with these plans and guards, in TOML; the plan of new projects is `one`.
pub fn contract_with(rest: &str) -> Contract {
    let head = "schema = 1\nextends = \"standard\"\napi = \"limited\"\ntitle = \"Limited\"\n\n[project]\ndefault_plan = \"one\"\n";
    let path = format!("{}/../../contracts/standard.toml", env!("CARGO_MANIFEST_DIR"));
    let standard = std::fs::read_to_string(path).unwrap();
    let text = format!("{head}\n{rest}");
    let presets = Presets::new([("standard".to_owned(), standard)]);
    Contract::read(&text, &presets).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A folder with a store in it, an API, an organization and a project on the plan `one`.
pub struct Site {
    pub project: Project,
    pub clock: Arc<dyn Clock>,
    folder: TempDir,
    contract: Contract,
    peppers: Arc<Peppers>,
}

impl Site {
    pub async fn new(contract: &str, clock: Arc<dyn Clock>) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, &clock).await;
        let world = World::new(Arc::clone(&store) as Arc<dyn Store>, clock.now());
        let contract = contract_with(contract);
        world.make(api_of(&world, &contract)).await;
        let organization = world.organization("customer").await;
        let project = new_project(&world, &contract, organization.id, "app");
        world.make(created(&project)).await;
        let peppers = ring(&[1]);
        store.add_canary(1, &peppers.canary(1).unwrap()).await.unwrap();
        store.close().await;
        Site { project, clock, folder, contract, peppers }
    }

    /// Opens the store; where a run before has crashed, once nothing of it is left.
    pub async fn open(&self) -> Opened {
        let store = open(&self.folder, &self.clock).await;
        let world = World::new(Arc::clone(&store) as Arc<dyn Store>, self.clock.now());
        Opened { store, world, clock: Arc::clone(&self.clock), peppers: Arc::clone(&self.peppers) }
    }

    /// Puts another contract in force; engines have to settle.
    pub async fn put_in_force(&mut self, opened: &Opened, contract: &str) -> keyward_core::change::Revision {
        self.contract = contract_with(contract);
        opened.world.make(api_of(&opened.world, &self.contract)).await.revision
    }

    /// Another project of the same organization.
    pub async fn another_project(&self, opened: &Opened, name: &str) -> Project {
        let project = new_project(&opened.world, &self.contract, self.project.organization, name);
        opened.world.make(created(&project)).await;
        project
    }

    /// Makes keys of a project.
    pub async fn mint(&self, opened: &Opened, project: &Project, count: usize) -> Vec<Minted> {
        let mut minted = Vec::new();
        for _ in 0..count {
            let (key, one) = self.new_key(opened, project);
            opened.world.make(of_key(project, key.id, KeyChange::Created { key: Box::new(key.clone()) })).await;
            minted.push(one);
        }
        minted
    }

    /// Rotates a key; both open for an hour.
    pub async fn rotate(&self, opened: &Opened, project: &Project, old: KeyId) -> Minted {
        let before = opened.world.read_key(old).await;
        let (key, minted) = self.new_key(opened, project);
        let key = Key { lineage: before.lineage, ..key };
        let ends_at = self.clock.now().saturating_add(Duration::from_secs(3600));
        opened.world.make(of_key(project, old, KeyChange::Rotated { new: Box::new(key), ends_at })).await;
        minted
    }

    fn new_key(&self, opened: &Opened, project: &Project) -> (Key, Minted) {
        let new = self.contract.key.live.mint(&self.peppers, project.id, &SystemEntropy);
        let blank = opened.world.new_key(project);
        let key = Key {
            digest: new.digest,
            pepper: new.pepper,
            hint: new.hint,
            addresses: Vec::new(),
            scopes: keyward_core::scope::Scopes::all(),
            ..blank
        };
        let minted = Minted { id: key.id, secret: new.secret.expose().to_owned() };
        (key, minted)
    }
}

/// The store while it is open.
#[derive(Clone)]
pub struct Opened {
    pub store: Arc<SqliteStore>,
    pub world: World,
    clock: Arc<dyn Clock>,
    peppers: Arc<Peppers>,
}

impl Opened {
    /// A node on the store.
    pub async fn engine(&self) -> Arc<Engine> {
        self.engine_behind(Arc::clone(&self.store) as Arc<dyn Store>).await
    }

    /// A node that sees the store through something else.
    pub async fn engine_behind(&self, store: Arc<dyn Store>) -> Arc<Engine> {
        self.engine_with(store, EngineOptions::default()).await
    }

    /// A node with settings of its own.
    pub async fn engine_with(&self, store: Arc<dyn Store>, options: EngineOptions) -> Arc<Engine> {
        let (peppers, clock) = (Arc::clone(&self.peppers), Arc::clone(&self.clock));
        Engine::start(store, peppers, clock, options).await.unwrap()
    }

    /// The last revision.
    pub async fn store_head(&self) -> keyward_core::change::Revision {
        self.store.head().await.unwrap().0
    }

    /// Makes a change to a project, and waits until it is in force on a node.
    pub async fn change(&self, engine: &Engine, project: &Project, what: ProjectChange) {
        let of = ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() };
        let entry = self.world.make(Change::Project { of, what }).await;
        engine.settle(entry.revision).await.unwrap();
    }

    /// Gives a project a limit of its own.
    pub async fn set_limit(&self, engine: &Engine, project: &Project, name: &str, limit: Option<u64>) {
        let limit = limit.map(|limit| OwnLimit { limit, burst: None });
        self.change(engine, project, ProjectChange::LimitSet { name: name.into(), limit }).await;
    }

    /// How the limits of a project stand.
    pub async fn views(&self, engine: &Engine, project: &Project, lineage: Option<KeyId>) -> Vec<LimitView> {
        let project = self.store.project(project.id).await.unwrap().unwrap();
        let organization = self.store.organization(project.organization).await.unwrap().unwrap();
        let contract = Arc::clone(&engine.api(&project.api).unwrap().contract);
        engine.limit_views(ProjectFacts::of(&project, &organization), &contract, lineage).await.unwrap()
    }
}

/// Asks for something of a cost.
pub async fn spend(engine: &Engine, secret: &str, cost: u64) -> Decision {
    spend_from(engine, secret, cost, None).await
}

/// The same, from an address.
pub async fn spend_from(engine: &Engine, secret: &str, cost: u64, address: Option<&str>) -> Decision {
    let api = engine.api(&"limited".parse().unwrap()).unwrap();
    let facts =
        RequestFacts { cost, address: address.map(|text| text.parse().unwrap()), ..RequestFacts::default() };
    engine.verify(&Ask { api: Some(&api), presented: secret, facts }).await
}

/// A node and its store in a runtime of their own, so that they can crash.
pub struct Run {
    pub opened: Opened,
    pub engine: Arc<Engine>,
    runtime: Runtime,
}

impl Run {
    pub fn start(site: &Site) -> Run {
        let runtime = runtime();
        let (opened, engine) = runtime.block_on(async {
            let opened = site.open().await;
            let engine = opened.engine().await;
            (opened, engine)
        });
        Run { opened, engine, runtime }
    }

    /// Does something within the run.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn spend(&self, secret: &str, cost: u64) -> Decision {
        self.block_on(spend(&self.engine, secret, cost))
    }

    /// How many requests of a cost pass before one is refused.
    pub fn spend_all(&self, secret: &str, cost: u64) -> u64 {
        let mut passed = 0;
        while self.spend(secret, cost).outcome.is_ok() {
            passed += 1;
        }
        passed
    }

    /// Ends as a node does that is told to.
    pub fn stop(self) {
        self.runtime.block_on(async {
            self.engine.stop().await;
            self.opened.store.close().await;
        });
    }

    /// Ends as a node does that is killed.
    pub fn crash(self) {
        let Run { opened, engine, runtime } = self;
        // The tasks of the node go with the runtime, and with the last of them the store.
        drop(runtime);
        drop((opened, engine));
    }
}

/// A runtime of one thread.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn new_project(world: &World, contract: &Contract, organization: OrganizationId, name: &str) -> Project {
    let api = contract.api.clone().unwrap();
    Project { api, plan: contract.project.default_plan.clone(), ..world.new_project(organization, name) }
}

/// The change that puts a contract in force.
pub fn api_of(world: &World, contract: &Contract) -> Change {
    let name = contract.api.clone().unwrap();
    let blank = world.new_api(name.as_str(), "a test's");
    Change::Api { api: Box::new(Api { name, resolved: contract.resolved.clone(), ..blank }) }
}

async fn open(folder: &TempDir, clock: &Arc<dyn Clock>) -> Arc<SqliteStore> {
    let log_keys = Arc::new(LogKeys::new(&[1; 32], &[2; 32]));
    loop {
        match SqliteStore::open(SqliteOptions::new(folder.path(), Arc::clone(&log_keys), Arc::clone(clock))).await {
            Ok(store) => return Arc::new(store),
            // The writer of the run before has a thread of its own, which is about to end.
            Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A site at a moment of a November, with one key of its project.
pub fn site_with_key(contract: &str) -> (Site, Arc<TestClock>, Minted) {
    let clock = TestClock::at("2026-11-21T10:00:00Z");
    let (site, key) = runtime().block_on(async {
        let site = Site::new(contract, clock.clone()).await;
        let opened = site.open().await;
        let key = site.mint(&opened, &site.project, 1).await.remove(0);
        opened.store.close().await;
        (site, key)
    });
    (site, clock, key)
}
