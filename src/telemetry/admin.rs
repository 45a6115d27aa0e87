//! The admin port of a process that serves for long: is it alive, is it ready, what does it count.

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};

/// How a part of a process is: ready, with a word, or why it is not.
pub type Part = Result<&'static str, String>;

/// Whether every part is ready, and how each is, a line for each.
#[must_use]
pub fn all_ready(parts: &[(&str, &Part)]) -> (bool, String) {
    let line = |(name, part): &(&str, &Part)| match part {
        Ok(state) => format!("{name}: {state}\n"),
        Err(state) => format!("{name}: {state}\n"),
    };
    let is_ready = parts.iter().all(|(_, part)| part.is_ok());
    (is_ready, parts.iter().map(line).collect())
}

/// `GET /healthz`, `/readyz`, `/metrics`, of what these two tell: whether the process is ready, and why; all that it counts, in the
/// OpenMetrics text format.
pub fn admin_router(
    ready: impl Fn() -> (bool, String) + Clone + Send + Sync + 'static,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> Router {
    let readyz = async move || {
        let (is_ready, text) = ready();
        let status = if is_ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, text)
    };
    let render = async move || ([(CONTENT_TYPE, OPEN_METRICS)], metrics());
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::ServiceExt as _;

    use super::{admin_router, all_ready};

    async fn get(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        (status, String::from_utf8(body.into()).unwrap())
    }

    #[tokio::test]
    async fn a_process_is_alive_before_it_is_ready() {
        for (part, status) in [(Ok("ok"), 200), (Err("not yet".to_owned()), 503)] {
            let word = part.clone().unwrap_or("not yet");
            let ready = move || all_ready(&[("always", &Ok("ok")), ("part", &part)]);
            let router = admin_router(ready, || "counted\n".to_owned());
            assert_eq!(get(&router, "/healthz").await, (200, "ok\n".to_owned()));
            let lines = format!("always: ok\npart: {word}\n");
            assert_eq!(get(&router, "/readyz").await, (status, lines));
            assert_eq!(
                get(&router, "/metrics").await,
                (200, "counted\n".to_owned())
            );
        }
    }
}
