//! What `apparmor_parser` makes of a profile: three versions of it to run, and a decoder of the binary policy that it would
//! give to the kernel, so that tests can ask that policy what it allows.
//!
//! The layout is that of the kernel's policy loader; the automata are walked, not the rules. Both ways of storing permissions
//! are read: packed into the states (3.0, 4.1) and as a table (5.0, and 4.1 with `prompt` rules).
#![expect(
    dead_code,
    reason = "every test program compiles this module and uses its own part of it"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "numbers of states and entries are checked when a policy is read"
)]

pub(crate) mod automaton;
pub(crate) mod permissions;
pub(crate) mod profile;
mod stream;

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use profile::CompiledProfile;
use stream::Stream;

use crate::support::from_setup;

/// A version of the parser, by the Debian release that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ParserVersion {
    /// 3.0.8, Debian 12.
    V3_0,
    /// 4.1, Debian 13.
    V4_1,
    /// 5.0, Debian unstable.
    V5_0,
}

impl ParserVersion {
    pub(crate) const ALL: [Self; 3] = [Self::V3_0, Self::V4_1, Self::V5_0];
}

impl Display for ParserVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_0 => "3.0",
            Self::V4_1 => "4.1",
            Self::V5_0 => "5.0",
        })
    }
}

/// What the parser says when it does not take a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected(pub(crate) String);

/// A profile as text, with the name that it declares: how its records are found in the parser's output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

/// The records of a text in the parser's order: each profile, then its children and hats.
pub(crate) type Compiled = Result<Vec<CompiledProfile>, Rejected>;

/// One parser, with the options that every run of it gets.
#[derive(Debug, Clone)]
pub(crate) struct Parser {
    program: PathBuf,
    kernel_features: PathBuf,
    policy_features: Option<PathBuf>,
    folder: PathBuf,
    includes: Vec<PathBuf>,
    options: Vec<String>,
}

impl Parser {
    pub(crate) fn new(version: ParserVersion) -> Result<Self> {
        let root = from_setup("ARMORGATE_TEST_PARSERS")?.join(version.to_string());
        Ok(Self {
            program: root.join("apparmor_parser"),
            kernel_features: root.join("features"),
            policy_features: None,
            folder: root.join("etc/apparmor.d"),
            includes: Vec::new(),
            options: Vec::new(),
        })
    }

    /// The version's own `/etc/apparmor.d`, which `include <…>` searches.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Searches this folder before the version's own.
    pub(crate) fn with_include(mut self, folder: &Path) -> Self {
        self.includes.push(folder.to_owned());
        self
    }

    /// Compiles for the kernel that has these features; otherwise for those that the package ships.
    pub(crate) fn with_kernel_features(mut self, features: &Path) -> Self {
        features.clone_into(&mut self.kernel_features);
        self
    }

    /// What a text without `abi` is taken to know, as `policy-features` in parser.conf says; otherwise the parser's default.
    pub(crate) fn with_policy_features(mut self, features: &Path) -> Self {
        self.policy_features = Some(features.to_owned());
        self
    }

    /// The features that the version's package ships, and that Debian makes those of policy too.
    pub(crate) fn features(&self) -> PathBuf {
        self.program.with_file_name("features")
    }

    /// Adds an option, as in `-O no-minimize`.
    pub(crate) fn with_option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Compiles one text. The error is that of the test's environment, a refusal is an answer.
    pub(crate) fn compile(&self, text: &str) -> Result<Compiled> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("profile");
        fs::write(&file, text)?;
        self.compile_file(&file)
    }

    /// Compiles one text to what a kernel takes.
    pub(crate) fn compile_to_binary(&self, text: &str) -> Result<Result<Vec<u8>, Rejected>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("profile");
        fs::write(&file, text)?;
        let run = self.run(&[file])?;
        Ok(run
            .error
            .map_or(Ok(run.binary), |error| Err(Rejected(error))))
    }

    /// Compiles one file in place, with includes relative to where it is.
    pub(crate) fn compile_file(&self, file: &Path) -> Result<Compiled> {
        let run = self.run(&[file])?;
        Ok(match run.error {
            None => Ok(decode(&run.binary)?),
            Some(error) => Err(Rejected(error)),
        })
    }

    /// Compiles many texts in one process, each a file of its own with its own preamble: answers in the order of `sources`.
    /// Names must differ.
    pub(crate) fn compile_many(&self, sources: &[Source<'_>]) -> Result<Vec<Compiled>> {
        let folder = tempfile::tempdir()?;
        let mut indexes = BTreeMap::new();
        let mut files = Vec::with_capacity(sources.len());
        for (index, source) in sources.iter().enumerate() {
            let file = folder.path().join(index.to_string());
            fs::write(&file, source.text)?;
            let before = indexes.insert(source.name, index);
            ensure!(before.is_none(), "two sources are called {}", source.name);
            files.push(file);
        }
        let mut records = vec![Vec::new(); sources.len()];
        for profile in decode(&self.run(&files)?.binary)? {
            // Of a child, the source is its parent's.
            let family = profile.name.split("//").next().unwrap_or_default();
            let index = [&profile.name, family]
                .iter()
                .find_map(|name| indexes.get(name));
            let index = index.with_context(|| format!("no source is called {}", profile.name))?;
            records[*index].push(profile);
        }
        let answers = files.iter().zip(records).map(|(file, records)| {
            if records.is_empty() {
                // The messages of all the files are mixed: what is wrong with this one, it says alone.
                self.compile_file(file)
            } else {
                Ok(Ok(records))
            }
        });
        answers.collect()
    }

    fn run<P: AsRef<Path>>(&self, files: &[P]) -> Result<Run> {
        if files.is_empty() {
            return Ok(Run::default());
        }
        let folder = tempfile::tempdir()?;
        // The parser forks for several files. A file takes each record whole, a pipe does not.
        let output = folder.path().join("policy");
        let mut command = Command::new(&self.program);
        command.args([
            "--config-file=/dev/null",
            "--jobs=2",
            "--max-jobs=2",
            "-QKTS",
        ]);
        command.arg("--kernel-features").arg(&self.kernel_features);
        if let Some(features) = &self.policy_features {
            command.arg("--policy-features").arg(features);
        }
        command.arg("-b").arg(&self.folder);
        for include in self.includes.iter().chain([&self.folder]) {
            command.arg("-I").arg(include);
        }
        command.args(&self.options);
        for file in files {
            command.arg(file.as_ref());
        }
        let run = command
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(std::process::Child::wait_with_output)
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let error = String::from_utf8_lossy(&run.stderr).into_owned();
        Ok(Run {
            binary: fs::read(&output)?,
            error: (!run.status.success()).then_some(error),
        })
    }
}

#[derive(Debug, Default)]
struct Run {
    binary: Vec<u8>,
    error: Option<String>,
}

/// Reads what a parser wrote, or what a kernel has in `raw_data`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<CompiledProfile>> {
    let mut stream = Stream::new(bytes);
    let mut profiles = Vec::new();
    while !stream.is_at_end() {
        let read = CompiledProfile::read(&mut stream);
        profiles.push(read.with_context(|| format!("at byte {}", stream.position()))?);
    }
    Ok(profiles)
}
