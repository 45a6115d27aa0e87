//! From the syntax tree to profiles: the order of things, blocks, conditions, names and flags.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::ast::{self, Block, Owner, Prefix, Rule, RuleMode, Statement, Word};
use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::glob::Glob;
use super::super::include::{Includes, Loaded, Unit};
use super::super::pattern::Pattern;
use super::super::quoting;
use super::super::source::Span;
use super::super::variables::Variables;
use super::expression;
use super::lowering::{Lowering, Qualifiers, Sizes, Slashes};
use super::preamble::{self, Preamble};
use super::rules;
use super::{Class, Entry, Features};

/// LIMIT: named profiles that a profile's programs may move to, as in the parser.
const MAX_TRANSITIONS: usize = 12;
/// LIMIT: profiles of a policy.
const MAX_PROFILES: usize = 10_000;

/// The profiles of a text.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// In the order of the text, parents before their children.
    pub profiles: Vec<Profile>,
}

impl Policy {
    /// The profile with a full name (`parent//child`), without its namespace.
    #[must_use]
    pub fn profile(&self, name: &[u8]) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }
}

/// A profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its full name: `parent//child`.
    pub name: Vec<u8>,
    /// The namespace that it is loaded to, its own when absent.
    pub namespace: Option<Vec<u8>>,
    /// The profile in which it stands.
    pub parent: Option<Vec<u8>>,
    /// Whether a process may enter it by `change_hat`.
    pub hat: bool,
    /// What is done about what is not permitted.
    pub mode: ProfileMode,
    /// Flags, as words.
    pub flags: BTreeSet<Vec<u8>>,
    /// The programs that it attaches to.
    pub attachments: Vec<Pattern>,
    /// What its ABI mediates.
    pub features: Features,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// Rules of all other classes.
    pub entries: BTreeMap<Class, Vec<Entry>>,
    /// Its head.
    pub span: Span,
}

/// What is done about what a profile does not permit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProfileMode {
    /// It is logged and happens: `complain`.
    Complain,
    /// It happens: `default_allow`.
    DefaultAllow,
    /// It is refused.
    #[default]
    Enforce,
    /// It is refused and the process killed.
    Kill,
    /// Somebody is asked.
    Prompt,
    /// Nothing is mediated.
    Unconfined,
}

/// The capabilities of a profile.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// Permitted, unless denied.
    pub allow: u64,
    /// Forbidden.
    pub deny: u64,
    /// What each rule said: whether it denies, its capabilities, and where it stands.
    pub rules: Vec<Origin>,
}

/// A capability rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether it forbids.
    pub deny: bool,
    /// Bits by number.
    pub mask: u64,
    /// Where it stands.
    pub span: Span,
}

impl Capabilities {
    /// Adds a rule.
    pub fn add(&mut self, deny: bool, mask: u64, span: Span) {
        if deny {
            self.deny |= mask;
        } else {
            self.allow |= mask;
        }
        self.rules.push(Origin { deny, mask, span });
    }

    /// Bits that are permitted.
    #[must_use]
    pub fn permitted(&self) -> u64 {
        self.allow & !self.deny
    }
}

/// What a loaded text means, and what is wrong with it. The includes are asked for ABI files only.
#[must_use]
pub fn policy(loaded: &Loaded, includes: &dyn Includes) -> (Policy, Vec<Diagnostic>) {
    let mut diagnostics = Diagnostics::default();
    let preamble = preamble::read(&loaded.root, includes, &mut diagnostics);
    let mut builder = Builder {
        preamble: &preamble,
        includes,
        variables: preamble.variables.clone(),
        policy: Policy::default(),
        diagnostics,
        names: BTreeSet::new(),
        sizes: Sizes::default(),
    };
    for (unit, profile) in &preamble.profiles {
        builder.profile(unit, profile, None);
    }
    (builder.policy, builder.diagnostics.into_vec())
}

struct Builder<'a> {
    preamble: &'a Preamble<'a>,
    includes: &'a dyn Includes,
    variables: Variables,
    policy: Policy,
    diagnostics: Diagnostics,
    names: BTreeSet<(Vec<u8>, Vec<u8>)>,
    sizes: Sizes,
}

/// A rule on its way: with the qualifiers of the blocks around it, innermost first.
struct Placed<'a> {
    rule: &'a Rule,
    prefix: &'a Prefix,
    blocks: Blocks<'a>,
    span: Span,
    taken: bool,
}

/// The qualifiers of blocks, innermost first.
type Blocks<'a> = Arc<[&'a Prefix]>;

/// What stands in a profile's body, includes and branches resolved.
#[derive(Default)]
struct Body<'a> {
    rules: Vec<Placed<'a>>,
    children: Vec<(&'a Unit, &'a ast::Profile)>,
}

impl<'a> Builder<'a> {
    fn profile(&mut self, unit: &'a Unit, profile: &'a ast::Profile, parent: Option<&[u8]>) {
        if self.diagnostics.is_too_large() {
            return;
        }
        // What is left out must not pass for something that is not there.
        if self.policy.profiles.len() == MAX_PROFILES {
            self.diagnostics.push(Diagnostic::too_large(
                profile.name.span,
                format!("more than {MAX_PROFILES} profiles"),
            ));
            return;
        }
        let declared = quoting::decode(&profile.name.value).into_owned();
        let (namespace, local) = split_namespace(&declared);
        let key = (
            parent.unwrap_or_default().to_vec(),
            [namespace.unwrap_or_default(), b"\0", local].concat(),
        );
        if !self.names.insert(key) {
            self.diagnostics.push(
                Diagnostic::error(
                    "duplicate-profile",
                    profile.name.span,
                    "a profile of this name stands above",
                )
                .help("rename one of them, or put their rules into one"),
            );
            return;
        }
        let mut body = Body::default();
        self.collect(unit, &profile.body, &Blocks::default(), true, &mut body);

        let mut lowering = Lowering::new(
            self.preamble.features,
            &mut self.variables,
            &mut self.diagnostics,
            &mut self.sizes,
        );
        let local = lowering
            .expand(local, profile.name.span)
            .unwrap_or_else(|| local.to_vec());
        let name = match parent {
            Some(parent) => [parent, b"//", &local].concat(),
            None => local.clone(),
        };
        let (attachments, attached) =
            attachments(&mut lowering, profile, &local, &self.preamble.aliases);
        disconnected_paths(&mut lowering, &profile.flags);
        lowering.define(&name, attached.as_deref());
        let mut capabilities = Capabilities::default();
        let mut transitions = BTreeSet::new();
        for placed in &body.rules {
            if lowering.is_too_large() {
                break;
            }
            lower(
                &mut lowering,
                placed,
                // Of a child the parser knows its own name only: `cx -> name` in it leads nowhere.
                (&local, &self.preamble.aliases),
                &mut capabilities,
                &mut transitions,
            );
        }
        if transitions.len() > MAX_TRANSITIONS {
            lowering.report(
                Diagnostic::error(
                    "too-many-transitions",
                    profile.name.span,
                    format!("programs move to more than {MAX_TRANSITIONS} named profiles"),
                )
                .help("a profile has room for twelve: let some attach by their paths instead"),
            );
        }
        implied(&mut lowering, profile, &body);
        lowering.undefine();
        let entries = lowering.finish();
        let (mode, flags) = flags(&profile.flags);
        self.policy.profiles.push(Profile {
            name: name.clone(),
            namespace: namespace.map(<[u8]>::to_vec),
            parent: parent.map(<[u8]>::to_vec),
            hat: is_hat(profile),
            mode,
            flags,
            attachments,
            features: self.preamble.features,
            capabilities,
            entries,
            span: profile.name.span,
        });
        for (unit, child) in body.children {
            self.profile(unit, child, Some(&name));
        }
    }

    fn collect(
        &mut self,
        unit: &'a Unit,
        block: &'a Block,
        blocks: &Blocks<'a>,
        taken: bool,
        body: &mut Body<'a>,
    ) {
        self.collect_items(unit, &block.items, blocks, taken, body);
    }

    fn collect_items(
        &mut self,
        unit: &'a Unit,
        items: &'a [ast::Item],
        blocks: &Blocks<'a>,
        taken: bool,
        body: &mut Body<'a>,
    ) {
        for item in items {
            if self.diagnostics.is_too_large() {
                return;
            }
            match &item.statement.value {
                Statement::Rule { prefix, rule } => body.rules.push(Placed {
                    rule,
                    prefix,
                    blocks: Arc::clone(blocks),
                    span: item.statement.span,
                    taken,
                }),
                Statement::Block { prefix, block } => {
                    let blocks = std::iter::once(prefix).chain(blocks.iter().copied());
                    self.collect(unit, block, &blocks.collect(), taken, body);
                }
                Statement::If(conditional) => {
                    let chosen =
                        expression::choose(conditional, &mut self.variables, &mut self.diagnostics);
                    let branches = conditional.branches.iter().map(|(_, block)| block);
                    for (index, block) in branches.chain(&conditional.otherwise).enumerate() {
                        let taken = taken && chosen == Some(index);
                        self.collect(unit, block, blocks, taken, body);
                    }
                }
                Statement::Include { path, .. } => {
                    for included in unit.included(path) {
                        self.collect_items(included, &included.ast.items, blocks, taken, body);
                    }
                }
                // The parser drops profiles in qualifier blocks with the rest of the block.
                Statement::Profile(child) if taken && blocks.is_empty() => {
                    body.children.push((unit, child));
                }
                // An `abi` in a profile has no effect, but it needs to be there.
                Statement::Abi(path) => {
                    if let Err(diagnostic) = preamble::abi(path, self.includes) {
                        self.diagnostics.push(diagnostic);
                    }
                }
                Statement::Profile(_)
                | Statement::Alias { .. }
                | Statement::Assignment(_)
                | Statement::BooleanAssignment { .. } => {}
            }
        }
    }
}

/// What a rule in blocks is: the outermost block's mode counts, whatever the rule itself says, and owners add up
/// (`entry_add_prefix` of the parser, called once for each level). Also whether no file is left.
fn in_blocks(placed: &Placed<'_>) -> (Qualifiers, bool) {
    let mut qualifiers = Qualifiers::new(placed.prefix, placed.span);
    let mut nobody = false;
    for prefix in &*placed.blocks {
        let block = Qualifiers::new(prefix, placed.span);
        qualifiers.mode = block.mode;
        qualifiers.priority = 0;
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

fn lower(
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

/// The files through which profiles and hats are changed: permitted by the parser where there is a rule or a hat for it, and
/// also where that rule denies.
fn implied(cx: &mut Lowering<'_>, profile: &ast::Profile, body: &Body<'_>) {
    let changes = body
        .rules
        .iter()
        .find(|placed| placed.taken && matches!(placed.rule, Rule::ChangeProfile { .. }));
    if let Some(placed) = changes {
        rules::change_profile::lower_implied(cx, placed.span, rules::change_profile::PROFILE_FILES);
    }
    let first = body.children.first().map(|(_, child)| child.name.span);
    let hat = is_hat(profile).then_some(profile.name.span);
    if let Some(span) = hat.or(first) {
        rules::change_profile::lower_implied(cx, span, rules::change_profile::HAT_FILES);
    }
}

fn is_hat(profile: &ast::Profile) -> bool {
    matches!(
        profile.keyword,
        ast::ProfileKeyword::Caret | ast::ProfileKeyword::Hat
    )
}

/// What a profile attaches to, and the text that `@{exec_path}` stands for.
fn attachments(
    cx: &mut Lowering<'_>,
    profile: &ast::Profile,
    name: &[u8],
    aliases: &[(Vec<u8>, Vec<u8>)],
) -> (Vec<Pattern>, Option<Vec<u8>>) {
    let (text, span) = match &profile.attachment {
        Some(word) => (cx.text(word), word.span),
        // A name that is a path is the attachment as well.
        None if name.starts_with(b"/") => (Some(name.to_vec()), profile.name.span),
        None => {
            // The parser reads every name as a glob, if only to see that it is one.
            cx.pattern_of(name, profile.name.span, Glob::Default, Slashes::Collapse);
            return (Vec::new(), None);
        }
    };
    let Some(text) = text else {
        return (Vec::new(), None);
    };
    let renamed = aliases
        .iter()
        .filter_map(|(from, to)| Some([to, text.strip_prefix(from.as_slice())?].concat()));
    let found = std::iter::once(text.clone())
        .chain(renamed)
        .filter_map(|text| cx.pattern_of(&text, span, Glob::Default, Slashes::Collapse))
        .map(|globbed| globbed.pattern)
        .collect();
    (found, Some(text))
}

/// Where disconnected paths are attached to is a whole path, with values in the place of its variables.
fn disconnected_paths(cx: &mut Lowering<'_>, flags: &[Word]) {
    for flag in flags {
        let text = cx.decoded(flag);
        let names: [&[u8]; 2] = [b"attach_disconnected.path=", b"attach_disconnected.ipc="];
        let Some(path) = names.iter().find_map(|name| text.strip_prefix(*name)) else {
            continue;
        };
        let path = cx.expand(path, flag.span);
        if path.is_some_and(|path| !path.starts_with(b"/")) {
            cx.report(
                Diagnostic::error(
                    "invalid-flag",
                    flag.span,
                    "the path that disconnected ones are attached to does not begin with `/`",
                )
                .help("give the variable a value that does"),
            );
        }
    }
}

/// The mode and the words of the flags, which the parser has checked.
fn flags(words: &[Word]) -> (ProfileMode, BTreeSet<Vec<u8>>) {
    let flags: BTreeSet<Vec<u8>> = words
        .iter()
        .map(|word| quoting::decode(&word.value).into_owned())
        .collect();
    let mode = [
        ("complain", ProfileMode::Complain),
        ("default_allow", ProfileMode::DefaultAllow),
        ("kill", ProfileMode::Kill),
        ("prompt", ProfileMode::Prompt),
        ("unconfined", ProfileMode::Unconfined),
    ]
    .into_iter()
    .find(|(name, _)| flags.contains(name.as_bytes()))
    .map_or(ProfileMode::Enforce, |(_, mode)| mode);
    (mode, flags)
}

/// `:namespace:name`, `:namespace://name`
fn split_namespace(name: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(rest) = name.strip_prefix(b":") else {
        return (None, name);
    };
    match rest.iter().position(|&byte| byte == b':') {
        Some(end) => {
            let (namespace, rest) = rest.split_at(end);
            let local = rest.strip_prefix(b":").unwrap_or(rest);
            (Some(namespace), local.strip_prefix(b"//").unwrap_or(local))
        }
        None => (None, name),
    }
}
