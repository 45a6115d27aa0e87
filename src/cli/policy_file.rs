//! A file of profiles, read with its includes.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, bail};

use super::{lint, print_error};
use crate::{
    apparmor::{
        diagnostic::{Diagnostic, Severity},
        include::{Includes, Loaded, load},
        model::{Policy, Profile, conflicts, policy},
    },
    report::frame::frame,
};

/// A file of profiles.
pub(super) struct PolicyFile {
    pub(super) text: Arc<[u8]>,
    pub(super) loaded: Loaded,
    pub(super) policy: Policy,
    diagnostics: Vec<Diagnostic>,
}

impl PolicyFile {
    /// Reads a file, or `-`.
    pub(super) fn read(path: &Path, includes: &dyn Includes) -> anyhow::Result<Self> {
        let (name, text) = lint::read(path)?;
        Ok(Self::of(name, text, includes))
    }

    /// Reads a text.
    pub(super) fn of(name: String, text: Arc<[u8]>, includes: &dyn Includes) -> Self {
        let (loaded, mut diagnostics) = load(name, Arc::clone(&text), includes);
        let (policy, more) = policy(&loaded, includes);
        diagnostics.extend(more);
        diagnostics.extend(conflicts(&policy));
        diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        Self {
            text,
            loaded,
            policy,
            diagnostics,
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Writes the errors to standard error, each with its place.
    pub(super) fn show_errors(&self) -> anyhow::Result<()> {
        let errors = self
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error);
        let frames: Vec<String> = errors
            .map(|error| frame(&self.loaded.sources, error, false))
            .collect();
        print_error(&frames.join("\n"))?;
        Ok(())
    }

    /// The profile of this name, or all that stand in no other.
    pub(super) fn profiles(&self, name: Option<&str>) -> anyhow::Result<Vec<&Profile>> {
        if let Some(name) = name {
            let profiles = &self.policy.profiles;
            let exactly = profiles.iter().find(|profile| profile.shown() == name);
            // Without its namespace where that leaves no doubt.
            let found = exactly.or_else(|| self.policy.profile(name.as_bytes()));
            let found = found.with_context(|| {
                let known: Vec<String> = profiles.iter().map(Profile::shown).collect();
                format!("there is no profile `{name}`, only: {}", known.join(", "))
            })?;
            return Ok(vec![found]);
        }
        let found: Vec<&Profile> = self
            .policy
            .profiles
            .iter()
            .filter(|profile| profile.parent.is_none())
            .collect();
        if found.is_empty() {
            bail!("there is no profile in it");
        }
        Ok(found)
    }
}
