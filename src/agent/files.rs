//! The agent's folder on the node: the text of each profile that it has loaded, and a record beside it.
//!
//! The node's start loads the texts again. It runs `apparmor_parser` on `/etc/apparmor.d`, which takes the files of a folder, also
//! links to files, and neither enters folders nor looks at names that begin with a dot (seen with 3.0.8, 4.1.0 and 5.0.2). So
//! each text has a link beside the agent's folder, `/etc/apparmor.d/armorgate.NAME`, and what is not a text begins with a dot. One
//! file that includes the folder would not do: one text that another parser refuses would keep out all the others. The links
//! also keep `aa-remove-unknown` from unloading the profiles: it asks the parser for the names in that folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use super::{Fingerprint, ProfileName, plan::Record};

/// LIMIT: bytes of a text that is read back; longer ones are not the agent's.
const MAX_TEXT: u64 = 2 << 20;

/// LIMIT: bytes of a record.
const MAX_RECORD: u64 = 4096;

/// LIMIT: files in the folder that are looked at.
const MAX_FILES: usize = 100_000;

/// The agent's folder.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    folder: PathBuf,
}

/// What is in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) records: BTreeMap<ProfileName, Record>,
    pub(crate) texts: BTreeMap<ProfileName, Fingerprint>,
    /// Those with a record that the node's start would not find.
    pub(crate) unlinked: BTreeSet<ProfileName>,
}

impl Files {
    /// Of this folder, which is made where it is not there. What an agent that was killed had half written is removed.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(NEW.as_bytes())
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { folder })
    }

    /// Where a profile's text is.
    pub(crate) fn text(&self, name: &ProfileName) -> PathBuf {
        self.folder.join(name.as_str())
    }

    /// A file for what is on its way, which another start removes.
    pub(crate) fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        // Mode 0600: what tempfile makes.
        tempfile::Builder::new()
            .prefix(NEW)
            .tempfile_in(&self.folder)
    }

    /// What is there. What cannot be understood is nobody's.
    pub(crate) fn look(&self) -> io::Result<Found> {
        let mut found = Found::default();
        for entry in fs::read_dir(&self.folder)?.take(MAX_FILES) {
            let entry = entry?;
            let file = entry.file_name();
            let Some(file) = file.to_str() else { continue };
            // Not followed: the agent makes no links here.
            if !entry.file_type()?.is_file() {
                continue;
            }
            let record = file
                .strip_prefix('.')
                .and_then(|file| file.strip_suffix(RECORD));
            if let Some(name) = record.and_then(ProfileName::parse) {
                let text = bounded(&entry.path(), MAX_RECORD)?;
                match serde_json::from_slice(&text) {
                    Ok(record) => {
                        found.records.insert(name, record);
                    }
                    Err(error) => tracing::warn!(%name, %error, "a record that cannot be read"),
                }
            } else if let Some(name) = ProfileName::parse(file) {
                let text = bounded(&entry.path(), MAX_TEXT)?;
                found.texts.insert(name, Fingerprint::of(&text));
            }
        }
        let records = found.records.keys();
        let unlinked = records.filter(|name| !self.is_linked(name)).cloned();
        found.unlinked = unlinked.collect();
        Ok(found)
    }

    /// Records what is loaded, or about to be.
    pub(crate) fn record(&self, name: &ProfileName, record: &Record) -> io::Result<()> {
        let mut file = self.temporary()?;
        file.write_all(&serde_json::to_vec(record)?)?;
        self.keep(file, &self.record_path(name))
    }

    /// Gives a file its name, in one step and on the disk.
    pub(crate) fn keep(&self, file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The name, too.
        File::open(&self.folder)?.sync_all()
    }

    /// Makes the link by which the node's start finds a text. A file of somebody else's stays.
    pub(crate) fn link(&self, name: &ProfileName) -> io::Result<()> {
        let Some((link, target)) = self.link_path(name) else {
            return Ok(());
        };
        match symlink(&target, &link) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            done => done?,
        }
        match link.parent() {
            Some(around) => File::open(around)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Whether there is anything in the place of its link, as far as can be told.
    fn is_linked(&self, name: &ProfileName) -> bool {
        let Some((link, _)) = self.link_path(name) else {
            return true;
        };
        let found = fs::symlink_metadata(link);
        !found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Removes a profile's files, the record last: without it, nobody would know whose the others are.
    pub(crate) fn remove(&self, name: &ProfileName) -> io::Result<()> {
        if let Some((link, target)) = self.link_path(name)
            && fs::read_link(&link).is_ok_and(|found| found == target)
        {
            remove_file(&link)?;
        }
        remove_file(&self.text(name))?;
        remove_file(&self.record_path(name))?;
        File::open(&self.folder)?.sync_all()
    }

    fn record_path(&self, name: &ProfileName) -> PathBuf {
        self.folder.join(format!(".{name}{RECORD}"))
    }

    /// The link and what it leads to, from where it is. None: the folder has no other around it.
    fn link_path(&self, name: &ProfileName) -> Option<(PathBuf, PathBuf)> {
        let (around, own) = (self.folder.parent()?, self.folder.file_name()?);
        let mut link = OsString::from(own);
        link.push(format!(".{name}"));
        Some((around.join(link), Path::new(own).join(name.as_str())))
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// What is on its way begins so: no name of a profile has a dot in front.
const NEW: &str = ".new-";

const RECORD: &str = ".record";

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

    use super::{Files, Fingerprint, ProfileName, Record};

    fn write(files: &Files, name: &ProfileName, text: &str) {
        let mut file = files.temporary().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        files.keep(file, &files.text(name)).unwrap();
    }

    #[test]
    fn what_is_kept_is_found_again_and_what_was_half_written_is_not() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("armorgate");
        let files = Files::open(folder.clone()).unwrap();
        let name = ProfileName::parse("web").unwrap();
        let record = Record {
            text: Fingerprint::of(b"text"),
            policies: vec![Fingerprint::of(b"policy")],
            boot: "boot".to_owned(),
            settled: true,
        };
        write(&files, &name, "text");
        files.record(&name, &record).unwrap();
        files.link(&name).unwrap();
        files.link(&name).unwrap();
        files.temporary().unwrap().keep().unwrap();
        fs::write(folder.join("Other"), "not ours").unwrap();
        fs::write(folder.join(".broken.record"), "{").unwrap();

        let files = Files::open(folder.clone()).unwrap();
        let found = files.look().unwrap();
        assert_eq!(found.records, [(name.clone(), record)].into());
        assert_eq!(
            found.texts,
            [(name.clone(), Fingerprint::of(b"text"))].into()
        );
        let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
        assert_eq!(left.len(), 4, "{left:?}");
        let link = around.path().join("armorgate.web");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("armorgate/web"));
        assert_eq!(fs::read_to_string(&link).unwrap(), "text");
        for path in [files.text(&name), folder.join(".web.record")] {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }

        fs::remove_file(&link).unwrap();
        let found = files.look().unwrap();
        assert!(
            found.unlinked.contains(&name),
            "the start would not load it"
        );
        files.link(&name).unwrap();
        assert!(files.look().unwrap().unlinked.is_empty());

        files.remove(&name).unwrap();
        files.remove(&name).unwrap();
        assert_eq!(files.look().unwrap(), super::Found::default());
        assert!(fs::symlink_metadata(link).is_err());
    }

    #[test]
    fn a_file_of_somebody_else_beside_the_folder_stays() {
        let around = tempfile::tempdir().unwrap();
        let files = Files::open(around.path().join("armorgate")).unwrap();
        let name = ProfileName::parse("web").unwrap();
        let other = around.path().join("armorgate.web");
        fs::write(&other, "theirs").unwrap();
        files.link(&name).unwrap();
        files.remove(&name).unwrap();
        assert_eq!(fs::read_to_string(other).unwrap(), "theirs");
    }
}
