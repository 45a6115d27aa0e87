//! The names that a profile file declares, against `apparmor_parser` itself on every profile that Debian ships.

#[path = "support/mod.rs"]
mod support;

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use armorgate::apparmor::declarations;

#[test]
fn declared_names_are_those_of_apparmor_parser() -> Result<()> {
    let root = support::from_setup("ARMORGATE_TEST_APPARMOR")?;
    let folder = root.join("etc/apparmor.d");
    let mut compared = 0;
    for entry in fs::read_dir(&folder)?.chain(fs::read_dir(
        root.join("usr/share/apparmor/extra-profiles"),
    )?) {
        let path = entry?.path();
        if !path.is_file() || path.file_name().is_some_and(|name| name == "README") {
            continue;
        }
        let output = Command::new(root.join("sbin/apparmor_parser"))
            .args(["--config-file", "/dev/null", "-QKN", "-b"])
            .arg(&folder)
            .arg("-I")
            .arg(&folder)
            .arg(&path)
            .output()?;
        ensure!(
            output.status.success(),
            "{}: {}",
            path.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        // `abstractions/ubuntu-helpers` brings a child; includes are not followed yet.
        let theirs: BTreeSet<String> = String::from_utf8(output.stdout)?
            .lines()
            .filter(|name| !name.ends_with("//sanitized_helper"))
            .map(str::to_owned)
            .collect();
        let found = declarations(&fs::read(&path)?).with_context(|| path.display().to_string())?;
        // They expand variables and remove escapes, we keep names as written.
        let as_written = |name: &String| name.contains(['@', '{', '\\']);
        let ours: BTreeSet<String> = found.into_iter().map(|found| found.name).collect();
        if ours.iter().any(as_written) {
            ensure!(
                ours.len() == theirs.len(),
                "{}: {ours:?} {theirs:?}",
                path.display()
            );
        } else {
            ensure!(ours == theirs, "{}: {ours:?} {theirs:?}", path.display());
        }
        compared += 1;
    }
    ensure!(compared > 100, "only {compared} files");
    Ok(())
}
