//! From text to [`Spec`]: parsing with line numbers, merging what a contract extends, and finding the line
//! that a complaint is about.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::spec::Spec;

/// Contracts that others can extend, by name: those that ship with Keyward.
#[derive(Debug, Clone, Default)]
pub struct Presets(BTreeMap<String, String>);

impl Presets {
    /// From names and TOML texts.
    pub fn new(presets: impl IntoIterator<Item = (String, String)>) -> Self {
        Presets(presets.into_iter().collect())
    }

    /// The text of a preset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What is wrong with a contract, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractError {
    /// The line in the text handed in, from 1 on, where one can be named.
    pub line: Option<usize>,
    /// The field, such as `key.expiry.max`; empty where the text is no TOML, or none can be named.
    pub field: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ContractError {}

/// A complaint about a field, before its line is known.
#[derive(Debug, Clone)]
pub(super) struct Complaint {
    pub field: String,
    pub reason: String,
}

impl Complaint {
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Complaint { field: field.into(), reason: reason.into() }
    }

    pub fn at(self, source: &str) -> ContractError {
        ContractError { line: locate(source, &self.field), field: self.field, reason: self.reason }
    }
}

/// How deep contracts may extend one another.
const EXTENDS_DEPTH_MAX: usize = 4;
/// The largest contract, in bytes.
pub const CONTRACT_BYTES_MAX: usize = 256 * 1024;

/// Reads a contract and merges in what it extends.
pub(super) fn resolve(source: &str, presets: &Presets) -> Result<(Spec, Table), ContractError> {
    if source.len() > CONTRACT_BYTES_MAX {
        let reason = format!("a contract has at most {CONTRACT_BYTES_MAX} bytes");
        return Err(ContractError { line: None, field: String::new(), reason });
    }
    let own: Spec = toml::from_str(source).map_err(|error| unreadable(source, &error))?;
    let table = merged(parse(source)?, own.extends.as_deref(), presets, EXTENDS_DEPTH_MAX)
        .map_err(|complaint| complaint.at(source))?;
    let spec = Spec::deserialize(table.clone()).map_err(|error| ContractError {
        line: None,
        field: String::new(),
        reason: format!("together with what it extends: {}", error.message()),
    })?;
    Ok((spec, table))
}

use serde::Deserialize;

fn merged(mut own: Table, extends: Option<&str>, presets: &Presets, depth: usize) -> Result<Table, Complaint> {
    let Some(name) = extends else { return Ok(own) };
    let complain = |reason: String| Complaint::new("extends", reason);
    let Some(text) = presets.get(name) else {
        let known = presets.names().collect::<Vec<_>>().join(", ");
        return Err(complain(format!("there is no preset \"{name}\"; there are {known}")));
    };
    if depth == 0 {
        return Err(complain(format!("presets extend one another more than {EXTENDS_DEPTH_MAX} deep")));
    }
    let base = parse(text).map_err(|error| complain(format!("the preset \"{name}\" is unreadable: {error}")))?;
    let above = base.get("extends").and_then(Value::as_str).map(str::to_owned);
    let base = merged(base, above.as_deref(), presets, depth - 1)?;
    own.remove("extends");
    let mut table = base;
    overlay(&mut table, own);
    Ok(table)
}

/// Lays `own` over `base`: tables part by part, everything else as a whole.
fn overlay(base: &mut Table, own: Table) {
    for (name, value) in own {
        match (base.get_mut(&name), value) {
            // The shape of a body is one thing: parts of two shapes would make a third that nobody wrote.
            (Some(Value::Table(below)), Value::Table(above)) if name != "body" && name != "answer" => {
                overlay(below, above);
            }
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

fn parse(source: &str) -> Result<Table, ContractError> {
    source.parse::<Table>().map_err(|error| unreadable(source, &error))
}

fn unreadable(source: &str, error: &toml::de::Error) -> ContractError {
    let offset = error.span().map(|span| span.start);
    let field = offset.and_then(|offset| field_at(source, offset)).unwrap_or_default();
    let line = offset.map(|offset| line_at(source, offset));
    ContractError { line, field, reason: error.message().trim().to_owned() }
}

/// The field whose name or value stands at an offset; none where the text is no TOML.
fn field_at(source: &str, offset: usize) -> Option<String> {
    let root = DeTable::parse(source).ok()?;
    field_in(Place::Table(root.get_ref()), offset)
}

fn field_in(place: Place<'_>, offset: usize) -> Option<String> {
    let below = |name: &str, value: &DeValue<'_>| {
        let place = match value {
            DeValue::Table(table) => Place::Table(table),
            DeValue::Array(items) => Place::Array(items),
            _ => return None,
        };
        Some(format!("{name}.{}", field_in(place, offset)?))
    };
    match place {
        Place::Table(table) => table.iter().find_map(|(name, value)| {
            let is_here = name.span().contains(&offset) || value.span().contains(&offset);
            below(name.get_ref(), value.get_ref()).or_else(|| is_here.then(|| name.get_ref().to_string()))
        }),
        Place::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let name = index.to_string();
            below(&name, item.get_ref()).or_else(|| item.span().contains(&offset).then_some(name))
        }),
    }
}

fn line_at(source: &str, offset: usize) -> usize {
    source.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// The line of a field such as `routes.2.path`, or of the nearest part above it that the text has. None
/// where nothing of it stands in the text: then it is inherited.
pub fn locate(source: &str, field: &str) -> Option<usize> {
    let root = DeTable::parse(source).ok()?;
    let mut found = None;
    let mut here = Some(Place::Table(root.get_ref()));
    for part in field.split('.') {
        let next = match here? {
            Place::Table(table) => table.iter().find(|(name, _)| name.get_ref() == part).map(|(name, value)| {
                found = Some(line_at(source, name.span().start));
                value.get_ref()
            }),
            Place::Array(items) => part.parse::<usize>().ok().and_then(|i| items.get(i)).map(|item| {
                found = Some(line_at(source, item.span().start));
                item.get_ref()
            }),
        };
        here = match next {
            Some(DeValue::Table(table)) => Some(Place::Table(table)),
            Some(DeValue::Array(items)) => Some(Place::Array(items)),
            _ => break,
        };
    }
    found
}

enum Place<'a> {
    Table(&'a DeTable<'a>),
    Array(&'a toml::de::DeArray<'a>),
}

/// One field that differs between two contracts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The field, such as `key.active_limit`.
    pub field: String,
    /// What it was, as TOML; none where it is new.
    pub before: Option<String>,
    /// What it becomes, as TOML; none where it goes away.
    pub after: Option<String>,
}

/// Every field in which two resolved contracts differ, in the order of their names.
pub fn differences(before: Option<&str>, after: &str) -> Vec<Difference> {
    let fields = |text: &str| {
        let mut flat = BTreeMap::new();
        if let Ok(table) = text.parse::<Table>() {
            flatten("", &Value::Table(table), &mut flat);
        }
        flat
    };
    let (before, after) = (before.map(fields).unwrap_or_default(), fields(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| Difference {
            field: name.clone(),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
        })
        .collect()
}

fn flatten(field: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    match value {
        Value::Table(table) => table.iter().for_each(|(name, value)| flatten(&below(name), value, into)),
        Value::Array(items) if items.iter().any(Value::is_table) => {
            items.iter().enumerate().for_each(|(i, item)| flatten(&below(&i.to_string()), item, into));
        }
        other => {
            into.insert(field.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_in_tables_arrays_and_above() {
        let text = "a = 1\n\n[key]\nprefix = \"x\"\n\n[[routes]]\npath = \"/\"\n[[routes]]\npath = \"b\"\n";
        assert_eq!(locate(text, "key.prefix"), Some(4));
        assert_eq!(locate(text, "routes.1.path"), Some(9));
        assert_eq!(locate(text, "key.expiry.max"), Some(3));
        assert_eq!(locate(text, "rotation"), None);
    }

    #[test]
    fn differences_name_fields() {
        let found = differences(Some("[key]\na = 1\nb = 2\n"), "[key]\na = 1\nb = 3\nc = [1]\n");
        let names: Vec<_> =
            found.iter().map(|d| (d.field.as_str(), d.before.as_deref(), d.after.as_deref())).collect();
        assert_eq!(names, [("key.b", Some("2"), Some("3")), ("key.c", None, Some("[1]"))]);
    }
}
