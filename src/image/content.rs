//! What is kept of a file's bytes: of programs what the kernel looks at, of what may be a script the whole text, of
//! anything else that could be executed its first bytes.
//!
//! A file may be a script when somebody may execute it, when it starts with `#!`, or when its name or folder is one of
//! those that shells source and supervisors read. Of scripts in languages that nobody here reads, the line that says so is
//! enough. Anything else can still be read by `sh FILE`: whoever meets that has no text, and must say so.

use std::{
    io::{self, Read},
    sync::Arc,
};

use super::{
    elf,
    limits::Limits,
    tree::{Content, File, Inode, path::components},
};

/// Bytes that are looked at of every file.
const HEAD: usize = 4096;

/// Bytes that are kept of what is no text. `#!` lines end before (`BINPRM_BUF_SIZE`).
const KEPT_HEAD: usize = 256;

/// Bytes in which a text has no zero byte.
const TEXT_HEAD: usize = 512;

/// Keeps contents, as many as may be.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// LIMIT: bytes of one text.
    text: usize,
    /// LIMIT: bytes that may still be kept.
    left: usize,
    head: Vec<u8>,
}

impl File {
    /// A file whose inode the tree gives.
    pub(crate) fn new(mode: u32, size: u64, content: Content) -> Self {
        Self {
            mode,
            size,
            content,
            inode: Inode::default(),
        }
    }
}

impl Keeper {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            text: limits.text,
            left: limits.texts,
            head: Vec::with_capacity(HEAD),
        }
    }

    /// Reads as much of a file as is needed, and keeps as much as is wanted.
    pub(crate) fn keep(
        &mut self,
        path: &[u8],
        mode: u32,
        size: u64,
        bytes: &mut dyn Read,
    ) -> io::Result<Content> {
        self.head.clear();
        let head_size = u64::try_from(HEAD).unwrap_or(u64::MAX);
        bytes.take(head_size).read_to_end(&mut self.head)?;
        if elf::is_elf(&self.head)
            && let Some(elf) = elf::read(&self.head, bytes)?
        {
            let used = elf.interpreter.as_ref().map_or(0, |path| path.len());
            return Ok(if self.take(used) {
                Content::Elf(elf)
            } else {
                nothing()
            });
        }
        let is_executable = mode & 0o111 != 0;
        let is_script = self.head.starts_with(b"#!");
        if !is_executable && !is_script && !is_read(path) {
            return Ok(nothing());
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let first = self.head.get(..TEXT_HEAD).unwrap_or(&self.head);
        let is_wanted = size <= self.text && !first.contains(&0) && !is_foreign(first);
        if is_wanted && self.take(size) {
            bytes.read_to_end(&mut self.head)?;
            return Ok(Content::Text(Arc::from(self.head.as_slice())));
        }
        let first = self.head.get(..KEPT_HEAD).unwrap_or(&self.head);
        let first: Arc<[u8]> = Arc::from(first);
        Ok(if (is_executable || is_script) && self.take(first.len()) {
            Content::Head(first)
        } else {
            nothing()
        })
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// Whether a script is one of a language that is not looked into. What starts with `#!/bin/sh` and goes on in Python is
/// none.
pub(crate) fn is_foreign(first: &[u8]) -> bool {
    let line = first
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let words = line.split(|byte| !byte.is_ascii_alphabetic());
    line.starts_with(b"#!") && words.into_iter().any(|word| FOREIGN.contains(&word))
}

/// Languages, as their interpreters are called.
const FOREIGN: [&[u8]; 12] = [
    b"Rscript", b"awk", b"escript", b"gawk", b"lua", b"node", b"perl", b"php", b"pwsh", b"python",
    b"ruby", b"tclsh",
];

/// Nothing of a file's bytes.
pub(crate) fn nothing() -> Content {
    Content::Head(Arc::default())
}

/// Whether shells source or supervisors read files of this name, or of its folders.
fn is_read(path: &[u8]) -> bool {
    let mut names = components(path).rev();
    let Some(name) = names.next() else {
        return false;
    };
    let extension = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    let has = |part: &str| {
        name.windows(part.len())
            .any(|window| window == part.as_bytes())
    };
    let is_named = EXTENSIONS.contains(&extension)
        || ["entrypoint", "functions", "profile", "setenv"]
            .into_iter()
            .any(has)
        || name.ends_with(b"rc");
    let folders: Vec<&[u8]> = names.collect();
    // Folders are nearest first: what stands in the root itself has none.
    is_named
        || folders.is_empty()
        || folders.last().is_some_and(|top| *top == b"etc")
        || folders.iter().any(|folder| {
            FOLDERS.contains(folder) || STARTS.iter().any(|start| folder.starts_with(start))
        })
}

/// Ends of names of what is sourced, or read as a list of programs.
const EXTENSIONS: [&[u8]; 11] = [
    b"ash", b"bash", b"cfg", b"conf", b"dash", b"env", b"envsh", b"inc", b"ini", b"ksh", b"sh",
];

/// Folders of programs, and what stands beside them to be sourced.
const FOLDERS: [&[u8]; 4] = [b"bin", b"libexec", b"sbin", b"scripts"];

/// How the names of supervisors' and entrypoints' folders start.
const STARTS: [&[u8]; 5] = [
    b"cont-",
    b"docker-entrypoint",
    b"entrypoint",
    b"s6",
    b"services.d",
];

#[cfg(test)]
mod tests {
    use super::{Content, Keeper};
    use crate::image::limits::Limits;

    fn keep(path: &str, mode: u32, bytes: &[u8]) -> Content {
        let size = u64::try_from(bytes.len()).unwrap();
        let mut keeper = Keeper::new(&Limits::default());
        keeper
            .keep(path.as_bytes(), mode, size, &mut &*bytes)
            .unwrap()
    }

    #[test]
    fn texts_that_may_be_run_sourced_or_read_are_kept_whole() {
        let text = "x=1\n".repeat(20_000);
        for (path, mode) in [
            ("/usr/bin/x", 0o755),
            ("/opt/x", 0o100),
            ("/opt/lib.sh", 0o644),
            ("/docker-entrypoint.d/1-x.envsh", 0o644),
            ("/docker-entrypoint-initdb.d/x", 0o644),
            ("/etc/default/x", 0o644),
            ("/etc/s6-overlay/s6-rc.d/x/up", 0o644),
            ("/etc/apache2/envvars", 0o644),
            ("/run.me", 0o644),
            ("/opt/bitnami/scripts/redis-env", 0o644),
            ("/opt/a/supervisord.conf", 0o644),
            ("/root/.bashrc", 0o644),
            ("/usr/lib/lsb/init-functions", 0o644),
            ("/opt/tomcat/bin/x", 0o644),
        ] {
            let Content::Text(kept) = keep(path, mode, text.as_bytes()) else {
                panic!("{path}")
            };
            assert_eq!(&*kept, text.as_bytes(), "{path}");
        }
        for line in [
            "#!/bin/sh",
            "#! /usr/bin/env bash",
            "#!/usr/bin/dumb-init /bin/sh",
            "#!/command/execlineb -P",
            "#!/bin/sh -c 'exec",
        ] {
            let script = keep(
                "/usr/share/x",
                0o644,
                format!("{line}\npython\n").as_bytes(),
            );
            assert!(matches!(script, Content::Text(_)), "{line}");
        }
        for line in [
            "#!/usr/bin/python3.12 -u\n",
            "#!/usr/bin/env node\n",
            "#!/usr/bin/perl",
        ] {
            let script = keep("/bin/x", 0o755, line.as_bytes());
            assert_eq!(script, Content::Head(line.as_bytes().into()), "{line}");
        }
        let nothing = Content::Head([].into());
        assert_eq!(keep("/usr/share/doc/x", 0o644, b"hello"), nothing);
        assert_eq!(keep("/etc/x.db", 0o644, b"a\0b"), nothing);
    }

    #[test]
    fn of_others_that_may_be_run_the_first_bytes() {
        let mut binary = b"MZ".to_vec();
        binary.resize(5000, 0);
        assert_eq!(
            keep("/x.exe", 0o755, &binary),
            Content::Head(binary[..256].into())
        );
        assert_eq!(keep("/x", 0o755, b"a\0"), Content::Head(b"a\0"[..].into()));
        let long = "#!/bin/sh\n".repeat(30_000);
        let Content::Head(head) = keep("/x", 0o644, long.as_bytes()) else {
            panic!("over 256 KiB")
        };
        assert_eq!(head.len(), 256);
        // Looks like a program and is none.
        let broken = keep("/x", 0o755, b"\x7fELFx");
        assert!(matches!(broken, Content::Text(_)), "{broken:?}");
    }

    #[test]
    fn texts_end_where_they_are_too_many() {
        let limits = Limits {
            texts: 25,
            ..Limits::default()
        };
        let mut keeper = Keeper::new(&limits);
        let mut kept = |bytes: &[u8]| {
            let content = keeper.keep(b"/bin/x", 0o755, bytes.len() as u64, &mut &*bytes);
            matches!(content.unwrap(), Content::Text(_))
        };
        assert!(kept(&[b'a'; 20]));
        assert!(!kept(&[b'b'; 6]));
        assert!(
            kept(b"c"),
            "neither the last one nor its head took anything"
        );
    }
}
