//! A request as the spans of its trace, in OpenTelemetry's words: the request itself, the decision, and what was asked of
//! the upstream. Made only of what the access log says as well.

use keyward_edge::{Observed, Part, Trace};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

/// The spans of a request, where its trace is kept.
pub fn of(observed: &Observed) -> Option<Vec<Span>> {
    let trace = observed.trace.as_ref().filter(|trace| trace.is_sampled)?;
    let mut spans = vec![request(observed, trace)];
    if let Some(part) = observed.decided {
        // No other span of the trace has an id that is made of the request's.
        let decide =
            Span { attributes: words([("keyward.outcome", observed.outcome)]), ..inner(trace, observed, part) };
        spans.push(Span { name: "decide".into(), span_id: trace.span.map(|byte| !byte).to_vec(), ..decide });
    }
    if let Some(part) = observed.upstream {
        let method = observed.method.as_str();
        spans.push(Span {
            name: method.to_owned(),
            span_id: trace.upstream_span.to_vec(),
            kind: SpanKind::Client.into(),
            attributes: words([("http.request.method", Some(method))]),
            ..inner(trace, observed, part)
        });
    }
    Some(spans)
}

fn request(observed: &Observed, trace: &Trace) -> Span {
    let (peer, caller) = (observed.peer.to_string(), observed.caller.to_string());
    let (key, project) = (observed.key.map(|id| id.to_string()), observed.project.map(|id| id.to_string()));
    let mut attributes = words([
        ("http.request.method", Some(observed.method.as_str())),
        ("url.path", Some(&observed.path)),
        ("client.address", Some(&caller)),
        ("network.peer.address", Some(&peer)),
        ("keyward.door", Some(observed.door)),
        ("keyward.api", observed.api.as_ref().map(|api| api.as_str())),
        ("keyward.key_id", key.as_deref()),
        ("keyward.project", project.as_deref()),
        ("keyward.outcome", observed.outcome),
        ("keyward.request_id", observed.request_id.to_str().ok()),
    ]);
    attributes.push(attribute("http.response.status_code", any_value::Value::IntValue(observed.status.into())));
    let code = if observed.status >= 500 { StatusCode::Error } else { StatusCode::Unset };
    let whole = Part { from: std::time::Duration::ZERO, to: observed.duration };
    Span {
        name: observed.method.to_string(),
        span_id: trace.span.to_vec(),
        parent_span_id: trace.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
        kind: SpanKind::Server.into(),
        attributes,
        status: Some(Status { code: code.into(), message: String::new() }),
        ..inner(trace, observed, whole)
    }
}

/// A span within the request's, without an id of its own.
fn inner(trace: &Trace, observed: &Observed, part: Part) -> Span {
    let began = u64::try_from(observed.at.as_millis()).unwrap_or(0) * 1_000_000;
    let at = |since: std::time::Duration| began.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
    Span {
        trace_id: trace.id.to_vec(),
        parent_span_id: trace.span.to_vec(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: at(part.from),
        end_time_unix_nano: at(part.to),
        flags: 1,
        ..Span::default()
    }
}

/// Attributes that are texts; those that are not known are left out.
pub fn words<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Vec<KeyValue> {
    let known = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.map(|(name, value)| attribute(name, any_value::Value::StringValue(value.to_owned()))).collect()
}

fn attribute(name: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
