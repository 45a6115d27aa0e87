//! What a cluster of some size comes to, and how that grows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Result, ensure};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use crate::{
    etcd::{Stored, in_use, stored},
    heard::Counts,
    support::memory,
    world::{Size, World},
};

/// What was measured, and when.
pub(crate) struct Measure {
    size: Size,
    node_profiles: Stored,
    profiles: Stored,
    pods: Stored,
    nodes: Stored,
    in_use: u64,
    /// Of all agents.
    heard: Vec<Counts>,
    /// Of the controller, in KiB: now, at most, and with the files that it maps.
    held: [u64; 3],
    took: Duration,
}

impl Measure {
    pub(crate) fn take(world: &World, memory: &Memory, took: Duration) -> Result<Self> {
        let etcd = &world.plane.etcd_url;
        let agents = world.agents.iter();
        Ok(Self {
            size: world.size,
            node_profiles: stored(etcd, "/registry/armorgate.dev/nodeprofiles/")?,
            profiles: stored(etcd, "/registry/armorgate.dev/apparmorprofiles/")?,
            pods: stored(etcd, "/registry/pods/")?,
            nodes: stored(etcd, "/registry/minions/")?,
            in_use: in_use(etcd)?,
            heard: agents.map(|agent| agent.heard.counts().clone()).collect(),
            held: [memory.now("RssAnon")?, memory.peak()?, memory.now("VmHWM")?],
            took,
        })
    }

    /// An object for each node and for each profile, each as large as before, and as much for a node to hear.
    pub(crate) fn grows_to(&self, later: &Self) -> Result<()> {
        for measure in [self, later] {
            let (size, nodes, profiles) = (measure.size, measure.node_profiles, measure.profiles);
            ensure!(nodes.objects == count(size.nodes), "{nodes:?}");
            ensure!(profiles.objects == count(size.profiles()), "{profiles:?}");
        }
        for (what, before, after, percent) in [
            (
                "a NodeProfiles object",
                self.node_profiles.each(),
                later.node_profiles.each(),
                2,
            ),
            (
                "an AppArmorProfile object",
                self.profiles.each(),
                later.profiles.each(),
                2,
            ),
            (
                "a node's watches",
                self.mean(watched),
                later.mean(watched),
                10,
            ),
            ("a node's lists", self.mean(listed), later.mean(listed), 10),
            ("a node's writes", self.mean(writes), later.mean(writes), 25),
            // Four times of everything, with history; what the cluster itself brings does not grow.
            ("a quarter of etcd", self.in_use, later.in_use / 4, 10),
        ] {
            let most = before * (100 + percent) / 100;
            ensure!(after <= most, "{what} was {before} and is {after}");
        }
        Ok(())
    }

    fn mean(&self, of: fn(&Counts) -> u64) -> u64 {
        self.heard.iter().map(of).sum::<u64>() / count(self.heard.len()).max(1)
    }

    fn most(&self, of: fn(&Counts) -> u64) -> u64 {
        self.heard.iter().map(of).max().unwrap_or_default()
    }

    fn rows(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("nodes", count(self.size.nodes)),
            ("AppArmorProfile objects", self.profiles.objects),
            ("pods, with those of the agents", self.pods.objects),
            ("NodeProfiles objects", self.node_profiles.objects),
            ("etcd: NodeProfiles, bytes", self.node_profiles.bytes),
            ("  each", self.node_profiles.each()),
            ("etcd: AppArmorProfile, bytes", self.profiles.bytes),
            ("  each", self.profiles.each()),
            ("etcd: pods, bytes", self.pods.bytes),
            ("etcd: nodes, bytes", self.nodes.bytes),
            ("etcd: in use with history, bytes", self.in_use),
            (
                "a node's agent: watches",
                self.mean(|counts| counts.watches),
            ),
            ("  events", self.mean(|counts| counts.events.values().sum())),
            ("  bytes of events", self.mean(watched)),
            ("  most", self.most(watched)),
            (
                "  bytes of bookmarks",
                self.mean(|counts| counts.bookmarked),
            ),
            ("a node's agent: lists", self.mean(|counts| counts.lists)),
            ("  bytes of lists", self.mean(listed)),
            ("  most", self.most(listed)),
            ("a node's agent: writes", self.mean(writes)),
            ("  most", self.most(writes)),
            (
                "answers to all agents that are errors",
                self.heard.iter().map(|counts| counts.refused).sum(),
            ),
            ("the controller: holds, KiB", self.held[0]),
            ("  at most", self.held[1]),
            ("  at most, with its debug build's file", self.held[2]),
            ("seconds until all of it was delivered", self.took.as_secs()),
        ]
    }
}

fn watched(counts: &Counts) -> u64 {
    counts.watched
}

fn listed(counts: &Counts) -> u64 {
    counts.listed
}

fn writes(counts: &Counts) -> u64 {
    counts.writes
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Both side by side, and how much more it is.
pub(crate) fn print(before: &Measure, after: &Measure) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["", "a quarter", "all", "times"]);
    for ((what, before), (_, after)) in before.rows().into_iter().zip(after.rows()) {
        let tenths = after * 10 / before.max(1);
        let times = format!("{}.{}", tenths / 10, tenths % 10);
        table.add_row([
            what.to_owned(),
            before.to_string(),
            after.to_string(),
            times,
        ]);
    }
    println!("{table}");
}

/// The most memory that a process has ever held itself, as far as looking often shows it: the kernel keeps no such number.
pub(crate) struct Memory {
    process: u32,
    most: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    looking: Option<JoinHandle<()>>,
}

impl Memory {
    pub(crate) fn of(process: u32) -> Self {
        let (most, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (seen, over) = (Arc::clone(&most), Arc::clone(&is_over));
        let looking = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed)
                && let Ok(held) = memory(process, "RssAnon")
            {
                seen.fetch_max(held, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self {
            process,
            most,
            is_over,
            looking: Some(looking),
        }
    }

    fn now(&self, field: &str) -> Result<u64> {
        memory(self.process, field)
    }

    pub(crate) fn peak(&self) -> Result<u64> {
        let most = self.most.load(Ordering::Relaxed);
        ensure!(most > 0, "nobody has looked");
        Ok(most)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(looking) = self.looking.take() {
            let _ = looking.join();
        }
    }
}
