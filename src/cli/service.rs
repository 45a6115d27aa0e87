//! What the commands that serve for long have in common: options, the admin port, signals.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use crate::{
    admission::{ServerLimits, Shutdown, serve},
    telemetry::admin_router,
};

/// The configuration, and how often it is looked at.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Configuration file; without one, every default holds
    #[arg(long, value_name = "FILE", env = "ARMORGATE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Seconds between looks at the configuration, and at the other files that are read again
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600), env = "ARMORGATE_RELOAD_SECONDS")]
    reload_seconds: u64,
}

impl ConfigArgs {
    pub(super) fn every(&self) -> Duration {
        Duration::from_secs(self.reload_seconds)
    }
}

/// Where the admin port is.
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    /// Where to serve health and metrics, over plain HTTP
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080",
        env = "ARMORGATE_ADMIN_LISTEN"
    )]
    admin_listen: SocketAddr,
}

/// An admin port that is served.
pub(super) struct AdminPort {
    stop: Shutdown,
    served: JoinHandle<()>,
}

impl AdminArgs {
    /// Serves what these two tell: whether the process is ready, and what it counts.
    pub(super) async fn serve(
        &self,
        ready: impl Fn() -> (bool, String) + Clone + Send + Sync + 'static,
        metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
    ) -> anyhow::Result<AdminPort> {
        let listener = bind(self.admin_listen).await?;
        let stop = Shutdown::new();
        let served = tokio::spawn(serve(
            listener,
            None,
            admin_router(ready, metrics),
            ServerLimits::default(),
            Gauge::default(),
            stop.clone(),
        ));
        Ok(AdminPort { stop, served })
    }
}

impl AdminPort {
    /// Last of all, so that probes see why.
    pub(super) async fn stop(self) {
        self.stop.start();
        let _ = self.served.await;
    }
}

pub(super) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    Ok(listener)
}

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
