//! What has to hold for every text. The fuzzer looks for one for which it does not; the tests replay what it found.
//! `images.rs` has what holds for images.

macro_rules! holds {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(Broken(format!($($message)*)));
        }
    };
}

pub(crate) mod images;

use std::sync::Arc;

use armorgate::{
    apparmor::{
        diagnostic::{Diagnostic, Severity},
        include::{Loaded, MapIncludes, load},
        model::{Policy, policy},
        parser,
        printer::print,
        source::FileId,
    },
    compare::{
        Baseline, Comparison, Question, Relation, Runtime, Subject, ask, compare as relation,
    },
    image::{Config, tree::Tree},
    whitelist::{Workload, analyse},
};

/// What an input breaks.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

/// A text alone: it is read in both contexts, printed, read again, loaded with includes, and understood.
pub(crate) fn parse(text: &[u8]) -> Result<(), Broken> {
    for context in [parser::Context::Body, parser::Context::TopLevel] {
        let (file, found) = parser::parse(FileId(0), text, context);
        for diagnostic in &found {
            let span = diagnostic.span;
            holds!(
                span.start <= span.end && span.end as usize <= text.len(),
                "a place outside of the text: {diagnostic:?}"
            );
        }
        let printed = print(&file);
        if errors(&found).next().is_some() {
            continue;
        }
        let (again, found) = parser::parse(FileId(0), &printed, context);
        let shown = String::from_utf8_lossy(&printed);
        if let Some(error) = errors(&found).next() {
            return Err(Broken(format!("printed, it is wrong: {error:?}\n{shown}")));
        }
        holds!(file == again, "printed, it is another:\n{shown}");
        holds!(
            print(&again) == printed,
            "printing is not canonical:\n{shown}"
        );
    }
    understood(text, &includes()).map(drop)
}

/// A candidate, a NUL and a baseline; without a NUL the baseline is a runtime's default.
pub(crate) fn compare(text: &[u8]) -> Result<(), Broken> {
    let mut halves = text.splitn(2, |&byte| byte == 0);
    let candidate = halves.next().unwrap_or_default();
    let candidate = understood(candidate, &MapIncludes::default())?;
    let baseline = if let Some(baseline) = halves.next() {
        understood(baseline, &MapIncludes::default())?
    } else {
        let runtimes = [
            Runtime::Containerd,
            Runtime::Crio,
            Runtime::Docker,
            Runtime::Podman,
        ];
        let runtime = runtimes.into_iter().cycle().nth(text.len() % 4);
        let baseline = Baseline::newest(runtime.unwrap_or(Runtime::Containerd));
        understood(
            baseline.template().text().as_bytes(),
            &MapIncludes::default(),
        )?
    };
    let (Some(first), Some(second)) = (candidate.subject(), baseline.subject()) else {
        return Ok(());
    };
    if !candidate.valid || !baseline.valid {
        return Ok(());
    }
    let own = relation(first, first);
    holds!(
        matches!(own.relation, Relation::Equal | Relation::Unknown { .. }),
        "unequal to itself: {own:?}"
    );
    let there = relation(first, second);
    let back = relation(second, first);
    for (one, other, forth, from) in [
        (first, second, &there, &back),
        (second, first, &back, &there),
    ] {
        laws(forth, from)?;
        if matches!(forth.relation, Relation::Equal | Relation::Stronger) {
            nothing_more(one, other, text)?;
        }
    }
    Ok(())
}

fn laws(there: &Comparison, back: &Comparison) -> Result<(), Broken> {
    let weaker = matches!(there.relation, Relation::Weaker | Relation::Incomparable);
    holds!(
        weaker != there.witnesses.is_empty(),
        "weaker exactly with witnesses: {there:?}"
    );
    // A profile that is not in the text counts as more where it is the candidate's, and as all where it is the baseline's: what
    // programs run under need not agree both ways.
    let mut witnesses = there.witnesses.iter().chain(&back.witnesses);
    let unknown = witnesses.any(|witness| witness.class == "exec");
    let agree = match (&there.relation, &back.relation) {
        (Relation::Unknown { .. }, _)
        | (_, Relation::Unknown { .. })
        | (Relation::Equal, Relation::Equal)
        | (Relation::Incomparable, Relation::Incomparable)
        | (Relation::Stronger, Relation::Weaker)
        | (Relation::Weaker, Relation::Stronger) => true,
        _ => unknown,
    };
    holds!(agree, "there {there:?}\nback {back:?}");
    Ok(())
}

/// No path of either text is permitted to the one and forbidden to the other.
fn nothing_more(one: Subject<'_>, other: Subject<'_>, text: &[u8]) -> Result<(), Broken> {
    let is_end = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"/._-".contains(byte);
    let paths = text
        .split(is_end)
        .filter_map(|word| std::str::from_utf8(word).ok())
        .filter(|word| word.starts_with('/') && !word.contains("//") && !word.contains("/."))
        .take(4)
        .chain(["/", "/a", "/proc/sysrq-trigger", "/proc/1/a"]);
    for path in paths {
        for (letter, others) in [("k", true), ("r", false), ("w", true)] {
            let Some(question) = Question::file(path, letter, others) else {
                continue;
            };
            let permitted = |subject: Subject<'_>| {
                ask(subject.profile, &question).map(|answer| answer.permitted)
            };
            if let (Ok(true), Ok(false)) = (permitted(one), permitted(other)) {
                return Err(Broken(format!(
                    "not weaker, but {path} {letter} (others: {others}) is permitted"
                )));
            }
        }
    }
    Ok(())
}

/// A text with its meaning.
struct Understood {
    loaded: Loaded,
    policy: Policy,
    valid: bool,
}

impl Understood {
    fn subject(&self) -> Option<Subject<'_>> {
        Some(Subject {
            policy: &self.policy,
            sources: &self.loaded.sources,
            profile: self.policy.profiles.first()?,
        })
    }
}

fn understood(text: &[u8], includes: &MapIncludes) -> Result<Understood, Broken> {
    let (loaded, mut found) = load("text".to_owned(), text.into(), includes);
    let (policy, more) = policy(&loaded, includes);
    found.extend(more);
    for diagnostic in &found {
        let place = loaded.sources.location(diagnostic.span);
        holds!(place.is_some(), "without a place: {diagnostic:?}");
        holds!(
            loaded.sources.text(diagnostic.span).is_some(),
            "a place outside of its text: {diagnostic:?}"
        );
    }
    let valid = errors(&found).next().is_none();
    Ok(Understood {
        loaded,
        policy,
        valid,
    })
}

fn errors(found: &[Diagnostic]) -> impl Iterator<Item = &Diagnostic> {
    found
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Some files to include: rules, variables, circles, a folder, a profile.
fn includes() -> MapIncludes {
    let files = [
        ("a", "/a r,\n"),
        ("b", "include <a>\ninclude <b>\ninclude <d>\n"),
        ("d/x", "@{D} += d\n"),
        (
            "d/y",
            "profile y { include <p> include if exists <none> }\n",
        ),
        ("p", "/p r,\n^hat { include <b> }\n"),
        ("t", "@{T} = x y\n@{U} = @{T}@{T} u\n"),
    ];
    let file = |(name, text): (&str, &str)| (name.to_owned(), Arc::from(text.as_bytes()));
    MapIncludes {
        files: files.into_iter().map(file).collect(),
    }
}

/// A script that a container starts with: reading it ends, and comes to the same twice.
pub(crate) fn script(text: &[u8]) -> Result<(), Broken> {
    // The headers of a static program for x86-64, with one part to be loaded.
    let mut shell = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    shell.resize(32, 0);
    shell.push(64);
    shell.resize(52, 0);
    shell.extend([64, 0, 56, 0, 1]);
    shell.resize(64, 0);
    shell.push(1);
    shell.resize(120, 0);
    let tree = Tree::builder()
        .file("/bin/bash", 0o755, shell)
        .file("/start", 0o755, text)
        .build()
        .map_err(|error| Broken(error.to_string()))?;
    let config = Config {
        entrypoint: Some(vec!["/bin/bash".to_owned(), "/start".to_owned()]),
        ..Config::default()
    };
    let read = || analyse(&config, &tree, &Workload::default());
    let (one, other) = (read(), read());
    holds!(
        one.starts.iter().all(|start| start.program.is_some()),
        "the shell is not found"
    );
    holds!(
        format!("{one:?}") == format!("{other:?}"),
        "read twice, it comes to two things"
    );
    Ok(())
}
