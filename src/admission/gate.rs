//! The decision on one review: from its body to its answer.

use std::{borrow::Cow, sync::Arc};

use arc_swap::ArcSwap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    response::Answer,
    review::{BadReview, Operation, ReviewRequest},
};
use crate::{
    cluster::{Label, Namespaces, Nodes, PROFILE_LABEL},
    report::{Finding, findings, text},
    telemetry::RequestLabels,
    verdict::{
        Both, Decision, Exemption, GeneratedNames, Kind, Mode, ObjectTexts, Policy, Profiles,
        Standard, review,
    },
};

/// Where the mode of a namespace comes from.
#[derive(Clone, Debug)]
pub enum NamespaceModes {
    /// The configuration's mode holds for all.
    Standalone,
    /// Namespace labels go over it.
    Watched(Namespaces),
}

/// What the webhook decides by. Shared; swapped while serving.
pub struct Gate {
    /// The cluster's policy.
    pub policy: ArcSwap<Policy>,
    /// The profiles whose text is known.
    pub profiles: ArcSwap<Arc<dyn Profiles>>,
    /// The profiles that are objects of the cluster.
    pub objects: ObjectTexts,
    /// The namespaces' own modes.
    pub namespaces: NamespaceModes,
    /// The nodes' baselines, for a policy that takes them from there.
    pub nodes: Nodes,
}

/// What became of a review.
#[derive(Debug)]
pub enum Evaluation {
    /// It is answered.
    Answered(Answer, RequestLabels),
    /// The namespace has not been seen yet. Wait for it, then evaluate without waiting.
    NamespaceUnseen(String),
}

/// What to do about a namespace that has not been seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    /// Ask the caller to wait for it.
    Report,
    /// Go by the cluster's mode.
    UseDefault,
}

impl Gate {
    /// Answers the review in a body.
    pub(super) fn evaluate(
        &self,
        body: &[u8],
        unseen: Unseen,
        generated: Option<&GeneratedNames>,
    ) -> Result<Evaluation, BadReview> {
        let mut request = ReviewRequest::parse(body)?;
        let operation = request.operation()?;
        let kind = request.kind();
        let mut draft = Draft {
            answer: Answer {
                uid: request.uid().to_owned(),
                ..Answer::default()
            },
            labels: RequestLabels {
                operation: operation.as_str(),
                kind: kind.map_or("other", Kind::as_str),
                verdict: "not-applicable",
                mode: "none",
            },
        };
        let looked_at = matches!(operation, Operation::Create | Operation::Update)
            // Status, scale and the like cannot change a container.
            && matches!(request.sub_resource(), "" | "ephemeralcontainers");
        if looked_at && request.is_profile_object() {
            self.review_profile(&mut request, &mut draft);
            return Ok(draft.finish());
        }
        let Some(kind) = kind.filter(|_| looked_at) else {
            draft.verdict("not-applicable");
            return Ok(draft.finish());
        };

        let policy = self.policy.load();
        let mut exemption =
            policy
                .exemptions
                .of_request(request.namespace(), request.user(), request.groups());
        if exemption.is_none() {
            let mode = match self.mode(&policy, request.namespace()) {
                NamespaceMode::Known(mode) => mode,
                NamespaceMode::Invalid(label) => {
                    let warning = invalid_label(&label, policy.modes.profile);
                    draft.answer.warnings.push(warning);
                    policy.modes.profile
                }
                NamespaceMode::Unseen if unseen == Unseen::Report => {
                    return Ok(Evaluation::NamespaceUnseen(request.namespace().into()));
                }
                NamespaceMode::Unseen => policy.modes.profile,
            };
            draft.labels.mode = mode.as_str();
            draft.annotate("mode", mode.as_str().into());
            if mode != Mode::Off {
                let standard = (&**policy, generated);
                exemption = self.review(standard, mode, kind, operation, &mut request, &mut draft);
            }
        }
        if let Some(exemption) = exemption {
            draft.labels.verdict = "exempt";
            draft.annotate("exempt", exemption.as_str().into());
        }
        Ok(draft.finish())
    }

    /// Judges the object and drafts the answer; or tells why the object is exempt.
    fn review(
        &self,
        (policy, generated): (&Policy, Option<&GeneratedNames>),
        mode: Mode,
        kind: Kind,
        operation: Operation,
        request: &mut ReviewRequest<'_>,
        draft: &mut Draft,
    ) -> Option<Exemption> {
        let new = request.take_object(kind);
        if let Ok(workload) = &new {
            let exempt = policy
                .exemptions
                .of_runtime_class(workload.pod.runtime_class());
            if exempt.is_some() {
                return exempt;
            }
        }
        let old = request
            .old_object
            .filter(|_| operation == Operation::Update)
            .map(RawValue::get);
        let (nodes, profiles) = (self.nodes.defaults().ok(), self.profiles.load());
        let standard = Standard {
            policy,
            nodes: nodes.as_deref(),
            profiles: &Both(&self.objects, &***profiles),
            generated,
        };
        let (judgements, decision) = review(&new, old, mode, standard);
        draft.verdict(decision.verdict.as_str());
        if !decision.is_clean() {
            draft.speak(decision, &findings(kind, &judgements), request);
        }
        None
    }

    /// Refuses a text that no node could load. What it permits is nobody's fault before a pod names it.
    fn review_profile(&self, request: &mut ReviewRequest<'_>, draft: &mut Draft) {
        draft.labels.kind = "AppArmorProfile";
        let object = request
            .take_raw_object()
            .map(serde_json::from_str::<ProfileObject>);
        let problem = match object {
            Some(Ok(object)) => {
                let text = object.spec.text;
                text.and_then(|text| self.objects.read(&object.metadata.name, &text).err())
            }
            // The API server holds the object to its schema.
            None | Some(Err(_)) => None,
        };
        match problem {
            None => draft.verdict("pass"),
            Some(problem) => {
                draft.verdict("fail");
                let problem = text::quote_at_most(&problem.to_string(), MAX_PROBLEM);
                draft.answer.denial = Some(format!("AppArmor: {problem}"));
            }
        }
    }

    fn mode(&self, policy: &Policy, namespace: &str) -> NamespaceMode {
        let NamespaceModes::Watched(namespaces) = &self.namespaces else {
            return NamespaceMode::Known(policy.modes.profile);
        };
        match namespaces.label(namespace, PROFILE_LABEL) {
            Label::NoSuchNamespace => NamespaceMode::Unseen,
            Label::Unset => NamespaceMode::Known(policy.modes.profile),
            Label::Value(label) => match Mode::named(&label) {
                Some(mode) => NamespaceMode::Known(mode),
                None => NamespaceMode::Invalid(label),
            },
        }
    }
}

/// LIMIT: characters of what is said of a profile's text.
const MAX_PROBLEM: usize = 500;

/// What is read of an `AppArmorProfile`.
#[derive(Deserialize)]
struct ProfileObject {
    metadata: ProfileMetadata,
    spec: ProfileSpec,
}

#[derive(Deserialize)]
struct ProfileMetadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct ProfileSpec {
    #[serde(default)]
    text: Option<String>,
}

enum NamespaceMode {
    Invalid(Arc<str>),
    Known(Mode),
    Unseen,
}

fn invalid_label(label: &str, mode: Mode) -> String {
    let label = text::quote(label);
    format!(
        "AppArmor: namespace label `{}` is `{label}`, none of enforce, warn, audit, off: `{}` holds",
        PROFILE_LABEL,
        mode.as_str()
    )
}

/// An answer on its way, with what is counted of it.
struct Draft {
    answer: Answer,
    labels: RequestLabels,
}

impl Draft {
    fn annotate(&mut self, key: &'static str, value: Cow<'static, str>) {
        self.answer.audit_annotations.push((key, value));
    }

    fn verdict(&mut self, verdict: &'static str) {
        self.labels.verdict = verdict;
        self.annotate("verdict", verdict.into());
    }

    /// Says what was found: to the user as the mode has it, to the audit log always.
    fn speak(&mut self, decision: Decision, found: &[Finding], request: &ReviewRequest<'_>) {
        let reasons = text::reasons(found);
        if !decision.allowed {
            tracing::info!(
                uid = request.uid(),
                kind = self.labels.kind,
                namespace = request.namespace(),
                name = request.name(),
                user = request.user(),
                operation = self.labels.operation,
                dry_run = request.dry_run(),
                verdict = self.labels.verdict,
                reasons,
                "denied"
            );
            self.answer.denial = Some(text::denial(found));
        } else if decision.mode != Mode::Audit {
            self.answer.warnings.extend(text::warnings(found));
        }
        self.annotate("reasons", reasons.into());
    }

    fn finish(self) -> Evaluation {
        Evaluation::Answered(self.answer, self.labels)
    }
}
