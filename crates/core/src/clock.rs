//! Time as an argument: the timestamp every record carries and the clock that rules are given.
//!
//! The clock that reads the machine lives in `keyward-verify`; nothing here does I/O.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in UTC, in whole milliseconds since the Unix epoch. Written as RFC 3339 wherever people or
/// programs read it, as the integer wherever a store keeps it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last moment that RFC 3339 can write (four-digit years): 9999-12-31T23:59:59.999Z.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999);

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment moved on by `duration`, stopping at [`Timestamp::MAX`] instead of overflowing.
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// Time from `earlier` to this moment; zero where `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// The start of the minute this moment lies in: the step by which uses are folded.
    pub fn minute(self) -> Self {
        Timestamp(self.0.div_euclid(60_000) * 60_000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an RFC 3339 time between the years 1970 and 9999.
#[derive(Debug, thiserror::Error)]
#[error("not an RFC 3339 time such as 2030-01-31T12:00:00Z")]
pub struct NotATimestamp;

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        if !has_rfc3339_shape(text.as_bytes()) {
            return Err(NotATimestamp);
        }
        let moment: jiff::Timestamp = text.parse().map_err(|_| NotATimestamp)?;
        let millis = moment.as_millisecond();
        if !(0..=Self::MAX.0).contains(&millis) {
            return Err(NotATimestamp);
        }
        Ok(Timestamp(millis))
    }
}

/// Whether a text looks as RFC 3339 says: jiff also reads other forms, names of time zones and larger offsets.
fn has_rfc3339_shape(text: &[u8]) -> bool {
    let fits = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                letter => byte.eq_ignore_ascii_case(letter),
            })
    };
    let Some((moment, rest)) = text.split_at_checked(b"0000-00-00T00:00:00".len()) else { return false };
    let digits =
        rest.strip_prefix(b".").map_or(0, |rest| 1 + rest.iter().take_while(|b| b.is_ascii_digit()).count());
    let offset = &rest[digits..];
    let is_offset = fits(offset, b"Z")
        || (matches!(offset.first(), Some(b'+' | b'-'))
            && fits(&offset[1..], b"00:00")
            && &offset[1..3] < b"24".as_slice());
    fits(moment, b"0000-00-00T00:00:00") && digits != 1 && is_offset
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where time comes from. Rules take the moment itself; long-lived parts take a clock.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock: expiry, ends of overlaps, what people read.
    fn now(&self) -> Timestamp;

    /// Nanoseconds on a clock that never jumps and goes on while the machine sleeps (CLOCK_BOOTTIME):
    /// leases and timeouts. Only differences mean anything.
    fn boottime_nanos(&self) -> i64;
}

/// A clock that moves only when told to, for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        ManualClock(AtomicI64::new(start.as_millis()))
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn boottime_nanos(&self) -> i64 {
        self.0.load(Ordering::SeqCst).saturating_mul(1_000_000)
    }
}

/// Where randomness comes from: the operating system in production, a seed in tests.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random bytes.
    ///
    /// # Panics
    /// Where the operating system has none to give: going on would mint guessable keys.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_back_as_written() {
        let moment = Timestamp::from_millis(1_795_218_680_123);
        assert_eq!(moment.to_string(), "2026-11-20T23:51:20.123Z");
        assert_eq!("2026-11-20T23:51:20.123Z".parse::<Timestamp>().unwrap(), moment);
        assert_eq!("2026-11-21T00:51:20.123+01:00".parse::<Timestamp>().unwrap(), moment);
    }

    #[test]
    fn times_outside_the_written_range_are_refused() {
        for text in ["", "tomorrow", "1969-12-31T23:59:59Z", "2030-01-01", "+010000-01-01T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        for text in ["", "+25:00", "+1:00", "+0100", "Z[Europe/Berlin]", ".Z", "Zulu", "+01:00[u-ca=hebrew]", " Z"]
        {
            let text = format!("2030-01-01T00:00:00{text}");
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert_eq!(Timestamp::from_millis(0).saturating_add(Duration::MAX), Timestamp::MAX);
    }
}
