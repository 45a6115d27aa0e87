//! A real kernel with AppArmor, booted in QEMU from nothing but memory, to ask what a policy allows and to try it.
//!
//! Each boot takes a list of commands and gives an answer for each: thousands fit in one. See `tests/guest` for the other side.
#![expect(
    dead_code,
    reason = "every test program compiles this module and uses its own part of it"
)]

pub(crate) mod archive;
pub(crate) mod commands;

use std::{
    fmt::{self, Display},
    fs::{self, File},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    num::NonZero,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use archive::Archive;
use commands::{GuestAnswer, GuestCommand};

use crate::support::{Process, from_setup};

/// A kernel, by the Debian release that has it. The parser in the guest is of the same release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// 6.1, Debian 12, with parser 3.0.8.
    V6_1,
    /// 6.12, Debian 13, with parser 4.1.
    V6_12,
}

impl Kernel {
    pub(crate) const ALL: [Self; 2] = [Self::V6_1, Self::V6_12];

    fn parser(self) -> &'static str {
        match self {
            Self::V6_1 => "3.0",
            Self::V6_12 => "4.1",
        }
    }
}

impl Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        })
    }
}

/// What boots.
#[derive(Debug)]
pub(crate) struct Machine {
    kernel: PathBuf,
    archive: Vec<u8>,
}

impl Machine {
    /// Boots once: loads these policies, which are profiles as text by a name of the test's own, and obeys the script.
    pub(crate) fn run(
        kernel: Kernel,
        policies: &[(&str, &str)],
        script: &[GuestCommand],
    ) -> Result<Vec<GuestAnswer>> {
        Self::run_with(kernel, &[], policies, script)
    }

    /// The same, in a guest that has these files of this machine too: where, without the first `/`, and from where.
    pub(crate) fn run_with(
        kernel: Kernel,
        files: &[(String, PathBuf)],
        policies: &[(&str, &str)],
        script: &[GuestCommand],
    ) -> Result<Vec<GuestAnswer>> {
        let loads = policies.iter().map(|(_, text)| GuestCommand::Load {
            text: (*text).to_owned(),
        });
        let script: Vec<GuestCommand> = loads.chain(script.iter().cloned()).collect();
        let mut answers = Self::new(kernel, files)?.boot(&script)?;
        let rest = answers.split_off(policies.len());
        for ((name, _), answer) in policies.iter().zip(answers) {
            if let GuestAnswer::Failed(error) = answer {
                bail!("{name} is not loaded: {error}");
            }
        }
        Ok(rest)
    }

    fn new(kernel: Kernel, files: &[(String, PathBuf)]) -> Result<Self> {
        let kernels = from_setup("ARMORGATE_TEST_KERNELS")?;
        let parser = from_setup("ARMORGATE_TEST_PARSERS")?.join(kernel.parser());
        let guest = guest()?;
        let mut archive = Archive::default();
        archive.add_copy("init", &guest)?;
        archive.add_copy("r/guest", &guest)?;
        archive.add_copy("r/bin/busybox", &kernels.join("busybox"))?;
        for applet in [
            "cat", "cp", "echo", "id", "ls", "mount", "sh", "sleep", "touch", "true",
        ] {
            archive.add_link(&format!("r/bin/{applet}"), "busybox")?;
        }
        for folder in ["proc", "sys", "dev", "tmp"] {
            archive.add_folder(&format!("r/{folder}"))?;
        }
        add_parser(&mut archive, &parser)?;
        for (path, file) in files {
            archive.add_copy(&format!("r/{path}"), file)?;
        }
        Ok(Self {
            kernel: kernels.join(kernel.to_string()).join("vmlinuz"),
            archive: archive.finish()?,
        })
    }

    /// A machine without hardware acceleration may hang before it has begun: that is tried once more.
    fn boot(&self, script: &[GuestCommand]) -> Result<Vec<GuestAnswer>> {
        let _turn = Turn::take();
        for _ in 0..2 {
            if let Some(answers) = self.try_boot(script)? {
                return Ok(answers);
            }
        }
        bail!("{} has not started, twice", self.kernel.display())
    }

    /// None: it has not even begun.
    fn try_boot(&self, script: &[GuestCommand]) -> Result<Option<Vec<GuestAnswer>>> {
        let folder = tempfile::tempdir()?;
        let [initrd, console, results] =
            ["initrd", "console", "results"].map(|name| folder.path().join(name));
        let lines: Vec<String> = script.iter().map(GuestCommand::line).collect();
        let mut more = Archive::default();
        more.add("r/script", 0o644, lines.join("\n").as_bytes())?;
        // The kernel unpacks one archive after the other.
        fs::write(&initrd, [self.archive.as_slice(), &more.finish()?].concat())?;
        fs::write(&results, "")?;
        let mut command = Command::new("qemu-system-x86_64");
        // With two emulated processors one boot in ten hangs or panics: kernels change their code while it runs. And
        // cmpxchg16b, which their allocator likes, was seen to spoil the flags: they are told that there is none, programs that
        // cannot do without have it.
        command.args("-accel tcg -cpu max -smp 1 -m 2048 -no-reboot".split(' '));
        command.args("-nodefaults -display none -monitor none".split(' '));
        command.arg("-kernel").arg(&self.kernel);
        command.arg("-initrd").arg(&initrd);
        command.args(["-append", COMMAND_LINE]);
        for (name, port) in [("console", &console), ("results", &results)] {
            let file = format!("file,id={name},append=on,path={}", port.display());
            command.args(["-chardev", &file, "-serial", &format!("chardev:{name}")]);
        }
        // The console's file is the log: what the kernel says when it panics is what the test fails with.
        let mut qemu = Process::start("qemu", console, &command)?;
        let mut progress = Progress::new(&results);
        let outcome = qemu.wait_until("through with the script", 3600, || progress.outcome());
        match outcome? {
            Outcome::Ended => progress.answers().map(Some),
            Outcome::NotStarted => Ok(None),
            Outcome::Silent => bail!("the guest says nothing more:\n{}", qemu.output()),
        }
    }
}

/// The right to boot, for all the tests of a program: each machine takes a processor.
struct Turn;

impl Turn {
    fn take() -> Self {
        let most = std::thread::available_parallelism().map_or(1, NonZero::get);
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = FREED.wait_while(taken, |taken| *taken >= most);
        *taken.unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

enum Outcome {
    Ended,
    NotStarted,
    Silent,
}

/// What has come over the serial port.
struct Progress {
    file: PathBuf,
    length: u64,
    since: Instant,
}

impl Progress {
    fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            length: 0,
            since: Instant::now(),
        }
    }

    fn outcome(&mut self) -> Option<Outcome> {
        let length = fs::metadata(&self.file).map_or(0, |file| file.len());
        if length > self.length {
            self.length = length;
            self.since = Instant::now();
            return self.has_ended().then_some(Outcome::Ended);
        }
        let waited = self.since.elapsed();
        if waited > START && length == 0 {
            Some(Outcome::NotStarted)
        } else {
            (waited > SILENCE).then_some(Outcome::Silent)
        }
    }

    /// Looks at the end only: there may be megabytes.
    fn has_ended(&self) -> bool {
        let mut last = [0; END.len()];
        let start = self.length.checked_sub(END.len() as u64);
        let read = start.zip(File::open(&self.file).ok());
        let read = read.is_some_and(|(start, file)| file.read_exact_at(&mut last, start).is_ok());
        read && last == *END
    }

    fn answers(&self) -> Result<Vec<GuestAnswer>> {
        let text = fs::read_to_string(&self.file)?;
        let lines = text
            .lines()
            .filter(|line| !matches!(*line, "ready" | "end"));
        lines.map(GuestAnswer::parse).collect()
    }
}

/// The guest's last line.
const END: &[u8; 5] = b"\nend\n";

/// The parser with its libraries, and what it reads.
fn add_parser(archive: &mut Archive, root: &Path) -> Result<()> {
    let find = |name: &str| {
        let folders = [
            "sbin",
            "usr/sbin",
            "lib/x86_64-linux-gnu",
            "usr/lib/x86_64-linux-gnu",
        ];
        let mut files = folders.iter().map(|folder| root.join(folder).join(name));
        let file = files.find(|file| file.exists());
        file.with_context(|| format!("no {name} in {}", root.display()))
    };
    archive.add_copy("r/parser/apparmor_parser", &find("apparmor_parser")?)?;
    archive.add_copy("r/parser/loader", &find("ld-linux-x86-64.so.2")?)?;
    archive.add_copy("r/parser/lib/libc.so.6", &find("libc.so.6")?)?;
    for folder in ["etc/apparmor", "usr/share/apparmor-features"] {
        archive.add_tree(&format!("r/{folder}"), &root.join(folder))?;
    }
    for folder in ["abi", "abstractions", "tunables"] {
        let folder = format!("etc/apparmor.d/{folder}");
        archive.add_tree(&format!("r/{folder}"), &root.join(&folder))?;
    }
    Ok(())
}

/// The guest's program. It brings its library along: there is none in the guest.
fn guest() -> Result<PathBuf> {
    build(
        "guest",
        &GUEST,
        &["-Cstrip=symbols", "-Ctarget-feature=+crt-static"],
    )
}

/// A program for the guest, built by `rustc` if its text is new. The first text is the one that has the others.
pub(crate) fn build(name: &str, texts: &[(&str, &str)], options: &[&str]) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (texts, options).hash(&mut hasher);
    let program =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{:x}", hasher.finish()));
    if program.exists() {
        return Ok(program);
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for (name, text) in texts {
        fs::write(folder.path().join(name), text)?;
    }
    let (main, _) = texts.first().context("no text")?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .current_dir(folder.path())
        .args(["--edition=2024", "-O", "-Cpanic=abort", "-obuilt", main])
        .args(options)
        .output()
        .context("cannot run rustc")?;
    let error = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "{name} is not built: {error}");
    fs::rename(folder.path().join("built"), &program)?;
    Ok(program)
}

const GUEST: [(&str, &str); 5] = [
    ("guest.rs", include_str!("../../guest/guest.rs")),
    ("container.rs", include_str!("../../guest/container.rs")),
    ("escapes.rs", include_str!("../../guest/escapes.rs")),
    ("operations.rs", include_str!("../../guest/operations.rs")),
    ("sys.rs", include_str!("../../guest/sys.rs")),
];

/// The number is cmpxchg16b's: word 4 of the kernel's features, bit 13.
const COMMAND_LINE: &str =
    "console=ttyS0 panic=-1 quiet apparmor=1 security=apparmor clearcpuid=141";

/// A boot takes three seconds, a few more with large files.
const START: Duration = Duration::from_mins(1);
const SILENCE: Duration = Duration::from_mins(10);

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();
