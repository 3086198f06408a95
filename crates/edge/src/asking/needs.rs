//! What a request needs of its key: scopes, the project it names, the resource it touches; and what it costs. Where
//! the resource stands in the body, the body is read, but only for keys that are limited in that kind.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, HeaderMap};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use keyward_core::contract::{Contract, FieldRoute, Needs, Resource, ResourceFrom, Told};
use keyward_core::decision::ProjectNamed;
use keyward_core::denial::Refusal;
use keyward_core::json::{self, JsonLimits};

/// What a request needs, as far as its method and path tell.
#[derive(Debug)]
pub(crate) struct Needed<'a> {
    pub scopes: &'a [Box<str>],
    pub project: Option<ProjectNamed>,
    pub resources: Vec<Touched<'a>>,
    /// The resource that stands in the body, and where.
    pub in_body: Option<(&'a str, &'a str)>,
    /// Whether nobody may make it: no route names it, and the contract refuses what none names.
    pub is_closed: bool,
    /// What it costs.
    pub cost: u64,
    /// What the gateway answers to it by itself, in the upstream's place.
    pub answer: Option<&'a Told>,
    /// What the gateway does with fields of its body.
    pub encryption: Option<FieldsAsked>,
}

impl Default for Needed<'_> {
    /// Nothing in particular, at the cost of any request.
    fn default() -> Self {
        let (project, in_body, answer, encryption) = Default::default();
        let resources = Vec::new();
        Needed { scopes: &[], project, resources, in_body, is_closed: false, cost: 1, answer, encryption }
    }
}

/// What a route does with fields, and how many segments of the path stand before what it captures as the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FieldsAsked {
    pub route: FieldRoute,
    pub rest_after: Option<usize>,
}

/// A resource that is touched; which, where the request tells.
#[derive(Debug)]
pub(crate) struct Touched<'a> {
    pub kind: &'a str,
    pub id: Option<Cow<'a, str>>,
}

/// The scopes that only a key without limits holds.
static EVERY_SCOPE: std::sync::LazyLock<[Box<str>; 1]> = std::sync::LazyLock::new(|| [Box::from("*")]);

/// What a contract asks of a request with this method and path, which stands in its canonical form.
pub(crate) fn of<'a>(contract: &'a Contract, method: &str, path: &'a str) -> Needed<'a> {
    let (route, captures) = match contract.routes.needs(method, path) {
        Needs::Nothing => return Needed::default(),
        Needs::NoSuchRoute => return Needed { is_closed: true, ..Needed::default() },
        Needs::FullAccess => {
            let resources = contract.resources.keys().map(|kind| Touched { kind, id: None }).collect();
            return Needed { scopes: &*EVERY_SCOPE, resources, ..Needed::default() };
        }
        Needs::Route { route, captures } => (route, captures),
    };
    let captured = |name: &str| captures.iter().find(|(captured, _)| *captured == name).map(|(_, text)| *text);
    let project = route.project.as_deref().map(|name| {
        captured(name).and_then(|text| text.parse().ok()).map_or(ProjectNamed::Nothing, ProjectNamed::Id)
    });
    let (cost, answer) = (route.cost, route.answer.as_ref());
    let encryption = route.encryption.map(|fields| FieldsAsked { route: fields, rest_after: route.rest_after() });
    let mut needed = Needed { scopes: &route.scopes, project, cost, answer, encryption, ..Needed::default() };
    match &route.resource {
        None => {}
        Some(Resource { kind, from: ResourceFrom::Path(name) }) => {
            needed.resources.push(Touched { kind, id: captured(name).map(Cow::Borrowed) });
        }
        Some(Resource { kind, from: ResourceFrom::Body(pointer) }) => {
            needed.resources.push(Touched { kind, id: None });
            needed.in_body = Some((kind, pointer));
        }
    }
    needed
}

/// Reads a body to see which resource it names. Gives the body too: it is forwarded as it came.
///
/// # Errors
/// `UnsupportedBody` where it is encoded, `BodyTooLarge` beyond `bytes_max`, `BadRequest` where it is no
/// JSON that every reader reads alike.
pub(crate) async fn read_body(mut body: Incoming, headers: &HeaderMap, bytes_max: usize) -> Result<Bytes, Refusal> {
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Refusal::UnsupportedBody);
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BadRequest)?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > bytes_max {
            return Err(Refusal::BodyTooLarge);
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// The resource that a body names at a JSON pointer; none where it names none.
///
/// # Errors
/// `BadRequest` where the body is no JSON that every reader reads alike.
pub(crate) fn resource_in(body: &[u8], pointer: &str) -> Result<Option<String>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    json::check(body, JsonLimits::default()).map_err(|_| Refusal::BadRequest)?;
    let document: serde_json::Value = serde_json::from_slice(body).map_err(|_| Refusal::BadRequest)?;
    Ok(match document.pointer(pointer) {
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(serde_json::Value::Number(number)) => Some(number.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p22_a_body_names_its_resource_once_or_not_at_all() {
        let named = |body: &str| resource_in(body.as_bytes(), "/category_id");
        assert_eq!(named(r#"{"category_id":"7c9e"}"#), Ok(Some("7c9e".into())));
        assert_eq!(named(r#"{"category_id":7}"#), Ok(Some("7".into())));
        for none in
            ["", "{}", "[]", r#"{"category_id":null}"#, r#"{"category_id":["7c9e"]}"#, r#"{"x":{"category_id":1}}"#]
        {
            assert_eq!(named(none), Ok(None), "{none}");
        }
        for bad in
            ["{", r#"{"category_id":"a","category_id":"b"}"#, r#"{"category_id":"a","category\u005fid":"b"}"#]
        {
            assert_eq!(named(bad), Err(Refusal::BadRequest), "{bad}");
        }
    }
}
