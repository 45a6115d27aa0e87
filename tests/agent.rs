//! The node's part of the agent on real kernels with AppArmor, with the real `apparmor_parser`.
//!
//! This very program is copied into the guest: there it is called with [`INSIDE`], lives through what a node lives through, and
//! says what went wrong.

#[path = "support/machine/mod.rs"]
mod machine;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::{
    agent::{
        Kernel as NodeKernel, Node, Options, Parser, ProfileName, ProfileReport, Report, Text,
        Wishes, plan::Standing,
    },
    apparmor::include::{IncludeError, Included, Includes},
};
use libtest_mimic::{Arguments, Failed, Trial};
use machine::{
    Kernel, Machine,
    commands::{GuestAnswer, GuestCommand},
};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(INSIDE) {
        let lived = live();
        #[expect(clippy::print_stdout, reason = "what the test outside reads")]
        {
            println!(
                "{}",
                lived
                    .as_ref()
                    .err()
                    .map_or_else(|| LIVED.to_owned(), |error| format!("{error:?}"))
            );
        }
        return if lived.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let trials = Kernel::ALL.map(|kernel| {
        let name = format!("a_node_is_kept_in_order_on_linux_{kernel}");
        Trial::test(name, move || {
            outside(kernel).map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

const INSIDE: &str = "inside-the-guest";
const LIVED: &str = "lived through it all";

/// Boots a guest that has this program and the libraries that it wants.
fn outside(kernel: Kernel) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("program");
    let own = std::env::current_exe()?;
    // Debug information is most of it.
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(&program)
        .arg(&own)
        .status()?;
    ensure!(stripped.success(), "strip: {stripped}");
    let mut files = vec![("agent/program".to_owned(), program)];
    for library in libraries(&own)? {
        let name = library.file_name().context("a name")?.to_string_lossy();
        files.push((format!("agent/lib/{name}"), library.clone()));
    }
    let script = format!(
        "/agent/lib/ld-linux-x86-64.so.2 --library-path /agent/lib /agent/program {INSIDE}"
    );
    let answers = Machine::run_with(kernel, &files, &[], &[GuestCommand::Shell { script }])?;
    let [GuestAnswer::Ended { status, output }] = &answers[..] else {
        bail!("{answers:?}");
    };
    ensure!(
        *status == Some(0) && output.contains(LIVED),
        "{status:?}: {output}"
    );
    Ok(())
}

fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8(output.stdout)?;
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    let paths: Vec<PathBuf> = paths.map(PathBuf::from).collect();
    ensure!(paths.len() > 1, "ldd: {text}");
    Ok(paths)
}

/// The folder of AppArmor itself, as far as this test needs it.
struct Folder;

impl Includes for Folder {
    fn read(&self, path: &[u8], searched: bool) -> Result<Included, IncludeError> {
        let path = std::str::from_utf8(path).map_err(|_| IncludeError::Missing)?;
        let path = if searched {
            format!("{BASE}/{path}")
        } else {
            path.to_owned()
        };
        let text = fs::read(&path).map_err(|_| IncludeError::Missing)?;
        Ok(Included::File(path, text.into()))
    }
}

const BASE: &str = "/etc/apparmor.d";
const OWN: &str = "/etc/apparmor.d/armorgate";
const PARSER: &str = "/agent/parser";
const HOUR: Duration = Duration::from_hours(1);

/// A node and its agent. Time goes as the test wants.
struct Life {
    node: Node,
    now: Instant,
}

impl Life {
    fn begin(now: Instant) -> Result<Self> {
        let options = Options {
            kernel: NodeKernel::default(),
            folder: OWN.into(),
            parser: Parser {
                program: PARSER.into(),
                base: BASE.into(),
                deadline: Duration::from_mins(5),
            },
            keep: HOUR,
        };
        let node = Node::open(options, Box::new(Folder))?;
        Ok(Self { node, now })
    }

    /// An agent after this one, which has ended without a word.
    fn another(self) -> Result<Self> {
        Self::begin(self.now)
    }

    fn after(&mut self, time: Duration, wishes: &Wishes) -> Result<Report> {
        self.now += time;
        Ok(self.node.reconcile(wishes, self.now)?)
    }

    fn now(&mut self, wishes: &Wishes) -> Result<Report> {
        self.after(Duration::ZERO, wishes)
    }
}

fn live() -> Result<()> {
    let wrapper = "#!/bin/sh\nexec /parser/loader --library-path /parser/lib /parser/apparmor_parser \"$@\"\n";
    fs::write(PARSER, wrapper)?;
    fs::set_permissions(PARSER, fs::Permissions::from_mode(0o755))?;
    let life = Life::begin(Instant::now())?;
    let life = loads_and_replaces(life).context("loading and replacing")?;
    let life = leaves_others_alone(life).context("others")?;
    let life = starts_again(life).context("starting again")?;
    let life = comes_with_the_nodes_start(life).context("the node's start")?;
    unloads(life).context("unloading")
}

fn loads_and_replaces(mut life: Life) -> Result<Life> {
    let first = "abi <abi/3.0>, profile web { file, }";
    let report = life.now(&wishes(&[("web", first)]))?;
    let web = at(&report, "web")?;
    ensure!(
        web.standing == Standing::Loaded && report.loads == 1,
        "{report:?}"
    );
    ensure!(mode("web")?.as_deref() == Some("enforce"));
    let text = Path::new(OWN).join("web");
    ensure!(fs::read_to_string(&text)? == first);
    ensure!(fs::metadata(&text)?.permissions().mode() & 0o777 == 0o600);
    ensure!(web.policy.is_some(), "the kernel tells what it has");

    let again = life.now(&wishes(&[("web", first)]))?;
    ensure!(
        again.loads == 0 && again.profiles == report.profiles,
        "{again:?}"
    );

    let second = "profile web flags=(complain) { file, profile child { } ^hat { } }";
    let report = life.now(&wishes(&[("web", second)]))?;
    let replaced = at(&report, "web")?;
    ensure!(
        replaced.standing == Standing::Loaded && report.loads == 1,
        "{report:?}"
    );
    ensure!(replaced.policy != web.policy && replaced.text != web.text);
    ensure!(mode("web")?.as_deref() == Some("complain"));

    for refused in [
        "profile web { file, } profile another { }",
        "profile web { file }",
        "profile web { include \"/script\" }",
    ] {
        let report = life.now(&wishes(&[("web", refused)]))?;
        let found = at(&report, "web")?;
        ensure!(
            matches!(found.standing, Standing::Failed(_)),
            "{refused}: {report:?}"
        );
        ensure!(
            found.policy == replaced.policy && mode("another")?.is_none(),
            "{refused}"
        );
    }
    let report = life.now(&wishes(&[("web", first)]))?;
    ensure!(
        at(&report, "web")?.standing == Standing::Loaded,
        "{report:?}"
    );
    Ok(life)
}

fn leaves_others_alone(mut life: Life) -> Result<Life> {
    load("profile theirs { file, }")?;
    let wanted = wishes(&[
        ("theirs", "profile theirs { }"),
        ("taken", "profile taken { }"),
    ]);
    let report = life.now(&wanted)?;
    let theirs = at(&report, "theirs")?;
    ensure!(
        theirs.standing == Standing::Foreign && theirs.text.is_none(),
        "{report:?}"
    );
    ensure!(
        at(&report, "taken")?.standing == Standing::Loaded,
        "{report:?}"
    );

    // Somebody takes a name that was the agent's.
    load("profile taken flags=(complain) { file, }")?;
    let report = life.now(&wanted)?;
    ensure!(
        at(&report, "taken")?.standing == Standing::Foreign,
        "{report:?}"
    );
    ensure!(report.loads == 0, "{report:?}");

    // Nobody names them any more: they stay, and only the agent's own files go.
    let report = life.after(2 * HOUR, &wishes(&[("web", "profile web { file, }")]))?;
    ensure!(report.profiles.len() == 1, "{report:?}");
    ensure!(mode("taken")?.as_deref() == Some("complain"));
    ensure!(mode("theirs")?.as_deref() == Some("enforce"));
    ensure!(!Path::new(OWN).join("taken").exists());
    ensure!(fs::symlink_metadata(format!("{OWN}.taken")).is_err());
    Ok(life)
}

fn starts_again(life: Life) -> Result<Life> {
    fs::write(Path::new(OWN).join(".new-half"), "profile web { fi")?;
    let wanted = wishes(&[("web", "profile web { file, }")]);
    let mut life = life.another()?;
    ensure!(!Path::new(OWN).join(".new-half").exists());
    let report = life.now(&wanted)?;
    ensure!(
        report.loads == 0 && at(&report, "web")?.standing == Standing::Loaded,
        "{report:?}"
    );

    // Killed before the text had its link, or somebody has cleaned up.
    let link = Path::new(BASE).join("armorgate.web");
    fs::remove_file(&link)?;
    let report = life.now(&wanted)?;
    ensure!(report.loads == 0 && link.exists(), "{report:?}");

    // Somebody unloads it, and another agent comes.
    fs::write(format!("{SECURITY}/.remove"), "web")?;
    ensure!(mode("web")?.is_none());
    let mut life = life.another()?;
    let report = life.now(&wanted)?;
    ensure!(report.loads == 1 && mode("web")?.is_some(), "{report:?}");

    // Killed before the kernel had taken the newer text, and after.
    for took in [false, true] {
        let record = Path::new(OWN).join(".web.record");
        let before = fs::read_to_string(&record)?;
        let text = format!("profile web {{ file, signal, deny /took/{took} r, }}");
        if took {
            let report = life.now(&wishes(&[("web", &text)]))?;
            ensure!(report.loads == 1, "{report:?}");
            let unsettled =
                fs::read_to_string(&record)?.replace("\"settled\":true", "\"settled\":false");
            fs::write(&record, unsettled)?;
        } else {
            fs::write(Path::new(OWN).join("web"), &text)?;
        }
        life = life.another()?;
        let report = life.now(&wishes(&[("web", &text)]))?;
        ensure!(
            at(&report, "web")?.standing == Standing::Loaded,
            "{took}: {report:?}"
        );
        ensure!(report.loads == u32::from(!took), "{took}: {report:?}");
        let after = fs::read_to_string(&record)?;
        ensure!(
            after.contains("\"settled\":true") && after != before,
            "{after}"
        );
    }
    Ok(life)
}

/// What the distribution does when the node starts: its parser, on the whole folder.
fn comes_with_the_nodes_start(life: Life) -> Result<Life> {
    fs::write(format!("{SECURITY}/.remove"), "web")?;
    let started = Command::new(PARSER)
        // Another version of the parser makes other policies.
        .args(["--replace", "-K", "-O", "no-minimize", "--", BASE])
        .output()?;
    ensure!(
        started.status.success(),
        "{}",
        String::from_utf8_lossy(&started.stderr)
    );
    ensure!(mode("web")?.is_some(), "the links are not followed");
    let record = Path::new(OWN).join(".web.record");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    fs::write(
        &record,
        fs::read_to_string(&record)?.replace(boot.trim(), "an-older-boot"),
    )?;
    let mut life = life.another()?;
    let wanted = wishes(&[("web", "profile web { file, signal, deny /took/true r, }")]);
    let report = life.now(&wanted)?;
    ensure!(
        at(&report, "web")?.standing == Standing::Loaded,
        "{report:?}"
    );
    ensure!(fs::read_to_string(&record)?.contains(boot.trim()));
    ensure!(life.now(&wanted)?.loads == 0);
    Ok(life)
}

fn unloads(mut life: Life) -> Result<()> {
    let nothing = Wishes::default();
    let named = Wishes {
        named: [profile("web")?].into(),
        ..Wishes::default()
    };
    // A pod that has ended names it still.
    life.after(3 * HOUR, &named)?;
    ensure!(mode("web")?.is_some());
    let process = Confined::start("web")?;
    let report = life.after(3 * HOUR, &nothing)?;
    ensure!(
        at(&report, "web")?.standing == Standing::Loaded,
        "{report:?}"
    );
    ensure!(mode("web")?.is_some());
    drop(process);
    // Used until just now.
    life.now(&nothing)?;
    ensure!(mode("web")?.is_some());
    // One that has just come gives it its time, too.
    let mut life = life.another()?;
    life.now(&nothing)?;
    ensure!(mode("web")?.is_some());
    let report = life.after(2 * HOUR, &nothing)?;
    ensure!(
        mode("web")?.is_none() && report.profiles.is_empty(),
        "{report:?}"
    );
    let left: Vec<_> = fs::read_dir(OWN)?.collect();
    ensure!(left.is_empty(), "{left:?}");
    ensure!(fs::symlink_metadata(format!("{OWN}.web")).is_err());
    Ok(())
}

/// A process in a profile, as a runtime makes one; it ends with this.
struct Confined(Child);

impl Confined {
    fn start(profile: &str) -> Result<Self> {
        let script =
            format!("echo 'exec {profile}' > /proc/self/attr/exec; exec /bin/busybox sleep 10000");
        let child = Command::new("/bin/busybox")
            .args(["sh", "-c", &script])
            .spawn()?;
        let process = Self(child);
        let label = format!("/proc/{}/attr/current", process.0.id());
        support::wait_until("confined", 60, || {
            let label = fs::read_to_string(&label)?;
            Ok(label.starts_with(profile).then_some(()))
        })?;
        Ok(process)
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // A profile that lets in no signals is not waited for.
        if self.0.kill().is_ok() {
            let _ = self.0.wait();
        }
    }
}

/// Loads a text as an administrator does.
fn load(text: &str) -> Result<()> {
    fs::write("/tmp/theirs", text)?;
    let ran = Command::new(PARSER).args(["-Kr", "/tmp/theirs"]).output()?;
    ensure!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Ok(())
}

/// The mode of a loaded profile, from the kernel's own list.
fn mode(profile: &str) -> Result<Option<String>> {
    let list = fs::read_to_string(format!("{SECURITY}/profiles"))?;
    let prefix = format!("{profile} (");
    let line = list.lines().find_map(|line| line.strip_prefix(&prefix));
    Ok(line.map(|mode| mode.trim_end_matches(')').to_owned()))
}

fn wishes(texts: &[(&str, &str)]) -> Wishes {
    let mut wishes = Wishes::default();
    for (name, text) in texts {
        if let Ok(name) = profile(name) {
            wishes.named.insert(name.clone());
            wishes.wanted.insert(name, Text::Known(Arc::from(*text)));
        }
    }
    wishes
}

fn at<'a>(report: &'a Report, name: &str) -> Result<&'a ProfileReport> {
    let found = report.profiles.get(name);
    found.with_context(|| format!("no {name} in {report:?}"))
}

fn profile(name: &str) -> Result<ProfileName> {
    ProfileName::parse(name).context("a name")
}

const SECURITY: &str = "/sys/kernel/security/apparmor";
