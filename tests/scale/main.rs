//! How the delivery of profiles grows: a thousand nodes' agents, two hundred profiles and five thousand pods, on the real API
//! server, with the real controller, without kubelets and kernels.
//!
//! A quarter of everything comes first, then the rest: nodes times profiles are sixteen times as many then, and nothing may grow
//! but by four.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail loudly, and has a table to print"
)]

mod etcd;
mod fleet;
mod heard;
#[path = "../support/images.rs"]
mod images;
mod measures;
#[expect(dead_code, reason = "access is open here")]
#[path = "../support/registry.rs"]
mod registry;
#[expect(dead_code, reason = "other tests want more")]
#[path = "../support/replica.rs"]
mod replica;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::{agent::Fingerprint, cluster::objects::AppArmorProfile};
use kube::ResourceExt as _;
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::sleep;

use crate::{
    fleet::Agent,
    heard::Counts,
    measures::{Measure, Memory, print},
    replica::Replica,
    world::{NAMED, PODS, Size, World, change, pod_name, text, written_name},
};

const QUARTER: Size = Size {
    nodes: 250,
    written: 40,
    generated: 10,
};

const FULL: Size = Size {
    nodes: 1_000,
    written: 160,
    generated: 40,
};

/// What the controller may hold itself, in KiB. Of a program with debug information, the mapped file is not counted.
const MEMORY: u64 = 64 << 10;

fn main() -> ExitCode {
    let trial = Trial::test(
        "what_is_delivered_grows_with_nodes_and_with_profiles_and_not_with_both_multiplied",
        || run().map_err(|error| Failed::from(format!("{error:#}"))),
    );
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn run() -> Result<()> {
    armorgate::tls::install_provider();
    // Each watch of each agent is a connection, as the agents' own are.
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(grows(folder.path().to_owned()))
}

async fn grows(folder: PathBuf) -> Result<()> {
    let mut world = World::new(&folder).await?;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_armorgate"));
    let first = world.shop.start(&program, "first", "24h")?;
    let memory = Memory::of(first.process.id());

    let quarter = grow(&mut world, &first, &memory, QUARTER).await?;
    let before: Vec<Counts> = heard(&world.agents);
    let full = grow(&mut world, &first, &memory, FULL).await?;
    print(&quarter, &full);
    let after = heard(&world.agents);
    for (agent, (before, after)) in world.agents.iter().zip(before.iter().zip(&after)) {
        let (node, was, is) = (&agent.node, &before.events, &after.events);
        ensure!(
            was == is && before.writes == after.writes,
            "others came, and {node} heard of it: {was:?} {is:?}"
        );
    }
    for (number, agent) in world.agents.iter().enumerate() {
        hears_of_its_own(&world, number, agent)?;
    }
    quarter.grows_to(&full)?;
    let peak = memory.peak()?;
    ensure!(peak <= MEMORY, "the controller held {peak} KiB");

    a_change_is_heard_by_those_that_name_it(&world).await?;
    another_leader_takes_over_and_writes_nothing(&world, first, &program).await
}

/// Nodes, profiles and pods come until there are so many, and everything is where it belongs.
async fn grow(
    world: &mut World,
    replica: &Replica,
    memory: &Memory,
    size: Size,
) -> Result<Measure> {
    let (started, from) = (Instant::now(), world.size);
    let nodes = from.nodes..size.nodes;
    let (joined, ()) = tokio::try_join!(world.join(nodes.clone()), world.write(from, size))?;
    world.agents.extend(joined);
    world.size = size;
    delivered(world, replica, 0).await?;
    // Those that pods name first have no object yet.
    let known = size.written + from.generated + (size.generated - from.generated).div_ceil(2);
    settled(world, known).await?;
    world.fill(nodes, size).await?;
    delivered(world, replica, NAMED).await?;
    let profiles = settled(world, size.profiles()).await?;
    for profile in profiles {
        let relation = profile
            .status
            .as_ref()
            .and_then(|status| status.relation.as_deref());
        ensure!(relation == Some("stronger"), "{profile:?}");
    }
    idle(replica).await?;
    Measure::take(world, memory, started.elapsed())
}

/// Waits until every agent says that so many profiles are loaded.
async fn delivered(world: &World, replica: &Replica, profiles: usize) -> Result<()> {
    let is_waiting = |agent: &&Agent| agent.loaded().is_none_or(|loaded| loaded < profiles);
    let delivered = until("every profile loaded", 300, async || {
        Ok((!world.agents.iter().any(|agent| is_waiting(&agent))).then_some(()))
    });
    let waiting = || {
        let waiting: Vec<&Agent> = world.agents.iter().filter(is_waiting).collect();
        let (agent, log) = (waiting.first(), replica.process.output());
        let heard = agent.map(|agent| agent.heard.counts().clone());
        let node = agent.map(|agent| &agent.node);
        format!("{} wait, first {node:?}: {heard:?}\n{log}", waiting.len())
    };
    delivered.await.with_context(waiting)
}

/// Waits until there are so many profiles, each with its text and a status that is about it.
async fn settled(world: &World, profiles: usize) -> Result<Vec<AppArmorProfile>> {
    until("every profile judged", 300, async || {
        let all = world.profiles().await?;
        let is_judged = |profile: &AppArmorProfile| {
            let status = profile.status.as_ref();
            let observed = status.map(|status| status.observed_generation);
            profile.spec.text.is_some() && observed == profile.metadata.generation
        };
        let done = all.len() == profiles && all.iter().all(is_judged);
        Ok(done.then_some(all))
    })
    .await
}

/// Waits until the leader has nothing to do.
async fn idle(replica: &Replica) -> Result<()> {
    until("nothing left to do", 300, async || {
        let queued = replica.metric("armorgate_controller_queue")?;
        Ok((queued == Some(0)).then_some(()))
    })
    .await
}

fn heard(agents: &[Agent]) -> Vec<Counts> {
    let counts = agents.iter().map(|agent| agent.heard.counts().clone());
    counts.collect()
}

/// Of each of its own pods once, of the profiles that these name as often as they were written, and of nothing else.
fn hears_of_its_own(world: &World, number: usize, agent: &Agent) -> Result<()> {
    let scans = agent.heard.counts().scans;
    ensure!(
        scans == 0,
        "{}: {scans} lists of the newest pods",
        agent.node
    );
    let size = if number < QUARTER.nodes {
        QUARTER
    } else {
        FULL
    };
    let mut events = agent.heard.counts().events.clone();
    for pod in 0..PODS {
        let heard = events.remove(&("Pod".to_owned(), pod_name(number, pod)));
        ensure!(heard == Some(1), "{}: {pod} {heard:?}", agent.node);
    }
    let named = world.profiles_of(number, size)?;
    // What people wrote was there before, and listed. One that is made is created, given its text, and its status.
    let generated = ("AppArmorProfile".to_owned(), named[0].clone());
    let heard = events.remove(&generated).unwrap_or_default();
    ensure!(heard <= 3, "{}: {heard} of {generated:?}", agent.node);
    ensure!(events.is_empty(), "{}: {events:?}", agent.node);

    let written = agent.written.borrow();
    let told = written.as_ref().context("a status")?.profiles.iter();
    let told: BTreeSet<&str> = told.map(|profile| profile.name.as_str()).collect();
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    ensure!(told == named, "{}: {told:?} {named:?}", agent.node);
    Ok(())
}

/// A profile's new text, and the status that follows it, come to the nodes whose pods name it, and to no others.
async fn a_change_is_heard_by_those_that_name_it(world: &World) -> Result<()> {
    let name = written_name(0);
    let new = text(&name, "\n    deny /srv/more/** wl,")?;
    let hash: String = Fingerprint::of(new.as_bytes()).into();
    let before = heard(&world.agents);
    let loaded = |agent: &Agent| {
        let written = agent.written.borrow();
        let mut profiles = written.iter().flat_map(|status| &status.profiles);
        let profile = profiles.find(|profile| profile.name == name);
        profile.map(|profile| profile.text.as_ref() == Some(&hash))
    };
    let concerned = world.agents.iter().filter(|agent| loaded(agent).is_some());
    let concerned = concerned.count();
    change(world, &name, &new).await?;
    settled(world, FULL.profiles()).await?;
    until("the new text loaded", 60, async || {
        let mut agents = world.agents.iter();
        Ok((agents.all(|agent| loaded(agent) != Some(false))).then_some(()))
    })
    .await?;
    let mut told = 0;
    for (agent, before) in world.agents.iter().zip(&before) {
        let expected = if loaded(agent).is_some() { 2 } else { 0 };
        let key = ("AppArmorProfile".to_owned(), name.clone());
        until("the status heard of", 20, async || {
            let events = agent.heard.counts().events.get(&key).copied();
            Ok((events.unwrap_or_default() >= expected).then_some(()))
        })
        .await?;
        let after = agent.heard.counts();
        let sum = |counts: &Counts| counts.events.values().sum::<u64>();
        let more = sum(&after) - sum(before);
        ensure!(more == expected, "{}: {more} {expected}", agent.node);
        told += more;
    }
    println!(
        "a profile's new text: {told} events to {concerned} nodes of {}",
        FULL.nodes
    );
    ensure!(concerned < FULL.nodes / 10, "{concerned}");
    Ok(())
}

/// The next leader reads what there is, and has nothing to write.
async fn another_leader_takes_over_and_writes_nothing(
    world: &World,
    first: Replica,
    program: &std::path::Path,
) -> Result<()> {
    let versions = async || {
        let profiles = world.profiles().await?;
        let version = |profile: &AppArmorProfile| (profile.name_any(), profile.resource_version());
        Ok::<BTreeMap<_, _>, anyhow::Error>(profiles.iter().map(version).collect())
    };
    let (before, read) = (versions().await?, pods_read(world).await?);
    let second = world.shop.start(program, "second", "24h")?;
    let memory = Memory::of(second.process.id());
    first.stop()?;
    let started = Instant::now();
    let pods = u64::try_from(FULL.pods())?;
    until("every pod looked at", 300, async || {
        let done = pods_read(world).await? >= read + pods;
        Ok(done.then_some(()))
    })
    .await?;
    idle(&second).await?;
    println!(
        "another leader knows everything {:?} after the first has ended, holding {} KiB at most",
        started.elapsed(),
        memory.peak()?
    );
    ensure!(memory.peak()? <= MEMORY, "it held {} KiB", memory.peak()?);
    ensure!(versions().await? == before, "it has written profiles");
    for result in ["ok", "failed", "conflict"] {
        let name = format!("armorgate_generations_total{{result=\"{result}\"}}");
        ensure!(second.metric(&name)?.is_none(), "it has made profiles");
    }
    second.stop()
}

/// How many pods were read one by one so far: nobody does so but the controller.
async fn pods_read(world: &World) -> Result<u64> {
    let request = axum::http::Request::get("/metrics").body(Vec::new())?;
    let metrics = world.client.request_text(request).await?;
    let is_read = |line: &&str| {
        line.starts_with("apiserver_request_total{")
            && line.contains("resource=\"pods\"")
            && line.contains("verb=\"GET\"")
    };
    let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
    Ok(metrics.lines().filter(is_read).filter_map(value).sum())
}

/// Polls until `ready` gives something.
async fn until<T>(
    what: &str,
    seconds: u64,
    mut ready: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(done) = ready().await? {
            return Ok(done);
        }
        if Instant::now() > deadline {
            bail!("not {what} within {seconds} s");
        }
        sleep(Duration::from_millis(200)).await;
    }
}
