//! The OpenAPI document: its head here, its operations from the handlers, its snapshot in docs/openapi.json.

use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::OpenApi;

use super::problem::{FieldProblem, ProblemDocument};

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
        (name = "management keys", description = "Keys to this control plane"),
        (name = "operation", description = "Backups"),
    )
)]
struct Head;

/// The document before any operation is added.
pub(super) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// The document as it is served and kept in docs/openapi.json.
pub(super) fn written(document: &utoipa::openapi::OpenApi) -> String {
    // Made of strings, numbers and maps: it can always be written.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The one public page.
pub(super) fn answer(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
