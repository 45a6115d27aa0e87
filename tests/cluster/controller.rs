//! The controller with its own service account's token: a real API server, a real registry, the real program.

use std::{fs, ops::Deref};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::{
    compare::{Baseline, Runtime},
    whitelist::Stage,
};
use serde_json::{Value, json};

use crate::{
    Cluster, program,
    replica::{Replica, Shop, generating_namespace, written_profile},
    support::wait_until,
};

/// A cluster, and a registry with an image.
pub(crate) struct Scene<'c> {
    cluster: &'c Cluster,
    shop: Shop,
}

impl Deref for Scene<'_> {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl<'c> Scene<'c> {
    pub(crate) fn new(cluster: &'c Cluster) -> Result<Self> {
        let baseline = Baseline::newest(Runtime::Containerd);
        let shop = Shop::new(&cluster.plane, &json!(["containerd"]), baseline)?;
        Ok(Self { cluster, shop })
    }

    pub(crate) fn start(&self, name: &str, unused_for: &str) -> Result<Replica> {
        self.shop.start(&program(), name, unused_for)
    }

    pub(crate) fn deploy(&self, namespace: &str, name: &str, args: &[&str]) -> Result<()> {
        let deployment = self.deployment(namespace, name, args);
        self.cluster.plane.must_apply(&deployment.to_string())
    }

    /// A namespace in which profiles are generated, and nothing is refused.
    pub(crate) fn namespace(&self, name: &str, mode: &str) -> Result<()> {
        let namespace = generating_namespace(name, mode);
        self.cluster.plane.must_apply(&namespace.to_string())
    }

    /// Creates a pod as `/mutate` leaves it, with a profile of this name.
    fn pod(&self, namespace: &str, name: &str, args: &[&str], profile: &str) -> Result<()> {
        let pod = self.shop.pod(name, args, profile);
        let ran = self.cluster.create(namespace, &pod.to_string())?;
        ensure!(ran.ok, "{ran:?}");
        Ok(())
    }

    fn profile(&self, name: &str) -> Result<Option<Value>> {
        let found =
            self.cluster
                .plane
                .must(&["get", "aap", name, "--ignore-not-found", "-o", "json"])?;
        if found.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&found)?))
    }

    /// Waits for a profile whose status has this at the place.
    pub(crate) fn wait_for(
        &self,
        controller: &Replica,
        name: &str,
        place: &str,
        value: &str,
    ) -> Result<Value> {
        let last = std::cell::RefCell::new(None);
        let found = wait_until("what a profile says", 30, || {
            let profile = self.profile(name)?;
            let is_so = profile
                .as_ref()
                .and_then(|profile| profile.pointer(place))
                .is_some_and(|found| found == value);
            last.borrow_mut().clone_from(&profile);
            Ok(profile.filter(|_| is_so))
        });
        found.with_context(|| {
            format!(
                "{name}: {place} is not {value}: {:?}\n{}",
                last.borrow(),
                controller.process.output()
            )
        })
    }
}

pub(crate) const READY: &str = "/status/conditions/0/status";

/// Templates have their profiles before there is a pod; pods have those of their own names, and nobody another's.
pub(crate) fn profiles_are_made(cluster: &Cluster) -> Result<()> {
    let scene = Scene::new(cluster)?;
    scene.namespace("made", "enforce")?;
    scene.namespace("made-off", "off")?;
    scene.deploy("made", "web", &["first"])?;
    scene.deploy("made-off", "web", &["off"])?;
    let controller = scene.start("maker", "24h")?;

    let name = scene.name(&["first"], Stage::Enforce)?;
    let profile = scene.wait_for(&controller, &name, READY, "True")?;
    let text = profile["spec"]["text"].as_str().context("a text")?;
    ensure!(
        text.contains(&name) && text.contains("/usr/sbin/server"),
        "{text}"
    );
    ensure!(
        profile["spec"]["source"]["argv"] == json!(["first"]),
        "{profile}"
    );
    ensure!(profile["status"]["relation"] == "stronger", "{profile}");
    ensure!(profile["status"]["list"] == "complete", "{profile}");
    ensure!(
        profile["status"]["observedGeneration"] == profile["metadata"]["generation"],
        "{profile}"
    );

    // A pod somewhere where nothing is generated from templates.
    let (own, forged) = (
        scene.name(&["own"], Stage::Audit)?,
        scene.name(&["another"], Stage::Enforce)?,
    );
    scene.pod("made-off", "forged", &["own"], &forged)?;
    scene.pod("made-off", "own", &["own"], &own)?;
    scene.wait_for(&controller, &own, READY, "True")?;
    wait_until("told of the forged name", 20, || {
        Ok(controller
            .process
            .output()
            .contains("has not the name of what it runs")
            .then_some(()))
    })?;
    ensure!(
        scene.profile(&forged)?.is_none(),
        "a profile for a forged name"
    );
    ensure!(
        scene
            .profile(&scene.name(&["off"], Stage::Enforce)?)?
            .is_none(),
        "made where it is off"
    );

    // The mode of a namespace changes while it runs.
    scene.namespace("made-off", "audit")?;
    scene.wait_for(
        &controller,
        &scene.name(&["off"], Stage::Audit)?,
        READY,
        "True",
    )?;

    // What a generated profile is made of, and its text, stay.
    for patch in [
        json!({ "spec": { "text": "profile x { }" } }),
        json!({ "spec": { "source": { "stage": "audit" } } }),
        json!({ "spec": { "source": null } }),
    ] {
        let ran = cluster.plane.kubectl(&[
            "patch",
            "aap",
            &name,
            "--type=merge",
            "-p",
            &patch.to_string(),
        ])?;
        ensure!(
            !ran.ok && ran.stderr.contains("does not change"),
            "{patch}: {ran:?}"
        );
    }
    controller.stop()
}

/// An image that cannot be read is told in the object, and read once it can be.
pub(crate) fn failures_are_told(cluster: &Cluster) -> Result<()> {
    let scene = Scene::new(cluster)?;
    scene.namespace("failing", "off")?;
    let config = fs::read_to_string(scene.path("config.yaml"))?;
    fs::write(scene.path("config.yaml"), r#"{"baselines":["containerd"]}"#)?;
    let controller = scene.start("failing", "24h")?;
    let name = scene.name(&["failing"], Stage::Enforce)?;
    scene.pod("failing", "web", &["failing"], &name)?;
    let profile = scene.wait_for(&controller, &name, READY, "False")?;
    let condition = &profile["status"]["conditions"][0];
    ensure!(condition["reason"] == "ImageUnreadable", "{condition}");
    ensure!(
        condition["message"]
            .as_str()
            .is_some_and(|text| text.contains("localhost")),
        "{condition}"
    );
    ensure!(profile["spec"]["text"].is_null(), "{profile}");
    // Which profiles a template needs is not even known: an Event of the workload says why, once, however often it is tried.
    scene.namespace("failing", "enforce")?;
    for (number, args) in [["1"], ["2"], ["3"]].iter().enumerate() {
        scene.deploy("failing", "told", args)?;
        wait_until("looked at", 30, || {
            let log = controller.process.output();
            let looks = log.matches("cannot tell which profiles this needs");
            Ok((looks.count() > number).then_some(()))
        })?;
    }
    let arguments = ["-n", "failing", "get", "events.events.k8s.io", "-o", "json"];
    let events: Value = serde_json::from_str(&cluster.plane.must(&arguments)?)?;
    let items = events["items"].as_array().context("a list")?;
    let [event] = items.as_slice() else {
        bail!("one Event: {events}")
    };
    let note = event["note"].as_str().context("a note")?;
    ensure!(
        event["reason"] == "ImageUnreadable" && note.contains("localhost"),
        "{event}"
    );
    let description = ["-n", "failing", "describe", "deployment", "told"];
    let description = cluster.plane.must(&description)?;
    ensure!(description.contains("ImageUnreadable"), "{description}");

    fs::write(scene.path("config.yaml"), config)?;
    scene.wait_for(&controller, &name, READY, "True")?;
    let told = scene.name(&["3"], Stage::Enforce)?;
    scene.wait_for(&controller, &told, READY, "True")?;
    controller.stop()
}

/// What people write is judged: `kubectl get aap` shows it.
pub(crate) fn profiles_of_people_are_judged(cluster: &Cluster) -> Result<()> {
    let scene = Scene::new(cluster)?;
    let controller = scene.start("judge", "24h")?;
    let apply = |name: &str, text: &str| {
        let object = written_profile(name, text);
        cluster.plane.must_apply(&object.to_string())
    };
    apply(
        "weak-of-people",
        "profile weak-of-people {\n  allow all,\n}\n",
    )?;
    let profile = scene.wait_for(&controller, "weak-of-people", "/status/relation", "weaker")?;
    let witness = profile["status"]["witness"]
        .as_str()
        .context("a witness")?
        .to_owned();
    ensure!(witness.starts_with("may "), "{witness}");
    let table = cluster.plane.must(&["get", "aap", "weak-of-people"])?;
    ensure!(
        table.contains("weaker") && table.contains(&witness),
        "{table}"
    );

    // The webhook lets no text of another name in; of an object from before it was there, `controller::judging` tells.
    ensure!(apply("other-of-people", "profile another { }\n").is_err());
    apply("other-of-people", "profile other-of-people { /x r, }\n")?;
    let profile = scene.wait_for(&controller, "other-of-people", READY, "True")?;
    ensure!(profile["status"]["relation"] == "stronger", "{profile}");
    // Changed, it is judged again.
    apply(
        "other-of-people",
        "profile other-of-people { allow all, }\n",
    )?;
    scene.wait_for(&controller, "other-of-people", "/status/relation", "weaker")?;

    let empty = json!({
        "apiVersion": "armorgate.dev/v1alpha1", "kind": "AppArmorProfile",
        "metadata": { "name": "empty-of-people" }, "spec": {},
    });
    let ran = cluster.create("default", &empty.to_string())?;
    ensure!(
        !ran.ok && ran.stderr.contains("write the profile's text"),
        "{ran:?}"
    );
    controller.stop()
}

/// Of two one leads; when it is killed the other takes over.
pub(crate) fn one_leads(cluster: &Cluster) -> Result<()> {
    let scene = Scene::new(cluster)?;
    scene.namespace("led", "enforce")?;
    let (first, second) = (scene.start("first", "24h")?, scene.start("second", "24h")?);
    let leads = wait_until("a leader", 30, || {
        let leads = (first.leads()?, second.leads()?);
        Ok((leads != (false, false)).then_some(leads))
    })?;
    let (mut leader, other) = match leads {
        (true, false) => (first, second),
        (false, true) => (second, first),
        both => bail!("{both:?} lead"),
    };
    scene.deploy("led", "before", &["before"])?;
    scene.wait_for(
        &leader,
        &scene.name(&["before"], Stage::Enforce)?,
        READY,
        "True",
    )?;
    ensure!(!other.leads()?, "both lead");
    leader.process.signal("KILL")?;
    leader.process.wait_for_end(10)?;
    scene.deploy("led", "after", &["after"])?;
    wait_until("taken over", 40, || Ok(other.leads()?.then_some(())))?;
    scene.wait_for(
        &other,
        &scene.name(&["after"], Stage::Enforce)?,
        READY,
        "True",
    )?;
    other.stop()?;
    let holder = cluster.lease("{.spec.holderIdentity}")?;
    ensure!(holder.is_empty(), "the lease is released: {holder}");
    Ok(())
}

/// What nothing names any more goes after its time; what somebody wrote, or a template names, stays.
pub(crate) fn garbage_is_collected(cluster: &Cluster) -> Result<()> {
    let scene = Scene::new(cluster)?;
    scene.namespace("swept", "enforce")?;
    for name in ["goes", "stays"] {
        scene.deploy("swept", name, &[name])?;
    }
    let written = written_profile("written", "profile written { }\n");
    cluster.plane.must_apply(&written.to_string())?;
    let controller = scene.start("sweeper", "3s")?;
    let [goes, stays] = [["goes"], ["stays"]].map(|args| scene.name(&args, Stage::Enforce));
    let (goes, stays) = (goes?, stays?);
    for name in [&goes, &stays] {
        scene.wait_for(&controller, name, READY, "True")?;
    }
    // A pod that names it without having been seen to ask for it keeps it too.
    let by_hand = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "by-hand" }, "spec": { "containers": [{
            "name": "web", "image": "web", "securityContext": {
                "appArmorProfile": { "type": "Localhost", "localhostProfile": goes },
            },
        }] },
    });
    let ran = cluster.create("swept", &by_hand.to_string())?;
    ensure!(ran.ok, "{ran:?}");
    cluster
        .plane
        .must(&["-n", "swept", "delete", "deployment", "goes"])?;
    scene.deploy("swept", "temporary", &["temporary"])?;
    let temporary = scene.name(&["temporary"], Stage::Enforce)?;
    scene.wait_for(&controller, &temporary, READY, "True")?;
    cluster
        .plane
        .must(&["-n", "swept", "delete", "deployment", "temporary"])?;
    wait_until("collected", 30, || {
        Ok(scene.profile(&temporary)?.is_none().then_some(()))
    })?;
    ensure!(
        scene.profile(&goes)?.is_some(),
        "a pod names it: {}",
        controller.process.output()
    );
    cluster.plane.must(&[
        "-n",
        "swept",
        "delete",
        "pod",
        "by-hand",
        "--force",
        "--grace-period=0",
    ])?;
    wait_until("collected", 30, || {
        Ok(scene.profile(&goes)?.is_none().then_some(()))
    })?;
    for name in [stays.as_str(), "written"] {
        ensure!(scene.profile(name)?.is_some(), "{name} stays");
    }
    controller.stop()
}
