//! The agent's life: hears from the cluster what pods name and what the texts are, has the node put in order, and writes what
//! came of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::sleep,
};

use super::{
    Health, Node, NodeError, Options, ProfileName, Report, Text, Wishes,
    plan::Standing,
    status::{status, without},
};
use crate::{
    apparmor::include::Includes,
    cluster::{
        NodeObject, NodePods, ObjectText, PodNames, Texts,
        objects::{AppArmorState, NodeProfilesStatus},
    },
    telemetry::{AgentMetrics, LoadLabels, StateLabels},
};

/// LIMIT: profiles that are followed, each that people write over a connection of its own. Nodes have some hundred pods, which
/// share profiles. Those that were followed before stay: a pod with many new names keeps out new ones only.
const MAX_FOLLOWED: usize = 250;

/// LIMIT: bytes of all texts that are followed: they are held, to be loaded again when the kernel has lost them.
const MAX_TEXTS: usize = 8 << 20;

/// How often to look at the node when nothing is heard of: somebody may have unloaded something.
const LOOK: Duration = Duration::from_secs(30);

/// How often to look whether AppArmor has come.
const DISABLED: Duration = Duration::from_mins(1);

/// How long to wait before the object is written again: so long at first, twice as long after each failure.
const WRITE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// An agent on its way.
pub struct Agent {
    /// The node's pods.
    pub pods: NodePods,
    /// The objects with the profiles' texts.
    pub texts: Texts,
    /// The object that says what is loaded.
    pub object: NodeObject,
    /// What it works with.
    pub options: Options,
    /// Where AppArmor's includes come from.
    pub includes: fn() -> Box<dyn Includes + Send>,
    /// How it is.
    pub health: Arc<Health>,
    /// What it counts.
    pub metrics: Arc<AgentMetrics>,
}

/// Runs for ever. It may be dropped at any time: what is loaded stays, and what is half done is gone through with by the next.
pub async fn run(agent: Agent) {
    let Agent {
        pods,
        texts,
        object,
        options,
        includes,
        health,
        metrics,
    } = agent;
    let (said, status) = watch::channel(None);
    let mut tasks = JoinSet::new();
    tasks.spawn(write(object, status, Arc::clone(&health)));
    let node = open(&options, includes, &health, &said).await;
    health.set_node(Ok("ok"));
    let (names, heard) = watch::channel(None);
    tasks.spawn(pods.watch(names));
    let follower = Follower {
        texts,
        health,
        metrics,
        followed: BTreeSet::new(),
        first_seen: BTreeMap::new(),
        said,
    };
    follower.follow(node, heard).await;
    tasks.shutdown().await;
}

/// The node, once its kernel confines. Until then the cluster is told why nothing is done, and nothing is watched.
async fn open(
    options: &Options,
    includes: fn() -> Box<dyn Includes + Send>,
    health: &Health,
    said: &watch::Sender<Option<NodeProfilesStatus>>,
) -> Node {
    loop {
        let (options, includes) = (options.clone(), includes());
        let opened = spawn_blocking(move || Node::open(options, includes)).await;
        let (state, why) = match opened {
            Ok(Ok(node)) => return node,
            Ok(Err(NodeError::Disabled(why))) => {
                // Nothing is wrong: there are nodes without.
                health.set_node(Ok("disabled"));
                health.set_pods(Ok("not watched"));
                (AppArmorState::Disabled, why)
            }
            Ok(Err(error)) => (AppArmorState::Unknown, chain(&error)),
            Err(error) => (AppArmorState::Unknown, error.to_string()),
        };
        if state == AppArmorState::Unknown {
            health.set_node(Err(why.clone()));
        }
        if say(said, without(state, &why)) {
            tracing::warn!(%why, "nothing is loaded on this node");
        }
        sleep(DISABLED).await;
    }
}

/// Whether it is news.
fn say(said: &watch::Sender<Option<NodeProfilesStatus>>, status: NodeProfilesStatus) -> bool {
    said.send_if_modified(|before| {
        let is_new = before.as_ref() != Some(&status);
        *before = Some(status);
        is_new
    })
}

/// Writes the newest status, and only what is new.
async fn write(
    object: NodeObject,
    mut status: watch::Receiver<Option<NodeProfilesStatus>>,
    health: Arc<Health>,
) {
    let mut wait = WRITE.0;
    while status.changed().await.is_ok() {
        loop {
            // Of several that came while one was being written, the last.
            let Some(newest) = status.borrow_and_update().clone() else {
                break;
            };
            match object.write(&newest).await {
                Ok(()) => {
                    health.set_report(Ok("ok"));
                    wait = WRITE.0;
                    break;
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(%error, "cannot say what is loaded, trying again");
                    health.set_report(Err(error));
                    sleep(wait).await;
                    wait = WRITE.1.min(wait.saturating_mul(2));
                }
            }
        }
    }
}

struct Follower {
    texts: Texts,
    health: Arc<Health>,
    metrics: Arc<AgentMetrics>,
    followed: BTreeSet<ProfileName>,
    /// When each profile that is wanted was named first; none once it has been loaded.
    first_seen: BTreeMap<ProfileName, Option<Instant>>,
    said: watch::Sender<Option<NodeProfilesStatus>>,
}

impl Follower {
    async fn follow(mut self, mut node: Node, mut heard: watch::Receiver<Option<PodNames>>) {
        loop {
            let names = heard.borrow_and_update().clone();
            // Before it is known what pods name, nothing is right to be done.
            let mut pause = LOOK;
            if let Some(names) = names {
                self.health.set_pods(Ok("ok"));
                let (wishes, remark) = self.wishes(&names);
                let worked = spawn_blocking(move || {
                    let report = node.reconcile(&wishes, Instant::now());
                    (node, report)
                })
                .await;
                let Ok((back, report)) = worked else {
                    // It has panicked, which no input makes it do, or the runtime ends.
                    tracing::error!("the node's part has ended");
                    return;
                };
                node = back;
                self.tell(report, remark.as_deref());
                pause = node
                    .wait(Instant::now())
                    .map_or(LOOK, |wait| wait.min(LOOK));
            }
            tokio::select! {
                changed = heard.changed() => if changed.is_err() { return },
                () = self.texts.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// What pods want, with as much of the texts as is known; and what is wrong with that as a whole.
    fn wishes(&mut self, names: &PodNames) -> (Wishes, Option<String>) {
        // A name that no object can have is somebody else's.
        let parse = |name: &Arc<str>| ProfileName::parse(name);
        let all: BTreeSet<ProfileName> = names.wanted.iter().filter_map(parse).collect();
        let kept = names.named.iter().filter_map(parse).collect();
        self.followed.retain(|name| all.contains(name));
        for name in &all {
            if self.followed.len() == MAX_FOLLOWED {
                break;
            }
            self.followed.insert(name.clone());
        }
        let followed = self.followed.iter().map(|name| name.as_str().into());
        self.texts.follow(&followed.collect());
        let now = Instant::now();
        self.first_seen.retain(|name, _| all.contains(name));
        let mut left = MAX_TEXTS;
        let mut wanted = BTreeMap::new();
        for name in &all {
            self.first_seen.entry(name.clone()).or_insert(Some(now));
            let text = if self.followed.contains(name) {
                text(self.texts.text(name.as_str()), &mut left)
            } else {
                Text::Waiting(TOO_MANY)
            };
            wanted.insert(name.clone(), text);
        }
        let over = all.len().saturating_sub(self.followed.len());
        let note = (over > 0).then(|| {
            format!("the node's pods name more than {MAX_FOLLOWED} profiles: {over} of them are not loaded")
        });
        let wishes = Wishes {
            wanted,
            named: kept,
        };
        (wishes, note)
    }

    fn tell(&mut self, report: Result<Report, NodeError>, note: Option<&str>) {
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                let error = chain(&error);
                if say(&self.said, without(AppArmorState::Unknown, &error)) {
                    tracing::warn!(%error, "the node cannot be put in order, trying again");
                }
                self.health.set_node(Err(error));
                return;
            }
        };
        self.health.set_node(Ok("ok"));
        self.count(&report);
        say(&self.said, status(&report, note));
    }

    fn count(&mut self, report: &Report) {
        let metrics = &self.metrics;
        for (result, count) in [("loaded", report.loads), ("failed", report.failures)] {
            let loads = metrics.loads.get_or_create(&LoadLabels { result });
            loads.inc_by(count.into());
        }
        let mut states = [("failed", 0), ("foreign", 0), ("loaded", 0), ("waiting", 0)];
        for (name, profile) in &report.profiles {
            let state = match profile.standing {
                Standing::Failed(_) => "failed",
                Standing::Foreign => "foreign",
                Standing::Loaded => "loaded",
                Standing::Pending | Standing::Waiting(_) => "waiting",
            };
            for (known, count) in &mut states {
                *count += i64::from(*known == state);
            }
            // Once for each name, for as long as pods name it.
            if state == "loaded"
                && let Some(since) = self.first_seen.get_mut(name).and_then(Option::take)
            {
                metrics.wait.observe(since.elapsed().as_secs_f64());
            }
        }
        for (state, count) in states {
            metrics
                .profiles
                .get_or_create(&StateLabels { state })
                .set(count);
        }
    }
}

fn text(text: ObjectText, left: &mut usize) -> Text {
    match text {
        ObjectText::Known(text) => match left.checked_sub(text.len()) {
            Some(rest) => {
                *left = rest;
                Text::Known(text)
            }
            None => {
                Text::Waiting("the profiles of the node's pods have more text than the agent holds")
            }
        },
        ObjectText::NoObject => Text::Waiting("there is no AppArmorProfile object of this name"),
        ObjectText::NoText => Text::Waiting("its object has no text yet"),
        ObjectText::NotYet => Text::Waiting("the API server has not said what its text is"),
    }
}

const TOO_MANY: &str = "the node's pods name more profiles than the agent follows";

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}
