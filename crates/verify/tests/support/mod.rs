//! A node for tests of the engine: on a real store in a folder of its own, with a contract in force, one
//! organization and one project, and keys as they are asked for.
#![allow(dead_code, reason = "every test file takes what it needs")]

pub mod meeting;
pub mod site;
pub mod watched;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_core::change::{Change, KeyChange, KeyRef, ProjectChange, ProjectRef};
use keyward_core::clock::{Clock, SystemEntropy};
use keyward_core::contract::{Contract, Presets};
use keyward_core::decision::RequestFacts;
use keyward_core::denial::Refusal;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::key::Key;
use keyward_core::limits::OwnLimit;
use keyward_core::log::LogKeys;
use keyward_core::secret::{Format, Peppers};
use keyward_core::store::Store;
use keyward_core::tenancy::{Api, Project};
use keyward_store::conformance::World;
use keyward_store::{SqliteOptions, SqliteStore};
use keyward_verify::{ApiInForce, Ask, Engine, EngineOptions, SystemClock};
use tempfile::TempDir;
use watched::{OnRead, Watched};

/// A key that was minted.
#[derive(Debug, Clone)]
pub struct Minted {
    pub id: KeyId,
    pub secret: String,
}

/// A node and all around it.
pub struct Node {
    pub world: World,
    pub engine: Arc<Engine>,
    pub api: Arc<ApiInForce>,
    pub peppers: Arc<Peppers>,
    pub project: Project,
    folder: TempDir,
    store: Arc<SqliteStore>,
}

impl Node {
    /// With the preset `standard` or `scrapegraphai`.
    pub async fn start(preset: &str) -> Node {
        Self::start_behind(preset, |store| store).await
    }

    /// The same, its engine's reads of keys watched.
    pub async fn start_watched(preset: &str, on_read: Arc<dyn OnRead>) -> Node {
        Self::start_behind(preset, |store| Arc::new(Watched { store, on_read })).await
    }

    async fn start_behind(preset: &str, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let world = World::new(Arc::clone(&store) as Arc<dyn Store>, SystemClock.now());
        let contract = contract(preset);
        let name = contract.api.clone().unwrap();
        let api = Api {
            name: name.clone(),
            resolved: contract.resolved.clone(),
            ..world.new_api(name.as_str(), "a preset")
        };
        world.make(Change::Api { api: Box::new(api) }).await;
        let organization = world.organization("customer").await;
        let plan = contract.project.default_plan.clone();
        let limits = out_of_reach(&contract);
        let project = Project { api: name, plan, limits, ..world.new_project(organization.id, "app") };
        world.make(created(&project)).await;
        let peppers = ring(&[1]);
        Self::assemble(folder, store, world, project, peppers, wrap).await
    }

    async fn assemble(
        folder: TempDir,
        store: Arc<SqliteStore>,
        world: World,
        project: Project,
        peppers: Arc<Peppers>,
        wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
    ) -> Node {
        for version in peppers.versions() {
            store.add_canary(version, &peppers.canary(version).unwrap()).await.unwrap();
        }
        let seen = wrap(Arc::clone(&store) as Arc<dyn Store>);
        let engine = Engine::start(seen, Arc::clone(&peppers), Arc::new(SystemClock), EngineOptions::default())
            .await
            .unwrap();
        let api = engine.api(&project.api).unwrap();
        Node { world, engine, api, peppers, project, folder, store }
    }

    /// Stops, and starts again on what is stored, with these peppers.
    pub async fn restart_with(self, versions: &[u8]) -> Node {
        self.engine.stop().await;
        self.store.close().await;
        let store = open(&self.folder).await;
        let world = World::new(Arc::clone(&store) as Arc<dyn Store>, SystemClock.now());
        Self::assemble(self.folder, store, world, self.project, ring(versions), |store| store).await
    }

    /// Makes keys of the node's project, all in one transaction.
    pub async fn mint(&self, count: usize) -> Vec<Minted> {
        self.mint_for(&self.project, count).await
    }

    /// The same for another project.
    pub async fn mint_for(&self, project: &Project, count: usize) -> Vec<Minted> {
        let (mut minted, mut changes) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let new = self.format().mint(&self.peppers, project.id, &SystemEntropy);
            let blank = self.world.new_key(project);
            let key = Key {
                digest: new.digest,
                pepper: new.pepper,
                hint: new.hint,
                addresses: Vec::new(),
                scopes: keyward_core::scope::Scopes::all(),
                ..blank
            };
            minted.push(Minted { id: key.id, secret: new.secret.expose().to_owned() });
            changes.push(of_key(project, key.id, KeyChange::Created { key: Box::new(key) }));
        }
        let entries = self.world.propose(changes).await.unwrap();
        self.engine.settle(entries.last().unwrap().revision).await.unwrap();
        minted
    }

    /// The format of the API's live keys.
    pub fn format(&self) -> &Format {
        &self.api.contract.key.live
    }

    /// Makes a change to a key of the node's project, and waits until it is in force.
    pub async fn change(&self, key: KeyId, what: KeyChange) {
        let entry = self.world.make(of_key(&self.project, key, what)).await;
        self.engine.settle(entry.revision).await.unwrap();
    }

    /// Revokes a key, and waits until that is in force.
    pub async fn revoke(&self, key: KeyId) {
        self.change(key, KeyChange::Revoked { reason: None }).await;
    }

    /// What is asked with this credential, of any project.
    pub fn ask<'a>(&'a self, presented: &'a str) -> Ask<'a> {
        Ask { api: Some(&self.api), presented, facts: RequestFacts::default() }
    }

    /// What this credential is refused with; nothing where it is granted.
    pub async fn refusal(&self, presented: &str) -> Option<Refusal> {
        self.engine.verify(&self.ask(presented)).await.outcome.err().map(|denial| denial.refusal())
    }

    /// Another project of the same organization.
    pub async fn another_project(&self, name: &str) -> Project {
        let new = self.world.new_project(self.project.organization, name);
        let Project { api, plan, limits, .. } = self.project.clone();
        let project = Project { api, plan, limits, ..new };
        self.world.make(created(&project)).await;
        project
    }
}

fn created(project: &Project) -> Change {
    let of = ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() };
    Change::Project { of, what: ProjectChange::Created { project: Box::new(project.clone()) } }
}

/// A change to a key of a project.
pub fn of_key(project: &Project, id: KeyId, what: KeyChange) -> Change {
    let of = KeyRef { id, project: project.id, organization: project.organization, api: project.api.clone() };
    Change::Key { of, what }
}

/// The peppers of these versions; each version always is the same.
pub fn ring(versions: &[u8]) -> Arc<Peppers> {
    let bytes: Vec<_> = versions.iter().map(|version| (*version, [*version ^ 0x5c; 32])).collect();
    let given: Vec<_> = bytes.iter().map(|(version, bytes)| (*version, &bytes[..])).collect();
    Arc::new(Peppers::new(&given).unwrap())
}

/// A preset's contract.
pub fn contract(preset: &str) -> Contract {
    let read = |name: &str| {
        let path = format!("{}/../../contracts/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let presets = Presets::new([("standard".to_owned(), read("standard"))]);
    Contract::read(&read(preset), &presets).unwrap()
}

/// Limits of a project's own that no test reaches by chance.
fn out_of_reach(contract: &Contract) -> BTreeMap<String, OwnLimit> {
    let plan = &contract.plans[&contract.project.default_plan];
    let names = plan.rates.iter().map(|rate| &rate.name).chain(plan.quotas.iter().map(|quota| &quota.name));
    names.map(|name| (name.to_string(), OwnLimit { limit: 1_000_000_000, burst: None })).collect()
}

/// A project that no store has.
pub fn nobodys() -> ProjectId {
    ProjectId::random(&SystemEntropy)
}

async fn open(folder: &TempDir) -> Arc<SqliteStore> {
    let log_keys = Arc::new(LogKeys::new(&[1; 32], &[2; 32]));
    Arc::new(SqliteStore::open(SqliteOptions::new(folder.path(), log_keys, Arc::new(SystemClock))).await.unwrap())
}
