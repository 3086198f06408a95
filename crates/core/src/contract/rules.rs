//! The rules of a key's life that a contract sets: name, expiry, rotation. Each checks one wish and says in
//! a sentence what is wrong with it.

use std::time::Duration;

use super::duration;
use crate::clock::Timestamp;
use crate::secret::{Format, Peppers, Presented, Recognised, Unrecognised, imported_digests};
use crate::tenancy::Environment;
use crate::text;

/// What a key is.
#[derive(Debug, Clone)]
pub struct KeyRules {
    /// The shape of live keys.
    pub live: Format,
    /// The shape of keys of test projects.
    pub test: Format,
    /// Whether keys issued elsewhere may be brought in.
    pub import: bool,
    /// How many live keys a project may have, unless it has a limit of its own; none for any number.
    pub active_limit: Option<u32>,
    /// Rules of the name.
    pub name: NameRule,
    /// Rules of the expiry.
    pub expiry: ExpiryRule,
    /// Whether keys can be limited to scopes and resources.
    pub scopes: bool,
    /// The scopes of a key for which none are asked.
    pub default_scopes: crate::scope::Scopes,
    /// Whether keys can be limited to networks.
    pub addresses: bool,
    /// Whether keys can be switched off and on.
    pub disable: bool,
    /// Whether keys can carry metadata.
    pub metadata: bool,
}

impl KeyRules {
    /// The shape of keys of a project of this environment.
    pub fn format(&self, environment: Environment) -> &Format {
        match environment {
            Environment::Live => &self.live,
            Environment::Test => &self.test,
        }
    }

    /// Tells what a presented credential may be, without looking anything up.
    ///
    /// # Errors
    /// [`Unrecognised`] where it can be no key of this API.
    pub fn recognise(&self, peppers: &Peppers, presented: Presented<'_>) -> Result<Recognised, Unrecognised> {
        let live = self.live.recognise(peppers, presented);
        if live != Err(Unrecognised::Malformed) {
            return live;
        }
        let test = if self.test == self.live { live } else { self.test.recognise(peppers, presented) };
        match test {
            Err(Unrecognised::Malformed) if self.import && presented.bytes().all(|b| b.is_ascii_graphic()) => {
                imported_digests(peppers, presented)
                    .first()
                    .map(|digest| Recognised::Plausible(*digest))
                    .ok_or(Unrecognised::Malformed)
            }
            other => other,
        }
    }

    /// Further digests that a presented credential may be kept under: of older peppers.
    pub fn older_digests(&self, peppers: &Peppers, presented: Presented<'_>) -> Vec<crate::secret::Digest> {
        let mut digests = self.live.older_digests(peppers, presented);
        if self.test != self.live {
            digests.extend(self.test.older_digests(peppers, presented));
        }
        if self.import {
            digests.extend(imported_digests(peppers, presented).into_iter().skip(1));
        }
        digests
    }

    /// The digest under the current pepper of a credential that turned out to be a key of this API: what a
    /// key of an older pepper is re-hashed to.
    pub fn rehashed(&self, peppers: &Peppers, presented: Presented<'_>) -> Option<crate::secret::Digest> {
        let of_format = [&self.live, &self.test]
            .into_iter()
            .find(|format| format.recognise(peppers, presented).is_ok())
            .map(|format| format.rehashed(peppers, presented));
        of_format.unwrap_or_else(|| imported_digests(peppers, presented).first().copied())
    }
}

/// Rules of a key's name.
#[derive(Debug, Clone)]
pub struct NameRule {
    /// Whether keys have names at all.
    pub offered: bool,
    /// Whether every key must have one.
    pub required: bool,
    /// Fewest Unicode scalar values, after trimming.
    pub min_chars: u32,
    /// Most Unicode scalar values, after trimming.
    pub max_chars: u32,
}

impl NameRule {
    /// The name as it will be kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, name: Option<&str>) -> Result<Option<String>, String> {
        match name {
            Some(_) if !self.offered => Err("keys of this API have no name".into()),
            Some(name) => text::name(name, self.min_chars, self.max_chars).map(Some),
            None if self.required => Err("is required".into()),
            None => Ok(None),
        }
    }
}

/// Rules of a key's expiry.
#[derive(Debug, Clone)]
pub struct ExpiryRule {
    /// Whether keys can have an expiry at all.
    pub offered: bool,
    /// Whether every key must have one.
    pub required: bool,
    /// Longest life.
    pub max: Option<Duration>,
    /// The life of a key for which none is asked.
    pub default: Option<Duration>,
}

impl ExpiryRule {
    /// The expiry of a new key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, expires_at: Option<Timestamp>, now: Timestamp) -> Result<Option<Timestamp>, String> {
        let asked = match expires_at {
            Some(_) if !self.offered => return Err("keys of this API have no expiry".into()),
            Some(end) if end <= now => return Err("must be in the future".into()),
            None if self.required && self.default.is_none() => return Err("is required".into()),
            asked => asked,
        };
        if let (Some(end), Some(max)) = (asked, self.max)
            && end > now.saturating_add(max)
        {
            return Err(format!("must be at most {} from now", duration::write(max)));
        }
        Ok(asked.or_else(|| self.default.or(self.max).map(|life| now.saturating_add(life))))
    }

    /// A new expiry for a key that exists: it can only come sooner.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn shorten(
        &self,
        current: Option<Timestamp>,
        asked: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, String> {
        if !self.offered {
            return Err("keys of this API have no expiry".into());
        }
        if asked <= now {
            return Err("must be in the future; to end the key now, revoke it".into());
        }
        if current.is_some_and(|current| asked > current) {
            return Err("can only be made sooner: a key's life is never lengthened".into());
        }
        Ok(asked)
    }
}

/// How keys are rotated.
#[derive(Debug, Clone)]
pub struct RotationRules {
    /// Whether the old key may stop at once.
    pub in_place: bool,
    /// The longest time the old key may go on; none where it may not.
    pub overlap_max: Option<Duration>,
    /// The overlap where none is asked.
    pub overlap_default: Option<Duration>,
}

/// Why a rotation cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotationRefused {
    /// This API's keys are not rotated.
    NotOffered,
    /// Not with this overlap; the sentence says why.
    Overlap(String),
}

impl RotationRules {
    /// Whether keys can be rotated at all.
    pub fn is_offered(&self) -> bool {
        self.in_place || self.overlap_max.is_some()
    }

    /// The overlap of a rotation for which so much was asked.
    ///
    /// # Errors
    /// [`RotationRefused`] where the contract does not have it.
    pub fn overlap(&self, asked: Option<Duration>) -> Result<Duration, RotationRefused> {
        if !self.is_offered() {
            return Err(RotationRefused::NotOffered);
        }
        let refuse = |sentence: String| Err(RotationRefused::Overlap(sentence));
        let overlap = match asked.or(self.overlap_default) {
            Some(overlap) => overlap,
            None if self.in_place => Duration::ZERO,
            None => return refuse("is required: keys of this API are rotated with an overlap".into()),
        };
        match self.overlap_max {
            _ if overlap.is_zero() && self.in_place => Ok(overlap),
            _ if overlap.is_zero() => {
                refuse("must be more than 0: keys of this API are not rotated in place".into())
            }
            None => refuse("must be 0: the old key of this API stops at once".into()),
            Some(max) if overlap > max => {
                refuse(format!("must be at most {} ({})", max.as_secs(), duration::write(max)))
            }
            Some(_) => Ok(overlap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn p10_names_are_trimmed_then_counted_in_characters() {
        let rule = NameRule { offered: true, required: true, min_chars: 3, max_chars: 100 };
        for bad in ["", "a", "ab", "  a "] {
            assert!(rule.check(Some(bad)).is_err(), "{bad:?}");
        }
        for good in ["abc", "日本語", "🔑🔑🔑"] {
            assert!(rule.check(Some(good)).is_ok(), "{good:?}");
        }
        assert!(rule.check(None).is_err());
    }

    #[test]
    fn p09_expiry_is_required_in_the_future_and_within_the_maximum() {
        let day = Duration::from_secs(86_400);
        let rule = ExpiryRule { offered: true, required: true, max: Some(day), default: None };
        assert!(rule.check(None, NOW).is_err());
        assert!(rule.check(Some(NOW), NOW).is_err());
        assert!(rule.check(Some(NOW.saturating_add(day * 2)), NOW).is_err());
        assert_eq!(rule.check(Some(NOW.saturating_add(day)), NOW), Ok(Some(NOW.saturating_add(day))));
        assert!(rule.shorten(Some(NOW.saturating_add(day)), NOW.saturating_add(day * 2), NOW).is_err());
    }

    #[test]
    fn rotation_is_had_only_as_the_contract_says() {
        let hour = Duration::from_secs(3_600);
        let both = RotationRules { in_place: true, overlap_max: Some(hour), overlap_default: None };
        assert_eq!(both.overlap(None), Ok(Duration::ZERO));
        assert_eq!(both.overlap(Some(hour)), Ok(hour));
        assert!(both.overlap(Some(hour * 2)).is_err());
        let never = RotationRules { in_place: false, overlap_max: None, overlap_default: None };
        assert_eq!(never.overlap(None), Err(RotationRefused::NotOffered));
        let overlapping = RotationRules { in_place: false, overlap_max: Some(hour), overlap_default: Some(hour) };
        assert_eq!(overlapping.overlap(None), Ok(hour));
        assert!(overlapping.overlap(Some(Duration::ZERO)).is_err());
    }
}
