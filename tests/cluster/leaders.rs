//! Two replicas and one lease, whatever becomes of the leader: one leads at a time, what was to be done is done once, and nothing
//! is lost.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use armorgate::whitelist::Stage;

use crate::{
    Cluster,
    controller::{READY, Scene},
    replica::{Replica, metric, written_profile},
    support::{control_plane::ControlPlane, wait_until},
};

/// Killed in turn while templates and profiles come, also when nobody leads.
pub(crate) fn killed_in_turn(cluster: &Cluster) -> Result<()> {
    let mut work = Work::new(cluster, "turns")?;
    let mut pair = Pair::start(cluster, &work.scene, ["turn-0", "turn-1"])?;
    let transitions = pair.transitions()?;
    for (turn, name) in ["turn-2", "turn-3"].into_iter().enumerate() {
        work.comes(&format!("before-{turn}"))?;
        pair.leader.process.signal("KILL")?;
        pair.leader.process.wait_for_end(10)?;
        work.comes(&format!("between-{turn}"))?;
        let started = work.scene.start(name, "24h")?;
        pair.looking.also(started.admin);
        pair.leader = started;
        pair.wait_until_one_leads()?;
    }
    work.comes("after")?;
    work.is_done_once(&pair)?;
    ensure!(
        pair.transitions()? == transitions + 2,
        "as often as a leader was killed: {} {transitions}",
        pair.transitions()?
    );
    pair.stop()
}

/// Stopped for longer than its lease lasts, a leader wakes up as one of those that wait.
pub(crate) fn stopped(cluster: &Cluster) -> Result<()> {
    let mut work = Work::new(cluster, "stopped")?;
    // Who wakes up says for a moment what it was: the limit of `cluster::lease`.
    let names = ["stopped-0", "stopped-1"];
    let pair = Pair::start_with(cluster, &work.scene, names, 1)?;
    work.comes("half-done")?;
    pair.leader.process.signal("STOP")?;
    work.comes("meanwhile")?;
    wait_until("taken over", 40, || Ok(pair.other.leads()?.then_some(())))?;
    work.is_done(&pair.other)?;
    pair.leader.process.signal("CONT")?;
    wait_until("one of those that wait", 5, || {
        Ok((!pair.leader.leads()?).then_some(()))
    })?;
    ensure!(
        pair.leader.process.output().contains("leading no more"),
        "{}",
        pair.leader.process.output()
    );
    work.comes("after")?;
    work.is_done_once(&pair)?;
    ensure!(pair.other.leads()?, "{}", pair.other.process.output());
    pair.stop()
}

/// When the API server takes no renewal, the leader steps down before another one may take over.
pub(crate) fn silent_api_server(cluster: &Cluster) -> Result<()> {
    let mut work = Work::new(cluster, "silent")?;
    let mut pair = Pair::start(cluster, &work.scene, ["silent-0", "silent-1"])?;
    work.comes("before")?;
    work.is_done(&pair.leader)?;
    cluster.plane.signal("STOP")?;
    // A lease lasts for 15 s, and the last renewal was up to 5 s ago.
    let stepped_down = wait_until("stepped down", 15, || {
        Ok((!pair.leader.leads()? && !pair.other.leads()?).then_some(()))
    });
    cluster.plane.signal("CONT")?;
    stepped_down?;
    pair.wait_until_one_leads()?;
    work.comes("after")?;
    work.is_done_once(&pair)?;
    pair.stop()
}

/// What comes to a cluster, and must be done once.
struct Work<'c> {
    scene: Scene<'c>,
    plane: &'c ControlPlane,
    namespace: &'static str,
    generated: Vec<String>,
    written: Vec<String>,
}

impl<'c> Work<'c> {
    fn new(cluster: &'c Cluster, namespace: &'static str) -> Result<Self> {
        let scene = Scene::new(cluster)?;
        scene.namespace(namespace, "enforce")?;
        Ok(Self {
            scene,
            plane: &cluster.plane,
            namespace,
            generated: Vec::new(),
            written: Vec::new(),
        })
    }

    /// Two templates, and two profiles of people.
    fn comes(&mut self, what: &str) -> Result<()> {
        for number in 0..2 {
            let name = format!("{what}-{number}");
            self.scene.deploy(self.namespace, &name, &[&name])?;
            self.generated
                .push(self.scene.name(&[&name], Stage::Enforce)?);
            let name = format!("{}-{name}", self.namespace);
            let profile = written_profile(&name, &format!("profile {name} {{ /x r, }}\n"));
            self.plane.must_apply(&profile.to_string())?;
            self.written.push(name);
        }
        Ok(())
    }

    /// Waits until every profile is there, and sound.
    fn is_done(&self, leader: &Replica) -> Result<()> {
        for name in self.generated.iter().chain(&self.written) {
            self.scene.wait_for(leader, name, READY, "True")?;
        }
        Ok(())
    }

    /// The same, and nothing of it was done twice: by the API server's own log of who has written what, and by the generation of
    /// the objects. Of what a controller was killed over, the log need not say that it was written.
    fn is_done_once(&self, pair: &Pair<'_>) -> Result<()> {
        self.is_done(&pair.leader)?;
        let mut writes: BTreeMap<(String, String), u32> = BTreeMap::new();
        for entry in self.plane.audit_log()? {
            let text = |place: &str| entry.pointer(place).and_then(serde_json::Value::as_str);
            let is_controller =
                text("/user/username").is_some_and(|user| user.ends_with(":armorgate-controller"));
            let is_patch = text("/verb") == Some("patch");
            let is_written = entry.pointer("/responseStatus/code") == Some(&200.into());
            if is_controller && is_patch && is_written {
                let name = text("/objectRef/name").context("a name")?;
                let part = text("/objectRef/subresource").unwrap_or("text");
                *writes
                    .entry((name.to_owned(), part.to_owned()))
                    .or_default() += 1;
            }
        }
        let count = |name: &String, part: &str| {
            let key = (name.clone(), part.to_owned());
            writes.get(&key).copied().unwrap_or_default()
        };
        let told = || {
            format!(
                "{}\n{}",
                pair.leader.process.output(),
                pair.other.process.output()
            )
        };
        // Made, then given its text; or written with it.
        let generated = self.generated.iter().map(|name| (name, 2));
        let written = self.written.iter().map(|name| (name, 1));
        for (name, generation) in generated.chain(written) {
            let counts = (count(name, "text"), count(name, "status"));
            let place = "jsonpath={.metadata.generation}";
            let found = self.plane.must(&["get", "aap", name, "-o", place])?;
            ensure!(
                counts.0 < generation && counts.1 <= 1 && found == generation.to_string(),
                "{name}: generation {found}, writes of text and status {counts:?}\n{}",
                told()
            );
        }
        Ok(())
    }
}

/// Two replicas, of which one leads.
struct Pair<'c> {
    cluster: &'c Cluster,
    leader: Replica,
    other: Replica,
    looking: Looking,
}

impl<'c> Pair<'c> {
    fn start(cluster: &'c Cluster, scene: &Scene<'_>, names: [&str; 2]) -> Result<Self> {
        Self::start_with(cluster, scene, names, 0)
    }

    fn start_with(
        cluster: &'c Cluster,
        scene: &Scene<'_>,
        names: [&str; 2],
        patience: u64,
    ) -> Result<Self> {
        let (leader, other) = (scene.start(names[0], "24h")?, scene.start(names[1], "24h")?);
        let looking = Looking::at(vec![leader.admin, other.admin], patience);
        let mut pair = Self {
            cluster,
            leader,
            other,
            looking,
        };
        pair.wait_until_one_leads()?;
        Ok(pair)
    }

    /// Waits until one leads: whichever.
    fn wait_until_one_leads(&mut self) -> Result<()> {
        let is_other = wait_until("a leader", 40, || {
            let leads = (self.leader.leads()?, self.other.leads()?);
            Ok((leads.0 != leads.1).then_some(leads.1))
        })?;
        if is_other {
            std::mem::swap(&mut self.leader, &mut self.other);
        }
        Ok(())
    }

    /// How often the lease has changed hands.
    fn transitions(&self) -> Result<u32> {
        let text = self.cluster.lease("{.spec.leaseTransitions}")?;
        Ok(text.trim().parse()?)
    }

    /// Ends both; there never were two leaders.
    fn stop(self) -> Result<()> {
        let (looks, both) = self.looking.found();
        ensure!(looks > 20, "looked {looks} times only");
        ensure!(both == 0, "{both} times of {looks} both led");
        self.other.stop()?;
        self.leader.stop()
    }
}

/// Looks all the time which replicas say that they lead.
struct Looking {
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    looks: Arc<AtomicU64>,
    both: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Looking {
    /// Two that lead are found once that lasts for so many seconds.
    fn at(addresses: Vec<SocketAddr>, patience: u64) -> Self {
        let addresses = Arc::new(Mutex::new(addresses));
        let (looks, both) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let is_over = Arc::<AtomicBool>::default();
        let seen = (
            Arc::clone(&addresses),
            Arc::clone(&looks),
            Arc::clone(&both),
        );
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let (addresses, looks, both) = seen;
            while !over.load(Ordering::Relaxed) {
                let addresses = addresses
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                // Who was killed or stopped does not say so.
                let leads = |address: &&SocketAddr| {
                    let leads = metric(**address, "armorgate_controller_leader", 1);
                    leads.is_ok_and(|leads| leads == Some(1))
                };
                let leaders: Vec<&SocketAddr> = addresses.iter().filter(leads).collect();
                // One may have stepped down before the next was asked: only who still leads then has led beside it.
                let one = wait_until("one leader", patience, || {
                    let still = leaders.iter().filter(|address| leads(address)).count();
                    Ok((still < 2).then_some(()))
                });
                if one.is_err() {
                    both.fetch_add(1, Ordering::Relaxed);
                }
                looks.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self {
            addresses,
            looks,
            both,
            is_over,
            thread: Some(thread),
        }
    }

    fn also(&self, address: SocketAddr) {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        addresses.push(address);
    }

    /// How often it has looked, and how often more than one led.
    fn found(&self) -> (u64, u64) {
        (
            self.looks.load(Ordering::Relaxed),
            self.both.load(Ordering::Relaxed),
        )
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
