//! A container, as far as a profile sees one: mounts of its own, a root of its own on one file system, and a first program that
//! is entered as runtimes do. Each run makes a new one, so that what one broke is whole for the next.

use std::{
    fs::{self, File, Permissions},
    io::{Read as _, Result, Write as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use super::{operations, sys};

/// What the image holds: a file, and what it is a copy of in the guest.
const FILES: &[(&str, &str)] = &[
    (FIRST, operations::SELF),
    ("/app/bin/listed", operations::SELF),
    ("/app/bin/busybox", BUSYBOX),
    ("/app/bin/dynamic", "/escapes/dynamic"),
    ("/app/lib/library.so", "/escapes/regular.so"),
    ("/usr/libexec/sh", BUSYBOX),
    ("/usr/bin/sh", BUSYBOX),
    ("/usr/bin/dynamic", "/escapes/dynamic"),
    ("/lib64/ld-linux-x86-64.so.2", "/parser/loader"),
    ("/lib/x86_64-linux-gnu/libc.so.6", "/parser/lib/libc.so.6"),
    // What an attacker has brought.
    ("/data/dropped.so", "/escapes/dropped.so"),
];

const FOLDERS: &[&str] = &[
    "/data", "/dev", "/hooks", "/old", "/proc", "/sub", "/tmp", "/volume",
];

/// The descriptor of a file of another container, which has it where the list has a program.
pub const ELSEWHERE: i32 = 9;
/// The first program, which tries to get out.
const FIRST: &str = "/first";
const BUSYBOX: &str = "/bin/busybox";
/// The number of a device that reads as zeroes.
const ZEROES: usize = 0x105;
const ROOT: &str = "/container";

/// Runs a program as the first one: its status, and what it and its children wrote.
pub fn run(profile: &[u8], words: &[Vec<u8>]) -> Result<(i32, Vec<u8>)> {
    fs::create_dir_all(ROOT)?;
    fs::create_dir_all("/app/bin")?;
    fs::copy(BUSYBOX, "/app/bin/listed")?;
    let elsewhere = File::open("/app/bin/listed")?;
    let (mut output, mut write) = sys::pipe()?;
    let (input, hold) = sys::pipe()?;
    let child = match sys::split()? {
        sys::Forked::Child => {
            drop((output, hold));
            let ready = make()
                .and_then(|()| sys::redirect(&input, &write))
                .and_then(|()| sys::inherit_as(&elsewhere, ELSEWHERE))
                .and_then(|()| operations::enter("exec", "exec", profile));
            let program = words.first().map_or(&[][..], Vec::as_slice);
            let error = ready
                .err()
                .unwrap_or_else(|| sys::execute_called(program, words.get(1..).unwrap_or_default()));
            let _ = write.write_all(format!("no container: {error}\n").as_bytes());
            sys::end(1)
        }
        sys::Forked::Parent(child) => child,
    };
    // Nothing is ever written to the input: who reads it is at its end.
    drop((write, input, hold));
    let mut written = Vec::new();
    output.read_to_end(&mut written)?;
    Ok((sys::wait_for(child), written))
}

fn make() -> Result<()> {
    sys::new_namespace(sys::MOUNTS)?;
    sys::mount("none", "/", "", sys::PRIVATE)?;
    sys::mount("container", ROOT, "tmpfs", 0)?;
    let inside = |path: &str| format!("{ROOT}{path}");
    for folder in FOLDERS {
        fs::create_dir_all(inside(folder))?;
    }
    for (path, from) in FILES {
        let path = inside(path);
        Path::new(&path).parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::copy(from, &path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    let script = inside("/app/bin/script");
    fs::write(&script, "#!/usr/libexec/sh\necho regular\n")?;
    fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    symlink("/app/bin/listed", inside("/data/link"))?;
    for (kind, path) in [("proc", "/proc"), ("tmpfs", "/dev"), ("tmpfs", "/volume")] {
        sys::mount(kind, inside(path), kind, 0)?;
    }
    // A volume that is mounted twice, as a whole and by a folder in it.
    fs::create_dir(inside("/volume/sub"))?;
    sys::mount(inside("/volume/sub"), inside("/sub"), "", sys::BIND)?;
    sys::make_device(inside("/dev/zero").as_bytes(), ZEROES)?;
    std::env::set_current_dir(ROOT)?;
    sys::pivot_root(b".", b"old")?;
    std::env::set_current_dir("/")?;
    sys::unmount(b"/old", sys::DETACH)
}
