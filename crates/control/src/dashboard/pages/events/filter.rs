//! What of an event log is asked for: by name, key and time. The same address filters the page and its exports; what
//! somebody typed that means nothing is told and does not filter.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use keyward_core::clock::Timestamp;
use keyward_core::id::KeyId;
use keyward_core::store::EventFilter;
use serde::Deserialize;

use super::told::OF_PROJECTS;
use crate::dashboard::answer::Failure;
use crate::use_cases::{ControlError, Fault};

/// What the address asks for.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// One of the names of events.
    pub name: String,
    /// A key's id.
    pub key: String,
    /// The first day, of UTC.
    pub from: String,
    /// The last day, of UTC.
    pub to: String,
    /// The place to go on from.
    pub cursor: String,
}

impl Asked {
    /// The filter, and what of it means nothing.
    pub fn filter(&self) -> (EventFilter, Option<ControlError>) {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: &str| {
            faults.push(Fault { field: field.to_owned(), message: message.to_owned(), line: None });
        };
        let name = Some(self.name.clone()).filter(|name| !name.is_empty());
        if name.as_ref().is_some_and(|name| !OF_PROJECTS.iter().any(|(known, _)| known == name)) {
            fault("name", "is no event");
        }
        let key: Option<KeyId> = match self.key.trim() {
            "" => None,
            text => text.parse().map_err(|_| fault("key", "is no id of a key: those begin with key_")).ok(),
        };
        let mut day = |field, text: &str, is_end| match text.trim() {
            "" => None,
            text => midnight(text, is_end).or_else(|| {
                fault(field, "is no day such as 2026-01-31");
                None
            }),
        };
        let from = day("from", &self.from, false);
        let to = day("to", &self.to, true);
        let filter = EventFilter { key, name, from, to };
        (filter, (!faults.is_empty()).then_some(ControlError::Invalid(faults)))
    }

    /// The filter of an export: all of it has to mean something.
    ///
    /// # Errors
    /// What does not.
    pub fn strict(&self) -> Result<EventFilter, Failure> {
        match self.filter() {
            (filter, None) => Ok(filter),
            (_, Some(error)) => Err(error.into()),
        }
    }

    /// Whether it asks for less than all.
    pub fn is_narrow(&self) -> bool {
        [&self.name, &self.key, &self.from, &self.to].into_iter().any(|part| !part.is_empty())
    }

    /// The address of a page that is filtered alike, with another place to go on from.
    pub fn address(&self, path: &str, cursor: Option<&str>) -> String {
        let parts = [("name", &*self.name), ("key", &self.key), ("from", &self.from), ("to", &self.to)];
        let parts = parts.into_iter().chain(cursor.map(|cursor| ("cursor", cursor)));
        let parts: Vec<(&str, &str)> = parts.filter(|(_, value)| !value.is_empty()).collect();
        match serde_html_form::to_string(&parts) {
            Ok(query) if !query.is_empty() => format!("{path}?{query}"),
            _ => path.to_owned(),
        }
    }

    /// What a cursor of a log that is filtered like this is good for (trust.md I05).
    pub fn purpose(&self, of: &str) -> String {
        format!("dashboard events {of} {:?} {:?} {:?} {:?}", self.name, self.key, self.from, self.to)
    }
}

/// The first moment of a day of UTC, or where it is the last day asked for, of the day after.
fn midnight(text: &str, is_end: bool) -> Option<Timestamp> {
    let day: Date = Date::strptime("%Y-%m-%d", text).ok()?;
    let day = if is_end { day.tomorrow().ok()? } else { day };
    let moment = day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some(Timestamp::from_millis(moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, key: &str, from: &str, to: &str) -> Asked {
        Asked { name: name.into(), key: key.into(), from: from.into(), to: to.into(), cursor: String::new() }
    }

    #[test]
    fn both_days_are_whole() {
        let (filter, error) = asked("key.used", "", "2026-11-20", "2026-11-21").filter();
        assert!(error.is_none());
        assert_eq!(filter.from, "2026-11-20T00:00:00Z".parse().ok());
        assert_eq!(filter.to, "2026-11-22T00:00:00Z".parse().ok());
    }

    #[test]
    fn what_means_nothing_is_told_and_keeps_an_export_from_being_another_than_asked_for() {
        for bad in [
            asked("x", "", "", ""),
            asked("", "proj_1", "", ""),
            asked("", "", "tomorrow", ""),
            asked("", "", "", "9999-99-99"),
        ] {
            assert!(bad.filter().1.is_some() && bad.strict().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn i05_a_cursor_is_good_for_one_filter_of_one_log() {
        let one = asked("key.used", "", "", "").purpose("proj_1");
        assert_ne!(one, asked("key.used", "", "", "").purpose("proj_2"));
        assert_ne!(one, asked("", "key.used", "", "").purpose("proj_1"));
        let address = asked("key.used", "", "2026-01-01", "").address("/x", Some("a b"));
        assert_eq!(address, "/x?name=key.used&from=2026-01-01&cursor=a+b");
    }
}
