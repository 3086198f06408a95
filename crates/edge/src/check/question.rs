//! What is asked of the verify API: read strictly, with every wrong field named.
//!
//! Nearly all questions are well formed, so the fast way reads them in one pass that refuses whatever it does
//! not expect; only then the slow way finds out what is wrong, and says it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use keyward_core::decision::{ProjectNamed, RequestFacts, ResourceNamed};
use keyward_core::id::{ApiName, ProjectId};
use keyward_core::json::{self, JsonLimits};
use keyward_core::limits::COST_MAX;
use keyward_core::scope::{SCOPES_MAX, Scopes};
use keyward_verify::{ApiInForce, Engine};
use serde::Deserialize;
use serde_json::Value;

use crate::asking::needs::{self, Needed};
use crate::asking::path::{self, Strictness};

const KEY_BYTES_MAX: usize = 1024;
const FIELDS: [&str; 8] = ["key", "api", "project", "scopes", "method", "path", "cost", "ip"];

/// Why a body is no question.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// It is no sane JSON; the sentence says why.
    Unparseable(String),
    /// These fields are wrong, each with what is wrong with it.
    Fields(Vec<(String, String)>),
}

impl Wrong {
    fn field(field: &str, message: impl Into<String>) -> Self {
        Wrong::Fields(vec![(field.to_owned(), message.into())])
    }
}

/// A question.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub key: Cow<'a, str>,
    api: Option<ApiName>,
    project: Option<ProjectId>,
    scopes: Vec<Box<str>>,
    method: Option<Cow<'a, str>>,
    path: Option<Cow<'a, str>>,
    cost: Option<u64>,
    ip: Option<IpAddr>,
}

/// A question as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    api: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    project: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    scopes: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    path: Option<Cow<'a, str>>,
    #[serde(default)]
    cost: Option<u64>,
    #[serde(borrow, default)]
    ip: Option<Cow<'a, str>>,
}

/// Reads a question.
pub(crate) fn parse(body: &[u8]) -> Result<Question<'_>, Wrong> {
    match serde_json::from_slice::<Written<'_>>(body) {
        Ok(written) => written.check(),
        Err(error) => Err(explain(body, &error)),
    }
}

impl<'a> Written<'a> {
    fn check(self) -> Result<Question<'a>, Wrong> {
        let mut wrong = Vec::new();
        let mut complain = |field: &str, message: String| wrong.push((field.to_owned(), message));
        if self.key.len() > KEY_BYTES_MAX {
            complain("key", format!("has at most {KEY_BYTES_MAX} bytes"));
        }
        let api = self.api.and_then(|text| match text.parse() {
            Ok(api) => Some(api),
            Err(error) => {
                complain("api", format!("{error}"));
                None
            }
        });
        let project = self.project.and_then(|text| match text.parse() {
            Ok(project) => Some(project),
            Err(error) => {
                complain("project", format!("{error}"));
                None
            }
        });
        let scopes = self.scopes.unwrap_or_default();
        if scopes.len() > SCOPES_MAX {
            complain("scopes", format!("has at most {SCOPES_MAX}"));
        } else if let Some(Err(error)) = (!scopes.is_empty()).then(|| Scopes::new(&scopes)) {
            complain("scopes", error.to_string());
        }
        if self.cost.is_some_and(|cost| cost > COST_MAX) {
            complain("cost", format!("is a whole number from 0 to {COST_MAX}"));
        }
        let ip = self.ip.and_then(|text| match text.parse::<IpAddr>() {
            Ok(address) => Some(address.to_canonical()),
            Err(_) => {
                complain("ip", "is no IP address".into());
                None
            }
        });
        match (&self.method, &self.path) {
            (Some(_), None) => complain("path", "is required with method".into()),
            (None, Some(_)) => complain("method", "is required with path".into()),
            _ => {}
        }
        if self
            .method
            .as_ref()
            .is_some_and(|method| !method.bytes().all(|b| b.is_ascii_uppercase()) || method.is_empty())
        {
            complain("method", "is a method in capital letters".into());
        }
        if !wrong.is_empty() {
            return Err(Wrong::Fields(wrong));
        }
        let scopes = scopes.into_iter().map(|scope| scope.into()).collect();
        let Written { key, method, path, cost, .. } = self;
        Ok(Question { key, api, project, scopes, method, path, cost, ip })
    }
}

impl Question<'_> {
    /// The API asked about. Where none is named and only one is served, it is that one.
    pub fn api_of(&self, engine: &Engine) -> Result<Option<Arc<ApiInForce>>, Wrong> {
        match &self.api {
            Some(name) => match engine.api(name) {
                Some(api) => Ok(Some(api)),
                None => Err(Wrong::field("api", "there is no such API")),
            },
            None => {
                let apis = engine.apis();
                let only = if apis.len() == 1 { apis.values().next().cloned() } else { None };
                match (&only, &self.path) {
                    (None, Some(_)) => {
                        Err(Wrong::field("api", "is required with path where several APIs are served"))
                    }
                    _ => Ok(only),
                }
            }
        }
    }

    /// The path asked about, in its canonical form and without a query.
    pub fn canonical_path(&self) -> Result<Option<Cow<'_, str>>, Wrong> {
        let Some(path) = &self.path else { return Ok(None) };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match path::canonical(path, Strictness::Strict) {
            Some(path) => Ok(Some(path)),
            None => Err(Wrong::field("path", "is no path that every server reads alike")),
        }
    }

    /// What is needed of the key.
    pub fn needed<'q>(&'q self, api: Option<&'q ApiInForce>, path: Option<&'q str>) -> Demand<'q> {
        let (Some(api), Some(path), Some(method)) = (api, path, self.method.as_deref()) else {
            return Demand { needed: Needed::default(), scopes: Cow::Borrowed(&self.scopes) };
        };
        let needed = needs::of(&api.contract, method, path);
        let scopes = match self.scopes.is_empty() {
            true => Cow::Borrowed(needed.scopes),
            false => Cow::Owned([needed.scopes, &self.scopes].concat()),
        };
        Demand { needed, scopes }
    }
}

/// What a question needs of the key.
#[derive(Debug)]
pub(crate) struct Demand<'q> {
    needed: Needed<'q>,
    scopes: Cow<'q, [Box<str>]>,
}

impl Demand<'_> {
    pub fn resources(&self) -> Vec<ResourceNamed<'_>> {
        self.needed.resources.iter().map(|r| ResourceNamed { kind: r.kind, id: r.id.as_deref() }).collect()
    }

    pub fn facts<'f>(&'f self, question: &Question<'_>, resources: &'f [ResourceNamed<'f>]) -> RequestFacts<'f> {
        // The project asked about and the one in the path: where they differ, no key fits.
        let project = match (question.project.map(ProjectNamed::Id), self.needed.project) {
            (Some(asked), Some(in_path)) if asked != in_path => Some(ProjectNamed::Nothing),
            (asked, in_path) => asked.or(in_path),
        };
        RequestFacts {
            api: None,
            project,
            scopes: &self.scopes,
            resources,
            address: question.ip,
            is_closed: self.needed.is_closed,
            cost: question.cost.unwrap_or(self.needed.cost),
        }
    }
}

/// The slow way: what is wrong with a body that is no question.
fn explain(body: &[u8], error: &serde_json::Error) -> Wrong {
    if let Err(error) = json::check(body, JsonLimits::default()) {
        return Wrong::Unparseable(error.to_string());
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
        return Wrong::Unparseable("the body is a JSON object".into());
    };
    let mut wrong = Vec::new();
    for (field, value) in &fields {
        let is_text = value.is_string() || value.is_null();
        let message = match field.as_str() {
            "key" if !value.is_string() => "is a text",
            "scopes" if !is_list_of_texts(value) => "is a list of texts",
            "cost" if !value.is_null() && !value.is_u64() => "is a whole number from 0 to 1000000000",
            name if !FIELDS.contains(&name) => "is no field of a question",
            "scopes" | "cost" | "key" => continue,
            _ if !is_text => "is a text",
            _ => continue,
        };
        wrong.push((field.clone(), message.to_owned()));
    }
    if !fields.contains_key("key") {
        wrong.push(("key".into(), "is required".into()));
    }
    match wrong.is_empty() {
        true => Wrong::Unparseable(format!("the body cannot be read: {error}")),
        false => Wrong::Fields(wrong),
    }
}

fn is_list_of_texts(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Vec<String> {
        match parse(body.as_bytes()) {
            Err(Wrong::Fields(wrong)) => wrong.into_iter().map(|(field, _)| field).collect(),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn questions_are_read() {
        let question =
            parse(br#"{"key":"k\u005f1","scopes":["a"],"ip":"::ffff:1.2.3.4","cost":0,"api":null}"#).unwrap();
        assert_eq!((&*question.key, question.scopes.len()), ("k_1", 1));
        assert_eq!(question.ip.unwrap().to_string(), "1.2.3.4");
        assert!(parse(br#" {"key":""} "#).is_ok());
    }

    #[test]
    fn t05_every_wrong_field_is_named() {
        assert_eq!(fields("{}"), ["key"]);
        assert_eq!(fields(r#"{"key":1,"is_admin":true}"#), ["is_admin", "key"]);
        assert_eq!(fields(r#"{"key":"k","scopes":"a","cost":1.5,"ip":4}"#), ["cost", "ip", "scopes"]);
        assert_eq!(
            fields(r#"{"key":"k","api":"A","project":"p","scopes":["a b"],"ip":"x","method":"GET"}"#),
            ["api", "project", "scopes", "ip", "path"]
        );
        assert_eq!(fields(r#"{"key":"k","path":"/x"}"#), ["method"]);
    }

    #[test]
    fn i03_costs_are_whole_and_bounded() {
        assert!(parse(br#"{"key":"k","cost":1000000000}"#).is_ok());
        for cost in ["-1", "1000000001", "2147483648", "9223372036854775807", "\"1\""] {
            assert_eq!(fields(&format!(r#"{{"key":"k","cost":{cost}}}"#)), ["cost"], "{cost}");
        }
        for cost in ["9223372036854775808", "1e400"] {
            let body = format!(r#"{{"key":"k","cost":{cost}}}"#);
            let outcome = parse(body.as_bytes());
            assert!(matches!(outcome, Err(Wrong::Unparseable(_) | Wrong::Fields(_))), "{cost}");
        }
    }

    #[test]
    fn h16_what_is_no_sane_json_is_unparseable() {
        for body in
            ["", "{", "[", "[]", "1", "null", r#"{"key":"a","key":"b"}"#, r#"{"key":"a","x":{"y":1,"y":2}}"#]
        {
            assert!(matches!(parse(body.as_bytes()), Err(Wrong::Unparseable(_))), "{body}");
        }
        assert!(matches!(parse(&b"[".repeat(16_000)), Err(Wrong::Unparseable(_))));
    }
}
