//! Logs and metrics: what the running program says of itself.

mod agent_metrics;
mod logging;
mod metrics;

pub use agent_metrics::{AgentMetrics, LoadLabels, StateLabels};
pub use logging::{LogFormat, start_logging};
pub use metrics::{Counted, Metrics, ReloadLabels, RequestLabels};
