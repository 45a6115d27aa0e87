//! Names that an attacker chose, in a whitelist profile: of programs, folders, libraries, images, and in what comments quote.
//!
//! However an image calls its files, the profile permits to run exactly those that are listed. Asked of our own model, and of the
//! automata that three versions of the parser make of the text: there every string that may be run is spelled out.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "against_kernel/automata.rs"]
mod automata;
#[path = "support/compiled/mod.rs"]
mod compiled;
#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::{
    apparmor::{
        diagnostic::Severity,
        include::{NoIncludes, load},
        model::{Class, file, policy},
    },
    compare::{Baseline, Relation, Runtime},
    whitelist::{
        Code, CodeRule, GeneratedProfile, Listed, Mounts, Name, NameError, ProfileInputs, Slug,
        Stage,
    },
};
use automata::Automata;
use compiled::{
    Parser, ParserVersion, Source,
    automaton::State,
    permissions::{EXEC, ExecTarget, MMAP, WRITE},
    profile::CompiledProfile,
};
use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// What means something somewhere in the language, or did once to somebody.
const PIECES: &[&[u8]] = &[
    b"x ux,\n}",
    b"\"",
    b"\" ux,\n\"",
    b"\\",
    b"\\\"",
    b"\\n",
    b"\\052",
    b"\\x2a",
    b"\\d42",
    b"*",
    b"**",
    b"?",
    b"[a-z]",
    b"[^a]",
    b"{a,b}",
    b"{",
    b"}",
    b",",
    b"^",
    b"$",
    b"(a|b)",
    b"@{PROC}",
    b"@{profile_name}",
    b"${x}",
    b"#",
    b"#include <x>",
    b"include if exists <x>",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b" ix -> unconfined,",
    b"...",
    b".",
    b"memfd:",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    "é\u{202e}".as_bytes(),
    b"1",
    b"a",
    b"usr",
    b"bin",
];

fn component() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| {
        vec![if matches!(byte, 0 | b'/') {
            b'\\'
        } else {
            byte
        }]
    });
    let piece = select(PIECES).prop_map(<[u8]>::to_vec);
    let part = prop_oneof![3 => piece, 1 => byte];
    prop::collection::vec(part, 1..6)
        .prop_map(|parts| parts.concat())
        .prop_filter("is a component", |bytes| {
            bytes != b"." && bytes != b".." && !bytes.starts_with(b"memfd:")
        })
}

/// A path, and what is made of it.
fn path() -> impl Strategy<Value = (Vec<u8>, Name)> {
    prop::collection::vec(component(), 1..5)
        .prop_map(|parts| {
            let parts = parts.iter().map(|part| [b"/", part.as_slice()].concat());
            parts.collect::<Vec<_>>().concat()
        })
        // With folders of the kernel's own there are no such names.
        .prop_filter_map("is of an image", |path| {
            let name = Name::exact(&path).ok()?;
            Some((path, name))
        })
}

fn text() -> impl Strategy<Value = String> {
    component().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Inputs, and the bytes of the programs in them.
type Case = (ProfileInputs, Vec<Vec<u8>>);

fn case() -> impl Strategy<Value = Case> {
    let paths = |most| prop::collection::vec(path(), 0..most);
    let comments = prop::collection::vec(text(), 0..4);
    let runtime = select(&Runtime::ALL[..]);
    (
        paths(8),
        (paths(3), paths(3), paths(3)),
        (text(), comments),
        (runtime, any::<bool>()),
    )
        .prop_map(
            |(programs, (closed, folders, files), (slug, comments), (runtime, bare))| {
                let (programs, names): (Vec<_>, Vec<Name>) = programs.into_iter().unzip();
                let folders = folders.into_iter().map(|(_, name)| Code::Folder(name));
                let files = files.into_iter().map(|(_, name)| Code::File(name));
                let listed = |name| Listed {
                    name,
                    reasons: comments.clone(),
                };
                let inputs = ProfileInputs {
                    slug: Slug::of_image(&slug),
                    programs: names.into_iter().map(listed).collect(),
                    closed: closed.into_iter().map(|(_, name)| name).collect(),
                    code: folders.chain(files).collect(),
                    code_rule: CodeRule::Only,
                    mounts: Mounts::Closed,
                    stage: Stage::Enforce,
                    baseline: Baseline {
                        bare,
                        ..Baseline::newest(runtime)
                    },
                    sources: comments,
                };
                (inputs, programs)
            },
        )
}

/// Names that a slip in quoting would permit.
fn near(path: &[u8]) -> Vec<Vec<u8>> {
    let mut near = vec![
        [path, b"x"].concat(),
        [path, b"/"].concat(),
        [path, b"/x"].concat(),
        [b"/x", path].concat(),
        path[..path.len() - 1].to_vec(),
    ];
    for (at, &byte) in path.iter().enumerate().skip(1) {
        if !byte.is_ascii_alphanumeric() {
            near.push([&path[..at], &path[at + 1..]].concat());
            near.push([&path[..at], b"x", &path[at + 1..]].concat());
            near.push([&path[..at], b"xy/z", &path[at + 1..]].concat());
            near.push(path[..at].to_vec());
        }
    }
    near
}

fn check_by_model((inputs, programs): &Case, generated: &GeneratedProfile) -> Result<()> {
    let GeneratedProfile {
        name,
        text,
        relation,
    } = generated;
    ensure!(*relation == Relation::Stronger, "{relation:?}");
    ensure!(text.is_ascii(), "not ASCII");
    let (loaded, mut diagnostics) = load("text".into(), text.as_bytes().into(), &NoIncludes);
    let (policy, more) = policy(&loaded, &NoIncludes);
    diagnostics.extend(more);
    let errors = diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error);
    ensure!(errors.count() == 0, "{diagnostics:?}");
    let [profile] = &policy.profiles[..] else {
        bail!("{} profiles", policy.profiles.len())
    };
    ensure!(profile.name == name.as_bytes(), "another name");
    let files = profile
        .entries
        .get(&Class::File)
        .context("no rules about files")?;
    let mut automata = Automata::new(files)?;
    let mut may =
        |path: &[u8], bit: u32| -> Result<bool> { Ok(automata.permits(path)?.allow & bit != 0) };
    let listed: BTreeSet<&[u8]> = programs.iter().map(Vec::as_slice).collect();
    for program in programs {
        ensure!(
            may(program, file::EXECUTE)?,
            "{} does not run",
            program.escape_ascii()
        );
        ensure!(
            !may(program, file::WRITE)?,
            "{} may be written",
            program.escape_ascii()
        );
        for near in near(program) {
            let expected = listed.contains(near.as_slice());
            ensure!(
                may(&near, file::EXECUTE)? == expected,
                "{} runs",
                near.escape_ascii()
            );
        }
    }
    ensure!(!may(b"/bin/unlisted", file::EXECUTE)?, "/bin/unlisted runs");
    ensure!(
        inputs.programs.len() == programs.len(),
        "programs were lost"
    );
    Ok(())
}

/// Every string that the automaton lets run; an error where there is no end to them.
fn run_by(profile: &CompiledProfile) -> Result<BTreeSet<Vec<u8>>> {
    let database = profile.file.as_ref().context("no rules about files")?;
    let may_run = |state| {
        let found = profile.file_permissions_at(state);
        for half in [&found.owner, &found.other] {
            let inherits = half
                .exec
                .as_ref()
                .is_none_or(|exec| exec.target == ExecTarget::Inherit);
            ensure!(inherits, "a program leaves the profile");
        }
        ensure!(
            found.owner.bits & EXEC == found.other.bits & EXEC,
            "owners and others differ"
        );
        Ok(found.owner.bits & EXEC != 0)
    };
    // Backwards from where something runs: what cannot get there need not be spelled out.
    let mut before: HashMap<State, Vec<State>> = HashMap::new();
    let mut waiting = vec![database.start()];
    let mut seen: HashSet<State> = HashSet::from([database.start()]);
    let mut running = Vec::new();
    while let Some(state) = waiting.pop() {
        if may_run(state)? {
            running.push(state);
        }
        for byte in 0..=u8::MAX {
            let next = database.step(state, byte);
            before.entry(next).or_default().push(state);
            if seen.insert(next) {
                waiting.push(next);
            }
        }
    }
    let mut useful: HashSet<State> = running.iter().copied().collect();
    while let Some(state) = running.pop() {
        for &state in before.get(&state).into_iter().flatten() {
            if useful.insert(state) {
                running.push(state);
            }
        }
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![(database.start(), Vec::new())];
    while let Some((state, string)) = waiting.pop() {
        ensure!(
            string.len() <= useful.len(),
            "there is no end to what may be run"
        );
        if may_run(state)? {
            found.insert(string.clone());
        }
        for byte in 0..=u8::MAX {
            let next = database.step(state, byte);
            if useful.contains(&next) {
                waiting.push((next, [string.as_slice(), &[byte]].concat()));
            }
        }
    }
    Ok(found)
}

fn check_by_parser((inputs, programs): &Case, profile: &CompiledProfile) -> Result<()> {
    let found = run_by(profile)?;
    let expected: BTreeSet<Vec<u8>> = programs.iter().cloned().collect();
    let shown = |set: &BTreeSet<Vec<u8>>| -> Vec<String> {
        set.iter()
            .map(|path| path.escape_ascii().to_string())
            .collect()
    };
    ensure!(
        found == expected,
        "{:?} run, not {:?}",
        shown(&found),
        shown(&expected)
    );
    for program in programs {
        let permissions = profile.file_permissions(program);
        ensure!(
            permissions.owner.bits & WRITE == 0,
            "{} may be written",
            program.escape_ascii()
        );
    }
    if inputs.code.is_empty() && programs.is_empty() {
        let permissions = profile.file_permissions(b"/lib/x");
        ensure!(permissions.owner.bits & MMAP == 0, "/lib/x may be mapped");
    }
    Ok(())
}

fn described((inputs, programs): &Case, text: &str) -> String {
    let programs: Vec<String> = programs
        .iter()
        .map(|path| path.escape_ascii().to_string())
        .collect();
    format!("{programs:?} of {}\n{text}", inputs.slug)
}

/// The same cases each time: a failure can be looked at.
fn runner() -> TestRunner {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(Config::default(), rng)
}

fn generated(runner: &mut TestRunner) -> Result<(Case, GeneratedProfile)> {
    let tree = case()
        .new_tree(runner)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let case = tree.current();
    let generated = case.0.generate().with_context(|| described(&case, ""))?;
    Ok((case, generated))
}

#[test]
fn whatever_files_are_called_the_profile_permits_to_run_exactly_those() -> Result<()> {
    let mut runner = runner();
    let mut names = 0;
    for _ in 0..CASES {
        let (case, generated) = generated(&mut runner)?;
        names += case.1.len();
        check_by_model(&case, &generated).with_context(|| described(&case, &generated.text))?;
    }
    ensure!(names > 300, "only {names} names");
    Ok(())
}

#[test]
fn parsers_make_of_it_what_was_meant() -> Result<()> {
    let mut runner = runner();
    let cases: Vec<(Case, GeneratedProfile)> = (0..COMPILED)
        .map(|_| generated(&mut runner))
        .collect::<Result<_>>()?;
    let sources: Vec<Source<'_>> = cases
        .iter()
        .map(|(_, generated)| Source {
            name: &generated.name,
            text: &generated.text,
        })
        .collect();
    for version in ParserVersion::ALL {
        let compiled = Parser::new(version)?.compile_many(&sources)?;
        for ((case, generated), compiled) in cases.iter().zip(compiled) {
            let checked = match &compiled {
                Ok(records) if records.len() == 1 => check_by_parser(case, &records[0]),
                Ok(records) => bail!("{} profiles\n{}", records.len(), generated.text),
                Err(rejected) => bail!("parser {version}: {}\n{}", rejected.0, generated.text),
            };
            checked.with_context(|| {
                format!("parser {version}: {}", described(case, &generated.text))
            })?;
        }
    }
    Ok(())
}

/// One by one, so that none hides behind others.
#[test]
fn every_piece_of_the_language_is_a_name_like_any_other() -> Result<()> {
    let names: Vec<Vec<u8>> = PIECES
        .iter()
        .filter(|piece| !matches!(**piece, b"." | b"memfd:"))
        .map(|piece| [b"/a/", *piece].concat())
        .chain(
            (1..=u8::MAX)
                .filter(|byte| !b"./".contains(byte))
                .map(|byte| vec![b'/', byte]),
        )
        .collect();
    let inputs = ProfileInputs {
        slug: Slug::of("pieces"),
        programs: names
            .iter()
            .map(|path| {
                Ok(Listed {
                    name: Name::exact(path)?,
                    reasons: Vec::new(),
                })
            })
            .collect::<Result<_, NameError>>()?,
        closed: Vec::new(),
        code: Vec::new(),
        code_rule: CodeRule::Only,
        mounts: Mounts::Closed,
        stage: Stage::Enforce,
        baseline: Baseline::newest(Runtime::Containerd),
        sources: Vec::new(),
    };
    let generated = inputs.generate()?;
    let case = (inputs, names);
    check_by_model(&case, &generated)?;
    for version in ParserVersion::ALL {
        match Parser::new(version)?.compile(&generated.text)? {
            Ok(records) => {
                check_by_parser(&case, &records[0]).with_context(|| version.to_string())?;
            }
            Err(rejected) => bail!("parser {version}: {}", rejected.0),
        }
    }
    Ok(())
}

const CASES: usize = 120;
const COMPILED: usize = 40;
