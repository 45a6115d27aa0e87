//! What the verdicts on a workload come to in a mode.

use super::{
    judge::{Judgement, Standing, Verdict, judge, mark_inherited},
    policy::{Mode, Treatment},
    standard::Standard,
    workload::{Malformed, Workload},
};

/// The verdict on a whole workload: the worst of its containers'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Overall {
    /// There is nothing to judge: a Windows pod, another kind, an object being deleted.
    NotApplicable,
    /// Every container passes.
    Pass,
    /// Nothing fails, but something cannot be told.
    Unknown,
    /// A container fails.
    Fail,
}

impl Overall {
    /// The name, as in audit annotations and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::NotApplicable => "not-applicable",
            Self::Pass => "pass",
            Self::Unknown => "unknown",
        }
    }
}

/// What the verdicts come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request goes on.
    pub allowed: bool,
    /// The verdict, whatever the mode made of it.
    pub verdict: Overall,
    /// The mode it was decided in.
    pub mode: Mode,
}

impl Decision {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.verdict <= Overall::Pass
    }
}

/// The verdicts on an object and what they come to: what every caller asks for, webhook and command line alike.
///
/// `old` is the object's JSON text before an update: what was already so does not stand against the update.
#[must_use]
pub fn review<'w>(
    new: &'w Result<Workload<'_>, Malformed>,
    old: Option<&str>,
    mode: Mode,
    standard: Standard<'_>,
) -> (Vec<Judgement<'w>>, Decision) {
    let workload = match new {
        Ok(workload) => workload,
        Err(malformed) => {
            let judgements = vec![Judgement::malformed(standard.policy, malformed)];
            let decision = decide(mode, &judgements);
            return (judgements, decision);
        }
    };
    // The API server clears the field of what is created.
    if workload.being_deleted && old.is_some() {
        return (Vec::new(), decide(mode, &[]));
    }
    let mut judgements = judge(workload, standard);
    let decision = decide(mode, &judgements);
    // The common case ends here: nothing wrong, nothing to compare.
    if decision.is_clean() {
        return (judgements, decision);
    }
    if let Some(Ok(old)) = old.map(|old| Workload::parse(workload.kind, old)) {
        mark_inherited(&mut judgements, &old, standard);
    }
    let decision = decide(mode, &judgements);
    (judgements, decision)
}

/// What these judgements come to in a mode.
fn decide(mode: Mode, judgements: &[Judgement<'_>]) -> Decision {
    let verdict = |judgement: &Judgement<'_>| match judgement.verdict {
        Verdict::Fail(_) => Overall::Fail,
        Verdict::Pass => Overall::Pass,
        Verdict::Unknown(_) => Overall::Unknown,
    };
    let refused = judgements.iter().any(|judgement| {
        judgement.treatment == Treatment::Deny && judgement.standing == Standing::New
    });
    Decision {
        allowed: !(refused && mode == Mode::Enforce),
        verdict: judgements
            .iter()
            .map(verdict)
            .max()
            .unwrap_or(Overall::NotApplicable),
        mode,
    }
}
