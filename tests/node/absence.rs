//! What goes on while the webhook or the controller is away, and that both run as they are deployed.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{delivery::scratch, pods, support::wait_until, world::World};

const NAMESPACE: &str = "absence";

/// Pods of exempt namespaces start, what runs goes on, and nobody gets in anywhere else.
pub(crate) fn of_the_webhook(world: &mut World) -> Result<()> {
    pods::namespace(world, NAMESPACE, "enforce", "enforce")?;
    pods::apply(world, NAMESPACE, &pods::pod("before", &scratch("before")))?;
    pods::wait_until_ready(world, NAMESPACE, "before", 120)?;
    world.webhook.process.signal("KILL")?;
    world.webhook.process.wait_for_end(10)?;
    pods::apply(
        world,
        "kube-system",
        &pods::pod("system", &scratch("system")),
    )?;
    pods::wait_until_ready(world, "kube-system", "system", 120)?;
    let pod = pods::pod("refused", &scratch("refused")).to_string();
    let ran = world
        .plane
        .kubectl_with(&["-n", NAMESPACE, "apply", "-f", "-"], &pod)?;
    ensure!(
        !ran.ok && ran.stderr.contains("validate.armorgate.dev"),
        "{ran:?}"
    );
    println!("{}", ran.stderr.trim_end());
    // The agent needs none of it to be started again.
    let agent = world
        .agent()?
        .map(|agent| agent["metadata"]["name"].clone());
    world.plane.must(&[
        "-n",
        "kube-system",
        "delete",
        "pod",
        "-l",
        "app.kubernetes.io/name=armorgate-agent",
    ])?;
    world.wait_until_ready()?;
    ensure!(
        world
            .agent()?
            .map(|agent| agent["metadata"]["name"].clone())
            != agent,
        "it is the same agent"
    );
    let before = pods::read(world, NAMESPACE, "before")?;
    ensure!(pods::labels(world, &before)? == [format!("{} (enforce)", pods::asked(&before)?)]);
    ensure!(
        before["status"]["containerStatuses"][0]["restartCount"] == 0,
        "{}",
        before["status"]
    );

    world.restart_webhook()?;
    pods::apply(world, NAMESPACE, &pods::pod("after", &scratch("after")))?;
    pods::wait_until_ready(world, NAMESPACE, "after", 120)?;
    world
        .plane
        .must(&["-n", "kube-system", "delete", "pod", "system"])?;
    Ok(())
}

/// A pod whose profile is an object already starts; the other of two controllers takes over.
pub(crate) fn of_the_controller(world: &mut World) -> Result<()> {
    pods::namespace(world, NAMESPACE, "enforce", "enforce")?;
    pods::apply(world, NAMESPACE, &pods::pod("known", &scratch("known")))?;
    pods::wait_until_ready(world, NAMESPACE, "known", 120)?;
    pods::delete(world, NAMESPACE, "known")?;
    world.controller.signal("KILL")?;
    world.controller.wait_for_end(10)?;
    pods::apply(world, NAMESPACE, &pods::pod("known", &scratch("known")))?;
    pods::wait_until_ready(world, NAMESPACE, "known", 120)?;
    pods::apply(world, NAMESPACE, &pods::pod("new", &scratch("new")))?;
    world.controller = world.start_controller("second")?;
    pods::wait_until_ready(world, NAMESPACE, "new", 240)?;
    Ok(())
}

/// The webhook and the controller as pods of the node, with their own manifests' limits and permissions.
pub(crate) fn of_nothing(world: &mut World) -> Result<()> {
    world.make_certificate()?;
    for name in ["armorgate", "armorgate-controller"] {
        world.plane.must(&[
            "-n",
            "armorgate",
            "scale",
            "deployment",
            name,
            "--replicas=1",
        ])?;
    }
    for name in ["armorgate", "armorgate-controller"] {
        let deployment = format!("deployment/{name}");
        wait_until("available", 240, || {
            let available = world.plane.must(&[
                "-n",
                "armorgate",
                "get",
                &deployment,
                "-o",
                "jsonpath={.status.availableReplicas}",
            ])?;
            Ok((available == "1").then_some(()))
        })?;
        println!(
            "{}",
            world
                .plane
                .must(&["-n", "armorgate", "logs", "--tail=5", &deployment])?
        );
        world
            .plane
            .must(&["-n", "armorgate", "scale", &deployment, "--replicas=0"])?;
    }
    let left = json!([]).to_string();
    wait_until("gone", 120, || {
        let pods =
            world
                .plane
                .must(&["-n", "armorgate", "get", "pods", "-o", "jsonpath={.items}"])?;
        Ok((pods == left).then_some(()))
    })
}
