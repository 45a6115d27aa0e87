//! What the controller deletes of nodes: their objects, when they have been gone for long.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{Cluster, controller::Scene, support::wait_until};

/// The object of a node goes once the node was gone for its time: not before, not where the node has come back, and not where
/// the agent was there before its node.
pub(crate) fn nodes_that_are_gone(cluster: &Cluster) -> Result<()> {
    let apply = |kind: &str, name: &str| {
        let version = match kind {
            "Node" => "v1",
            _ => "armorgate.dev/v1alpha1",
        };
        let object = json!({
            "apiVersion": version, "kind": kind, "metadata": { "name": name }, "spec": {},
        });
        cluster.plane.must_apply(&object.to_string())
    };
    let delete_node = |name: &str| cluster.plane.must(&["delete", "node", name]).map(drop);
    for name in ["gone-back", "gone-first", "gone-stays"] {
        apply("Node", name)?;
        apply("NodeProfiles", name)?;
    }
    apply("NodeProfiles", "gone-early")?;
    let scene = Scene::new(cluster)?;
    let controller = scene.start("nodes", "10s")?;
    wait_until("leading", 30, || Ok(controller.leads()?.then_some(())))?;
    delete_node("gone-back")?;
    delete_node("gone-first")?;
    apply("Node", "gone-early")?;
    apply("Node", "gone-back")?;
    let is_gone = |name: &str| {
        let what = format!("nodeprofiles/{name}");
        wait_until(&what, 40, || {
            Ok((!cluster.exists("default", &what)?).then_some(()))
        })
    };
    is_gone("gone-first")?;
    // By then whatever has counted the others as gone had deleted them.
    apply("NodeProfiles", "gone-last")?;
    is_gone("gone-last")?;
    for name in ["gone-back", "gone-early", "gone-stays"] {
        let what = format!("nodeprofiles/{name}");
        ensure!(
            cluster.exists("default", &what)?,
            "{what}: {}",
            controller.process.output()
        );
    }
    controller.stop()?;
    cluster.plane.must(&["delete", "nodes", "--all"])?;
    cluster
        .plane
        .must(&["delete", "nodeprofiles", "--all"])
        .map(drop)
}
