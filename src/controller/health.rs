//! The admin port: is it alive, does it lead, what does it count.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};

use crate::telemetry::ControllerMetrics;

/// What readiness tells.
#[derive(Debug)]
pub struct ControllerHealth {
    metrics: Arc<ControllerMetrics>,
    is_stopping: AtomicBool,
}

impl ControllerHealth {
    /// Of a process that counts in these metrics.
    #[must_use]
    pub fn new(metrics: Arc<ControllerMetrics>) -> Self {
        Self {
            metrics,
            is_stopping: AtomicBool::new(false),
        }
    }

    /// From now on it is not ready.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }
}

/// `GET /healthz`, `/readyz`, `/metrics`. Who does not lead is ready too: to lead.
pub fn controller_router(health: Arc<ControllerHealth>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(health)
}

async fn readyz(State(health): State<Arc<ControllerHealth>>) -> Response {
    if health.is_stopping.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "controller: stopping\n").into_response();
    }
    if health.metrics.is_leader.get() == 1 {
        "controller: leads\n".into_response()
    } else {
        "controller: waits to lead\n".into_response()
    }
}

async fn render(State(health): State<Arc<ControllerHealth>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], health.metrics.render()).into_response()
}
