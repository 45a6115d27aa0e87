//! A listener with limits: on connections, on handshakes, on headers, on idling; and a way to stop without dropping requests.

use std::{
    io,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::telemetry::Counted;

/// How much a listener puts up with.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at the same time; more wait in the kernel's queue.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a request's headers may take.
    pub headers: Duration,
    /// How long a connection may do nothing.
    pub idle: Duration,
    /// How long requests may go on after the listener has stopped.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 512,
            handshake: Duration::from_secs(5),
            headers: Duration::from_secs(5),
            idle: Duration::from_mins(2),
            drain: Duration::from_secs(15),
        }
    }
}

/// Tells servers to stop.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<bool>);

impl Shutdown {
    /// Nobody has to stop yet.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Stop now.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    async fn started(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|started| *started).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// A runtime for servers: with workers for half of the cores, four at most.
///
/// An answer takes some tens of microseconds, so few threads serve any cluster; with one for every core they get into
/// the way of each other and of whoever asks, and the slowest answers take many times longer (`make bench`).
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let workers = usize::clamp(cores / 2, 1, 4);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
}

/// Serves until told to stop, then lets open requests end. Without TLS in plain HTTP/1.1.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: ServerLimits,
    connections: Gauge,
    shutdown: Shutdown,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut open = JoinSet::new();
    loop {
        let accepted = async {
            // Never closed, so the error cannot come.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accepted => accepted,
            Some(_) = open.join_next() => continue,
            () = shutdown.started() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = Connection {
                    limits,
                    router: router.clone(),
                    shutdown: shutdown.clone(),
                };
                let (tls, connections) = (tls.clone(), connections.clone());
                open.spawn(async move {
                    let _counted = Counted::one(&connections);
                    connection.run(stream, tls).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                pause_after(&error).await;
            }
        }
    }
    drop(listener);
    let all = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, all).await.is_err() {
        tracing::warn!("requests were still open when time was up");
    }
}

/// Out of file descriptors or memory, trying again at once would only burn time.
async fn pause_after(error: &io::Error) {
    let of_the_peer = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    if !of_the_peer {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

struct Connection {
    limits: ServerLimits,
    router: Router,
    shutdown: Shutdown,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Answers are one small write each.
        let _ = stream.set_nodelay(true);
        let builder = || auto::Builder::new(TokioExecutor::new());
        let Some(tls) = tls else {
            return self.serve(stream, builder().http1_only()).await;
        };
        let handshake = tokio::time::timeout(self.limits.handshake, tls.accept(stream)).await;
        // A failed handshake is the peer's affair: port scans, or an API server with an older CA bundle.
        match handshake {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let builder = if http2 {
                    builder().http2_only()
                } else {
                    builder().http1_only()
                };
                self.serve(stream, builder).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "handshake failed"),
            Err(_) => tracing::debug!("handshake took too long"),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        mut builder: auto::Builder<TokioExecutor>,
    ) {
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.headers)
            .max_buf_size(MAX_HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.limits.idle / 4)
            .keep_alive_timeout(self.limits.headers)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(16 * 1024);
        let activity = Arc::new(Activity::new());
        let service = service_fn(|request: Request<Incoming>| {
            let (router, busy) = (self.router.clone(), Busy::start(&activity));
            async move {
                let response = router.oneshot(request.map(axum::body::Body::new)).await;
                drop(busy);
                response
            }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut closing = false;
        loop {
            let idle_until = activity.last() + self.limits.idle;
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(error, "connection ended");
                    }
                    return;
                }
                () = tokio::time::sleep_until(idle_until) => {
                    if closing {
                        return;
                    }
                    if activity.is_idle_since(self.limits.idle) {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    activity.touch();
                }
                () = self.shutdown.started(), if !closing => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// LIMIT: bytes of a request's headers in HTTP/1.1.
const MAX_HEADERS: usize = 32 * 1024;

/// LIMIT: requests at the same time on one HTTP/2 connection. The API server uses one connection for all.
const MAX_STREAMS: u32 = 256;

/// When a connection last did something.
struct Activity {
    last: Mutex<Instant>,
    requests: AtomicUsize,
}

impl Activity {
    fn new() -> Self {
        Self {
            last: Mutex::new(Instant::now()),
            requests: AtomicUsize::new(0),
        }
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle_since(&self, long: Duration) -> bool {
        self.requests.load(Ordering::Acquire) == 0 && self.last().elapsed() >= long
    }
}

/// A request that is being answered, also when its future is dropped.
struct Busy(Arc<Activity>);

impl Busy {
    fn start(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
        self.0.touch();
    }
}
