//! What a policy's ABI says that the kernel mediates.
//!
//! An ABI is a file of nested names, as the kernel lists its features: `network_v8 {af_mask {unspec unix inet … } }`. The parser
//! writes no rules of a class that is not in it, and the kernel permits whatever it has no rules' class for
//! (`RULE_MEDIATES` in security/apparmor).

/// The features that a policy was written for: `abi <abi/4.0>,`. A class that is not among them is not mediated: whatever it
/// is about is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a list of features that are there or not"
)]
pub struct Features {
    /// `dbus`
    pub dbus: bool,
    /// `io_uring`
    pub io_uring: bool,
    /// `mount`
    pub mount: bool,
    /// `network_v8`: sockets by family and type.
    pub network_v8: bool,
    /// `network_v8/af_inet`: their addresses too.
    pub network_v8_inet: bool,
    /// `network_v9`: the same, and Unix sockets.
    pub network_v9: bool,
    /// `network_v9/af_unix`
    pub network_v9_unix: bool,
    /// `network/af_unix`: Unix sockets by address and peer.
    pub network_unix: bool,
    /// `ipc/posix_mqueue`
    pub posix_mqueue: bool,
    /// `ptrace`
    pub ptrace: bool,
    /// `signal`
    pub signal: bool,
    /// `domain/stack`: labels of several profiles, and namespaces in labels as they are written.
    pub stacking: bool,
    /// `ipc/sysv_mqueue`
    pub sysv_mqueue: bool,
    /// `namespaces/mask/userns_create`
    pub userns: bool,
}

impl Features {
    /// What `apparmor_parser` 5.0 takes when the policy names no ABI: that of Linux 5.4 without any network mediation but
    /// Ubuntu's (`default_features_abi`, printed by `apparmor_parser -D …` runs as a warning).
    pub const DEFAULT: Self = Self {
        dbus: true,
        io_uring: false,
        mount: true,
        network_v8: false,
        network_v8_inet: false,
        network_v9: false,
        network_v9_unix: false,
        network_unix: true,
        posix_mqueue: false,
        ptrace: true,
        signal: true,
        stacking: false,
        sysv_mqueue: false,
        userns: false,
    };

    /// `abi/3.0`
    pub const ABI_3_0: Self = Self {
        network_v8: true,
        stacking: true,
        ..Self::DEFAULT
    };

    /// `abi/4.0`
    pub const ABI_4_0: Self = Self {
        posix_mqueue: true,
        userns: true,
        ..Self::ABI_3_0
    };

    /// `abi/5.0`
    pub const ABI_5_0: Self = Self {
        io_uring: true,
        network_v8_inet: true,
        network_v9: true,
        network_v9_unix: true,
        ..Self::ABI_4_0
    };

    /// Nothing but files and capabilities.
    pub const NONE: Self = Self {
        dbus: false,
        io_uring: false,
        mount: false,
        network_v8: false,
        network_v8_inet: false,
        network_v9: false,
        network_v9_unix: false,
        network_unix: false,
        posix_mqueue: false,
        ptrace: false,
        signal: false,
        stacking: false,
        sysv_mqueue: false,
        userns: false,
    };

    /// Reads an ABI file. Names that nothing here depends on are passed over, as the parser does.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        let mut features = Self::NONE;
        names(text, |path, name| {
            let named = match (path, name) {
                ([], "dbus") => &mut features.dbus,
                ([], "io_uring") => &mut features.io_uring,
                ([], "mount") => &mut features.mount,
                ([], "network_v8") => &mut features.network_v8,
                (["network_v8"], "af_inet") => &mut features.network_v8_inet,
                ([], "network_v9") => &mut features.network_v9,
                (["network_v9"], "af_unix") => &mut features.network_v9_unix,
                (["network"], "af_unix") => &mut features.network_unix,
                (["ipc"], "posix_mqueue") => &mut features.posix_mqueue,
                ([], "ptrace") => &mut features.ptrace,
                ([], "signal") => &mut features.signal,
                (["domain"], "stack") => &mut features.stacking,
                (["ipc"], "sysv_mqueue") => &mut features.sysv_mqueue,
                (["namespaces", "mask"], "userns_create") => &mut features.userns,
                _ => return,
            };
            *named = true;
        });
        features
    }

    /// The ABIs that every AppArmor has, by the path in `abi <…>`: what they say where their files are not at hand.
    #[must_use]
    pub fn known(path: &[u8]) -> Option<Self> {
        Some(match path {
            b"abi/3.0" => Self::ABI_3_0,
            b"abi/4.0" => Self::ABI_4_0,
            b"abi/4.0-ip" => Self {
                network_v8_inet: true,
                ..Self::ABI_4_0
            },
            b"abi/5.0" => Self::ABI_5_0,
            b"abi/kernel-5.4-outoftree-network" => Self {
                stacking: true,
                ..Self::DEFAULT
            },
            b"abi/kernel-5.4-vanilla" => Self {
                dbus: false,
                network_unix: false,
                stacking: true,
                ..Self::DEFAULT
            },
            _ => return None,
        })
    }
}

/// LIMIT: names inside of each other; features go four deep.
const MAX_DEPTH: usize = 8;

/// All names, values too, each with the names that it is in.
fn names(text: &[u8], mut found: impl FnMut(&[&str], &str)) {
    let mut path: Vec<&str> = Vec::new();
    // A word is a group when a `{` follows it.
    let mut pending: Option<&str> = None;
    let text = String::from_utf8_lossy(text);
    let words = text.split_inclusive(['{', '}']).flat_map(|part| {
        let words = part.strip_suffix(['{', '}']).unwrap_or(part);
        let brace = part.get(words.len()..).filter(|brace| !brace.is_empty());
        words.split_whitespace().chain(brace)
    });
    for word in words {
        match word {
            "{" => {
                if path.len() == MAX_DEPTH {
                    break;
                }
                let group = pending.take().unwrap_or_default();
                found(&path, group);
                path.push(group);
            }
            "}" => {
                if let Some(name) = pending.take() {
                    found(&path, name);
                }
                path.pop();
            }
            _ => {
                if let Some(name) = pending.replace(word) {
                    found(&path, name);
                }
            }
        }
    }
    if let Some(name) = pending {
        found(&path, name);
    }
}
