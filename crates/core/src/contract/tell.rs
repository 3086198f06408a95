//! Texts of a contract in which facts of a request are filled in: headers about limits, and answers that the
//! gateway gives by itself.

use std::collections::BTreeSet;

use serde_json::Value;

use super::compile::{Result, fail};
use super::is_token;
use super::spec::LimitHeadersSpec;

/// What can be told of a limit; all whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitFact {
    /// How much there is in a period or a rate's time.
    Limit,
    /// How much is left now.
    Remaining,
    /// How much of it is used.
    Used,
    /// Seconds until it is all there again.
    ResetAfter,
    /// When it is all there again, in seconds since the Unix epoch.
    ResetAt,
}

/// What can be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// `{NAME.remaining}` and the like: of the limit of this name.
    Limit {
        /// The limit's name.
        name: Box<str>,
        /// What of it.
        what: LimitFact,
    },
    /// `{plan}`: the plan's name.
    Plan,
    /// `{plan.title}`: what people call it.
    PlanTitle,
    /// `{project}`: the project's id.
    Project,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(Box<str>),
    /// Filled in.
    Fact(Fact),
}

/// A text with facts to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// JSON with facts to be filled in.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// As it stands.
    Plain(Value),
    /// A text that is one fact: becomes what the fact is, a number or a text; null where it is not known.
    Fact(Fact),
    /// A list.
    List(Vec<Told>),
    /// An object.
    Object(Vec<(String, Told)>),
}

/// How callers are told about limits.
#[derive(Debug, Clone, Default)]
pub struct LimitHeaders {
    /// Whether `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10) are sent.
    pub standard: bool,
    /// Further headers, by lower-case name.
    pub own: Vec<(String, Template)>,
}

impl LimitHeaders {
    pub(super) fn compile(spec: Option<&LimitHeadersSpec>, limits: &BTreeSet<String>) -> Result<Self> {
        let Some(spec) = spec else { return Ok(LimitHeaders { standard: true, own: Vec::new() }) };
        let mut own = Vec::new();
        for (name, text) in spec.own.iter().flatten() {
            let field = format!("limit_headers.own.{name}");
            if !is_token(name) {
                return fail(&field, "is no header's name");
            }
            match Template::compile(text, limits) {
                Ok(template) => own.push((name.to_ascii_lowercase(), template)),
                Err(reason) => return fail(&field, reason),
            }
        }
        Ok(LimitHeaders { standard: spec.standard.unwrap_or(true), own })
    }
}

impl Template {
    /// Its parts, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    fn compile(text: &str, limits: &BTreeSet<String>) -> std::result::Result<Self, String> {
        if text.bytes().any(|b| !(0x20..0x7f).contains(&b)) {
            return Err("has characters that a header cannot hold".into());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, after) = after.split_once('}').ok_or("a { has no }")?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(Piece::Fact(Fact::read(inside, limits)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Template(pieces))
    }
}

impl Fact {
    fn read(text: &str, limits: &BTreeSet<String>) -> std::result::Result<Self, String> {
        match text {
            "plan" => return Ok(Fact::Plan),
            "plan.title" => return Ok(Fact::PlanTitle),
            "project" => return Ok(Fact::Project),
            _ => {}
        }
        let unknown = || {
            let names: Vec<&str> = limits.iter().map(String::as_str).collect();
            format!(
                "{{{text}}} is not known; there are {{plan}}, {{plan.title}}, {{project}} and {{NAME.FACT}}, where NAME is \
                 one of the plans' limits ({}) and FACT limit, remaining, used, reset_after or reset_at",
                names.join(", ")
            )
        };
        let (name, fact) = text.split_once('.').ok_or_else(unknown)?;
        let what = match fact {
            "limit" => LimitFact::Limit,
            "remaining" => LimitFact::Remaining,
            "used" => LimitFact::Used,
            "reset_after" => LimitFact::ResetAfter,
            "reset_at" => LimitFact::ResetAt,
            _ => return Err(unknown()),
        };
        match limits.contains(name) {
            true => Ok(Fact::Limit { name: name.into(), what }),
            false => Err(unknown()),
        }
    }
}

impl Told {
    pub(super) fn compile(value: &toml::Value, limits: &BTreeSet<String>) -> std::result::Result<Self, String> {
        Ok(match value {
            toml::Value::Table(fields) => Told::Object(
                fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Told::compile(value, limits)?)))
                    .collect::<std::result::Result<_, String>>()?,
            ),
            toml::Value::Array(items) => Told::List(
                items.iter().map(|item| Told::compile(item, limits)).collect::<std::result::Result<_, String>>()?,
            ),
            toml::Value::String(text) => match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(inside) => Told::Fact(Fact::read(inside, limits)?),
                None => Told::Plain(Value::String(text.clone())),
            },
            other => Told::Plain(serde_json::to_value(other).map_err(|error| error.to_string())?),
        })
    }

    /// The JSON, with what `fact` knows filled in.
    pub fn fill(&self, fact: &dyn Fn(&Fact) -> Option<Value>) -> Value {
        match self {
            Told::Plain(value) => value.clone(),
            Told::Fact(of) => fact(of).unwrap_or(Value::Null),
            Told::List(items) => Value::Array(items.iter().map(|item| item.fill(fact)).collect()),
            Told::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), value.fill(fact))).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> BTreeSet<String> {
        BTreeSet::from(["credits".to_owned()])
    }

    #[test]
    fn facts_are_filled_in_as_what_they_are() {
        let value: toml::Table =
            "remaining = \"{credits.remaining}\"\nplan = \"{plan}\"\njobs = { a = 1 }\nlist = [\"x\"]"
                .parse()
                .unwrap();
        let told = Told::compile(&toml::Value::Table(value), &limits()).unwrap();
        let filled = told.fill(&|fact| match fact {
            Fact::Limit { .. } => Some(7.into()),
            _ => None,
        });
        let expected = serde_json::json!({ "remaining": 7, "plan": null, "jobs": { "a": 1 }, "list": ["x"] });
        assert_eq!(filled, expected);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in ["{", "{}", "{credits}", "{credits.left}", "{debits.used}", "{plan.x}"] {
            assert!(Template::compile(text, &limits()).is_err(), "{text}");
        }
        assert_eq!(Template::compile("a{credits.used}b", &limits()).unwrap().pieces().len(), 3);
    }
}
