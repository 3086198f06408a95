//! Durations as contracts write them: a whole number and a unit, such as `90s`, `24h` or `365d`.

use std::time::Duration;

/// The longest duration a contract may name: a hundred years.
const SECONDS_MAX: u64 = 100 * 366 * 86_400;

/// Reads a duration; the error says what would be right.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no duration; write a whole number and s, m, h or d, such as 24h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(total) if (1..=SECONDS_MAX).contains(&total) => Ok(Duration::from_secs(total)),
        Some(0) => Err("a duration is longer than nothing".into()),
        _ => Err("a duration is at most a hundred years".into()),
    }
}

/// Writes a duration in the largest unit that divides it.
pub fn write(duration: Duration) -> String {
    let seconds = duration.as_secs();
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        assert_eq!(parse("24h").unwrap(), Duration::from_secs(86_400));
        assert_eq!(write(parse("24h").unwrap()), "1d");
        assert_eq!(write(parse("90s").unwrap()), "90s");
        for bad in ["", "h", "1", "-1h", "1.5h", "0s", "9999999999999d", "1y", "1 h", "é"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
