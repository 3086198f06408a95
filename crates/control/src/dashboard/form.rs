//! Forms as pages send them: URL-encoded, small, and with no field that the page does not have.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::answer::Failure;

/// The fields of a form.
#[derive(Debug)]
pub struct Form<T>(pub T);

/// The largest form that a page sends: a contract.
const FORM_BYTES_MAX: usize = 256 * 1024;

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_form = media_type.is_some_and(|value| {
            value.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded")
        });
        // A form without any field is sent without a type by some programs; a page always says one.
        if !is_form {
            return Err(Failure::Form("It is not the form of one of our pages.".into()));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| Failure::Form("It could not be read to its end.".into()))?;
        if bytes.len() > FORM_BYTES_MAX {
            return Err(Failure::Form("It is too large.".into()));
        }
        let fields = serde_html_form::from_bytes(&bytes);
        fields.map(Form).map_err(|error| Failure::Form(format!("{error}.")))
    }
}

/// The query of a page's address. What a page does not know is left out of account, for links that others decorate.
#[derive(Debug)]
pub struct Asking<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asking<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        serde_html_form::from_str(query)
            .map(Asking)
            .map_err(|error| Failure::Form(format!("The address: {error}.")))
    }
}
