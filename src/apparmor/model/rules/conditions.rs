//! What rules about other things than files share: conditions, and strings of fields with NULs between.
//!
//! The names and operators of conditions are looked up as written, without variables: the parser reads them before it knows
//! any.

use super::super::super::ast::{Condition, ConditionOperator, Word};
use super::super::super::diagnostic::Diagnostic;
use super::super::super::glob::Glob;
use super::super::super::pattern::{ByteSet, Pattern};
use super::super::super::source::Span;
use super::super::lowering::{Lowering, Qualifiers, Slashes};
use super::super::{Class, Entry};

/// Says that conditions of a rule may only be given with `=`. Those without a value are no better.
pub(super) fn equals(cx: &mut Lowering<'_>, rule: &str, condition: &Condition) -> bool {
    let equals = condition.operator == ConditionOperator::Equals;
    if !equals {
        cx.report(Diagnostic::error(
            "condition-operator",
            condition.name.span,
            format!("conditions of {rule} rules need `=` and a value"),
        ));
    }
    equals
}

/// Says that a rule has no condition of that name.
pub(super) fn unknown_condition(
    cx: &mut Lowering<'_>,
    rule: &str,
    condition: &Condition,
    known: &str,
) {
    let name = cx.decoded(&condition.name);
    cx.report(
        Diagnostic::error(
            "unknown-condition",
            condition.name.span,
            format!("{rule} rules have no condition `{}`", shown(&name)),
        )
        .help(if known.is_empty() {
            "they have none".to_owned()
        } else {
            format!("there are {known}")
        }),
    );
}

/// Keeps a condition's value: the first one of several, which the parser takes without a word. It may stand there once.
pub(super) fn once<'a>(
    cx: &mut Lowering<'_>,
    slot: &mut Option<&'a Word>,
    condition: &'a Condition,
) {
    if let [_, unused, ..] = condition.values.as_slice() {
        cx.report(Diagnostic::warning(
            "unused-value",
            unused.span,
            "only the first value counts",
        ));
    }
    keep(cx, slot, condition);
}

/// Keeps a condition's value, where several are refused.
pub(super) fn single<'a>(
    cx: &mut Lowering<'_>,
    slot: &mut Option<&'a Word>,
    condition: &'a Condition,
) {
    if let [_, second, ..] = condition.values.as_slice() {
        let name = cx.decoded(&condition.name);
        cx.report(Diagnostic::error(
            "several-values",
            second.span,
            format!("`{}` takes one value", shown(&name)),
        ));
    }
    keep(cx, slot, condition);
}

fn keep<'a>(cx: &mut Lowering<'_>, slot: &mut Option<&'a Word>, condition: &'a Condition) {
    if slot.is_some() {
        let name = cx.decoded(&condition.name);
        cx.report(Diagnostic::error(
            "repeated-condition",
            condition.name.span,
            format!("`{}` is there more than once", shown(&name)),
        ));
    }
    *slot = condition.values.first().or(*slot);
}

/// Says that a rule has no `peer=( … )`.
pub(super) fn no_group(cx: &mut Lowering<'_>, rule: &str, group: Option<&[Condition]>, span: Span) {
    if let Some(conditions) = group {
        cx.report(
            Diagnostic::error(
                "peer-conditions",
                conditions.first().map_or(span, |first| first.name.span),
                format!("{rule} rules have no `peer=(…)`"),
            )
            .help("write `peer=name`"),
        );
    }
}

/// Says that `owner` and `other` are about files only.
pub(super) fn no_owner(cx: &mut Lowering<'_>, rule: &str, qualifiers: Qualifiers) {
    if qualifiers.owner.is_some() {
        cx.report(Diagnostic::error(
            "owner-not-allowed",
            qualifiers.span,
            format!("`owner` and `other` are not allowed on {rule} rules"),
        ));
    }
}

/// Says that the policy's ABI has no such class: whatever it is about is permitted.
pub(super) fn not_mediated(cx: &mut Lowering<'_>, rule: &str, span: Span) {
    if cx.is_discarding() {
        return;
    }
    cx.report(
        Diagnostic::warning(
            "not-mediated",
            span,
            format!("the rule has no effect, the policy's ABI does not mediate {rule}"),
        )
        .help("name a newer ABI: `abi <abi/5.0>,`"),
    );
}

/// How the parser reads a value as a glob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As it stands: labels, names.
    Label,
    /// With runs of `/` made one.
    Path,
    /// With variables left alone, by oversight.
    Unexpanded,
}

/// A value's pattern.
pub(super) fn pattern(cx: &mut Lowering<'_>, word: &Word, reading: Reading) -> Option<Pattern> {
    let globbed = match reading {
        Reading::Label => cx.pattern(word, Glob::Default, Slashes::Keep),
        Reading::Path => cx.pattern(word, Glob::Default, Slashes::Collapse),
        Reading::Unexpanded => {
            let text = cx.decoded(word);
            cx.pattern_of(&text, word.span, Glob::Default, Slashes::Keep)
        }
    };
    Some(globbed?.pattern)
}

/// The pattern of a value that may be missing; the outer `None` says that it was bad, and reported.
///
/// Where the class is not mediated the parser writes no regular expression, and looks at variables only.
#[expect(
    clippy::option_option,
    reason = "none when it is bad, and none when it is missing"
)]
pub(super) fn given(
    cx: &mut Lowering<'_>,
    mediated: bool,
    word: Option<&Word>,
    reading: Reading,
) -> Option<Option<Pattern>> {
    match word {
        None => Some(None),
        Some(word) if mediated => pattern(cx, word, reading).map(Some),
        Some(_) if reading == Reading::Unexpanded => Some(None),
        Some(word) => cx.text(word).map(|_| None),
    }
}

/// `[^\0]*` unless there is something else.
pub(super) fn or_any(pattern: Option<Pattern>) -> Pattern {
    pattern.unwrap_or_else(Pattern::any_text)
}

/// `[^\0]+` unless there is something else.
pub(super) fn or_anyone(pattern: Option<Pattern>) -> Pattern {
    pattern.unwrap_or_else(|| Pattern::Set(ByteSet::NOT_NUL).then(Pattern::any_text()))
}

/// So many bytes, whichever.
pub(super) fn any_bytes(count: usize) -> Pattern {
    Pattern::Concat(vec![Pattern::Set(ByteSet::ALL); count])
}

/// Fields with a NUL between each two, as the kernel separates them (`aa_dfa_null_transition`).
pub(super) fn fields(fields: impl IntoIterator<Item = Pattern>) -> Pattern {
    fields
        .into_iter()
        .reduce(|all, field| all.then(Pattern::literal(*b"\0")).then(field))
        .unwrap_or_else(Pattern::empty)
}

/// Adds an entry with a rule's qualifiers.
pub(super) fn push(
    cx: &mut Lowering<'_>,
    class: Class,
    qualifiers: Qualifiers,
    pattern: Pattern,
    permissions: u32,
) {
    cx.push(
        class,
        Entry {
            pattern,
            exact: false,
            mode: qualifiers.mode,
            priority: qualifiers.priority,
            permissions,
            exec: None,
            span: qualifiers.span,
        },
    );
}

/// The number that a text starts with, as `strtoul` reads it, and what follows it: all of the text when there is none, which
/// counts as 0. Blanks and a sign may be in front. No number when it is negative or above 65535.
pub(super) fn unsigned(text: &[u8]) -> (Option<u16>, &[u8]) {
    let number = text.trim_ascii_start();
    let negative = number.starts_with(b"-");
    let digits = number
        .strip_prefix(b"+")
        .or(number.strip_prefix(b"-"))
        .unwrap_or(number);
    let length = digits
        .iter()
        .take_while(|digit| digit.is_ascii_digit())
        .count();
    let (digits, rest) = digits.split_at_checked(length).unwrap_or_default();
    if digits.is_empty() {
        return (Some(0), text);
    }
    let number = digits.iter().try_fold(0_u16, |number, digit| {
        number.checked_mul(10)?.checked_add(u16::from(digit - b'0'))
    });
    (number.filter(|&number| !negative || number == 0), rest)
}

/// Text for a message.
pub(super) fn shown(text: &[u8]) -> String {
    text.escape_ascii().to_string()
}

#[cfg(test)]
pub(super) mod testing {
    use super::Pattern;

    /// Whether a pattern matches all of a string, decided the slow way.
    pub(in super::super) fn matches(pattern: &Pattern, text: &[u8]) -> bool {
        ends(pattern, text, &[0]).contains(&text.len())
    }

    fn ends(pattern: &Pattern, text: &[u8], starts: &[usize]) -> Vec<usize> {
        let mut ends: Vec<usize> = match pattern {
            Pattern::Concat(parts) => parts
                .iter()
                .fold(starts.to_vec(), |starts, part| ends(part, text, &starts)),
            Pattern::Literal(bytes) => starts
                .iter()
                .filter(|&&start| text[start..].starts_with(bytes))
                .map(|start| start + bytes.len())
                .collect(),
            Pattern::Set(set) => starts
                .iter()
                .filter(|&&start| text.get(start).is_some_and(|&byte| set.contains(byte)))
                .map(|start| start + 1)
                .collect(),
            Pattern::Star(set) => starts
                .iter()
                .flat_map(|&start| {
                    let run = text[start..].iter().take_while(|&&byte| set.contains(byte));
                    start..=start + run.count()
                })
                .collect(),
            Pattern::Union(branches) => branches
                .iter()
                .flat_map(|branch| ends(branch, text, starts))
                .collect(),
        };
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::testing::matches;
    use super::*;

    #[test]
    fn fields_have_nuls_between() {
        let pattern = fields([or_any(None), Pattern::literal(*b"b"), or_anyone(None)]);
        assert!(matches(&pattern, b"\0b\0c"));
        assert!(!matches(&pattern, b"a\0b\0"));
        assert!(!matches(&pattern, b"a\0c\0c"));
        assert!(matches(&fields([]), b""));
        assert!(matches(&any_bytes(2), b"\0/"));
        assert!(!matches(&any_bytes(2), b"\0"));
    }

    #[test]
    fn numbers_are_read_as_the_c_library_does() {
        for (text, number, rest) in [
            ("80", Some(80), ""),
            (" +3x", Some(3), "x"),
            ("-0", Some(0), ""),
            ("-1", None, ""),
            ("65536 ", None, " "),
            ("x", Some(0), "x"),
            ("+", Some(0), "+"),
            ("", Some(0), ""),
        ] {
            assert_eq!(
                unsigned(text.as_bytes()),
                (number, rest.as_bytes()),
                "{text}"
            );
        }
    }
}
