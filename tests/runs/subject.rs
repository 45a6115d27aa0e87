//! An image, what is asked of a container of it, and how its author's own layer is written.

use anyhow::Result;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// An image, and what is asked of a container of it.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// Layers of the set-up's, by name.
    pub(crate) packages: &'static [&'static str],
    /// What the image's own author adds.
    pub(crate) own: Vec<Entry>,
    pub(crate) config: Value,
    /// `command` of the pod; empty: what the image starts with.
    pub(crate) command: Vec<String>,
    pub(crate) probe: &'static [&'static str],
    /// What the probe says when all is well.
    pub(crate) answer: &'static str,
    /// `preStop`: it may end the container, or only make it ready for its end.
    pub(crate) hook: &'static [&'static str],
    /// The exit status after `SIGTERM`.
    pub(crate) end: u8,
    /// A command that has to fail for want of permission to run [`Self::unlisted`].
    pub(crate) attempt: &'static [&'static str],
    pub(crate) unlisted: &'static str,
    /// One of the list that nothing works without.
    pub(crate) needs: Option<&'static str>,
    /// What the list is said not to know; empty: it is complete.
    pub(crate) unknown: &'static str,
}

impl Subject {
    /// One whose layers have the usual commands of Debian, and accounts.
    pub(crate) fn of_packages(
        name: &'static str,
        packages: &'static [&'static str],
        mut own: Vec<Entry>,
    ) -> Self {
        own.push(Entry::text("etc/passwd", ACCOUNTS));
        own.push(Entry::text("etc/group", GROUPS));
        // A runtime mounts it.
        own.push(Entry::text("etc/hosts", "127.0.0.1 localhost\n"));
        // No package has it: installing them makes it.
        own.push(Entry::text(
            "etc/nsswitch.conf",
            "passwd: files\ngroup: files\n",
        ));
        Self {
            name,
            packages,
            own,
            config: json!({ "Env": [SEARCH_PATH] }),
            command: Vec::new(),
            probe: &["busybox", "wget", "-qO-", "http://127.0.0.1:8080/"],
            answer: "served",
            hook: &["sh", "-c", "sleep 1"],
            end: 0,
            attempt: &["sh", "-c", "exec /usr/bin/uname"],
            unlisted: "/usr/bin/uname",
            needs: None,
            unknown: "",
        }
    }
}

/// One entry of a layer.
pub(crate) struct Entry {
    path: &'static str,
    kind: EntryType,
    content: Vec<u8>,
    mode: u32,
    user: u64,
}

impl Entry {
    pub(crate) fn program(path: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path,
            kind: EntryType::Regular,
            content: content.into(),
            mode: 0o755,
            user: 0,
        }
    }

    pub(crate) fn text(path: &'static str, content: &str) -> Self {
        Self {
            mode: 0o644,
            ..Self::program(path, content)
        }
    }

    pub(crate) fn folder(path: &'static str, user: u64) -> Self {
        Self {
            kind: EntryType::Directory,
            user,
            ..Self::program(path, "")
        }
    }

    /// Another name of a file that is in the layer already.
    pub(crate) fn name(path: &'static str, of: &str) -> Self {
        Self {
            kind: EntryType::Link,
            ..Self::program(path, of)
        }
    }

    /// A symbolic link.
    pub(crate) fn pointer(path: &'static str, to: &str) -> Self {
        Self {
            kind: EntryType::Symlink,
            ..Self::program(path, to)
        }
    }
}

/// Writes entries as the tar of a layer.
pub(crate) fn layer(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(entry.user);
        header.set_gid(entry.user);
        header.set_size(0);
        if matches!(entry.kind, EntryType::Link | EntryType::Symlink) {
            let target = std::str::from_utf8(&entry.content)?;
            tar.append_link(&mut header, entry.path, target)?;
        } else {
            header.set_size(u64::try_from(entry.content.len())?);
            tar.append_data(&mut header, entry.path, entry.content.as_slice())?;
        }
    }
    Ok(tar.into_inner()?)
}

pub(crate) const SEARCH_PATH: &str =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ACCOUNTS: &str = "\
root:x:0:0::/root:/bin/sh
www-data:x:33:33::/var/www:/bin/false
rabbitmq:x:994:994::/var/lib/rabbitmq:/bin/false
memcache:x:995:995::/:/bin/false
haproxy:x:996:996::/:/bin/false
mysql:x:997:997::/var/lib/mysql:/bin/false
postgres:x:998:998::/var/lib/postgresql:/bin/sh
redis:x:999:999::/data:/bin/false
";
const GROUPS: &str = "\
root:x:0:
adm:x:4:
www-data:x:33:
rabbitmq:x:994:
memcache:x:995:
haproxy:x:996:
mysql:x:997:
postgres:x:998:
redis:x:999:
";
