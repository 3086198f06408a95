//! Sessions: beginning one at every sign-in, finding whose it is at every request, and ending them. Person and
//! session are read from the store each time, so that what is taken away is gone at once (trust.md W05, T07).

use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::id::SessionId;
use keyward_core::people::{PasswordHash, Person};
use keyward_core::session::{Session, SignedInBy};
use keyward_core::store::{SessionsOf, StoreError};

use super::super::error::{ControlError, Result};
use super::{Current, SignedIn, Token, Visitor};
use crate::use_cases::Control;

/// How often, at most, a session's use is noted.
const TOUCHED_EVERY: Duration = Duration::from_secs(60);
/// Longest name of a browser that is kept, in characters.
const BROWSER_CHARS_MAX: usize = 200;

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

/// Somebody who showed who they are, as they stood when they did.
pub(super) struct Proven {
    pub person: Person,
    pub password: Option<PasswordHash>,
    pub by: SignedInBy,
}

impl Control {
    /// Who is signed in with what a cookie holds; none where it opens nothing, has ended, or its person may not sign in.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn current(&self, presented: &str) -> Result<Option<Current>> {
        let Some(digest) = self.token_digest(Token::Session, presented) else { return Ok(None) };
        let Some(mut session) = self.store.session_by_digest(&digest).await? else { return Ok(None) };
        let now = self.now();
        if now >= self.end_of(&session) {
            return Ok(None);
        }
        let Some(person) = self.store.person(session.person).await?.filter(Person::is_active) else {
            return Ok(None);
        };
        if now.since(session.seen_at) >= TOUCHED_EVERY {
            // What cannot be written keeps nobody from reading: such a session ends earlier, never later.
            match self.store.touch_session(session.id, now).await {
                Ok(()) => session.seen_at = now,
                Err(error) => tracing::warn!(%error, "the use of a session was not noted"),
            }
        }
        Ok(Some(Current { person: Arc::new(person), session }))
    }

    /// Ends the session that asks.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn sign_out(&self, current: &Current) -> Result<()> {
        Ok(self.store.end_sessions(&SessionsOf::Session(current.session.id)).await?)
    }

    /// The sessions of whoever asks that have not ended, newest first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn sessions(&self, current: &Current) -> Result<Vec<SeenSession>> {
        let now = self.now();
        let found = self.store.sessions(current.person.id).await?.into_iter().map(|session| SeenSession {
            is_current: session.id == current.session.id,
            ends_at: self.end_of(&session),
            session,
        });
        Ok(found.filter(|seen| now < seen.ends_at).collect())
    }

    /// Ends one of the sessions of whoever asks.
    ///
    /// # Errors
    /// Where they have no such session.
    pub async fn end_session(&self, current: &Current, id: SessionId) -> Result<()> {
        let own = self.store.sessions(current.person.id).await?;
        if !own.iter().any(|session| session.id == id) {
            return Err(ControlError::NotFound);
        }
        Ok(self.store.end_sessions(&SessionsOf::Session(id)).await?)
    }

    /// Ends all sessions of whoever asks but the one that asks, and links that would sign them in.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn end_other_sessions(&self, current: &Current) -> Result<()> {
        let others = SessionsOf::Person { id: current.person.id, but: Some(current.session.id) };
        Ok(self.store.end_sessions(&others).await?)
    }

    /// When a session ends if it is not used again.
    fn end_of(&self, session: &Session) -> Timestamp {
        session.seen_at.saturating_add(self.people.options.session_idle).min(session.ends_at)
    }

    /// Begins a session for somebody who showed who they are.
    ///
    /// What is taken from them meanwhile takes this session too: a change before it is kept is seen when the person is
    /// read again, and one after it ends it by itself.
    pub(super) async fn begin_session(&self, proven: Proven, visitor: &Visitor) -> Result<SignedIn> {
        let now = self.now();
        let ends_at = now.saturating_add(self.people.options.session_max);
        self.begin_session_of(proven, visitor, now, ends_at).await
    }

    /// Begins a session for somebody who showed who they are at `proven_at`, which ends at `ends_at` at the latest.
    async fn begin_session_of(
        &self,
        proven: Proven,
        visitor: &Visitor,
        proven_at: Timestamp,
        ends_at: Timestamp,
    ) -> Result<SignedIn> {
        let Proven { person: before, password, by } = proven;
        let (secret, digest) = self.mint_token(Token::Session);
        let session = Session {
            id: SessionId::random(&*self.entropy),
            person: before.id,
            digest,
            signed_in_by: by,
            created_at: proven_at,
            seen_at: self.now(),
            ends_at,
            address: visitor.origin.address,
            browser: browser(&visitor.browser),
        };
        self.store.add_session(&session).await.map_err(|error| match error {
            // Disabled meanwhile.
            StoreError::Conflict(_) => ControlError::BadCredentials,
            error => error.into(),
        })?;
        let person = self.store.person(before.id).await?;
        let is_same = self.store.password(before.id).await? == password;
        let Some(person) =
            person.filter(|person| is_same && person.is_active() && has_kept_places(person, &before))
        else {
            self.store.end_sessions(&SessionsOf::Session(session.id)).await?;
            return Err(ControlError::BadCredentials);
        };
        let device = self.device(&person, password.as_ref());
        Ok(SignedIn { person: Arc::new(person), session, secret, device })
    }

    /// Begins a new session in place of the one that asks, which ends: what somebody may do has changed (trust.md W04).
    /// When they showed who they are, and how, stays as it was: they did not show it again.
    pub(super) async fn begin_anew(&self, current: &Current, visitor: &Visitor) -> Result<SignedIn> {
        let person = self.store.person(current.person.id).await?.ok_or(ControlError::Unauthenticated)?;
        let password = self.store.password(person.id).await?;
        self.store.end_sessions(&SessionsOf::Session(current.session.id)).await?;
        let Session { signed_in_by, created_at, ends_at, .. } = &current.session;
        let proven = Proven { person, password, by: signed_in_by.clone() };
        self.begin_session_of(proven, visitor, *created_at, *ends_at).await
    }
}

/// Whether somebody still has every place that they had before.
fn has_kept_places(now: &Person, before: &Person) -> bool {
    let has_kept_seat = now.is_operator || !before.is_operator;
    has_kept_seat && before.memberships.iter().all(|place| now.membership(place.organization).is_some())
}

/// What is kept of what a browser says of itself: one line of bounded length.
fn browser(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(BROWSER_CHARS_MAX).collect()
}
