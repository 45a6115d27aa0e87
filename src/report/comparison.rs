//! A comparison in words: what people show each other.
//!
//! Names, paths and rules come from profiles, which are hostile text: all are stripped of control characters and cut.

use std::fmt::Write as _;

use serde::Serialize;

use super::text::quote_at_most;
use crate::compare::{Comparison, Explanation, Relation, Whose, Witness};

/// LIMIT: characters of a path, name or rule that are shown.
const MAX_TEXT: usize = 300;

/// LIMIT: witnesses that are shown to people.
const MAX_SHOWN: usize = 10;

/// What a witness says may be done: `write /proc/sysrq-trigger`.
#[must_use]
pub fn operation(witness: &Witness) -> String {
    let target = quote_at_most(&witness.target, MAX_TEXT);
    let verbs = list(&witness.operations);
    match witness.class {
        "capability" => format!("use capability {target}"),
        "change_profile" => format!("change to {target}"),
        "dbus" => format!("{verbs} over D-Bus: {target}"),
        "exec" => format!("run {target}"),
        "io_uring" => format!("use io_uring ({verbs}): {target}"),
        "link" => format!("link {target}"),
        "mode" => format!("do {target}"),
        "mount" => format!("{verbs} {target}"),
        "mqueue" => format!("{verbs} message queue {target}"),
        "network" if verbs.contains(' ') => format!("use {target} sockets ({verbs})"),
        "network" => format!("{verbs} {target} sockets"),
        "pivot_root" => format!("pivot the root to {target}"),
        "signal" => format!("{verbs} signal {target}"),
        "unix" => format!("{verbs} on unix {target}"),
        "userns" => "create user namespaces".to_owned(),
        _ => {
            let whose = match witness.whose {
                None => "",
                Some(Whose::Others) => " of other users",
                Some(Whose::Own) => " of its own user",
            };
            format!("{verbs} {target}{whose}")
        }
    }
}

/// A witness in one short sentence, for a denial: `may write /proc/sysrq-trigger (web:4 `file,`)`.
#[must_use]
pub fn short(witness: &Witness) -> String {
    let mut text = format!("may {}", operation(witness));
    if let Some(step) = witness.moves.last() {
        let _ = write!(
            text,
            " once it {} as {}",
            quote_at_most(&step.how, MAX_TEXT),
            quote_at_most(&step.to, MAX_TEXT)
        );
    }
    let place = place(&witness.permits);
    if let Some(rule) = &witness.permits.rule {
        let _ = write!(text, " ({place}`{}`)", quote_at_most(rule, MAX_TEXT));
    } else if let Some(why) = &witness.permits.why {
        let _ = write!(text, " ({why})");
    }
    text
}

/// `line 4 ` or `file:4 `, where that is known.
fn place(explanation: &Explanation) -> String {
    match (&explanation.file, explanation.line) {
        (Some(file), Some(line)) => format!("{}:{line} ", quote_at_most(file, MAX_TEXT)),
        _ => String::new(),
    }
}

fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The relation in a line, each witness as a sentence, and what to change.
#[must_use]
pub fn human(candidate: &str, baseline: &str, comparison: &Comparison) -> String {
    let (candidate, baseline) = (
        quote_at_most(candidate, MAX_TEXT),
        quote_at_most(baseline, MAX_TEXT),
    );
    let mut text = match &comparison.relation {
        Relation::Equal => format!("{candidate} is equal to {baseline}: it permits the same"),
        Relation::Incomparable => format!(
            "{candidate} is incomparable with {baseline}: it permits what that forbids, and forbids what that permits"
        ),
        Relation::Stronger => {
            format!(
                "{candidate} is stronger than {baseline}: it permits less, and nothing that is forbidden there"
            )
        }
        Relation::Unknown { why } => format!(
            "{candidate} could not be compared with {baseline}: {}",
            quote_at_most(why, MAX_TEXT)
        ),
        Relation::Weaker => {
            format!("{candidate} is weaker than {baseline}: it permits what that forbids")
        }
    };
    text.push('\n');
    for witness in comparison.witnesses.iter().take(MAX_SHOWN) {
        let _ = write!(text, "\n- may {}", operation(witness));
        for step in &witness.moves {
            let _ = write!(
                text,
                "\n  after it {}, as {}",
                quote_at_most(&step.how, MAX_TEXT),
                quote_at_most(&step.to, MAX_TEXT)
            );
        }
        let _ = write!(text, "\n  permitted by {}", because(&witness.permits));
        let _ = write!(
            text,
            "\n  {baseline} forbids it: {}",
            because(&witness.forbids)
        );
    }
    let more = comparison.witnesses.len().saturating_sub(MAX_SHOWN);
    if more > 0 {
        let _ = write!(text, "\n- and {more} more (all of them: -o json)");
    }
    if !comparison.witnesses.is_empty() {
        text.push('\n');
        let denials = denials(comparison);
        if !denials.is_empty() {
            text.push_str("\nTo forbid it as well, add:\n");
            for denial in denials {
                let _ = writeln!(text, "  {denial}");
            }
        }
        text.push_str("\nOr see the whole profile with what is missing: --fix\n");
    }
    text
}

/// The rules of the baseline that forbid what the candidate permits.
fn denials(comparison: &Comparison) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for witness in &comparison.witnesses {
        if let Some(rule) = witness
            .forbids
            .rule
            .as_ref()
            .filter(|rule| rule.starts_with("deny "))
        {
            let rule = quote_at_most(rule, MAX_TEXT);
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    rules
}

/// A rule with its place, or why there is none.
#[must_use]
pub fn because(explanation: &Explanation) -> String {
    let rule = explanation
        .rule
        .as_ref()
        .map(|rule| format!("{}`{}`", place(explanation), quote_at_most(rule, MAX_TEXT)));
    match (rule, &explanation.why) {
        (Some(rule), Some(why)) => format!("{rule} ({why})"),
        (Some(rule), None) => rule,
        (None, why) => why.clone().unwrap_or_default(),
    }
}

/// The document of `compare -o json`.
#[derive(Serialize)]
struct Document<'c> {
    candidate: &'c str,
    baseline: &'c str,
    relation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'c str>,
    witnesses: Vec<WitnessDocument<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stricter: Option<WitnessDocument<'c>>,
}

#[derive(Serialize)]
struct WitnessDocument<'c> {
    class: &'static str,
    operation: &'static str,
    operations: &'c [&'static str],
    target: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_of: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moves: Vec<MoveDocument<'c>>,
    candidate: SideDocument<'c>,
    baseline: SideDocument<'c>,
}

#[derive(Serialize)]
struct MoveDocument<'c> {
    how: &'c str,
    to: &'c str,
}

#[derive(Serialize)]
struct SideDocument<'c> {
    permits: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'c str>,
}

/// The same as one JSON document: an object for one candidate, a list of them for several.
pub fn json(candidates: &[(String, Comparison)], baseline: &str) -> serde_json::Result<String> {
    let documents: Vec<Document<'_>> = candidates
        .iter()
        .map(|(candidate, comparison)| document(candidate, baseline, comparison))
        .collect();
    let text = match documents.as_slice() {
        [only] => serde_json::to_string_pretty(only),
        several => serde_json::to_string_pretty(several),
    };
    text.map(|text| text + "\n")
}

fn document<'c>(candidate: &'c str, baseline: &'c str, comparison: &'c Comparison) -> Document<'c> {
    Document {
        candidate,
        baseline,
        relation: comparison.relation.as_str(),
        why: match &comparison.relation {
            Relation::Unknown { why } => Some(why),
            _ => None,
        },
        witnesses: comparison
            .witnesses
            .iter()
            .map(|witness| witness_document(witness, true))
            .collect(),
        stricter: comparison
            .stricter
            .as_ref()
            .map(|witness| witness_document(witness, false)),
    }
}

fn witness_document(witness: &Witness, candidate_permits: bool) -> WitnessDocument<'_> {
    let permits = side(&witness.permits, true);
    let forbids = side(&witness.forbids, false);
    let (candidate, baseline) = if candidate_permits {
        (permits, forbids)
    } else {
        (forbids, permits)
    };
    WitnessDocument {
        class: witness.class,
        operation: witness.operations.first().copied().unwrap_or_default(),
        operations: &witness.operations,
        target: &witness.target,
        files_of: witness.whose.map(|whose| match whose {
            Whose::Others => "others",
            Whose::Own => "owner",
        }),
        moves: witness
            .moves
            .iter()
            .map(|step| MoveDocument {
                how: &step.how,
                to: &step.to,
            })
            .collect(),
        candidate,
        baseline,
    }
}

fn side(explanation: &Explanation, permits: bool) -> SideDocument<'_> {
    SideDocument {
        permits,
        rule: explanation.rule.as_deref(),
        file: explanation.file.as_deref(),
        line: explanation.line,
        why: explanation.why.as_deref(),
    }
}
