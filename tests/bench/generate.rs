//! `armorgate generate` for an image against `gzip -dc layer | tar t` over the same layers, same run; the second run, from the
//! cache; and how much memory the largest images take.
//!
//! Each run of ours is the whole command in a fresh process, from its arguments to a profile that is proven not weaker than the
//! runtime's default.

#![expect(clippy::print_stdout, reason = "it prints tables")]

#[expect(dead_code, reason = "hostile inputs are measured elsewhere")]
#[path = "../fuzz/cases/mod.rs"]
mod cases;
#[path = "../support/images.rs"]
mod images;

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use armorgate::image::{ImageDigest, Limits};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use images::{CONFIG, LAYER, MANIFEST, Store};
use serde_json::{Value, json};

/// Runs of which the median counts.
const RUNS: usize = 5;

/// Plain bytes and files of the image.
const BYTES: u64 = 560 << 20;
const FILES: usize = 18_000;
const LAYERS: usize = 4;

/// What each image starts, by a script.
const SCRIPT: &str = "/usr/local/bin/docker-entrypoint.sh";
const PROGRAM: &str = "/usr/bin/sleep";

/// Targets.
const RATIO: f64 = 1.3;
const CACHED_MS: f64 = 50.0;
const MEMORY_MIB: f64 = 64.0;

fn main() -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let layout = folder.path().join("image");
    let blobs = from_this_machine(&layout)?;
    let mut held = against_gzip(&layout, &blobs)?;
    held &= cached(&layout, &folder.path().join("cache"))?;
    held &= largest(&folder.path().join("largest"))?;
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A run of ours: seconds, peak of resident memory in MiB.
struct Run {
    seconds: f64,
    memory: f64,
}

impl Run {
    fn of(layout: &Path, cache: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_armorgate"));
        command
            .arg("generate")
            .arg(format!("oci:{}", layout.display()));
        match cache {
            Some(folder) => command.arg("--cache").arg(folder),
            None => command.arg("--no-cache"),
        };
        let output = layout.join("output");
        let taken = cases::measure(&mut command, &output, Duration::from_mins(2))?;
        let text = fs::read_to_string(&output)?;
        ensure!(
            taken.code == 0 && text.contains(&format!("\"{PROGRAM}\" ix,")),
            "exit code {}: {text}",
            taken.code
        );
        Ok(Self {
            seconds: taken.seconds,
            memory: taken.memory,
        })
    }

    /// The median by time of several, with the worst of their memory.
    fn median(layout: &Path, cache: Option<&Path>) -> Result<Self> {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(Self::of(layout, cache)?);
        }
        let memory = runs.iter().map(|run| run.memory).fold(0.0, f64::max);
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let seconds = runs.swap_remove(RUNS / 2).seconds;
        Ok(Self { seconds, memory })
    }
}

/// Makes an image of programs, libraries, scripts and texts of this machine: gzipped layers as builders make them.
fn from_this_machine(layout: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut ahead = vec![PathBuf::from("/usr")];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(&folder)?.flatten() {
            let kind = entry.file_type()?;
            if kind.is_dir() {
                ahead.push(entry.path());
            } else if kind.is_file() {
                files.push((entry.path(), entry.metadata()?.len()));
            }
        }
    }
    // Mixed, and the same on each run of a machine.
    files.sort_by_cached_key(|(path, _)| ImageDigest::of(path.as_os_str().as_encoded_bytes()));
    let mut chosen: Vec<PathBuf> = Vec::new();
    let mut bytes = 0;
    for (path, size) in files {
        if chosen.len() < FILES && bytes + size <= BYTES {
            bytes += size;
            chosen.push(path);
        }
    }
    chosen.sort();
    chosen.retain(|path| path != Path::new(SCRIPT) && path != Path::new(PROGRAM));
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let (mut described, mut diff_ids, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for part in chosen.chunks(chosen.len().div_ceil(LAYERS)) {
        let (plain, packed) = (layout.join("plain"), layout.join("packed"));
        let mut tar = Command::new("tar")
            .args([
                "-C",
                "/",
                "--no-recursion",
                "--null",
                "--files-from=-",
                "-cf",
            ])
            .arg(&plain)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut names = tar.stdin.take().context("piped")?;
        for path in part {
            names.write_all(path.strip_prefix("/")?.as_os_str().as_encoded_bytes())?;
            names.write_all(&[0])?;
        }
        drop(names);
        ensure!(tar.wait()?.success(), "tar failed");
        let gzip = Command::new("gzip")
            .arg("-c")
            .stdin(File::open(&plain)?)
            .stdout(File::create(&packed)?)
            .status()?;
        ensure!(gzip.success(), "gzip failed");
        let digest = digest(&packed)?;
        diff_ids.push(self::digest(&plain)?);
        let path = blobs.join(digest.hex());
        let size = fs::metadata(&packed)?.len();
        fs::rename(&packed, &path)?;
        fs::remove_file(&plain)?;
        described
            .push(json!({ "mediaType": format!("{LAYER}+gzip"), "digest": digest, "size": size }));
        paths.push(path);
    }
    paths.push(start(&blobs, &mut described, &mut diff_ids)?);
    describe(layout, &described, &diff_ids)?;
    Ok(paths)
}

/// Adds a layer with what the image starts: a script for a shell of this machine, and a program.
fn start(
    blobs: &Path,
    described: &mut Vec<Value>,
    diff_ids: &mut Vec<ImageDigest>,
) -> Result<PathBuf> {
    let mut tar = tar::Builder::new(Vec::new());
    let script = format!("#!/bin/sh\nset -e\n[ \"$1\" ] || set -- {PROGRAM} 60\nexec \"$@\"\n");
    for (path, content) in [
        (SCRIPT, script.into_bytes()),
        ("/bin/sh", fs::read("/bin/sh")?),
        (PROGRAM, fs::read(PROGRAM)?),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(u64::try_from(content.len())?);
        tar.append_data(&mut header, path.trim_start_matches('/'), &*content)?;
    }
    let plain = tar.into_inner()?;
    let packed = images::gzip(&plain)?;
    let digest = ImageDigest::of(&packed);
    diff_ids.push(ImageDigest::of(&plain));
    described.push(json!({ "mediaType": LAYER, "digest": digest, "size": packed.len() }));
    let path = blobs.join(digest.hex());
    fs::write(&path, packed)?;
    Ok(path)
}

fn digest(path: &Path) -> Result<ImageDigest> {
    let output = Command::new("sha256sum").arg(path).output()?;
    let text = String::from_utf8(output.stdout)?;
    let hex = text.split_whitespace().next().context("a digest")?;
    Ok(format!("sha256:{hex}").parse()?)
}

/// Writes the documents of an image whose layers are there already.
fn describe(layout: &Path, layers: &[Value], diff_ids: &[ImageDigest]) -> Result<()> {
    let mut store = Store::default();
    let config = json!({
        "os": "linux", "architecture": "amd64",
        "config": { "Entrypoint": [SCRIPT], "Env": ["PATH=/usr/bin:/bin"] }, "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = store.add(CONFIG, serde_json::to_vec(&config)?);
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
    let manifest = store.add(MANIFEST, serde_json::to_vec(&manifest)?);
    store.write_layout(layout, &[manifest])
}

fn against_gzip(layout: &Path, blobs: &[PathBuf]) -> Result<bool> {
    // Both find the layers in memory, not on a disk.
    let mut bytes = 0;
    for blob in blobs {
        bytes += io::copy(&mut File::open(blob)?, &mut io::sink())?;
    }
    let mut theirs = Vec::new();
    let mut listed = 0;
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut text = Vec::new();
        for blob in blobs {
            let mut gzip = Command::new("gzip")
                .arg("-dc")
                .arg(blob)
                .stdout(Stdio::piped())
                .spawn()?;
            let plain = gzip.stdout.take().context("piped")?;
            let mut tar = Command::new("tar")
                .arg("t")
                .stdin(plain)
                .stdout(Stdio::piped())
                .spawn()?;
            tar.stdout.take().context("piped")?.read_to_end(&mut text)?;
            ensure!(
                gzip.wait()?.success() && tar.wait()?.success(),
                "gzip or tar failed"
            );
        }
        theirs.push(start.elapsed().as_secs_f64());
        listed = text.split(|&byte| byte == b'\n').count() - 1;
    }
    theirs.sort_by(f64::total_cmp);
    let theirs = theirs.get(RUNS / 2).copied().unwrap_or(f64::NAN);
    let ours = Run::median(layout, None)?;
    let ratio = ours.seconds / theirs;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "layers",
        "MB",
        "files",
        "ours ms",
        "gzip | tar ms",
        "ratio",
        "ours MiB",
    ]);
    table.add_row([
        blobs.len().to_string(),
        (bytes / 1_000_000).to_string(),
        listed.to_string(),
        format!("{:.0}", ours.seconds * 1e3),
        format!("{:.0}", theirs * 1e3),
        format!("{ratio:.2}"),
        format!("{:.1}", ours.memory),
    ]);
    println!(
        "`armorgate generate` for an image, against `gzip -dc layer | tar t`; medians of {RUNS} runs\n{table}"
    );
    let held = ratio <= RATIO && ours.memory <= MEMORY_MIB;
    println!(
        "{}  ratio at most {RATIO}, resident at most {MEMORY_MIB} MiB\n",
        told(held)
    );
    Ok(held)
}

fn cached(layout: &Path, cache: &Path) -> Result<bool> {
    Run::of(layout, Some(cache))?;
    let again = Run::median(layout, Some(cache))?;
    let milliseconds = again.seconds * 1e3;
    let held = milliseconds < CACHED_MS;
    println!(
        "{}  from the cache: {milliseconds:.1} ms (under {CACHED_MS} ms), {:.1} MiB\n",
        told(held),
        again.memory
    );
    Ok(held)
}

/// What the names of a large image stand for.
#[derive(Clone, Copy)]
enum Content {
    Empty,
    Link,
    Script,
}

/// As many names as there may be, in one layer and over many; as many texts; as long targets.
fn largest(folder: &Path) -> Result<bool> {
    let limits = Limits::default();
    // The folders and what the image starts are names as well.
    let names = limits.entries - 2000;
    let mut held = true;
    for (name, layers, names, content) in [
        ("one layer of empty files", 1, names, Content::Empty),
        ("many layers of empty files", 100, names, Content::Empty),
        ("programs and scripts", 10, names, Content::Script),
        ("links", 10, limits.names / 350, Content::Link),
    ] {
        let layout = folder.join(name);
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let (mut described, mut diff_ids) = (Vec::new(), Vec::new());
        // First, while there is still room for texts.
        start(&blobs, &mut described, &mut diff_ids)?;
        for layer in 0..layers {
            let mut tar = tar::Builder::new(Vec::new());
            for file in 0..names / layers {
                // A folder for each thousand files; names as long as those of real files.
                let path = format!(
                    "usr/lib/package-{layer}-{}/some-file-of-it-{file}.data",
                    file / 1000
                );
                let mut header = tar::Header::new_gnu();
                header.set_mode(0o755);
                header.set_size(0);
                match content {
                    Content::Empty => tar.append_data(&mut header, path, io::empty())?,
                    Content::Link => {
                        header.set_entry_type(tar::EntryType::Symlink);
                        tar.append_link(&mut header, path, "../x".repeat(75))?;
                    }
                    Content::Script => {
                        let script = format!("#!/bin/sh\n{}", "x".repeat(300));
                        header.set_size(u64::try_from(script.len())?);
                        tar.append_data(&mut header, path, script.as_bytes())?;
                    }
                }
            }
            let plain = tar.into_inner()?;
            let packed = images::gzip(&plain)?;
            let digest = ImageDigest::of(&packed);
            diff_ids.push(ImageDigest::of(&plain));
            described.push(json!({ "mediaType": LAYER, "digest": digest, "size": packed.len() }));
            fs::write(blobs.join(digest.hex()), packed)?;
        }
        describe(&layout, &described, &diff_ids)?;
        let cache = layout.join("cache");
        for (what, cache) in [
            ("read", None),
            ("read and kept", Some(&cache)),
            ("from the cache", Some(&cache)),
        ] {
            let run = Run::of(&layout, cache.map(PathBuf::as_path))?;
            let is_held = run.memory <= MEMORY_MIB;
            held &= is_held;
            println!(
                "{}  {name}, {what}: {:.1} MiB (at most {MEMORY_MIB} MiB), {:.0} ms",
                told(is_held),
                run.memory,
                run.seconds * 1e3
            );
        }
    }
    Ok(held)
}

fn told(held: bool) -> &'static str {
    if held { "held  " } else { "MISSED" }
}
