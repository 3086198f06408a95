//! The periods of quotas: days and months of UTC, where no day is longer than another and none comes twice.

use crate::clock::Timestamp;

/// How long one counting of a quota lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A day of UTC.
    Day,
    /// A calendar month of UTC.
    Month,
    /// For ever: what is used up never comes back of itself.
    Lifetime,
}

/// One period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its name, unlike every other's: `2026-11-21`, `2026-11` or `lifetime`.
    pub id: Box<str>,
    /// Its first moment.
    pub start: Timestamp,
    /// The first moment after it; none where it has no end.
    pub end: Option<Timestamp>,
}

impl Span {
    /// Whether a moment lies in it.
    pub fn holds(&self, moment: Timestamp) -> bool {
        self.start <= moment && self.end.is_none_or(|end| moment < end)
    }
}

const DAY: i64 = 86_400_000;

impl Period {
    /// The word in contracts and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Month => "month",
            Period::Lifetime => "lifetime",
        }
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Period::Day, Period::Month, Period::Lifetime].into_iter().find(|period| period.as_str() == word)
    }

    /// The period that a moment lies in.
    pub fn span(self, moment: Timestamp) -> Span {
        let lifetime = || Span { id: "lifetime".into(), start: Timestamp::from_millis(i64::MIN), end: None };
        match self {
            Period::Lifetime => lifetime(),
            Period::Day => {
                let start = Timestamp::from_millis(moment.as_millis().div_euclid(DAY) * DAY);
                let id = start.to_string()[..10].into();
                Span { id, start, end: Some(Timestamp::from_millis(start.as_millis() + DAY)) }
            }
            Period::Month => {
                let (year, month) = year_and_month(moment);
                let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                Span {
                    id: format!("{year:04}-{month:02}").into(),
                    start: first_of(year, month),
                    end: Some(first_of(next_year, next_month)),
                }
            }
        }
    }
}

fn year_and_month(moment: Timestamp) -> (i16, i8) {
    let date = jiff::Timestamp::from_millisecond(moment.as_millis())
        .unwrap_or(jiff::Timestamp::MAX)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    (date.year(), date.month())
}

fn first_of(year: i16, month: i8) -> Timestamp {
    let first = jiff::civil::Date::new(year, month, 1)
        .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
        .map(|zoned| zoned.timestamp().as_millisecond());
    first.map_or(Timestamp::MAX, Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn q10_periods_follow_one_another_without_gap_or_overlap() {
        // Over the ends of months, a leap day, a year, and the nights when clocks are put forward and back.
        let moments = [
            "2024-02-28T23:59:59.999Z",
            "2024-02-29T00:00:00Z",
            "2026-03-29T01:00:00Z",
            "2026-10-25T00:59:59.999Z",
            "2026-11-30T23:59:59.999Z",
            "2026-12-31T23:59:59.999Z",
            "2027-01-01T00:00:00Z",
        ];
        for text in moments {
            for period in [Period::Day, Period::Month] {
                let span = period.span(moment(text));
                assert!(span.holds(moment(text)), "{text} in {span:?}");
                let end = span.end.unwrap();
                let next = period.span(end);
                assert_eq!(next.start, end);
                assert_ne!(next.id, span.id);
                assert_eq!(period.span(Timestamp::from_millis(end.as_millis() - 1)), span);
            }
        }
        assert_eq!(&*Period::Month.span(moment("2026-12-31T23:59:59.999Z")).id, "2026-12");
        assert_eq!(&*Period::Day.span(moment("2024-02-29T12:00:00Z")).id, "2024-02-29");
        assert!(Period::Lifetime.span(moment("2026-12-31T23:59:59.999Z")).end.is_none());
        assert!(Period::Month.span(Timestamp::MAX).holds(Timestamp::from_millis(Timestamp::MAX.as_millis() - 1)));
    }
}
