//! What a guest can be told, what it answers, and how both are written.

use anyhow::{Context as _, Result, bail, ensure};

/// One line of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GuestCommand {
    /// Does something as a confined process.
    As {
        profile: String,
        enter: Enter,
        user: u32,
        operation: Operation,
    },
    /// Runs a program as the first of a new container, whose image `tests/guest/container.rs` has.
    Contain { profile: String, words: Vec<String> },
    /// Makes a folder, and those above it.
    Directory { path: String },
    /// What this kernel's AppArmor can do, in the form of a features file.
    Features,
    /// Passes over what the kernel has logged since the last [`Self::Log`].
    Forget,
    /// Loads a text with the parser of the kernel's own distribution.
    Load { text: String },
    /// What the kernel has logged since the last such command.
    Log,
    /// Puts a program at this path that says "running" and waits: something to run.
    Program { path: String },
    /// What the kernel would allow this label: the string is what comes after the class byte.
    Query {
        label: String,
        class: u8,
        string: Vec<u8>,
    },
    /// Loads a policy that is compiled already.
    Replace { policy: Vec<u8> },
    /// Runs a script of the guest's shell, confined by nothing. Who lives longer than it must not keep its output open.
    Shell { script: String },
    /// Writes a file with this mode and owner.
    Write {
        path: String,
        content: Vec<u8>,
        mode: u32,
        user: u32,
    },
}

/// How a confined process got its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enter {
    /// It moved there itself.
    Change,
    /// By change-on-exec, as container runtimes do; the program is the one to run, and for any other operation the guest's own.
    Exec,
}

/// What a confined process does. Sockets and mounts take the numbers of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Opens to write at the end.
    Append(String),
    /// Uses one of setgid, setuid, sys_admin, sys_boot, sys_chroot, sys_module, sys_nice, sys_rawio, sys_time.
    Capability(String),
    ChangeProfile(String),
    ChangeOnExec(String),
    Chmod(String),
    Chown(String),
    /// Opens a file that is not there yet.
    Create(String),
    /// Runs a program and says which label it has: `program (mode)`.
    Exec(String),
    /// Reads a link of the other process in `/proc`.
    Inspect {
        peer: String,
    },
    Link {
        from: String,
        to: String,
    },
    /// Opens a directory.
    List(String),
    /// Opens a file to read, and locks it.
    Lock(String),
    /// Opens a file to read, and maps it as code.
    Map(String),
    MakeDevice(String),
    MakeDirectory(String),
    Mount {
        source: String,
        target: String,
        kind: String,
        flags: u64,
    },
    /// To a mount made for this, of the folder on itself.
    PivotRoot {
        new: String,
        old: String,
    },
    Ptrace {
        peer: String,
    },
    Read(String),
    ReadWrite(String),
    RemoveDirectory(String),
    Rename {
        from: String,
        to: String,
    },
    /// Runs a program to its end.
    Run {
        program: String,
        arguments: Vec<String>,
    },
    /// Not one that stops: nobody would let the other go on.
    Signal {
        peer: String,
        number: i32,
    },
    Socket {
        family: i32,
        kind: i32,
        protocol: i32,
    },
    Symlink {
        target: String,
        path: String,
    },
    Truncate(String),
    /// Of a mount made for this, of the folder on itself.
    Umount(String),
    Unlink(String),
    UserNamespace,
    Write(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GuestAnswer {
    /// It went well, and this is what there is to say.
    Done(String),
    /// A program ran: its exit status, none if a signal ended it, and what it wrote.
    Ended {
        status: Option<i32>,
        output: String,
    },
    /// The kernel said no, by this number of an error.
    Errno(i32),
    /// The guest could not ask.
    Failed(String),
    Masks(Masks),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Masks {
    pub(crate) allow: u32,
    pub(crate) deny: u32,
    pub(crate) audit: u32,
    pub(crate) quiet: u32,
}

/// Permission denied.
pub(crate) const EACCES: i32 = 13;
/// Operation not permitted.
pub(crate) const EPERM: i32 = 1;

impl GuestCommand {
    pub(crate) fn query(label: &str, class: u8, string: &[u8]) -> Self {
        Self::Query {
            label: label.to_owned(),
            class,
            string: string.to_vec(),
        }
    }

    /// Does it as root, in a profile entered without running anything.
    pub(crate) fn attempt(profile: &str, operation: Operation) -> Self {
        Self::As {
            profile: profile.to_owned(),
            enter: Enter::Change,
            user: 0,
            operation,
        }
    }

    /// Runs a program as the first of a container.
    pub(crate) fn start(profile: &str, program: &str, arguments: &[&str]) -> Self {
        Self::As {
            profile: profile.to_owned(),
            enter: Enter::Exec,
            user: 0,
            operation: Operation::run(program, arguments),
        }
    }

    /// A file that all may read and run, and root may write.
    pub(crate) fn write(path: &str, content: &str) -> Self {
        Self::Write {
            path: path.to_owned(),
            content: content.into(),
            mode: 0o755,
            user: 0,
        }
    }

    /// The line: hexadecimal words.
    pub(crate) fn line(&self) -> String {
        let words: Vec<Vec<u8>> = match self {
            Self::As {
                profile,
                enter,
                user,
                operation,
            } => {
                let enter = match enter {
                    Enter::Change => "change",
                    Enter::Exec => "exec",
                };
                let mut words = strings(&["as", enter, profile, &user.to_string()]);
                words.extend(operation.words());
                words
            }
            Self::Contain { profile, words } => {
                let mut line = strings(&["contain", profile]);
                line.extend(words.iter().map(|word| word.clone().into_bytes()));
                line
            }
            Self::Directory { path } => strings(&["directory", path]),
            Self::Features => strings(&["features"]),
            Self::Forget => strings(&["forget"]),
            Self::Load { text } => strings(&["load", text]),
            Self::Log => strings(&["log"]),
            Self::Program { path } => strings(&["program", path]),
            Self::Query {
                label,
                class,
                string,
            } => {
                let mut words = strings(&["query", label]);
                words.push([&[*class], string.as_slice()].concat());
                words
            }
            Self::Replace { policy } => vec![b"replace".to_vec(), policy.clone()],
            Self::Shell { script } => strings(&["shell", script]),
            Self::Write {
                path,
                content,
                mode,
                user,
            } => {
                let mut words = strings(&["write", path]);
                words.push(content.clone());
                words.extend(strings(&[&mode.to_string(), &user.to_string()]));
                words
            }
        };
        let words: Vec<String> = words.iter().map(|word| to_hex(word)).collect();
        words.join(" ")
    }
}

impl Operation {
    pub(crate) fn run(program: &str, arguments: &[&str]) -> Self {
        Self::Run {
            program: program.to_owned(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    fn words(&self) -> Vec<Vec<u8>> {
        let on = |name: &str, path: &String| strings(&[name, path]);
        match self {
            Self::Append(path) => on("append", path),
            Self::Capability(name) => on("capability", name),
            Self::ChangeProfile(label) => on("change_profile", label),
            Self::ChangeOnExec(label) => on("change_on_exec", label),
            Self::Chmod(path) => on("chmod", path),
            Self::Chown(path) => on("chown", path),
            Self::Create(path) => on("create", path),
            Self::Exec(path) => on("exec", path),
            Self::Inspect { peer } => on("inspect", peer),
            Self::Link { from, to } => strings(&["link", from, to]),
            Self::List(path) => on("list", path),
            Self::Lock(path) => on("lock", path),
            Self::Map(path) => on("map", path),
            Self::MakeDevice(path) => on("mknod", path),
            Self::MakeDirectory(path) => on("mkdir", path),
            Self::Mount {
                source,
                target,
                kind,
                flags,
            } => strings(&["mount", source, target, kind, &flags.to_string()]),
            Self::PivotRoot { new, old } => strings(&["pivot_root", new, old]),
            Self::Ptrace { peer } => on("ptrace", peer),
            Self::Read(path) => on("read", path),
            Self::ReadWrite(path) => on("read_write", path),
            Self::RemoveDirectory(path) => on("rmdir", path),
            Self::Rename { from, to } => strings(&["rename", from, to]),
            Self::Run { program, arguments } => {
                let mut words = on("run", program);
                words.extend(arguments.iter().map(|word| word.clone().into_bytes()));
                words
            }
            Self::Signal { peer, number } => strings(&["signal", peer, &number.to_string()]),
            Self::Socket {
                family,
                kind,
                protocol,
            } => {
                let numbers = [family, kind, protocol].map(ToString::to_string);
                let mut words = strings(&["socket"]);
                words.extend(numbers.map(String::into_bytes));
                words
            }
            Self::Symlink { target, path } => strings(&["symlink", target, path]),
            Self::Truncate(path) => on("truncate", path),
            Self::Umount(path) => on("umount", path),
            Self::Unlink(path) => on("unlink", path),
            Self::UserNamespace => strings(&["user_namespace"]),
            Self::Write(path) => on("write", path),
        }
    }
}

impl GuestAnswer {
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        let mut word = || words.next().with_context(|| format!("cut off: {line}"));
        Ok(match word()? {
            "done" => Self::Done(text(word()?)?),
            "ended" | "shell" => {
                let status: i32 = word()?.parse()?;
                Self::Ended {
                    status: (status % 128 == 0).then_some(status >> 8),
                    output: text(word()?)?,
                }
            }
            "errno" => Self::Errno(word()?.parse()?),
            "failed" => Self::Failed(text(word()?)?),
            "masks" => {
                // Zero is written as nothing at all.
                let mask = |digits: &str| u32::from_str_radix(&format!("0{digits}"), 16);
                let masks = word()?
                    .split(',')
                    .map(mask)
                    .collect::<Result<Vec<u32>, _>>()?;
                let [allow, deny, audit, quiet] = masks[..] else {
                    bail!("not four masks: {line}")
                };
                Self::Masks(Masks {
                    allow,
                    deny,
                    audit,
                    quiet,
                })
            }
            _ => bail!("not an answer: {line}"),
        })
    }

    pub(crate) fn masks(&self) -> Option<Masks> {
        match self {
            Self::Masks(masks) => Some(*masks),
            _ => None,
        }
    }

    /// Whether the kernel refused for want of permission.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Errno(EACCES | EPERM))
    }
}

fn strings(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("x".to_owned()).chain(digits).collect()
}

fn text(word: &str) -> Result<String> {
    let word = word.strip_prefix('x').context("a word starts with x")?;
    ensure!(word.len() % 2 == 0, "half a byte");
    let bytes = word.as_bytes().chunks(2);
    let bytes = bytes.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
    let bytes = bytes.collect::<Result<Vec<u8>>>()?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
