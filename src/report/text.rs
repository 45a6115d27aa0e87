//! Findings as text: for a terminal, an admission answer, an audit log.
//!
//! Names in objects are hostile: every one shown here is stripped of control characters and cut.

use std::fmt::Write as _;

use super::{
    finding::{Finding, Place},
    object::{ObjectReport, Outcome, Report},
};
use crate::verdict::Treatment;

/// LIMIT: characters of a name that are shown. Container names have at most 63 in a valid object.
pub(super) const MAX_NAME: usize = 80;

/// LIMIT: subjects with the same fault that are named one by one.
const MAX_SUBJECTS: usize = 50;

/// LIMIT: lines of a denial.
const MAX_LINES: usize = 20;

/// LIMIT: bytes of a denial. Long enough for any real pod; etcd events keep the first 1024.
const MAX_DENIAL: usize = 8 * 1024;

/// LIMIT: bytes of one warning; the API server may cut longer ones.
const MAX_WARNING: usize = 256;

/// LIMIT: warnings, so that all together stay under the API server's 4 KiB.
const MAX_WARNINGS: usize = 15;

/// LIMIT: bytes of an audit annotation's value.
const MAX_ANNOTATION: usize = 4096;

/// A name made fit to show: unprintable characters escaped, cut after 80 characters.
#[must_use]
pub fn quote(name: &str) -> String {
    quote_at_most(name, MAX_NAME)
}

/// Somebody else's sentence made fit to show, such as a library's error: on one line, cut after 300 characters.
#[must_use]
pub fn sentence(text: &str) -> String {
    quote_at_most(text, 300)
}

/// Somebody else's text made fit to show: on one line, cut after so many characters.
#[must_use]
pub fn quote_at_most(text: &str, most: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(most));
    for (count, character) in text.chars().enumerate() {
        if count == most {
            shown.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

/// The message of a denial: what is wrong with whom, and what to write instead. Several lines where it is several faults.
#[must_use]
pub fn denial(findings: &[Finding]) -> String {
    let denied = || {
        findings
            .iter()
            .filter(|finding| finding.treatment == Treatment::Deny && !finding.inherited)
    };
    let mut text = "AppArmor profiles must be no weaker than the runtime's default:".to_owned();
    let (faults, more) = faults(denied(), MAX_LINES);
    for fault in &faults {
        let separator = if fault.field.is_empty() { "" } else { ": " };
        let _ = write!(text, "\n- {} {}", fault.subjects, fault.message);
        let _ = write!(text, "\n  {}{separator}{}", fault.field, fault.advice);
    }
    if more > 0 {
        let _ = write!(text, "\n- and {more} more");
    }
    cut(text, MAX_DENIAL)
}

/// The warnings that an admission answer carries, one for each kind of fault.
#[must_use]
pub fn warnings(findings: &[Finding]) -> Vec<String> {
    let worth_it = findings
        .iter()
        .filter(|finding| finding.treatment > Treatment::Allow);
    lines(worth_it, MAX_WARNINGS)
        .into_iter()
        .map(|line| cut(format!("AppArmor: {line}"), MAX_WARNING))
        .collect()
}

/// The reasons as an audit annotation's value, whatever the policy makes of them.
#[must_use]
pub fn reasons(findings: &[Finding]) -> String {
    cut(lines(findings.iter(), MAX_LINES).join("; "), MAX_ANNOTATION)
}

/// A fault with all the subjects that share it.
struct Fault<'f> {
    subjects: String,
    message: &'f str,
    advice: &'f str,
    /// Of the first subject.
    field: &'f str,
}

/// A line per fault.
fn lines<'f>(findings: impl Iterator<Item = &'f Finding>, most: usize) -> Vec<String> {
    let (faults, more) = faults(findings, most);
    let line = |fault: &Fault<'_>| {
        let Fault {
            subjects,
            message,
            advice,
            field,
        } = fault;
        let place = if field.is_empty() {
            String::new()
        } else {
            format!(" ({field})")
        };
        format!("{subjects} {message}: {advice}{place}")
    };
    let mut lines: Vec<String> = faults.iter().map(line).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// At most so many faults, and how many findings are left out.
fn faults<'f>(findings: impl Iterator<Item = &'f Finding>, most: usize) -> (Vec<Fault<'f>>, usize) {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    let mut left_out = 0_usize;
    for finding in findings {
        let shares_fault = |group: &&mut Vec<&Finding>| {
            let first = group.first();
            first.is_some_and(|first| {
                first.message == finding.message && first.advice == finding.advice
            })
        };
        if let Some(group) = groups.iter_mut().find(shares_fault) {
            group.push(finding);
        } else if groups.len() < most {
            groups.push(vec![finding]);
        } else {
            left_out += 1;
        }
    }
    (
        groups.iter().filter_map(|group| fault(group)).collect(),
        left_out,
    )
}

fn fault<'f>(group: &[&'f Finding]) -> Option<Fault<'f>> {
    let first = group.first()?;
    let named: Vec<&str> = group
        .iter()
        .take(MAX_SUBJECTS)
        .map(|finding| finding.subject.as_str())
        .collect();
    let mut subjects = named.join(", ");
    if let Some(more @ 1..) = group.len().checked_sub(named.len()) {
        let _ = write!(subjects, " and {more} more");
    }
    Some(Fault {
        subjects,
        message: &first.message,
        advice: &first.advice,
        field: &first.field,
    })
}

/// Cut to so many bytes, on a character.
fn cut(mut text: String, most: usize) -> String {
    const MARK: char = '…';
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(MARK.len_utf8())));
        text.push(MARK);
    }
    text
}

/// A report for people, ending in a newline.
#[must_use]
pub fn human(report: &Report) -> String {
    let mut text = String::new();
    for object in report
        .objects
        .iter()
        .filter(|object| !object.findings.is_empty())
    {
        human_object(&mut text, object);
    }
    let total = report.objects.len();
    let [allowed, denied, warned] =
        [Outcome::Allowed, Outcome::Denied, Outcome::Warned].map(|outcome| report.count(outcome));
    let _ = write!(
        text,
        "{total} checked: {denied} denied, {warned} with warnings, {allowed} fine"
    );
    if report.skipped.total() > 0 {
        let kinds: Vec<String> = report
            .skipped
            .by_kind()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let _ = write!(
            text,
            "; {} skipped, they hold no pod ({})",
            report.skipped.total(),
            kinds.join(", ")
        );
    }
    text.push('\n');
    text
}

fn human_object(text: &mut String, object: &ObjectReport) {
    let outcome = match object.outcome {
        Outcome::Allowed => "allowed",
        Outcome::Denied => "denied",
        Outcome::Warned => "allowed with warnings",
    };
    let _ = writeln!(text, "{}: {outcome}", object.title());
    for finding in &object.findings {
        let Finding {
            subject,
            message,
            advice,
            field,
            ..
        } = finding;
        let Place { file, line, column } = finding.place.as_ref().unwrap_or(&object.place);
        let _ = writeln!(
            text,
            "  {}:{line}:{column}: {subject} {message}",
            quote_at_most(file, 1024)
        );
        let separator = if field.is_empty() { "" } else { ": " };
        let _ = writeln!(text, "    {field}{separator}{advice}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::{Finding, Treatment, cut, denial, quote, warnings};
    use crate::verdict::FieldPath;

    fn finding(subject: &str, message: &str) -> Finding {
        Finding {
            verdict: "fail",
            reason: "unconfined",
            subject: subject.to_owned(),
            message: message.to_owned(),
            advice: "do better".to_owned(),
            field: "spec".to_owned(),
            place: None,
            treatment: Treatment::Deny,
            inherited: false,
            path: FieldPath::default(),
        }
    }

    #[test]
    fn names_cannot_forge_lines_or_colours() {
        assert_eq!(quote("a\nb\u{1b}[31m\u{202e}"), "a\\nb\\u{1b}[31m\\u{202e}");
        assert_eq!(quote(&"x".repeat(100)).chars().count(), 81);
    }

    #[test]
    fn a_denial_names_all_who_share_a_fault_in_one_line() {
        let text = denial(&[
            finding("a", "is bad"),
            finding("b", "is bad"),
            finding("c", "is worse"),
        ]);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "- a, b is bad",
                "  spec: do better",
                "- c is worse",
                "  spec: do better"
            ]
        );
    }

    #[test]
    fn messages_stay_within_the_api_servers_limits() {
        let many: Vec<Finding> = (0..5000)
            .map(|index| finding(&format!("{index}"), &"ä".repeat(300 + index % 40)))
            .collect();
        let warnings = warnings(&many);
        assert!(warnings.iter().all(|warning| warning.len() <= 256));
        assert!(warnings.iter().map(String::len).sum::<usize>() <= 4096);
        assert!(denial(&many).len() <= 8192);
        assert_eq!(cut("äää".to_owned(), 5), "ä…");
    }
}
