//! The contract in force, as a caller of REST can read it, and putting another in its place.

use std::time::Duration;

use keyward_core::contract::duration;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use toml::Table;

use super::request::{Refused, Request};
use super::server::{Keyward, Reply};

impl Keyward {
    /// Puts a contract's text in force; with `?dry_run=true` behind the name only asks for the difference.
    pub fn put_contract(&self, api: &str, source: &str) -> Reply {
        let request = self.http.put(format!("{}/v1/apis/{api}", self.started.control_url));
        let request = request.bearer_auth(&self.started.management_key).header(CONTENT_TYPE, "application/toml");
        request.body(source.to_owned()).send().unwrap().into()
    }

    /// The contract in force for an API.
    pub fn terms_of(&self, api: &str) -> Terms {
        let found = self.get(&format!("/v1/apis/{api}")).expect(200).json();
        let record = if found["api"].is_object() { &found["api"] } else { &found };
        let text = |field: &str| record[field].as_str().unwrap_or_else(|| panic!("no {field}: {found}")).to_owned();
        Terms { source: text("contract"), table: text("resolved").parse().unwrap() }
    }

    /// The contract in force for the API that `dev` made.
    pub fn terms(&self) -> Terms {
        self.terms_of(&self.started.api)
    }

    /// Puts the API's contract in force once more, with these lines laid over it.
    #[track_caller]
    pub fn amend(&self, lines: &str) -> Reply {
        self.put_contract(&self.started.api, &self.terms().amended(lines)).expect(200)
    }
}

/// A contract as its text says it.
#[derive(Debug, Clone)]
pub struct Terms {
    /// As it was applied.
    pub source: String,
    /// With everything it extends merged in.
    pub table: Table,
}

/// One place a credential can travel in.
#[derive(Debug, Clone)]
pub enum Place {
    Header { name: String, scheme: Option<String> },
    Query { name: String },
}

impl Terms {
    /// A field such as `key.expiry.max`.
    pub fn at(&self, field: &str) -> Option<&toml::Value> {
        let mut parts = field.split('.');
        let first = self.table.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    pub fn text(&self, field: &str) -> Option<&str> {
        self.at(field)?.as_str()
    }

    /// A truth; false where the contract does not say.
    pub fn is(&self, field: &str) -> bool {
        self.at(field).and_then(toml::Value::as_bool).unwrap_or(false)
    }

    /// A whole number; 0 where the contract does not say.
    pub fn number(&self, field: &str) -> i64 {
        self.at(field).and_then(toml::Value::as_integer).unwrap_or(0)
    }

    /// A duration; none where the contract does not say or says `none`.
    pub fn duration(&self, field: &str) -> Option<Duration> {
        self.text(field).filter(|text| *text != "none").map(|text| duration::parse(text).unwrap())
    }

    /// The statements to acknowledge before `create` or `revoke`.
    pub fn statements(&self, action: &str) -> Vec<String> {
        let found = self.at(&format!("acknowledge.{action}")).and_then(toml::Value::as_array);
        found.into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// Where the credential travels.
    pub fn places(&self) -> Vec<Place> {
        let text = |value: &toml::Value, field: &str| value.get(field).map(|v| v.as_str().unwrap().to_owned());
        let from = self.at("credential.from").and_then(toml::Value::as_array).unwrap();
        let place = |place: &toml::Value| match text(place, "header") {
            Some(name) => Place::Header { name, scheme: text(place, "scheme") },
            None => Place::Query { name: text(place, "query").unwrap() },
        };
        from.iter().map(place).collect()
    }

    /// The answer to a refusal, by the contract's own words.
    #[track_caller]
    pub fn refusal(&self, code: &str) -> Refused {
        const CREDENTIAL: [&str; 7] =
            ["missing_key", "malformed_key", "unknown_key", "revoked", "disabled", "expired", "project_suspended"];
        let answer = |name: &str| self.at(&format!("refusals.answers.{name}"));
        let is_shared = answer(code).is_none() && CREDENTIAL.contains(&code);
        let name = if is_shared { "invalid_key" } else { code };
        let answer = answer(name).unwrap_or_else(|| panic!("the contract has no answer to {code}"));
        let message = answer["message"].as_str().unwrap();
        let shape = answer.get("body").unwrap_or_else(|| self.at("refusals.body").unwrap());
        let status = answer["status"].as_integer().unwrap().try_into().unwrap();
        Refused { status, body: filled(shape, name, message) }
    }

    /// The first documented request, without a credential.
    pub fn example(&self, project: &str) -> Request {
        let example = &self.at("examples").and_then(toml::Value::as_array).expect("a documented request")[0];
        let path = example["path"].as_str().unwrap().replace("{project}", project);
        let prefix = self.text("gateway.path_prefix").unwrap_or_default();
        let mut request = Request::new(example["method"].as_str().unwrap_or("GET"), &format!("{prefix}{path}"));
        let headers = example.get("headers").and_then(toml::Value::as_table);
        for (name, value) in headers.into_iter().flatten() {
            request = request.with(name, value.as_str().unwrap());
        }
        request.body = example.get("body").map(|body| body.as_str().unwrap().to_owned());
        let hosts = self.at("gateway.hosts").and_then(toml::Value::as_array);
        request.host = hosts.and_then(|hosts| hosts.first()).map(|host| host.as_str().unwrap().replace('*', "any"));
        request
    }

    /// Its text with these lines laid over it.
    pub fn amended(&self, lines: &str) -> String {
        let mut table: Table = self.source.parse().unwrap();
        lay(&mut table, lines.parse().unwrap());
        toml::to_string(&table).unwrap()
    }
}

impl Place {
    /// The request with a credential in this place.
    pub fn carry(&self, request: &Request, credential: &str) -> Request {
        let request = request.clone();
        match self {
            Place::Header { name, scheme: None } => request.with(name, credential),
            Place::Header { name, scheme: Some(scheme) } => request.with(name, &format!("{scheme} {credential}")),
            Place::Query { name } => request.query(name, &escaped(credential)),
        }
    }
}

/// A text as it stands in a query.
pub fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let byte = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

fn lay(below: &mut Table, above: Table) {
    for (name, value) in above {
        match (below.get_mut(&name), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay(below, above),
            (_, value) => drop(below.insert(name, value)),
        }
    }
}

fn filled(shape: &toml::Value, code: &str, message: &str) -> Value {
    match shape {
        toml::Value::String(text) => text.replace("{code}", code).replace("{message}", message).into(),
        toml::Value::Array(items) => items.iter().map(|item| filled(item, code, message)).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.iter().map(|(name, value)| (name.clone(), filled(value, code, message))).collect())
        }
        other => serde_json::to_value(other).unwrap(),
    }
}
