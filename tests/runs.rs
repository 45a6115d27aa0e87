//! Whether real software runs under the profile that is made for its image: `armorgate generate` reads the image, runc starts it
//! in a real kernel, and it has to start, answer its probe and stop, with no denial but of what was tried on purpose.
//!
//! The images are made of Debian's packages, with start scripts in the way such images have them, in `tests/runs`. One boot
//! serves all. What a whitelist does against an attacker is in `tests/escapes.rs`.

#![expect(clippy::print_stdout, reason = "a test tells what it did")]

#[expect(dead_code, reason = "these images are for one platform")]
#[path = "support/images.rs"]
mod images;
#[path = "support/machine/mod.rs"]
mod machine;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use images::{Store, named};
use machine::{
    Kernel, Machine, build,
    commands::{GuestAnswer, GuestCommand},
};
use serde_json::{Value, json};
use support::from_setup;
use tar::{Builder, EntryType, Header};

/// An image, and what is asked of a container of it.
struct Subject {
    name: &'static str,
    /// Layers of the set-up's, by name.
    packages: &'static [&'static str],
    /// What the image's own author adds.
    own: Vec<Entry>,
    config: Value,
    /// `command` of the pod; empty: what the image starts with.
    command: Vec<String>,
    probe: &'static [&'static str],
    /// What the probe says when all is well.
    answer: &'static str,
    /// A command that has to fail for want of permission to run [`Self::unlisted`].
    attempt: &'static [&'static str],
    unlisted: &'static str,
    /// One of the list that nothing works without.
    needs: Option<&'static str>,
}

/// One entry of a layer.
struct Entry {
    path: &'static str,
    kind: EntryType,
    content: Vec<u8>,
    mode: u32,
    user: u64,
}

impl Entry {
    fn program(path: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path,
            kind: EntryType::Regular,
            content: content.into(),
            mode: 0o755,
            user: 0,
        }
    }

    fn text(path: &'static str, content: &str) -> Self {
        Self {
            mode: 0o644,
            ..Self::program(path, content)
        }
    }

    fn folder(path: &'static str, user: u64) -> Self {
        Self {
            kind: EntryType::Directory,
            user,
            ..Self::program(path, "")
        }
    }

    /// Another name of a file that is in the layer already.
    fn name(path: &'static str, of: &str) -> Self {
        Self {
            kind: EntryType::Link,
            ..Self::program(path, of)
        }
    }
}

fn layer(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(entry.user);
        header.set_gid(entry.user);
        header.set_size(0);
        if entry.kind == EntryType::Link {
            let target = std::str::from_utf8(&entry.content)?;
            tar.append_link(&mut header, entry.path, target)?;
        } else {
            header.set_size(u64::try_from(entry.content.len())?);
            tar.append_data(&mut header, entry.path, entry.content.as_slice())?;
        }
    }
    Ok(tar.into_inner()?)
}

fn redis() -> Subject {
    Subject {
        name: "redis",
        packages: &["base", "redis"],
        own: vec![
            Entry::program(
                "usr/local/bin/docker-entrypoint.sh",
                include_str!("runs/redis.sh"),
            ),
            Entry::text("etc/passwd", ACCOUNTS),
            Entry::text("etc/group", GROUPS),
            Entry::folder("data", 999),
            // Of another owner: there is something for `chown` to do.
            Entry::text("data/left.rdb", ""),
        ],
        config: json!({
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["redis-server"],
            "Env": [SEARCH_PATH], "WorkingDir": "/data",
        }),
        command: Vec::new(),
        probe: &["redis-cli", "ping"],
        answer: "PONG",
        attempt: &["sh", "-c", "exec /usr/bin/uname"],
        unlisted: "/usr/bin/uname",
        needs: Some("/usr/bin/find"),
    }
}

fn nginx() -> Subject {
    Subject {
        name: "nginx",
        packages: &["base", "nginx"],
        own: vec![
            Entry::program("docker-entrypoint.sh", include_str!("runs/nginx.sh")),
            Entry::program(
                "docker-entrypoint.d/10-listen.sh",
                include_str!("runs/listen.sh"),
            ),
            Entry::program(
                "docker-entrypoint.d/20-workers.envsh",
                "export NGINX_WORKERS=\"${NGINX_WORKERS:-1}\"\n",
            ),
            Entry::text("docker-entrypoint.d/README", "Not a hook.\n"),
            Entry::text(
                "etc/nginx/conf.d/default.conf",
                include_str!("runs/nginx.conf"),
            ),
            Entry::text("etc/passwd", ACCOUNTS),
            Entry::text("etc/group", GROUPS),
        ],
        config: json!({
            "Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["nginx", "-g", "daemon off;"],
            "Env": [SEARCH_PATH],
        }),
        command: Vec::new(),
        probe: &["busybox", "wget", "-qO-", "http://127.0.0.1:8080/"],
        answer: "served",
        attempt: &["sh", "-c", "exec /usr/bin/uname"],
        unlisted: "/usr/bin/uname",
        needs: Some("/usr/bin/find"),
    }
}

/// As `busybox` is published: each applet is a name of the one file, and a path of its own to the kernel.
fn busybox() -> Result<Subject> {
    let program = fs::read(from_setup("ARMORGATE_TEST_KERNELS")?.join("busybox"))?;
    let mut own = vec![Entry::program("bin/busybox", program)];
    for name in ["bin/httpd", "bin/mkdir", "bin/sh", "bin/uname", "bin/wget"] {
        own.push(Entry::name(name, "bin/busybox"));
    }
    for folder in ["dev", "etc", "proc", "sys", "tmp"] {
        own.push(Entry::folder(folder, 0));
    }
    Ok(Subject {
        name: "busybox",
        packages: &[],
        own,
        config: json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }),
        command: ["sh", "-c", include_str!("runs/busybox.sh")]
            .map(str::to_owned)
            .into(),
        probe: &["wget", "-qO-", "http://127.0.0.1:8080/"],
        answer: "served",
        attempt: &["sh", "-c", "exec /bin/uname"],
        unlisted: "/bin/uname",
        needs: Some("/bin/httpd"),
    })
}

/// From nothing: one static program.
fn scratch() -> Result<Subject> {
    let server = [("server.rs", include_str!("guest/server.rs"))];
    let options = ["-Cstrip=symbols", "-Ctarget-feature=+crt-static"];
    let program = fs::read(build("server", &server, &options)?)?;
    Ok(Subject {
        name: "scratch",
        packages: &[],
        own: vec![
            Entry::program("server", program),
            Entry::name("another", "server"),
        ],
        config: json!({ "Entrypoint": ["/server"] }),
        command: Vec::new(),
        probe: &["/server", "ask"],
        answer: "served",
        attempt: &["/server", "run", "/another"],
        unlisted: "/another",
        needs: None,
    })
}

/// A subject with its layers as files and its profile.
struct Prepared {
    subject: Subject,
    /// Where each layer is in the guest, and on this machine.
    layers: Vec<(String, PathBuf)>,
    profile: String,
    text: String,
    /// The same profile, by another name, without what is needed.
    lacking: String,
}

impl Prepared {
    /// Makes the image, and has the real program make its profile.
    fn new(subject: Subject, folder: &Path) -> Result<Self> {
        let setup = from_setup("ARMORGATE_TEST_IMAGES")?;
        let own = folder.join(format!("{}.tar", subject.name));
        fs::write(&own, layer(&subject.own)?)?;
        let mut layers: Vec<(String, PathBuf)> = Vec::new();
        for name in subject.packages {
            let file = format!("{name}.tar");
            layers.push((format!("layers/{file}"), setup.join(file)));
        }
        layers.push((format!("layers/own-{}.tar", subject.name), own));
        let mut store = Store::default();
        let tars = layers.iter().map(|(_, file)| fs::read(file));
        let tars = tars.collect::<std::io::Result<Vec<_>>>()?;
        let image = store.image(&tars, "amd64", &subject.config)?;
        let layout = folder.join(subject.name);
        store.write_layout(&layout, &[named(image, "latest")])?;

        let mut generate = Command::new(env!("CARGO_BIN_EXE_armorgate"));
        generate.args(["generate", "--no-cache", "--platform", "linux/amd64"]);
        for word in &subject.command {
            generate.arg(format!("--command={word}"));
        }
        generate
            .arg("--probe")
            .arg(json!(subject.probe).to_string());
        generate.arg(format!("oci:{}:latest", layout.display()));
        let made = generate.output()?;
        let told = String::from_utf8_lossy(&made.stderr);
        ensure!(
            made.status.success() && told.is_empty(),
            "{}: no complete list: {} {told}",
            subject.name,
            made.status
        );
        let text = String::from_utf8(made.stdout)?;
        let mut lines = text.lines();
        let profile = lines.find_map(|line| line.strip_prefix("profile ")?.split(' ').next());
        let profile = profile.context("a profile has a name")?.to_owned();
        let mut lacks = text.replace(&profile, &lacking(subject.name));
        if let Some(needed) = subject.needs {
            let rule = format!("    \"{needed}\" ix,\n");
            ensure!(text.contains(&rule), "{needed} is not listed:\n{text}");
            lacks = lacks.replace(&rule, "");
        }
        Ok(Self {
            lacking: lacks,
            subject,
            layers,
            profile,
            text,
        })
    }

    /// A container's life: made, started, asked, tempted, stopped.
    fn life(&self) -> Vec<GuestCommand> {
        let Subject { name, .. } = self.subject;
        let shell = |script: String| GuestCommand::Shell { script };
        let unpack: Vec<String> = self
            .layers
            .iter()
            .map(|(path, _)| format!("tar -xf /{path} -C {BUNDLE}/rootfs"))
            .collect();
        vec![
            GuestCommand::Log,
            // Each in memory of its own, that goes with it.
            shell(format!(
                "set -e; mkdir -p {BUNDLE}/rootfs; mount -t tmpfs none {BUNDLE}/rootfs; {}",
                unpack.join("; ")
            )),
            self.bundle(&self.profile),
            shell(self.start()),
            shell(until(
                90,
                &format!(
                    "runc exec {name} {} >/asked 2>&1 && grep -q {} /asked && exec cat /asked",
                    quoted(self.subject.probe),
                    self.subject.answer
                ),
                &format!("cat /asked /{name}.log"),
            )),
            shell(format!(
                "for process in $(cat /sys/fs/cgroup/{name}/cgroup.procs); do cat /proc/$process/attr/current; done"
            )),
            GuestCommand::Log,
            shell(format!("runc exec {name} {}", quoted(self.subject.attempt))),
            GuestCommand::Log,
            shell(format!("runc kill {name} TERM")),
            shell(until(
                30,
                // The first process of the guest reaps nothing that it did not start: how this one ended stays to be read.
                &format!(
                    "runc state {name} | grep -q '\"status\": \"stopped\"' \
                     && exec sed 's/.*) //' /proc/$(cat /{name}.pid)/stat"
                ),
                &format!("runc state {name}; cat /{name}.log"),
            )),
            GuestCommand::Log,
            GuestCommand::Load {
                text: self.lacking.clone(),
            },
            self.bundle(&lacking(name)),
            shell(self.starve()),
            shell(format!(
                "runc delete --force {name}; umount {BUNDLE}/rootfs"
            )),
        ]
    }

    /// Starts a container from the bundle. Its output goes to a file: who asks is not to wait for its end.
    fn start(&self) -> String {
        let name = self.subject.name;
        format!(
            "runc run --detach --bundle {BUNDLE} --pid-file /{name}.pid {name} </dev/null >/{name}.log 2>&1 \
             || {{ cat /{name}.log; exit 1; }}"
        )
    }

    /// Starts it again under the profile that lacks a program, until the kernel has told of it.
    fn starve(&self) -> String {
        let Subject { name, needs, .. } = self.subject;
        let Some(needed) = needs else {
            return String::new();
        };
        let told = format!(
            "dmesg | grep 'DENIED.*\"{}\".*\"{needed}\"' && exit",
            lacking(name)
        );
        format!(
            "runc delete --force {name}; {}; {}",
            self.start(),
            until(90, &told, &format!("cat /{name}.log"))
        )
    }

    /// What a container runtime tells runc, by `config.json`: namespaces, mounts and capabilities are those of a plain container.
    fn bundle(&self, profile: &str) -> GuestCommand {
        let config = &self.subject.config;
        let words = |key: &str| {
            let words = config.get(key).and_then(Value::as_array);
            words.cloned().unwrap_or_default()
        };
        let command: Vec<Value> = if self.subject.command.is_empty() {
            [words("Entrypoint"), words("Cmd")].concat()
        } else {
            let words = self.subject.command.iter();
            words.map(|word| json!(word)).collect()
        };
        let namespaces =
            ["ipc", "mount", "network", "pid", "uts"].map(|kind| json!({ "type": kind }));
        let mount = |target: &str, kind: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
        let bundle = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": command,
                "env": words("Env"),
                "cwd": config.get("WorkingDir").and_then(Value::as_str).unwrap_or("/"),
                "apparmorProfile": profile,
                "capabilities": {
                    "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
                },
            },
            "root": { "path": "rootfs" },
            "hostname": self.subject.name,
            "mounts": [
                mount("/proc", "proc", &[]),
                mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
                mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
                mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
                mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            ],
            "linux": {
                "cgroupsPath": format!("/{}", self.subject.name),
                "namespaces": namespaces,
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        });
        GuestCommand::Write {
            path: format!("{BUNDLE}/config.json"),
            content: bundle.to_string().into_bytes(),
            mode: 0o644,
            user: 0,
        }
    }

    /// Judges what the guest answered to [`Self::life`].
    fn check(&self, answers: &[GuestAnswer]) -> Result<String> {
        let [
            _,
            unpacked,
            _,
            started,
            asked,
            labels,
            served,
            attempted,
            refused,
            told,
            stopped,
            ended,
            loaded,
            _,
            lacked,
            _,
        ] = answers
        else {
            bail!("{answers:?}")
        };
        let logs = [served, refused, ended].map(log);
        let whole = logs.concat();
        let tail = whole.len().saturating_sub(4000);
        let context = || {
            format!(
                "the kernel's log ends:\n{}",
                whole.get(tail..).unwrap_or(&whole)
            )
        };
        let judge = || -> Result<String> {
            succeeded("unpacking", unpacked)?;
            succeeded("starting", started)?;
            let answer = succeeded("asking its probe", asked)?;
            let labels = succeeded("reading labels", labels)?;
            let expected = format!("{} (enforce)", self.profile);
            ensure!(
                !labels.is_empty() && labels.lines().all(|label| label == expected),
                "not every process is under {expected}: {labels}"
            );
            let GuestAnswer::Ended { status, output } = attempted else {
                bail!("{attempted:?}")
            };
            ensure!(
                *status == Some(126) && output.to_lowercase().contains("permission denied"),
                "{} is not refused: {status:?} {output}",
                self.subject.unlisted
            );
            succeeded("telling it to stop", told)?;
            let stopped = succeeded("stopping", stopped)?;
            // What `wait` would say is the last of what stands there: field 52 of proc(5), of which two are cut off.
            let status = stopped.split_whitespace().nth(49);
            ensure!(status == Some("0"), "it has not ended well: {stopped}");
            ensure!(!whole.contains("suppressed"), "not every denial is logged");
            let [served, refused, ended] = &logs;
            for (when, log) in [("serving", served), ("stopping", ended)] {
                let denials = denials(log);
                ensure!(denials.is_empty(), "denied while {when}: {denials:?}");
            }
            ensure!(matches!(loaded, GuestAnswer::Done(_)), "{loaded:?}");
            succeeded("seeing the lack of a program", lacked)?;
            let denials = denials(refused);
            let is_expected = |line: &&str| {
                let parts = [
                    "operation=\"exec\"",
                    &format!("name=\"{}\"", self.subject.unlisted),
                ];
                parts.iter().all(|part| line.contains(part))
                    && line.contains(&format!("profile=\"{}\"", self.profile))
            };
            ensure!(
                !denials.is_empty() && denials.iter().all(is_expected),
                "other denials than of {}: {denials:?}",
                self.subject.unlisted
            );
            Ok(format!(
                "{}: under {} for {} processes, answers {:?}, may not run {}, stops",
                self.subject.name,
                self.profile,
                labels.lines().count(),
                answer.trim(),
                self.subject.unlisted
            ))
        };
        judge()
            .with_context(context)
            .with_context(|| self.subject.name)
    }
}

/// Tries twice a second until it has left, for as many seconds; then says what there is to say, and fails.
fn until(seconds: u32, attempt: &str, failed: &str) -> String {
    format!(
        "end=$(($(date +%s) + {seconds})); while [ $(date +%s) -lt $end ]; do {attempt}; sleep 0.5; done; {failed}; exit 1"
    )
}

/// What the profile is called that lacks what is needed: who sees no denial in a container's life has to see that one.
fn lacking(name: &str) -> String {
    format!("lacking-{name}")
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    words.join(" ")
}

fn succeeded<'a>(what: &str, answer: &'a GuestAnswer) -> Result<&'a str> {
    match answer {
        GuestAnswer::Ended {
            status: Some(0),
            output,
        } => Ok(output),
        _ => bail!("{what} failed: {answer:?}"),
    }
}

fn log(answer: &GuestAnswer) -> String {
    match answer {
        GuestAnswer::Done(text) => text.clone(),
        _ => format!("{answer:?}"),
    }
}

fn denials(log: &str) -> Vec<&str> {
    let lines = log.lines();
    lines
        .filter(|line| line.contains("apparmor=\"DENIED\""))
        .collect()
}

/// Gives the guest what runc wants: itself with its libraries, control groups, and the usual commands.
const PREPARE: &str = "set -e; /bin/busybox --install -s /bin; mount -t cgroup2 none /sys/fs/cgroup; \
     tar -xf /layers/runc.tar -C /; ln -s usr/lib64 /lib64; runc --version";
const BUNDLE: &str = "/bundle";
const SEARCH_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ACCOUNTS: &str = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nredis:x:999:999::/data:/bin/false\n";
const GROUPS: &str = "root:x:0:\nadm:x:4:\nwww-data:x:33:\nredis:x:999:\n";
/// What container engines leave to root.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

#[test]
fn software_runs_under_its_generated_profile() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let subjects = [redis(), nginx(), busybox()?, scratch()?];
    let prepared = subjects
        .into_iter()
        .map(|subject| Prepared::new(subject, folder.path()))
        .collect::<Result<Vec<_>>>()?;
    let runc = from_setup("ARMORGATE_TEST_IMAGES")?.join("runc.tar");
    let mut files = vec![("layers/runc.tar".to_owned(), runc)];
    for (path, file) in prepared.iter().flat_map(|prepared| &prepared.layers) {
        if files.iter().all(|(other, _)| other != path) {
            files.push((path.clone(), file.clone()));
        }
    }
    let policies: Vec<(&str, &str)> = prepared
        .iter()
        .map(|prepared| (prepared.subject.name, prepared.text.as_str()))
        .collect();
    let mut script = vec![GuestCommand::Shell {
        script: PREPARE.to_owned(),
    }];
    script.extend(prepared.iter().flat_map(Prepared::life));
    let answers = Machine::run_with(Kernel::V6_12, &files, &policies, &script)?;
    let [ready, answers @ ..] = &answers[..] else {
        bail!("no answers")
    };
    succeeded("preparing the guest", ready)?;
    let lives = answers.chunks(answers.len() / prepared.len());
    for (prepared, answers) in prepared.iter().zip(lives) {
        println!("{}", prepared.check(answers)?);
    }
    Ok(())
}
