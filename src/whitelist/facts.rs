//! What decides a generated profile, as bytes: its name is made of their hash.

use super::{MountKind, Mounts, Workload, request::Terms};
use crate::image::ImageDigest;

/// Raised whenever the same request may give another text: a name is of one text.
const FORMAT: usize = 1;

/// What is hashed. Every text stands behind its length and every list behind how many it has, so that no two requests have the same
/// bytes. Not JSON: a name is made for every container that `/mutate` sees, and escaping is most of that.
pub(super) fn facts<S: AsRef<str>>(
    digest: ImageDigest,
    workload: &Workload<S>,
    terms: &Terms,
) -> Vec<u8> {
    let mut facts = Facts(Vec::with_capacity(TYPICAL));
    facts.number(FORMAT);
    facts.bytes(&digest.text());
    facts.texts(&workload.command);
    facts.texts(&workload.args);
    facts.number(workload.env.len());
    for variable in &workload.env {
        facts.text(variable.name.as_ref());
        facts.option(variable.value.as_ref());
    }
    facts.flag(workload.unread_env);
    facts.option(workload.working_dir.as_ref());
    for commands in [&workload.probes, &workload.hooks] {
        facts.number(commands.len());
        for words in commands {
            facts.texts(words);
        }
    }
    facts.number(workload.mounts.len());
    for mount in &workload.mounts {
        facts.text(mount.path.as_ref());
        facts.flag(mount.read_only);
        facts.text(word(&mount.kind));
    }
    facts.texts(&workload.allow_exec);
    facts.text(&terms.baseline.to_string());
    facts.text(terms.stage.as_str());
    facts.text(terms.partial_stage.as_str());
    facts.flag(terms.mounts == Mounts::Open);
    facts.0
}

/// Bytes of what is hashed of most containers.
const TYPICAL: usize = 1024;

struct Facts(Vec<u8>);

impl Facts {
    fn number(&mut self, number: usize) {
        self.0.extend((number as u64).to_le_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.0.push(flag.into());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn option(&mut self, text: Option<&impl AsRef<str>>) {
        self.flag(text.is_some());
        self.text(text.map_or("", AsRef::as_ref));
    }

    fn texts(&mut self, texts: &[impl AsRef<str>]) {
        self.number(texts.len());
        for text in texts {
            self.text(text.as_ref());
        }
    }
}

/// A kind of mount as a pod's text tells it, without what it holds.
fn word(kind: &MountKind) -> &'static str {
    match kind {
        MountKind::ConfigMap { .. } => "files",
        MountKind::ConfigMapFile { .. } => "file",
        MountKind::EmptyDir => "empty",
        MountKind::Image { .. } => "image",
        MountKind::Opaque => "opaque",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ImageDigest, Mounts, Terms, Workload, facts};
    use crate::{
        compare::{Baseline, Runtime},
        whitelist::{PodVariable, Stage},
    };

    #[test]
    fn no_two_requests_have_the_same_facts() {
        let terms = Terms {
            baseline: Baseline::newest(Runtime::Containerd),
            stage: Stage::Enforce,
            partial_stage: Stage::Audit,
            mounts: Mounts::Closed,
        };
        let words = |words: &'static [&'static str]| words.to_vec();
        let variable = |value| Workload {
            env: vec![PodVariable { name: "a", value }],
            ..Workload::default()
        };
        let workloads = [
            Workload::default(),
            Workload {
                command: words(&["a", "b"]),
                ..Workload::default()
            },
            Workload {
                command: words(&["ab"]),
                ..Workload::default()
            },
            Workload {
                command: words(&["a"]),
                args: words(&["b"]),
                ..Workload::default()
            },
            Workload {
                args: words(&["a", "b"]),
                ..Workload::default()
            },
            Workload {
                allow_exec: words(&["a", "b"]),
                ..Workload::default()
            },
            Workload {
                working_dir: Some(""),
                ..Workload::default()
            },
            Workload {
                unread_env: true,
                ..Workload::default()
            },
            Workload {
                probes: vec![words(&["a"]), words(&["b"])],
                ..Workload::default()
            },
            Workload {
                probes: vec![words(&["a", "b"])],
                ..Workload::default()
            },
            Workload {
                hooks: vec![words(&["a", "b"])],
                ..Workload::default()
            },
            variable(None),
            variable(Some("")),
            variable(Some("b")),
        ];
        let count = workloads.len();
        let seen = workloads.map(|workload| facts(ImageDigest::of(b""), &workload, &terms));
        assert_eq!(HashSet::from(seen).len(), count);
    }
}
