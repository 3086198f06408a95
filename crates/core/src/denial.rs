//! Why a request is not served: the one list that contracts map to a status and a body, that log lines,
//! metric labels and docs/errors.md are made from. Nothing here names an HTTP status.

macro_rules! refusals {
    ($($name:ident = $code:literal, $kind:ident, $meaning:literal;)*) => {
        /// Everything a caller of the data plane can be refused with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Refusal { $(#[doc = $meaning] $name,)* }

        impl Refusal {
            /// All of them, in the order of the list.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name),*];

            /// The stable name: in answers, contracts, log lines and metric labels.
            pub const fn code(self) -> &'static str {
                match self { $(Refusal::$name => $code),* }
            }

            /// What it means, for operators.
            pub const fn meaning(self) -> &'static str {
                match self { $(Refusal::$name => $meaning),* }
            }

            /// Which part of the list it stands in.
            pub const fn kind(self) -> Kind {
                match self { $(Refusal::$name => Kind::$kind),* }
            }

            /// The one with this name.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Refusal::$name),)* _ => None }
            }
        }
    };
}

/// The parts of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The credential opens nothing. Callers of the gateway see one and the same answer for all of these
    /// unless the contract says otherwise.
    Credential,
    /// The credential is good, but does not open this.
    Authority,
    /// The request itself cannot be served; no decision was made or it does not matter.
    Request,
    /// Fields of the body cannot be encrypted, decrypted or sent on as was asked. `{field}` in an answer's message stands
    /// for the field.
    Fields,
}

refusals! {
    MissingKey = "missing_key", Credential, "The request carries no credential where the contract says it must.";
    MalformedKey = "malformed_key", Credential, "The credential does not have the shape of this API's keys.";
    UnknownKey = "unknown_key", Credential, "There is no such key for this API.";
    Revoked = "revoked", Credential, "The key was revoked, or rotated away.";
    Disabled = "disabled", Credential, "The key is switched off.";
    Expired = "expired", Credential, "The key is past its expiry.";
    ProjectSuspended = "project_suspended", Credential, "The key's project or organization is suspended.";
    PlanForbids = "plan_forbids", Authority, "The project's plan does not include this API.";
    InsufficientScope = "insufficient_scope", Authority, "The key's scopes do not hold what the request needs.";
    AddressForbidden = "address_forbidden", Authority, "The key may not be used from this address.";
    WrongProject = "wrong_project", Authority, "The request is about another project than the key's.";
    RateLimited = "rate_limited", Authority, "Too many requests in too short a time.";
    QuotaExceeded = "quota_exceeded", Authority, "The quota is used up.";
    Unavailable = "unavailable", Request, "It cannot be decided now; nothing is granted on a guess.";
    NoSuchRoute = "no_such_route", Request, "No API or no route of it answers to this request.";
    BadRequest = "bad_request", Request, "The request is malformed or ambiguous.";
    MethodNotAllowed = "method_not_allowed", Request, "This method is never forwarded.";
    UriTooLong = "uri_too_long", Request, "The request's target is too long.";
    HeadersTooLarge = "headers_too_large", Request, "The request's headers are too many or too large.";
    BodyTooLarge = "body_too_large", Request, "The request's body is larger than the API accepts.";
    UnsupportedBody = "unsupported_body", Request, "The body cannot be read, and the decision needs it.";
    UpstreamUnreachable = "upstream_unreachable", Request, "The API behind the gateway cannot be reached.";
    UpstreamTimeout = "upstream_timeout", Request, "The API behind the gateway did not answer in time.";
    NotJson = "not_json", Fields, "The body is no JSON that every reader reads alike, and fields of it were to be encrypted or decrypted.";
    FieldMissing = "field_missing", Fields, "The body has no such field, or the request names no field.";
    FieldNotEncryptable = "field_not_encryptable", Fields, "The field's value is larger than is encrypted as one, or its name is none that can be asked for.";
    CannotDecrypt = "cannot_decrypt", Fields, "The field holds no ciphertext of this project and field that can be opened.";
    DestinationRefused = "destination_refused", Fields, "The place to send the request on to is not at or below the project's destination, or leads into a network that is not allowed.";
}

/// A decision's no: a refusal that came from deciding, not from the request's shape or the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Denial(Refusal);

impl Denial {
    /// Of this kind.
    ///
    /// # Panics
    /// Where the refusal is no outcome of a decision.
    pub const fn new(refusal: Refusal) -> Self {
        assert!(
            !matches!(refusal.kind(), Kind::Request | Kind::Fields) || matches!(refusal, Refusal::Unavailable),
            "not an outcome of a decision"
        );
        Denial(refusal)
    }

    /// Which refusal it is.
    pub const fn refusal(self) -> Refusal {
        self.0
    }

    /// Its stable name.
    pub const fn code(self) -> &'static str {
        self.0.code()
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Refusal {
        denial.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back_to_its_refusal() {
        for &refusal in Refusal::ALL {
            assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
        }
    }
}
