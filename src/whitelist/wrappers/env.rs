//! `env`, and commands behind assignments.

use super::{super::script::Value, Carried, Inner, unknown};

pub(super) fn env(arguments: &[Value]) -> Vec<Inner> {
    let mut rest = arguments;
    while let [Value::Known(option), behind @ ..] = rest {
        let option = String::from_utf8_lossy(option).into_owned();
        match option.as_str() {
            "--" => {
                rest = behind;
                break;
            }
            option if option.starts_with("-C") || option.starts_with("--chdir") => {
                return vec![unknown(
                    "what `env` runs in another folder is not followed".to_owned(),
                )];
            }
            "-u" | "--unset" | "-P" => {
                rest = behind.get(1..).unwrap_or_default();
            }
            "-S" | "--split-string" => {
                let [first, others @ ..] = behind else {
                    return Vec::new();
                };
                return split_string(first, others);
            }
            option if option.starts_with("--split-string=") => {
                let text = option
                    .split_once('=')
                    .map(|(_, text)| text)
                    .unwrap_or_default();
                return split_string(&Value::known(text), behind);
            }
            option
                if option.starts_with("-S")
                    || option.starts_with("-vS")
                    || option.starts_with("-iS") =>
            {
                let text = option
                    .split_once('S')
                    .map(|(_, text)| text)
                    .unwrap_or_default();
                return split_string(&Value::known(text), behind);
            }
            option if option.starts_with('-') => rest = behind,
            _ => break,
        }
    }
    with_variables(rest)
}

/// A command behind assignments.
pub(super) fn with_variables(words: &[Value]) -> Vec<Inner> {
    let mut variables = Vec::new();
    let mut rest = words;
    while let [first, behind @ ..] = rest {
        match first {
            Value::Known(word) => match word.iter().position(|byte| *byte == b'=') {
                Some(at) => {
                    let name =
                        String::from_utf8_lossy(word.get(..at).unwrap_or_default()).into_owned();
                    variables.push((name, Value::known(word.get(at + 1..).unwrap_or_default())));
                    rest = behind;
                }
                None => break,
            },
            _ => break,
        }
    }
    if rest.is_empty() {
        return Vec::new();
    }
    vec![Inner {
        what: Carried::Command(rest.to_vec()),
        variables,
    }]
}

/// `env -S`: blanks part the words; quotes and escapes as in env(1), of which only plain ones are read.
fn split_string(text: &Value, others: &[Value]) -> Vec<Inner> {
    let Some(text) = text.bytes().and_then(|text| std::str::from_utf8(text).ok()) else {
        return vec![unknown(
            "the words that `env -S` is given are not known".to_owned(),
        )];
    };
    if text.contains(['\\', '$']) {
        return vec![unknown(
            "the words that `env -S` is given are not followed".to_owned(),
        )];
    }
    let mut words: Vec<Value> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in text.chars() {
        match (quote, character) {
            (Some(open), character) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, character) if character.is_ascii_whitespace() => {
                words.extend(word.take().map(Value::known));
            }
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word.map(Value::known));
    words.extend(others.iter().cloned());
    // It may be given options of `env` itself.
    env(&words)
}
