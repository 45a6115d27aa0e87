//! Whether what is not on a list runs all the same: some seventy ways to try, by root with every capability in a container, under
//! two real kernels.
//!
//! Each is tried under the runtime's default, a naive list of programs, a whitelist profile without its two optional parts, and
//! the whitelist profile. Where the naive list fails the suite is seen to bite. `tests/guest/escapes.rs` says what each does.

#[path = "support/machine/mod.rs"]
mod machine;
#[path = "support/mod.rs"]
mod support;

use std::{fmt, fmt::Write as _, fs};

use anyhow::{Result, bail, ensure};
use armorgate::{
    compare::{Baseline, Runtime},
    whitelist::{Code, CodeRule, Listed, Mounts, Name, NameError, ProfileInputs, Slug, Stage},
};

use machine::{
    Kernel, Machine, build,
    commands::{GuestAnswer, GuestCommand, Operation},
};

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// What should not run did.
    Escaped,
    Refused,
    /// What should run did.
    Works,
}

impl Outcome {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "escaped" => Self::Escaped,
            "refused" => Self::Refused,
            "works" => Self::Works,
            _ => bail!("not an outcome: {text}"),
        })
    }

    /// By what the container has written.
    fn of(answer: &GuestAnswer) -> Result<Self> {
        let GuestAnswer::Ended { output, .. } = answer else {
            bail!("{answer:?}")
        };
        let says = |words: &[&str]| output.lines().any(|line| words.contains(&line));
        // EPERM and EACCES, and what the dynamic loader says of a file that it may not map.
        let refused =
            says(&["refused 1", "refused 13"]) || output.contains("failed to map segment");
        Ok(match (says(&["escaped"]), refused) {
            (true, false) => Self::Escaped,
            (false, true) => Self::Refused,
            (false, false) if says(&["regular", "running"]) => Self::Works,
            _ => bail!("it says {output:?}"),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Escaped => "escaped",
            Self::Refused => "refused",
            Self::Works => "works",
        })
    }
}

/// One way out, and what comes of it under each profile.
struct Escape {
    name: &'static str,
    words: Vec<String>,
    /// In the order of [`profiles`].
    outcomes: Vec<Outcome>,
}

impl Escape {
    fn parse(line: &'static str) -> Result<Self> {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, outcomes @ ..] = &fields[..] else {
            bail!("not an escape: {line}")
        };
        let words = match name.strip_prefix("first: ") {
            Some(_) => ["/usr/bin/sh", "sh", "-c", "echo escaped"]
                .map(str::to_owned)
                .into(),
            None => ["/first", "first", "escape", name]
                .map(str::to_owned)
                .into(),
        };
        Ok(Self {
            name,
            words,
            outcomes: outcomes
                .iter()
                .map(|text| Outcome::parse(text))
                .collect::<Result<_>>()?,
        })
    }
}

/// The list: programs of the image, one that it does not have, and one that comes from a ConfigMap.
fn inputs() -> Result<ProfileInputs, NameError> {
    let programs = [
        "/app/bin/absent",
        "/app/bin/busybox",
        "/app/bin/dynamic",
        "/app/bin/listed",
        "/app/bin/script",
    ];
    let mut names = programs
        .iter()
        .map(|path| Name::exact(path.as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    names.push(Name::projected(b"/hooks", b"hook")?);
    let listed = |name| Listed {
        name,
        reasons: Vec::new(),
    };
    Ok(ProfileInputs {
        slug: Slug::of("suite"),
        programs: names.into_iter().map(listed).collect(),
        closed: vec![Name::exact(b"/first")?, Name::exact(b"/usr/libexec/sh")?],
        code: vec![
            Code::Folder(Name::exact(b"/app/lib")?),
            Code::Folder(Name::exact(b"/lib/x86_64-linux-gnu")?),
            Code::Folder(Name::exact(b"/lib64")?),
        ],
        code_rule: CodeRule::Only,
        mounts: Mounts::Closed,
        stage: Stage::Enforce,
        baseline: Baseline::newest(Runtime::Containerd),
        sources: Vec::new(),
    })
}

/// Names and texts: the default, the naive list, the whitelist without its optional parts, the whitelist.
fn profiles() -> Result<Vec<(String, String)>> {
    let inputs = inputs()?;
    let template = inputs.baseline.template().text();
    let default = inputs.baseline.runtime.profile_name().to_owned();
    let mut lines = "    /{,**} rwlkm,\n".to_owned();
    for listed in &inputs.programs {
        let _ = writeln!(lines, "    {} ix,", listed.name);
    }
    let naive = template.replace(&default, "naive");
    let naive = naive.replace("    file,\n", &lines);
    ensure!(
        !naive.contains("file,") && naive.contains("listed"),
        "{naive}"
    );
    let relaxed = ProfileInputs {
        code_rule: CodeRule::Any,
        mounts: Mounts::Open,
        ..inputs.clone()
    };
    let [relaxed, strict] = [relaxed.generate()?, inputs.generate()?];
    Ok(vec![
        (default, template),
        ("naive".to_owned(), naive),
        (relaxed.name, relaxed.text),
        (strict.name, strict.text),
    ])
}

/// Puts what containers are made of into the guest.
fn files() -> Result<Vec<GuestCommand>> {
    let library = [("library.rs", include_str!("guest/library.rs"))];
    let shared = [
        "--crate-type=cdylib",
        "-Clink-arg=-nostdlib",
        "--check-cfg=cfg(regular)",
    ];
    let regular = [&shared[..], &["--cfg=regular"]].concat();
    let dynamic = [("dynamic.rs", include_str!("guest/dynamic.rs"))];
    let built = [
        ("/escapes/dynamic", build("dynamic", &dynamic, &[])?),
        ("/escapes/dropped.so", build("dropped", &library, &shared)?),
        ("/escapes/regular.so", build("regular", &library, &regular)?),
    ];
    built
        .into_iter()
        .map(|(path, program)| {
            Ok(GuestCommand::Write {
                path: path.to_owned(),
                content: fs::read(&program)?,
                mode: 0o755,
                user: 0,
            })
        })
        .collect()
}

fn check(kernel: Kernel) -> Result<()> {
    let own = match kernel {
        Kernel::V6_1 => ONLY_6_1,
        Kernel::V6_12 => ONLY_6_12,
    };
    let lines = ESCAPES.lines().chain(own.lines());
    let escapes = lines
        .filter(|line| !line.is_empty())
        .map(Escape::parse)
        .collect::<Result<Vec<_>>>()?;
    let profiles = profiles()?;
    let audited = ProfileInputs {
        stage: Stage::Audit,
        ..inputs()?
    };
    let audited = audited.generate()?;
    let mut policies = vec![NOTHING, (&audited.name, &audited.text)];
    policies.extend(
        profiles
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str())),
    );

    let mut script = files()?;
    let prepared = script.len();
    script.extend(attempt(&audited.name, &Escape::parse(AUDITED)?));
    for escape in &escapes {
        for (profile, _) in &profiles {
            script.extend(attempt(profile, escape));
        }
    }
    let answers = Machine::run(kernel, &policies, &script)?;
    let mut attempts = answers.iter().skip(prepared);
    let mut next = || Attempt::read(&attempts.by_ref().take(ATTEMPT).collect::<Vec<_>>());

    let first = next()?;
    ensure!(
        first.outcome()? == Outcome::Escaped && first.is_audited(&audited.name, "/usr/bin/sh"),
        "what is audited runs, and is told of: {first:?}"
    );
    let mut wrong = Vec::new();
    for escape in &escapes {
        ensure!(
            escape.outcomes.len() == profiles.len(),
            "{} has not an outcome for each",
            escape.name
        );
        for ((profile, _), expected) in profiles.iter().zip(&escape.outcomes) {
            let attempt = next()?;
            let is_last = profiles.last().is_some_and(|(name, _)| name == profile);
            let is_to_be_logged = is_last && *expected == Outcome::Refused;
            match attempt.outcome() {
                Err(error) => wrong.push(format!("{} under {profile}: {error}", escape.name)),
                Ok(found) if found != *expected => wrong.push(format!(
                    "{} under {profile}: {found}, not {expected}",
                    escape.name
                )),
                Ok(_) if is_to_be_logged && !attempt.is_denied(profile) => wrong.push(format!(
                    "{} under {profile}: the log says only {:?}",
                    escape.name, attempt.log
                )),
                Ok(_) => {}
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "linux {kernel}, {} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// Tries an escape in a new container.
fn attempt(profile: &str, escape: &Escape) -> [GuestCommand; ATTEMPT] {
    let capability = Operation::Capability("sys_admin".to_owned());
    [
        // The kernel leaves out denials of a capability that are like the one before: after another's it has to tell.
        GuestCommand::attempt(NOTHING.0, capability),
        GuestCommand::Log,
        GuestCommand::Contain {
            profile: profile.to_owned(),
            words: escape.words.clone(),
        },
        GuestCommand::Log,
    ]
}

/// Commands for an escape.
const ATTEMPT: usize = 4;

/// What became of one.
#[derive(Debug)]
struct Attempt {
    answer: GuestAnswer,
    log: String,
}

impl Attempt {
    fn read(answers: &[&GuestAnswer]) -> Result<Self> {
        let [GuestAnswer::Errno(_), _, answer, GuestAnswer::Done(log)] = answers else {
            bail!("{answers:?}")
        };
        Ok(Self {
            answer: (*answer).clone(),
            log: log.clone(),
        })
    }

    fn outcome(&self) -> Result<Outcome> {
        Outcome::of(&self.answer)
    }

    fn is_denied(&self, profile: &str) -> bool {
        self.logs(&["apparmor=\"DENIED\"", &format!("profile=\"{profile}\"")])
    }

    fn is_audited(&self, profile: &str, program: &str) -> bool {
        self.logs(&[
            "apparmor=\"AUDIT\" operation=\"exec\"",
            &format!("profile=\"{profile}\""),
            &format!("name=\"{program}\""),
        ])
    }

    /// Whether one line has all of it.
    fn logs(&self, parts: &[&str]) -> bool {
        let mut lines = self.log.lines();
        lines.any(|line| parts.iter().all(|part| line.contains(part)))
    }
}

/// A profile that permits nothing at all.
const NOTHING: (&str, &str) = ("nothing", "profile nothing { }");

/// What the stage before enforcing permits.
const AUDITED: &str = "other";

/// By name: under the default, the naive list, the whitelist with code from everywhere and mounts left open, the whitelist. Each
/// refusal by the last one must be in the log.
const ESCAPES: &str = "
other                               | escaped | refused | refused | refused
copy                                | escaped | refused | refused | refused
copy beside                         | escaped | refused | refused | refused
memory                              | escaped | refused | refused | refused
memory by its link                  | escaped | refused | refused | refused
nameless file                       | escaped | refused | refused | refused
loader                              | escaped | refused | refused | refused
itself                              | escaped | refused | refused | refused
link to it                          | escaped | refused | refused | refused
own root                            | escaped | refused | refused | refused
new script                          | escaped | refused | refused | refused
new script of a listed interpreter  | escaped | refused | refused | refused
child of an interpreter             | escaped | refused | refused | refused

removed                             | escaped | escaped | refused | refused
overwritten                         | escaped | escaped | refused | refused
truncated                           | escaped | escaped | refused | refused
renamed over                        | escaped | escaped | refused | refused
exchanged                           | escaped | escaped | refused | refused
linked elsewhere                    | escaped | escaped | refused | refused
linked from elsewhere               | escaped | refused | refused | refused
created                             | escaped | escaped | refused | refused
created as a link                   | escaped | refused | refused | refused
hook                                | escaped | escaped | refused | refused
hook moved                          | escaped | escaped | refused | refused
through a descriptor                | escaped | escaped | refused | refused
through a handle                    | escaped | escaped | refused | refused
through a root                      | escaped | escaped | refused | refused
mode                                | escaped | escaped | refused | refused
interpreter                         | escaped | escaped | refused | refused
interpreter overwritten             | escaped | escaped | refused | refused
folder renamed                      | escaped | escaped | refused | refused
folder above renamed                | escaped | escaped | refused | refused
folder exchanged                    | escaped | escaped | refused | refused
folder exchanged with a file        | escaped | escaped | refused | refused

preload                             | escaped | escaped | escaped | refused
audit library                       | escaped | escaped | escaped | refused
dlopen                              | escaped | escaped | escaped | refused
library beside                      | escaped | escaped | refused | refused
library overwritten                 | escaped | escaped | refused | refused
library linked                      | escaped | escaped | refused | refused
library folder renamed              | escaped | escaped | refused | refused
mapped                              | escaped | escaped | escaped | refused
mapped and turned into code         | escaped | escaped | escaped | refused
zeroes mapped                       | escaped | escaped | escaped | refused

profile                             | refused | refused | refused | refused
profile of the next program         | refused | refused | refused | refused
chroot                              | escaped | refused | refused | refused
bind                                | refused | refused | refused | refused
bind in a namespace                 | refused | refused | refused | refused
mount                               | refused | refused | refused | refused
new root                            | refused | refused | refused | refused
detached copy                       | escaped | escaped | escaped | refused
detached copy in a namespace        | escaped | escaped | escaped | refused
detached copy of devices            | escaped | escaped | escaped | refused
unmounted                           | escaped | escaped | escaped | refused
library of a detached copy          | escaped | escaped | escaped | refused

first: unlisted                     | escaped | escaped | escaped | escaped
fed interpreter                     | escaped | escaped | escaped | escaped
fed interpreter with a file         | escaped | escaped | escaped | escaped
memory mapped                       | escaped | escaped | escaped | escaped
preload from memory                 | escaped | escaped | escaped | escaped
code in memory                      | escaped | escaped | escaped | escaped
from another container              | escaped | escaped | escaped | escaped
moved out of a mount                | escaped | escaped | escaped | escaped

listed                              | works   | works   | works   | works
listed by a link                    | works   | works   | works   | works
listed script                       | works   | works   | works   | works
own library                         | works   | works   | works   | works
data                                | works   | works   | works   | works
";

/// `move_mount` is not mediated there.
const ONLY_6_1: &str = "
attached copy                       | escaped | escaped | escaped | refused
";

const ONLY_6_12: &str = "
attached copy                       | refused | refused | refused | refused
";

#[test]
fn linux_6_1_runs_what_is_listed_and_nothing_else() -> Result<()> {
    check(Kernel::V6_1)
}

#[test]
fn linux_6_12_runs_what_is_listed_and_nothing_else() -> Result<()> {
    check(Kernel::V6_12)
}
