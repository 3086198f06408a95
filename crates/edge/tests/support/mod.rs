//! An edge for tests: a real engine on a real store, the edge before it, and an upstream of the test's own.
#![allow(dead_code, reason = "every test file takes what it needs")]

pub mod raw;
pub mod tls;
pub mod upstream;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use keyward_core::change::{Change, KeyChange, KeyRef, ManagementKeyChange, ProjectChange, ProjectRef};
use keyward_core::clock::{Clock, SystemEntropy};
use keyward_core::contract::{Contract, Presets};
use keyward_core::id::KeyId;
use keyward_core::key::Key;
use keyward_core::log::LogKeys;
use keyward_core::scope::Scopes;
use keyward_core::secret::{Peppers, management_key_format};
use keyward_core::store::Store;
use keyward_core::tenancy::{Api, Boundary, ManagementKey, Project};
use keyward_edge::{Edge, EdgeOptions, GatewayListener};
use keyward_store::conformance::World;
use keyward_store::{SqliteOptions, SqliteStore};
use keyward_verify::{Engine, EngineOptions, SystemClock};
use tempfile::TempDir;

/// A key that was minted.
#[derive(Debug, Clone)]
pub struct Minted {
    pub id: KeyId,
    pub secret: String,
}

/// An edge and all around it.
pub struct Node {
    pub world: World,
    pub engine: Arc<Engine>,
    pub project: Project,
    pub edge: Edge,
    pub gateway: SocketAddr,
    pub check: SocketAddr,
    peppers: Arc<Peppers>,
    _folder: TempDir,
}

impl Node {
    /// With a preset's contract, in front of `upstream`.
    pub async fn start(preset: &str, upstream: SocketAddr) -> Node {
        Self::start_with(&preset_source(preset), upstream, |_| {}).await
    }

    /// With this contract and options changed by `change`.
    pub async fn start_with(source: &str, upstream: SocketAddr, change: impl FnOnce(&mut EdgeOptions)) -> Node {
        Self::start_with_engine(source, upstream, EngineOptions::default(), change).await
    }

    /// The same with an engine of these options.
    pub async fn start_with_engine(
        source: &str,
        upstream: SocketAddr,
        engine: EngineOptions,
        change: impl FnOnce(&mut EdgeOptions),
    ) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let log_keys = Arc::new(LogKeys::new(&[1; 32], &[2; 32]));
        let options = SqliteOptions::new(folder.path(), log_keys, Arc::new(SystemClock));
        let store = Arc::new(SqliteStore::open(options).await.unwrap());
        let world = World::new(store as Arc<dyn Store>, SystemClock.now());
        let project = put_in_force(&world, source).await;
        let peppers = Arc::new(Peppers::new(&[(1, &[7; 32])]).unwrap());
        let clock = Arc::new(SystemClock);
        let engine = Engine::start(Arc::clone(&world.store), Arc::clone(&peppers), clock, engine).await.unwrap();
        let mut options = EdgeOptions::new(listener(), Arc::new(SystemEntropy));
        options.gateways = vec![GatewayListener { listener: listener(), api: None }];
        options.default_upstream = Some(format!("http://{upstream}"));
        options.workers = 2;
        change(&mut options);
        let edge = keyward_edge::start(options, Arc::clone(&engine)).unwrap();
        let (gateway, check) = (edge.gateway_addresses()[0], edge.check_address());
        Node { world, engine, project, edge, gateway, check, peppers, _folder: folder }
    }

    /// Makes a key of the node's project.
    pub async fn key(&self) -> Minted {
        self.key_with(|_| {}).await
    }

    /// The same, changed by `change`.
    pub async fn key_with(&self, change: impl FnOnce(&mut Key)) -> Minted {
        self.key_of(&self.project, change).await
    }

    /// The same for another project.
    pub async fn key_of(&self, project: &Project, change: impl FnOnce(&mut Key)) -> Minted {
        let api = self.engine.api(&project.api).unwrap();
        let new = api.contract.key.live.mint(&self.peppers, project.id, &SystemEntropy);
        let blank = self.world.new_key(project);
        let mut key = Key {
            digest: new.digest,
            pepper: new.pepper,
            hint: new.hint,
            addresses: Vec::new(),
            scopes: Scopes::all(),
            ..blank
        };
        change(&mut key);
        let entry =
            self.world.make(key_change(project, key.id, KeyChange::Created { key: Box::new(key.clone()) })).await;
        self.engine.settle(entry.revision).await.unwrap();
        Minted { id: key.id, secret: new.secret.expose().to_owned() }
    }

    /// Revokes a key; returns when that is in force.
    pub async fn revoke(&self, key: KeyId) {
        self.change(key, KeyChange::Revoked { reason: None }).await;
    }

    /// Makes a change to a key; returns when that is in force.
    pub async fn change(&self, key: KeyId, what: KeyChange) {
        let entry = self.world.make(key_change(&self.project, key, what)).await;
        self.engine.settle(entry.revision).await.unwrap();
    }

    /// Another project, of an organization of its own.
    pub async fn another_project(&self) -> Project {
        let organization = self.world.organization("another").await;
        let new = self.world.new_project(organization.id, "another");
        let (api, plan) = (self.project.api.clone(), self.project.plan.clone());
        let project = Project { api, plan, is_granted: true, ..new };
        let entry = self.world.make(created(&project)).await;
        self.engine.settle(entry.revision).await.unwrap();
        project
    }

    /// Makes a management key; gives its secret.
    pub async fn management_key(&self, scopes: &[&str], boundary: Boundary) -> String {
        let new = management_key_format().mint(&self.peppers, self.project.id, &SystemEntropy);
        let blank = self.world.new_management_key("test");
        let scopes = Scopes::new(scopes).unwrap();
        let key = ManagementKey { digest: new.digest, hint: new.hint, scopes, boundary, ..blank };
        let entry = self
            .world
            .make(Change::ManagementKey { id: key.id, what: ManagementKeyChange::Created { key: Box::new(key) } })
            .await;
        self.engine.settle(entry.revision).await.unwrap();
        new.secret.expose().to_owned()
    }
}

/// The text of a contract that ships with Keyward.
pub fn preset_source(name: &str) -> String {
    let path = format!("{}/../../contracts/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A socket on a port of its own.
pub fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

async fn put_in_force(world: &World, source: &str) -> Project {
    let presets = Presets::new([("standard".to_owned(), preset_source("standard"))]);
    let contract = Contract::read(source, &presets).unwrap();
    let name = contract.api.clone().unwrap_or_else(|| "standard".parse().unwrap());
    let blank = world.new_api(name.as_str(), source);
    world.make(Change::Api { api: Box::new(Api { resolved: contract.resolved.clone(), ..blank }) }).await;
    let organization = world.organization("customer").await;
    let plan = contract.project.default_plan.clone();
    let project = Project { api: name, plan, is_granted: true, ..world.new_project(organization.id, "app") };
    world.make(created(&project)).await;
    project
}

fn created(project: &Project) -> Change {
    let of = ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() };
    Change::Project { of, what: ProjectChange::Created { project: Box::new(project.clone()) } }
}

fn key_change(project: &Project, id: KeyId, what: KeyChange) -> Change {
    let of = KeyRef { id, project: project.id, organization: project.organization, api: project.api.clone() };
    Change::Key { of, what }
}
