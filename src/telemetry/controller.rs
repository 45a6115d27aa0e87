//! What the controller counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The labels of a profile that was to be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GenerationLabels {
    /// `ok`, `failed`, or `conflict`: somebody else wrote at the same time, and it is tried again.
    pub result: &'static str,
}

/// All metrics of a controller.
#[derive(Debug)]
pub struct ControllerMetrics {
    registry: Registry,
    /// 1 where it leads.
    pub is_leader: Gauge,
    /// What waits or is being done.
    pub queued: Gauge,
    /// Profiles that were to be made, by result.
    pub generations: Family<GenerationLabels, Counter>,
    /// How long that took, in seconds.
    pub seconds: Histogram,
}

impl Default for ControllerMetrics {
    fn default() -> Self {
        let mut registry = super::registry();
        let (is_leader, queued) = (Gauge::default(), Gauge::default());
        let generations = Family::default();
        let seconds = Histogram::new(BUCKETS);
        registry.register(
            "controller_leader",
            "1 if this process leads",
            is_leader.clone(),
        );
        registry.register(
            "controller_queue",
            "Objects and profiles that wait or are worked on",
            queued.clone(),
        );
        registry.register(
            "generations",
            "Profiles that were to be made, by result",
            generations.clone(),
        );
        registry.register_with_unit(
            "generation",
            "Time to make a profile, with reading its image",
            Unit::Seconds,
            seconds.clone(),
        );
        Self {
            registry,
            is_leader,
            queued,
            generations,
            seconds,
        }
    }
}

impl ControllerMetrics {
    /// All metrics, in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        super::render(&self.registry)
    }
}

/// Upper bounds in seconds: from an image whose layers are known to one of gigabytes behind a slow line.
const BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0];
