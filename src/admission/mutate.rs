//! `/mutate`: from a review's body to the answer that gives a pod's containers their generated profiles.
//!
//! Asks registries for the digests of images, within a deadline; never for their layers. What cannot be told in time leaves the
//! container under the runtime's default, and says so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::time::sleep;

use super::{
    digests::Digests,
    draft::{Draft, said},
    gate::{Gate, NamespaceModes},
    plan::{self, Place, Placed},
    resolver::Resolver,
    response::Answer,
    review::{BadReview, Operation, ReviewRequest},
};
use crate::{
    cluster::{Client, Label, PullSecrets, WHITELIST_LABEL, has_profile_fields},
    image::registry::RegistryOptions,
    report::text,
    telemetry::RequestLabels,
    verdict::{GeneratedNames, Kind, Mode, Policy},
    whitelist::{
        ClusterTerms, PodContainer, PodTemplate, ProfileRequest, Recorded, Step, generated, step,
    },
};

/// How often the API server is asked for its version.
const ASK: Duration = Duration::from_mins(10);

/// The same where it has not answered.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Names the profiles of pods.
pub struct Mutator {
    /// What the gate decides by: policy, namespaces, nodes.
    pub gate: Arc<Gate>,
    /// Finds the digests of images.
    pub resolver: ArcSwap<Resolver>,
    /// Where pull secrets are read, by a policy that has it so.
    client: Option<Client>,
    /// Whether the API server is from before pods had a field for the profile.
    is_legacy: AtomicBool,
}

impl Mutator {
    /// A mutator that decides by what a gate does, and reaches registries in this way.
    #[must_use]
    pub fn new(gate: Arc<Gate>, registries: RegistryOptions, client: Option<Client>) -> Self {
        Self {
            gate,
            client,
            is_legacy: AtomicBool::new(false),
            resolver: ArcSwap::from_pointee(Resolver::new(registries)),
        }
    }
}

impl Mutator {
    /// Finds out how profiles are written for this API server, again and again: it may be upgraded. Until that is known it is taken
    /// for one of today's.
    pub async fn follow_version(self: Arc<Self>) {
        let Some(client) = &self.client else { return };
        loop {
            let wait = match has_profile_fields(client).await {
                Ok(has_fields) => {
                    if self.is_legacy.swap(!has_fields, Ordering::Relaxed) == has_fields {
                        tracing::info!(has_fields, "how the API server takes profiles of pods");
                    }
                    ASK
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot tell the API server's version, trying again");
                    ASK_AGAIN
                }
            };
            sleep(wait).await;
        }
    }

    /// The namespace of a review, where the pod's namespace is still to be seen.
    pub(super) fn unseen_namespace<'r>(&self, request: &'r ReviewRequest<'_>) -> Option<&'r str> {
        let NamespaceModes::Watched(namespaces) = &self.gate.namespaces else {
            return None;
        };
        let namespace = request.namespace();
        (!namespaces.knows(namespace)).then_some(namespace)
    }

    /// Answers a review that was read for its template.
    pub(super) async fn answer(
        &self,
        mut request: ReviewRequest<'_>,
    ) -> Result<(Answer, RequestLabels), BadReview> {
        let operation = request.operation()?;
        let mut draft = Draft::new(&request, operation);
        let is_new_pod = operation == Operation::Create
            && request.kind() == Some(Kind::Pod)
            && request.sub_resource().is_empty();
        if !is_new_pod {
            return Ok(draft.finish());
        }
        let policy = self.gate.policy.load_full();
        let exemption =
            policy
                .exemptions
                .of_request(request.namespace(), request.user(), request.groups());
        if let Some(exemption) = exemption {
            draft.exempt(exemption);
            return Ok(draft.finish());
        }
        let mode = self.mode(&policy, request.namespace(), &mut draft);
        draft.labels.mode = mode.as_str();
        draft.annotate("whitelist-mode", mode.as_str());
        if mode == Mode::Off {
            return Ok(draft.finish());
        }
        match request.take_template() {
            Ok(None) => {}
            Ok(Some(pod)) => {
                let namespace = request.namespace();
                self.review((&*policy, mode), namespace, &pod, &mut draft)
                    .await;
            }
            Err(why) => draft.unresolved(&policy, mode, &why.to_string()),
        }
        Ok(draft.finish())
    }

    async fn review(
        &self,
        (policy, mode): (&Policy, Mode),
        namespace: &str,
        pod: &PodTemplate<'_>,
        draft: &mut Draft,
    ) {
        if let Some(exemption) = policy.exemptions.of_runtime_class(pod.runtime_class()) {
            draft.exempt(exemption);
            return;
        }
        if pod.is_windows() {
            return;
        }
        let nodes = self.gate.nodes.defaults().ok();
        let Some(baseline) = policy.generation_baseline(nodes.as_deref()) else {
            draft.skip(
                mode,
                "no profile is generated: no node has been seen whose default is known",
            );
            return;
        };
        let terms = ClusterTerms::new(&policy.whitelist, baseline, plan::stage(mode));
        let recorded = Recorded::of(pod);
        let mut wanted = Vec::new();
        for (list, index, container) in pod.containers() {
            match step(pod, &recorded, container, &policy.whitelist) {
                Step::Generate => wanted.push((list, index, container)),
                Step::Keep | Step::Named => {}
                Step::Skip(why) => draft.skip(mode, &said(container, why)),
                Step::Unnamable(why) => draft.unresolved(policy, mode, &said(container, why)),
                Step::Refuse(why) => draft.refuse(mode, &said(container, why)),
            }
        }
        let secrets = secrets(policy, pod, namespace);
        let images = wanted.iter().map(|(_, _, container)| container.image());
        let digests = self.digests(secrets, images).await;
        let mut placed = Vec::new();
        for (list, index, container) in wanted {
            match digests.of(container.image()) {
                Ok(digest) => placed.push(Placed {
                    list,
                    index,
                    container,
                    digest,
                    name: ProfileRequest::name_of(pod, container, digest, &terms),
                }),
                Err(why) => draft.unnamed(policy, mode, container, why),
            }
        }
        if placed.is_empty() {
            return;
        }
        draft.annotate("whitelist-profiles", plan::listed(&placed));
        if mode == Mode::Warn {
            let list = text::quote(&plan::listed(&placed));
            draft.warn(&format!("would run under generated profiles: {list}"));
            return;
        }
        let place = if self.is_legacy.load(Ordering::Relaxed) {
            Place::Annotation
        } else {
            Place::Field
        };
        let patch = plan::patch((pod, &recorded), &placed, &policy.whitelist, place);
        if !patch.is_empty() {
            draft.labels.verdict = "mutated";
            draft.answer.patch = plan::to_json(&patch);
        }
    }

    async fn digests<'p>(
        &self,
        secrets: Option<PullSecrets>,
        images: impl Iterator<Item = &'p str>,
    ) -> Digests<'p> {
        let resolver = self.resolver.load_full();
        Digests::find(&resolver, self.client.as_ref(), secrets, images).await
    }

    /// The names of generated profiles that are a pod's own, for a pod that names any.
    pub(super) async fn generated_names(&self, body: &[u8]) -> Option<GeneratedNames> {
        let mut request = ReviewRequest::parse_template(body).ok()?;
        if request.kind() != Some(Kind::Pod) {
            return None;
        }
        let policy = self.gate.policy.load_full();
        let mode = self.mode(
            &policy,
            request.namespace(),
            &mut Draft::new(&request, Operation::Create),
        );
        let pod = match request.take_template() {
            Ok(pod) => pod?,
            Err(why) => {
                let are_enforced = mode == Mode::Enforce;
                return Some(GeneratedNames::untold(are_enforced, &why.to_string()));
            }
        };
        let nodes = self.gate.nodes.defaults().ok();
        let baseline = policy.generation_baseline(nodes.as_deref())?;
        let asking: Vec<&PodContainer<'_>> = pod
            .containers()
            .map(|(_, _, container)| container)
            .filter(|container| generated(&pod, container).is_some())
            .collect();
        let secrets = secrets(&policy, &pod, request.namespace());
        let images = asking.iter().map(|container| container.image());
        let digests = self.digests(secrets, images).await;
        let terms = ClusterTerms::new(&policy.whitelist, baseline, plan::stage(mode));
        let names = asking.into_iter().map(|container| {
            let own = digests
                .of(container.image())
                .map(|digest| ProfileRequest::name_of(&pod, container, digest, &terms))
                .map_err(Arc::from);
            (container.name().to_owned(), own)
        });
        Some(GeneratedNames {
            are_enforced: mode == Mode::Enforce,
            names: names.collect(),
            otherwise: None,
        })
    }

    fn mode(&self, policy: &Policy, namespace: &str, draft: &mut Draft) -> Mode {
        let NamespaceModes::Watched(namespaces) = &self.gate.namespaces else {
            return policy.modes.whitelist;
        };
        match namespaces.label(namespace, WHITELIST_LABEL) {
            Label::NoSuchNamespace | Label::Unset => policy.modes.whitelist,
            Label::Value(label) => Mode::named(&label).unwrap_or_else(|| {
                let label = text::quote(&label);
                draft.warn(&format!(
                    "namespace label `{WHITELIST_LABEL}` is `{label}`, none of enforce, warn, audit, off: `{}` holds",
                    policy.modes.whitelist.as_str()
                ));
                policy.modes.whitelist
            }),
        }
    }
}

/// Whose pull secrets a pod's images may be asked for with, where the policy has it so.
fn secrets(policy: &Policy, pod: &PodTemplate<'_>, namespace: &str) -> Option<PullSecrets> {
    policy
        .registries
        .pull_secrets
        .then(|| PullSecrets::new(namespace, pod.service_account(), pod.pull_secrets()))
}
