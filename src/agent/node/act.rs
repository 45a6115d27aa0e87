//! What a node's agent does with a profile: loads it, writes down that it is loaded, unloads it.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
};

use super::Node;
use crate::agent::{
    Fingerprint, ParserError, ProfileName,
    parser::Load,
    plan::{Action, Loaded, Record, Seen},
};

/// LIMIT: bytes of a compiled policy.
const MAX_POLICY: u64 = 64 << 20;

/// Why a profile is not loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("cannot write the profile's files: {0}")]
    Files(#[from] io::Error),
    #[error("the kernel has it in mode `{found}`, and the text says `{expected}`")]
    Mode {
        found: String,
        expected: &'static str,
    },
    #[error("the kernel does not have what was loaded: somebody else loads profiles of this name")]
    Other,
    #[error("{0}")]
    Parser(#[from] ParserError),
    #[error("the compiled policy has more than {MAX_POLICY} bytes")]
    TooLarge,
    #[error("cannot unload it: {0}")]
    Unload(#[source] io::Error),
}

impl Node {
    pub(super) fn act(
        &self,
        name: &ProfileName,
        action: Action,
        seen: &Seen,
    ) -> Result<(), LoadError> {
        match action {
            Action::Add(_) => self.load(name, Load::Add, None),
            Action::Replace(_) => self.load(name, Load::Replace, seen.loaded.get(name)),
            Action::Forget => Ok(self.files.remove(name)?),
            Action::Settle => {
                let Some(record) = seen.records.get(name) else {
                    return Ok(());
                };
                self.settle(name, record)
            }
            Action::Unload => {
                // LIMIT: a process that enters the profile between this look and the next line is left without one. No pod
                // of the node names the profile, nor has for long, and runtimes enter what a pod names only.
                if self.options.kernel.in_use().may_be(name) {
                    return Ok(());
                }
                self.options
                    .kernel
                    .unload(name)
                    .map_err(LoadError::Unload)?;
                Ok(self.files.remove(name)?)
            }
        }
    }

    /// Compiles first: a text that is refused changes nothing. Then the record, then the text, then the kernel: see [`crate::agent::plan`].
    fn load(
        &self,
        name: &ProfileName,
        load: Load,
        before: Option<&Loaded>,
    ) -> Result<(), LoadError> {
        // Only what was read and found sound is planned.
        let Some(judged) = self.judged.get(name) else {
            return Ok(());
        };
        let Ok(checked) = judged.result else {
            return Ok(());
        };
        let mut text = self.files.temporary()?;
        text.write_all(judged.text.as_bytes())?;
        let compiled = self.files.temporary()?;
        self.options.parser.compile(text.path(), compiled.path())?;
        let policy = fingerprint(compiled.path())?;
        let before = before.and_then(|before| before.policy);
        let mut record = Record {
            text: checked.fingerprint,
            policies: std::iter::once(policy).chain(before).collect(),
            boot: self.boot.clone(),
            settled: false,
        };
        self.files.record(name, &record)?;
        self.files.keep(text, &self.files.text(name))?;
        self.options.parser.load(load, compiled.path())?;
        let loaded = self.options.kernel.loaded(&[name.clone()].into())?;
        let loaded = loaded.get(name).ok_or(LoadError::Other)?;
        if loaded.policy.is_some_and(|found| found != policy) {
            return Err(LoadError::Other);
        }
        record.policies.truncate(1);
        self.settle(name, &record)?;
        if loaded.mode == checked.mode {
            Ok(())
        } else {
            Err(LoadError::Mode {
                found: loaded.mode.clone(),
                expected: checked.mode,
            })
        }
    }

    fn settle(&self, name: &ProfileName, record: &Record) -> Result<(), LoadError> {
        let record = Record {
            policies: record.policies.iter().take(1).copied().collect(),
            boot: self.boot.clone(),
            settled: true,
            ..record.clone()
        };
        // The link first: what is settled is there after the node's next start.
        self.files.link(name)?;
        Ok(self.files.record(name, &record)?)
    }
}

fn fingerprint(path: &Path) -> Result<Fingerprint, LoadError> {
    let mut policy = Vec::new();
    File::open(path)?
        .take(MAX_POLICY.saturating_add(1))
        .read_to_end(&mut policy)?;
    if u64::try_from(policy.len()).map_or(true, |length| length > MAX_POLICY) {
        return Err(LoadError::TooLarge);
    }
    Ok(Fingerprint::of(&policy))
}
