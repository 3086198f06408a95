//! Who visits a page: the person behind the session cookie, with the seat that they have at the place the page is about.
//! Read anew for every request, so that what was taken away is gone with the next click (trust.md T07, W05).

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts};
use http::header;
use http::request::Parts;
use keyward_core::change::Origin;
use keyward_core::id::{OrganizationId, PersonId};
use keyward_core::people::Person;

use super::Dashboard;
use super::answer::Failure;
use super::look::Who;
use crate::rest::caller::RequestId;
use crate::use_cases::people::{Current, Visitor};
use crate::use_cases::{Asked, ControlError};

/// Who comes, signed in or not.
#[derive(Debug, Clone)]
pub struct Guest(pub Visitor);

impl FromRequestParts<Dashboard> for Guest {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Dashboard) -> Result<Self, Failure> {
        let browser = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let browser = browser.unwrap_or_default().to_owned();
        Ok(Guest(Visitor { origin: origin(parts), browser }))
    }
}

/// Where a page notes who came, for the log.
#[derive(Debug, Clone, Default)]
pub struct Came(Arc<OnceLock<PersonId>>);

impl Came {
    /// Who came; none where nobody was signed in, or the page did not ask.
    pub fn person(&self) -> Option<PersonId> {
        self.0.get().copied()
    }

    fn note(&self, person: PersonId) {
        // Whoever is noted first is who the page is for: a request has one session.
        let _ = self.0.set(person);
    }
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Who, by which session.
    pub current: Current,
    /// From where.
    pub visitor: Visitor,
}

impl FromRequestParts<Dashboard> for Visit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Failure> {
        let Guest(visitor) = Guest::from_request_parts(parts, dashboard).await?;
        let found = match dashboard.site.read_cookie(&parts.headers, SESSION_COOKIE) {
            Some(presented) => dashboard.control.current(presented).await?,
            None => None,
        };
        match found {
            Some(current) => {
                if let Some(came) = parts.extensions.get::<Came>() {
                    came.note(current.person.id);
                }
                Ok(Visit { current, visitor })
            }
            // What was to be changed is not changed by coming back to it: only a page is.
            None if parts.method.is_safe() => {
                let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                Err(Failure::SignIn { path: path.to_owned() })
            }
            None => Err(Failure::SignIn { path: "/".into() }),
        }
    }
}

/// Whoever is signed in, for pages that everybody sees.
impl OptionalFromRequestParts<Dashboard> for Visit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Option<Self>, Failure> {
        match <Visit as FromRequestParts<Dashboard>>::from_request_parts(parts, dashboard).await {
            Ok(visit) => Ok(Some(visit)),
            Err(Failure::SignIn { .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

impl Visit {
    /// The person.
    pub fn person(&self) -> &Arc<Person> {
        &self.current.person
    }

    /// What they ask about an organization; who is nothing there is told that there is nothing.
    pub fn in_organization(&self, id: OrganizationId) -> Asked {
        self.current.asked_in(id, self.visitor.origin.clone())
    }

    /// What they ask as an operator.
    ///
    /// # Errors
    /// Who is none is told that there is nothing.
    pub fn as_operator(&self) -> Result<Asked, Failure> {
        match self.current.person.is_operator {
            true => Ok(self.current.asked_everywhere(self.visitor.origin.clone())),
            false => Err(Failure::Control(ControlError::NotFound)),
        }
    }

    /// How the top bar shows them.
    pub fn who(&self) -> Who {
        let Person { name, email, is_operator, memberships, .. } = &*self.current.person;
        let has_choice = memberships.len() + usize::from(*is_operator) > 1;
        Who { name: name.clone(), email: email.clone(), is_operator: *is_operator, has_choice }
    }
}

/// The cookie that holds a session's secret.
pub const SESSION_COOKIE: &str = "session";

fn origin(parts: &Parts) -> Origin {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    Origin {
        address: peer.map(|peer| peer.0.ip().to_canonical()),
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()),
    }
}
