//! The commands that talk to a server over HTTP, and those on a folder. One module a noun; `client` carries
//! the calls, `target` knows the server and the management key.

pub mod api;
pub mod apply;
pub mod backup;
pub mod chart;
pub mod client;
pub mod completions;
pub mod configuration;
pub mod contract;
pub mod doctor;
mod encryption;
pub mod encryption_key;
pub mod force;
pub mod init;
pub mod key;
pub mod limits;
pub mod log;
pub mod management_key;
pub mod member;
pub mod nodes;
pub mod operator;
pub mod organization;
pub mod pepper;
pub mod person;
pub mod project;
pub mod target;
pub mod transfer;
pub mod usage;
pub mod usage_chart;

use clap::Args;
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::contract::duration;
use keyward_verify::SystemClock;
use serde_json::{Map, Value};

use crate::args::Common;
use crate::config::{Config, Environment, Flags};
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use client::Client;
use target::Target;

/// What every command is given.
#[derive(Debug)]
pub struct Context {
    /// How to print.
    pub output: Output,
    /// The shared flags.
    pub common: Common,
    /// The environment.
    pub environment: Environment,
}

impl Context {
    /// The effective configuration, with a command's own flags.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn config(&self, flags: Flags) -> Outcome<Config> {
        let mut all = self.common.flags();
        all.extend(flags);
        Config::load(&all, self.common.config.as_deref(), &self.environment)
    }

    /// The server to talk to, and the key to talk with.
    ///
    /// # Errors
    /// What is missing, and where it is looked for.
    pub fn target(&self) -> Outcome<Target> {
        Target::find(&self.common, &self.environment)
    }

    /// A client for the control plane.
    ///
    /// # Errors
    /// Where server or management key are not known.
    pub fn client(&self) -> Outcome<Client> {
        Client::new(self.target()?)
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Default, Args)]
pub struct PageArgs {
    /// At most so many, 1 to 200
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Where the part before ended
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
    /// The whole list
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    pub all: bool,
}

/// When a key ends, said in either way.
#[derive(Debug, Clone, Default, Args)]
pub struct ExpiryArgs {
    /// When it ends, such as 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
    /// How long it lives, such as 90d
    #[arg(long, value_name = "DURATION", conflicts_with = "expires_at")]
    pub expires_in: Option<String>,
}

impl ExpiryArgs {
    /// The end as RFC 3339; none where none was given.
    ///
    /// # Errors
    /// Where the duration is none. A time is handed on as it is: the server says what is wrong with it.
    pub fn time(&self) -> Outcome<Option<String>> {
        let Some(text) = &self.expires_in else { return Ok(self.expires_at.clone()) };
        let length = duration::parse(text).map_err(|reason| Failure::usage(format!("--expires-in {reason}")))?;
        let end: Timestamp = SystemClock.now().saturating_add(length);
        Ok(Some(end.to_string()))
    }
}

/// A JSON object of those fields that were given.
pub fn body<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

/// A text as JSON, where one was given.
pub fn text(value: &Option<String>) -> Option<Value> {
    value.clone().map(Value::String)
}

/// A list of texts as JSON, where any was given.
pub fn texts(values: &[String]) -> Option<Value> {
    (!values.is_empty()).then(|| values.iter().cloned().map(Value::String).collect())
}

/// Says how a change took force, or where to ask whether it has, where the answer tells.
pub fn note_in_force(output: Output, answer: &Value) {
    if output.is_json() {
        return;
    }
    if let Some(words) = force::words(&answer["in_force"]) {
        output.note(words);
    }
    if let Some(barrier) = answer["barrier"].as_str() {
        output.note(format!("Written. Ask whether it is in force: GET {barrier}"));
    }
}

/// Prints what was made, and its secret this once.
pub fn print_made(output: Output, answer: &Value, field: &str) {
    if output.is_json() {
        if answer["secret"].is_string() {
            output.note("This is the only time the secret is shown.");
        }
        return output.json(answer);
    }
    output.record(&answer[field]);
    note_in_force(output, answer);
    match answer["secret"].as_str() {
        Some(secret) => output.secret(secret),
        None if answer["secret_shown"] == true => output.note("Made before; its secret was shown then."),
        None => {}
    }
}

/// Prints what was made, and its link this once.
pub fn print_link(output: Output, answer: &Value, field: Option<&str>) {
    if output.is_json() {
        return output.json(answer);
    }
    if let Some(field) = field {
        output.record(&answer[field]);
    }
    match answer["link"].as_str() {
        Some(link) => {
            output.note("This is the only time the link is shown:");
            output.verbatim(&format!("{}\n", crate::output::printable(link)));
        }
        None => output.note("Made before; its link was shown then."),
    }
}

/// Prints what was changed.
pub fn print_changed(output: Output, answer: &Value, field: &str) {
    if output.is_json() {
        return output.json(answer);
    }
    output.record(if answer[field].is_object() { &answer[field] } else { answer });
    note_in_force(output, answer);
}
