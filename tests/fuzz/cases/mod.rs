//! Inputs that nobody should write: what armorgate is run on, and what it has to answer. The tests and the benchmark share them.

mod content;
mod includes;
mod many;
mod states;
mod texts;
mod variables;

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use content::Content;

/// A run of the program.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Paths below a folder of its own, and their content.
    files: Vec<(String, Content)>,
    arguments: Vec<&'static str>,
    expected: Expected,
}

/// What the program has to answer.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// Exit code 0.
    Fine,
    /// Exit code 0; or 1, with the limit that it exceeds; or 2, with the reason why it could not be decided.
    FineOrTooMuch,
    /// Exit code 1, and this in the output.
    Refused(&'static str),
    /// Exit code 1, with a witness.
    Weaker,
    /// The same, or as above.
    WeakerOrTooMuch,
    /// Exit code 2, and this in the message.
    Unable(&'static str),
}

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) code: i32,
    pub(crate) seconds: f64,
    /// Peak, in MiB.
    pub(crate) memory: f64,
}

/// How a case runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) deadline: Duration,
    /// MiB of data. An allocation beyond aborts the program.
    pub(crate) data: u32,
}

impl Case {
    fn lint(name: &'static str, text: impl Into<Content>, expected: Expected) -> Self {
        Self {
            name,
            files: vec![("hostile".to_owned(), text.into())],
            arguments: vec!["lint", "--include", "apparmor.d", "hostile"],
            expected,
        }
    }

    fn compare(name: &'static str, text: impl Into<Content>, expected: Expected) -> Self {
        let case = Self::lint(name, text, expected);
        case.with_arguments(&["compare", "--include", "apparmor.d", "hostile"])
    }

    fn with_arguments(mut self, arguments: &[&'static str]) -> Self {
        self.arguments = arguments.to_vec();
        self
    }

    fn with_file(mut self, path: impl Into<String>, text: impl Into<Content>) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }

    /// Runs the program in a new folder, and checks the answer.
    pub(crate) fn run(&self, program: &Path, limits: Limits) -> Result<Taken> {
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        fs::create_dir(folder.join("apparmor.d"))?;
        for (path, content) in &self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().context("in the folder")?)?;
            content.write(&path)?;
        }
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--data={}", u64::from(limits.data) << 20))
            .arg("--core=0")
            .arg(program)
            .args(&self.arguments)
            .current_dir(folder);
        let out = folder.join("out");
        let taken = measure(&mut command, &out, limits.deadline)
            .with_context(|| format!("{}: no end", self.name))?;
        let mut output = String::new();
        // Enough for every message that is looked for.
        let start = File::open(&out)?.take(1 << 20).read_to_string(&mut output);
        start.with_context(|| format!("{}: output that is not UTF-8", self.name))?;
        let shown: String = output.chars().take(2_000).collect();
        self.check(taken.code, &output)
            .with_context(|| format!("{}: exit code {}\n{shown}", self.name, taken.code))?;
        Ok(taken)
    }

    fn check(&self, code: i32, output: &str) -> Result<()> {
        ensure!(!output.contains("panicked"), "it panicked");
        let place = || -> Result<()> {
            let line = output
                .lines()
                .find_map(|line| line.trim_start().strip_prefix("--> "));
            let mut place = line.context("no place")?.rsplitn(3, ':');
            for _ in ["column", "line"] {
                place.next().context("a place")?.parse::<usize>()?;
            }
            Ok(())
        };
        match (self.expected, code) {
            (Expected::Fine | Expected::FineOrTooMuch, 0) => Ok(()),
            (Expected::Refused(what), 1) => {
                ensure!(output.contains(what), "it does not say {what}");
                place()
            }
            (Expected::FineOrTooMuch | Expected::WeakerOrTooMuch, 1)
                if output.contains("error[too-") =>
            {
                place()
            }
            (Expected::Weaker | Expected::WeakerOrTooMuch, 1) => {
                let mut relations = ["weaker", "incomparable"].iter();
                ensure!(relations.any(|word| output.contains(word)), "no relation");
                Ok(())
            }
            (Expected::FineOrTooMuch | Expected::WeakerOrTooMuch, 2) => {
                ensure!(
                    ["more than", "deciding it takes"]
                        .iter()
                        .any(|why| output.contains(why)),
                    "no reason"
                );
                Ok(())
            }
            (Expected::Unable(what), 2) => {
                ensure!(output.contains(what), "it does not say {what}");
                Ok(())
            }
            (expected, _) => bail!("{expected:?}"),
        }
    }
}

/// Runs a program with its output in a file, and watches its memory.
pub(crate) fn measure(command: &mut Command, output: &Path, deadline: Duration) -> Result<Taken> {
    let file = File::create(output)?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    let start = Instant::now();
    let mut child = command.spawn().context("cannot start it")?;
    let status_file = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut memory = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("killed after {deadline:?} with {} MiB", memory / 1024);
        }
        // The peak so far: only what is added within the last millisecond is missed.
        let status = fs::read_to_string(&status_file).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u32>().ok());
        memory = memory.max(peak.unwrap_or(0));
        thread::sleep(Duration::from_millis(1));
    };
    Ok(Taken {
        code: status.code().with_context(|| {
            let output = fs::read_to_string(output).unwrap_or_default();
            let start: String = output.chars().take(2_000).collect();
            format!("{status} at {} MiB: {start}", memory / 1024)
        })?,
        seconds: start.elapsed().as_secs_f64(),
        memory: f64::from(memory) / 1024.0,
    })
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let groups = [
        texts::texts,
        includes::includes,
        variables::variables,
        many::many,
        states::globs,
        states::states,
        states::domains,
    ];
    groups.iter().flat_map(|group| group()).collect()
}
