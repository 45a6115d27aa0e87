//! What is reported of objects: each with its verdict and findings.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::finding::{Finding, Place};
use crate::verdict::{Mode, Overall, Treatment};

/// What a check comes to for one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The gate would let it in, and say nothing.
    Allowed,
    /// The gate would refuse it.
    Denied,
    /// The gate would let it in with warnings.
    Warned,
}

/// An object that was judged.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace, empty where it does not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub place: Place,
    /// The verdict on it.
    #[serde(serialize_with = "verdict_name")]
    pub verdict: Overall,
    /// What that comes to.
    pub outcome: Outcome,
    /// Why.
    pub findings: Vec<Finding>,
}

impl ObjectReport {
    /// `Kind namespace/name`, as people name objects.
    #[must_use]
    pub fn title(&self) -> String {
        let name = super::text::quote(&self.name);
        if self.namespace.is_empty() {
            format!("{} {name}", self.kind)
        } else {
            format!(
                "{} {}/{name}",
                self.kind,
                super::text::quote(&self.namespace)
            )
        }
    }

    /// What findings come to in a mode.
    #[must_use]
    pub fn outcome(mode: Mode, allowed: bool, findings: &[Finding]) -> Outcome {
        let worth_a_warning = findings
            .iter()
            .any(|finding| finding.treatment > Treatment::Allow);
        if !allowed {
            Outcome::Denied
        } else if worth_a_warning && matches!(mode, Mode::Enforce | Mode::Warn) {
            Outcome::Warned
        } else {
            Outcome::Allowed
        }
    }
}

/// Objects of kinds that hold no pod, counted by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Skipped(BTreeMap<String, usize>);

impl Skipped {
    /// Counts an object of this kind.
    pub fn count(&mut self, kind: &str) {
        *self.0.entry(super::text::quote(kind)).or_default() += 1;
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// The kinds with their counts, in the order of their names.
    pub fn by_kind(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(kind, count)| (kind.as_str(), *count))
    }
}

/// All that a check has to say.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The objects that hold pods, in the order of the files.
    pub objects: Vec<ObjectReport>,
    /// The others.
    pub skipped: Skipped,
}

impl Report {
    /// How many objects came out so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.objects
            .iter()
            .filter(|object| object.outcome == outcome)
            .count()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn verdict_name<S: Serializer>(verdict: &Overall, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.as_str())
}
