//! How a command fails: what went wrong, what to do about it, and the exit code that scripts read.
//! Printing is left to `output`.

use std::fmt;

use serde_json::Value;

/// Exit codes. They are part of the interface (docs/cli.md); `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Refused, or failed on the way; also `key verify` of a key that is not valid.
    Failed = 1,
    /// The command or the configuration is not right.
    Usage = 2,
    /// What was named does not exist, or not for this management key.
    NotFound = 3,
    /// The server, or the store behind it, cannot be reached now.
    Unreachable = 4,
    /// The management key is missing, dead, or may not do this.
    NotPermitted = 5,
}

/// The lines of `--help` about exit codes.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed (key verify: not valid; log verify: broken; doctor: something is wrong)
  2  wrong usage or configuration
  3  no such thing, or not within the management key's reach
  4  the server cannot be reached, or is not ready: try again
  5  the management key is missing, dead or lacks the permission";

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, and where.
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
    /// The server's problem document, where one was answered.
    pub problem: Option<Value>,
}

/// What commands give.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// With an exit code and a sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into(), advice: None, problem: None }
    }

    /// Refused or failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Failure::new(Exit::Failed, message)
    }

    /// Not asked rightly.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, message)
    }

    /// With what to do about it.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.advice {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Puts what was being done in front of an I/O error.
pub trait Doing<T> {
    /// "cannot {what}: {error}".
    fn doing(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure::failed(format!("cannot {what}: {error}")))
    }
}
