//! The OpenAPI document: its head here, its operations from the handlers, its snapshot in docs/openapi.json.

use axum::response::{IntoResponse, Response};
use http::header;
use keyward_core::key::Standing;
use keyward_core::people::Role;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, Components, Object, Schema};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, Required};

use super::problem::{Code, FieldProblem, ProblemDocument};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keyward control plane",
        version = "1",
        description = "Organizations, projects, keys and contracts. Errors are problem documents (RFC 9457) with \
            a stable `code`; lists are read with `limit` and `cursor`; unknown fields and parameters are refused. \
            Each operation's `x-scope` is the scope that it takes.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemDocument, FieldProblem)),
    tags(
        (name = "apis", description = "APIs and their contracts"),
        (name = "organizations", description = "The operator's customers"),
        (name = "projects", description = "The walls around keys, usage and events"),
        (name = "keys", description = "Keys: made, changed, rotated and ended"),
        (name = "log", description = "Every change, with its chain"),
        (name = "members", description = "Members of organizations, and invitations"),
        (name = "people", description = "People's accounts"),
        (name = "management keys", description = "Keys to this control plane"),
        (name = "encryption", description = "Data keys and destinations of projects"),
        (name = "operation", description = "Nodes, key-encryption keys and backups"),
    )
)]
struct Head;

/// The document before any operation is added.
pub(super) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// Adds what holds for the whole document: how to authenticate, that requests have no unknown fields, and
/// which words a field can hold.
pub(super) fn complete(document: &mut utoipa::openapi::OpenApi) {
    let components = document.components.get_or_insert_default();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            close_body(operation, components);
            name_words_of_parameters(operation);
        }
    }
    for (schema, property, words) in words() {
        let Some(object) = object(components, schema) else { continue };
        if let Some(RefOr::T(Schema::Object(property))) = object.properties.get_mut(property) {
            property.enum_values = Some(words);
        }
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("management_key", SecurityScheme::Http(bearer));
    let cookie = ApiKeyValue::with_description(
        "__Host-keyward-session",
        "A dashboard session, from our own pages; the header Keyward-Organization names the organization",
    );
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
}

/// Says that a body has no unknown fields, and may be left out where it needs none.
fn close_body(operation: &mut Operation, components: &mut Components) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    let Some(RefOr::T(content)) = body.content.get("application/json") else { return };
    let Some(RefOr::Ref(named)) = &content.schema else { return };
    let name = named.ref_location.rsplit('/').next().unwrap_or_default();
    let Some(object) = object(components, name) else { return };
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    if object.required.is_empty() {
        body.required = Some(Required::False);
    }
}

fn object<'a>(components: &'a mut Components, name: &str) -> Option<&'a mut Object> {
    match components.schemas.get_mut(name) {
        Some(RefOr::T(Schema::Object(object))) => Some(object),
        _ => None,
    }
}

/// The fields that hold one of a few words.
fn words() -> [(&'static str, &'static str, Vec<Value>); 19] {
    let standings = Standing::ALL.map(|standing| json!(standing.as_str())).to_vec();
    let roles = || Role::ALL.map(|role| json!(role.as_str())).to_vec();
    let person = || vec![json!("active"), json!("disabled")];
    let tenant = || vec![json!("active"), json!("suspended"), json!("deleted")];
    [
        ("Problem", "code", Code::ALL.iter().map(|code| json!(code.as_str())).collect()),
        ("Key", "state", standings),
        ("Organization", "state", tenant()),
        ("Project", "state", tenant()),
        ("Project", "environment", vec![json!("live"), json!("test")]),
        ("CreateProject", "environment", vec![json!("live"), json!("test"), Value::Null]),
        ("Limit", "kind", vec![json!("rate"), json!("quota")]),
        ("Limit", "by", vec![json!("key"), json!("project"), json!("organization"), json!("address")]),
        ("InForce", "by", vec![json!("acknowledged"), json!("lease_expired")]),
        ("Lease", "state", vec![json!("held"), json!("ended"), json!("endless")]),
        ("ManagementKey", "state", vec![json!("active"), json!("expired"), json!("revoked")]),
        ("Actor", "kind", vec![json!("management_key"), json!("person"), json!("operator")]),
        ("Member", "role", roles()),
        ("Member", "state", person()),
        ("Membership", "role", roles()),
        ("Person", "state", person()),
        ("SetRole", "role", roles()),
        ("Invite", "role", roles()),
        ("Invitation", "state", ["open", "expired", "accepted", "withdrawn"].map(Value::from).to_vec()),
    ]
}

fn name_words_of_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        let words = match parameter.name.as_str() {
            "state" => Standing::ALL.map(Standing::as_str).to_vec(),
            "step" => vec!["hour", "day"],
            "by" => vec!["key", "outcome", "key_and_outcome"],
            _ => continue,
        };
        if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
            schema.enum_values = Some(words.into_iter().map(Value::from).collect());
        }
    }
}

/// The document as it is served and kept in docs/openapi.json.
pub(super) fn written(document: &utoipa::openapi::OpenApi) -> String {
    // Made of strings, numbers and maps: it can always be written. The registry of formats has "uint32".
    let mut text =
        document.to_pretty_json().unwrap_or_default().replace("\"format\": \"u-int", "\"format\": \"uint");
    text.push('\n');
    text
}

/// The one public page.
pub(super) fn answer(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
