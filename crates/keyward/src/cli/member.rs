//! `keyward member`: who belongs to an organization.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, segment};
use super::{Context, PageArgs, print_changed, print_link};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Column, confirm};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("E-MAIL", "email"),
    ("NAME", "name"),
    ("ROLE", "role"),
    ("STATE", "state"),
    ("JOINED", "joined_at"),
];

/// Commands on members.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// All of them
    List {
        /// Of which.
        #[command(flatten)]
        of: Of,
        /// Which part.
        #[command(flatten)]
        page: PageArgs,
    },
    /// Invite somebody: the link is good for a week, once
    Invite {
        /// Their mail address
        email: String,
        /// Of which.
        #[command(flatten)]
        of: Of,
        /// What they may do
        #[arg(long, value_enum, default_value = "developer")]
        role: RoleArg,
    },
    /// Take somebody's place; sessions, management keys and invitations of theirs end
    Remove {
        /// Their mail address or id
        person: String,
        /// Of which.
        #[command(flatten)]
        of: Of,
    },
}

/// The organization.
#[derive(Debug, Args)]
pub struct Of {
    /// The organization's id
    #[arg(long, value_name = "ID")]
    pub organization: String,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RoleArg {
    /// Manages keys, projects and members
    Owner,
    /// Creates, rotates and revokes keys
    Developer,
    /// Looks
    Viewer,
}

impl RoleArg {
    const fn as_str(self) -> &'static str {
        match self {
            RoleArg::Owner => "owner",
            RoleArg::Developer => "developer",
            RoleArg::Viewer => "viewer",
        }
    }
}

/// Runs one.
pub async fn run(command: MemberCommand, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    let at = |of: &Of, what: &str| format!("/v1/organizations/{}/{what}", segment(&of.organization));
    match command {
        MemberCommand::List { of, page } => {
            output.list(&client.list(&at(&of, "members"), Vec::new(), &page).await?, COLUMNS);
        }
        MemberCommand::Invite { email, of, role } => {
            let wish = json!({"email": email, "role": role.as_str()});
            let answer = client.post(&at(&of, "invitations"), &wish).await?;
            print_link(output, &answer, Some("invitation"));
        }
        MemberCommand::Remove { person, of } => {
            confirm(context.common.yes, &format!("Take the place of {person} in {}?", of.organization))?;
            let members = at(&of, "members");
            let id = id(&client, &members, &person).await?;
            print_changed(output, &client.delete(&format!("{members}/{}", segment(&id))).await?, "member");
        }
    }
    Ok(())
}

/// A member's id, by mail address or id.
async fn id(client: &Client, members: &str, person: &str) -> Outcome<String> {
    let page = PageArgs { all: true, ..PageArgs::default() };
    let found: Value = client.list(members, Vec::new(), &page).await?;
    let items = found["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_meant = |member: &&Value| member["id"] == person || member["email"] == person.trim().to_lowercase();
    let id = items.iter().find(is_meant).and_then(|member| member["id"].as_str()).map(str::to_owned);
    id.ok_or_else(|| Failure::new(Exit::NotFound, "nobody there has this mail address or id"))
}
