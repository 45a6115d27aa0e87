//! Commands that carry commands in their arguments: which words those are.
//!
//! Each wrapper is a program of its own, and is on the list like any other; here only what it goes on to run is found. An option
//! that is not known is taken for one without an argument, so that a wrong guess makes an argument a program: that is
//! looked for, not found, and told.

mod clients;
mod each;
mod env;
mod languages;
mod special;
mod texts;

use super::script::{FilePattern, Value};

use clients::{mongo, mysql, psql};
use each::{find, xargs};
use env::{env, with_variables};
use languages::{awk, sed};
use special::{capsh, flock, run_parts, services, start_stop_daemon, su, supervisord, take};

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

/// What a program of this name goes on to run with these arguments and this input.
pub(super) fn inner(name: &[u8], arguments: &[Value], input: Option<&Value>) -> Vec<Inner> {
    let name = std::str::from_utf8(name).unwrap_or_default();
    match name {
        "env" => env(arguments),
        "awk" | "gawk" | "mawk" | "nawk" | "original-awk" => awk(arguments),
        "chroot" => chroot(arguments),
        "find" => find(arguments),
        "mysql" | "mariadb" => mysql(name, arguments, input),
        "mongo" | "mongosh" => mongo(name, arguments, input),
        "psql" => psql(arguments, input),
        "sed" | "gsed" => sed(arguments),
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

/// `chroot [options] root [command]`: names lead elsewhere in another root.
fn chroot(arguments: &[Value]) -> Vec<Inner> {
    let rest = skip_options(arguments, "", &["--groups", "--userspec"]);
    match (rest, follow("chroot", arguments)) {
        ([Value::Known(root), ..], Some(words)) if &root[..] == b"/" && !words.is_empty() => {
            vec![command(words.to_vec())]
        }
        ([], _) => Vec::new(),
        _ => vec![unknown(
            "what `chroot` runs in another root is not followed".to_owned(),
        )],
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
mod tests;
