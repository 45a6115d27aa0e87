//! The first process of the kernel under test, and every confined one: a program of its own that the tests build with `rustc`
//! and boot. It reads commands from `/script`, a line each of hexadecimal words, and answers with a line each on the second
//! serial port. Confined operations are done by threads and children that entered the profile first.

mod container;
mod escapes;
mod operations;
mod sys;

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{BufRead as _, BufReader, BufWriter, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{
        fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, chroot},
        process::ExitStatusExt as _,
    },
    path::Path,
    process::{Command, id},
};

use operations::{Confined, Ended};

/// What a command may answer with, apart from words: an error number of the kernel, or a sentence.
enum Failure {
    Errno(i32),
    Said(String),
}

type Answer = Result<String, Failure>;

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        error
            .raw_os_error()
            .map_or_else(|| Self::Said(error.to_string()), Self::Errno)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        _ if id() == 1 => first(),
        Some(operations::DO) => operations::do_as_started(&arguments[2..]),
        Some(escapes::ESCAPE) => escapes::attempt(arguments.get(2).map_or("", String::as_str)),
        // A program to be run: it says so, and lives while there is somebody at the other end of its input.
        _ => {
            let _ = std::io::stdout().write_all(b"running\n");
            let _ = std::io::stdin().read(&mut [0]);
        }
    }
}

/// The life of the first process: make a system of what the archive has, obey the script.
fn first() {
    prepare().expect("a system");
    let port = OpenOptions::new()
        .write(true)
        .open("/dev/ttyS1")
        .expect("a second serial port");
    sys::make_raw(&port);
    let mut port = BufWriter::with_capacity(4096, port);
    let mut say = |line: &str| {
        let said = port
            .write_all(line.as_bytes())
            .and_then(|()| port.write_all(b"\n"));
        // Each byte costs; but who waits wants to hear something, and of what takes long at once.
        let is_awaited = matches!(line, "ready" | "end") || line.starts_with("shell ");
        let said = said.and_then(|()| if is_awaited { port.flush() } else { Ok(()) });
        said.expect("a serial port that takes bytes");
    };
    say("ready");
    let mut guest = Guest::default();
    let script = BufReader::new(File::open("/script").expect("a script"));
    for line in script.lines().map_while(Result::ok) {
        let words: Option<Vec<Vec<u8>>> = line.split(' ').map(from_hex).collect();
        say(&match guest.obey(&words.unwrap_or_default()) {
            Ok(answer) => answer,
            Err(Failure::Errno(number)) => format!("errno {number}"),
            Err(Failure::Said(text)) => format!("failed {}", to_hex(text.as_bytes())),
        });
    }
    say("end");
    // Who reads this ends the machine.
    sys::wait_forever();
}

/// Makes a mount of the tree in `/r` the root, as after `switch_root`: the archive's own root cannot be pivoted away.
fn prepare() -> std::io::Result<()> {
    sys::mount("/r", "/r", "", sys::BIND)?;
    for (kind, path) in [
        ("proc", "/r/proc"),
        ("sysfs", "/r/sys"),
        ("devtmpfs", "/r/dev"),
        ("securityfs", "/r/sys/kernel/security"),
    ] {
        sys::mount(kind, path, kind, 0)?;
    }
    std::env::set_current_dir("/r")?;
    sys::mount(".", "/", "", sys::MOVE)?;
    chroot(".")?;
    std::env::set_current_dir("/")?;
    // Every denial is to be in the log.
    fs::write("/proc/sys/kernel/printk_ratelimit", "0")?;
    Ok(())
}

#[derive(Default)]
struct Guest {
    access: Option<File>,
    log: Option<File>,
}

impl Guest {
    fn obey(&mut self, words: &[Vec<u8>]) -> Answer {
        let text = |index: usize| String::from_utf8_lossy(word(words, index)).into_owned();
        let number = |index: usize| text(index).parse::<u32>().unwrap_or(u32::MAX);
        match text(0).as_str() {
            "query" => self.query(word(words, 1), word(words, 2)),
            "contain" => {
                let (status, output) = container::run(word(words, 1), words.get(2..).unwrap_or_default())?;
                Ok(format!("ended {status} {}", to_hex(&output)))
            }
            "as" => confined(Confined::new(words.get(1..).unwrap_or_default())),
            "write" => {
                let path = text(1);
                make_parents(&path)?;
                fs::write(&path, word(words, 2))?;
                fs::set_permissions(&path, Permissions::from_mode(number(3)))?;
                chown(&path, Some(number(4)), Some(number(4)))?;
                Ok(done(""))
            }
            "program" => {
                make_parents(&text(1))?;
                fs::copy(operations::SELF, text(1))?;
                Ok(done(""))
            }
            "directory" => {
                fs::create_dir_all(text(1))?;
                Ok(done(""))
            }
            "load" => load(word(words, 1)),
            "replace" => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .open(format!("{APPARMOR}/.replace"))?;
                // The kernel takes a policy in one write only.
                let taken = file.write(word(words, 1))?;
                Ok(done(&taken.to_string()))
            }
            "features" => Ok(done(&features(Path::new(&format!("{APPARMOR}/features")))?)),
            "log" => self.log(),
            "forget" => {
                self.log_file()?.seek(SeekFrom::End(0))?;
                Ok(done(""))
            }
            "shell" => shell(&text(1)),
            other => Err(Failure::Said(format!("unknown command {other}"))),
        }
    }

    /// What the kernel would allow: the label, then a class byte and the string that the class is about.
    fn query(&mut self, label: &[u8], string: &[u8]) -> Answer {
        let file = match &self.access {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                options.read(true).write(true);
                self.access
                    .insert(options.open(format!("{APPARMOR}/.access"))?)
            }
        };
        let mut question = b"label\0".to_vec();
        question.extend_from_slice(label);
        question.push(0);
        question.extend_from_slice(string);
        file.write_all_at(&question, 0)?;
        let mut answer = [0; 256];
        let length = file.read_at(&mut answer, 0)?;
        let text = String::from_utf8_lossy(&answer[..length]);
        let masks = text
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("0x"));
        let masks: Vec<&str> = masks.map(|mask| mask.trim_start_matches('0')).collect();
        Ok(format!("masks {}", masks.join(",")))
    }

    fn log_file(&mut self) -> std::io::Result<&mut File> {
        let log = match self.log.take() {
            Some(log) => log,
            None => {
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(sys::NON_BLOCKING);
                options.open("/dev/kmsg")?
            }
        };
        Ok(self.log.insert(log))
    }

    /// What the kernel has logged since the last time.
    fn log(&mut self) -> Answer {
        let file = self.log_file()?;
        let mut lines = String::new();
        let mut record = [0; 8192];
        loop {
            let length = match file.read(&mut record) {
                Ok(length) => length,
                // Some were overwritten before they were read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => continue,
                Err(_) => break,
            };
            let record = String::from_utf8_lossy(&record[..length]);
            if let Some((_, line)) = record.split_once(';') {
                lines.push_str(line);
            }
        }
        Ok(done(&lines))
    }
}

fn confined(confined: Option<Confined>) -> Answer {
    let confined = confined.ok_or_else(|| Failure::Said("not understood".to_owned()))?;
    Ok(match confined.attempt()? {
        Ended::Done(text) => done(&text),
        Ended::Errno(number) => format!("errno {number}"),
        Ended::Program(status, output) => format!("ended {status} {}", to_hex(&output)),
    })
}

/// Loads a text with the distribution's own parser, as an administrator does.
fn load(text: &[u8]) -> Answer {
    fs::write("/policy", text)?;
    let run = Command::new("/parser/loader")
        .args([
            "--library-path",
            "/parser/lib",
            "/parser/apparmor_parser",
            "-Kr",
            "/policy",
        ])
        .output()?;
    if run.status.success() {
        Ok(done(""))
    } else {
        let error = String::from_utf8_lossy(&run.stderr);
        Err(Failure::Said(format!("{} {error}", run.status)))
    }
}

/// Runs a script of the administrator's, as nobody confines it.
fn shell(script: &str) -> Answer {
    let run = Command::new("/bin/busybox")
        .env("PATH", "/bin:/usr/sbin")
        .args(["sh", "-c", &format!("exec 2>&1\n{script}")])
        .output()?;
    let status = run.status.into_raw();
    Ok(format!("shell {status} {}", to_hex(&run.stdout)))
}

/// What the kernel can do, in the form that a parser reads.
fn features(folder: &Path) -> std::io::Result<String> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut text = String::new();
    for entry in entries {
        let inside = if entry.file_type()?.is_dir() {
            features(&entry.path())?
        } else {
            fs::read_to_string(entry.path())?
        };
        text.push_str(&format!("{} {{{inside}}}\n", entry.file_name().display()));
    }
    Ok(text)
}

fn make_parents(path: &str) -> std::io::Result<()> {
    Path::new(path).parent().map_or(Ok(()), fs::create_dir_all)
}

fn word(words: &[Vec<u8>], index: usize) -> &[u8] {
    words.get(index).map_or(&[], Vec::as_slice)
}

fn done(text: &str) -> String {
    format!("done {}", to_hex(text.as_bytes()))
}

fn from_hex(word: &str) -> Option<Vec<u8>> {
    let word = word.strip_prefix('x')?;
    let pairs = word.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("x".to_owned()).chain(digits).collect()
}

const APPARMOR: &str = "/sys/kernel/security/apparmor";
