//! People's accounts over HTTP, for operators; and who asks.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use keyward_core::clock::Timestamp;
use keyward_core::id::PersonId;
use keyward_core::people::Person;
use keyward_core::store::PersonFilter;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Changed, ForcePart, LinkPart, tells_force};
use super::body::Body;
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::{Nothing, body};
use super::management_keys::ManagementKeyAnswer;
use super::problem::Problem;
use super::query::{self, List, limit, query};
use crate::site::Site;
use crate::use_cases::{Caller, ControlError, Disclosure};

/// Somebody who signs in to the dashboard.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub(super) struct PersonAnswer {
    /// Their id.
    id: String,
    /// Their mail address.
    email: String,
    /// What they are called.
    name: String,
    /// Whether they are an operator.
    operator: bool,
    /// Whether they may sign in: active or disabled.
    #[schema(value_type = String)]
    state: &'static str,
    /// Where they are members.
    memberships: Vec<MembershipAnswer>,
    /// When they were added.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Somebody's place in an organization.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Membership)]
pub(super) struct MembershipAnswer {
    /// The organization's id.
    organization: String,
    /// What they may do there: owner, developer or viewer.
    #[schema(value_type = String)]
    role: &'static str,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    joined_at: Timestamp,
}

impl From<&Person> for PersonAnswer {
    fn from(person: &Person) -> Self {
        let memberships = person.memberships.iter().map(|place| MembershipAnswer {
            organization: place.organization.to_string(),
            role: place.role.as_str(),
            joined_at: place.joined_at,
        });
        PersonAnswer {
            id: person.id.to_string(),
            email: person.email.clone(),
            name: person.name.clone(),
            operator: person.is_operator,
            state: if person.is_active() { "active" } else { "disabled" },
            memberships: memberships.collect(),
            created_at: person.created_at,
        }
    }
}

query! {
    /// Which people to list, and how much of the list.
    WhichPeople {
        /// Only whoever has this mail address.
        email: String,
        /// Only operators.
        operator: bool,
        /// At most so many, 1 to 200.
        #[param(minimum = 1, maximum = 200)]
        limit: u32,
        /// `next_cursor` of the page before.
        cursor: String,
    }
}

/// A part of a list of people, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PersonList {
    items: Vec<PersonAnswer>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// List people
#[utoipa::path(get, path = "/v1/people", tag = "people", params(WhichPeople),
    responses((status = 200, description = "People, newest first", body = PersonList)))]
pub(super) async fn list_people(
    State(control): State<Rest>,
    Asking(asked): Asking,
    query::Asking(which): query::Asking<WhichPeople>,
) -> Result<Json<PersonList>, Problem> {
    let is_operator = which.operator.unwrap_or(false);
    if let Some(email) = &which.email {
        let found = match control.person_by_email(&asked, email).await {
            Ok(person) => Some(person).filter(|person| person.is_operator || !is_operator),
            Err(ControlError::NotFound) => None,
            Err(error) => return Err(error.into()),
        };
        return Ok(Json(PersonList { items: found.iter().map(PersonAnswer::from).collect(), next_cursor: None }));
    }
    let list = List::new(&control, &asked, if is_operator { "operators" } else { "people" });
    let before = list.before(which.cursor.as_deref())?;
    let filter = PersonFilter { organization: None, is_operator };
    let found = control.people(&asked, &filter, before, limit(which.limit)).await?;
    let items = found.items.iter().map(PersonAnswer::from).collect();
    Ok(Json(PersonList { items, next_cursor: list.next(found.next) }))
}

body! {
    /// What is to change of a person.
    EditPerson {
        /// Whether they shall be an operator.
        operator: Option<bool>,
        /// Whether they shall be kept from signing in.
        disabled: Option<bool>,
    }
}

/// A person after a change, and how it took force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedPerson {
    person: PersonAnswer,
    #[serde(flatten)]
    force: ForcePart,
}

tells_force!(ChangedPerson);

/// Change a person's account
///
/// Who is disabled is signed out, and the management keys that they made end, before this returns.
#[utoipa::path(patch, path = "/v1/people/{person}", tag = "people", request_body = EditPerson,
    params(("person" = String, Path, description = "The person")),
    responses((status = 200, description = "The person as they are now", body = ChangedPerson)))]
pub(super) async fn edit_person(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<PersonId>,
    Body(wish): Body<EditPerson>,
) -> Result<Changed<ChangedPerson>, Problem> {
    let (person, force) = match (wish.operator, wish.disabled) {
        (Some(is_operator), None) => control.set_operator(&asked, id, is_operator).await?,
        (None, Some(true)) => control.disable_person(&asked, id).await?,
        (None, Some(false)) => control.enable_person(&asked, id).await?,
        _ => {
            // Nobody shall wonder which of two was done where the other failed.
            control.person(&asked, id).await?;
            return Err(ControlError::invalid("", "Give one of operator and disabled.").into());
        }
    };
    Ok(Changed(ChangedPerson { person: PersonAnswer::from(&person), force: force.into() }))
}

/// A link that signs somebody in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SignInLinkAnswer {
    #[serde(flatten)]
    link: LinkPart,
}

/// Make a link that signs a person in
///
/// Once, within 15 minutes; not for operators, whose links are made at the machine itself.
#[utoipa::path(post, path = "/v1/people/{person}/sign-in-link", tag = "people", request_body = Nothing,
    params(("person" = String, Path, description = "The person")),
    responses((status = 200, description = "The link", body = SignInLinkAnswer)))]
pub(super) async fn make_sign_in_link(
    State(control): State<Rest>,
    Extension(site): Extension<Arc<Site>>,
    Asking(asked): Asking,
    Id(id): Id<PersonId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<SignInLinkAnswer>, Problem> {
    let secret = control.make_sign_in_link(&asked, id).await?;
    Ok(Json(SignInLinkAnswer { link: LinkPart::to(&site, "/sign-in/link/", Disclosure::Now(secret)) }))
}

/// Who asks: one of the two.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WhoAmI {
    /// The management key that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    management_key: Option<ManagementKeyAnswer>,
    /// The person whose session was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    person: Option<PersonAnswer>,
    /// What may be done with it, in the organization that was named.
    scopes: Vec<String>,
}

/// Read who asks
#[utoipa::path(get, path = "/v1/whoami", tag = "management keys",
    responses((status = 200, description = "The management key or the person", body = WhoAmI)))]
pub(super) async fn who_am_i(State(control): State<Rest>, Asking(asked): Asking) -> Result<Json<WhoAmI>, Problem> {
    let scopes = asked.caller.scopes().iter().map(str::to_owned).collect();
    let (management_key, person) = match &asked.caller {
        Caller::ManagementKey(key) => (Some(ManagementKeyAnswer::of((**key).clone(), control.now())), None),
        Caller::Person { person, .. } => (None, Some(PersonAnswer::from(&**person))),
        Caller::Operator { .. } => return Err(Problem::internal("an operator asked over HTTP")),
    };
    Ok(Json(WhoAmI { management_key, person, scopes }))
}
