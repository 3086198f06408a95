//! The one place where errors become answers: what the caller is told (RFC 9457), and what the log keeps.
//!
//! A handler's error travels as a [`Problem`] in the response's extensions; the outermost layer writes it
//! out, once it knows the request's id.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::use_cases::{ControlError, Fault};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident, $title:literal;)*) => {
        /// The kinds of problems, by their stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code),* }
            }

            /// The status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status),* }
            }

            /// What it is called.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }
        }
    };
}

codes! {
    /// No management key, or none that opens.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A management key is required";
    /// Nobody is signed in by this.
    BadCredentials = "bad_credentials", UNAUTHORIZED, "Nobody is signed in by this";
    /// The management key may not do this.
    Forbidden = "forbidden", FORBIDDEN, "Not allowed";
    /// A browser's request that did not come from our own pages.
    CrossOrigin = "cross_origin", FORBIDDEN, "Not from our own pages";
    /// The project's plan does not have the API in it.
    PlanForbids = "plan_forbids", FORBIDDEN, "The plan does not give access";
    /// Nothing there, or nothing within reach.
    NotFound = "not_found", NOT_FOUND, "Not found";
    /// The path is known, the method is not for it.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    /// Read, but not valid.
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "The request is not valid";
    /// Not to be read.
    Unparseable = "unparseable", BAD_REQUEST, "The request cannot be read";
    /// A cursor that is none of this list's.
    BadCursor = "bad_cursor", BAD_REQUEST, "The cursor is none of this list's";
    /// Too large to be read.
    PayloadTooLarge = "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// Of a kind that is not read.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body has an unsupported type";
    /// No room for one more key.
    ActiveKeyLimit = "active_key_limit", CONFLICT, "The limit of active keys is reached";
    /// The key has ended.
    KeyNotActive = "key_not_active", CONFLICT, "The key is not active";
    /// The contract does not have this.
    ActionNotOffered = "action_not_offered", CONFLICT, "The API does not offer this";
    /// Suspended things get nothing new.
    Suspended = "suspended", CONFLICT, "Suspended";
    /// Others were faster, again and again.
    Conflict = "conflict", CONFLICT, "The state changed in between";
    /// Statements to acknowledge first.
    AcknowledgementRequired = "acknowledgement_required", PRECONDITION_REQUIRED, "An acknowledgement is required";
    /// Too many in too short a time.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    /// One key, two requests.
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The Idempotency-Key was used for another request";
    /// Somebody must remain.
    LastOne = "last_one", CONFLICT, "Nobody would be left";
    /// The address is somebody's.
    SignInFirst = "sign_in_first", CONFLICT, "Sign in first";
    /// It is there already.
    AlreadyExists = "already_exists", CONFLICT, "Exists already";
    /// The disk is full.
    StorageFull = "storage_full", INSUFFICIENT_STORAGE, "No room to write";
    /// Not now.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Unavailable";
    /// It may have happened.
    OutcomeUnknown = "outcome_unknown", SERVICE_UNAVAILABLE, "The outcome is not known";
    /// A fault of ours.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error";
}

/// The longest wait, in seconds, that a client should sit out by itself.
const RETRIED_AT_ONCE: u64 = 60;

const INTERNAL: &str = "Something went wrong here, not with the request. Support can find it by its request_id.";

/// A problem on its way out.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    /// For the caller.
    detail: String,
    /// For the log, where it holds more than the caller is told.
    log: Option<String>,
    errors: Vec<Fault>,
    statements: Vec<String>,
    /// After how many seconds it is worth trying again.
    retry_after: Option<u64>,
}

/// A problem as the caller sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    /// Always `about:blank`: the code tells the kind.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// What kind of problem it is, for people.
    #[schema(value_type = String)]
    title: &'static str,
    /// The HTTP status.
    #[schema(value_type = u16)]
    status: u16,
    /// What is wrong here and what to do.
    detail: String,
    /// The stable name of the kind.
    #[schema(value_type = String)]
    code: &'static str,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldProblem>,
    /// The statements to acknowledge with `"acknowledge": true`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    statements: Vec<String>,
    /// The id of this request, for support.
    request_id: String,
}

/// What is wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FieldProblem {
    /// The field.
    field: String,
    /// What is wrong with it.
    message: String,
    /// The line in the contract that was handed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

impl Problem {
    /// Of this kind, with a sentence for the caller.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after = matches!(code, Code::Unavailable | Code::OutcomeUnknown).then_some(1);
        let (errors, statements) = (Vec::new(), Vec::new());
        Problem { code, detail: detail.into(), log: None, errors, statements, retry_after }
    }

    /// Fields that are not valid.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let detail = match &errors[..] {
            [one] if one.field.is_empty() => one.message.clone(),
            [one] => format!("{} {}", one.field, one.message),
            several => format!("{} fields are not valid", several.len()),
        };
        Problem { errors, ..Problem::new(Code::Invalid, detail) }
    }

    /// What a fault of ours is answered with, a caught panic among them.
    pub fn internal(log: impl Into<String>) -> Self {
        Problem { log: Some(log.into()), ..Problem::new(Code::Internal, INTERNAL) }
    }

    /// The status that an error is answered with.
    pub(crate) fn status_of(error: &ControlError) -> StatusCode {
        code(error).status()
    }

    /// What is told of an error: what is wrong and what to do.
    pub(crate) fn detail_of(error: &ControlError) -> String {
        detail(error)
    }

    /// Its kind.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the log keeps beside the code. Never the detail: it may quote the request, and people put
    /// secrets into the wrong fields.
    pub fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }

    /// Writes it out, over a response that carries only headers.
    pub fn document(self, mut response: Response, request_id: &str) -> Response {
        let document = ProblemDocument {
            kind: "about:blank",
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: self.detail,
            code: self.code.as_str(),
            errors: self.errors.into_iter().map(FieldProblem::from).collect(),
            statements: self.statements,
            request_id: request_id.to_owned(),
        };
        // Serialising strings and numbers cannot fail.
        *response.body_mut() = serde_json::to_vec(&document).unwrap_or_default().into();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"keyward\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            if seconds > RETRIED_AT_ONCE {
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
            }
        }
        response
    }
}

impl From<Fault> for FieldProblem {
    fn from(fault: Fault) -> Self {
        FieldProblem { field: fault.field, message: fault.message, line: fault.line }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let detail = detail(&error);
        let code = code(&error);
        let log = (code.status().is_server_error() || code == Code::Conflict).then(|| error.to_string());
        match error {
            ControlError::Invalid(faults) => Problem::invalid(faults),
            ControlError::AcknowledgementRequired(statements) => {
                Problem { statements, ..Problem::new(code, detail) }
            }
            ControlError::RateLimited { retry_after } => {
                Problem { retry_after: Some(seconds(retry_after)), ..Problem::new(code, detail) }
            }
            _ => Problem { log, ..Problem::new(code, detail) },
        }
    }
}

/// Which kind of problem an error is.
fn code(error: &ControlError) -> Code {
    match error {
        ControlError::Unauthenticated => Code::Unauthenticated,
        ControlError::BadCredentials => Code::BadCredentials,
        ControlError::Forbidden(_) | ControlError::OutOfReach(_) | ControlError::WiderThanCaller(_) => {
            Code::Forbidden
        }
        ControlError::NotFound => Code::NotFound,
        ControlError::Invalid(_) => Code::Invalid,
        ControlError::KeyNotActive(_) => Code::KeyNotActive,
        ControlError::ActiveKeyLimit { .. } => Code::ActiveKeyLimit,
        ControlError::SeveralLiveKeys | ControlError::Conflict(_) => Code::Conflict,
        ControlError::ActionNotOffered(_) => Code::ActionNotOffered,
        ControlError::Suspended(_) => Code::Suspended,
        ControlError::PlanForbids { .. } => Code::PlanForbids,
        ControlError::RateLimited { .. } => Code::RateLimited,
        ControlError::AcknowledgementRequired(_) => Code::AcknowledgementRequired,
        ControlError::IdempotencyKeyReused => Code::IdempotencyKeyReused,
        ControlError::LastOne(_) => Code::LastOne,
        ControlError::SignInFirst => Code::SignInFirst,
        ControlError::AlreadyExists(_) => Code::AlreadyExists,
        ControlError::StorageFull(_) => Code::StorageFull,
        ControlError::Unavailable(_) | ControlError::Encryption(_) => Code::Unavailable,
        ControlError::NotSettled(_) | ControlError::OutcomeUnknown(_) => Code::OutcomeUnknown,
        ControlError::Internal(_) => Code::Internal,
    }
}

/// What the caller is told: what is wrong and what to do, and nothing of how we work.
fn detail(error: &ControlError) -> String {
    let fixed = match error {
        ControlError::Unauthenticated => "Send a live management key: Authorization: Bearer <management key>.",
        ControlError::BadCredentials => {
            "Mail address and password do not belong together, or nobody may sign in so."
        }
        ControlError::SignInFirst => "Somebody has this mail address already: sign in as them, then accept.",
        ControlError::NotFound => "There is no such thing, or none that this management key reaches.",
        ControlError::Invalid(_) => "Some fields are not valid.",
        ControlError::SeveralLiveKeys => {
            "Several keys of the project are active: rotate the one that is meant, at /v1/keys/{key}/rotate."
        }
        ControlError::Conflict(_) => {
            "Others changed the same thing again and again. Nothing was changed by this request; try again."
        }
        ControlError::AcknowledgementRequired(_) => {
            "Show the statements to whoever asks, and send \"acknowledge\": true once they agree."
        }
        ControlError::IdempotencyKeyReused => {
            "This Idempotency-Key came with another request before; make a new one for a new request."
        }
        ControlError::StorageFull(_) => {
            "There is no room to write. Nothing was changed; keys are checked as before."
        }
        ControlError::Unavailable(_) => "This cannot be done now. Nothing was changed; try again.",
        ControlError::NotSettled(_) => {
            "The change is written, but whether it is in force on every node is not known. Ask again with the same \
             Idempotency-Key, or call it again: it waits again."
        }
        ControlError::OutcomeUnknown(_) => {
            "This may or may not have been done. Look, or ask again with the same Idempotency-Key."
        }
        ControlError::Internal(_) => INTERNAL,
        _ => return specific_detail(error),
    };
    fixed.to_owned()
}

fn specific_detail(error: &ControlError) -> String {
    match error {
        ControlError::Forbidden(permission) => {
            let (title, scope) = (permission.title(), permission.scope());
            format!("This caller may not {title}: the scope {scope} is lacking.")
        }
        ControlError::OutOfReach(permission) => {
            let scope = permission.scope();
            format!("This takes the scope {scope} on everything; this caller's reach is bounded.")
        }
        ControlError::WiderThanCaller(what) => {
            format!("Nobody can hand on more than they have themselves: {what}.")
        }
        ControlError::KeyNotActive(standing) => format!("The key is {standing}; this takes an active one."),
        ControlError::ActiveKeyLimit { limit } => {
            format!("The project may have {limit} active keys and has them. Revoke one, or have the limit raised.")
        }
        ControlError::ActionNotOffered(action) => {
            format!("The contract of this API does not let anyone {action}.")
        }
        ControlError::Suspended(what) => format!("The {what} is suspended; resume it first."),
        ControlError::PlanForbids { plan, is_on_request, support } => {
            let ask = if support.is_empty() { "support" } else { support };
            match is_on_request {
                true => format!("The plan {plan} gives access on request: ask {ask} for it."),
                false => format!("The plan {plan} does not include API access. Ask {ask} for another plan."),
            }
        }
        ControlError::RateLimited { retry_after } => {
            format!("Too many in too short a time: nothing was done. Try again in {} s.", seconds(*retry_after))
        }
        ControlError::LastOne(what) => {
            format!("There would be no {what} left who may sign in. Make somebody else one first.")
        }
        ControlError::Encryption(error) => format!("Nothing can be encrypted now: {error}."),
        ControlError::AlreadyExists(what) => format!("There is {what} already."),
        // Told above; the words are for the log, but hold nothing that a caller may not see.
        other => other.to_string(),
    }
}

/// A wait in whole seconds, rounded up: who waits so long is not refused again for having come too early.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// What a request without a management key that opens is answered with, whatever is wrong with it.
pub(super) fn unauthenticated() -> Problem {
    ControlError::Unauthenticated.into()
}

/// What nothing is answered with, and what lies outside the caller's boundary.
pub(crate) fn not_found() -> Problem {
    ControlError::NotFound.into()
}
