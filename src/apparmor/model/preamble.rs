//! What stands in front of the profiles: the ABI, variables and aliases.

use super::super::ast::{self, Assignment, AssignmentOperator, IncludePath, Item, Statement};
use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::include::{Included, Includes, Unit};
use super::super::quoting;
use super::super::source::Span;
use super::super::variables::Variables;
use super::Features;
use super::expression::{self, name};

/// The preamble, and the profiles behind it.
pub(super) struct Preamble<'a> {
    pub(super) features: Features,
    pub(super) variables: Variables,
    pub(super) aliases: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) profiles: Vec<(&'a Unit, &'a ast::Profile)>,
}

/// LIMIT: aliases: each is looked at for each rule.
const MAX_ALIASES: usize = 1_000;

/// Reads the preamble of a file and of what it includes, in order.
pub(super) fn read<'a>(
    root: &'a Unit,
    includes: &dyn Includes,
    diagnostics: &mut Diagnostics,
) -> Preamble<'a> {
    let mut reader = Reader {
        preamble: Preamble {
            features: Features::DEFAULT,
            variables: Variables::default(),
            aliases: Vec::new(),
            profiles: Vec::new(),
        },
        abi: None,
        seen_abi: None,
        includes,
        diagnostics,
    };
    // Words of their own in conditions and names; what they stand for is set by each profile.
    for builtin in ["profile_name", "exec_path", "attach_path"] {
        reader.preamble.variables.remove(builtin.as_bytes());
    }
    reader.items(root, &root.ast.items);
    reader.preamble
}

struct Reader<'a, 'r> {
    preamble: Preamble<'a>,
    abi: Option<Features>,
    /// The one that was read last, and whether it was searched for.
    seen_abi: Option<(Vec<u8>, bool)>,
    includes: &'r dyn Includes,
    diagnostics: &'r mut Diagnostics,
}

impl<'a> Reader<'a, '_> {
    fn items(&mut self, unit: &'a Unit, items: &'a [Item]) {
        for item in items {
            if self.diagnostics.is_too_large() {
                return;
            }
            match &item.statement.value {
                Statement::Abi(path) => self.abi(path),
                Statement::Include { path, .. } => {
                    for included in unit.included(path) {
                        self.items(included, &included.ast.items);
                    }
                }
                Statement::Alias { from, to } => {
                    let text = |word: &ast::Word| quoting::decode(&word.value).into_owned();
                    if self.preamble.aliases.len() == MAX_ALIASES {
                        self.too_large(from.span, "aliases");
                        continue;
                    }
                    self.preamble.aliases.push((text(from), text(to)));
                }
                Statement::Assignment(assignment) => self.assign(assignment),
                Statement::BooleanAssignment {
                    variable,
                    operator,
                    value,
                } => {
                    let value =
                        expression::holds(value, &mut self.preamble.variables, self.diagnostics);
                    let defined = self.preamble.variables.boolean(name(&variable.value));
                    if let (AssignmentOperator::Set, Some(_)) = (operator, defined) {
                        self.redefined(variable);
                    } else if let (Some(value), false) = (
                        value,
                        *operator == AssignmentOperator::Default && defined.is_some(),
                    ) {
                        self.preamble
                            .variables
                            .set_boolean(name(&variable.value), value);
                    }
                }
                Statement::Profile(profile) => {
                    self.preamble.profiles.push((unit, profile));
                }
                // The parser refuses them here.
                Statement::Block { .. } | Statement::If(_) | Statement::Rule { .. } => {}
            }
        }
    }

    /// The first `abi` decides; of later ones the parser only warns. Those in profiles have no effect at all.
    fn abi(&mut self, path: &IncludePath) {
        let text = quoting::decode(&path.path.value).into_owned();
        if self.seen_abi.as_ref() == Some(&(text.clone(), path.searched)) {
            return;
        }
        let features = match abi(path, self.includes) {
            Ok(features) => features,
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic);
                return;
            }
        };
        self.seen_abi = Some((text, path.searched));
        match self.abi {
            None => {
                self.abi = Some(features);
                self.preamble.features = features;
            }
            Some(first) if first != features => self.diagnostics.push(
                Diagnostic::warning(
                    "second-abi",
                    path.path.span,
                    "this ABI has no effect: the first one decides",
                )
                .help("name one ABI, at the top"),
            ),
            Some(_) => {}
        }
    }

    /// Said once: what follows is the same.
    fn too_large(&mut self, span: Span, what: &str) {
        if !self.diagnostics.is_too_large() {
            self.diagnostics.push(Diagnostic::too_large(
                span,
                format!("too many {what}, or too long ones"),
            ));
        }
    }

    fn assign(&mut self, assignment: &Assignment) {
        let variable = name(&assignment.variable.value).to_vec();
        let values: Vec<Vec<u8>> = assignment
            .values
            .iter()
            .map(|word| quoting::decode(&word.value).into_owned())
            .collect();
        let variables = &mut self.preamble.variables;
        let defined = variables.is_defined(&variable) || variables.boolean(&variable).is_some();
        match assignment.operator {
            AssignmentOperator::Set if defined => self.redefined(&assignment.variable),
            AssignmentOperator::Add if !defined => self.diagnostics.push(
                Diagnostic::error(
                    "undefined-variable",
                    assignment.variable.span,
                    "`+=` needs a variable that is defined before",
                )
                .help("write `=`, or include the file that defines it"),
            ),
            AssignmentOperator::Default if defined => {}
            AssignmentOperator::Override => variables.set(&variable, values),
            _ => variables.add(&variable, values),
        }
        if self.preamble.variables.overflow() {
            self.too_large(assignment.variable.span, "values of variables");
        }
    }

    fn redefined(&mut self, variable: &ast::Word) {
        self.diagnostics.push(
            Diagnostic::error(
                "redefined-variable",
                variable.span,
                "this variable is defined above",
            )
            .help("write `+=` to give it more values"),
        );
    }
}

/// The features of an ABI.
pub(super) fn abi(path: &IncludePath, includes: &dyn Includes) -> Result<Features, Diagnostic> {
    let text = quoting::decode(&path.path.value).into_owned();
    match includes.read(&text, path.searched) {
        Ok(Included::File(_, file)) => Some(Features::read(&file)),
        _ => Features::known(&text).filter(|_| path.searched),
    }
    .ok_or_else(|| {
        Diagnostic::error(
            "missing-abi",
            path.path.span,
            format!("there is no ABI `{}`", String::from_utf8_lossy(&text)),
        )
        .help("name the folder that holds it with `--include DIR`")
    })
}
