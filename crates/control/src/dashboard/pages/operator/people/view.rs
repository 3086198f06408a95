//! How the operator's pages about people are drawn.

use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::people::{Invitation, Membership, Person};
use maud::{Markup, html};

use crate::dashboard::answer::{fault_of, form_notice};
use crate::dashboard::look::Icon;
use crate::dashboard::look::moments::{ago, on_day};
use crate::dashboard::look::parts::{self, Field, Input, Tone, badge};
use crate::dashboard::pages::confirm::done;
use crate::dashboard::place::role_word;
use crate::use_cases::ControlError;

/// What is told once something was done.
const DONE: [(&str, &str); 4] = [
    ("withdrawn", "The invitation is taken back: its link does not work any more."),
    ("operator", "What the person may do is changed, and in force. They were signed out."),
    ("disabled", "The account is disabled, and every session of it is ended."),
    ("enabled", "The person can sign in again."),
];

/// An invitation that was asked for and refused.
pub struct Wish<'a> {
    /// What was filled in.
    pub email: &'a str,
    /// What is wrong with it.
    pub error: &'a ControlError,
}

/// What the list shows.
pub struct PeopleView<'a> {
    /// The people, newest first.
    pub people: &'a [Person],
    /// Where the list goes on.
    pub next: Option<Revision>,
    /// Whether it is the list's beginning.
    pub is_first: bool,
    /// Whether only operators are shown.
    pub is_operators_only: bool,
    /// Open invitations to the operators.
    pub invitations: &'a [Invitation],
    /// When it is shown.
    pub now: Timestamp,
    /// What was done before.
    pub done: &'a str,
    /// What was refused before.
    pub wish: Option<Wish<'a>>,
}

impl PeopleView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let filter = html! {
            @if self.is_operators_only { a.button.small href="/operator/people" { "Show everybody" } }
            @else { a.button.small href="/operator/people?only=operators" { "Operators only" } }
        };
        html! {
            (parts::head("People", "Everybody who can sign in, in every organization.", ""))
            (done(self.done, &DONE))
            (parts::framed_card(if self.is_operators_only { "Operators" } else { "Everybody" }, filter, self.table()))
            (parts::pager(
                (!self.is_first).then(|| self.path(None)).as_deref(),
                self.next.map(|next| self.path(Some(next))).as_deref(),
            ))
            (self.invite())
            @if !self.invitations.is_empty() { (parts::framed_card("Open invitations to the operators", "", self.invitations())) }
        }
    }

    fn path(&self, before: Option<Revision>) -> String {
        let only = if self.is_operators_only { "only=operators" } else { "only=" };
        let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
        format!("/operator/people?{only}{before}")
    }

    fn table(&self) -> Markup {
        html! {
            table.folds {
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "May" } th scope="col" { "Since" } th scope="col" { "Status" }
                } }
                tbody { @for person in self.people { tr.past[!person.is_active()] {
                    td data-label="Name" {
                        a href={ "/operator/people/" (person.id) } { (person.name) }
                        span.under { (person.email) }
                    }
                    td data-label="May" {
                        @if person.is_operator { (badge(Tone::Info, "operator")) }
                        @else { (in_organizations(person.memberships.len())) }
                    }
                    td data-label="Since" { (on_day(person.created_at)) }
                    td data-label="Status" { (status(person)) }
                } } }
            }
        }
    }

    fn invite(&self) -> Markup {
        let (email, error) = self.wish.as_ref().map_or(("", None), |wish| (wish.email, Some(wish.error)));
        let input = Input { autocomplete: Some("off"), ..Input::REQUIRED };
        html! {
            section.card {
                header { h2 { "Invite an operator" } }
                @if let Some(error @ ControlError::AlreadyExists(_)) = error { div.inner { (form_notice(error)) } }
                form.row.inner method="post" action="/operator/people/invite" {
                    (Field::new("email", "E-mail address").hint("Operators see and manage everything. Members are invited on their organization's page.")
                        .fault(fault_of(error, "email")).line("email", email, input))
                    button.button.primary type="submit" { "Invite operator" }
                }
            }
        }
    }

    fn invitations(&self) -> Markup {
        html! {
            table.folds {
                thead { tr {
                    th scope="col" { "E-mail address" } th scope="col" { "Expires" }
                    th scope="col" { span.hidden-visually { "Withdraw" } }
                } }
                tbody { @for invitation in self.invitations { tr {
                    td data-label="Address" { (invitation.email) }
                    td data-label="Expires" { (ago(invitation.expires_at, self.now)) }
                    td.acts.right {
                        form.inline method="post" action={ "/operator/invitations/" (invitation.id) "/withdraw" } {
                            button.button.small.quiet.risky type="submit" {
                                "Withdraw" span.hidden-visually { " the invitation of " (invitation.email) }
                            }
                        }
                    }
                } } }
            }
        }
    }
}

fn in_organizations(count: usize) -> String {
    match count {
        0 => "no organization".into(),
        1 => "1 organization".into(),
        many => format!("{many} organizations"),
    }
}

fn status(person: &Person) -> Markup {
    match person.is_active() {
        true => badge(Tone::Good, "active"),
        false => badge(Tone::Bad, "disabled"),
    }
}

/// An organization somebody is a member of.
pub struct Place<'a> {
    /// As what.
    pub membership: &'a Membership,
    /// What it is called.
    pub name: String,
}

/// What the page of one person shows.
pub struct PersonView<'a> {
    /// Who.
    pub person: &'a Person,
    /// Where they are members.
    pub places: &'a [Place<'a>],
    /// Whether it is who looks.
    pub is_self: bool,
    /// What was done before.
    pub done: &'a str,
}

impl PersonView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let person = self.person;
        html! {
            (parts::head(&person.name, &person.email, ""))
            (done(self.done, &DONE))
            (parts::titled_card("Account", "", html! {
                dl.facts {
                    dt { "Status" } dd { (status(person)) }
                    dt { "Operator" } dd { @if person.is_operator { "yes" } @else { "no" } }
                    dt { "Since" } dd { (on_day(person.created_at)) }
                    dt { "Id" } dd { code { (person.id) } }
                    @for identity in &person.identities {
                        dt { "Signs in by" } dd { code { (identity.issuer) } " as " code { (identity.subject) } }
                    }
                }
            }))
            (parts::framed_card("Organizations", "", self.places()))
            @if !self.is_self { (self.actions()) }
            @else { p.soft { "This is your own account: " a href="/account" { "Your account" } " has what you can change yourself." } }
        }
    }

    fn places(&self) -> Markup {
        html! {
            @if self.places.is_empty() {
                (parts::empty(Icon::Building, "In no organization", "An owner can invite them.", ""))
            } @else {
                table.folds {
                    thead { tr { th scope="col" { "Organization" } th scope="col" { "Role" } th scope="col" { "Since" } } }
                    tbody { @for place in self.places { tr {
                        td data-label="Organization" {
                            a href={ "/organizations/" (place.membership.organization) "/members" } { (place.name) }
                        }
                        td data-label="Role" { (role_word(place.membership.role)) }
                        td data-label="Since" { (on_day(place.membership.joined_at)) }
                    } } }
                }
            }
        }
    }

    fn actions(&self) -> Markup {
        let person = self.person;
        let path = format!("/operator/people/{}", person.id);
        parts::titled_card(
            "What you can do",
            "",
            html! {
                @if person.is_active() && !person.is_operator {
                    form.choice method="post" action={ (path) "/sign-in-link" } {
                        p.soft { "For somebody who has lost their password: a link that signs them in once." }
                        button.button type="submit" { "Make a sign-in link" }
                    }
                } @else if person.is_operator {
                    p.soft { "A sign-in link for an operator is made at the machine itself: " code { "keyward operator sign-in-link" } "." }
                }
                div.choice {
                    @if person.is_operator {
                        p.soft { "They see and manage everything." }
                        a.button href={ (path) "/operator" } { "Take operator rights away" }
                    } @else {
                        p.soft { "Operators see and manage everything." }
                        a.button href={ (path) "/operator" } { "Make operator" }
                    }
                }
                @if person.is_active() {
                    div.choice {
                        p.soft { "Keep them from signing in, at once." }
                        a.button href={ (path) "/disable" } { "Disable the account" }
                    }
                } @else {
                    form.choice method="post" action={ (path) "/enable" } {
                        p.soft { "Let them sign in again." }
                        button.button type="submit" { "Enable the account" }
                    }
                }
            },
        )
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, crate::dashboard::answer::Page)> {
    use keyward_core::people::{Identity, InvitedTo, PersonState};

    use super::page_of;
    use crate::dashboard::pages::samples::{EVIL, LONG, NAMES, NOW, invitation, person, visit};
    let visit = visit(EVIL, true);
    let mut people: Vec<Person> =
        NAMES.iter().zip(1..).map(|(name, number)| person(number, name, number == 1)).collect();
    people[1].state = PersonState::Disabled { at: NOW };
    people[2].identities = vec![Identity { issuer: EVIL.into(), subject: LONG.into() }];
    people[3].memberships.clear();
    let invitations = [invitation(1, InvitedTo::Operators, EVIL)];
    let there = ControlError::AlreadyExists("a member with this mail address");
    let fault = ControlError::invalid("email", EVIL);
    let list = |people, invitations, wish| {
        let view = PeopleView {
            people,
            next: Some(Revision(3)),
            is_first: false,
            is_operators_only: false,
            invitations,
            now: NOW,
            done: "enabled",
            wish,
        };
        page_of(&visit, "People", view.draw())
    };
    let one = |person: &Person, is_self| {
        let places: Vec<Place<'_>> =
            person.memberships.iter().map(|membership| Place { membership, name: EVIL.into() }).collect();
        page_of(&visit, &person.name, PersonView { person, places: &places, is_self, done: "" }.draw())
    };
    let mut samples = vec![
        ("one", list(&people[..1], &[], None)),
        ("many", list(&people, &invitations, None)),
        ("refused", list(&people, &[], Some(Wish { email: EVIL, error: &fault }))),
        ("there already", list(&people, &[], Some(Wish { email: EVIL, error: &there }))),
        ("oneself", one(&people[0], true)),
    ];
    samples.extend(people.iter().map(|person| ("a person", one(person, false))));
    samples
}
