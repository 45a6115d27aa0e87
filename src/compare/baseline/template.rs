//! A default profile's rules, and the text that says them.

use std::iter;

use super::runtime::Runtime;

/// What a runtime generates its default profile from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// The runtime: it names the profile.
    pub runtime: Runtime,
    /// Whether the host has no `abstractions/base` to include.
    pub bare: bool,
    /// What differs between versions.
    pub rules: Rules,
}

/// What differs between the templates. All of them permit every capability, every socket but of the denied families, every
/// file but those denied, `umount`, and what processes of the same profile do to each other; all of them deny `mount`. They
/// say nothing of `pivot_root`, `change_profile`, D-Bus, user namespaces, message queues and `io_uring`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Whether the AppArmor ABI is said.
    pub abi: AbiLine,
    /// Socket families that are denied.
    pub denied_families: &'static [&'static str],
    /// Whether `/proc/mem` and `/proc/kmem` are denied, which Linux does not have.
    pub denies_memory: bool,
    /// Whether `/sys/devices/virtual/powercap` is denied: energy counters tell what other processes compute.
    pub denies_powercap: bool,
    /// How the folders of processes are told from the rest of `/proc`.
    pub processes: ProcessPattern,
    /// What processes of the same profile may trace of each other.
    pub ptrace: PtraceWithin,
    /// Who may send signals, beside processes of the same profile. Nobody: nor may these.
    pub senders: &'static [Sender],
}

/// Whether a template says `abi <abi/3.0>`. Without it the parser's configuration decides what is mediated at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbiLine {
    /// No.
    Absent,
    /// Yes, also where the file is missing: that profile does not load.
    Always,
    /// Where the host has the file.
    WhereFound,
}

/// What `/proc/{…}/** w` denies: folders whose names are no process number and not `sys`, in a pattern for each length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProcessPattern {
    /// The negated classes match `/` too, so that what should be one name crosses folders: this denies more, such as writing
    /// to `/proc/sys/kernel/shmmax`.
    Crossing,
    /// No class matches `/`.
    Exact,
    /// Only the last class does not: on paths without `//`, the same as [`Self::Exact`].
    Half,
}

impl ProcessPattern {
    /// The alternatives.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crossing => "[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*",
            Self::Exact => {
                "[^1-9/],[^1-9/][^0-9/],[^1-9s/][^0-9y/][^0-9s/],[^1-9/][^0-9/][^0-9/][^0-9/]*"
            }
            Self::Half => "[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*",
        }
    }
}

/// What processes of the same profile may trace of each other: both sides need a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PtraceWithin {
    /// Read, trace, be read and be traced.
    Everything,
    /// Read and trace. To be read and traced takes the rules of `abstractions/base`.
    Tracing,
}

impl PtraceWithin {
    const fn permissions(self) -> &'static str {
        match self {
            Self::Everything => "read, readby, trace, tracedby",
            Self::Tracing => "read, trace",
        }
    }
}

/// Whose signals a container takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    /// Which signals; none named: all.
    pub signals: &'static [&'static str],
    /// The pattern of the sender's label.
    pub peer: &'static str,
}

impl Sender {
    /// A sender of any signal.
    pub(super) const fn of(peer: &'static str) -> Self {
        Self { signals: &[], peer }
    }

    fn rule(self) -> String {
        let set = match self.signals {
            [] => String::new(),
            signals => format!(" set=({})", signals.join(", ")),
        };
        format!("signal receive{set} peer={},", self.peer)
    }
}

impl Template {
    /// The profile, as `apparmor_parser` reads it without any file beside it but the ABI's.
    #[must_use]
    pub fn text(&self) -> String {
        self.text_with(self.runtime.profile_name(), &[FILE.to_owned()])
    }

    /// The same under another name, with other lines in the place of `file,`. Every other rule stays as it is.
    pub(crate) fn text_with(&self, name: &str, files: &[String]) -> String {
        let Rules { abi, .. } = self.rules;
        let abi = match (abi, self.bare) {
            (AbiLine::Always, _) | (AbiLine::WhereFound, false) => "abi <abi/3.0>,\n\n",
            (AbiLine::Absent, _) | (AbiLine::WhereFound, true) => "",
        };
        let mut lines = self.everything(files);
        lines.extend(self.processes(name));
        lines.extend(self.proc_denied());
        lines.extend(self.sys_denied());
        if !self.bare {
            lines.extend(self.abstractions_base(name));
        }
        let body = lines.join("\n    ");
        format!(
            "{abi}@{{PROC}} = /proc/\n\nprofile {name} flags=(attach_disconnected, mediate_deleted) {{\n    {body}\n}}\n"
        )
    }

    fn everything(&self, files: &[String]) -> Vec<String> {
        let denied = self.rules.denied_families.iter();
        iter::once("capability,".to_owned())
            .chain(files.iter().cloned())
            .chain(iter::once("network,".to_owned()))
            .chain(denied.map(|family| format!("deny network {family},")))
            .chain(["umount,", "deny mount,"].map(str::to_owned))
            .collect()
    }

    fn processes(&self, name: &str) -> Vec<String> {
        let Rules {
            ptrace, senders, ..
        } = self.rules;
        let mut lines = vec![format!("ptrace ({}) peer={name},", ptrace.permissions())];
        if !senders.is_empty() {
            lines.push(format!("signal (receive, send) peer={name},"));
        }
        lines.extend(senders.iter().map(|sender| sender.rule()));
        lines
    }

    fn proc_denied(&self) -> Vec<String> {
        let memory: &[&str] = if self.rules.denies_memory {
            &["deny @{PROC}/kmem rwklx,", "deny @{PROC}/mem rwklx,"]
        } else {
            &[]
        };
        let processes = self.rules.processes.as_str();
        let mut lines = vec![
            "deny @{PROC}/* w,".to_owned(),
            format!("deny @{{PROC}}/{{{processes}}}/** w,"),
        ];
        let fixed = [
            "deny @{PROC}/sys/[^k]** w,",
            "deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,",
            "deny @{PROC}/kcore rwklx,",
            "deny @{PROC}/sysrq-trigger rwklx,",
        ];
        lines.extend(fixed.iter().chain(memory).map(|&rule| rule.to_owned()));
        lines
    }

    fn sys_denied(&self) -> Vec<String> {
        let powercap: &[&str] = if self.rules.denies_powercap {
            &["deny /sys/devices/virtual/powercap/** rwklx,"]
        } else {
            &[]
        };
        [
            // All of /sys but /sys/fs/cgroup, letter by letter: the language has no "except".
            "deny /sys/[^f]*/** wklx,",
            "deny /sys/f[^s]*/** wklx,",
            "deny /sys/fs/[^c]*/** wklx,",
            "deny /sys/fs/c[^g]*/** wklx,",
            "deny /sys/fs/cg[^r]*/** wklx,",
            "deny /sys/firmware/** rwklx,",
            "deny /sys/kernel/security/** rwklx,",
        ]
        .iter()
        .chain(powercap)
        .map(|&rule| rule.to_owned())
        .collect()
    }

    /// What `abstractions/base` permits beyond the template's own rules: of what it says of files and sockets, `file,` and
    /// `network,` leave nothing over. The same in AppArmor 3.0, 4.1 and 5.0. Its `abi` line has no effect: only one before
    /// the first profile has.
    fn abstractions_base(&self, name: &str) -> Vec<String> {
        let mut lines = vec![
            "ptrace (readby, tracedby),".to_owned(),
            "signal (receive, send) set=exists,".to_owned(),
        ];
        if self.rules.senders.is_empty() {
            lines.push("signal receive peer=unconfined,".to_owned());
            lines.push(format!("signal (receive, send) peer={name},"));
        }
        lines
    }
}

/// Every file, to do anything with, and every program to run within the profile.
const FILE: &str = "file,";
