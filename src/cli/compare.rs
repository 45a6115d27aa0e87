//! `armorgate compare`: is this profile weaker than that one, and by which operation?

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::{Done, includes::DirectoryIncludes, policy_file::PolicyFile, print};
use crate::{
    apparmor::{automaton::Budget, include::Includes, model::Profile},
    compare::{Baseline, Comparison, Relation, Runtime, Subject, Yardstick, compare_within, fix},
    report::comparison::{human, json},
};

/// Compare an AppArmor profile with a runtime's default, or with another profile
///
/// Decides from the rules, by automata, whether the candidate permits anything that the baseline forbids, and shows one
/// concrete operation for each reason. What each class compares, and what is left out: docs/comparison.md.
///
/// Exit code 0: equal or stronger. 1: weaker or incomparable, or the candidate is not valid. 2: could not be decided or read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  armorgate compare web.profile                      with containerd's default
  armorgate compare web.profile docker@27            with that of a version
  armorgate compare web.profile before.profile       with another profile
  armorgate compare --fix web.profile > fixed        what is missing, added

Baselines: containerd, crio, docker, podman, each with @VERSION; with :bare that of a host without /etc/apparmor.d.")]
pub(super) struct Compare {
    /// The file with the profile, or `-` for standard input
    candidate: PathBuf,
    /// A runtime, or the file of another profile
    #[arg(default_value = "containerd")]
    baseline: String,
    /// Which profile of the candidate's file; without it, every one that stands in no other
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Folders in which includes are looked up; without them, /etc/apparmor.d
    #[arg(long, value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Print the candidate with what is missing added, so that it is not weaker
    #[arg(long, conflicts_with = "output")]
    fix: bool,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Human)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Human,
    /// One JSON document; a list where the file has several profiles
    Json,
}

impl Compare {
    pub(super) fn run(&self) -> anyhow::Result<Done> {
        let includes = DirectoryIncludes::named(&self.include)?;
        let candidate = PolicyFile::read(&self.candidate, &includes)?;
        if candidate.has_errors() {
            candidate.show_errors()?;
            return Ok(Done::Refused);
        }
        let (baseline_name, baseline) = self.baseline(&includes)?;
        let profiles = candidate.profiles(self.profile.as_deref())?;
        if self.fix {
            return self.fix(&candidate, &profiles, &includes, baseline.subject());
        }
        // Of all profiles together: a file of a hundred takes no longer than one.
        let mut budget = Budget::default();
        let compared: Vec<(String, Comparison)> = profiles
            .into_iter()
            .map(|profile| {
                let subject = Subject {
                    policy: &candidate.policy,
                    sources: &candidate.loaded.sources,
                    profile,
                };
                let compared = compare_within(subject, &baseline, &mut budget);
                (profile.shown(), compared)
            })
            .collect();
        match self.output {
            Format::Human => {
                let is_runtime = baseline_name.parse::<Baseline>().is_ok();
                let shown = if is_runtime {
                    format!("{baseline_name}'s default")
                } else {
                    baseline_name.clone()
                };
                let texts: Vec<String> = compared
                    .iter()
                    .map(|(name, comparison)| human(name, &shown, comparison))
                    .collect();
                print(&texts.join("\n"))?;
            }
            Format::Json => print(&json(&compared, &baseline_name)?)?,
        }
        verdict(&compared)
    }

    fn fix(
        &self,
        candidate: &PolicyFile,
        profiles: &[&Profile],
        includes: &dyn Includes,
        baseline: Subject<'_>,
    ) -> anyhow::Result<Done> {
        let mut text = candidate.text.to_vec();
        for profile in profiles {
            let name = self.candidate.display().to_string();
            text = fix(&name, &text, includes, &profile.name, baseline)?;
        }
        print(&String::from_utf8_lossy(&text))?;
        Ok(Done::Fine)
    }

    fn baseline(&self, includes: &dyn Includes) -> anyhow::Result<(String, Yardstick)> {
        let parsed = self.baseline.parse::<Baseline>();
        // A file of a runtime's name is meant by its path: `./docker`.
        if let Ok(baseline) = parsed {
            let name = baseline.to_string();
            let known = Yardstick::baseline(baseline);
            return known
                .map(|known| (name, known))
                .context("a runtime's default has no profile");
        }
        let path = Path::new(&self.baseline);
        if let (false, Err(error)) = (path.exists(), parsed) {
            let runtimes = Runtime::ALL.map(Runtime::as_str).join(", ");
            bail!(
                "the baseline {} is neither a file nor one of {runtimes}: {error}",
                self.baseline
            );
        }
        let file = PolicyFile::read(path, includes)?;
        if file.has_errors() {
            file.show_errors()?;
            bail!("the baseline {} is not valid", self.baseline);
        }
        let name = self.baseline.clone();
        let known = Yardstick::new(file.loaded.sources, file.policy);
        known
            .map(|known| (name.clone(), known))
            .with_context(|| format!("{name} has no profile"))
    }
}

/// What the relations come to: failing goes before doubt.
fn verdict(compared: &[(String, Comparison)]) -> anyhow::Result<Done> {
    let mut unknown = None;
    for (name, comparison) in compared {
        match &comparison.relation {
            Relation::Equal | Relation::Stronger => {}
            Relation::Incomparable | Relation::Weaker => return Ok(Done::Refused),
            Relation::Unknown { why } => unknown = Some(format!("profile {name}: {why}")),
        }
    }
    match unknown {
        Some(why) => bail!("{why}"),
        None => Ok(Done::Fine),
    }
}
