//! A rule at its place: the blocks around it, and which of the classes it is for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::ast::{self, Owner, Prefix, Rule, RuleMode};
use super::super::diagnostic::Diagnostic;
use super::super::source::Span;
use super::lowering::{Lowering, Qualifiers};
use super::{Capabilities, rules};

/// A rule on its way: with the qualifiers of the blocks around it, innermost first.
pub(super) struct Placed<'a> {
    pub(super) rule: &'a Rule,
    pub(super) prefix: &'a Prefix,
    pub(super) blocks: Blocks<'a>,
    pub(super) span: Span,
    /// Whether all conditions around it hold.
    pub(super) taken: bool,
}

/// The qualifiers of blocks, innermost first.
pub(super) type Blocks<'a> = Arc<[&'a Prefix]>;

/// What a rule in blocks is: the outermost block's mode counts, whatever the rule itself says, and owners and `audit` add up
/// (`entry_add_prefix` of the parser, called once for each level). Also whether no file is left.
fn in_blocks(placed: &Placed<'_>) -> (Qualifiers, bool) {
    let mut qualifiers = Qualifiers::new(placed.prefix, placed.span);
    let mut nobody = false;
    for prefix in &*placed.blocks {
        let block = Qualifiers::new(prefix, placed.span);
        qualifiers.mode = block.mode;
        qualifiers.priority = 0;
        qualifiers.audit |= block.audit;
        qualifiers.in_block = true;
        nobody |= matches!(
            (qualifiers.owner, block.owner),
            (Some(Owner::Owner), Some(Owner::Other)) | (Some(Owner::Other), Some(Owner::Owner))
        );
        qualifiers.owner = qualifiers.owner.or(block.owner);
    }
    (qualifiers, nobody)
}

/// The bits that `change_profile` rules with a program carry look to blocks like those of programs: what they refuse.
fn refused_in_blocks(placed: &Placed<'_>) -> Option<&'static str> {
    let Rule::ChangeProfile {
        mode,
        exec: Some(_),
        ..
    } = placed.rule
    else {
        return None;
    };
    placed.blocks.iter().find_map(|block| {
        let denies = block.mode.is_some_and(|mode| mode.value == RuleMode::Deny);
        match (denies, *mode == Some(ast::ExecMode::Unsafe)) {
            (true, true) => Some("blocks that deny take no `change_profile unsafe`"),
            (false, false) => {
                Some("blocks take no `change_profile` with a program but `unsafe` ones")
            }
            _ => None,
        }
    })
}

/// Writes a rule's entries, as the blocks around it make it.
pub(super) fn lower(
    cx: &mut Lowering<'_>,
    placed: &Placed<'_>,
    (profile, aliases): (&[u8], &rules::file::Aliases),
    capabilities: &mut Capabilities,
    transitions: &mut BTreeSet<Vec<u8>>,
) {
    let own = Qualifiers::new(placed.prefix, placed.span);
    let changes_profile = matches!(placed.rule, Rule::ChangeProfile { .. });
    let moves =
        changes_profile || matches!(placed.rule, Rule::File | Rule::Path(_) | Rule::Link { .. });
    let (resolved, nobody) = in_blocks(placed);
    if !placed.blocks.is_empty() {
        // Checked as written, then as the blocks make it.
        cx.discard(true);
        let reported = cx.reported();
        lower_rule(cx, &own, placed.rule, (profile, aliases), capabilities);
        if let Some(problem) = refused_in_blocks(placed) {
            cx.report(
                Diagnostic::error("change-profile-in-block", placed.span, problem)
                    .help("move it out of the block, with the block's qualifiers in front"),
            );
        }
        if cx.reported() > reported {
            cx.discard(false);
            return;
        }
        if !moves && placed.taken {
            cx.report(
                Diagnostic::warning(
                    "dropped-rule",
                    placed.span,
                    "apparmor_parser drops this rule: blocks of qualifiers keep rules about files only",
                )
                .help("move it out of the block, with the block's qualifiers in front"),
            );
        }
        if !moves || nobody && !changes_profile {
            cx.discard(false);
            return;
        }
    }
    let kept = placed.taken;
    cx.discard(!kept);
    let named = lower_rule(cx, &resolved, placed.rule, (profile, aliases), capabilities);
    cx.discard(false);
    if kept {
        transitions.extend(named);
    }
}

/// Gives the profile that a rule's program moves to by name.
fn lower_rule(
    cx: &mut Lowering<'_>,
    qualifiers: &Qualifiers,
    rule: &Rule,
    (profile, aliases): (&[u8], &rules::file::Aliases),
    capabilities: &mut Capabilities,
) -> Option<Vec<u8>> {
    let simple = *qualifiers;
    match rule {
        Rule::All => {
            rules::all::lower(cx, simple);
            rules::file::lower_all(cx, qualifiers);
            if !cx.is_discarding() {
                capabilities.add(qualifiers.mode == RuleMode::Deny, u64::MAX, qualifiers.span);
            }
        }
        Rule::Capability(names) => rules::capability::lower(cx, qualifiers, names, capabilities),
        Rule::ChangeProfile { mode, exec, target } => {
            rules::change_profile::lower(cx, qualifiers, *mode, exec.as_ref(), target.as_ref());
        }
        Rule::Dbus(rule) => rules::dbus::lower(cx, simple, rule),
        Rule::File => rules::file::lower_file(cx, qualifiers),
        Rule::Path(rule) => return rules::file::lower_path(cx, qualifiers, aliases, profile, rule),
        Rule::IoUring(rule) => rules::io_uring::lower(cx, simple, rule),
        Rule::Link {
            subset,
            link,
            target,
        } => rules::file::lower_link(cx, qualifiers, aliases, (link, target, *subset)),
        Rule::Mount(rule) => rules::mount::lower(cx, simple, rule),
        Rule::Mqueue(rule) => rules::mqueue::lower(cx, simple, rule),
        Rule::Network(rule) => rules::network::lower(cx, simple, rule),
        Rule::PivotRoot {
            conditions,
            root,
            target,
        } => rules::mount::lower_pivot_root(cx, simple, conditions, root.as_ref(), target.as_ref()),
        Rule::Ptrace(rule) => rules::ptrace::lower(cx, simple, rule),
        Rule::Remount { conditions, path } => {
            rules::mount::lower_remount(cx, simple, conditions, path.as_ref());
        }
        Rule::Rlimit { name, value, unit } => {
            rules::rlimit::check(cx, name, value, unit.as_ref());
        }
        Rule::Signal(rule) => rules::signal::lower(cx, simple, rule),
        Rule::Umount { conditions, path } => {
            rules::mount::lower_umount(cx, simple, conditions, path.as_ref());
        }
        Rule::Unix(rule) => rules::unix::lower(cx, simple, rule),
        Rule::Userns(rule) => rules::userns::lower(cx, simple, rule),
    }
    None
}
