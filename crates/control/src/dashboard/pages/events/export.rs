//! The event log as a file: CSV for spreadsheets, JSON for programs, with the page's filter. Written while it is read, a
//! part at a time, so that a log of any length takes no more memory than a short one; breaks off where reading fails,
//! so that nobody takes a part for the whole.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use keyward_core::id::ProjectId;
use keyward_core::store::{EventFilter, EventPosition};
use keyward_core::tenancy::Boundary;
use keyward_core::usage::Event;

use super::filter;
use super::told::{Line, words};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::Failure;
use crate::dashboard::form::Asking;
use crate::dashboard::path::Path;
use crate::dashboard::place::ProjectPlace;
use crate::dashboard::visit::Visit;
use crate::rest::log::EventAnswer;
use crate::use_cases::{Asked, Control, ControlError};

/// How many lines are read and written at a time.
const AT_ONCE: u32 = 1_000;

/// The columns of the CSV file.
const COLUMNS: [&str; 13] = [
    "time",
    "last_time",
    "event",
    "what",
    "actor",
    "actor_kind",
    "actor_id",
    "key",
    "address",
    "result",
    "count",
    "details",
    "request_id",
];

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

/// The log as CSV.
pub async fn csv(
    dashboard: State<Dashboard>,
    visit: Visit,
    id: Path<ProjectId>,
    asking: Asking<filter::Asked>,
) -> Result<Response, Failure> {
    export(dashboard, visit, id, asking, Form::Csv).await
}

/// The log as JSON: an array of what REST answers with.
pub async fn json(
    dashboard: State<Dashboard>,
    visit: Visit,
    id: Path<ProjectId>,
    asking: Asking<filter::Asked>,
) -> Result<Response, Failure> {
    export(dashboard, visit, id, asking, Form::Json).await
}

async fn export(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Asking(asking): Asking<filter::Asked>,
    form: Form,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    let mut reading = Reading {
        control: Arc::clone(&dashboard.control),
        tells_places: place.asked.caller.boundary() == Boundary::Everything,
        asked: place.asked,
        project: id,
        filter: asking.strict()?,
        form,
        next: Next::First,
    };
    // The first part is read before anything is answered: what fails now is told as a page.
    let first = reading.part().await?;
    let rest = stream::try_unfold(reading, |mut reading| async move {
        let part = reading.part().await.map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok::<_, std::io::Error>(part.map(|bytes| (bytes, reading)))
    });
    let begun = stream::iter(first.map(Ok::<_, std::io::Error>));
    let body = Body::from_stream(futures_util::StreamExt::chain(begun, rest));
    let (media_type, extension) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "csv"),
        Form::Json => ("application/json", "json"),
    };
    let name = format!("attachment; filename=\"events-{id}.{extension}\"");
    let name = HeaderValue::from_str(&name).unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let headers: [(HeaderName, HeaderValue); 2] =
        [(header::CONTENT_TYPE, HeaderValue::from_static(media_type)), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, body).into_response())
}

/// An export that is under way.
struct Reading {
    control: Arc<Control>,
    asked: Asked,
    project: ProjectId,
    filter: EventFilter,
    form: Form,
    /// Whether places in the log are told: they count what everybody does.
    tells_places: bool,
    next: Next,
}

/// What is to be read next.
#[derive(Debug, Clone, Copy)]
enum Next {
    First,
    After(EventPosition),
    Nothing,
}

impl Reading {
    /// The next part, written; none at the end.
    async fn part(&mut self) -> Result<Option<Bytes>, ControlError> {
        let (before, is_first) = match self.next {
            Next::First => (None, true),
            Next::After(position) => (Some(position), false),
            Next::Nothing => return Ok(None),
        };
        let found = self.control.events(&self.asked, self.project, &self.filter, before, AT_ONCE).await?;
        self.next = found.next.map_or(Next::Nothing, Next::After);
        let is_last = found.next.is_none();
        let written = match self.form {
            Form::Csv => written_as_csv(&found.items, is_first)?,
            Form::Json => self.written_as_json(found.items, is_first, is_last)?,
        };
        Ok(Some(written.into()))
    }

    fn written_as_json(&self, events: Vec<Event>, is_first: bool, is_last: bool) -> Result<Vec<u8>, ControlError> {
        let mut written = Vec::new();
        for (number, event) in events.into_iter().enumerate() {
            written.extend_from_slice(if is_first && number == 0 { b"[\n" } else { b",\n" });
            let event = EventAnswer::told(event, self.tells_places);
            serde_json::to_writer(&mut written, &event).map_err(unwritable)?;
        }
        if written.is_empty() && is_first {
            written.extend_from_slice(b"[");
        }
        if is_last {
            written.extend_from_slice(b"\n]\n");
        }
        Ok(written)
    }
}

fn written_as_csv(events: &[Event], is_first: bool) -> Result<Vec<u8>, ControlError> {
    let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
    if is_first {
        writer.write_record(COLUMNS).map_err(unwritable)?;
    }
    for event in events {
        let row = row(&Line::of(event)).map(|field| harmless(&field).into_owned());
        writer.write_record(row).map_err(unwritable)?;
    }
    writer.into_inner().map_err(unwritable)
}

fn row(line: &Line) -> [String; COLUMNS.len()] {
    let details = match &line.details {
        serde_json::Value::Object(fields) if !fields.is_empty() => line.details.to_string(),
        _ => String::new(),
    };
    let actor = line.actor.as_ref();
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    [
        line.at.to_string(),
        line.last_at.map(|at| at.to_string()).unwrap_or_default(),
        line.name.to_owned(),
        words(line.name).to_owned(),
        text(actor.map(|who| &who.name)),
        actor.map(|who| who.kind.to_owned()).unwrap_or_default(),
        text(actor.and_then(|who| who.id.as_ref())),
        line.key.map(|key| key.to_string()).unwrap_or_default(),
        text(line.address.as_ref()),
        text(line.outcome.as_ref()),
        line.count.map(|count| count.to_string()).unwrap_or_default(),
        details,
        text(line.request_id.as_ref()),
    ]
}

/// A field as no spreadsheet takes for a formula (trust.md W10): an apostrophe before what begins like one.
fn harmless(field: &str) -> std::borrow::Cow<'_, str> {
    match field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{field}").into(),
        false => field.into(),
    }
}

fn unwritable(error: impl std::fmt::Display) -> ControlError {
    ControlError::Internal(format!("an export cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w10_no_field_of_an_export_is_a_formula() {
        for evil in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"] {
            let told = harmless(evil);
            assert!(told.starts_with('\'') && told.ends_with(evil), "{told}");
        }
        for plain in ["", "a=b", "Key used", "'=1", "2026-11-21"] {
            assert_eq!(harmless(plain), plain);
        }
    }
}
