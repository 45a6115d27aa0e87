//! What a confined process is asked to do. Each is done by a thread or a child of its own: it makes ready what the profile is
//! not to judge, enters the profile, does the one thing, and says what came of it.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{Error, ErrorKind, Read as _, Result, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{
            ffi::OsStrExt as _,
            fs::{OpenOptionsExt as _, PermissionsExt as _, chown, chroot, symlink},
        },
    },
    path::Path,
};

use super::{Failure, from_hex, sys, to_hex, word};

/// Where this program is.
pub const SELF: &str = "/guest";
/// The argument that makes it do what the rest of its arguments say.
pub const DO: &str = "do";

/// How it ended.
pub enum Ended {
    Done(String),
    Errno(i32),
    /// A program that ran: its status as the kernel has it, and what it wrote.
    Program(i32, Vec<u8>),
}

/// How a profile is entered.
#[derive(Clone, Copy, PartialEq)]
enum Enter {
    /// At once; nothing is run.
    Change,
    /// By running a program, as container runtimes do.
    Exec,
}

/// One operation, by whom.
pub struct Confined<'a> {
    enter: Enter,
    profile: &'a [u8],
    user: u32,
    operation: &'a [Vec<u8>],
}

impl<'a> Confined<'a> {
    pub fn new(words: &'a [Vec<u8>]) -> Option<Self> {
        Some(Self {
            enter: if words.first()? == b"exec" {
                Enter::Exec
            } else {
                Enter::Change
            },
            profile: words.get(1)?,
            user: std::str::from_utf8(words.get(2)?).ok()?.parse().ok()?,
            operation: words.get(3..)?,
        })
    }

    fn name(&self) -> &[u8] {
        word(self.operation, 0)
    }

    /// Whether the operation is to become another program.
    fn runs_a_program(&self) -> bool {
        matches!(self.name(), b"exec" | b"run")
    }

    pub fn attempt(&self) -> std::result::Result<Ended, Failure> {
        // What makes another program or another user of the process needs one of its own.
        let is_of_a_process = match self.name() {
            b"capability" | b"change_on_exec" | b"change_profile" | b"exec" | b"run"
            | b"user_namespace" => true,
            _ => self.user != 0 || self.enter == Enter::Exec,
        };
        if is_of_a_process {
            self.attempt_in_a_process()
        } else {
            self.attempt_in_a_thread()
        }
    }

    /// Profiles are of threads: a new one is all that most operations need, and many times faster than a process.
    fn attempt_in_a_thread(&self) -> std::result::Result<Ended, Failure> {
        let peer = self.peer()?;
        let process = peer.as_ref().map_or(0, |peer| peer.process);
        let attempt = || {
            sys::new_namespace(OWN_ROOT)?;
            self.make_ready()
                .and_then(|()| self.enter())
                .map_err(|error| not_entered(&error))?;
            match perform(self.operation, process) {
                Ok(text) => Ok(Ended::Done(text)),
                Err(error) => error
                    .raw_os_error()
                    .map(Ended::Errno)
                    .ok_or_else(|| error.into()),
            }
        };
        std::thread::scope(|scope| scope.spawn(attempt).join())
            .unwrap_or_else(|_| Err(Failure::Said("the thread panicked".to_owned())))
    }

    fn peer(&self) -> std::result::Result<Option<Peer>, Failure> {
        Ok(match self.name() {
            b"signal" | b"ptrace" | b"inspect" => Some(Peer::start(word(self.operation, 1))?),
            _ => None,
        })
    }

    fn attempt_in_a_process(&self) -> std::result::Result<Ended, Failure> {
        let peer = self.peer()?;
        let (mut said, say) = sys::pipe()?;
        let (mut output, write) = sys::pipe()?;
        let (input, hold) = sys::pipe()?;
        let child = match sys::split()? {
            sys::Forked::Child => {
                drop((said, output, hold));
                let peer = peer.as_ref().map_or(0, |peer| peer.process);
                self.be_the_child(say, [&input, &write], peer);
            }
            sys::Forked::Parent(child) => child,
        };
        drop((say, write, input));
        let mut answer = String::new();
        let read = said.read_to_string(&mut answer);
        let mut written = Vec::new();
        match self.name() {
            b"run" => drop(output.read_to_end(&mut written)?),
            // The pipe above closes before the label changes; what runs has said something, or is over.
            b"exec" => drop(output.read(&mut [0])?),
            _ => {}
        }
        let label = fs::read_to_string(format!("/proc/{child}/attr/current"));
        // A program that waits does so for the end of its input: its profile may not let it be killed.
        drop(hold);
        let status = sys::wait_for(child);
        drop(peer);
        read?;
        match answer.split_once(' ') {
            Some(("done", text)) => {
                let text = from_hex(text).unwrap_or_default();
                Ok(Ended::Done(String::from_utf8_lossy(&text).into_owned()))
            }
            Some(("errno", number)) => Ok(Ended::Errno(number.parse().unwrap_or(0))),
            Some((_, text)) => Err(Failure::Said(text.to_owned())),
            // The pipe closed without a word: the child became what it was to run.
            None if self.name() == b"run" => Ok(Ended::Program(status, written)),
            None if self.runs_a_program() => Ok(Ended::Done(label?.trim_end().to_owned())),
            None => Err(Failure::Said(format!("ended with status {status:#x}"))),
        }
    }

    fn be_the_child(&self, mut say: File, [input, output]: [&File; 2], peer: i32) -> ! {
        let ready = self.make_ready().and_then(|()| {
            if self.runs_a_program() {
                sys::redirect(input, output)?;
            }
            self.enter()
        });
        let words = match (ready, self.enter) {
            (Err(error), _) => format!("failed cannot enter the profile: {error}"),
            (Ok(()), Enter::Exec) if !self.runs_a_program() => {
                start_again(&say, peer, self.operation)
            }
            (Ok(()), _) => answer(perform(self.operation, peer)),
        };
        // Nothing can be done for a parent that does not listen.
        let _ = say.write_all(words.as_bytes());
        sys::end(0)
    }

    /// What the profile is not asked about. No files are opened: those of an unconfined process are never judged.
    fn make_ready(&self) -> Result<()> {
        match self.name() {
            b"mount" => sys::new_namespace(NEW_MOUNTS),
            b"umount" | b"pivot_root" => {
                let target = word(self.operation, 1);
                sys::new_namespace(NEW_MOUNTS)?;
                sys::mount(target, target, "", sys::BIND)
            }
            b"capability" => sys::new_namespace(NEW_HOST_NAME),
            _ => Ok(()),
        }
    }

    fn enter(&self) -> Result<()> {
        if self.user != 0 {
            sys::become_user(self.user)?;
        }
        if self.profile == b"unconfined" {
            return Ok(());
        }
        match self.enter {
            Enter::Change => enter("changeprofile", "current", self.profile),
            Enter::Exec => enter("exec", "exec", self.profile),
        }
    }
}

fn not_entered(error: &Error) -> Failure {
    Failure::Said(format!("cannot enter the profile: {error}"))
}

pub fn enter(command: &str, attribute: &str, profile: &[u8]) -> Result<()> {
    ask_for_profile(
        &format!("/proc/thread-self/attr/{attribute}"),
        command,
        profile,
    )
}

fn ask_for_profile(attribute: &str, command: &str, profile: &[u8]) -> Result<()> {
    let line = [command.as_bytes(), b" ", profile].concat();
    OpenOptions::new()
        .write(true)
        .open(attribute)?
        .write_all(&line)
}

/// Becomes this program again, now in the profile, and goes on there. Returns only if that fails.
fn start_again(say: &File, peer: i32, operation: &[Vec<u8>]) -> String {
    if let Err(error) = sys::inherit(say) {
        return format!("failed {error}");
    }
    let numbers = [say.as_raw_fd(), peer];
    let mut arguments = vec![DO.into()];
    arguments.extend(numbers.map(|number| number.to_string().into_bytes()));
    arguments.extend(operation.iter().map(|word| to_hex(word).into_bytes()));
    answer(Err(sys::execute(SELF.as_bytes(), &arguments)))
}

/// The other side of it.
pub fn do_as_started(arguments: &[String]) {
    let number = |index: usize| arguments.get(index).and_then(|number| number.parse().ok());
    let (Some(say), Some(peer)) = (number(0), number(1)) else {
        return;
    };
    let operation: Vec<Vec<u8>> = arguments[2..]
        .iter()
        .filter_map(|word| from_hex(word))
        .collect();
    let _ = sys::adopt(say).write_all(answer(perform(&operation, peer)).as_bytes());
}

fn answer(result: Result<String>) -> String {
    match result {
        Ok(text) => format!("done {}", to_hex(text.as_bytes())),
        Err(error) => error.raw_os_error().map_or_else(
            || format!("failed {error}"),
            |number| format!("errno {number}"),
        ),
    }
}

/// Another process in a profile, for as long as it is needed.
struct Peer {
    process: i32,
    hold: Option<File>,
}

impl Peer {
    fn start(profile: &[u8]) -> std::result::Result<Self, Failure> {
        let (mut said, mut say) = sys::pipe()?;
        let (mut input, hold) = sys::pipe()?;
        match sys::split()? {
            sys::Forked::Child => {
                drop((said, hold));
                let entered =
                    profile == b"unconfined" || enter("changeprofile", "current", profile).is_ok();
                let _ = say.write_all(&[u8::from(entered)]);
                let _ = input.read(&mut [0]);
                sys::end(0)
            }
            sys::Forked::Parent(process) => {
                let peer = Self {
                    process,
                    hold: Some(hold),
                };
                let mut entered = [0];
                said.read_exact(&mut entered)?;
                if entered == [1] {
                    Ok(peer)
                } else {
                    Err(Failure::Said(
                        "the peer cannot enter its profile".to_owned(),
                    ))
                }
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.hold = None;
        sys::wait_for(self.process);
    }
}

fn path(operation: &[Vec<u8>], index: usize) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(word(operation, index)))
}

/// The one thing. Its text is what there is to say when it went well.
fn perform(operation: &[Vec<u8>], peer: i32) -> Result<String> {
    let bytes = |index| word(operation, index);
    let path = |index| path(operation, index);
    let text = |index| String::from_utf8_lossy(bytes(index));
    let number = |index| text(index).parse::<i32>().unwrap_or(-1);
    let open = |set: &dyn Fn(&mut OpenOptions) -> &mut OpenOptions| {
        set(&mut OpenOptions::new()).open(path(1)).map(drop)
    };
    match bytes(0) {
        b"read" => open(&|options| options.read(true)),
        b"write" => open(&|options| options.write(true)),
        b"read_write" => open(&|options| options.read(true).write(true)),
        b"append" => open(&|options| options.append(true)),
        b"truncate" => open(&|options| options.write(true).truncate(true)),
        b"create" => open(&|options| options.write(true).create_new(true)),
        b"list" => open(&|options| options.read(true).custom_flags(DIRECTORY)),
        b"unlink" => fs::remove_file(path(1)),
        b"mkdir" => fs::create_dir(path(1)),
        b"rmdir" => fs::remove_dir(path(1)),
        b"chmod" => fs::set_permissions(path(1), Permissions::from_mode(0o755)),
        b"chown" => chown(path(1), Some(0), Some(0)),
        b"mknod" => sys::make_device(bytes(1), NULL),
        b"rename" => fs::rename(path(1), path(2)),
        b"link" => fs::hard_link(path(1), path(2)),
        b"symlink" => symlink(path(1), path(2)),
        b"lock" => File::open(path(1)).and_then(|file| sys::lock(&file)),
        b"map" => File::open(path(1)).and_then(|file| sys::map_as_code(&file)),
        b"exec" | b"run" => Err(sys::execute(bytes(1), &operation[2..])),
        b"socket" => sys::open_socket(number(1), number(2), number(3)),
        b"signal" => sys::signal(peer, number(2)),
        b"ptrace" => sys::trace(peer),
        b"inspect" => fs::read_link(format!("/proc/{peer}/exe")).map(drop),
        b"mount" => sys::mount(bytes(1), bytes(2), bytes(3), text(4).parse().unwrap_or(0)),
        b"umount" => sys::unmount(bytes(1), 2),
        b"pivot_root" => sys::pivot_root(bytes(1), bytes(2)),
        b"user_namespace" => sys::new_namespace(NEW_USERS),
        // By these paths, which a rule to change profiles brings with it.
        b"change_profile" => ask_for_profile("/proc/self/attr/current", "changeprofile", bytes(1)),
        b"change_on_exec" => ask_for_profile("/proc/self/attr/exec", "exec", bytes(1)),
        b"capability" => use_capability(&text(1)),
        _ => Err(Error::other("unknown operation")),
    }
    .map(|()| String::new())
}

/// Something that only this capability allows, and that changes nothing.
fn use_capability(name: &str) -> Result<()> {
    let used = match name {
        "setgid" => sys::set_group(1),
        "setuid" => sys::set_user(1),
        "sys_admin" => sys::host_name("guest"),
        "sys_boot" => sys::boot_nothing(),
        "sys_chroot" => chroot("/"),
        "sys_module" => sys::load_no_module(),
        "sys_nice" => sys::hurry(),
        "sys_rawio" => sys::ports(),
        "sys_time" => sys::set_time(),
        _ => return Err(Error::other("unknown capability")),
    };
    // Some calls find fault with their arguments, but only after they were allowed.
    used.or_else(|error| match error.kind() {
        ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    })
}

const DIRECTORY: i32 = 0o200_000;
/// The number of a device that is always empty.
const NULL: usize = 0x103;
const OWN_ROOT: i32 = 0x200;
const NEW_MOUNTS: i32 = 0x2_0000;
const NEW_HOST_NAME: i32 = 0x400_0000;
const NEW_USERS: i32 = 0x1000_0000;
