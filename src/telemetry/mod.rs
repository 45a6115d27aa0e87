//! Logs, metrics and the admin port: what the running program says of itself.

mod admin;
mod agent_metrics;
mod controller;
mod logging;
mod metrics;

use prometheus_client::{encoding::text::encode, metrics::info::Info, registry::Registry};

pub use admin::{Part, admin_router, all_ready};
pub use agent_metrics::{AgentMetrics, LoadLabels, StateLabels};
pub use controller::{ControllerMetrics, GenerationLabels};
pub use logging::{LogFormat, start_logging};
pub use metrics::{Counted, Metrics, ReloadLabels, RequestLabels};

/// A registry in which nothing is but what is running.
fn registry() -> Registry {
    let mut registry = Registry::with_prefix("armorgate");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "What is running", build);
    registry
}

/// All metrics of a registry, in the OpenMetrics text format.
fn render(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, registry);
    text
}
