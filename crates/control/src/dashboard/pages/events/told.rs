//! What happened, in plain words: a change's or a use's name as people say it, who did it, and what it set. Shared by the
//! event log's page, its exports, and the operator's log.

use keyward_core::change::{Actor, Entry};
use keyward_core::clock::Timestamp;
use keyward_core::denial::Refusal;
use keyward_core::id::KeyId;
use keyward_core::usage::Event;
use serde_json::Value;

use crate::dashboard::look::parts::Tone;
use crate::use_cases::details;

/// The outcome of requests that were granted.
pub const GRANTED: &str = "valid";

/// What stands in a project's event log, for its filter and its lines.
pub const OF_PROJECTS: [(&str, &str); 26] = [
    ("key.used", "Key used"),
    ("key.refused", "Key refused"),
    ("key.created", "Key created"),
    ("key.rotated", "Key rotated"),
    ("key.revoked", "Key revoked"),
    ("keys.revoked", "Keys revoked"),
    ("key.disabled", "Key disabled"),
    ("key.enabled", "Key enabled"),
    ("key.renamed", "Key renamed"),
    ("key.rescoped", "Key's scopes set"),
    ("key.expiry_set", "Key's expiry set"),
    ("key.addresses_set", "Key's addresses set"),
    ("key.metadata_set", "Key's metadata set"),
    ("project.created", "Project created"),
    ("project.renamed", "Project renamed"),
    ("project.plan_set", "Plan set"),
    ("project.access_set", "Access set"),
    ("project.limit_set", "Limit set"),
    ("project.active_key_limit_set", "Active keys limited"),
    ("project.destination_set", "Destination set"),
    ("data_key.created", "Data key made"),
    ("data_key.rotated", "Data key rotated"),
    ("data_keys.shredded", "Data keys destroyed"),
    ("project.suspended", "Project suspended"),
    ("project.resumed", "Project resumed"),
    ("project.deleted", "Project deleted"),
];

/// What stands besides in the whole log.
const BESIDES: [(&str, &str); 25] = [
    ("api.applied", "Contract put in force"),
    ("organization.created", "Organization created"),
    ("organization.renamed", "Organization renamed"),
    ("organization.suspended", "Organization suspended"),
    ("organization.resumed", "Organization resumed"),
    ("organization.deleted", "Organization deleted"),
    ("management_key.created", "Management key created"),
    ("management_key.rotated", "Management key rotated"),
    ("management_key.revoked", "Management key revoked"),
    ("person.created", "Person added"),
    ("person.renamed", "Person renamed"),
    ("person.password_set", "Password set"),
    ("person.identity_linked", "Sign-in provider linked"),
    ("person.identity_unlinked", "Sign-in provider unlinked"),
    ("person.sign_in_link_made", "Sign-in link made"),
    ("person.operator_set", "Operator set"),
    ("person.disabled", "Person disabled"),
    ("person.enabled", "Person enabled"),
    ("member.joined", "Member joined"),
    ("member.role_set", "Member's role set"),
    ("member.removed", "Member removed"),
    ("invitation.created", "Invitation sent"),
    ("invitation.accepted", "Invitation accepted"),
    ("invitation.withdrawn", "Invitation withdrawn"),
    ("store.restored", "Store restored"),
];

/// A name as people say it.
pub fn words(name: &str) -> &str {
    let known = OF_PROJECTS.iter().chain(&BESIDES).find(|(known, _)| *known == name);
    known.map_or(name, |(_, words)| words)
}

/// An outcome of requests as people say it.
pub fn outcome_words(outcome: &str) -> String {
    if outcome == GRANTED {
        return "Granted".into();
    }
    let mut words = outcome.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// What an outcome means, where it is a refusal.
pub fn meaning(outcome: &str) -> Option<&'static str> {
    Refusal::from_code(outcome).map(Refusal::meaning)
}

/// One line of a log, as it is told.
#[derive(Debug)]
pub struct Line {
    /// When; of folded uses, when the first of them happened.
    pub at: Timestamp,
    /// Of folded uses, when the last of them happened.
    pub last_at: Option<Timestamp>,
    /// Its name, such as `key.revoked`.
    pub name: &'static str,
    /// Who did it; nobody for uses.
    pub actor: Option<Who>,
    /// The key it is about.
    pub key: Option<KeyId>,
    /// From which address; of folded uses, of the last of them.
    pub address: Option<String>,
    /// By which request.
    pub request_id: Option<String>,
    /// How many requests are folded.
    pub count: Option<u64>,
    /// How requests ended: `valid`, or the denial's code.
    pub outcome: Option<String>,
    /// What a change set.
    pub details: Value,
}

/// Who did something.
#[derive(Debug)]
pub struct Who {
    /// What they are: `person`, `management_key`, `node`, `operator`.
    pub kind: &'static str,
    /// What they were called, or the operator's command.
    pub name: String,
    /// Their id.
    pub id: Option<String>,
}

impl Line {
    /// A line of a project's event log.
    pub fn of(event: &Event) -> Self {
        match event {
            Event::Change(entry) => Line::of_change(entry),
            Event::Usage(row) => Line {
                at: row.first_at,
                last_at: Some(row.last_at),
                name: if row.outcome == GRANTED { "key.used" } else { "key.refused" },
                actor: None,
                key: Some(row.key),
                address: row.last_address.map(|address| address.to_string()),
                request_id: None,
                count: Some(row.count),
                outcome: Some(row.outcome.clone()),
                details: Value::Null,
            },
        }
    }

    /// A line of the whole log.
    pub fn of_change(entry: &Entry) -> Self {
        let body = &entry.body;
        Line {
            at: body.at,
            last_at: None,
            name: body.change.name(),
            actor: Some(Who::of(&body.actor)),
            key: body.change.key(),
            address: body.origin.address.map(|address| address.to_string()),
            request_id: body.origin.request_id.clone(),
            count: None,
            outcome: None,
            details: details(&body.change),
        }
    }

    /// How it is meant: what ends something stands out.
    pub fn tone(&self) -> Tone {
        let ends = ["revoked", "deleted", "suspended", "removed", "refused", "disabled", "withdrawn", "shredded"];
        let begins = ["created", "resumed", "enabled", "used", "joined", "accepted"];
        let (_, what) = self.name.split_once('.').unwrap_or(("", self.name));
        match what {
            _ if ends.contains(&what) => Tone::Bad,
            _ if begins.contains(&what) => Tone::Good,
            _ => Tone::Info,
        }
    }

    /// What a change set, as pairs of a label and a value.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let Value::Object(fields) = &self.details else { return Vec::new() };
        let shown = fields.iter().filter_map(|(name, value)| Some((name.replace('_', " "), told(value)?)));
        shown.collect()
    }
}

impl Who {
    fn of(actor: &Actor) -> Self {
        match actor {
            Actor::Person { id, name } => Who { kind: "person", name: name.clone(), id: Some(id.to_string()) },
            Actor::ManagementKey { id, name } => {
                Who { kind: "management_key", name: name.clone(), id: Some(id.to_string()) }
            }
            Actor::Node { name } => Who { kind: "node", name: name.clone(), id: None },
            Actor::Operator { command } => Who { kind: "operator", name: command.clone(), id: None },
        }
    }

    /// What they are, in words.
    pub fn kind_words(&self) -> &'static str {
        match self.kind {
            "person" => "",
            "management_key" => "management key",
            "node" => "node",
            _ => "at the machine",
        }
    }
}

/// A value as people read it; none where there is nothing to say.
fn told(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(true) => Some("yes".into()),
        Value::Bool(false) => Some("no".into()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) if items.is_empty() => Some("none".into()),
        Value::Array(items) => Some(items.iter().filter_map(told).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) if fields.is_empty() => None,
        Value::Object(fields) => {
            let shown =
                fields.iter().map(|(name, value)| format!("{name} {}", told(value).unwrap_or("none".into())));
            Some(shown.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn q18_every_name_of_the_log_has_its_words() {
        let facts = include_str!("../../../../../core/src/change/facts.rs");
        let names: Vec<&str> = facts
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|text| {
                text.contains('.') && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte))
            })
            .collect();
        assert!(names.len() > 30, "{names:?}");
        for name in names {
            assert_ne!(words(name), name, "{name} has no words");
        }
    }

    #[test]
    fn what_was_set_is_told_without_the_form_of_json() {
        let line = |details| Line {
            at: Timestamp::from_millis(0),
            last_at: None,
            name: "key.created",
            actor: None,
            key: None,
            address: None,
            request_id: None,
            count: None,
            outcome: None,
            details,
        };
        let pairs = line(
            json!({ "expires_at": null, "name": "a", "scopes": ["b", "c"], "limits": { "x": { "limit": 5 } } }),
        )
        .pairs();
        let told: Vec<(&str, &str)> = pairs.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
        assert_eq!(told, [("limits", "x limit 5"), ("name", "a"), ("scopes", "b, c")]);
        assert!(line(Value::Null).pairs().is_empty());
    }
}
