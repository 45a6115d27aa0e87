//! What a weaker profile lacks, added: the baseline's denials where it has them, and rules taken out where it permits less.

use std::{collections::BTreeSet, sync::Arc};

use crate::apparmor::ast::{
    Block, Comment, File, IncludePath, Item, PathRule, Prefix, Profile, Rule, RuleMode, Statement,
};
use crate::apparmor::diagnostic::Severity;
use crate::apparmor::include::{Includes, Loaded, load};
use crate::apparmor::model::{policy, split_namespace};
use crate::apparmor::parser::{Context, parse};
use crate::apparmor::printer::print;
use crate::apparmor::quoting;
use crate::apparmor::source::{FileId, Located, Span};

use super::relation::{Comparison, Relation, Subject, compare};
use super::witness::Witness;

/// LIMIT: rounds of comparing and adding. A denial may uncover another difference.
const MAX_ROUNDS: usize = 20;

/// Why a profile could not be fixed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixError {
    /// The text is not valid, before or after.
    #[error("the text is not valid: {0}")]
    Invalid(String),
    /// Rules are added to a profile by its name, which several have.
    #[error(
        "several profiles have that name, in different namespaces: put each into a file of its own"
    )]
    Ambiguous,
    /// There is no such profile.
    #[error("the text has no profile of that name")]
    NoProfile,
    /// A difference that no rule takes away.
    #[error("no rule takes this away: it may {0}")]
    Stuck(String),
    /// The relation is not known.
    #[error("it could not be compared: {0}")]
    Unknown(String),
}

/// A version of a text in which a profile is not weaker than a baseline. The text itself if it is not weaker already.
pub fn fix(
    name: &str,
    text: &[u8],
    includes: &dyn Includes,
    profile: &[u8],
    baseline: Subject<'_>,
) -> Result<Vec<u8>, FixError> {
    let mut text: Arc<[u8]> = text.into();
    for _ in 0..MAX_ROUNDS {
        let (loaded, mut diagnostics) = load(name.to_owned(), Arc::clone(&text), includes);
        let (policy, more) = policy(&loaded, includes);
        diagnostics.extend(more);
        if let Some(error) = diagnostics
            .iter()
            .find(|diagnostic| diagnostic.severity == Severity::Error)
        {
            return Err(FixError::Invalid(error.message.clone()));
        }
        let namesakes = policy.profiles.iter();
        if namesakes.filter(|other| other.name == profile).count() > 1 {
            return Err(FixError::Ambiguous);
        }
        let candidate = Subject {
            policy: &policy,
            sources: &loaded.sources,
            profile: policy.profile(profile).ok_or(FixError::NoProfile)?,
        };
        let comparison = compare(candidate, baseline);
        match &comparison.relation {
            Relation::Equal | Relation::Stronger => return Ok(text.to_vec()),
            Relation::Unknown { why } => return Err(FixError::Unknown(why.clone())),
            Relation::Incomparable | Relation::Weaker => {}
        }
        let mut file = (*loaded.root.ast).clone();
        edit(&mut file, &loaded, &comparison)?;
        let next: Arc<[u8]> = print(&file).into();
        if next == text {
            break;
        }
        text = next;
    }
    Err(FixError::Stuck(
        "do more than this many rounds took away".to_owned(),
    ))
}

/// One round: links last, as denials of writing change them too.
fn edit(file: &mut File, loaded: &Loaded, comparison: &Comparison) -> Result<(), FixError> {
    let (links, others): (Vec<&Witness>, Vec<&Witness>) = comparison
        .witnesses
        .iter()
        .partition(|witness| witness.class == "link");
    let witnesses = if others.is_empty() { links } else { others };
    let mut edited = false;
    // One rule may have several witnesses.
    let mut answered = BTreeSet::new();
    for witness in &witnesses {
        if answered.insert((witness.permits.span, witness.forbids.span)) {
            edited |= answer(file, loaded, witness);
        }
    }
    if edited {
        return Ok(());
    }
    Err(FixError::Stuck(witnesses.first().map_or_else(
        || "do more".to_owned(),
        |witness| format!("{} {}", witness.operations.join(", "), witness.target),
    )))
}

/// Takes one difference away. Whether something changed.
fn answer(file: &mut File, loaded: &Loaded, witness: &Witness) -> bool {
    if witness.class == "mode" {
        return enforce(file, &witness.profile);
    }
    // What no rule permits, the ABI does not mediate.
    let Some(span) = witness.permits.span else {
        return name_abi(file);
    };
    let denial = witness
        .forbids
        .rule
        .as_ref()
        .filter(|rule| rule.starts_with("deny "))
        .and_then(|rule| denial(rule));
    let rule = find(loaded, span);
    let priority = rule.as_ref().and_then(|(prefix, _)| prefix.priority);
    if let Some(Statement::Rule { mut prefix, rule }) = denial {
        prefix.priority = priority;
        return append(file, &witness.profile, &Statement::Rule { prefix, rule });
    }
    if remove((&mut file.items, &mut file.comments), span, witness.class) {
        return true;
    }
    // It stands in an include: forbidden here, as it is written there.
    let Some((_, rule)) = rule else {
        return false;
    };
    let Some(rule) = forbidden(rule, witness.class) else {
        return false;
    };
    let prefix = Prefix {
        priority,
        mode: Some(here(RuleMode::Deny)),
        ..Prefix::default()
    };
    append(file, &witness.profile, &Statement::Rule { prefix, rule })
}

/// A rule of the baseline, with the variable of its own in full.
fn denial(rule: &str) -> Option<Statement> {
    let text = rule.replace("@{PROC}/", "/proc/");
    let (file, diagnostics) = parse(FileId::default(), text.as_bytes(), Context::Body);
    if !diagnostics.is_empty() {
        return None;
    }
    file.items
        .into_iter()
        .next()
        .map(|item| item.statement.value)
}

/// A rule as one that forbids: with a plain `x`, and of a link only that.
fn forbidden(rule: Rule, class: &str) -> Option<Rule> {
    match rule {
        Rule::Path(path) => {
            let letters = quoting::decode(&path.permissions.value);
            let letters: Vec<u8> = match class {
                "link" => b"l".to_vec(),
                "exec" => b"x".to_vec(),
                _ => letters
                    .iter()
                    .copied()
                    .filter(|letter| b"rwalkmx".contains(letter))
                    .collect(),
            };
            (!letters.is_empty()).then(|| {
                Rule::Path(PathRule {
                    mode: None,
                    leading: false,
                    subset: false,
                    permissions: here(letters),
                    target: None,
                    ..path
                })
            })
        }
        Rule::File => Some(Rule::Path(PathRule {
            keyword: false,
            mode: None,
            leading: false,
            subset: false,
            permissions: here(if class == "link" {
                b"l".to_vec()
            } else {
                b"rwlkmx".to_vec()
            }),
            path: here(b"/{,**}".to_vec()),
            target: None,
        })),
        Rule::All => None,
        other => Some(other),
    }
}

fn here<T>(value: T) -> Located<T> {
    Located {
        value,
        span: Span::default(),
    }
}

fn item(statement: Statement) -> Item {
    Item {
        comments: Vec::new(),
        statement: here(statement),
        remark: None,
    }
}

/// The rule at a span, in whichever file.
fn find(loaded: &Loaded, span: Span) -> Option<(Prefix, Rule)> {
    let text = loaded.sources.text(span)?;
    let (file, _) = parse(FileId::default(), text, Context::Body);
    match file.items.into_iter().next()?.statement.value {
        Statement::Rule { prefix, rule } => Some((prefix, rule)),
        _ => None,
    }
}

/// Adds a statement to a profile's body, unless it is there.
fn append(file: &mut File, profile: &[u8], statement: &Statement) -> bool {
    with_profile(&mut file.items, b"", profile, &mut |found| {
        let known = found
            .body
            .items
            .iter()
            .any(|item| item.statement.value == *statement);
        if !known {
            found.body.items.push(item(statement.clone()));
        }
        !known
    })
}

/// Takes a profile's mode away.
fn enforce(file: &mut File, profile: &[u8]) -> bool {
    with_profile(&mut file.items, b"", profile, &mut |found| {
        let before = found.flags.len();
        found.flags.retain(|word| {
            !matches!(
                &*quoting::decode(&word.value),
                b"complain" | b"default_allow" | b"prompt" | b"unconfined"
            )
        });
        found.flags.len() != before
    })
}

/// Puts an ABI at the top, where there is none.
fn name_abi(file: &mut File) -> bool {
    let is_abi = |item: &Item| matches!(item.statement.value, Statement::Abi(_));
    if file.items.iter().any(is_abi) {
        return false;
    }
    file.items.insert(
        0,
        item(Statement::Abi(IncludePath {
            searched: true,
            path: here(b"abi/3.0".to_vec()),
        })),
    );
    true
}

/// Does something with the profile of a full name. No deeper than the parser nests blocks.
fn with_profile(
    items: &mut [Item],
    parent: &[u8],
    name: &[u8],
    change: &mut dyn FnMut(&mut Profile) -> bool,
) -> bool {
    items.iter_mut().any(|item| {
        let Statement::Profile(profile) = &mut item.statement.value else {
            return false;
        };
        let declared = quoting::decode(&profile.name.value);
        // The same name in two namespaces: both are changed, which takes nothing but permissions away.
        let local = split_namespace(&declared).1.to_vec();
        let full = if parent.is_empty() {
            local
        } else {
            [parent, b"//", &local].concat()
        };
        if full == name {
            change(profile)
        } else {
            with_profile(&mut profile.body.items, &full, name, change)
        }
    })
}

/// Takes the rule at a span out; of a path with `l`, only that. A comment stays in its place.
fn remove((items, last): (&mut Vec<Item>, &mut Vec<Comment>), span: Span, class: &str) -> bool {
    let Some(index) = items.iter().position(|item| item.statement.span == span) else {
        return items.iter_mut().any(|item| {
            blocks(&mut item.statement.value)
                .into_iter()
                .any(|block| remove((&mut block.items, &mut block.comments), span, class))
        });
    };
    if class == "link"
        && let Some(item) = items.get_mut(index)
        && without_link(&mut item.statement.value)
    {
        return true;
    }
    let mut comments = Vec::new();
    let gone = items.remove(index);
    comments.extend(gone.comments);
    comments.push(removed(&gone.statement.value));
    // The comments move to what follows.
    let next = match items.get_mut(index) {
        Some(next) => &mut next.comments,
        None => last,
    };
    comments.append(next);
    *next = comments;
    true
}

/// Takes `l` from a rule with other permissions.
fn without_link(statement: &mut Statement) -> bool {
    let Statement::Rule {
        rule: Rule::Path(path),
        ..
    } = statement
    else {
        return false;
    };
    let letters = &path.permissions.value;
    let kept: Vec<u8> = letters
        .iter()
        .copied()
        .filter(|letter| !b"lL".contains(letter))
        .collect();
    let changes = !kept.is_empty();
    if changes {
        path.permissions = here(kept);
    }
    changes
}

fn removed(statement: &Statement) -> Comment {
    let text = print(&File {
        items: vec![item(statement.clone())],
        comments: Vec::new(),
    });
    let text = String::from_utf8_lossy(&text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    here(format!("# permits more than the baseline: {line}").into_bytes())
}

fn blocks(statement: &mut Statement) -> Vec<&mut Block> {
    match statement {
        Statement::Block { block, .. } => vec![block],
        Statement::If(conditional) => conditional
            .branches
            .iter_mut()
            .map(|(_, block)| block)
            .chain(&mut conditional.otherwise)
            .collect(),
        Statement::Profile(profile) => vec![&mut profile.body],
        _ => Vec::new(),
    }
}
