//! Pods of ten images, and everything that can be taken away meanwhile: the agent at each step of its work, the API
//! server, etcd, the node's power. From the first to the last moment a watcher in the node looks that no process of theirs is
//! under anything but its profile, and that no profile goes that a process has.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    machine::build,
    pods, starts, stock,
    subject::{Entry, Subject},
    support::wait_until,
    world::{World, is_ready},
};

const NAMESPACE: &str = "many";
const IMAGES: usize = 10;
const PODS: usize = 100;

/// Steps of an agent at whose system call it is killed, and at the how manieth.
const STEPS: [(&str, usize); 6] = [
    // It asks for the text, or says that it waits.
    (SEND, 1),
    // The parser is started.
    ("clone,clone3,vfork", 1),
    // What it is about to load is recorded; the text gets its name.
    (RENAME, 1),
    (RENAME, 2),
    // So that the node's boot finds it.
    ("symlink,symlinkat", 1),
    // It says what is loaded.
    (SEND, 3),
];

/// One pod after the other, and each time the agent is killed at another step of what it does for it.
pub(crate) fn agent_is_killed(world: &mut World) -> Result<()> {
    pods::namespace(world, NAMESPACE, "enforce", "enforce")?;
    for image in 0..IMAGES {
        push(world, image)?;
    }
    watch(world)?;
    for (number, (call, when)) in STEPS.into_iter().enumerate() {
        kill_agent_at(world, call, when, number)
            .with_context(|| format!("killing the agent at {call} {when}"))?;
    }
    all_run(world, STEPS.len(), 300)?;
    watched(world)
}

/// All at once, and the agent is killed while it is at it.
pub(crate) fn pods_come_at_once(world: &mut World) -> Result<()> {
    let began = Instant::now();
    let manifests: Vec<Value> = (0..PODS)
        .map(|number| many(&format!("pod-{number}"), number % IMAGES))
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": manifests });
    pods::apply(world, NAMESPACE, &list)?;
    let before = loaded(world)?.len();
    wait_until("the first of their profiles", 300, || {
        Ok((loaded(world)?.len() > before).then_some(()))
    })?;
    world
        .node
        .must("pkill -KILL -f '^/usr/local/bin/armorgate agent'")?;
    all_run(world, PODS + STEPS.len(), 1500)?;
    println!(
        "{PODS} pods run after {:.0} s",
        began.elapsed().as_secs_f64()
    );
    watched(world)
}

/// Without the API server, and without etcd for half a minute, what runs goes on; then everything is as before.
pub(crate) fn control_plane_goes(world: &mut World) -> Result<()> {
    pods::apply(world, NAMESPACE, &many("before-api-server", 3))?;
    world.plane.restart_api_server()?;
    pods::wait_until_ready(world, NAMESPACE, "before-api-server", 240)?;
    pods::apply(world, NAMESPACE, &many("before-etcd", 4))?;
    world.plane.stop_etcd()?;
    let until = Instant::now() + Duration::from_secs(30);
    wait_until("half a minute without etcd", 60, || {
        watched(world)?;
        Ok((Instant::now() > until).then_some(()))
    })?;
    world.plane.start_etcd()?;
    pods::wait_until_ready(world, NAMESPACE, "before-etcd", 300)?;
    world.wait_until_ready()?;
    all_run(world, PODS + STEPS.len() + 2, 300)?;
    watched(world)
}

/// The node is reset: its boot loads the profiles before containers start, and all pods run again under theirs.
pub(crate) fn node_is_reset(world: &mut World) -> Result<()> {
    watched(world)?;
    let profiles = loaded(world)?;
    let began = Instant::now();
    world.node.reset()?;
    watch(world)?;
    // Written by the first process before it starts containerd.
    let booted = world.node.must("cat /run/profiles-at-boot")?;
    let restored = booted
        .lines()
        .filter(|line| line.starts_with("armorgate.many"))
        .count();
    ensure!(
        restored == profiles.len(),
        "{restored} of {} profiles came with the boot",
        profiles.len()
    );
    wait_until("all pods run again", 900, || {
        let pods = all(world)?;
        let again = pods.iter().filter(|pod| {
            let status = &pod["status"]["containerStatuses"][0];
            is_ready(pod)
                && status["restartCount"]
                    .as_u64()
                    .is_some_and(|count| count >= 1)
        });
        Ok((again.count() == pods.len()).then_some(()))
    })?;
    println!(
        "all run again {:.0} s after the reset",
        began.elapsed().as_secs_f64()
    );
    world.wait_until_ready()?;
    ensure!(
        loaded(world)? == profiles,
        "other profiles are loaded than before"
    );
    all_run(world, PODS + STEPS.len() + 2, 60)?;
    watched(world)
}

/// Gives the agent something to do, and has the kernel kill it at a system call of its; then it is done by the next.
fn kill_agent_at(world: &World, call: &str, when: usize, number: usize) -> Result<()> {
    let before = world.agent()?.context("an agent")?;
    let script = format!(
        "agent=$(pgrep -f '^/usr/local/bin/armorgate agent') || exit 1
         strace -f -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={when} -p $agent >/dev/null 2>&1 &
         until grep -q 'TracerPid:.[1-9]' /proc/$agent/status; do kill -0 $agent || exit 2; done"
    );
    world.node.must(&script)?;
    let name = format!("step-{number}");
    pods::apply(world, NAMESPACE, &many(&name, PODS + number))?;
    let count = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
    wait_until("killed and started again", 180, || {
        let now = world.agent()?.context("an agent")?;
        Ok((count(&now) > count(&before) && is_ready(&now)).then_some(()))
    })
}

/// Every pod of the namespace is ready, and runs under its own profile, by the kernel.
fn all_run(world: &World, expected: usize, seconds: u64) -> Result<()> {
    let pods = wait_until("all pods are ready", seconds, || {
        let pods = all(world)?;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        Ok((ready == expected && pods.len() == expected).then_some(pods))
    })?;
    let script = "for process in /proc/[0-9]*; do
            [ \"$(readlink $process/exe)\" = /app/server ] && echo \"$(tr -d '\\0' <$process/cgroup) $(cat $process/attr/current)\"
        done; true";
    let processes = world.node.must(script)?;
    for pod in &pods {
        let id = pod["metadata"]["uid"].as_str().context("a uid")?;
        let expected = format!("{} (enforce)", pods::asked(pod)?);
        let mut own = processes
            .lines()
            .filter(|line| line.contains(id))
            .peekable();
        ensure!(
            own.peek().is_some(),
            "no process of {}",
            pod["metadata"]["name"]
        );
        ensure!(
            own.all(|line| line.ends_with(&expected)),
            "{}: not {expected}",
            pod["metadata"]["name"]
        );
    }
    Ok(())
}

fn all(world: &World) -> Result<Vec<Value>> {
    let list: Value = serde_json::from_str(
        &world
            .plane
            .must(&["-n", NAMESPACE, "get", "pods", "-o", "json"])?,
    )?;
    Ok(list["items"].as_array().context("items")?.clone())
}

/// The profiles of these pods in the kernel.
fn loaded(world: &World) -> Result<Vec<String>> {
    let text = world
        .node
        .must("grep ^armorgate.many /sys/kernel/security/apparmor/profiles | sort")?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Starts the watcher in the node.
fn watch(world: &World) -> Result<()> {
    let options = ["-Cstrip=symbols", "-Ctarget-feature=+crt-static"];
    let program = build(
        "watcher",
        &[("watcher.rs", include_str!("../guest/watcher.rs"))],
        &options,
    )?;
    world.node.put(&program, WATCHER)?;
    let start = format!(
        "setsid {WATCHER} /app/server armorgate.many /run/watched >/run/watcher.log 2>&1 &"
    );
    world.node.must(&start)?;
    wait_until("looked at", 60, || Ok(watched(world).is_ok().then_some(())))
}

/// It is still there, has looked, and has seen nothing wrong.
fn watched(world: &World) -> Result<()> {
    let report = world
        .node
        .must("pgrep -x watcher >/dev/null && cat /run/watched")?;
    ensure!(!report.contains("WRONG"), "{report}");
    ensure!(report.contains("round"), "it has not looked: {report}");
    Ok(())
}

/// One of the ten images: they differ in a file.
fn push(world: &World, number: usize) -> Result<()> {
    let scratch = starts::scratch()?;
    let names = [
        "many-0", "many-1", "many-2", "many-3", "many-4", "many-5", "many-6", "many-7", "many-8",
        "many-9",
    ];
    let program = starts::server()?;
    let own = vec![
        Entry::program("app/server", program),
        Entry::text("app/number", names[number]),
    ];
    let config = json!({ "Entrypoint": ["/app/server"] });
    stock::push(
        &world.registry,
        &Subject {
            name: names[number],
            own,
            config,
            ..scratch
        },
    )
}

/// A pod of one of the images, whose word makes a profile of its own. On the host's network: nothing here is about that, and it
/// halves what an emulated node has to do.
fn many(name: &str, number: usize) -> Value {
    let mut container = pods::container(&format!("many-{}", number % IMAGES));
    container["args"] = json!(["wait", format!("word-{number}")]);
    let mut pod = pods::pod(name, &container);
    pod["spec"]["hostNetwork"] = json!(true);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(2);
    pod
}

const RENAME: &str = "rename,renameat,renameat2";
const SEND: &str = "sendmsg,sendto,writev";
/// Where the watcher is: nothing runs from `/run`.
const WATCHER: &str = "/usr/local/bin/watcher";
