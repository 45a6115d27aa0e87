//! What an agent hears: every byte that its client takes from the API server, and every event of its watches.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::http::{Method, Request, Response, StatusCode};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::{Body, Bytes};
use serde::Deserialize;
use tower::{Layer, Service};

/// What one client has heard so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<Counts>>);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// Lists that were asked for, and their bytes.
    pub(crate) lists: u64,
    pub(crate) listed: u64,
    /// Lists of pods that the API server may have to read etcd for, and every pod of the cluster.
    pub(crate) scans: u64,
    /// Watches that were opened, and the bytes of what happened in them.
    pub(crate) watches: u64,
    pub(crate) watched: u64,
    /// The bytes that say that nothing happened.
    pub(crate) bookmarked: u64,
    /// Requests that write.
    pub(crate) writes: u64,
    /// Answers that were errors, and the last of them.
    pub(crate) refused: u64,
    pub(crate) refusal: Option<StatusCode>,
    /// How many events came of each object.
    pub(crate) events: BTreeMap<(String, String), u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    List,
    Watch,
    Write,
}

/// A line of a watch, as far as it matters here.
#[derive(Deserialize)]
struct Event {
    r#type: String,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    kind: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

impl Heard {
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self, asked: Asked) {
        let mut counts = self.counts();
        match asked {
            Asked::List => counts.lists += 1,
            Asked::Watch => counts.watches += 1,
            Asked::Write => counts.writes += 1,
        }
    }

    /// Takes bytes of an answer; of a watch, `line` is what was begun of the next event.
    fn took(&self, asked: Asked, bytes: &[u8], line: &mut Vec<u8>) {
        if asked == Asked::List {
            self.counts().listed += length(bytes);
        }
        if asked != Asked::Watch {
            return;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") {
                self.happened(line);
                line.clear();
            }
        }
    }

    fn happened(&self, line: &[u8]) {
        let mut counts = self.counts();
        let name = match serde_json::from_slice(line) {
            Ok(Event { r#type, .. }) if r#type == "BOOKMARK" => {
                counts.bookmarked += length(line);
                return;
            }
            Ok(Event { object, .. }) => (object.kind, object.metadata.name),
            // No test expects one of these.
            Err(error) => (error.to_string(), String::new()),
        };
        counts.watched += length(line);
        *counts.events.entry(name).or_default() += 1;
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl<S> Layer<S> for Heard {
    type Service = Listening<S>;

    fn layer(&self, inner: S) -> Listening<S> {
        let heard = self.clone();
        Listening { inner, heard }
    }
}

/// A client's service that is listened to.
#[derive(Clone)]
pub(crate) struct Listening<S> {
    inner: S,
    heard: Heard,
}

impl<S, A, B> Service<Request<A>> for Listening<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<UnsyncBoxBody<Bytes, B::Error>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let asked = match *request.method() {
            Method::GET if query.split('&').any(|pair| pair == "watch=true") => Asked::Watch,
            Method::GET => Asked::List,
            _ => Asked::Write,
        };
        self.heard.asked(asked);
        let is_of_pods = request.uri().path().ends_with("/pods");
        if asked == Asked::List && is_of_pods && !query.contains("resourceVersion=0") {
            self.heard.counts().scans += 1;
        }
        let (heard, answer) = (self.heard.clone(), self.inner.call(request));
        Box::pin(async move {
            let answer = answer.await?;
            // A new node's object is not there yet.
            if !answer.status().is_success() && answer.status() != StatusCode::NOT_FOUND {
                let mut counts = heard.counts();
                counts.refused += 1;
                counts.refusal = Some(answer.status());
            }
            let mut line = Vec::new();
            Ok(answer.map(|body| {
                let counted = body.map_frame(move |frame| {
                    if let Some(bytes) = frame.data_ref() {
                        heard.took(asked, bytes, &mut line);
                    }
                    frame
                });
                counted.boxed_unsync()
            }))
        })
    }
}
