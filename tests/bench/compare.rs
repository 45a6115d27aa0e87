//! Comparing against compiling: every profile that Debian ships, from text to verdict, against `apparmor_parser` making the
//! kernel's automata of it, same run; how fast text is parsed; and what hostile inputs cost.
//!
//! The parser is run as a process, since there is no other way to use it; what starting it takes is told beside.

#![expect(clippy::print_stdout, reason = "it prints tables")]

#[path = "../fuzz/cases/mod.rs"]
mod cases;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::{
    apparmor::{
        automaton::Budget,
        diagnostic::Severity,
        include::{IncludeError, Included, Includes, is_ignored, load},
        model::policy,
        parser,
        source::FileId,
    },
    compare::{Baseline, Relation, Runtime, Subject, Yardstick, compare_within},
};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use support::from_setup;

/// Runs of each in turn, so that a machine that slows down does so for both; their medians count.
const RUNS: usize = 5;

/// Targets.
const MEDIAN: f64 = 0.1;
const WORST: f64 = 1.0;
const THROUGHPUT: f64 = 50.0;
const SECONDS: f64 = 2.0;
const MEMORY: f64 = 256.0;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // One part only: `profiles`, `parsing`, or hostile cases whose name has this in it.
    let only = arguments
        .iter()
        .find(|argument| !argument.starts_with("--"));
    let mut held = true;
    match only.map(String::as_str) {
        None => {
            held &= profiles()?;
            held &= throughput()?;
            held &= hostile("");
        }
        Some("profiles") => held = profiles()?,
        Some("parsing") => held = throughput()?,
        Some(part) => held = hostile(part),
    }
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A parser with its files.
struct Parser {
    name: &'static str,
    root: PathBuf,
}

impl Parser {
    fn command(&self, folder: &Path, file: &Path) -> Command {
        let mut command = Command::new(self.root.join("apparmor_parser"));
        command.args(["--config-file=/dev/null", "-qQKT", "--kernel-features"]);
        command
            .arg(self.root.join("features"))
            .arg("-b")
            .arg(folder);
        command.arg("-I").arg(folder).arg(file);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Seconds to compile a file, or nothing when it refuses it.
    fn seconds(&self, folder: &Path, file: &Path) -> Result<Option<f64>> {
        let start = Instant::now();
        let status = self.command(folder, file).status();
        let status = status.context("cannot start the parser")?;
        Ok(status.success().then(|| start.elapsed().as_secs_f64()))
    }
}

/// A file's times, in seconds.
struct Row {
    name: String,
    ours: f64,
    theirs: f64,
}

impl Row {
    /// Nothing for a text without profiles that can be compared, and one that the parser itself does not take.
    fn measure(
        parser: &Parser,
        (name, folder, file): (&str, &Path, &Path),
        against: &Yardstick,
    ) -> Result<Option<Self>> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let (Some(own), Some(other)) = (
                verdict(folder, file, against)?,
                parser.seconds(folder, file)?,
            ) else {
                return Ok(None);
            };
            ours.push(own);
            theirs.push(other);
        }
        let file = file.file_name().context("a name")?.to_string_lossy();
        Ok(Some(Self {
            name: format!("{file} of {name} by {}", parser.name),
            ours: median(&mut ours),
            theirs: median(&mut theirs),
        }))
    }

    fn ratio(&self) -> f64 {
        self.ours / self.theirs
    }
}

fn profiles() -> Result<bool> {
    let parsers = from_setup("ARMORGATE_TEST_PARSERS")?;
    let [old, new] = ["3.0", "5.0"].map(|name| Parser {
        name,
        root: parsers.join(name),
    });
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "Debian's profiles",
        "compiled by",
        "files",
        "median ratio",
        "p90",
        "max",
        "ours ms",
        "theirs ms",
        "of which starting",
    ]);
    let start = Instant::now();
    let against = Baseline::newest(Runtime::Containerd);
    let against = Yardstick::baseline(against).context("a baseline")?;
    let once = start.elapsed();
    let mut held = true;
    let mut slowest = Vec::new();
    for (shipped, compilers) in [(&old, &[&old, &new][..]), (&new, &[&new][..])] {
        let folder = shipped.root.join("etc/apparmor.d");
        let files = files(&[
            &folder,
            &shipped.root.join("usr/share/apparmor/extra-profiles"),
        ])?;
        for parser in compilers {
            let trial = tempfile::NamedTempFile::new()?;
            fs::write(trial.path(), "profile trial { /a r, }\n")?;
            let mut starts = Vec::new();
            for _ in 0..RUNS {
                starts.push(parser.seconds(&folder, trial.path())?.context("it runs")?);
            }
            let start = median(&mut starts);
            let mut rows = Vec::new();
            for file in &files {
                rows.extend(Row::measure(
                    parser,
                    (shipped.name, &folder, file),
                    &against,
                )?);
            }
            ensure!(rows.len() > 100, "only {} profiles", rows.len());
            rows.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
            let at = |share: usize| {
                rows.get((rows.len() - 1) * share / 100)
                    .map_or(f64::NAN, Row::ratio)
            };
            let typical = |of: fn(&Row) -> f64| {
                let mut values: Vec<f64> = rows.iter().map(of).collect();
                format!("{:.2}", median(&mut values) * 1e3)
            };
            table.add_row([
                shipped.name.to_owned(),
                parser.name.to_owned(),
                format!("{} of {}", rows.len(), files.len()),
                format!("{:.4}", at(50)),
                format!("{:.4}", at(90)),
                format!("{:.4}", at(100)),
                typical(|row| row.ours),
                typical(|row| row.theirs),
                format!("{:.2}", start * 1e3),
            ]);
            held &= at(50) <= MEDIAN && at(100) <= WORST;
            slowest.extend(rows);
        }
    }
    println!(
        "Text to verdict against containerd's default, in process, against apparmor_parser -QKT; medians of {RUNS} runs in turn. The default itself is read once for all: {:.2} ms.",
        once.as_secs_f64() * 1e3
    );
    println!("{table}");
    extremes(slowest);
    println!(
        "{}  ratio: median at most {MEDIAN}, worst at most {WORST}\n",
        told(held)
    );
    Ok(held)
}

/// The slowest files, and those that the parser is least slower on.
fn extremes(mut slowest: Vec<Row>) {
    slowest.sort_by(|a, b| b.ours.total_cmp(&a.ours));
    for row in slowest.iter().take(5) {
        println!(
            "slowest: {:.2} ms against {:.2} ms, {}",
            row.ours * 1e3,
            row.theirs * 1e3,
            row.name
        );
    }
    slowest.sort_by(|a, b| b.ratio().total_cmp(&a.ratio()));
    for row in slowest.iter().take(5) {
        println!(
            "worst ratio: {:.4}, {:.2} ms against {:.2} ms, {}",
            row.ratio(),
            row.ours * 1e3,
            row.theirs * 1e3,
            row.name
        );
    }
}

fn files(folders: &[&Path]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let is_file = fs::metadata(entry.path())?.is_file();
            if is_file && !is_ignored(entry.file_name().as_encoded_bytes()) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Seconds from a file to the verdicts on its profiles, or nothing when there are none in it that can be compared. The baseline is
/// read once for all files, as the gate does it.
fn verdict(folder: &Path, file: &Path, against: &Yardstick) -> Result<Option<f64>> {
    let start = Instant::now();
    let text: Arc<[u8]> = fs::read(file)?.into();
    let includes = FromDisk(folder);
    let (loaded, found) = load(file.display().to_string(), text, &includes);
    let (candidate, more) = policy(&loaded, &includes);
    let mut found = found.iter().chain(&more);
    let error = found.find(|found| found.severity == Severity::Error);
    ensure!(error.is_none(), "{}: {error:?}", file.display());
    let profiles = candidate
        .profiles
        .iter()
        .filter(|profile| profile.parent.is_none());
    let mut compared = 0;
    for profile in profiles {
        let subject = Subject {
            policy: &candidate,
            sources: &loaded.sources,
            profile,
        };
        let relation = black_box(compare_within(subject, against, &mut Budget::default())).relation;
        match relation {
            // Known before anything is compared: it would flatter.
            Relation::Unknown { why } if why.contains("attach_disconnected.path") => {}
            Relation::Unknown { why } => bail!("{}: {why}", file.display()),
            _ => compared += 1,
        }
    }
    Ok((compared > 0).then(|| start.elapsed().as_secs_f64()))
}

/// Includes from a folder, as the command line reads them.
struct FromDisk<'a>(&'a Path);

impl Includes for FromDisk<'_> {
    fn read(&self, path: &[u8], _: bool) -> Result<Included, IncludeError> {
        let path = std::str::from_utf8(path).map_err(|_| IncludeError::Missing)?;
        let path = self.0.join(path);
        let read = |path: &Path| -> Result<(String, Arc<[u8]>), IncludeError> {
            let text =
                fs::read(path).map_err(|error| IncludeError::Unreadable(error.to_string()))?;
            Ok((path.display().to_string(), text.into()))
        };
        let kind = fs::metadata(&path).map_err(|_| IncludeError::Missing)?;
        if kind.is_file() {
            return read(&path).map(|(name, text)| Included::File(name, text));
        }
        let files = files(&[&path]).map_err(|_| IncludeError::Missing)?;
        let files: Result<_, _> = files.iter().map(|file| read(file)).collect();
        Ok(Included::Directory(files?))
    }
}

/// Megabytes of text that are parsed in a second.
fn throughput() -> Result<bool> {
    let mut text = b"abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile p {\n".to_vec();
    let mut index = 0;
    while text.len() < 1_000_000 {
        text.extend(RULES.replace("INDEX", &index.to_string()).bytes());
        index += 1;
    }
    text.extend(b"}\n");
    let bytes = u32::try_from(text.len())?;
    let mut taken = Vec::new();
    for _ in 0..151 {
        let start = Instant::now();
        let (file, found) = parser::parse(FileId(0), &text, parser::Context::TopLevel);
        taken.push(start.elapsed().as_secs_f64());
        ensure!(found.is_empty(), "{found:?}");
        black_box(file);
    }
    let rate = f64::from(bytes) / 1e6 / median(&mut taken);
    let held = rate >= THROUGHPUT;
    println!(
        "{}  parsing: {rate:.0} MB/s (at least {THROUGHPUT} MB/s)\n",
        told(held)
    );
    Ok(held)
}

/// Rules as they are written, eight kinds of them.
const RULES: &str = r#"
  # what the program reads
  /usr/lib/@{multiarch}/pINDEX/**.so{,.*} mr,
  owner @{HOME}/.config/pINDEX/{,**} rwk,
  deny /proc/@{pid}/INDEX/* w,
  signal (send, receive) set=(term, kill) peer=pINDEX,
  network inet stream,
  dbus send bus=session path=/a/bINDEX interface=org.a.B member="C*" peer=(name=org.a, label=unconfined),
  /bin/pINDEX rPx -> otherINDEX,
  capability net_admin,
"#;

fn hostile(only: &str) -> bool {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "hostile input",
        "exit code",
        "seconds",
        "MiB",
        "",
    ]);
    let limits = cases::Limits {
        deadline: Duration::from_mins(1),
        data: 1024,
    };
    let mut all = true;
    for case in cases::all() {
        if !case.name.contains(only) {
            continue;
        }
        let row = match case.run(Path::new(env!("CARGO_BIN_EXE_armorgate")), limits) {
            Ok(taken) => {
                let held = taken.seconds <= SECONDS && taken.memory <= MEMORY;
                all &= held;
                [
                    case.name.to_owned(),
                    taken.code.to_string(),
                    format!("{:.3}", taken.seconds),
                    format!("{:.1}", taken.memory),
                    told(held).to_owned(),
                ]
            }
            Err(error) => {
                all = false;
                let error: String = format!("{error:#}").chars().take(300).collect();
                [
                    case.name.to_owned(),
                    String::new(),
                    String::new(),
                    String::new(),
                    format!("MISSED {error}"),
                ]
            }
        };
        table.add_row(row);
    }
    println!("A fresh process each\n{table}");
    println!(
        "{}  hostile inputs: {SECONDS} s and {MEMORY} MiB each",
        told(all)
    );
    all
}

fn told(held: bool) -> &'static str {
    if held { "held  " } else { "MISSED" }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
