//! `change_profile safe /bin/sh -> shell,`
//!
//! The kernel asks the file automaton three things: the label alone, the program alone, and the program with the label and a NUL
//! between them (`aa_change_profile` and `change_profile_perms` in Linux).

use super::super::super::ast::{ExecMode, RuleMode, Word};
use super::super::super::diagnostic::Diagnostic;
use super::super::super::glob::{Glob, Globbed};
use super::super::super::pattern::{ByteSet, Pattern};
use super::super::super::source::Span;
use super::super::lowering::{Lowering, Qualifiers, Slashes};
use super::super::{Class, Entry, Exec, ExecTarget, Fallback, ProfileChange};
use super::file::{CHANGE_PROFILE, EXECUTE, ON_EXEC, READ, WRITE};

/// Writes the entries of a rule.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: &Qualifiers,
    mode: Option<ExecMode>,
    exec: Option<&Word>,
    target: Option<&Word>,
) {
    if let (Some(_), None) = (mode, exec) {
        cx.report(
            Diagnostic::error(
                "exec-mode-without-exec",
                qualifiers.span,
                "`safe` and `unsafe` are about a program, and this rule names none",
            )
            .help("take the word out, or name the program"),
        );
        return;
    }
    let program = match exec {
        Some(word) => {
            let text = cx.decoded(word);
            if !text.starts_with(b"/") && !text.starts_with(b"@{") {
                cx.report(
                    Diagnostic::error(
                        "relative-path",
                        word.span,
                        "a program's path begins with `/` or a variable",
                    )
                    .help("write the whole path"),
                );
                return;
            }
            cx.text(word).and_then(|text| {
                let glob = cx.pattern_of(&text, word.span, Glob::Default, Slashes::Keep)?;
                Some((glob, Some(text)))
            })
        }
        None => Some((any_program(), None)),
    };
    let label = match target {
        Some(word) if cx.features().stacking => cx.pattern(word, Glob::Default, Slashes::Keep),
        Some(word) => old_label(cx, word),
        None => cx.pattern_of(b"**", qualifiers.span, Glob::Default, Slashes::Keep),
    };
    let (Some((program, text)), Some(label)) = (program, label) else {
        return;
    };
    let mut push = |pattern, exact, permissions| {
        cx.push(
            Class::File,
            Entry {
                pattern,
                exact,
                mode: qualifiers.mode,
                // The parser forgets the rule's own.
                priority: 0,
                permissions,
                exec: None,
                span: qualifiers.span,
            },
        );
    };
    push(label.pattern.clone(), label.exact, CHANGE_PROFILE | ON_EXEC);
    push(program.pattern.clone(), program.exact, ON_EXEC);
    let pair = program
        .pattern
        .then(Pattern::literal("\0"))
        .then(label.pattern);
    let pair = Globbed {
        pattern: pair,
        exact: program.exact && label.exact,
    };
    push(pair.pattern.clone(), pair.exact, ON_EXEC);
    if let Some(program) = text {
        let target = match target {
            Some(word) => cx.text(word).unwrap_or_default(),
            None => b"**".to_vec(),
        };
        cx.push_change(change(qualifiers, mode, (program, target), pair));
    }
}

/// The rule as the parser looks for conflicts.
fn change(
    qualifiers: &Qualifiers,
    mode: Option<ExecMode>,
    (program, target): (Vec<u8>, Vec<u8>),
    pair: Globbed,
) -> ProfileChange {
    ProfileChange {
        program,
        target,
        audit: qualifiers.audit,
        pair: Entry {
            pattern: pair.pattern,
            exact: pair.exact,
            // `prompt` in front of the rule itself is none to the parser.
            mode: match qualifiers.mode {
                RuleMode::Prompt if !qualifiers.in_block => RuleMode::Allow,
                mode => mode,
            },
            priority: 0,
            permissions: EXECUTE,
            exec: Some(Exec {
                target: ExecTarget::Profile,
                keeps_environment: mode == Some(ExecMode::Unsafe),
                fallback: Fallback::Deny,
            }),
            span: qualifiers.span,
        },
    }
}

/// A label as policies for kernels without stacks of profiles have it: with a NUL between namespace and profile.
fn old_label(cx: &mut Lowering<'_>, word: &Word) -> Option<Globbed> {
    let text = cx.text(word)?;
    if cx.is_discarding() {
        return cx.pattern_of(&text, word.span, Glob::Default, Slashes::Keep);
    }
    let problem = match text.as_slice() {
        [b'&', ..] => Some("the policy's ABI knows no stacks of profiles"),
        [] => Some("the profile to change to has no name"),
        _ => None,
    };
    let (namespace, name) = match text.strip_prefix(b":") {
        None => (None, text.as_slice()),
        Some(rest) => {
            let mut parts = rest.splitn(2, |&byte| byte == b':');
            let namespace = parts.next().unwrap_or_default();
            let name = parts.next().unwrap_or_default();
            (Some(namespace), name.strip_prefix(b"//").unwrap_or(name))
        }
    };
    let missing = namespace.is_some_and(<[u8]>::is_empty) || name.is_empty();
    let problem = problem.or(missing.then_some("the namespace or the profile has no name"));
    if let Some(problem) = problem {
        cx.report(
            Diagnostic::error("invalid-label", word.span, problem).help(
                "write `:namespace:profile`, and for stacks name a newer ABI: `abi <abi/3.0>,`",
            ),
        );
        return None;
    }
    let name = cx.pattern_of(name, word.span, Glob::Default, Slashes::Keep)?;
    let Some(namespace) = namespace else {
        return Some(name);
    };
    let namespace = cx.pattern_of(namespace, word.span, Glob::Default, Slashes::Keep)?;
    Some(Globbed {
        pattern: namespace
            .pattern
            .then(Pattern::literal("\0"))
            .then(name.pattern),
        exact: namespace.exact && name.exact,
    })
}

fn any_program() -> Globbed {
    Globbed {
        pattern: Pattern::literal("/")
            .then(Pattern::Set(ByteSet::NOT_NUL_OR_SLASH))
            .then(Pattern::any_text()),
        exact: false,
    }
}

/// What the parser permits besides: the files through which a profile or hat is changed, on the owner's half.
pub(in super::super) fn lower_implied(cx: &mut Lowering<'_>, span: Span, files: &[u8]) {
    for (glob, permissions) in [
        (b"/proc/*/attr/apparmor/".as_slice(), READ),
        (b"/sys/module/apparmor/parameters/enabled", READ),
        (files, WRITE),
    ] {
        if let Some(path) = cx.pattern_of(glob, span, Glob::Default, Slashes::Collapse) {
            cx.push(
                Class::File,
                Entry {
                    pattern: path.pattern,
                    exact: path.exact,
                    mode: RuleMode::Allow,
                    priority: 0,
                    permissions,
                    exec: None,
                    span,
                },
            );
        }
    }
}

/// The files of a change of profile.
pub(in super::super) const PROFILE_FILES: &[u8] = b"/proc/*/attr/{apparmor/,}{current,exec}";
/// The files of a change of hat.
pub(in super::super) const HAT_FILES: &[u8] = b"/proc/[0-9]*/attr/{apparmor/,}current";
