//! `armorgate explain`: which rule decides?

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args};

use super::{Done, includes::DirectoryIncludes, policy_file::PolicyFile, print};
use crate::{
    apparmor::{
        model::{CAPABILITIES, Profile},
        source::Sources,
    },
    compare::{Answer, Explanation, Question, ask, ask_capability},
    report::comparison::because,
};

/// Tell which rule of a profile decides about an operation
///
/// Exit code 0: permitted. 1: not permitted, or the profile is not valid. 2: could not be read.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("operation").required(true)))]
#[command(after_help = "Examples:
  armorgate explain web.profile --path /etc/shadow --perm r
  armorgate explain web.profile --path /proc/sysrq-trigger --perm w --others
  armorgate explain web.profile --capability sys_admin
  armorgate explain web.profile --network inet,stream
  armorgate explain web.profile --signal kill --peer unconfined
  armorgate explain web.profile --ptrace trace --peer web
  armorgate explain web.profile --mount /mnt --fstype tmpfs")]
pub(super) struct Explain {
    /// The file with the profile, or `-` for standard input
    file: PathBuf,
    /// Which profile of the file; needed where it has several
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Folders in which includes are looked up; without them, /etc/apparmor.d
    #[arg(long, value_name = "DIR")]
    include: Vec<PathBuf>,
    /// A file, or with a `/` at the end a folder
    #[arg(long, group = "operation", requires = "perm")]
    path: Option<String>,
    /// What is done to it: letters of r, w, a, x, m, l, k
    #[arg(long, value_name = "LETTERS", requires = "path")]
    perm: Option<String>,
    /// The file is somebody else's
    #[arg(long, requires = "path")]
    others: bool,
    /// A capability, without CAP_
    #[arg(long, group = "operation")]
    capability: Option<String>,
    /// A socket's family, and its type
    #[arg(long, group = "operation", value_name = "FAMILY[,TYPE]")]
    network: Option<String>,
    /// A signal that is sent
    #[arg(long, group = "operation", requires = "peer")]
    signal: Option<String>,
    /// What is done to another process: trace, read, tracedby or readby
    #[arg(long, group = "operation", requires = "peer")]
    ptrace: Option<String>,
    /// The other process's profile
    #[arg(long, value_name = "PROFILE")]
    peer: Option<String>,
    /// The signal is received, not sent
    #[arg(long, requires = "signal")]
    receive: bool,
    /// A mount point of a new mount
    #[arg(long, group = "operation", value_name = "PATH")]
    mount: Option<String>,
    /// What is mounted there
    #[arg(long, requires = "mount", default_value = "none")]
    source: String,
    /// The type of its file system
    #[arg(long, requires = "mount", default_value = "none")]
    fstype: String,
    /// A mount point that is unmounted
    #[arg(long, group = "operation", value_name = "PATH")]
    umount: Option<String>,
    /// A profile that is changed to
    #[arg(long, group = "operation", value_name = "PROFILE")]
    change_profile: Option<String>,
    /// A new user namespace
    #[arg(long, group = "operation")]
    userns: bool,
}

impl Explain {
    pub(super) fn run(&self) -> anyhow::Result<Done> {
        let includes = DirectoryIncludes::named(&self.include)?;
        let file = PolicyFile::read(&self.file, &includes)?;
        if file.has_errors() {
            file.show_errors()?;
            return Ok(Done::Refused);
        }
        let profiles = file.profiles(self.profile.as_deref())?;
        let [profile] = profiles.as_slice() else {
            let names: Vec<_> = profiles.iter().map(|profile| profile.shown()).collect();
            bail!(
                "the file has several profiles: name one with --profile: {}",
                names.join(", ")
            );
        };
        let answer = self.answer(profile)?;
        print(&sentence(&answer, &file.loaded.sources))?;
        Ok(if answer.permitted {
            Done::Fine
        } else {
            Done::Refused
        })
    }

    fn answer(&self, profile: &Profile) -> anyhow::Result<Answer> {
        if let Some(name) = &self.capability {
            let number = CAPABILITIES
                .iter()
                .position(|known| known == name)
                .with_context(|| format!("`{name}` is not a capability: see capabilities(7), in lower case and without CAP_"))?;
            return Ok(ask_capability(profile, number));
        }
        Ok(ask(profile, &self.question()?)?)
    }

    fn question(&self) -> anyhow::Result<Question> {
        let peer = self.peer.as_deref().unwrap_or_default();
        if let (Some(path), Some(letters)) = (&self.path, &self.perm) {
            if !path.starts_with('/') {
                bail!("--path {path}: the kernel knows whole paths only, beginning with `/`");
            }
            return Question::file(path, letters, self.others).with_context(|| {
                format!("--perm {letters}: permissions are letters of r, w, a, x, m, l, k")
            });
        }
        if let Some(network) = &self.network {
            let (family, kind) = network.split_once(',').unwrap_or((network, "stream"));
            return Question::network(family, kind).with_context(|| {
                format!("--network {network}: no such family or type, as in inet,stream")
            });
        }
        if let Some(signal) = &self.signal {
            return Question::signal(signal, peer, self.receive).with_context(|| {
                format!("--signal {signal}: no such signal, as in kill or rtmin+1")
            });
        }
        if let Some(what) = &self.ptrace {
            return Question::ptrace(what, peer)
                .with_context(|| format!("--ptrace {what}: one of trace, read, tracedby, readby"));
        }
        if let Some(target) = &self.mount {
            return Ok(Question::mount(target, &self.source, &self.fstype));
        }
        if let Some(target) = &self.umount {
            return Ok(Question::umount(target));
        }
        if let Some(label) = &self.change_profile {
            return Ok(Question::change_profile(label));
        }
        Ok(Question::userns())
    }
}

fn sentence(answer: &Answer, sources: &Sources) -> String {
    let explanation = match (answer.rule, answer.why) {
        (Some(span), _) => Explanation::rule(sources, span),
        (None, why) => Explanation::because(why.unwrap_or_default()),
    };
    let word = if answer.permitted {
        "permitted"
    } else {
        "not permitted"
    };
    format!("{word}: {}\n", because(&explanation))
}
