//! Wrappers whose command is not simply what follows their options.

use super::{
    super::script::{FilePattern, Reach, Value, Why, escaped},
    Carried, Inner, command, shell, skip_options, unknown,
};

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

pub(super) fn find(arguments: &[Value]) -> Vec<Inner> {
    let mut found = Vec::new();
    let mut rest = arguments;
    while let [word, behind @ ..] = rest {
        rest = behind;
        if let Value::Rest(why) = word {
            found.push(unknown(format!(
                "`find` may be told to run something: {why}"
            )));
        }
        if matches!(
            word.bytes(),
            Some(b"-exec" | b"-execdir" | b"-ok" | b"-okdir")
        ) {
            let end = behind
                .iter()
                .position(|word| matches!(word.bytes(), Some(b";" | b"+")))
                .unwrap_or(behind.len());
            let words = behind.get(..end).unwrap_or_default();
            let placed = words.iter().map(|word| match word.bytes() {
                Some(bytes) if bytes.windows(2).any(|pair| pair == b"{}") => {
                    Value::unknown("a file that `find` finds")
                }
                _ => word.clone(),
            });
            let placed: Vec<Value> = placed.collect();
            if !placed.is_empty() {
                found.push(command(placed));
            }
            rest = behind.get(end..).unwrap_or_default();
        }
    }
    found
}

/// `xargs [options] [command]`: what it reads goes behind the command's words, or with `-I` into them, the first one included.
pub(super) fn xargs(arguments: &[Value]) -> Vec<Inner> {
    let (rest, replaced) = xargs_options(arguments);
    // Without a command it is `echo`.
    let mut words = if rest.is_empty() {
        vec![Value::known("echo")]
    } else {
        rest.to_vec()
    };
    match replaced {
        None => words.push(Value::Rest(Why::new("what `xargs` reads"))),
        Some(Value::Known(mark)) => {
            for word in &mut words {
                if word.bytes().is_some_and(|word| holds(word, &mark)) {
                    *word = Value::unknown("what `xargs` reads");
                }
            }
        }
        // Any word may hold a mark that is not known.
        Some(_) => words = vec![Value::Rest(Why::new("what `xargs` reads"))],
    }
    vec![command(words)]
}

/// The words behind the options of `xargs`, and the mark that it replaces, if there is one.
fn xargs_options(arguments: &[Value]) -> (&[Value], Option<Value>) {
    const LONG: &[&[u8]] = &[
        b"--arg-file",
        b"--delimiter",
        b"--max-args",
        b"--max-chars",
        b"--max-procs",
        b"--process-slot-var",
    ];
    let mut mark = None;
    let mut rest = arguments;
    while let [Value::Known(option), behind @ ..] = rest {
        let option = &option[..];
        if option == b"--" {
            return (behind, mark);
        }
        if option.len() < 2 || option.first() != Some(&b'-') {
            break;
        }
        rest = behind;
        if option.starts_with(b"--") {
            if let Some(given) = option.strip_prefix(b"--replace") {
                mark = Some(mark_or_braces(given.strip_prefix(b"=").unwrap_or(given)));
            } else if LONG.contains(&option) {
                take(&mut rest);
            }
            continue;
        }
        for (at, letter) in option.iter().enumerate().skip(1) {
            let attached = option.get(at + 1..).unwrap_or_default();
            match letter {
                b'I' | b'J' if attached.is_empty() => {
                    mark = Some(take(&mut rest).unwrap_or_else(|| Value::known("{}")));
                }
                b'I' | b'J' | b'i' => mark = Some(mark_or_braces(attached)),
                b'a' | b'd' | b'E' | b'L' | b'n' | b'P' | b's' if attached.is_empty() => {
                    take(&mut rest);
                }
                // Theirs is attached or left out.
                b'a' | b'd' | b'E' | b'L' | b'n' | b'P' | b's' | b'e' | b'l' => {}
                _ => continue,
            }
            break;
        }
    }
    (rest, mark)
}

fn mark_or_braces(mark: &[u8]) -> Value {
    Value::known(if mark.is_empty() { &b"{}"[..] } else { mark })
}

/// Whether a word holds a mark; an empty one is in none.
fn holds(word: &[u8], mark: &[u8]) -> bool {
    !mark.is_empty() && word.windows(mark.len()).any(|part| part == mark)
}

/// `su [-] [user] [-c text] [-s shell] [arguments]`, and `runuser -u user command`.
pub(super) fn su(name: &str, arguments: &[Value]) -> Vec<Inner> {
    let (mut shell, mut text, mut user) = (Value::known("/bin/sh"), None, None);
    let mut others = Vec::new();
    let mut rest = arguments;
    while let [word, behind @ ..] = rest {
        rest = behind;
        let option = word
            .bytes()
            .map(|word| String::from_utf8_lossy(word).into_owned());
        match option.as_deref() {
            Some("-c" | "--command" | "--session-command") => text = take(&mut rest),
            Some("-s" | "--shell") => shell = take(&mut rest).unwrap_or(shell),
            Some("-u" | "--user") => {
                take(&mut rest);
                user = Some(());
                let words = skip_options(rest, "gG", &["--group", "--supp-group"]);
                if name == "runuser" && !words.is_empty() {
                    return vec![command(words.to_vec())];
                }
            }
            Some("-g" | "-G" | "-w" | "--group" | "--supp-group" | "--whitelist-environment") => {
                take(&mut rest);
            }
            Some("--") => others.extend(rest.iter().cloned()),
            Some("-") => {}
            Some(option) if option.starts_with('-') => {}
            _ if user.is_none() => user = Some(()),
            _ => others.push(word.clone()),
        }
        if option.as_deref() == Some("--") {
            break;
        }
    }
    let mut words = vec![shell];
    if let Some(text) = text {
        words.extend([Value::known("-c"), text]);
    }
    words.extend(others);
    vec![command(words)]
}

pub(super) fn flock(arguments: &[Value]) -> Vec<Inner> {
    let rest = skip_options(
        arguments,
        "wE",
        &["--conflict-exit-code", "--timeout", "--wait"],
    );
    match rest {
        // A descriptor's number: nothing is run.
        [] | [_] => Vec::new(),
        [_, option, text, ..] if matches!(option.bytes(), Some(b"-c" | b"--command")) => {
            vec![shell(text.clone())]
        }
        [_, words @ ..] => vec![command(words.to_vec())],
    }
}

/// `capsh … -- arguments` gives them to `/bin/bash`.
pub(super) fn capsh(arguments: &[Value]) -> Vec<Inner> {
    let at = arguments
        .iter()
        .position(|word| matches!(word.bytes(), Some(b"--" | b"==")));
    let mut program = Value::known("/bin/bash");
    for word in arguments {
        if let Some(path) = word.bytes().and_then(|word| word.strip_prefix(b"--shell=")) {
            program = Value::known(path);
        }
    }
    at.and_then(|at| arguments.get(at + 1..))
        .map(|rest| {
            let mut words = vec![program];
            words.extend(rest.iter().cloned());
            command(words)
        })
        .into_iter()
        .collect()
}

pub(super) fn run_parts(arguments: &[Value]) -> Vec<Inner> {
    if arguments
        .iter()
        .any(|word| matches!(word.bytes(), Some(b"--list" | b"--test")))
    {
        return Vec::new();
    }
    let folder = skip_options(arguments, "au", &["--arg", "--regex", "--umask"]).first();
    match folder {
        Some(Value::Known(folder)) => vec![Inner {
            what: Carried::Files(pattern(folder, b"*")),
            variables: Vec::new(),
        }],
        _ => vec![unknown(
            "the folder that `run-parts` runs is not known".to_owned(),
        )],
    }
}

pub(super) fn start_stop_daemon(arguments: &[Value]) -> Vec<Inner> {
    let mut program = None;
    let mut rest = arguments;
    let mut own: &[Value] = &[];
    while let [word, behind @ ..] = rest {
        rest = behind;
        match word.bytes() {
            // `--startas` wins over `--exec`, which may only say what runs already.
            Some(b"-a" | b"--startas") => program = behind.first().cloned(),
            Some(b"-x" | b"--exec") if program.is_none() => program = behind.first().cloned(),
            Some(b"-r" | b"--chroot" | b"-d" | b"--chdir") => {
                return vec![unknown(
                    "what `start-stop-daemon` starts in another folder is not followed".to_owned(),
                )];
            }
            Some(b"--") => {
                own = behind;
                break;
            }
            Some(b"-K" | b"--stop" | b"-T" | b"--status") => return Vec::new(),
            _ => {}
        }
    }
    let Some(program) = program else {
        return vec![unknown(
            "what `start-stop-daemon` starts is not followed".to_owned(),
        )];
    };
    let mut words = vec![program];
    words.extend(own.iter().cloned());
    vec![command(words)]
}

pub(super) fn supervisord(arguments: &[Value]) -> Vec<Inner> {
    let mut file = None;
    let mut rest = arguments;
    while let [word, behind @ ..] = rest {
        rest = behind;
        match word.bytes() {
            Some(b"-c" | b"--configuration") => file = behind.first().cloned(),
            Some(option) => {
                if let Some(path) = option.strip_prefix(b"--configuration=") {
                    file = Some(Value::known(path));
                }
            }
            None => {}
        }
    }
    vec![Inner {
        what: Carried::Supervisor(file),
        variables: Vec::new(),
    }]
}

/// A folder of services, each a folder with a `run` in it. What runsv(8) and s6-supervise start by fixed names stands beside it;
/// what s6-svscan starts when it ends, crashes or is sent a signal stands in a hidden folder of its own.
pub(super) fn services(arguments: &[Value]) -> Vec<Inner> {
    let folder = skip_options(arguments, "cdtX", &[]).first();
    let Some(Value::Known(folder)) = folder else {
        return vec![unknown(
            "the folder of the services is not known".to_owned(),
        )];
    };
    let names = [
        &b"*/run"[..],
        b"*/finish",
        b"*/check",
        b"*/control/*",
        b"*/log/run",
        b"*/log/finish",
        b".s6-svscan/*",
    ];
    names
        .into_iter()
        .map(|names| Inner {
            what: Carried::Files(pattern(folder, names)),
            variables: Vec::new(),
        })
        .collect()
}

fn pattern(folder: &[u8], names: &[u8]) -> FilePattern {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    FilePattern {
        path: [&escaped(folder)[..], b"/", names].concat().into(),
        reach: Reach::Matching,
        filters: Vec::new(),
    }
}

/// The next word, which is gone then.
pub(super) fn take(rest: &mut &[Value]) -> Option<Value> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(first.clone())
}
