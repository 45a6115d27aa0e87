//! `armorgate check`: the gate's verdicts on manifests, offline.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::{Done, ModeName, config, manifest, print, profiles, warn};
use crate::{
    compare::Baseline,
    report::{
        Finding, ObjectReport, Outcome, Report, findings, junit::junit, sarif::sarif, text::human,
    },
    verdict::{Baselines, Kind, Mode, Overall, Policy, ProfileTexts, Standard, Workload, review},
};

/// Judge manifests offline, as the gate would
///
/// Reads YAML and JSON: Pods, PodTemplates, Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers,
/// Jobs, CronJobs, and Lists of them. Other kinds are skipped and counted. Of a folder, every .yaml, .yml and .json file below it.
///
/// Exit code 0: nothing would be denied. 1: something would. 2: something could not be read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  armorgate check deploy/                          every manifest below a folder
  helm template . | armorgate check -              what a chart would create
  armorgate check -o sarif k8s/ > armorgate.sarif  for code scanning")]
pub(super) struct Check {
    /// Files, folders, or `-` for standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// The cluster's configuration file, so that the verdicts are the same as there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folders with the AppArmor profiles that the nodes hold
    #[arg(long, value_name = "DIR")]
    profiles: Vec<PathBuf>,
    /// Folders in which these profiles' includes are looked up, before /etc/apparmor.d
    #[arg(long, value_name = "DIR")]
    include: Vec<PathBuf>,
    /// A runtime default that nothing may be weaker than, several times for several (over the configuration's)
    #[arg(long = "baseline", value_name = "RUNTIME[@VERSION]")]
    baselines: Vec<Baseline>,
    /// What a failure does (over the configuration's)
    #[arg(long, value_name = "MODE")]
    mode: Option<ModeName>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Human)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with file and line
    Human,
    /// One JSON document
    Json,
    /// JUnit XML, a test case per object
    Junit,
    /// SARIF 2.1.0
    Sarif,
}

impl Check {
    fn profiles(&self) -> anyhow::Result<ProfileTexts> {
        let texts = profiles::load(&self.profiles, &self.include, &ProfileTexts::default())?;
        for problem in texts.problems() {
            warn(&problem.to_string());
        }
        Ok(texts)
    }

    pub(super) fn run(&self) -> anyhow::Result<Done> {
        let mut policy = config::load(self.config.as_deref())?;
        if !self.baselines.is_empty() {
            policy.baselines = Baselines::Listed(self.baselines.clone());
        }
        if policy.baselines == Baselines::Nodes {
            bail!(
                "`baselines: nodes` needs a cluster: say what its nodes run, such as `--baseline containerd@2.1 --baseline crio@1.33`"
            );
        }
        let mode = self.mode.map_or(policy.modes.profile, Mode::from);
        let judge = Judge {
            profiles: self.profiles()?,
            policy,
            mode,
        };
        let mut report = Report::default();
        for path in &self.paths {
            for (name, text) in Sources::of(path)? {
                judge.file(&name, &text?, &mut report)?;
            }
        }
        print(&self.render(&report)?)?;
        Ok(if report.count(Outcome::Denied) > 0 {
            Done::Refused
        } else {
            Done::Fine
        })
    }

    fn render(&self, report: &Report) -> anyhow::Result<String> {
        Ok(match self.output {
            Format::Human => human(report),
            Format::Json => serde_json::to_string_pretty(report)? + "\n",
            Format::Junit => junit(report)?,
            Format::Sarif => serde_json::to_string_pretty(&sarif(report))? + "\n",
        })
    }
}

struct Judge {
    policy: Policy,
    profiles: ProfileTexts,
    mode: Mode,
}

impl Judge {
    fn file(&self, name: &str, text: &str, report: &mut Report) -> anyhow::Result<()> {
        for object in manifest::objects(name, text)? {
            match Kind::of(&object.group, &object.kind) {
                Some(kind) => report.objects.push(self.object(kind, &object)?),
                None if object.kind.is_empty() => report.skipped.count("(no kind)"),
                None => report.skipped.count(&object.kind),
            }
        }
        Ok(())
    }

    fn object(&self, kind: Kind, object: &manifest::Object<'_>) -> anyhow::Result<ObjectReport> {
        let json = object.to_json()?;
        let workload = Workload::parse(kind, &json);
        let namespace = object.metadata("namespace");
        let class = workload
            .as_ref()
            .ok()
            .and_then(|workload| workload.pod.runtime_class());
        let exempt = self
            .policy
            .exemptions
            .of_request(namespace, "", [].into_iter())
            .is_some()
            || self.policy.exemptions.of_runtime_class(class).is_some();
        let (verdict, outcome, found) = if exempt {
            (Overall::NotApplicable, Outcome::Allowed, Vec::new())
        } else {
            let standard = Standard {
                policy: &self.policy,
                nodes: None,
                profiles: &self.profiles,
                generated: None,
            };
            let (judgements, decision) = review(&workload, None, self.mode, standard);
            let mut found: Vec<Finding> = findings(kind, &judgements);
            for finding in &mut found {
                finding.place = Some(object.place_of(finding.path()));
            }
            (
                decision.verdict,
                ObjectReport::outcome(self.mode, decision.allowed, &found),
                found,
            )
        };
        let name = [object.metadata("name"), object.metadata("generateName")]
            .into_iter()
            .find(|name| !name.is_empty());
        Ok(ObjectReport {
            kind: kind.as_str(),
            namespace: namespace.to_owned(),
            name: name.unwrap_or("(no name)").to_owned(),
            place: object.place(),
            verdict,
            outcome,
            findings: found,
        })
    }
}

/// LIMIT: bytes of one manifest file.
const MAX_FILE: u64 = 64 << 20;

/// LIMIT: folders inside of each other.
const MAX_DEPTH: usize = 32;

/// The texts that a path stands for, read one at a time.
enum Sources {
    Files(std::vec::IntoIter<PathBuf>),
    StandardInput(bool),
}

impl Sources {
    fn of(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::StandardInput(false));
        }
        let kind = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if !kind.is_dir() {
            return Ok(Self::Files(vec![path.to_owned()].into_iter()));
        }
        let mut files = Vec::new();
        collect(path, 0, &mut files)?;
        if files.is_empty() {
            bail!("no .yaml, .yml or .json file below {}", path.display());
        }
        Ok(Self::Files(files.into_iter()))
    }
}

impl Iterator for Sources {
    type Item = (String, anyhow::Result<String>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Files(files) => {
                let path = files.next()?;
                let name = path.display().to_string();
                let text = fs::File::open(&path).map_err(Into::into).and_then(read);
                Some((
                    name,
                    text.with_context(|| format!("cannot read {}", path.display())),
                ))
            }
            Self::StandardInput(true) => None,
            Self::StandardInput(read_already) => {
                *read_already = true;
                Some((
                    "<stdin>".to_owned(),
                    read(io::stdin().lock()).context("cannot read standard input"),
                ))
            }
        }
    }
}

fn read(source: impl io::Read) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let size = source.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if u64::try_from(size)? > MAX_FILE {
        bail!("over {} MiB", MAX_FILE >> 20);
    }
    String::from_utf8(bytes).context("not UTF-8")
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let context = || format!("cannot read {}", folder.display());
    if depth > MAX_DEPTH {
        bail!(
            "{}: more than {MAX_DEPTH} folders inside of each other",
            folder.display()
        );
    }
    let mut entries = fs::read_dir(folder)
        .with_context(context)?
        .collect::<io::Result<Vec<_>>>()
        .with_context(context)?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        // Links to folders are not followed: they may lead round in a circle.
        if entry.file_type().with_context(context)?.is_dir() {
            collect(&path, depth + 1, files)?;
        } else if matches!(
            path.extension().and_then(|ending| ending.to_str()),
            Some("yaml" | "yml" | "json")
        ) {
            files.push(path);
        }
    }
    Ok(())
}
