//! Refusals: the contract's answer to each, made ready once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use keyward_core::contract::{Answer, Contract, Place};
use keyward_core::denial::Refusal;

use crate::reply::X_REQUEST_ID;

/// When a caller who was refused because nothing can be decided may try again.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(1);

/// Answers to all refusals of a contract.
#[derive(Debug)]
pub(crate) struct Refusals(Vec<Ready>);

#[derive(Debug)]
struct Ready {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// The body with the place for a field's name still in it.
    shape: Bytes,
}

impl Refusals {
    /// Those of a contract.
    pub fn of(contract: &Contract) -> Self {
        Refusals(Refusal::ALL.iter().map(|&refusal| Ready::of(contract, refusal)).collect())
    }

    /// The answer to a refusal.
    pub fn answer(&self, refusal: Refusal, request_id: &HeaderValue) -> Response<Bytes> {
        let ready = &self.0[refusal as usize];
        let mut reply = Response::new(ready.body.clone());
        *reply.status_mut() = ready.status;
        let headers = reply.headers_mut();
        headers.reserve(ready.headers.len() + 3);
        for (name, value) in &ready.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(X_REQUEST_ID, request_id.clone());
        reply
    }

    /// The same for one that is a field's fault: the answer names it where the contract has it named.
    pub fn answer_naming(&self, refusal: Refusal, field: &str, request_id: &HeaderValue) -> Response<Bytes> {
        let mut reply = self.answer(refusal, request_id);
        *reply.body_mut() = naming(&self.0[refusal as usize].shape, field);
        reply
    }
}

/// What stands for a field in an answer.
const FIELD: &str = "{field}";
/// What it says where none is named.
const UNNAMED: &str = "in question";

/// A body with the field put into it, as JSON writes it inside of a text.
fn naming(body: &Bytes, field: &str) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else { return body.clone() };
    if !text.contains(FIELD) {
        return body.clone();
    }
    let quoted = serde_json::Value::from(field).to_string();
    text.replace(FIELD, &quoted[1..quoted.len() - 1]).into()
}

impl Ready {
    fn of(contract: &Contract, refusal: Refusal) -> Self {
        let Answer { status, content_type, body, headers, .. } = contract.refusals.answer(refusal);
        let mut all = BTreeMap::from([("content-type", content_type.as_str()), ("cache-control", "no-store")]);
        let retry = RETRY_UNAVAILABLE.as_secs().to_string();
        let challenge = challenge(contract);
        if *status == 401 {
            all.insert(WWW_AUTHENTICATE.as_str(), challenge);
        }
        if *status == 503 {
            all.insert(RETRY_AFTER.as_str(), &retry);
        }
        let shape = Bytes::from(body.clone());
        let own: Vec<_> = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        all.extend(own.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        Ready {
            status: StatusCode::from_u16(*status).unwrap_or(StatusCode::FORBIDDEN),
            // The contract was checked when it was read: all of these are headers.
            headers: all.iter().filter_map(|(n, v)| Some((n.parse().ok()?, v.parse().ok()?))).collect(),
            body: naming(&shape, UNNAMED),
            shape,
        }
    }
}

/// How a caller is told to authenticate: the scheme of the first place.
fn challenge(contract: &Contract) -> &str {
    match contract.places.first() {
        Some(Place::Header { scheme: Some(scheme), .. }) => scheme,
        _ => "ApiKey",
    }
}
