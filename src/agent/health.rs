//! Whether the agent is ready.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::telemetry::{Part, all_ready};

/// How the parts of an agent are: each `Ok` with a word, or why not.
#[derive(Debug)]
pub struct Health(Mutex<Parts>);

#[derive(Debug)]
struct Parts {
    node: Part,
    pods: Part,
    report: Part,
}

impl Default for Health {
    /// Nothing has been done yet.
    fn default() -> Self {
        let not_yet = || Err("not yet".to_owned());
        Self(Mutex::new(Parts {
            node: not_yet(),
            pods: not_yet(),
            report: not_yet(),
        }))
    }
}

impl Health {
    pub(super) fn set_node(&self, node: Part) {
        self.parts().node = node;
    }

    pub(super) fn set_pods(&self, pods: Part) {
        self.parts().pods = pods;
    }

    pub(super) fn set_report(&self, report: Part) {
        self.parts().report = report;
    }

    /// Whether all is well, and why, a line for each part.
    #[must_use]
    pub fn ready(&self) -> (bool, String) {
        let parts = self.parts();
        all_ready(&[
            ("node", &parts.node),
            ("pods", &parts.pods),
            ("report", &parts.report),
        ])
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Health;

    #[test]
    fn it_is_ready_when_every_part_is() {
        let health = Health::default();
        assert_eq!(
            health.ready(),
            (
                false,
                "node: not yet\npods: not yet\nreport: not yet\n".to_owned()
            )
        );
        health.set_node(Ok("ok"));
        health.set_pods(Ok("ok"));
        assert!(!health.ready().0);
        health.set_report(Ok("ok"));
        assert_eq!(
            health.ready(),
            (true, "node: ok\npods: ok\nreport: ok\n".to_owned())
        );
    }
}
