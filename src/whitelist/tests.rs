//! What holds of every list, whatever the scripts.

use proptest::prelude::*;

use super::{Mount, MountKind, Outcome, ProgramName, Workload, analyse};
use crate::image::{Config, tree::Tree};

/// Pieces of scripts that get far: commands that are there and such that are not, and what leads from one to the other.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "id\n",
        "none\n",
        "/bin/tool x\n",
        "exec \"$@\"\n",
        "if tool; then\n",
        "else\n",
        "fi\n",
        "set -- tool \"$@\"\n",
        "x=$(id)\n",
        "$x\n",
        "x=tool\n",
        "exec \"$0\" id \"$@\"\n",
        "for f in /hooks/*; do\n",
        "\"$f\"\n",
        ". \"$f\"\n",
        "done\n",
        "f() {\n",
        "}\n",
        "f id\n",
        "\"$1\"\n",
        "find / -exec tool {} +\n",
        "env A=1 id\n",
        "sh -c 'id; /lib/../bin/tool'\n",
        "eval \"$x\"\n",
        "trap id EXIT\n",
        "cd /bin\n",
        "./tool\n",
        "../../bin/id\n",
        "PATH=/hooks:$PATH\n",
        "xargs \"$x\"\n",
        ". /hooks/b.sh\n",
        "/hooks/a.sh\n",
        "/etc\n",
        "/loop\n",
        "/vol/x\n",
        "(\n",
        ")\n",
        "case $1 in *) \n",
        ";; esac\n",
        "shift\n",
        "\"${x}/${y:-tool}\"\n",
        "source hooks/b.sh\n",
    ];
    proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned)
}

fn tree(script: &str, hook: &str) -> Tree {
    // The headers of a static program of 64 bits.
    let mut program = vec![0_u8; 120];
    program[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (
        program[16],
        program[18],
        program[20],
        program[32],
        program[52],
        program[54],
        program[56],
        program[64],
    ) = (2, 62, 1, 64, 64, 56, 1, 1);
    Tree::builder()
        .file("/usr/bin/id", 0o755, &program)
        .file("/usr/bin/tool", 0o755, &program)
        .file("/usr/bin/env", 0o755, &program)
        .file("/usr/bin/find", 0o755, &program)
        .file("/usr/bin/xargs", 0o755, &program)
        .file("/usr/bin/bash", 0o755, &program)
        .link("/usr/bin/sh", "bash")
        .link("/bin", "usr/bin")
        .link("/loop", "/loop")
        .file("/hooks/a.sh", 0o755, hook)
        .file("/hooks/b.sh", 0o644, hook)
        .file("/entry.sh", 0o755, ["#!/bin/sh\n", script].concat())
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_list_names_only_programs_that_are_there(
        script in proptest::collection::vec(piece(), 0..14),
        hook in proptest::collection::vec(piece(), 0..6),
    ) {
        let tree = tree(&script.concat(), &hook.concat());
        let config = Config {
            entrypoint: Some(vec!["/entry.sh".to_owned()]),
            cmd: Some(vec!["tool".to_owned(), "-x".to_owned()]),
            ..Config::default()
        };
        let workload = Workload {
            mounts: vec![Mount { path: "/vol".to_owned(), read_only: false, kind: MountKind::Opaque }],
            ..Workload::default()
        };
        let whitelist = analyse(&config, &tree, &workload);
        for program in &whitelist.programs {
            let ProgramName::Exact(path) = &program.name else {
                panic!("{}", program.name);
            };
            // The name is the real one already, unless it is in the volume.
            if !path.starts_with(b"/vol/") {
                let found = tree.resolve(path).unwrap();
                prop_assert_eq!(&found.path, path);
            }
            prop_assert!(!program.reasons.is_empty());
        }
        // What is unknown is never called complete.
        prop_assert_eq!(whitelist.unknowns.is_empty(), whitelist.outcome == Outcome::Complete);
    }
}

/// Scripts made to cost much: each must end soon, and say that it was not read to its end.
#[test]
fn hostile_scripts_end() {
    let words: Vec<String> = (0..250).map(|number| format!("w{number}")).collect();
    let words = words.join(" ");
    let functions: Vec<String> = (0..100)
        .map(|n| format!("f{n}() {{ f{0} a; f{0} b; id $x; }}\n", n + 1))
        .collect();
    let variables: Vec<String> = (0..3000)
        .map(|n| format!("if [ $HOSTNAME ]; then v{n}=$v{}; fi\n", n / 2))
        .collect();
    let shells: Vec<String> = (0..4000).map(|n| format!("sh -c 'id {n}'\n")).collect();
    let cases = [
        format!("a=( {words} )\n")
            + &"case $HOSTNAME in 1) x=1;; 2) x=2;; 3) x=3;; esac; id $x $x \"${a[@]}\"\n"
                .repeat(2000),
        functions.concat() + "f0",
        variables.concat(),
        "x='id;'\n".to_owned()
            + &"x=\"$x$x\"\n".repeat(14)
            + &"x=\"$x #\"; eval \"$x\"\n".repeat(2000),
        shells.concat(),
        "exec \"$0\" \"x$1\" \"$@\"\n".to_owned(),
        "\"$0\" a$1\n\"$0\" b$1\n".to_owned(),
        "set -- \"$@\" a b; if [ $HOSTNAME ]; then shift; fi; id \"$@\" \"$@\"\n".repeat(2500),
        "case $HOSTNAME in a) x=a$x;; b) x=b$x;; esac\n".repeat(5000),
        format!("x={}\n", "a".repeat(1000)) + &"w=${x##*a*a*a*a*b}\n".repeat(5500),
        "for f in /hooks/*; do . \"$f\"; \"$f\"; done\n".repeat(3000),
    ];
    for (number, script) in cases.iter().enumerate() {
        let tree = tree(script, "x=$x$1; id\n");
        let config = Config {
            entrypoint: Some(vec!["/entry.sh".to_owned()]),
            ..Config::default()
        };
        let began = std::time::Instant::now();
        let whitelist = analyse(&config, &tree, &Workload::default());
        let took = began.elapsed().as_secs();
        assert!(took < 60, "{number} took {took} s");
        assert_ne!(whitelist.outcome, Outcome::Complete, "{number}");
    }
}

#[test]
fn answers_are_json() {
    let tree = tree("id\nexec \"$@\"\n", "");
    let config = Config {
        entrypoint: Some(vec!["/entry.sh".to_owned()]),
        ..Config::default()
    };
    let whitelist = analyse(&config, &tree, &Workload::default());
    let json = serde_json::to_value(&whitelist).unwrap();
    assert_eq!(json["outcome"]["verdict"], "complete");
    assert_eq!(json["starts"][0]["kind"], "container");
    assert_eq!(json["starts"][0]["program"], "/entry.sh");
    assert_eq!(json["programs"][1]["name"], "/usr/bin/id");
    assert_eq!(json["programs"][1]["kind"], "static");
    assert_eq!(json["programs"][1]["reasons"][0]["place"]["line"], 2);
    assert_eq!(
        json["programs"][1]["reasons"][0]["chain"][0],
        "container `/entry.sh`"
    );
}
