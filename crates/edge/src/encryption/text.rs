//! The inside of a JSON string as it comes, piece by piece: escapes that JSON knows, whole surrogate pairs, UTF-8.

/// A place in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// Before the sign that opens it.
    Before,
    /// Between characters.
    Plain,
    /// In a character of several bytes: how many are left, and between which the next must be.
    Bytes { left: u8, least: u8, most: u8 },
    /// After a backslash.
    Escape,
    /// In the digits of a `\u`: how many came, and what they say so far.
    Digits { count: u8, unit: u16, is_second: bool },
    /// After the first half of a surrogate pair.
    SecondEscape,
    /// After the backslash of its second half.
    SecondU,
    /// After the sign that closes it.
    Over,
}

impl Text {
    /// Reads on up to the string's end or the piece's: how many bytes, and where that is. None where no JSON string
    /// goes on like this.
    pub fn read(mut self, input: &[u8]) -> Option<(usize, Text)> {
        let mut at = 0;
        while at < input.len() {
            if self == Text::Plain {
                at += plain(&input[at..]);
                if at == input.len() {
                    break;
                }
            }
            self = self.after(input[at])?;
            at += 1;
            if self == Text::Over {
                break;
            }
        }
        Some((at, self))
    }

    fn after(self, byte: u8) -> Option<Text> {
        Some(match (self, byte) {
            (Text::Before, b'"') => Text::Plain,
            (Text::Plain, b'"') => Text::Over,
            (Text::Plain, b'\\') => Text::Escape,
            (Text::Plain, 0x20..=0x7f) => Text::Plain,
            (Text::Plain, 0xc2..=0xdf) => Text::Bytes { left: 1, least: 0x80, most: 0xbf },
            (Text::Plain, 0xe0) => Text::Bytes { left: 2, least: 0xa0, most: 0xbf },
            (Text::Plain, 0xed) => Text::Bytes { left: 2, least: 0x80, most: 0x9f },
            (Text::Plain, 0xe1..=0xef) => Text::Bytes { left: 2, least: 0x80, most: 0xbf },
            (Text::Plain, 0xf0) => Text::Bytes { left: 3, least: 0x90, most: 0xbf },
            (Text::Plain, 0xf1..=0xf3) => Text::Bytes { left: 3, least: 0x80, most: 0xbf },
            (Text::Plain, 0xf4) => Text::Bytes { left: 3, least: 0x80, most: 0x8f },
            (Text::Bytes { left, least, most }, byte) if (least..=most).contains(&byte) => match left {
                1 => Text::Plain,
                left => Text::Bytes { left: left - 1, least: 0x80, most: 0xbf },
            },
            (Text::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Text::Plain,
            (Text::Escape, b'u') => Text::Digits { count: 0, unit: 0, is_second: false },
            (Text::SecondEscape, b'\\') => Text::SecondU,
            (Text::SecondU, b'u') => Text::Digits { count: 0, unit: 0, is_second: true },
            (Text::Digits { count, unit, is_second }, digit) => {
                let unit = unit << 4 | (digit as char).to_digit(16)? as u16;
                match (count, is_second, unit) {
                    (0..=2, _, _) => Text::Digits { count: count + 1, unit, is_second },
                    (_, true, 0xdc00..=0xdfff) => Text::Plain,
                    (_, true, _) | (_, false, 0xdc00..=0xdfff) => return None,
                    (_, false, 0xd800..=0xdbff) => Text::SecondEscape,
                    (_, false, _) => Text::Plain,
                }
            }
            _ => return None,
        })
    }
}

/// How many bytes of plain ASCII a string goes on with.
fn plain(input: &[u8]) -> usize {
    let is_plain = |byte: &u8| (0x20..0x80).contains(byte) & (*byte != b'"') & (*byte != b'\\');
    let mut at = 0;
    // Whole blocks first: without a way out in their midst they are looked at many bytes at a time.
    while let Some(block) = input.get(at..at + 32) {
        if !block.iter().fold(true, |all, byte| all & is_plain(byte)) {
            break;
        }
        at += block.len();
    }
    at + input[at..].iter().take_while(|byte| is_plain(byte)).count()
}
