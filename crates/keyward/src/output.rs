//! The one place that prints: results to standard output, remarks to standard error.
//!
//! Names come from other people, so whatever is shown on a terminal is stripped of control characters
//! first (I02); JSON is printed as it came, which escapes them.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

/// What is drawn on: how wide it is, and whether it has colours.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// In columns.
    pub width: usize,
    /// Whether colours are shown and wanted (`NO_COLOR`).
    pub has_color: bool,
}

/// The width of what is no terminal.
const WIDTH_DEFAULT: usize = 80;
/// Drawings do not grow wider: bars as long as a wide screen are harder to compare.
const WIDTH_MAX: usize = 120;

/// Fields that stand first where an object is shown, in this order; the others follow by name.
const FIRST: &[&str] = &["id", "name", "valid", "code", "hint", "state"];

/// A column of a table: its heading, and where its value stands (`project.name`).
pub type Column = (&'static str, &'static str);

impl Output {
    /// Prints JSON or for people.
    pub fn new(json: bool) -> Self {
        Output { json }
    }

    /// Whether JSON is wanted.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A line of the result, for people; nothing where JSON is wanted.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            raw_line(&printable(text.as_ref()));
        }
    }

    /// The result as JSON, on one line.
    pub fn json(&self, value: &Value) {
        raw_line(&escaped(&value.to_string()));
    }

    /// A remark beside the result.
    pub fn note(&self, text: impl AsRef<str>) {
        eprintln!("{}", printable(text.as_ref()));
    }

    /// Text that is a result as it stands: a contract, a completion script, a shown secret.
    pub fn verbatim(&self, text: &str) {
        print_checked(text);
    }

    /// What standard output shows.
    pub fn screen(&self) -> Screen {
        let width = Table::new().width().map_or(WIDTH_DEFAULT, usize::from);
        let refuses = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
        let is_unwanted =
            std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || refuses("TERM", "dumb");
        Screen { width: width.min(WIDTH_MAX), has_color: std::io::stdout().is_terminal() && !is_unwanted }
    }

    /// One object: JSON, or a field a line. Empty fields are left out.
    pub fn record(&self, value: &Value) {
        if self.json {
            return self.json(value);
        }
        let mut table = plain_table();
        if let Value::Object(fields) = value {
            let mut given: Vec<_> = fields.iter().filter(|(_, field)| !field.is_null()).collect();
            given.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
            for (name, field) in given {
                table.add_row([name.replace('_', " "), cell(field)]);
            }
        }
        raw_line(&table.trim_fmt());
    }

    /// A part of a list: JSON, or a table.
    pub fn list(&self, page: &Value, columns: &[Column]) {
        if self.json {
            return self.json(page);
        }
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() {
            return self.note("(none)");
        }
        self.table(columns, items);
        if let Some(cursor) = page["next_cursor"].as_str() {
            self.note(format!("there are more: --all, or --cursor {cursor}"));
        }
    }

    /// Rows under headings.
    pub fn table(&self, columns: &[Column], items: &[Value]) {
        let mut table = plain_table();
        table.set_header(columns.iter().map(|(heading, _)| *heading));
        for item in items {
            table.add_row(columns.iter().map(|(_, path)| cell(at(item, path))));
        }
        raw_line(&table.trim_fmt());
    }

    /// A secret that is seen this once: alone on standard output, with the warning beside it.
    pub fn secret(&self, secret: &str) {
        self.note("This is the only time the secret is shown. Store it now:");
        raw_line(secret);
    }

    /// Reports a failure: JSON where wanted, else what, where and what to do.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            let own = || json!({"title": failure.message, "detail": failure.advice, "exit": failure.exit as i32});
            eprintln!("{}", failure.problem.clone().unwrap_or_else(own));
            return;
        }
        eprintln!("error: {}", printable(&failure.message));
        if let Some(advice) = &failure.advice {
            eprintln!("  {}", printable(advice));
        }
    }

    /// A sign of life for long work; nothing where nobody looks.
    pub fn progress(&self, what: &str) -> ProgressBar {
        if self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

/// Asks before something that cannot be undone.
///
/// # Errors
/// Where the answer is no, or nobody is there to answer.
pub fn confirm(yes: bool, question: &str) -> Outcome {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{} This needs a confirmation.", printable(question)))
            .advise("Add --yes where nobody can be asked."));
    }
    eprint!("{} [y/N] ", printable(question));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|error| Failure::failed(error.to_string()))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::failed("Not confirmed; nothing was done.")),
    }
}

/// A table without lines.
pub fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn raw_line(text: &str) {
    print_checked(text);
    print_checked("\n");
}

/// A reader that went away (`| head`) ends the command quietly instead of with a panic.
fn print_checked(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// The value at a dotted path.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, part| &value[part])
}

/// A value as people read it: on one line, whatever is in it.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| item.is_string()) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            let is_text = items.iter().any(|item| item.contains(' '));
            items.join(if is_text { "; " } else { " " })
        }
        other => other.to_string(),
    };
    printable(&text).replace('\n', "\\n").replace('\t', "\\t")
}

/// A text without anything that a terminal would obey or that would deceive its reader: control characters
/// (line breaks and tabs excepted), text direction, invisible characters.
pub fn printable(text: &str) -> String {
    if !text.contains(is_hidden) {
        return text.to_owned();
    }
    let escape = |c: char| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// JSON that means the same and holds nothing that a terminal would obey: JSON itself escapes only some.
fn escaped(json: &str) -> String {
    if !json.contains(is_hidden) {
        return json.to_owned();
    }
    let escape = |c: char| match is_hidden(c) {
        true => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        false => c.to_string(),
    };
    json.chars().map(escape).collect()
}

fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i02_a_name_cannot_command_the_terminal() {
        let title = "\u{1b}]0;owned\u{7}";
        assert_eq!(printable(title), "\\u{1b}]0;owned\\u{7}");
        assert_eq!(printable("a\rb\u{9b}31m\u{202e}c"), "a\\u{d}b\\u{9b}31m\\u{202e}c");
        assert_eq!(printable("Zürich 👩\u{200D}💻"), "Zürich 👩\u{200D}💻");
        assert_eq!(cell(&json!("two\nlines")), "two\\nlines");
        assert_eq!(cell(&json!(["a\u{1b}[0m", "b"])), "a\\u{1b}[0m b");
        let value = json!("a\u{1b}\u{9b}31m\u{202e}\u{e0041}z");
        assert_eq!(escaped(&value.to_string()), r#""a\u001b\u009b31m\u202e\udb40\udc41z""#);
        assert_eq!(serde_json::from_str::<Value>(&escaped(&value.to_string())).unwrap(), value);
    }

    #[test]
    fn columns_reach_into_objects() {
        let item = json!({"actor": {"name": "x"}, "n": 3});
        assert_eq!(cell(at(&item, "actor.name")), "x");
        assert_eq!(cell(at(&item, "actor.kind")), "-");
        assert_eq!(cell(at(&item, "n")), "3");
    }
}
