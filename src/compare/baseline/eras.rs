//! Which release of a runtime brought which template.
//!
//! From the templates at the tags of the releases. Where it is not known which release took over a change that permits more,
//! the later one is said to have: the stricter template is the safe one to compare with.

use std::fmt;

use super::{
    runtime::Runtime,
    template::{AbiLine, ProcessPattern, PtraceWithin, Rules, Sender},
    version::Version,
};

/// A span of releases with the same template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Era {
    /// Whose releases.
    pub runtime: Runtime,
    /// The first; `None`: from the beginning.
    pub since: Option<Version>,
    /// The first one after; `None`: to the newest known.
    pub until: Option<Version>,
    /// What their template says.
    pub rules: Rules,
}

impl fmt::Display for Era {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.runtime.as_str();
        let (Some(since), until) = (self.since, self.until) else {
            return match self.until.map(short) {
                None => write!(out, "{name}, every version"),
                Some(until) => write!(out, "{name} before {until}"),
            };
        };
        match until.map(|until| (until, last_before(until))) {
            None => write!(out, "{name} {} and later", short(since)),
            Some((_, Some(last))) if last == since => write!(out, "{name} {since}"),
            Some((_, Some(last))) => write!(out, "{name} {} to {last}", short(since)),
            Some((until, None)) => {
                let (since, until) = (short(since), short(until));
                write!(out, "{name} {since} and later, before {until}")
            }
        }
    }
}

/// The release before, where it is of the same line: which one was the last of another is not known here.
fn last_before(version: Version) -> Option<Version> {
    let patch = version.patch?.checked_sub(1)?;
    Some(Version {
        patch: Some(patch),
        ..version
    })
}

/// `1.7` for 1.7.0.
fn short(version: Version) -> Version {
    Version {
        patch: version.patch.filter(|&patch| patch > 0),
        ..version
    }
}

/// The oldest template, and what replaced it from which release on.
pub(super) type Changes = (Rules, &'static [(Version, Rules)]);

pub(super) const CONTAINERD: Changes = {
    // No signal rules in 1.4.13 yet. The rules for memory devices and the first process pattern are still in 2.2.9.
    const V1_4: Rules = Rules {
        abi: AbiLine::Absent,
        denied_families: &[],
        denies_memory: true,
        denies_powercap: false,
        processes: ProcessPattern::Crossing,
        ptrace: PtraceWithin::Tracing,
        senders: &[],
    };
    const V1_5: Rules = Rules {
        senders: HOST,
        ..V1_4
    };
    const V1_6_26: Rules = Rules {
        denies_powercap: true,
        ..V1_5
    };
    const V1_6_33: Rules = Rules {
        senders: RUNC_AND_CRUN,
        ..V1_6_26
    };
    const V1_7: Rules = Rules {
        ptrace: PtraceWithin::Everything,
        ..V1_5
    };
    const V1_7_11: Rules = Rules {
        denies_powercap: true,
        ..V1_7
    };
    const V1_7_16: Rules = Rules {
        senders: RUNC_AND_CRUN,
        ..V1_7_11
    };
    // Unix sockets were denied under kernel 6.17 without it. Hosts without the file could not load the profile, hence the
    // condition one release later: seen in 1.7.35, 2.0.14, 2.1.9, 2.2.9.
    const WITH_ABI: Rules = Rules {
        abi: AbiLine::Always,
        ..V1_7_16
    };
    const WITH_ABI_WHERE_FOUND: Rules = Rules {
        abi: AbiLine::WhereFound,
        ..V1_7_16
    };
    // The same in 2.3.7 and 2.4.2. AF_ALG and AF_VSOCK are left to seccomp.
    const V2_3: Rules = Rules {
        denies_memory: false,
        processes: ProcessPattern::Exact,
        ..WITH_ABI_WHERE_FOUND
    };
    (
        V1_4,
        &[
            (Version::new(1, 5, 0), V1_5),
            (Version::new(1, 6, 26), V1_6_26),
            (Version::new(1, 6, 33), V1_6_33),
            (Version::new(1, 7, 0), V1_7),
            (Version::new(1, 7, 11), V1_7_11),
            (Version::new(1, 7, 16), V1_7_16),
            (Version::new(1, 7, 31), WITH_ABI),
            (Version::new(1, 7, 32), WITH_ABI_WHERE_FOUND),
            (Version::new(2, 0, 0), V1_7_16),
            (Version::new(2, 0, 9), WITH_ABI_WHERE_FOUND),
            (Version::new(2, 1, 0), V1_7_16),
            (Version::new(2, 1, 7), WITH_ABI),
            (Version::new(2, 1, 8), WITH_ABI_WHERE_FOUND),
            (Version::new(2, 2, 0), V1_7_16),
            (Version::new(2, 2, 2), WITH_ABI),
            (Version::new(2, 2, 4), WITH_ABI_WHERE_FOUND),
            (Version::new(2, 3, 0), V2_3),
        ],
    )
};

pub(super) const DOCKER: Changes = {
    // 19.03. Signals from the daemon's own label: `unconfined`, as long as the daemon has no profile.
    const V19: Rules = Rules {
        abi: AbiLine::Absent,
        denied_families: &[],
        denies_memory: false,
        denies_powercap: false,
        processes: ProcessPattern::Crossing,
        ptrace: PtraceWithin::Tracing,
        senders: HOST,
    };
    const V20: Rules = Rules {
        ptrace: PtraceWithin::Everything,
        ..V19
    };
    const V23: Rules = Rules {
        processes: ProcessPattern::Half,
        ..V20
    };
    const WITH_POWERCAP: Rules = Rules {
        denies_powercap: true,
        ..V23
    };
    const V27: Rules = Rules {
        senders: RUNC_AND_CRUN,
        ..WITH_POWERCAP
    };
    const V29_4: Rules = Rules {
        abi: AbiLine::WhereFound,
        denied_families: &["alg"],
        processes: ProcessPattern::Exact,
        ..V27
    };
    const V29_8: Rules = Rules {
        denied_families: &["alg", "vsock"],
        ..V29_4
    };
    (
        V19,
        &[
            (Version::new(20, 10, 0), V20),
            (Version::new(20, 10, 26), V23),
            (Version::new(20, 10, 27), WITH_POWERCAP),
            (Version::new(23, 0, 0), V23),
            (Version::new(23, 0, 8), WITH_POWERCAP),
            (Version::new(23, 0, 12), V27),
            (Version::new(24, 0, 0), V23),
            (Version::new(24, 0, 7), WITH_POWERCAP),
            (Version::new(25, 0, 6), V27),
            (Version::new(26, 0, 0), WITH_POWERCAP),
            (Version::new(26, 1, 3), V27),
            // moby/profiles apparmor/v0.2.1.
            (Version::new(29, 4, 3), V29_4),
            // The commit that became apparmor/v0.2.2.
            (Version::new(29, 8, 0), V29_8),
        ],
    )
};

/// containers/common 0.57: no powercap rule, no ABI, and none of both up to 0.64.
const COMMON: Rules = Rules {
    abi: AbiLine::Absent,
    denied_families: &[],
    denies_memory: false,
    denies_powercap: false,
    processes: ProcessPattern::Crossing,
    ptrace: PtraceWithin::Tracing,
    senders: HOST,
};
/// containers/common 0.59.
const COMMON_WITH_ENGINES: Rules = Rules {
    senders: ENGINES_WITH_STOPPING,
    ..COMMON
};
/// containers/common 0.63.
const COMMON_WITH_ALL_SIGNALS: Rules = Rules {
    senders: ENGINES,
    ..COMMON
};

pub(super) const CRIO: Changes = (
    COMMON,
    &[
        (Version::new(1, 31, 0), COMMON_WITH_ENGINES),
        // With containers/common 0.63.0.
        (Version::new(1, 34, 0), COMMON_WITH_ALL_SIGNALS),
    ],
);

pub(super) const PODMAN: Changes = (
    COMMON,
    &[
        (Version::new(5, 1, 0), COMMON_WITH_ENGINES),
        // With containers/common 0.63.0; 5.4.0 has 0.62.0.
        (Version::new(5, 5, 0), COMMON_WITH_ALL_SIGNALS),
    ],
);

const HOST: &[Sender] = &[Sender::of("unconfined")];
/// By their names only: the profiles `runc` and `crun` of Ubuntu and AppArmor 4.
const RUNC_AND_CRUN: &[Sender] = &[
    Sender::of("unconfined"),
    Sender::of("runc"),
    Sender::of("crun"),
];
const ENGINES_WITH_STOPPING: &[Sender] = &[
    Sender::of("unconfined"),
    Sender::of("{/usr/bin/,/usr/sbin/,}runc"),
    Sender::of("{/usr/bin/,/usr/sbin/,}crun*"),
    Sender {
        signals: &["int", "kill", "quit", "term"],
        peer: "{/usr/bin/,/usr/sbin/,}podman",
    },
];
const ENGINES: &[Sender] = &[
    Sender::of("unconfined"),
    Sender::of("{/usr/bin/,/usr/sbin/,}runc"),
    Sender::of("{/usr/bin/,/usr/sbin/,}crun*"),
    Sender::of("{/usr/bin/,/usr/sbin/,}podman"),
];
