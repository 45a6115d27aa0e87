//! Counters and gauges in the OpenMetrics text format. Labels are bounded: never a namespace, pod or image name.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The labels of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `CREATE` or `UPDATE`, …
    pub operation: &'static str,
    /// The object's kind, `other` for one that holds no pod.
    pub kind: &'static str,
    /// The verdict, `exempt`, or `error` for a request that could not be read.
    pub verdict: &'static str,
    /// The mode, `none` where none applied.
    pub mode: &'static str,
}

/// The labels of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReloadLabels {
    /// `certificate`, `config` or `profiles`.
    pub what: &'static str,
    /// `ok` or `refused`.
    pub result: &'static str,
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Admission requests by operation, kind, verdict and mode.
    pub requests: Family<RequestLabels, Counter>,
    /// From the body's first byte wanted to the answer, in seconds.
    pub latency: Histogram,
    /// Admission requests being answered.
    pub in_flight: Gauge,
    /// Requests turned away for load.
    pub shed: Counter,
    /// Open connections.
    pub connections: Gauge,
    /// When the serving certificate expires, seconds since 1970.
    pub certificate_expiry: Gauge<f64, AtomicU64>,
    /// Whether the newest certificate, configuration and profiles are in use: 1, or 0 where an older one had to stay.
    pub current: Gauge,
    /// Reloads of certificate, configuration and profiles.
    pub reloads: Family<ReloadLabels, Counter>,
    /// Profile names whose text is known.
    pub profiles: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = super::registry();
        let metrics = Self {
            requests: Family::default(),
            latency: Histogram::new(BUCKETS),
            in_flight: Gauge::default(),
            shed: Counter::default(),
            connections: Gauge::default(),
            certificate_expiry: Gauge::default(),
            current: Gauge::default(),
            reloads: Family::default(),
            profiles: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "admission_requests",
            "Admission requests answered",
            metrics.requests.clone(),
        );
        let latency = metrics.latency.clone();
        registry.register_with_unit(
            "admission_latency",
            "Time to answer an admission request",
            Unit::Seconds,
            latency,
        );
        registry.register(
            "admission_in_flight",
            "Admission requests being answered",
            metrics.in_flight.clone(),
        );
        registry.register(
            "admission_shed",
            "Admission requests turned away for load",
            metrics.shed.clone(),
        );
        registry.register(
            "connections",
            "Open connections to the webhook",
            metrics.connections.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the serving certificate expires",
            Unit::Seconds,
            metrics.certificate_expiry.clone(),
        );
        registry.register(
            "inputs_current",
            "1 if the newest certificate, configuration and profiles are in use, 0 if an older one had to stay",
            metrics.current.clone(),
        );
        registry.register(
            "reloads",
            "Reloads of certificate, configuration and profiles",
            metrics.reloads.clone(),
        );
        registry.register(
            "profiles",
            "Profile names whose text is known",
            metrics.profiles.clone(),
        );
        metrics.current.set(1);
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    /// All metrics, in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        super::render(&self.registry)
    }
}

/// One more in a gauge for as long as this lives: also when a request's future is dropped on the way.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// Counts one.
    #[must_use]
    pub fn one(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Upper bounds in seconds: answers take tens of microseconds, and the API server gives up after five seconds.
const BUCKETS: [f64; 11] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0,
];
