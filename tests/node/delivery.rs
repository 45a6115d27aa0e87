//! Profiles reach the node before containers start, or containers wait; what is weaker is refused, what is foreign is left alone.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{node::NODE, pods, support::wait_until, world::World};

const NAMESPACE: &str = "delivery";
/// While the controller is away there is no text: the container waits, and has never run under anything else.
pub(crate) fn cold(world: &mut World) -> Result<()> {
    pods::namespace(world, NAMESPACE, "enforce", "enforce")?;
    world.controller.signal("STOP")?;
    pods::apply(world, NAMESPACE, &pods::pod("cold", &scratch("cold")))?;
    let waits = wait_until("waiting for its profile", 180, || {
        let pod = pods::read(world, NAMESPACE, "cold")?;
        let status = &pod["status"]["containerStatuses"][0];
        ensure!(
            status["state"]["running"].is_null() && status["lastState"]["terminated"].is_null(),
            "it runs: {status}"
        );
        let message = status["state"]["waiting"]["message"]
            .as_str()
            .unwrap_or_default();
        Ok(message.contains(NOT_FOUND).then(|| message.to_owned()))
    });
    let state = wait_until("the agent says that it waits", 30, || {
        let state = on_node(world, &pods::asked(&pods::read(world, NAMESPACE, "cold")?)?)?;
        Ok(state.filter(|state| state["state"] == "Waiting"))
    });
    world.controller.signal("CONT")?;
    println!("while it waits: {}; {}", waits?, state?);
    let pod = pods::wait_until_ready(world, NAMESPACE, "cold", 180)?;
    let labels = pods::labels(world, &pod)?;
    ensure!(
        labels == [format!("{} (enforce)", pods::asked(&pod)?)],
        "{labels:?}"
    );
    ensure!(
        pod["status"]["containerStatuses"][0]["restartCount"] == 0,
        "{}",
        pod["status"]
    );
    pods::delete(world, NAMESPACE, "cold")?;
    Ok(())
}

/// A profile of a user's own that is weaker than the default is an object like any other, and says so; who names it is refused.
pub(crate) fn weaker(world: &mut World) -> Result<()> {
    pods::namespace(world, NAMESPACE, "enforce", "enforce")?;
    world.plane.must_apply(
        &profile(
            "lax",
            "profile lax { file, network, capability, signal, ptrace, unix, umount, }",
        )
        .to_string(),
    )?;
    let table = wait_until("judged", 60, || {
        let table = world.plane.must(&["get", "aap", "lax"])?;
        Ok(table.contains("weaker").then_some(table))
    })?;
    println!("{table}");
    ensure!(table.contains("may trace"), "no witness: {table}");
    let mut container = scratch("lax");
    container["securityContext"] =
        json!({ "appArmorProfile": { "type": "Localhost", "localhostProfile": "lax" } });
    let pod = pods::pod("lax", &container).to_string();
    let ran = world
        .plane
        .kubectl_with(&["-n", NAMESPACE, "apply", "-f", "-"], &pod)?;
    println!("{}", ran.stderr);
    ensure!(
        !ran.ok && ran.stderr.contains("lax") && ran.stderr.contains("weaker"),
        "{ran:?}"
    );
    world.plane.must(&["delete", "aap", "lax"])?;
    Ok(())
}

/// What somebody else loaded under the name of an object stays as it is; the node's object tells.
pub(crate) fn foreign(world: &mut World) -> Result<()> {
    pods::namespace(world, NAMESPACE, "enforce", "enforce")?;
    let name = "theirs";
    let load = format!(
        "echo 'profile {name} {{ file, network, deny /proc/** w, }}' | apparmor_parser -K -a"
    );
    world.node.must(&load)?;
    let hash = || {
        world.node.must(&format!(
            "cat /sys/kernel/security/apparmor/policy/profiles/{name}.*/sha256"
        ))
    };
    let before = hash()?;
    // Of a text that is no weaker than the default: the gate lets its pod in.
    world
        .plane
        .must_apply(&profile(name, &format!("profile {name} {{ /server rix, }}")).to_string())?;
    let mut container = scratch("foreign");
    container["securityContext"] =
        json!({ "appArmorProfile": { "type": "Localhost", "localhostProfile": name } });
    wait_until("the pod is let in", 30, || {
        let pod = pods::pod("foreign", &container).to_string();
        Ok(world
            .plane
            .kubectl_with(&["-n", NAMESPACE, "apply", "-f", "-"], &pod)?
            .ok
            .then_some(()))
    })?;
    let told = wait_until("reported", 60, || {
        Ok(on_node(world, name)?.filter(|profile| profile["state"] == "Foreign"))
    })?;
    println!("{told}");
    ensure!(hash()? == before, "another profile is loaded now");
    world.plane.must(&[
        "-n",
        NAMESPACE,
        "delete",
        "pod",
        "foreign",
        "--force",
        "--grace-period=0",
    ])?;
    world.plane.must(&["delete", "aap", name])?;
    // Nobody names it any more, and it is not the agent's to unload.
    wait_until("no more reported", 60, || {
        Ok(on_node(world, name)?.is_none().then_some(()))
    })?;
    ensure!(hash()? == before, "the foreign profile is gone");
    Ok(())
}

/// What the node's object says of a profile.
fn on_node(world: &World, profile: &str) -> Result<Option<Value>> {
    let object = world
        .plane
        .must(&["get", "nodeprofiles", NODE, "-o", "json"])?;
    let object: Value = serde_json::from_str(&object)?;
    let profiles = object["status"]["profiles"].as_array();
    let mut profiles = profiles.into_iter().flatten();
    Ok(profiles.find(|found| found["name"] == profile).cloned())
}

fn profile(name: &str, text: &str) -> Value {
    json!({ "apiVersion": "armorgate.dev/v1alpha1", "kind": "AppArmorProfile", "metadata": { "name": name }, "spec": { "text": text } })
}

/// What the kubelet says of a container whose profile is not loaded.
pub(crate) const NOT_FOUND: &str = "apparmor profile not found";

/// A container of the static server, with a word more: each word makes a profile of its own. Without a probe: each time that one
/// is executed is seconds of work for an emulated node.
pub(crate) fn scratch(word: &str) -> Value {
    let mut container = pods::container("scratch");
    container["args"] = json!(["wait", word]);
    container
}
