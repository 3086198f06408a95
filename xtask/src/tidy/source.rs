//! A Rust file as the rules see it: its text, its code with comments and literals blanked out, and which of its
//! lines are tests. A small lexer, not a parser: enough to count braces and words reliably.

use std::ops::Range;

/// One Rust file.
pub struct Source {
    /// Its path from the workspace's folder.
    pub path: String,
    pub text: String,
    /// The text with comments and the insides of literals blanked: same length, same lines.
    pub code: String,
    /// Byte ranges of the items under a `cfg` that asks for tests.
    tests: Vec<Range<usize>>,
    /// The whole file is only ever compiled for tests.
    is_test: bool,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let code = blanked(text);
        let tests = test_items(&code);
        let by_path = path.split('/').any(|part| matches!(part, "tests" | "tests.rs"));
        let is_test = by_path || is_test_attribute(code.split("#![").nth(1).unwrap_or(""));
        Source { path: path.to_owned(), text: text.to_owned(), code, tests, is_test }
    }

    /// Says that another file declares this one as a module for tests only.
    pub fn mark_as_test(&mut self) {
        self.is_test = true;
    }

    /// Whether the byte at `at` is part of a test.
    pub fn is_test_at(&self, at: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&at))
    }

    /// The number, from 1, of the line that holds the byte at `at`.
    pub fn line_at(&self, at: usize) -> usize {
        self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Every line that is not part of a test: its number, text and code.
    pub fn lines_outside_tests(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let mut at = 0;
        let lines = self.text.split_inclusive('\n').zip(self.code.split_inclusive('\n')).enumerate();
        lines.filter_map(move |(index, (text, code))| {
            let start = at;
            at += text.len();
            (!self.is_test_at(start)).then_some((index + 1, text, code))
        })
    }

    /// The modules that this file declares, in files of their own, for tests only.
    pub fn test_modules(&self) -> Vec<&str> {
        let declared = self.tests.iter().filter_map(|range| self.code[range.clone()].strip_suffix(';'));
        declared.filter_map(|item| item.rsplit_once("mod ").map(|(_, name)| name.trim())).collect()
    }

    /// Every function that is not part of a test: its name and the bytes from `fn` to the closing brace.
    pub fn functions(&self) -> Vec<(&str, Range<usize>)> {
        let starts = self.code.match_indices("fn ").filter(|(at, _)| !preceded_by_word(&self.code, *at));
        let outside = starts.filter(|(at, _)| !self.is_test_at(*at));
        let functions = outside.filter_map(|(at, _)| {
            let name = self.code[at + 3..].split(|character: char| !is_word(character)).next()?;
            let end = item_end(&self.code, at)?;
            (!name.is_empty() && self.code.as_bytes()[end - 1] == b'}').then_some((name, at..end))
        });
        functions.collect()
    }
}

pub fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Where `word` stands in `text` as a whole word.
pub fn find_word(text: &str, word: &str) -> Option<usize> {
    let mut found = text.match_indices(word).map(|(at, _)| at);
    found.find(|at| !preceded_by_word(text, *at) && !text[at + word.len()..].starts_with(is_word))
}

fn preceded_by_word(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_some_and(is_word)
}

/// `text` with every comment and the inside of every literal turned into spaces.
fn blanked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(&bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(&bytes, at),
            b'"' => string_end(&bytes, at),
            b'r' if !preceded_by_word(text, at) || is_literal_prefix(&bytes, at) => {
                raw_string_end(&bytes, at).unwrap_or(at)
            }
            b'\'' => character_end(text, at).unwrap_or(at),
            _ => at,
        };
        for byte in &mut bytes[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    // Only whole characters were overwritten, each byte by a space.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Whether the `r` at `at` is that of `br"` or `cr"`.
fn is_literal_prefix(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at - 1], b'b' | b'c') && (at < 2 || !is_word(char::from(bytes[at - 2])))
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        match &bytes[at..(at + 2).min(bytes.len())] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `r"…"` or `r#"…"#`; none for a raw identifier or a word that begins with r.
fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let inside = &bytes[open + 1..];
    let length = inside.windows(close.len()).position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| open + 1 + length + close.len()))
}

/// The end of a character literal; none for a lifetime.
fn character_end(text: &str, start: usize) -> Option<usize> {
    let inside = &text[start + 1..];
    if inside.starts_with('\\') {
        let escaped = inside.char_indices().nth(1).map(|(at, character)| at + character.len_utf8())?;
        return inside[escaped..].find('\'').map(|length| start + 1 + escaped + length + 1);
    }
    let first = inside.chars().next()?;
    inside[first.len_utf8()..].starts_with('\'').then(|| start + 1 + first.len_utf8() + 1)
}

/// The items that stand under `#[cfg(…test…)]`, attribute included.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let attributes = code.match_indices("#[").filter(|(at, _)| is_test_attribute(&code[at + 2..]));
    attributes.map(|(at, _)| at..item_end(code, at).unwrap_or(code.len())).collect()
}

/// `cfg(test)`, `cfg(any(test, …))`, `cfg(all(test, …))`; not `cfg(not(test))`.
fn is_test_attribute(attribute: &str) -> bool {
    let attribute = attribute.split(']').next().unwrap_or("");
    attribute.starts_with("cfg(") && find_word(attribute, "test").is_some() && !attribute.contains("not(test")
}

/// The end of the item that begins at `start`: after its `;` or its closing brace. Attributes come with it.
fn item_end(code: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut braces = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' if depth == 0 || braces > 0 => braces += 1,
            b'}' if braces > 1 => braces -= 1,
            b'}' if braces == 1 => return Some(at + 1),
            b';' if depth == 0 && braces == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("crates/one/src/lib.rs", text)
    }

    #[test]
    fn comments_and_literals_are_blanked_and_lines_kept() {
        let text = "let a = \"{ \\\" }\"; // {\nlet b = r#\"{\"}\"#; /* { /* { */ */ let c = '{'; let d = '\\''; fn e<'a>(x: &'a str) {}\nlet f = br\"{\"; let r#type = 'é';";
        let code = blanked(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), 3);
        assert_eq!(code.matches('{').count(), 1, "{code}");
        assert!(code.contains("fn e<'a>(x: &'a str) {}"), "{code}");
        assert!(code.contains("let r#type ="), "{code}");
    }

    #[test]
    fn items_for_tests_are_told_from_the_rest() {
        let text = "fn real() {}\n#[cfg(test)]\nmod tests {\n    fn helper() { if true {} }\n}\n#[cfg(not(test))]\nfn other() {}\n#[cfg(test)]\nmod suite;\n";
        let source = source(text);
        assert_eq!(source.functions().iter().map(|function| function.0).collect::<Vec<_>>(), ["real", "other"]);
        assert_eq!(source.lines_outside_tests().map(|line| line.0).collect::<Vec<_>>(), [1, 6, 7]);
        assert_eq!(source.test_modules(), ["suite"]);
    }

    #[test]
    fn a_file_can_be_a_test_by_its_path_or_its_first_attribute() {
        assert!(Source::new("crates/one/tests/it.rs", "fn f() {}").is_test_at(0));
        assert!(Source::new("crates/one/src/key/tests.rs", "fn f() {}").is_test_at(0));
        assert!(source("#![cfg(test)]\nfn f() {}").is_test_at(0));
        assert!(!source("#![warn(missing_docs)]\nfn f() {}").is_test_at(0));
    }

    #[test]
    fn a_function_runs_from_its_name_to_its_brace() {
        let source = source(
            "trait T { fn declared(&self); }\nfn long(\n    a: [u8; 2],\n) -> fn(u8) -> u8 {\n    match a { _ => {} }\n}\n",
        );
        let functions = source.functions();
        assert_eq!(functions.len(), 1);
        assert_eq!(
            (functions[0].0, source.line_at(functions[0].1.start), source.line_at(functions[0].1.end)),
            ("long", 2, 6)
        );
    }
}
