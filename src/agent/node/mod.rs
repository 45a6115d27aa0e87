//! A node: looks at the kernel and at the agent's files, and does what is planned.
//!
//! Everything here waits: for the disk, for `apparmor_parser`. It knows nothing of the cluster.

mod act;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Fingerprint, Kernel, Parser, ProfileName,
    files::{Files, Found},
    plan::{Action, Desired, InUse, Plan, Seen, Standing, Want, plan},
    text::{Checked, check},
};
use crate::apparmor::include::Includes;

/// How long to wait before what failed is tried again: so long at first, twice as long after each time.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));

/// How long a text stays refused before it is read again: what it includes may have come.
const RECHECK: Duration = Duration::from_mins(5);

/// What a node's agent works with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kernel.
    pub kernel: Kernel,
    /// The agent's folder for texts, best in `/etc/apparmor.d`.
    pub folder: PathBuf,
    /// `apparmor_parser`.
    pub parser: Parser,
    /// How long a profile stays that nothing names.
    pub keep: Duration,
}

/// What the node's pods want, with the texts.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The profiles that pods need which run or will.
    pub wanted: BTreeMap<ProfileName, Text>,
    /// Those that any pod names, also one that has ended.
    pub named: BTreeSet<ProfileName>,
}

/// What is known of a profile's text.
#[derive(Clone, Debug)]
pub enum Text {
    /// It is this.
    Known(Arc<str>),
    /// There is none yet, and why.
    Waiting(&'static str),
}

/// How things stand on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The profiles that pods want, and those that the agent has loaded.
    pub profiles: BTreeMap<ProfileName, ProfileReport>,
    /// How many were loaded or replaced just now.
    pub loads: u32,
    /// How many could not be just now.
    pub failures: u32,
}

/// How a profile stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileReport {
    /// How far it is.
    pub standing: Standing,
    /// The text that is loaded.
    pub text: Option<Fingerprint>,
    /// The policy that the kernel has.
    pub policy: Option<Fingerprint>,
}

/// Why nothing can be done on a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The kernel confines nothing, a sentence says why.
    #[error("{0}")]
    Disabled(String),
    /// The folder cannot be read or written.
    #[error("cannot use {}", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    /// The kernel does not tell what is loaded.
    #[error("cannot read what the kernel has loaded")]
    Kernel(#[source] io::Error),
}

/// What went wrong with a profile, and when to try again.
#[derive(Debug)]
struct Failure {
    text: Option<Fingerprint>,
    message: String,
    wait: Duration,
    again: Instant,
}

/// What was found of a text.
#[derive(Debug)]
struct Judged {
    text: Arc<str>,
    at: Instant,
    result: Result<Checked, String>,
}

/// A node whose kernel confines.
pub struct Node {
    options: Options,
    files: Files,
    includes: Box<dyn Includes + Send>,
    boot: String,
    judged: BTreeMap<ProfileName, Judged>,
    failures: BTreeMap<ProfileName, Failure>,
    /// When each profile of the agent's was named last, or seen in use.
    used: BTreeMap<ProfileName, Instant>,
}

impl Node {
    /// The node, as an agent finds it that has just started. What another had half done is gone through with by [`Self::reconcile`].
    pub fn open(options: Options, includes: Box<dyn Includes + Send>) -> Result<Self, NodeError> {
        options.kernel.is_enabled().map_err(NodeError::Disabled)?;
        let boot = options.kernel.boot().map_err(NodeError::Kernel)?;
        let files = Files::open(options.folder.clone())
            .map_err(|error| NodeError::Folder(options.folder.clone(), error))?;
        Ok(Self {
            options,
            files,
            includes,
            boot,
            judged: BTreeMap::new(),
            failures: BTreeMap::new(),
            used: BTreeMap::new(),
        })
    }

    /// Does what is to be done now, and says how things stand then.
    pub fn reconcile(&mut self, wishes: &Wishes, now: Instant) -> Result<Report, NodeError> {
        let found = self.found()?;
        self.remember(wishes, &found, now);
        let desired = self.desired(wishes, &found, now);
        let mut seen = self.look(&desired, found)?;
        // All processes are gone through only where it matters.
        if desired
            .expired
            .iter()
            .any(|name| !desired.named.contains(name))
        {
            seen.in_use = self.options.kernel.in_use();
            self.used.extend(
                desired
                    .expired
                    .iter()
                    .filter(|name| seen.in_use.may_be(name))
                    .map(|name| (name.clone(), now)),
            );
        }
        let Plan { actions, .. } = plan(&desired, &seen);
        let mut report = Report::default();
        for (name, action) in actions {
            self.try_to_act(&name, action, &seen, &mut report, now);
        }
        let found = self.found()?;
        let seen = self.look(&desired, found)?;
        report.profiles = self.standing(&desired, &seen);
        Ok(report)
    }

    /// How long until what failed is to be tried again, at the earliest.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let waits = self.failures.values();
        let waits = waits.filter_map(|failure| failure.again.checked_duration_since(now));
        waits.filter(|wait| !wait.is_zero()).min()
    }

    fn found(&self) -> Result<Found, NodeError> {
        self.files
            .look()
            .map_err(|error| NodeError::Folder(self.options.folder.clone(), error))
    }

    fn look(&self, desired: &Desired, found: Found) -> Result<Seen, NodeError> {
        let names = desired.wanted.keys().chain(found.records.keys());
        let names: BTreeSet<ProfileName> = names.cloned().collect();
        let loaded = self
            .options
            .kernel
            .loaded(&names)
            .map_err(NodeError::Kernel)?;
        Ok(Seen {
            boot: self.boot.clone(),
            loaded,
            records: found.records,
            files: found.texts,
            unlinked: found.unlinked,
            in_use: InUse::Unknown,
        })
    }

    /// What is named now is used now; what an agent before this one has loaded is from when this one came.
    fn remember(&mut self, wishes: &Wishes, found: &Found, now: Instant) {
        self.used.retain(|name, _| found.records.contains_key(name));
        for name in found.records.keys() {
            let is_named = wishes.named.contains(name) || wishes.wanted.contains_key(name);
            if is_named || !self.used.contains_key(name) {
                self.used.insert(name.clone(), now);
            }
        }
        self.judged
            .retain(|name, _| wishes.wanted.contains_key(name));
        self.failures
            .retain(|name, _| wishes.wanted.contains_key(name) || found.records.contains_key(name));
    }

    fn desired(&mut self, wishes: &Wishes, found: &Found, now: Instant) -> Desired {
        let mut wanted = BTreeMap::new();
        for (name, text) in &wishes.wanted {
            let want = match text {
                Text::Waiting(why) => Want::Waiting(why),
                Text::Known(text) => match self.judge(name, text, now) {
                    Ok(checked) => Want::Text(checked.fingerprint),
                    Err(why) => Want::Refused(why),
                },
            };
            wanted.insert(name.clone(), want);
        }
        let is_expired = |name: &&ProfileName| {
            let used = self.used.get(*name);
            used.is_some_and(|used| now.saturating_duration_since(*used) >= self.options.keep)
        };
        Desired {
            wanted,
            named: wishes.named.clone(),
            expired: found.records.keys().filter(is_expired).cloned().collect(),
        }
    }

    fn judge(
        &mut self,
        name: &ProfileName,
        text: &Arc<str>,
        now: Instant,
    ) -> Result<Checked, String> {
        if let Some(judged) = self.judged.get(name)
            && judged.text == *text
            && (judged.result.is_ok() || now.saturating_duration_since(judged.at) < RECHECK)
        {
            return judged.result.clone();
        }
        let result = check(name, text, &*self.includes);
        let judged = Judged {
            text: Arc::clone(text),
            at: now,
            result: result.clone(),
        };
        self.judged.insert(name.clone(), judged);
        result
    }

    fn try_to_act(
        &mut self,
        name: &ProfileName,
        action: Action,
        seen: &Seen,
        report: &mut Report,
        now: Instant,
    ) {
        let text = match action {
            Action::Add(text) | Action::Replace(text) => Some(text),
            Action::Forget | Action::Settle | Action::Unload => None,
        };
        let before = self
            .failures
            .get(name)
            .filter(|failure| failure.text == text);
        if before.is_some_and(|failure| now < failure.again) {
            return;
        }
        let wait = before.map_or(RETRY.0, |failure| {
            RETRY.1.min(failure.wait.saturating_mul(2))
        });
        match self.act(name, action, seen) {
            Ok(()) => {
                tracing::info!(profile = %name, action = said(action), "done");
                self.failures.remove(name);
                report.loads += u32::from(text.is_some());
            }
            Err(error) => {
                tracing::warn!(profile = %name, action = said(action), %error, "not done");
                report.failures += u32::from(text.is_some());
                let failure = Failure {
                    text,
                    message: error.to_string(),
                    wait,
                    again: now.checked_add(wait).unwrap_or(now),
                };
                self.failures.insert(name.clone(), failure);
            }
        }
    }

    fn standing(&self, desired: &Desired, seen: &Seen) -> BTreeMap<ProfileName, ProfileReport> {
        let standing = plan(desired, seen).standing.into_iter();
        let reports = standing.map(|(name, standing)| {
            // What is said of another text does not count any more.
            let wanted = match desired.wanted.get(&name) {
                Some(Want::Text(text)) => Some(*text),
                _ => None,
            };
            let failure = self.failures.get(&name);
            let failure =
                failure.filter(|failure| failure.text.is_none() || failure.text == wanted);
            let standing = match (standing, failure) {
                (Standing::Pending | Standing::Loaded, Some(failure)) => {
                    Standing::Failed(failure.message.clone())
                }
                (standing, _) => standing,
            };
            let is_foreign = standing == Standing::Foreign;
            let record = seen.records.get(&name).filter(|_| !is_foreign);
            let loaded = seen.loaded.get(&name);
            let report = ProfileReport {
                standing,
                text: loaded.and(record).map(|record| record.text),
                policy: loaded.and_then(|loaded| loaded.policy),
            };
            (name, report)
        });
        reports.collect()
    }
}

const fn said(action: Action) -> &'static str {
    match action {
        Action::Add(_) => "add",
        Action::Forget => "forget",
        Action::Replace(_) => "replace",
        Action::Settle => "settle",
        Action::Unload => "unload",
    }
}
