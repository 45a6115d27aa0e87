//! What the node agent counts, in the OpenMetrics text format. Labels are bounded: never the name of a profile.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The label of a load.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LoadLabels {
    /// `loaded` or `failed`.
    pub result: &'static str,
}

/// The label of profiles.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabels {
    /// `loaded`, `waiting`, `failed` or `foreign`.
    pub state: &'static str,
}

/// All metrics of an agent.
#[derive(Debug)]
pub struct AgentMetrics {
    registry: Registry,
    /// Profiles loaded or replaced, and such as could not be.
    pub loads: Family<LoadLabels, Counter>,
    /// Profiles that pods of the node name or that are loaded.
    pub profiles: Family<StateLabels, Gauge>,
    /// From the first sight of a pod that needs a profile until it is loaded, in seconds.
    pub wait: Histogram,
}

impl Default for AgentMetrics {
    fn default() -> Self {
        let mut registry = super::registry();
        let loads = Family::<LoadLabels, Counter>::default();
        let profiles = Family::<StateLabels, Gauge>::default();
        let wait = Histogram::new(BUCKETS);
        registry.register(
            "agent_loads",
            "Profiles loaded into the kernel, and such as could not be",
            loads.clone(),
        );
        registry.register(
            "agent_profiles",
            "Profiles that the node's pods name or that are loaded",
            profiles.clone(),
        );
        registry.register_with_unit(
            "agent_wait",
            "From the first sight of a pod that needs a profile until that is loaded",
            Unit::Seconds,
            wait.clone(),
        );
        Self {
            registry,
            loads,
            profiles,
            wait,
        }
    }
}

impl AgentMetrics {
    /// All metrics, in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        super::render(&self.registry)
    }
}

/// Upper bounds in seconds: the parser takes a tenth of one, a text that is still being made may take minutes.
const BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

#[cfg(test)]
mod tests {
    use super::{AgentMetrics, LoadLabels};

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = AgentMetrics::default();
        let result = "loaded";
        metrics.loads.get_or_create(&LoadLabels { result }).inc();
        metrics.wait.observe(0.2);
        let text = metrics.render();
        for line in [
            "armorgate_agent_loads_total{result=\"loaded\"} 1",
            "armorgate_agent_wait_seconds_bucket{le=\"0.25\"} 1",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
