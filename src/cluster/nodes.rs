//! What every Linux node runs, from a watch of nodes that lasts while it is wanted.
//!
//! Of a node only its name and its runtime are kept. Kubelets write a node's status every few minutes, and whenever an image
//! comes or goes: what is known is replaced only where a runtime is new or a node is gone.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    core::{ApiResource, NotUsed, Object},
    runtime::{WatchStreamExt as _, watcher},
};
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::verdict::{NodeDefaults, NodeRuntime};

/// The nodes of the cluster with what they run. Clones share what they know.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    client: Option<Client>,
    watch: ArcSwapOption<Watch>,
}

/// A watch; it ends when this goes.
struct Watch {
    seen: Arc<Seen>,
    _task: JoinSet<()>,
}

/// What has been seen, or why nothing has.
type Seen = ArcSwap<Result<Arc<NodeDefaults>, NotListed>>;

/// Why it is not known what the nodes run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotListed {
    /// The API server does not give the list.
    #[error("the nodes cannot be listed: {0}")]
    Failed(String),
    /// The list is on its way.
    #[error("the nodes are not listed yet")]
    NotYet,
    /// Nobody has asked for it.
    #[error("the nodes are not watched")]
    NotWatched,
}

/// There is no cluster to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`baselines: nodes` needs a cluster: without one, list the runtimes, such as `[containerd@2.1]`"
)]
pub struct NoCluster;

/// Since when nodes are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// They were before.
    Before,
    /// They are from now on.
    Now,
}

impl Nodes {
    /// The nodes of a cluster, or of none. Nothing is known yet; [`Self::follow`] begins to ask.
    #[must_use]
    pub fn new(client: Option<Client>) -> Self {
        Self(Arc::new(Inner {
            client,
            watch: ArcSwapOption::empty(),
        }))
    }

    /// Follows the cluster's nodes until [`Self::forget`], coping with whatever the API server does. Inside a tokio runtime only.
    pub fn follow(&self) -> Result<Since, NoCluster> {
        let client = self.0.client.clone().ok_or(NoCluster)?;
        if self.0.watch.load().is_some() {
            return Ok(Since::Before);
        }
        let seen = Arc::new(ArcSwap::from_pointee(Err(NotListed::NotYet)));
        let mut task = JoinSet::new();
        task.spawn(watch(client, Arc::clone(&seen)));
        let watch = Watch { seen, _task: task };
        self.0.watch.store(Some(Arc::new(watch)));
        Ok(Since::Now)
    }

    /// Stops following, and forgets what was seen.
    pub fn forget(&self) {
        self.0.watch.store(None);
    }

    /// What the nodes run, as far as the watch has come.
    pub fn defaults(&self) -> Result<Arc<NodeDefaults>, NotListed> {
        match &*self.0.watch.load() {
            Some(watch) => Result::clone(&watch.seen.load()),
            None => Err(NotListed::NotWatched),
        }
    }
}

/// What is read of a node. The API server sends all of it: metadata alone, as of namespaces, would be without the status.
type NodeObject = Object<NotUsed, NodeStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeStatus {
    node_info: NodeInfo,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeInfo {
    container_runtime_version: String,
    operating_system: String,
}

/// LIMIT: nodes in an answer of the API server. One has tens of kilobytes: it names fifty images, and who wrote what. Three
/// thousand of them, read so, took 2.5 MiB more.
const PAGE: u32 = 25;

async fn watch(client: Client, seen: Arc<Seen>) {
    let api: Api<NodeObject> = Api::all_with(client, &ApiResource::erase::<Node>(&()));
    let stream = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
    pin_mut!(stream);
    let mut watched = Watched::default();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                if watched.apply(event) == Change::Some {
                    publish(&seen, NodeDefaults::new(watched.runtimes.clone()));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot watch nodes, trying again");
                // What was seen before is still the best that is known.
                if seen.load().is_err() {
                    seen.store(Arc::new(Err(NotListed::Failed(error.to_string()))));
                }
            }
        }
    }
}

fn publish(seen: &Seen, defaults: NodeDefaults) {
    let defaults = Arc::new(defaults);
    let before = seen.swap(Arc::new(Ok(Arc::clone(&defaults))));
    let is_new =
        Result::as_ref(&before).map_or(true, |before| before.distinct() != defaults.distinct());
    if !is_new {
        return;
    }
    let baselines: Vec<String> = defaults
        .baselines()
        .map(|known| known.to_string())
        .collect();
    tracing::info!(baselines = baselines.join(", "), "what the nodes run");
    for (node, runtime) in defaults.distinct() {
        if let NodeRuntime::Unknown(version) = runtime {
            tracing::warn!(%node, %version, "nothing is known of this node's runtime, so Localhost profiles are unknown");
        }
    }
}

/// What a watch has seen of Linux nodes.
#[derive(Default)]
struct Watched {
    runtimes: BTreeMap<Arc<str>, NodeRuntime>,
    listed: BTreeMap<Arc<str>, NodeRuntime>,
    was_listed: bool,
}

/// What an event changes of what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Some,
}

impl Watched {
    fn apply(&mut self, event: watcher::Event<NodeObject>) -> Change {
        let changes = match event {
            watcher::Event::Apply(node) => set(&mut self.runtimes, node),
            watcher::Event::Delete(node) => {
                let name = node.metadata.name.unwrap_or_default();
                self.runtimes.remove(name.as_str()).is_some()
            }
            watcher::Event::Init => {
                self.listed.clear();
                false
            }
            watcher::Event::InitApply(node) => {
                set(&mut self.listed, node);
                false
            }
            watcher::Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let changes = !self.was_listed || listed != self.runtimes;
                (self.runtimes, self.was_listed) = (listed, true);
                changes
            }
        };
        if changes { Change::Some } else { Change::None }
    }
}

/// Whether it was not so before.
fn set(runtimes: &mut BTreeMap<Arc<str>, NodeRuntime>, node: NodeObject) -> bool {
    let name = node.metadata.name.unwrap_or_default();
    let info = node.status.unwrap_or_default().node_info;
    // A kubelet's own word for it (`runtime.GOOS`); one that has not said anything yet may run Linux.
    if info.operating_system == "windows" {
        return runtimes.remove(name.as_str()).is_some();
    }
    let runtime = NodeRuntime::of(&info.container_runtime_version);
    match runtimes.entry(name.into()) {
        Entry::Vacant(place) => {
            place.insert(runtime);
            true
        }
        Entry::Occupied(place) if *place.get() == runtime => false,
        Entry::Occupied(mut place) => {
            place.insert(runtime);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::{Change, NoCluster, NodeObject, NodeRuntime, Nodes, NotListed, Watched};

    fn node(name: &str, system: &str, version: &str) -> NodeObject {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name }, "managedFields": [] },
            "spec": { "podCIDR": "10.0.0.0/24" },
            "status": {
                "images": [{ "names": ["i"], "sizeBytes": 1 }],
                "nodeInfo": { "containerRuntimeVersion": version, "operatingSystem": system, "architecture": "amd64" },
            },
        });
        serde_json::from_value(node).unwrap()
    }

    fn listed(nodes: &[(&str, &str)]) -> Watched {
        let mut watched = Watched::default();
        assert_eq!(watched.apply(Event::Init), Change::None);
        for (name, version) in nodes {
            let event = Event::InitApply(node(name, "linux", version));
            assert_eq!(
                watched.apply(event),
                Change::None,
                "not before all are listed"
            );
        }
        assert_eq!(watched.apply(Event::InitDone), Change::Some);
        watched
    }

    #[test]
    fn an_empty_list_is_a_list() {
        assert!(listed(&[]).runtimes.is_empty());
    }

    #[test]
    fn only_runtimes_and_nodes_that_come_or_go_are_changes() {
        let mut watched = listed(&[("a", "containerd://2.1.4"), ("b", "cri-o://1.33.0")]);
        let apply = |name, version| Event::Apply(node(name, "linux", version));
        for (event, change) in [
            (apply("a", "containerd://2.1.4"), Change::None),
            (apply("a", "containerd://2.1.5"), Change::Some),
            (apply("c", "containerd://2.1.5"), Change::Some),
            (Event::Delete(node("c", "linux", "")), Change::Some),
            (Event::Delete(node("c", "linux", "")), Change::None),
            (Event::Init, Change::None),
            (
                Event::InitApply(node("a", "linux", "containerd://2.1.5")),
                Change::None,
            ),
            (
                Event::InitApply(node("b", "linux", "cri-o://1.33.0")),
                Change::None,
            ),
            (Event::InitDone, Change::None),
            (Event::Init, Change::None),
            (
                Event::InitApply(node("a", "linux", "containerd://2.1.5")),
                Change::None,
            ),
            (Event::InitDone, Change::Some),
        ] {
            assert_eq!(watched.apply(event), change);
        }
        assert_eq!(
            watched
                .runtimes
                .keys()
                .map(|name| &**name)
                .collect::<Vec<_>>(),
            ["a"]
        );
    }

    #[test]
    fn windows_nodes_do_not_count_and_silent_ones_are_unknown() {
        let mut watched = listed(&[]);
        let windows = || node("w", "windows", "containerd://2.1.4");
        assert_eq!(watched.apply(Event::Apply(windows())), Change::None);
        for silent in [
            json!({ "metadata": { "name": "w" }, "spec": {} }),
            json!({ "metadata": { "name": "w" }, "spec": {}, "status": {} }),
        ] {
            let silent: NodeObject = serde_json::from_value(silent).unwrap();
            assert_eq!(watched.apply(Event::Apply(silent)), Change::Some);
            assert_eq!(watched.runtimes.get("w"), Some(&NodeRuntime::of("")));
            assert_eq!(watched.apply(Event::Apply(windows())), Change::Some);
            assert!(watched.runtimes.is_empty());
        }
    }

    #[test]
    fn without_a_cluster_there_is_nothing_to_follow() {
        let nodes = Nodes::new(None);
        assert_eq!(nodes.follow(), Err(NoCluster));
        assert_eq!(nodes.defaults(), Err(NotListed::NotWatched));
    }
}
