//! Why a use case did not do what it was asked. The words here are for the log; what the caller is told is
//! made of them in one place at each door.

use std::time::Duration;

use keyward_core::change::Expect;
use keyward_core::key::Standing;
use keyward_core::key_encryption::KeyEncryptionError;
use keyward_core::permission::Permission;
use keyward_core::store::StoreError;
use keyward_verify::Unsettled;

/// A short name for what use cases give.
pub type Result<T> = std::result::Result<T, ControlError>;

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field, such as `expires_at` or `import.sha256`.
    pub field: String,
    /// What is wrong with it, as the end of a sentence that begins with the field.
    pub message: String,
    /// The line of a contract that it is about.
    pub line: Option<usize>,
}

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The caller's management key opens nothing.
    #[error("the management key opens nothing")]
    Unauthenticated,
    /// Nobody who may sign in is to be signed in by this: the same whatever is wrong with it.
    #[error("nobody is to be signed in by this")]
    BadCredentials,
    /// The caller lacks a permission.
    #[error("the caller lacks {}", .0.scope())]
    Forbidden(Permission),
    /// The caller has the permission, but not for everything, which this needs.
    #[error("{} is needed for everything, not within a boundary", .0.scope())]
    OutOfReach(Permission),
    /// The caller asked for something wider than itself.
    #[error("the caller would hand on more than it has: {0}")]
    WiderThanCaller(String),
    /// There is no such thing, or none that the caller may know of.
    #[error("not found")]
    NotFound,
    /// Some fields are not valid.
    #[error("{} invalid fields, the first: {}", .0.len(), .0.first().map_or("", |fault| &fault.field))]
    Invalid(Vec<Fault>),
    /// The key does not open any more, so that this cannot be done with it.
    #[error("the key is {0}")]
    KeyNotActive(Standing),
    /// The project has as many live keys as it may have.
    #[error("the limit of {limit} active keys is reached")]
    ActiveKeyLimit {
        /// The limit.
        limit: u32,
    },
    /// Which of several keys is meant cannot be told.
    #[error("several keys are live")]
    SeveralLiveKeys,
    /// The API's contract has no such action.
    #[error("the contract does not offer to {0}")]
    ActionNotOffered(&'static str),
    /// The project or its organization is suspended.
    #[error("the {0} is suspended")]
    Suspended(&'static str),
    /// The project's plan does not give it access to the API.
    #[error("the plan {plan} gives no access")]
    PlanForbids {
        /// What people call the plan.
        plan: String,
        /// Whether the plan has the API in it, and only the operator's word for this project is missing.
        is_on_request: bool,
        /// Where people get help; empty where the contract says nothing.
        support: String,
    },
    /// Too many of these in too short a time.
    #[error("too many in too short a time")]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The state went on changing under the caller.
    #[error("the state changed again and again: {0:?}")]
    Conflict(Option<Expect>),
    /// The contract wants some statements acknowledged first.
    #[error("not acknowledged")]
    AcknowledgementRequired(Vec<String>),
    /// An `Idempotency-Key` was used for another request before.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// It would leave nobody who can do this.
    #[error("there would be no {0} left")]
    LastOne(&'static str),
    /// Somebody has the address that an invitation is for, and is to sign in before they accept it.
    #[error("somebody has this address and is not signed in")]
    SignInFirst,
    /// There is one already.
    #[error("{0} exists already")]
    AlreadyExists(&'static str),
    /// The store has no room.
    #[error("the store is full: {0}")]
    StorageFull(String),
    /// It cannot be done now; nothing was written.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Nothing can be wrapped or unwrapped now; nothing was written.
    #[error("{0}")]
    Encryption(#[from] KeyEncryptionError),
    /// It is written, but not known to be in force on every node: never success.
    #[error("written, but not known to be in force: {0}")]
    NotSettled(String),
    /// It may have been written, and may be in force: never success.
    #[error("the outcome is not known: {0}")]
    OutcomeUnknown(String),
    /// A fault of ours.
    #[error("internal: {0}")]
    Internal(String),
}

impl ControlError {
    /// One field that is not valid.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        ControlError::Invalid(vec![Fault { field: field.to_owned(), message: message.into(), line: None }])
    }

    /// What a failure to read back what was written is: the caller must not take it for not written.
    pub(crate) fn after_commit(self) -> Self {
        ControlError::OutcomeUnknown(format!("written and in force, but not read back: {self}"))
    }
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(expect) => ControlError::Conflict(Some(expect)),
            // The record is read again by whoever sees this (see `Control::once`).
            StoreError::Replayed(_) => ControlError::Conflict(None),
            StoreError::Full(reason) => ControlError::StorageFull(reason),
            StoreError::Unknown(reason) => ControlError::OutcomeUnknown(reason),
            StoreError::Unavailable(reason) => ControlError::Unavailable(reason),
            StoreError::Damaged(reason) => ControlError::Internal(reason),
        }
    }
}

impl From<Unsettled> for ControlError {
    fn from(error: Unsettled) -> Self {
        match error {
            // It may not even be written any more.
            Unsettled::Lost => ControlError::OutcomeUnknown(error.to_string()),
            Unsettled::Store(_) | Unsettled::Unknown | Unsettled::Stopped => {
                ControlError::NotSettled(error.to_string())
            }
        }
    }
}

/// Gathers what is wrong with the fields of one request, so that all of it is told at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Fault { field: field.to_owned(), message: message.into(), line: None });
    }

    /// Takes what a check gave, or notes its fault.
    pub fn take<T>(&mut self, field: &str, checked: std::result::Result<T, String>) -> Option<T> {
        checked.map_err(|message| self.add(field, message)).ok()
    }

    /// Goes on only where nothing was wrong.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] with everything that was.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(ControlError::Invalid(self.0)) }
    }

    /// Goes on with what the checks gave.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] where anything was wrong.
    pub fn finish_with<T>(self, checked: Option<T>) -> Result<T> {
        match (self.0.is_empty(), checked) {
            (true, Some(checked)) => Ok(checked),
            (true, None) => Err(ControlError::Internal("a check gave neither a value nor a fault".into())),
            (false, _) => Err(ControlError::Invalid(self.0)),
        }
    }
}
