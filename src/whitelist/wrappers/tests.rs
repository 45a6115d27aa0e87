//! Command lines and the commands they carry.

use super::{Carried, Value, inner};

/// The commands that a command line carries, `|` between them.
fn carried(line: &str) -> String {
    let words: Vec<Value> = line
        .split('_')
        .map(|word| Value::known(word.trim()))
        .collect();
    let (name, arguments) = words.split_first().unwrap();
    let shown = inner(name.bytes().unwrap(), arguments, None)
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
        ("xargs _ -I _ {} _ {} _ x", "? x"),
        ("xargs _ -0rI{} _ sh _ -c _ a {} _ b", "sh -c ? b"),
        ("xargs _ -I _ % _ a _ {} _ b%c", "a {} ?"),
        ("xargs _ -i _ a _ {}", "a ?"),
        ("xargs _ -i% _ a _ {} _ %", "a {} ?"),
        ("xargs _ --replace=@ _ -n _ 1 _ a _ @", "a ?"),
        ("xargs _ --replace _ a _ {}", "a ?"),
        ("xargs _ -n1 _ -P4 _ -eL _ a", "a ?"),
        ("xargs _ -I _ {}", "echo"),
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
            "</service/*/run>|</service/*/finish>|</service/*/check>|</service/*/control/*>|</service/*/log/run>\
             |</service/*/log/finish>|</service/.s6-svscan/*>",
        ),
        ("parallel _ a", "unknown"),
        ("s6-setuidgid _ x _ a", "a"),
        ("ls _ -l", ""),
    ] {
        assert_eq!(carried(line), expected, "{line}");
    }
}
