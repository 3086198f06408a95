//! Taking a request's body: bounded before it is in memory, checked strictly as JSON, then read field by
//! field (see [`super::fields`]).

use axum::body::Body as Unread;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use keyward_core::json::{JsonLimits, check};
use keyward_core::key::Metadata;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::caller::Asking;
use super::doors::Rest;
use super::fields::{Fields, Shape};
use super::problem::{Code, Problem};
use crate::use_cases::{Asked, ControlError, Repeat};

/// Largest JSON body, in bytes.
pub(super) const JSON_BYTES_MAX: usize = 64 * 1024;
/// Longest `Idempotency-Key`, in characters.
const IDEMPOTENCY_KEY_MAX: usize = 200;

/// A JSON body. A request without any body is one with no fields.
#[derive(Debug)]
pub(super) struct Body<T>(pub T);

impl<T: Shape> FromRequest<Rest> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Rest) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        shape(object(&parts.headers, body).await?).map(Body)
    }
}

/// A JSON body that asks for something to be made, with who asks: a repetition with the same
/// `Idempotency-Key` is recognised by both.
#[derive(Debug)]
pub(super) struct Making<T> {
    pub asked: Asked,
    pub wish: T,
}

impl<T: Shape> FromRequest<Rest> for Making<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, control: &Rest) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Asking(mut asked) = Asking::from_request_parts(&mut parts, control).await?;
        let idempotency_key = idempotency_key(&parts.headers)?;
        let object = object(&parts.headers, body).await?;
        asked.repeat = idempotency_key.map(|key| {
            let place = format!("{} {}", parts.method, parts.uri.path());
            Repeat { key, fingerprint: fingerprint(&place, &object) }
        });
        Ok(Making { asked, wish: shape(object)? })
    }
}

fn shape<T: Shape>(object: Metadata) -> Result<T, Problem> {
    let mut fields = Fields::new(object);
    let read = T::read(&mut fields);
    Ok(fields.finish(read)?)
}

/// Reads a JSON object.
async fn object(headers: &HeaderMap, body: Unread) -> Result<Metadata, Problem> {
    if !headers.contains_key(header::CONTENT_TYPE) {
        let bytes = read(headers, body, JSON_BYTES_MAX).await?;
        return match bytes.is_empty() {
            true => Ok(Metadata::new()),
            false => Err(unsupported("application/json")),
        };
    }
    require_type(headers, &["application/json"])?;
    let bytes = read(headers, body, JSON_BYTES_MAX).await?;
    check(&bytes, JsonLimits::default()).map_err(|error| unparseable(error.to_string()))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ControlError::invalid("", "The body must be a JSON object.").into()),
        Err(error) => Err(unparseable(error.to_string())),
    }
}

/// Reads a text of one of these types.
pub(super) async fn text(request: Request, types: &[&str], bytes_max: usize) -> Result<String, Problem> {
    let (parts, body) = request.into_parts();
    require_type(&parts.headers, types)?;
    let bytes = read(&parts.headers, body, bytes_max).await?;
    String::from_utf8(bytes).map_err(|_| unparseable("not UTF-8".into()))
}

fn require_type(headers: &HeaderMap, types: &[&str]) -> Result<(), Problem> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(unsupported(types[0])) };
    let value = value.to_str().unwrap_or_default();
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    let is_utf8 = match parameters.trim().to_ascii_lowercase().strip_prefix("charset=") {
        Some(charset) => charset.trim_matches('"') == "utf-8",
        None => true,
    };
    let is_known = types.iter().any(|known| kind.trim().eq_ignore_ascii_case(known));
    if is_known && is_utf8 { Ok(()) } else { Err(unsupported(types[0])) }
}

/// Reads a body of at most so many bytes, and not one byte of a larger one that says so beforehand.
async fn read(headers: &HeaderMap, body: Unread, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    // No compression is undone: what is read is what was sent (trust.md H15).
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Problem::new(Code::UnsupportedMediaType, "Send the body without a content coding."));
    }
    let too_large = || Problem::new(Code::PayloadTooLarge, format!("A body has at most {bytes_max} bytes here."));
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(unparseable("it ends before its end".into())),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let wrong = || {
        let message = format!("is 1 to {IDEMPOTENCY_KEY_MAX} printable characters, once");
        Problem::from(ControlError::invalid("Idempotency-Key", message))
    };
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().map_err(|_| wrong())?;
    let fits = (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) && key.bytes().all(|b| (0x20..0x7f).contains(&b));
    if fits && values.next().is_none() { Ok(Some(key.to_owned())) } else { Err(wrong()) }
}

/// A hash of all that a request asks for: where it went, and its fields in the order of their names.
fn fingerprint(place: &str, object: &Metadata) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((place.len() as u64).to_be_bytes());
    hash.update(place);
    // Maps are kept in the order of their keys, so the same fields give the same text.
    hash.update(serde_json::to_vec(object).unwrap_or_default());
    hash.finalize().into()
}

fn unsupported(kind: &str) -> Problem {
    Problem::new(Code::UnsupportedMediaType, format!("Send the body as {kind}."))
}

fn unparseable(reason: String) -> Problem {
    Problem::new(Code::Unparseable, format!("The body cannot be read: {reason}."))
}
