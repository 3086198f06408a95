//! One request as a line of the access log: JSON, so that nothing a caller writes can begin a line of its own.

use keyward_edge::{Observed, Part, Trace};
use serde::Serialize;

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    door: &'a str,
    api: Option<&'a str>,
    key: Option<String>,
    project: Option<String>,
    method: &'a str,
    path: &'a str,
    status: u16,
    outcome: Option<&'a str>,
    bytes_in: u64,
    bytes_out: u64,
    duration_us: u128,
    upstream_us: Option<u128>,
    peer: String,
    caller: String,
    trace_id: Option<String>,
}

/// Writes a request's line.
pub fn write(observed: &Observed, into: &mut Vec<u8>) {
    let line = Line {
        time: observed.at.to_string(),
        request_id: observed.request_id.to_str().unwrap_or_default(),
        door: observed.door,
        api: observed.api.as_ref().map(|api| api.as_str()),
        key: observed.key.map(|key| key.to_string()),
        project: observed.project.map(|project| project.to_string()),
        method: observed.method.as_str(),
        path: &observed.path,
        status: observed.status,
        outcome: observed.outcome,
        bytes_in: observed.bytes_in,
        bytes_out: observed.bytes_out,
        duration_us: observed.duration.as_micros(),
        upstream_us: observed.upstream.map(Part::length).map(|length| length.as_micros()),
        peer: observed.peer.to_string(),
        caller: observed.caller.to_string(),
        trace_id: observed.trace.as_ref().map(Trace::id_text),
    };
    // Into memory, of types that are all JSON: it cannot fail.
    if serde_json::to_writer(&mut *into, &line).is_ok() {
        into.push(b'\n');
    }
}
