//! What the kernel says of AppArmor: whether it is on, which profiles are loaded, which ones processes have; and unloading.
//!
//! Only names that somebody asks for are looked at: a node may have thousands of profiles of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use super::{
    Fingerprint, ProfileName,
    plan::{InUse, Loaded},
};

/// LIMIT: bytes of a small file of the kernel.
const MAX_SMALL: u64 = 4096;

/// LIMIT: bytes of a policy that is hashed here, where the kernel has no SHA-256 of it.
const MAX_POLICY: u64 = 64 << 20;

/// The kernel's interfaces, by where they are mounted.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// securityfs: `/sys/kernel/security`
    pub security: PathBuf,
    /// sysfs: `/sys`
    pub system: PathBuf,
    /// proc of the node's own PID namespace: `/proc`
    pub processes: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            security: "/sys/kernel/security".into(),
            system: "/sys".into(),
            processes: "/proc".into(),
        }
    }
}

impl Kernel {
    /// Whether the kernel confines with AppArmor, and the agent can reach it; else a sentence.
    pub(crate) fn is_enabled(&self) -> Result<(), String> {
        let parameter = self.system.join("module/apparmor/parameters/enabled");
        let enabled = small(&parameter).unwrap_or_default();
        if enabled != "Y" {
            return Err("the kernel has no AppArmor, or it is switched off".to_owned());
        }
        if !self.policy().is_dir() {
            let mount = self.security.display();
            return Err(format!(
                "AppArmor is on, and there is no {mount}/apparmor: mount securityfs there"
            ));
        }
        Ok(())
    }

    /// The id of this boot.
    pub(crate) fn boot(&self) -> io::Result<String> {
        small(&self.processes.join("sys/kernel/random/boot_id"))
    }

    /// Those of these profiles that are loaded.
    pub(crate) fn loaded(
        &self,
        names: &BTreeSet<ProfileName>,
    ) -> io::Result<BTreeMap<ProfileName, Loaded>> {
        let mut loaded = BTreeMap::new();
        for entry in fs::read_dir(self.policy().join("profiles"))? {
            let entry = entry?;
            let folder = entry.file_name();
            // `NAME.N`: the kernel keeps letters, digits, dots and dashes as they are (`mangle_name`), and numbers the folders.
            let Some((name, _)) = folder.to_str().and_then(|folder| folder.rsplit_once('.')) else {
                continue;
            };
            let Some(name) = names.get(name) else {
                continue;
            };
            match read_profile(&entry.path(), name) {
                Ok(found) => loaded.extend(found.map(|found| (name.clone(), found))),
                // Replaced or unloaded just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(loaded)
    }

    /// The profiles that processes have, or will have with their next program. Whoever cannot be read has ended.
    pub(crate) fn in_use(&self) -> InUse {
        let mut names = BTreeSet::new();
        match self.labels(&mut names) {
            Ok(()) => InUse::Known(names),
            Err(error) => {
                tracing::warn!(%error, "cannot tell which profiles processes have");
                InUse::Unknown
            }
        }
    }

    fn labels(&self, names: &mut BTreeSet<ProfileName>) -> io::Result<()> {
        let mut processes = 0;
        for process in fs::read_dir(&self.processes)? {
            let process = process?;
            if !is_number(&process.file_name()) {
                continue;
            }
            // Each thread has a label of its own.
            let threads = match fs::read_dir(process.path().join("task")) {
                Ok(threads) => threads,
                Err(error) if has_ended(&error) => continue,
                Err(error) => return Err(error),
            };
            for thread in threads {
                let thread = match thread {
                    Ok(thread) => thread.path(),
                    Err(error) if has_ended(&error) => break,
                    Err(error) => return Err(error),
                };
                for label in ["current", "exec"] {
                    match label_of(&thread, label) {
                        Ok(label) => {
                            names.extend(profiles_of(&label));
                            processes += 1;
                        }
                        Err(error) if has_ended(&error) => break,
                        // EINVAL: the next program's is not set (`apparmor_getprocattr`).
                        Err(error)
                            if label == "exec" && error.kind() == io::ErrorKind::InvalidInput => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        // This process at least has been read.
        if processes == 0 {
            return Err(io::Error::other("no process has a label"));
        }
        Ok(())
    }

    /// Unloads a profile. The kernel takes a name (`profile_remove` of apparmorfs), and forgets its children with it.
    pub(crate) fn unload(&self, name: &ProfileName) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .open(self.security.join("apparmor/.remove"))?;
        file.write_all(name.as_str().as_bytes())
    }

    fn policy(&self) -> PathBuf {
        self.security.join("apparmor/policy")
    }
}

/// None: another profile, whose name looks the same in the folder's.
fn read_profile(folder: &Path, name: &ProfileName) -> io::Result<Option<Loaded>> {
    if small(&folder.join("name"))? != name.as_str() {
        return Ok(None);
    }
    let mode = small(&folder.join("mode"))?;
    let policy = match small(&folder.join("raw_sha256")) {
        Ok(hash) => hash.parse().ok(),
        // Before Linux 6.8 hashes are SHA-1: the policy itself is there to be hashed.
        Err(_) => hash(&folder.join("raw_data")).ok(),
    };
    Ok(Some(Loaded { policy, mode }))
}

fn hash(path: &Path) -> io::Result<Fingerprint> {
    let mut policy = Vec::new();
    File::open(path)?
        .take(MAX_POLICY)
        .read_to_end(&mut policy)?;
    Ok(Fingerprint::of(&policy))
}

/// `attr/apparmor/` is AppArmor's alone where several modules share `attr/` (since Linux 5.8).
fn label_of(thread: &Path, what: &str) -> io::Result<String> {
    match small(&thread.join("attr/apparmor").join(what)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            small(&thread.join("attr").join(what))
        }
        label => label,
    }
}

/// The profiles of a label: `a//child//&b (enforce)` has a and b. Those of other namespaces, `:ns://c`, count as well: better one
/// too many.
fn profiles_of(label: &str) -> impl Iterator<Item = ProfileName> {
    let label = label.rsplit_once(" (").map_or(label, |(label, _)| label);
    label.split("//&").filter_map(|profile| {
        let profile = match profile
            .strip_prefix(':')
            .and_then(|rest| rest.split_once(':'))
        {
            Some((_, inside)) => inside.trim_start_matches("//"),
            None => profile,
        };
        let outer = profile.split("//").next()?;
        ProfileName::parse(outer)
    })
}

fn is_number(name: &std::ffi::OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
}

/// ESRCH: the process ended between the open and the read.
fn has_ended(error: &io::Error) -> bool {
    const ESRCH: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

/// A line of text without its end.
fn small(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_SMALL).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.trim_end_matches(['\n', '\0']).to_owned())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::{Kernel, ProfileName, profiles_of};

    #[test]
    fn a_label_names_all_of_its_profiles() {
        for (label, expected) in [
            ("unconfined", &["unconfined"][..]),
            ("web (enforce)", &["web"]),
            ("web//child (complain)", &["web"]),
            ("web//null-/bin/sh (complain)", &["web"]),
            ("a//&b//c//&:ns://d (mixed)", &["a", "b", "d"]),
            (":ns:d (enforce)", &["d"]),
            ("/usr/bin/man (enforce)", &[]),
            ("", &[]),
        ] {
            let found: Vec<String> = profiles_of(label).map(|name| name.to_string()).collect();
            assert_eq!(found, expected, "{label}");
        }
    }

    #[test]
    fn a_machine_without_apparmor_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let kernel = Kernel {
            security: folder.path().join("security"),
            system: folder.path().to_owned(),
            processes: folder.path().to_owned(),
        };
        assert!(kernel.is_enabled().unwrap_err().contains("no AppArmor"));
        let parameters = folder.path().join("module/apparmor/parameters");
        fs::create_dir_all(&parameters).unwrap();
        fs::write(parameters.join("enabled"), "N\n").unwrap();
        assert!(kernel.is_enabled().unwrap_err().contains("switched off"));
        fs::write(parameters.join("enabled"), "Y\n").unwrap();
        assert!(kernel.is_enabled().unwrap_err().contains("securityfs"));
        assert!(kernel.in_use().may_be(&ProfileName::parse("any").unwrap()));
        assert!(kernel.loaded(&BTreeSet::new()).is_err());
    }
}
