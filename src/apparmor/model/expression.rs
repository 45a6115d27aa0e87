//! What an `if` asks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::ast::{Comparison, Expression, If, Word};
use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::quoting;
use super::super::source::Located;
use super::super::variables::Variables;
use super::lowering::undefined;

/// Which branch is taken: the number of the first that holds, that of the `else`, or none. All conditions are looked at, as the
/// parser does while it reads them.
pub(super) fn choose(
    conditional: &If,
    variables: &mut Variables,
    diagnostics: &mut Diagnostics,
) -> Option<usize> {
    let mut chosen = None;
    for (index, (condition, _)) in conditional.branches.iter().enumerate() {
        if holds(condition, variables, diagnostics) == Some(true) {
            chosen = chosen.or(Some(index));
        }
    }
    chosen.or_else(|| {
        conditional
            .otherwise
            .as_ref()
            .map(|_| conditional.branches.len())
    })
}

/// Whether an expression holds; none if it cannot be said, and then a diagnostic says why. As deep as the syntax tree.
pub(super) fn holds(
    expression: &Located<Expression>,
    variables: &mut Variables,
    diagnostics: &mut Diagnostics,
) -> Option<bool> {
    match &expression.value {
        Expression::And(left, right) => {
            let left = holds(left, variables, diagnostics);
            let right = holds(right, variables, diagnostics);
            Some(left? && right?)
        }
        Expression::Or(left, right) => {
            let left = holds(left, variables, diagnostics);
            let right = holds(right, variables, diagnostics);
            Some(left? || right?)
        }
        Expression::Not(inner) => holds(inner, variables, diagnostics).map(|inner| !inner),
        Expression::Boolean(word) => {
            let value = variables.boolean(name(&word.value));
            if value.is_none() {
                diagnostics.push(
                    Diagnostic::error(
                        "undefined-variable",
                        word.span,
                        format!("{} is not defined", String::from_utf8_lossy(&word.value)),
                    )
                    .help("set it in the preamble: `$name = true`"),
                );
            }
            value
        }
        Expression::Defined(word) => {
            let name = name(&word.value);
            Some(if word.value.starts_with(b"$") {
                variables.boolean(name).is_some()
            } else {
                variables.is_defined(name)
            })
        }
        Expression::Value(word) => {
            let value = read_boolean(&quoting::decode(&word.value));
            if value.is_none() {
                diagnostics.push(
                    Diagnostic::error(
                        "invalid-boolean",
                        word.span,
                        "a condition is `true`, `false`, a variable or a comparison",
                    )
                    .help("write `$name`, `defined @{NAME}` or `@{NAME} == value`"),
                );
            }
            value
        }
        Expression::Compare {
            left,
            operator,
            right,
        } => compare(left, *operator, right, variables, diagnostics),
    }
}

/// `true` or `false`, in any case.
pub(super) fn read_boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// The name in `@{NAME}`, `@NAME`, `${NAME}` or `$NAME`.
pub(super) fn name(variable: &[u8]) -> &[u8] {
    let name = variable
        .strip_prefix(b"@")
        .or_else(|| variable.strip_prefix(b"$"))
        .unwrap_or(variable);
    name.strip_prefix(b"{")
        .and_then(|name| name.strip_suffix(b"}"))
        .unwrap_or(name)
}

/// `==`, `!=` and `in` are about sets; the others about numbers where both sides are one, and about sets where neither is.
fn compare(
    left: &Word,
    operator: Comparison,
    right: &Word,
    variables: &mut Variables,
    diagnostics: &mut Diagnostics,
) -> Option<bool> {
    let (left_set, right_set) = (
        set(left, variables, diagnostics),
        set(right, variables, diagnostics),
    );
    let (left_set, right_set) = (left_set?, right_set?);
    if let Err(error) = variables.compared(&left_set, &right_set) {
        diagnostics.push(undefined(&error, left.span.to(right.span)));
        return None;
    }
    let ordering = match (number(&left_set), number(&right_set)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (None, None) => Some(left_set.cmp(&right_set)),
        _ => None,
    };
    match operator {
        Comparison::In => return Some(left_set.is_subset(&right_set)),
        Comparison::Equal => return Some(left_set == right_set),
        Comparison::NotEqual => return Some(left_set != right_set),
        _ => {}
    }
    let Some(ordering) = ordering else {
        diagnostics.push(
            Diagnostic::error(
                "invalid-comparison",
                left.span.to(right.span),
                "a number is compared with something that is none",
            )
            .help("compare numbers with numbers"),
        );
        return None;
    };
    Some(match operator {
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
        Comparison::Less => ordering.is_lt(),
        _ => ordering.is_le(),
    })
}

fn set(
    word: &Word,
    variables: &mut Variables,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<BTreeSet<Vec<u8>>>> {
    if !word.value.starts_with(b"@") {
        let value = quoting::decode(&word.value).into_owned();
        return Some(Arc::new(BTreeSet::from([value])));
    }
    match variables.values(name(&word.value)) {
        Ok(values) => Some(values),
        Err(error) => {
            diagnostics.push(undefined(&error, word.span));
            None
        }
    }
}

/// A set of one number: decimal, `0x…` or octal with a leading `0`, as strtol(3) reads them.
fn number(set: &BTreeSet<Vec<u8>>) -> Option<i64> {
    let only = set.first().filter(|_| set.len() == 1)?;
    let text = std::str::from_utf8(only).ok()?.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = if let Some(digits) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        i64::from_str_radix(digits, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    magnitude
        .ok()
        .map(|value| if negative { -value } else { value })
}
