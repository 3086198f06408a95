//! `keyward operator`: the way in for whoever has the machine: on the folder, with the server stopped, and in the log.
//! Over HTTP nobody can make themselves an operator or have one's password set anew (trust.md W13).

use clap::Subcommand;
use keyward_control::{Asked, Control};
use keyward_core::people::Person;
use keyward_core::secret::Secret;
use serde_json::json;

use super::Context;
use crate::failure::{Failure, Outcome};
use crate::node::{Core, offline};
use crate::secrets::Secrets;
use crate::serve::refused;

/// Commands on operators.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Make somebody an operator, with a link that signs them in once. The server must be stopped
    Create {
        /// Their mail address
        email: String,
        /// What they are called; the address's first part where not given
        #[arg(long)]
        name: Option<String>,
    },
    /// Make a link that signs an operator in once, within 15 minutes. The server must be stopped
    SignInLink {
        /// Their mail address
        email: String,
    },
}

/// Runs one.
pub async fn run(command: OperatorCommand, context: &Context) -> Outcome {
    let config = context.config(Vec::new())?;
    let secrets = Secrets::load(&config, &context.environment)?;
    let core = Core::start(&config, &secrets, offline::open(&config, &secrets).await?).await?;
    let made = make(&core.control, command).await;
    core.stop().await;
    let (person, secret) = made?;
    let link = config.site(config.control()).url(&format!("/sign-in/link/{}", secret.expose()));
    let output = context.output;
    if output.is_json() {
        output.json(&json!({"person": person.id, "email": person.email, "link": link}));
        return Ok(());
    }
    output.line(format!("{} may sign in as an operator, once the server runs.", person.email));
    output.note("The link signs in once, within 15 minutes. This is the only time it is shown:");
    output.verbatim(&format!("{link}\n"));
    Ok(())
}

async fn make(control: &Control, command: OperatorCommand) -> Outcome<(Person, Secret)> {
    let person = match command {
        OperatorCommand::Create { email, name } => {
            let asked = Asked::by_operator("operator create");
            let name = name.unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
            let made = control.add_operator(&asked, &email, &name).await;
            made.map_err(|error| refused("make an operator", &error))?
        }
        OperatorCommand::SignInLink { email } => {
            let asked = Asked::by_operator("operator sign-in-link");
            let found = control.person_by_email(&asked, &email).await;
            let found = found.map_err(|error| refused("find the operator", &error))?;
            if !found.is_operator {
                return Err(Failure::failed(format!("{} is no operator", found.email)).advise(
                    "keyward operator create makes them one; keyward person sign-in-link helps anybody else.",
                ));
            }
            found
        }
    };
    let asked = Asked::by_operator("operator sign-in-link");
    // Whoever has the machine gets in: an operator who was disabled is enabled, and that is in the log.
    if !person.is_active() {
        control.enable_person(&asked, person.id).await.map_err(|error| refused("enable the operator", &error))?;
    }
    let secret = control.make_sign_in_link(&asked, person.id).await;
    Ok((person, secret.map_err(|error| refused("make the link", &error))?))
}
