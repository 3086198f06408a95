//! How limits stand, as JSON in an answer. Written by hand: a serializer and a calendar that know everything cost
//! more than the whole decision.

use keyward_core::clock::Timestamp;
use keyward_verify::limits::{Charge, LimitKind, LimitState};

use crate::asking::limits::{resets_after, whole_seconds, write_number};

/// A guess at the bytes of one limit, so that few answers have to grow.
pub(super) const BYTES_OF_ONE: usize = 192;
const DAY_MILLIS: i64 = 86_400_000;

/// Writes the limits of a charge, as items of a list.
pub(super) fn write(line: &mut Vec<u8>, charge: &Charge) {
    let Some(at) = charge.at() else { return };
    for (place, state) in charge.states().enumerate() {
        if place > 0 {
            line.push(b',');
        }
        write_one(line, &state, at);
    }
}

/// Names of limits are letters, digits, `_` and `-`: nothing in them needs an escape.
fn write_one(line: &mut Vec<u8>, state: &LimitState<'_>, at: Timestamp) {
    line.extend_from_slice(b"{\"name\":\"");
    line.extend_from_slice(state.name.as_bytes());
    line.extend_from_slice(match state.kind {
        LimitKind::Rate => b"\",\"kind\":\"rate\",\"by\":\"",
        LimitKind::Quota => b"\",\"kind\":\"quota\",\"by\":\"",
    });
    line.extend_from_slice(state.by.as_str().as_bytes());
    line.extend_from_slice(b"\",\"limit\":");
    write_number(line, state.limit);
    line.extend_from_slice(b",\"remaining\":");
    write_number(line, state.remaining);
    line.extend_from_slice(b",\"used\":");
    write_number(line, state.used);
    match resets_after(state) {
        Some(time) => {
            line.extend_from_slice(b",\"reset_after\":");
            write_number(line, whole_seconds(time));
            line.extend_from_slice(b",\"reset_at\":\"");
            line.extend_from_slice(&moment(at.saturating_add(time)));
            line.extend_from_slice(b"\"}");
        }
        None => line.extend_from_slice(b",\"reset_after\":null,\"reset_at\":null}"),
    }
}

/// A moment as RFC 3339, as its `Display` writes it.
fn moment(moment: Timestamp) -> [u8; 24] {
    let millis = moment.as_millis().clamp(0, Timestamp::MAX.as_millis());
    let (year, month, day) = date_of((millis / DAY_MILLIS) as u32);
    let of_day = (millis % DAY_MILLIS) as u32;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], of_day / 3_600_000);
    put(&mut text[14..16], of_day / 60_000 % 60);
    put(&mut text[17..19], of_day / 1000 % 60);
    put(&mut text[20..23], of_day % 1000);
    text
}

fn put(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since the Unix epoch, in the proleptic Gregorian calendar. Years are counted from
/// March, so that the day of a leap year is the last of its year.
fn date_of(day: u32) -> (u32, u32, u32) {
    // Eras of 400 years, all of the same length, from the 1st of March of the year 0.
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keyward_core::limits::{LimitBy, NEVER};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn moments_are_written_as_everywhere() {
        let mut moments: Vec<i64> = (0..40_000).map(|n| n * 73 * DAY_MILLIS / 10 + n * 1_234_567).collect();
        moments.extend((0..40_000).map(|n| n * DAY_MILLIS));
        moments.extend((0..80_000).map(|n| n * DAY_MILLIS - 1));
        let written = |at: Timestamp| String::from_utf8(moment(at).to_vec()).unwrap();
        for millis in moments.into_iter().filter(|millis| (0..=Timestamp::MAX.as_millis()).contains(millis)) {
            let at = Timestamp::from_millis(millis);
            assert_eq!(written(at), at.to_string());
        }
        assert_eq!(written(Timestamp::MAX), "9999-12-31T23:59:59.999Z");
    }

    fn written(state: &LimitState<'_>) -> Value {
        let mut line = Vec::new();
        write_one(&mut line, state, "2026-11-21T12:00:00.250Z".parse().unwrap());
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn a_limit_is_told_with_when_it_is_all_there_again() {
        let rate = LimitState {
            name: "requests",
            kind: LimitKind::Rate,
            by: LimitBy::Key,
            limit: 10,
            remaining: 9,
            used: 1,
            reset_after: Duration::from_millis(5_750),
            window: Some(Duration::from_secs(60)),
        };
        let expected = json!({
            "name": "requests", "kind": "rate", "by": "key", "limit": 10, "remaining": 9, "used": 1,
            "reset_after": 6, "reset_at": "2026-11-21T12:00:06.000Z",
        });
        assert_eq!(written(&rate), expected);
        let ever = LimitState { name: "trial", kind: LimitKind::Quota, reset_after: NEVER, window: None, ..rate };
        let told = written(&ever);
        assert_eq!(
            (&told["kind"], &told["reset_after"], &told["reset_at"]),
            (&json!("quota"), &json!(null), &json!(null))
        );
    }
}
