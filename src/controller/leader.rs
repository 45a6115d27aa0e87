//! The leader's loop: from happenings to the state machine, and from its actions to work.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    gone,
    judging::Yardsticks,
    lane::Ending,
    state::{Action, Looked, State},
    work::Work,
};
use crate::{
    cluster::{Label, Namespaces, Nodes, ObjectKey, WHITELIST_LABEL, watch_all},
    compare::Baseline,
    verdict::{Baselines, Mode, Policy},
};

/// What a piece of work came to.
enum Came {
    Collected(Vec<Arc<str>>),
    Judged(Arc<str>, Ending),
    Looked(ObjectKey, Mode, Looked),
    Made(Arc<str>, Ending),
}

/// LIMIT: happenings that wait.
const HAPPENINGS: usize = 256;

/// Works until this is dropped: everything that it has begun ends then.
pub(super) async fn work(work: Arc<Work>, unused_for: Duration, tick: Duration) {
    let policy = work.settings.policy.clone();
    let namespaces = Namespaces::new(&[WHITELIST_LABEL]);
    let mut watches = JoinSet::new();
    watches.spawn(namespaces.clone().watch(work.client.clone()));
    watches.spawn(gone::collect(work.client.clone(), unused_for));
    let nodes = Nodes::new(Some(work.client.clone()));
    if policy.baselines == Baselines::Nodes
        && let Err(error) = nodes.follow()
    {
        tracing::error!(%error, "the nodes are not watched");
    }
    let (to, mut happenings) = mpsc::channel(HAPPENINGS);
    let _objects = watch_all(&work.client, &to);
    let mut running: JoinSet<Came> = JoinSet::new();
    let mut state = State::new(unused_for);
    let started = Instant::now();
    let mut ticks = interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut measures = Measures::default();
    loop {
        // Without the modes of namespaces and the nodes' defaults it would not be known what is needed.
        let is_ready = namespaces.is_synced() && measures.is_known();
        while is_ready && let Some(action) = state.begin(started.elapsed()) {
            begin(&mut running, &work, &namespaces, &measures, action);
        }
        work.metrics
            .queued
            .set(i64::try_from(state.queued()).unwrap_or(i64::MAX));
        let due = state.next_due().filter(|_| is_ready);
        let pause = due.map_or(tick, |due| due.saturating_sub(started.elapsed()));
        tokio::select! {
            // Nothing ends the watches but the end of all of this.
            Some(happening) = happenings.recv() => state.happened(happening, started.elapsed()),
            Some(came) = running.join_next() => match came {
                Ok(came) => ended(&mut state, came, started.elapsed()),
                Err(error) => {
                    // What has ended so would be held to be running for ever: begin anew with what the cluster says.
                    tracing::error!(%error, "a piece of work has died, starting anew: this is a defect, please report it");
                    return;
                }
            },
            _ = ticks.tick() => {
                if measures.renew(&policy, &nodes) {
                    state.baselines(measures.names(), started.elapsed());
                }
                if is_ready
                    && let Some(action) = state.tick(started.elapsed(), |namespace| mode(&policy, &namespaces, namespace))
                {
                    begin(&mut running, &work, &namespaces, &measures, action);
                }
            }
            () = sleep(pause) => {}
        }
    }
}

fn begin(
    running: &mut JoinSet<Came>,
    work: &Arc<Work>,
    namespaces: &Namespaces,
    measures: &Measures,
    action: Action,
) {
    let (work, yardsticks) = (Arc::clone(work), Arc::clone(&measures.yardsticks));
    match action {
        Action::Collect(names) => {
            running.spawn(async move { Came::Collected(work.collect(names).await) });
        }
        Action::Judge(name) => {
            running.spawn(async move {
                let ending = work.judge(&name, &yardsticks).await;
                Came::Judged(name, ending)
            });
        }
        Action::Look(key) => {
            let mode = mode(&work.settings.policy, namespaces, &key.namespace);
            let baselines = measures.generation.clone();
            running.spawn(async move {
                let looked = work.look(&key, mode, &baselines).await;
                Came::Looked(key, mode, looked)
            });
        }
        Action::Make(name, need) => {
            running.spawn(async move {
                let ending = work.make(&name, &need, &yardsticks).await;
                Came::Made(name, ending)
            });
        }
    }
}

fn ended(state: &mut State, came: Came, now: Duration) {
    match came {
        Came::Collected(kept) => state.collected(&kept, now),
        Came::Judged(name, ending) => state.judged(&name, ending, now),
        Came::Looked(key, mode, looked) => state.looked(&key, mode, looked, now),
        Came::Made(name, ending) => state.made(&name, ending, now),
    }
}

/// The mode of generated profiles in a namespace. What no label can be is as good as none: the cluster's mode holds.
fn mode(policy: &Policy, namespaces: &Namespaces, namespace: &str) -> Mode {
    let label = match namespaces.label(namespace, WHITELIST_LABEL) {
        Label::Value(value) => Mode::named(&value),
        Label::NoSuchNamespace | Label::Unset => None,
    };
    label.unwrap_or(policy.modes.whitelist)
}

/// The defaults that profiles are held to.
struct Measures {
    baselines: Option<Vec<Baseline>>,
    /// The one that generated profiles begin with first.
    generation: Vec<Baseline>,
    yardsticks: Arc<Yardsticks>,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            baselines: None,
            generation: Vec::new(),
            yardsticks: Arc::new(Yardsticks::new(&[])),
        }
    }
}

impl Measures {
    fn is_known(&self) -> bool {
        self.baselines.is_some()
    }

    fn names(&self) -> Vec<String> {
        let baselines = self.baselines.iter().flatten();
        baselines.map(Baseline::to_string).collect()
    }

    /// Looks which they are; whether they are others than before.
    fn renew(&mut self, policy: &Policy, nodes: &Nodes) -> bool {
        let defaults = nodes.defaults().ok();
        let baselines: Vec<Baseline> = match (&policy.baselines, &defaults) {
            (Baselines::Listed(listed), _) => listed.clone(),
            (Baselines::Nodes, Some(defaults)) => defaults.baselines().collect(),
            // What was known before is still the best that is known.
            (Baselines::Nodes, None) => return false,
        };
        if self.baselines.as_ref() == Some(&baselines) {
            return false;
        }
        let first = policy.generation_baseline(defaults.as_deref());
        self.generation = first.into_iter().collect();
        let others = baselines
            .iter()
            .filter(|baseline| Some(**baseline) != first);
        self.generation.extend(others);
        self.yardsticks = Arc::new(Yardsticks::new(&baselines));
        self.baselines = Some(baselines);
        true
    }
}
