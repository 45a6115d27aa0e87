//! The first file system of a kernel: a `cpio` archive in the format "newc".

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};

/// An archive that grows; folders come by themselves.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// A file; its path has no `/` in front.
    pub(crate) fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.add_parents(path)?;
        self.entry(path, REGULAR | mode, content)
    }

    pub(crate) fn add_folder(&mut self, path: &str) -> Result<()> {
        self.add_parents(&format!("{path}/"))
    }

    pub(crate) fn add_link(&mut self, path: &str, target: &str) -> Result<()> {
        self.add_parents(path)?;
        self.entry(path, LINK | 0o777, target.as_bytes())
    }

    /// A file of this machine, links followed.
    pub(crate) fn add_copy(&mut self, path: &str, file: &Path) -> Result<()> {
        let content = fs::read(file).with_context(|| file.display().to_string())?;
        let mode = fs::metadata(file)?.permissions().mode();
        self.add(path, mode & 0o777, &content)
    }

    /// A folder of this machine with all that is below it.
    pub(crate) fn add_tree(&mut self, path: &str, folder: &Path) -> Result<()> {
        let mut waiting = vec![(path.to_owned(), folder.to_owned())];
        while let Some((path, folder)) = waiting.pop() {
            self.add_folder(&path)?;
            for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
                let entry = entry?;
                let below = format!("{path}/{}", entry.file_name().to_string_lossy());
                if entry.file_type()?.is_dir() {
                    waiting.push((below, entry.path()));
                } else if entry.path().exists() {
                    self.add_copy(&below, &entry.path())?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.bytes)
    }

    fn add_parents(&mut self, path: &str) -> Result<()> {
        for (end, _) in path.match_indices('/') {
            let folder = path.get(..end).unwrap_or_default();
            if self.folders.insert(folder.to_owned()) {
                self.entry(folder, FOLDER | 0o755, &[])?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.entries += 1;
        let size = u32::try_from(content.len())?;
        let name_size = u32::try_from(name.len() + 1)?;
        // Number, mode, user, group, links, time, size, two devices, size of the name, checksum.
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
