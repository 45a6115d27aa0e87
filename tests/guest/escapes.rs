//! Ways to run what is not on the list, or other contents under a name that is. Each is tried by the first program of a
//! container, in its profile, as root with every capability.
//!
//! An escape has worked when something said "escaped"; where the kernel refused, the number of its error is said instead.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{Error, Result, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{
            fs::{OpenOptionsExt as _, PermissionsExt as _, chroot, symlink},
            process::CommandExt as _,
        },
    },
    path::Path,
    process::{Command, id},
};

use super::{container, operations, sys};

/// The argument that makes the guest's program try.
pub const ESCAPE: &str = "escape";

/// Not one: what the first program may always do.
const DATA: &str = "data";
/// A shell that is not on the list, and takes the arguments of [`SHELL`].
const OTHER: &str = "/usr/bin/sh";
const LISTED: &str = "/app/bin/listed";
/// A name of the list that no file of the image has.
const ABSENT: &str = "/app/bin/absent";
const BUSYBOX: &str = "/app/bin/busybox";
const DYNAMIC: &str = "/app/bin/dynamic";
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const DROPPED: &str = "/data/dropped.so";
const SHELL: &[&str] = &["sh", "-c", "echo escaped"];

pub fn attempt(name: &str) {
    let said = match escape(name) {
        Ok(()) if name == DATA => "running".to_owned(),
        Ok(()) => "escaped".to_owned(),
        Err(error) => error.raw_os_error().map_or_else(
            || format!("failed {error}"),
            |number| format!("refused {number}"),
        ),
    };
    let _ = std::io::stdout().write_all(format!("{said}\n").as_bytes());
}

/// Most end in another program and do not return; success is to be told only where no program says it.
fn escape(name: &str) -> Result<()> {
    match name {
        // Running something else.
        "other" => run(OTHER),
        "copy" => {
            fs::copy(OTHER, "/tmp/copy")?;
            run("/tmp/copy")
        }
        "copy beside" => {
            fs::copy(OTHER, "/app/bin/copy")?;
            run("/app/bin/copy")
        }
        "memory" => Err(sys::execute_at(&in_memory()?, "", &words(SHELL))),
        "memory by its link" => {
            let file = in_memory()?;
            run(&format!("/proc/self/fd/{}", file.as_raw_fd()))
        }
        "nameless file" => {
            let mut options = OpenOptions::new();
            let mut file = options
                .read(true)
                .write(true)
                .mode(0o755)
                .custom_flags(NAMELESS)
                .open("/tmp")?;
            std::io::copy(&mut File::open(OTHER)?, &mut file)?;
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let reading = File::open(&path)?;
            drop(file);
            Err(sys::execute_at(&reading, "", &words(SHELL)))
        }
        "loader" => Err(sys::execute_called(
            LOADER.as_bytes(),
            &words(&[LOADER, "/usr/bin/dynamic", "say", "escaped"]),
        )),
        "itself" => Err(sys::execute_called(
            b"/proc/self/exe",
            &words(&["first", ESCAPE, "nothing"]),
        )),
        "link to it" => {
            symlink(OTHER, "/tmp/link")?;
            run("/tmp/link")
        }
        "own root" => run(&format!("/proc/{}/root{OTHER}", id())),
        "new script" => {
            program_text("/tmp/script", &format!("#!{OTHER}\necho escaped\n"))?;
            run("/tmp/script")
        }
        "new script of a listed interpreter" => {
            program_text("/tmp/script", &format!("#!{BUSYBOX} sh\necho escaped\n"))?;
            run("/tmp/script")
        }
        "child of an interpreter" => feed(&["-c", "/usr/bin/sh -c 'echo escaped' || echo refused 13"]),

        // Something else under a listed name.
        "removed" => {
            fs::remove_file(LISTED)?;
            fs::copy(OTHER, LISTED)?;
            run(LISTED)
        }
        "overwritten" => {
            overwrite(LISTED)?;
            run(LISTED)
        }
        "truncated" => {
            sys::truncate(LISTED)?;
            overwrite(LISTED)?;
            run(LISTED)
        }
        "renamed over" => {
            fs::copy(OTHER, "/tmp/copy")?;
            fs::rename("/tmp/copy", LISTED)?;
            run(LISTED)
        }
        "exchanged" => {
            fs::copy(OTHER, "/tmp/copy")?;
            sys::exchange("/tmp/copy", LISTED)?;
            run(LISTED)
        }
        "linked elsewhere" => {
            fs::hard_link(LISTED, "/tmp/alias")?;
            overwrite("/tmp/alias")?;
            run(LISTED)
        }
        "linked from elsewhere" => {
            fs::hard_link(OTHER, ABSENT)?;
            run(ABSENT)
        }
        "created" => {
            fs::copy(OTHER, ABSENT)?;
            run(ABSENT)
        }
        "created as a link" => {
            symlink(OTHER, ABSENT)?;
            run(ABSENT)
        }
        "hook" => {
            let version = "/hooks/..2026_11_22_17_03_04.1234567890";
            fs::create_dir(version)?;
            fs::copy(OTHER, format!("{version}/hook"))?;
            run(&format!("{version}/hook"))
        }
        "hook moved" => {
            let version = "/hooks/..2026_11_22_17_03_04.1234567890";
            fs::create_dir("/tmp/version")?;
            fs::copy(OTHER, "/tmp/version/hook")?;
            fs::rename("/tmp/version", version)?;
            run(&format!("{version}/hook"))
        }
        "through a descriptor" => {
            let reading = File::open(LISTED)?;
            overwrite(&format!("/proc/self/fd/{}", reading.as_raw_fd()))?;
            drop(reading);
            run(LISTED)
        }
        "through a handle" => {
            overwrite_open(&mut sys::open_by_handle(LISTED)?)?;
            run(LISTED)
        }
        "through a root" => {
            overwrite(&format!("/proc/{}/root{LISTED}", id()))?;
            run(LISTED)
        }
        "mode" => {
            // Of a file that nobody may run until then: what is asked is whether it may be changed.
            fs::set_permissions(LISTED, Permissions::from_mode(0o777))
        }
        "interpreter" => {
            fs::remove_file("/usr/libexec/sh")?;
            program_text("/usr/libexec/sh", &format!("#!{BUSYBOX} sh\necho escaped\n"))?;
            run("/app/bin/script")
        }
        "interpreter overwritten" => {
            fs::write("/usr/libexec/sh", format!("#!{BUSYBOX} sh\necho escaped\n"))?;
            run("/app/bin/script")
        }
        "folder renamed" => {
            fs::rename("/app/bin", "/app/old")?;
            put_at("/app/bin")?;
            run(LISTED)
        }
        "folder above renamed" => {
            fs::rename("/app", "/former")?;
            put_at("/app/bin")?;
            run(LISTED)
        }
        "folder exchanged" => {
            put_at("/tmp/bin")?;
            sys::exchange("/tmp/bin", "/app/bin")?;
            run(LISTED)
        }
        "folder exchanged with a file" => {
            fs::write("/tmp/file", "")?;
            sys::exchange("/tmp/file", "/app")?;
            fs::remove_file("/app")?;
            put_at("/app/bin")?;
            run(LISTED)
        }

        // Code that is loaded.
        "preload" => preload(DROPPED),
        "audit library" => load("LD_AUDIT", DROPPED),
        "dlopen" => dlopen(DROPPED),
        "library beside" => {
            fs::copy(DROPPED, "/app/lib/dropped.so")?;
            dlopen("/app/lib/dropped.so")
        }
        "library overwritten" => {
            fs::copy(DROPPED, "/app/lib/library.so")?;
            dlopen("/app/lib/library.so")
        }
        "library linked" => {
            fs::hard_link(DROPPED, "/app/lib/dropped.so")?;
            dlopen("/app/lib/dropped.so")
        }
        "library folder renamed" => {
            fs::rename("/app/lib", "/app/libraries")?;
            fs::create_dir("/app/lib")?;
            fs::copy(DROPPED, "/app/lib/dropped.so")?;
            dlopen("/app/lib/dropped.so")
        }
        "mapped" => sys::map_as_code(&File::open(DROPPED)?),
        "mapped and turned into code" => {
            sys::turn_into_code(Some(&File::open(DROPPED)?))
        }
        "preload from memory" => {
            let mut file = sys::memory_file("library")?;
            std::io::copy(&mut File::open(DROPPED)?, &mut file)?;
            preload(&format!("/proc/self/fd/{}", file.as_raw_fd()))
        }
        "memory mapped" => sys::map_as_code(&in_memory()?),
        "zeroes mapped" => sys::map_as_code(&File::open("/dev/zero")?),

        // Another profile, other roots, other mounts.
        "profile" => operations::enter("changeprofile", "current", b"unconfined"),
        "profile of the next program" => {
            operations::enter("exec", "exec", b"unconfined")?;
            run(LISTED)
        }
        "chroot" => {
            put_at("/tmp/root/app/bin")?;
            chroot("/tmp/root")?;
            run(LISTED)
        }
        "bind" => {
            sys::new_namespace(sys::MOUNTS)?;
            sys::mount(OTHER, LISTED, "", sys::BIND)?;
            run(LISTED)
        }
        "bind in a namespace" => {
            new_users()?;
            sys::mount(OTHER, LISTED, "", sys::BIND)?;
            run(LISTED)
        }
        "mount" => {
            sys::new_namespace(sys::MOUNTS)?;
            sys::mount("none", "/app/bin", "tmpfs", 0)?;
            put_at("/app/bin")?;
            run(LISTED)
        }
        "new root" => {
            put_at("/volume/app/bin")?;
            fs::create_dir("/volume/old")?;
            sys::new_namespace(sys::MOUNTS)?;
            sys::pivot_root(b"/volume", b"/volume/old")?;
            run(LISTED)
        }
        "attached copy" => {
            put_at("/volume/bin")?;
            sys::new_namespace(sys::MOUNTS)?;
            let copy = sys::clone_mount("/volume")?;
            sys::attach_mount(&copy, "/app")?;
            run(LISTED)
        }
        "detached copy" => {
            put_at("/volume/app/bin")?;
            from(&sys::clone_mount("/volume")?)
        }
        "detached copy in a namespace" => {
            put_at("/volume/app/bin")?;
            new_users()?;
            from(&sys::clone_mount("/volume")?)
        }
        "detached copy of devices" => {
            put_at("/dev/app/bin")?;
            new_users()?;
            from(&sys::clone_mount("/dev")?)
        }
        "unmounted" => {
            put_at("/volume/app/bin")?;
            let folder = File::open("/volume")?;
            sys::unmount(b"/volume", sys::DETACH)?;
            from(&folder)
        }
        "library of a detached copy" => {
            fs::create_dir_all("/volume/app/lib")?;
            fs::copy(DROPPED, "/volume/app/lib/dropped.so")?;
            new_users()?;
            let copy = sys::clone_mount("/volume")?;
            preload(&format!("/proc/{}/fd/{}/app/lib/dropped.so", id(), copy.as_raw_fd()))
        }

        // What no profile prevents.
        "fed interpreter" => feed(&["-c", "echo escaped"]),
        "fed interpreter with a file" => {
            fs::write("/tmp/script", "echo escaped\n")?;
            feed(&["/tmp/script"])
        }
        "code in memory" => sys::turn_into_code(None),
        "from another container" => Err(sys::execute_at(
            &sys::adopt(container::ELSEWHERE),
            "",
            &words(SHELL),
        )),
        "moved out of a mount" => {
            put_at("/volume/sub/bin")?;
            let folder = File::open("/sub/bin")?;
            fs::create_dir("/volume/app")?;
            fs::rename("/volume/sub/bin", "/volume/app/bin")?;
            Err(sys::execute_at(&folder, "listed", &words(SHELL)))
        }

        // What must go on working.
        "listed" => Err(sys::execute_called(LISTED.as_bytes(), &words(&["listed"]))),
        "listed by a link" => Err(sys::execute_called(b"/data/link", &words(&["listed"]))),
        "listed script" => run("/app/bin/script"),
        "own library" => dlopen("/app/lib/library.so"),
        DATA => {
            fs::write("/data/file", "text")?;
            fs::rename("/data/file", "/tmp/file")?;
            fs::hard_link("/tmp/file", "/data/file")?;
            fs::create_dir("/data/folder")?;
            fs::rename("/data/folder", "/tmp/folder")?;
            fs::remove_dir("/tmp/folder")?;
            fs::write("/app/bin/pid", "1")?;
            fs::set_permissions("/app/bin/pid", Permissions::from_mode(0o600))?;
            fs::remove_file("/app/bin/pid")
        }
        "nothing" => Ok(()),
        _ => Err(Error::other("there is no such escape")),
    }
}

/// Becomes a shell that says so.
fn run(program: &str) -> Result<()> {
    Err(sys::execute_called(program.as_bytes(), &words(SHELL)))
}

/// The same by a folder in which it has the path of a listed program.
fn from(folder: &File) -> Result<()> {
    Err(sys::execute_at(folder, "app/bin/listed", &words(SHELL)))
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn program_text(path: &str, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

fn in_memory() -> Result<File> {
    let mut file = sys::memory_file("app/bin/listed")?;
    std::io::copy(&mut File::open(OTHER)?, &mut file)?;
    Ok(file)
}

fn overwrite(path: &str) -> Result<()> {
    overwrite_open(&mut OpenOptions::new().write(true).open(path)?)
}

fn overwrite_open(file: &mut File) -> Result<()> {
    file.set_len(0)?;
    std::io::copy(&mut File::open(OTHER)?, file).map(drop)
}

/// Makes a folder with the shell in it, called as the listed program is.
fn put_at(folder: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::copy(OTHER, Path::new(folder).join("listed")).map(drop)
}

/// A user namespace with mounts of its own, in which root is root.
fn new_users() -> Result<()> {
    sys::new_namespace(sys::USERS | sys::MOUNTS)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", "0 0 1")?;
    fs::write("/proc/self/gid_map", "0 0 1")
}

/// Gives a listed shell something to do.
fn feed(arguments: &[&str]) -> Result<()> {
    let mut all = vec!["sh"];
    all.extend(arguments);
    Err(sys::execute_called(BUSYBOX.as_bytes(), &words(&all)))
}

fn preload(library: &str) -> Result<()> {
    load("LD_PRELOAD", library)
}

fn load(variable: &str, value: &str) -> Result<()> {
    Err(Command::new(DYNAMIC)
        .args(["say", "running"])
        .env_clear()
        .env(variable, value)
        .exec())
}

fn dlopen(library: &str) -> Result<()> {
    Err(sys::execute_called(DYNAMIC.as_bytes(), &words(&["dynamic", "load", library])))
}

/// `O_TMPFILE`.
const NAMELESS: i32 = 0o20_200_000;
