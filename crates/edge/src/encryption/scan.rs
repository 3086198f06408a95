//! JSON as it comes, piece by piece: where values and keys begin and end, and whether it is JSON at all, as strictly as
//! `keyward_core::json` reads (UTF-8, whole surrogate pairs, a depth that is capped). Numbers may be any: nobody makes
//! anything of them here. Nothing is kept of the text but the place in it.

use super::text::Text;

/// How deep arrays and objects may stand in one another; as everywhere else.
const DEPTH_MAX: usize = 32;

/// What stands at the place that was read up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The piece has ended.
    Nothing,
    /// A key begins with the next byte.
    Key,
    /// A key has ended.
    KeyEnd,
    /// A value begins with the next byte.
    Value,
    /// An object or array was opened.
    Opened(Kind),
    /// A value has ended.
    ValueEnd,
}

/// What holds values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
}

/// Why a text is not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotJson {
    #[error("no JSON")]
    Syntax,
    #[error("nested more than {DEPTH_MAX} deep")]
    TooDeep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value must come.
    Value,
    /// A value, or the end of an array that has none.
    FirstItem,
    /// A key, or the end of an object that has none.
    FirstKey,
    /// A key must come.
    Key,
    Colon,
    /// The value that was marked begins with this byte.
    Begin,
    InKey(Text),
    InString(Text),
    InNumber(Number),
    InWord(&'static [u8]),
    /// A comma or the end of what the value stands in.
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

/// A reader of one document.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    open: [Kind; DEPTH_MAX],
    depth: usize,
    /// Nothing is marked until the value ends that stands this deep.
    quiet_at: Option<usize>,
}

impl Scanner {
    pub fn new() -> Self {
        Scanner { state: State::Value, open: [Kind::Array; DEPTH_MAX], depth: 0, quiet_at: None }
    }

    /// After [`Mark::Value`]: the next mark is the end of that value.
    pub fn skip_value(&mut self) {
        self.quiet_at = Some(self.depth);
    }

    /// How many objects and arrays stand around this place.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Whether the document is whole where it ends here.
    pub fn is_whole(&self) -> bool {
        let is_over = match self.state {
            State::After => true,
            State::InNumber(number) => number.can_end(),
            _ => false,
        };
        is_over && self.depth == 0
    }

    /// Reads up to the next mark: how many bytes of `input` stand before it, and which it is.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Mark), NotJson> {
        let mut at = 0;
        while at < input.len() {
            let (read, mark) = self.step(&input[at..])?;
            at += read;
            let is_heard = match (mark, self.quiet_at) {
                (Mark::Nothing, _) => false,
                (_, None) => true,
                (Mark::ValueEnd, Some(depth)) if depth == self.depth => {
                    self.quiet_at = None;
                    true
                }
                (_, Some(_)) => false,
            };
            if is_heard {
                return Ok((at, mark));
            }
        }
        Ok((at, Mark::Nothing))
    }

    /// Reads one byte or a run of them; `input` is not empty.
    fn step(&mut self, input: &[u8]) -> Result<(usize, Mark), NotJson> {
        let byte = input[0];
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Begin => self.begin(byte).map(|mark| (1, mark)),
            State::InString(text) => self.string(text, input, false),
            State::InKey(text) => self.string(text, input, true),
            State::InNumber(number) => self.number(number, input),
            State::InWord(rest) => self.word(rest, byte),
            _ if is_space => {
                let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
                Ok((input.iter().take_while(is_space).count(), Mark::Nothing))
            }
            State::FirstItem if byte == b']' => self.close(Kind::Array),
            State::FirstKey if byte == b'}' => self.close(Kind::Object),
            State::FirstKey | State::Key if byte == b'"' => {
                // Marked before its first byte, which the next step reads.
                self.state = State::InKey(Text::Before);
                Ok((0, Mark::Key))
            }
            State::Colon if byte == b':' => self.goes_to(State::Value),
            State::Value | State::FirstItem => {
                self.state = State::Begin;
                Ok((0, Mark::Value))
            }
            State::After => match (byte, self.depth.checked_sub(1).map(|at| self.open[at])) {
                (b',', Some(Kind::Array)) => self.goes_to(State::Value),
                (b',', Some(Kind::Object)) => self.goes_to(State::Key),
                (b']', Some(Kind::Array)) => self.close(Kind::Array),
                (b'}', Some(Kind::Object)) => self.close(Kind::Object),
                _ => Err(NotJson::Syntax),
            },
            State::FirstKey | State::Key | State::Colon => Err(NotJson::Syntax),
        }
    }

    fn goes_to(&mut self, state: State) -> Result<(usize, Mark), NotJson> {
        self.state = state;
        Ok((1, Mark::Nothing))
    }

    fn begin(&mut self, byte: u8) -> Result<Mark, NotJson> {
        self.state = match byte {
            b'{' => return self.enter(Kind::Object, State::FirstKey),
            b'[' => return self.enter(Kind::Array, State::FirstItem),
            b'"' => State::InString(Text::Plain),
            b'-' => State::InNumber(Number::Minus),
            b'0' => State::InNumber(Number::Zero),
            b'1'..=b'9' => State::InNumber(Number::Whole),
            b't' => State::InWord(b"rue"),
            b'f' => State::InWord(b"alse"),
            b'n' => State::InWord(b"ull"),
            _ => return Err(NotJson::Syntax),
        };
        Ok(Mark::Nothing)
    }

    fn enter(&mut self, kind: Kind, state: State) -> Result<Mark, NotJson> {
        *self.open.get_mut(self.depth).ok_or(NotJson::TooDeep)? = kind;
        self.depth += 1;
        self.state = state;
        Ok(Mark::Opened(kind))
    }

    fn close(&mut self, kind: Kind) -> Result<(usize, Mark), NotJson> {
        debug_assert_eq!(self.depth.checked_sub(1).map(|at| self.open[at]), Some(kind));
        self.depth -= 1;
        self.state = State::After;
        Ok((1, Mark::ValueEnd))
    }

    fn string(&mut self, text: Text, input: &[u8], is_key: bool) -> Result<(usize, Mark), NotJson> {
        let (read, text) = text.read(input).ok_or(NotJson::Syntax)?;
        let (state, mark) = match (text, is_key) {
            (Text::Over, true) => (State::Colon, Mark::KeyEnd),
            (Text::Over, false) => (State::After, Mark::ValueEnd),
            (text, true) => (State::InKey(text), Mark::Nothing),
            (text, false) => (State::InString(text), Mark::Nothing),
        };
        self.state = state;
        Ok((read, mark))
    }

    fn number(&mut self, mut number: Number, input: &[u8]) -> Result<(usize, Mark), NotJson> {
        for (at, &byte) in input.iter().enumerate() {
            match number.after(byte) {
                Some(next) => number = next,
                None if number.can_end() => {
                    self.state = State::After;
                    return Ok((at, Mark::ValueEnd));
                }
                None => return Err(NotJson::Syntax),
            }
        }
        self.state = State::InNumber(number);
        Ok((input.len(), Mark::Nothing))
    }

    fn word(&mut self, rest: &'static [u8], byte: u8) -> Result<(usize, Mark), NotJson> {
        match rest.split_first() {
            Some((&next, [])) if next == byte => {
                self.state = State::After;
                Ok((1, Mark::ValueEnd))
            }
            Some((&next, rest)) if next == byte => self.goes_to(State::InWord(rest)),
            _ => Err(NotJson::Syntax),
        }
    }
}

impl Number {
    /// The place after one more byte; none where no number goes on with it.
    fn after(self, byte: u8) -> Option<Number> {
        Some(match (self, byte) {
            (Number::Minus, b'0') => Number::Zero,
            (Number::Minus, b'1'..=b'9') | (Number::Whole, b'0'..=b'9') => Number::Whole,
            (Number::Zero | Number::Whole, b'.') => Number::Point,
            (Number::Point | Number::Fraction, b'0'..=b'9') => Number::Fraction,
            (Number::Zero | Number::Whole | Number::Fraction, b'e' | b'E') => Number::E,
            (Number::E, b'+' | b'-') => Number::Sign,
            (Number::E | Number::Sign | Number::Exponent, b'0'..=b'9') => Number::Exponent,
            _ => return None,
        })
    }

    fn can_end(self) -> bool {
        matches!(self, Number::Zero | Number::Whole | Number::Fraction | Number::Exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_core::json::{JsonFault, JsonLimits, check};
    use proptest::prelude::*;

    fn scan(pieces: &[&[u8]]) -> Result<Vec<(usize, Mark)>, NotJson> {
        let (mut scanner, mut marks, mut before) = (Scanner::new(), Vec::new(), 0);
        for piece in pieces {
            let mut left = *piece;
            while !left.is_empty() {
                let (read, mark) = scanner.read(left)?;
                (left, before) = (&left[read..], before + read);
                if mark != Mark::Nothing {
                    marks.push((before, mark));
                }
            }
        }
        if scanner.is_whole() { Ok(marks) } else { Err(NotJson::Syntax) }
    }

    #[test]
    fn values_and_keys_are_marked_where_they_begin_and_end() {
        use Mark::*;
        let marks = scan(&[br#"{"a": [1 ,"b"]}"#]).unwrap();
        let expected = [
            (0, Value),
            (1, Opened(Kind::Object)),
            (1, Key),
            (4, KeyEnd),
            (6, Value),
            (7, Opened(Kind::Array)),
            (7, Value),
            (8, ValueEnd),
            (10, Value),
            (13, ValueEnd),
            (14, ValueEnd),
            (15, ValueEnd),
        ];
        assert_eq!(marks, expected);
    }

    #[test]
    fn a_value_that_is_skipped_has_only_an_end() {
        let mut scanner = Scanner::new();
        let text = br#"{"a":[{"b":[]},1],"c":2}"#;
        assert_eq!(scanner.read(text), Ok((0, Mark::Value)));
        assert_eq!(scanner.read(text), Ok((1, Mark::Opened(Kind::Object))));
        assert_eq!(scanner.read(&text[1..]), Ok((0, Mark::Key)));
        assert_eq!(scanner.read(&text[1..]), Ok((3, Mark::KeyEnd)));
        assert_eq!(scanner.read(&text[4..]), Ok((1, Mark::Value)));
        scanner.skip_value();
        assert_eq!(scanner.read(&text[5..]), Ok((12, Mark::ValueEnd)));
        assert_eq!(scanner.read(&text[17..]), Ok((1, Mark::Key)));
    }

    #[test]
    fn h16_nesting_ends_without_a_stack() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(scan(&[nested(32).as_bytes()]).is_ok());
        assert_eq!(scan(&[nested(33).as_bytes()]), Err(NotJson::TooDeep));
        assert_eq!(scan(&["[".repeat(100_000).as_bytes()]), Err(NotJson::TooDeep));
        assert_eq!(scan(&["{\"a\":".repeat(100_000).as_bytes()]), Err(NotJson::TooDeep));
    }

    /// Whether core reads it: it refuses numbers and doubled keys besides, which are no matter of syntax.
    fn core_reads(text: &[u8]) -> Option<bool> {
        match check(text, JsonLimits::default()) {
            Ok(()) => Some(true),
            Err(error) => match error.fault {
                JsonFault::Syntax(_) | JsonFault::TooDeep(_) => Some(false),
                _ => None,
            },
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_core_reads_wherever_it_is_cut(
            text in prop_oneof![
                r#"[\[\]{}",:0-2eE.+\-tnu\\ul é]{0,24}"#.prop_map(String::into_bytes),
                r#"(\{"a":|\[|\{\}|\[\]|,|\}|\]|1\.5e3|"\\ud83d\\udd11"|"\\u12"|true|null| |"é"|-0|01){0,12}"#.prop_map(String::into_bytes),
                proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), any::<u8>()], 0..8)
                    .prop_map(|inner| [b"\"".as_slice(), &inner, b"\""].concat()),
            ],
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let whole = scan(&[&text]);
            if let Some(reads) = core_reads(&text) {
                prop_assert_eq!(whole.is_ok(), reads);
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut pieces, mut begin) = (Vec::new(), 0);
            for cut in cuts {
                pieces.push(&text[begin..cut]);
                begin = cut;
            }
            pieces.push(&text[begin..]);
            prop_assert_eq!(scan(&pieces), whole);
        }
    }
}
