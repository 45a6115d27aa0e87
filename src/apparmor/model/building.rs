//! From the syntax tree to profiles: the order of things, blocks, includes, conditions, children.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::ast::{self, Block, Rule, Statement};
use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::include::{Includes, Loaded, Unit};
use super::super::quoting;
use super::super::variables::Variables;
use super::lowering::{Lowering, Sizes};
use super::placed::{Blocks, Placed, lower};
use super::preamble::{self, Preamble};
use super::{
    Capabilities, Policy, Profile, expression,
    head::{self, MAX_NAME},
    rules,
};

/// LIMIT: named profiles that a profile's programs may move to, as in the parser.
const MAX_TRANSITIONS: usize = 12;
/// LIMIT: profiles of a policy.
const MAX_PROFILES: usize = 10_000;

/// What a loaded text means, and what is wrong with it. The includes are asked for ABI files only.
#[must_use]
pub fn policy(loaded: &Loaded, includes: &dyn Includes) -> (Policy, Vec<Diagnostic>) {
    let mut diagnostics = Diagnostics::default();
    let preamble = preamble::read(&loaded.root, includes, &mut diagnostics);
    let mut builder = Builder {
        preamble: &preamble,
        includes,
        variables: preamble.variables.clone(),
        profiles: Vec::new(),
        diagnostics,
        names: BTreeSet::new(),
        sizes: Sizes::default(),
        abis: BTreeSet::new(),
    };
    for (unit, profile) in &preamble.profiles {
        builder.profile(unit, profile, None);
    }
    (
        Policy::new(builder.profiles),
        builder.diagnostics.into_vec(),
    )
}

struct Builder<'a> {
    preamble: &'a Preamble<'a>,
    includes: &'a dyn Includes,
    variables: Variables,
    profiles: Vec<Profile>,
    diagnostics: Diagnostics,
    /// Parents by their numbers, and names as written.
    names: BTreeSet<(Option<usize>, Vec<u8>)>,
    sizes: Sizes,
    /// ABI files that are there, as they are named. Each abstraction names one, mostly the same.
    abis: BTreeSet<(bool, &'a [u8])>,
}

/// What stands in a profile's body, includes and branches resolved.
#[derive(Default)]
struct Body<'a> {
    rules: Vec<Placed<'a>>,
    children: Vec<(&'a Unit, &'a ast::Profile)>,
}

impl<'a> Builder<'a> {
    fn profile(&mut self, unit: &'a Unit, profile: &'a ast::Profile, parent: Option<usize>) {
        if self.diagnostics.is_too_large() {
            return;
        }
        // What is left out must not pass for something that is not there.
        if self.profiles.len() == MAX_PROFILES {
            self.diagnostics.push(Diagnostic::too_large(
                profile.name.span,
                format!("more than {MAX_PROFILES} profiles"),
            ));
            return;
        }
        let declared = quoting::decode(&profile.name.value).into_owned();
        if declared.len() > MAX_NAME {
            self.diagnostics.push(head::long_name(profile.name.span));
            return;
        }
        let (namespace, local) = head::split_namespace(&declared);
        let key = (
            parent,
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
        let Some(lowered) = self.lower(profile, (namespace, local), parent, &body) else {
            return;
        };
        let number = self.profiles.len();
        self.profiles.push(lowered);
        for (unit, child) in body.children {
            self.profile(unit, child, Some(number));
        }
    }

    /// A profile with what its body says; nothing if its name is too long.
    fn lower(
        &mut self,
        profile: &ast::Profile,
        (namespace, local): (Option<&[u8]>, &[u8]),
        parent: Option<usize>,
        body: &Body<'_>,
    ) -> Option<Profile> {
        let above = parent.and_then(|parent| self.profiles.get(parent));
        // A child is loaded to where its parent is.
        let namespace = namespace
            .map(<[u8]>::to_vec)
            .or_else(|| above.and_then(|above| above.namespace.clone()));
        let parent = above.map(|above| above.name.clone());
        let mut lowering = Lowering::new(
            self.preamble.features,
            &mut self.variables,
            &mut self.diagnostics,
            &mut self.sizes,
        );
        let local = lowering
            .expand(local, profile.name.span)
            .unwrap_or_else(|| local.to_vec());
        let name = match &parent {
            Some(parent) => [parent, &b"//"[..], &local].concat(),
            None => local.clone(),
        };
        if name.len() > MAX_NAME {
            lowering.report(head::long_name(profile.name.span));
            return None;
        }
        let aliases = &self.preamble.aliases;
        let (attachments, attached) = head::attachments(&mut lowering, profile, &local, aliases);
        head::disconnected_paths(&mut lowering, &profile.flags);
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
                (&local, aliases),
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
        implied(&mut lowering, profile, body);
        lowering.undefine();
        let (mode, flags) = head::flags(&mut lowering, &profile.flags);
        let (entries, changes) = lowering.finish();
        Some(Profile {
            name,
            namespace,
            parent,
            hat: head::is_hat(profile),
            mode,
            flags,
            attachments,
            features: self.preamble.features,
            capabilities,
            entries,
            changes,
            span: profile.name.span,
        })
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
                    let name = (path.searched, path.path.value.as_slice());
                    if self.abis.contains(&name) {
                        continue;
                    }
                    match preamble::abi(path, self.includes) {
                        Ok(_) => {
                            self.abis.insert(name);
                        }
                        Err(diagnostic) => self.diagnostics.push(diagnostic),
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
    let hat = head::is_hat(profile).then_some(profile.name.span);
    if let Some(span) = hat.or(first) {
        rules::change_profile::lower_implied(cx, span, rules::change_profile::HAT_FILES);
    }
}
