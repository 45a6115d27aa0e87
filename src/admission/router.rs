//! The webhook's routes: from an HTTP request to the gate and back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures_util::FutureExt as _;
use hyper::{
    StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use tokio::sync::Semaphore;

use super::{
    body::{BodyError, BodyReader, discard},
    gate::{Evaluation, Gate, NamespaceModes, Unseen},
    mutate::Mutator,
    review::{BadReview, ReviewRequest},
};
use crate::{
    telemetry::{Counted, Metrics, RequestLabels},
    verdict::{GENERATED_PREFIX, GeneratedNames},
};

/// How much a webhook takes on.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Requests read and answered at the same time; more are turned away.
    pub in_flight: usize,
    /// Bytes of one body.
    pub body: usize,
    /// Bytes of all large bodies together.
    pub bodies: usize,
    /// How long reading a body may take.
    pub body_time: Duration,
    /// How long a namespace that was just created is waited for. Well under the `timeoutSeconds` of 5.
    pub namespace_wait: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            in_flight: 1024,
            body: 4 << 20,
            bodies: 16 << 20,
            body_time: Duration::from_secs(4),
            namespace_wait: Duration::from_secs(1),
        }
    }
}

struct Webhook {
    gate: Arc<Gate>,
    mutator: Arc<Mutator>,
    metrics: Arc<Metrics>,
    bodies: BodyReader,
    slots: Semaphore,
    waiting: Semaphore,
    mutating: Semaphore,
    namespace_wait: Duration,
}

/// `POST /validate` and `POST /mutate`.
pub fn webhook_router(
    mutator: Arc<Mutator>,
    metrics: Arc<Metrics>,
    limits: RequestLimits,
) -> Router {
    let webhook = Webhook {
        gate: Arc::clone(&mutator.gate),
        mutator,
        metrics,
        bodies: BodyReader::new(limits.body, limits.bodies, limits.body_time),
        slots: Semaphore::new(limits.in_flight),
        waiting: Semaphore::new(MAX_WAITING),
        mutating: Semaphore::new(MAX_MUTATING),
        namespace_wait: limits.namespace_wait,
    };
    Router::new()
        .route("/validate", post(validate))
        .route("/mutate", post(mutate))
        .with_state(Arc::new(webhook))
}

/// Why a request is not answered with a review.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("internal error, see the log")]
    Internal,
    #[error("too many requests at once, try again")]
    Overloaded,
    #[error(transparent)]
    Review(#[from] BadReview),
}

/// LIMIT: requests that wait for their namespace at the same time; more go by the cluster's mode at once.
const MAX_WAITING: usize = 32;

/// LIMIT: pods that are mutated at the same time; more are turned away.
const MAX_MUTATING: usize = 256;

/// LIMIT: bodies from here on are judged on a thread of their own, as that may take over a millisecond.
const LARGE_BODY: usize = 128 * 1024;

fn defect() -> Refusal {
    tracing::error!("a request could not be answered: this is a defect, please report it");
    Refusal::Internal
}

async fn validate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    respond(webhook, request, Question::Validate).await
}

async fn mutate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    respond(webhook, request, Question::Mutate).await
}

/// What a review is sent for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Mutate,
    Validate,
}

async fn respond(webhook: Arc<Webhook>, request: Request, question: Question) -> Response {
    let started = Instant::now();
    let in_flight = Counted::one(&webhook.metrics.in_flight);
    let answer = webhook.answer(request, question).await;
    drop(in_flight);
    let response = match answer {
        Ok((json, labels)) => {
            webhook.metrics.requests.get_or_create(&labels).inc();
            ([(CONTENT_TYPE, "application/json")], json).into_response()
        }
        Err(refusal) => webhook.refuse(&refusal),
    };
    webhook
        .metrics
        .latency
        .observe(started.elapsed().as_secs_f64());
    response
}

impl Webhook {
    async fn answer(
        self: &Arc<Self>,
        request: Request,
        question: Question,
    ) -> Result<(Vec<u8>, RequestLabels), Refusal> {
        let mut body = request.into_body();
        let result = self.answer_body(&mut body, question).await;
        if matches!(
            result,
            Err(Refusal::Overloaded | Refusal::Body(BodyError::Busy | BodyError::TooLarge(_)))
        ) {
            discard(body).await;
        }
        result
    }

    async fn answer_body(
        self: &Arc<Self>,
        body: &mut Body,
        question: Question,
    ) -> Result<(Vec<u8>, RequestLabels), Refusal> {
        let slot = self.slots.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let body = self.bodies.read(body).await?;
        if question == Question::Mutate {
            // Registries may be slow: who waits for them must not keep others from being judged.
            drop(slot);
            let _place = self
                .mutating
                .try_acquire()
                .map_err(|_| Refusal::Overloaded)?;
            return self.mutate(&body.bytes).await;
        }
        let generated = self.generated(&body.bytes).await;
        let mut evaluation = self
            .evaluate(&body.bytes, Unseen::Report, generated.as_ref())
            .await?;
        if let Evaluation::NamespaceUnseen(namespace) = &evaluation {
            // Whoever names namespaces that do not exist must not keep others from being answered.
            drop(slot);
            self.wait_for(namespace).await;
            evaluation = self
                .evaluate(&body.bytes, Unseen::UseDefault, generated.as_ref())
                .await?;
        }
        match evaluation {
            Evaluation::Answered(answer, labels) => {
                Ok((answer.to_json().map_err(|_| Refusal::Internal)?, labels))
            }
            Evaluation::NamespaceUnseen(_) => Err(Refusal::Internal),
        }
    }

    /// A defect must not take down the connection here either.
    async fn mutate(&self, body: &[u8]) -> Result<(Vec<u8>, RequestLabels), Refusal> {
        let answer = async {
            let request = ReviewRequest::parse_template(body)?;
            if let Some(namespace) = self.mutator.unseen_namespace(&request) {
                self.wait_for(namespace).await;
            }
            self.mutator.answer(request).await
        };
        let Ok(answer) = AssertUnwindSafe(answer).catch_unwind().await else {
            return Err(defect());
        };
        let (answer, labels) = answer?;
        Ok((answer.to_json().map_err(|_| Refusal::Internal)?, labels))
    }

    /// The names of generated profiles that are a pod's own, where the body may hold one: few do, and only they are read twice.
    async fn generated(&self, body: &[u8]) -> Option<Arc<GeneratedNames>> {
        memchr::memmem::find(body, GENERATED_PREFIX.as_bytes())?;
        let names = AssertUnwindSafe(self.mutator.generated_names(body)).catch_unwind();
        let names = names
            .await
            .unwrap_or_else(|_| Some(GeneratedNames::untold(true, &defect().to_string())));
        names.map(Arc::new)
    }

    async fn wait_for(&self, namespace: &str) {
        if let (NamespaceModes::Watched(namespaces), Ok(_place)) =
            (&self.gate.namespaces, self.waiting.try_acquire())
            && namespaces.is_synced()
        {
            namespaces.wait_for(namespace, self.namespace_wait).await;
        }
    }

    async fn evaluate(
        self: &Arc<Self>,
        body: &Bytes,
        unseen: Unseen,
        generated: Option<&Arc<GeneratedNames>>,
    ) -> Result<Evaluation, Refusal> {
        if body.len() < LARGE_BODY {
            return self.evaluate_here(body, unseen, generated.map(|names| &**names));
        }
        let (webhook, body) = (Arc::clone(self), body.clone());
        let generated = generated.cloned();
        let task = tokio::task::spawn_blocking(move || {
            webhook.evaluate_here(&body, unseen, generated.as_deref())
        });
        task.await.map_err(|_| Refusal::Internal)?
    }

    /// A defect must not take down the connection, which the API server shares among all its requests.
    fn evaluate_here(
        &self,
        body: &[u8],
        unseen: Unseen,
        generated: Option<&GeneratedNames>,
    ) -> Result<Evaluation, Refusal> {
        let evaluation = AssertUnwindSafe(|| self.gate.evaluate(body, unseen, generated));
        match catch_unwind(evaluation) {
            Ok(evaluation) => Ok(evaluation?),
            Err(_) => Err(defect()),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let status = match refusal {
            Refusal::Body(BodyError::Broken) | Refusal::Review(_) => StatusCode::BAD_REQUEST,
            Refusal::Body(BodyError::Slow) => StatusCode::REQUEST_TIMEOUT,
            Refusal::Body(BodyError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Body(BodyError::Busy) | Refusal::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut response = (status, format!("{refusal}\n")).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            self.metrics.shed.inc();
            // The API server's client waits so long and asks again, within its own timeout.
            response
                .headers_mut()
                .insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("1"));
        } else {
            tracing::warn!(status = status.as_u16(), error = %refusal, "not answered");
            let labels = RequestLabels {
                operation: "none",
                kind: "none",
                verdict: "error",
                mode: "none",
            };
            self.metrics.requests.get_or_create(&labels).inc();
        }
        response.map(Body::new)
    }
}
