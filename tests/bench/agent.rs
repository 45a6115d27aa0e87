//! What an agent takes, and how long it lets a pod wait: the real program against the real API server.
//!
//! Whether this machine has AppArmor or not, the agent is shown one that has nothing loaded, in a mount namespace of its own: an
//! agent without AppArmor would watch nothing, and one with it would look at profiles that are none of its business. Its
//! parser is this program: it has the real one compile, and instead of loading the policy shows it as the kernel would. So what is
//! measured beside the parser is all but the kernel's part; the test of the real node prints that, emulated.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{Process, control_plane::ControlPlane, from_setup, listening, wait_until};

/// The bound of what is resident, in MiB.
const RESIDENT: f64 = 24.0;
/// For how long it is looked at.
const LOOK: Duration = Duration::from_secs(45);
/// Pods of the node: as many as a kubelet takes.
const PODS: usize = 110;
/// The bound of the time from bound to loaded beside the parser's own, for 95 of 100 pods, in milliseconds.
const WAIT: f64 = 300.0;
/// Pods that bring a profile each, one after the other.
const NEW_PODS: usize = 60;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--skip-cache") {
        parse(&arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let plane = ControlPlane::start(folder)?;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    plane.must_apply(&fs::read_to_string(
        repository.join("deploy/definitions.yaml"),
    )?)?;
    let pods: Vec<_> = (0..PODS)
        .map(|number| pod(&format!("idle-{number}"), None))
        .collect();
    plane.must_apply(&list(&pods))?;

    let mut agent = start(&plane, folder)?;
    let idle = resident(&agent)?;
    let waits = waits(&plane, &agent)?;
    let peak = mebibytes(agent.memory("VmHWM")?)?;
    agent.signal("TERM")?;
    ensure!(agent.wait_for_end(20)?.success(), "{}", agent.output());

    let [median, high] = [50, 95].map(|percent| {
        let at = (waits.len() * percent).div_ceil(100) - 1;
        waits.get(at).copied().unwrap_or(f64::INFINITY)
    });
    let mut all = true;
    for (held, what) in [
        (
            idle <= RESIDENT,
            format!(
                "an idle agent of a node with {PODS} pods: {idle:.1} MiB resident (at most {RESIDENT} MiB), {peak:.1} at its peak later"
            ),
        ),
        (
            high <= WAIT,
            format!(
                "bound to loaded beside the parser's own time, of {NEW_PODS} pods: p95 {high:.0} ms (at most {WAIT} ms), median {median:.0} ms"
            ),
        ),
    ] {
        all &= held;
        println!("{}  {what}", if held { "held  " } else { "MISSED" });
    }
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn start(plane: &ControlPlane, folder: &Path) -> Result<Process> {
    let log = folder.join("agent.log");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", PRETEND]);
    command.arg(env!("CARGO_BIN_EXE_armorgate"));
    command.args(["agent", "--node", NODE, "--admin-listen", "127.0.0.1:0"]);
    command.arg("--profiles-dir").arg(folder.join("profiles"));
    command.arg("--parser").arg(std::env::current_exe()?);
    command.env("KUBECONFIG", &plane.kubeconfig);
    command.env(
        "REAL_PARSER",
        from_setup("ARMORGATE_TEST_PARSERS")?.join("4.1"),
    );
    let mut agent = Process::start("the agent", log.clone(), &command)?;
    agent.wait_until("ready", 60, || {
        let text = fs::read_to_string(&log).ok()?;
        let url = format!("http://{}/readyz", listening(&text).first()?);
        let output = Command::new("curl")
            .args(["-sf", "-m", "5", &url])
            .output()
            .ok()?;
        let ready = String::from_utf8(output.stdout).ok()?;
        (ready.contains("pods: ok") && ready.contains("report: ok")).then_some(())
    })?;
    Ok(agent)
}

const NODE: &str = "idle";

/// A kernel with AppArmor, in which no profile is loaded; then the program.
const PRETEND: &str = "set -e
mount -t tmpfs none /sys/module
mkdir -p /sys/module/apparmor/parameters
echo Y > /sys/module/apparmor/parameters/enabled
mount -t tmpfs none /sys/kernel/security
mkdir -p /sys/kernel/security/apparmor/policy/profiles
printf %s \"$REAL_PARSER\" > /sys/kernel/security/real-parser
exec \"$0\" \"$@\"";

/// The most that is resident while nothing happens.
fn resident(agent: &Process) -> Result<f64> {
    let (deadline, mut most) = (Instant::now() + LOOK, 0);
    while Instant::now() < deadline {
        most = most.max(agent.memory("VmRSS")?);
        std::thread::sleep(Duration::from_millis(200));
    }
    mebibytes(most)
}

fn mebibytes(kibibytes: u64) -> Result<f64> {
    Ok(f64::from(u32::try_from(kibibytes).context("too much memory")?) / 1024.0)
}

/// How long each profile took beside the parser's own time, in milliseconds and in order: from before its pod was sent to the API
/// server, until the parser had ended that loaded it.
fn waits(plane: &ControlPlane, agent: &Process) -> Result<Vec<f64>> {
    let names: Vec<String> = (0..NEW_PODS)
        .map(|number| format!("armorgate.web.{number:016x}"))
        .collect();
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/snapshots/generate__generate profile.snap"),
    )?;
    let (_, text) = text.split_once("\n---\n").context("a snapshot")?;
    let old = text
        .split_once("profile ")
        .and_then(|(_, rest)| rest.split(' ').next());
    let old = old.context("a profile")?;
    let objects: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({
                "apiVersion": "armorgate.dev/v1alpha1", "kind": "AppArmorProfile", "metadata": { "name": name },
                "spec": {
                    "text": text.replace(old, name),
                    "source": { "image": "web", "digest": "sha256:0", "argv": [], "stage": "enforce" },
                },
            })
        })
        .collect();
    plane.must_apply(&list(&objects))?;

    let seen = PathBuf::from(format!(
        "/proc/{}/root/sys/kernel/security/seen",
        agent.id()
    ));
    let mut waits = Vec::new();
    for name in &names {
        let bound = now()?;
        let answer = Command::new("curl")
            .args(["-sS", "-m", "20", "-w", "%{http_code}", "-o", "/dev/null"])
            .arg("--cacert")
            .arg(plane.certificate())
            .args(["-H", "Authorization: Bearer admin"])
            .args(["-H", "Content-Type: application/json"])
            .arg("-d")
            .arg(pod(name, Some(name)).to_string())
            .arg(format!(
                "https://127.0.0.1:{}/api/v1/namespaces/default/pods",
                plane.port
            ))
            .output()?;
        ensure!(answer.stdout == b"201", "{answer:?}");
        let wait = wait_until("loaded", 20, || {
            let text = fs::read_to_string(&seen).unwrap_or_default();
            let mut spent = 0;
            for line in text.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let [what, of, took, at] = words[..] else {
                    return Ok(None);
                };
                if of == name {
                    spent += took.parse::<u64>()?;
                    if what == "loaded" {
                        return Ok(Some(at.parse::<u64>()? - bound - spent));
                    }
                }
            }
            Ok(None)
        })?;
        waits.push(f64::from(u32::try_from(wait)?) / 1000.0);
    }
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}

/// Microseconds.
fn now() -> Result<u64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(now.as_micros().try_into()?)
}

/// What the agent's parser does: has the real one compile, and shows as loaded what it is to load.
fn parse(arguments: &[String]) -> Result<()> {
    let security = Path::new("/sys/kernel/security");
    let began = now()?;
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag);
        at.and_then(|at| arguments.get(at + 1))
    };
    let file = after("--").context("a file")?;
    let (what, name) = if let Some(policy) = after("--ofile") {
        let text = fs::read_to_string(file)?;
        let (_, rest) = text.split_once("\nprofile ").context("a profile")?;
        let name = rest.split(' ').next().context("a name")?.to_owned();
        let root = PathBuf::from(fs::read_to_string(security.join("real-parser"))?);
        let mut command = Command::new(root.join("apparmor_parser"));
        command.arg("--config-file=/dev/null").arg("--base");
        command.arg(root.join("etc/apparmor.d"));
        command.arg("--kernel-features").arg(root.join("features"));
        command.args(["--quiet", "--skip-cache", "--jobs=1", "--ofile"]);
        command.arg(policy).arg("--").arg(file);
        ensure!(command.status()?.success(), "refused");
        fs::write(security.join("compiled"), &name)?;
        ("compiled", name)
    } else {
        let name = fs::read_to_string(security.join("compiled"))?;
        let folder = security
            .join("apparmor/policy/profiles")
            .join(format!("{name}.1"));
        fs::create_dir(&folder)?;
        let mut hash = String::new();
        for byte in Sha256::digest(fs::read(file)?) {
            write!(hash, "{byte:02x}")?;
        }
        let files = BTreeMap::from([
            ("name", &*name),
            ("mode", "enforce"),
            ("raw_sha256", &*hash),
        ]);
        for (file, text) in files {
            fs::write(folder.join(file), format!("{text}\n"))?;
        }
        ("loaded", name)
    };
    let mut seen = fs::read_to_string(security.join("seen")).unwrap_or_default();
    let ended = now()?;
    writeln!(seen, "{what} {name} {} {ended}", ended - began)?;
    // In one step for who reads it meanwhile.
    fs::write(security.join("seen.new"), seen)?;
    fs::rename(security.join("seen.new"), security.join("seen"))?;
    Ok(())
}

fn list(items: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

fn pod(name: &str, profile: Option<&str>) -> Value {
    let context = profile.map(
        |name| json!({ "appArmorProfile": { "type": "Localhost", "localhostProfile": name } }),
    );
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "default" },
        "spec": { "nodeName": NODE, "containers": [{ "name": "main", "image": "image", "securityContext": context }] },
    })
}
