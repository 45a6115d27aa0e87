//! Mounts: `mount fstype=tmpfs options=(ro, nodev) tmpfs -> /run/,`, `remount`, `umount`, `pivot_root`
//!
//! The kernel walks class byte 7, then (security/apparmor/mount.c)
//!
//! * `target NUL source NUL type NUL flags` for [`MOUNT`], where what an operation has not is empty: a bind mount has no type,
//!   a remount and a change of the way mounts spread have neither source nor type. Flags are bytes, ascending: 1 for
//!   `MS_RDONLY`, 2 for `MS_NOSUID` and so on. Bind mounts are asked with `MS_BIND` and `MS_REC` alone, moves with `MS_MOVE`;
//! * `target` for [`UMOUNT`];
//! * `new root NUL old root` for [`PIVOT_ROOT`].
//!
//! What a file system makes of its mount data cannot be said in rules, and is not looked at.

use super::super::super::ast::{self, Condition, ConditionOperator, Word};
use super::super::super::diagnostic::Diagnostic;
use super::super::super::pattern::Pattern;
use super::super::Class;
use super::super::lowering::{Lowering, Qualifiers};
use super::conditions::{self, Reading, or_any};
use super::mount_options::{self, Operation, Options, Shape};

/// `AA_MAY_PIVOTROOT`
pub(crate) const PIVOT_ROOT: u32 = 0x1;
/// `AA_MAY_MOUNT`
pub(crate) const MOUNT: u32 = 0x2;
/// `AA_MAY_UMOUNT`
pub(crate) const UMOUNT: u32 = 0x4;

/// What the conditions of a rule say.
struct Given<'a> {
    types: Vec<&'a Word>,
    options: Options,
}

/// The places of a rule.
struct Places {
    source: Option<Pattern>,
    target: Option<Pattern>,
    types: Option<Pattern>,
    /// Whether the source is the word `detached`: a mount that is nowhere yet, whose source the kernel leaves empty.
    detached: bool,
}

/// Reads a mount rule.
pub(in super::super) fn lower(cx: &mut Lowering<'_>, qualifiers: Qualifiers, rule: &ast::Mount) {
    conditions::no_owner(cx, "mount", qualifiers);
    let after = rule.target.as_ref();
    if let Some(condition) = after.and_then(|target| target.conditions.first()) {
        cx.report(Diagnostic::error(
            "mount-conditions",
            condition.name.span,
            "conditions belong in front of the source",
        ));
    }
    let given = given(cx, &rule.conditions);
    let target = after.map(|target| &target.path);
    push(cx, qualifiers, given, rule.source.as_ref(), target, false);
}

/// Reads a remount rule.
pub(in super::super) fn lower_remount(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    conditions: &[Condition],
    path: Option<&Word>,
) {
    conditions::no_owner(cx, "mount", qualifiers);
    let given = given(cx, conditions);
    push(cx, qualifiers, given, None, path, true);
}

/// Reads an umount rule. Its conditions are checked, and mean nothing.
pub(in super::super) fn lower_umount(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    conditions: &[Condition],
    path: Option<&Word>,
) {
    conditions::no_owner(cx, "mount", qualifiers);
    let known = given(cx, conditions);
    let types = known
        .as_ref()
        .and_then(|given| types(cx, false, &given.types));
    if let (Some(condition), Some(_)) = (conditions.first(), &types) {
        cx.report(Diagnostic::warning(
            "unused-condition",
            condition.name.span,
            "conditions of umount rules have no effect",
        ));
    }
    let mediated = cx.features().mount;
    let path = conditions::given(cx, mediated, path, Reading::Path);
    let (Some(_), Some(path)) = (types, path) else {
        return;
    };
    if mediated {
        conditions::push(cx, Class::Mount, qualifiers, or_any(path), UMOUNT);
    } else {
        conditions::not_mediated(cx, "mounts", qualifiers.span);
    }
}

/// Reads a pivot_root rule. Of its conditions the parser looks at the last one only. What the process moves to has no effect in
/// any kernel.
pub(in super::super) fn lower_pivot_root(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    conditions: &[Condition],
    root: Option<&Word>,
    target: Option<&Word>,
) {
    conditions::no_owner(cx, "mount", qualifiers);
    let mediated = cx.features().mount;
    let old = match conditions.last() {
        None => Some(None),
        Some(condition) if *cx.decoded(&condition.name) == *b"oldroot" => {
            conditions::given(cx, mediated, condition.values.first(), Reading::Path)
        }
        Some(condition) => {
            conditions::unknown_condition(cx, "pivot_root", condition, "oldroot only");
            None
        }
    };
    let new = conditions::given(cx, mediated, root, Reading::Path);
    let known = target.is_none_or(|target| cx.text(target).is_some());
    let (Some(old), Some(new), true) = (old, new, known) else {
        return;
    };
    if mediated {
        let pattern = conditions::fields([or_any(new), or_any(old)]);
        conditions::push(cx, Class::Mount, qualifiers, pattern, PIVOT_ROOT);
    } else {
        conditions::not_mediated(cx, "mounts", qualifiers.span);
    }
}

fn given<'a>(cx: &mut Lowering<'_>, conditions: &'a [Condition]) -> Option<Given<'a>> {
    let mut types = Vec::new();
    let mut options = Options::default();
    let mut known = true;
    for condition in conditions {
        match cx.decoded(&condition.name).as_ref() {
            b"fstype" | b"vfstype" => types.extend(&condition.values),
            b"options" | b"option" => known &= add(cx, &mut options, condition),
            _ => {
                known = false;
                conditions::unknown_condition(cx, "mount", condition, "fstype and options");
            }
        }
    }
    known.then_some(Given { types, options })
}

/// Adds the flags of an `options` condition.
fn add(cx: &mut Lowering<'_>, options: &mut Options, condition: &Condition) -> bool {
    let (mut set, mut clear) = (0, 0);
    let mut known = true;
    let exact = condition.operator == ConditionOperator::Equals;
    for value in &condition.values {
        let text = cx.decoded(value);
        let Some((sets, clears)) = mount_options::word(&text) else {
            known = false;
            cx.report(
                Diagnostic::error(
                    "unknown-mount-option",
                    value.span,
                    format!("there is no mount option `{}`", conditions::shown(&text)),
                )
                .help("options that belong to one type of file system cannot be named"),
            );
            continue;
        };
        if exact && (set & clears != 0 || clear & sets != 0) {
            known = false;
            cx.report(Diagnostic::error(
                "conflicting-mount-options",
                value.span,
                format!("`{}` contradicts another option", conditions::shown(&text)),
            ));
        }
        set |= sets;
        clear |= clears;
    }
    if exact {
        options.exact.push(set);
    } else {
        // What may be set or not is the same either way it is written.
        options.within.push(set | clear);
    }
    known
}

/// Pushes what a mount or remount rule says: nothing when some of it was bad.
fn push(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    given: Option<Given<'_>>,
    source: Option<&Word>,
    target: Option<&Word>,
    remount: bool,
) {
    let mediated = cx.features().mount;
    let types = given
        .as_ref()
        .and_then(|given| types(cx, mediated, &given.types));
    let detached =
        source.is_some_and(|source| cx.text(source).is_some_and(|text| text == b"detached"));
    let source = conditions::given(cx, mediated, source, Reading::Path);
    let target = conditions::given(cx, mediated, target, Reading::Path);
    let (Some(given), Some(types), Some(source), Some(target)) = (given, types, source, target)
    else {
        return;
    };
    if !mediated {
        conditions::not_mediated(cx, "mounts", qualifiers.span);
        return;
    }
    let patterns = patterns(
        given.options.flags(remount),
        &Places {
            source,
            target,
            types,
            detached,
        },
    );
    if patterns.is_empty() && !cx.is_discarding() {
        cx.report(
            Diagnostic::error(
                "impossible-mount",
                qualifiers.span,
                "no kind of mount fits these options and places",
            )
            .help("bind mounts and moves have no type, and a change of the way mounts spread has one place only"),
        );
    }
    for pattern in patterns {
        conditions::push(cx, Class::Mount, qualifiers, pattern, MOUNT);
    }
}

#[expect(
    clippy::option_option,
    reason = "none when one is bad, and none when there are none"
)]
fn types(cx: &mut Lowering<'_>, mediated: bool, words: &[&Word]) -> Option<Option<Pattern>> {
    let mut types = Some(Vec::new());
    for word in words {
        let found = conditions::given(cx, mediated, Some(word), Reading::Label);
        types = types.zip(found).map(|(mut types, found)| {
            types.extend(found);
            types
        });
    }
    types.map(|types| (!types.is_empty()).then_some(Pattern::Union(types)))
}

/// A pattern for each operation that a rule is about.
fn patterns(flags: Vec<mount_options::Flags>, places: &Places) -> Vec<Pattern> {
    let shape = Shape {
        source: places.source.is_some(),
        target: places.target.is_some(),
        types: places.types.is_some(),
    };
    let mut patterns = Vec::new();
    for flags in flags {
        for operation in flags.operations(shape) {
            let mut target = places.target.clone();
            let (mut source, mut types) = (None, None);
            match operation {
                // The only place may stand where sources do.
                Operation::ChangeType | Operation::Remount => {
                    target = target.or_else(|| places.source.clone());
                }
                Operation::Bind | Operation::Move | Operation::New => {
                    source = if places.detached {
                        Some(Pattern::empty())
                    } else {
                        places.source.clone()
                    };
                }
            }
            if operation == Operation::New {
                types.clone_from(&places.types);
            }
            patterns.push(conditions::fields([
                or_any(target),
                or_any(source),
                or_any(types),
                flags.pattern(operation),
            ]));
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::super::conditions::testing::matches;
    use super::*;

    fn allowed(options: Options, places: &Places, text: &[u8]) -> bool {
        patterns(options.flags(false), places)
            .iter()
            .any(|pattern| matches(pattern, text))
    }

    fn exact(words: &[&str]) -> Options {
        Options {
            exact: vec![words.iter().fold(0, |bits, word| {
                bits | mount_options::word(word.as_bytes()).unwrap().0
            })],
            ..Options::default()
        }
    }

    fn places(source: Option<&str>, target: Option<&str>) -> Places {
        Places {
            source: source.map(Pattern::literal),
            target: target.map(Pattern::literal),
            types: None,
            detached: source == Some("detached"),
        }
    }

    #[test]
    fn rules_without_options_are_about_all_operations() {
        let any = places(None, None);
        for text in [
            &b"/m\0/d\0ext4\0\x01\x02"[..],
            b"/m\0/d\0ext4\0",
            b"/m\0/d\0\0\x0d\x0f",
            b"/m\0/d\0\0\x0e",
            b"/m\0\0\0\x06",
            b"/m\0\0\0\x0f\x13",
        ] {
            assert!(
                allowed(Options::default(), &any, text),
                "{}",
                text.escape_ascii()
            );
        }
        // What is asked for as a new mount has no flags of other operations.
        assert!(!allowed(
            Options::default(),
            &any,
            b"/m\0/d\0ext4\0\x02\x0e"
        ));
    }

    #[test]
    fn options_are_exact() {
        let both = places(Some("/d"), Some("/m"));
        assert!(allowed(exact(&["ro"]), &both, b"/m\0/d\0ext4\0\x01"));
        assert!(!allowed(exact(&["ro"]), &both, b"/m\0/d\0ext4\0"));
        assert!(!allowed(exact(&["ro"]), &both, b"/m\0/d\0ext4\0\x01\x02"));
        // A bind mount's other flags do not get to the rules.
        assert!(allowed(exact(&["ro", "bind"]), &both, b"/m\0/d\0\0\x0d"));
        assert!(!allowed(exact(&["ro", "bind"]), &both, b"/m\0/d\0\0\x01"));
    }

    #[test]
    fn the_only_place_may_be_the_source() {
        assert!(allowed(
            exact(&["private"]),
            &places(Some("/m"), None),
            b"/m\0\0\0\x13"
        ));
        assert!(allowed(
            exact(&["private"]),
            &places(None, Some("/m")),
            b"/m\0\0\0\x13"
        ));
        assert!(!allowed(
            exact(&["private"]),
            &places(Some("/d"), Some("/m")),
            b"/m\0\0\0\x13"
        ));
    }

    #[test]
    fn detached_sources_are_empty() {
        let detached = places(Some("detached"), Some("/m"));
        assert!(allowed(exact(&["move"]), &detached, b"/m\0\0\0\x0e"));
        assert!(!allowed(
            exact(&["move"]),
            &detached,
            b"/m\0detached\0\0\x0e"
        ));
    }
}
