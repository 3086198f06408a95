//! Uses and refusals, folded: counts by key, outcome and minute, never one row a request.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::change::Entry;
use crate::clock::Timestamp;
use crate::id::{KeyId, ProjectId};

/// What happened to requests with one key in one minute, with one outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// The key.
    pub key: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// The minute's start.
    pub minute: Timestamp,
    /// `valid`, or the denial's code.
    pub outcome: String,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first_at: Timestamp,
    /// The last of them.
    pub last_at: Timestamp,
    /// The address that the last came from, where it is known.
    pub last_address: Option<IpAddr>,
}

/// Rows that a node writes together. A batch is written once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBatch {
    /// The node's run: new at every start of a process.
    pub incarnation: u128,
    /// The batch's number in that run, from 1 on.
    pub sequence: u64,
    /// What is added.
    pub rows: Vec<UsageRow>,
}

/// How uses are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fold {
    /// The length of a step, in milliseconds: an hour, or a day of UTC.
    pub step: i64,
    /// What counts are told apart by.
    pub by: Apart,
}

/// What counts are told apart by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Apart {
    /// Nothing: all together.
    #[default]
    Nothing,
    /// The key.
    Key,
    /// The outcome: `valid`, or the denial's code.
    Outcome,
    /// The key and the outcome.
    KeyAndOutcome,
}

/// One count of uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageCount {
    /// When the step began.
    pub start: Timestamp,
    /// Of which key, where told apart by it.
    pub key: Option<KeyId>,
    /// With what outcome, where told apart by it.
    pub outcome: Option<String>,
    /// How many.
    pub count: u64,
}

/// What is known of the use of one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsage {
    /// The last request that was granted.
    pub last_used_at: Option<Timestamp>,
    /// How many were granted, ever.
    pub granted: u64,
    /// How many were refused, ever.
    pub refused: u64,
}

/// One line of a project's event log.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A change.
    Change(Entry),
    /// Uses or refusals of one key in one minute.
    Usage(UsageRow),
}

impl Event {
    /// When it happened: for folded uses, when the first of them did.
    pub fn at(&self) -> Timestamp {
        match self {
            Event::Change(entry) => entry.body.at,
            Event::Usage(row) => row.first_at,
        }
    }
}
