//! Which programs a container needs, by example: runs the cases of `tests/corpus/scripts/*.toml`.
//!
//! Each case is a small image, a workload, and what must come out: the list, what is unknown and where, the outcome. The scripts
//! are written in the manner of those that images start with.

#[path = "support/corpus.rs"]
mod corpus;

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use anyhow::{Result, bail, ensure};
use armorgate::{
    image::{
        Config,
        tree::{Tree, TreeBuilder},
    },
    whitelist::{
        ConfigFile, GapKind, Mount, MountKind, Outcome, PodVariable, Whitelist, Workload, analyse,
    },
};
use serde::Deserialize;

/// A case of the corpus.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// A sentence.
    name: String,
    /// What the case is about.
    why: String,
    #[serde(default)]
    image: Image,
    #[serde(default)]
    config: Declared,
    #[serde(default)]
    workload: Asked,
    /// The list, sorted.
    programs: Vec<String>,
    /// How each unknown is shown, or how that begins; sorted.
    #[serde(default)]
    unknowns: Vec<String>,
    /// `complete`, `partial` or `never`.
    outcome: String,
    /// Words that must be among those about the list's strength.
    #[serde(default)]
    allows: Vec<String>,
}

/// A small image.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    /// What it is built upon: `debian`, `alpine`, or nothing.
    #[serde(default)]
    base: String,
    /// Compiled programs.
    #[serde(default)]
    programs: Vec<String>,
    /// Static ones.
    #[serde(default)]
    statics: Vec<String>,
    /// Links and where they lead.
    #[serde(default)]
    links: BTreeMap<String, String>,
    /// Further names of files.
    #[serde(default)]
    names: BTreeMap<String, String>,
    /// Executable texts.
    #[serde(default)]
    scripts: BTreeMap<String, String>,
    /// Other texts.
    #[serde(default)]
    texts: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Declared {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Vec<String>,
    working_dir: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    command: Vec<String>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    /// Variables of which only the names are known.
    secret_env: Vec<String>,
    unread_env: bool,
    working_dir: Option<String>,
    probes: Vec<Vec<String>>,
    hooks: Vec<Vec<String>>,
    mounts: Vec<Mounted>,
    allow_exec: Vec<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mounted {
    path: String,
    /// `config-map`, `config-map-file`, `empty-dir`, `image`, `opaque`
    kind: String,
    /// Executable files of a ConfigMap.
    files: Option<BTreeMap<String, String>>,
    /// Compiled programs of an image.
    #[serde(default)]
    programs: Vec<String>,
}

fn main() -> ExitCode {
    corpus::main("scripts", 80, |case: &Case| &case.name, run)
}

fn run(case: &Case) -> Result<()> {
    let (config, tree, workload) = (config(case), tree(&case.image)?, workload(&case.workload)?);
    let whitelist = analyse(&config, &tree, &workload);
    let programs: Vec<String> = whitelist
        .programs
        .iter()
        .map(|program| program.name.to_string())
        .collect();
    let why = &case.why;
    ensure!(
        programs == case.programs,
        "{why}\nprograms {programs:#?}\nexpected {:#?}\n{}",
        case.programs,
        shown(&whitelist)
    );
    let mut unknowns: Vec<String> = whitelist
        .unknowns
        .iter()
        .map(|gap| {
            let place = gap
                .place
                .as_ref()
                .map(|place| format!("{}:{} ", place.file, place.line));
            format!(
                "{} {}{}",
                kind(gap.kind),
                place.unwrap_or_default(),
                gap.what
            )
        })
        .collect();
    unknowns.sort();
    let agree = unknowns.len() == case.unknowns.len()
        && unknowns
            .iter()
            .zip(&case.unknowns)
            .all(|(found, expected)| found.starts_with(expected.as_str()));
    ensure!(
        agree,
        "{why}\nunknowns {unknowns:#?}\nexpected {:#?}",
        case.unknowns
    );
    let outcome = match &whitelist.outcome {
        Outcome::Complete => "complete",
        Outcome::NotWhitelistable { why } => {
            ensure!(!why.is_empty(), "a reason");
            "never"
        }
        Outcome::Partial => "partial",
    };
    ensure!(outcome == case.outcome, "{why}\noutcome {outcome}");
    for allows in &case.allows {
        ensure!(
            whitelist
                .strength
                .iter()
                .any(|strength| strength.allows == *allows),
            "{why}\nstrength {:#?}",
            whitelist.strength
        );
    }
    for program in &whitelist.programs {
        ensure!(
            !program.reasons.is_empty(),
            "no reason for {}",
            program.name
        );
    }
    serde_json::to_string(&whitelist)?;
    Ok(())
}

fn shown(whitelist: &Whitelist) -> String {
    let mut lines = Vec::new();
    for program in &whitelist.programs {
        for reason in &program.reasons {
            let place = reason.place.as_ref();
            let place = place.map(|place| format!("{}:{}", place.file, place.line));
            lines.push(format!(
                "{} {} {}",
                program.name,
                place.unwrap_or_default(),
                reason.why
            ));
        }
    }
    lines.extend(
        whitelist
            .unknowns
            .iter()
            .map(|gap| format!("? {}", gap.what)),
    );
    lines.extend(
        whitelist
            .notes
            .iter()
            .map(|note| format!("- {}", note.what)),
    );
    lines.join("\n")
}

fn kind(kind: GapKind) -> &'static str {
    match kind {
        GapKind::Code => "code",
        GapKind::Dynamic => "dynamic",
        GapKind::Missing => "missing",
        GapKind::Unread => "unread",
        GapKind::Volume => "volume",
    }
}

fn config(case: &Case) -> Config {
    let Declared {
        entrypoint,
        cmd,
        env,
        working_dir,
    } = case.config.clone();
    Config {
        entrypoint,
        cmd,
        env,
        working_dir,
        ..Config::default()
    }
}

fn workload(asked: &Asked) -> Result<Workload> {
    let known = asked.env.iter().map(|(name, value)| PodVariable {
        name: name.clone(),
        value: Some(value.clone()),
    });
    let secret = asked.secret_env.iter().map(|name| PodVariable {
        name: name.clone(),
        value: None,
    });
    let mounts = asked.mounts.iter().map(|mounted| {
        let files = mounted.files.as_ref().map(|files| {
            let files = files.iter().map(|(name, text)| ConfigFile {
                name: name.clone(),
                text: Some(text.clone().into_bytes()),
                mode: 0o755,
            });
            files.collect::<Vec<_>>()
        });
        Ok(Mount {
            path: mounted.path.clone(),
            read_only: true,
            kind: match mounted.kind.as_str() {
                "config-map" => MountKind::ConfigMap { files },
                "config-map-file" => MountKind::ConfigMapFile {
                    file: files.and_then(|files| files.into_iter().next()),
                },
                "empty-dir" => MountKind::EmptyDir,
                "image" => {
                    let mut tree = Tree::builder();
                    for program in &mounted.programs {
                        tree = tree.file(program, 0o755, compiled(true));
                    }
                    MountKind::Image {
                        tree: Arc::new(tree.build()?),
                        sub_path: String::new(),
                    }
                }
                "opaque" => MountKind::Opaque,
                other => bail!("a kind of mount `{other}`"),
            },
        })
    });
    Ok(Workload {
        command: asked.command.clone(),
        args: asked.args.clone(),
        env: known.chain(secret).collect(),
        unread_env: asked.unread_env,
        working_dir: asked.working_dir.clone(),
        probes: asked.probes.clone(),
        hooks: asked.hooks.clone(),
        mounts: mounts.collect::<Result<_>>()?,
        allow_exec: asked.allow_exec.clone(),
    })
}

fn tree(image: &Image) -> Result<Tree> {
    let mut tree = match image.base.as_str() {
        "" => Tree::builder(),
        "alpine" => alpine(),
        "debian" => debian(),
        other => bail!("a base `{other}`"),
    };
    for program in &image.programs {
        tree = tree.file(program, 0o755, compiled(true));
    }
    for program in &image.statics {
        tree = tree.file(program, 0o755, compiled(false));
    }
    for (path, target) in &image.links {
        tree = tree.link(path, target);
    }
    for (path, text) in &image.scripts {
        tree = tree.file(path, 0o755, text);
    }
    for (path, text) in &image.texts {
        tree = tree.file(path, 0o644, text);
    }
    for (path, target) in &image.names {
        tree = tree.hard_link(path, target);
    }
    Ok(tree.build()?)
}

/// The programs of a merged `/usr`, each a file of its own.
fn debian() -> TreeBuilder {
    const PROGRAMS: &str = "[ bash basename cat chmod chown chroot cp cut dash date dirname dpkg-query env expr find flock getent \
        grep head hostname id ln ls md5sum mkdir mktemp mountpoint mv nice nohup openssl paste perl ps pwd readlink realpath rm \
        run-parts runuser sed seq setpriv sleep sort stat stdbuf su tail tar tee test timeout touch tr true uname wc whoami xargs";
    let mut tree = Tree::builder()
        .link("/bin", "usr/bin")
        .link("/sbin", "usr/sbin")
        .link("/lib", "usr/lib")
        .link("/usr/bin/sh", "dash")
        .link("/usr/bin/awk", "/etc/alternatives/awk")
        .link("/etc/alternatives/awk", "/usr/bin/mawk")
        .file("/usr/bin/mawk", 0o755, compiled(true));
    for program in PROGRAMS.split_whitespace() {
        tree = tree.file(format!("/usr/bin/{program}"), 0o755, compiled(true));
    }
    tree
}

/// One file with all programs, and links to it.
fn alpine() -> TreeBuilder {
    const PROGRAMS: &str = "ash cat chmod chown cp date echo grep hostname kill ln ls mkdir mktemp mv ps rm sed sh sleep stat su \
        touch true uname";
    const MORE: &str = "[ awk basename cut dirname env expr find flock head id ip nc nohup openssl readlink realpath run-parts \
        seq setsid sort tail tee test timeout tr wc wget which whoami xargs";
    let mut tree = Tree::builder().file("/bin/busybox", 0o755, compiled(true));
    for program in PROGRAMS.split_whitespace() {
        tree = tree.link(format!("/bin/{program}"), "/bin/busybox");
    }
    for program in MORE.split_whitespace() {
        tree = tree.link(format!("/usr/bin/{program}"), "/bin/busybox");
    }
    tree
}

/// The headers of an ELF file of 64 bits that a kernel would start: of a dynamic one its interpreter and the dynamic section, of
/// a static one a part that is loaded.
fn compiled(dynamic: bool) -> Vec<u8> {
    const INTERPRETER: &[u8] = b"/lib64/ld-linux-x86-64.so.2\0";
    let (kind, first, second): (u16, u32, u32) = if dynamic { (3, 3, 2) } else { (2, 1, 1) };
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Kind, machine, version; entry, program headers, section headers; flags; sizes and counts.
    file.extend([kind, 62].iter().flat_map(|value| value.to_le_bytes()));
    file.extend(1_u32.to_le_bytes());
    file.extend([0_u64, 64, 0].iter().flat_map(|value| value.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    file.extend(
        [64_u16, 56, 2, 0, 0, 0]
            .iter()
            .flat_map(|value| value.to_le_bytes()),
    );
    for header in [first, second] {
        file.extend([header, 4].iter().flat_map(|value| value.to_le_bytes()));
        let size = u64::try_from(INTERPRETER.len()).unwrap_or_default();
        // Offset, address, physical address; size in the file, in memory; alignment.
        file.extend(
            [176, 0, 0, size, size, 1]
                .iter()
                .flat_map(|value: &u64| value.to_le_bytes()),
        );
    }
    file.extend_from_slice(INTERPRETER);
    file
}
