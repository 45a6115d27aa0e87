//! The decision on one review: from its body to its answer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::value::RawValue;

use super::{
    response::Answer,
    review::{BadReview, Operation, ReviewRequest},
};
use crate::{
    cluster::{Label, Namespaces},
    report::{Finding, findings, text},
    telemetry::RequestLabels,
    verdict::{Decision, Exemption, Kind, Mode, Policy, Profiles, review},
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
    /// The namespaces' own modes.
    pub namespaces: NamespaceModes,
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
    pub(super) fn evaluate(&self, body: &[u8], unseen: Unseen) -> Result<Evaluation, BadReview> {
        let mut request = ReviewRequest::parse(body)?;
        let operation = request.operation()?;
        let kind = request.kind();
        let mut labels = RequestLabels {
            operation: operation.as_str(),
            kind: kind.map_or("other", Kind::as_str),
            verdict: "not-applicable",
            mode: "none",
        };
        let mut answer = Answer {
            uid: request.uid().to_owned(),
            ..Answer::default()
        };
        let looked_at = matches!(operation, Operation::Create | Operation::Update)
            // Status, scale and the like cannot change a container.
            && matches!(request.sub_resource(), "" | "ephemeralcontainers");
        let Some(kind) = kind.filter(|_| looked_at) else {
            answer
                .audit_annotations
                .push(("verdict", labels.verdict.into()));
            return Ok(Evaluation::Answered(answer, labels));
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
                    answer
                        .warnings
                        .push(invalid_label(&label, policy.modes.profile));
                    policy.modes.profile
                }
                NamespaceMode::Unseen if unseen == Unseen::Report => {
                    return Ok(Evaluation::NamespaceUnseen(request.namespace().into()));
                }
                NamespaceMode::Unseen => policy.modes.profile,
            };
            labels.mode = mode.as_str();
            answer
                .audit_annotations
                .push(("mode", mode.as_str().into()));
            if mode != Mode::Off {
                exemption = self.review(
                    &policy,
                    mode,
                    kind,
                    operation,
                    &mut request,
                    &mut answer,
                    &mut labels,
                );
            }
        }
        if let Some(exemption) = exemption {
            labels.verdict = "exempt";
            answer
                .audit_annotations
                .push(("exempt", exemption.as_str().into()));
        }
        Ok(Evaluation::Answered(answer, labels))
    }

    /// Judges the object, fills in answer and labels; or tells why the object is exempt.
    #[expect(
        clippy::too_many_arguments,
        reason = "the one caller holds them all, and they share no meaning"
    )]
    fn review(
        &self,
        policy: &Policy,
        mode: Mode,
        kind: Kind,
        operation: Operation,
        request: &mut ReviewRequest<'_>,
        answer: &mut Answer,
        labels: &mut RequestLabels,
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
        let profiles = self.profiles.load();
        let (judgements, decision) = review(&new, old, mode, policy, &***profiles);
        labels.verdict = decision.verdict.as_str();
        answer
            .audit_annotations
            .push(("verdict", decision.verdict.as_str().into()));
        if !decision.is_clean() {
            speak(
                decision,
                &findings(kind, &judgements),
                request,
                kind,
                answer,
            );
        }
        None
    }

    fn mode(&self, policy: &Policy, namespace: &str) -> NamespaceMode {
        let NamespaceModes::Watched(namespaces) = &self.namespaces else {
            return NamespaceMode::Known(policy.modes.profile);
        };
        match namespaces.label(namespace) {
            Label::NoSuchNamespace => NamespaceMode::Unseen,
            Label::Unset => NamespaceMode::Known(policy.modes.profile),
            Label::Value(label) => match Mode::named(&label) {
                Some(mode) => NamespaceMode::Known(mode),
                None => NamespaceMode::Invalid(label),
            },
        }
    }
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
        crate::cluster::PROFILE_LABEL,
        mode.as_str()
    )
}

fn speak(
    decision: Decision,
    found: &[Finding],
    request: &ReviewRequest<'_>,
    kind: Kind,
    answer: &mut Answer,
) {
    let reasons = text::reasons(found);
    if !decision.allowed {
        tracing::info!(
            uid = request.uid(),
            kind = kind.as_str(),
            namespace = request.namespace(),
            name = request.name(),
            user = request.user(),
            operation = request.operation().map_or("", Operation::as_str),
            dry_run = request.dry_run(),
            verdict = decision.verdict.as_str(),
            reasons,
            "denied"
        );
        answer.denial = Some(text::denial(found));
    } else if decision.mode != Mode::Audit {
        answer.warnings.extend(text::warnings(found));
    }
    answer.audit_annotations.push(("reasons", reasons.into()));
}
