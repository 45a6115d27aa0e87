//! Wrappers whose command is not simply what follows their options.

use super::{
    super::script::{FilePattern, Reach, Value, escaped},
    Carried, Inner, command, shell, skip_options, unknown,
};

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
