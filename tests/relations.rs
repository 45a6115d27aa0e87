//! Known relations between policies: runs the cases of `tests/corpus/relations/*.toml`, and laws that hold for all of them.

#[path = "support/corpus.rs"]
mod corpus;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::{
    apparmor::{
        diagnostic::Severity,
        include::{Loaded, NoIncludes, load},
        model::{Policy, policy},
    },
    compare::{
        Baseline, Comparison, Question, Relation, Subject, Whose, Witness, ask, compare, fix,
    },
};
use serde::Deserialize;

/// A case of the corpus; its format stands at the top of `defaults.toml`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// A sentence.
    name: String,
    #[expect(dead_code, reason = "for people")]
    why: String,
    candidate: Option<String>,
    candidate_baseline: Option<String>,
    baseline: String,
    relation: String,
    #[serde(default)]
    witnesses: Vec<Expected>,
}

/// An operation that the candidate permits and the baseline forbids.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    class: String,
    operation: String,
    target: String,
}

/// A text, read.
struct Read {
    name: String,
    text: Vec<u8>,
    loaded: Loaded,
    policy: Policy,
}

impl Read {
    fn of(name: &str, text: &[u8]) -> Result<Self> {
        let (loaded, mut diagnostics) = load(name.to_owned(), text.into(), &NoIncludes);
        let (policy, more) = policy(&loaded, &NoIncludes);
        diagnostics.extend(more);
        diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
        ensure!(diagnostics.is_empty(), "{name}: {diagnostics:?}");
        Ok(Self {
            name: name.to_owned(),
            text: text.to_vec(),
            loaded,
            policy,
        })
    }

    fn subject(&self) -> Result<Subject<'_>> {
        let profile = self.policy.profiles.first().context("a profile")?;
        Ok(Subject {
            policy: &self.policy,
            sources: &self.loaded.sources,
            profile,
        })
    }
}

fn main() -> ExitCode {
    corpus::main("relations", 101, |case: &Case| &case.name, run)
}

fn run(case: &Case) -> Result<()> {
    let default = |name: &str| -> Result<Read> {
        let baseline: Baseline = name.parse()?;
        Read::of(name, baseline.template().text().as_bytes())
    };
    let candidate = match (&case.candidate, &case.candidate_baseline) {
        (Some(text), None) => Read::of("candidate", text.as_bytes())?,
        (None, Some(name)) => default(name)?,
        _ => bail!("a case has one candidate"),
    };
    let baseline = default(&case.baseline)?;
    let comparison = compare(candidate.subject()?, baseline.subject()?);
    let found = || {
        let witnesses = comparison.witnesses.iter().map(|witness| {
            format!(
                "{} {:?} {}",
                witness.class, witness.operations, witness.target
            )
        });
        witnesses.collect::<Vec<_>>().join("\n  ")
    };
    ensure!(
        comparison.relation.as_str() == case.relation,
        "{:?}, not {}; stricter: {:?}\n  {}",
        comparison.relation,
        case.relation,
        comparison.stricter,
        found()
    );
    for expected in &case.witnesses {
        check(expected, &comparison, &candidate, &baseline)
            .with_context(|| format!("found:\n  {}", found()))?;
    }
    laws(&comparison, &candidate, &baseline)
}

/// One of its class and operation is found, and its own target proves it too.
fn check(
    expected: &Expected,
    comparison: &Comparison,
    candidate: &Read,
    baseline: &Read,
) -> Result<()> {
    let Expected {
        class,
        operation,
        target,
    } = expected;
    let is_it = |witness: &&Witness| {
        witness.class == class && witness.operations.contains(&operation.as_str())
    };
    let Some(witness) = comparison.witnesses.iter().find(is_it) else {
        bail!("no witness may {operation} ({class})");
    };
    let others = witness.whose == Some(Whose::Others);
    let Some(question) = question(class, operation, target, others) else {
        return Ok(());
    };
    // In another profile than the first the question is another.
    let of_first = comparison
        .witnesses
        .iter()
        .filter(is_it)
        .any(|witness| witness.moves.is_empty());
    if of_first {
        let answer = ask(candidate.subject()?.profile, &question)?;
        ensure!(answer.permitted, "{class} {operation} {target}: {answer:?}");
    }
    let answer = ask(baseline.subject()?.profile, &question)?;
    // The baseline's own name is the candidate's own on its side.
    let own = String::from_utf8_lossy(&candidate.subject()?.profile.name).into_owned();
    ensure!(
        !answer.permitted || target.ends_with(&own) || target.ends_with("apparmor.d"),
        "{class} {operation} {target} is permitted by the baseline: {answer:?}; {witness:?}"
    );
    Ok(())
}

fn question(class: &str, operation: &str, target: &str, others: bool) -> Option<Question> {
    let (first, rest) = target.split_once(' ').unwrap_or((target, ""));
    match class {
        "file" => {
            let letter = match operation {
                "append" => "a",
                "execute" => "x",
                "lock" => "k",
                "map" => "m",
                "read" => "r",
                _ => "w",
            };
            Question::file(target, letter, others)
        }
        "network" => Question::network(first, rest),
        "ptrace" => Question::ptrace(operation, target),
        "signal" => Question::signal(first, rest, operation == "receive"),
        "mount" if operation == "mount" => {
            let (source, place) = rest.split_once(' ')?;
            Some(Question::mount(place, source, first))
        }
        _ => None,
    }
}

/// What holds for every pair.
fn laws(comparison: &Comparison, candidate: &Read, baseline: &Read) -> Result<()> {
    let own = compare(candidate.subject()?, candidate.subject()?);
    ensure!(
        own.relation == Relation::Equal,
        "unequal to itself: {own:?}"
    );
    let weaker = matches!(
        comparison.relation,
        Relation::Weaker | Relation::Incomparable
    );
    ensure!(
        weaker != comparison.witnesses.is_empty(),
        "weaker exactly with witnesses"
    );
    let back = compare(baseline.subject()?, candidate.subject()?);
    let expected = match comparison.relation {
        Relation::Equal => Relation::Equal,
        Relation::Incomparable => Relation::Incomparable,
        Relation::Stronger => Relation::Weaker,
        Relation::Weaker => Relation::Stronger,
        Relation::Unknown { .. } => bail!("{comparison:?}"),
    };
    // What a profile of the node permits is not known: neither side can be told to permit no more than that.
    let unknown = |witness: &Witness| witness.target.ends_with("whose rules are not known");
    ensure!(
        back.relation == expected || comparison.witnesses.iter().any(unknown),
        "the other way round it is {:?}",
        back.relation
    );
    if weaker {
        let subject = candidate.subject()?;
        let name = subject.profile.name.clone();
        let fixed = fix(
            &candidate.name,
            &candidate.text,
            &NoIncludes,
            &name,
            baseline.subject()?,
        );
        let fixed = fixed.context("--fix")?;
        let fixed = Read::of("fixed", &fixed)?;
        let relation = compare(fixed.subject()?, baseline.subject()?).relation;
        ensure!(
            matches!(relation, Relation::Equal | Relation::Stronger),
            "fixed it is {relation:?}:\n{}",
            String::from_utf8_lossy(&fixed.text)
        );
    }
    Ok(())
}
