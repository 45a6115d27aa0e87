//! Whether the webhook is ready.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use super::gate::{Gate, NamespaceModes};
use crate::{report::text::sentence, telemetry::all_ready, tls::Certificates, verdict::Baselines};

/// What readiness depends on, and what it tells.
pub struct Health {
    gate: Arc<Gate>,
    certificates: Arc<Certificates>,
    draining: AtomicBool,
    refusals: Mutex<Vec<(&'static str, String)>>,
}

impl Health {
    /// The health of a server with these parts.
    #[must_use]
    pub fn new(gate: Arc<Gate>, certificates: Arc<Certificates>) -> Self {
        Self {
            gate,
            certificates,
            draining: AtomicBool::new(false),
            refusals: Mutex::default(),
        }
    }

    /// From now on the server is not ready: it is about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// What could not be reloaded, so that an older one had to stay: its name and the error.
    pub fn refused(&self, refusals: Vec<(&'static str, String)>) {
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner) = refusals;
    }

    /// Whether requests should be sent here, and why, a line for each part.
    #[must_use]
    pub fn ready(&self, now: SystemTime) -> (bool, String) {
        let namespaces = match &self.gate.namespaces {
            NamespaceModes::Standalone => Ok("standalone"),
            NamespaceModes::Watched(namespaces) if namespaces.is_synced() => Ok("ok"),
            NamespaceModes::Watched(_) => Err("not listed yet".to_owned()),
        };
        let nodes = match self.gate.policy.load().baselines {
            Baselines::Listed(_) => Ok("not asked"),
            Baselines::Nodes => match self.gate.nodes.defaults() {
                Ok(_) => Ok("ok"),
                Err(error) => Err(sentence(&error.to_string())),
            },
        };
        let certificate = if self.certificates.is_valid_at(now) {
            Ok("ok")
        } else {
            Err("expired".to_owned())
        };
        let draining = if self.draining.load(Ordering::Acquire) {
            Err("stopping".to_owned())
        } else {
            Ok("ok")
        };
        let (is_ready, mut text) = all_ready(&[
            ("namespaces", &namespaces),
            ("nodes", &nodes),
            ("certificate", &certificate),
            ("server", &draining),
        ]);
        // An old one that still works is no reason to turn requests away.
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, error) in refusals.iter() {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{what}: the newest is refused, an older one is in use: {error}"
            );
        }
        (is_ready, text)
    }
}
