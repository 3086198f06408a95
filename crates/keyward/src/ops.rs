//! Operations: whether the process lives, whether it can do its work, and its metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use keyward_core::store::Store;
use keyward_verify::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// What is asked about.
#[derive(Clone)]
pub struct Ops {
    /// Whether the node may grant.
    pub engine: Arc<Engine>,
    /// Whether it can write.
    pub store: Arc<dyn Store>,
    /// What is counted.
    pub metrics: PrometheusHandle,
    /// Whether the process is stopping: load balancers should look elsewhere.
    pub stopping: CancellationToken,
}

/// The router of operations. Metrics tell much of the business, so a public address without a listener of their
/// own does not have them.
pub fn router(ops: Ops, has_metrics: bool) -> Router {
    let router = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz));
    let router = if has_metrics { router.route("/metrics", get(metrics)) } else { router };
    router.with_state(ops)
}

async fn healthz() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({"status": "ok"}))).into_response()
}

async fn readyz(State(ops): State<Ops>) -> Response {
    let standing = ops.engine.standing();
    let mut wrong = Vec::new();
    if ops.stopping.is_cancelled() {
        wrong.push("stopping".to_owned());
    }
    // What is amiss with a node that may grant is no reason to send nobody there.
    let amiss = match standing.is_ready {
        true => standing.reasons,
        false => {
            wrong.extend(standing.reasons);
            Vec::new()
        }
    };
    // A database that is away is away for all nodes: as long as their leases hold they decide, and must be asked. That it
    // does not answer is known from the renewals: a balancer does not wait for a question to it.
    let is_shared = ops.store.nodes().is_some();
    if !is_shared && !ops.store.is_writable().await {
        wrong.push("the store cannot be written to".to_owned());
    }
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if wrong.is_empty() { "ready" } else { "not ready" };
    let body = json!({"status": word, "reasons": wrong, "amiss": amiss, "revision": ops.engine.applied().0});
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

async fn metrics(State(ops): State<Ops>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4"), (header::CACHE_CONTROL, "no-store")];
    (headers, ops.metrics.render()).into_response()
}
