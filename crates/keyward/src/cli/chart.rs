//! What charts in the terminal are made of: bars of block characters, numbers and times in words. Plain
//! functions of what is to be shown; asking for it and printing it are left to the commands.

use std::cmp::Ordering;
use std::time::Duration;

/// The colours of series, as ANSI numbers, and what stands for each where there are none. The last is for the rest.
pub const SERIES: [(u8, char); 6] = [(34, '█'), (35, '▓'), (36, '▒'), (33, '░'), (32, '╱'), (90, '·')];
/// The same where the first is what went well and the others are refusals.
pub const OUTCOMES: [(u8, char); 6] = [(32, '█'), (31, '▓'), (33, '▒'), (35, '░'), (36, '╱'), (90, '·')];

/// A text in a colour; as it is where there are none.
pub fn painted(text: &str, color: Option<u8>) -> String {
    match color {
        Some(color) if !text.is_empty() => format!("\u{1b}[{color}m{text}\u{1b}[0m"),
        _ => text.to_owned(),
    }
}

/// A bar of `width` cells at most, exact to an eighth of one; what is not nothing is seen.
pub fn bar(value: u64, most: u64, width: usize) -> String {
    const PARTS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    let eighths = share(value, most, width * 8);
    let mut text = "█".repeat(eighths / 8);
    text.extend((!eighths.is_multiple_of(8)).then(|| PARTS[eighths % 8 - 1]));
    text
}

/// The same with the rest of the width shown as room.
pub fn gauge(value: u64, most: u64, width: usize) -> String {
    let cells = share(value.min(most), most, width);
    // Full is only what is full.
    let cells = if value < most { cells.min(width.saturating_sub(1)) } else { cells };
    "█".repeat(cells) + &"░".repeat(width - cells)
}

/// How many of `width` cells each part of a stacked bar has. Each that is not nothing has one, where there is room
/// for that.
pub fn stack(parts: &[u64], most: u64, width: usize) -> Vec<usize> {
    let total = parts.iter().fold(0u64, |sum, part| sum.saturating_add(*part));
    let seen = parts.iter().filter(|part| **part > 0).count();
    let cells = share(total, most, width).max(seen.min(width));
    let mut given: Vec<usize> = parts.iter().map(|part| share(*part, total, cells)).collect();
    // Rounding gave some too many or too few: it shows least in the widest.
    loop {
        let sum: usize = given.iter().sum();
        let Some(widest) = given.iter_mut().max() else { return given };
        match sum.cmp(&cells) {
            Ordering::Greater => *widest -= 1,
            Ordering::Less => *widest += 1,
            Ordering::Equal => return given,
        }
    }
}

/// `value` of `most` in `units`, rounded; at least one for what is not nothing.
fn share(value: u64, most: u64, units: usize) -> usize {
    if value == 0 || most == 0 {
        return 0;
    }
    let (value, most, units) = (u128::from(value.min(most)), u128::from(most), units as u128);
    ((value * units + most / 2) / most).max(1) as usize
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole in per cent.
pub fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "0 %".into(),
        whole => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
    }
}

/// How long, in the words that people would use: its two largest units at most.
pub fn in_words(length: Duration) -> String {
    let seconds = length.as_secs() + u64::from(length.subsec_nanos() > 0);
    let two = |large: u64, unit: &str, small: u64, lesser: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {lesser}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        86_400..172_800 => two(1, "day", seconds / 3_600 % 24, "h"),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// What a rate is for: `a minute`, or `in 90 s`.
pub fn each(seconds: u64) -> String {
    match seconds {
        1 => "a second".into(),
        60 => "a minute".into(),
        3_600 => "an hour".into(),
        86_400 => "a day".into(),
        other => format!("in {}", in_words(Duration::from_secs(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_exact_to_an_eighth_and_never_hide_anything() {
        assert_eq!(bar(0, 10, 10), "");
        assert_eq!(bar(10, 10, 10), "██████████");
        assert_eq!(bar(1, 10_000, 10), "▏");
        assert_eq!(bar(5, 8, 1), "▋");
        assert_eq!(bar(u64::MAX, u64::MAX, 3), "███");
        assert_eq!(gauge(0, 0, 4), "░░░░");
        assert_eq!(gauge(1, 1_000, 4), "█░░░");
        assert_eq!(gauge(999, 1_000, 4), "███░");
        assert_eq!(gauge(1_001, 1_000, 4), "████");
    }

    #[test]
    fn parts_of_a_stack_fill_it_and_each_is_seen() {
        assert_eq!(stack(&[5, 5], 10, 10), [5, 5]);
        assert_eq!(stack(&[10_000, 1, 0], 10_001, 10), [9, 1, 0]);
        assert_eq!(stack(&[1, 1, 1], 1_000, 10), [1, 1, 1]);
        assert_eq!(stack(&[0, 0], 10, 10), [0, 0]);
        for parts in [[1, 2, 3], [7, 7, 7], [100, 1, 1], [33, 33, 34]] {
            let most = parts.iter().sum();
            assert_eq!(stack(&parts, most, 40).iter().sum::<usize>(), 40, "{parts:?}");
        }
    }

    #[test]
    fn numbers_and_times_are_as_people_write_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(
            [0, 59, 60, 90, 3_600, 5_400].map(words),
            ["0 s", "59 s", "1 min", "1 min 30 s", "1 h", "1 h 30 min"]
        );
        assert_eq!([86_400, 100_000, 800_000].map(words), ["1 day", "1 day 3 h", "9 days"]);
        assert_eq!(in_words(Duration::from_millis(200)), "1 s");
        assert_eq!([1, 60, 90].map(each), ["a second", "a minute", "in 1 min 30 s"]);
        assert_eq!((percent(1, 3), percent(1, 0)), ("33.3 %".into(), "0 %".into()));
    }
}
