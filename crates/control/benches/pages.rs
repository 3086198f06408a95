//! How long the server takes for the dashboard's largest pages: the keys of a project with 10 active and 1,000 past keys, and
//! an event log of 1,000,000 rows. From the request to the last byte of the page, session and person read anew as always, on
//! the embedded store; without the network and without compression. Prints a table. `--quick` only shows that it runs.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use keyward_control::use_cases::keys::NewKey;
use keyward_control::use_cases::people::{NewPerson, Visitor};
use keyward_control::use_cases::{Bootstrapped, PeopleOptions, Wanted};
use keyward_control::{Asked, Control, ControlParts, Site};
use keyward_core::clock::{ManualClock, SystemEntropy, Timestamp};
use keyward_core::contract::Presets;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::limits::Rate;
use keyward_core::log::LogKeys;
use keyward_core::secret::{Peppers, Secret};
use keyward_core::store::Store;
use keyward_core::usage::{UsageBatch, UsageRow};
use keyward_store::{SqliteOptions, SqliteStore};
use keyward_verify::{Engine, EngineOptions};
use tower::ServiceExt;

/// An hour into a day, so that today has uses.
const NOW: Timestamp = Timestamp::from_millis(1_795_222_800_000);
const ACTIVE: usize = 10;
/// How many rows of uses are written at once.
const BATCH: usize = 5_000;

/// How much there is to show, and how often it is asked for.
struct Size {
    past: usize,
    rows: usize,
    requests: usize,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let size = match quick {
        true => Size { past: 20, rows: 5_000, requests: 5 },
        false => Size { past: 1_000, rows: 1_000_000, requests: 500 },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(&size));
}

async fn run(size: &Size) {
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk that counts");
    let clock = Arc::new(ManualClock::at(NOW));
    let store = open(folder.path(), &clock).await;
    let (control, made) = control(folder.path(), &store, clock).await;
    let project = made.project.project.id;
    let keys = fill_keys(&control, project, size.past).await;
    fill_uses(&*store, project, &keys, size.rows).await;
    let session = sign_in(&control).await;
    let router = keyward_control::router(control, Site::new("https://keys.test").expect("a site"));
    let cookie = format!("__Host-keyward-session={}", session.expose());
    println!("| page | bytes | p50 µs | p99 µs |");
    println!("| --- | ---: | ---: | ---: |");
    for (what, page) in [
        ("keys, 10 active and the past ones", "keys"),
        ("keys, their last part", "keys?part=20"),
        ("keys, unused for 30 days", "keys?unused=30"),
        ("keys, by last use", "keys?sort=used"),
        ("event log", "events"),
        ("event log, refusals", "events?name=key.refused"),
        ("usage", "usage"),
    ] {
        measure(what, &router, &format!("/projects/{project}/{page}"), &cookie, size.requests).await;
    }
}

async fn open(folder: &std::path::Path, clock: &Arc<ManualClock>) -> Arc<SqliteStore> {
    let options = SqliteOptions::new(folder, log_keys(), clock.clone());
    Arc::new(SqliteStore::open(options).await.expect("a store"))
}

fn log_keys() -> Arc<LogKeys> {
    Arc::new(LogKeys::new(&[1; 32], &[2; 32]))
}

async fn control(
    folder: &std::path::Path,
    store: &Arc<SqliteStore>,
    clock: Arc<ManualClock>,
) -> (Arc<Control>, Bootstrapped) {
    let peppers = Arc::new(Peppers::new(&[(1, &[7; 32])]).expect("peppers"));
    store.add_canary(1, &peppers.canary(1).expect("a canary")).await.expect("kept");
    let engine = Engine::start(store.clone(), Arc::clone(&peppers), clock, EngineOptions::default());
    let standard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/standard.toml");
    let standard = std::fs::read_to_string(standard).expect("the standard contract");
    let control = Control::new(ControlParts {
        store: store.clone(),
        engine: engine.await.expect("an engine"),
        peppers,
        presets: Presets::new([("standard".to_owned(), standard)]),
        entropy: Arc::new(SystemEntropy),
        log_keys: log_keys(),
        heads: Arc::new(|| Ok(Vec::new())),
        backup_dir: folder.join("backups"),
        failures: Rate::new(60, Duration::from_secs(60), 60).expect("a rate"),
        people: PeopleOptions::default(),
        openid: None,
        mailer: None,
        allowed_networks: Vec::new(),
    });
    let contract = "schema = 1\nextends = \"standard\"\n[key]\nactive_limit = 0\n";
    let wanted = Wanted {
        contract: ("bench".parse().expect("a name"), contract.to_owned()),
        organization: "Acme Robotics".into(),
        project: "Warehouse".into(),
        management_key: "operator".into(),
    };
    let made = control.bootstrap("bench", &wanted).await.expect("the first of everything");
    (control, made)
}

/// Makes keys and revokes all but the last of them; the live ones come last.
async fn fill_keys(control: &Arc<Control>, project: ProjectId, past: usize) -> Vec<KeyId> {
    let asked = Asked::by_operator("bench");
    let mut keys = Vec::new();
    // With the project's first key there are as many active ones as there shall be.
    for number in 0..past + ACTIVE - 1 {
        let wish = NewKey { name: Some(format!("Nightly job {number}")), ..NewKey::default() };
        let made = control.create_key(&asked, project, &wish).await.expect("a key");
        keys.push(made.key.key.id);
    }
    for key in &keys[..past] {
        control.revoke_key(&asked, *key, Some("replaced"), true).await.expect("revoked");
    }
    keys
}

/// Uses of all the keys, a thousand rows a minute until now.
async fn fill_uses(store: &dyn Store, project: ProjectId, keys: &[KeyId], rows: usize) {
    let minutes = rows.div_ceil(1_000) as i64;
    for sequence in 0..rows / BATCH {
        let row = |number: usize| {
            let minute = number as i64 / 1_000 - minutes + 1;
            let at = Timestamp::from_millis(NOW.as_millis() + minute * 60_000);
            UsageRow {
                key: keys[number % 1_000 % keys.len()],
                project,
                minute: at.minute(),
                outcome: if number % 50 == 7 { "revoked" } else { "valid" }.into(),
                count: 3,
                first_at: at,
                last_at: at,
                last_address: None,
            }
        };
        let rows = (sequence * BATCH..(sequence + 1) * BATCH).map(row).collect();
        let batch = UsageBatch { incarnation: 1, sequence: sequence as u64 + 1, rows };
        store.record_usage(&batch).await.expect("kept");
    }
}

/// The session of the first operator.
async fn sign_in(control: &Arc<Control>) -> Secret {
    let token = control.begin_setup().await.expect("a token").expect("nobody is an operator yet");
    let password = Secret::new("tangerine boat seven".into());
    let person = NewPerson { email: "ada@example.com".into(), name: "Ada".into(), password };
    control.set_up(token.expose(), &person, &Visitor::default()).await.expect("an operator").secret
}

async fn measure(what: &str, router: &Router, path: &str, cookie: &str, requests: usize) {
    let mut times = Vec::with_capacity(requests);
    let mut bytes = 0;
    for number in 0..requests + requests / 10 {
        let request = Request::get(path).header("cookie", cookie).body(Body::empty()).expect("a request");
        let start = Instant::now();
        let response = router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a page");
        // The first tenth warms caches.
        if number >= requests / 10 {
            times.push(start.elapsed());
        }
        bytes = body.len();
    }
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_micros();
    println!("| {what} | {bytes} | {} | {} |", at(50), at(99));
}
