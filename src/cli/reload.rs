//! Looks at certificate, configuration and profiles on a timer, and swaps in what is new and sound.
//!
//! A timer follows mounted Secrets and ConfigMaps, which change by swapping a symlink. Comparisons that become due by then, also
//! since a node has brought another baseline, are made here, so that no pod need wait for them. What is broken is refused once per
//! content: the older one stays in use, `/readyz` and a metric tell.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{config, profiles, registries};
use crate::{
    admission::{Gate, Health, Mutator, Resolver},
    cluster::{NotListed, Since},
    compare::Baseline,
    report::text::sentence,
    telemetry::{Metrics, ReloadLabels},
    tls::{Certificates, Renewal},
    verdict::{Baselines, Policy, ProfileTexts, Profiles},
};

/// What is looked at.
pub(super) struct Sources {
    pub(super) config: Option<PathBuf>,
    pub(super) profiles: Vec<PathBuf>,
    pub(super) includes: Vec<PathBuf>,
    pub(super) certificates: Arc<Certificates>,
}

/// Keeps a gate's inputs current.
pub(super) struct Reloader {
    sources: Sources,
    gate: Arc<Gate>,
    mutator: Arc<Mutator>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    seen_profiles: Vec<Stamp>,
    texts: ProfileTexts,
    compared: Vec<Baseline>,
    config_refusal: Option<String>,
    profiles_refusal: Option<String>,
}

/// What is broken in new profiles that was not in the old.
fn new_problem(old: &ProfileTexts, new: &ProfileTexts) -> Option<String> {
    let mut problems = new.problems().iter();
    let problem = problems.find(|problem| !old.problems().contains(problem))?;
    Some(problem.to_string())
}

/// Whether a policy can take effect.
enum Prepared {
    Never(String),
    NotYet,
    Ready,
}

/// A profile file as it was: a swapped ConfigMap shows in time and size.
type Stamp = (PathBuf, SystemTime, u64);

impl Reloader {
    /// A reloader of inputs that have just been loaded.
    pub(super) fn new(
        sources: Sources,
        mutator: Arc<Mutator>,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        texts: ProfileTexts,
    ) -> Self {
        let seen_profiles = stamps(&sources.profiles);
        Self {
            sources,
            gate: Arc::clone(&mutator.gate),
            mutator,
            health,
            metrics,
            seen_profiles,
            texts,
            compared: Vec::new(),
            config_refusal: None,
            profiles_refusal: None,
        }
    }

    /// Says what was loaded first, and makes ready what can be.
    pub(super) fn announce(&mut self) {
        self.compare_what_is_new();
        self.count_profiles();
        self.tell();
    }

    /// Looks for ever.
    pub(super) async fn run(mut self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            // Files may be slow, and parsing many profiles takes a while.
            let looked = tokio::task::spawn_blocking(move || {
                self.look(SystemTime::now());
                self
            });
            match looked.await {
                Ok(reloader) => self = reloader,
                Err(error) => {
                    tracing::error!(%error, "nothing is reloaded any more: this is a defect, please report it");
                    return;
                }
            }
        }
    }

    fn look(&mut self, now: SystemTime) {
        match self.sources.certificates.renew(now) {
            Renewal::Refused(error) => self.refused("certificate", &error.to_string()),
            Renewal::Renewed => self.accepted("certificate"),
            Renewal::Unchanged => {}
        }
        self.look_at_config();
        self.look_at_profiles();
        self.compare_what_is_new();
        self.tell();
    }

    fn look_at_config(&mut self) {
        let new = match config::load(self.sources.config.as_deref()) {
            Ok(policy) if policy == **self.gate.policy.load() => {
                self.config_refusal = None;
                self.let_nodes_go();
                return;
            }
            Ok(policy) => match self.prepare(&policy) {
                Prepared::Ready => match self.adopt_registries(&policy) {
                    Ok(()) => {
                        self.gate.policy.store(Arc::new(policy));
                        self.let_nodes_go();
                        self.accepted("config");
                        None
                    }
                    Err(error) => Some(error),
                },
                // The next look finds them listed, or tells why they are not.
                Prepared::NotYet => return,
                Prepared::Never(error) => Some(error),
            },
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = new
            .as_ref()
            .filter(|error| self.config_refusal.as_ref() != Some(*error))
        {
            self.refused("config", error);
        }
        self.config_refusal = new;
    }

    /// Asks registries in another way from now on, where that is new.
    fn adopt_registries(&self, policy: &Policy) -> Result<(), String> {
        if policy.registries == self.gate.policy.load().registries {
            return Ok(());
        }
        let options =
            registries::options(&policy.registries).map_err(|error| format!("{error:#}"))?;
        self.mutator
            .resolver
            .store(Arc::new(Resolver::new(options)));
        Ok(())
    }

    /// Sees to it that the nodes have been listed before a policy needs them: until then the one before holds.
    fn prepare(&self, policy: &Policy) -> Prepared {
        if matches!(policy.baselines, Baselines::Listed(_)) {
            return Prepared::Ready;
        }
        match self.gate.nodes.follow() {
            Err(error) => Prepared::Never(error.to_string()),
            Ok(Since::Now) => Prepared::NotYet,
            Ok(Since::Before) => match self.gate.nodes.defaults() {
                Ok(_) => Prepared::Ready,
                Err(error) => Prepared::Never(sentence(&error.to_string())),
            },
        }
    }

    /// Ends the watch of nodes where nobody asks for it any more.
    fn let_nodes_go(&self) {
        if matches!(self.gate.policy.load().baselines, Baselines::Listed(_)) {
            self.gate.nodes.forget();
        }
    }

    fn baselines(&self) -> Result<Vec<Baseline>, NotListed> {
        match &self.gate.policy.load().baselines {
            Baselines::Listed(listed) => Ok(listed.clone()),
            Baselines::Nodes => Ok(self.gate.nodes.defaults()?.baselines().collect()),
        }
    }

    /// Compares with baselines that are new.
    fn compare_what_is_new(&mut self) {
        if let Ok(baselines) = self.baselines()
            && baselines != self.compared
        {
            profiles::compare_all(&self.texts, &baselines);
            self.compared = baselines;
        }
    }

    fn look_at_profiles(&mut self) {
        let stamps = stamps(&self.sources.profiles);
        if stamps == self.seen_profiles {
            return;
        }
        self.seen_profiles = stamps;
        let sources = &self.sources;
        self.profiles_refusal =
            match profiles::load(&sources.profiles, &sources.includes, &self.texts) {
                // Nodes would keep what they have as well.
                Ok(texts) if let Some(problem) = new_problem(&self.texts, &texts) => {
                    self.refused("profiles", &problem);
                    Some(problem)
                }
                Ok(texts) => {
                    self.texts = texts;
                    self.count_profiles();
                    profiles::compare_all(&self.texts, &self.compared);
                    let profiles: Arc<dyn Profiles> = Arc::new(self.texts.clone());
                    self.gate.profiles.store(Arc::new(profiles));
                    self.accepted("profiles");
                    None
                }
                Err(error) => {
                    self.refused("profiles", &error.to_string());
                    Some(error.to_string())
                }
            };
    }

    fn accepted(&self, what: &'static str) {
        tracing::info!(what, "reloaded");
        self.metrics
            .reloads
            .get_or_create(&ReloadLabels { what, result: "ok" })
            .inc();
    }

    fn refused(&self, what: &'static str, error: &str) {
        tracing::error!(what, error, "the new one is refused, the old one stays");
        self.metrics
            .reloads
            .get_or_create(&ReloadLabels {
                what,
                result: "refused",
            })
            .inc();
    }

    fn count_profiles(&self) {
        self.metrics
            .profiles
            .set(i64::try_from(self.texts.len()).unwrap_or(i64::MAX));
        for problem in self.texts.problems() {
            tracing::warn!(%problem, "these profiles cannot be compared: apparmor_parser would refuse their file");
        }
    }

    fn tell(&self) {
        let certificates = &self.sources.certificates;
        let expiry = certificates
            .not_after()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.metrics.certificate_expiry.set(expiry.as_secs_f64());
        let refusals = [
            ("certificate", certificates.refusal()),
            ("config", self.config_refusal.clone()),
            ("profiles", self.profiles_refusal.clone()),
        ];
        let refusals: Vec<_> = refusals
            .into_iter()
            .filter_map(|(what, error)| Some((what, error?)))
            .collect();
        self.metrics.current.set(i64::from(refusals.is_empty()));
        self.health.refused(refusals);
    }
}

fn stamps(folders: &[PathBuf]) -> Vec<Stamp> {
    let mut stamps: Vec<Stamp> = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let metadata = fs::metadata(&path).ok()?;
            Some((path, metadata.modified().ok()?, metadata.len()))
        })
        .collect();
    stamps.sort();
    stamps
}
