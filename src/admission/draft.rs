//! The answer of `/mutate` on its way: what becomes of each container, in the words of warnings, audit annotations and metrics.

use std::borrow::Cow;

use super::{
    response::Answer,
    review::{Operation, ReviewRequest},
};
use crate::{
    report::text,
    telemetry::RequestLabels,
    verdict::{Exemption, Kind, Mode, Policy, UnresolvedRule},
    whitelist::PodContainer,
};

/// An answer on its way.
pub(super) struct Draft {
    pub(super) answer: Answer,
    pub(super) labels: RequestLabels,
}

impl Draft {
    pub(super) fn new(request: &ReviewRequest<'_>, operation: Operation) -> Self {
        Self {
            answer: Answer {
                uid: request.uid().to_owned(),
                ..Answer::default()
            },
            labels: RequestLabels {
                operation: operation.as_str(),
                kind: request.kind().map_or("other", Kind::as_str),
                verdict: "unchanged",
                mode: "none",
            },
        }
    }

    pub(super) fn annotate(&mut self, key: &'static str, value: impl Into<Cow<'static, str>>) {
        self.answer.audit_annotations.push((key, value.into()));
    }

    pub(super) fn warn(&mut self, what: &str) {
        self.answer.warnings.push(format!("AppArmor: {what}"));
    }

    pub(super) fn exempt(&mut self, exemption: Exemption) {
        self.labels.verdict = "exempt";
        self.annotate("exempt", exemption.as_str());
    }

    /// Something stays under the runtime's default.
    pub(super) fn skip(&mut self, mode: Mode, what: &str) {
        if mode != Mode::Audit {
            self.warn(&format!("{what}; the runtime's default profile holds"));
        }
        self.reason(what);
    }

    pub(super) fn refuse(&mut self, mode: Mode, what: &str) {
        self.reason(what);
        match mode {
            Mode::Enforce => {
                self.labels.verdict = "denied";
                self.answer
                    .denial
                    .get_or_insert_with(|| format!("AppArmor: {what}"));
            }
            Mode::Audit | Mode::Off => {}
            Mode::Warn => self.warn(&format!("would be denied: {what}")),
        }
    }

    /// No profile can be named for a container.
    pub(super) fn unnamed(
        &mut self,
        policy: &Policy,
        mode: Mode,
        container: &PodContainer<'_>,
        why: &str,
    ) {
        let image = text::quote(container.image());
        let what = format!("no profile can be named for image `{image}`: {why}");
        self.unresolved(policy, mode, &said(container, &what));
    }

    /// What there is no profile for is let in or refused, as the policy has it.
    pub(super) fn unresolved(&mut self, policy: &Policy, mode: Mode, what: &str) {
        match policy.whitelist.on_unresolved {
            UnresolvedRule::Allow => self.skip(mode, what),
            UnresolvedRule::Deny => self.refuse(mode, what),
        }
    }

    fn reason(&mut self, what: &str) {
        let known = self
            .answer
            .audit_annotations
            .iter_mut()
            .find(|(key, _)| *key == "whitelist-reasons");
        match known {
            Some((_, text)) => {
                let text = text.to_mut();
                text.push_str("; ");
                text.push_str(what);
            }
            None => self.annotate("whitelist-reasons", what.to_owned()),
        }
    }

    pub(super) fn finish(mut self) -> (Answer, RequestLabels) {
        if self.answer.denial.is_some() {
            self.answer.patch = None;
        }
        (self.answer, self.labels)
    }
}

/// `container `web`: privileged containers get none`
pub(super) fn said(container: &PodContainer<'_>, why: &str) -> String {
    format!("container `{}`: {why}", text::quote(container.name()))
}
