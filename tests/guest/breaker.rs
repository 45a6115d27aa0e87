//! Tries to run what is not on a list, from inside of any image: its arguments are the list, what it says is a line for each way.
//!
//! It brings along all that it needs, and leaves what it could break as it was. `escapes.rs` knows more ways, in a container
//! that is made for them; these are the ones that every image offers.

mod sys;

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{ErrorKind, Result, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chroot, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [what] if what == RAN => {}
        [what, listed @ ..] if what == "all" => attempt(listed, usize::MAX),
        [what, listed @ ..] if what == "some" => attempt(listed, 8),
        _ => println!("neither all nor some others"),
    }
}

fn attempt(listed: &[String], most: usize) {
    let Some(victim) = victim(listed) else {
        println!("nothing of the list is there");
        return;
    };
    say_others(listed, most);
    let saved = fs::read(&victim).expect("what may be run may be read");
    for (name, way) in WAYS {
        let outcome = match sys::split() {
            // What changes a process changes one that ends.
            Ok(sys::Forked::Child) => {
                let outcome = way(&victim);
                sys::end(match &outcome {
                    Ok(()) => 0,
                    Err(error) => error.raw_os_error().unwrap_or(255),
                })
            }
            Ok(sys::Forked::Parent(child)) => sys::wait_for(child) >> 8,
            Err(error) => panic!("{error}"),
        };
        println!("{name}: {}", told(outcome));
        if fs::read(&victim).ok().as_ref() != Some(&saved) {
            restore(&victim, &saved);
        }
    }
}

fn told(number: i32) -> String {
    match number {
        0 => "escaped".to_owned(),
        // EPERM, EACCES, and ETXTBSY of a program that runs: the kernel asks for that first.
        1 | 13 | 26 => "refused".to_owned(),
        255 => "failed".to_owned(),
        number => format!("failed {number}"),
    }
}

/// Every file of the image that may be run by its mode: the dynamic loader is one.
fn say_others(listed: &[String], most: usize) {
    let mut refused = 0;
    let mut escaped = Vec::new();
    let mut folders = vec![PathBuf::from("/")];
    while let Some(folder) = folders.pop() {
        if ["/proc", "/sys", "/dev"].iter().any(|skipped| folder == Path::new(skipped)) {
            continue;
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(data) = path.symlink_metadata() else {
                continue;
            };
            if data.is_dir() {
                folders.push(path);
            } else if data.is_file()
                && data.mode() & 0o111 != 0
                && !listed.iter().any(|name| Path::new(name) == path)
                && refused + escaped.len() < most
            {
                match run(&path.to_string_lossy()) {
                    Err(error) if error.raw_os_error() == Some(13) => refused += 1,
                    Ok(()) => escaped.push(path.display().to_string()),
                    Err(error) => escaped.push(format!("{}: {error}", path.display())),
                }
            }
        }
    }
    if escaped.is_empty() {
        println!("{refused} others: refused");
    } else {
        println!("{refused} others: escaped {}", escaped.join(" "));
    }
}

/// One of the list, if possible one that does not run now.
fn victim(listed: &[String]) -> Option<String> {
    let running: Vec<PathBuf> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path().join("exe")).ok())
        .collect();
    let is_there = |name: &&String| Path::new(name).is_file();
    let rests = |name: &&String| running.iter().all(|path| path != Path::new(name));
    let mut there = listed.iter().filter(is_there);
    let first = there.clone().next();
    there.find(rests).or(first).cloned()
}

fn restore(victim: &str, saved: &[u8]) {
    let folder = Path::new(victim).parent().expect("a file is in a folder");
    let made = fs::create_dir_all(folder)
        .and_then(|()| match fs::remove_file(victim) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .and_then(|()| fs::write(victim, saved))
        .and_then(|()| fs::set_permissions(victim, Permissions::from_mode(0o755)));
    if let Err(error) = made {
        println!("{victim} stays broken: {error}");
    }
}

type Way = fn(&str) -> Result<()>;

const WAYS: &[(&str, Way)] = &[
    ("copy", |_| {
        fs::copy(SELF, "/tmp/copy")?;
        run("/tmp/copy")
    }),
    ("copy beside", |victim| {
        let copy = format!("{victim}.copy");
        fs::copy(SELF, &copy)?;
        let ran = run(&copy);
        fs::remove_file(&copy)?;
        ran
    }),
    ("link", |_| {
        symlink(SELF, "/tmp/link")?;
        let ran = run("/tmp/link");
        fs::remove_file("/tmp/link")?;
        ran
    }),
    ("memory", |_| {
        let mut file = sys::memory_file("program")?;
        file.write_all(&fs::read(SELF)?)?;
        run(&format!("/proc/self/fd/{}", file.as_raw_fd()))
    }),
    ("memory by its descriptor", |_| {
        let mut file = sys::memory_file("program")?;
        file.write_all(&fs::read(SELF)?)?;
        let error = sys::execute_at(&file, "", &[b"program".to_vec(), RAN.into()]);
        Err(error)
    }),
    ("nameless file", |_| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o755).custom_flags(NAMELESS);
        let mut file = options.open("/tmp")?;
        file.write_all(&fs::read(SELF)?)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let reading = File::open(&path)?;
        drop(file);
        run(&format!("/proc/self/fd/{}", reading.as_raw_fd()))
    }),
    ("own root", |_| run(&format!("/proc/{}/root{SELF}", std::process::id()))),
    ("new script", |_| {
        fs::write("/tmp/script", format!("#!{SELF} {RAN}\n"))?;
        fs::set_permissions("/tmp/script", Permissions::from_mode(0o755))?;
        run("/tmp/script")
    }),
    ("mapped", |_| {
        fs::copy(SELF, "/tmp/library")?;
        sys::map_as_code(&File::open("/tmp/library")?)
    }),
    ("removed", |victim| {
        fs::remove_file(victim)?;
        put(victim)?;
        run(victim)
    }),
    ("overwritten", |victim| {
        fs::write(victim, fs::read(SELF)?)?;
        run(victim)
    }),
    ("truncated", |victim| {
        sys::truncate(victim)?;
        fs::write(victim, fs::read(SELF)?)?;
        run(victim)
    }),
    ("renamed over", |victim| {
        put("/tmp/over")?;
        fs::rename("/tmp/over", victim)?;
        run(victim)
    }),
    ("exchanged", |victim| {
        put("/tmp/exchanged")?;
        sys::exchange("/tmp/exchanged", victim)?;
        run(victim)
    }),
    ("linked elsewhere", |victim| {
        fs::hard_link(victim, "/tmp/elsewhere")?;
        fs::write("/tmp/elsewhere", fs::read(SELF)?)?;
        run(victim)
    }),
    ("linked from elsewhere", |victim| {
        fs::remove_file(victim)?;
        fs::hard_link(SELF, victim)?;
        run(victim)
    }),
    ("through a root", |victim| {
        fs::write(format!("/proc/{}/root{victim}", std::process::id()), fs::read(SELF)?)?;
        run(victim)
    }),
    ("folder renamed", |victim| {
        let folder = Path::new(victim).parent().ok_or(ErrorKind::NotFound)?;
        let former = folder.with_extension("former");
        fs::rename(folder, &former)?;
        let ran = fs::create_dir(folder).and_then(|()| put(victim)).and_then(|()| run(victim));
        // Whatever came of it: others want what is in there.
        let _ = fs::remove_dir_all(folder);
        fs::rename(&former, folder)?;
        ran
    }),
    ("chroot", |victim| {
        let inside = format!("/tmp/root{victim}");
        let folder = Path::new(&inside).parent().ok_or(ErrorKind::NotFound)?;
        fs::create_dir_all(folder)?;
        put(&inside)?;
        chroot("/tmp/root")?;
        let error = sys::execute_called(victim.as_bytes(), &[b"program".to_vec(), RAN.into()]);
        Err(error)
    }),
    ("profile", |_| {
        let mut file = OpenOptions::new().write(true).open("/proc/self/attr/current")?;
        file.write_all(b"changeprofile unconfined")
    }),
    ("namespace", |victim| {
        sys::new_namespace(sys::USERS | sys::MOUNTS)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", "0 0 1")?;
        sys::mount(SELF, victim, "", sys::BIND)?;
        run(victim)
    }),
    ("bind", |victim| {
        sys::mount(SELF, victim, "", sys::BIND)?;
        run(victim)
    }),
];

/// Whether it begins: what it does then is not waited for.
fn run(program: &str) -> Result<()> {
    let mut child = Command::new(program)
        .arg(RAN)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let _ = child.kill();
    child.wait().map(drop)
}

fn put(path: &str) -> Result<()> {
    fs::copy(SELF, path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

const SELF: &str = "/breaker";
const RAN: &str = "ran";
/// `O_TMPFILE`.
const NAMELESS: i32 = 0o20_200_000;
