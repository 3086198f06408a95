//! What can be asked of the control plane, one file a subject. Every use case reads alike: who asks, what
//! is it about, load, decide, commit with what must still be so, wait until it is in force, answer.
//!
//! Nothing here knows of HTTP: the same functions serve REST, the binary's `init` and `dev`, and tests.

mod backups;
mod bootstrap;
mod caller;
mod commit;
mod contracts;
mod data_keys;
mod details;
mod encryption_keys;
mod error;
mod force;
pub mod keys;
mod log;
mod management_keys;
mod nodes;
mod organizations;
pub mod people;
mod projects;
mod revocations;
mod sealed;
mod usage;

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use keyward_core::change::Revision;
use keyward_core::clock::{Entropy, Timestamp};
use keyward_core::contract::Presets;
use keyward_core::limits::Rate;
use keyward_core::log::{LogKeys, SignedHead};
use keyward_core::secret::{Peppers, Secret};
use keyward_core::store::Store;
use keyward_verify::Engine;

use crate::mail::Mailer;
use crate::openid::OpenId;

pub use backups::Backup;
pub use bootstrap::{Bootstrapped, FirstKey, Wanted};
pub use caller::{Asked, Caller, Repeat, Seat};
pub use commit::Edit;
pub use contracts::{Applied, OpenApi, SeenApi};
pub use data_keys::{DataKeyMade, SHREDDING};
pub use details::details;
pub use encryption_keys::{Rewrapped, SeenEncryptionKey};
pub use error::{ControlError, Fault, Faults, Result};
pub use force::{Force, RevocationId};
pub use keyward_verify::{By, InForce};
pub use log::{Head, SeenEvents, position_at, position_bytes};
pub use management_keys::{ManagementKeyMade, NewManagementKey};
pub use nodes::{LeaseState, OwnStanding, SeenLease, SeenNode};
pub use organizations::OrganizationMade;
pub use people::{
    Claims, Current, InvitationMade, NewPerson, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, PeopleOptions,
    SeenInvitation, SeenLink, SeenMember, SeenSession, SignedIn, Visitor,
};
pub use projects::{NewProject, OwnLimits, ProjectEdit, ProjectMade, SeenLimit, SeenLimits, SeenPlan, SeenProject};
pub use revocations::{Revocation, Target};
pub use sealed::{opened, sealed};
pub use usage::{Step, UsageQuestion};

/// Where the signed heads of the log are kept, outside the store.
pub type KeptHeads = Arc<dyn Fn() -> std::io::Result<Vec<SignedHead>> + Send + Sync>;

/// What a control plane is made of.
pub struct ControlParts {
    /// Where state and log are kept.
    pub store: Arc<dyn Store>,
    /// What puts changes in force.
    pub engine: Arc<Engine>,
    /// The peppers that keys are minted under.
    pub peppers: Arc<Peppers>,
    /// The contracts that others can extend.
    pub presets: Presets,
    /// Where ids and secrets come from.
    pub entropy: Arc<dyn Entropy>,
    /// The keys of the log; cursors are sealed with them too.
    pub log_keys: Arc<LogKeys>,
    /// Reads the signed heads that are kept beside the store, for `log verify`.
    pub heads: KeptHeads,
    /// The one folder that backups are written to.
    pub backup_dir: PathBuf,
    /// How many failed authentications one network may have before it is told to wait.
    pub failures: Rate,
    /// How people are let in.
    pub people: PeopleOptions,
    /// The provider that people can sign in with, where there is one.
    pub openid: Option<OpenId>,
    /// What sends letters, where mail is configured.
    pub mailer: Option<Mailer>,
    /// Networks that are not public which destinations of projects may lead into.
    pub allowed_networks: Vec<IpNet>,
}

/// The control plane. Time is the engine's clock, so that what is written and what is decided agree.
pub struct Control {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) engine: Arc<Engine>,
    peppers: Arc<Peppers>,
    presets: Presets,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) log_keys: Arc<LogKeys>,
    heads: KeptHeads,
    backup_dir: PathBuf,
    pub(crate) failures: Rate,
    pub(crate) people: people::People,
    openid: Option<OpenId>,
    mailer: Option<Mailer>,
    allowed_networks: Vec<IpNet>,
    /// Since when this control plane runs.
    started_at: Timestamp,
    /// Held by whoever checks the whole log: that takes a while, and one at a time is enough.
    checking: tokio::sync::Semaphore,
}

impl Control {
    /// Puts a control plane together.
    pub fn new(parts: ControlParts) -> Arc<Self> {
        let ControlParts {
            store,
            engine,
            peppers,
            presets,
            entropy,
            log_keys,
            heads,
            backup_dir,
            failures,
            people,
            openid,
            mailer,
            allowed_networks,
        } = parts;
        let people = people::People::new(people, &peppers);
        let started_at = engine.clock().now();
        Arc::new(Control {
            started_at,
            checking: tokio::sync::Semaphore::new(1),
            store,
            engine,
            peppers,
            presets,
            entropy,
            log_keys,
            heads,
            backup_dir,
            failures,
            people,
            openid,
            mailer,
            allowed_networks,
        })
    }

    /// The provider that people can sign in with, where there is one.
    pub fn openid(&self) -> Option<&OpenId> {
        self.openid.as_ref()
    }

    /// What sends letters, where mail is configured. A letter goes out after what it tells of is in force, and its failure
    /// is told, never the use case's.
    pub fn mailer(&self) -> Option<&Mailer> {
        self.mailer.as_ref()
    }

    /// The moment, by the clock that decisions are taken by.
    pub fn now(&self) -> Timestamp {
        self.engine.clock().now()
    }
}

/// What is told of a secret.
#[derive(Debug)]
pub enum Disclosure {
    /// It was made now: this is the one time it is shown.
    Now(Secret),
    /// It was shown to this request before.
    Before,
    /// There is none: the key was brought in from elsewhere, or none was made.
    None,
}

/// A part of a list, newest first.
#[derive(Debug)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// The creation revision of the last item, where there are more.
    pub next: Option<Revision>,
}

impl<T> Listed<T> {
    /// From one item more than was asked for, where there was one more.
    fn cut(mut items: Vec<T>, limit: u32, revision: impl Fn(&T) -> Revision) -> Self {
        let limit = limit as usize;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(revision);
        Listed { items, next }
    }
}
