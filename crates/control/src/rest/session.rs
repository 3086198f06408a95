//! A dashboard session in place of a management key: for scripts of our own pages, and whoever looks at the API in a
//! browser. The seat that somebody asks in is told by the header `Keyward-Organization`.

use http::{HeaderMap, HeaderName, Method};
use keyward_core::id::OrganizationId;
use keyward_core::people::Person;

use super::problem::{Code, Problem, not_found};
use crate::dashboard::SESSION_COOKIE;
use crate::site::Site;
use crate::use_cases::people::Current;
use crate::use_cases::{Caller, Control, ControlError, Seat};

/// Names the organization in which somebody with several asks.
const ORGANIZATION: HeaderName = HeaderName::from_static("keyward-organization");

/// Who asks by a session, where the request carries one.
pub(super) async fn caller(
    control: &Control,
    site: &Site,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Caller>, Problem> {
    let Some(presented) = site.read_cookie(headers, SESSION_COOKIE) else { return Ok(None) };
    if !site.is_same_origin(method, headers) {
        let detail = "A browser's session changes things from our own pages only. Scripts send a management key.";
        return Err(Problem::new(Code::CrossOrigin, detail));
    }
    let Some(Current { person, .. }) = control.current(presented).await? else { return Ok(None) };
    let seat = seat(&person, headers)?;
    Ok(Some(Caller::Person { person, seat }))
}

/// The seat that a request is asked in.
fn seat(person: &Person, headers: &HeaderMap) -> Result<Seat, Problem> {
    let mut named = headers.get_all(ORGANIZATION).iter();
    let unclear = |message: &str| Problem::from(ControlError::invalid("Keyward-Organization", message));
    match (named.next(), named.next()) {
        (None, _) if person.is_operator => Ok(Seat::Operator),
        (None, _) => match &person.memberships[..] {
            [] => Ok(Seat::Nobody),
            [only] => Ok(Seat::of(person, only.organization)),
            _ => Err(unclear("is required: this person is a member of several organizations")),
        },
        (Some(_), Some(_)) => Err(unclear("stands there twice")),
        (Some(one), None) => {
            let id: Option<OrganizationId> = one.to_str().ok().and_then(|text| text.parse().ok());
            match id.map(|id| Seat::of(person, id)) {
                None | Some(Seat::Nobody) => Err(not_found()),
                Some(seat) => Ok(seat),
            }
        }
    }
}
