//! Logs and metrics: what the running program says of itself.

mod agent_metrics;
mod controller;
mod logging;
mod metrics;

pub use agent_metrics::{AgentMetrics, LoadLabels, StateLabels};
pub use controller::{ControllerMetrics, GenerationLabels};
pub use logging::{LogFormat, start_logging};
pub use metrics::{Counted, Metrics, ReloadLabels, RequestLabels};
