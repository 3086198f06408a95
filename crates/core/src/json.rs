//! A strict reading of JSON before anything is made of it: syntax, depth, width, duplicate keys and numbers
//! that would not be kept as written. What passes is then read with serde, which sees only sane documents.
//!
//! The check is one pass without recursion, so a hostile document costs time in its length and no stack.
//! How many bytes a document may have is for the caller to say before it is in memory at all.

use std::borrow::Cow;
use std::fmt;

/// How deep and how wide a document may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Most arrays and objects that stand in one another.
    pub depth_max: usize,
    /// Most keys of objects, over the whole document.
    pub keys_max: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        JsonLimits { depth_max: 32, keys_max: 1_000 }
    }
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, at byte {offset}")]
pub struct JsonError {
    /// Bytes before the place.
    pub offset: usize,
    /// What is wrong there.
    pub fault: JsonFault,
}

/// The ways in which a document can be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonFault {
    /// It is not JSON; the words say what was expected.
    Syntax(&'static str),
    /// Arrays and objects stand in one another more than so many deep.
    TooDeep(usize),
    /// Its objects have more than so many keys together.
    TooManyKeys(usize),
    /// One object has a key twice: readers disagree on which counts.
    DuplicateKey(String),
    /// A number that 64 bits do not hold as it is written.
    Number,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonFault::Syntax(expected) => write!(f, "not JSON: expected {expected}"),
            JsonFault::TooDeep(max) => write!(f, "nested more than {max} deep"),
            JsonFault::TooManyKeys(max) => write!(f, "more than {max} keys"),
            JsonFault::DuplicateKey(key) => write!(f, "the key {key:?} stands there twice"),
            JsonFault::Number => {
                f.write_str("a number that 64 bits do not hold exactly: integers go from -2^63 to 2^63-1")
            }
        }
    }
}

/// Checks that `bytes` are one JSON document within `limits`, in UTF-8, with no key twice in one object
/// and with every number kept as written: an integer from -2^63 to 2^63-1, or a decimal that a 64-bit
/// floating-point number gives back digit by digit.
///
/// # Errors
/// The first fault and its place; a duplicate key is found where its object ends.
pub fn check(bytes: &[u8], limits: JsonLimits) -> Result<(), JsonError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| JsonError { offset: error.valid_up_to(), fault: JsonFault::Syntax("UTF-8") })?;
    Scanner { text, bytes, at: 0, limits, keys: Vec::new(), keys_seen: 0, open: Vec::new() }.document()
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    limits: JsonLimits,
    /// The keys of every open object, those of the innermost last.
    keys: Vec<(Cow<'a, str>, usize)>,
    keys_seen: usize,
    open: Vec<Open>,
}

/// An array or object whose end has not come.
#[derive(Clone, Copy)]
enum Open {
    Array,
    /// With the place of its first key in `keys`.
    Object(usize),
}

type Step<T = ()> = Result<T, JsonError>;

impl<'a> Scanner<'a> {
    fn document(mut self) -> Step {
        loop {
            self.skip_space();
            if self.begin_value()? {
                continue;
            }
            if !self.end_values()? {
                break;
            }
        }
        self.skip_space();
        if self.at < self.bytes.len() { self.expected("nothing after the document") } else { Ok(()) }
    }

    /// Reads a scalar or an opening bracket; true where a value must follow next.
    fn begin_value(&mut self) -> Step<bool> {
        match self.peek() {
            Some(b'{') => {
                self.enter(Open::Object(self.keys.len()))?;
                if self.take_after_space(b'}') { self.leave().map(|()| false) } else { self.key().map(|()| true) }
            }
            Some(b'[') => {
                self.enter(Open::Array)?;
                if self.take_after_space(b']') { self.leave().map(|()| false) } else { Ok(true) }
            }
            Some(b'"') => self.string().map(|_| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.expected("a value"),
        }
    }

    /// After a value: goes on to the next one (true), or closes what ends here until nothing is open (false).
    fn end_values(&mut self) -> Step<bool> {
        while let Some(open) = self.open.last().copied() {
            let end = if matches!(open, Open::Array) { b']' } else { b'}' };
            if self.take_after_space(b',') {
                if matches!(open, Open::Object(_)) {
                    self.key()?;
                }
                return Ok(true);
            }
            if !self.take_after_space(end) {
                return self.expected(if end == b']' { "a comma or ]" } else { "a comma or }" });
            }
            self.leave()?;
        }
        Ok(false)
    }

    fn enter(&mut self, open: Open) -> Step {
        if self.open.len() >= self.limits.depth_max {
            return self.fault(JsonFault::TooDeep(self.limits.depth_max));
        }
        self.open.push(open);
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) -> Step {
        let Some(Open::Object(first)) = self.open.pop() else { return Ok(()) };
        let keys = &mut self.keys[first..];
        if keys.len() > 1 {
            keys.sort_unstable();
            if let Some(pair) = keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                let key = pair[1].0.chars().take(64).collect();
                return Err(JsonError { offset: pair[1].1, fault: JsonFault::DuplicateKey(key) });
            }
        }
        self.keys.truncate(first);
        Ok(())
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Step {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return self.expected("a key in quotation marks");
        }
        self.keys_seen += 1;
        if self.keys_seen > self.limits.keys_max {
            return self.fault(JsonFault::TooManyKeys(self.limits.keys_max));
        }
        let start = self.at;
        let has_escapes = self.string()?;
        let inside = &self.text[start + 1..self.at - 1];
        let key = match has_escapes {
            false => Cow::Borrowed(inside),
            true => match serde_json::from_str::<String>(&self.text[start..self.at]) {
                Ok(key) => Cow::Owned(key),
                Err(_) => return self.expected("a whole surrogate pair"),
            },
        };
        self.keys.push((key, start));
        if self.take_after_space(b':') { Ok(()) } else { self.expected("a colon") }
    }

    /// Reads a string; true where it has escapes.
    fn string(&mut self) -> Step<bool> {
        self.at += 1;
        let mut has_escapes = false;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(0..=0x1F) => return self.expected("no control character in a string; write it as \\u00.."),
                Some(_) => self.at += 1,
                None => return self.expected("the end of a string"),
            }
        }
    }

    fn escape(&mut self) -> Step {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.code_unit(self.at) {
                Some(0xD800..=0xDBFF) if matches!(self.code_unit(self.at + 6), Some(0xDC00..=0xDFFF)) => {
                    self.at += 12;
                    Ok(())
                }
                Some(unit) if !(0xD800..=0xDFFF).contains(&unit) => {
                    self.at += 6;
                    Ok(())
                }
                Some(_) => self.expected("a whole surrogate pair"),
                None => self.expected("four hexadecimal digits"),
            },
            _ => self.expected("an escape that JSON knows"),
        }
    }

    /// The UTF-16 unit that a `\uXXXX` at `at` stands for.
    fn code_unit(&self, at: usize) -> Option<u16> {
        let escape = self.bytes.get(at..at + 6)?;
        let digits = escape.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0u16, |unit, &digit| Some(unit << 4 | (digit as char).to_digit(16)? as u16))
    }

    fn number(&mut self) -> Step {
        let start = self.at;
        self.take(b'-');
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.expected("a digit"),
        }
        let mut is_integer = true;
        if self.take(b'.') {
            is_integer = false;
            self.some_digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            is_integer = false;
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.some_digits()?;
        }
        let text = &self.text[start..self.at];
        let is_kept = if is_integer { text.parse::<i64>().is_ok() } else { is_exact_decimal(text) };
        if is_kept { Ok(()) } else { Err(JsonError { offset: start, fault: JsonFault::Number }) }
    }

    fn some_digits(&mut self) -> Step {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.expected("a digit");
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &'static str) -> Step<bool> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.expected("a value");
        }
        self.at += word.len();
        Ok(false)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn take_after_space(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.take(byte)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expected<T>(&self, what: &'static str) -> Step<T> {
        self.fault(JsonFault::Syntax(what))
    }

    fn fault<T>(&self, fault: JsonFault) -> Step<T> {
        Err(JsonError { offset: self.at, fault })
    }
}

/// Whether the nearest 64-bit floating-point number is written with the same digits again.
fn is_exact_decimal(text: &str) -> bool {
    let Ok(value) = text.parse::<f64>() else { return false };
    // Longer ones cannot come back: the shortest form of any number has at most 17 digits. Of two that are
    // equally short and equally near, serde_json writes another than the standard library: either will do.
    let written = [format!("{value:e}"), serde_json::Value::from(value).to_string()];
    value.is_finite() && written.iter().any(|written| significant(text) == significant(written))
}

/// A decimal's digits without zeros at either end, and the power of ten of the last of them. None where
/// the exponent is beyond reason.
fn significant(text: &str) -> Option<(String, i64)> {
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    let exponent: i64 = exponent.parse().ok()?;
    let last = exponent.checked_sub(fraction.len() as i64)?.checked_add((digits.len() - kept.len()) as i64)?;
    let kept = kept.trim_start_matches('0');
    Some((kept.to_owned(), if kept.is_empty() { 0 } else { last }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> Option<JsonFault> {
        check(text.as_bytes(), JsonLimits::default()).err().map(|error| error.fault)
    }

    #[test]
    fn documents_that_are_json_pass() {
        for good in [
            "0",
            " null ",
            "true",
            "[]",
            "{}",
            "[1,2,[3]]",
            r#"{"a":{"b":[{"a":1}]},"b":"\u00e9\ud83d\udd11\n"}"#,
            "-0",
            "0.1",
            "1e3",
            "-1.5E-7",
            "9223372036854775807",
            "-9223372036854775808",
            "0e9",
            "[0.0,100.00]",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in [
            "",
            " ",
            "{",
            "[",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{'a':1}",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "nul",
            "tru",
            "NaN",
            "Infinity",
            "\"",
            "\"\u{1}\"",
            r#""\x""#,
            r#""\u12""#,
            r#""\ud83d""#,
            r#""\udd11""#,
            "1 2",
            "[1}",
            "{\"a\":1]",
            "[1 2]",
            "//c\n1",
            "\u{feff}1",
            r#"{"\ud800":1}"#,
        ] {
            assert!(matches!(fault(bad), Some(JsonFault::Syntax(_))), "{bad}");
        }
        assert!(check(b"\"\xff\"", JsonLimits::default()).is_err());
    }

    #[test]
    fn h16_depth_width_duplicates_and_numbers_are_bounded() {
        assert_eq!(fault(&format!("{}{}", "[".repeat(32), "]".repeat(32))), None);
        assert_eq!(fault(&"[".repeat(100_000)), Some(JsonFault::TooDeep(32)));
        assert_eq!(fault(&"{\"a\":".repeat(100_000)), Some(JsonFault::TooDeep(32)));
        let wide = |n| format!("{{{}}}", (0..n).map(|i| format!("\"k{i}\":0")).collect::<Vec<_>>().join(","));
        assert_eq!(fault(&wide(1_000)), None);
        assert_eq!(fault(&wide(1_001)), Some(JsonFault::TooManyKeys(1_000)));
        let twice = Some(JsonFault::DuplicateKey("scope".into()));
        assert_eq!(fault(r#"{"scope":"a","scope":"b"}"#), twice);
        assert_eq!(fault(r#"{"scope":"a","x":1,"sc\u006fpe":"b"}"#), twice);
        assert_eq!(fault(r#"[{"x":[{"scope":1,"scope":1}]}]"#), twice);
        for number in
            ["1e400", "-1e400", "9223372036854775808", "-9223372036854775809", "1e-400", "18446744073709551616"]
        {
            assert_eq!(fault(number), Some(JsonFault::Number), "{number}");
        }
        for number in ["0.12345678901234567890", "9007199254740993.0", "1e99999999999999999999"] {
            assert_eq!(fault(number), Some(JsonFault::Number), "{number}");
        }
    }

    #[test]
    fn the_place_is_told() {
        let error = check(b"{\"a\": 1, \"a\": 2}", JsonLimits::default()).unwrap_err();
        assert_eq!(error.to_string(), "the key \"a\" stands there twice, at byte 9");
    }

    proptest! {
        #[test]
        fn what_passes_serde_reads_too(text in r#"[\[\]{}",:0-9eE.+\-a\\u ]{0,40}"#) {
            if check(text.as_bytes(), JsonLimits::default()).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }

        #[test]
        fn what_serde_writes_passes(number in any::<f64>().prop_filter("finite", |n| n.is_finite()), text in ".*") {
            let document = serde_json::json!({ "n": number, "t": text, text: [number] });
            if document.as_object().is_some_and(|object| object.len() == 3) {
                prop_assert_eq!(check(document.to_string().as_bytes(), JsonLimits::default()), Ok(()));
            }
        }
    }
}
