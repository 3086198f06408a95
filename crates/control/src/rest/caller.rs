//! Who asks: the management key in `Authorization`, or else a dashboard session, checked before a handler runs; and what handlers take of
//! a request beside its body: [`Asking`] and [`Id`].

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, header};
use keyward_core::change::Origin;
use keyward_core::denial::Refusal;

use super::doors::{Demand, Manner, Rest};
use super::prefer;
use super::problem::{Problem, not_found, unauthenticated};
use super::session;
use crate::site::Site;
use crate::use_cases::{Asked, Caller, ControlError};

/// The id that a request was given.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub String);

/// The id of the management key or the person that a request was let in for, for the log.
#[derive(Debug, Clone)]
pub(crate) struct AdmittedBy(pub String);

/// Lets a request through to its handler only with a live management key or session that may ask for this at all.
pub(super) async fn admit(
    State((control, site, demand, manner)): State<(Rest, Arc<Site>, Demand, Manner)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    let found = match request.headers().contains_key(header::AUTHORIZATION) {
        true => by_management_key(&control, request.headers()).await?,
        false => session::caller(&control, &site, request.method(), request.headers()).await?,
    };
    let caller = found.ok_or_else(|| not_admitted(&control, peer))?;
    if let Demand::OneOf(permissions) = demand
        && !permissions.iter().any(|&permission| caller.has(permission))
        && let Some(&first) = permissions.first()
    {
        return Err(ControlError::Forbidden(first).into());
    }
    let admitted_by = AdmittedBy(caller.account());
    let origin =
        Origin { address: peer, request_id: request.extensions().get::<RequestId>().map(|id| id.0.clone()) };
    let waits = !(manner.restricts && prefer::respond_async(request.headers()));
    request.extensions_mut().insert(Asking(Asked { caller, origin, repeat: None, waits }));
    request.extensions_mut().insert(site);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(admitted_by);
    Ok(response)
}

/// Who asks by a management key; none where it opens nothing.
async fn by_management_key(control: &Rest, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    let Some(presented) = bearer(headers) else { return Ok(None) };
    match control.engine.authenticate(presented).await {
        Ok(key) => Ok(Some(Caller::ManagementKey(key))),
        Err(denial) if denial.refusal() == Refusal::Unavailable => {
            Err(ControlError::Unavailable("the lease does not hold".into()).into())
        }
        Err(_) => Ok(None),
    }
}

/// The answer to a request without a management key that opens: the same whatever is wrong with it, and another
/// where too many came from one network. Who has a good key never comes here.
fn not_admitted(control: &Rest, peer: Option<IpAddr>) -> Problem {
    match peer.map(|address| control.engine.guard_failed_management(address, &control.failures)) {
        Some(Err(retry_after)) => ControlError::RateLimited { retry_after }.into(),
        Some(Ok(())) | None => unauthenticated(),
    }
}

/// The one credential in the one header; none where it is not exactly that.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
    let is_one_word = !credential.is_empty() && credential.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && is_one_word).then_some(credential)
}

/// Who asks, as [`admit`] found out.
#[derive(Debug, Clone)]
pub(super) struct Asking(pub Asked);

impl FromRequestParts<Rest> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Rest) -> Result<Self, Problem> {
        parts.extensions.get::<Asking>().cloned().ok_or_else(|| Problem::internal("a route without a caller"))
    }
}

/// The one id in the path. A text that can be none is answered like one that names nothing.
#[derive(Debug, Clone)]
pub(super) struct Id<T>(pub T);

impl<T: FromStr + Send> FromRequestParts<Rest> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, control: &Rest) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, control).await.map_err(|_| not_found())?;
        let first = params.iter().next().and_then(|(_, text)| text.parse().ok());
        first.map(Id).ok_or_else(not_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn h03_only_one_bearer_of_one_word_is_a_credential() {
        let parse = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(parse(&["Bearer kwm_x"]).as_deref(), Some("kwm_x"));
        assert_eq!(parse(&["bearer kwm_x"]).as_deref(), Some("kwm_x"));
        for bad in [
            &[][..],
            &["kwm_x"],
            &["Basic kwm_x"],
            &["Bearer  kwm_x"],
            &["Bearer\tkwm_x"],
            &["Bearer a b"],
            &["Bearer "],
            &["Bearer a", "Bearer a"],
            &["Bearer a", "Bearer b"],
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
