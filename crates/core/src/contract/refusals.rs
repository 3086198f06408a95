//! The answers to refusals, compiled once: status, media type, body, headers for each of the one list.

use std::collections::BTreeMap;

use super::load::Complaint;
use super::spec::{AnswerSpec, RefusalsSpec};
use crate::denial::{Kind, Refusal};

/// The name under which a contract answers all refusals that concern the credential.
pub const INVALID_KEY: &str = "invalid_key";

/// What a refused caller gets. A status is data here: contracts name it, rules never do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What people read.
    pub message: String,
    /// The body's media type.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// The answer to every refusal.
#[derive(Debug, Clone)]
pub struct Refusals(Vec<Answer>);

impl Refusals {
    /// The answer to one.
    pub fn answer(&self, refusal: Refusal) -> &Answer {
        &self.0[refusal as usize]
    }

    pub(super) fn compile(spec: &RefusalsSpec) -> Result<Self, Complaint> {
        let answers = spec.answers.clone().unwrap_or_default();
        let known = |name: &str| name == INVALID_KEY || Refusal::from_code(name).is_some();
        if let Some(unknown) = answers.keys().find(|name| !known(name)) {
            let names: Vec<_> = Refusal::ALL.iter().map(|r| r.code()).collect();
            let reason = format!("there is no such refusal; there are {INVALID_KEY}, {}", names.join(", "));
            return Err(Complaint::new(format!("refusals.answers.{unknown}"), reason));
        }
        let content_type = spec.content_type.clone().unwrap_or_else(|| "application/json".into());
        check_header_value("refusals.content_type", &content_type)?;
        let compile = |&refusal: &Refusal| {
            let (name, answer) = find(refusal, &answers)?;
            compile_answer(name, answer, spec.body.as_ref(), &content_type)
        };
        Refusal::ALL.iter().map(compile).collect::<Result<_, _>>().map(Refusals)
    }
}

/// A refusal's own answer, or for those of the credential the one that they share.
fn find(
    refusal: Refusal,
    answers: &BTreeMap<String, AnswerSpec>,
) -> Result<(&'static str, &AnswerSpec), Complaint> {
    if let Some(own) = answers.get(refusal.code()) {
        return Ok((refusal.code(), own));
    }
    let (shared, answer) = match refusal.kind() {
        Kind::Credential => (INVALID_KEY, answers.get(INVALID_KEY)),
        // Contracts that were put in force before there were these have no answer to them.
        Kind::Fields => (refusal.code(), answers.get(Refusal::BadRequest.code())),
        Kind::Authority | Kind::Request => (refusal.code(), None),
    };
    answer.map(|answer| (shared, answer)).ok_or_else(|| {
        Complaint::new(format!("refusals.answers.{}", refusal.code()), "has no answer; extend a preset or give one")
    })
}

fn compile_answer(
    name: &'static str,
    spec: &AnswerSpec,
    shape: Option<&toml::Value>,
    content_type: &str,
) -> Result<Answer, Complaint> {
    let field = |part: &str| format!("refusals.answers.{name}{part}");
    let status = spec.status.ok_or_else(|| Complaint::new(field(""), "has no status"))?;
    if !(400..=599).contains(&status) {
        return Err(Complaint::new(field(".status"), format!("{status} is not a status from 400 to 599")));
    }
    let message = spec.message.clone().ok_or_else(|| Complaint::new(field(""), "has no message"))?;
    let shape =
        spec.body.as_ref().or(shape).ok_or_else(|| {
            Complaint::new("refusals.body", "is missing: the JSON that refusals are answered with")
        })?;
    let body = fill(shape, name, &message).map_err(|reason| Complaint::new("refusals.body", reason))?;
    let headers: Vec<_> = spec.headers.clone().unwrap_or_default().into_iter().collect();
    for (header, value) in &headers {
        let field = field(&format!(".headers.{header}"));
        if !super::is_token(header) {
            return Err(Complaint::new(field, "is no header name"));
        }
        check_header_value(&field, value)?;
    }
    Ok(Answer { status, message, content_type: content_type.to_owned(), body: body.to_string().into(), headers })
}

/// The body's shape with `{message}` and `{code}` filled in.
fn fill(shape: &toml::Value, code: &str, message: &str) -> Result<serde_json::Value, String> {
    use serde_json::Value;
    Ok(match shape {
        toml::Value::String(text) => Value::String(text.replace("{code}", code).replace("{message}", message)),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(truth) => Value::from(*truth),
        toml::Value::Datetime(_) => return Err("has a date, which JSON cannot hold; write it as a text".into()),
        toml::Value::Array(items) => {
            Value::Array(items.iter().map(|item| fill(item, code, message)).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => Value::Object(
            table
                .iter()
                .map(|(name, value)| Ok((name.clone(), fill(value, code, message)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

fn check_header_value(field: &str, value: &str) -> Result<(), Complaint> {
    match value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        true => Ok(()),
        false => Err(Complaint::new(field, "a header's value is printable ASCII")),
    }
}
