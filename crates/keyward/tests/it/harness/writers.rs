//! Writers that change keys without a pause, each one thing after the other, and remember what they were told
//! had happened: for stories in which the server ends while they are at it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::caller::Caller;
use super::server::Keyward;

/// Writers at work.
pub struct Writers {
    threads: Vec<JoinHandle<Acked>>,
    stop: Arc<AtomicBool>,
    acks: Arc<AtomicUsize>,
}

/// What writers were told.
#[derive(Debug, Default)]
pub struct Acked {
    /// Every change that was acknowledged: its name in the log, and the key.
    pub changes: Vec<(String, String)>,
    /// Secrets of the keys that were made, by id.
    pub secrets: BTreeMap<String, String>,
    /// Keys whose revocation was acknowledged.
    pub revoked: BTreeSet<String>,
    /// Keys about which a request was answered with an error, or not at all: what became of it is not known.
    pub unclear: Vec<String>,
    /// How many answers had each status.
    pub statuses: BTreeMap<u16, usize>,
    /// The codes of the refusals.
    pub codes: BTreeSet<String>,
}

impl Acked {
    /// These and others.
    pub fn join(&mut self, other: Acked) {
        self.changes.extend(other.changes);
        self.secrets.extend(other.secrets);
        self.revoked.extend(other.revoked);
        self.unclear.extend(other.unclear);
        self.codes.extend(other.codes);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }

    /// Keys that are live for sure: made, and nothing else asked of them that could have ended them.
    pub fn live(&self) -> impl Iterator<Item = (&String, &String)> {
        let unclear: BTreeSet<&String> = self.unclear.iter().collect();
        self.secrets.iter().filter(move |(id, _)| !self.revoked.contains(*id) && !unclear.contains(id))
    }
}

impl Writers {
    /// Starts some, all in one project, which must have room for many keys.
    pub fn start(keyward: &Keyward, project: &str, count: usize) -> Self {
        let (stop, acks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = |_| {
            let writer = Writer {
                caller: keyward.controller(),
                create: keyward.order(&format!("/v1/projects/{project}/keys"), &json!({})),
                host: keyward.control_address(),
                management_key: keyward.started.management_key.clone(),
                acked: Acked::default(),
                stop: Arc::clone(&stop),
                acks: Arc::clone(&acks),
            };
            std::thread::spawn(move || writer.run())
        };
        Writers { threads: (0..count).map(thread).collect(), stop, acks }
    }

    /// Waits until so many changes were acknowledged.
    pub fn wait_for(&self, acks: usize) {
        self.wait_until(|acked| acked >= acks);
    }

    /// Waits until every one of them was refused, or not answered, and so has ended; what they were told.
    pub fn refused(self) -> Acked {
        self.wait_until(|_| false);
        self.finish()
    }

    /// Waits for a number of acknowledged changes, or until no writer is left.
    fn wait_until(&self, is_enough: impl Fn(usize) -> bool) {
        let (mut before, mut moved) = (0, Instant::now());
        while !self.threads.iter().all(JoinHandle::is_finished) {
            let acked = self.acks.load(Ordering::SeqCst);
            if is_enough(acked) {
                return;
            }
            if acked > before {
                (before, moved) = (acked, Instant::now());
            }
            // A busy disk takes its time; nothing at all in half a minute is no disk's doing.
            assert!(moved.elapsed() < Duration::from_secs(30), "the writers got nothing done in half a minute");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets them finish what they are at; what they were told.
    pub fn finish(self) -> Acked {
        self.stop.store(true, Ordering::SeqCst);
        let mut acked = Acked::default();
        for thread in self.threads {
            acked.join(thread.join().unwrap());
        }
        acked
    }
}

struct Writer {
    caller: Caller,
    create: Vec<u8>,
    host: String,
    management_key: String,
    acked: Acked,
    stop: Arc<AtomicBool>,
    acks: Arc<AtomicUsize>,
}

impl Writer {
    /// Makes keys, switches them off and on, and revokes every second one, until told to stop or not answered.
    fn run(mut self) -> Acked {
        let mut is_second = false;
        while !self.stop.load(Ordering::SeqCst) {
            let Some(id) = self.create() else { break };
            is_second = !is_second;
            let actions: &[&str] =
                if is_second { &["disable", "enable", "revoke"] } else { &["disable", "enable"] };
            if !actions.iter().all(|action| self.change(&id, action)) {
                break;
            }
        }
        self.acked
    }

    fn create(&mut self) -> Option<String> {
        let told = self.caller.try_ask(&self.create)?;
        *self.acked.statuses.entry(told.status).or_default() += 1;
        let body: Value = serde_json::from_slice(&told.body).unwrap();
        if told.status != 201 {
            self.acked.codes.insert(body["code"].as_str().unwrap_or("none").to_owned());
            return None;
        }
        let id = body["key"]["id"].as_str().unwrap().to_owned();
        self.acked.secrets.insert(id.clone(), body["secret"].as_str().unwrap().to_owned());
        self.note("key.created", &id);
        Some(id)
    }

    fn change(&mut self, id: &str, action: &str) -> bool {
        let request = format!(
            "POST /v1/keys/{id}/{action} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
            self.host, self.management_key
        );
        let told = self.caller.try_ask(request.as_bytes());
        if let Some(told) = &told {
            *self.acked.statuses.entry(told.status).or_default() += 1;
        }
        match told {
            Some(told) if told.status == 200 => {
                let name = if action.ends_with('e') { format!("{action}d") } else { format!("{action}ed") };
                self.note(&format!("key.{name}"), id);
                if action == "revoke" {
                    self.acked.revoked.insert(id.to_owned());
                }
                true
            }
            other => {
                let body: Option<Value> = other.and_then(|told| serde_json::from_slice(&told.body).ok());
                self.acked.codes.extend(body.and_then(|body| Some(body["code"].as_str()?.to_owned())));
                self.acked.unclear.push(id.to_owned());
                false
            }
        }
    }

    fn note(&mut self, name: &str, id: &str) {
        self.acked.changes.push((name.to_owned(), id.to_owned()));
        self.acks.fetch_add(1, Ordering::SeqCst);
    }
}
