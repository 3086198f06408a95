//! How the members' page is drawn.

use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::id::{OrganizationId, PersonId};
use keyward_core::people::{Invitation, InvitedTo, Role};
use maud::{Markup, html};

use crate::dashboard::answer::{fault_of, form_notice};
use crate::dashboard::look::moments::{ago, on_day};
use crate::dashboard::look::parts::{self, Choice, Field, Input, Tone, badge, select};
use crate::dashboard::pages::confirm::done;
use crate::dashboard::place::role_word;
use crate::use_cases::ControlError;
use crate::use_cases::people::SeenMember;

/// What is told once something was done.
const DONE: [(&str, &str); 3] = [
    ("role", "The role is changed, and in force."),
    ("removed", "The member is removed. Their access ended with it."),
    ("withdrawn", "The invitation is taken back: its link does not work any more."),
];

/// The roles to choose from, with what each may.
const ROLES: [Choice<'static>; 3] = [
    Choice { value: "developer", label: "Developer: creates, rotates and revokes keys" },
    Choice { value: "viewer", label: "Viewer: sees keys, usage and events" },
    Choice { value: "owner", label: "Owner: manages keys, projects and members" },
];

/// An invitation that was asked for and refused.
pub struct Wish<'a> {
    /// What was filled in.
    pub email: &'a str,
    /// What was chosen.
    pub role: &'a str,
    /// What is wrong with it.
    pub error: &'a ControlError,
}

/// What the page shows.
pub struct MembersView<'a> {
    /// Whose members.
    pub organization: OrganizationId,
    /// They, newest first.
    pub members: &'a [SeenMember],
    /// Where the list goes on.
    pub next: Option<Revision>,
    /// Whether it is the list's beginning.
    pub is_first: bool,
    /// Open invitations.
    pub invitations: &'a [Invitation],
    /// Who looks.
    pub own: PersonId,
    /// Whether they may change anything.
    pub may_write: bool,
    /// When it is shown.
    pub now: Timestamp,
    /// What was done before.
    pub done: &'a str,
    /// What was refused before.
    pub wish: Option<Wish<'a>>,
}

impl MembersView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        html! {
            (parts::head("Members", "Who can see and manage this organization's projects and keys.", ""))
            (done(self.done, &DONE))
            @if self.may_write { (self.invite()) }
            (parts::framed_card("People", "", self.table()))
            (parts::pager(
                (!self.is_first).then(|| self.path("")).as_deref(),
                self.next.map(|next| self.path(&format!("?before={next}"))).as_deref(),
            ))
            @if !self.invitations.is_empty() { (parts::framed_card("Open invitations", "", self.invitations())) }
        }
    }

    fn path(&self, more: &str) -> String {
        format!("/organizations/{}/members{more}", self.organization)
    }

    fn invite(&self) -> Markup {
        let (email, role) = self.wish.as_ref().map_or(("", "developer"), |wish| (wish.email, wish.role));
        let error = self.wish.as_ref().map(|wish| wish.error);
        let input = Input { autocomplete: Some("off"), ..Input::REQUIRED };
        html! {
            section.card {
                header { h2 { "Invite somebody" } }
                @if let Some(error @ ControlError::AlreadyExists(_)) = error { div.inner { (form_notice(error)) } }
                form.row.inner method="post" action=(self.path("")) {
                    (Field::new("email", "E-mail address").fault(fault_of(error, "email")).line("email", email, input))
                    (select(Field::new("role", "Role").fault(fault_of(error, "role")), &ROLES, role))
                    button.button.primary type="submit" { "Invite" }
                }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            table.folds {
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Member since" }
                    @if self.may_write { th scope="col" { span.hidden-visually { "Remove" } } }
                } }
                tbody { @for member in self.members { (self.member(member)) } }
            }
        }
    }

    fn member(&self, member: &SeenMember) -> Markup {
        html! {
            tr.past[!member.is_active] {
                td data-label="Name" {
                    span {
                        (member.name)
                        @if member.id == self.own { " " span.soft { "(you)" } }
                        @if !member.is_active { " " (badge(Tone::Bad, "disabled")) }
                    }
                    span.under { (member.email) }
                }
                td data-label="Role" { @if self.may_write { (self.role(member)) } @else { (role_word(member.role)) } }
                td data-label="Member since" { (on_day(member.joined_at)) }
                @if self.may_write {
                    td.acts.right {
                        a.button.small.quiet.risky href=(self.path(&format!("/{}/remove", member.id))) {
                            "Remove" span.hidden-visually { " " (member.name) }
                        }
                    }
                }
            }
        }
    }

    fn role(&self, member: &SeenMember) -> Markup {
        let id = format!("role-{}", member.id);
        html! {
            form.choose method="post" action=(self.path(&format!("/{}/role", member.id))) {
                label.hidden-visually for=(id) { "Role of " (member.name) }
                select id=(id) name="role" {
                    @for role in Role::ALL {
                        option value=(role.as_str()) selected[role == member.role] { (role_word(role)) }
                    }
                }
                button.button.small type="submit" { "Change" span.hidden-visually { " the role of " (member.name) } }
            }
        }
    }

    fn invitations(&self) -> Markup {
        html! {
            table.folds {
                thead { tr {
                    th scope="col" { "E-mail address" } th scope="col" { "Role" } th scope="col" { "Expires" }
                    @if self.may_write { th scope="col" { span.hidden-visually { "Withdraw" } } }
                } }
                tbody { @for invitation in self.invitations { tr {
                    td data-label="Address" { (invitation.email) }
                    td data-label="Role" {
                        @if let InvitedTo::Organization { role, .. } = invitation.invited_to { (role_word(role)) }
                    }
                    td data-label="Expires" { (ago(invitation.expires_at, self.now)) }
                    @if self.may_write {
                        td.acts.right {
                            form.inline method="post" action={ "/organizations/" (self.organization) "/invitations/" (invitation.id) "/withdraw" } {
                                button.button.small.quiet.risky type="submit" {
                                    "Withdraw" span.hidden-visually { " the invitation of " (invitation.email) }
                                }
                            }
                        }
                    }
                } } }
            }
        }
    }
}

/// What ends when somebody is removed.
pub fn ends_with(member: &SeenMember, organization: &str, keys: &[String]) -> Markup {
    html! {
        p { strong { (member.name) } " (" (member.email) ") loses access to " (organization) " at once:" }
        ul {
            li { "they are signed out everywhere;" }
            li { "open invitations that they sent are taken back;" }
            @if keys.is_empty() {
                li { "no management key ends: they made none that still works." }
            } @else {
                li {
                    "these management keys that they made stop working: "
                    @for (number, key) in keys.iter().enumerate() { @if number > 0 { ", " } strong { (key) } }
                    ". Scripts that use them fail from then on."
                }
            }
        }
        p { "API keys of the projects stay as they are." }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, crate::dashboard::answer::Page)> {
    use crate::dashboard::answer::Page;
    use crate::dashboard::pages::samples::{
        EVIL, LONG, NAMES, NOW, hours_ago, invitation, organization_place, visit,
    };
    use crate::dashboard::place::OrganizationTab;
    let member = |number: u128, name: &str| SeenMember {
        id: PersonId::from_u128(number),
        email: format!("person{number}@example.com"),
        name: name.to_owned(),
        role: Role::Owner,
        joined_at: hours_ago(100),
        is_active: number != 2,
    };
    let members: Vec<SeenMember> = NAMES.iter().zip(1..).map(|(name, number)| member(number, name)).collect();
    let organization = OrganizationId::from_u128(1);
    let invited = InvitedTo::Organization { id: organization, role: Role::Viewer };
    let invitations = [invitation(1, invited, EVIL), invitation(2, invited, LONG)];
    let page = |members, invitations, may_write: bool, wish| {
        let visit = visit(EVIL, true);
        let frame = organization_place(&visit, EVIL).frame(&visit, OrganizationTab::Members, "Members");
        let view = MembersView {
            organization,
            members,
            next: may_write.then_some(Revision(7)),
            is_first: !may_write,
            invitations,
            own: PersonId::from_u128(1),
            may_write,
            now: NOW,
            done: "removed",
            wish,
        };
        Page::new(frame, view.draw())
    };
    let fault = ControlError::invalid("email", EVIL);
    let there = ControlError::AlreadyExists("a member with this mail address");
    let removal = |keys: &[String]| {
        Page::new(
            crate::dashboard::look::Frame::titled("x"),
            html! { h1 { "x" } (ends_with(&members[1], EVIL, keys)) },
        )
    };
    vec![
        ("one, to a viewer", page(&members[..1], &[], false, None)),
        ("many", page(&members, &invitations, true, None)),
        ("refused", page(&members, &[], true, Some(Wish { email: EVIL, role: EVIL, error: &fault }))),
        (
            "there already",
            page(&members, &[], true, Some(Wish { email: "a@example.com", role: "owner", error: &there })),
        ),
        ("removal", removal(&[])),
        ("removal with keys", removal(&[EVIL.into(), LONG.into()])),
    ]
}
