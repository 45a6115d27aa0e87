//! Runs `apparmor_parser`: no shell, a bounded output, a bounded memory, a deadline.

use std::{
    io::{self, Read as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};

/// LIMIT: bytes of what the parser says that are kept; what is more is read and dropped.
const MAX_OUTPUT: u64 = 16 << 10;

/// LIMIT: bytes of memory of the parser. Debian's largest profile takes it a fifth of that; a text with many alternations would
/// take all there is, and the node's kernel would end whom it likes.
const MAX_MEMORY: u64 = 512 << 20;

/// How often to look whether it has ended: little beside the tens of milliseconds that it takes.
const POLL: Duration = Duration::from_millis(2);

/// `apparmor_parser`, and how it is run.
#[derive(Clone, Debug)]
pub struct Parser {
    /// The program.
    pub program: PathBuf,
    /// Where its includes are.
    pub base: PathBuf,
    /// How long it may take.
    pub deadline: Duration,
}

/// Why the parser has not done what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParserError {
    /// It was ended.
    #[error("apparmor_parser was not through within {} s", .0.as_secs())]
    Deadline(Duration),
    /// It says no.
    #[error("apparmor_parser: {0}")]
    Refused(String),
    /// It does not run.
    #[error("cannot run {}", .0.display())]
    Start(PathBuf, #[source] io::Error),
}

/// Under which names a policy may be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Under a name that is free: the kernel refuses others (`EEXIST`), also when it was taken just now.
    Add,
    /// In place of another.
    Replace,
}

impl Parser {
    /// Compiles a text to a policy for this kernel.
    pub(crate) fn compile(&self, text: &Path, policy: &Path) -> Result<(), ParserError> {
        let mut command = self.command();
        command.arg("--base").arg(&self.base);
        command.arg("--ofile").arg(policy).arg("--").arg(text);
        self.run(command)
    }

    /// Loads a compiled policy.
    pub(crate) fn load(&self, load: Load, policy: &Path) -> Result<(), ParserError> {
        let mut command = self.command();
        command.arg(match load {
            Load::Add => "--add",
            Load::Replace => "--replace",
        });
        command.arg("--binary").arg("--").arg(policy);
        self.run(command)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Its cache is the node's, and the agent has nowhere to write one.
        command.args(["--quiet", "--skip-cache", "--jobs=1"]);
        command.env_clear().current_dir("/");
        command
    }

    fn run(&self, mut command: Command) -> Result<(), ParserError> {
        let start = |error| ParserError::Start(self.program.clone(), error);
        // A group of its own, to be ended with all that it starts.
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        limit_memory(&child);
        let (said, output) = mpsc::channel();
        if let Some(mut pipe) = child.stderr.take() {
            thread::spawn(move || {
                let mut text = Vec::new();
                let _ = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut text);
                let _ = said.send(text);
                let _ = io::copy(&mut pipe, &mut io::sink());
            });
        }
        let ended = wait(&mut child, self.deadline).map_err(start)?;
        let Some(status) = ended else {
            return Err(ParserError::Deadline(self.deadline));
        };
        if status.success() {
            return Ok(());
        }
        // Whoever holds the other end although the parser has ended is not waited for.
        let output = output
            .recv_timeout(Duration::from_secs(1))
            .unwrap_or_default();
        Err(ParserError::Refused(one_line(&output, status)))
    }
}

/// Set from outside, since nothing may run between fork and exec; the parser takes longer than that to begin.
fn limit_memory(child: &Child) {
    let limit = Rlimit {
        current: Some(MAX_MEMORY),
        maximum: Some(MAX_MEMORY),
    };
    // Without an id it would be the agent's own memory.
    let Some(pid) = pid(child) else { return };
    if let Err(error) = prlimit(Some(pid), Resource::As, limit) {
        tracing::warn!(%error, "cannot limit the parser's memory");
    }
}

/// None: the deadline has passed, and it is ended.
fn wait(child: &mut Child, deadline: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > deadline {
            if let Some(group) = pid(child) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// What it says, or how it ended.
fn one_line(output: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return status.to_string();
    }
    let text: String = lines.join("; ").chars().take(500).collect();
    text.replace(|letter: char| letter.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt as _,
        path::{Path, PathBuf},
        time::{Duration, Instant},
    };

    use super::{Load, Parser, ParserError};

    /// A program in place of the parser, to see how programs are run and ended.
    fn running(folder: &Path, script: &str) -> Parser {
        let program = folder.join("parser");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Parser {
            program,
            base: "/etc/apparmor.d".into(),
            deadline: Duration::from_secs(30),
        }
    }

    #[test]
    fn what_it_says_is_told_on_one_bounded_line() {
        let folder = tempfile::tempdir().unwrap();
        let parser = running(
            folder.path(),
            "echo no; echo 'a \x07 b' >&2; echo c >&2; exit 1",
        );
        let error = parser.load(Load::Add, Path::new("/p")).unwrap_err();
        assert_eq!(error.to_string(), "apparmor_parser: a   b; c");
        let flood = "i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i+1)); done; exit 1";
        let error = running(folder.path(), flood).load(Load::Add, Path::new("/p"));
        assert!(error.unwrap_err().to_string().len() < 600);
        let error = running(folder.path(), "kill -9 $$").load(Load::Add, Path::new("/p"));
        assert!(error.unwrap_err().to_string().contains("signal: 9"));
    }

    #[test]
    fn it_is_given_words_and_no_environment() {
        let folder = tempfile::tempdir().unwrap();
        let script = "printf '%s|' \"$@\" >&2; echo \"$HOME\" >&2; exit 1";
        let parser = running(folder.path(), script);
        let error = parser.load(Load::Replace, Path::new("a; b")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "apparmor_parser: --quiet|--skip-cache|--jobs=1|--replace|--binary|--|a; b|"
        );
        let error = parser.compile(Path::new("t"), Path::new("p")).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("--base|/etc/apparmor.d|--ofile|p|--|t|")
        );
    }

    #[test]
    fn one_that_does_not_end_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("child");
        let script = format!("sleep 600 & echo $! > {}; wait", own.display());
        let mut parser = running(folder.path(), &script);
        parser.deadline = Duration::from_secs(2);
        let started = Instant::now();
        let error = parser.load(Load::Add, Path::new("/p")).unwrap_err();
        assert!(matches!(error, ParserError::Deadline(_)), "{error}");
        assert!(started.elapsed() < Duration::from_mins(1));
        let child = fs::read_to_string(own).unwrap();
        let stat = PathBuf::from(format!("/proc/{}/stat", child.trim()));
        // Ended, or a zombie that nobody has asked after yet.
        let deadline = Instant::now() + Duration::from_secs(20);
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
            assert!(Instant::now() < deadline, "the child lives on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_parser_that_is_not_there_is_told() {
        let parser = Parser {
            program: "/nowhere/apparmor_parser".into(),
            base: "/".into(),
            deadline: Duration::from_secs(1),
        };
        let error = parser.load(Load::Add, Path::new("/p")).unwrap_err();
        assert_eq!(error.to_string(), "cannot run /nowhere/apparmor_parser");
    }
}
