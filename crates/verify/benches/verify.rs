//! What one verify costs in process: nanoseconds for a cached key among a million, for a forged key, and bytes
//! of memory for a key. Prints a table; `KEYS` and `ROUNDS` in the environment change the size.
#![allow(clippy::print_stdout)]

#[path = "verify/alone.rs"]
mod alone;

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keyward_core::change::{Entry, Idempotency, Proposal, Revision};
use keyward_core::clock::{Entropy, SystemEntropy, Timestamp};
use keyward_core::contract::{Contract, Presets};
use keyward_core::data_key::DataKeyId;
use keyward_core::data_keyring::DataKeyring;
use keyward_core::decision::RequestFacts;
use keyward_core::id::{
    ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId, SessionId, StoreId,
};
use keyward_core::key::{Key, KeyState, Metadata};
use keyward_core::key_encryption::{KekVersion, WhichDataKey, Wrapped};
use keyward_core::limits::QuotaCounter;
use keyward_core::limits::block::{BlockAnswer, BlockAsk, Tally};
use keyward_core::log::SignedHead;
use keyward_core::nodes::Nodes;
use keyward_core::people::{Identity, Invitation, PasswordHash, Person};
use keyward_core::scope::Scopes;
use keyward_core::secret::{Digest, PepperVersion, Peppers, Secret};
use keyward_core::session::{Session, SignInLink};
use keyward_core::store::*;
use keyward_core::tenancy::{Api, Environment, ManagementKey, Organization, Project, TenantState};
use keyward_core::usage::{Event, Fold, KeyUsage, UsageBatch, UsageCount, UsageRow};
use keyward_verify::{ApiInForce, Ask, Engine, EngineOptions, LeaseLength, NodeOptions, SystemClock};

const PROJECTS: u128 = 1000;

fn main() {
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    // `cargo test --benches` runs this too: small then, to see that it works.
    let small = !std::env::args().any(|arg| arg == "--bench");
    let keys = number("KEYS", if small { 2_000 } else { 1_000_000 });
    let rounds = number("ROUNDS", if small { 1 } else { 5 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(keys, rounds));
}

async fn run(keys: usize, rounds: usize) {
    let peppers = Arc::new(Peppers::new(&[(1, &[7; 32])]).expect("a pepper"));
    let (store, secrets) = synthetic(&peppers, keys);
    let store = Arc::new(store);
    let engine = start(&peppers, Arc::clone(&store)).await;
    let api = engine.api(&"standard".parse().expect("a name")).expect("the API is in force");

    let before = resident();
    for secret in &secrets {
        assert!(engine.verify(&ask(&api, secret.expose())).await.outcome.is_ok());
    }
    let entries = (resident() - before) / keys as f64;
    let index = index_bytes(keys);

    let order = shuffled(keys);
    let rules = &api.contract.key;
    let digests: Vec<Digest> = secrets
        .iter()
        .map(|secret| *rules.recognise(&peppers, secret.expose()).expect("it was minted").digest())
        .collect();
    let lookups: papaya::HashMap<Digest, usize> = digests.iter().copied().zip(0..).collect();
    let limited = limited_engine(&peppers, &store).await;
    let leased = leased_engine(&peppers, &store).await;
    println!("| one verify, one thread, {keys} keys cached | ns |\n| --- | --- |");
    let row = |name: &str, nanos: f64| println!("| {name} | {nanos:.0} |");
    let mut best = [f64::MAX; 12];
    let few = 4096.min(keys);
    let limited_api = limited.api(&"standard".parse().expect("a name")).expect("the API is in force");
    let leased_api = leased.api(&"standard".parse().expect("a name")).expect("the API is in force");
    for secret in &secrets[..few] {
        assert!(limited.verify(&ask(&limited_api, secret.expose())).await.outcome.is_ok());
        assert!(leased.verify(&ask(&leased_api, secret.expose())).await.outcome.is_ok());
    }
    for _ in 0..rounds {
        best[0] = best[0].min(time_presented(&order, &secrets, |secret| engine.verify_now(&ask(&api, secret))));
        let hot: Vec<usize> = order.iter().map(|i| i % few).collect();
        best[1] = best[1].min(time_presented(&hot, &secrets, |secret| engine.verify_now(&ask(&api, secret))));
        // Side by side, so that both meet the machine in one mood.
        let one = vec![0; hot.len().min(200_000)];
        let some = &hot[..one.len()];
        best[6] = best[6].min(time_presented(&one, &secrets, |secret| engine.verify_now(&ask(&api, secret))));
        best[7] = best[7].min(time_presented(&one, &secrets, |s| limited.verify_now(&ask(&limited_api, s))));
        best[8] = best[8].min(time_presented(some, &secrets, |secret| engine.verify_now(&ask(&api, secret))));
        best[9] = best[9].min(time_presented(some, &secrets, |s| limited.verify_now(&ask(&limited_api, s))));
        (best[10], best[11]) = by_turns(
            (best[10], best[11]),
            some,
            |part| time_presented(part, &secrets, |secret| engine.verify_now(&ask(&api, secret))),
            |part| time_presented(part, &secrets, |secret| leased.verify_now(&ask(&leased_api, secret))),
        );
        let forged: Vec<String> = order.iter().take(10_000).map(|&i| forge(secrets[i].expose())).collect();
        let small: Vec<usize> = (0..forged.len()).collect();
        best[2] = best[2].min(time(&small, |i| engine.verify_now(&ask(&api, &forged[i]))));
        best[4] = best[4].min(time_presented(&order, &secrets, |s| rules.recognise(&peppers, s).is_ok()));
        best[5] = best[5].min(time(&order, |i| *lookups.pin().get(&digests[i]).expect("it is there") == i));
        best[3] = best[3].min(time(&small, |_| engine.verify_now(&ask(&api, "kw_live_x"))));
    }
    row("cached key, at random", best[0]);
    row("cached key, among 4,096 hot ones", best[1]);
    row("forged key (right shape and checksum, wrong tag)", best[2]);
    row("malformed key", best[3]);
    row("of which recognising it (base62, CRC, HMAC)", best[4]);
    row("for comparison: a bare papaya look-up among as many, at random", best[5]);
    println!("\n| three rates and two quotas | without, ns | with, ns | more, ns |\n| --- | --- | --- | --- |");
    for (name, at) in [("one key again and again", 6), ("among 4,096 hot keys", 8)] {
        println!("| {name} | {:.0} | {:.0} | {:.0} |", best[at], best[at + 1], best[at + 1] - best[at]);
    }
    println!("\n| a cached key, among 4,096 hot ones, by turns | ns |\n| --- | --- |");
    row("embedded store: a lease without end", best[10]);
    row("one of several nodes: a lease that ends, the database's time", best[11]);
    row("more", best[11] - best[10]);
    println!("\n| memory | bytes a key |\n| --- | --- |");
    println!(
        "| in all | {entries:.0} |\n| of which the two indexes | {index:.0} |\n| beside the indexes | {:.0} |",
        entries - index
    );
    engine.stop().await;
    limited.stop().await;
    leased.stop().await;
}

/// Times two by turns, a little at a time, so that both meet the machine in one mood; gives the best of each.
fn by_turns(
    best: (f64, f64),
    order: &[usize],
    mut one: impl FnMut(&[usize]) -> f64,
    mut other: impl FnMut(&[usize]) -> f64,
) -> (f64, f64) {
    order
        .chunks(order.len().div_ceil(20).max(1))
        .fold(best, |best, part| (best.0.min(one(part)), best.1.min(other(part))))
}

async fn start(peppers: &Arc<Peppers>, store: Arc<Synthetic>) -> Arc<Engine> {
    Engine::start(store, Arc::clone(peppers), Arc::new(SystemClock), EngineOptions::default())
        .await
        .expect("the engine starts")
}

/// An engine over the same keys, under a contract with three rates and two quotas that are never reached.
async fn limited_engine(peppers: &Arc<Peppers>, store: &Synthetic) -> Arc<Engine> {
    let limits = r#"
        [plans.standard.rates]
        each = { limit = 1_000_000_000, per = "1s", by = "key" }
        all = { limit = 1_000_000_000, per = "1s", by = "project" }
        everybody = { limit = 1_000_000_000, per = "1s", by = "organization" }
        [plans.standard.quotas]
        daily = { limit = 1_000_000_000_000, per = "day", by = "key" }
        monthly = { limit = 1_000_000_000_000, per = "month", by = "project" }
    "#;
    let contract = format!("{}{limits}", store.contract);
    start(peppers, Arc::new(Synthetic { keys: store.keys.clone(), contract, is_shared: false })).await
}

/// A node of several over the same keys. Its lease outlasts the benchmark, which leaves no time to renew it.
async fn leased_engine(peppers: &Arc<Peppers>, store: &Synthetic) -> Arc<Engine> {
    let (keys, contract) = (store.keys.clone(), store.contract.clone());
    let store = Arc::new(Synthetic { keys, contract, is_shared: true });
    let node = NodeOptions { lease: LeaseLength::of(Duration::from_secs(86_400)), ..NodeOptions::default() };
    let options = EngineOptions { node, ..EngineOptions::default() };
    let engine = Engine::start(store, Arc::clone(peppers), Arc::new(SystemClock), options).await;
    engine.expect("the engine starts")
}

fn ask<'a>(api: &'a ApiInForce, presented: &'a str) -> Ask<'a> {
    Ask { api: Some(api), presented, facts: RequestFacts::default() }
}

/// The decision of a key that is cached, without an executor in between.
trait VerifyNow {
    fn verify_now(&self, ask: &Ask<'_>) -> bool;
}

impl VerifyNow for Arc<Engine> {
    fn verify_now(&self, ask: &Ask<'_>) -> bool {
        let future = std::pin::pin!(self.verify(ask));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(decision) => black_box(decision).outcome.is_ok(),
            std::task::Poll::Pending => panic!("a cached key is decided without waiting"),
        }
    }
}

fn time(order: &[usize], mut verify: impl FnMut(usize) -> bool) -> f64 {
    let began = Instant::now();
    for &i in order {
        black_box(verify(i));
    }
    began.elapsed().as_nanos() as f64 / order.len() as f64
}

/// Times `verify` on credentials that lie in the processor's cache, as one that was just read from a socket does.
fn time_presented(order: &[usize], secrets: &[Secret], mut verify: impl FnMut(&str) -> bool) -> f64 {
    let mut nanos = 0;
    for chunk in order.chunks(256) {
        let presented: Vec<String> = chunk.iter().map(|&i| secrets[i].expose().to_owned()).collect();
        let began = Instant::now();
        for secret in &presented {
            black_box(verify(secret));
        }
        nanos += began.elapsed().as_nanos();
    }
    nanos as f64 / order.len() as f64
}

/// A key whose checksum is right and whose tag is not: what somebody who knows the format can make up.
fn forge(secret: &str) -> String {
    let (prefix, body) = secret.rsplit_once('_').expect("a prefix");
    let mut bytes = keyward_core::base62::decode_32(body.as_bytes()).expect("base62");
    bytes[5] ^= 1;
    let mut crc = crc32fast::Hasher::new();
    crc.update(prefix.as_bytes());
    crc.update(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.finalize().to_be_bytes());
    format!("{prefix}_{}", keyward_core::base62::encode_32(&bytes))
}

fn shuffled(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let mut random = [0; 8];
    for i in (1..n).rev() {
        SystemEntropy.fill(&mut random);
        order.swap(i, u64::from_le_bytes(random) as usize % (i + 1));
    }
    order
}

/// Resident memory in bytes.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    pages * 4096.0
}

/// What two maps of the same shape cost with nothing in them but a shared pointer.
fn index_bytes(keys: usize) -> f64 {
    let before = resident();
    let nothing = Arc::new(());
    let by_digest = papaya::HashMap::new();
    let by_id = papaya::HashMap::new();
    let mut digest = [0; 32];
    for i in 0..keys {
        SystemEntropy.fill(&mut digest);
        by_digest.pin().insert(Digest::from_bytes(digest), Arc::clone(&nothing));
        by_id.pin().insert(KeyId::from_u128(i as u128), Arc::clone(&nothing));
    }
    let bytes = (resident() - before) / keys as f64;
    black_box((by_digest, by_id));
    bytes
}

fn synthetic(peppers: &Peppers, keys: usize) -> (Synthetic, Vec<Secret>) {
    let standard = include_str!("../../../contracts/standard.toml");
    let contract = Contract::read(standard, &Presets::default()).expect("the preset is valid");
    let mut store = Synthetic { keys: HashMap::new(), contract: contract.resolved.clone(), is_shared: false };
    let mut secrets = Vec::new();
    for i in 0..keys as u128 {
        let project = ProjectId::from_u128(i % PROJECTS);
        let minted = contract.key.live.mint(peppers, project, &SystemEntropy);
        store.keys.insert(minted.digest, (KeyId::from_u128(i), project));
        secrets.push(minted.secret);
    }
    (store, secrets)
}

/// A store that makes up what it is asked for, so that the memory measured is the engine's.
struct Synthetic {
    keys: HashMap<Digest, (KeyId, ProjectId)>,
    contract: String,
    is_shared: bool,
}

const AT: Timestamp = Timestamp::from_millis(1);
const REVISION: Revision = Revision(1);

impl Synthetic {
    fn in_context(&self, digest: &Digest) -> Option<KeyInContext> {
        let &(id, project) = self.keys.get(digest)?;
        let organization = OrganizationId::from_u128(1);
        let key = Key {
            id,
            project,
            lineage: id,
            name: None,
            hint: String::new(),
            digest: *digest,
            pepper: 1,
            scopes: Scopes::all(),
            addresses: Vec::new(),
            metadata: Metadata::new(),
            created_at: AT,
            expires_at: Some(Timestamp::MAX),
            state: KeyState::Active,
            created_revision: REVISION,
            revision: REVISION,
        };
        let project = Project {
            id: project,
            organization,
            api: "standard".parse().expect("a name"),
            name: String::new(),
            environment: Environment::Live,
            plan: "standard".into(),
            active_key_limit: None,
            limits: Default::default(),
            is_granted: false,
            destination: None,
            state: TenantState::Active,
            created_at: AT,
            created_revision: REVISION,
            revision: REVISION,
        };
        let organization = Organization {
            id: organization,
            name: String::new(),
            created_at: AT,
            state: TenantState::Active,
            created_revision: REVISION,
            revision: REVISION,
        };
        Some(KeyInContext { key, project, organization })
    }
}

macro_rules! not_asked {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl Store for Synthetic {
            fn id(&self) -> StoreId {
                StoreId::from_u128(1)
            }

            async fn key_by_digest(&self, digest: &Digest) -> Result<Read<Option<KeyInContext>>> {
                Ok(Read { value: self.in_context(digest), revision: REVISION })
            }

            async fn apis(&self) -> Result<Read<Vec<Api>>> {
                let api = Api {
                    name: "standard".parse().expect("a name"),
                    source: String::new(),
                    resolved: self.contract.clone(),
                    applied_at: AT,
                    created_revision: REVISION,
                    revision: REVISION,
                };
                Ok(Read { value: vec![api], revision: REVISION })
            }

            async fn management_keys(&self, _: Page) -> Result<Vec<ManagementKey>> {
                Ok(Vec::new())
            }

            async fn changes_since(&self, _: Revision, _: u32) -> Result<Vec<Entry>> {
                Ok(Vec::new())
            }

            async fn record_usage(&self, _: &UsageBatch) -> Result<()> {
                Ok(())
            }

            async fn exchange_block(&self, ask: &BlockAsk) -> Result<BlockAnswer> {
                let held = if ask.need == 0 { 0 } else { 1_000_000_000 };
                Ok(BlockAnswer { held, free: ask.limit, with_others: 0, spent: 0 })
            }

            async fn saved_rates(&self, _: Timestamp) -> Result<Vec<SavedRate>> {
                Ok(Vec::new())
            }

            async fn is_writable(&self) -> bool {
                false
            }

            fn nodes(&self) -> Option<Arc<dyn Nodes>> {
                self.is_shared.then(|| Arc::new(alone::Alone) as Arc<dyn Nodes>)
            }

            async fn head(&self) -> Result<(Revision, [u8; 32])> {
                Ok((REVISION, [0; 32]))
            }

            fn signed_heads(&self) -> Result<Vec<SignedHead>> {
                Ok(Vec::new())
            }

            async fn close(&self) {}

            $(async fn $name(&self, $($arg: $type),*) -> Result<$out> {
                $(let _ = $arg;)*
                Err(StoreError::Unavailable("not part of this benchmark".into()))
            })*
        }
    };
}

not_asked! {
    commit(proposal: Proposal) -> Vec<Entry>;
    changes(filter: &ChangeFilter, page: Page) -> Vec<Entry>;
    add_digest(key: KeyId, digest: &Digest, pepper: PepperVersion) -> ();
    key(id: KeyId) -> Option<Key>;
    keys(project: ProjectId, filter: &KeyFilter, page: Page) -> Vec<Key>;
    sorted_keys(project: ProjectId, filter: &KeyFilter, part: KeyPart) -> KeyList;
    live_keys(project: ProjectId, at: Timestamp) -> u64;
    key_usage(keys: &[KeyId]) -> Vec<KeyUsage>;
    organization(id: OrganizationId) -> Option<Organization>;
    data_keyring(project: ProjectId) -> Option<DataKeyring>;
    wrapped_data_key(which: WhichDataKey) -> Option<Wrapped>;
    data_keys_under(version: KekVersion, after: Option<DataKeyId>, limit: u32) -> Vec<WrappedDataKey>;
    data_key_counts() -> Vec<(KekVersion, u64)>;
    rewrap_data_key(which: WhichDataKey, old: &Wrapped, new: &Wrapped) -> bool;
    retire_encryption_key(version: KekVersion) -> bool;
    organizations(page: Page) -> Vec<Organization>;
    project(id: ProjectId) -> Option<Project>;
    projects(organization: OrganizationId, page: Page) -> Vec<Project>;
    all_projects(name_start: Option<&str>, page: Page) -> Vec<Project>;
    api(name: &ApiName) -> Option<Api>;
    management_key(id: ManagementKeyId) -> Option<ManagementKey>;
    management_key_by_digest(digest: &Digest) -> Read<Option<ManagementKey>>;
    person(id: PersonId) -> Option<Person>;
    person_by_email(email: &str) -> Option<Person>;
    person_by_identity(identity: &Identity) -> Option<Person>;
    people(filter: &PersonFilter, page: Page) -> Vec<Person>;
    password(person: PersonId) -> Option<PasswordHash>;
    rehash_password(person: PersonId, old: &PasswordHash, new: &PasswordHash) -> ();
    invitation(id: InvitationId) -> Option<Invitation>;
    invitation_by_digest(digest: &Digest) -> Option<Invitation>;
    invitations(organization: Option<OrganizationId>, page: Page) -> Vec<Invitation>;
    add_session(session: &Session) -> ();
    session_by_digest(digest: &Digest) -> Option<Session>;
    sessions(person: PersonId) -> Vec<Session>;
    touch_session(id: SessionId, seen_at: Timestamp) -> ();
    end_sessions(which: &SessionsOf) -> ();
    add_sign_in_link(link: &SignInLink) -> ();
    sign_in_link(digest: &Digest) -> Option<SignInLink>;
    take_sign_in_link(digest: &Digest) -> Option<SignInLink>;
    forget_sessions(unused_since: Timestamp, now: Timestamp, limit: u32) -> bool;
    idempotency(caller: &str, key: &str) -> Option<Idempotency>;
    usage(project: ProjectId, from: Timestamp, to: Timestamp) -> Vec<UsageRow>;
    usage_counts(project: ProjectId, from: Timestamp, to: Timestamp, fold: Fold) -> Vec<UsageCount>;
    forget_usage(minutes: Timestamp, hours: Timestamp, limit: u32) -> bool;
    recalled_blocks(holder: u128) -> Vec<(QuotaCounter, Box<str>)>;
    quota_tallies(counters: &[(QuotaCounter, Box<str>)]) -> Vec<Tally>;
    save_rates(rates: &[SavedRate]) -> ();
    events(project: ProjectId, filter: &EventFilter, before: Option<EventPosition>, limit: u32) -> Vec<(EventPosition, Event)>;
    verify_log(heads: &[SignedHead]) -> LogVerdict;
    backup(to: &Path) -> Revision;
    canaries() -> Vec<Canary>;
    add_canary(version: PepperVersion, canary: &[u8]) -> ();
    retire_pepper(version: PepperVersion) -> ();
}
