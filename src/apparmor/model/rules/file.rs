//! Rules about paths: `file /etc/** r,`, `/bin/sh Px -> shell,`, `link /a -> /b,`, `file,`.
//!
//! A path's permissions are two halves of bits, for files of the process's own user and for those of others. A link is asked
//! for twice: as a bit of the new name, and as the pair of both names with a NUL between them (`aa_path_link` in Linux).

use super::super::super::ast::{ExecMode, Owner, PathRule, RuleMode, Word};
use super::super::super::diagnostic::Diagnostic;
use super::super::super::glob::Glob;
use super::super::super::pattern::{ByteSet, Pattern};
use super::super::super::source::Span;
use super::super::lowering::{Lowering, Qualifiers, Slashes};
use super::super::{Class, Entry, Exec, ExecTarget, Fallback};
use super::file_mode::{FileMode, read_file_mode};

/// Execute. Bits are those of the parser's file automata; the other half is [`OTHER`] higher.
pub const EXECUTE: u32 = 1;
/// Write: also create, remove, rename, truncate, chmod and chown.
pub const WRITE: u32 = 1 << 1;
/// Read.
pub const READ: u32 = 1 << 2;
/// Append.
pub const APPEND: u32 = 1 << 3;
/// Link: a name for it elsewhere.
pub const LINK: u32 = 1 << 4;
/// Lock.
pub const LOCK: u32 = 1 << 5;
/// Map as a program.
pub const MAP: u32 = 1 << 6;
/// On a pair: the link may not permit more than its target. On the owner's half only, as the parser writes it.
pub const LINK_SUBSET: u32 = 1 << 5;
/// How much higher the bits about others' files are.
pub const OTHER: u32 = 14;
/// Change the profile at the next exec.
pub const ON_EXEC: u32 = 1 << 30;
/// Change the profile.
pub const CHANGE_PROFILE: u32 = 1 << 31;

/// Bits of the owner's half.
pub const HALF: u32 = 0x7f;
/// Bits of both halves.
pub const BOTH: u32 = HALF | HALF << OTHER;

const BOTH_EXECUTE: u32 = EXECUTE | EXECUTE << OTHER;
const BOTH_LINK: u32 = LINK | LINK << OTHER;

/// A rule about paths, before its globs are read: an alias may double it.
struct PathEntry<'a> {
    path: Vec<u8>,
    path_span: Span,
    /// A link's target.
    target: Option<(Vec<u8>, Span)>,
    subset: bool,
    /// Both halves.
    permissions: u32,
    exec: Option<Exec>,
    qualifiers: &'a Qualifiers,
}

/// `alias /home/ -> /mnt/users/,`
pub(in super::super) type Aliases = [(Vec<u8>, Vec<u8>)];

/// `file,`
pub(in super::super) fn lower_file(cx: &mut Lowering<'_>, qualifiers: &Qualifiers) {
    let exec = (qualifiers.mode != RuleMode::Deny).then_some(Exec {
        target: ExecTarget::Inherit,
        keeps_environment: false,
        fallback: Fallback::Inherit,
    });
    if exec.is_none() {
        // The bare rule carries `ix`, and a deny rule may not.
        cx.report(
            Diagnostic::error(
                "exec-qualifier-in-deny",
                qualifiers.span,
                "`deny file,` carries an exec qualifier, which deny rules may not have",
            )
            .help("write `deny /{,**} rwlkmx,`"),
        );
    }
    let entry = PathEntry {
        path: b"/{**,}".to_vec(),
        path_span: qualifiers.span,
        target: None,
        subset: false,
        permissions: BOTH,
        exec,
        qualifiers,
    };
    push(cx, &entry);
}

/// The files of `all,`: everything but `x`, and `ix` two priorities below. With `deny` the parser leaves others' files out.
pub(in super::super) fn lower_all(cx: &mut Lowering<'_>, qualifiers: &Qualifiers) {
    let deny = qualifiers.mode == RuleMode::Deny;
    let everything = HALF & !EXECUTE;
    let below = Qualifiers {
        priority: qualifiers.priority - 2,
        ..*qualifiers
    };
    let entry = |permissions, exec, qualifiers| PathEntry {
        path: b"/{**,}".to_vec(),
        path_span: below.span,
        target: None,
        subset: false,
        permissions,
        exec,
        qualifiers,
    };
    let others = if deny { 0 } else { everything << OTHER };
    push(cx, &entry(everything | others, None, qualifiers));
    let exec = (!deny).then_some(Exec {
        target: ExecTarget::Inherit,
        keeps_environment: false,
        fallback: Fallback::Inherit,
    });
    push(cx, &entry(BOTH_EXECUTE, exec, &below));
}

/// `link subset /a -> /b,`
pub(in super::super) fn lower_link(
    cx: &mut Lowering<'_>,
    qualifiers: &Qualifiers,
    aliases: &Aliases,
    (link, target, subset): (&Word, &Word, bool),
) {
    let (Some(path), Some(target_text)) = (cx.text(link), cx.text(target)) else {
        return;
    };
    let entry = PathEntry {
        path,
        path_span: link.span,
        target: Some((target_text, target.span)),
        subset,
        permissions: BOTH_LINK,
        exec: None,
        qualifiers,
    };
    push_with_aliases(cx, &entry, aliases);
}

/// `file /etc/** r,`, `/bin/sh px -> shell,`. Gives the profile that it names, as the parser's table holds it.
pub(in super::super) fn lower_path(
    cx: &mut Lowering<'_>,
    qualifiers: &Qualifiers,
    aliases: &Aliases,
    profile: &[u8],
    rule: &PathRule,
) -> Option<Vec<u8>> {
    let letters = cx.decoded(&rule.permissions).into_owned();
    let mode = match read_file_mode(&letters) {
        Ok(mode) => mode,
        Err(message) => {
            cx.report(
                Diagnostic::error("invalid-permissions", rule.permissions.span, message)
                    .help("permissions are `r`, `w` or `a`, `l`, `k`, `m`, and one of `ix`, `px`, `cx`, `ux`, `pix`, `cix`, `pux`, `cux`"),
            );
            return None;
        }
    };
    let links = mode.bits & LINK != 0;
    let executes = mode.bits & EXECUTE != 0;
    if !check(cx, qualifiers, rule, &mode) {
        return None;
    }
    let path = cx.text(&rule.path);
    let target = match &rule.target {
        Some(word) => {
            // Variables in a profile's name stay as they are: the parser does not expand them there.
            let text = if links && rule.leading {
                cx.text(word)?
            } else {
                cx.decoded(word).into_owned()
            };
            Some((text, word.span))
        }
        None => None,
    };
    let path = path?;
    // With the permissions in front the target of a rule with `l` is a link's; behind they are always an exec's.
    let (link_target, named) = if links && rule.leading {
        (target, None)
    } else {
        (None, target)
    };
    let exec = mode.exec.filter(|_| executes).map(|mut exec| {
        if let Some(mode) = rule.mode {
            exec.keeps_environment = mode == ExecMode::Unsafe;
        }
        if let Some((name, _)) = &named {
            exec.target = named_target(&exec.target, name, &path, profile);
        }
        exec
    });
    // What `->` names is kept with the entries, and is no glob that would be counted.
    if let Some((name, span)) = &named
        && !cx.count_bytes(name.len() + profile.len(), *span)
    {
        return None;
    }
    let name = match (&exec, named) {
        (
            Some(Exec {
                target: ExecTarget::Named(name),
                ..
            }),
            _,
        ) => Some(name.clone()),
        // The parser gives it a place in its table all the same.
        (None, Some((name, _))) => Some(name),
        _ => None,
    };
    let entry = PathEntry {
        path,
        path_span: rule.path.span,
        target: link_target,
        subset: rule.subset,
        permissions: mode.bits | mode.bits << OTHER,
        exec,
        qualifiers,
    };
    push_with_aliases(cx, &entry, aliases);
    name
}

/// What the parser refuses about permissions, qualifiers and targets together.
fn check(cx: &mut Lowering<'_>, qualifiers: &Qualifiers, rule: &PathRule, mode: &FileMode) -> bool {
    let links = mode.bits & LINK != 0;
    let executes = mode.bits & EXECUTE != 0;
    let deny = qualifiers.mode == RuleMode::Deny;
    let span = rule.permissions.span;
    let problem = if deny && executes && mode.exec.is_some() {
        Some((
            "exec-qualifier-in-deny",
            "deny rules take a plain `x`",
            "write `x` instead of `ix`, `px`, `cx` or `ux`",
        ))
    } else if !deny && executes && mode.exec.is_none() {
        Some((
            "missing-exec-qualifier",
            "`x` does not say in which profile the program runs",
            "write `ix` to stay in this profile, or `px`, `cx`, `ux`",
        ))
    } else if rule.mode.is_some() && !executes {
        Some((
            "exec-mode-without-exec",
            "`safe` and `unsafe` are about programs, and this rule has no `x`",
            "take the word out",
        ))
    } else if rule.subset && mode.bits & !LINK != 0 {
        Some((
            "subset-without-link",
            "`subset` is about links only",
            "write a `link subset` rule of its own",
        ))
    } else if rule.leading && rule.target.is_some() && links && executes {
        Some((
            "ambiguous-target",
            "what `->` names is a link's target or a profile, and this rule has `l` and `x`",
            "write two rules",
        ))
    } else {
        None
    };
    if let Some((code, message, help)) = problem {
        cx.report(Diagnostic::error(code, span, message).help(help));
    }
    problem.is_none()
}

/// `cx -> name` is a child of this profile; any other name stands for itself.
fn named_target(target: &ExecTarget, name: &[u8], path: &[u8], profile: &[u8]) -> ExecTarget {
    let has_namespace = name.starts_with(b":") || name.starts_with(b"&:");
    if *target != ExecTarget::Child || has_namespace {
        ExecTarget::Named(name.to_vec())
    } else if name == path {
        ExecTarget::Child
    } else {
        ExecTarget::Named([profile, b"//", name].concat())
    }
}

/// Aliases add rules: the same with the prefix replaced, in the path, the link's target or both. They do not follow each other.
fn push_with_aliases(cx: &mut Lowering<'_>, entry: &PathEntry<'_>, aliases: &Aliases) {
    for (from, to) in aliases {
        let path = renamed(&entry.path, from, to);
        let target = entry
            .target
            .as_ref()
            .and_then(|(target, span)| Some((renamed(target, from, to)?, *span)));
        if path.is_none() && target.is_none() {
            continue;
        }
        push(
            cx,
            &PathEntry {
                path: path.unwrap_or_else(|| entry.path.clone()),
                target: target.or_else(|| entry.target.clone()),
                exec: entry.exec.clone(),
                ..*entry
            },
        );
    }
    push(cx, entry);
}

fn renamed(path: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    path.strip_prefix(from).map(|rest| [to, rest].concat())
}

fn push(cx: &mut Lowering<'_>, rule: &PathEntry<'_>) {
    let qualifiers = rule.qualifiers;
    let permissions = rule.permissions
        & match qualifiers.owner {
            None => BOTH,
            Some(Owner::Owner) => HALF,
            Some(Owner::Other) => HALF << OTHER,
        };
    let Some(path) = cx.pattern_of(&rule.path, rule.path_span, Glob::Default, Slashes::Collapse)
    else {
        return;
    };
    let target = match &rule.target {
        // Any path with a name, as the parser has it; the dot is any byte, NUL too.
        None => Some((
            Pattern::literal("/")
                .then(Pattern::Set(ByteSet::of(b"/").complement()))
                .then(Pattern::Star(ByteSet::ALL)),
            false,
        )),
        Some((text, span)) => cx
            .pattern_of(text, *span, Glob::Default, Slashes::Collapse)
            .map(|globbed| (globbed.pattern, globbed.exact)),
    };
    let Some((target, target_exact)) = target else {
        return;
    };
    let entry = |pattern, exact, permissions, exec| Entry {
        pattern,
        exact,
        mode: qualifiers.mode,
        priority: qualifiers.priority,
        permissions,
        exec,
        span: qualifiers.span,
    };
    // The bit of the new name is never denied: the pair is.
    let single = if qualifiers.mode == RuleMode::Deny {
        permissions & !BOTH_LINK
    } else {
        permissions
    };
    if single != 0 {
        let exec = rule.exec.clone().filter(|_| single & BOTH_EXECUTE != 0);
        cx.push(
            Class::File,
            entry(path.pattern.clone(), path.exact, single, exec),
        );
    }
    let links = permissions & BOTH_LINK;
    if links != 0 {
        let subset = if (rule.subset || rule.target.is_none()) && links & LINK != 0 {
            LINK_SUBSET
        } else {
            0
        };
        let pair = path.pattern.then(Pattern::literal("\0")).then(target);
        cx.push(
            Class::File,
            entry(pair, path.exact && target_exact, links | subset, None),
        );
    }
}
