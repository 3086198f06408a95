//! The configuration file: TOML, flattened to settings with the line each stands on.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::settings::{SETTINGS, find};
use super::value::Raw;
use super::{Complaint, Source};

/// A setting as the file gives it.
#[derive(Debug)]
pub struct Given {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub raw: Raw,
    /// Where it stands.
    pub source: Source,
}

/// Reads a file's text: what it gives, and what is wrong with the rest. What it gives is judged in any case, so
/// that all complaints come together and one look mends them all.
pub fn read(path: &Path, text: &str) -> (Vec<Given>, Vec<Complaint>) {
    let mut reader = Reader { path, text, given: Vec::new(), complaints: Vec::new() };
    match DeTable::parse(text) {
        Ok(root) => reader.table("", root.get_ref()),
        Err(error) => {
            let line = error.span().map_or(1, |span| reader.line(span.start));
            reader.complain(line, "", error.message().trim().to_owned());
        }
    }
    (reader.given, reader.complaints)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    given: Vec<Given>,
    complaints: Vec<Complaint>,
}

impl Reader<'_> {
    fn table(&mut self, above: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = match above {
                "" => key.get_ref().to_string(),
                above => format!("{above}.{}", key.get_ref()),
            };
            let line = self.line(key.span().start);
            match (find(&name), value.get_ref()) {
                (Some(setting), value) => {
                    let source = Source::File { path: self.path.to_owned(), line };
                    self.given.push(Given { name: setting.name, raw: raw(value), source });
                }
                (None, DeValue::Table(below)) if is_table(&name) => self.table(&name, below),
                (None, _) if is_table(&name) => self.complain(line, &name, "is a table, not a value".into()),
                (None, _) => self.complain(line, &name, unknown(&name)),
            }
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
    }

    fn complain(&mut self, line: usize, name: &str, reason: String) {
        let source = Source::File { path: self.path.to_owned(), line };
        self.complaints.push(Complaint { source, setting: name.to_owned(), reason });
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(truth) => Raw::Truth(*truth),
        DeValue::Integer(number) => match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
            Ok(number) => Raw::Number(number),
            Err(_) => Raw::Other("a number of that size"),
        },
        DeValue::Array(items) => {
            let texts: Option<Vec<_>> = items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                })
                .collect();
            texts.map_or(Raw::Other("a list of something else than texts"), Raw::List)
        }
        DeValue::Float(_) => Raw::Other("a fraction"),
        DeValue::Datetime(_) => Raw::Other("a time"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

/// Whether settings stand below this name.
fn is_table(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// What is said of a name that is no setting. Its value is never shown: it may be a misplaced secret.
pub fn unknown(name: &str) -> String {
    let nearest = SETTINGS.iter().map(|setting| (distance(name, setting.name), setting.name)).min();
    match nearest {
        Some((distance, nearest)) if distance <= 3 => format!("there is no such setting; did you mean {nearest}?"),
        _ => "there is no such setting; `keyward config show` lists them".to_owned(),
    }
}

/// How many letters differ (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[row.len() - 1]
}
