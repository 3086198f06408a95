//! A node that answers from memory: it registers, reads what it will serve, follows the log and renews its lease.
//!
//! One conversation with the store at a time: [`Member::step`] takes what was heard and gives what to do here, in
//! order, and what to say next. Acknowledging runs beside it, for exchanges may take a moment to end
//! ([`Member::drained`]).

use std::time::Duration;

use keyward_core::change::{Entry, Revision};
use keyward_core::id::NodeId;
use keyward_core::nodes::{Followed, Renewal, Renewed};

use super::{LeaseLength, nanos};

/// Changes read in one go.
pub const PAGE: u32 = 512;
/// How long to wait before something that failed is tried again, at most.
const RETRY_MAX: Duration = Duration::from_millis(250);

/// What was heard.
#[derive(Debug)]
pub enum Heard {
    /// It may be time for something.
    Time,
    /// Something was written, or may have been.
    Hint,
    /// The registration is written.
    Registered,
    /// What will be served was read, after a look at where the log stood: there.
    Loaded(Followed),
    /// The answer to a renewal.
    Renewed(Renewal),
    /// The changes that were asked for.
    Read(Vec<Entry>),
    /// Changes that the store had lost were made again, as far as they are remembered here.
    Replayed,
    /// What was said had no answer, or a bad one; it may have been done.
    Failed,
}

/// What to say to the store next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// Make this run of the node known.
    Register {
        /// Never used before.
        id: NodeId,
        /// The first nonce.
        nonce: u128,
    },
    /// Note where the log stands, then read everything that is kept in memory as a whole.
    Load,
    /// Renew.
    Renew {
        /// This run.
        id: NodeId,
        /// Tells this renewal from others.
        nonce: u128,
        /// Up to where all is applied and drained.
        acknowledged: Revision,
        /// The last entry applied.
        followed: Followed,
    },
    /// Read the changes after a revision, at most [`PAGE`] of them.
    Read {
        /// The revision.
        after: Revision,
    },
    /// Make changes again that the store has lost.
    Replay,
    /// Nothing, until a moment or a hint.
    Wait {
        /// The moment.
        until: i64,
    },
}

/// What to do here, in the order given, before anything is said.
#[derive(Debug)]
pub enum Act {
    /// The lease is over.
    EndLease,
    /// Forget everything that was read and close all exchanges; what is read before the next load is let in nowhere.
    DropEverything,
    /// Apply changes: memory first, exchanges second.
    Apply(Vec<Entry>),
    /// The lease holds until this moment.
    Publish {
        /// The moment.
        until: i64,
    },
    /// Keep the changes applied so far and end the exchanges that they closed, then call [`Member::drained`].
    Drain {
        /// This run.
        run: NodeId,
        /// Up to where they are applied.
        revision: Revision,
    },
    /// The store went back behind what this node has seen: tell somebody.
    Alarm,
}

/// What to do and then to say.
#[derive(Debug)]
pub struct Step {
    /// What to do here.
    pub acts: Vec<Act>,
    /// What to say.
    pub say: Say,
}

/// A node that answers from memory.
#[derive(Debug)]
pub struct Member {
    lease: LeaseLength,
    talk: Talk,
    /// Registered, perhaps; none before the first run and while the last is given up.
    run: Option<NodeId>,
    /// Whether the registration is surely written.
    is_registered: bool,
    /// The last entry applied.
    followed: Followed,
    /// Up to where all is applied and drained.
    drained: Revision,
    /// The furthest head that this run has read.
    head: Revision,
    renew_at: i64,
    /// Whether changes must be made again before this node begins: at a start, for the store may have been restored
    /// meanwhile, and whenever it is found to have gone back.
    must_replay: bool,
    #[cfg(feature = "mutants")]
    mutant: Option<super::mutants::Mutant>,
    /// Whether it answers from memory before it is registered, wrongly.
    #[cfg(feature = "mutants")]
    is_early: bool,
}

/// What is being talked about.
#[derive(Debug, Clone, Copy)]
enum Talk {
    Nothing,
    Registering(NodeId),
    Loading,
    /// A renewal that left after this moment.
    Renewing(i64),
    /// The rest of the changes up to the head that a renewal read, which left after `since`.
    CatchingUp {
        since: i64,
        head: Revision,
    },
    /// Whether there are changes, after a hint.
    Looking,
    Replaying,
}

impl Member {
    /// One that has not registered yet. Begin with [`Heard::Time`].
    pub fn new(lease: LeaseLength) -> Self {
        Member {
            lease,
            talk: Talk::Nothing,
            run: None,
            is_registered: false,
            followed: Followed { revision: Revision::ZERO, hash: [0; 32] },
            drained: Revision::ZERO,
            head: Revision::ZERO,
            renew_at: i64::MIN,
            must_replay: true,
            #[cfg(feature = "mutants")]
            mutant: None,
            #[cfg(feature = "mutants")]
            is_early: false,
        }
    }

    /// One that does something wrong, to see whether it is noticed.
    #[cfg(feature = "mutants")]
    pub fn with_mutant(lease: LeaseLength, mutant: Option<super::mutants::Mutant>) -> Self {
        Member { mutant, ..Self::new(lease) }
    }

    #[cfg(feature = "mutants")]
    fn is(&self, mutant: super::mutants::Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// This run, once it is registered.
    pub fn run(&self) -> Option<NodeId> {
        self.run.filter(|_| self.is_registered)
    }

    /// This run, and up to where it has applied and drained everything.
    pub fn own(&self) -> Option<(NodeId, Revision)> {
        self.run().map(|run| (run, self.drained))
    }

    /// The furthest head that this run has read.
    pub fn head(&self) -> Revision {
        self.head.max(Revision::ZERO)
    }

    /// The lease is not to be trusted: it is renewed at the next step.
    pub fn renew_now(&mut self) {
        self.renew_at = i64::MIN;
    }

    /// Takes what was heard. `now` must be read after it was heard, `fresh` is a random number never used before.
    pub fn step(&mut self, now: i64, fresh: u128, heard: Heard) -> Step {
        let talk = std::mem::replace(&mut self.talk, Talk::Nothing);
        match (talk, heard) {
            (Talk::Registering(id), Heard::Registered) => {
                (self.run, self.is_registered) = (Some(id), true);
                #[cfg(feature = "mutants")]
                if self.is(super::mutants::Mutant::RegisterAfterLoad) {
                    return self.renew(now, fresh);
                }
                self.load()
            }
            (Talk::Loading, Heard::Loaded(followed)) => {
                self.followed = followed;
                self.drained = followed.revision;
                self.head = followed.revision;
                #[cfg(feature = "mutants")]
                if self.is(super::mutants::Mutant::RegisterAfterLoad) {
                    self.is_early = true;
                    self.renew_at = now + nanos(self.lease.renew_every) * 4;
                    return self.wait(vec![Act::Publish { until: now + nanos(self.lease.length) }]);
                }
                self.renew(now, fresh)
            }
            (Talk::Renewing(since), Heard::Renewed(Renewal::Renewed(renewed))) => {
                self.renewed(now, fresh, since, renewed)
            }
            (Talk::Renewing(_), Heard::Renewed(Renewal::Fenced)) => self.start_afresh(fresh),
            (Talk::CatchingUp { since, head }, Heard::Read(entries)) => {
                self.read_on(now, fresh, entries, Some((since, head)))
            }
            (Talk::Looking, Heard::Read(entries)) => self.read_on(now, fresh, entries, None),
            (Talk::Replaying, Heard::Replayed) => {
                self.must_replay = false;
                self.register(fresh)
            }
            (Talk::Nothing, Heard::Hint) if self.run().is_some() && now < self.renew_at => self.look(),
            (Talk::Nothing, _) if now < self.renew_at => self.wait(Vec::new()),
            (Talk::Nothing, _) if self.must_replay => self.say(Talk::Replaying, Say::Replay),
            (Talk::Nothing, _) => match self.run() {
                None => self.first(fresh),
                // Loading was tried and failed: what was not loaded must not be renewed.
                Some(_) if self.head == UNLOADED => self.load(),
                Some(_) => self.renew(now, fresh),
            },
            // It failed, or is no answer to what was said.
            (_, _) => {
                let again = now + nanos(RETRY_MAX.min(self.lease.renew_every));
                self.renew_at = if self.renew_at > now { self.renew_at.min(again) } else { again };
                self.wait(Vec::new())
            }
        }
    }

    /// Notes that everything up to `revision` is applied and drained in a run; gives what to acknowledge, if that run
    /// goes on.
    pub fn drained(&mut self, run: NodeId, revision: Revision) -> Option<(NodeId, Revision)> {
        if self.run() != Some(run) || revision <= self.drained {
            return None;
        }
        self.drained = revision;
        Some((run, revision))
    }

    fn say(&mut self, talk: Talk, say: Say) -> Step {
        self.talk = talk;
        Step { acts: Vec::new(), say }
    }

    fn wait(&mut self, acts: Vec<Act>) -> Step {
        self.talk = Talk::Nothing;
        Step { acts, say: Say::Wait { until: self.renew_at } }
    }

    #[cfg(not(feature = "mutants"))]
    fn first(&mut self, fresh: u128) -> Step {
        self.register(fresh)
    }

    #[cfg(feature = "mutants")]
    fn first(&mut self, fresh: u128) -> Step {
        match self.is(super::mutants::Mutant::RegisterAfterLoad) && !self.is_early {
            true => self.load(),
            false => self.register(fresh),
        }
    }

    fn register(&mut self, fresh: u128) -> Step {
        let id = NodeId::from_u128(fresh);
        // A registration that failed may be written all the same: its id is never tried again.
        (self.run, self.is_registered) = (None, false);
        self.say(Talk::Registering(id), Say::Register { id, nonce: fresh })
    }

    fn load(&mut self) -> Step {
        self.head = UNLOADED;
        self.say(Talk::Loading, Say::Load)
    }

    fn look(&mut self) -> Step {
        let after = self.before_followed();
        self.say(Talk::Looking, Say::Read { after })
    }

    /// The entry that was followed last is read once more, to see that it is still the same.
    fn before_followed(&self) -> Revision {
        Revision((self.followed.revision.0 - 1).max(0))
    }

    fn renew(&mut self, now: i64, fresh: u128) -> Step {
        let Some(id) = self.run else { return self.register(fresh) };
        let (acknowledged, followed) = (self.drained, self.followed);
        self.say(Talk::Renewing(now), Say::Renew { id, nonce: fresh, acknowledged, followed })
    }

    fn renewed(&mut self, now: i64, fresh: u128, since: i64, renewed: Renewed) -> Step {
        let Renewed { head, hash, entries, .. } = renewed;
        let is_same = self.followed.revision == Revision::ZERO || hash == Some(self.followed.hash);
        if !is_same || head < self.head {
            return self.went_back(now);
        }
        #[cfg(feature = "mutants")]
        let since = if self.is(super::mutants::Mutant::LeaseFromAnswer) { now } else { since };
        self.head = head;
        self.take(now, fresh, entries, Some((since, head)))
    }

    /// Takes a page that begins with the entry that was followed last.
    fn read_on(&mut self, now: i64, fresh: u128, entries: Vec<Entry>, lease: Option<(i64, Revision)>) -> Step {
        let mut entries = entries;
        if self.followed.revision > Revision::ZERO {
            let is_same = entries
                .first()
                .is_some_and(|first| (first.revision, first.hash) == (self.followed.revision, self.followed.hash));
            if !is_same {
                return self.went_back(now);
            }
            entries.remove(0);
        }
        self.take(now, fresh, entries, lease)
    }

    /// Applies changes, and publishes the lease once everything up to the head is applied that its renewal read.
    fn take(&mut self, now: i64, fresh: u128, entries: Vec<Entry>, lease: Option<(i64, Revision)>) -> Step {
        let are_next = (self.followed.revision.0 + 1..).zip(&entries).all(|(next, entry)| entry.revision.0 == next);
        let (got, last) = (entries.len(), entries.last());
        let after = last.map_or(self.followed, |last| Followed { revision: last.revision, hash: last.hash });
        let is_all = lease.is_none_or(|(_, head)| after.revision >= head);
        if !are_next || (got == 0 && !is_all) {
            return self.start_afresh(fresh);
        }
        self.followed = after;
        self.head = self.head.max(after.revision);
        let mut acts = Vec::new();
        if got > 0 {
            acts.push(Act::Apply(entries));
        }
        if let Some((since, _)) = lease.filter(|_| is_all) {
            acts.push(Act::Publish { until: since + nanos(self.lease.length) });
            self.renew_at = since + nanos(self.lease.renew_every);
        }
        if got > 0
            && let Some(run) = self.run
        {
            acts.push(Act::Drain { run, revision: after.revision });
        }
        #[cfg(feature = "mutants")]
        self.put_wrong_first(&mut acts);
        match lease {
            Some((since, head)) if !is_all => {
                let after = self.before_followed();
                Step { acts, ..self.say(Talk::CatchingUp { since, head }, Say::Read { after }) }
            }
            None if got as u32 + 1 >= PAGE => Step { acts, ..self.look() },
            _ if now >= self.renew_at => Step { acts, ..self.renew(now, fresh) },
            _ => self.wait(acts),
        }
    }

    #[cfg(feature = "mutants")]
    fn put_wrong_first(&self, acts: &mut [Act]) {
        use super::mutants::Mutant;
        let rank = |act: &Act| match act {
            Act::Publish { .. } => self.is(Mutant::ExtendBeforeApply),
            Act::Drain { .. } => self.is(Mutant::AcknowledgeBeforeApply),
            _ => false,
        };
        acts.sort_by_key(|act| !rank(act));
    }

    /// The store is not as this node has seen it: what was taken away may be back. What is remembered here is made
    /// again, then the node begins as if it had just started.
    fn went_back(&mut self, now: i64) -> Step {
        self.must_replay = true;
        self.renew_at = now;
        let mut step = self.say(Talk::Replaying, Say::Replay);
        (self.run, self.is_registered) = (None, false);
        step.acts = vec![Act::EndLease, Act::DropEverything, Act::Alarm];
        step
    }

    /// Others have stopped waiting for this run, or it cannot follow: a new one begins with nothing.
    fn start_afresh(&mut self, fresh: u128) -> Step {
        let mut step = self.register(fresh);
        step.acts = vec![Act::EndLease, Act::DropEverything];
        step
    }
}

/// The head while nothing is loaded: no store has it.
const UNLOADED: Revision = Revision(-1);
