//! Logs on standard error: text on a terminal, JSON otherwise.
//!
//! Messages are constant, data goes into fields. Objects, environment values and secrets are never logged.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    /// What fits standard error: text on a terminal, JSON otherwise.
    #[must_use]
    pub fn detect() -> Self {
        if io::stderr().is_terminal() {
            Self::Text
        } else {
            Self::Json
        }
    }
}

/// Starts logging to standard error. `ARMORGATE_LOG` (as `RUST_LOG`: `debug`, `armorgate=trace`) says how much; libraries are quiet
/// unless asked. A second call does nothing.
pub fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_env("ARMORGATE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,hyper=warn,kube=warn,rustls=error,tower=warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // An error says that logging has started already.
    let _ = match format {
        LogFormat::Json => subscriber
            .json()
            .flatten_event(true)
            .with_target(false)
            .try_init(),
        LogFormat::Text => subscriber.with_target(false).try_init(),
    };
}
