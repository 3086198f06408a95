//! What a page's address is about: the ids in its path. A text that can be none of them is answered with the page that
//! stands where there is nothing, like an id of nothing.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::answer::Failure;
use crate::use_cases::ControlError;

/// The ids in the path, as the handler names them.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        found.map(|axum::extract::Path(ids)| Path(ids)).map_err(|_| ControlError::NotFound.into())
    }
}
