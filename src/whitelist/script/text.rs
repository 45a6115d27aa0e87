//! What `${name#…}` and its like make of a value.
//!
//! Only what start scripts do to names of programs is computed; the rest is unknown.

use std::sync::Arc;

use super::{
    pattern,
    state::Words,
    value::{MAX_BYTES, Value, Values, Why, too_long},
    word::{Case, End},
};

/// LIMIT: bytes of a value of which parts are removed or replaced: each place is tried.
const MAX_TEXT: usize = 256;

/// Applies an operation to each value with each pattern; a pattern that is not known makes the result so.
pub(super) fn product(
    values: &Values,
    patterns: &[Option<Arc<[u8]>>],
    operation: impl Fn(&Value, &[u8]) -> Value,
) -> Values {
    let mut results = Values::default();
    for value in values.iter() {
        for pattern in patterns {
            results.insert(match pattern {
                Some(pattern) => operation(value, pattern),
                None => Value::unknown("a value cut by a pattern that is not known"),
            });
        }
    }
    results
}

/// `${name#pattern}`, `${name%pattern}` and the doubled ones.
pub(super) fn remove(value: &Value, pattern: &[u8], end: End, longest: bool) -> Value {
    let Value::Known(text) = value else {
        return value.blurred();
    };
    if text.len() > MAX_TEXT {
        return Value::unknown("a part of a long text");
    }
    let lengths: Vec<usize> = if longest {
        (0..=text.len()).rev().collect()
    } else {
        (0..=text.len()).collect()
    };
    for length in lengths {
        let at = match end {
            End::Prefix => length,
            End::Suffix => text.len() - length,
        };
        let Some((before, behind)) = text.split_at_checked(at) else {
            continue;
        };
        let (removed, left) = match end {
            End::Prefix => (before, behind),
            End::Suffix => (behind, before),
        };
        if pattern::matches(pattern, removed) {
            return Value::known(left);
        }
    }
    value.clone()
}

/// `${name/pattern/replacement}`, with patterns that are plain text.
pub(super) fn replace(value: &Value, pattern: &[u8], replacement: &Value, all: bool) -> Value {
    let (Value::Known(text), Value::Known(replacement)) = (value, replacement) else {
        return value.blurred();
    };
    let plain = pattern::unescaped(pattern);
    if pattern::escaped(&plain) != pattern || text.len() > MAX_TEXT {
        return Value::unknown("a value with parts replaced");
    }
    if plain.is_empty() {
        return value.clone();
    }
    let mut result = Vec::new();
    let mut rest: &[u8] = text;
    while let [byte, behind @ ..] = rest {
        if let Some(behind) = rest.strip_prefix(plain.as_slice()) {
            result.extend_from_slice(replacement);
            if result.len() > MAX_BYTES {
                return too_long();
            }
            rest = behind;
            if !all {
                break;
            }
        } else {
            result.push(*byte);
            rest = behind;
        }
    }
    result.extend_from_slice(rest);
    if result.len() > MAX_BYTES {
        return too_long();
    }
    Value::known(result)
}

/// `${name:offset:length}` with plain numbers.
pub(super) fn slice(value: &Value, range: &Values) -> Value {
    let Value::Known(text) = value else {
        return value.blurred();
    };
    match numbers(range) {
        Some((offset, length)) => {
            let rest = text.get(offset..).unwrap_or_default();
            Value::known(rest.get(..length).unwrap_or(rest))
        }
        None => Value::unknown("a part of a value"),
    }
}

/// `"${@:offset:length}"`, or the same of an array, whose first element is number 0; that of `$@` is what `$0` is.
pub(super) fn slice_words(words: &Words, range: &Values, zero: &(Value, bool)) -> Words {
    let Some((offset, length)) = numbers(range) else {
        return vec![Value::Rest(Why::new("a part of a list"))];
    };
    let mut all: Words = Vec::new();
    if zero.1 {
        all.push(zero.0.clone());
    }
    all.extend(words.iter().cloned());
    if let Some(Value::Rest(why)) = all
        .iter()
        .take(offset)
        .find(|word| matches!(word, Value::Rest(_)))
    {
        return vec![Value::Rest(why.clone())];
    }
    let rest = all.get(offset..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest).to_vec()
}

/// `${name^^}` and its like.
pub(super) fn change_case(value: &Value, case: Case) -> Value {
    let Value::Known(text) = value else {
        return value.blurred();
    };
    let mut text = text.to_vec();
    match case {
        Case::Lower => text.make_ascii_lowercase(),
        Case::Upper => text.make_ascii_uppercase(),
        Case::LowerFirst => {
            if let Some(first) = text.first_mut() {
                first.make_ascii_lowercase();
            }
        }
        Case::UpperFirst => {
            if let Some(first) = text.first_mut() {
                first.make_ascii_uppercase();
            }
        }
    }
    Value::known(text)
}

fn numbers(range: &Values) -> Option<(usize, usize)> {
    let mut values = range.iter();
    let (Some(Value::Known(text)), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = std::str::from_utf8(text).ok()?;
    let (offset, length) = text
        .split_once(':')
        .map_or((text, None), |(offset, length)| (offset, Some(length)));
    let length = match length {
        Some(length) => length.trim().parse().ok()?,
        None => usize::MAX,
    };
    Some((offset.trim().parse().ok()?, length))
}

#[cfg(test)]
mod tests {
    use super::{remove, replace, slice};
    use crate::whitelist::script::{
        value::{Value, Values},
        word::End,
    };

    #[test]
    fn parts_are_removed_and_replaced_as_in_a_shell() {
        let cut = |text: &str, pattern: &str, end, longest| {
            let value = remove(&Value::known(text), pattern.as_bytes(), end, longest);
            String::from_utf8(value.bytes().unwrap().to_vec()).unwrap()
        };
        assert_eq!(cut("-v", "-", End::Prefix, false), "v");
        assert_eq!(cut("redis", "-", End::Prefix, false), "redis");
        assert_eq!(cut("/a/b/c", "*/", End::Prefix, true), "c");
        assert_eq!(cut("/a/b/c", "*/", End::Prefix, false), "a/b/c");
        assert_eq!(cut("/a/b/c", "/*", End::Suffix, false), "/a/b");
        assert_eq!(cut("/a/b/c", "/*", End::Suffix, true), "");
        let replaced = replace(&Value::known("a.b.c"), b".", &Value::known("-"), true);
        assert_eq!(replaced, Value::known("a-b-c"));
        let range = Values::one(Value::known("0:1"));
        assert_eq!(slice(&Value::known("-x"), &range), Value::known("-"));
    }
}
