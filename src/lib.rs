//! Armorgate, the AppArmor gate of a Kubernetes cluster.
//!
//! An admission webhook that refuses pods whose AppArmor profile permits anything that the container runtime's default
//! profile forbids, a controller that makes profiles for pods that bring none, and a command line that gives the same verdicts
//! offline.
//!
//! Dependencies between the modules ("rooms") point downwards only, in this order: [`cli`], [`admission`], [`controller`], [`agent`]
//! (neither of the last three uses another),
//! [`cluster`], [`tls`], [`report`], [`whitelist`], [`image`], [`verdict`], [`compare`], [`apparmor`]. The last three, [`whitelist`] and
//! [`report`] are pure: values in, values out, no I/O, no clock, no async; so is the core of [`image`]. [`telemetry`] (logs and
//! metrics) may be used by every room that is not pure.

pub mod admission;
pub mod agent;
pub mod apparmor;
pub mod cli;
pub mod cluster;
pub mod compare;
pub mod controller;
pub mod image;
pub mod report;
pub mod telemetry;
pub mod tls;
pub mod verdict;
pub mod whitelist;
