//! What the embedded store does in a second: durable changes and exchanges of quotas' units with one caller and
//! with many (group commit), reads by digest, and how long a backup takes. Prints a table. `--quick` only shows that it runs; `--large`
//! adds a million rows of uses, a page of the event log among them, and a start on what has grown.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyward_core::change::{
    Actor, Change, Expect, KeyChange, KeyRef, OrganizationChange, Origin, ProjectChange, ProjectRef, Proposal,
    Revision,
};
use keyward_core::clock::{ManualClock, Timestamp};
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::key::{Key, KeyState, Metadata};
use keyward_core::limits::block::BlockAsk;
use keyward_core::limits::{CountedOf, QUOTA_MAX, QuotaCounter};
use keyward_core::log::LogKeys;
use keyward_core::scope::Scopes;
use keyward_core::secret::Digest;
use keyward_core::store::{EventFilter, Store};
use keyward_core::tenancy::{Environment, Organization, Project, TenantState};
use keyward_core::usage::{UsageBatch, UsageRow};
use keyward_store::{SqliteOptions, SqliteStore};

const NOW: Timestamp = Timestamp::from_millis(1_795_218_680_000);

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let each = if quick { Duration::from_millis(200) } else { Duration::from_secs(5) };
    let uses = if std::env::args().any(|argument| argument == "--large") { 1_000_000 } else { 0 };
    runtime.block_on(run(each, uses));
}

async fn run(each: Duration, uses: usize) {
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk that counts");
    let keys = Arc::new(LogKeys::new(&[1; 32], &[2; 32]));
    let options = SqliteOptions::new(folder.path(), keys, Arc::new(ManualClock::at(NOW)));
    let opened = Arc::new(SqliteStore::open(options.clone()).await.expect("a store"));
    let store: Arc<dyn Store> = opened.clone();
    let project = tenant(&*store).await;
    println!("| durable work, SQLite | callers | a second | p50 µs | p99 µs | CPU µs each |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let made = Arc::new(AtomicUsize::new(0));
    for callers in [1, 16, 64, 256] {
        commits("keys created", &store, &project, (callers, each), &made, false).await;
    }
    let revoked = Arc::new(AtomicUsize::new(0));
    for callers in [1, 64] {
        commits("keys revoked, with journal", &store, &project, (callers, each), &revoked, true).await;
    }
    for (what, counters) in [("quota blocks, of one counter", 1), ("quota blocks, of 10000 counters", 10_000)] {
        for callers in [1, 64] {
            exchanges(what, &store, counters, (callers, each)).await;
        }
    }
    let count = made.load(Ordering::Relaxed);
    for callers in [1, 4, 64] {
        reads(&store, count, (callers, each)).await;
    }
    backup(&*store, folder.path()).await;
    if uses > 0 {
        events(&*store, &project, uses, count).await;
        opened.close().await;
        let start = Instant::now();
        let store = SqliteStore::open(options).await.expect("the store again");
        println!("a start on it: {} ms", start.elapsed().as_millis());
        let start = Instant::now();
        store.canaries().await.expect("canaries");
        println!("canaries: {} ms", start.elapsed().as_millis());
        let start = Instant::now();
        store.verify_log(&store.signed_heads().expect("heads")).await.expect("a verdict");
        println!("verifying its log: {} ms", start.elapsed().as_millis());
    }
}

/// Rows of uses by key, minute and outcome, and pages of the event log among them.
async fn events(store: &dyn Store, project: &Project, rows: usize, keys: usize) {
    store.add_canary(1, &[1; 32]).await.expect("a canary");
    let start = Instant::now();
    for sequence in 0..rows / 5_000 {
        let row = |number: usize| {
            let at = NOW.saturating_add(Duration::from_secs(60 * (number / 1_000) as u64));
            UsageRow {
                key: key_id(number % 1_000 % keys),
                project: project.id,
                minute: at.minute(),
                // A rare one among many.
                outcome: if number % 100_000 == 7 { "revoked" } else { "valid" }.into(),
                count: 1,
                first_at: at,
                last_at: at,
                last_address: None,
            }
        };
        let rows = (sequence * 5_000..(sequence + 1) * 5_000).map(row).collect();
        let batch = UsageBatch { incarnation: 1, sequence: sequence as u64, rows };
        store.record_usage(&batch).await.expect("a batch");
    }
    println!("{rows} rows of uses added: {} ms", start.elapsed().as_millis());
    let filters = [
        ("any", EventFilter::default()),
        ("key.refused, rare", EventFilter { name: Some("key.refused".into()), key: None, ..Default::default() }),
        (
            "project.created, one",
            EventFilter { name: Some("project.created".into()), key: None, ..Default::default() },
        ),
        ("of one key", EventFilter { name: None, key: Some(key_id(3)), ..Default::default() }),
    ];
    for (what, filter) in filters {
        let (start, mut before) = (Instant::now(), None);
        for _ in 0..10 {
            let page = store.events(project.id, &filter, before, 100).await.expect("a page");
            before = page.last().map(|(position, _)| *position).or(before);
        }
        println!("ten pages of events, {what}: {} µs a page", start.elapsed().as_micros() / 10);
    }
}

/// Time that all threads of this process have spent on processors, in microseconds.
fn cpu_micros() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 * 1e6 + spent.tv_nsec as f64 / 1e3
}

fn row(what: &str, callers: usize, (took, cpu): (Duration, f64), mut micros: Vec<u32>) {
    micros.sort_unstable();
    let at = |part: usize| micros.get(micros.len() * part / 100).copied().unwrap_or(0);
    let rate = micros.len() as f64 / took.as_secs_f64();
    let each = cpu / micros.len().max(1) as f64;
    println!("| {what} | {callers} | {rate:.0} | {} | {} | {each:.0} |", at(50), at(99));
}

async fn timed<F, W>((callers, each): (usize, Duration), work: F) -> ((Duration, f64), Vec<u32>)
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = bool> + Send,
{
    let (work, start, cpu) = (Arc::new(work), Instant::now(), cpu_micros());
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let work = work.clone();
            tokio::spawn(async move {
                let mut micros = Vec::new();
                while start.elapsed() < each {
                    let before = Instant::now();
                    if !work().await {
                        break;
                    }
                    micros.push(before.elapsed().as_micros() as u32);
                }
                micros
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("a caller"));
    }
    ((start.elapsed(), cpu_micros() - cpu), all)
}

async fn commits(
    what: &str,
    store: &Arc<dyn Store>,
    project: &Project,
    load: (usize, Duration),
    next: &Arc<AtomicUsize>,
    revoke: bool,
) {
    let (store, project, next) = (store.clone(), project.clone(), next.clone());
    let (took, micros) = timed(load, move || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (store, project) = (store.clone(), project.clone());
        async move {
            let what = match revoke {
                true => KeyChange::Revoked { reason: Some("bench".into()) },
                false => KeyChange::Created { key: Box::new(key(&project, number)) },
            };
            let id = key_id(number);
            let of =
                KeyRef { id, project: project.id, organization: project.organization, api: project.api.clone() };
            let expect = match revoke {
                true => vec![],
                false => vec![Expect::Project(project.id, project.revision)],
            };
            store.commit(proposal(expect, vec![Change::Key { of, what }])).await.is_ok()
        }
    })
    .await;
    row(what, load.0, took, micros);
}

/// Blocks that are spent whole each time, so that every exchange writes.
async fn exchanges(what: &str, store: &Arc<dyn Store>, counters: usize, load: (usize, Duration)) {
    let (store, next) = (store.clone(), Arc::new(AtomicUsize::new(0)));
    let (took, micros) = timed(load, move || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let of = CountedOf::Project(ProjectId::from_u128(spread(number % counters)));
        let ask = BlockAsk {
            counter: QuotaCounter { api: "standard".parse().expect("a name"), name: "credits".into(), of },
            period: "2026-11".into(),
            ends_at: None,
            holder: 1,
            unspent: 0,
            need: 1,
            limit: QUOTA_MAX,
        };
        let store = store.clone();
        async move { store.exchange_block(&ask).await.is_ok_and(|answer| answer.held > 0) }
    })
    .await;
    row(what, load.0, took, micros);
}

async fn reads(store: &Arc<dyn Store>, keys: usize, load: (usize, Duration)) {
    let (store, next) = (store.clone(), Arc::new(AtomicUsize::new(0)));
    let (took, micros) = timed(load, move || {
        // A stride that is prime to the count: every read meets another page.
        let number = next.fetch_add(7_919, Ordering::Relaxed) % keys;
        let store = store.clone();
        async move { store.key_by_digest(&digest(number)).await.is_ok_and(|read| read.value.is_some()) }
    })
    .await;
    row(&format!("reads by digest, of {keys} keys"), load.0, took, micros);
}

async fn backup(store: &dyn Store, folder: &std::path::Path) {
    let to = folder.join("backup");
    let start = Instant::now();
    let revision = store.backup(&to).await.expect("a backup");
    let size = std::fs::metadata(&to).expect("its file").len();
    println!("\nbackup of {revision} changes, {} MiB: {} ms", size / (1024 * 1024), start.elapsed().as_millis());
}

fn proposal(expect: Vec<Expect>, changes: Vec<Change>) -> Proposal {
    Proposal {
        actor: Actor::Operator { command: "bench".into() },
        origin: Origin { address: Some([127, 0, 0, 1].into()), request_id: Some("r-1".into()) },
        at: NOW,
        expect,
        changes,
        idempotency: None,
    }
}

async fn tenant(store: &dyn Store) -> Project {
    let organization = Organization {
        id: OrganizationId::from_u128(1),
        name: "acme".into(),
        created_at: NOW,
        state: TenantState::Active,
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    };
    let project = Project {
        id: ProjectId::from_u128(1),
        organization: organization.id,
        api: "standard".parse().expect("a name"),
        name: "reports".into(),
        environment: Environment::Live,
        plan: "default".into(),
        active_key_limit: None,
        limits: Default::default(),
        is_granted: false,
        destination: None,
        state: TenantState::Active,
        created_at: NOW,
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    };
    let of = ProjectRef { id: project.id, organization: organization.id, api: project.api.clone() };
    let changes = vec![
        Change::Organization {
            id: organization.id,
            what: OrganizationChange::Created { organization: Box::new(organization) },
        },
        Change::Project { of, what: ProjectChange::Created { project: Box::new(project.clone()) } },
    ];
    store.commit(proposal(Vec::new(), changes)).await.expect("a tenant");
    store.project(project.id).await.expect("a read").expect("a project")
}

/// Spread like random ids and digests are, so that rows land on pages as they would.
fn spread(number: usize) -> u128 {
    (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

fn key_id(number: usize) -> KeyId {
    KeyId::from_u128(spread(number))
}

fn digest(number: usize) -> Digest {
    let half = spread(number).to_be_bytes();
    Digest::from_bytes(std::array::from_fn(|i| half[i % 16]))
}

fn key(project: &Project, number: usize) -> Key {
    Key {
        id: key_id(number),
        project: project.id,
        lineage: key_id(number),
        name: Some("ci".into()),
        hint: "kw_…abcd".into(),
        digest: digest(number),
        pepper: 1,
        scopes: Scopes::new(["reports:read"]).expect("a scope"),
        addresses: Vec::new(),
        metadata: Metadata::new(),
        created_at: NOW,
        expires_at: None,
        state: KeyState::Active,
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    }
}
