//! Traces: spans of OpenTelemetry at a collector of ours that keeps every byte, and Trace Context to the upstream.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::harness::{Keyward, Scripted, Upstream};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A Keyward that traces, in front of an upstream.
struct Traced {
    keyward: Keyward,
    upstream: Upstream,
    collector: Upstream,
}

impl Traced {
    fn start(preset: &str, sample: &str, proxies: &str) -> Self {
        let upstream = Upstream::start(Scripted::json(200, "{}"));
        let collector = Upstream::start(Scripted::json(200, ""));
        let endpoint = format!("{}/v1/traces", collector.url);
        let env = [
            ("KEYWARD_TRACES_ENDPOINT", endpoint.as_str()),
            ("KEYWARD_TRACES_SAMPLE", sample),
            ("KEYWARD_GATEWAY_TRUSTED_PROXIES", proxies),
        ];
        let keyward = Keyward::dev_with_env(preset, &["--upstream", &upstream.url], &env);
        Traced { keyward, upstream, collector }
    }

    fn call(&self, headers: &[(&str, &str)]) -> u16 {
        let bearer = format!("Bearer {}", self.keyward.first_key().secret);
        let headers = [&[("Authorization", bearer.as_str())], headers].concat();
        self.keyward.call("GET", "/v1/hello?q=1", &headers).status
    }

    /// Everything that the collector was sent once the server has stopped.
    fn spans(&mut self) -> Vec<Span> {
        self.keyward.stop();
        let sent = self.collector.seen();
        assert!(sent.iter().all(|seen| seen.header("content-type") == Some("application/x-protobuf")));
        let requests = sent.iter().map(|seen| ExportTraceServiceRequest::decode(&seen.body[..]).unwrap());
        let resources = requests.flat_map(|request| request.resource_spans).inspect(|resource| {
            let attributes = &resource.resource.as_ref().unwrap().attributes;
            assert!(attributes.iter().any(|pair| pair.key == "service.name"), "{attributes:?}");
        });
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key == name)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{name}: {other:?}"),
    })
}

#[test]
fn a_trusted_proxys_trace_goes_on_through_the_decision_to_the_upstream() {
    let mut traced = Traced::start("standard", "0", "127.0.0.0/8");
    assert_eq!(traced.call(&[("traceparent", PARENT), ("tracestate", "a=b")]), 200);
    let told = traced.upstream.last();
    let spans = traced.spans();
    let [request, decide, upstream] = &spans[..] else { panic!("{spans:?}") };
    for span in &spans {
        assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(request.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert!(span.end_time_unix_nano <= request.end_time_unix_nano);
    }
    assert_eq!(hex(&request.parent_span_id), "00f067aa0ba902b7");
    assert_eq!((&decide.parent_span_id, &upstream.parent_span_id), (&request.span_id, &request.span_id));
    assert_eq!((decide.name.as_str(), request.kind, upstream.kind), ("decide", 2, 3));
    let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", hex(&upstream.span_id));
    assert_eq!((told.header("traceparent"), told.header("tracestate")), (Some(parent.as_str()), Some("a=b")));
    for (name, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/v1/hello"),
        ("http.response.status_code", "200"),
        ("keyward.outcome", "valid"),
        ("keyward.door", "gateway"),
        ("keyward.key_id", &traced.keyward.started.key_id),
        ("keyward.project", &traced.keyward.started.project),
    ] {
        assert_eq!(attribute(request, name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn nobody_else_can_fill_the_traces() {
    let mut traced = Traced::start("standard", "0", "10.0.0.0/8");
    for _ in 0..20 {
        assert_eq!(traced.call(&[("traceparent", PARENT), ("tracestate", "a=b")]), 200);
    }
    let told = traced.upstream.last();
    let parent = told.header("traceparent").unwrap();
    assert!(parent.ends_with("-00") && !parent.contains("4bf92f"), "{parent}");
    assert_eq!(told.header("tracestate"), None);
    assert!(traced.spans().is_empty());
}

#[test]
fn new_traces_are_kept_by_their_share_and_carry_the_requests_id() {
    let mut traced = Traced::start("standard", "1", "");
    assert_eq!(traced.call(&[]), 200);
    assert!(!traced.keyward.is_valid("nonsense"));
    let told = traced.upstream.last();
    let id = told.header("x-keyward-request-id").unwrap().to_owned();
    assert!(told.header("traceparent").unwrap().starts_with(&format!("00-{id}-")));
    let spans = traced.spans();
    assert_eq!(spans.iter().filter(|span| hex(&span.trace_id) == id).count(), 3, "{spans:?}");
    let asked = spans.iter().find(|span| attribute(span, "keyward.door").as_deref() == Some("check")).unwrap();
    assert_eq!(attribute(asked, "keyward.outcome").as_deref(), Some("malformed_key"));
}

#[test]
fn k09_spans_hold_no_credential() {
    let mut traced = Traced::start("profound", "1", "127.0.0.0/8");
    let secret = traced.keyward.first_key().secret;
    let management = traced.keyward.started.management_key.clone();
    let encoded = secret.replace('_', "%5F");
    for path in ["/v1/x".to_owned(), format!("/v1/{secret}"), format!("/v1/{encoded}")] {
        let with_query = format!("{path}?api_key={secret}");
        for target in [&path, &with_query] {
            let state = format!("k={secret}");
            let headers = [("X-API-Key", secret.as_str()), ("traceparent", PARENT), ("tracestate", &state)];
            traced.keyward.call("GET", target, &headers);
            traced.keyward.call("GET", target, &[("User-Agent", &secret)]);
        }
    }
    assert!(traced.keyward.is_valid(&secret));
    assert!(traced.spans().len() > 12);
    for seen in traced.collector.seen() {
        for hidden in [&secret, &encoded, &management] {
            let is_in = seen.body.windows(hidden.len()).any(|window| window == hidden.as_bytes());
            assert!(!is_in && !seen.text().contains(hidden.as_str()), "a credential reached the collector");
        }
    }
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let env = [("KEYWARD_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces"), ("KEYWARD_TRACES_SAMPLE", "1")];
    let keyward = Keyward::dev_with_env("standard", &[], &env);
    crate::harness::eventually("lost spans are counted", || {
        assert!(keyward.is_valid(&keyward.first_key().secret));
        let metrics = keyward.get("/metrics").expect(200).text;
        let line = metrics.lines().find_map(|line| line.strip_prefix("keyward_spans_dropped_total "));
        (line.expect("it is counted").parse::<u64>().unwrap() > 0).then_some(())
    });
}

#[test]
fn without_a_collector_headers_of_traces_go_through() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let bearer = format!("Bearer {}", keyward.first_key().secret);
    let headers = [("Authorization", bearer.as_str()), ("traceparent", PARENT), ("tracestate", "a=b")];
    keyward.call("GET", "/v1/hello", &headers).expect(200);
    let told = upstream.last();
    assert_eq!((told.header("traceparent"), told.header("tracestate")), (Some(PARENT), Some("a=b")));
}
