//! The runtimes that a cluster's nodes run, and the defaults that come with them.
//!
//! Windows nodes are not among them: they know no AppArmor. Whether a Linux node has it cannot be seen from its object.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use crate::compare::{Baseline, Yardstick};

/// What a node says of its container runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeRuntime {
    /// A runtime and a version whose default is known.
    Known(Baseline),
    /// Something else, as the node says it; empty where it says nothing.
    Unknown(Arc<str>),
}

impl NodeRuntime {
    /// The runtime of a node, by its `status.nodeInfo.containerRuntimeVersion`.
    #[must_use]
    pub fn of(container_runtime_version: &str) -> Self {
        Baseline::from_node(container_runtime_version).map_or_else(
            || {
                let kept = container_runtime_version.chars().take(MAX_VERSION);
                Self::Unknown(kept.collect::<String>().into())
            },
            Self::Known,
        )
    }
}

/// LIMIT: characters of an unknown runtime that are kept.
const MAX_VERSION: usize = 100;

/// What the nodes of a cluster run, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeDefaults {
    runtimes: BTreeMap<Arc<str>, NodeRuntime>,
    distinct: Vec<(Arc<str>, NodeRuntime)>,
    first: Option<Baseline>,
}

/// LIMIT: distinct defaults that are compared with each other.
const MAX_COMPARED: usize = 8;

impl NodeDefaults {
    /// The defaults of these nodes.
    #[must_use]
    pub fn new(runtimes: BTreeMap<Arc<str>, NodeRuntime>) -> Self {
        // There are as many templates as there were changes to them, however many versions the nodes run: so many
        // comparisons are made at most. Of all unknown runtimes one is enough to be in doubt.
        let mut seen = HashSet::new();
        let template = |runtime: &NodeRuntime| match runtime {
            NodeRuntime::Known(baseline) => Some(baseline.template()),
            NodeRuntime::Unknown(_) => None,
        };
        let distinct = runtimes
            .iter()
            .filter(|(_, runtime)| seen.insert(template(runtime)))
            .map(|(node, runtime)| (Arc::clone(node), runtime.clone()))
            .collect();
        let mut defaults = Self {
            runtimes,
            distinct,
            first: None,
        };
        defaults.first = first(defaults.baselines());
        defaults
    }

    /// The default that generated profiles begin with: one that is no weaker than those of all other nodes, or else the oldest. It
    /// is told by the first release that had it, so that nodes that come with the same change nothing.
    #[must_use]
    pub fn first(&self) -> Option<Baseline> {
        self.first
    }

    /// What a node runs, with its name; `None` for one that has not been seen, or does not run Linux.
    #[must_use]
    pub fn of_node(&self, name: &str) -> Option<(&Arc<str>, &NodeRuntime)> {
        self.runtimes.get_key_value(name)
    }

    /// What any node runs: of those with the same default only the first by name, and only one whose default is unknown.
    #[must_use]
    pub fn distinct(&self) -> &[(Arc<str>, NodeRuntime)] {
        &self.distinct
    }

    /// The known ones among the distinct defaults.
    pub fn baselines(&self) -> impl Iterator<Item = Baseline> {
        self.distinct
            .iter()
            .filter_map(|(_, runtime)| match runtime {
                NodeRuntime::Known(baseline) => Some(*baseline),
                NodeRuntime::Unknown(_) => None,
            })
    }
}

fn first(baselines: impl Iterator<Item = Baseline>) -> Option<Baseline> {
    let mut baselines: Vec<Baseline> = baselines.map(Baseline::first_alike).collect();
    baselines.sort_by(Baseline::by_age);
    if let [only] = baselines.as_slice() {
        return Some(*only);
    }
    let compared = baselines.iter().take(MAX_COMPARED);
    let compared: Vec<(Baseline, Yardstick)> = compared
        .filter_map(|baseline| Some((*baseline, Yardstick::baseline(*baseline)?)))
        .collect();
    let is_no_weaker = |(candidate, default): &&(Baseline, Yardstick)| {
        let mut others = compared.iter().filter(|(other, _)| other != candidate);
        others.all(|(_, other)| default.is_no_weaker_than(other))
    };
    let strict = compared.iter().find(is_no_weaker);
    strict
        .map(|(baseline, _)| *baseline)
        .or_else(|| baselines.first().copied())
}

#[cfg(test)]
mod tests {
    use super::{NodeDefaults, NodeRuntime};
    use crate::verdict::{Baselines, Policy};

    fn defaults(nodes: &[(&str, &str)]) -> NodeDefaults {
        let runtimes = nodes
            .iter()
            .map(|(name, version)| ((*name).into(), NodeRuntime::of(version)));
        NodeDefaults::new(runtimes.collect())
    }

    fn distinct(defaults: &NodeDefaults) -> Vec<&str> {
        let nodes = defaults.distinct().iter();
        nodes.map(|(node, _)| &**node).collect()
    }

    #[test]
    fn nodes_with_the_same_template_count_once_and_each_keeps_its_version() {
        let defaults = defaults(&[
            ("d", "containerd://2.3.0"),
            ("c", "containerd://2.1.3"),
            ("b", "containerd://2.1.4"),
            ("a", "cri-o://1.33.1"),
        ]);
        assert_eq!(distinct(&defaults), ["a", "b", "d"]);
        let listed: Vec<String> = defaults
            .baselines()
            .map(|known| known.to_string())
            .collect();
        assert_eq!(
            listed,
            ["crio@1.33.1", "containerd@2.1.4", "containerd@2.3.0"]
        );
        let own = NodeRuntime::Known("containerd@2.1.3".parse().unwrap());
        assert_eq!(defaults.of_node("c"), Some((&"c".into(), &own)));
        assert_eq!(defaults.of_node("e"), None);
    }

    #[test]
    fn profiles_begin_with_the_strictest_default_whatever_nodes_come() {
        let policy = Policy {
            baselines: Baselines::Nodes,
            ..Policy::default()
        };
        let first = |nodes: &[(&str, &str)]| {
            let baseline = policy.generation_baseline(Some(&defaults(nodes)));
            baseline.map(|baseline| baseline.to_string())
        };
        let (old, new) = ("containerd://1.7.24", "containerd://2.3.0");
        for nodes in [
            &[("a", old), ("b", new)][..],
            &[("a", new), ("b", old)],
            &[("a", "containerd://2.2.1"), ("b", old), ("c", new)],
        ] {
            assert_eq!(first(nodes).as_deref(), Some("containerd@1.7.16"));
        }
        assert_eq!(first(&[("a", new)]).as_deref(), Some("containerd@2.3.0"));
        assert_eq!(first(&[("a", "other://1")]), None);
        // Those of before forbid less.
        for (old, new, expected) in [
            ("docker://29.7.1", "docker://29.8.2", "docker@29.8.0"),
            (
                "containerd://1.7.10",
                "containerd://1.7.12",
                "containerd@1.7.11",
            ),
            // Neither is no weaker than the other.
            ("containerd://2.3.0", "cri-o://1.33.1", "containerd@2.3.0"),
        ] {
            assert_eq!(first(&[("a", old), ("b", new)]).as_deref(), Some(expected));
            assert_eq!(first(&[("a", new), ("b", old)]).as_deref(), Some(expected));
        }
    }

    #[test]
    fn however_many_versions_there_are_the_templates_are_few() {
        let nodes: Vec<(String, String)> = (0..5000)
            .map(|index| {
                let runtime = ["containerd", "cri-o", "docker", "other"][index % 4];
                let version = format!("{runtime}://{}.{}.{}", index % 31, index % 17, index);
                (format!("node-{index}"), version)
            })
            .collect();
        let nodes: Vec<(&str, &str)> = nodes
            .iter()
            .map(|(name, version)| (name.as_str(), version.as_str()))
            .collect();
        let defaults = defaults(&nodes);
        assert!(
            defaults.distinct().len() < 50,
            "{}",
            defaults.distinct().len()
        );
    }

    #[test]
    fn what_is_no_known_runtime_is_kept_as_said_and_cut() {
        for version in [
            "",
            "containerd://Unknown",
            "frakti://1.0",
            "containerd",
            "cri-o://",
        ] {
            assert_eq!(
                NodeRuntime::of(version),
                NodeRuntime::Unknown(version.into())
            );
        }
        let NodeRuntime::Unknown(kept) = NodeRuntime::of(&"ä".repeat(5000)) else {
            panic!("it is unknown")
        };
        assert_eq!(kept.chars().count(), 100);
        let defaults = defaults(&[("b", "x://1"), ("a", "y://1"), ("c", "docker://28.0.0")]);
        assert_eq!(distinct(&defaults), ["a", "c"]);
    }
}
