//! A Deployment is seen as a template: its profile is there before a pod is. Then pods are bound one after the other, and the time
//! is told until the kernel has their profiles: from the binding to the agent's word that it is loaded, both by the API server's
//! audit log.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    delivery::{NOT_FOUND, scratch},
    pods,
    support::wait_until,
    world::{World, is_ready},
};

const NAMESPACE: &str = "templates";
/// How many pods the time is taken of.
const PODS: usize = 10;

pub(crate) fn are_seen_first(world: &mut World) -> Result<()> {
    pods::namespace(world, NAMESPACE, "enforce", "enforce")?;
    let names: Vec<String> = (0..PODS).map(|number| format!("timed-{number}")).collect();
    for name in &names {
        pods::apply(world, NAMESPACE, &deployment(name))?;
    }
    let made = wait_until("a profile for each template", 120, || {
        let made = generated(world)?;
        Ok(names
            .iter()
            .all(|name| made.contains_key(name))
            .then_some(made))
    })?;
    let loaded = world
        .node
        .must("cat /sys/kernel/security/apparmor/profiles")?;
    let mut profiles = BTreeMap::new();
    for name in &names {
        let profile = &made[name];
        ensure!(
            !loaded.contains(profile.as_str()),
            "{profile} is on the node although no pod names it"
        );
        world
            .plane
            .must(&["-n", NAMESPACE, "scale", "deployment", name, "--replicas=1"])?;
        let pod = wait_until("a pod that is ready", 120, || pod_of(world, name))?;
        ensure!(
            pods::asked(&pod)? == *profile,
            "it is of another template: {profile}"
        );
        let labels = pods::labels(world, &pod)?;
        ensure!(labels == [format!("{profile} (enforce)")], "{labels:?}");
        profiles.insert(
            pod["metadata"]["name"]
                .as_str()
                .context("a name")?
                .to_owned(),
            profile.clone(),
        );
    }
    // Not one container was tried before its profile was there.
    let events = world
        .plane
        .must(&["-n", NAMESPACE, "get", "events", "-o", "json"])?;
    ensure!(!events.contains(NOT_FOUND), "{events}");
    let mut waits = waits(world, &profiles)?;
    waits.sort_by(f64::total_cmp);
    let [median, high] = [50, 95].map(|percent| waits[(waits.len() * percent).div_ceil(100) - 1]);
    println!(
        "from bound to loaded, in an emulated node: median {median:.0} ms, p95 {high:.0} ms, of which the parser {:.0} ms",
        parser(world, &made[&names[0]])?
    );
    world
        .plane
        .must(&["-n", NAMESPACE, "delete", "deployments", "--all"])?;
    Ok(())
}

/// The profiles of templates that are made: by the word that is in each.
fn generated(world: &World) -> Result<BTreeMap<String, String>> {
    let list: Value = serde_json::from_str(&world.plane.must(&["get", "aap", "-o", "json"])?)?;
    let mut made = BTreeMap::new();
    for profile in list["items"].as_array().context("items")? {
        let argv = profile["spec"]["source"]["argv"].as_array();
        let argument = argv.and_then(|argv| argv.last()?.as_str());
        let name = profile["metadata"]["name"].as_str();
        let is_ready = profile["status"]["conditions"][0]["status"] == "True";
        if let (Some(argument), Some(name), true) = (argument, name, is_ready) {
            made.insert(argument.to_owned(), name.to_owned());
        }
    }
    Ok(made)
}

fn pod_of(world: &World, deployment: &str) -> Result<Option<Value>> {
    let label = format!("app={deployment}");
    let list = world
        .plane
        .must(&["-n", NAMESPACE, "get", "pods", "-l", &label, "-o", "json"])?;
    let list: Value = serde_json::from_str(&list)?;
    Ok(Some(list["items"][0].clone()).filter(is_ready))
}

/// From bound to loaded, of each pod, in milliseconds.
fn waits(world: &World, profiles: &BTreeMap<String, String>) -> Result<Vec<f64>> {
    let (mut bound, mut loaded) = (BTreeMap::new(), BTreeMap::new());
    for event in world.plane.audit_log()? {
        let time: Timestamp = event["stageTimestamp"]
            .as_str()
            .context("a time")?
            .parse()?;
        let object = &event["objectRef"];
        if object["subresource"] == "binding" && object["namespace"] == NAMESPACE {
            bound.insert(object["name"].as_str().unwrap_or_default().to_owned(), time);
        }
        let told = event["requestObject"]["status"]["profiles"].as_array();
        for profile in told
            .into_iter()
            .flatten()
            .filter(|profile| profile["state"] == "Loaded")
        {
            loaded
                .entry(profile["name"].as_str().unwrap_or_default().to_owned())
                .or_insert(time);
        }
    }
    let waits = profiles.iter().map(|(pod, profile)| {
        let bound = bound.get(pod).with_context(|| format!("{pod} is bound"))?;
        let loaded = loaded
            .get(profile)
            .with_context(|| format!("{profile} is loaded"))?;
        Ok(loaded.duration_since(*bound).as_secs_f64() * 1000.0)
    });
    waits.collect()
}

/// How long the parser alone takes for a profile on this node, in milliseconds.
fn parser(world: &World, profile: &str) -> Result<f64> {
    let script = format!(
        "start=$(date +%s%N); for time in 1 2 3 4 5; do
            apparmor_parser -QKTS /etc/apparmor.d/armorgate/{profile} >/dev/null || exit 1
        done; echo $((($(date +%s%N) - start) / 5000))"
    );
    let microseconds: f64 = world.node.must(&script)?.trim().parse()?;
    Ok(microseconds / 1000.0)
}

fn deployment(name: &str) -> Value {
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": { "replicas": 0, "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels }, "spec": { "containers": [scratch(name)], "terminationGracePeriodSeconds": 5 },
        } },
    })
}
