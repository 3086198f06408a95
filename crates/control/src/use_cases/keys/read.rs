//! Reading keys: one, or a project's list. Never a secret, for none is kept.

use std::time::Duration;

use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::key::{Key, Standing};
use keyward_core::permission::Permission;
use keyward_core::store::{KeyFilter, KeyOrder, KeyPart, Page};
use keyward_core::text;
use keyward_core::usage::KeyUsage;

use crate::use_cases::error::{ControlError, Result};
use crate::use_cases::projects::Place;
use crate::use_cases::{Asked, Control, Listed};

/// A key with what is told beside it.
#[derive(Debug, Clone)]
pub struct SeenKey {
    /// The key.
    pub key: Key,
    /// What is known of its use.
    pub usage: KeyUsage,
    /// The moment at which it is looked at: how it stands depends on it.
    pub at: Timestamp,
}

impl SeenKey {
    /// How the key stands.
    pub fn standing(&self) -> Standing {
        self.key.standing(self.at)
    }
}

/// Which of a project's keys are asked for.
#[derive(Debug, Clone, Default)]
pub struct KeyQuestion {
    /// Only those that stand like this.
    pub standing: Option<Standing>,
    /// Only those of this name.
    pub name: Option<String>,
    /// Only those made before this revision.
    pub before: Option<Revision>,
    /// At most so many.
    pub limit: u32,
}

/// Which of a project's keys are asked for, and in what order.
#[derive(Debug, Clone, Default)]
pub struct KeySearch {
    /// Only those that stand like this.
    pub standing: Option<Standing>,
    /// Only those whose name holds this.
    pub name_part: Option<String>,
    /// Only those that are older, and were not used, for so long.
    pub unused_for: Option<Duration>,
    /// What they are sorted by.
    pub order: KeyOrder,
    /// Whether the order is turned round.
    pub is_reversed: bool,
    /// How many come before those that are asked for.
    pub offset: u32,
    /// At most so many.
    pub limit: u32,
}

/// A part of a sorted list of keys, and how long the list is.
#[derive(Debug, Clone, Default)]
pub struct FoundKeys {
    /// The part.
    pub keys: Vec<SeenKey>,
    /// How many are like that in all.
    pub total: u64,
}

impl Control {
    /// A key.
    ///
    /// # Errors
    /// Where there is none that the caller reaches.
    pub async fn key(&self, asked: &Asked, id: KeyId) -> Result<SeenKey> {
        asked.require(Permission::KeysRead)?;
        let (key, _) = self.find_key(asked, id).await?;
        self.see_key(key).await
    }

    /// A project's keys, newest first.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn keys(&self, asked: &Asked, project: ProjectId, question: &KeyQuestion) -> Result<Listed<SeenKey>> {
        asked.require(Permission::KeysRead)?;
        let place = self.find_project(asked, project).await?;
        let now = self.now();
        // Compared as names are kept; a text that can be no name is nobody's.
        let name =
            question.name.as_ref().map(|name| text::name(name, 1, u32::MAX).unwrap_or_else(|_| name.clone()));
        let filter =
            KeyFilter { standing: question.standing.map(|standing| (standing, now)), name, ..Default::default() };
        let page = Page { before: question.before, limit: question.limit + 1 };
        let found = self.store.keys(place.project.id, &filter, page).await?;
        let Listed { items, next } = Listed::cut(found, question.limit, |key| key.created_revision);
        Ok(Listed { items: self.see_keys(items).await?, next })
    }

    /// A part of a project's keys in some order.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn search_keys(&self, asked: &Asked, project: ProjectId, search: &KeySearch) -> Result<FoundKeys> {
        asked.require(Permission::KeysRead)?;
        let place = self.find_project(asked, project).await?;
        let now = self.now();
        let since = |time: Duration| {
            let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_millis(now.as_millis().saturating_sub(millis))
        };
        // Compared as names are kept; a text that can be no part of a name is in none.
        let part = |text: &String| text::name(text, 1, u32::MAX).unwrap_or_else(|_| text.clone());
        let filter = KeyFilter {
            standing: search.standing.map(|standing| (standing, now)),
            name_part: search.name_part.as_ref().map(part),
            unused_since: search.unused_for.map(since),
            ..KeyFilter::default()
        };
        let KeySearch { order, is_reversed, offset, limit, .. } = *search;
        let part = KeyPart { order, is_reversed, offset, limit };
        let found = self.store.sorted_keys(place.project.id, &filter, part).await?;
        Ok(FoundKeys { keys: self.see_keys(found.keys).await?, total: found.total })
    }

    pub(crate) async fn find_key(&self, asked: &Asked, id: KeyId) -> Result<(Key, Place)> {
        let key = self.store.key(id).await?.ok_or(ControlError::NotFound)?;
        let place = self.find_project(asked, key.project).await?;
        Ok((key, place))
    }

    pub(crate) async fn see_key(&self, key: Key) -> Result<SeenKey> {
        let seen = self.see_keys(vec![key]).await?;
        seen.into_iter().next().ok_or_else(|| ControlError::Internal("a key was lost on the way".into()))
    }

    /// The same for a key that was just changed: what cannot be read now was written all the same.
    pub(super) async fn see_written_key(&self, key: Key) -> Result<SeenKey> {
        self.see_key(key).await.map_err(ControlError::after_commit)
    }

    async fn see_keys(&self, keys: Vec<Key>) -> Result<Vec<SeenKey>> {
        let ids: Vec<KeyId> = keys.iter().map(|key| key.id).collect();
        let usage = self.store.key_usage(&ids).await?;
        let at = self.now();
        Ok(keys.into_iter().zip(usage).map(|(key, usage)| SeenKey { key, usage, at }).collect())
    }
}
