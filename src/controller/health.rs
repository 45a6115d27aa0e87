//! Whether the controller is ready.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::telemetry::ControllerMetrics;

/// What readiness tells.
#[derive(Debug)]
pub struct ControllerHealth {
    metrics: Arc<ControllerMetrics>,
    is_stopping: AtomicBool,
}

impl ControllerHealth {
    /// Of a process that counts in these metrics.
    #[must_use]
    pub fn new(metrics: Arc<ControllerMetrics>) -> Self {
        Self {
            metrics,
            is_stopping: AtomicBool::new(false),
        }
    }

    /// From now on it is not ready.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Whether it is ready, and why. Who does not lead is ready too: to lead.
    #[must_use]
    pub fn ready(&self) -> (bool, String) {
        let is_stopping = self.is_stopping.load(Ordering::Acquire);
        let state = if is_stopping {
            "stopping"
        } else if self.metrics.is_leader.get() == 1 {
            "leads"
        } else {
            "waits to lead"
        };
        (!is_stopping, format!("controller: {state}\n"))
    }
}
