//! Backups over HTTP.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Asking;
use super::doors::Rest;
use super::fields::body;
use super::problem::Problem;

body! {
    /// A backup to be written.
    CreateBackup {
        /// The file's name in the server's folder of backups; one with the time where none.
        name: Option<String>,
    }
}

/// A backup that was written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backup)]
pub(super) struct BackupAnswer {
    /// Where, on the server.
    path: String,
    /// The last revision in it.
    revision: i64,
    /// Its size.
    bytes: u64,
}

/// Write a backup
///
/// A consistent copy of the store, while work goes on, into the server's folder of backups.
#[utoipa::path(post, path = "/v1/backups", tag = "operation", request_body = CreateBackup,
    responses((status = 201, description = "The backup", body = BackupAnswer)))]
pub(super) async fn create_backup(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Body(wish): Body<CreateBackup>,
) -> Result<Response, Problem> {
    let backup = control.back_up(&asked, wish.name.as_deref()).await?;
    let path = backup.path.display().to_string();
    let answer = BackupAnswer { path, revision: backup.revision.0, bytes: backup.bytes };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}
