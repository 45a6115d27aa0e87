//! Clients of databases, whose texts can run programs on their own side: psql's `\!`, mysql's `system`, code of the MongoDB shell.
//!
//! A text stands in an argument or on the input. As with other languages (`languages`) nothing is followed: a text that starts
//! none is passed over, any other is told, and one that is not known or not read counts as one that does.
//!
//! LIMIT: what a server runs for its clients is the server's, which is started elsewhere; but `COPY … PROGRAM` is told, since the
//! server of a start script is often its own. Files that a client reads by itself (`~/.psqlrc`, `my.cnf`) are not looked at.

use super::{super::script::Value, Inner, languages::told, texts, unknown};

/// What an option of a client gives it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gives {
    /// A file that is read as a text, or that may name programs.
    File,
    /// Nothing: it does its work and ends.
    Nothing,
    /// Its argument says nothing about programs.
    Other,
    /// A program.
    Program,
    /// A text.
    Text,
    /// A text that is put into others where they say so.
    Variable,
}

/// An option: its letter, if it has one; its long name; what it gives.
type Choice = (char, &'static str, Gives);

/// psql(1)
const PSQL: &[Choice] = &[
    ('c', "--command", Gives::Text),
    ('f', "--file", Gives::File),
    ('v', "--variable", Gives::Variable),
    ('\0', "--set", Gives::Variable),
    ('o', "--output", Gives::Program),
    ('l', "--list", Gives::Nothing),
    ('V', "--version", Gives::Nothing),
    ('?', "--help", Gives::Nothing),
    ('d', "--dbname", Gives::Other),
    ('F', "--field-separator", Gives::Other),
    ('h', "--host", Gives::Other),
    ('L', "--log-file", Gives::Other),
    ('p', "--port", Gives::Other),
    ('P', "--pset", Gives::Other),
    ('R', "--record-separator", Gives::Other),
    ('T', "--table-attr", Gives::Other),
    ('U', "--username", Gives::Other),
];

/// mysql(1), mariadb(1)
const MYSQL: &[Choice] = &[
    ('e', "--execute", Gives::Text),
    ('\0', "--init-command", Gives::Variable),
    ('\0', "--init-command-add", Gives::Variable),
    ('\0', "--defaults-file", Gives::File),
    ('\0', "--defaults-extra-file", Gives::File),
    ('\0', "--pager", Gives::Program),
    ('V', "--version", Gives::Nothing),
    ('?', "--help", Gives::Nothing),
    ('D', "--database", Gives::Other),
    ('h', "--host", Gives::Other),
    ('P', "--port", Gives::Other),
    ('S', "--socket", Gives::Other),
    ('u', "--user", Gives::Other),
];

/// The MongoDB shell's own help.
const MONGO: &[Choice] = &[
    ('\0', "--eval", Gives::Text),
    ('f', "--file", Gives::File),
    ('\0', "--version", Gives::Nothing),
    ('h', "--help", Gives::Nothing),
    ('u', "--username", Gives::Other),
    ('p', "--password", Gives::Other),
    ('\0', "--host", Gives::Other),
    ('\0', "--port", Gives::Other),
    ('\0', "--authenticationDatabase", Gives::Other),
];

/// What the words of a client give it.
#[derive(Default)]
struct Given {
    texts: Vec<Value>,
    variables: Vec<Value>,
    operands: Vec<Value>,
    /// Whether it reads its input.
    reads_input: bool,
}

pub(super) fn psql(arguments: &[Value], input: Option<&Value>) -> Vec<Inner> {
    let mut given = match given("psql", arguments, PSQL) {
        Ok(given) => given,
        Err(told) => return told,
    };
    if given.reads_input {
        given.texts.push(on_input(input));
    }
    // A variable stands in a text as `:name`; in quotes, `:'name'`, it is a value.
    let puts = given
        .texts
        .iter()
        .any(|text| text.script().is_none_or(texts::puts_variables));
    if puts {
        given.texts.append(&mut given.variables);
    }
    told("psql", &given.texts, texts::psql_starts_none)
}

pub(super) fn mysql(name: &str, arguments: &[Value], input: Option<&Value>) -> Vec<Inner> {
    let mut given = match given(name, arguments, MYSQL) {
        Ok(given) => given,
        Err(told) => return told,
    };
    if given.reads_input {
        given.texts.push(on_input(input));
    }
    given.texts.append(&mut given.variables);
    told(name, &given.texts, texts::mysql_starts_none)
}

pub(super) fn mongo(name: &str, arguments: &[Value], input: Option<&Value>) -> Vec<Inner> {
    let mut given = match given(name, arguments, MONGO) {
        Ok(given) => given,
        Err(told) => return told,
    };
    let is_file = |word: &Value| {
        word.bytes()
            .is_some_and(|word| word.ends_with(b".js") || word.ends_with(b".mongodb"))
    };
    if given.operands.iter().any(is_file) {
        return vec![unknown(format!(
            "what a file of `{name}` runs is not followed"
        ))];
    }
    if given.reads_input {
        given.texts.push(on_input(input));
    }
    told(name, &given.texts, texts::mongo_starts_none)
}

/// The text on the input of a client that has no other.
fn on_input(input: Option<&Value>) -> Value {
    input
        .cloned()
        .unwrap_or_else(|| Value::unknown("the container's input"))
}

/// Reads the words of a client; what already tells that programs may be run is an error.
fn given(name: &str, arguments: &[Value], choices: &[Choice]) -> Result<Given, Vec<Inner>> {
    let mut given = Given {
        reads_input: true,
        ..Given::default()
    };
    let mut rest = arguments;
    while let [word, behind @ ..] = rest {
        rest = behind;
        let word = match word {
            Value::Rest(why) => {
                return Err(vec![unknown(format!(
                    "`{name}` may be told to run something: {why}"
                ))]);
            }
            Value::Known(word) if word.len() > 1 && word.starts_with(b"-") => word,
            operand => {
                given.operands.push(operand.clone());
                continue;
            }
        };
        if &word[..] == b"--" {
            given.operands.extend(rest.iter().cloned());
            break;
        }
        let word = String::from_utf8_lossy(word);
        for (gives, attached) in options(&word, choices) {
            let mut value = || {
                attached.clone().map(Value::known).or_else(|| {
                    let (next, behind) = rest.split_first()?;
                    rest = behind;
                    Some(next.clone())
                })
            };
            match gives {
                Gives::Nothing => given.reads_input = false,
                Gives::Other => drop(value()),
                Gives::Text => {
                    given.reads_input = false;
                    given.texts.extend(value());
                }
                Gives::Variable => given.variables.extend(value()),
                Gives::File => match value() {
                    Some(Value::Known(file)) if &file[..] == b"-" => {}
                    _ => {
                        return Err(vec![unknown(format!(
                            "what a file of `{name}` runs is not followed"
                        ))]);
                    }
                },
                Gives::Program => {
                    let is_file = |value: &Value| {
                        name == "psql"
                            && value.bytes().is_some_and(|value| !value.starts_with(b"|"))
                    };
                    if !value().as_ref().is_some_and(is_file) {
                        return Err(vec![unknown(format!(
                            "what `{name}` gives its output to is not followed"
                        ))]);
                    }
                }
            }
        }
    }
    Ok(given)
}

/// The options in one word, and what is attached to the last of them.
fn options(word: &str, choices: &[Choice]) -> Vec<(Gives, Option<String>)> {
    if word.starts_with("--") {
        let (name, attached) = match word.split_once('=') {
            Some((name, attached)) => (name, Some(attached.to_owned())),
            None => (word, None),
        };
        // An abbreviation counts as each that it may stand for.
        let exact = choices.iter().find(|(_, long, _)| *long == name);
        let any = choices.iter().filter(|(_, long, _)| long.starts_with(name));
        return exact
            .map_or_else(|| any.collect(), |exact| vec![exact])
            .into_iter()
            .map(|(_, _, gives)| (*gives, attached.clone()))
            .collect();
    }
    let mut found = Vec::new();
    for (at, letter) in word.char_indices().skip(1) {
        let behind = word.get(at + letter.len_utf8()..).unwrap_or_default();
        let choice = choices.iter().find(|(short, _, _)| *short == letter);
        match choice {
            Some((_, _, Gives::Nothing)) => found.push((Gives::Nothing, None)),
            Some((_, _, gives)) => {
                let attached = (!behind.is_empty()).then(|| behind.to_owned());
                found.push((*gives, attached));
                break;
            }
            // A password of mysql is attached.
            None if letter == 'p' => break,
            None => {}
        }
    }
    found
}
