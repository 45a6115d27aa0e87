//! What the leader does: reads objects, asks registries, writes profiles. Each piece of work is one future, which can be dropped at
//! any time: all that it writes is whole by itself.

use std::{collections::HashSet, sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;

use super::{
    error::WorkError,
    judging::{Judged, Readiness, Yardsticks, generation},
    lane::Ending,
    needs::{self, Need, of_container},
    state::Looked,
};
use crate::{
    apparmor::include::Includes,
    cluster::{
        Client, ClusterError, Events, ObjectKey, ProfileObjects, ProfileSeen, PullSecrets, Written,
        objects::{AppArmorProfileStatus, ProfileSource},
        pod_template, profiles_of_pods,
    },
    compare::Baseline,
    image::{self, Cache, ImageSource, Options, registry::RegistryOptions},
    report::text::sentence,
    telemetry::{ControllerMetrics, GenerationLabels},
    verdict::{Kind, Mode, Policy},
    whitelist::{Outcome, PodTemplate, Recorded, RequestedProfile, Stage, Step, step},
};

/// What the configuration says.
#[derive(Clone)]
pub struct Settings {
    /// The configuration.
    pub policy: Policy,
    /// How registries are reached, without anybody's credentials.
    pub registries: RegistryOptions,
}

/// All that work needs.
pub(super) struct Work {
    pub(super) client: Client,
    pub(super) events: Events,
    pub(super) profiles: ProfileObjects,
    pub(super) settings: Settings,
    pub(super) cache: Option<Cache>,
    pub(super) includes: Arc<dyn Includes + Send + Sync>,
    pub(super) metrics: Arc<ControllerMetrics>,
}

/// How long a registry may take to say which image a name is.
const RESOLVE: Duration = Duration::from_mins(1);

impl Work {
    /// Reads an object, and finds what it needs.
    pub(super) async fn look(&self, key: &ObjectKey, mode: Mode, baselines: &[Baseline]) -> Looked {
        match self.needs(key, mode, baselines).await {
            Ok(needs) => Looked::Needs(needs),
            Err(error) => {
                let (kind, namespace, name) = (key.kind.as_str(), &*key.namespace, &*key.name);
                tracing::warn!(
                    kind,
                    namespace,
                    name,
                    error = error.told(),
                    "cannot tell which profiles this needs"
                );
                self.tell_of(key, &error).await;
                Looked::Nothing(error.ending())
            }
        }
    }

    /// Says of a workload why its profiles are not made, where that is its own fault or its registry's.
    async fn tell_of(&self, key: &ObjectKey, error: &WorkError) {
        if matches!(error, WorkError::Cluster(_)) {
            return;
        }
        let (reason, note) = (error.reason(), error.told());
        let written = self.events.warn(key, (reason, &note), "GenerateProfile");
        if let Err(error) = written.await {
            let (namespace, name) = (&*key.namespace, &*key.name);
            tracing::warn!(namespace, name, %error, "an Event was not written");
        }
    }

    async fn needs(
        &self,
        key: &ObjectKey,
        mode: Mode,
        baselines: &[Baseline],
    ) -> Result<Vec<Need>, WorkError> {
        let policy = &self.settings.policy;
        let stage = match (key.kind, mode) {
            (Kind::Pod, _) => None,
            (_, Mode::Enforce) => Some(Stage::Enforce),
            (_, Mode::Audit) => Some(Stage::Audit),
            (_, Mode::Off | Mode::Warn) => return Ok(Vec::new()),
        };
        let Some(text) = pod_template(&self.client, key).await? else {
            return Ok(Vec::new());
        };
        // What is no pod to us is none to `/mutate` either, which has not named a profile in it then.
        let Ok(pod) = serde_json::from_str::<PodTemplate<'_>>(text.get()) else {
            return Ok(Vec::new());
        };
        let Some(stage) = stage else {
            return Ok(needs::of_pod(&pod, &key.namespace, policy, baselines));
        };
        let exemptions = &policy.exemptions;
        let is_exempt = exemptions
            .namespaces
            .iter()
            .any(|name| **name == *key.namespace)
            || exemptions.of_runtime_class(pod.runtime_class()).is_some();
        let is_asked = !is_exempt && !pod.is_windows();
        let Some(baseline) = baselines.first().filter(|_| is_asked) else {
            return Ok(Vec::new());
        };
        let recorded = Recorded::of(&pod);
        let mut found = Vec::new();
        for (_, _, container) in pod.containers() {
            let step = step(&pod, &recorded, container, &policy.whitelist);
            if !matches!(step, Step::Generate) {
                continue;
            }
            let source = parse(container.image())?;
            let secrets = needs::secrets(&pod, &key.namespace);
            let options = self.options(&secrets, RESOLVE).await?;
            let description = image::resolve(&source, &options).await?;
            let digest = description.index.unwrap_or(description.digest);
            let terms = (digest, *baseline, stage);
            found.push(of_container(&pod, container, &key.namespace, policy, terms));
        }
        Ok(found)
    }

    async fn options(
        &self,
        secrets: &PullSecrets,
        deadline: Duration,
    ) -> Result<Options, WorkError> {
        let mut registry = self.settings.registries.clone();
        registry.deadline = deadline;
        if self.settings.policy.registries.pull_secrets {
            registry
                .credentials
                .extend(secrets.read(&self.client).await?);
        }
        Ok(Options {
            cache: self.cache.clone(),
            registry,
            ..Options::default()
        })
    }

    /// Makes a profile: the object, its text, its status.
    pub(super) async fn make(
        &self,
        name: &str,
        need: &Need,
        yardsticks: &Arc<Yardsticks>,
    ) -> Ending {
        let started = tokio::time::Instant::now();
        let made = self.try_make(name, need, yardsticks).await;
        let (ending, result) = match made {
            Ok(ending @ (Ending::Failed | Ending::FailedForLong)) => (ending, "conflict"),
            Ok(Ending::Done) => (Ending::Done, "ok"),
            Err(error) => {
                tracing::warn!(
                    profile = name,
                    error = error.told(),
                    "a profile was not made"
                );
                self.tell_failure(name, &error).await;
                (error.ending(), "failed")
            }
        };
        self.metrics
            .generations
            .get_or_create(&GenerationLabels { result })
            .inc();
        self.metrics
            .seconds
            .observe(started.elapsed().as_secs_f64());
        ending
    }

    async fn try_make(
        &self,
        name: &str,
        need: &Need,
        yardsticks: &Arc<Yardsticks>,
    ) -> Result<Ending, WorkError> {
        let workload = &need.request.workload;
        let source = ProfileSource {
            image: need.request.image.clone(),
            digest: need.request.digest.to_string(),
            argv: [workload.command.as_slice(), &workload.args].concat(),
            stage: need.request.terms.stage.as_str().to_owned(),
        };
        let Written::Done(object) = self.profiles.find_or_create(name, source).await? else {
            return Ok(Ending::Failed);
        };
        if object.spec.text.is_some() {
            return Ok(Ending::Done);
        }
        let made = self.generate(need).await?;
        let list = made.outcome.as_str();
        let written = self.profiles.write_text(&object, &made.text, list).await?;
        let Written::Done(object) = written else {
            return Ok(Ending::Failed);
        };
        let judged = self.judge_text(name, made.text, yardsticks).await?;
        let mut status = judged.status(&object, now());
        if let Outcome::NotWhitelistable { why } = &made.outcome
            && let (Some(condition), Some(why)) = (status.conditions.first_mut(), why.first())
        {
            condition.message = sentence(&format!("no list is worth enforcing: {why}"));
        }
        tracing::info!(
            profile = name,
            list,
            stage = made.stage.as_str(),
            "a profile was made"
        );
        // What is written meanwhile changes no text: its status is seen to be old, and written again.
        self.profiles.write_status(&object, &status).await?;
        Ok(Ending::Done)
    }

    async fn generate(&self, need: &Need) -> Result<RequestedProfile, WorkError> {
        let expected = need.request.digest;
        let name = need.request.image.split('@').next().unwrap_or_default();
        let source = parse(&format!("{name}@{expected}"))?;
        let options = self
            .options(&need.secrets, RegistryOptions::default().deadline)
            .await?;
        let image = image::read(&source, &options).await?;
        let found = image.index.unwrap_or(image.digest);
        if found != expected {
            return Err(WorkError::Digest { expected, found });
        }
        let request = need.request.clone();
        let answer = move || request.answer(&image.config, &image.tree);
        let answered = tokio::task::spawn_blocking(answer).await;
        Ok(answered.map_err(|error| WorkError::Stopped(error.to_string()))??)
    }

    async fn judge_text(
        &self,
        name: &str,
        text: String,
        yardsticks: &Arc<Yardsticks>,
    ) -> Result<Judged, WorkError> {
        let (name, yardsticks) = (name.to_owned(), Arc::clone(yardsticks));
        let includes = Arc::clone(&self.includes);
        let judge = move || yardsticks.judge(&name, &text, &*includes);
        let judged = tokio::task::spawn_blocking(judge).await;
        judged.map_err(|error| WorkError::Stopped(error.to_string()))
    }

    /// Says in a profile's status why it has no text. That it cannot be said is in the log.
    async fn tell_failure(&self, name: &str, error: &WorkError) {
        let tell = async {
            let Some(object) = self.profiles.find(name).await? else {
                return Ok(());
            };
            let before = object.status.as_ref();
            let readiness = Readiness::not(error.reason(), &error.told());
            let generation = generation(&object);
            let condition = readiness.condition(before, generation, now());
            let status = AppArmorProfileStatus {
                observed_generation: generation,
                conditions: vec![condition],
                ..AppArmorProfileStatus::default()
            };
            if before != Some(&status) {
                self.profiles.write_status(&object, &status).await?;
            }
            Ok::<(), ClusterError>(())
        };
        if let Err(error) = tell.await {
            tracing::warn!(profile = name, %error, "a profile's status was not written");
        }
    }

    /// Writes the status of a profile that has a text.
    pub(super) async fn judge(&self, name: &str, yardsticks: &Arc<Yardsticks>) -> Ending {
        let judge = async {
            let Some(object) = self.profiles.find(name).await? else {
                return Ok(Ending::Done);
            };
            let Some(text) = object.spec.text.clone() else {
                return Ok(Ending::Done);
            };
            // What has been seen may be from before it was judged: who makes a profile writes its status as well.
            if ProfileSeen::of(&object).is_judged(&yardsticks.names()) {
                return Ok(Ending::Done);
            }
            let judged = self.judge_text(name, text, yardsticks).await?;
            let status = judged.status(&object, now());
            match self.profiles.write_status(&object, &status).await? {
                Written::Done(_) => Ok(Ending::Done),
                Written::Outdated => Ok(Ending::Failed),
            }
        };
        judge.await.unwrap_or_else(|error: WorkError| {
            tracing::warn!(
                profile = name,
                error = error.told(),
                "a profile's status was not written"
            );
            error.ending()
        })
    }

    /// Deletes profiles, but for those that a pod names after all: they are returned.
    pub(super) async fn collect(&self, names: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let in_use: HashSet<String> = match profiles_of_pods(&self.client).await {
            Ok(in_use) => in_use,
            Err(error) => {
                tracing::warn!(%error, "the pods cannot be listed, so no profile is deleted");
                return names;
            }
        };
        let (kept, unused): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| in_use.contains(&**name));
        for name in unused {
            match self.delete(&name).await {
                Ok(()) => {
                    tracing::info!(profile = &*name, "deleted: nothing has named it for long");
                }
                Err(error) => tracing::warn!(profile = &*name, %error, "a profile was not deleted"),
            }
        }
        kept
    }

    async fn delete(&self, name: &str) -> Result<(), ClusterError> {
        if let Some(object) = self.profiles.find(name).await?
            && object.spec.source.is_some()
        {
            self.profiles.delete(&object).await?;
        }
        Ok(())
    }
}

/// An image that is read from a registry: what names a file names one of this machine.
fn parse(image: &str) -> Result<ImageSource, WorkError> {
    match image.parse()? {
        source @ ImageSource::Registry(_) => Ok(source),
        _ => Err(WorkError::NotOfRegistry(sentence(image))),
    }
}

fn now() -> String {
    let seconds = Timestamp::now().as_second();
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}
