//! Reading the log: a project's event log, where uses and refusals are folded in, and the whole log with its
//! chain, for those who follow or check it.

use std::time::Duration;

use keyward_core::change::{Entry, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::ProjectId;
use keyward_core::log::SignedHead;
use keyward_core::permission::Permission;
use keyward_core::store::{ChangeFilter, EventFilter, EventPosition, LogVerdict, Page};
use keyward_core::usage::Event;

use super::error::{ControlError, Result};
use super::{Asked, Control, Listed};

/// How soon to ask again where the log is being checked already.
const CHECK_AGAIN: Duration = Duration::from_secs(10);

/// A part of a project's event log, newest first.
#[derive(Debug)]
pub struct SeenEvents {
    /// The lines.
    pub items: Vec<Event>,
    /// The place of the last, where there are more.
    pub next: Option<EventPosition>,
}

/// Where the log stands.
#[derive(Debug)]
pub struct Head {
    /// The last revision and its hash, signed.
    pub signed: SignedHead,
    /// With what the signature is checked.
    pub public_key: [u8; 32],
}

impl Control {
    /// A project's event log.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn events(
        &self,
        asked: &Asked,
        project: ProjectId,
        filter: &EventFilter,
        before: Option<EventPosition>,
        limit: u32,
    ) -> Result<SeenEvents> {
        asked.require(Permission::ProjectsRead)?;
        let place = self.find_project(asked, project).await?;
        let mut found = self.store.events(place.project.id, filter, before, limit + 1).await?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| has_more).map(|(position, _)| *position);
        // A change of many keys may be of other projects too, of which nothing is told here.
        let told = |event| match event {
            Event::Change(mut entry) => {
                entry.body.change = entry.body.change.within(place.project.id);
                Event::Change(entry)
            }
            uses => uses,
        };
        Ok(SeenEvents { items: found.into_iter().map(|(_, event)| told(event)).collect(), next })
    }

    /// The changes after a revision, oldest first.
    ///
    /// # Errors
    /// Where the caller may not read the whole log.
    pub async fn changes(&self, asked: &Asked, after: Revision, limit: u32) -> Result<Vec<Entry>> {
        asked.require_everywhere(Permission::LogRead)?;
        Ok(self.store.changes_since(after, limit).await?)
    }

    /// Changes of the whole log, newest first.
    ///
    /// # Errors
    /// Where the caller may not read the whole log.
    pub async fn newest_changes(
        &self,
        asked: &Asked,
        filter: &ChangeFilter,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<Entry>> {
        asked.require_everywhere(Permission::LogRead)?;
        let found = self.store.changes(filter, Page { before, limit: limit + 1 }).await?;
        Ok(Listed::cut(found, limit, |entry| entry.revision))
    }

    /// Where the log stands, signed: kept elsewhere, it shows later whether the log's tail was cut.
    ///
    /// # Errors
    /// Where the caller may not read the whole log.
    pub async fn head(&self, asked: &Asked) -> Result<Head> {
        asked.require_everywhere(Permission::LogRead)?;
        let (revision, hash) = self.store.head().await?;
        let signed = self.log_keys.sign(self.store.id(), revision, hash, self.now());
        Ok(Head { signed, public_key: self.log_keys.public_key() })
    }

    /// Checks the whole chain against its key and the heads that are kept. One at a time: it reads everything.
    ///
    /// # Errors
    /// Where the caller may not read the whole log, somebody else has it checked just now, or the heads cannot be read.
    pub async fn verify_log(&self, asked: &Asked) -> Result<LogVerdict> {
        asked.require_everywhere(Permission::LogRead)?;
        let turn = self.checking.try_acquire();
        let _turn = turn.map_err(|_| ControlError::RateLimited { retry_after: CHECK_AGAIN })?;
        let heads = std::sync::Arc::clone(&self.heads);
        let heads = tokio::task::spawn_blocking(move || heads()).await;
        let heads = heads.map_err(|failed| ControlError::Internal(failed.to_string()))?;
        let heads = heads.map_err(|error| ControlError::Unavailable(format!("the kept heads: {error}")))?;
        Ok(self.store.verify_log(&heads).await?)
    }
}

/// A place in an event log, as cursors carry it.
pub fn position_bytes(position: EventPosition) -> Vec<u8> {
    [&position.at.as_millis().to_be_bytes()[..], &[position.kind], &position.number.to_be_bytes()].concat()
}

/// The place that a cursor carries.
pub fn position_at(bytes: &[u8]) -> Option<EventPosition> {
    let (at, rest) = bytes.split_first_chunk::<8>()?;
    let (&kind, number) = rest.split_first()?;
    let at = Timestamp::from_millis(i64::from_be_bytes(*at));
    Some(EventPosition { at, kind, number: i64::from_be_bytes(number.try_into().ok()?) })
}
