//! Variables: their values, and words with values in their place.
//!
//! As in `apparmor_parser` values are text: a word gets `{a,b}` for a variable with the values `a` and `b`, and becomes a glob
//! only then. Values that name variables are multiplied out first.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// LIMIT: values of one variable, multiplied out. Real ones have some dozens.
const MAX_VALUES: usize = 10_000;
/// LIMIT: bytes of a word, or of all values of a variable, after expansion.
const MAX_BYTES: usize = 256 * 1024;

/// LIMIT: bytes of all values that are given in a policy.
const MAX_ALL: usize = 4 * 1024 * 1024;
/// LIMIT: bytes that are made of values, or compared, in all of a policy. Debian's largest profiles make some 100 KiB.
const MAX_MADE: usize = 64 * 1024 * 1024;

/// A variable's values, without variables in them.
type Values = Arc<BTreeSet<Vec<u8>>>;

/// The variables of a policy.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    sets: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    booleans: BTreeMap<Vec<u8>, bool>,
    /// What was asked for, until it changes.
    expanded: HashMap<Vec<u8>, Result<Values, VariableError>>,
    /// By a variable's name those of which a value names it, as far as they were asked for.
    referring: HashMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    bytes: usize,
    made: usize,
}

/// Why a word has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// It is `true` or `false`.
    #[error("${{{0}}} is a boolean, and cannot stand in a word")]
    Boolean(String),
    /// `@{A} = @{A}`
    #[error("@{{{0}}} refers to itself")]
    Recursive(String),
    /// Too many values, or too long.
    #[error("@{{{0}}} stands for more than {MAX_VALUES} values or {MAX_BYTES} bytes")]
    TooLarge(String),
    /// Not too many in one place, but in all places together.
    #[error("variables stand for more than {} MiB of values, all places together", MAX_MADE >> 20)]
    TooMuch,
    /// Not defined.
    #[error("@{{{0}}} is not defined")]
    Undefined(String),
}

impl Variables {
    /// Whether a variable has values.
    #[must_use]
    pub fn is_defined(&self, name: &[u8]) -> bool {
        self.sets.contains_key(name)
    }

    /// A boolean's value.
    #[must_use]
    pub fn boolean(&self, name: &[u8]) -> Option<bool> {
        self.booleans.get(name).copied()
    }

    /// Sets a boolean.
    pub fn set_boolean(&mut self, name: &[u8], value: bool) {
        self.booleans.insert(name.to_vec(), value);
    }

    /// Gives a variable values, instead of those it has.
    pub fn set(&mut self, name: &[u8], values: impl IntoIterator<Item = Vec<u8>>) {
        self.remove(name);
        self.add(name, values);
    }

    /// Gives a variable more values. Beyond what fits, it and others have none.
    pub fn add(&mut self, name: &[u8], values: impl IntoIterator<Item = Vec<u8>>) {
        let set = self.sets.entry(name.to_vec()).or_default();
        for value in values {
            self.bytes += value.len() + 64;
            if self.bytes > MAX_ALL {
                break;
            }
            set.insert(value);
        }
        self.forget(name);
    }

    /// Forgets a variable.
    pub fn remove(&mut self, name: &[u8]) {
        if let Some(gone) = self.sets.remove(name) {
            let bytes: usize = gone.iter().map(|value| value.len() + 64).sum();
            self.bytes = self.bytes.saturating_sub(bytes);
            self.forget(name);
        }
    }

    /// Forgets what a variable stands for, and what those do whose values name it. What each profile sets anew (its name) must
    /// not cost all others.
    fn forget(&mut self, name: &[u8]) {
        let mut changed = vec![name.to_vec()];
        while let Some(name) = changed.pop() {
            self.expanded.remove(&name);
            changed.extend(self.referring.remove(&name).into_iter().flatten());
        }
    }

    /// Whether more values were given than fit. What the variables stand for is not known then.
    #[must_use]
    pub fn overflow(&self) -> bool {
        self.bytes > MAX_ALL
    }

    /// A variable's values, without variables in them.
    pub fn values(&mut self, name: &[u8]) -> Result<Values, VariableError> {
        self.expand_set(name, &mut Vec::new())
    }

    /// Counts work that a policy may only have so much of.
    fn make(&mut self, bytes: usize) -> Result<(), VariableError> {
        self.made = self.made.saturating_add(bytes);
        if self.made > MAX_MADE {
            return Err(VariableError::TooMuch);
        }
        Ok(())
    }

    /// Counts the values of the smaller of two sets: more are not looked at to compare them.
    pub fn compared(
        &mut self,
        left: &BTreeSet<Vec<u8>>,
        right: &BTreeSet<Vec<u8>>,
    ) -> Result<(), VariableError> {
        let smaller = if left.len() < right.len() {
            left
        } else {
            right
        };
        self.make(smaller.iter().map(|value| value.len() + 64).sum())
    }

    /// A word with values in the place of its variables.
    pub fn expand(&mut self, word: &[u8]) -> Result<Vec<u8>, VariableError> {
        let mut text = Vec::with_capacity(word.len());
        let mut rest = word;
        // Values have no variables, so they are not looked at again.
        while let Some(found) = find(rest) {
            text.extend(found.before);
            let values = self.expand_set(found.name, &mut Vec::new())?;
            let before = text.len();
            substitute(&mut text, &values, found.after);
            rest = found.after;
            if text.len() > MAX_BYTES {
                return Err(VariableError::TooLarge(show(found.name)));
            }
            self.make(text.len() - before)?;
        }
        text.extend(rest);
        Ok(text)
    }

    /// `under`: the variables whose values are being multiplied out. As deep as there are variables; no deeper than 64.
    fn expand_set(
        &mut self,
        name: &[u8],
        under: &mut Vec<Vec<u8>>,
    ) -> Result<Values, VariableError> {
        if let Some(expanded) = self.expanded.get(name) {
            return expanded.clone();
        }
        let Some(set) = self.sets.get(name) else {
            return Err(if self.booleans.contains_key(name) {
                VariableError::Boolean(show(name))
            } else {
                VariableError::Undefined(show(name))
            });
        };
        if under.iter().any(|seen| seen == name) {
            return Err(VariableError::Recursive(show(name)));
        }
        if under.len() == MAX_DEPTH || set.len() > MAX_VALUES {
            return Err(VariableError::TooLarge(show(name)));
        }
        let mut work: Vec<Vec<u8>> = set.iter().cloned().collect();
        under.push(name.to_vec());
        let expanded = self.multiply(name, &mut work, under).map(Arc::new);
        under.pop();
        self.expanded.insert(name.to_vec(), expanded.clone());
        expanded
    }

    fn multiply(
        &mut self,
        name: &[u8],
        work: &mut Vec<Vec<u8>>,
        under: &mut Vec<Vec<u8>>,
    ) -> Result<BTreeSet<Vec<u8>>, VariableError> {
        let mut expanded = BTreeSet::new();
        let mut bytes = 0;
        while let Some(value) = work.pop() {
            let Some(found) = find(&value) else {
                bytes += value.len();
                expanded.insert(value);
                if bytes > MAX_BYTES {
                    return Err(VariableError::TooLarge(show(name)));
                }
                continue;
            };
            let referring = self.referring.entry(found.name.to_vec()).or_default();
            if !referring.contains(name) {
                referring.insert(name.to_vec());
            }
            for inner in &*self.expand_set(found.name, under)? {
                let value = [found.before, inner, found.after].concat();
                self.make(value.len() + 64)?;
                work.push(value);
                if work.len() + expanded.len() > MAX_VALUES {
                    return Err(VariableError::TooLarge(show(name)));
                }
            }
        }
        Ok(expanded)
    }
}

/// LIMIT: variables that refer to variables.
const MAX_DEPTH: usize = 64;

/// The first variable in a word.
struct Found<'a> {
    before: &'a [u8],
    name: &'a [u8],
    after: &'a [u8],
}

/// Finds the first `@{NAME}` whose `@` is not escaped. What only looks like one (`@{a,b}`) is text.
fn find(word: &[u8]) -> Option<Found<'_>> {
    let mut escaped = false;
    for (index, &byte) in word.iter().enumerate() {
        if byte == b'@' && !escaped {
            let rest = word.get(index + 1..).unwrap_or_default();
            if let Some((name, after)) = rest.strip_prefix(b"{").and_then(name) {
                let before = word.get(..index).unwrap_or_default();
                return Some(Found {
                    before,
                    name,
                    after,
                });
            }
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
}

/// The name in front of a `}`, and what follows that.
fn name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    let (name, rest) = text.split_at_checked(length)?;
    let after = rest.strip_prefix(b"}")?;
    name.first()?.is_ascii_alphabetic().then_some((name, after))
}

/// A single value stands as it is. Of several, slashes that would double those around the variable are left out, but not
/// those behind the `/` that a path begins with.
fn substitute(text: &mut Vec<u8>, values: &BTreeSet<Vec<u8>>, after: &[u8]) {
    if let (1, Some(only)) = (values.len(), values.first()) {
        text.extend(only);
        return;
    }
    let before_slash = after.first() == Some(&b'/');
    let after_slash = text.len() > 1 && text.last() == Some(&b'/');
    let mut separator = b'{';
    for value in values {
        let mut value = value.as_slice();
        while let ([b'/', rest @ ..], true) = (value, after_slash) {
            value = rest;
        }
        while let ([rest @ .., b'/'], true) = (value, before_slash) {
            value = rest;
        }
        text.push(separator);
        text.extend(value);
        separator = b',';
    }
    text.push(b'}');
}

fn show(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(given: &[(&str, &[&str])]) -> Variables {
        let mut variables = Variables::default();
        for (name, values) in given {
            let values = values.iter().map(|value| value.as_bytes().to_vec());
            variables.add(name.as_bytes(), values);
        }
        variables
    }

    #[test]
    fn values_become_alternatives() {
        let mut variables = variables(&[
            ("one", &["x"]),
            ("two", &["b", "a"]),
            ("slashes", &["/x/", "y"]),
            ("nested", &["", "n@{two}"]),
            ("only", &["/"]),
        ]);
        for (word, expanded) in [
            ("/@{one}/", "/x/"),
            ("/@{two}", "/{a,b}"),
            ("/@{nested}", "/{,na,nb}"),
            ("/@{slashes}/", "/{/x,y}/"),
            ("/b/@{slashes}/", "/b/{x,y}/"),
            ("/b/@{slashes}c", "/b/{x/,y}c"),
            ("/b@{slashes}/", "/b{/x,y}/"),
            ("@{only}a", "/a"),
            (r"/\@{one}", r"/\@{one}"),
            ("/@{a,b}", "/@{a,b}"),
            ("@{one}@{two}", "x{a,b}"),
        ] {
            let found = variables.expand(word.as_bytes());
            assert_eq!(found, Ok(expanded.as_bytes().to_vec()), "{word}");
        }
    }

    #[test]
    fn what_has_no_value_is_an_error() {
        let mut variables = variables(&[("a", &["@{b}"]), ("b", &["@{a}"]), ("c", &["x"])]);
        variables.set_boolean(b"true", true);
        let error = |variables: &mut Variables, word: &str| variables.expand(word.as_bytes());
        assert_eq!(
            error(&mut variables, "@{no}"),
            Err(VariableError::Undefined("no".into()))
        );
        assert_eq!(
            error(&mut variables, "@{true}"),
            Err(VariableError::Boolean("true".into()))
        );
        assert_eq!(
            error(&mut variables, "@{a}"),
            Err(VariableError::Recursive("a".into()))
        );
        for (name, inner) in (0..8).map(|number| (format!("v{number}"), format!("v{}", number + 1)))
        {
            variables.add(
                name.as_bytes(),
                [
                    format!("a@{{{inner}}}").into(),
                    format!("b@{{{inner}}}@{{{inner}}}").into(),
                ],
            );
        }
        variables.add(b"v8", [b"x".to_vec(), b"y".to_vec()]);
        assert!(matches!(
            error(&mut variables, "@{v0}"),
            Err(VariableError::TooLarge(_))
        ));
    }

    #[test]
    fn more_values_change_what_refers_to_them() {
        let mut variables = variables(&[("a", &["x"]), ("b", &["@{a}"])]);
        assert_eq!(variables.expand(b"@{b}"), Ok(b"x".to_vec()));
        variables.add(b"a", [b"y".to_vec()]);
        assert_eq!(variables.expand(b"@{b}"), Ok(b"{x,y}".to_vec()));
    }

    #[test]
    fn a_change_reaches_all_that_refers_to_it_and_nothing_else() {
        let mut variables = variables(&[
            ("a", &["x"]),
            ("b", &["@{a}@{other}", "@{a}"]),
            ("c", &["@{b}"]),
            ("other", &["o"]),
            ("round", &["@{square}"]),
            ("square", &["@{round}@{a}"]),
        ]);
        assert_eq!(variables.expand(b"@{c}"), Ok(b"{x,xo}".to_vec()));
        assert_eq!(variables.expand(b"@{other}"), Ok(b"o".to_vec()));
        assert!(variables.expand(b"@{round}").is_err());
        variables.set(b"a", [b"y".to_vec()]);
        assert!(variables.expanded.contains_key(&b"other"[..]));
        assert_eq!(variables.expand(b"@{c}"), Ok(b"{y,yo}".to_vec()));
        variables.remove(b"a");
        assert!(variables.expand(b"@{c}").is_err());
        variables.set(b"a", [b"z".to_vec()]);
        assert_eq!(variables.expand(b"@{c}"), Ok(b"{z,zo}".to_vec()));
        variables.set(b"round", [b"q".to_vec()]);
        assert_eq!(variables.expand(b"@{square}"), Ok(b"qz".to_vec()));
    }

    #[test]
    fn what_is_made_in_all_is_limited() {
        let value = "v".repeat(100_000);
        let mut variables = variables(&[("a", &[&value])]);
        let made = (0..1_000).take_while(|_| variables.expand(b"@{a}").is_ok());
        assert_eq!(made.count(), MAX_MADE / value.len());
        assert_eq!(variables.expand(b"@{a}"), Err(VariableError::TooMuch));
    }
}
