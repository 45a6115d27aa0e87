//! The names that a profile file declares, against `apparmor_parser` itself on every profile that Debian ships.

#[path = "support/mod.rs"]
mod support;

use std::{collections::BTreeSet, fs, path::Path, process::Command, sync::Arc};

use anyhow::{Result, ensure};
use armorgate::apparmor::{
    include::{IncludeError, Included, Includes, is_ignored, load},
    model::policy,
};

/// Includes from one folder.
struct Folder<'a>(&'a Path);

impl Includes for Folder<'_> {
    fn read(&self, path: &[u8], _: bool) -> Result<Included, IncludeError> {
        let missing = |_| IncludeError::Missing;
        let path = self
            .0
            .join(std::str::from_utf8(path).map_err(|_| IncludeError::Missing)?);
        if !path.is_dir() {
            let text = fs::read(&path).map_err(missing)?;
            return Ok(Included::File(path.display().to_string(), text.into()));
        }
        let mut files: Vec<(String, Arc<[u8]>)> = Vec::new();
        for entry in fs::read_dir(&path).map_err(missing)? {
            let path = entry.map_err(missing)?.path();
            let name = path.file_name().unwrap_or_default();
            if path.is_file() && !is_ignored(name.as_encoded_bytes()) {
                let text = fs::read(&path).map_err(missing)?;
                files.push((path.display().to_string(), text.into()));
            }
        }
        files.sort();
        Ok(Included::Directory(files))
    }
}

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
        let theirs: BTreeSet<String> = String::from_utf8(output.stdout)?
            .lines()
            .map(str::to_owned)
            .collect();
        let includes = Folder(&folder);
        let (loaded, broken) = load(
            path.display().to_string(),
            fs::read(&path)?.into(),
            &includes,
        );
        let (policy, wrong) = policy(&loaded, &includes);
        ensure!(
            broken.is_empty(),
            "{}: {broken:?} {wrong:?}",
            path.display()
        );
        let ours: BTreeSet<String> = policy
            .profiles
            .iter()
            .map(|profile| String::from_utf8_lossy(&profile.name).into_owned())
            .collect();
        // The parser prints alternations without the escapes that its own names keep.
        let plain = |names: &BTreeSet<String>| -> BTreeSet<String> {
            names.iter().map(|name| name.replace('\\', "")).collect()
        };
        ensure!(
            plain(&ours) == plain(&theirs),
            "{}: {ours:?} {theirs:?}",
            path.display()
        );
        compared += 1;
    }
    ensure!(compared > 100, "only {compared} files");
    Ok(())
}
