//! People on the dashboard, on a real store with a clock that moves only when told to: the rows W04 to W13 and T04 to T07
//! of trust.md.

mod accounts;
mod guessing;
mod invitations;
mod places;
mod roles;
mod sessions;
mod setup;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use keyward_control::use_cases::Seat;
use keyward_control::use_cases::people::{Current, InvitationMade, NewPerson, SignedIn, Visitor};
use keyward_control::{Asked, Control};
use keyward_core::change::Origin;
use keyward_core::id::OrganizationId;
use keyward_core::people::{InvitedTo, Role};
use keyward_core::secret::Secret;
use serde_json::Value;

use crate::support::World;

/// A password that is taken.
pub const PASSWORD: &str = "tangerine boat seven";

pub fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A visitor from an address.
pub fn from(address: &str) -> Visitor {
    let address: IpAddr = address.parse().unwrap();
    Visitor { origin: Origin { address: Some(address), request_id: None }, browser: "a browser".into() }
}

/// A visitor from nowhere in particular.
pub fn somebody() -> Visitor {
    Visitor::default()
}

impl World {
    pub fn machine() -> Asked {
        Asked::by_operator("test")
    }

    pub fn home(&self) -> OrganizationId {
        self.organization.parse().unwrap()
    }

    /// Sets Keyward up: the first operator, signed in.
    pub async fn first_operator(&self) -> SignedIn {
        let token = self.control.begin_setup().await.unwrap().unwrap();
        self.control.set_up(token.expose(), &new_person("op@example.com", "Op"), &somebody()).await.unwrap()
    }

    /// Invites somebody, as the machine.
    pub async fn invited(&self, email: &str, role: Role) -> InvitationMade {
        let to = InvitedTo::Organization { id: self.home(), role };
        self.control.invite(&World::machine(), to, email).await.unwrap()
    }

    /// A member who has accepted with [`PASSWORD`].
    pub async fn member(&self, email: &str, role: Role) -> SignedIn {
        let link = self.invited(email, role).await.secret.secret().unwrap();
        let (password, visitor) = (secret(PASSWORD), somebody());
        self.control.accept_invitation_as_new(link.expose(), email, &password, &visitor).await.unwrap()
    }

    /// A request with a session's cookie, from our own pages.
    pub async fn by_session(
        &self,
        session: &Secret,
        method: &str,
        path: &str,
        body: Value,
    ) -> crate::support::Answer {
        self.send(session_request(session.expose(), method, path, &[("sec-fetch-site", "same-origin")], body)).await
    }
}

pub fn new_person(email: &str, name: &str) -> NewPerson {
    NewPerson { email: email.into(), name: name.into(), password: secret(PASSWORD) }
}

pub fn session_request(
    session: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Request<Body> {
    let cookie = format!("__Host-keyward-session={session}");
    let headers: Vec<_> = headers.iter().copied().chain([("cookie", cookie.as_str())]).collect();
    crate::support::request("", method, path, &headers, body)
}

/// Who is signed in with a session, as a request finds out.
pub async fn current(control: &Control, signed_in: &SignedIn) -> Current {
    control.current(signed_in.secret.expose()).await.unwrap().expect("signed in")
}

pub async fn is_signed_in(control: &Control, signed_in: &SignedIn) -> bool {
    control.current(signed_in.secret.expose()).await.unwrap().is_some()
}

/// What somebody asks in an organization.
pub async fn asked(control: &Arc<Control>, signed_in: &SignedIn, organization: OrganizationId) -> Asked {
    let current = current(control, signed_in).await;
    let seat = Seat::of(&current.person, organization);
    current.asked(seat, Origin::default())
}
