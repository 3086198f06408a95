//! The log over HTTP: a project's events, and the whole log for those who follow or check it. What is told
//! of a change never holds a digest: see [`details`].

use axum::Json;
use axum::extract::State;
use keyward_core::change::{Actor, Entry, Origin, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::log::to_hex;
use keyward_core::store::EventFilter;
use keyward_core::tenancy::Boundary;
use keyward_core::usage::{Event, UsageRow};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::caller::{Asking, Id};
use super::doors::Rest;
use super::problem::Problem;
use super::query::{self, List, limit, query};
use crate::use_cases::{details, position_at, position_bytes};

/// Who made a change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Actor)]
pub(crate) struct ActorAnswer {
    /// management_key, person, or operator for somebody at the machine itself.
    #[schema(value_type = String)]
    kind: &'static str,
    /// The management key's or the person's id.
    id: Option<String>,
    /// What it or they were called, or the operator's command.
    name: Option<String>,
}

impl From<&Actor> for ActorAnswer {
    fn from(actor: &Actor) -> Self {
        match actor {
            Actor::ManagementKey { id, name } => {
                ActorAnswer { kind: "management_key", id: Some(id.to_string()), name: Some(name.clone()) }
            }
            Actor::Person { id, name } => {
                ActorAnswer { kind: "person", id: Some(id.to_string()), name: Some(name.clone()) }
            }
            Actor::Node { name } => ActorAnswer { kind: "node", id: None, name: Some(name.clone()) },
            Actor::Operator { command } => ActorAnswer { kind: "operator", id: None, name: Some(command.clone()) },
        }
    }
}

/// From where something was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Origin)]
pub(crate) struct OriginAnswer {
    /// The address, where it is known.
    address: Option<String>,
    /// The request.
    request_id: Option<String>,
}

impl From<&Origin> for OriginAnswer {
    fn from(origin: &Origin) -> Self {
        let address = origin.address.map(|address| address.to_string());
        OriginAnswer { address, request_id: origin.request_id.clone() }
    }
}

/// One line of a project's event log: a change, or uses or refusals of a key folded by the minute.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventAnswer {
    /// When; of folded uses, when the first of them happened.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The change's name, or key.used, or key.refused.
    #[schema(value_type = String)]
    name: &'static str,
    /// Who made the change; null for uses.
    actor: Option<ActorAnswer>,
    /// From where; of folded uses, of the last of them.
    origin: OriginAnswer,
    /// The key it is about.
    key: Option<String>,
    /// What was changed.
    #[schema(value_type = Object)]
    details: Value,
    /// The change's place in the log; null for uses, and for a management key with a boundary: places count
    /// what everybody does.
    revision: Option<i64>,
    /// How many uses are folded; null for changes.
    count: Option<u64>,
    /// Of folded uses, when the last of them happened.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// Of folded uses, valid or the denial's code.
    outcome: Option<String>,
}

impl From<Event> for EventAnswer {
    fn from(event: Event) -> Self {
        match event {
            Event::Change(entry) => EventAnswer::of_change(&entry),
            Event::Usage(row) => EventAnswer::of_usage(row),
        }
    }
}

impl EventAnswer {
    /// An event as it is told; its place in the log only where that is to be told.
    pub fn told(event: Event, tells_places: bool) -> Self {
        let event = EventAnswer::from(event);
        EventAnswer { revision: event.revision.filter(|_| tells_places), ..event }
    }

    fn of_change(entry: &Entry) -> Self {
        EventAnswer {
            at: entry.body.at,
            name: entry.body.change.name(),
            actor: Some(ActorAnswer::from(&entry.body.actor)),
            origin: OriginAnswer::from(&entry.body.origin),
            key: entry.body.change.key().map(|key| key.to_string()),
            details: details(&entry.body.change),
            revision: Some(entry.revision.0),
            count: None,
            last_at: None,
            outcome: None,
        }
    }

    fn of_usage(row: UsageRow) -> Self {
        EventAnswer {
            at: row.first_at,
            name: if row.outcome == "valid" { "key.used" } else { "key.refused" },
            actor: None,
            origin: OriginAnswer { address: row.last_address.map(|address| address.to_string()), request_id: None },
            key: Some(row.key.to_string()),
            details: json!({}),
            revision: None,
            count: Some(row.count),
            last_at: Some(row.last_at),
            outcome: Some(row.outcome),
        }
    }
}

query! {
    /// Which events to list.
    ListEvents {
        /// Only those of this name, such as key.revoked, key.used or key.refused.
        name: String,
        /// Only those about this key.
        #[param(value_type = Option<String>)]
        key: KeyId,
        /// At most so many, 1 to 200.
        #[param(minimum = 1, maximum = 200)]
        limit: u32,
        /// `next_cursor` of the page before.
        cursor: String,
    }
}

/// A part of an event log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventList {
    items: Vec<EventAnswer>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// List a project's events
///
/// Every change to the project and its keys, with who, when and from where; uses and refusals of each key are
/// folded by the minute, and come at most seconds late.
#[utoipa::path(get, path = "/v1/projects/{project}/events", tag = "log",
    params(("project" = String, Path, description = "The project"), ListEvents),
    responses((status = 200, description = "The events, newest first", body = EventList)))]
pub(super) async fn list_events(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(project): Id<ProjectId>,
    query::Asking(query): query::Asking<ListEvents>,
) -> Result<Json<EventList>, Problem> {
    let list = List::new(&control, &asked, &format!("events {project} {:?} {:?}", query.name, query.key));
    let before = list.open(query.cursor.as_deref())?.and_then(|bytes| position_at(&bytes));
    let filter = EventFilter { key: query.key, name: query.name, ..Default::default() };
    let found = control.events(&asked, project, &filter, before, limit(query.limit)).await?;
    let tells_places = asked.caller.boundary() == Boundary::Everything;
    let items = found.items.into_iter().map(|event| EventAnswer::told(event, tells_places)).collect();
    Ok(Json(EventList { items, next_cursor: found.next.map(|next| list.seal(&position_bytes(next))) }))
}

/// A change as it stands in the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub(super) struct ChangeAnswer {
    /// Its place: without gaps, in the order of commits.
    revision: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What, such as key.revoked.
    #[schema(value_type = String)]
    name: &'static str,
    /// Who.
    actor: ActorAnswer,
    /// From where.
    origin: OriginAnswer,
    /// The organization it is about.
    organization: Option<String>,
    /// The project it is about.
    project: Option<String>,
    /// The key it is about.
    key: Option<String>,
    /// What was changed.
    #[schema(value_type = Object)]
    details: Value,
    /// The chain's hash up to and including it, hexadecimal.
    hash: String,
}

impl From<Entry> for ChangeAnswer {
    fn from(entry: Entry) -> Self {
        let change = &entry.body.change;
        ChangeAnswer {
            revision: entry.revision.0,
            at: entry.body.at,
            name: change.name(),
            actor: ActorAnswer::from(&entry.body.actor),
            origin: OriginAnswer::from(&entry.body.origin),
            organization: change.organization().map(|id| id.to_string()),
            project: change.project().map(|id| id.to_string()),
            key: change.key().map(|id| id.to_string()),
            details: details(change),
            hash: to_hex(&entry.hash),
        }
    }
}

query! {
    /// Which changes to read.
    FollowChanges {
        /// Those after this revision; from the first on where none.
        #[param(value_type = Option<i64>, minimum = 0)]
        after: Revision,
        /// At most so many, 1 to 200.
        #[param(minimum = 1, maximum = 200)]
        limit: u32,
    }
}

/// A part of the log, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeList {
    items: Vec<ChangeAnswer>,
    /// What to ask for next, as `after`.
    next_after: i64,
}

/// Follow the log
#[utoipa::path(get, path = "/v1/changes", tag = "log", params(FollowChanges),
    responses((status = 200, description = "The changes, oldest first", body = ChangeList)))]
pub(super) async fn list_changes(
    State(control): State<Rest>,
    Asking(asked): Asking,
    query::Asking(query): query::Asking<FollowChanges>,
) -> Result<Json<ChangeList>, Problem> {
    let after = query.after.unwrap_or_default();
    let found = control.changes(&asked, after, limit(query.limit)).await?;
    let next_after = found.last().map_or(after, |entry| entry.revision).0;
    Ok(Json(ChangeList { items: found.into_iter().map(ChangeAnswer::from).collect(), next_after }))
}

/// Where the log stands. Kept elsewhere, a signed head shows later whether the log's tail was cut.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeadAnswer {
    /// The last revision.
    revision: i64,
    /// Its hash, hexadecimal.
    hash: String,
    /// Both, with the store's id and the time, signed (Ed25519).
    #[schema(value_type = Object)]
    signed_head: keyward_core::log::SignedHead,
    /// With what the signature is checked, hexadecimal.
    public_key: String,
}

/// Read the log's head
#[utoipa::path(get, path = "/v1/changes/head", tag = "log",
    responses((status = 200, description = "The head", body = HeadAnswer)))]
pub(super) async fn read_head(
    State(control): State<Rest>,
    Asking(asked): Asking,
) -> Result<Json<HeadAnswer>, Problem> {
    let head = control.head(&asked).await?;
    Ok(Json(HeadAnswer {
        revision: head.signed.head.revision.0,
        hash: to_hex(&head.signed.head.hash.0),
        signed_head: head.signed,
        public_key: to_hex(&head.public_key),
    }))
}

/// Check the log
///
/// Reads the whole chain: names the first entry that is not as it was written, or tells how many signed heads
/// it agrees with.
#[utoipa::path(get, path = "/v1/changes/verify", tag = "log",
    responses((status = 200, description = "intact or broken", body = Object)))]
pub(super) async fn verify_log(
    State(control): State<Rest>,
    Asking(asked): Asking,
) -> Result<Json<keyward_core::store::LogVerdict>, Problem> {
    Ok(Json(control.verify_log(&asked).await?))
}
