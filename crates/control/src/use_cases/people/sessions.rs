//! Sessions: beginning one at every sign-in, finding whose it is at every request, and ending them. Person and
//! session are read from the store each time, so that what is taken away is gone at once (trust.md W05, T07).

use keyward_core::clock::Timestamp;
use keyward_core::id::SessionId;
use keyward_core::session::Session;

use super::super::error::Result;
use super::Current;
use crate::use_cases::Control;

/// One of somebody's own sessions.
#[derive(Debug, Clone)]
pub struct SeenSession {
    /// The session.
    pub session: Session,
    /// Whether it is the one that asks.
    pub is_current: bool,
    /// When it ends if it is not used again.
    pub ends_at: Timestamp,
}

impl Control {
    /// Who is signed in with what a cookie holds; none where it opens nothing, has ended, or its person may not sign in.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn current(&self, _presented: &str) -> Result<Option<Current>> {
        Err(super::unfinished())
    }

    /// Ends the session that asks.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn sign_out(&self, _current: &Current) -> Result<()> {
        Err(super::unfinished())
    }

    /// The sessions of whoever asks that have not ended, newest first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn sessions(&self, _current: &Current) -> Result<Vec<SeenSession>> {
        Err(super::unfinished())
    }

    /// Ends one of the sessions of whoever asks.
    ///
    /// # Errors
    /// Where they have no such session.
    pub async fn end_session(&self, _current: &Current, _id: SessionId) -> Result<()> {
        Err(super::unfinished())
    }

    /// Ends all sessions of whoever asks but the one that asks, and links that would sign them in.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn end_other_sessions(&self, _current: &Current) -> Result<()> {
        Err(super::unfinished())
    }
}
