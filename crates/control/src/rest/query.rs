//! Query parameters: each known one at most once, unknown ones refused; and the paging that lists share.

use axum::extract::{FromRequestParts, Query, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::id::KeyId;
use keyward_core::key::Standing;
use keyward_core::usage::Apart;

use super::doors::Rest;
use super::problem::{Code, Problem};
use crate::use_cases::{Asked, Control, Faults, Step, opened, sealed};

/// Items of a list where no number is asked for.
const LIMIT_DEFAULT: u32 = 50;
/// Most items of a list.
pub(super) const LIMIT_MAX: u32 = 200;

/// The parameters of a request that are still to be read.
pub(super) struct Params {
    left: Vec<(String, String)>,
    faults: Faults,
}

impl Params {
    pub fn take<T: FromParam>(&mut self, name: &str) -> Option<T> {
        let found = self.left.iter().position(|(known, _)| known == name).map(|at| self.left.swap_remove(at).1)?;
        if self.left.iter().any(|(known, _)| known == name) {
            self.left.retain(|(known, _)| known != name);
            self.faults.add(name, "stands there twice");
            return None;
        }
        self.faults.take(name, T::from_param(&found))
    }
}

/// The query of a request that is read parameter by parameter; every one is optional.
pub(super) trait Asks: Sized {
    fn read(params: &mut Params) -> Self;
}

/// Declares a request's query parameters once, as [`super::fields::body`] does for bodies.
macro_rules! query {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $param:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, utoipa::IntoParams)]
        #[into_params(parameter_in = Query)]
        pub(super) struct $name { $($(#[$meaning])* pub $param: Option<$type>,)* }

        impl crate::rest::query::Asks for $name {
            fn read(params: &mut crate::rest::query::Params) -> Self {
                let _ = &params;
                $name { $($param: params.take(stringify!($param)),)* }
            }
        }
    };
}
pub(super) use query;

query! {
    /// No parameters at all.
    NoParams {}
}

query! {
    /// How much of a list to read.
    Page {
        /// At most so many, 1 to 200.
        #[param(minimum = 1, maximum = 200)]
        limit: u32,
        /// `next_cursor` of the page before.
        cursor: String,
    }
}

/// The query of a request.
#[derive(Debug)]
pub(super) struct Asking<T>(pub T);

impl<T: Asks> FromRequestParts<Rest> for Asking<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, control: &Rest) -> Result<Self, Problem> {
        let read = Query::<Vec<(String, String)>>::from_request_parts(parts, control).await;
        let unreadable =
            |_| Problem::new(Code::Unparseable, "The query cannot be read: it is name=value, joined by &.");
        let Query(left) = read.map_err(unreadable)?;
        let mut params = Params { left, faults: Faults::default() };
        let asks = T::read(&mut params);
        let Params { left, mut faults } = params;
        for (name, _) in left {
            let shown: String = name.chars().take(64).collect();
            faults.add(&shown, "is no parameter of this request");
        }
        faults.finish()?;
        Ok(Asking(asks))
    }
}

/// Refuses every parameter, for operations that have none.
pub(super) async fn refuse_query(
    State(control): State<Rest>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let Asking(NoParams {}) = Asking::from_request_parts(&mut parts, &control).await?;
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// A value that a parameter can have.
pub(super) trait FromParam: Sized {
    fn from_param(text: &str) -> Result<Self, String>;
}

impl FromParam for String {
    fn from_param(text: &str) -> Result<Self, String> {
        if text.len() > 1_024 { Err("is too long".into()) } else { Ok(text.to_owned()) }
    }
}

impl FromParam for bool {
    fn from_param(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be true or false".into())
    }
}

impl FromParam for u32 {
    fn from_param(text: &str) -> Result<Self, String> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_plain && (1..=LIMIT_MAX).contains(number));
        number.ok_or_else(|| format!("must be a whole number from 1 to {LIMIT_MAX}"))
    }
}

impl FromParam for Revision {
    fn from_param(text: &str) -> Result<Self, String> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_plain);
        number.map(Revision).ok_or_else(|| "must be a revision: a whole number, 0 or more".into())
    }
}

impl FromParam for Timestamp {
    fn from_param(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be an RFC 3339 time such as 2030-01-31T12:00:00Z".into())
    }
}

impl FromParam for KeyId {
    fn from_param(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("must be an id that begins with {}_", KeyId::PREFIX))
    }
}

impl FromParam for Standing {
    fn from_param(text: &str) -> Result<Self, String> {
        let found = Standing::ALL.into_iter().find(|standing| standing.as_str() == text);
        found.ok_or_else(|| format!("must be one of {}", Standing::ALL.map(Standing::as_str).join(", ")))
    }
}

impl FromParam for Step {
    fn from_param(text: &str) -> Result<Self, String> {
        match text {
            "hour" => Ok(Step::Hour),
            "day" => Ok(Step::Day),
            _ => Err("must be hour or day".into()),
        }
    }
}

impl FromParam for Apart {
    fn from_param(text: &str) -> Result<Self, String> {
        match text {
            "key" => Ok(Apart::Key),
            "outcome" => Ok(Apart::Outcome),
            "key_and_outcome" => Ok(Apart::KeyAndOutcome),
            _ => Err("must be key, outcome or key_and_outcome".into()),
        }
    }
}

/// A list as one caller sees it: what its cursors are good for, and for nothing else.
pub(super) struct List<'a> {
    control: &'a Control,
    purpose: String,
}

impl<'a> List<'a> {
    /// The list of this name, with what it is filtered by, for this caller.
    pub fn new(control: &'a Control, asked: &Asked, name: &str) -> Self {
        List { control, purpose: format!("{name} for {:?}", asked.caller.boundary()) }
    }

    /// The place that a cursor stands for.
    pub fn open(&self, cursor: Option<&str>) -> Result<Option<Vec<u8>>, Problem> {
        let bad =
            || Problem::new(Code::BadCursor, "Take next_cursor as it was given, with the same list and filters.");
        let open = |cursor| opened(&self.control.log_keys, &self.purpose, cursor).ok_or_else(bad);
        cursor.map(open).transpose()
    }

    /// The revision that a cursor stands for.
    pub fn before(&self, cursor: Option<&str>) -> Result<Option<Revision>, Problem> {
        let bytes = self.open(cursor)?.and_then(|bytes| bytes.try_into().ok());
        Ok(bytes.map(|bytes| Revision(i64::from_be_bytes(bytes))))
    }

    /// A cursor for a place.
    pub fn seal(&self, place: &[u8]) -> String {
        sealed(&self.control.log_keys, &self.purpose, place)
    }

    /// A cursor for what comes before a revision.
    pub fn next(&self, revision: Option<Revision>) -> Option<String> {
        revision.map(|revision| self.seal(&revision.0.to_be_bytes()))
    }
}

/// How many items are asked for.
pub(super) fn limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(LIMIT_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i03_limits_are_small_positive_numbers() {
        for bad in ["0", "-1", "+1", "201", "1e2", "", " 1", "4294967297", "9223372036854775808"] {
            assert!(u32::from_param(bad).is_err(), "{bad}");
        }
        assert_eq!((u32::from_param("1"), u32::from_param("200")), (Ok(1), Ok(200)));
        assert!(Revision::from_param("9223372036854775808").is_err() && Revision::from_param("-1").is_err());
    }
}
