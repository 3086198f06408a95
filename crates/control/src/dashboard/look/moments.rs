//! Moments as people read them: a day and an hour, and how far away that is. UTC, because the server does not know where
//! its reader is; scripts add the reader's own time.

use jiff::tz::TimeZone;
use keyward_core::clock::Timestamp;
use maud::{Markup, html};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A moment as `21 Nov 2026, 14:03 UTC`.
pub fn long(moment: Timestamp) -> String {
    formatted(moment, "%-d %b %Y, %H:%M UTC")
}

/// The time of day of a moment as `14:03:07 UTC`.
pub fn clock(moment: Timestamp) -> String {
    formatted(moment, "%H:%M:%S UTC")
}

/// The day of a moment as `21 Nov 2026`.
pub fn day(moment: Timestamp) -> String {
    formatted(moment, "%-d %b %Y")
}

/// A moment as date fields of forms have it: `2026-11-21`.
pub fn form_date(moment: Timestamp) -> String {
    formatted(moment, "%Y-%m-%d")
}

/// A moment as other programs read it.
pub fn machine(moment: Timestamp) -> String {
    formatted(moment, "%Y-%m-%dT%H:%M:%SZ")
}

fn formatted(moment: Timestamp, format: &str) -> String {
    let found = jiff::Timestamp::from_millisecond(moment.as_millis());
    match found {
        Ok(found) => found.to_zoned(TimeZone::UTC).strftime(format).to_string(),
        // Beyond the calendar that is shown: the end of time.
        Err(_) => "never".into(),
    }
}

/// How far a moment is from now: `in 3 days`, `2 hours ago`, `just now`.
pub fn words(moment: Timestamp, now: Timestamp) -> String {
    let seconds = moment.as_millis().saturating_sub(now.as_millis()) / 1_000;
    let length = span(seconds.unsigned_abs());
    match length {
        None => "just now".into(),
        Some(length) if seconds > 0 => format!("in {length}"),
        Some(length) => format!("{length} ago"),
    }
}

/// A length of time in the largest unit that fits; none where it is less than a minute.
fn span(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let (count, unit) = match seconds {
        ..MINUTE => return None,
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        _ if seconds < 60 * DAY => (seconds / DAY, "day"),
        // The nearest: ninety days less a second are three months.
        _ if seconds < 730 * DAY => ((seconds + 15 * DAY) / (30 * DAY), "month"),
        _ => (seconds / (365 * DAY), "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    Some(format!("{count} {unit}{plural}"))
}

/// A moment, told by how far away it is; the moment itself shows on hovering and to other programs.
pub fn ago(moment: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(machine(moment)) title=(long(moment)) { (words(moment, now)) } }
}

/// A moment to come, told by how far away it is, to the second.
pub fn soon(moment: Timestamp, now: Timestamp) -> Markup {
    let seconds = moment.since(now).as_secs();
    let told = match span(seconds) {
        Some(length) => format!("in {length}"),
        None => format!("in {} second{}", seconds.max(1), if seconds > 1 { "s" } else { "" }),
    };
    html! { time datetime=(machine(moment)) title=(long(moment)) { (told) } }
}

/// A moment, told by its day.
pub fn on_day(moment: Timestamp) -> Markup {
    html! { time datetime=(machine(moment)) title=(long(moment)) { (day(moment)) } }
}

/// A moment, told in full.
pub fn in_full(moment: Timestamp) -> Markup {
    html! { time datetime=(machine(moment)) { (long(moment)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_in_words() {
        let now: Timestamp = "2026-11-21T14:03:00Z".parse().unwrap();
        let at = |text: &str| words(text.parse().unwrap(), now);
        assert_eq!(at("2026-11-21T14:02:30Z"), "just now");
        assert_eq!(at("2026-11-21T14:01:00Z"), "2 minutes ago");
        assert_eq!(at("2026-11-21T15:03:00Z"), "in 1 hour");
        assert_eq!(at("2026-12-21T14:03:00Z"), "in 30 days");
        assert_eq!(at("2027-11-21T14:03:00Z"), "in 12 months");
        assert_eq!(at("2036-11-21T14:03:00Z"), "in 10 years");
        assert_eq!(long(now), "21 Nov 2026, 14:03 UTC");
        assert_eq!((form_date(now), machine(now)), ("2026-11-21".into(), "2026-11-21T14:03:00Z".into()));
        assert_eq!(long(Timestamp::from_millis(i64::MAX)), "never");
    }
}
