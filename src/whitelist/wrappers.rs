//! Commands that carry commands in their arguments: which words those are.
//!
//! Each wrapper is a program of its own, and is on the list like any other; here only what it goes on to run is found. An option
//! that is not known is taken for one without an argument, so that a wrong guess makes an argument a program: that is
//! looked for, not found, and told.

use super::script::{FilePattern, Reach, Value, Why, escaped};

/// What a command goes on to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inner {
    pub(super) what: Carried,
    /// Variables that are set for it.
    pub(super) variables: Vec<(String, Value)>,
}

/// What is carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// A command by its words.
    Command(Vec<Value>),
    /// Each of some files.
    Files(FilePattern),
    /// An ini file of supervisord.
    Supervisor(Option<Value>),
    /// Something that cannot be told: why.
    Unknown(String),
}

/// Options of a wrapper whose command follows them.
struct Wrapper {
    names: &'static [&'static str],
    /// Short options that take an argument.
    short: &'static str,
    /// Long options that take one, unless it is attached by `=`.
    long: &'static [&'static str],
    /// Words between the options and the command.
    operands: usize,
}

const fn wrapper(
    names: &'static [&'static str],
    short: &'static str,
    long: &'static [&'static str],
    operands: usize,
) -> Wrapper {
    Wrapper {
        names,
        short,
        long,
        operands,
    }
}

/// From each program's own help or manual.
const WRAPPERS: &[Wrapper] = &[
    // Init programs.
    wrapper(&["tini", "tini-static", "docker-init"], "pe", &[], 0),
    wrapper(&["dumb-init"], "r", &["--rewrite"], 0),
    wrapper(&["catatonit", "pid1"], "", &[], 0),
    wrapper(
        &["with-contenv", "s6-softlimit", "s6-notifyoncheck"],
        "",
        &[],
        0,
    ),
    // To another user.
    wrapper(
        &[
            "gosu",
            "su-exec",
            "s6-setuidgid",
            "s6-applyuidgid",
            "setuidgid",
        ],
        "",
        &[],
        1,
    ),
    wrapper(
        &["setpriv"],
        "d",
        &[
            "--ambient-caps",
            "--apparmor-profile",
            "--bounding-set",
            "--egid",
            "--euid",
            "--groups",
            "--inh-caps",
            "--landlock-access",
            "--landlock-rule",
            "--pdeathsig",
            "--regid",
            "--reuid",
            "--rgid",
            "--ruid",
            "--securebits",
            "--selinux-label",
        ],
        0,
    ),
    wrapper(
        &["sudo"],
        "CDghpRrTtUu",
        &[
            "--chdir", "--chroot", "--group", "--host", "--prompt", "--user",
        ],
        0,
    ),
    wrapper(&["doas"], "Cu", &[], 0),
    wrapper(&["chroot"], "", &["--groups", "--userspec"], 1),
    wrapper(&["chpst"], "/bCdefglmnoprtuU", &[], 0),
    // Resources and sessions.
    wrapper(
        &[
            "nohup",
            "dbus-run-session",
            "xvfb-run",
            "catchsegv",
            "fakeroot",
            "firejail",
        ],
        "",
        &[],
        0,
    ),
    wrapper(&["nice"], "n", &["--adjustment"], 0),
    wrapper(&["ionice"], "cnpPu", &["--class", "--classdata"], 0),
    wrapper(&["timeout"], "sk", &["--kill-after", "--signal"], 1),
    wrapper(&["time"], "fo", &["--format", "--output"], 0),
    wrapper(&["stdbuf"], "ioe", &["--error", "--input", "--output"], 0),
    wrapper(&["setsid"], "", &[], 0),
    wrapper(
        &["numactl"],
        "CNPimpw",
        &[
            "--cpunodebind",
            "--interleave",
            "--membind",
            "--physcpubind",
            "--preferred",
        ],
        0,
    ),
    wrapper(&["taskset"], "", &[], 1),
    wrapper(
        &["chrt"],
        "DPT",
        &["--sched-deadline", "--sched-period", "--sched-runtime"],
        1,
    ),
    wrapper(&["prlimit"], "", &[], 0),
    wrapper(&["softlimit"], "acdfllmoprst", &[], 0),
    wrapper(
        &["unshare"],
        "RSGlw",
        &[
            "--map-group",
            "--map-user",
            "--propagation",
            "--root",
            "--setgid",
            "--setgroups",
            "--setuid",
            "--wd",
        ],
        0,
    ),
    wrapper(
        &["nsenter"],
        "tGSrw",
        &["--setgid", "--setuid", "--target"],
        0,
    ),
    wrapper(
        &[
            "s6-envdir",
            "envdir",
            "s6-setlock",
            "s6-fghack",
            "s6-setsid",
        ],
        "",
        &[],
        1,
    ),
    wrapper(&["rootlesskit"], "", &[], 0),
    wrapper(&["strace", "ltrace"], "abeEoOpPsSuUX", &[], 0),
    wrapper(&["linux32", "linux64", "setarch"], "", &[], 0),
];

/// What a program of this name goes on to run with these arguments.
pub(super) fn inner(name: &[u8], arguments: &[Value]) -> Vec<Inner> {
    let name = std::str::from_utf8(name).unwrap_or_default();
    match name {
        "env" => env(arguments),
        "find" => find(arguments),
        "xargs" => xargs(arguments),
        "su" | "runuser" => su(name, arguments),
        "flock" => flock(arguments),
        "capsh" => capsh(arguments),
        "watch" => vec![shell(joined_from(arguments, "n", &["--interval"]))],
        "run-parts" => run_parts(arguments),
        "start-stop-daemon" => start_stop_daemon(arguments),
        "supervisord" => supervisord(arguments),
        "runsvdir" | "s6-svscan" => services(arguments),
        "parallel" | "execlineb" | "entr" | "script" | "expect" => {
            vec![unknown(format!("what `{name}` runs is not followed"))]
        }
        // `sudo` takes variables between its options and the command.
        "sudo" => match follow(name, arguments) {
            Some(rest) => with_variables(rest),
            None => Vec::new(),
        },
        _ => follow(name, arguments)
            .filter(|rest| !rest.is_empty())
            .map(|rest| command(rest.to_vec()))
            .into_iter()
            .collect(),
    }
}

/// The command behind a wrapper's options and operands.
fn follow<'v>(name: &str, arguments: &'v [Value]) -> Option<&'v [Value]> {
    let wrapper = WRAPPERS
        .iter()
        .find(|wrapper| wrapper.names.contains(&name))?;
    let rest = skip_options(arguments, wrapper.short, wrapper.long);
    let operands = rest
        .get(..wrapper.operands.min(rest.len()))
        .unwrap_or_default();
    // What may be any number of words hides where the command begins.
    if let Some(at) = operands
        .iter()
        .position(|word| matches!(word, Value::Rest(_)))
    {
        return rest.get(at..);
    }
    rest.get(wrapper.operands..)
}

/// What follows options; a `--` ends them and is gone.
fn skip_options<'v>(mut arguments: &'v [Value], short: &str, long: &[&str]) -> &'v [Value] {
    while let [Value::Known(option), rest @ ..] = arguments {
        let option = String::from_utf8_lossy(option);
        if option == "--" {
            return rest;
        }
        let takes_next = if option.starts_with("--") {
            long.contains(&&*option)
        } else if option.len() > 1 && option.starts_with('-') {
            // Only where the letter is the last is its argument the next word.
            let at = option.find(|letter| short.contains(letter));
            at.is_some_and(|at| at + 1 == option.len())
        } else {
            return arguments;
        };
        arguments = if takes_next {
            rest.get(1..).unwrap_or_default()
        } else {
            rest
        };
    }
    arguments
}

fn env(arguments: &[Value]) -> Vec<Inner> {
    let mut rest = arguments;
    while let [Value::Known(option), behind @ ..] = rest {
        let option = String::from_utf8_lossy(option).into_owned();
        match option.as_str() {
            "--" => {
                rest = behind;
                break;
            }
            "-u" | "--unset" | "-C" | "--chdir" | "-P" => {
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
fn with_variables(words: &[Value]) -> Vec<Inner> {
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

fn find(arguments: &[Value]) -> Vec<Inner> {
    let mut found = Vec::new();
    let mut rest = arguments;
    while let [word, behind @ ..] = rest {
        rest = behind;
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

fn xargs(arguments: &[Value]) -> Vec<Inner> {
    let rest = skip_options(
        arguments,
        "adEILnPs",
        &[
            "--arg-file",
            "--delimiter",
            "--max-args",
            "--max-chars",
            "--max-lines",
            "--max-procs",
            "--process-slot-var",
        ],
    );
    // Without a command it is `echo`.
    let mut words = if rest.is_empty() {
        vec![Value::known("echo")]
    } else {
        rest.to_vec()
    };
    words.push(Value::Rest(Why::new("what `xargs` reads")));
    vec![command(words)]
}

/// `su [-] [user] [-c text] [-s shell] [arguments]`, and `runuser -u user command`.
fn su(name: &str, arguments: &[Value]) -> Vec<Inner> {
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

fn flock(arguments: &[Value]) -> Vec<Inner> {
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
fn capsh(arguments: &[Value]) -> Vec<Inner> {
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

fn run_parts(arguments: &[Value]) -> Vec<Inner> {
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

fn start_stop_daemon(arguments: &[Value]) -> Vec<Inner> {
    let mut program = None;
    let mut rest = arguments;
    let mut own: &[Value] = &[];
    while let [word, behind @ ..] = rest {
        rest = behind;
        match word.bytes() {
            // `--startas` wins over `--exec`, which may only say what runs already.
            Some(b"-a" | b"--startas") => program = behind.first().cloned(),
            Some(b"-x" | b"--exec") if program.is_none() => program = behind.first().cloned(),
            Some(b"--") => {
                own = behind;
                break;
            }
            Some(b"-K" | b"--stop" | b"-T" | b"--status") => return Vec::new(),
            _ => {}
        }
    }
    program
        .map(|program| {
            let mut words = vec![program];
            words.extend(own.iter().cloned());
            command(words)
        })
        .into_iter()
        .collect()
}

fn supervisord(arguments: &[Value]) -> Vec<Inner> {
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

/// A folder of services, each a folder with a `run` in it.
fn services(arguments: &[Value]) -> Vec<Inner> {
    let folder = skip_options(arguments, "cdtX", &[]).first();
    let Some(Value::Known(folder)) = folder else {
        return vec![unknown(
            "the folder of the services is not known".to_owned(),
        )];
    };
    [&b"*/run"[..], b"*/finish", b"*/log/run"]
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

fn take(rest: &mut &[Value]) -> Option<Value> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(first.clone())
}

/// The words of a command that its wrapper joins for a shell.
fn joined_from(arguments: &[Value], short: &str, long: &[&str]) -> Value {
    let words = skip_options(arguments, short, long);
    let mut text = Vec::new();
    for word in words {
        let Some(bytes) = word.bytes() else {
            return Value::unknown("words that are not known");
        };
        text.extend_from_slice(bytes);
        text.push(b' ');
    }
    Value::known(text)
}

fn shell(text: Value) -> Inner {
    command(vec![Value::known("/bin/sh"), Value::known("-c"), text])
}

fn command(words: Vec<Value>) -> Inner {
    Inner {
        what: Carried::Command(words),
        variables: Vec::new(),
    }
}

fn unknown(why: String) -> Inner {
    Inner {
        what: Carried::Unknown(why),
        variables: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Carried, Value, inner};

    /// The commands that a command line carries, `|` between them.
    fn carried(line: &str) -> String {
        let words: Vec<Value> = line
            .split('_')
            .map(|word| Value::known(word.trim()))
            .collect();
        let (name, arguments) = words.split_first().unwrap();
        let shown = inner(name.bytes().unwrap(), arguments)
            .into_iter()
            .map(|inner| {
                let variables: Vec<String> = inner
                    .variables
                    .into_iter()
                    .map(|(name, _)| name + "=")
                    .collect();
                let what = match inner.what {
                    Carried::Command(words) => words
                        .iter()
                        .map(|word| match word {
                            Value::Known(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                            _ => "?".to_owned(),
                        })
                        .collect::<Vec<_>>()
                        .join(" "),
                    Carried::Files(files) => format!("<{}>", String::from_utf8_lossy(&files.path)),
                    Carried::Supervisor(_) => "supervisor".to_owned(),
                    Carried::Unknown(_) => "unknown".to_owned(),
                };
                variables.concat() + &what
            });
        shown.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn wrappers_carry_commands() {
        for (line, expected) in [
            ("tini _ -s _ -p _ SIGTERM _ -- _ a _ -x", "a -x"),
            ("tini _ a", "a"),
            ("tini _ -vvv", ""),
            ("dumb-init _ -r _ 15:3 _ --rewrite=1:2 _ -- _ a", "a"),
            ("catatonit _ -- _ a _ b", "a b"),
            ("gosu _ redis:redis _ a _ -b", "a -b"),
            ("su-exec _ 1000 _ a", "a"),
            (
                "setpriv _ --reuid _ x _ --regid=y _ --clear-groups _ -- _ a",
                "a",
            ),
            ("setpriv _ --reuid=x _ --init-groups _ a", "a"),
            ("runuser _ -u _ x _ -- _ a _ b", "a b"),
            ("runuser _ - _ x _ -c _ a b", "/bin/sh -c a b"),
            ("su _ -s _ /bin/bash _ -c _ a _ x", "/bin/bash -c a"),
            ("su _ - _ postgres _ -c _ a _ b", "/bin/sh -c a b"),
            ("sudo _ -E _ -u _ x _ A=1 _ a", "A=a"),
            ("chroot _ --userspec=1:2 _ / _ a", "a"),
            ("env _ -i _ A=1 _ -u _ B _ a", "A=-u B a"),
            ("env _ -u _ B _ A=1 _ a _ b", "A=a b"),
            ("env _ -S _ a -b 'c d' _ e", "a -b c d e"),
            ("env _ -SA=1 a _ e", "A=a e"),
            ("env", ""),
            ("nohup _ a", "a"),
            ("nice _ -n _ 5 _ a", "a"),
            ("nice _ -n5 _ a", "a"),
            ("timeout _ -s _ KILL _ 5 _ a _ b", "a b"),
            ("xargs _ -0 _ -r _ -n _ 1 _ a _ b", "a b ?"),
            ("xargs", "echo ?"),
            (
                "find _ / _ -name _ x _ -exec _ a _ {} _ ; _ -ok _ b _ + ",
                "a ?|b",
            ),
            ("find _ / _ -name _ x", ""),
            ("flock _ /lock _ a _ b", "a b"),
            ("flock _ /lock _ -c _ a b", "/bin/sh -c a b"),
            ("flock _ -x _ 9", ""),
            ("capsh _ --user=x _ -- _ -c _ a", "/bin/bash -c a"),
            ("numactl _ --interleave=all _ a", "a"),
            ("taskset _ -c _ 0-3 _ a", "a"),
            ("watch _ -n _ 5 _ a _ b", "/bin/sh -c a b "),
            ("run-parts _ --arg=x _ /hooks/", "</hooks/*>"),
            ("start-stop-daemon _ --start _ --exec _ /a _ -- _ b", "/a b"),
            ("start-stop-daemon _ --stop _ --exec _ /a", ""),
            (
                "runsvdir _ -P _ /service",
                "</service/*/run>|</service/*/finish>|</service/*/log/run>",
            ),
            ("parallel _ a", "unknown"),
            ("s6-setuidgid _ x _ a", "a"),
            ("ls _ -l", ""),
        ] {
            assert_eq!(carried(line), expected, "{line}");
        }
    }
}
