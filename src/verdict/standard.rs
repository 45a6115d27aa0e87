//! What workloads are held to: a policy, the profiles that are known, and the defaults of the nodes that a pod may land on.
//!
//! A pod may land on any Linux node, unless it names its node: `spec.nodeName` passes the scheduler by, and cannot be changed
//! once it is set. Selectors, affinities and tolerations leave out nobody: the scheduler reads labels and taints later, when
//! they may have changed, and Armorgate keeps none of them.
//!
//! LIMIT: nodes that are still to come are not foreseen. A pod that was admitted before a node joined may land on it.

use std::sync::Arc;

use super::{
    generated::GeneratedNames,
    nodes::{NodeDefaults, NodeRuntime},
    policy::{Baselines, Policy},
    profiles::Profiles,
    workload::Pod,
};
use crate::compare::{Baseline, Runtime};

/// What workloads are held to.
#[derive(Clone, Copy)]
pub struct Standard<'s> {
    /// The cluster's policy.
    pub policy: &'s Policy,
    /// What the nodes run, as far as is known: asked where the policy takes its baselines from them.
    pub nodes: Option<&'s NodeDefaults>,
    /// The profiles whose text is known.
    pub profiles: &'s dyn Profiles,
    /// The names of generated profiles that are the pod's own; `None` where nobody has asked: they are names like others then.
    pub generated: Option<&'s GeneratedNames>,
}

/// A default that a pod may run under.
#[derive(Clone, Copy, Debug)]
pub(super) enum NodeDefault<'s> {
    /// Of a known runtime: as configured, or as on a node.
    Known(Baseline, Option<&'s Arc<str>>),
    /// Of a node's unknown runtime, as the node says it.
    Unknown(&'s Arc<str>, &'s Arc<str>),
}

impl<'s> NodeDefault<'s> {
    fn of((node, runtime): (&'s Arc<str>, &'s NodeRuntime)) -> Self {
        match runtime {
            NodeRuntime::Known(baseline) => Self::Known(*baseline, Some(node)),
            NodeRuntime::Unknown(version) => Self::Unknown(node, version),
        }
    }

    /// Whether it is CRI-O's.
    pub(super) fn is_crio(self) -> bool {
        matches!(self, Self::Known(baseline, _) if baseline.runtime == Runtime::Crio)
    }
}

impl<'s> Standard<'s> {
    /// The defaults of the nodes that a pod may land on. None where no node has been seen.
    pub(super) fn defaults(self, pod: &Pod<'_>) -> impl Iterator<Item = NodeDefault<'s>> {
        let (listed, nodes) = match (&self.policy.baselines, self.nodes) {
            (Baselines::Listed(listed), _) => (listed.as_slice(), None),
            (Baselines::Nodes, nodes) => (&[][..], nodes),
        };
        // A node that has not been seen may be any.
        let own = nodes
            .zip(pod.node_name())
            .and_then(|(nodes, name)| nodes.of_node(name));
        let all = nodes.filter(|_| own.is_none());
        let all = all.map_or(&[][..], NodeDefaults::distinct);
        listed
            .iter()
            .map(|baseline| NodeDefault::Known(*baseline, None))
            .chain(own.map(NodeDefault::of))
            .chain(
                all.iter()
                    .map(|(node, runtime)| NodeDefault::of((node, runtime))),
            )
    }
}
