//! A control plane of its own for each test: a store in a folder that goes away with it, a clock that moves
//! only when told to, and requests in one line.

mod faults;
mod keepers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use keyward_control::Site;
use keyward_control::mail::Mailer;
use keyward_control::openid::OpenId;
use keyward_control::use_cases::{PeopleOptions, Wanted};
use keyward_control::{Control, ControlParts};
use keyward_core::clock::{Entropy, ManualClock, SystemEntropy, Timestamp};
use keyward_core::contract::Presets;
use keyward_core::key_encryption::KeyEncryption;
use keyward_core::limits::Rate;
use keyward_core::log::LogKeys;
use keyward_core::secret::Peppers;
use keyward_core::store::Store;
use keyward_store::{SqliteOptions, SqliteStore};
use keyward_verify::{EncryptionOptions, Engine, EngineOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use keepers::Keepers;

pub use faults::{Fault, FaultyStore};

/// A control plane with one organization and one project, and a management key that may do everything.
pub struct World {
    pub control: Arc<Control>,
    pub engine: Arc<Engine>,
    pub clock: Arc<ManualClock>,
    pub store: Arc<FaultyStore>,
    pub entropy: Arc<BrittleEntropy>,
    pub operator: String,
    pub organization: String,
    pub project: String,
    /// The first key, with its secret.
    pub key: (String, String),
    router: axum::Router,
    folder: TempDir,
    /// The newest version of the key-encryption keys; none where 0.
    pub kek: Arc<AtomicU32>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    pub json: Value,
}

impl Answer {
    /// The value at a path such as `/key/id`, as text.
    pub fn text(&self, pointer: &str) -> &str {
        let found = self.json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} in {}", self.body))
    }

    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, &str) {
        (self.status.as_u16(), self.json["code"].as_str().unwrap_or("no code"))
    }

    /// The fields that a problem names.
    pub fn fields(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["field"].as_str()).collect()
    }

    /// All that may not tell one absent thing from another.
    pub fn without_request_id(&self) -> (StatusCode, Vec<String>, Value) {
        let mut json = self.json.clone();
        if let Some(fields) = json.as_object_mut() {
            fields.remove("request_id");
        }
        let names = self.headers.iter().filter(|(name, _)| *name != "x-request-id");
        (self.status, names.map(|(name, value)| format!("{name}: {value:?}")).collect(), json)
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }
}

impl World {
    /// With a preset of contracts/.
    pub async fn with(preset: &str) -> World {
        World::with_contract(preset, &preset_text(preset)).await
    }

    /// With a contract that may extend a preset.
    pub async fn with_contract(api: &str, source: &str) -> World {
        World::with_sign_in(api, source, None, None).await
    }

    /// With a preset, a provider that people sign in with, and mail.
    pub async fn with_sign_in(api: &str, source: &str, openid: Option<OpenId>, mailer: Option<Mailer>) -> World {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_218_680_000)));
        let log_keys = Arc::new(LogKeys::new(&[1; 32], &[2; 32]));
        let peppers = Arc::new(Peppers::new(&[(1, &[7; 32])]).unwrap());
        let options = SqliteOptions::new(folder.path(), Arc::clone(&log_keys), clock.clone());
        let sqlite = Arc::new(SqliteStore::open(options).await.unwrap());
        sqlite.add_canary(1, &peppers.canary(1).unwrap()).await.unwrap();
        let heads = Arc::clone(&sqlite);
        let store = Arc::new(FaultyStore::over(sqlite));
        let kek = Arc::new(AtomicU32::new(1));
        let keys: Arc<dyn KeyEncryption> = Arc::new(Keepers(Arc::clone(&kek)));
        let encryption = EncryptionOptions { keys: Some(keys), ..EncryptionOptions::default() };
        let options = EngineOptions { encryption, ..EngineOptions::default() };
        let engine = Engine::start(store.clone(), Arc::clone(&peppers), clock.clone(), options).await.unwrap();
        let entropy = Arc::new(BrittleEntropy::default());
        let control = Control::new(ControlParts {
            store: store.clone(),
            engine: Arc::clone(&engine),
            peppers,
            presets: presets(),
            entropy: entropy.clone(),
            log_keys,
            heads: Arc::new(move || heads.signed_heads().map_err(std::io::Error::other)),
            backup_dir: folder.path().join("backups"),
            failures: Rate::new(60, Duration::from_secs(60), 60).unwrap(),
            people: PeopleOptions::default(),
            openid,
            mailer,
            allowed_networks: Vec::new(),
        });
        let wanted = Wanted {
            contract: (api.parse().unwrap(), source.to_owned()),
            organization: "Customer".into(),
            project: "App".into(),
            management_key: "operator".into(),
        };
        let made = control.bootstrap("dev", &wanted).await.unwrap();
        World {
            control: Arc::clone(&control),
            router: keyward_control::router(Arc::clone(&control), Site::new("https://keys.test").unwrap()),
            operator: made.management_secret.secret().unwrap().expose().to_owned(),
            organization: made.organization.id.to_string(),
            project: made.project.project.id.to_string(),
            key: (
                made.first_key.key.key.id.to_string(),
                made.first_key.secret.secret().unwrap().expose().to_owned(),
            ),
            engine,
            clock,
            store,
            entropy,
            folder,
            kek,
        }
    }

    /// The same after a start with a newer pepper.
    pub async fn with_another_pepper(&self) -> Arc<Control> {
        let peppers = Arc::new(Peppers::new(&[(1, &[7; 32]), (2, &[8; 32])]).unwrap());
        self.store.add_canary(2, &peppers.canary(2).unwrap()).await.unwrap();
        Control::new(ControlParts {
            store: self.store.clone(),
            engine: Arc::clone(&self.engine),
            peppers,
            presets: presets(),
            entropy: self.entropy.clone(),
            log_keys: Arc::new(LogKeys::new(&[1; 32], &[2; 32])),
            heads: Arc::new(|| Ok(Vec::new())),
            backup_dir: self.folder.path().join("backups"),
            failures: Rate::new(60, Duration::from_secs(60), 60).unwrap(),
            people: PeopleOptions::default(),
            openid: None,
            mailer: None,
            allowed_networks: Vec::new(),
        })
    }

    /// The router itself, for answers that are read part by part.
    pub fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// A request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = String::from_utf8(bytes.into()).unwrap();
        let json = serde_json::from_str(&body).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body, json }
    }

    /// A request of somebody, with JSON or without a body.
    pub async fn ask(&self, secret: &str, method: &str, path: &str, body: Value) -> Answer {
        self.send(request(secret, method, path, &[], body)).await
    }

    /// A request of the operator without a body.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(&self.operator, "GET", path, Value::Null).await
    }

    /// A request of the operator with JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(&self.operator, "POST", path, body).await
    }

    /// A request of the operator with JSON.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask(&self.operator, "PATCH", path, body).await
    }

    /// Makes a key of the first project.
    pub async fn create(&self, body: Value) -> Answer {
        self.post(&format!("/v1/projects/{}/keys", self.project), body).await
    }

    /// Makes a management key, as the operator.
    pub async fn management_key(&self, scopes: &[&str], within: Value) -> String {
        let body = json!({ "name": "a helper", "scopes": scopes, "within": within });
        self.post("/v1/management-keys", body).await.expect(201).text("/secret").to_owned()
    }

    /// Another organization with a project, as (organization, project).
    pub async fn another_customer(&self, api: &str) -> (String, String) {
        let made = self.post("/v1/organizations", json!({ "name": "Another" })).await.expect(201);
        let organization = made.text("/organization/id").to_owned();
        let path = format!("/v1/organizations/{organization}/projects");
        let made = self.post(&path, json!({ "name": "Theirs", "api": api })).await.expect(201);
        (organization, made.text("/project/id").to_owned())
    }

    /// How many live keys the first project has.
    pub async fn live_keys(&self) -> u64 {
        let answer = self.get(&format!("/v1/projects/{}", self.project)).await.expect(200);
        answer.json["project"]["active_keys"].as_u64().unwrap()
    }

    /// Whether a secret opens its API.
    pub async fn opens(&self, secret: &str) -> bool {
        let facts = keyward_core::decision::RequestFacts::default();
        let ask = keyward_verify::Ask { api: None, presented: secret, facts };
        self.engine.verify(&ask).await.outcome.is_ok()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A request of somebody.
pub fn request(secret: &str, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Request<Body> {
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    if !secret.is_empty() {
        request = request.header("authorization", format!("Bearer {secret}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match body {
        Value::Null => request.body(Body::empty()).unwrap(),
        body => request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap(),
    }
}

pub fn preset_text(name: &str) -> String {
    let path = format!("{}/../../contracts/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn presets() -> Presets {
    Presets::new(["standard", "qanapi"].map(|name| (name.to_owned(), preset_text(name))))
}

/// Randomness that fails when told to: what a handler that panics looks like.
#[derive(Default)]
pub struct BrittleEntropy {
    /// How many more fills succeed; any number where it is negative or zero at first.
    left: AtomicI64,
}

impl BrittleEntropy {
    /// Lets so many more fills succeed and one fail.
    pub fn break_after(&self, fills: i64) {
        self.left.store(fills + 1, Ordering::SeqCst);
    }
}

impl Entropy for BrittleEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        assert!(self.left.fetch_sub(1, Ordering::SeqCst) != 1, "no more randomness, as the test wants it");
        SystemEntropy.fill(bytes);
    }
}
