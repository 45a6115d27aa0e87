//! Scripts in the manner of those that containers start with, and what they run.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{
    Context, Dialect, Environment, FilePattern, Files, Reach, Reading, Source, Value, Values,
    matches, read,
};

/// Files by path.
#[derive(Default)]
struct Folder(BTreeMap<Vec<u8>, String>);

impl Files for Folder {
    fn text(&self, path: &[u8]) -> Source {
        match self.0.get(path) {
            Some(text) => Source::Text(Arc::from(text.as_bytes())),
            None => Source::Missing,
        }
    }

    fn matching(&self, pattern: &FilePattern) -> Vec<Vec<u8>> {
        let chosen = |path: &&Vec<u8>| {
            let named = match pattern.reach {
                Reach::Below => path.starts_with(&pattern.path),
                Reach::Matching => matches(&pattern.path, path),
            };
            named
                && pattern
                    .filters
                    .iter()
                    .all(|filters| filters.iter().any(|filter| matches(filter, path)))
        };
        self.0.keys().filter(chosen).cloned().collect()
    }

    fn real(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.0.contains_key(path).then(|| path.to_vec())
    }
}

fn reading_in(files: &[(&str, &str)], text: &str, arguments: &[&str]) -> Reading {
    let files = files
        .iter()
        .map(|(path, text)| (path.as_bytes().to_vec(), (*text).to_owned()));
    let files = Folder(files.collect());
    let variables = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("JAVA_HOME", "/opt/java"),
    ];
    let variables =
        variables.map(|(name, value)| (name.to_owned(), Values::one(Value::known(value))));
    read(
        text.as_bytes(),
        &Context {
            file: Arc::from(&b"/entry.sh"[..]),
            line: 0,
            dialect: Dialect::Bash,
            name: Value::known("/entry.sh"),
            arguments: arguments.iter().map(Value::known).collect(),
            environment: Arc::new(Environment {
                variables: BTreeMap::from(variables),
                others: None,
            }),
            directory: Value::known("/"),
            input: None,
            files: &files,
            steps: super::MAX_STEPS,
        },
    )
}

fn shown(value: &Value) -> String {
    match value {
        Value::Known(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Files(files) => {
            let mut parts = vec![String::from_utf8_lossy(&files.path)];
            let filters = files.filters.iter().flatten();
            parts.extend(filters.map(|filter| String::from_utf8_lossy(filter)));
            format!("<{}>", parts.join("&"))
        }
        Value::Numbered(bytes) => format!("#{}", String::from_utf8_lossy(bytes)),
        Value::Rest(_) => "?*".to_owned(),
        Value::Unknown(_) => "?".to_owned(),
    }
}

/// The commands with their lines, and behind them what is not known.
fn told(reading: &Reading) -> Vec<String> {
    let sites = reading.sites.iter().map(|site| {
        let words: Vec<String> = site.words.iter().map(shown).collect();
        let file = String::from_utf8_lossy(&site.place.file);
        let file = file.strip_prefix("/entry.sh").unwrap_or(&file);
        format!("{file}{} {}", site.place.line, words.join(" "))
    });
    let unknowns = reading
        .unknowns
        .iter()
        .map(|gap| format!("! {} {}", gap.place.line, gap.what));
    sites.chain(unknowns).collect()
}

#[track_caller]
fn check(text: &str, arguments: &[&str], expected: &[&str]) {
    let reading = reading_in(&[], text, arguments);
    assert_eq!(told(&reading), expected, "{text}");
}

#[test]
fn commands_are_found_wherever_they_stand() {
    for (text, expected) in [
        ("a b\n  c 'd e' \"f\"", &["1 a b", "2 c d e f"][..]),
        (
            "if a; then b; elif c; then d; else e; fi",
            &["1 a", "1 b", "1 c", "1 d", "1 e"],
        ),
        ("a | b && c || d; e &", &["1 a", "1 b", "1 c", "1 d", "1 e"]),
        ("( a; { b; } )", &["1 a", "1 b"]),
        ("while a; do b; done < <(c)", &["1 a", "1 b", "1 c"]),
        ("x=$(a \"$(b)\")", &["1 b", "1 a ?"]),
        (
            "echo `a`; [ \"$(b)\" = 1 ]; [[ $(c) == x ]]",
            &["1 a", "1 b", "1 c"],
        ),
        (
            "cat <<E\n$(a) `b`\nE\ncat <<'E'\n$(c)\nE",
            &["2 a", "2 b", "1 cat", "4 cat"],
        ),
        ("x=$(( $(a) + 1 )); (( $(b) > 1 ))", &["1 a", "1 b"]),
        ("case $(a) in x) b;; *) c;; esac", &["1 a", "1 b", "1 c"]),
        ("! a; time b; command c; \\d", &["1 a", "1 b", "1 c", "1 d"]),
        ("for x in $(a); do b $x; done", &["1 a", "1 b ?*"]),
        ("x=1 a > $(b) 2>&1", &["1 b", "1 a"]),
        ("arr[$(a)]=$(b)", &["1 a", "1 b"]),
        ("tee >(a) <b", &["1 a", "1 tee ?"]),
    ] {
        let reading = reading_in(&[], text, &[]);
        let mut found = told(&reading);
        let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn builtins_and_queries_start_nothing() {
    check(
        "set -eu; cd /x; echo a; command -v curl >/dev/null; type b; hash c; [ -x d ]; test e; printf f; kill 1; wait",
        &[],
        &[],
    );
    check(
        "/bin/echo a; /usr/bin/[ b ]",
        &[],
        &["1 /bin/echo a", "1 /usr/bin/[ b ]"],
    );
}

#[test]
fn arguments_reach_exec() {
    check(
        "exec \"$@\"",
        &["redis-server", "/etc/r.conf"],
        &["1 redis-server /etc/r.conf"],
    );
    check("exec \"$@\"", &[], &[]);
    check(
        "if [ \"${1#-}\" != \"$1\" ]; then\n set -- redis-server \"$@\"\nfi\nexec \"$@\"",
        &["--port", "1"],
        &["4 redis-server --port 1"],
    );
    check(
        "shift; exec \"$1\" \"${@:2}\"",
        &["a", "b", "c"],
        &["1 b c"],
    );
    check(
        "exec gosu x \"$0\" \"$@\"",
        &["a"],
        &["1 gosu x /entry.sh a"],
    );
    check("exec ${1+\"$@\"}", &["a b", "c"], &["1 a b c"]);
    check(
        "while [ $# -gt 1 ]; do case $1 in -x) shift;; esac; shift; done; exec \"$@\"",
        &["-x", "1", "run"],
        &["1 -x 1 run", "1 1 run", "1 run"],
    );
    check("echo; exec a; b", &[], &["1 a"]);
    check("if x; then exec a; fi; exec b", &[], &["1 x", "1 a", "1 b"]);
}

#[test]
fn constants_are_followed() {
    for (text, expected) in [
        ("exec \"$JAVA_HOME/bin/java\" -x", "1 /opt/java/bin/java -x"),
        ("J=${JAVA:-java}; $J -x", "1 java -x"),
        ("P=/usr/bin; \"$P\"/${UNSET}tool", "1 /usr/bin/tool"),
        (": ${X:=prog}; $X", "1 prog"),
        ("run='a b'; $run", "1 a b"),
        ("run='a b'; \"$run\"", "1 a b"),
        ("x=a; x+=b; $x", "1 ab"),
        ("f=/a/b.sh; ${f##*/}; ", "1 b.sh"),
        ("f=/a/b.sh; ${f%.sh}", "1 /a/b"),
        (
            "q=( psql -v 'x y' ); \"${q[@]}\" -c z",
            "1 psql -v x y -c z",
        ),
        ("q=( a ); q+=( b ); \"${q[@]}\"", "1 a b"),
        ("q=(); q+=( a ); ${q[0]}", "1 a"),
        ("N=prog; M=N; ${!M}", "1 prog"),
        ("x=abc; ${x/b/-}", "1 a-c"),
        ("X=PROG; ${X,,}", "1 prog"),
        ("numa=; $numa mongod", "1 mongod"),
        ("export A=prog; $A", "1 prog"),
        ("f() { local c=inner; }; c=outer; f; $c", "1 outer"),
        ("cmd=$(command -v tool); $cmd", "1 tool"),
        ("d=$(cd /opt/x && pwd); $d/run", "1 /opt/x/run"),
        ("printf -v c '%s/bin' /opt; $c/x", "1 /opt/bin/x"),
    ] {
        check(text, &[], &[expected]);
    }
    check(
        "d=$(dirname \"$0\"); exec \"$d/run\"",
        &[],
        &["1 dirname /entry.sh", "1 //run"],
    );
}

#[test]
fn what_is_not_known_is_told() {
    check("x=$(hostname); $x", &[], &["1 hostname", "1 ?*"]);
    check("\"$HOSTNAME\" a", &[], &["1 ? a"]);
    check(
        "eval \"$(a)\"",
        &[],
        &[
            "1 a",
            "! 1 an `eval` of text that is not known: the output of `a`",
        ],
    );
    check(
        ". \"$HOSTNAME\"",
        &[],
        &["! 1 a file is sourced whose name is not known: the variable `HOSTNAME`"],
    );
    check(
        "trap \"$HOSTNAME\" EXIT",
        &[],
        &["! 1 a `trap` of text that is not known: the variable `HOSTNAME`"],
    );
    check(
        "if (",
        &[],
        &["! 1 the script could not be read: it is no shell script from line 1"],
    );
    let joined = reading_in(&[], "$A-x", &[]);
    assert_eq!(told(&joined), ["1 -x"]);
}

#[test]
fn branches_join() {
    check(
        "if a; then x=b; else x=c; fi; $x",
        &[],
        &["1 a", "1 b", "1 c"],
    );
    check(
        "case $HOSTNAME in x) c=a;; y) c=b;; esac; exec ${c:-d}",
        &["x"],
        &["1 a", "1 b", "1 d"],
    );
    check(
        "[ -n \"$HOSTNAME\" ] && c=a; ${c:-b}",
        &["x"],
        &["1 a", "1 b"],
    );
    check("for p in a b; do $p; done", &[], &["1 a", "1 b"]);
    check("for p; do $p; done", &["a", "b"], &["1 a", "1 b"]);
    check("x=a; (x=b); $x", &[], &["1 a"]);
    check(
        "for p in a b; do [ $p = a ] && break; c=$p; done; $c",
        &[],
        &["1 a", "1 b"],
    );
}

#[test]
fn what_is_certain_decides_what_is_assigned_but_not_what_counts() {
    check(
        "if [ -z \"$JAVA_HOME\" ]; then a; J=b; else J=c; fi; $J",
        &[],
        &["1 a", "1 c"],
    );
    check("[ \"x$1\" = xrun ] || exec a; b", &["run"], &["1 a", "1 b"]);
    check("[ \"$1\" = run ] && exec a; b", &["run"], &["1 a", "1 b"]);
    check(
        "case $1 in r*) c=a;; *) c=b; d;; esac; $c",
        &["run"],
        &["1 d", "1 a"],
    );
    check(
        "if [[ -n $1 && $1 != -* ]]; then c=a; fi; ${c:-b}",
        &["-x"],
        &["1 b"],
    );
    check("if ! test \"$1\"; then c=a; fi; ${c:-b}", &["x"], &["1 b"]);
}

#[test]
fn functions_are_called_with_their_arguments() {
    check("f() { \"$@\"; }\nf a b\n f c", &[], &["1 a b", "1 c"]);
    check(
        "f() { g \"$1\"; }; g() { exec \"$1\" x; }; f a; b",
        &[],
        &["1 a x"],
    );
    check("f() { return; a; }; f; b", &[], &["1 b"]);
    check(
        "f() { if a; then return; fi; c=d; }; f; ${c:-e}",
        &[],
        &["1 a", "1 d", "1 e"],
    );
    check("f() { f; a; }; f", &[], &["1 a"]);
    check("a() { b; }", &[], &[]);
    check("f() { a; }; command f; env f", &[], &["1 f", "1 env f"]);
}

#[test]
fn traps_and_evals_are_read() {
    check("trap 'a; b' EXIT TERM; c", &[], &["1 c", "1 a", "1 b"]);
    check(
        "stop() { a; }; trap stop TERM; trap - INT; trap '' HUP",
        &[],
        &["1 a"],
    );
    check("eval 'a \"$1\"'", &["x"], &["1 a x"]);
    check(
        "J=/opt/java; eval exec \"'$J/bin/java'\" -x",
        &[],
        &["1 /opt/java/bin/java -x"],
    );
    check(
        "eval a \"$(b)\" c",
        &[],
        &[
            "1 b",
            "1 a ?* c",
            "! 1 an `eval` of text that is not known: the output of `b`",
        ],
    );
}

#[test]
fn files_are_sourced() {
    let files = [
        ("/lib/a.sh", "A=prog\nhelper() { tool \"$1\"; }\n"),
        ("/bin/common", "B=other\n"),
        ("/hooks/1.envsh", "C=x\n"),
        ("/hooks/2.sh", "never\n"),
    ];
    let text = ". /lib/a.sh; source common\n$A; helper y; $B\n[ -f /missing.sh ] && . /missing.sh";
    assert_eq!(
        told(&reading_in(&files, text, &[])),
        ["2 prog", "/lib/a.sh2 tool y", "2 other"]
    );
    let reading = reading_in(
        &files,
        "for f in /hooks/*; do case $f in *.envsh) . \"$f\";; *.sh) \"$f\";; esac; done; ${C:-y}",
        &[],
    );
    assert_eq!(told(&reading), ["1 </hooks/*&*.sh>", "1 x", "1 y"]);
    assert_eq!(reading.folders.len(), 1);
    let reading = reading_in(
        &files,
        "find /hooks/ -type f -print | sort | while read -r f; do case \"$f\" in *.sh) \"$f\";; esac; done",
        &[],
    );
    assert_eq!(
        told(&reading),
        ["1 find /hooks/ -type f -print", "1 sort", "1 </hooks&*.sh>"]
    );
}

#[test]
fn exported_values_go_on() {
    let reading = reading_in(
        &[],
        "export A=1; B=2; PATH=/opt/bin:$PATH; if x; then A=3; fi; C=4 y; set -a; D=5",
        &[],
    );
    let values = |name: &str| {
        let values = reading.environment.variables.get(name)?;
        Some(values.iter().map(shown).collect::<Vec<_>>())
    };
    assert_eq!(values("A").unwrap(), ["", "1", "3"]);
    assert_eq!(values("B"), None);
    assert_eq!(values("C").unwrap(), ["", "4"]);
    assert_eq!(values("D").unwrap(), ["", "5"]);
    assert!(
        values("PATH")
            .unwrap()
            .contains(&"/opt/bin:/usr/local/bin:/usr/bin:/bin".to_owned())
    );
}

#[test]
fn growth_ends() {
    check(
        "while a; do set -- x \"$@\"; done; exec \"$@\"",
        &["r"],
        &[
            "1 a",
            "1 r",
            "1 x r",
            "1 x x r",
            "1 x x x r",
            "1 x x x x r",
            "1 x ?*",
            "1 ?*",
        ],
    );
    for text in [
        "x=a; while :; do x=$x$x; y=$y$x; done; $x",
        &"x=a$x$x; a=( \"${a[@]}\" \"${a[@]}\" $x ); y+=$x$y; z=${x//a/$y}\n".repeat(200),
        &". /lib\n".repeat(3000),
        &"if a; then x$RANDOM=1; export \"$HOSTNAME=$x\"; fi\n".repeat(2000),
        &(0..3000)
            .map(|n| format!("[ $a ] && v{n}=$v{}\n", n / 2))
            .collect::<Vec<_>>()
            .concat(),
        "f() { g; g; }; g() { h; h; }; h() { f; f; }; f",
        "for a in 1 2 3 4; do for b in 1 2 3 4; do for c in 1 2 3 4; do for d in 1 2 3 4; do x=$a$b$c$d; $x; done; done; done; done",
    ] {
        reading_in(&[], text, &[]);
    }
    let deep = "if a; then ".repeat(60) + "b; " + &"fi; ".repeat(60);
    reading_in(&[], &deep, &[]);
    let substitutions = "$(a ".repeat(20) + &")".repeat(20);
    reading_in(&[], &substitutions, &[]);
    let calls: Vec<String> = (0..200)
        .map(|n| format!("f{n}() {{ f{} a; f{} b; }}\n", n + 1, n + 1))
        .collect();
    reading_in(&[], &(calls.concat() + "f0"), &[]);
}

/// Fragments that scripts are made of, so that random ones get further than a syntax error.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("if a; then\n".to_owned()),
        Just("fi\n".to_owned()),
        Just("$(".to_owned()),
        Just(")".to_owned()),
        Just("\"".to_owned()),
        Just("${x:-".to_owned()),
        Just("}".to_owned()),
        Just("case $1 in x) ".to_owned()),
        Just(";; esac\n".to_owned()),
        Just("f() {\n".to_owned()),
        Just("f \"$@\"\n".to_owned()),
        Just("eval \"$x\"\n".to_owned()),
        Just("set -- \"$@\" y\n".to_owned()),
        Just("x=( $@ )\n".to_owned()),
        Just("while read y; do\n".to_owned()),
        Just("done\n".to_owned()),
        Just("exec ".to_owned()),
        Just("trap 'f' EXIT\n".to_owned()),
        Just("<<E\n".to_owned()),
        Just("E\n".to_owned()),
        Just("((".to_owned()),
        Just("'".to_owned()),
        "[ -~\n]{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_text_is_read_to_an_end(fragments in proptest::collection::vec(fragment(), 0..60)) {
        reading_in(&[], &fragments.concat(), &["a", "-b"]);
    }

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let files = Folder::default();
        read(&bytes, &Context {
            file: Arc::from(&b"/x"[..]),
            line: 0,
            dialect: Dialect::Posix,
            name: Value::known("/x"),
            arguments: Vec::new(),
            environment: Arc::new(Environment::default()),
            directory: Value::known("/"),
            input: None,
            files: &files,
            steps: super::MAX_STEPS,
        });
    }
}
