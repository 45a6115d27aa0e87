//! The agent's admin port: is it alive, is it ready, what does it count.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use hyper::{StatusCode, header::CONTENT_TYPE};

use crate::telemetry::AgentMetrics;

/// How the parts of an agent are: each `Ok` with a word, or why not.
#[derive(Debug)]
pub struct Health(Mutex<Parts>);

type Part = Result<&'static str, String>;

#[derive(Debug)]
struct Parts {
    node: Part,
    pods: Part,
    report: Part,
}

impl Default for Health {
    /// Nothing has been done yet.
    fn default() -> Self {
        let not_yet = || Err("not yet".to_owned());
        Self(Mutex::new(Parts {
            node: not_yet(),
            pods: not_yet(),
            report: not_yet(),
        }))
    }
}

impl Health {
    pub(super) fn set_node(&self, node: Part) {
        self.parts().node = node;
    }

    pub(super) fn set_pods(&self, pods: Part) {
        self.parts().pods = pods;
    }

    pub(super) fn set_report(&self, report: Part) {
        self.parts().report = report;
    }

    /// Whether all is well, and why, a line for each part.
    #[must_use]
    pub fn ready(&self) -> (bool, String) {
        let parts = self.parts();
        let parts = [
            ("node", &parts.node),
            ("pods", &parts.pods),
            ("report", &parts.report),
        ];
        let lines = parts.map(|(name, part)| match part {
            Ok(state) => format!("{name}: {state}\n"),
            Err(state) => format!("{name}: {state}\n"),
        });
        (parts.iter().all(|(_, part)| part.is_ok()), lines.concat())
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /healthz`, `/readyz`, `/metrics`.
pub fn admin_router(health: Arc<Health>, metrics: Arc<AgentMetrics>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state((health, metrics))
}

type Admin = State<(Arc<Health>, Arc<AgentMetrics>)>;

async fn readyz(State((health, _)): Admin) -> Response {
    let (ready, text) = health.ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, text).into_response()
}

async fn render(State((_, metrics)): Admin) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use super::Health;

    #[test]
    fn it_is_ready_when_every_part_is() {
        let health = Health::default();
        assert_eq!(
            health.ready(),
            (
                false,
                "node: not yet\npods: not yet\nreport: not yet\n".to_owned()
            )
        );
        health.set_node(Ok("ok"));
        health.set_pods(Ok("ok"));
        assert!(!health.ready().0);
        health.set_report(Ok("ok"));
        assert_eq!(
            health.ready(),
            (true, "node: ok\npods: ok\nreport: ok\n".to_owned())
        );
    }
}
