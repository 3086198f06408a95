//! Routes that encrypt: a granted request whose fields are encrypted or decrypted on their way. A direct call is answered
//! with its one field; a proxied one is sent on to the project's destination, or is its own answer where the project has
//! none. `named` reads the headers, `body` is the document on its way, `cipher` has the keys, `send` goes on.
//!
//! Bodies up to the contract's `whole_max_bytes` are transformed to their end before anything of them leaves, so what is
//! wrong with them is told with a refusal that names the field. Of larger ones no more is kept than is being read.

mod body;
mod cipher;
mod named;
mod room;
mod send;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::body::Body;
use keyward_core::contract::{EncryptionRules, FieldRoute};
use keyward_core::decision::Grant;
use keyward_core::denial::Refusal;
use keyward_verify::limits::Charge;

pub(crate) use self::body::Transformed;
use self::cipher::Cipher;
use self::named::Mode;
pub(crate) use self::room::FieldRoom;
use super::{Failures, Passed, Visit};
use crate::asking::entrance::Refused;
use crate::asking::needs::FieldsAsked;
use crate::encryption::paths::FieldPaths;
use crate::encryption::transform::{Transformer, Unfit};
use crate::reply::{Content, Reply, X_REQUEST_ID, whole};
use crate::upstream::RequestBody;

/// What stands around the field of a direct call, in bytes; more than that is no direct call.
const AROUND_MAX: usize = 64 * 1024;
/// The slowest that a document may come, in bytes a second.
pub(super) const BYTES_PER_SECOND_MIN: u32 = 16 * 1024;

impl Visit<'_> {
    /// Answers a granted request whose fields are to be encrypted or decrypted.
    pub(super) async fn pass_fields(
        &self,
        asked: FieldsAsked,
        grant: Grant,
        charge: Charge,
        (parts, body): (&mut Parts, RequestBody),
    ) -> Result<Passed, Refused> {
        // A contract's routes encrypt only where it has rules for it.
        let answered = match &self.served.contract().encryption {
            None => Err(Refusal::Unavailable.into()),
            Some(rules) => match asked.route {
                FieldRoute::Encrypt => self.direct(rules, Mode::Encrypt, &grant, (parts, body)).await,
                FieldRoute::Decrypt => self.direct(rules, Mode::Decrypt, &grant, (parts, body)).await,
                FieldRoute::Proxy => self.proxied(rules, asked.rest_after, &grant, (parts, body)).await,
            },
        };
        let (answered, field) = match answered {
            Ok(reply) => (Ok(reply), None),
            Err(Unfit { refusal, field }) => (Err(refusal), field),
        };
        let is_sent_on = asked.route == FieldRoute::Proxy && grant.project().destination.is_some();
        let failures = if is_sent_on { Failures::OfTheCaller } else { Failures::OfTheApi };
        let settled = self.settle(answered, grant, charge, failures);
        settled.map(Passed::Forwarded).map_err(|refused| Refused { field, ..refused })
    }

    /// A direct call: the body's one field, by itself.
    async fn direct(
        &self,
        rules: &EncryptionRules,
        mode: Mode,
        grant: &Grant,
        (parts, body): (&mut Parts, RequestBody),
    ) -> Result<Reply, Unfit> {
        named::check_encoding(&parts.headers)?;
        let paths = FieldPaths::only(&rules.data);
        let mut document = self.document(rules, mode, paths, grant, body).await?;
        if !document.gather(value_max(rules, mode) + AROUND_MAX).await? {
            return Err(Refusal::BodyTooLarge.into());
        }
        // Beside the field, only its name and what stands around it was kept: nothing else is answered.
        let missing = || Unfit::field(Refusal::FieldMissing, &rules.data);
        let field = document.last_replaced().ok_or_else(missing)?;
        let mut answer = Vec::with_capacity(field.len() + rules.data.len() + 6);
        answer.extend_from_slice(b"{\"");
        answer.extend_from_slice(rules.data.as_bytes());
        answer.extend_from_slice(b"\":");
        answer.extend_from_slice(field);
        answer.push(b'}');
        Ok(self.answered(parts, answer.into()))
    }

    /// A proxied call: the fields that its headers name.
    async fn proxied(
        &self,
        rules: &EncryptionRules,
        rest_after: Option<usize>,
        grant: &Grant,
        (parts, body): (&mut Parts, RequestBody),
    ) -> Result<Reply, Unfit> {
        let mode = named::mode(rules, &parts.headers)?;
        let fields = named::fields(rules, &parts.headers)?;
        let to = named::destination(rules, &parts.headers, grant.project().destination.as_deref())?;
        let brings_none = body.is_end_stream();
        let asks_only = matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS);
        if let (true, true, Some(to)) = (brings_none, asks_only, &to) {
            return self.send_on(rules, to, rest_after, (parts, body)).await.map_err(Unfit::from);
        }
        // What is to be encrypted must be said: a document that goes on as it came would be a surprise.
        let nothing_named =
            || Unfit::field(Refusal::FieldMissing, rules.fields_header.as_deref().unwrap_or_default());
        let fields = fields.ok_or_else(nothing_named)?;
        named::check_encoding(&parts.headers)?;
        let first = fields.named().first().cloned().unwrap_or_default();
        if brings_none {
            return Err(Unfit::field(Refusal::FieldMissing, &first));
        }
        let mut document = self.document(rules, mode, fields, grant, body).await?;
        let is_whole = document.gather(rules.whole_max_bytes).await?;
        let fault = document.fault();
        let Some(to) = to else {
            return Ok(match is_whole {
                true => self.answered(parts, document.take_ready()),
                false => self.answered(parts, Bytes::new()).map(|_| Content::Transformed(Box::new(document))),
            });
        };
        let body = match is_whole {
            true => RequestBody::Whole(document.take_ready()),
            false => RequestBody::Transformed(Box::new(document)),
        };
        let sent = self.send_on(rules, &to, rest_after, (parts, body)).await;
        sent.map_err(|refusal| fault.lock().take().unwrap_or_else(|| refusal.into()))
    }

    async fn document(
        &self,
        rules: &EncryptionRules,
        mode: Mode,
        paths: FieldPaths,
        grant: &Grant,
        body: RequestBody,
    ) -> Result<Transformed, Unfit> {
        // A value that grows is moved to twice its room; besides there is what was read before anything is sent on.
        let held_max = value_max(rules, mode) * 2 + rules.whole_max_bytes + AROUND_MAX;
        let comes = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        let room =
            self.gateway.field_room.take(comes.map_or(held_max, |comes| held_max.min(comes.saturating_mul(4))))?;
        let engine = &self.turn.caller.worker.engine;
        let entropy = Arc::clone(&self.gateway.entropy);
        let cipher = Cipher::of(engine, (mode, &rules.marker), grant.project().id, entropy).await?;
        let transformer = Transformer::new(paths, value_max(rules, mode));
        Ok(Transformed::new(body, transformer, cipher, (engine, &self.turn.lifeline), room))
    }

    /// A document that we answer with ourselves.
    fn answered(&self, parts: &Parts, document: Bytes) -> Reply {
        let json = HeaderValue::from_static("application/json");
        // The document is the caller's own: what it is called is theirs to say, as long as no browser takes it for more.
        let is_json = |kind: &&HeaderValue| kind.to_str().is_ok_and(|kind| kind.starts_with("application/json"));
        let kind = parts.headers.get(CONTENT_TYPE).filter(is_json).cloned().unwrap_or(json);
        let mut reply = whole(StatusCode::OK, kind, document);
        reply.headers_mut().insert(X_REQUEST_ID, self.request_id.clone());
        reply
    }
}

/// The most bytes of a field as it comes: of a ciphertext, those of the largest value in base64 with what is around it.
fn value_max(rules: &EncryptionRules, mode: Mode) -> usize {
    match mode {
        Mode::Encrypt => rules.value_max_bytes,
        Mode::Decrypt => rules.value_max_bytes.div_ceil(3) * 4 + 1024,
    }
}
