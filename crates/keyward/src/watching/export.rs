//! Sending spans to a collector: OTLP over HTTP, as Protobuf. What a collector does not take in time is dropped and
//! counted; nothing waits for it.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::mpsc;

use super::spans;
use crate::failure::{Doing, Outcome};

/// How many batches wait for a collector that is slow.
const BATCHES_MAX: usize = 16;
/// The most spans of a batch.
pub const SPANS_MAX: usize = 2048;
/// How long a collector may take to take a batch.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where spans go to be sent.
#[derive(Debug)]
pub struct Exporter {
    batches: mpsc::Sender<Vec<Span>>,
    dropped: metrics::Counter,
}

/// A task that sends, until the exporter is gone and everything is sent.
struct Sending {
    batches: mpsc::Receiver<Vec<Span>>,
    http: reqwest::Client,
    endpoint: String,
    resource: Resource,
    dropped: metrics::Counter,
}

impl Exporter {
    /// Begins to send to a collector's `endpoint` as the node of this name.
    ///
    /// # Errors
    /// Where HTTP cannot be spoken.
    pub fn start(endpoint: &str, node: &str) -> Outcome<(Exporter, tokio::task::JoinHandle<()>)> {
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(redirect).no_proxy().build();
        let dropped = metrics::counter!("keyward_spans_dropped_total");
        dropped.increment(0);
        let attributes = spans::words([
            ("service.name", Some("keyward")),
            ("service.version", Some(env!("CARGO_PKG_VERSION"))),
            ("service.instance.id", Some(node)),
        ]);
        let sending = Sending {
            batches,
            http: http.doing("speak to the collector of traces")?,
            endpoint: endpoint.to_owned(),
            resource: Resource { attributes, ..Resource::default() },
            dropped: dropped.clone(),
        };
        Ok((Exporter { batches: sender, dropped }, tokio::spawn(sending.run())))
    }

    /// Sends spans, where there is room for them.
    pub fn send(&self, batch: Vec<Span>) {
        if let Err(mpsc::error::TrySendError::Full(batch) | mpsc::error::TrySendError::Closed(batch)) =
            self.batches.try_send(batch)
        {
            self.dropped.increment(batch.len() as u64);
        }
    }
}

impl Sending {
    async fn run(mut self) {
        let mut has_failed = false;
        while let Some(spans) = self.batches.recv().await {
            let count = spans.len() as u64;
            let failure = self.post(spans).await.err();
            if let Some(failure) = &failure {
                self.dropped.increment(count);
                if !has_failed {
                    tracing::warn!(%failure, "the collector of traces does not take spans; they are dropped");
                }
            }
            has_failed = failure.is_some();
        }
    }

    async fn post(&self, spans: Vec<Span>) -> Result<(), reqwest::Error> {
        let scope = Some(InstrumentationScope { name: "keyward".into(), ..InstrumentationScope::default() });
        let scope_spans = vec![ScopeSpans { scope, spans, ..ScopeSpans::default() }];
        let resource = Some(self.resource.clone());
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let request = self.http.post(&self.endpoint).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        request.send().await?.error_for_status().map(drop)
    }
}
