//! All people, for operators: who they are, who else is an operator, who is invited to be one; keeping somebody out, and a
//! link for who has lost their password.

mod view;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::change::Revision;
use keyward_core::id::{InvitationId, PersonId};
use keyward_core::people::{InvitedTo, Person};
use keyward_core::store::PersonFilter;
use maud::{Markup, html};
use serde::Deserialize;

use self::view::{PeopleView, PersonView, Place, Wish};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, go_to};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::pages::confirm::Confirmation;
use crate::dashboard::pages::members::link_shown;
use crate::dashboard::pages::shown_once::ShownOnce;
use crate::dashboard::path::Path;
use crate::dashboard::place::OperatorTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::{Asked, ControlError};

/// How many people are shown at once.
const SHOWN: u32 = 100;
/// How many invitations are looked through for open ones.
const INVITATIONS: u32 = 200;
/// Where the list is.
const LIST: &str = "/operator/people";

/// What the address says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Question {
    done: String,
    before: Option<i64>,
    /// `operators` for them alone.
    only: String,
}

/// What the form of an invitation sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteForm {
    email: String,
}

/// What the form that was asked about an operator sends: what they are to be, so that sending it twice, or after another
/// operator did the same, changes nothing more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorForm {
    operator: IsOperator,
}

/// Whether somebody is to be an operator.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum IsOperator {
    Yes,
    No,
}

/// The list.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Asking(question): Asking<Question>,
) -> Result<Response, Failure> {
    Ok(show(&dashboard, &visit, &question, None).await?.into_response())
}

/// Invites an operator, and shows the link the one time it can be shown.
pub async fn invite(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Form(form): Form<InviteForm>,
) -> Result<Response, Failure> {
    let asked = visit.as_operator()?;
    match dashboard.control.invite(&asked, InvitedTo::Operators, &form.email).await {
        Ok(made) => {
            let shown = link_shown(&dashboard, &asked, made, LIST).await?;
            Ok(page_of(&visit, "Invitation", shown).into_response())
        }
        Err(error @ (ControlError::Invalid(_) | ControlError::AlreadyExists(_))) => {
            let wish = Wish { email: &form.email, error: &error };
            let page = show(&dashboard, &visit, &Question::default(), Some(wish)).await?;
            Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes an invitation to the operators back.
pub async fn withdraw(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<InvitationId>,
) -> Result<Response, Failure> {
    dashboard.control.withdraw_invitation(&visit.as_operator()?, id).await?;
    Ok(go_to("/operator/people?done=withdrawn"))
}

/// One person.
pub async fn person(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<PersonId>,
    Asking(question): Asking<Question>,
) -> Result<Response, Failure> {
    let (asked, person) = find(&dashboard, &visit, id).await?;
    let mut places = Vec::new();
    for membership in &person.memberships {
        match dashboard.control.organization(&asked, membership.organization).await {
            Ok(organization) => places.push(Place { membership, name: organization.name }),
            Err(ControlError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let view =
        PersonView { person: &person, places: &places, is_self: visit.person().id == id, done: &question.done };
    Ok(page_of(&visit, &person.name, view.draw()).into_response())
}

/// Makes a link that signs a person in once, and shows it.
pub async fn make_link(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<PersonId>,
) -> Result<Response, Failure> {
    let (asked, person) = find(&dashboard, &visit, id).await?;
    let secret = dashboard.control.make_sign_in_link(&asked, id).await?;
    let shown = ShownOnce {
        title: "The sign-in link is ready",
        words: html! { p { "Give it to " strong { (person.name) } " (" (person.email) ") in a way that nobody else reads. Once signed in, they can choose a new password without the old one." } },
        label: "Sign-in link",
        secret: &dashboard.site.url(&format!("/sign-in/link/{}", secret.expose())),
        warning: "This is the only time the link is shown. It works once, within 15 minutes, and signs in as this person.",
        back: &path(id),
    };
    Ok(page_of(&visit, "Sign-in link", shown.draw()).into_response())
}

/// Asks whether somebody is to be an operator, or no longer one.
pub async fn ask_to_set_operator(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<PersonId>,
) -> Result<Response, Failure> {
    let person = find(&dashboard, &visit, id).await?.1;
    let (question, button, words) = match person.is_operator {
        true => (
            format!("Make {} no operator any more?", person.name),
            "Take operator rights away",
            html! { p { "They see only the organizations they are members of. They are signed out everywhere; management keys that they made stop working, and invitations that they sent are taken back." } },
        ),
        false => (
            format!("Make {} an operator?", person.name),
            "Make operator",
            html! { p { "Operators see and manage every organization, every key's record and all people. They are signed out everywhere, and sign in anew." } },
        ),
    };
    let back = path(id);
    let action = format!("{back}/operator");
    let question = question.as_str();
    let asked = Confirmation {
        question,
        consequences: words,
        action: &action,
        button,
        back: &back,
        name: None,
        fault: None,
    };
    let wish = if person.is_operator { "no" } else { "yes" };
    Ok(page_of(&visit, "People", asked.draw_sending(Some(("operator", wish)))).into_response())
}

/// Makes somebody an operator, or no longer one.
pub async fn set_operator(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<PersonId>,
    Form(form): Form<OperatorForm>,
) -> Result<Response, Failure> {
    dashboard.control.set_operator(&visit.as_operator()?, id, form.operator == IsOperator::Yes).await?;
    match visit.person().id == id {
        true => Ok(go_to("/sign-in")),
        false => Ok(go_to(&format!("{}?done=operator", path(id)))),
    }
}

/// Asks whether somebody is to be kept out.
pub async fn ask_to_disable(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<PersonId>,
) -> Result<Response, Failure> {
    let person = find(&dashboard, &visit, id).await?.1;
    let words = html! {
        p { "They are signed out everywhere and cannot sign in until enabled again. Management keys that they made stop working for good, and invitations that they sent are taken back. API keys of projects stay as they are. An organization whose only owner they are has none until you invite another." }
    };
    Ok(ask(&visit, id, "disable", &format!("Disable {}?", person.name), "Disable the account", words)
        .into_response())
}

/// Keeps somebody out.
pub async fn disable(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<PersonId>,
) -> Result<Response, Failure> {
    dashboard.control.disable_person(&visit.as_operator()?, id).await?;
    Ok(go_to(&format!("{}?done=disabled", path(id))))
}

/// Lets somebody in again.
pub async fn enable(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<PersonId>,
) -> Result<Response, Failure> {
    dashboard.control.enable_person(&visit.as_operator()?, id).await?;
    Ok(go_to(&format!("{}?done=enabled", path(id))))
}

async fn find(dashboard: &Dashboard, visit: &Visit, id: PersonId) -> Result<(Asked, Person), Failure> {
    let asked = visit.as_operator()?;
    let person = dashboard.control.person(&asked, id).await?;
    Ok((asked, person))
}

fn path(id: PersonId) -> String {
    format!("{LIST}/{id}")
}

fn page_of(visit: &Visit, title: &str, content: Markup) -> Page {
    Page::new(OperatorTab::People.frame(visit, title), content)
}

fn ask(visit: &Visit, id: PersonId, verb: &str, question: &str, button: &str, consequences: Markup) -> Page {
    let back = path(id);
    let action = format!("{back}/{verb}");
    let asked =
        Confirmation { question, consequences, action: &action, button, back: &back, name: None, fault: None };
    page_of(visit, "People", asked.draw())
}

async fn show(
    dashboard: &Dashboard,
    visit: &Visit,
    question: &Question,
    wish: Option<Wish<'_>>,
) -> Result<Page, Failure> {
    let (asked, control) = (visit.as_operator()?, &dashboard.control);
    let filter = PersonFilter { organization: None, is_operator: question.only == "operators" };
    let people = control.people(&asked, &filter, question.before.map(Revision), SHOWN).await?;
    let now = control.now();
    let mut invitations = control.invitations(&asked, None, None, INVITATIONS).await?.items;
    invitations.retain(|invitation| invitation.is_open(now));
    let view = PeopleView {
        people: &people.items,
        next: people.next,
        is_first: question.before.is_none(),
        is_operators_only: filter.is_operator,
        invitations: &invitations,
        now,
        done: &question.done,
        wish,
    };
    Ok(page_of(visit, "People", view.draw()))
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    view::samples()
}
