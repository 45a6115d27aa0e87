//! The proofs of a difference, carried out: what a weak profile is said to permit happens under it, and not under the default.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::compare::{Baseline, Whose, Witness, compare};

use crate::{
    Target,
    machine::{
        Machine,
        commands::{GuestAnswer, GuestCommand, Masks, Operation},
    },
    none_wrong,
    operations::{BIND, MOVE, PRIVATE, RECURSIVE, REMOUNT},
};

/// Profiles that permit more than the default.
const WEAK: &[&str] = &[
    // The sample of Kubernetes' documentation, with what programs need to get to such files.
    "profile deny-write flags=(attach_disconnected) { file, capability, deny /** w, }",
    "profile mounting flags=(attach_disconnected) {
       file, capability, network, mount, deny /proc/** w, deny /sys/** wkl,
     }",
    "profile binding { /{,**} r, capability, mount options=(rw,bind) /m/a/ -> /m/b/, pivot_root, }",
    "profile escaping { /{,**} rwk, /d/run/** ux, capability, deny /proc/** w, deny /sys/** w, }",
    "profile writing flags=(attach_disconnected) { file, capability, }",
];

/// Copies of the default without the lines that begin so.
const LACKING: &[&str] = &[
    "deny @{PROC}/sysrq-trigger",
    "deny @{PROC}/kcore",
    "deny @{PROC}/sys/kernel/",
    "deny @{PROC}/sys/[^k]",
    "deny @{PROC}/{",
    "deny /sys/[^f]",
    "deny /sys/firmware/",
    "deny /sys/kernel/security/",
];

/// How a witness is tried.
enum Trial {
    Do(Operation),
    /// Asks for bits, of a class and a string.
    Ask(u8, String, u32),
}

pub(crate) fn check(target: &Target) -> Result<()> {
    let begin = Instant::now();
    let baseline: Baseline = "containerd".parse()?;
    let name = baseline.runtime.profile_name();
    let text = baseline.template().text();
    let (load, baseline) = target.load(target.parser(), &text)?;
    let mut script = vec![load];
    for path in ["/m/a", "/m/b"] {
        script.push(GuestCommand::Directory {
            path: path.to_owned(),
        });
    }
    script.push(GuestCommand::Program {
        path: "/d/run/a".to_owned(),
    });
    let mut texts: Vec<String> = WEAK.iter().map(|&text| text.to_owned()).collect();
    for (number, lacking) in LACKING.iter().enumerate() {
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with(lacking));
        let less = lines.collect::<Vec<_>>().join("\n");
        ensure!(less.len() < text.len(), "no line begins with {lacking}");
        texts.push(less.replace(name, &format!("lacking-{number}")));
    }
    // Each by three: unconfined, under the candidate, under the default.
    let mut trials = Vec::new();
    for text in &texts {
        let (load, candidate) = target.load(target.parser(), text)?;
        script.push(load);
        let own = String::from_utf8_lossy(&candidate.subject()?.profile.name).into_owned();
        let comparison = compare(candidate.subject()?, baseline.subject()?);
        ensure!(
            !comparison.witnesses.is_empty(),
            "no witness against\n{text}"
        );
        for witness in comparison.witnesses {
            for trial in trials_of(&witness).with_context(|| format!("{witness:?}"))? {
                let start = script.len();
                script.extend(match &trial {
                    Trial::Do(operation) => ["unconfined", &own, name]
                        .map(|profile| GuestCommand::attempt(profile, operation.clone())),
                    Trial::Ask(class, string, _) => ["unconfined", &own, name]
                        .map(|profile| GuestCommand::query(profile, *class, string.as_bytes())),
                });
                trials.push((start, own.clone(), witness.clone(), trial));
            }
        }
    }
    let answers = Machine::run(target.kernel, &[], &script)?;
    let mut wrong = Vec::new();
    let (mut done, mut impossible, mut asked) = (0, 0, 0);
    let mut paths = BTreeSet::new();
    for (start, own, witness, trial) in &trials {
        let Some([free, candidate, default]) = answers.get(*start..start + 3) else {
            bail!("{} answers", answers.len());
        };
        let is_right = match trial {
            Trial::Do(_) => {
                if witness.class == "file" && !matches!(free, GuestAnswer::Done(_)) {
                    // A file that this machine does not have, or that nobody can write. The kernel was asked about it.
                    impossible += 1;
                    continue;
                }
                done += 1;
                paths.insert(&witness.target);
                ensure!(!free.is_denied(), "{witness:?}: {free:?}");
                if witness.class == "exec" {
                    let label = |answer: &GuestAnswer| match answer {
                        GuestAnswer::Done(label) => label.clone(),
                        other => format!("{other:?}"),
                    };
                    label(candidate) == "unconfined" && label(default) != "unconfined"
                } else {
                    !candidate.is_denied() && default.is_denied()
                }
            }
            Trial::Ask(_, _, bits) => {
                asked += 1;
                let permits = |answer: &GuestAnswer| {
                    let masks = answer.masks().context("no masks")?;
                    let Masks { allow, .. } = masks;
                    anyhow::Ok(allow & bits == *bits)
                };
                permits(candidate)? && !permits(default)?
            }
        };
        if !is_right {
            wrong.push(format!(
                "{own}, {} {:?} {}: {candidate:?}, under the default {default:?}",
                witness.class, witness.operations, witness.target
            ));
        }
    }
    println!(
        "linux {}: witnesses against {} weak profiles, {done} carried out on {} things, {asked} asked, {impossible} not possible here, all in {:.1} s",
        target.kernel,
        texts.len(),
        paths.len(),
        begin.elapsed().as_secs_f64()
    );
    ensure!(done > 30 && asked > 60 && paths.len() > 10, "too few");
    none_wrong(target.kernel, &wrong)
}

fn trials_of(witness: &Witness) -> Result<Vec<Trial>> {
    ensure!(witness.moves.is_empty(), "of another profile");
    ensure!(witness.whose != Some(Whose::Others), "of others' files");
    let path = witness.target.clone();
    let mut trials = Vec::new();
    for &operation in &witness.operations {
        let bits = match operation {
            "execute" => 0x1,
            "write" => 0x2,
            "read" => 0x4,
            "append" => 0x8,
            "lock" => 0x8000,
            _ => 0,
        };
        let done = match (witness.class, operation) {
            ("file", "read") => Some(Operation::Read(path.clone())),
            ("file", "write") => Some(Operation::Write(path.clone())),
            ("file", "append") => Some(Operation::Append(path.clone())),
            ("file", _) => None,
            ("exec", "execute") => {
                let program = path.split(' ').next();
                Some(Operation::Exec(program.context("a program")?.to_owned()))
            }
            ("mount", _) => Some(mount(operation, &path)?),
            ("pivot_root", _) => {
                let roots = path
                    .strip_suffix(')')
                    .and_then(|path| path.split_once(" (old root "));
                let (new, old) = roots.context("two roots")?;
                trials.push(Trial::Ask(7, format!("{new}\0{old}"), 0x1));
                None
            }
            other => bail!("no way to try {other:?}"),
        };
        if witness.class == "file" {
            ensure!(bits != 0, "no way to ask for {operation}");
            trials.push(Trial::Ask(2, path.clone(), bits));
        }
        trials.extend(done.map(Trial::Do));
    }
    Ok(trials)
}

/// As the witness says it: `source on target`, `a kind file system on target`, or the target alone.
fn mount(operation: &str, place: &str) -> Result<Operation> {
    let (source, target) = match place.split_once(" on ") {
        Some((source, target)) if source.starts_with('/') => (source, target),
        Some((_, target)) => ("/m/a", target),
        None => ("/m/a", place),
    };
    let (kind, flags) = match operation {
        "bind" => ("", BIND),
        "change propagation of" => ("", PRIVATE),
        "mount" => ("tmpfs", 0),
        "move" => ("", MOVE),
        "rbind" => ("", BIND | RECURSIVE),
        "remount" => ("", REMOUNT),
        _ => bail!("no such mount"),
    };
    Ok(Operation::Mount {
        source: source.to_owned(),
        target: target.to_owned(),
        kind: kind.to_owned(),
        flags,
    })
}
